//! A service manager's readiness protocol (`sd_notify`), passed on from a container.
//!
//! ```text
//!   container ── READY=1 ──▶ <record>/notify/notify.sock ──▶ NOTIFY_SOCKET of the caller
//!                                                      and ──▶ MAINPID=…, BARRIER=1 with a pipe
//! ```
//!
//! Only readiness is passed on, and who the main process is, we say: what a container writes must
//! not steer the machine's service manager.

use dhow_base::{Doing, Error, Kind, Result};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
        SocketAddrUnix, SocketFlags, SocketType,
    },
    pipe::PipeFlags,
};
use std::{
    io::IoSlice,
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

/// How long the manager may take to have read everything.
const PATIENCE_SECONDS: i64 = 30;

/// A container's socket, and the manager's.
#[derive(Debug)]
pub(crate) struct Relay {
    socket: OwnedFd,
    manager: Manager,
}

/// The service manager, which is told.
#[derive(Debug)]
struct Manager {
    host: OwnedFd,
    /// The process that it should watch.
    main: i32,
}

/// Tells the service manager that the container is ready, whatever that one says.
pub(crate) fn tell_ready(host: &Path, main: i32) -> Result<()> {
    let manager = Manager { host: dial(host)?, main };
    manager.tell(b"READY=1").doing(|| "tell the service manager that the container is ready")
}

impl Relay {
    /// Listens where the container `place` was created with a place to listen.
    pub(super) fn bind(place: &Path, host: &Path, main: i32) -> Result<Self> {
        Self::on(dhow_monitor::listen_for_readiness(place)?, host, main)
    }

    /// The same, of a socket that somebody listens on already.
    pub(crate) fn on(socket: OwnedFd, host: &Path, main: i32) -> Result<Self> {
        Ok(Self { socket, manager: Manager { host: dial(host)?, main } })
    }

    /// What becomes readable when the container says something.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Waits until the container says that it is ready, and passes that on, or has ended.
    pub(crate) fn wait(&self, process: &OwnedFd) -> Result<()> {
        loop {
            let mut polled =
                [PollFd::new(&self.socket, PollFlags::IN), PollFd::new(process, PollFlags::IN)];
            match poll(&mut polled, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).doing(|| "wait until the container is ready"),
            }
            let (says, has_ended) =
                (!polled[0].revents().is_empty(), !polled[1].revents().is_empty());
            if (says && self.take()?) || (has_ended && !says) {
                return Ok(());
            }
        }
    }

    /// Reads one message; whether it was the one that says ready, which is then passed on.
    pub(super) fn take(&self) -> Result<bool> {
        let mut message = [0_u8; 4096];
        let received = rustix::net::recv(&self.socket, message.as_mut_slice(), RecvFlags::DONTWAIT);
        let count = match received {
            Ok((count, _)) => count,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(false),
            Err(errno) => return Err(errno).doing(|| "hear the container"),
        };
        let lines = message[..count.min(message.len())].split(|byte| *byte == b'\n');
        let Some(ready) = lines.into_iter().find(|line| line.starts_with(b"READY=")) else {
            return Ok(false);
        };
        self.manager
            .tell(ready)
            .doing(|| "tell the service manager that the container is ready")?;
        Ok(true)
    }
}

impl Manager {
    fn tell(&self, ready: &[u8]) -> Result<()> {
        let doing = || "send to NOTIFY_SOCKET";
        let send = |line: &[u8]| {
            let line = [line, b"\n"].concat();
            rustix::net::send(&self.host, &line, SendFlags::NOSIGNAL).map(drop)
        };
        send(ready).doing(doing)?;
        send(format!("MAINPID={}", self.main).as_bytes()).doing(doing)?;
        self.wait_until_read()
    }

    /// The manager closes the pipe when it has read all before it (`sd_notify_barrier`). One that
    /// does not know that is not waited for in vain for ever.
    fn wait_until_read(&self) -> Result<()> {
        let doing = || "wait for the service manager";
        let (end, theirs) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).doing(doing)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds = [theirs.as_fd()];
        if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
            return Err(Error::new(Kind::Internal, doing()));
        }
        let message = [IoSlice::new(b"BARRIER=1")];
        rustix::net::sendmsg(&self.host, &message, &mut control, SendFlags::NOSIGNAL)
            .doing(doing)?;
        drop(theirs);
        let patience = Timespec { tv_sec: PATIENCE_SECONDS, tv_nsec: 0 };
        let mut polled = [PollFd::new(&end, PollFlags::IN)];
        match poll(&mut polled, Some(&patience)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno).doing(doing),
        }
    }
}

fn dial(host: &Path) -> Result<OwnedFd> {
    let doing = || format!("dial NOTIFY_SOCKET {}", host.display());
    let socket = datagram().doing(doing)?;
    let address = match host.as_os_str().as_bytes() {
        [b'@', name @ ..] => SocketAddrUnix::new_abstract_name(name),
        _ => SocketAddrUnix::new(host),
    };
    rustix::net::connect(&socket, &address.doing(doing)?).doing(doing)?;
    Ok(socket)
}

fn datagram() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)
}
