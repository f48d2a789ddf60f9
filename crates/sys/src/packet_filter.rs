//! `SO_ATTACH_FILTER`: what of the packets that come to a socket is put into its queue.

use crate::filter::Instruction;
use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

/// Has a program of classic BPF look at each packet, or at each message of netlink: it returns how
/// many bytes of it are kept, and 0 for none of it.
pub fn attach(socket: BorrowedFd<'_>, instructions: &[Instruction]) -> io::Result<()> {
    let length =
        u16::try_from(instructions.len()).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?;
    let program = libc::sock_fprog { len: length, filter: instructions.as_ptr().cast_mut().cast() };
    let size = libc::socklen_t::try_from(size_of_val(&program)).expect("a small structure");
    // SAFETY: `Instruction` has the layout of `sock_filter` (both are repr(C) with the same fields),
    // and `program` names exactly the slice's elements; both live until the call returns. The kernel
    // copies and checks them, and writes nothing, so the pointer's mutability, which the structure's
    // type asks for, is not used.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size,
        )
    };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::UdpSocket, os::fd::AsFd, time::Duration};

    #[test]
    fn what_a_filter_refuses_never_arrives() {
        let one = |code, k| Instruction { code, jt: 0, jf: 0, k };
        let (mine, other) =
            (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        mine.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let address = mine.local_addr().unwrap();
        // Return the packet's first byte, which is kept of it, and with 0 nothing at all. The
        // program sees a datagram from its head of 8 bytes on.
        attach(mine.as_fd(), &[one(0x30, 8), one(0x16, 0)]).unwrap();

        other.send_to(&[0, 1], address).unwrap();
        other.send_to(&[200, 2], address).unwrap();
        let mut buffer = [0; 16];
        let (length, _) = mine.recv_from(&mut buffer).unwrap();

        assert_eq!(buffer[..length], [200, 2]);
        assert!(attach(mine.as_fd(), &[]).is_err());
    }
}
