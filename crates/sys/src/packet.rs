//! `packet(7)`: packets of one device, without the head of its link.
//!
//! It is for who has to talk IP before there is an address to talk from. The socket belongs to the
//! network namespace that it was made in, and needs CAP_NET_RAW there.

use crate::{filter::Instruction, packet_filter};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::{
    io, mem,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

/// `ETH_P_IP`.
const IP: u16 = 0x0800;

/// Bytes of a hardware address of Ethernet.
const MAC_BYTES: u8 = 6;

/// A socket for packets of IPv4 of one device.
#[derive(Debug)]
pub struct Packets {
    socket: OwnedFd,
    index: i32,
}

impl Packets {
    /// Opens one for the device of this number. It gets what the filter keeps, and nothing of before.
    pub fn open(index: i32, filter: &[Instruction]) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // Without a protocol nothing comes in before the filter is there.
        let socket =
            rustix::net::socket_with(AddressFamily::PACKET, SocketType::DGRAM, flags, None)?;
        packet_filter::attach(socket.as_fd(), filter)?;
        let packets = Self { socket, index };
        packets.bind()?;
        Ok(packets)
    }

    fn bind(&self) -> io::Result<()> {
        let address = address(self.index, None);
        let size = size_of_address();
        // SAFETY: `address` is a whole `sockaddr_ll` of the size that is passed; the kernel reads it
        // during the call alone. The fd is open, since it is borrowed from `self`.
        let result =
            unsafe { libc::bind(self.socket.as_raw_fd(), (&raw const address).cast(), size) };
        if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Sends a packet of IP to a hardware address of the link.
    pub fn send(&self, packet: &[u8], to: [u8; 6]) -> io::Result<()> {
        let address = address(self.index, Some(to));
        let size = size_of_address();
        // SAFETY: `packet` and `address` are whole, of the sizes that are passed, and only read during
        // the call. The fd is open, since it is borrowed from `self`.
        let result = unsafe {
            libc::sendto(
                self.socket.as_raw_fd(),
                packet.as_ptr().cast(),
                packet.len(),
                libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
                (&raw const address).cast(),
                size,
            )
        };
        if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Takes a packet: how many bytes of it there are, and who on the link has sent it. It does not
    /// wait.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, [u8; 6])> {
        let mut address = address(self.index, None);
        let mut size = size_of_address();
        // SAFETY: `buffer` and `address` are writable for as many bytes as their sizes say, nothing
        // else has them during the call, and any bytes make a valid `sockaddr_ll`. The fd is open,
        // since it is borrowed from `self`.
        let result = unsafe {
            libc::recvfrom(
                self.socket.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                libc::MSG_DONTWAIT,
                (&raw mut address).cast(),
                &raw mut size,
            )
        };
        let count = usize::try_from(result).map_err(|_| io::Error::last_os_error())?;
        let mut from = [0; 6];
        from.copy_from_slice(&address.sll_addr[..6]);
        Ok((count, from))
    }
}

impl AsFd for Packets {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn size_of_address() -> libc::socklen_t {
    libc::socklen_t::try_from(mem::size_of::<libc::sockaddr_ll>()).expect("a small structure")
}

fn address(index: i32, to: Option<[u8; 6]>) -> libc::sockaddr_ll {
    let mut bytes = [0; 8];
    bytes[..6].copy_from_slice(&to.unwrap_or_default());
    libc::sockaddr_ll {
        sll_family: libc::c_ushort::try_from(libc::AF_PACKET).expect("families are few"),
        sll_protocol: IP.to_be(),
        sll_ifindex: index,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: MAC_BYTES,
        sll_addr: bytes,
    }
}
