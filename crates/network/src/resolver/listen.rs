//! The sockets on which a resolver is asked, in the namespace of those who ask.
//!
//! Docker's address: it is on the loopback of every namespace, whatever networks that has.

use crate::inside::within;
use dhow_base::{Doing, Result};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use std::{
    net::{Ipv4Addr, SocketAddrV4},
    os::fd::{BorrowedFd, OwnedFd},
};

/// Where a resolver is found.
pub(super) const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

/// The port at which names are asked for.
const PORT: u16 = 53;

/// How many connections may wait.
const BACKLOG: i32 = 64;

/// Room for questions that come while their process does something else.
const ROOM_BYTES: usize = 1 << 20;

/// What a resolver listens on.
#[derive(Debug)]
pub(super) struct Doors {
    pub(super) packets: OwnedFd,
    pub(super) streams: OwnedFd,
}

impl Doors {
    /// Visits a network namespace for the sockets.
    pub(super) fn open(there: BorrowedFd<'_>) -> Result<Self> {
        within(there, Self::open_here)
    }

    fn open_here() -> Result<Self> {
        let packets = bound(SocketType::DGRAM, PORT)?;
        let streams = bound(SocketType::STREAM, PORT)?;
        rustix::net::listen(&streams, BACKLOG).doing(|| "listen for questions")?;
        Ok(Self { packets, streams })
    }
}

fn bound(kind: SocketType, port: u16) -> Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let doing = || format!("answer questions for names at {ADDRESS}:{port}");
    let socket = rustix::net::socket_with(AddressFamily::INET, kind, flags, None).doing(doing)?;
    // In a namespace of several containers each one's resolver may answer.
    sockopt::set_socket_reuseport(&socket, true).doing(doing)?;
    if kind == SocketType::DGRAM {
        // Only the host's root may have more than is usual; without it there is less room.
        let _forced = sockopt::set_socket_recv_buffer_size_force(&socket, ROOM_BYTES);
    }
    rustix::net::bind(&socket, &SocketAddrV4::new(ADDRESS, port)).doing(doing)?;
    Ok(socket)
}
