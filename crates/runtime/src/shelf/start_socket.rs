//! The socket in a container's directory on which its first process waits for the start.

use dhow_base::{Doing, Error, Result};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType},
};
use std::{
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
};

/// The socket's name in the directory.
pub(super) const NAME: &str = "start";

pub(super) fn listen(place: &Path) -> Result<OwnedFd> {
    let doing = || "make the socket for the start";
    let socket = seqpacket().doing(doing)?;
    let (_directory, address) = address(place).doing(doing)?;
    rustix::net::bind(&socket, &address).doing(doing)?;
    rustix::net::listen(&socket, 1).doing(doing)?;
    Ok(socket)
}

pub(super) fn dial(place: &Path) -> Result<OwnedFd> {
    let doing = || "reach its process";
    let socket = seqpacket().doing(doing)?;
    let (_directory, address) = address(place).doing(doing)?;
    rustix::net::connect(&socket, &address).doing(doing)?;
    Ok(socket)
}

fn seqpacket() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
}

/// Whether nobody waits for a start: the socket is gone, or nobody is behind it.
pub(super) fn is_not_listening(error: &Error) -> bool {
    let errno = error.errno().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::NOENT | Errno::CONNREFUSED))
}

/// A socket's address is at most 107 bytes long. A record's path may be longer; there the address
/// goes by an fd of the directory.
fn address(place: &Path) -> rustix::io::Result<(Option<OwnedFd>, SocketAddrUnix)> {
    if let Ok(address) = SocketAddrUnix::new(place.join(NAME)) {
        return Ok((None, address));
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(place, flags, Mode::empty())?;
    let path = format!("/proc/self/fd/{}/{NAME}", directory.as_raw_fd());
    let address = SocketAddrUnix::new(path)?;
    Ok((Some(directory), address))
}
