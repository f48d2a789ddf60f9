//! Applies one layer, a tar stream, to a directory; nothing it does leaves that directory.
//!
//! ```text
//!   entry ─▶ its parent, resolved in the root ─▶ made by name in that directory fd ─▶ dressed by fd
//! ```
//!
//! The parent of an entry may be a symbolic link (`/bin -> usr/bin`). Links are resolved here, one
//! component after the other, with the directory as their root; the kernel follows none. So an entry
//! has one true path, by which whiteouts and times know it, and a link to a directory that is not
//! there yet makes it, as containerd and umoci do. The last component is never followed. Later
//! entries replace earlier ones; a directory over a directory keeps what is in it.

use crate::{
    entry::{Entry, EntryKind, Mtime, Xattr},
    limits::{Limits, exceeded},
    mapped_owners::MappedOwners,
    pack::belongs_in_layer,
    path::{ArchivePath, Shown, join, split},
    placed::{Ground, Placed},
    reader::Reader,
    removal,
    whiteout::{OPAQUE_VALUE, OVERLAY_XATTRS, Whiteout, Whiteouts, is_reserved},
};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_sys::writeback;
use rustix::{
    fs::{
        AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, Uid,
        XattrFlags, fchmod, fchown, fsetxattr, fstat, futimens, linkat, mkdirat, mknodat, openat,
        openat2, readlinkat, statat, symlinkat, utimensat,
    },
    io::Errno,
};
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::{ffi::OsStrExt, fs::FileExt},
    },
    path::PathBuf,
    rc::Rc,
};

/// How many parents stay open. Archives go through a tree in order, so few are needed.
const OPEN_PARENTS: usize = 16;
const PIECE_BYTES: u64 = 1 << 20;
/// A file of this size starts on its way to the disk as soon as it is made, so that the sync at the
/// end finds little left. For smaller ones the call would cost more than it saves.
const WRITEBACK_BYTES: u64 = 256 << 10;
/// Symlinks in one path; the kernel follows no more either.
const MAX_LINKS: usize = 40;
/// Components in one path with its symlinks put in. Forty links could make it eighty thousand.
const MAX_STEPS: usize = 4096;
/// A `..` in a link is refused with `EAGAIN` while anything on the machine is renamed.
const MAX_RETRIES: usize = 100;
/// A directory that is a place to make things in, not one to read.
const PLACE: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// What was unpacked.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Summary {
    /// Entries, whiteouts too.
    pub entries: u64,
    /// Bytes of file content, holes left out.
    pub bytes: u64,
    /// Regular files.
    pub files: u64,
    /// Directories that had to be made on the way and that the layer does not list: theirs is the
    /// mode and owner of the layer below.
    pub implied: Vec<PathBuf>,
}

/// A directory that entries are made in.
#[derive(Debug)]
struct Parent {
    /// As the archive writes it.
    written: Vec<u8>,
    /// The same place without symlinks.
    path: Vec<u8>,
    fd: OwnedFd,
}

/// What becomes of the archive's entry for its root.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RootEntry {
    /// The directory that is unpacked into gets its owner, mode and time.
    Applied,
    /// That directory stays as it is.
    PassedOver,
}

/// What becomes of a directory where a file is to be, and of a file where a directory is to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It gives way, as the layers of an image have it.
    GivesWay,
    /// It stays, and the archive is refused.
    Stays,
}

/// Applies a layer to a directory.
#[derive(Debug)]
pub struct Unpack<'d> {
    root: BorrowedFd<'d>,
    whiteouts: Whiteouts,
    owner: Option<(u32, u32)>,
    owners: Option<MappedOwners>,
    root_entry: RootEntry,
    standing: Standing,
    limits: Limits,
    summary: Summary,
    parents: Vec<Rc<Parent>>,
    placed: Placed,
}

impl<'d> Unpack<'d> {
    /// Prepares to apply a layer below `root`.
    pub fn new(root: BorrowedFd<'d>, whiteouts: Whiteouts, limits: Limits) -> Self {
        let ground = match whiteouts {
            Whiteouts::Apply => Ground::Layers,
            Whiteouts::Literal => Ground::Shared,
            Whiteouts::Overlay | Whiteouts::UserOverlay => Ground::Own,
        };
        let placed = Placed::new(ground, limits.remembered_bytes, limits.allowance.clone());
        Self {
            root,
            whiteouts,
            owner: None,
            owners: None,
            root_entry: RootEntry::Applied,
            standing: Standing::GivesWay,
            limits,
            summary: Summary::default(),
            parents: Vec::new(),
            placed,
        }
    }

    /// Gives everything to one user and group. What would run as its owner then runs as another
    /// one than was meant, so it loses that.
    #[must_use]
    pub fn owned_by(mut self, uid: u32, gid: u32) -> Self {
        self.owner = Some((uid, gid));
        self
    }

    /// Takes the owners of the archive for those of a user namespace.
    #[must_use]
    pub fn seen_by(mut self, owners: Option<MappedOwners>) -> Self {
        self.owners = owners;
        self
    }

    /// Says what becomes of the root's own entry.
    #[must_use]
    pub fn with_root_entry(mut self, root_entry: RootEntry) -> Self {
        self.root_entry = root_entry;
        self
    }

    /// Says what becomes of a directory in a file's place, and the other way round.
    #[must_use]
    pub fn with_standing(mut self, standing: Standing) -> Self {
        self.standing = standing;
        self
    }

    /// Applies the stream, up to the end of the archive in it.
    pub fn apply(mut self, stream: &mut dyn Read) -> Result<Summary> {
        let mut reader = Reader::new(stream, self.limits.clone())?;
        while let Some(mut entry) = reader.next_entry()? {
            self.summary.entries += 1;
            entry.xattrs.retain(|xattr| self.whiteouts.may_have(&xattr.name));
            if let Some((uid, gid)) = self.owner {
                let is_foreign = (entry.uid, entry.gid) != (uid, gid);
                (entry.uid, entry.gid) = (uid, gid);
                if is_foreign && entry.kind != EntryKind::Directory {
                    entry.mode &= 0o1777;
                }
            }
            let doing = || format!("unpack archive entry {}", entry.path);
            if let Some(owners) = &self.owners {
                let (uid, gid) = owners.outside(entry.uid, entry.gid).doing(doing)?;
                (entry.uid, entry.gid) = (uid, gid);
            }
            self.place(&entry, &mut reader)
                .doing(|| format!("unpack archive entry {}", entry.path))?;
            if self.placed.is_crowded() {
                date(self.root, &self.placed.take_undated()?)?;
                // Whoever goes there again has to see that it is dated.
                self.parents.clear();
            }
        }
        let (undated, implied) = self.placed.into_rest();
        date(self.root, &undated)?;
        self.summary.implied = implied;
        Ok(self.summary)
    }

    fn place<R: Read>(&mut self, entry: &Entry, reader: &mut Reader<R>) -> Result<()> {
        let whiteout = match self.whiteouts {
            Whiteouts::Literal => Whiteout::None,
            _ => Whiteout::of(&entry.path)?,
        };
        match whiteout {
            Whiteout::Skip => return Ok(()),
            Whiteout::Opaque { directory } => return self.hide_all(directory),
            Whiteout::Remove { directory, name } => return self.hide(directory, name),
            Whiteout::None => {}
        }
        if entry.path.is_root() {
            return match self.root_entry {
                RootEntry::Applied => self.dress_root(entry),
                RootEntry::PassedOver => Ok(()),
            };
        }
        let (directory, name) = entry.path.split();
        let parent = self.parent(directory)?;
        self.placed.pass(&parent.path)?;
        if self.standing == Standing::Stays {
            let there = look(&parent.fd, name).doing(|| "look at its place")?;
            stays(there, entry.kind == EntryKind::Directory)?;
        }
        match &entry.kind {
            EntryKind::File { .. } => self.file(entry, &parent, name, reader)?,
            EntryKind::Directory => {
                self.directory(entry, &parent, name)?;
                return self.placed.list_directory(&join(&parent.path, name), entry.mtime);
            }
            EntryKind::HardLink { target } => self.hard_link(target, &parent, name)?,
            EntryKind::Symlink { target } => self.symlink(entry, target, &parent, name)?,
            EntryKind::Fifo => self.node(entry, &parent, name, FileType::Fifo, 0)?,
            EntryKind::CharDevice { major, minor } => {
                let device = rustix::fs::makedev(*major, *minor);
                self.node(entry, &parent, name, FileType::CharacterDevice, device)?;
            }
            EntryKind::BlockDevice { major, minor } => {
                let device = rustix::fs::makedev(*major, *minor);
                self.node(entry, &parent, name, FileType::BlockDevice, device)?;
            }
        }
        self.placed.list(&join(&parent.path, name))
    }

    fn file<R: Read>(
        &mut self,
        entry: &Entry,
        parent: &Parent,
        name: &[u8],
        reader: &mut Reader<R>,
    ) -> Result<()> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(entry.mode & 0o777);
        let fd = self.replace(parent, name, |parent| openat(parent, name, flags, mode))?;
        let mut file = File::from(fd);
        let written = self.fill(&mut file, reader)?;
        self.summary.files += 1;
        dress_new(file.as_fd(), entry)?;
        set_times(file.as_fd(), entry.mtime)?;
        if written >= WRITEBACK_BYTES {
            // Only asked for: whether it came to pass is for who syncs to find out.
            let _asked = writeback::start(file.as_fd(), 0, 0);
        }
        Ok(())
    }

    /// Returns the bytes that were written.
    fn fill<R: Read>(&mut self, file: &mut File, reader: &mut Reader<R>) -> Result<u64> {
        let written = match reader.take_sparse() {
            None => {
                let mut written = 0;
                loop {
                    let piece = reader.piece(PIECE_BYTES)?;
                    if piece.is_empty() {
                        break written;
                    }
                    file.write_all(piece).doing(|| "write its content")?;
                    written += piece.len() as u64;
                    within(self.summary.bytes + written, &self.limits)?;
                }
            }
            Some(map) => {
                let mut written = 0;
                for extent in &map.extents {
                    let mut offset = extent.offset;
                    let end = extent.offset + extent.length;
                    while offset < end {
                        let piece = reader.piece(end - offset)?;
                        if piece.is_empty() {
                            return Err(Error::new(Kind::Corrupt, "its content ends too early"));
                        }
                        file.write_all_at(piece, offset).doing(|| "write its content")?;
                        offset += piece.len() as u64;
                        written += piece.len() as u64;
                        within(self.summary.bytes + written, &self.limits)?;
                    }
                }
                file.set_len(map.real_size).doing(|| "set its size")?;
                written
            }
        };
        self.summary.bytes += written;
        Ok(written)
    }

    fn directory(&mut self, entry: &Entry, parent: &Parent, name: &[u8]) -> Result<()> {
        let there = look(&parent.fd, name).doing(|| "look at its place")?;
        let fd = if there.is_some_and(is_directory) {
            let fd = open_directory(&parent.fd, name).doing(|| "open the directory")?;
            self.undress(fd.as_fd(), entry)?;
            fd
        } else {
            self.make_directory(parent.fd.as_fd(), &join(&parent.path, name), there.is_some())?
        };
        dress(fd.as_fd(), entry)
    }

    /// Takes from a directory of the layers below the attributes that the entry has not, as it would
    /// show none of them if it lay above them.
    fn undress(&self, directory: BorrowedFd<'_>, entry: &Entry) -> Result<()> {
        if self.whiteouts != Whiteouts::Apply {
            return Ok(());
        }
        let mut names = vec![0; 64 << 10];
        let length = match rustix::fs::flistxattr(directory, &mut names[..]) {
            Ok(length) => length,
            Err(Errno::OPNOTSUPP) => return Ok(()),
            Err(errno) => return Err(errno).doing(|| "list its extended attributes"),
        };
        let names = names[..length].split(|byte| *byte == 0);
        for name in names.filter(|name| !name.is_empty() && belongs_in_layer(name)) {
            if !entry.xattrs.iter().any(|xattr| xattr.name == name) {
                rustix::fs::fremovexattr(directory, name)
                    .doing(|| format!("remove attribute {}", Shown(name)))?;
            }
        }
        Ok(())
    }

    /// Makes a directory; what is there already makes room, and so does what it stood before: the
    /// layers below were hidden by it, and show nothing through the directory either.
    fn make_directory(
        &mut self,
        parent: BorrowedFd<'_>,
        path: &[u8],
        is_occupied: bool,
    ) -> Result<OwnedFd> {
        let (_, name) = split(path);
        if is_occupied {
            self.clear(parent, path)?;
        }
        mkdirat(parent, name, Mode::from_raw_mode(0o700)).doing(|| "make the directory")?;
        let fd = open_directory(parent, name).doing(|| "open the directory")?;
        if is_occupied && self.whiteouts.is_apart() {
            self.make_opaque(fd.as_fd())?;
        }
        Ok(fd)
    }

    fn dress_root(&mut self, entry: &Entry) -> Result<()> {
        if entry.kind != EntryKind::Directory {
            return Err(Error::new(Kind::Corrupt, "the root is not a directory"));
        }
        let fd = removal::open_beneath(self.root, b"", OFlags::RDONLY | OFlags::DIRECTORY)
            .doing(|| "open the root")?;
        self.undress(fd.as_fd(), entry)?;
        dress(fd.as_fd(), entry)?;
        self.placed.list_directory(b"", entry.mtime)
    }

    fn symlink(
        &mut self,
        entry: &Entry,
        target: &[u8],
        parent: &Parent,
        name: &[u8],
    ) -> Result<()> {
        self.replace(parent, name, |parent| symlinkat(OsStr::from_bytes(target), parent, name))?;
        dress_by_name(&parent.fd, name, entry)
    }

    fn hard_link(&mut self, target: &ArchivePath, parent: &Parent, name: &[u8]) -> Result<()> {
        let (directory, last) = target.split();
        if self.whiteouts != Whiteouts::Literal && is_reserved(target.as_bytes()) {
            return Err(Error::new(Kind::Corrupt, format!("a hard link to the whiteout {target}")));
        }
        let missing = || {
            Error::new(
                Kind::Corrupt,
                format!("a hard link to {target}, which the layer has not got"),
            )
        };
        let from = open_in_root(self.root, directory)
            .map_err(|errno| missing().because(io::Error::from(errno)))?;
        let status = statat(&from, last, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| missing().because(io::Error::from(errno)))?;
        // It stands for the absence of the file.
        if self.whiteouts.is_apart() && is_whiteout(&status) {
            return Err(missing());
        }
        if is_directory(status) {
            return Err(Error::new(
                Kind::Corrupt,
                format!("a hard link to the directory {target}"),
            ));
        }
        let there = look(&parent.fd, name).doing(|| "look at its place")?;
        if there.is_some_and(|there| (there.st_dev, there.st_ino) == (status.st_dev, status.st_ino))
        {
            return Ok(());
        }
        // Without AT_SYMLINK_FOLLOW a link to a symbolic link is another name of that link.
        self.replace(parent, name, |parent| linkat(&from, last, parent, name, AtFlags::empty()))
    }

    fn node(
        &mut self,
        entry: &Entry,
        parent: &Parent,
        name: &[u8],
        kind: FileType,
        device: u64,
    ) -> Result<()> {
        if self.whiteouts == Whiteouts::UserOverlay && kind != FileType::Fifo {
            return Ok(());
        }
        let mode = Mode::from_raw_mode(entry.mode & 0o777);
        self.replace(parent, name, |parent| mknodat(parent, name, kind, mode, device))?;
        dress_by_name(&parent.fd, name, entry)?;
        // After the owner, which takes set-id bits away, and past the umask.
        rustix::fs::chmodat(&parent.fd, name, Mode::from_raw_mode(entry.mode), AtFlags::empty())
            .doing(|| "set its mode")
    }

    /// Makes something by name; what is there already makes room.
    fn replace<T>(
        &mut self,
        parent: &Parent,
        name: &[u8],
        make: impl Fn(&OwnedFd) -> rustix::io::Result<T>,
    ) -> Result<T> {
        match make(&parent.fd) {
            Err(Errno::EXIST) => {
                self.clear(parent.fd.as_fd(), &join(&parent.path, name))?;
                make(&parent.fd).doing(|| "make it")
            }
            made => made.doing(|| "make it"),
        }
    }

    /// Removes what is at a path, and forgets what was placed there.
    fn clear(&mut self, parent: BorrowedFd<'_>, path: &[u8]) -> Result<()> {
        // What was open may be below it, or be reached by a link in it.
        self.parents.clear();
        self.placed.forget_tree(path);
        removal::remove_tree(parent, split(path).1).doing(|| "remove what is in its place")
    }

    /// Hides one name of the layers below.
    fn hide(&mut self, directory: &[u8], name: &[u8]) -> Result<()> {
        let parent = self.parent(directory)?;
        let path = join(&parent.path, name);
        if self.whiteouts == Whiteouts::Apply {
            if self.placed.contains(&path) {
                return self.remove_unplaced(&path);
            }
            return self.clear(parent.fd.as_fd(), &path);
        }
        match mknodat(&parent.fd, name, FileType::CharacterDevice, Mode::empty(), 0) {
            Ok(()) => Ok(()),
            // The same layer has brought something of this name, which hides what is below by
            // itself, if it is not a directory.
            Err(Errno::EXIST) => match open_directory(&parent.fd, name) {
                Ok(fd) => {
                    // Nor has the directory below anything to say about this one any more.
                    self.placed.unimply(&path);
                    self.make_opaque(fd.as_fd())
                }
                Err(Errno::NOTDIR | Errno::LOOP) => Ok(()),
                Err(errno) => Err(errno).doing(|| "open the directory"),
            },
            Err(errno) => Err(errno).doing(|| "make the whiteout"),
        }
    }

    /// Hides what the layers below have in a directory.
    fn hide_all(&mut self, directory: &[u8]) -> Result<()> {
        let parent = self.parent(directory)?;
        if self.whiteouts == Whiteouts::Apply {
            return self.remove_unplaced(&parent.path);
        }
        let fd = open_directory(&parent.fd, b".").doing(|| "open the directory")?;
        self.make_opaque(fd.as_fd())
    }

    fn make_opaque(&self, directory: BorrowedFd<'_>) -> Result<()> {
        let xattr = self.whiteouts.opaque_xattr();
        fsetxattr(directory, xattr, OPAQUE_VALUE, XattrFlags::empty())
            .doing(|| "make the directory opaque")
    }

    /// Removes what this layer has not placed from a directory of the tree.
    fn remove_unplaced(&mut self, path: &[u8]) -> Result<()> {
        self.parents.clear();
        let mut pending = vec![path.to_vec()];
        while let Some(path) = pending.pop() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            let fd = match removal::open_beneath(self.root, &path, flags) {
                Ok(fd) => fd,
                Err(Errno::NOTDIR | Errno::LOOP | Errno::NOENT) => continue,
                Err(errno) => return Err(errno).doing(|| format!("open {}", Shown(&path))),
            };
            self.touch(&path, &fd)?;
            for name in removal::names(&fd).doing(|| format!("read {}", Shown(&path)))? {
                let inner = join(&path, &name);
                if self.placed.contains(&inner) {
                    pending.push(inner);
                } else {
                    removal::remove_tree(fd.as_fd(), &name)
                        .doing(|| format!("remove {}", Shown(&inner)))?;
                }
            }
        }
        Ok(())
    }

    /// The directory that an entry is made in; made itself where it is missing.
    fn parent(&mut self, directory: &[u8]) -> Result<Rc<Parent>> {
        if let Some(parent) = self.parents.iter().find(|parent| parent.written == directory) {
            return Ok(Rc::clone(parent));
        }
        let doing = || format!("open the directory {}", Shown(directory));
        let parent = match removal::open_beneath(self.root, directory, PLACE) {
            Ok(fd) => Parent { written: directory.to_vec(), path: directory.to_vec(), fd },
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => self.walk(directory).doing(doing)?,
            Err(errno) => return Err(errno).doing(doing),
        };
        self.touch(&parent.path, &parent.fd)?;
        let parent = Rc::new(parent);
        if self.parents.len() == OPEN_PARENTS {
            self.parents.remove(0);
        }
        self.parents.push(Rc::clone(&parent));
        Ok(parent)
    }

    /// Goes to a directory step by step: follows links, makes what is missing, and what is no
    /// directory gives way, as any earlier entry does for a later one.
    fn walk(&mut self, directory: &[u8]) -> Result<Parent> {
        let mut ahead = components(directory);
        let (mut path, mut fd) = (Vec::new(), self.place_of(b"")?);
        let (mut steps, mut links) = (0, 0);
        while let Some(name) = ahead.pop() {
            steps += 1;
            if steps > MAX_STEPS || links > MAX_LINKS {
                return Err(Error::new(Kind::Corrupt, "symlinks lead through too many others"));
            }
            if name == b".." {
                // The path has no links in it, so this is where `..` leads; the root is its own.
                path.truncate(split(&path).0.len());
                fd = self.place_of(&path)?;
                continue;
            }
            let there = look(&fd, &name).doing(|| format!("look at {}", Shown(&name)))?;
            if there.is_some_and(is_symlink) {
                links += 1;
                let target = readlinkat(&fd, &name, Vec::new())
                    .doing(|| format!("read the link {}", Shown(&name)))?
                    .into_bytes();
                if target.starts_with(b"/") {
                    (path, fd) = (Vec::new(), self.place_of(b"")?);
                }
                ahead.extend(components(&target));
                continue;
            }
            path = join(&path, &name);
            if !there.is_some_and(is_directory) {
                self.imply(fd.as_fd(), &path, there.is_some())?;
            }
            fd = openat(&fd, &name, PLACE | OFlags::NOFOLLOW, Mode::empty())
                .doing(|| format!("open {}", Shown(&path)))?;
        }
        Ok(Parent { written: directory.to_vec(), path, fd })
    }

    /// Makes a directory on the way.
    fn imply(&mut self, parent: BorrowedFd<'_>, path: &[u8], is_occupied: bool) -> Result<()> {
        let doing = || format!("make {}", Shown(path));
        if path.len() > self.limits.path_bytes {
            return Err(exceeded(Shown(path), "bytes of path", self.limits.path_bytes));
        }
        let above = split(path).0;
        self.touch(above, parent)?;
        let fd = self.make_directory(parent, path, is_occupied).doing(doing)?;
        fchmod(&fd, Mode::from_raw_mode(0o755)).doing(doing)?;
        self.placed.pass(above)?;
        // After a whiteout or a file there is no directory below that this one stands for.
        if is_occupied { self.placed.list(path) } else { self.placed.imply(path) }
    }

    fn place_of(&self, path: &[u8]) -> Result<OwnedFd> {
        removal::open_beneath(self.root, path, PLACE).doing(|| format!("open {}", Shown(path)))
    }

    /// Something is about to be made or removed in a directory: where that has its time already, it
    /// gets it again in the end.
    fn touch(&mut self, path: &[u8], directory: impl AsFd) -> Result<()> {
        if self.placed.is_dated(path) {
            let status =
                fstat(directory).doing(|| format!("look at the directory {}", Shown(path)))?;
            let nanoseconds = u32::try_from(status.st_mtime_nsec).unwrap_or(0);
            self.placed.touch(path, Mtime { seconds: status.st_mtime, nanoseconds });
        }
        Ok(())
    }
}

/// Gives directories their times, when nothing more is made in them: that would change it.
fn date(root: BorrowedFd<'_>, directories: &BTreeMap<Vec<u8>, Mtime>) -> Result<()> {
    for (path, mtime) in directories {
        let doing = || format!("set the time of {}", Shown(path));
        let fd =
            removal::open_beneath(root, path, OFlags::RDONLY | OFlags::DIRECTORY).doing(doing)?;
        set_times(fd.as_fd(), *mtime).doing(doing)?;
    }
    Ok(())
}

/// The components of a path that lead anywhere, the last one first.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    let leading = |name: &&[u8]| !matches!(*name, b"" | b".");
    path.split(|byte| *byte == b'/').rev().filter(leading).map(<[u8]>::to_vec).collect()
}

/// What is there under a name, if anything.
fn look(directory: &OwnedFd, name: &[u8]) -> rustix::io::Result<Option<Stat>> {
    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(status) => Ok(Some(status)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Refuses a directory in the place of something else, and the other way round.
fn stays(there: Option<Stat>, wants_directory: bool) -> Result<()> {
    let refused = |what: &str| Err(Error::new(Kind::Conflict, what.to_owned()));
    match there.map(is_directory) {
        Some(true) if !wants_directory => refused("a directory is in its place"),
        Some(false) if wants_directory => refused("something is in its place that is no directory"),
        _ => Ok(()),
    }
}

fn open_directory(parent: impl AsFd, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(parent, name, flags, Mode::empty())
}

fn within(bytes: u64, limits: &Limits) -> Result<()> {
    if bytes > limits.unpacked_bytes {
        return Err(exceeded("the layer", "unpacked bytes", limits.unpacked_bytes));
    }
    Ok(())
}

fn open_in_root(root: BorrowedFd<'_>, path: &[u8]) -> rustix::io::Result<OwnedFd> {
    let path = if path.is_empty() { b"." } else { path };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let mut retries = 0;
    loop {
        match openat2(root, path, PLACE, Mode::empty(), resolve) {
            Err(Errno::AGAIN) if retries < MAX_RETRIES => retries += 1,
            opened => return opened,
        }
    }
}

fn is_directory(status: Stat) -> bool {
    FileType::from_raw_mode(status.st_mode) == FileType::Directory
}

fn is_symlink(status: Stat) -> bool {
    FileType::from_raw_mode(status.st_mode) == FileType::Symlink
}

fn is_whiteout(status: &Stat) -> bool {
    FileType::from_raw_mode(status.st_mode) == FileType::CharacterDevice && status.st_rdev == 0
}

/// Owner, mode and attributes, in the order in which one does not undo the other: a change of owner
/// takes set-id bits and file capabilities away.
fn dress(fd: BorrowedFd<'_>, entry: &Entry) -> Result<()> {
    set_owner(fd, entry)?;
    set_mode(fd, entry)?;
    set_xattrs(fd, entry)
}

/// As [`dress`], for a file that was just made with the mode of its entry: most have all they should
/// have by then, and a look costs the tenth of a change. Whether they have is not to be foreseen:
/// umask, default ACLs and groups that directories hand down have their say.
fn dress_new(fd: BorrowedFd<'_>, entry: &Entry) -> Result<()> {
    let status = rustix::fs::fstat(fd).doing(|| "look at it")?;
    let owner_differs = (status.st_uid, status.st_gid) != (entry.uid, entry.gid);
    if owner_differs {
        set_owner(fd, entry)?;
    }
    if owner_differs || status.st_mode & 0o7777 != entry.mode & 0o7777 {
        set_mode(fd, entry)?;
    }
    set_xattrs(fd, entry)
}

fn set_owner(fd: BorrowedFd<'_>, entry: &Entry) -> Result<()> {
    fchown(fd, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))
        .doing(|| "set its owner")
}

fn set_mode(fd: BorrowedFd<'_>, entry: &Entry) -> Result<()> {
    fchmod(fd, Mode::from_raw_mode(entry.mode)).doing(|| "set its mode")
}

fn set_xattrs(fd: BorrowedFd<'_>, entry: &Entry) -> Result<()> {
    for xattr in wanted(&entry.xattrs) {
        let set = fsetxattr(fd, OsStr::from_bytes(&xattr.name), &xattr.value, XattrFlags::empty());
        accept(set, xattr)?;
    }
    Ok(())
}

/// The same for what cannot be opened without consequences: links, pipes, devices.
fn dress_by_name(parent: &OwnedFd, name: &[u8], entry: &Entry) -> Result<()> {
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::chownat(
        parent,
        name,
        Some(Uid::from_raw(entry.uid)),
        Some(Gid::from_raw(entry.gid)),
        flags,
    )
    .doing(|| "set its owner")?;
    for xattr in wanted(&entry.xattrs) {
        // There is no call that takes a directory fd; the magic link is our own, and the last
        // component is not followed.
        let mut path = PathBuf::from(format!("/proc/self/fd/{}", parent.as_raw_fd()));
        path.push(OsStr::from_bytes(name));
        let set = rustix::fs::lsetxattr(
            &path,
            OsStr::from_bytes(&xattr.name),
            &xattr.value,
            XattrFlags::empty(),
        );
        accept(set, xattr)?;
    }
    utimensat(parent, name, &timestamps(entry.mtime), flags).doing(|| "set its time")
}

/// Neither notes of an overlay's nor a label of SELinux: which labels files have, the policy of this
/// machine says, which may not even know those of the one where the layer was made.
fn wanted(xattrs: &[Xattr]) -> impl Iterator<Item = &Xattr> {
    let is_of_overlay =
        |xattr: &Xattr| OVERLAY_XATTRS.iter().any(|prefix| xattr.name.starts_with(prefix));
    xattrs.iter().filter(move |xattr| xattr.name != b"security.selinux" && !is_of_overlay(xattr))
}

/// A file system without attributes loses only those; one that refuses says so.
fn accept(set: rustix::io::Result<()>, xattr: &Xattr) -> Result<()> {
    match set {
        Ok(()) | Err(Errno::OPNOTSUPP) => Ok(()),
        Err(errno) => Err(errno).doing(|| format!("set its attribute {}", Shown(&xattr.name))),
    }
}

fn set_times(fd: BorrowedFd<'_>, mtime: Mtime) -> Result<()> {
    futimens(fd, &timestamps(mtime)).doing(|| "set its time")
}

fn timestamps(mtime: Mtime) -> Timestamps {
    let time = Timespec { tv_sec: mtime.seconds, tv_nsec: mtime.nanoseconds.into() };
    Timestamps { last_access: time, last_modification: time }
}
