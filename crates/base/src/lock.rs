//! Locks between processes: `flock(2)` on a file that is never deleted while it may be waited for.
//!
//! The kernel releases a lock when the last copy of its fd closes, so a `kill -9` never leaves one.

use crate::{Doing, Error, Kind, Result};
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::{os::fd::OwnedFd, path::Path};

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
        let operation = match sharing {
            Sharing::Exclusive => FlockOperation::NonBlockingLockExclusive,
            Sharing::Shared => FlockOperation::NonBlockingLockShared,
        };
        match rustix::fs::flock(&fd, operation) {
            Ok(()) => Ok(Some(Self { _fd: fd })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(errno).doing(|| format!("lock {}", path.display())),
        }
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
}
