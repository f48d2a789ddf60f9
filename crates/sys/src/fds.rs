//! All of a process's fds at once, and numbers that become owned fds.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd},
};

/// Marks every fd from `first` on to be closed at exec. What is opened later is marked by its
/// opener. Linux 5.11.
pub fn close_at_exec_from(first: u32) -> io::Result<()> {
    close_range(first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC)
}

/// Leaves an fd to be closed by the exec that is near, which costs nothing, as long as there are
/// few of them; a process that opens many closes them one by one.
pub fn leave_to_exec(fd: OwnedFd) {
    // The kernel gives the lowest free number, so a low number says that few are open. Limits are
    // 1024 and more.
    const FEW: i32 = 256;
    if fd.as_raw_fd() < FEW {
        let _closed_by_exec = fd.into_raw_fd();
    }
}

/// Closes every fd from `first` on but these, for a process that waits between its birth as a copy
/// and its exec: what it holds of its parent's would stay open as long as it waits.
///
/// Owners of closed fds are left with stale numbers. The process must not open or drop any fd from
/// here to its exec or end, other than the ones kept and those that came from them.
pub fn close_from_but(first: u32, keep: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut numbers: Vec<u32> = keep.iter().map(|fd| fd.as_raw_fd().unsigned_abs()).collect();
    numbers.sort_unstable();
    let mut begin = first;
    for number in numbers.into_iter().filter(|number| *number >= first) {
        if begin < number {
            close_range(begin, number - 1, 0)?;
        }
        begin = number + 1;
    }
    close_range(begin, u32::MAX, 0)
}

/// Keeps so many fds from `first` on open at exec: those that a caller has handed over by their numbers.
pub fn keep_at_exec(first: u32, count: u32) -> io::Result<()> {
    for number in first..first.saturating_add(count) {
        let number = i32::try_from(number).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: the call takes numbers and touches no memory; it changes a flag of the fd and neither
        // closes nor makes one, whoever owns it. What is not open is an error.
        if unsafe { libc::fcntl(number, libc::F_SETFD, 0) } == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Closes so many fds from `first` on: those that a caller has handed over by their numbers, and that
/// nothing here owns. One that is not open is fine.
pub fn close_handed(first: u32, count: u32) -> io::Result<()> {
    match first.checked_add(count).and_then(|end| end.checked_sub(1)) {
        Some(last) if count > 0 => close_range(first, last, 0),
        _ => Ok(()),
    }
}

fn close_range(first: u32, last: u32, flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: the call takes numbers and touches no memory. Without CLOSE_RANGE_CLOEXEC it closes
    // fds that others own; `close_from_but` and
    // `close_handed` pass that duty on to their callers.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
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
