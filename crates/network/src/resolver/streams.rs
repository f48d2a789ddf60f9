//! Connections of those who ask over TCP (RFC 7766): several questions on one, and answers in the
//! order in which they are known.
//!
//! A connection gets no more than it takes: while many of its questions are open, or its answers are
//! not read, nothing more is read of it.

use crate::poller::Poller;
use rustix::{
    event::epoll::EventFlags,
    io::Errno,
    net::{RecvFlags, SendFlags, SocketFlags},
};
use std::{
    collections::HashMap,
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

/// So many connections may be open; one more takes the place of the one that has been idle longest.
const MOST_STREAMS: usize = 64;

/// So many questions of a connection may be open.
const MOST_OPEN: usize = 32;

/// So many bytes of answers may be unread.
const MOST_UNREAD_BYTES: usize = 64 << 10;

/// The longest question: one for a name of 255 bytes, and room for options.
const QUESTION_BYTES: usize = 4 << 10;

/// How long a connection is kept on which nothing happens.
const IDLE: Duration = Duration::from_secs(10);

/// Connections by their numbers.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: HashMap<u64, Stream>,
}

#[derive(Debug)]
struct Stream {
    socket: OwnedFd,
    input: Vec<u8>,
    output: Vec<u8>,
    // Questions without an answer.
    waiting: usize,
    // Whether the other side will ask no more.
    has_ended: bool,
    deadline: Instant,
    watched_for: EventFlags,
}

impl Streams {
    /// Takes in who stands at the door; an error says that nobody does.
    pub(super) fn accept(
        &mut self,
        listener: impl AsFd,
        poller: &Poller,
        number: u64,
        now: Instant,
    ) -> Result<(), Errno> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::accept_with(listener, flags)?;
        let _faster = rustix::net::sockopt::set_tcp_nodelay(&socket, true);
        if self.open.len() >= MOST_STREAMS {
            let idle = self.open.iter().filter(|(_, stream)| stream.waiting == 0);
            let longest = idle.min_by_key(|(_, stream)| stream.deadline).map(|(number, _)| *number);
            // Where all have questions, the new one has to come again.
            let Some(longest) = longest else { return Ok(()) };
            self.open.remove(&longest);
        }
        poller.add(&socket, number, EventFlags::IN)?;
        let stream = Stream {
            socket,
            input: Vec::new(),
            output: Vec::new(),
            waiting: 0,
            has_ended: false,
            deadline: now + IDLE,
            watched_for: EventFlags::IN,
        };
        self.open.insert(number, stream);
        Ok(())
    }

    pub(super) fn has(&self, number: u64) -> bool {
        self.open.contains_key(&number)
    }

    /// Reads what has come on a connection.
    pub(super) fn read(&mut self, number: u64, buffer: &mut [u8], now: Instant) {
        let Some(stream) = self.open.get_mut(&number) else { return };
        if !stream.wants_more() {
            return;
        }
        let room = buffer.len().min(QUESTION_BYTES);
        match rustix::net::recv(&stream.socket, &mut buffer[..room], RecvFlags::empty()) {
            Ok((0, _)) => stream.has_ended = true,
            Ok((count, _)) => {
                stream.input.extend_from_slice(&buffer[..count]);
                stream.deadline = now + IDLE;
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => drop(self.open.remove(&number)),
        }
    }

    /// The next whole question on a connection, unless too many are open.
    pub(super) fn next_question(&mut self, number: u64) -> Option<Vec<u8>> {
        let stream = self.open.get_mut(&number)?;
        if !stream.has_room() {
            return None;
        }
        let length = usize::from(u16::from_be_bytes(*stream.input.first_chunk()?));
        if length > QUESTION_BYTES {
            self.open.remove(&number);
            return None;
        }
        let question = stream.input.get(2..2 + length)?.to_vec();
        stream.input.drain(..2 + length);
        stream.waiting += 1;
        Some(question)
    }

    /// Puts an answer where it will be sent from.
    pub(super) fn answer(&mut self, number: u64, answer: &[u8]) {
        let Some(stream) = self.open.get_mut(&number) else { return };
        stream.waiting = stream.waiting.saturating_sub(1);
        if let Ok(length) = u16::try_from(answer.len()) {
            stream.output.extend(length.to_be_bytes());
            stream.output.extend(answer);
        }
    }

    /// Parts with a connection.
    pub(super) fn close(&mut self, number: u64) {
        self.open.remove(&number);
    }

    /// Sends what can be sent, and decides what to wait for next.
    pub(super) fn settle(&mut self, poller: &Poller, number: u64, now: Instant) {
        let Some(stream) = self.open.get_mut(&number) else { return };
        if stream.send(now).is_err() || stream.is_done() {
            self.open.remove(&number);
            return;
        }
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, stream.wants_more());
        flags.set(EventFlags::OUT, !stream.output.is_empty());
        if flags != stream.watched_for {
            stream.watched_for = flags;
            if poller.change(&stream.socket, number, flags).is_err() {
                self.open.remove(&number);
            }
        }
    }

    /// When [`Streams::tick`] is to be called.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let idle = self.open.values().filter(|stream| stream.waiting == 0);
        idle.map(|stream| stream.deadline).min()
    }

    /// Parts with those on which nothing has happened for long.
    pub(super) fn tick(&mut self, now: Instant) {
        self.open.retain(|_, stream| stream.waiting > 0 || stream.deadline > now);
    }

    /// Keeps no room for connections.
    pub(super) fn rest(&mut self) {
        self.open.shrink_to_fit();
    }
}

impl Stream {
    fn has_room(&self) -> bool {
        self.waiting < MOST_OPEN && self.output.len() < MOST_UNREAD_BYTES
    }

    fn wants_more(&self) -> bool {
        !self.has_ended && self.has_room()
    }

    /// Whether nothing is owed and nothing more will be asked.
    fn is_done(&self) -> bool {
        self.has_ended && self.waiting == 0 && self.output.is_empty()
    }

    fn send(&mut self, now: Instant) -> Result<(), Errno> {
        while !self.output.is_empty() {
            match rustix::net::send(&self.socket, &self.output, SendFlags::NOSIGNAL) {
                Ok(count) => drop(self.output.drain(..count)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(errno) => return Err(errno),
            }
            self.deadline = now + IDLE;
        }
        self.output = Vec::new();
        Ok(())
    }
}
