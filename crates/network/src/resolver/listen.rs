//! The sockets on which a resolver is asked, in the namespace of those who ask.
//!
//! The address is docker's: it is on the loopback of every namespace, whatever networks that has. The
//! port is another one than 53, so that a program in the container may have that one at all addresses;
//! what is sent to 53 of ours is led there, see [`redirect`](super::redirect).

use super::redirect;
use crate::inside::within;
use dhow_base::{Doing, Result};
use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, sockopt},
};
use std::{
    net::{Ipv4Addr, SocketAddrV4},
    os::fd::{BorrowedFd, OwnedFd},
};

/// Where a resolver is found.
pub(super) const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

/// The port at which names are asked for.
pub(super) const PORT: u16 = 53;

/// Ports that resolvers have, below those that the kernel gives away. The same in every namespace: the
/// containers of a pod each have a resolver, which share one port, and while one of them lives it
/// answers.
const PORTS: [u16; 4] = [31_053, 31_153, 31_253, 31_353];

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
        for port in PORTS {
            match Self::bind(port) {
                Ok(doors) if redirect::lead(PORT, port).is_ok() => return Ok(doors),
                // A kernel without nftables: then the port is taken from the container.
                Ok(_) => break,
                Err(Errno::ADDRINUSE) => {}
                Err(errno) => return Err(errno).doing(|| listening(port)),
            }
        }
        Self::bind(PORT).doing(|| listening(PORT))
    }

    fn bind(port: u16) -> Result<Self, Errno> {
        let packets = bound(SocketType::DGRAM, port)?;
        // Only the host's root may have more than is usual; without it there is less room.
        let _forced = sockopt::set_socket_recv_buffer_size_force(&packets, ROOM_BYTES);
        let streams = bound(SocketType::STREAM, port)?;
        rustix::net::listen(&streams, BACKLOG)?;
        Ok(Self { packets, streams })
    }
}

fn listening(port: u16) -> String {
    format!("answer questions for names at {ADDRESS}:{port}")
}

fn bound(kind: SocketType, port: u16) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::INET, kind, flags, None)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    // The address comes with the loopback, which the container's own process brings up meanwhile.
    sockopt::set_ip_freebind(&socket, true)?;
    rustix::net::bind(&socket, &SocketAddrV4::new(ADDRESS, port))?;
    Ok(socket)
}
