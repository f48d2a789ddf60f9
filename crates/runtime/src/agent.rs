//! The seccomp agent: a process of the user's that answers the calls which a filter asks about.
//!
//! ```text
//!   connect  (before anything is made)   nobody listens: there is no container
//!   introduce (once the filter is loaded) who is filtered, and the fd that asks
//! ```
//!
//! One connection carries one process and is closed then: from there on the agent and the filtered
//! process are on their own.

use dhow_base::{Doing, Error, Kind, Result};
use dhow_spec::runtime::{OCI_VERSION, ProcessState, Seccomp, State};
use rustix::net::{
    AddressFamily, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType, shutdown,
};
use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

/// What the specification calls the listener.
const LISTENER: &str = "seccompFd";

/// A connection to the agent.
#[derive(Debug)]
pub(crate) struct Agent<'a> {
    socket: OwnedFd,
    path: &'a Path,
    metadata: Option<&'a str>,
}

impl<'a> Agent<'a> {
    /// Reaches the agent that the filter names.
    pub(crate) fn connect(seccomp: &'a Seccomp) -> Result<Self> {
        let path = seccomp.listener_path.as_deref().filter(|path| !path.as_os_str().is_empty());
        let path = path.ok_or_else(|| {
            let text = "use SCMP_ACT_NOTIFY: linux.seccomp.listenerPath is not set";
            Error::new(Kind::Invalid, text)
        })?;
        let doing = || format!("connect to the seccomp agent {}", path.display());
        let flags = SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .doing(doing)?;
        let address = SocketAddrUnix::new(path).doing(doing)?;
        rustix::net::connect(&socket, &address).doing(doing)?;
        Ok(Self { socket, path, metadata: seccomp.listener_metadata.as_deref() })
    }

    /// Hands the listener over, with word of the process that it is for.
    pub(crate) fn introduce(&self, listener: BorrowedFd<'_>, pid: i32, state: State) -> Result<()> {
        let doing = || format!("tell the seccomp agent {}", self.path.display());
        let message = ProcessState {
            oci_version: OCI_VERSION.to_owned(),
            fds: vec![LISTENER.to_owned()],
            pid,
            metadata: self.metadata.map(str::to_owned),
            state,
        };
        let bytes = serde_json::to_vec(&message)
            .map_err(|error| Error::new(Kind::Internal, doing()).because(error))?;
        let socket = self.socket.as_fd();
        let mut sent = crate::line::send_some(socket, &bytes, Some(listener)).doing(doing)?;
        while sent < bytes.len() {
            sent += rustix::net::send(socket, &bytes[sent..], SendFlags::NOSIGNAL).doing(doing)?;
        }
        // The filtered process has a copy of the socket, so that closing ours would end nothing.
        shutdown(socket, Shutdown::Both).doing(doing)
    }
}
