//! Who is at work on a connection: seen by a lock that plugins inherit.
//!
//! The lock is on what a plugin has as its standard error, a fifo in the file system. A plugin hands that
//! on to whom it calls, so the lock is free when the last of them has ended, also where whoever called
//! the first one was killed. The next one who comes to the connection waits for that: a plugin that is
//! asked to take away what another is about to make would leave it behind. Plugins whose caller was
//! killed have nobody who ends them when their time is over, so those that are at it still after a
//! while are killed by whoever waits.

use super::process::kill_family;
use dhow_base::{Doing, Result, file};
use rustix::{
    fs::{CWD, FileType, FlockOperation, Mode, OFlags},
    io::Errno,
    process::Pid,
};
use std::{
    fs,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// How long those who are left of a killed command are waited for.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(2);

/// The lock, held; or what others have not let go of after all this time.
#[derive(Debug)]
pub(super) struct Guard {
    fifo: OwnedFd,
    path: PathBuf,
}

impl Guard {
    /// Takes it; the directory is made where it is missing.
    pub(super) fn take(path: &Path) -> Result<Self> {
        let doing = || format!("wait for plugins at {}", path.display());
        if let Some(directory) = path.parent() {
            file::make_directories(directory, 0o700)?;
        }
        let mut end = Instant::now() + PATIENCE;
        let mut has_killed = false;
        loop {
            let fifo = open(path).doing(doing)?;
            match rustix::fs::flock(&fifo, FlockOperation::NonBlockingLockExclusive) {
                // Whoever had it has removed the file, and another one may be there.
                Ok(()) if !is_same(&fifo, path) => {}
                Ok(()) => return Ok(Self { fifo, path: path.to_owned() }),
                Err(Errno::WOULDBLOCK) if Instant::now() < end => thread::sleep(PAUSE),
                Err(Errno::WOULDBLOCK) if !has_killed => {
                    has_killed = true;
                    for orphan in orphans(&fifo).into_iter().flatten() {
                        kill_family(orphan);
                    }
                    // It is free as soon as the last of them has died.
                    end = Instant::now() + PATIENCE;
                }
                // One whose caller waits must not keep a container from its end.
                Err(Errno::WOULDBLOCK) => return Ok(Self { fifo, path: path.to_owned() }),
                Err(errno) => return Err(errno).doing(doing),
            }
        }
    }

    /// What a plugin gets as its standard error. It is open both ways, so nobody waits for the other
    /// end of it.
    pub(super) fn fifo(&self) -> BorrowedFd<'_> {
        self.fifo.as_fd()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Whoever opens it now is told by the missing file that the lock means nothing.
        let _gone = rustix::fs::unlink(&self.path);
    }
}

fn open(path: &Path) -> Result<OwnedFd, Errno> {
    match rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    match rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()) {
        // Removed in between: made again by the next round.
        Err(Errno::NOENT) => open(path),
        opened => opened,
    }
}

fn is_same(fifo: &OwnedFd, path: &Path) -> bool {
    let same = |held: rustix::fs::Stat, found: rustix::fs::Stat| {
        (held.st_dev, held.st_ino) == (found.st_dev, found.st_ino)
    };
    rustix::fs::fstat(fifo).ok().zip(rustix::fs::stat(path).ok()).is_some_and(|(a, b)| same(a, b))
}

/// The plugins that have the fifo as their standard error; nothing where somebody else has it as well,
/// who may be their caller.
fn orphans(fifo: &OwnedFd) -> Option<Vec<Pid>> {
    let own = rustix::process::getpid();
    let mut found = Vec::new();
    for pid in dhow_sys::process::all().ok()?.filter(|pid| *pid != own) {
        let fds = PathBuf::from(format!("/proc/{}/fd", pid.as_raw_nonzero()));
        if is_same(fifo, &fds.join("2")) {
            found.push(pid);
            continue;
        }
        // Whoever is gone by now, or not ours to look at, is no caller of ours.
        let mut held = fs::read_dir(&fds).into_iter().flatten().flatten();
        if held.any(|fd| is_same(fifo, &fd.path())) {
            return None;
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn whoever_a_plugin_has_called_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("running/c1");
        let guard = Guard::take(&path).unwrap();
        let errors: Stdio = guard.fifo().try_clone_to_owned().unwrap().into();
        let mut child = Command::new("sh")
            .args(["-c", "read word; sleep 0.2; echo done > \"$0\""])
            .arg(directory.path().join("said"))
            .stdin(Stdio::piped())
            .stderr(errors)
            .spawn()
            .unwrap();
        // As if its caller were killed: the file stays, and so does the lock.
        let Guard { fifo, path: left } = &guard;
        drop(fifo.try_clone().unwrap());
        assert_eq!(left, &path);
        std::mem::forget(guard);
        drop(child.stdin.take());

        let next = Guard::take(&path).unwrap();

        assert!(directory.path().join("said").exists(), "it has come to its end");
        drop(next);
        assert!(!path.exists());
        child.wait().unwrap();
    }
}
