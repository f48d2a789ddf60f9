//! A blob on its way in.
//!
//! ```text
//!            ┌── append ──┐
//!            ▼            │         commit: size and digest are right
//!  ingest/<alg>-<hex> ────┴──────────────────────────────▶ blobs/<alg>/<hex>
//!        │      ▲
//!   drop │      │ replay, by whoever comes next: the part is hashed again, never trusted
//!        ▼      │
//!   kept if it is worth resuming, else unlinked
//! ```
//!
//! The file is locked from the moment it is opened to the moment it has its final name, so two
//! processes that want one blob take it in once.

use crate::{FILE_MODE, Store, pieces};
use dhow_base::{Digest, Doing, Error, Kind, Result, digest::Hasher, file};
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::{
    fs::{self, File},
    io::{self, Seek, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
};

/// From this length on, what has come is kept for the next attempt.
pub const RESUMABLE_BYTES: u64 = 1 << 20;

/// What [`Store::ingest`] found.
#[derive(Debug)]
pub enum Intake {
    /// The whole blob is there already.
    Present,
    /// It is to be written.
    Wanted(Ingest),
}

/// The open, locked file of a blob that is being written. Dropping it ends the attempt.
#[derive(Debug)]
pub struct Ingest {
    held: Held,
    target: PathBuf,
    digest: Digest,
    size: u64,
    received: u64,
    /// `None` until what came before has been hashed again.
    hasher: Option<Hasher>,
    fate: Fate,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Keep,
    Discard,
    Committed,
}

impl Ingest {
    /// How many bytes are there, from this attempt and earlier ones.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Hashes what earlier attempts brought and hands it to `each`, in pieces.
    pub fn replay(&mut self, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut hasher = Hasher::new(self.digest.algorithm());
        let file = &mut self.held.file;
        file.rewind().doing(|| format!("rewind {}", self.held.path.display()))?;
        pieces(file, |piece| {
            hasher.update(piece);
            each(piece)
        })?;
        self.hasher = Some(hasher);
        Ok(())
    }

    /// Forgets what earlier attempts brought.
    pub fn restart(&mut self) -> Result<()> {
        self.held.empty()?;
        self.received = 0;
        self.hasher = Some(Hasher::new(self.digest.algorithm()));
        Ok(())
    }

    /// Adds the next bytes. More than the promised size is refused before it is written.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        if self.hasher.is_none() {
            self.replay(|_| Ok(()))?;
        }
        let after = self.received.saturating_add(bytes.len() as u64);
        if after > self.size {
            self.fate = Fate::Discard;
            return Err(self.corrupt(&format!("it has more than its {} bytes", self.size)));
        }
        if let Err(error) = self.held.file.write_all(bytes) {
            // The length on disk is now unknown, and a full disk wants its space back.
            self.fate = Fate::Discard;
            return Err(error).doing(|| format!("write {}", self.held.path.display()));
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        self.received = after;
        Ok(())
    }

    /// Checks size and digest and gives the blob its name. What fails the check is gone.
    pub fn commit(mut self) -> Result<()> {
        if self.hasher.is_none() {
            self.replay(|_| Ok(()))?;
        }
        let hasher = self.hasher.take().expect("replay has just set it");
        if self.received != self.size {
            return Err(self.corrupt(&format!("it has {} of {} bytes", self.received, self.size)));
        }
        let actual = hasher.finish();
        if actual != self.digest {
            self.fate = Fate::Discard;
            return Err(self.corrupt(&format!("its content has digest {actual}")));
        }
        rustix::fs::rename(&self.held.path, &self.target).doing(|| {
            format!("rename {} to {}", self.held.path.display(), self.target.display())
        })?;
        self.fate = Fate::Committed;
        Ok(())
    }

    /// Ends the attempt and removes what has come.
    pub fn discard(mut self) {
        self.fate = Fate::Discard;
    }

    fn corrupt(&self, why: &str) -> Error {
        Error::new(Kind::Corrupt, format!("check blob {}: {why}", self.digest))
    }
}

/// The file that is being written.
impl AsFd for Ingest {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.held.file.as_fd()
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        let keep = match self.fate {
            Fate::Committed => return,
            Fate::Keep => self.received >= RESUMABLE_BYTES,
            Fate::Discard => false,
        };
        if !keep {
            // A leftover is named by its row and swept later; the first error is the one to tell.
            let _unlinked = fs::remove_file(&self.held.path);
        }
    }
}

pub(crate) fn begin(store: &Store, digest: &Digest, size: u64) -> Result<Intake> {
    let held = lock(store, digest)?;
    if store.has(digest)? {
        held.unlink()?;
        return Ok(Intake::Present);
    }
    let mut received = held.length()?;
    if received > size {
        held.empty()?;
        received = 0;
    }
    Ok(Intake::Wanted(Ingest {
        held,
        target: store.path(digest),
        digest: digest.clone(),
        size,
        received,
        hasher: None,
        fate: Fate::Keep,
    }))
}

/// A locked file in `ingest`.
#[derive(Debug)]
pub(crate) struct Held {
    file: File,
    path: PathBuf,
}

/// Opens and locks the blob's file in `ingest`, making it where it is missing.
///
/// A holder may rename or unlink the file while others wait for its lock. Whoever then gets the
/// lock of a file without that name starts over.
pub(crate) fn lock(store: &Store, digest: &Digest) -> Result<Held> {
    let path = store.partial(digest);
    loop {
        let file = open(&path)?;
        flock(&file, &path)?;
        if same_file(&file, &path)? {
            return Ok(Held { file, path });
        }
    }
}

fn open(path: &Path) -> Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::open(path, flags, Mode::from_raw_mode(FILE_MODE))
        .map(File::from)
        .doing(|| format!("open {}", path.display()))
}

fn flock(file: impl AsFd, path: &Path) -> Result<()> {
    loop {
        match rustix::fs::flock(&file, FlockOperation::LockExclusive) {
            Err(rustix::io::Errno::INTR) => {}
            result => return result.doing(|| format!("lock {}", path.display())),
        }
    }
}

fn same_file(file: &File, path: &Path) -> Result<bool> {
    let ours = file.metadata().doing(|| format!("look at {}", path.display()))?;
    match fs::symlink_metadata(path) {
        Ok(named) => Ok((ours.dev(), ours.ino()) == (named.dev(), named.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).doing(|| format!("look at {}", path.display())),
    }
}

impl Held {
    fn length(&self) -> Result<u64> {
        let metadata = self.file.metadata().doing(|| format!("look at {}", self.path.display()))?;
        Ok(metadata.len())
    }

    fn empty(&self) -> Result<()> {
        (&self.file)
            .rewind()
            .and_then(|()| self.file.set_len(0))
            .doing(|| format!("empty {}", self.path.display()))
    }

    pub(crate) fn unlink(self) -> Result<()> {
        file::remove_if_there(&self.path)
    }

    /// Takes the name away again if taking the lock was all that made it.
    pub(crate) fn release_if_empty(self) -> Result<()> {
        if self.length()? == 0 { self.unlink() } else { Ok(()) }
    }
}
