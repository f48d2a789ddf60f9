//! A directory tree as data, in the manner of `mtree`: everything that a layer must preserve.
//!
//! Two trees are compared path by path and attribute by attribute, so that a failed test names the
//! file and what differs, not two digests.

use dhow_base::{
    Digest, Doing, Result,
    digest::{Algorithm, Hasher},
};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, File, Metadata},
    io,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{FileTypeExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

/// What sort of file it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A character device.
    Character,
    /// A block device.
    Block,
    /// A named pipe.
    Fifo,
    /// A socket, which no layer can hold.
    Socket,
}

/// One file with all that a layer must preserve of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// What sort of file it is.
    pub kind: Kind,
    /// Permission bits with set-id and sticky bits.
    pub mode: u32,
    /// The owning user's id.
    pub uid: u32,
    /// The owning group's id.
    pub gid: u32,
    /// The size of a regular file; 0 for everything else.
    pub size: u64,
    /// The digest of a regular file's content.
    pub content: Option<Digest>,
    /// Seconds and nanoseconds of the last change.
    pub mtime: (i64, i64),
    /// A symbolic link's target.
    pub target: Option<Vec<u8>>,
    /// Major and minor number of a device.
    pub device: Option<(u32, u32)>,
    /// The first path, in byte order, of all in this tree that are the same file.
    pub same_as: Option<Vec<u8>>,
    /// Extended attributes, security.capability included.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// A tree, by path from its root in bytes (paths need not be UTF-8). The root itself is `.`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tree {
    /// The entries by path.
    pub entries: BTreeMap<Vec<u8>, Entry>,
}

impl Tree {
    /// Reads a directory and all below it, on one file system.
    pub fn read(root: &Path) -> Result<Self> {
        let mut entries: BTreeMap<Vec<u8>, Entry> = BTreeMap::new();
        let mut identities = BTreeMap::new();
        let device = metadata(root)?.dev();
        let mut waiting = vec![PathBuf::new()];
        while let Some(relative) = waiting.pop() {
            let path = root.join(&relative);
            let meta = metadata(&path)?;
            if meta.is_dir() && meta.dev() == device {
                for child in fs::read_dir(&path).doing(|| format!("list {}", path.display()))? {
                    let child = child.doing(|| format!("list {}", path.display()))?;
                    waiting.push(relative.join(child.file_name()));
                }
            }
            let name = name_of(relative);
            let mut known: Option<&Entry> = None;
            if !meta.is_dir() && meta.nlink() > 1 {
                let names: &mut Vec<Vec<u8>> =
                    identities.entry((meta.dev(), meta.ino())).or_default();
                known = names.first().and_then(|first| entries.get(first));
                names.push(name.clone());
            }
            // A busybox has 300 names; it is read and hashed once.
            let entry = known.cloned().map_or_else(|| entry(&path, &meta), Ok)?;
            entries.insert(name, entry);
        }
        group_links(&mut entries, identities.into_values());
        Ok(Self { entries })
    }

    /// The entry at a path from the root, such as `usr/bin/env`.
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path.as_bytes())
    }

    /// The tree without the times of last change, for those who do not keep them.
    #[must_use]
    pub fn without_times(mut self) -> Self {
        for entry in self.entries.values_mut() {
            entry.mtime = (0, 0);
        }
        self
    }

    /// The tree without a path and all below it.
    #[must_use]
    pub fn without(mut self, path: &str) -> Self {
        let below = format!("{path}/");
        self.entries
            .retain(|name, _| name != path.as_bytes() && !name.starts_with(below.as_bytes()));
        self
    }

    /// What differs, one line each: `usr/bin/x: mode 755, not 644`. Empty where the trees are equal.
    pub fn differences(&self, expected: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for (path, wanted) in &expected.entries {
            match self.entries.get(path) {
                None => lines.push(format!("{}: missing", shown(path))),
                Some(entry) => entry.describe_changes(wanted, &shown(path), &mut lines),
            }
        }
        for path in self.entries.keys().filter(|path| !expected.entries.contains_key(*path)) {
            lines.push(format!("{}: should not be there", shown(path)));
        }
        lines
    }

    /// Panics with the first differences unless the trees are equal.
    pub fn assert_same(&self, expected: &Self) {
        let lines = self.differences(expected);
        let first = lines.iter().take(20).cloned().collect::<Vec<_>>().join("\n  ");
        assert!(lines.is_empty(), "{} differences between trees:\n  {first}", lines.len());
    }
}

impl Entry {
    /// Reads one file, without what it shares with others.
    pub fn read(path: &Path) -> Result<Self> {
        entry(path, &metadata(path)?)
    }

    fn describe_changes(&self, wanted: &Self, path: &str, lines: &mut Vec<String>) {
        let mut say = |what: &str, is: String, not: String| {
            if is != not {
                lines.push(format!("{path}: {what} {is}, not {not}"));
            }
        };
        let text = |bytes: &Option<Vec<u8>>| {
            bytes.as_deref().map_or_else(|| "of nothing".to_owned(), shown)
        };
        say("kind", format!("{:?}", self.kind), format!("{:?}", wanted.kind));
        say("mode", format!("{:o}", self.mode), format!("{:o}", wanted.mode));
        say("user", self.uid.to_string(), wanted.uid.to_string());
        say("group", self.gid.to_string(), wanted.gid.to_string());
        say("size", self.size.to_string(), wanted.size.to_string());
        say("content", format!("{:?}", self.content), format!("{:?}", wanted.content));
        say("mtime", format!("{:?}", self.mtime), format!("{:?}", wanted.mtime));
        say("target", text(&self.target), text(&wanted.target));
        say("device", format!("{:?}", self.device), format!("{:?}", wanted.device));
        say("hard link", text(&self.same_as), text(&wanted.same_as));
        say("xattrs", shown_xattrs(&self.xattrs), shown_xattrs(&wanted.xattrs));
    }
}

fn metadata(path: &Path) -> Result<Metadata> {
    fs::symlink_metadata(path).doing(|| format!("look at {}", path.display()))
}

fn name_of(relative: PathBuf) -> Vec<u8> {
    let name = relative.into_os_string().into_vec();
    if name.is_empty() { b".".to_vec() } else { name }
}

fn entry(path: &Path, meta: &Metadata) -> Result<Entry> {
    let kind = kind_of(meta);
    let regular = kind == Kind::File;
    let target = match kind {
        Kind::Symlink => {
            let target =
                fs::read_link(path).doing(|| format!("read the link {}", path.display()))?;
            Some(target.into_os_string().into_vec())
        }
        _ => None,
    };
    let device = matches!(kind, Kind::Character | Kind::Block)
        .then(|| (rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev())));
    Ok(Entry {
        kind,
        mode: meta.mode() & 0o7777,
        uid: meta.uid(),
        gid: meta.gid(),
        size: if regular { meta.size() } else { 0 },
        content: if regular { Some(content(path)?) } else { None },
        mtime: (meta.mtime(), meta.mtime_nsec()),
        target,
        device,
        same_as: None,
        xattrs: xattrs(path)?,
    })
}

fn kind_of(meta: &Metadata) -> Kind {
    let kind = meta.file_type();
    match () {
        () if kind.is_dir() => Kind::Directory,
        () if kind.is_symlink() => Kind::Symlink,
        () if kind.is_char_device() => Kind::Character,
        () if kind.is_block_device() => Kind::Block,
        () if kind.is_fifo() => Kind::Fifo,
        () if kind.is_socket() => Kind::Socket,
        () => Kind::File,
    }
}

fn content(path: &Path) -> Result<Digest> {
    let doing = || format!("read {}", path.display());
    let mut hasher = Hasher::new(Algorithm::Sha256);
    io::copy(&mut File::open(path).doing(doing)?, &mut hasher).doing(doing)?;
    Ok(hasher.finish())
}

/// Reads all extended attributes; a file system without them has none.
pub(crate) fn xattrs(path: &Path) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    // The kernel's own limits: 64 KiB for the list and for each value.
    let mut list = vec![0_u8; 64 * 1024];
    let length = match rustix::fs::llistxattr(path, list.as_mut_slice()) {
        Ok(length) => length,
        Err(rustix::io::Errno::OPNOTSUPP) => 0,
        Err(errno) => return Err(errno).doing(|| format!("list xattrs of {}", path.display())),
    };
    let mut found = BTreeMap::new();
    for name in list[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0_u8; 64 * 1024];
        let length = rustix::fs::lgetxattr(path, name, value.as_mut_slice())
            .doing(|| format!("read xattr {} of {}", shown(name), path.display()))?;
        value.truncate(length);
        found.insert(name.to_vec(), value);
    }
    Ok(found)
}

fn group_links(entries: &mut BTreeMap<Vec<u8>, Entry>, groups: impl Iterator<Item = Vec<Vec<u8>>>) {
    for mut group in groups.filter(|group| group.len() > 1) {
        group.sort();
        for name in &group {
            let entry = entries.get_mut(name).expect("grouped names were inserted");
            entry.same_as = Some(group[0].clone());
        }
    }
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn shown_xattrs(xattrs: &BTreeMap<Vec<u8>, Vec<u8>>) -> String {
    let mut text = String::from("{");
    for (name, value) in xattrs {
        // Writing into a string cannot fail.
        let _written = write!(text, " {}={}", shown(name), shown(value));
    }
    text + " }"
}

/// The path of an entry below a root.
pub(crate) fn below(root: &Path, name: &[u8]) -> PathBuf {
    if name == b"." { root.to_owned() } else { root.join(std::ffi::OsStr::from_bytes(name)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(root: &Path) {
        fs::create_dir(root.join("d")).unwrap();
        fs::write(root.join("d/one"), "same").unwrap();
        fs::hard_link(root.join("d/one"), root.join("two")).unwrap();
        std::os::unix::fs::symlink("d/one", root.join("link")).unwrap();
    }

    #[test]
    fn a_tree_knows_kinds_contents_targets_and_hard_links() {
        let root = tempfile::tempdir().unwrap();
        sample(root.path());

        let tree = Tree::read(root.path()).unwrap();

        assert_eq!(tree.entries.len(), 5);
        assert_eq!(tree.get("two").unwrap().same_as.as_deref(), Some(b"d/one".as_slice()));
        assert_eq!(tree.get("two").unwrap().content, Some(Digest::of(b"same")));
        assert_eq!(tree.get("link").unwrap().target.as_deref(), Some(b"d/one".as_slice()));
    }

    #[test]
    fn each_difference_is_one_line_that_names_the_path() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        sample(a.path());
        sample(b.path());
        fs::remove_file(b.path().join("link")).unwrap();
        fs::write(b.path().join("new"), "").unwrap();
        fs::write(b.path().join("two"), "else").unwrap();
        let read = |path| Tree::read(path).unwrap().without_times();

        let lines = read(b.path()).differences(&read(a.path()));

        let about = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
        assert_eq!((about("link: missing"), about("new: should not")), (1, 1), "{lines:#?}");
        assert_eq!((about("two: content"), about("d/one: content")), (1, 1), "{lines:#?}");
        assert_eq!(lines.len(), 4, "{lines:#?}");
        read(a.path()).assert_same(&read(a.path()));
    }
}
