//! Making what was written last, begun while more of it comes.
//!
//! ```text
//!  open ─▶ beside(work): a sync for each 40 MiB that came ─▶ finish: the sync that counts
//! ```
//!
//! One sync at the end leaves all but one processor idle, since the kernel writes a file system back
//! on one thread. With most of it written by then, the last one is short. All of them ask through one
//! open directory, since the kernel tells of a failure to write whoever opened it before that, and each
//! of those once: so what failed beside the work is kept, and [`Flush::finish`] says it.

use dhow_base::{Doing, Error, Result};
use rustix::fs::{Mode, OFlags};
use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

/// So many bytes of blobs between one sync and the next; unpacked they are about four times as many.
/// With 16 as with 80 MiB a pull takes as long.
const STEP_BYTES: u64 = 40 << 20;

/// The file system that is written to.
#[derive(Debug)]
pub(crate) struct Flush {
    directory: OwnedFd,
    path: PathBuf,
    due: Mutex<Due>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Due {
    /// Bytes that came since the last sync was begun.
    bytes: u64,
    is_over: bool,
    failed: Option<Error>,
}

impl Flush {
    /// Of the file system of a directory: what fails to be written to it from now on is told.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty())
            .doing(|| format!("open {}", path.display()))?;
        let (due, changed) = (Mutex::default(), Condvar::new());
        Ok(Self { directory, path: path.to_owned(), due, changed })
    }

    /// Does work that brings about so many bytes, with a thread that syncs beside it.
    pub(crate) fn beside<T>(&self, expected_bytes: u64, work: impl FnOnce() -> T) -> T {
        if expected_bytes < STEP_BYTES {
            return work();
        }
        self.due().is_over = false;
        thread::scope(|scope| {
            scope.spawn(|| self.serve());
            let _over = Over(self);
            work()
        })
    }

    /// So many bytes were written.
    pub(crate) fn came(&self, bytes: u64) {
        let mut due = self.due();
        due.bytes += bytes;
        if due.bytes >= STEP_BYTES {
            self.changed.notify_one();
        }
    }

    /// Makes all that was written before last.
    pub(crate) fn finish(&self) -> Result<()> {
        let synced = self.sync();
        self.due().failed.take().map_or(synced, Err)
    }

    fn serve(&self) {
        loop {
            let mut due = self.due();
            while due.bytes < STEP_BYTES && !due.is_over {
                due = self.changed.wait(due).unwrap_or_else(PoisonError::into_inner);
            }
            if due.is_over {
                return;
            }
            due.bytes = 0;
            drop(due);
            if let Err(error) = self.sync() {
                self.due().failed.get_or_insert(error);
            }
        }
    }

    fn sync(&self) -> Result<()> {
        rustix::fs::syncfs(&self.directory)
            .doing(|| format!("sync the file system of {}", self.path.display()))
    }

    fn due(&self) -> MutexGuard<'_, Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes everything on the file system of a path survive a power cut, at once rather than file by file.
pub(crate) fn sync(path: &Path) -> Result<()> {
    Flush::open(path)?.sync()
}

/// Ends the thread beside the work, also where that panics.
struct Over<'a>(&'a Flush);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.due().is_over = true;
        self.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_base::Kind;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn what_came_is_synced_beside_the_work_which_ends_it() {
        let home = tempfile::tempdir().unwrap();
        let flush = Flush::open(home.path()).unwrap();

        // Were the thread not there, this would wait for ever.
        flush.beside(STEP_BYTES, || {
            flush.came(STEP_BYTES);
            while flush.due().bytes > 0 {
                thread::yield_now();
            }
        });
        let small = flush.beside(1, || 7);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            flush.beside(STEP_BYTES, || panic!("as the work may"));
        }));

        assert_eq!(small, 7);
        assert!(panicked.is_err());
        flush.finish().unwrap();
    }

    #[test]
    fn a_failure_beside_the_work_is_told_once_at_the_end() {
        let home = tempfile::tempdir().unwrap();
        let flush = Flush::open(home.path()).unwrap();
        flush.due().failed = Some(Error::new(Kind::Internal, "the disk is gone"));

        let told = flush.finish().unwrap_err();

        assert_eq!(told.to_string(), "the disk is gone");
        flush.finish().unwrap();
    }
}
