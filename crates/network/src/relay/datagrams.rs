//! Datagrams that are carried over: who sent one gets what comes back, for a while.

use crate::poller::Poller;
use rustix::{
    event::epoll::EventFlags,
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketAddrAny, SocketFlags, SocketType, connect, recv,
        recvfrom, send, sendto, socket_with,
    },
};
use std::{
    collections::HashMap,
    net::SocketAddr,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

/// So many senders are known; one more takes the place of the one that has been quiet longest.
const MOST_FLOWS: usize = 128;

/// How long an answer is waited for.
const IDLE: Duration = Duration::from_secs(60);

/// How many datagrams are taken before others have their turn.
const MOST_DATAGRAMS: usize = 64;

/// Senders, by the numbers of the sockets that stand for them.
#[derive(Debug, Default)]
pub(super) struct Datagrams {
    flows: HashMap<u64, Flow>,
}

#[derive(Debug)]
struct Flow {
    /// The door's place.
    door: usize,
    sender: SocketAddr,
    socket: OwnedFd,
    deadline: Instant,
}

/// A door at which there are datagrams.
pub(super) struct Arrival<'a> {
    pub(super) door: &'a OwnedFd,
    pub(super) place: usize,
    pub(super) target: Option<SocketAddr>,
    pub(super) now: Instant,
}

impl Datagrams {
    /// When somebody has been quiet long enough.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.flows.values().map(|flow| flow.deadline).min()
    }

    /// Passes on what has come to a door. What cannot be sent is lost, as on any way.
    pub(super) fn take(
        &mut self,
        at: &Arrival<'_>,
        poller: &Poller,
        buffer: &mut [u8],
        next_number: &mut u64,
    ) {
        for _ in 0..MOST_DATAGRAMS {
            let (count, sender) = match recvfrom(at.door, &mut *buffer, RecvFlags::empty()) {
                Ok((count, _, Some(sender))) => (count, sender),
                Ok(_) | Err(Errno::INTR) => continue,
                Err(_) => return,
            };
            let Some(sender) = address(&sender) else { continue };
            let number = match self.number_of(at.place, sender) {
                Some(number) => number,
                None => match self.begin(at, sender, poller, *next_number) {
                    Ok(number) => {
                        *next_number += 1;
                        number
                    }
                    Err(_) => continue,
                },
            };
            if let Some(flow) = self.flows.get_mut(&number) {
                flow.deadline = at.now + IDLE;
                let _sent = send(&flow.socket, &buffer[..count], SendFlags::NOSIGNAL);
            }
        }
    }

    fn number_of(&self, door: usize, sender: SocketAddr) -> Option<u64> {
        let mut all = self.flows.iter();
        all.find(|(_, flow)| flow.door == door && flow.sender == sender).map(|(number, _)| *number)
    }

    fn begin(
        &mut self,
        at: &Arrival<'_>,
        sender: SocketAddr,
        poller: &Poller,
        number: u64,
    ) -> Result<u64, Errno> {
        let target = at.target.ok_or(Errno::HOSTUNREACH)?;
        if self.flows.len() >= MOST_FLOWS {
            let quiet = self.flows.iter().min_by_key(|(_, flow)| flow.deadline);
            let quiet = quiet.map(|(number, _)| *number);
            quiet.and_then(|number| self.flows.remove(&number));
        }
        let family = if target.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(family, SocketType::DGRAM, flags, None)?;
        connect(&socket, &target)?;
        poller.add(&socket, number, EventFlags::IN)?;
        let flow = Flow { door: at.place, sender, socket, deadline: at.now + IDLE };
        self.flows.insert(number, flow);
        Ok(number)
    }

    /// Passes back what has come for a sender.
    pub(super) fn bring_back<'a>(
        &mut self,
        number: u64,
        door: impl Fn(usize) -> Option<&'a OwnedFd>,
        buffer: &mut [u8],
        now: Instant,
    ) {
        let Some(flow) = self.flows.get_mut(&number) else { return };
        let Some(door) = door(flow.door) else { return };
        for _ in 0..MOST_DATAGRAMS {
            match recv(&flow.socket, &mut *buffer, RecvFlags::empty()) {
                Ok((count, _)) => {
                    flow.deadline = now + IDLE;
                    let _sent = sendto(door, &buffer[..count], SendFlags::NOSIGNAL, &flow.sender);
                }
                // Nobody listens there: the sender hears as much as of any datagram that is lost.
                Err(Errno::INTR | Errno::CONNREFUSED) => {}
                Err(_) => return,
            }
        }
    }

    pub(super) fn forget_idle(&mut self, now: Instant) {
        self.flows.retain(|_, flow| flow.deadline > now);
    }
}

fn address(sender: &SocketAddrAny) -> Option<SocketAddr> {
    SocketAddr::try_from(sender.clone()).ok()
}
