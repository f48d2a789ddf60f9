//! Bits of a process: when it started, who it is, how it ends.

use rustix::{
    fs::{Mode, OFlags},
    process::{Gid, Uid},
};
use std::io;

/// Ends the calling process at once: no exit handler runs and no buffer is flushed. For a copied
/// process, whose buffers and handlers are its parent's.
pub fn leave(code: i32) -> ! {
    // SAFETY: the call takes a number and does not return.
    unsafe { libc::_exit(code) }
}

/// Becomes another user, for good: real, effective and saved ids, and the supplementary groups.
/// The process must have one thread.
pub fn become_user(uid: Uid, gid: Gid, groups: Option<&[Gid]>) -> io::Result<()> {
    if let Some(groups) = groups {
        rustix::thread::set_thread_groups(groups)?;
    }
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}

/// Sets the execution domain, `personality(2)`: 0 is Linux, 8 a 32-bit one.
pub fn set_personality(domain: u32) -> io::Result<()> {
    // SAFETY: the call takes a number and touches no memory of ours.
    let result = unsafe { libc::personality(domain.into()) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// What `/proc/<pid>/stat` tells of a process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Status {
    /// `R`, `S`, `D`, `T`, or `Z` for one that has ended and waits for its parent.
    pub state: u8,
    /// When it started, in clock ticks after boot. A number and a start time together name a
    /// process for ever; a number alone is used again.
    pub started: u64,
    /// Whether it is still the copy that it was born as: it has never run a program of its own.
    pub is_copy: bool,
}

/// In a process's flags: born, and no exec since (`PF_FORKNOEXEC`).
const NO_EXEC_SINCE_FORK: u64 = 0x40;

/// Looks at a process.
pub fn status(pid: i32) -> io::Result<Status> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(format!("/proc/{pid}/stat"), flags, Mode::empty())?;
    let mut buffer = [0_u8; 1024];
    let count = rustix::io::read(&fd, &mut buffer)?;
    parse(&buffer[..count])
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no start time in stat"))
}

/// When a process started, in clock ticks after boot.
pub fn start_time(pid: i32) -> io::Result<u64> {
    Ok(status(pid)?.started)
}

/// The name in parentheses may hold anything, so fields are counted from the last parenthesis.
fn parse(stat: &[u8]) -> Option<Status> {
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 2..)?).ok()?;
    let state = *rest.as_bytes().first()?;
    let mut fields = rest.split(' ');
    let flags: u64 = fields.nth(6)?.parse().ok()?;
    let started = fields.nth(12)?.trim_end().parse().ok()?;
    Some(Status { state, started, is_copy: flags & NO_EXEC_SINCE_FORK != 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_move_the_fields() {
        let stat = b"7 (a) b) S 1 7 7 0 -1 4194624 1 0 0 0 0 0 0 0 20 0 1 0 4711 0 0";

        assert_eq!(parse(stat), Some(Status { state: b'S', started: 4711, is_copy: true }));
        assert_eq!(parse(b"7 (a"), None);
    }

    #[test]
    fn our_own_start_time_is_there() {
        let pid = i32::try_from(std::process::id()).unwrap();

        assert!(start_time(pid).unwrap() > 0);
    }
}
