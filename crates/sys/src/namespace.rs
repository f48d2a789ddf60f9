//! New namespaces for the calling process, and joining others'.

use rustix::thread::{ThreadNameSpaceType, UnshareFlags};
use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

/// Moves the calling process into new namespaces of the given kinds; a new PID or time namespace
/// is for its children.
pub fn leave(kinds: ThreadNameSpaceType) -> io::Result<()> {
    let flags = UnshareFlags::from_bits_retain(kinds.bits());
    // SAFETY: the call is unsafe where it takes the fd table apart between threads (CLONE_FILES).
    // `ThreadNameSpaceType` holds flags of namespaces only.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(io::Error::from)
}

/// Moves the calling process into the namespaces, of the given kinds, of the process behind a
/// pidfd; or into the one namespace behind an fd of procfs's. A PID namespace is joined by the
/// caller's children.
pub fn join(fd: BorrowedFd<'_>, kinds: ThreadNameSpaceType) -> io::Result<()> {
    let kinds = libc::c_int::try_from(kinds.bits()).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the call takes two numbers and touches no memory of ours.
    let result = unsafe { libc::setns(fd.as_raw_fd(), kinds) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The kind of the namespace behind an fd; `ENOTTY` where it is something else. Linux 4.11.
pub fn kind_of(fd: BorrowedFd<'_>) -> io::Result<ThreadNameSpaceType> {
    const NS_GET_NSTYPE: libc::Ioctl = 0xb703;
    // SAFETY: the request takes no argument and touches no memory of ours.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), NS_GET_NSTYPE) };
    match u32::try_from(result) {
        Ok(kind) => Ok(ThreadNameSpaceType::from_bits_retain(kind)),
        Err(_) => Err(io::Error::last_os_error()),
    }
}
