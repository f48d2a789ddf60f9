//! `SECCOMP_IOCTL_NOTIF_…`: the other end of a filter that asks, as an agent holds it.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

/// A call that waits for an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Call {
    /// What its answer names it by.
    pub id: u64,
    /// The process that makes it, as the listener's holder numbers it.
    pub pid: u32,
    /// The call's number.
    pub number: i32,
}

/// Waits for the next call. `NotFound` where its process has gone meanwhile. Linux 5.0.
pub fn next(listener: BorrowedFd<'_>) -> io::Result<Call> {
    // SAFETY: the structure is made of numbers, and the kernel demands that it be zero.
    let mut call: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one structure of the size that the request's number tells, which
    // libc makes from this structure's.
    let result =
        unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut call) };
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(Call { id: call.id, pid: call.pid, number: call.data.nr })
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// It fails with this errno.
    Errno(i32),
    /// It is made as if nobody had asked. Its arguments may have changed meanwhile, so this is no
    /// way to permit anything. Linux 5.5.
    Continue,
}

/// Answers a call.
pub fn answer(listener: BorrowedFd<'_>, call: Call, answer: Answer) -> io::Result<()> {
    let (error, flags) = match answer {
        Answer::Errno(errno) => (-errno, 0),
        Answer::Continue => (0, 1),
    };
    let mut answer = libc::seccomp_notif_resp { id: call.id, val: 0, error, flags };
    // SAFETY: the kernel reads one structure of the size that the request's number tells, which
    // libc makes from this structure's, and keeps no pointer to it.
    let result = unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer)
    };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
