//! The loopback interface of the calling process's network namespace.

use crate::fds::leave_to_exec;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::{io, os::fd::AsRawFd};

/// Brings `lo` up, in a process that is about to run its program; it then has 127.0.0.1 and ::1 by itself. A new network namespace has it down.
pub fn bring_up() -> io::Result<()> {
    let socket = rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let mut request = libc::ifreq {
        ifr_name: [0; libc::IFNAMSIZ],
        ifr_ifru: libc::__c_anonymous_ifr_ifru {
            // A fresh loopback has no flags besides LOOPBACK, which cannot be changed.
            ifru_flags: libc::c_short::try_from(libc::IFF_UP | libc::IFF_RUNNING)
                .expect("two low bits"),
        },
    };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = libc::c_char::try_from(*from).expect("ASCII");
    }
    // SAFETY: the call reads one `ifreq`, which lives on this stack, initialised in the fields that
    // this request uses; its name is terminated since it is shorter than the zeroed array.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    leave_to_exec(socket);
    Ok(())
}
