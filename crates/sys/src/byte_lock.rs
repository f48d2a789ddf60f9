//! A lock on one byte of a file, held by an open file and not by a process.
//!
//! The older locks of `fcntl(2)` belong to the process, and all of them on a file go when any fd of
//! it is closed. These go with the last copy of the fd that took them. The two kinds see each other.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

/// Shares the byte at `offset` with others who share it; false where somebody has it alone. Does not
/// wait. Linux 3.15.
pub fn share(file: BorrowedFd<'_>, offset: u64) -> io::Result<bool> {
    let lock = one_byte(libc::F_RDLCK, offset)?;
    // SAFETY: the command reads one `struct flock64`, which lives on this stack until the call returns.
    let taken = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
    if taken != -1 {
        return Ok(true);
    }
    match io::Error::last_os_error() {
        error if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        error => Err(error),
    }
}

/// Whether anybody holds the byte by another open file, this process included. Linux 3.15.
pub fn is_held(file: BorrowedFd<'_>, offset: u64) -> io::Result<bool> {
    let mut lock = one_byte(libc::F_WRLCK, offset)?;
    // SAFETY: the command reads and writes one `struct flock64` on this stack.
    let asked = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) };
    if asked == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(i32::from(lock.l_type) != libc::F_UNLCK)
}

fn one_byte(kind: libc::c_int, offset: u64) -> io::Result<libc::flock64> {
    let short = |number: libc::c_int| number.try_into().map_err(|_| io::ErrorKind::InvalidInput);
    Ok(libc::flock64 {
        l_type: short(kind)?,
        l_whence: short(libc::SEEK_SET)?,
        l_start: offset.try_into().map_err(|_| io::ErrorKind::InvalidInput)?,
        l_len: 1,
        // What is another number here is refused.
        l_pid: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::File, os::fd::AsFd};

    /// Whether a process that asks in the older way finds the byte free to have alone.
    fn is_free(file: &File, offset: u64) -> bool {
        let mut lock = one_byte(libc::F_WRLCK, offset).unwrap();
        // SAFETY: the command reads and writes one `struct flock64` on this stack.
        let asked = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &raw mut lock) };
        assert_ne!(asked, -1);
        i32::from(lock.l_type) == libc::F_UNLCK
    }

    #[test]
    fn the_lock_is_the_open_files_and_this_process_meets_it_as_others_do() {
        let memory = rustix::fs::memfd_create("file", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        let path = format!("/proc/self/fd/{}", memory.as_raw_fd());
        let (held, asked) = (File::open(&path).unwrap(), File::open(&path).unwrap());

        assert!(share(held.as_fd(), 128).unwrap());

        assert!(!is_free(&asked, 128) && is_free(&asked, 127) && is_free(&asked, 129));
        assert!(is_held(asked.as_fd(), 128).unwrap() && !is_held(held.as_fd(), 128).unwrap());
        drop(File::open(&path).unwrap());
        assert!(!is_free(&asked, 128));
    }
}
