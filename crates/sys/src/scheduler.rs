//! `sched_setattr(2)`: how the kernel shares its processors out to a thread.

use std::io;

/// What a policy is made of.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Attributes {
    /// `SCHED_…`.
    pub policy: u32,
    /// `SCHED_FLAG_…`.
    pub flags: u64,
    /// Niceness of the ordinary policies.
    pub nice: i32,
    /// Priority of the real-time policies.
    pub priority: u32,
    /// Nanoseconds of work a period.
    pub runtime: u64,
    /// Nanoseconds to the deadline.
    pub deadline: u64,
    /// Nanoseconds of a period.
    pub period: u64,
}

/// The kernel's `struct sched_attr`, with the clamps of Linux 5.3.
#[repr(C)]
struct Raw {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
    util_min: u32,
    util_max: u32,
}

/// Sets them for the calling thread.
///
/// `EPERM` means that CAP_SYS_NICE or a limit (`RLIMIT_NICE`, `RLIMIT_RTPRIO`) is missing, that the
/// cgroup has no time for real-time work, or that a deadline is asked of a thread that may not run
/// on every processor. Linux 3.14.
pub fn set(attributes: &Attributes) -> io::Result<()> {
    let raw = Raw {
        size: u32::try_from(size_of::<Raw>()).expect("a small structure"),
        policy: attributes.policy,
        flags: attributes.flags,
        nice: attributes.nice,
        priority: attributes.priority,
        runtime: attributes.runtime,
        deadline: attributes.deadline,
        period: attributes.period,
        util_min: 0,
        util_max: 0,
    };
    // SAFETY: the structure has the kernel's layout and says its own size; the kernel only reads
    // it, and where it knows fewer fields, it demands that the rest be zero. Zero is the calling
    // thread, and no flags are given.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const raw, 0) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
