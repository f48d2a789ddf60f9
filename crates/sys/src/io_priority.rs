//! `ioprio_set(2)`: how urgent a process's reads and writes are to the disk's scheduler.

use std::io;

/// `IOPRIO_WHO_PGRP`: every process of a group.
const PROCESS_GROUP: libc::c_int = 2;
/// A priority's class lies above its level.
const CLASS_SHIFT: u32 = 13;

/// Sets the class (1 real time, 2 best effort, 3 idle) and the level (0 to 7) for the calling
/// process's group.
///
/// `EPERM` means that the real-time class is asked without CAP_SYS_ADMIN and CAP_SYS_NICE.
pub fn set_for_group(class: u32, level: u32) -> io::Result<()> {
    let priority = (class << CLASS_SHIFT) | level;
    // SAFETY: the call takes three numbers and touches no memory of ours; zero is the caller's own
    // group.
    let result = unsafe { libc::syscall(libc::SYS_ioprio_set, PROCESS_GROUP, 0, priority) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
