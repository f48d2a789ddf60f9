//! A container's published ports at `::1`: bytes carried over, since packets cannot be led from there.
//!
//! ```text
//!   client ──▶ [::1]:8080 ──▶ two sockets, what one brings goes to the other ──▶ 10.88.0.5:80
//! ```
//!
//! The kernel takes packets to `::1` for the host's own alone: what comes back from elsewhere is
//! dropped. So whoever keeps the container, which holds the port anyway, takes the connection and makes
//! another one to the container. That one sees the host's address on its network as its client, as it
//! does for 127.0.0.1. It is one fd to wait for and one moment; while nobody comes it keeps no buffer.
//!
//! What one side does not take is not read of the other: of each connection at most one piece is kept in
//! each direction. An end of one direction is passed on and leaves the other one open.

mod datagrams;
mod streams;

use crate::{Plan, Protocol, Publication, poller::Poller};
use datagrams::Datagrams;
use dhow_base::{Doing, Result};
use rustix::event::epoll::EventFlags;
use std::{
    net::{IpAddr, SocketAddr},
    os::fd::{BorrowedFd, OwnedFd},
    time::Instant,
};
use streams::Streams;

/// What is carried over at once.
const BUFFER_BYTES: usize = 64 << 10;

/// Carries over what comes to a container's doors.
#[derive(Debug)]
pub struct Relay {
    poller: Poller,
    doors: Vec<Door>,
    streams: Streams,
    datagrams: Datagrams,
    /// Where the container is.
    target: Option<IpAddr>,
    next_number: u64,
    buffer: Vec<u8>,
    is_full: bool,
}

/// A socket at `::1`. Its number is its place.
#[derive(Debug)]
struct Door {
    socket: OwnedFd,
    protocol: Protocol,
    /// The container's port.
    port: u16,
}

impl Relay {
    /// Serves the doors of published ports.
    pub fn open(doors: Vec<(Publication, OwnedFd)>) -> Result<Self> {
        let poller = Poller::new()?;
        let mut all = Vec::new();
        for (number, (publication, socket)) in (0..).zip(doors) {
            poller.add(&socket, number, EventFlags::IN).doing(|| "watch a port at ::1")?;
            let (protocol, port) = (publication.protocol, publication.container_port);
            all.push(Door { socket, protocol, port });
        }
        Ok(Self {
            poller,
            next_number: all.len() as u64,
            doors: all,
            streams: Streams::default(),
            datagrams: Datagrams::default(),
            target: None,
            buffer: Vec::new(),
            is_full: false,
        })
    }

    /// Says where the container is from now on. What is open stays where it is.
    pub fn aim(&mut self, plan: &Plan) {
        self.target = plan.at_host();
    }

    /// What to wait for: when it can be read, there is something for [`Relay::work`].
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.poller.fd()
    }

    /// When there is something for [`Relay::work`] in any case.
    pub fn deadline(&self) -> Option<Instant> {
        self.datagrams.deadline()
    }

    /// Does what there is to do, and a limited amount of it: what is left is there to be waited for.
    pub fn work(&mut self, now: Instant) {
        self.buffer.resize(BUFFER_BYTES, 0);
        for number in self.poller.ready() {
            match usize::try_from(number).ok().filter(|place| *place < self.doors.len()) {
                Some(place) => self.welcome(place, now),
                None if self.streams.has(number) => {
                    self.streams.carry(number, &self.poller, &mut self.buffer);
                }
                None => {
                    let doors = &self.doors;
                    let door = |place: usize| doors.get(place).map(|door| &door.socket);
                    self.datagrams.bring_back(number, door, &mut self.buffer, now);
                }
            }
        }
        self.datagrams.forget_idle(now);
        self.mind_the_doors();
    }

    /// Keeps nothing that can be had again.
    pub fn rest(&mut self) {
        self.buffer = Vec::new();
    }

    fn welcome(&mut self, place: usize, now: Instant) {
        let Some(door) = self.doors.get(place) else { return };
        let target = self.target.map(|address| SocketAddr::new(address, door.port));
        match door.protocol {
            Protocol::Udp => {
                let number = &mut self.next_number;
                let carried = datagrams::Arrival { door: &door.socket, place, target, now };
                self.datagrams.take(&carried, &self.poller, &mut self.buffer, number);
            }
            Protocol::Tcp | Protocol::Sctp => {
                let (client, server) = (self.next_number, self.next_number + 1);
                if self.streams.accept(&door.socket, target, &self.poller, (client, server)) {
                    self.next_number += 2;
                }
            }
        }
    }

    /// While there are as many connections as may be, the next ones wait at the doors.
    fn mind_the_doors(&mut self) {
        let is_full = self.streams.is_full();
        if is_full == self.is_full {
            return;
        }
        self.is_full = is_full;
        let flags = if is_full { EventFlags::empty() } else { EventFlags::IN };
        for (number, door) in (0..).zip(&self.doors) {
            if door.protocol == Protocol::Tcp {
                // A door that cannot be watched otherwise is one more to be looked at.
                let _watched = self.poller.change(&door.socket, number, flags);
            }
        }
    }
}
