//! `seccomp(2)`: loads a system call filter.

use crate::fds;
use std::{io, os::fd::OwnedFd};

/// One instruction of classic BPF, laid out as the kernel's `struct sock_filter`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(C)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip when a condition holds.
    pub jt: u8,
    /// Instructions to skip when it does not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// Filters the calling thread's system calls from now on, its children's too. `flags` are
/// `SECCOMP_FILTER_FLAG_…`.
///
/// `EACCES` means that the thread has neither CAP_SYS_ADMIN nor no-new-privileges.
pub fn load(instructions: &[Instruction], flags: u32) -> io::Result<()> {
    load_raw(instructions, flags).map(drop)
}

/// As [`load`], and returns the fd on which a supervisor hears of `NOTIFY` calls. Linux 5.0.
pub fn load_with_listener(instructions: &[Instruction], flags: u32) -> io::Result<OwnedFd> {
    let new_listener = u32::try_from(libc::SECCOMP_FILTER_FLAG_NEW_LISTENER).expect("a small flag");
    let fd = load_raw(instructions, flags | new_listener)?;
    // SAFETY: with NEW_LISTENER the call returns an fd that it just made; nobody else knows it.
    unsafe { fds::made(fd) }
}

/// Whether this kernel takes a flag (`SECCOMP_FILTER_FLAG_…`). It looks at the flags before it reads
/// the program, so that a program which is nowhere tells; libseccomp asks in the same way. Some are
/// good for filters with a listener only.
pub fn takes_flag(flag: u32) -> bool {
    let new_listener = u32::try_from(libc::SECCOMP_FILTER_FLAG_NEW_LISTENER).expect("a small flag");
    [flag, flag | new_listener].into_iter().any(|flags| {
        // SAFETY: the kernel refuses the flags, or else fails to read the program from address 0,
        // which nobody can map. It loads nothing either way.
        let result = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                flags,
                std::ptr::null::<libc::sock_fprog>(),
            )
        };
        result == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::EFAULT)
    })
}

fn load_raw(instructions: &[Instruction], flags: u32) -> io::Result<libc::c_long> {
    let length =
        u16::try_from(instructions.len()).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?;
    let program = libc::sock_fprog { len: length, filter: instructions.as_ptr().cast_mut().cast() };
    // SAFETY: `Instruction` has the layout of `sock_filter` (both are repr(C) with the same
    // fields), and `program` names exactly the slice's elements. The kernel copies them and writes
    // nothing, so the pointer's mutability, which the structure's type asks for, is not used.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
