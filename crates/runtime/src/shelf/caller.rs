//! What a caller gets of a new process: the master of its terminal, a handle on it, its number.

use crate::{Stdio, handover::Handover};
use dhow_base::{
    Doing, Error, Kind, Result,
    file::{self, Durability},
};
use dhow_sys::host_path::{LastLink, Place};
use std::{
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

/// Who gets the master of a process's terminal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TerminalTo<'a> {
    /// The caller, who stays with the process.
    Caller,
    /// Whoever listens on this unix socket, for a process that nobody stays with.
    Socket(&'a Path),
    /// As [`TerminalTo::Socket`], by a caller who stays: there is no sense in that.
    SocketOf(&'a Path),
    /// There is nobody, so the process can have no terminal.
    Nobody,
}

impl TerminalTo<'_> {
    /// The streams of a process whose terminal goes there.
    pub(super) fn stdio(self) -> Stdio<'static> {
        match self {
            Self::Caller => Stdio::Shown,
            Self::Socket(_) | Self::SocketOf(_) | Self::Nobody => Stdio::Inherit,
        }
    }
}

/// Sockets of the caller's that are connected before anything exists, so that a wrong path costs
/// nothing.
#[derive(Debug)]
pub(super) struct Sockets {
    pub(super) terminal: Option<Handover>,
    pidfd: Option<Handover>,
}

impl Sockets {
    pub(super) fn dial(
        wants: bool,
        terminal: TerminalTo<'_>,
        pidfd: Option<&Path>,
    ) -> Result<Self> {
        let refuse = |text: &str| Err(Error::new(Kind::Invalid, text));
        let path = match (wants, terminal) {
            (true, TerminalTo::Nobody) => {
                let text = "cannot allocate tty if the runtime will detach without setting console \
                            socket";
                return refuse(text);
            }
            (_, TerminalTo::SocketOf(_)) | (false, TerminalTo::Socket(_)) => {
                let text =
                    "cannot use console socket if the runtime will not detach or allocate tty";
                return refuse(text);
            }
            (true, TerminalTo::Socket(path)) => Some(path),
            (_, TerminalTo::Caller | TerminalTo::Nobody) => None,
        };
        let dial = |path: Option<&Path>| path.map(Handover::dial).transpose();
        Ok(Self { terminal: dial(path)?, pidfd: dial(pidfd)? })
    }

    pub(super) fn send(&self, terminal: Option<&OwnedFd>, pidfd: &OwnedFd) -> Result<()> {
        if let (Some(socket), Some(terminal)) = (&self.terminal, terminal) {
            socket.send(b"/dev/pts/ptmx", terminal.as_fd())?;
        }
        match &self.pidfd {
            Some(socket) => socket.send(b"pidfd", pidfd.as_fd()),
            None => Ok(()),
        }
    }
}

pub(super) fn write_pid(path: Option<&Path>, pid: i32) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    let doing = || format!("write the process's number to {}", path.display());
    let place = Place::find(path, LastLink::Kept).doing(doing)?;
    let text = pid.to_string();
    file::write_atomically(&place.path(), text.as_bytes(), 0o644, Durability::Cached).doing(doing)
}
