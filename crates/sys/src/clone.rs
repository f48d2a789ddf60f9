//! `clone3(2)`: a child in new namespaces, born in its cgroup, with a handle on it.
//!
//! The child is a copy, as after `fork(2)`: it has its own memory and copies of all fds.

use crate::fds;
use rustix::{
    fs::{AtFlags, CWD, StatxFlags},
    thread::{ThreadNameSpaceType, UnshareFlags},
};
use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
};

// Flags beyond 32 bits, which libc's `c_int` constants cut off.
pub(crate) const CLONE_CLEAR_SIGHAND: u64 = 1 << 32;
const CLONE_INTO_CGROUP: u64 = 1 << 33;

/// Which of the two processes returns.
#[derive(Debug)]
pub enum Side {
    /// The new one.
    Child,
    /// The calling one.
    Parent {
        /// The child, as the parent's PID namespace numbers it.
        pid: i32,
        /// A handle on the child: readable when it has ended.
        pidfd: OwnedFd,
    },
}

/// Starts a child in new namespaces of the given kinds and, where given, in the version 2 cgroup
/// behind `cgroup`. The child's signal handlers are reset, its ignored signals stay ignored.
///
/// Fails with `ResourceBusy` where the process has more than one thread: the child would be a copy
/// of this thread alone, and every lock that another one holds would stay locked in it.
/// Linux 5.7 with a cgroup, 5.5 without.
pub fn clone3(namespaces: ThreadNameSpaceType, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Side> {
    let flags = CLONE_CLEAR_SIGHAND | u64::from(namespaces.bits());
    refuse_threads()?;
    // SAFETY: this process has no other thread (checked above), so the copy misses none.
    unsafe { copy(flags, cgroup, Parent::Caller) }
}

/// As [`clone3`], but the child is our parent's: a sibling, whom our parent reaps.
pub fn clone3_sibling(namespaces: ThreadNameSpaceType) -> io::Result<Side> {
    let flags = CLONE_CLEAR_SIGHAND | u64::from(namespaces.bits());
    refuse_threads()?;
    // SAFETY: this process has no other thread (checked above), so the copy misses none.
    unsafe { copy(flags, None, Parent::OfCaller) }
}

fn refuse_threads() -> io::Result<()> {
    if thread_count()? != 1 {
        return Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            "a process with several threads cannot be copied",
        ));
    }
    Ok(())
}

/// Whose child it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Parent {
    Caller,
    OfCaller,
}

/// Starts a child that shares this process's fds: what either opens or closes, both have or have
/// not. Otherwise as [`clone3`], without its look at procfs, which may be another's by now.
pub fn clone_sharing_fds() -> io::Result<Side> {
    // Changes nothing, and is refused where there are other threads.
    let flag = UnshareFlags::from_bits_retain(libc::CLONE_THREAD.unsigned_abs());
    // SAFETY: no fd table is taken apart: this flag asks for nothing but a thread of its own,
    // which a process of one thread has.
    unsafe { rustix::thread::unshare_unsafe(flag) }.map_err(io::Error::from)?;
    let flags = CLONE_CLEAR_SIGHAND | u64::from(libc::CLONE_FILES.unsigned_abs());
    // SAFETY: this process has no other thread (checked above), so the copy misses none.
    unsafe { copy(flags, None, Parent::Caller) }
}

/// Copies the calling process, without its other threads.
///
/// # Safety
///
/// Where there are other threads, their locks may be held in the copy for ever. The child may then
/// take none and allocate nothing: it makes system calls and becomes a program, or ends.
pub(crate) unsafe fn copy(
    mut flags: u64,
    cgroup: Option<BorrowedFd<'_>>,
    parent: Parent,
) -> io::Result<Side> {
    let mut pidfd: libc::c_int = -1;
    flags |= u64::from(libc::CLONE_PIDFD.unsigned_abs());
    // A sibling ends with the signal that we end with; the kernel wants none named.
    let exit_signal = match parent {
        Parent::Caller => libc::SIGCHLD.unsigned_abs().into(),
        Parent::OfCaller => 0,
    };
    if parent == Parent::OfCaller {
        flags |= u64::from(libc::CLONE_PARENT.unsigned_abs());
    }
    let mut cgroup_fd = 0;
    if let Some(cgroup) = cgroup {
        flags |= CLONE_INTO_CGROUP;
        // The field is `u64` while fds are `i32`; an open fd is never negative.
        cgroup_fd = cgroup.as_raw_fd().unsigned_abs().into();
    }
    let mut arguments = libc::clone_args {
        flags,
        pidfd: (&raw mut pidfd).addr() as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal,
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: cgroup_fd,
    };
    // SAFETY: the kernel reads `size` bytes of `arguments`, which lives on this stack, and writes
    // one int through its `pidfd` field, which does too. Without CLONE_VM and with no stack given
    // the child goes on here with a copy of this memory, as after fork; that it does no more than
    // the copied state bears, the caller vouches for.
    let mut result = unsafe {
        libc::syscall(libc::SYS_clone3, &raw mut arguments, std::mem::size_of::<libc::clone_args>())
    };
    // To the processes of a container its filter says that there is no such call, since it cannot
    // look at the flags. The older one has flags of 32 bits: it leaves handlers to the exec.
    let is_missing = || io::Error::last_os_error().raw_os_error() == Some(libc::ENOSYS);
    if result == -1 && cgroup.is_none() && is_missing() {
        let flags = (flags & u64::from(u32::MAX)) | exit_signal;
        // SAFETY: as above; with CLONE_PIDFD the int is written through the third argument.
        result =
            unsafe { libc::syscall(libc::SYS_clone, flags, 0_u64, &raw mut pidfd, 0_u64, 0_u64) };
    }
    match result {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Side::Child),
        pid => {
            // SAFETY: CLONE_PIDFD made the kernel store a new fd here, which nobody else knows.
            let pidfd = unsafe { fds::made(pidfd.into()) }?;
            let pid = i32::try_from(pid).expect("the kernel's process ids have 22 bits");
            Ok(Side::Parent { pid, pidfd })
        }
    }
}

/// Threads of this process: a directory has two links more than it has directories inside.
fn thread_count() -> io::Result<u32> {
    let status = rustix::fs::statx(CWD, "/proc/self/task", AtFlags::empty(), StatxFlags::NLINK)?;
    Ok(status.stx_nlink.saturating_sub(2))
}
