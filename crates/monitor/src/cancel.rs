//! A start that is taken back: its monitor, and all that this has started, are killed.
//!
//! ```text
//!   stop the monitor, its children, theirs ─▶ kill them, the last ones first ─▶ the monitor is gone
//! ```
//!
//! A start may hang in what others have made: a hook, or a mount of a file system whose server does not
//! answer. Its monitor waits there and hears nobody, so it is not asked. A process that stands still does
//! not take its children's ends from the kernel: so a number that was found stays that process's until
//! its parent is killed.
//!
//! What is left of the container is for [`crate::bury`], as after any monitor that was killed.

use crate::client::LOCK;
use dhow_base::{Doing, Result, file};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, PidfdFlags, Signal},
};
use std::{
    collections::BTreeMap,
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, SystemTime},
};

/// As much as the kernel may say of the locks that there are.
const LOCKS_LIMIT_BYTES: u64 = 64 << 20;

/// Kills the monitor and what it has started; whether it is gone within `patience`. One that hangs in the
/// kernel itself goes when that lets it.
pub fn cancel_start(monitor: Pid, patience: Duration) -> Result<bool> {
    let handle = match rustix::process::pidfd_open(monitor, PidfdFlags::empty()) {
        Err(Errno::SRCH) => return Ok(true),
        opened => opened.doing(|| "find the monitor")?,
    };
    let mut found = vec![monitor];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        send(parent, Signal::STOP)?;
        found.extend(children(parent)?);
        next += 1;
    }
    for &process in found.iter().rev() {
        // A hook leads a group of what it has started.
        match rustix::process::kill_process_group(process, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH | Errno::PERM) => {}
            Err(errno) => return Err(errno).doing(|| format!("kill group {process:?}")),
        }
        send(process, Signal::KILL)?;
    }
    let mut end = [PollFd::new(&handle, PollFlags::IN)];
    let limit = Timespec::try_from(patience).unwrap_or_default();
    loop {
        match poll(&mut end, Some(&limit)) {
            Ok(count) => return Ok(count > 0),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).doing(|| "wait for the monitor's end"),
        }
    }
}

fn send(process: Pid, signal: Signal) -> Result<()> {
    match rustix::process::kill_process(process, signal) {
        // A program of another user's that the container has started already goes with its cgroup.
        Ok(()) | Err(Errno::SRCH | Errno::PERM) => Ok(()),
        Err(errno) => Err(errno).doing(|| format!("send {signal:?} to {process:?}")),
    }
}

fn children(parent: Pid) -> Result<Vec<Pid>> {
    let all = dhow_sys::process::all().doing(|| "list processes")?;
    let is_child = |process: &Pid| {
        let status = dhow_sys::process::status(process.as_raw_nonzero().get());
        status.is_ok_and(|status| status.parent == parent.as_raw_nonzero().get())
    };
    Ok(all.filter(is_child).collect())
}

/// The monitor of a run directory, and for how long it has been there; none where nobody keeps it, or the
/// kernel does not say who.
pub fn keeper(directory: &Path) -> Result<Option<(Pid, Duration)>> {
    let status = match std::fs::metadata(directory.join(LOCK)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        status => status.doing(|| format!("look at {}/{LOCK}", directory.display()))?,
    };
    let device = (rustix::fs::major(status.dev()), rustix::fs::minor(status.dev()));
    let locks = file::read_limited(Path::new("/proc/locks"), LOCKS_LIMIT_BYTES)?;
    let holders = holders(&String::from_utf8_lossy(&locks));
    let since = status.modified().ok().and_then(|then| SystemTime::now().duration_since(then).ok());
    Ok(holders.get(&(device, status.ino())).map(|pid| (*pid, since.unwrap_or_default())))
}

type File = ((u32, u32), u64);

/// Who holds which file by `flock(2)` alone: `1: FLOCK  ADVISORY  WRITE 4711 00:1b:8092 0 EOF`.
fn holders(text: &str) -> BTreeMap<File, Pid> {
    let holder = |line: &str| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, "FLOCK", _, "WRITE", pid, place, ..] = words[..] else { return None };
        let mut parts = place.split(':');
        let mut device = || u32::from_str_radix(parts.next()?, 16).ok();
        let device = (device()?, device()?);
        // Below one are holders that the kernel does not name to us.
        let pid = pid.parse().ok().filter(|&pid: &i32| pid > 0).and_then(Pid::from_raw)?;
        Some(((device, parts.next()?.parse().ok()?), pid))
    };
    text.lines().filter_map(holder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_base::lock::{Lock, Sharing};
    use std::process::{Command, Stdio};

    #[test]
    fn the_kernel_tells_who_keeps_a_directory() {
        let directory = tempfile::tempdir().unwrap();
        assert!(keeper(directory.path()).unwrap().is_none());
        let lock = Lock::acquire(&directory.path().join(LOCK), Sharing::Exclusive).unwrap();

        let (pid, _) = keeper(directory.path()).unwrap().unwrap();

        assert_eq!(pid, rustix::process::getpid());
        drop(lock);
        assert!(keeper(directory.path()).unwrap().is_none());
    }

    #[test]
    fn lines_of_other_locks_are_passed_over() {
        let text = "1: POSIX  ADVISORY  WRITE 5 08:01:1 0 EOF\n\
                    2: FLOCK  ADVISORY  READ  6 08:01:2 0 EOF\n\
                    2: -> FLOCK  ADVISORY  WRITE 7 08:01:2 0 EOF\n\
                    3: FLOCK  ADVISORY  WRITE 8 00:1b:3 0 EOF\n\
                    4: FLOCK  ADVISORY  WRITE -1 00:1b:4 0 EOF\nnonsense\n";

        let holders = holders(text);

        assert_eq!(holders.keys().collect::<Vec<_>>(), [&((0, 0x1b), 3)]);
    }

    #[test]
    fn what_a_process_has_started_is_killed_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let (pids, script) = (
            directory.path().join("pids"),
            "setsid sh -c 'echo $$ >>pids; sleep 60 & echo $! >>pids; echo >>pids; wait' & wait",
        );
        let mut child = Command::new("sh")
            .args(["-c", script])
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let told = dhow_testkit::need::eventually(Duration::from_secs(10), || {
            let text = std::fs::read_to_string(&pids).unwrap_or_default();
            (text.lines().count() == 3).then_some(text)
        });

        let gone = cancel_start(Pid::from_child(&child), Duration::from_secs(10)).unwrap();

        assert!(gone);
        assert!(!child.wait().unwrap().success());
        let is_alive = |pid: &str| {
            let status = dhow_sys::process::status(pid.parse().unwrap());
            status.is_ok_and(|status| !status.has_ended())
        };
        let told = told.unwrap();
        let all_gone = dhow_testkit::need::eventually(Duration::from_secs(10), || {
            told.lines().filter(|line| !line.is_empty()).all(|pid| !is_alive(pid)).then_some(())
        });
        assert!(all_gone.is_some(), "{told}");
    }
}
