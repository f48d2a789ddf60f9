//! `pidfd_send_signal(2)` with any signal. rustix takes the named ones only, and programs such as
//! systemd shut down on a real-time signal.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
    ptr,
};

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
