//! Snapshots: directories that hold a layer, a stack of layers or a container's changes, and the
//! mount that makes a root filesystem of them.
//!
//! ```text
//! snapshots/
//!   driver            which driver this root uses, found out once
//!   <number>/fs       the files
//!   <number>/work     overlayfs' scratch, beside a container's files
//!   <number>/layer.erofs  erofs: what `fs` has become when it was whole
//!   <number>/since    plain: made when a copy was whole; what changed later, its time tells
//! ```
//!
//! # Life of a snapshot
//!
//! ```text
//!  prepare ──▶ preparing ── the caller unpacks, seal ──▶ committed ─┐ in a chain below
//!  activate ─▶ active ◀─────────────────────────────────────────────┘
//!                └──── remove ────▶ gone ◀──── remove ──── committed, preparing
//! ```
//!
//! Where in this life a snapshot is, is written in the state database by the caller, before and
//! after the calls here. This crate knows numbers and directories only: no rows, no images, no
//! archives. It mounts nothing but the probe, which nobody else ever sees: what it hands out is a
//! [`Mount`] that the runtime performs.

mod attributes;
mod btrfs;
mod changes;
mod copy;
mod erofs_image;
mod layer;
mod overlay;
mod plain;
mod probe;
mod relocate;
mod spread;
mod view;

pub use attributes::Owners;
pub use btrfs::Btrfs;
use changes::Untouched;
pub use changes::{Change, ChangeKind};
use dhow_base::{
    Doing, Error, Kind, Result,
    file::{self, Durability},
    tree,
};
use dhow_spec::Mount;
pub use overlay::Overlay;
pub use plain::Plain;
pub use probe::overlay_works;
use rustix::fs::{Mode, OFlags};
use std::{
    fmt, fs, io,
    os::fd::{BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};
use view::View;

/// The number of a snapshot, as its row counts it. Never used twice.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Number(pub u64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The drivers there are.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Driver {
    /// Overlayfs unites the layers.
    Overlay,
    /// The same for an ordinary user, who is root in a user namespace.
    UserOverlay,
    /// Overlayfs unites the layers, and each is one file, an EROFS.
    Erofs,
    /// Every snapshot is a whole tree, copied from its parent.
    Plain,
    /// Every snapshot is a subvolume of btrfs, which shares what is the same with its parent.
    Btrfs,
}

impl Driver {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Overlay, Self::UserOverlay, Self::Erofs, Self::Plain, Self::Btrfs];

    /// The word in rows and in the `driver` file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Overlay => "overlay",
            Self::UserOverlay => "overlay-userxattr",
            Self::Erofs => "erofs",
            Self::Plain => "plain",
            Self::Btrfs => "btrfs",
        }
    }

    /// Is it what is meant by `wanted`? Which form of overlay there is, the kernel says.
    fn serves_as(self, wanted: Self) -> bool {
        self == wanted || (self == Self::UserOverlay && wanted == Self::Overlay)
    }

    /// The driver of this word.
    pub fn from_word(word: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|driver| driver.word() == word)
            .ok_or_else(|| Error::new(Kind::Corrupt, format!("unknown snapshot driver {word:?}")))
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How a driver wants an image's layers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Layering {
    /// Each layer in a snapshot of its own, with overlayfs' whiteouts, in any order; up to this
    /// many in one chain.
    Apart {
        /// The longest chain.
        limit: usize,
        /// Where overlayfs looks for its notes.
        notes: Notes,
    },
    /// All layers applied to one snapshot, one after the other.
    Merged,
}

/// The attributes in which overlayfs notes that a directory hides what is below it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Notes {
    /// `trusted.overlay.…`, which only root can write.
    Trusted,
    /// `user.overlay.…`, for ordinary users.
    User,
}

/// What a driver does. A *chain* is the committed snapshots of an image, the uppermost first.
pub trait Snapshots: fmt::Debug + Send + Sync {
    /// Which driver it is.
    fn driver(&self) -> Driver;

    /// The directory that holds the snapshots.
    fn root(&self) -> &Path;

    /// How it wants layers.
    fn layering(&self) -> Layering;

    /// Makes a container's writable snapshot above a chain. Its root looks as the chain's does.
    fn activate(&self, number: Number, chain: &[Number]) -> Result<Mount>;

    /// As [`Snapshots::activate`], of one that may never be mounted: without what only a mount needs. Who
    /// mounts it asks [`Snapshots::active`] before.
    fn reserve(&self, number: Number, chain: &[Number]) -> Result<Mount> {
        self.activate(number, chain)
    }

    /// The mount of a snapshot that was activated or reserved earlier.
    fn active(&self, number: Number, chain: &[Number]) -> Result<Mount>;

    /// A chain for reading only.
    fn view(&self, chain: &[Number]) -> Result<Mount>;

    /// What was changed in an active snapshot since it was made above the chain.
    fn changes(&self, number: Number, chain: &[Number]) -> Result<Vec<Change>>;

    /// What is otherwise in the root of a chain than in that of another one. Of files that both
    /// share nothing is read.
    fn differences(&self, chain: &[Number], base: &[Number]) -> Result<Vec<Change>> {
        let view = |chain: &[Number]| -> Result<Option<View>> {
            if chain.is_empty() {
                return Ok(None);
            }
            self.view(chain).and_then(|mount| View::open(&mount)).map(Some)
        };
        match (view(chain)?, view(base)?) {
            (None, None) => Ok(Vec::new()),
            (None, Some(base)) => changes::of_nothing(base.path()),
            (Some(tree), None) => changes::of_new_tree(tree.path()),
            (Some(tree), Some(base)) => {
                let untouched = match self.driver() {
                    // All layers lie on one file system, whose inodes a union shows by their numbers.
                    Driver::Overlay => Untouched::SameInode,
                    // Two trees, or two images, number their inodes each for itself.
                    Driver::UserOverlay | Driver::Erofs | Driver::Plain | Driver::Btrfs => {
                        Untouched::Unknown
                    }
                };
                changes::of_tree(tree.path(), base.path(), untouched)
            }
        }
    }

    /// Makes a directory to unpack into: empty, or a copy of `base` with everything kept.
    fn prepare(&self, number: Number, base: Option<Number>) -> Result<PathBuf> {
        let files = self.make_apart(number)?;
        if let Some(base) = base {
            copy::copy(open_directory(&self.files(base))?, &files, Owners::Kept)
                .doing(|| format!("copy snapshot {base} to {number}"))?;
        }
        Ok(files)
    }

    /// Makes a copy of everything that a chain shows, with other owners; it is then to be sealed.
    fn copy(&self, number: Number, chain: &[Number], owners: Owners<'_>) -> Result<()> {
        let files = self.prepare(number, None)?;
        let view = View::open(&self.view(chain)?)?;
        copy::copy(open_directory(view.path())?, &files, owners)
            .doing(|| format!("copy the files of a chain to snapshot {number}"))
    }

    /// Ends the making of a snapshot: nothing is unpacked into it any more, and from now on it may
    /// be in a chain. To be called once, before it is committed.
    fn seal(&self, _number: Number) -> Result<()> {
        Ok(())
    }

    /// Are its files there?
    fn is_there(&self, number: Number) -> bool {
        self.files(number).is_dir()
    }

    /// Removes a snapshot with all its files; one that is not there is fine.
    fn remove(&self, number: Number) -> Result<()> {
        // Where it was when whoever made it was killed.
        spread::forget(self.root(), number)?;
        tree::remove(&self.directory(number)).doing(|| format!("remove snapshot {number}"))
    }

    /// Gives the directories at `paths` in `number`, which its layer did not list, the attributes
    /// that they have in the chain below it. Where layers are merged, they have them already.
    fn inherit(&self, _number: Number, _paths: &[PathBuf], _below: &[Number]) -> Result<()> {
        Ok(())
    }

    /// The files of a snapshot that is being made or is active.
    fn files(&self, number: Number) -> PathBuf {
        self.directory(number).join("fs")
    }

    /// The directory of a snapshot.
    fn directory(&self, number: Number) -> PathBuf {
        self.root().join(number.to_string())
    }

    /// As [`Snapshots::make`], of one that is to be filled while others are.
    fn make_apart(&self, number: Number) -> Result<PathBuf> {
        file::make_directories(self.root(), 0o700)?;
        spread::make(self.root(), number)?;
        Ok(self.files(number))
    }

    /// Makes the directories of a new snapshot.
    fn make(&self, number: Number) -> Result<PathBuf> {
        let (directory, files) = (self.directory(number), self.files(number));
        let made = match rustix::fs::mkdir(&directory, Mode::from_raw_mode(0o700)) {
            Err(rustix::io::Errno::NOENT) => {
                file::make_directories(self.root(), 0o700)?;
                rustix::fs::mkdir(&directory, Mode::from_raw_mode(0o700))
            }
            made => made,
        };
        made.doing(|| format!("create directory {}", directory.display()))?;
        rustix::fs::mkdir(&files, Mode::from_raw_mode(0o755))
            .doing(|| format!("create directory {}", files.display()))?;
        Ok(files)
    }
}

/// The driver of the snapshots at `root`: the one that is wanted, or the best that there is. It is
/// tried once and written down, so that later calls read one small file; another one is refused as
/// long as there are snapshots.
pub fn open(root: &Path, wanted: Option<Driver>) -> Result<Box<dyn Snapshots>> {
    let path = root.join("driver");
    let known = match file::read_limited(&path, 64) {
        Ok(word) => {
            let driver = Driver::from_word(String::from_utf8_lossy(&word).trim());
            Some(driver.doing(|| format!("read {}", path.display()))?)
        }
        Err(error) if error.kind() == Kind::NotFound => None,
        Err(error) => return Err(error),
    };
    let driver = match (known, wanted) {
        (Some(known), None) => known,
        (Some(known), Some(wanted)) if known.serves_as(wanted) => known,
        (Some(known), Some(wanted)) if !list(root)?.is_empty() => {
            let what = format!("use the storage driver {wanted}: what is here is in {known}");
            return Err(Error::new(Kind::Conflict, what)
                .hint("remove all containers and images first, or name another --root"));
        }
        (_, wanted) => choose(root, &path, wanted)?,
    };
    Ok(with_driver(driver, root))
}

/// The named driver at `root`, whatever was found out before.
pub fn with_driver(driver: Driver, root: &Path) -> Box<dyn Snapshots> {
    match driver {
        Driver::Overlay => Box::new(Overlay::new(root)),
        Driver::UserOverlay => Box::new(Overlay::of_user(root)),
        Driver::Erofs => Box::new(Overlay::of_images(root)),
        Driver::Plain => Box::new(Plain::new(root)),
        Driver::Btrfs => Box::new(Btrfs::new(root)),
    }
}

fn choose(root: &Path, path: &Path, wanted: Option<Driver>) -> Result<Driver> {
    file::make_directories(root, 0o700)?;
    let driver = match wanted {
        None => match union_of_this_user(root)? {
            Some(driver) => driver,
            None => Driver::Plain,
        },
        Some(Driver::Overlay | Driver::UserOverlay) => {
            union_of_this_user(root)?.ok_or_else(|| {
                let what = format!("use the storage driver overlay on {}", root.display());
                Error::new(Kind::Unsupported, what)
                    .hint("the kernel refuses unions there; plain works everywhere")
            })?
        }
        Some(Driver::Erofs) => {
            overlay::check_images(root)?;
            Driver::Erofs
        }
        Some(Driver::Btrfs) => {
            btrfs::check(root)?;
            Driver::Btrfs
        }
        Some(Driver::Plain) => Driver::Plain,
    };
    let text = format!("{}\n", driver.word());
    file::write_atomically(path, text.as_bytes(), 0o600, Durability::Cached)?;
    Ok(driver)
}

/// The form of overlayfs that this process can mount, root's before an ordinary user's.
fn union_of_this_user(root: &Path) -> Result<Option<Driver>> {
    for driver in [Driver::Overlay, Driver::UserOverlay] {
        if probe::works(root, driver)? {
            return Ok(Some(driver));
        }
    }
    Ok(None)
}

/// A directory below a snapshots root, as [`list`] finds them.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Found {
    /// The directory of this snapshot.
    Snapshot(Number),
    /// Something that no driver made.
    Stray(PathBuf),
}

/// Everything in a snapshots root, in order.
pub fn list(root: &Path) -> Result<Vec<Found>> {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).doing(|| format!("list {}", root.display())),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.doing(|| format!("list {}", root.display()))?;
        let name = entry.file_name();
        if name == "driver" || name == spread::APART {
            continue;
        }
        let number = name.to_str().and_then(|name| name.parse().ok());
        found.push(
            number.map_or_else(|| Found::Stray(entry.path()), |n| Found::Snapshot(Number(n))),
        );
    }
    found.sort();
    Ok(found)
}

fn open_directory(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::open(path, flags, Mode::empty()).doing(|| format!("open {}", path.display()))
}

/// Fills the empty directory `to` with a copy of what is in `from`, which nobody changes meanwhile:
/// owners, modes, times, extended attributes, links, holes, devices. What the directory itself has
/// comes along.
pub fn copy_tree(from: OwnedFd, to: &Path) -> Result<()> {
    copy::copy(from, to, Owners::Kept)
}

/// Gives the directory behind `to` owner, mode, extended attributes and times of the one behind
/// `from`.
pub fn copy_attributes(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()> {
    attributes::copy_directory(from, to)
}

#[cfg(test)]
mod contract;
