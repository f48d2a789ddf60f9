//! A client as the monitor sees it: what it said, what it is still to hear, how patient to be.
//!
//! No call here waits. What a client does not take stays in its outbox; the monitor stops reading
//! output while an attached client's outbox is full, so an outbox is bounded by [`FULL_BYTES`] and
//! one round of reading, and memory by the number of clients.

use crate::{
    Started,
    exit::Exit,
    frame::{Channel, Frame, STDIN_WINDOW, append_data},
    log::Stream,
};
use dhow_base::{Doing, Error, Kind, Result};
use rustix::net::{RecvFlags, SendFlags};
use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

/// With so much to hear, a client is to catch up first.
const FULL_BYTES: usize = 256 << 10;

/// How long a client may take nothing while it holds the process back.
const PATIENCE: Duration = Duration::from_secs(30);

/// How much is read from a client at once.
const READ_BYTES: usize = 64 << 10;

/// Who a client is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// The one that sent the job. If it stays, the process is its own as a program is a shell's:
    /// it may hold it back as long as it wants, as a full pipe would.
    Starter,
    /// Any other. It may hold the process back for a moment only.
    Visitor,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) number: u64,
    pub(crate) role: Role,
    /// Whether it gets output.
    pub(crate) attached: bool,
    /// Whether it said that it goes.
    pub(crate) detached: bool,
    /// Whether it is no use any more.
    pub(crate) gone: bool,
    /// Whether it was told how the process ended.
    knows_end: bool,
    /// Bytes of its input that the process has not taken.
    pub(crate) input_bytes: usize,
    socket: OwnedFd,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    sent_bytes: usize,
    // Since when it has taken nothing, where there is something to take.
    stalled_since: Option<Instant>,
}

impl Connection {
    pub(crate) fn new(socket: OwnedFd, number: u64, role: Role) -> Self {
        Self {
            number,
            role,
            attached: false,
            detached: false,
            gone: false,
            knows_end: false,
            input_bytes: 0,
            socket,
            inbox: Vec::new(),
            outbox: Vec::new(),
            sent_bytes: 0,
            stalled_since: None,
        }
    }

    /// Reads what there is and returns the whole frames. A client that makes no sense, or more
    /// input than it may, is gone.
    pub(crate) fn receive(&mut self) -> Vec<Frame> {
        self.receive_frames().unwrap_or_else(|_| {
            self.gone = true;
            Vec::new()
        })
    }

    fn receive_frames(&mut self) -> Result<Vec<Frame>> {
        let length = self.inbox.len();
        self.inbox.resize(length + READ_BYTES, 0);
        let received =
            rustix::net::recv(&self.socket, &mut self.inbox[length..], RecvFlags::DONTWAIT);
        let count = received.as_ref().map_or(0, |(count, _)| *count);
        self.inbox.truncate(length + count);
        match received {
            Ok((0, _)) => self.gone = true,
            Ok(_) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno).doing(|| "listen to a client"),
        }
        let mut frames = Vec::new();
        let mut taken = 0;
        while let Some((frame, used)) = Frame::parse(&self.inbox[taken..])? {
            taken += used;
            if let Frame::Stdin(bytes) = &frame {
                self.input_bytes += bytes.len();
                if self.input_bytes > STDIN_WINDOW {
                    return Err(Error::new(Kind::Exhausted, "a client sends more than it may"));
                }
            }
            frames.push(frame);
        }
        self.inbox.drain(..taken);
        Ok(frames)
    }

    /// Says something, now or when there is room.
    pub(crate) fn say(&mut self, frame: &Frame) {
        if !self.gone {
            frame.append_to(&mut self.outbox);
            self.send();
        }
    }

    pub(crate) fn say_started(&mut self, started: &Started) {
        self.say(&Frame::Started(started.clone()));
    }

    /// Says how the process ended, once.
    pub(crate) fn say_exited(&mut self, exit: Exit) {
        if !self.knows_end {
            self.knows_end = true;
            self.say(&Frame::Exited(exit));
        }
    }

    /// Passes output on.
    pub(crate) fn show(&mut self, stream: Stream, output: &[u8]) {
        if self.attached && !self.gone {
            let channel = match stream {
                Stream::Stdout => Channel::Stdout,
                Stream::Stderr => Channel::Stderr,
            };
            append_data(&mut self.outbox, channel, output);
            self.send();
        }
    }

    /// Sends as much as the socket takes.
    pub(crate) fn send(&mut self) {
        while self.has_unsent() {
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match rustix::net::send(&self.socket, &self.outbox[self.sent_bytes..], flags) {
                Ok(count) => {
                    self.sent_bytes += count;
                    self.stalled_since = None;
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => {
                    self.stalled_since.get_or_insert_with(Instant::now);
                    break;
                }
                Err(_) => {
                    self.gone = true;
                    break;
                }
            }
        }
        if !self.has_unsent() {
            self.outbox.clear();
            self.sent_bytes = 0;
            self.stalled_since = None;
        } else if self.sent_bytes >= FULL_BYTES {
            self.outbox.drain(..self.sent_bytes);
            self.sent_bytes = 0;
        }
    }

    /// Whether there is something that it has not heard yet.
    pub(crate) fn has_unsent(&self) -> bool {
        self.sent_bytes < self.outbox.len()
    }

    /// Whether the process has to wait for it.
    pub(crate) fn is_full(&self) -> bool {
        self.attached && !self.gone && self.outbox.len() - self.sent_bytes > FULL_BYTES
    }

    /// When it will have tried our patience, if it takes nothing until then.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let stalled_since = self.stalled_since.filter(|_| !self.gone)?;
        (self.role == Role::Visitor).then(|| stalled_since + PATIENCE)
    }

    /// Gives it up if it has tried our patience.
    pub(crate) fn give_up_if_due(&mut self, now: Instant) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.gone = true;
        }
    }

    /// Gives memory back.
    pub(crate) fn rest(&mut self) {
        self.inbox.shrink_to_fit();
        if self.outbox.is_empty() {
            self.outbox = Vec::new();
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
