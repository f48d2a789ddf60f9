//! The btrfs driver: every snapshot is a subvolume, and a copy is made at once, whatever is in it.
//!
//! It stands beside overlay for those who want a container's whole tree in one directory, or files
//! that are written in place without being copied up. Images are merged, as with the plain driver,
//! and share what they have in common with the image that they were begun from.

use crate::{
    Driver, Layering, Number, Snapshots,
    changes::{self, Change, Untouched},
    open_directory,
    plain::only,
};
use dhow_base::{Doing, Error, Kind, Result, file, id::random_hex, tree};
use dhow_spec::Mount;
use dhow_sys::subvolume;
use rustix::fs::Mode;
use std::{
    io,
    os::fd::AsFd,
    path::{Path, PathBuf},
};

/// The name of a snapshot's subvolume in its directory.
const FILES: &std::ffi::CStr = c"fs";

/// Snapshots that are subvolumes.
#[derive(Debug)]
pub struct Btrfs {
    root: PathBuf,
}

impl Btrfs {
    /// The driver on `root`. Touches nothing.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Makes a snapshot's directory and, in it, a subvolume.
    fn subvolume(
        &self,
        number: Number,
        make: impl FnOnce(&std::os::fd::OwnedFd) -> io::Result<()>,
    ) -> Result<PathBuf> {
        file::make_directories(&self.root, 0o700)?;
        let directory = self.directory(number);
        rustix::fs::mkdir(&directory, Mode::RWXU)
            .doing(|| format!("create directory {}", directory.display()))?;
        make(&open_directory(&directory)?)
            .doing(|| format!("create a subvolume in {}", directory.display()))
            .map_err(|error| explained(error, &self.root))?;
        Ok(self.files(number))
    }
}

/// Tries a subvolume below `root`, which must exist.
pub(crate) fn check(root: &Path) -> Result<()> {
    let name = std::ffi::CString::new(format!(".probe-{}", random_hex(6)?))
        .expect("digits hold no NUL byte");
    let directory = open_directory(root)?;
    subvolume::create(directory.as_fd(), &name)
        .doing(|| format!("create a subvolume in {}", root.display()))
        .map_err(|error| explained(error, root))?;
    // An empty subvolume goes like a directory, also without the privilege to destroy one.
    rustix::fs::unlinkat(&directory, &name, rustix::fs::AtFlags::REMOVEDIR)
        .doing(|| format!("remove a subvolume in {}", root.display()))
}

/// Says what is amiss where the root is on another file system.
fn explained(error: Error, root: &Path) -> Error {
    let is_btrfs = rustix::fs::statfs(root).is_ok_and(|stat| stat.f_type == subvolume::BTRFS_MAGIC);
    if is_btrfs {
        return error;
    }
    error
        .kinded(Kind::Unsupported)
        .hint(format!("{} is on no btrfs; overlay and plain work there", root.display()))
}

impl Snapshots for Btrfs {
    fn driver(&self) -> Driver {
        Driver::Btrfs
    }

    fn root(&self) -> &Path {
        &self.root
    }

    fn layering(&self) -> Layering {
        Layering::Merged
    }

    fn prepare(&self, number: Number, base: Option<Number>) -> Result<PathBuf> {
        let Some(base) = base else { return self.make(number) };
        let source = open_directory(&self.files(base))?;
        self.subvolume(number, |directory| {
            subvolume::snapshot(directory.as_fd(), FILES, source.as_fd())
        })
    }

    fn make(&self, number: Number) -> Result<PathBuf> {
        let files =
            self.subvolume(number, |directory| subvolume::create(directory.as_fd(), FILES))?;
        // Whatever the umask, which btrfs heeds.
        rustix::fs::chmod(&files, Mode::from_raw_mode(0o755))
            .doing(|| format!("set the mode of {}", files.display()))?;
        Ok(files)
    }

    fn activate(&self, number: Number, chain: &[Number]) -> Result<Mount> {
        self.prepare(number, only(chain)?)?;
        self.active(number, chain)
    }

    fn active(&self, number: Number, _chain: &[Number]) -> Result<Mount> {
        Ok(Mount::Bind { source: self.files(number), read_only: false })
    }

    fn view(&self, chain: &[Number]) -> Result<Mount> {
        let number = only(chain)?.ok_or_else(|| {
            Error::new(Kind::Unsupported, "view an image without layers with the btrfs driver")
        })?;
        Ok(Mount::Bind { source: self.files(number), read_only: true })
    }

    fn changes(&self, number: Number, chain: &[Number]) -> Result<Vec<Change>> {
        let files = self.files(number);
        match only(chain)? {
            Some(base) => changes::of_tree(&files, &self.files(base), Untouched::SameInode),
            None => changes::of_new_tree(&files),
        }
        .doing(|| format!("compare snapshot {number} with its image"))
    }

    fn remove(&self, number: Number) -> Result<()> {
        let directory = self.directory(number);
        match open_directory(&directory) {
            // What it cannot take at once (subvolumes made in a container, no privilege) goes file
            // by file; an empty subvolume is removed like a directory.
            Ok(opened) => drop(subvolume::destroy(opened.as_fd(), FILES)),
            Err(error) if error.kind() == Kind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
        tree::remove(&directory).doing(|| format!("remove snapshot {number}"))
    }
}
