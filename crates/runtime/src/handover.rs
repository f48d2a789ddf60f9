//! An fd for whoever listens on a unix socket: the master of a terminal, a handle on a process.
//!
//! This is runc's protocol: one message, whose bytes are a name that nobody needs, with one fd. The
//! socket is connected before the process exists, and the fd is sent when it does.

use crate::line;
use dhow_base::{Doing, Result};
use dhow_sys::host_path::{LastLink, Place};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::{
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

/// A connection to somebody who waits for an fd.
#[derive(Debug)]
pub(crate) struct Handover {
    socket: OwnedFd,
    path: PathBuf,
}

impl Handover {
    /// Connects to the socket at `path`.
    pub(crate) fn dial(path: &Path) -> Result<Self> {
        let doing = || format!("dial {}", path.display());
        let flags = SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .doing(doing)?;
        // The way is gone first: a terminal's master is nothing for the friends of strangers.
        let place = Place::find(path, LastLink::Followed).and_then(|place| place.existing());
        let place = place.doing(doing)?;
        let address = format!("/proc/self/fd/{}", place.as_raw_fd());
        let address = SocketAddrUnix::new(address).doing(doing)?;
        rustix::net::connect(&socket, &address).doing(doing)?;
        Ok(Self { socket, path: path.to_owned() })
    }

    /// Sends the fd.
    pub(crate) fn send(&self, name: &[u8], fd: BorrowedFd<'_>) -> Result<()> {
        line::send(self.socket.as_fd(), name, Some(fd))
            .doing(|| format!("send an fd to {}", self.path.display()))
    }
}
