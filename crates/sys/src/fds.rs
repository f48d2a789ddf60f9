//! All of a process's fds at once, and numbers that become owned fds.

use std::{
    io,
    os::fd::{FromRawFd, OwnedFd},
};

/// Marks every fd from `first` on to be closed at exec. What is opened later is marked by its
/// opener. Linux 5.11.
pub fn close_at_exec_from(first: u32) -> io::Result<()> {
    close_range(first, libc::CLOSE_RANGE_CLOEXEC)
}

fn close_range(first: u32, flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: with CLOSE_RANGE_CLOEXEC no fd is closed, so no owner is left with a stale number;
    // this is the only flag that callers in this module pass.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, flags) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The fd that a call made, or the errno of its failure.
///
/// # Safety
///
/// `result` is what a system call returned that makes a new fd, or -1 with errno set, and nobody
/// else has taken ownership of it.
pub(crate) unsafe fn made(result: libc::c_long) -> io::Result<OwnedFd> {
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    let fd = i32::try_from(result).expect("an fd is an int");
    #[expect(clippy::disallowed_methods, reason = "the one place where numbers become fds")]
    // SAFETY: the caller vouches that the fd is new and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
