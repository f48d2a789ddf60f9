//! Reads a network's names, and what is new of them.

use super::{Book, Entry, FILE, open};
use dhow_base::{Doing, Result};
use rustix::fs::fstat;
use std::{
    net::IpAddr,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

/// How much is read at once.
const READ_BYTES: usize = 64 << 10;

/// A network's names, as far as they were read.
#[derive(Debug)]
pub struct Names {
    path: PathBuf,
    // Kept open: the number of a file that is open is nobody else's, so that a new file is known by
    // the link that the old one has lost.
    file: Option<OwnedFd>,
    read_bytes: u64,
    book: Book,
}

impl Names {
    /// The names in a directory, of which none is known yet. There may be no file, now or later.
    pub fn new(directory: &Path) -> Self {
        Self { path: directory.join(FILE), file: None, read_bytes: 0, book: Book::default() }
    }

    /// Learns what was written since the last time. A container that had joined when this was
    /// called is known when it returns.
    pub fn refresh(&mut self) -> Result<()> {
        let doing = || format!("read {}", self.path.display());
        if let Some(file) = &self.file {
            let status = fstat(file).doing(doing)?;
            let size = status.st_size.cast_unsigned();
            if status.st_nlink == 0 || size < self.read_bytes {
                self.rest();
            } else if size == self.read_bytes {
                return Ok(());
            }
        }
        if self.file.is_none() {
            self.file = open(&self.path)?;
        }
        self.read_on()
    }

    fn read_on(&mut self) -> Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let mut bytes = vec![0; READ_BYTES];
        let mut kept = 0;
        loop {
            let at = self.read_bytes + kept as u64;
            let count = rustix::io::pread(file, &mut bytes[kept..], at)
                .doing(|| format!("read {}", self.path.display()))?;
            if count == 0 {
                return Ok(());
            }
            let used = self.book.learn(&bytes[..kept + count]);
            self.read_bytes += used as u64;
            bytes.copy_within(used..kept + count, 0);
            kept = kept + count - used;
            if kept == bytes.len() {
                bytes.resize(2 * kept, 0);
            }
        }
    }

    /// Everybody in the network.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.book.entries()
    }

    /// Those who have this name, which is in small letters.
    pub fn named(&self, name: &str) -> impl Iterator<Item = &Entry> {
        self.book.named(name)
    }

    /// Those who have this address.
    pub fn having(&self, address: IpAddr) -> impl Iterator<Item = &Entry> {
        self.book.having(address)
    }

    /// Forgets everything, until somebody asks again.
    pub fn rest(&mut self) {
        (self.file, self.read_bytes, self.book) = (None, 0, Book::default());
    }
}
