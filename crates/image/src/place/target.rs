//! The write half of a place: one contract, whatever the place.
//!
//! ```text
//!  has(blob)? ──no──▶ put(blob) ──all──▶ put_manifest(members, then the top) ──▶ finish
//! ```
//!
//! Nothing can be seen at the place before it was verified: a blob before its digest was right, a
//! manifest before its blobs are there. A target that is dropped unfinished leaves nothing that
//! anything refers to.

use crate::{Place, convert::Dialect, origin::Origin};
use dhow_archive::Digesting;
use dhow_base::{Doing, Result};
use dhow_distribution::{Arrival, Reference};
use dhow_spec::image::Descriptor;
use std::{
    fmt,
    io::{self, Read, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// What a place can hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Accepts {
    /// Only manifests of this kind, where it is choosy.
    pub(crate) dialect: Option<Dialect>,
    /// Whether it holds images for several platforms under one name.
    pub(crate) indexes: bool,
    /// Whether layers must not be compressed.
    pub(crate) plain_layers: bool,
    /// Whether layers that nobody has published yet are better compressed.
    pub(crate) packs: bool,
    /// Whether it keeps signatures beside the image.
    pub(crate) signatures: bool,
}

impl Accepts {
    /// What this place can hold.
    pub(crate) fn of(place: &Place) -> Self {
        let all = Self {
            dialect: None,
            indexes: true,
            plain_layers: false,
            packs: false,
            signatures: false,
        };
        match place {
            Place::Registry(_) => Self { packs: true, ..all },
            Place::Layout(..) | Place::LayoutArchive(..) => {
                Self { dialect: Some(Dialect::Oci), packs: true, ..all }
            }
            Place::DockerArchive(..) => {
                Self { dialect: Some(Dialect::Docker), indexes: false, plain_layers: true, ..all }
            }
            Place::Directory(_) => Self { signatures: true, ..all },
            Place::Local(_) => all,
        }
    }
}

/// What a manifest is to the copy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role<'a> {
    /// One of an index's.
    Member,
    /// What was asked for, and under which names it is to be found; the place knows one itself.
    Top(&'a [String]),
}

/// A blob's bytes at another place.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) origin: Arc<dyn Origin>,
    pub(crate) descriptor: Descriptor,
    /// The repositories that are known to have it too.
    pub(crate) known: Vec<Reference>,
    read: Arc<AtomicU64>,
}

impl Content {
    pub(crate) fn new(origin: &Arc<dyn Origin>, descriptor: &Descriptor) -> Self {
        Self {
            origin: Arc::clone(origin),
            descriptor: descriptor.clone(),
            known: Vec::new(),
            read: Arc::default(),
        }
    }

    /// The same, which these repositories are known to have too.
    pub(crate) fn known_in(self, known: Vec<Reference>) -> Self {
        Self { known, ..self }
    }

    /// How far it has been read; for those who tell of it.
    pub(crate) fn read_so_far(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// The bytes from `offset` on, not checked.
    pub(crate) fn from(&self, offset: u64) -> Result<Box<dyn Read + Send>> {
        let stream = self.origin.blob(&self.descriptor, offset)?;
        Ok(Box::new(Counted { stream, at: offset, read: Arc::clone(&self.read) }))
    }

    /// The bytes from the start, which end in an error unless they are the right ones.
    pub(crate) fn verified(&self) -> Result<Digesting<Box<dyn Read + Send>>> {
        let stream = self.from(0)?;
        Ok(Digesting::new(stream, self.descriptor.digest.clone()).sized(self.descriptor.size))
    }
}

/// A stream that says how far it has been read.
struct Counted {
    stream: Box<dyn Read + Send>,
    at: u64,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        self.at += count as u64;
        self.read.store(self.at, Ordering::Relaxed);
        Ok(count)
    }
}

/// A place that is being written.
pub(crate) trait Target: fmt::Debug + Send + Sync {
    /// Is this blob there already?
    fn has(&self, blob: &Descriptor) -> Result<bool>;

    /// Takes a blob in, or takes it over from a repository at the same place that is known to have
    /// it. Called from several threads.
    fn put(&self, content: &Content) -> Result<Arrival>;

    /// Takes a manifest or index in, whose blobs or members are there.
    fn put_manifest(&self, descriptor: &Descriptor, bytes: &[u8], role: Role<'_>) -> Result<()>;

    /// Takes signatures in, if it accepts them.
    fn put_signatures(&self, _signatures: &[Vec<u8>]) -> Result<()> {
        Ok(())
    }

    /// Makes all of it visible that was not yet.
    fn finish(&self) -> Result<()> {
        Ok(())
    }
}

/// Copies a stream with a buffer that is worth a system call.
pub(crate) fn pour(from: &mut dyn Read, into: &mut dyn Write) -> Result<u64> {
    let mut buffer = vec![0; 256 << 10];
    let mut total = 0;
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).doing(|| "read"),
        };
        into.write_all(&buffer[..count]).doing(|| "write")?;
        total += count as u64;
    }
}
