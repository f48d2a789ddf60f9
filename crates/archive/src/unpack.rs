//! Applies one layer, a tar stream, to a directory; nothing it does leaves that directory.
//!
//! ```text
//!   entry ─▶ its parent, resolved in the root ─▶ made by name in that directory fd ─▶ dressed by fd
//! ```
//!
//! The parent of an entry may be a symbolic link that the layer itself brought (`/bin -> usr/bin`);
//! the kernel resolves it with the directory as its root (`RESOLVE_IN_ROOT`), so it leads nowhere
//! else. The last component is never followed. Later entries replace earlier ones; a directory over
//! a directory keeps what is in it.

use crate::{
    entry::{Entry, EntryKind, Mtime, Xattr},
    limits::{Limits, exceeded},
    path::{ArchivePath, Shown, join, split},
    reader::Reader,
    removal,
    whiteout::{OPAQUE_VALUE, OPAQUE_XATTR, Whiteout, Whiteouts, is_reserved},
};
use dhow_base::{Doing, Error, Kind, Result};
use rustix::{
    fs::{
        AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags,
        fchmod, fchown, fsetxattr, futimens, linkat, mkdirat, mknodat, openat, openat2, statat,
        symlinkat, utimensat,
    },
    io::Errno,
};
use std::{
    collections::HashSet,
    ffi::OsStr,
    fs::File,
    io::{Read, Write},
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
/// Attributes in which overlayfs keeps its own records: from a stranger, they could point a layer's
/// file at any other (`redirect`) or hide one.
const OVERLAY_XATTRS: [&[u8]; 2] = [b"trusted.overlay.", b"user.overlay."];

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

/// Applies a layer to a directory.
#[derive(Debug)]
pub struct Unpack<'d> {
    root: BorrowedFd<'d>,
    whiteouts: Whiteouts,
    limits: Limits,
    summary: Summary,
    parents: Vec<(Vec<u8>, Rc<OwnedFd>)>,
    /// Directories, dressed with their times when nothing more is made in them.
    directories: Vec<(ArchivePath, Mtime)>,
    /// What this layer has brought: a whiteout does not touch it.
    brought: HashSet<Vec<u8>>,
    implied: HashSet<Vec<u8>>,
    remembered: usize,
}

impl<'d> Unpack<'d> {
    /// Prepares to apply a layer below `root`.
    pub fn new(root: BorrowedFd<'d>, whiteouts: Whiteouts, limits: Limits) -> Self {
        Self {
            root,
            whiteouts,
            limits,
            summary: Summary::default(),
            parents: Vec::new(),
            directories: Vec::new(),
            brought: HashSet::new(),
            implied: HashSet::new(),
            remembered: 0,
        }
    }

    /// Applies the stream, up to the end of the archive in it.
    pub fn apply(mut self, stream: &mut dyn Read) -> Result<Summary> {
        let mut reader = Reader::new(stream, self.limits.clone())?;
        while let Some(entry) = reader.next_entry()? {
            self.summary.entries += 1;
            self.place(&entry, &mut reader)
                .doing(|| format!("unpack archive entry {}", entry.path))?;
        }
        self.date_directories()?;
        let mut implied: Vec<&Vec<u8>> = self.implied.iter().collect();
        implied.sort();
        self.summary.implied =
            implied.into_iter().map(|path| OsStr::from_bytes(path).into()).collect();
        Ok(self.summary)
    }

    fn place<R: Read>(&mut self, entry: &Entry, reader: &mut Reader<R>) -> Result<()> {
        match Whiteout::of(&entry.path)? {
            Whiteout::Skip => return Ok(()),
            Whiteout::Opaque { directory } => return self.hide_all(directory),
            Whiteout::Remove { directory, name } => return self.hide(directory, name),
            Whiteout::None => {}
        }
        if entry.path.is_root() {
            return self.dress_root(entry);
        }
        let (directory, name) = entry.path.split();
        let parent = self.parent(directory)?;
        self.remember(entry.path.as_bytes())?;
        match &entry.kind {
            EntryKind::File { .. } => self.file(entry, &parent, name, reader),
            EntryKind::Directory => self.directory(entry, &parent, name),
            EntryKind::HardLink { target } => self.hard_link(target, &parent, name),
            EntryKind::Symlink { target } => {
                self.replace(&parent, name, |parent| {
                    symlinkat(OsStr::from_bytes(target), parent, name)
                })?;
                dress_by_name(&parent, name, entry)
            }
            EntryKind::Fifo => self.node(entry, &parent, name, FileType::Fifo, 0),
            EntryKind::CharDevice { major, minor } => {
                let device = rustix::fs::makedev(*major, *minor);
                self.node(entry, &parent, name, FileType::CharacterDevice, device)
            }
            EntryKind::BlockDevice { major, minor } => {
                let device = rustix::fs::makedev(*major, *minor);
                self.node(entry, &parent, name, FileType::BlockDevice, device)
            }
        }
    }

    fn file<R: Read>(
        &mut self,
        entry: &Entry,
        parent: &OwnedFd,
        name: &[u8],
        reader: &mut Reader<R>,
    ) -> Result<()> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = self.replace(parent, name, |parent| {
            openat(parent, name, flags, Mode::from_raw_mode(0o600))
        })?;
        let mut file = File::from(fd);
        self.fill(&mut file, reader)?;
        self.summary.files += 1;
        dress(file.as_fd(), entry)?;
        set_times(file.as_fd(), entry.mtime)
    }

    fn fill<R: Read>(&mut self, file: &mut File, reader: &mut Reader<R>) -> Result<()> {
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
        Ok(())
    }

    fn directory(&mut self, entry: &Entry, parent: &OwnedFd, name: &[u8]) -> Result<()> {
        let mode = Mode::from_raw_mode(0o700);
        let mut opaque = false;
        match mkdirat(parent, name, mode) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let there = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
                    .doing(|| "look at its place")?;
                if FileType::from_raw_mode(there.st_mode) != FileType::Directory {
                    // A directory in the place of what the same layer whites out shows nothing of
                    // what is below.
                    opaque = self.whiteouts == Whiteouts::Overlay && is_whiteout(&there);
                    self.clear(parent, name)?;
                    mkdirat(parent, name, mode).doing(|| "make the directory")?;
                }
            }
            Err(errno) => return Err(errno).doing(|| "make the directory"),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = openat(parent, name, flags, Mode::empty()).doing(|| "open the directory")?;
        if opaque {
            make_opaque(fd.as_fd())?;
        }
        dress(fd.as_fd(), entry)?;
        self.implied.remove(entry.path.as_bytes());
        self.directories.push((entry.path.clone(), entry.mtime));
        Ok(())
    }

    fn dress_root(&mut self, entry: &Entry) -> Result<()> {
        if entry.kind != EntryKind::Directory {
            return Err(Error::new(Kind::Corrupt, "the root is not a directory"));
        }
        let fd = removal::open_beneath(self.root, b"", OFlags::RDONLY | OFlags::DIRECTORY)
            .doing(|| "open the root")?;
        dress(fd.as_fd(), entry)?;
        self.directories.push((entry.path.clone(), entry.mtime));
        Ok(())
    }

    fn hard_link(&mut self, target: &ArchivePath, parent: &OwnedFd, name: &[u8]) -> Result<()> {
        let (directory, last) = target.split();
        if is_reserved(target.as_bytes()) {
            return Err(Error::new(Kind::Corrupt, format!("a hard link to the whiteout {target}")));
        }
        let doing = || format!("link it to {target}");
        let from = open_in_root(self.root, directory).doing(doing)?;
        let status = statat(&from, last, AtFlags::SYMLINK_NOFOLLOW).map_err(std::io::Error::from);
        let status = status.map_err(|error| {
            Error::new(
                Kind::Corrupt,
                format!("a hard link to {target}, which the layer has not got"),
            )
            .because(error)
        })?;
        if FileType::from_raw_mode(status.st_mode) == FileType::Directory {
            return Err(Error::new(
                Kind::Corrupt,
                format!("a hard link to the directory {target}"),
            ));
        }
        let there = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW);
        if there.is_ok_and(|there| (there.st_dev, there.st_ino) == (status.st_dev, status.st_ino)) {
            return Ok(());
        }
        // Without AT_SYMLINK_FOLLOW a link to a symbolic link is another name of that link.
        self.replace(parent, name, |parent| linkat(&from, last, parent, name, AtFlags::empty()))
    }

    fn node(
        &mut self,
        entry: &Entry,
        parent: &OwnedFd,
        name: &[u8],
        kind: FileType,
        device: u64,
    ) -> Result<()> {
        let mode = Mode::from_raw_mode(entry.mode & 0o777);
        self.replace(parent, name, |parent| mknodat(parent, name, kind, mode, device))?;
        dress_by_name(parent, name, entry)?;
        // After the owner, which takes set-id bits away, and past the umask.
        rustix::fs::chmodat(parent, name, Mode::from_raw_mode(entry.mode), AtFlags::empty())
            .doing(|| "set its mode")
    }

    /// Makes something by name; what is there already makes room.
    fn replace<T>(
        &mut self,
        parent: &OwnedFd,
        name: &[u8],
        make: impl Fn(&OwnedFd) -> rustix::io::Result<T>,
    ) -> Result<T> {
        match make(parent) {
            Err(Errno::EXIST) => {
                self.clear(parent, name)?;
                make(parent).doing(|| "make it")
            }
            made => made.doing(|| "make it"),
        }
    }

    fn clear(&mut self, parent: &OwnedFd, name: &[u8]) -> Result<()> {
        // What was open may be below it.
        self.parents.clear();
        removal::remove_tree(parent.as_fd(), name).doing(|| "remove what is in its place")
    }

    /// Hides one name of the layers below.
    fn hide(&mut self, directory: &[u8], name: &[u8]) -> Result<()> {
        let parent = self.parent(directory)?;
        if self.whiteouts == Whiteouts::Apply {
            let path = join(directory, name);
            if !self.brought.contains(&path) {
                return self.clear(&parent, name);
            }
            return self.remove_unbrought(&path);
        }
        match mknodat(&parent, name, FileType::CharacterDevice, Mode::empty(), 0) {
            Ok(()) => Ok(()),
            // The same layer has brought something of this name, which hides what is below by
            // itself, if it is not a directory.
            Err(Errno::EXIST) => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                match openat(&parent, name, flags, Mode::empty()) {
                    Ok(fd) => make_opaque(fd.as_fd()),
                    Err(Errno::NOTDIR | Errno::LOOP) => Ok(()),
                    Err(errno) => Err(errno).doing(|| "open the directory"),
                }
            }
            Err(errno) => Err(errno).doing(|| "make the whiteout"),
        }
    }

    /// Hides what the layers below have in a directory.
    fn hide_all(&mut self, directory: &[u8]) -> Result<()> {
        let parent = self.parent(directory)?;
        if self.whiteouts == Whiteouts::Apply {
            return self.remove_unbrought(directory);
        }
        let fd = openat(
            &parent,
            c".",
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .doing(|| "open the directory")?;
        make_opaque(fd.as_fd())
    }

    /// Removes what this layer has not brought from a directory of the tree.
    fn remove_unbrought(&mut self, path: &[u8]) -> Result<()> {
        self.parents.clear();
        let mut pending = vec![path.to_vec()];
        while let Some(path) = pending.pop() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            let fd = match removal::open_beneath(self.root, &path, flags) {
                Ok(fd) => fd,
                Err(Errno::NOTDIR | Errno::LOOP | Errno::NOENT) => continue,
                Err(errno) => return Err(errno).doing(|| format!("open {}", Shown(&path))),
            };
            for name in removal::names(&fd).doing(|| format!("read {}", Shown(&path)))? {
                let inner = join(&path, &name);
                if self.brought.contains(&inner) {
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
    fn parent(&mut self, directory: &[u8]) -> Result<Rc<OwnedFd>> {
        if let Some((_, fd)) = self.parents.iter().find(|(path, _)| path == directory) {
            return Ok(Rc::clone(fd));
        }
        let fd = match open_in_root(self.root, directory) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => self.make_parents(directory)?,
            // What is no directory gives way, as any earlier entry does for a later one.
            Err(Errno::NOTDIR) => {
                self.clear_way(directory)?;
                self.make_parents(directory)?
            }
            Err(errno) => {
                return Err(errno).doing(|| format!("open the directory {}", Shown(directory)));
            }
        };
        let fd = Rc::new(fd);
        if self.parents.len() == OPEN_PARENTS {
            self.parents.remove(0);
        }
        self.parents.push((directory.to_vec(), Rc::clone(&fd)));
        Ok(fd)
    }

    fn make_parents(&mut self, directory: &[u8]) -> Result<OwnedFd> {
        let (above, name) = split(directory);
        let parent = if above.is_empty() {
            open_in_root(self.root, b"").doing(|| "open the root")?
        } else {
            match open_in_root(self.root, above) {
                Ok(fd) => fd,
                Err(Errno::NOENT) => self.make_parents(above)?,
                Err(errno) => {
                    return Err(errno).doing(|| format!("open the directory {}", Shown(above)));
                }
            }
        };
        let doing = || format!("make the directory {}", Shown(directory));
        match mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => {}
            // A whiteout of the same layer: the directory is new.
            Err(Errno::EXIST) => {
                self.clear(&parent, name)?;
                mkdirat(&parent, name, Mode::from_raw_mode(0o755)).doing(doing)?;
            }
            Err(errno) => return Err(errno).doing(doing),
        }
        self.remember(directory)?;
        self.implied.insert(directory.to_vec());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = openat(&parent, name, flags, Mode::empty()).doing(doing)?;
        fchmod(&fd, Mode::from_raw_mode(0o755)).doing(doing)?;
        Ok(fd)
    }

    /// Removes the first thing on the way that is no directory and no link to one.
    fn clear_way(&mut self, directory: &[u8]) -> Result<()> {
        let (above, name) = split(directory);
        match open_in_root(self.root, above) {
            Ok(parent) => self.clear(&parent, name),
            Err(Errno::NOTDIR) => self.clear_way(above),
            Err(errno) => Err(errno).doing(|| format!("open the directory {}", Shown(above))),
        }
    }

    fn remember(&mut self, path: &[u8]) -> Result<()> {
        // Directories are remembered for their times, everything for the whiteouts of a whole tree.
        self.remembered += path.len() + size_of::<Vec<u8>>();
        if self.remembered > self.limits.remembered_bytes {
            return Err(exceeded(
                "the layer",
                "bytes of remembered paths",
                self.limits.remembered_bytes,
            ));
        }
        if self.whiteouts == Whiteouts::Apply {
            self.brought.insert(path.to_vec());
        }
        Ok(())
    }

    /// Last of all, from the inside out: whatever is made in a directory changes its time.
    fn date_directories(&mut self) -> Result<()> {
        for (path, mtime) in self.directories.drain(..).rev() {
            let doing = || format!("set the time of {path}");
            let (directory, name) = path.split();
            let parent = match open_in_root(self.root, directory) {
                Ok(parent) => parent,
                // A later entry has taken its place.
                Err(Errno::NOENT | Errno::NOTDIR) => continue,
                Err(errno) => return Err(errno).doing(doing),
            };
            let name = if name.is_empty() { b"." } else { name };
            match utimensat(&parent, name, &timestamps(mtime), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno).doing(doing),
            }
        }
        Ok(())
    }
}

fn within(bytes: u64, limits: &Limits) -> Result<()> {
    if bytes > limits.unpacked_bytes {
        return Err(exceeded("the layer", "unpacked bytes", limits.unpacked_bytes));
    }
    Ok(())
}

fn open_in_root(root: BorrowedFd<'_>, path: &[u8]) -> rustix::io::Result<OwnedFd> {
    let path = if path.is_empty() { b"." } else { path };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    openat2(root, path, flags, Mode::empty(), resolve)
}

fn is_whiteout(status: &rustix::fs::Stat) -> bool {
    FileType::from_raw_mode(status.st_mode) == FileType::CharacterDevice && status.st_rdev == 0
}

fn make_opaque(directory: BorrowedFd<'_>) -> Result<()> {
    fsetxattr(directory, OPAQUE_XATTR, OPAQUE_VALUE, XattrFlags::empty())
        .doing(|| "make the directory opaque")
}

/// Owner, mode and attributes, in the order in which one does not undo the other: a change of owner
/// takes set-id bits and file capabilities away.
fn dress(fd: BorrowedFd<'_>, entry: &Entry) -> Result<()> {
    fchown(fd, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))
        .doing(|| "set its owner")?;
    fchmod(fd, Mode::from_raw_mode(entry.mode)).doing(|| "set its mode")?;
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

fn wanted(xattrs: &[Xattr]) -> impl Iterator<Item = &Xattr> {
    xattrs
        .iter()
        .filter(|xattr| !OVERLAY_XATTRS.iter().any(|prefix| xattr.name.starts_with(prefix)))
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
