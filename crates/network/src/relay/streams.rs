//! Connections that are carried over, each as two sockets.

use crate::poller::Poller;
use rustix::{
    event::epoll::EventFlags,
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, accept_with,
        connect, recv, send, shutdown, socket_with, sockopt,
    },
};
use std::{collections::HashMap, net::SocketAddr, os::fd::OwnedFd};

/// So many may be open: each takes two fds.
const MOST_STREAMS: usize = 128;

/// How often a connection is read before others have their turn.
const MOST_PIECES: usize = 8;

/// Connections, by the numbers of their sockets: the client's is the even one of a pair's.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: HashMap<u64, Stream>,
    /// The number of the client's socket, by that of the server's.
    clients: HashMap<u64, u64>,
}

#[derive(Debug)]
struct Stream {
    client: End,
    server: End,
}

/// One side of a connection.
#[derive(Debug)]
struct End {
    number: u64,
    /// None when nothing more goes in or out.
    socket: Option<OwnedFd>,
    /// What this side has not taken yet.
    pending: Vec<u8>,
    /// Whether it has said all.
    has_ended: bool,
    /// Whether it was told that the other side has.
    was_told: bool,
    /// Whether the connection is being made still.
    is_coming: bool,
    watched_for: EventFlags,
}

impl Streams {
    pub(super) fn has(&self, number: u64) -> bool {
        self.open.contains_key(&number) || self.clients.contains_key(&number)
    }

    pub(super) fn is_full(&self) -> bool {
        self.open.len() >= MOST_STREAMS
    }

    /// Takes in who stands at a door, and begins a connection to the container for them; whether there
    /// was anybody.
    pub(super) fn accept(
        &mut self,
        door: &OwnedFd,
        target: Option<SocketAddr>,
        poller: &Poller,
        (client, server): (u64, u64),
    ) -> bool {
        if self.is_full() {
            return false;
        }
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let Ok(socket) = accept_with(door, flags) else { return false };
        // Where there is no way to the container, the client is told by an end.
        let Some(other) = target.and_then(|target| begin(target).ok()) else { return false };
        for one in [&socket, &other] {
            let _small = sockopt::set_tcp_nodelay(one, true);
            let _mindful = sockopt::set_socket_keepalive(one, true);
        }
        let mut stream = Stream {
            client: End::new(client, socket),
            server: End { is_coming: true, ..End::new(server, other) },
        };
        if stream.enrol(poller).is_ok() {
            self.open.insert(client, stream);
            self.clients.insert(server, client);
        }
        true
    }

    /// Carries over what there is of a connection.
    pub(super) fn carry(&mut self, number: u64, poller: &Poller, buffer: &mut [u8]) {
        let client = self.clients.get(&number).copied().unwrap_or(number);
        let Some(stream) = self.open.get_mut(&client) else { return };
        let goes_on = stream.carry(buffer).and_then(|()| stream.watch(poller));
        if goes_on.is_err() || stream.is_over() {
            self.clients.remove(&stream.server.number);
            // Both sockets close; who is in the middle of something hears of it.
            self.open.remove(&client);
        }
    }
}

/// A connection to the container, on its way.
fn begin(target: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if target.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    match connect(&socket, &target) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(errno) => Err(errno),
    }
}

impl Stream {
    fn enrol(&mut self, poller: &Poller) -> Result<(), Errno> {
        for end in [&self.client, &self.server] {
            if let Some(socket) = &end.socket {
                poller.add(socket, end.number, EventFlags::empty())?;
            }
        }
        self.watch(poller)
    }

    fn is_over(&self) -> bool {
        self.client.socket.is_none() && self.server.socket.is_none()
    }

    /// An error says that the connection is broken.
    fn carry(&mut self, buffer: &mut [u8]) -> Result<(), Errno> {
        if self.server.is_coming && !self.server.has_come()? {
            return Ok(());
        }
        carry_one_way(&mut self.client, &mut self.server, buffer)?;
        carry_one_way(&mut self.server, &mut self.client, buffer)?;
        for end in [&mut self.client, &mut self.server] {
            if end.has_ended && end.was_told {
                // It would be reported for ever.
                end.socket = None;
            }
        }
        Ok(())
    }

    fn watch(&mut self, poller: &Poller) -> Result<(), Errno> {
        let is_coming = self.server.is_coming;
        let (client, server) = (self.client.wants(), self.server.wants());
        let (from_client, from_server) = (self.server.takes(), self.client.takes());
        let only = |flags: EventFlags, takes: bool| match takes && !is_coming {
            true => flags,
            false => flags - EventFlags::IN,
        };
        let for_server = if is_coming { EventFlags::OUT } else { only(server, from_server) };
        self.client.watch(poller, only(client, from_client))?;
        self.server.watch(poller, for_server)
    }
}

fn carry_one_way(from: &mut End, to: &mut End, buffer: &mut [u8]) -> Result<(), Errno> {
    for _ in 0..MOST_PIECES {
        to.put_pending()?;
        if !to.takes() || from.has_ended {
            break;
        }
        let Some(socket) = &from.socket else { break };
        match recv(socket, &mut *buffer, RecvFlags::empty()) {
            Ok((0, _)) => from.has_ended = true,
            Ok((count, _)) => to.put(&buffer[..count])?,
            Err(Errno::AGAIN) => break,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    if from.has_ended && to.takes() && !to.was_told {
        to.was_told = true;
        if let Some(socket) = &to.socket {
            // It may be gone by now, which its next read tells.
            let _told = shutdown(socket, Shutdown::Write);
        }
    }
    Ok(())
}

impl End {
    fn new(number: u64, socket: OwnedFd) -> Self {
        Self {
            number,
            socket: Some(socket),
            pending: Vec::new(),
            has_ended: false,
            was_told: false,
            is_coming: false,
            watched_for: EventFlags::empty(),
        }
    }

    /// Whether the connection is there.
    fn has_come(&mut self) -> Result<bool, Errno> {
        let Some(socket) = &self.socket else { return Ok(true) };
        sockopt::socket_error(socket)??;
        match rustix::net::getpeername(socket) {
            Ok(_) => {
                self.is_coming = false;
                Ok(true)
            }
            Err(Errno::NOTCONN) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// Whether there is nothing that it has not taken.
    fn takes(&self) -> bool {
        self.pending.is_empty()
    }

    fn wants(&self) -> EventFlags {
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, !self.has_ended);
        flags.set(EventFlags::OUT, !self.pending.is_empty());
        flags
    }

    fn watch(&mut self, poller: &Poller, flags: EventFlags) -> Result<(), Errno> {
        if let Some(socket) = self.socket.as_ref().filter(|_| self.watched_for != flags) {
            poller.change(socket, self.number, flags)?;
            self.watched_for = flags;
        }
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        let sent = self.send(bytes)?;
        self.pending.extend(&bytes[sent..]);
        Ok(())
    }

    fn put_pending(&mut self) -> Result<(), Errno> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        let sent = self.send(&pending)?;
        if sent < pending.len() {
            self.pending = pending;
            self.pending.drain(..sent);
        }
        Ok(())
    }

    /// How much of it went out.
    fn send(&self, bytes: &[u8]) -> Result<usize, Errno> {
        let Some(socket) = &self.socket else { return Err(Errno::PIPE) };
        let mut sent = 0;
        while sent < bytes.len() {
            match send(socket, &bytes[sent..], SendFlags::NOSIGNAL) {
                Ok(count) => sent += count,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(sent)
    }
}
