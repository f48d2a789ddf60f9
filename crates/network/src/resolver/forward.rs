//! Questions that are somebody else's to answer: who was asked, who is asked next, and what came
//! back.
//!
//! ```text
//!   asked ──▶ a packet to the first server ──▶ its answer ──▶ done
//!                │ no answer in time, or a failure: the next server, in the order given
//!                │ an answer that was cut short, for a client on a stream: the same server, on a stream
//! ```
//!
//! Each question has a socket and an id of its own, both by chance, and the kernel takes packets from
//! the server's address only: who wants to answer in its place guesses 32 bits (RFC 5452). Sockets are
//! made in the network namespace of the calling process, which is the host's: servers of its loopback
//! are reached like others.

use super::{
    client::Client,
    message::{Question, cut_short, id_of, is_answer_to, is_cut_short, is_failure, set_id},
};
use crate::poller::Poller;
use rustix::{
    event::epoll::EventFlags,
    io::Errno,
    net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType},
    rand::{GetRandomFlags, getrandom},
};
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

/// Where servers listen.
const PORT: u16 = 53;

/// How many servers are asked (as the C library does), and how often in all.
const MOST_SERVERS: usize = 3;
const TRIES: usize = 3;

/// How long a server may take. The C library asks again after five seconds: until then all tries
/// have been made.
const PATIENCE: Duration = Duration::from_millis(1500);

/// How long a server that has not answered is asked after the others.
const DISTRUST: Duration = Duration::from_secs(10);

/// How many questions may be open, and how many of them on streams.
const MOST_QUESTIONS: usize = 512;
const MOST_STREAMS: usize = 32;

/// Servers, and what they were asked.
#[derive(Debug, Default)]
pub(super) struct Forward {
    servers: Vec<Server>,
    asked: HashMap<u64, Asked>,
}

#[derive(Debug)]
struct Server {
    address: SocketAddr,
    distrusted_until: Option<Instant>,
}

/// A question without an answer.
#[derive(Debug)]
struct Asked {
    client: Client,
    // As the client has sent it.
    message: Vec<u8>,
    packet_bytes: usize,
    id: u16,
    way: Way,
    server: usize,
    // Whom to ask yet, the next one last.
    left: Vec<usize>,
    deadline: Instant,
    failure: Option<Vec<u8>>,
}

/// How a question travels.
#[derive(Debug)]
enum Way {
    Nowhere,
    Packet(OwnedFd),
    Stream { socket: OwnedFd, unsent: Vec<u8>, received: Vec<u8> },
}

/// What has become of a question.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) client: Client,
    /// The answer; missing where no server has given one.
    pub(super) answer: Option<Vec<u8>>,
    /// The question.
    pub(super) message: Vec<u8>,
}

/// What came over a socket.
#[derive(Debug)]
enum Heard {
    NothingYet,
    Answer(Vec<u8>),
    /// Nothing will come over this one.
    Broken,
}

impl Forward {
    pub(super) fn new(servers: &[IpAddr]) -> Self {
        let server = |address: &IpAddr| Server {
            address: SocketAddr::new(*address, PORT),
            distrusted_until: None,
        };
        let servers = servers.iter().take(MOST_SERVERS).map(server).collect();
        Self { servers, asked: HashMap::new() }
    }

    /// Asks the servers. What comes back at once is that nobody can be asked.
    pub(super) fn ask(
        &mut self,
        poller: &Poller,
        number: u64,
        (client, message, question): (Client, &[u8], &Question),
        now: Instant,
    ) -> Option<Done> {
        let mut asked = Asked {
            client,
            message: message.to_vec(),
            packet_bytes: question.forwarded_bytes(),
            id: 0,
            way: Way::Nowhere,
            server: 0,
            left: self.order(now),
            deadline: now,
            failure: None,
        };
        if self.asked.len() >= MOST_QUESTIONS {
            asked.left.clear();
        }
        self.ask_next(poller, number, asked, now)
    }

    /// Servers in the order in which they are asked, the first one last.
    fn order(&self, now: Instant) -> Vec<usize> {
        let is_trusted = |server: &usize| {
            self.servers[*server].distrusted_until.is_none_or(|until| until <= now)
        };
        let (mut order, others): (Vec<_>, Vec<_>) = (0..self.servers.len()).partition(is_trusted);
        order.extend(others);
        let mut tries: Vec<usize> = order.into_iter().cycle().take(TRIES).collect();
        tries.reverse();
        tries
    }

    fn ask_next(
        &mut self,
        poller: &Poller,
        number: u64,
        mut asked: Asked,
        now: Instant,
    ) -> Option<Done> {
        while let Some(server) = asked.left.pop() {
            asked.server = server;
            asked.deadline = now + PATIENCE;
            if asked.send_packet(poller, number, self.servers[server].address).is_ok() {
                self.asked.insert(number, asked);
                return None;
            }
        }
        let failure = asked.failure.take();
        Some(asked.done(failure))
    }

    /// Reads what has come for a question.
    pub(super) fn read(
        &mut self,
        poller: &Poller,
        number: u64,
        buffer: &mut [u8],
        now: Instant,
    ) -> Option<Done> {
        let mut asked = self.asked.remove(&number)?;
        let heard = match &asked.way {
            Way::Packet(_) => asked.read_packet(buffer),
            Way::Stream { .. } => asked.go_on_with_stream(poller, number, buffer),
            Way::Nowhere => Heard::Broken,
        };
        let server = asked.server;
        match heard {
            Heard::NothingYet => {
                self.asked.insert(number, asked);
                None
            }
            Heard::Broken => self.ask_next(poller, number, asked, now),
            Heard::Answer(answer) if is_failure(&answer) => {
                self.servers[server].distrusted_until = None;
                asked.failure = Some(answer);
                asked.left.retain(|other| *other != server);
                self.ask_next(poller, number, asked, now)
            }
            Heard::Answer(answer) => {
                self.servers[server].distrusted_until = None;
                let needs_stream = is_cut_short(&answer)
                    && matches!(asked.client, Client::Stream(_))
                    && matches!(asked.way, Way::Packet(_));
                if !needs_stream {
                    return Some(asked.done(Some(answer)));
                }
                self.ask_on_stream(poller, number, asked, now)
            }
        }
    }

    fn ask_on_stream(
        &mut self,
        poller: &Poller,
        number: u64,
        mut asked: Asked,
        now: Instant,
    ) -> Option<Done> {
        let on_streams = |asked: &&Asked| matches!(asked.way, Way::Stream { .. });
        let has_room = self.asked.values().filter(on_streams).count() < MOST_STREAMS;
        let address = self.servers[asked.server].address;
        asked.deadline = now + PATIENCE;
        if has_room && asked.open_stream(poller, number, address).is_ok() {
            self.asked.insert(number, asked);
            return None;
        }
        Some(asked.done(None))
    }

    /// When [`Forward::tick`] is to be called.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.asked.values().map(|asked| asked.deadline).min()
    }

    /// Asks others where a server has taken too long.
    pub(super) fn tick(&mut self, poller: &Poller, now: Instant) -> Vec<Done> {
        let late = self.asked.iter().filter(|(_, asked)| asked.deadline <= now);
        let late: Vec<u64> = late.map(|(number, _)| *number).collect();
        let mut done = Vec::new();
        for number in late {
            let Some(asked) = self.asked.remove(&number) else { continue };
            self.servers[asked.server].distrusted_until = Some(now + DISTRUST);
            done.extend(self.ask_next(poller, number, asked, now));
        }
        done
    }

    /// Asks other servers from now on; what was asked is forgotten, and asked again by who waits.
    pub(super) fn change(&mut self, servers: &[IpAddr]) {
        if self.servers.iter().map(|server| server.address.ip()).ne(servers.iter().copied()) {
            *self = Self::new(servers);
        }
    }

    /// Keeps no room for questions.
    pub(super) fn rest(&mut self) {
        self.asked.shrink_to_fit();
    }
}

impl Asked {
    fn done(self, answer: Option<Vec<u8>>) -> Done {
        let answer = answer.map(|mut answer| {
            set_id(&mut answer, id_of(&self.message));
            match self.client {
                Client::Packet(_) if answer.len() > self.packet_bytes => cut_short(&answer),
                _ => answer,
            }
        });
        Done { client: self.client, answer, message: self.message }
    }

    /// The question under a new id.
    fn renamed(&mut self) -> Result<Vec<u8>, Errno> {
        let mut bytes = [0; 2];
        getrandom(&mut bytes, GetRandomFlags::empty())?;
        self.id = u16::from_ne_bytes(bytes);
        let mut message = self.message.clone();
        set_id(&mut message, self.id);
        Ok(message)
    }

    fn send_packet(
        &mut self,
        poller: &Poller,
        number: u64,
        server: SocketAddr,
    ) -> Result<(), Errno> {
        let message = self.renamed()?;
        let socket = socket(server, SocketType::DGRAM)?;
        rustix::net::connect(&socket, &server)?;
        poller.add(&socket, number, EventFlags::IN)?;
        rustix::net::send(&socket, &message, SendFlags::empty())?;
        self.way = Way::Packet(socket);
        Ok(())
    }

    fn open_stream(
        &mut self,
        poller: &Poller,
        number: u64,
        server: SocketAddr,
    ) -> Result<(), Errno> {
        let message = self.renamed()?;
        let length = u16::try_from(message.len()).map_err(|_| Errno::MSGSIZE)?;
        let unsent = [&length.to_be_bytes()[..], &message].concat();
        let socket = socket(server, SocketType::STREAM)?;
        match rustix::net::connect(&socket, &server) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(errno) => return Err(errno),
        }
        poller.add(&socket, number, EventFlags::IN | EventFlags::OUT)?;
        self.way = Way::Stream { socket, unsent, received: Vec::new() };
        Ok(())
    }

    /// Whether this is the answer that is waited for.
    fn expects(&self, answer: &[u8]) -> bool {
        is_answer_to(answer, &self.message, self.id)
    }

    fn read_packet(&self, buffer: &mut [u8]) -> Heard {
        let Way::Packet(socket) = &self.way else { return Heard::Broken };
        loop {
            match rustix::net::recv(socket, &mut *buffer, RecvFlags::empty()) {
                // Others than the answer are nobody's: an id that was guessed wrong.
                Ok((count, _)) if self.expects(&buffer[..count]) => {
                    return Heard::Answer(buffer[..count].to_vec());
                }
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Heard::NothingYet,
                Err(_) => return Heard::Broken,
            }
        }
    }

    fn go_on_with_stream(&mut self, poller: &Poller, number: u64, buffer: &mut [u8]) -> Heard {
        let Way::Stream { socket, unsent, received } = &mut self.way else { return Heard::Broken };
        if !unsent.is_empty() {
            match rustix::net::send(&*socket, unsent, SendFlags::NOSIGNAL) {
                Ok(count) => drop(unsent.drain(..count)),
                Err(Errno::AGAIN | Errno::INTR) => return Heard::NothingYet,
                Err(_) => return Heard::Broken,
            }
            if unsent.is_empty() && poller.change(&*socket, number, EventFlags::IN).is_err() {
                return Heard::Broken;
            }
        }
        match rustix::net::recv(&*socket, &mut *buffer, RecvFlags::empty()) {
            Ok((0, _)) => return Heard::Broken,
            Ok((count, _)) => received.extend_from_slice(&buffer[..count]),
            Err(Errno::AGAIN | Errno::INTR) => return Heard::NothingYet,
            Err(_) => return Heard::Broken,
        }
        let Some((length, rest)) = received.split_first_chunk() else { return Heard::NothingYet };
        match rest.get(..usize::from(u16::from_be_bytes(*length))) {
            None => Heard::NothingYet,
            Some(answer) => {
                let answer = answer.to_vec();
                if self.expects(&answer) { Heard::Answer(answer) } else { Heard::Broken }
            }
        }
    }
}

fn socket(server: SocketAddr, kind: SocketType) -> Result<OwnedFd, Errno> {
    let family = if server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(family, kind, flags, None)
}
