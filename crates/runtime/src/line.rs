//! The conversation between `create` (parent) and the container's first process (child).
//!
//! ```text
//!   parent                                child
//!     │  clone3 ───────────────────────────▶│
//!     │◀────────────────────── NeedIdMaps ──│  has its user namespace
//!     │  Go ───────────────────────────────▶│
//!     │◀────────────────────── MoveDevices ─│  is in its network namespace
//!     │  Go ───────────────────────────────▶│
//!     │◀─────────────────────── Surrounded ─│  needs what somebody brings into that namespace
//!     │  Go ───────────────────────────────▶│
//!     │◀───────────────────────── RunHooks ─│  mounts done, root not yet pivoted
//!     │  Go ───────────────────────────────▶│
//!     │◀────────────── Listener (and fd) ───│  a filter asks an agent; a courier says it
//!     │  Go ───────────────────────────────▶│
//!     │◀──────────── Ready (and terminal) ──│  is the container's user, waits
//!     │  Go ───────────────────────────────▶│
//!     │◀──────────────────── end of file ───│  exec closed the line: the program runs
//! ```
//!
//! The order is the security argument (hooks must see the mounts but run before the pivot), so it
//! is data here and not spread over the two processes. At any point the child may say `Failed`
//! instead, with its error; it then ends. `exec` uses the same line, without the first four.

use dhow_base::{Doing, Error, Kind, Result};
use dhow_sys::fds::leave_to_exec;
use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
    },
};
use std::{
    error::Error as _,
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// The longest message: an error with its whole chain.
const LIMIT_BYTES: usize = 8192;

/// What a process dies of that cannot say so itself.
pub(crate) const DEATHS: &str =
    "the kernel may have killed it: too little memory, or a filter against exec";

/// A process that is gone, and has said nothing.
pub(crate) fn died() -> Error {
    Error::new(Kind::Internal, "hear the container's process: it died").hint(DEATHS)
}

/// What the child may ask, in the only order it may ask it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Ask {
    /// Its user namespace has no mappings yet.
    NeedIdMaps,
    /// The network namespace is there; devices are to move into it.
    MoveDevices,
    /// It goes on when its network is set up, which was begun at its birth.
    Surrounded,
    /// The mounts are done; the runtime's hooks are due.
    RunHooks,
    /// A filter is loaded that asks an agent, who needs this fd.
    Listener,
    /// Everything is done but the exec.
    Ready,
}

impl Ask {
    const ALL: [(Self, u8); 6] = [
        (Self::NeedIdMaps, b'M'),
        (Self::MoveDevices, b'D'),
        (Self::Surrounded, b'S'),
        (Self::RunHooks, b'H'),
        (Self::Listener, b'L'),
        (Self::Ready, b'R'),
    ];

    fn byte(self) -> u8 {
        Self::ALL[self as usize].1
    }

    fn of_byte(byte: u8) -> Option<Self> {
        Self::ALL.iter().find(|(_, own)| *own == byte).map(|(ask, _)| *ask)
    }
}

/// Checks the order. Rejects repeats and steps backwards; steps may be skipped (no user namespace,
/// no hooks).
#[derive(Debug, Default)]
pub(crate) struct Order {
    last: Option<Ask>,
}

impl Order {
    fn accept(&mut self, ask: Ask) -> Result<Ask> {
        if let Some(last) = self.last
            && ask <= last
        {
            let text = format!("accept {ask:?} after {last:?} from the container's process");
            return Err(Error::new(Kind::Internal, text));
        }
        self.last = Some(ask);
        Ok(ask)
    }
}

const GO: u8 = b'G';
const BORN: u8 = b'B';
const FAILED: u8 = b'F';

/// The child's end.
#[derive(Debug)]
pub(crate) struct ChildEnd {
    socket: OwnedFd,
}

/// The parent's end.
#[derive(Debug)]
pub(crate) struct ParentEnd {
    socket: OwnedFd,
    order: Order,
}

/// What the parent hears.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A request; with a terminal's master, where `Ready` brings one, and with the listener.
    Asked(Ask, Option<OwnedFd>),
    /// The line is closed: the program runs, or the child is dead.
    Closed,
}

/// Both ends of a new line.
pub(crate) fn pair() -> Result<(ParentEnd, ChildEnd)> {
    let (parent, child) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .doing(|| "make a socket pair for the container's process")?;
    Ok((ParentEnd::on(parent), ChildEnd { socket: child }))
}

impl ChildEnd {
    /// Goes on with a connection that a later `start` dials.
    pub(crate) fn switch(&mut self, listener: BorrowedFd<'_>) -> Result<()> {
        loop {
            match rustix::net::accept_with(listener, SocketFlags::CLOEXEC) {
                Ok(socket) => {
                    leave_to_exec(std::mem::replace(&mut self.socket, socket));
                    return Ok(());
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).doing(|| "wait for the container's start"),
            }
        }
    }

    /// The line's fd, to keep it while others are closed.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Says something that needs no answer.
    pub(crate) fn tell(&self, ask: Ask, terminal: Option<BorrowedFd<'_>>) -> Result<()> {
        send(self.socket.as_fd(), &[ask.byte()], terminal).doing(|| "answer the runtime")
    }

    /// Asks, and waits until it is granted.
    pub(crate) fn ask(&self, ask: Ask) -> Result<()> {
        self.tell(ask, None)?;
        self.wait_for_go()
    }

    /// Hands the listener of a filter over; whether it has been taken.
    pub(crate) fn deliver(&self, listener: BorrowedFd<'_>) -> bool {
        self.tell(Ask::Listener, Some(listener)).and_then(|()| self.wait_for_go()).is_ok()
    }

    /// Waits for the other side. A closed line means that nobody wants this process any more.
    pub(crate) fn wait_for_go(&self) -> Result<()> {
        let mut buffer = [0; 1];
        let (count, _) = receive(self.socket.as_fd(), &mut buffer).doing(|| "hear the runtime")?;
        match buffer[..count] {
            [GO] => Ok(()),
            _ => Err(Error::new(Kind::Internal, "hear the runtime: it is gone")),
        }
    }

    /// Tells of a process that it has borne for the other side.
    pub(crate) fn introduce(&self, pid: i32, pidfd: BorrowedFd<'_>) -> Result<()> {
        let [a, b, c, d] = pid.to_le_bytes();
        send(self.socket.as_fd(), &[BORN, a, b, c, d], Some(pidfd)).doing(|| "answer the runtime")
    }

    /// Tells why it cannot go on. A failure to tell is of use to nobody.
    pub(crate) fn fail(&self, error: &Error) {
        let mut message = vec![FAILED];
        message.extend(encode(error));
        message.truncate(LIMIT_BYTES);
        let _unheard = send(self.socket.as_fd(), &message, None);
    }
}

impl ParentEnd {
    /// An end on a connected socket.
    pub(crate) fn on(socket: OwnedFd) -> Self {
        Self { socket, order: Order::default() }
    }

    /// The next thing that the child says; its failure is our error.
    pub(crate) fn hear(&mut self) -> Result<Heard> {
        let mut buffer = vec![0; LIMIT_BYTES];
        let (count, terminal) = match receive(self.socket.as_fd(), &mut buffer) {
            Ok(received) => received,
            // The child died before it read what we said.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => (0, None),
            Err(error) => return Err(error).doing(|| "hear the container's process"),
        };
        match &buffer[..count] {
            [] => Ok(Heard::Closed),
            [FAILED, error @ ..] => Err(decode(error)),
            [byte] if let Some(ask) = Ask::of_byte(*byte) => {
                Ok(Heard::Asked(self.order.accept(ask)?, terminal))
            }
            _ => Err(Error::new(Kind::Internal, "hear the container's process: not a message")),
        }
    }

    /// The process that the child has borne for us.
    pub(crate) fn hear_of_child(&self) -> Result<(i32, OwnedFd)> {
        let mut buffer = vec![0; LIMIT_BYTES];
        let (count, pidfd) =
            receive(self.socket.as_fd(), &mut buffer).doing(|| "hear the container's process")?;
        match (&buffer[..count], pidfd) {
            ([BORN, a, b, c, d], Some(pidfd)) => Ok((i32::from_le_bytes([*a, *b, *c, *d]), pidfd)),
            ([FAILED, error @ ..], _) => Err(decode(error)),
            _ => Err(died()),
        }
    }

    /// Lets the child go on.
    pub(crate) fn go(&self) -> Result<()> {
        send(self.socket.as_fd(), &[GO], None).doing(|| "answer the container's process")
    }
}

pub(crate) fn send(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    fd: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    send_some(socket, bytes, fd).map(drop)
}

/// As [`send`], on a socket that may take less at once; how much it took.
pub(crate) fn send_some(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    fd: Option<BorrowedFd<'_>>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds: [BorrowedFd<'_>; 1];
    if let Some(fd) = fd {
        fds = [fd];
        control.push(SendAncillaryMessage::ScmRights(&fds));
    }
    let slices = [IoSlice::new(bytes)];
    loop {
        match rustix::net::sendmsg(socket, &slices, &mut control, SendFlags::NOSIGNAL) {
            Ok(count) => return Ok(count),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let count = loop {
        let mut slices = [IoSliceMut::new(buffer)];
        match rustix::net::recvmsg(socket, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Ok(message) => break message.bytes,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    };
    let mut fd = None;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(mut fds) = message {
            fd = fds.next();
        }
    }
    Ok((count, fd))
}

const KINDS: [(Kind, u8); 13] = [
    (Kind::NotFound, b'n'),
    (Kind::AlreadyExists, b'a'),
    (Kind::Invalid, b'i'),
    (Kind::Conflict, b'c'),
    (Kind::Denied, b'd'),
    (Kind::Corrupt, b'o'),
    (Kind::Exhausted, b'e'),
    (Kind::Unavailable, b'u'),
    (Kind::Unsupported, b's'),
    (Kind::TimedOut, b't'),
    (Kind::CommandNotFound, b'f'),
    (Kind::CommandNotRunnable, b'r'),
    (Kind::Internal, b'x'),
];

/// Kind, errno, hint and the links, outermost first, each ended by a zero byte.
fn encode(error: &Error) -> Vec<u8> {
    let kind = KINDS.iter().find(|(kind, _)| *kind == error.kind()).map_or(b'x', |found| found.1);
    let mut bytes = vec![kind, 0];
    let mut part = |text: &str| {
        bytes.extend(text.bytes().filter(|byte| *byte != 0));
        bytes.push(0);
    };
    part(&error.errno().unwrap_or(0).to_string());
    part(error.innermost_hint().unwrap_or(""));
    part(&error.to_string());
    let mut next = error.source();
    while let Some(cause) = next {
        // The innermost link is made again from the errno.
        if cause.source().is_some() || error.errno().is_none() {
            part(&cause.to_string());
        }
        next = cause.source();
    }
    bytes
}

/// The error that was encoded. It comes from our own code, but from a process that has touched an
/// image, so anything may be in it.
fn decode(bytes: &[u8]) -> Error {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.split_terminator('\0');
    let byte = parts.next().and_then(|part| part.bytes().next()).unwrap_or(b'x');
    let kind = KINDS.iter().find(|(_, own)| *own == byte).map_or(Kind::Internal, |(kind, _)| *kind);
    let errno: i32 = parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
    let hint = parts.next().unwrap_or("").to_owned();
    let links: Vec<&str> = parts.collect();
    let mut inner: Option<Error> = None;
    for (depth, link) in links.iter().rev().enumerate() {
        let mut error = Error::new(kind, *link);
        match inner.take() {
            Some(cause) => error = error.because(cause),
            None if errno != 0 => error = error.because(io::Error::from_raw_os_error(errno)),
            None => {}
        }
        if depth == 0 && !hint.is_empty() {
            error = error.hint(hint.clone());
        }
        inner = Some(error);
    }
    inner.unwrap_or_else(|| Error::new(kind, "prepare the container: no reason was given"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_travel_whole() {
        let error = Err::<(), _>(Errno::NOSPC).doing(|| "make /dev/null").unwrap_err();
        let error = Err::<(), _>(error.hint("free some space")).doing(|| "fill /dev").unwrap_err();

        let back = decode(&encode(&error));

        assert_eq!(back.one_line(), error.one_line());
        assert_eq!(back.kind(), error.kind());
        assert_eq!(back.errno(), Some(28));
        assert_eq!(back.innermost_hint(), Some("free some space"));
    }

    #[test]
    fn errors_without_errno_travel_too() {
        let error = Error::new(Kind::CommandNotFound, "exec: \"x\": not found");

        let back = decode(&encode(&error));

        assert_eq!(back.one_line(), error.one_line());
        assert_eq!(back.kind(), Kind::CommandNotFound);
        assert_eq!(decode(b"\xff").kind(), Kind::Internal);
        assert_eq!(decode(b"").kind(), Kind::Internal);
    }

    #[test]
    fn nobody_asks_twice_or_backwards() {
        let mut order = Order::default();

        assert!(order.accept(Ask::RunHooks).is_ok());
        assert!(order.accept(Ask::RunHooks).is_err());
        assert!(order.accept(Ask::NeedIdMaps).is_err());
        assert!(order.accept(Ask::Ready).is_ok());
    }

    #[test]
    fn a_closed_line_is_heard() {
        let (mut parent, child) = pair().unwrap();
        child.tell(Ask::Ready, None).unwrap();
        drop(child);

        assert!(matches!(parent.hear().unwrap(), Heard::Asked(Ask::Ready, None)));
        assert!(matches!(parent.hear().unwrap(), Heard::Closed));
    }
}
