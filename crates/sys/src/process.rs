//! Bits of a process: when it started, who it is, how it ends.

use rustix::{
    fs::{Mode, OFlags},
    process::{Gid, Pid, Uid},
};
use std::{fs::DirEntry, io, os::fd::OwnedFd};

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

/// The numbers of all processes that `/proc` shows.
pub fn all() -> io::Result<impl Iterator<Item = Pid>> {
    let number = |entry: DirEntry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?);
    Ok(std::fs::read_dir("/proc")?.filter_map(move |entry| number(entry.ok()?)))
}

/// What `/proc/<pid>/stat` tells of a process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Status {
    /// `R`, `S`, `D`, `T`, or `Z` for one that has ended and waits for its parent.
    pub state: u8,
    /// The number of its parent.
    pub parent: i32,
    /// When it started, in clock ticks after boot. A number and a start time together name a
    /// process for ever; a number alone is used again.
    pub started: u64,
    /// Whether it is still the copy that it was born as: it has never run a program of its own.
    pub is_copy: bool,
}

impl Status {
    /// Whether it has ended, and its parent may not have asked yet how.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// What a process has used by its end, with the children that it waited for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Usage {
    /// The exit code; 128 and the signal's number where a signal ended it.
    pub code: i32,
    /// The most memory that was resident at once, of the largest of them.
    pub peak_bytes: u64,
    /// Processor time, in the kernel and outside.
    pub cpu: std::time::Duration,
}

/// Waits for the end of a child of ours and takes it from the process table.
///
/// The peak is at least that of the calling process, since a child begins as its copy: measure
/// from a small one.
pub fn reap_with_usage(pid: rustix::process::Pid) -> io::Result<Usage> {
    let mut status = 0;
    let mut used = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    loop {
        // SAFETY: both pointers are to values of ours that outlive the call, of the types that the
        // call writes.
        let result = unsafe {
            libc::wait4(pid.as_raw_nonzero().get(), &raw mut status, 0, used.as_mut_ptr())
        };
        if result != -1 {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    // SAFETY: it was zeroed, which is a valid value of a struct of numbers, and then filled.
    let used = unsafe { used.assume_init() };
    let ended_by_itself = libc::WIFEXITED(status);
    let code =
        if ended_by_itself { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) };
    let time = |time: libc::timeval| {
        let micros = time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_usec);
        std::time::Duration::from_micros(micros.unsigned_abs())
    };
    Ok(Usage {
        code,
        peak_bytes: used.ru_maxrss.unsigned_abs().saturating_mul(1024),
        cpu: time(used.ru_utime) + time(used.ru_stime),
    })
}

/// In a process's flags: born, and no exec since (`PF_FORKNOEXEC`).
const NO_EXEC_SINCE_FORK: u64 = 0x40;

/// Looks at a process. One that is gone is not found.
pub fn status(pid: i32) -> io::Result<Status> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    read_status(&rustix::fs::open(format!("/proc/{pid}/stat"), flags, Mode::empty())?)
}

fn read_status(file: &OwnedFd) -> io::Result<Status> {
    let mut buffer = [0_u8; 1024];
    let count = match rustix::io::read(file, &mut buffer) {
        // It was reaped after its file was opened.
        Err(rustix::io::Errno::SRCH) => return Err(io::ErrorKind::NotFound.into()),
        read => read?,
    };
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
    let parent = fields.nth(1)?.parse().ok()?;
    let flags: u64 = fields.nth(4)?.parse().ok()?;
    let started = fields.nth(12)?.trim_end().parse().ok()?;
    Some(Status { state, parent, started, is_copy: flags & NO_EXEC_SINCE_FORK != 0 })
}

/// Does something as another user to the file system, with all rights that we have. Rights go with
/// root's id, so they are taken up again. What the calling thread does
/// meanwhile is meant, and no other thread.
pub fn as_owner<T>(owner: (Uid, Gid), work: impl FnOnce() -> T) -> io::Result<T> {
    use rustix::thread::{capabilities, set_capabilities, set_thread_res_gid, set_thread_res_uid};
    let rights = capabilities(None)?;
    let (uid, gid) = (rustix::process::getuid(), rustix::process::getgid());
    set_thread_res_gid(gid, owner.1, gid)?;
    let done = set_thread_res_uid(uid, owner.0, uid)
        .and_then(|()| set_capabilities(None, rights))
        .map(|()| work());
    // Whoever could become another can become itself again: its real id is still the old one.
    set_thread_res_uid(uid, uid, uid)?;
    set_thread_res_gid(gid, gid, gid)?;
    set_capabilities(None, rights)?;
    Ok(done?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_move_the_fields() {
        let stat = b"7 (a) b) S 1 7 7 0 -1 4194624 1 0 0 0 0 0 0 0 20 0 1 0 4711 0 0";

        let expected = Status { state: b'S', parent: 1, started: 4711, is_copy: true };
        assert_eq!(parse(stat), Some(expected));
        assert_eq!(parse(b"7 (a"), None);
    }

    #[test]
    fn what_a_child_used_is_told_with_its_end() {
        let mut child = std::process::Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();

        let usage = reap_with_usage(rustix::process::Pid::from_child(&child)).unwrap();

        assert!(child.wait().is_err(), "it is reaped");
        assert_eq!(usage.code, 7);
        assert!(usage.peak_bytes > 100_000, "{usage:?}");
    }

    #[test]
    fn a_process_that_goes_while_it_is_looked_at_is_not_found() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let file = std::fs::File::open(format!("/proc/{}/stat", child.id())).unwrap().into();

        assert!(child.wait().unwrap().success());

        assert_eq!(read_status(&file).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn our_own_start_time_is_there() {
        let pid = i32::try_from(std::process::id()).unwrap();

        assert!(start_time(pid).unwrap() > 0);
    }
}
