//! Locks between processes: `flock(2)` on a file that is never deleted while it may be waited for.
//!
//! The kernel releases a lock when the last copy of its fd closes, so a `kill -9` never leaves one.
//! A directory can be locked too, and removed by who holds its lock: who waited for it then holds the
//! lock of nothing, and has to look.

use crate::{Doing, Error, Kind, Result};
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::{
    os::fd::OwnedFd,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// How often a lock is tried again that must not be waited for without an end, at first and at last.
const FIRST_PAUSE: Duration = Duration::from_micros(200);
const LONGEST_PAUSE: Duration = Duration::from_millis(10);

/// Who else may hold the lock.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sharing {
    /// Nobody.
    Exclusive,
    /// Other holders that also asked for `Shared`.
    Shared,
}

/// A held lock; dropping it lets go.
#[derive(Debug)]
pub struct Lock {
    _fd: OwnedFd,
}

impl Lock {
    /// Waits until the lock is ours. The file is created where it is missing.
    pub fn acquire(path: &Path, sharing: Sharing) -> Result<Self> {
        let fd = open(path)?;
        let operation = match sharing {
            Sharing::Exclusive => FlockOperation::LockExclusive,
            Sharing::Shared => FlockOperation::LockShared,
        };
        loop {
            match rustix::fs::flock(&fd, operation) {
                Ok(()) => return Ok(Self { _fd: fd }),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno).doing(|| format!("lock {}", path.display())),
            }
        }
    }

    /// Takes the lock if nobody has it; `None` says that somebody does.
    pub fn try_acquire(path: &Path, sharing: Sharing) -> Result<Option<Self>> {
        let fd = open(path)?;
        match try_lock(&fd, sharing).doing(|| format!("lock {}", path.display()))? {
            true => Ok(Some(Self { _fd: fd })),
            false => Ok(None),
        }
    }

    /// Waits so long at most until the lock is ours; `None` says that somebody has kept it.
    pub fn acquire_within(
        path: &Path,
        sharing: Sharing,
        patience: Duration,
    ) -> Result<Option<Self>> {
        wait_for(open(path)?, sharing, patience).doing(|| format!("lock {}", path.display()))
    }

    /// As [`Lock::acquire_within`], of a file that is there: one that is not is nobody's, and an error. For
    /// those who only ask, and must not make something where somebody takes everything away.
    pub fn acquire_existing_within(
        path: &Path,
        sharing: Sharing,
        patience: Duration,
    ) -> Result<Option<Self>> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let doing = || format!("lock {}", path.display());
        let fd = rustix::fs::open(path, flags, Mode::empty()).doing(doing)?;
        wait_for(fd, sharing, patience).doing(doing)
    }

    /// As [`Lock::acquire_within`], alone and for a directory. One that is not there is nobody's, and
    /// is an error of the kind `NotFound`.
    pub fn acquire_directory_within(path: &Path, patience: Duration) -> Result<Option<Self>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let doing = || format!("lock directory {}", path.display());
        let fd = rustix::fs::open(path, flags, Mode::empty()).doing(doing)?;
        wait_for(fd, Sharing::Exclusive, patience).doing(doing)
    }
}

/// Two who ask for a lock that a third one keeps for moments may keep it from each other for long: so
/// the pauses do not grow far. A pause is an eighth of what was waited for, so that no more than that is
/// waited in vain.
fn wait_for(fd: OwnedFd, sharing: Sharing, patience: Duration) -> rustix::io::Result<Option<Lock>> {
    let begun = Instant::now();
    loop {
        if try_lock(&fd, sharing)? {
            return Ok(Some(Lock { _fd: fd }));
        }
        let waited = begun.elapsed();
        if waited >= patience {
            return Ok(None);
        }
        thread::sleep((waited / 8).clamp(FIRST_PAUSE, LONGEST_PAUSE));
    }
}

fn try_lock(fd: &OwnedFd, sharing: Sharing) -> rustix::io::Result<bool> {
    let operation = match sharing {
        Sharing::Exclusive => FlockOperation::NonBlockingLockExclusive,
        Sharing::Shared => FlockOperation::NonBlockingLockShared,
    };
    match rustix::fs::flock(fd, operation) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn open(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::open(path, flags, Mode::from_raw_mode(0o600)).map_err(|errno| {
        Error::new(Kind::Internal, format!("open lock {}", path.display()))
            .because(std::io::Error::from(errno))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exclusive_lock_keeps_others_out_until_it_drops() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let held = Lock::acquire(&path, Sharing::Exclusive).unwrap();

        assert!(Lock::try_acquire(&path, Sharing::Shared).unwrap().is_none());
        drop(held);
        assert!(Lock::try_acquire(&path, Sharing::Shared).unwrap().is_some());
    }

    #[test]
    fn who_only_asks_makes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let ask = || Lock::acquire_existing_within(&path, Sharing::Shared, Duration::ZERO);

        assert_eq!(ask().unwrap_err().kind(), Kind::NotFound);
        assert!(!path.exists());
        let held = Lock::acquire(&path, Sharing::Exclusive).unwrap();
        assert!(ask().unwrap().is_none());
        drop(held);
        assert!(ask().unwrap().is_some());
    }

    #[test]
    fn a_directory_is_locked_until_its_holder_goes() {
        let directory = tempfile::tempdir().unwrap();
        let lock = |patience| Lock::acquire_directory_within(directory.path(), patience).unwrap();
        let held = lock(Duration::ZERO).unwrap();

        assert!(lock(Duration::from_millis(1)).is_none());
        let waited = thread::scope(|scope| {
            let waits = scope.spawn(|| lock(Duration::from_secs(60)).is_some());
            drop(held);
            waits.join().unwrap()
        });

        assert!(waited);
        let missing = directory.path().join("missing");
        let error = Lock::acquire_directory_within(&missing, Duration::ZERO).unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound);
    }
}
