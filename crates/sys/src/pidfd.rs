//! `pidfd_send_signal(2)` with any signal, and waiting for a child's end. rustix takes the named
//! signals only, and programs such as systemd shut down on a real-time one.

use rustix::{
    io::Errno,
    process::{WaitId, WaitIdOptions, WaitIdStatus},
};
use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
    ptr,
};

/// Waits until the child behind `process` has ended, and takes it from the process table.
pub fn reap(process: BorrowedFd<'_>) -> io::Result<WaitIdStatus> {
    loop {
        match rustix::process::waitid(WaitId::PidFd(process), WaitIdOptions::EXITED) {
            Ok(Some(status)) => return Ok(status),
            Ok(None) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Sends a signal to the process behind `process`, and to no other, whatever its number is now.
/// Linux 5.1.
pub fn send_signal(process: BorrowedFd<'_>, number: i32) -> io::Result<()> {
    // SAFETY: the fd is borrowed, hence open; a null pointer in place of the details is allowed; a
    // number that is no signal is refused with EINVAL.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            process.as_raw_fd(),
            number,
            ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
