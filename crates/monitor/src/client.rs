//! The other end of a monitor's socket: what a command holds while it starts, watches or feeds a
//! process that a monitor keeps.
//!
//! A client is one connection. It is read by [`Client::next`], one event at a time; a terminal
//! session ([`crate::Session`]) and the doors are loops around that. A client that goes away
//! changes nothing for the process, unless it owned the input ([`crate::Stdin::Once`]).

use crate::{
    exit::{Exit, ExitRecord},
    frame::{Channel, Frame, LIMIT_BYTES, Size, Started, append_data},
    health::{Checked, HealthPlan},
};
use dhow_base::{
    Doing, Error, Kind, Result,
    lock::{Lock, Sharing},
};
use dhow_network::Plan;
use dhow_sys::signal;
use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{Mode, OFlags},
    io::Errno,
    net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType},
    process::Signal,
};
use std::{
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::Path,
    time::Duration,
};

/// The name of the socket in a run directory.
pub(crate) const SOCKET: &str = "attach";

/// The name of the lock that a monitor holds as long as it lives.
pub(crate) const LOCK: &str = "lock";

/// The name of the file that says what was started.
pub(crate) const STARTED: &str = "started.json";

/// What tells a command to end.
const END: [Signal; 4] = [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM];

/// How much is read at once: a whole frame of the largest kind, and more.
const READ_BYTES: usize = 128 << 10;

/// What a monitor tells a client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// The process runs.
    Started(Started),
    /// Output.
    Stdout(Vec<u8>),
    /// Output.
    Stderr(Vec<u8>),
    /// The process took so many bytes of input; so many more may be sent.
    StdinTaken(u32),
    /// The process ended; nothing follows.
    Exited(Exit),
    /// What a health check found.
    Checked(Checked),
    /// The container's networks are what they were to be.
    NetworksChanged,
    /// The container is checked as it was to be.
    HealthChanged,
}

/// A connection to a monitor.
#[derive(Debug)]
pub struct Client {
    socket: OwnedFd,
    inbox: Inbox,
}

impl Client {
    /// Connects to the monitor of a run directory; `None` says that there is none any more.
    pub fn connect(directory: &Path) -> Result<Option<Self>> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = match rustix::fs::open(directory, flags, Mode::empty()) {
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            opened => opened.doing(|| format!("open {}", directory.display()))?,
        };
        let socket = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .doing(|| "make a socket")?;
        match rustix::net::connect(&socket, &address_in(opened.as_fd())?) {
            Ok(()) => Ok(Some(Self::on(socket))),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::CONNREFUSED) => Ok(None),
            Err(errno) => {
                Err(errno).doing(|| format!("connect to {}/{SOCKET}", directory.display()))
            }
        }
    }

    pub(crate) fn on(socket: OwnedFd) -> Self {
        Self { socket, inbox: Inbox::default() }
    }

    /// Waits until the process runs. If it could not be started, the error is the monitor's, whole.
    pub fn started(&mut self) -> Result<Started> {
        match self.next()? {
            Event::Started(started) => Ok(started),
            event => Err(Error::new(
                Kind::Internal,
                format!("wait for the monitor's start: it said {event:?} first"),
            )),
        }
    }

    /// As [`Client::started`], for a command that is told to end meanwhile: nothing then. The signals
    /// must be [held](crate::hold_signals).
    pub fn started_unless_told_to_end(&mut self) -> Result<Option<Started>> {
        let doing = || "wait for the monitor's start";
        let signals = signal::Reader::new(&END.map(Signal::as_raw)).doing(doing)?;
        let mut polled =
            [PollFd::new(&self.socket, PollFlags::IN), PollFd::new(signals.fd(), PollFlags::IN)];
        loop {
            match poll(&mut polled, None) {
                // It is taken, so that the command lives to clean up.
                Ok(_) if polled[0].revents().is_empty() => {
                    signals.next_signal().doing(doing)?;
                    return Ok(None);
                }
                // Who has started has started: the signal is for what comes then.
                Ok(_) => return self.started().map(Some),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).doing(doing),
            }
        }
    }

    /// Asks for the output from now on. The client that sent the job has asked in the job. The
    /// first answer is [`Event::Started`].
    pub fn attach(&mut self) -> Result<()> {
        self.send(&Frame::Attach)
    }

    /// Sends a signal to the process.
    pub fn signal(&mut self, number: i32) -> Result<()> {
        self.send(&Frame::Signal(number))
    }

    /// Has the container's health checked now, and says what was found.
    pub fn check_health(mut self) -> Result<Checked> {
        self.send(&Frame::CheckHealth)?;
        loop {
            match self.next()? {
                Event::Checked(checked) => return Ok(checked),
                Event::Exited(_) => return Err(gone()),
                _ => {}
            }
        }
    }

    /// Connects the container to the networks of a plan and to no others. The ports that are published
    /// stay those that its monitor holds. Nothing is changed where that fails.
    pub fn change_networks(mut self, plan: &Plan) -> Result<()> {
        self.send(&Frame::Networks(Box::new(plan.clone())))?;
        loop {
            match self.next()? {
                Event::NetworksChanged => return Ok(()),
                Event::Exited(_) => return Err(gone()),
                _ => {}
            }
        }
    }

    /// Has the container checked by a plan from now on, or by none. What was found by the same command
    /// goes on to count.
    pub fn change_health(mut self, plan: Option<Box<HealthPlan>>) -> Result<()> {
        let mut wire = Vec::new();
        Frame::Health(plan).append_to(&mut wire);
        if wire.len() > LIMIT_BYTES {
            return Err(Error::new(Kind::Invalid, "the command of the health check is too long")
                .hint("put it into a script of the container's"));
        }
        self.send_all(&wire)?;
        loop {
            match self.next()? {
                Event::HealthChanged => return Ok(()),
                Event::Exited(_) => return Err(gone()),
                _ => {}
            }
        }
    }

    /// Tells the terminal its size.
    pub fn resize(&mut self, size: Size) -> Result<()> {
        self.send(&Frame::Resize(size))
    }

    /// Sends input. No more than [`crate::STDIN_WINDOW`] bytes may be on their way: what was sent
    /// and not yet taken, as [`Event::StdinTaken`] tells.
    pub fn send_stdin(&mut self, bytes: &[u8]) -> Result<()> {
        let mut wire = Vec::new();
        append_data(&mut wire, Channel::Stdin, bytes);
        self.send_all(&wire)
    }

    /// Ends the input.
    pub fn close_stdin(&mut self) -> Result<()> {
        self.send(&Frame::StdinClosed)
    }

    /// Goes, and leaves the process and its input as they are.
    ///
    /// A monitor whose process has ended meanwhile is gone; then there is nothing to leave.
    pub fn detach(mut self) -> Result<()> {
        match self.send(&Frame::Detach) {
            Err(error) if error.kind() == Kind::Unavailable => Ok(()),
            sent => sent,
        }
    }

    /// Lets the monitor take away what goes with the container, after [`Event::Exited`]. Where the monitor
    /// is gone, that is left to whoever finds it.
    pub fn erase(&mut self) {
        let _gone = self.send(&Frame::Erase);
    }

    /// Waits for the exit and forgets all output until then.
    pub fn wait(mut self) -> Result<Exit> {
        loop {
            if let Event::Exited(exit) = self.next()? {
                return Ok(exit);
            }
        }
    }

    /// Waits for the next event. After [`Event::Exited`], and when the monitor is gone, there is
    /// none: `Unavailable`.
    #[expect(clippy::should_implement_trait, reason = "an iterator's end is not an error")]
    pub fn next(&mut self) -> Result<Event> {
        loop {
            if let Some(event) = self.inbox.event()? {
                return Ok(event);
            }
            self.inbox.receive(self.socket.as_fd(), RecvFlags::empty())?;
        }
    }

    /// The next event if it is already here. For loops that poll [`AsFd::as_fd`] for reading: call
    /// this until it says `None`, then poll.
    pub fn try_next(&mut self) -> Result<Option<Event>> {
        if let Some(event) = self.inbox.event()? {
            return Ok(Some(event));
        }
        match self.inbox.receive(self.socket.as_fd(), RecvFlags::DONTWAIT)? {
            Received::Bytes => self.inbox.event(),
            Received::NothingYet => Ok(None),
        }
    }

    pub(crate) fn send(&mut self, frame: &Frame) -> Result<()> {
        let mut wire = Vec::new();
        frame.append_to(&mut wire);
        self.send_all(&wire)
    }

    fn send_all(&mut self, mut wire: &[u8]) -> Result<()> {
        while !wire.is_empty() {
            match rustix::net::send(&self.socket, wire, SendFlags::NOSIGNAL) {
                Ok(count) => wire = &wire[count..],
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => return Err(gone()),
                Err(errno) => return Err(errno).doing(|| "talk to the monitor"),
            }
        }
        Ok(())
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Started {
    /// What the monitor of a run directory started; `None` where it has not (yet).
    pub fn read(directory: &Path) -> Result<Option<Self>> {
        let path = directory.join(STARTED);
        match dhow_base::file::read_limited(&path, LIMIT_BYTES as u64) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
                Error::new(Kind::Corrupt, format!("parse {}", path.display())).because(error)
            }),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether a monitor lives that keeps this run directory.
///
/// It holds a lock, so the answer is the kernel's: no pid that means somebody else by now, no
/// socket file that nobody listens on.
pub fn is_alive(directory: &Path) -> Result<bool> {
    // Shared, so that two who ask do not take each other for the monitor; and only where it is there: a
    // file that is made in a directory which somebody removes keeps it from being removed.
    let path = directory.join(LOCK);
    match Lock::acquire_existing_within(&path, Sharing::Shared, Duration::ZERO) {
        Ok(lock) => Ok(lock.is_none()),
        Err(error) if error.errno() == Some(rustix::io::Errno::NOENT.raw_os_error()) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Waits until the process of a run directory has ended and says how, from the monitor's lips if
/// it lives and from the record if it does not.
pub fn wait_for_exit(directory: &Path, exit_record: &Path) -> Result<ExitRecord> {
    // A monitor that dies leaves no record, which is found out below.
    let seen = Client::connect(directory)?.and_then(|client| client.wait().ok());
    match (ExitRecord::read(exit_record)?, seen) {
        (Some(record), _) => Ok(record),
        // It is removed already, by whoever was to remove it at its end.
        (None, Some(exit)) => Ok(ExitRecord {
            exit,
            started_at: None,
            finished_at: None,
            log_lost_bytes: 0,
            problem: None,
        }),
        (None, None) => Err(gone()),
    }
}

/// The address of the socket in an open directory. The detour keeps it short: a socket's address
/// has room for 108 bytes, a path has not always so few.
pub(crate) fn address_in(directory: BorrowedFd<'_>) -> Result<SocketAddrUnix> {
    SocketAddrUnix::new(format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd()))
        .doing(|| "name the monitor's socket")
}

fn gone() -> Error {
    Error::new(Kind::Unavailable, "talk to the monitor: it is gone")
}

/// Whether a read brought anything.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Received {
    Bytes,
    NothingYet,
}

/// Bytes that have arrived and are not yet whole frames.
#[derive(Debug, Default)]
struct Inbox {
    bytes: Vec<u8>,
    taken: usize,
}

impl Inbox {
    /// The next whole event.
    fn event(&mut self) -> Result<Option<Event>> {
        while let Some((frame, used)) = Frame::parse(&self.bytes[self.taken..])? {
            self.taken += used;
            match frame {
                Frame::Started(started) => return Ok(Some(Event::Started(started))),
                Frame::Failed(failure) => return Err(failure.into_error()),
                Frame::Stdout(bytes) => return Ok(Some(Event::Stdout(bytes))),
                Frame::Stderr(bytes) => return Ok(Some(Event::Stderr(bytes))),
                Frame::StdinTaken(count) => return Ok(Some(Event::StdinTaken(count))),
                Frame::Exited(exit) => return Ok(Some(Event::Exited(exit))),
                Frame::Checked(checked) => return Ok(Some(Event::Checked(checked))),
                Frame::NetworksChanged => return Ok(Some(Event::NetworksChanged)),
                Frame::HealthChanged => return Ok(Some(Event::HealthChanged)),
                // A newer monitor may say what an older client need not know; our own kinds of
                // frame, which a monitor never sends, are no worse.
                _ => {}
            }
        }
        Ok(None)
    }

    fn receive(&mut self, socket: BorrowedFd<'_>, flags: RecvFlags) -> Result<Received> {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        let length = self.bytes.len();
        self.bytes.resize(length + READ_BYTES, 0);
        let received = loop {
            match rustix::net::recv(socket, &mut self.bytes[length..], flags) {
                Err(rustix::io::Errno::INTR) => {}
                received => break received,
            }
        };
        let count = received.as_ref().map_or(0, |(count, _)| *count);
        self.bytes.truncate(length + count);
        match received {
            Ok((0, _)) | Err(rustix::io::Errno::CONNRESET) => Err(gone()),
            Ok(_) => Ok(Received::Bytes),
            Err(rustix::io::Errno::AGAIN) => Ok(Received::NothingYet),
            Err(errno) => Err(errno).doing(|| "listen to the monitor"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_whether_a_monitor_lives_makes_nothing_in_its_directory() {
        let directory = tempfile::tempdir().unwrap();

        assert!(!is_alive(directory.path()).unwrap());
        assert!(!is_alive(&directory.path().join("missing")).unwrap());

        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
