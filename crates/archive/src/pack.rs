//! Writes a directory as a layer.
//!
//! The same directory gives the same bytes on every machine: names sorted by their bytes, a
//! directory before what is in it, times to the nanosecond, owners as numbers. Hard links are told
//! by device and inode: the first name carries the content. Sockets are left out, as every packer
//! leaves them out. Of a sparse file only what is no hole is read and written (see [`holes`]).
//!
//! Of an overlay's upper directory, whiteouts and opaque directories become `.wh.` entries again.
//! What only the overlay that made it understands (a redirect, a file without its content) is
//! refused: the image must mean the same everywhere.

use crate::{
    builder::Builder,
    entry::{Entry, EntryKind, Mtime, Xattr},
    holes::{self, Regions},
    limits::Limits,
    mapped_owners::MappedOwners,
    path::{ArchivePath, Shown, join},
    removal::{names, open_beneath},
    whiteout::{OPAQUE, OPAQUE_VALUE, OVERLAY_XATTRS, PREFIX},
};
use dhow_base::{Doing, Error, Kind, Result};
use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, major, minor, openat, readlinkat, statat},
    io::Errno,
};
use std::{
    collections::HashMap,
    fs::File,
    io::{self, Write},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    vec::IntoIter,
};

/// How a directory is packed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pack {
    form: Form,
    latest: Option<Mtime>,
    sparse: bool,
    owners: Option<MappedOwners>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    Tree,
    OverlayUpper,
    /// No layer: a name that looks like a whiteout is a name like any other.
    Copy,
}

/// Is something at a path that differs from the layers below, or nothing any more?
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Presence {
    /// Something new, or with another content or other attributes.
    Here,
    /// The layers below have something, and this one hides it.
    Gone,
}

/// What was packed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Packed {
    /// Entries of any type, whiteouts too.
    pub entries: u64,
    /// Bytes of file content, holes left out where they were not written.
    pub bytes: u64,
    /// Sockets left out.
    pub skipped_sockets: u64,
}

impl Pack {
    /// Packs a directory as it is.
    pub fn tree() -> Self {
        Self { form: Form::Tree, latest: None, sparse: true, owners: None }
    }

    /// Packs the changes that an overlay has collected in its upper directory.
    pub fn overlay_upper() -> Self {
        Self { form: Form::OverlayUpper, latest: None, sparse: true, owners: None }
    }

    /// Packs files to be copied somewhere, which are no layer: no name has a meaning of its own.
    pub fn copy() -> Self {
        Self { form: Form::Copy, latest: None, sparse: true, owners: None }
    }

    /// Writes later times as this one (`SOURCE_DATE_EPOCH`), so that what was made in a build has
    /// no time of its own.
    #[must_use]
    pub fn no_later_than(mut self, latest: Mtime) -> Self {
        self.latest = Some(latest);
        self
    }

    /// Writes the owners as a user namespace has them.
    #[must_use]
    pub fn seen_by(mut self, owners: Option<MappedOwners>) -> Self {
        self.owners = owners;
        self
    }

    /// Writes the holes of sparse files too, as zeros, for a form that cannot leave them out.
    #[must_use]
    pub fn with_holes(mut self) -> Self {
        self.sparse = false;
        self
    }

    /// Writes `root` and everything in it to `sink`, which gets many writes of all sizes.
    pub fn write(self, root: BorrowedFd<'_>, sink: impl Write) -> Result<Packed> {
        self.pack(root, b"", sink, |packer| packer.walk())
    }

    /// Writes what `name` in `directory` is, a file or a whole tree, and calls it `shown`. Where
    /// that is empty, the tree is the archive's root.
    pub fn write_named(
        self,
        directory: BorrowedFd<'_>,
        name: &Path,
        shown: &Path,
        sink: impl Write,
    ) -> Result<Packed> {
        let (name, shown) = (name.as_os_str().as_bytes(), shown.as_os_str().as_bytes());
        let doing = || format!("pack {}", Shown(name));
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(directory, name, flags, Mode::empty()) {
            Ok(tree) => self.pack(tree.as_fd(), shown, sink, |packer| packer.walk()),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                let place = directory.try_clone_to_owned().doing(doing)?;
                self.pack(directory, b"", sink, |packer| {
                    packer.name(&place, name, shown).map(drop).doing(doing)
                })
            }
            Err(errno) => Err(errno).doing(doing),
        }
    }

    /// Writes what differs from the layers below: of what is here the entry alone, of a directory
    /// not what is in it; of what is gone a whiteout. A directory comes before what is in it.
    pub fn write_changes<'c>(
        self,
        root: BorrowedFd<'_>,
        changes: impl IntoIterator<Item = (&'c Path, Presence)>,
        sink: impl Write,
    ) -> Result<Packed> {
        Self { form: Form::Tree, ..self }.pack(root, b"", sink, |packer| {
            let mut parent = None;
            changes.into_iter().try_for_each(|(path, presence)| {
                packer
                    .change(path.as_os_str().as_bytes(), presence, &mut parent)
                    .doing(|| format!("pack {}", path.display()))
            })
        })
    }

    fn pack(
        self,
        root: BorrowedFd<'_>,
        prefix: &[u8],
        sink: impl Write,
        fill: impl FnOnce(&mut Packer<'_>) -> Result<()>,
    ) -> Result<Packed> {
        let mut sink = io::BufWriter::with_capacity(64 << 10, sink);
        let mut packer = Packer {
            form: self.form,
            latest: self.latest,
            sparse: self.sparse,
            owners: self.owners,
            root,
            prefix: prefix.to_vec(),
            builder: Builder::new(&mut sink),
            links: HashMap::new(),
            packed: Packed::default(),
        };
        fill(&mut packer)?;
        let packed = packer.packed;
        packer.builder.finish()?;
        Ok(packed)
    }
}

struct Packer<'p> {
    form: Form,
    latest: Option<Mtime>,
    sparse: bool,
    owners: Option<MappedOwners>,
    root: BorrowedFd<'p>,
    /// What the root is called in the archive.
    prefix: Vec<u8>,
    builder: Builder<&'p mut dyn Write>,
    /// Files with several names, by device and inode, and the name that has their content.
    links: HashMap<(u64, u64), ArchivePath>,
    packed: Packed,
}

/// A directory on the way down.
struct Level {
    path: Vec<u8>,
    left: IntoIter<Vec<u8>>,
}

impl Packer<'_> {
    /// Directories are opened again on the way back up, so that a deep tree needs few fds.
    fn walk(&mut self) -> Result<()> {
        let mut fd = self.open(b"")?;
        let mut levels = vec![self.enter(&fd, Vec::new())?];
        while let Some(level) = levels.last_mut() {
            let Some(name) = level.left.next() else {
                levels.pop();
                if let Some(above) = levels.last() {
                    fd = self.open(&above.path)?;
                }
                continue;
            };
            let path = join(&level.path, &name);
            let subdirectory =
                self.name(&fd, &name, &path).doing(|| format!("pack {}", Shown(&path)))?;
            if let Some(subdirectory) = subdirectory {
                fd = subdirectory;
                levels.push(self.enter(&fd, path)?);
            }
        }
        Ok(())
    }

    fn open(&self, path: &[u8]) -> Result<OwnedFd> {
        open_beneath(self.root, path, OFlags::RDONLY | OFlags::DIRECTORY)
            .doing(|| format!("open directory {}", Shown(path)))
    }

    /// Writes one path alone. `parent` is the directory of the path before, which often is the same.
    fn change(
        &mut self,
        path: &[u8],
        presence: Presence,
        parent: &mut Option<(Vec<u8>, OwnedFd)>,
    ) -> Result<()> {
        if path.is_empty() {
            let root = self.open(b"")?;
            return self.directory(&root, b"");
        }
        let (above, name) = crate::path::split(path);
        if presence == Presence::Gone {
            if name.starts_with(PREFIX) {
                return Err(reserved());
            }
            let hidden = join(above, &[PREFIX, name].concat());
            return self.append(&marker(&hidden)?, &mut io::empty());
        }
        let (known, fd) = match parent.take().filter(|(known, _)| known == above) {
            Some(parent) => parent,
            None => (above.to_vec(), self.open(above)?),
        };
        if let Some(directory) = self.name(&fd, name, path)? {
            self.directory(&directory, path)?;
        }
        *parent = Some((known, fd));
        Ok(())
    }

    /// Writes a directory's own entry and lists it.
    fn enter(&mut self, fd: &OwnedFd, path: Vec<u8>) -> Result<Level> {
        self.directory(fd, &path)?;
        let mut names = names(fd).doing(|| format!("pack directory {}", Shown(&path)))?;
        names.sort_unstable();
        Ok(Level { path, left: names.into_iter() })
    }

    /// Writes a directory's own entry.
    fn directory(&mut self, fd: &OwnedFd, path: &[u8]) -> Result<()> {
        let packing = || format!("pack directory {}", Shown(path));
        let stat = fstat(fd).doing(packing)?;
        let attributes = self.attributes_of_fd(fd.as_fd()).doing(packing)?;
        let entry = self.entry(path, EntryKind::Directory, &stat, attributes.kept)?;
        self.append(&entry, &mut io::empty())?;
        if attributes.opaque {
            self.append(&marker(&join(path, OPAQUE))?, &mut io::empty())?;
        }
        Ok(())
    }

    /// Writes one name, unless it is a directory, which it opens instead.
    fn name(&mut self, directory: &OwnedFd, name: &[u8], path: &[u8]) -> Result<Option<OwnedFd>> {
        if name.starts_with(PREFIX) && self.form != Form::Copy {
            return Err(reserved());
        }
        let stat = match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(errno) => return Err(errno).doing(|| "look at it").map_err(vanished),
        };
        let file_type = FileType::from_raw_mode(stat.st_mode);
        if file_type == FileType::Directory {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let fd = openat(directory, name, flags, Mode::empty()).doing(|| "open it");
            return fd.map(Some).map_err(vanished);
        }
        if file_type == FileType::Socket {
            self.packed.skipped_sockets += 1;
            return Ok(None);
        }
        if self.form == Form::OverlayUpper && is_whiteout(&stat) {
            let (above, name) = crate::path::split(path);
            let hidden = join(above, &[PREFIX, name].concat());
            self.append(&marker(&hidden)?, &mut io::empty())?;
            return Ok(None);
        }
        if let Some(first) = self.links.get(&(stat.st_dev, stat.st_ino)) {
            let kind = EntryKind::HardLink { target: first.clone() };
            let entry = self.entry(path, kind, &stat, Vec::new())?;
            self.append(&entry, &mut io::empty())?;
            return Ok(None);
        }
        if stat.st_nlink > 1 {
            self.links.insert((stat.st_dev, stat.st_ino), self.archived(path)?);
        }
        match file_type {
            FileType::RegularFile => self.file(directory, name, path)?,
            _ => self.special(directory, name, path, &stat)?,
        }
        Ok(None)
    }

    fn file(&mut self, directory: &OwnedFd, name: &[u8], path: &[u8]) -> Result<()> {
        // Should a pipe have taken its place, the open must not wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd =
            openat(directory, name, flags, Mode::empty()).doing(|| "open it").map_err(vanished)?;
        let stat = fstat(&fd).doing(|| "look at it")?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Error::new(Kind::Conflict, "it changed while it was packed"));
        }
        let attributes = self.attributes_of_fd(fd.as_fd())?;
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let entry = self.entry(path, EntryKind::File { size }, &stat, attributes.kept)?;
        let mut file = File::from(fd);
        let map = match self.sparse {
            true => holes::map(&file, size).doing(|| "look for its holes")?,
            false => None,
        };
        let stored = match map {
            Some(map) => {
                self.packed.entries += 1;
                self.builder.append_sparse(&entry, &map, &mut Regions::new(&file, &map))?;
                map.stored()
            }
            None => {
                self.append(&entry, &mut file)?;
                size
            }
        };
        self.packed.bytes = self.packed.bytes.saturating_add(stored);
        Ok(())
    }

    /// Writes a symlink, a pipe or a device, none of which may be opened.
    fn special(
        &mut self,
        directory: &OwnedFd,
        name: &[u8],
        path: &[u8],
        stat: &Stat,
    ) -> Result<()> {
        let (major, minor) = (major(stat.st_rdev), minor(stat.st_rdev));
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                let target = readlinkat(directory, name, Vec::new()).doing(|| "read the link")?;
                EntryKind::Symlink { target: target.into_bytes() }
            }
            FileType::Fifo => EntryKind::Fifo,
            FileType::CharacterDevice => EntryKind::CharDevice { major, minor },
            FileType::BlockDevice => EntryKind::BlockDevice { major, minor },
            other => return Err(Error::new(Kind::Unsupported, format!("it is a {other:?}"))),
        };
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd =
            openat(directory, name, flags, Mode::empty()).doing(|| "open it").map_err(vanished)?;
        let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
        let attributes = self.attributes(
            |list| rustix::fs::listxattr(&link, list),
            |name, value| rustix::fs::getxattr(&link, name, value),
        )?;
        let entry = self.entry(path, kind, stat, attributes.kept)?;
        self.append(&entry, &mut io::empty())
    }

    fn attributes_of_fd(&self, fd: BorrowedFd<'_>) -> Result<Attributes> {
        self.attributes(
            |list| rustix::fs::flistxattr(fd, list),
            |name, value| rustix::fs::fgetxattr(fd, name, value),
        )
    }

    /// Reads the extended attributes that belong into a layer, sorted by name.
    fn attributes(
        &self,
        list: impl FnOnce(&mut [u8]) -> rustix::io::Result<usize>,
        get: impl Fn(&[u8], &mut [u8]) -> rustix::io::Result<usize>,
    ) -> Result<Attributes> {
        // The kernel's own limits on a list and on a value.
        let mut buffer = vec![0; 64 << 10];
        let mut attributes = Attributes { kept: Vec::new(), opaque: false };
        let length = match list(&mut buffer) {
            Ok(length) => length,
            Err(Errno::OPNOTSUPP) => 0,
            Err(errno) => return Err(errno).doing(|| "list its extended attributes"),
        };
        let names = buffer[..length].to_vec();
        for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            let length = match get(name, &mut buffer) {
                Ok(length) => length,
                Err(Errno::NODATA) => continue,
                Err(errno) => {
                    return Err(errno).doing(|| format!("read attribute {}", Shown(name)));
                }
            };
            self.sort_in(&mut attributes, name, &buffer[..length])?;
        }
        attributes.kept.sort_unstable();
        Ok(attributes)
    }

    fn sort_in(&self, attributes: &mut Attributes, name: &[u8], value: &[u8]) -> Result<()> {
        if self.form == Form::OverlayUpper {
            let note = OVERLAY_XATTRS.iter().find_map(|prefix| name.strip_prefix(*prefix));
            if note == Some(b"opaque") {
                attributes.opaque |= value == OPAQUE_VALUE;
            }
            if matches!(note, Some(b"redirect" | b"metacopy")) {
                let what = format!("{} has no meaning outside its overlay", Shown(name));
                return Err(Error::new(Kind::Unsupported, what)
                    .hint("mount the overlay with redirect_dir=off,metacopy=off"));
            }
        }
        if belongs_in_layer(name) {
            attributes.kept.push(Xattr { name: name.to_vec(), value: value.to_vec() });
        }
        Ok(())
    }

    /// A path as the archive has it.
    fn archived(&self, path: &[u8]) -> Result<ArchivePath> {
        archive_path(&join(&self.prefix, path))
    }

    fn entry(
        &self,
        path: &[u8],
        kind: EntryKind,
        stat: &Stat,
        xattrs: Vec<Xattr>,
    ) -> Result<Entry> {
        let mtime = Mtime {
            seconds: stat.st_mtime,
            nanoseconds: u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
        };
        let (uid, gid) = match &self.owners {
            Some(owners) => owners.inside(stat.st_uid, stat.st_gid),
            None => (stat.st_uid, stat.st_gid),
        };
        Ok(Entry {
            path: self.archived(path)?,
            kind,
            mode: stat.st_mode & 0o7777,
            uid,
            gid,
            mtime: self.latest.map_or(mtime, |latest| mtime.min(latest)),
            xattrs,
        })
    }

    fn append(&mut self, entry: &Entry, content: &mut dyn io::Read) -> Result<()> {
        self.packed.entries += 1;
        self.builder.append(entry, content)
    }
}

struct Attributes {
    kept: Vec<Xattr>,
    opaque: bool,
}

/// Is it part of the image, and not of the machine or the file system that it lies on?
pub(crate) fn belongs_in_layer(name: &[u8]) -> bool {
    if let Some(security) = name.strip_prefix(b"security.") {
        return security == b"capability";
    }
    if let Some(system) = name.strip_prefix(b"system.") {
        return system.starts_with(b"posix_acl_");
    }
    !OVERLAY_XATTRS.iter().any(|prefix| name.starts_with(prefix))
}

/// How overlayfs writes that a name is gone.
fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// An empty file whose name alone says something.
fn marker(path: &[u8]) -> Result<Entry> {
    Ok(Entry::new(archive_path(path)?, EntryKind::File { size: 0 }, 0))
}

fn archive_path(path: &[u8]) -> Result<ArchivePath> {
    ArchivePath::parse(path, &Limits { depth: usize::MAX, ..Limits::default() })
}

fn reserved() -> Error {
    Error::new(Kind::Unsupported, "names that start with .wh. mean removal in a layer")
}

/// What was listed and is gone was removed by someone who should not be writing here now.
fn vanished(error: Error) -> Error {
    if error.kind() == Kind::NotFound { error.kinded(Kind::Conflict) } else { error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Reader, Unpack, Whiteouts};

    #[test]
    fn a_named_file_or_tree_has_the_name_that_was_chosen() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join("tree/inner")).unwrap();
        std::fs::write(directory.path().join("tree/inner/.wh.x"), b"x").unwrap();
        std::fs::hard_link(
            directory.path().join("tree/inner/.wh.x"),
            directory.path().join("tree/y"),
        )
        .unwrap();
        let root = std::fs::File::open(directory.path()).unwrap();
        let names = |name: &str, shown: &str| -> Vec<String> {
            let mut bytes = Vec::new();
            Pack::copy()
                .write_named(root.as_fd(), Path::new(name), Path::new(shown), &mut bytes)
                .unwrap();
            let mut reader = Reader::new(&bytes[..], Limits::default()).unwrap();
            let mut names = Vec::new();
            while let Some(entry) = reader.next_entry().unwrap() {
                names.push(String::from_utf8(entry.path.as_bytes().to_vec()).unwrap());
            }
            names
        };

        assert_eq!(names("tree", "new"), ["new", "new/inner", "new/inner/.wh.x", "new/y"]);
        assert_eq!(names("tree/y", "z"), ["z"]);
        assert_eq!(names("tree", "").len(), 4);
    }
    use std::{
        fs,
        os::unix::{
            fs::{MetadataExt, PermissionsExt, symlink},
            net::UnixListener,
        },
    };

    fn opened(path: &Path) -> File {
        File::open(path).unwrap()
    }

    fn packed(pack: Pack, path: &Path) -> Result<(Packed, Vec<u8>)> {
        let mut bytes = Vec::new();
        let packed = pack.write(opened(path).as_fd(), &mut bytes)?;
        Ok((packed, bytes))
    }

    fn paths(bytes: &[u8]) -> Vec<String> {
        let mut reader = Reader::new(bytes, Limits::default()).unwrap();
        let mut paths = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            paths.push(String::from_utf8_lossy(entry.path.as_bytes()).into_owned());
        }
        paths
    }

    fn is_root() -> bool {
        let root = rustix::process::geteuid().is_root();
        if !root {
            eprintln!("skipped: needs root");
        }
        root
    }

    #[test]
    fn names_are_sorted_and_links_come_after_their_content() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("b")).unwrap();
        fs::write(at("b/inner"), b"x").unwrap();
        fs::write(at("c"), b"content").unwrap();
        fs::hard_link(at("c"), at("a")).unwrap();
        symlink("/nowhere", at("d")).unwrap();
        drop(UnixListener::bind(at("socket")).unwrap());

        let (summary, bytes) = packed(Pack::tree(), directory.path()).unwrap();

        assert_eq!(paths(&bytes), ["", "a", "b", "b/inner", "c", "d"]);
        assert_eq!(summary, Packed { entries: 6, bytes: 8, skipped_sockets: 1 });
        assert_eq!(bytes, packed(Pack::tree(), directory.path()).unwrap().1);
    }

    #[test]
    fn what_is_packed_unpacks_to_the_same() {
        if !is_root() {
            return;
        }
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let name = std::ffi::OsStr::from_bytes(b"caf\xe9\n");
        let file = from.path().join(name);
        fs::write(&file, vec![7; 200_000]).unwrap();
        std::os::unix::fs::chown(&file, Some(3_000_000), Some(42)).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o4711)).unwrap();
        rustix::fs::setxattr(&file, "user.note", b"\0a=\n", rustix::fs::XattrFlags::empty())
            .unwrap();
        let node = Mode::from_raw_mode(0o620);
        let root = opened(from.path());
        rustix::fs::mknodat(&root, "fifo", FileType::Fifo, node, 0).unwrap();
        let device = rustix::fs::makedev(1, 3);
        rustix::fs::mknodat(&root, "null", FileType::CharacterDevice, node, device).unwrap();
        let deep = from.path().join("component".repeat(20)).join("component".repeat(20));
        fs::create_dir_all(&deep).unwrap();
        symlink("t".repeat(300), deep.join("link")).unwrap();
        opened(&file)
            .set_modified(std::time::UNIX_EPOCH + std::time::Duration::new(5, 123_456_789))
            .unwrap();

        let (_, bytes) = packed(Pack::tree(), from.path()).unwrap();
        let target = opened(to.path());
        Unpack::new(target.as_fd(), Whiteouts::Apply, Limits::default())
            .apply(&mut &bytes[..])
            .unwrap();

        // The same bytes again: owners, modes, times, attributes and content are all in them.
        assert_eq!(packed(Pack::tree(), to.path()).unwrap().1, bytes);
        let unpacked = fs::metadata(to.path().join(name)).unwrap();
        assert_eq!(
            (unpacked.uid(), unpacked.gid(), unpacked.mode() & 0o7777),
            (3_000_000, 42, 0o4711)
        );
        assert_eq!((unpacked.mtime(), unpacked.mtime_nsec()), (5, 123_456_789));
    }

    #[test]
    fn an_overlay_says_again_what_its_layer_said() {
        if !is_root() {
            return;
        }
        let upper = tempfile::tempdir().unwrap();
        let layer = written(&["dir/.wh..wh..opq", "dir/kept", "other/.wh.gone"]);
        let target = opened(upper.path());
        Unpack::new(target.as_fd(), Whiteouts::Overlay, Limits::default())
            .apply(&mut &layer[..])
            .unwrap();

        let (_, bytes) = packed(Pack::overlay_upper(), upper.path()).unwrap();

        let expected = ["", "dir", "dir/.wh..wh..opq", "dir/kept", "other", "other/.wh.gone"];
        assert_eq!(paths(&bytes), expected);
    }

    #[test]
    fn changes_alone_are_written_and_later_times_clamped() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir_all(at("a/b")).unwrap();
        fs::write(at("a/one"), b"1").unwrap();
        fs::hard_link(at("a/one"), at("a/two")).unwrap();
        fs::write(at("a/unchanged"), b"").unwrap();
        let changes = [
            ("", Presence::Here),
            ("a", Presence::Here),
            ("a/gone", Presence::Gone),
            ("a/one", Presence::Here),
            ("a/two", Presence::Here),
        ];
        let mut bytes = Vec::new();

        let root = opened(directory.path());
        let pack = Pack::tree().no_later_than(Mtime { seconds: 77, nanoseconds: 0 });
        let changes = changes.map(|(path, presence)| (Path::new(path), presence));
        let packed = pack.write_changes(root.as_fd(), changes, &mut bytes).unwrap();

        assert_eq!(paths(&bytes), ["", "a", "a/.wh.gone", "a/one", "a/two"]);
        assert_eq!((packed.entries, packed.bytes), (5, 1));
        let mut reader = Reader::new(&bytes[..], Limits::default()).unwrap();
        let root = reader.next_entry().unwrap().unwrap();
        assert_eq!(root.mtime, Mtime { seconds: 77, nanoseconds: 0 });
        let reserved = [(Path::new("a/.wh.x"), Presence::Gone)];
        let target = opened(directory.path());
        let error = Pack::tree().write_changes(target.as_fd(), reserved, &mut bytes).unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported);
    }

    fn written(names: &[&str]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for name in names {
            builder.append(&marker(name.as_bytes()).unwrap(), &mut io::empty()).unwrap();
        }
        builder.finish().unwrap()
    }

    /// A file of this size with a few bytes in it, its name too long for a header, and a twin.
    fn furnish_sparse(directory: &Path, size: u64) {
        let name = "long".repeat(40);
        fs::create_dir(directory.join("images")).unwrap();
        let path = directory.join("images").join(&name);
        let file = File::options().create_new(true).read(true).write(true).open(&path).unwrap();
        file.set_len(size).unwrap();
        for place in [5, size / 3, size - 4 - (1 << 20)] {
            std::os::unix::fs::FileExt::write_all_at(&file, b"data", place).unwrap();
        }
        fs::hard_link(&path, directory.join("twin")).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    }

    #[test]
    fn a_sparse_file_costs_its_data_only_and_comes_back_sparse() {
        if !is_root() {
            return;
        }
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        furnish_sparse(from.path(), 10 << 30);

        let (summary, bytes) = packed(Pack::tree(), from.path()).unwrap();
        assert!(bytes.len() < 1 << 20, "{} bytes", bytes.len());
        assert_eq!(summary.bytes, 3 * (64 << 10));
        let target = opened(to.path());
        let unpacked = Unpack::new(target.as_fd(), Whiteouts::Apply, Limits::default())
            .apply(&mut &bytes[..])
            .unwrap();

        assert_eq!(unpacked.bytes, summary.bytes);
        let twin = fs::metadata(to.path().join("twin")).unwrap();
        assert_eq!((twin.len(), twin.nlink()), (10 << 30, 2));
        assert!(twin.blocks() * 512 < 1 << 20, "{} blocks", twin.blocks());
        // A copy on another disk, whose holes are the same, gives the same layer.
        assert_eq!(packed(Pack::tree(), to.path()).unwrap().1, bytes);
    }

    #[test]
    fn gnu_tar_reads_sparse_files_as_they_were() {
        if !is_root() {
            return;
        }
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        furnish_sparse(from.path(), 1 << 30);
        let (_, bytes) = packed(Pack::tree(), from.path()).unwrap();
        let archive = to.path().join("archive.tar");
        fs::write(&archive, &bytes).unwrap();

        let tar = |action: &str, at: &Path| {
            let mut command = std::process::Command::new("tar");
            command.arg(action).arg("-f").arg(&archive).arg("-C").arg(at);
            let output = command.output().unwrap();
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "tar {action}: {errors}");
        };
        // Compares content, size, owner, mode and time of each file; then makes them.
        tar("--compare", from.path());
        let fresh = to.path().join("fresh");
        fs::create_dir(&fresh).unwrap();
        tar("--extract", &fresh);

        let twin = fs::metadata(fresh.join("twin")).unwrap();
        assert_eq!(twin.len(), 1 << 30);
        assert!(twin.blocks() * 512 < 1 << 20, "{} blocks", twin.blocks());
        assert_eq!(packed(Pack::tree(), &fresh).unwrap().1, bytes);
    }

    #[test]
    fn holes_are_written_where_a_form_wants_them() {
        let directory = tempfile::tempdir().unwrap();
        fs::File::create_new(directory.path().join("file")).unwrap().set_len(2 << 20).unwrap();

        let (summary, bytes) = packed(Pack::tree().with_holes(), directory.path()).unwrap();

        assert_eq!(summary.bytes, 2 << 20);
        assert!(bytes.len() > 2 << 20);
    }

    #[test]
    fn what_an_image_cannot_say_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(".wh.x"), b"").unwrap();

        let error = packed(Pack::tree(), directory.path()).unwrap_err();

        assert_eq!(error.kind(), Kind::Unsupported);
        assert!(error.one_line().starts_with("pack \".wh.x\": "), "{}", error.one_line());
        if !is_root() {
            return;
        }
        let upper = tempfile::tempdir().unwrap();
        let redirect = "trusted.overlay.redirect";
        rustix::fs::setxattr(upper.path(), redirect, b"/etc", rustix::fs::XattrFlags::empty())
            .unwrap();

        let error = packed(Pack::overlay_upper(), upper.path()).unwrap_err();

        assert_eq!(error.kind(), Kind::Unsupported);
        assert!(error.innermost_hint().is_some());
    }
}
