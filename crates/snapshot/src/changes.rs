//! What a container has changed: its snapshot compared with the chain that it stands on.
//!
//! Nothing that is unchanged is read. Overlayfs has collected the changes itself, in the upper
//! directory: a name there is new, changed or, as a whiteout, gone. Of whole trees both are walked
//! and the inodes compared; content is read only where an inode changed after the copy was made
//! while its size and time are as before.
//!
//! The list is in the order of the paths' bytes. A path that changed its type is one change, and
//! what lies in the new directory is added.

use crate::{
    attributes::{self, Place},
    layer::{names, within},
    open_directory,
};
use dhow_base::{Doing, Error, Kind, Result};
use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, statat},
    io::Errno,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    ffi::{CStr, CString, OsStr},
    fs::File,
    io::Read,
    os::{
        fd::OwnedFd,
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::{Path, PathBuf},
};

/// What became of a path.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ChangeKind {
    /// It was not there.
    Added,
    /// Its content or its attributes are others.
    Modified,
    /// A directory that has got or lost names, and is otherwise as it was: its time alone differs.
    Touched,
    /// It is gone, with all that was in it.
    Deleted,
}

impl ChangeKind {
    /// The letter by which docker tells it.
    pub fn letter(self) -> char {
        match self {
            Self::Added => 'A',
            Self::Modified | Self::Touched => 'C',
            Self::Deleted => 'D',
        }
    }
}

/// One path that differs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// From the root, without a slash before it. Empty for the root itself, which is listed where
    /// its attributes differ; docker's list leaves it out.
    pub path: PathBuf,
    /// What became of it.
    pub kind: ChangeKind,
}

/// The changes by path.
type Changes = BTreeMap<Vec<u8>, ChangeKind>;

fn listed(changes: Changes) -> Vec<Change> {
    changes
        .into_iter()
        .map(|(path, kind)| Change { path: std::ffi::OsString::from_vec(path).into(), kind })
        .collect()
}

/// The changes in an overlay's upper directory above the layers of `chain`, the uppermost first.
pub(crate) fn of_overlay(upper: &OwnedFd, chain: &[OwnedFd]) -> Result<Vec<Change>> {
    let mut walk = OverlayWalk { upper, chain, changes: Changes::new(), pending: Vec::new() };
    let layers = (0..chain.len()).collect();
    walk.pending.push(Level { path: Vec::new(), below: Below { layers, is_hidden: false } });
    while let Some(level) = walk.pending.pop() {
        walk.directory(&level).doing(|| format!("compare directory {}", shown(&level.path)))?;
    }
    Ok(listed(walk.changes))
}

struct OverlayWalk<'a> {
    upper: &'a OwnedFd,
    chain: &'a [OwnedFd],
    changes: Changes,
    pending: Vec<Level>,
}

/// A directory of the upper one, and what lies below it.
struct Level {
    path: Vec<u8>,
    below: Below,
}

/// The layers that have this directory, the uppermost first.
#[derive(Clone, Default)]
struct Below {
    layers: Vec<usize>,
    /// An opaque directory hides them: what it has not itself is gone.
    is_hidden: bool,
}

/// What the layers show at a name.
enum Seen {
    Nothing,
    File,
    Directory { layers: Vec<usize>, stat: Box<Stat> },
}

impl OverlayWalk<'_> {
    fn directory(&mut self, level: &Level) -> Result<()> {
        let own = beneath(self.upper, &level.path)?;
        let layers = &level.below.layers;
        let below: Vec<(usize, OwnedFd)> = layers
            .iter()
            .map(|layer| Ok((*layer, beneath(&self.chain[*layer], &level.path)?)))
            .collect::<Result<_>>()?;
        if level.path.is_empty() {
            self.compare_root(&own, &below)?;
        }
        let mut gone = if level.below.is_hidden { union(&below)? } else { BTreeSet::new() };
        for name in names(&own)? {
            gone.remove(name.to_bytes());
            self.name(&own, &name, level, &below).doing(|| format!("compare {name:?}"))?;
        }
        for name in gone {
            self.changes.insert(join(&level.path, &name), ChangeKind::Deleted);
        }
        Ok(())
    }

    fn compare_root(&mut self, own: &OwnedFd, below: &[(usize, OwnedFd)]) -> Result<()> {
        let Some((_, top)) = below.first() else { return Ok(()) };
        let (new, old) = (fstat(own).doing(|| "look at it")?, fstat(top).doing(|| "look at it")?);
        let same_xattrs = attributes::same_xattrs(&Place::of(own), &Place::of(top))?;
        let change = directory_change(&new, &old, same_xattrs);
        self.changes.extend(change.map(|kind| (Vec::new(), kind)));
        Ok(())
    }

    fn name(
        &mut self,
        own: &OwnedFd,
        name: &CStr,
        level: &Level,
        below: &[(usize, OwnedFd)],
    ) -> Result<()> {
        let path = join(&level.path, name.to_bytes());
        let stat = statat(own, name, AtFlags::SYMLINK_NOFOLLOW).doing(|| "look at it")?;
        let seen = look_below(below, name)?;
        if is_whiteout(&stat) {
            // What was made and removed again leaves one too.
            if !matches!(seen, Seen::Nothing) {
                self.changes.insert(path, ChangeKind::Deleted);
            }
            return Ok(());
        }
        let is_directory = file_type(&stat) == FileType::Directory;
        let place = Place::within(own, name);
        let notes = attributes::overlay_notes(&place)?;
        if notes.refers_elsewhere {
            let what = "its name or content lies elsewhere, as only its overlay knows";
            return Err(Error::new(Kind::Unsupported, what)
                .hint("mount the overlay with redirect_dir=off,metacopy=off"));
        }
        let mut inner = Below::default();
        match seen {
            Seen::Nothing => drop(self.changes.insert(path.clone(), ChangeKind::Added)),
            Seen::Directory { layers, stat: old } if is_directory => {
                // An opaque directory is one that was made anew.
                let model = beneath(&self.chain[layers[0]], &path)?;
                let same_xattrs = attributes::same_xattrs(&place, &Place::of(&model))?;
                let change = match notes.is_opaque {
                    true => Some(ChangeKind::Modified),
                    false => directory_change(&stat, &old, same_xattrs),
                };
                self.changes.extend(change.map(|kind| (path.clone(), kind)));
                inner = Below { layers, is_hidden: notes.is_opaque || level.below.is_hidden };
            }
            _ => drop(self.changes.insert(path.clone(), ChangeKind::Modified)),
        }
        if is_directory {
            self.pending.push(Level { path, below: inner });
        }
        Ok(())
    }
}

/// The names that layers show together.
fn union(below: &[(usize, OwnedFd)]) -> Result<BTreeSet<Vec<u8>>> {
    let (mut shown, mut hidden) = (BTreeSet::new(), HashSet::new());
    for (_, layer) in below {
        for name in names(layer)? {
            let stat = statat(layer, &name, AtFlags::SYMLINK_NOFOLLOW)
                .doing(|| format!("look at {name:?}"))?;
            let name = name.into_bytes();
            if is_whiteout(&stat) {
                hidden.insert(name);
            } else if !hidden.contains(&name) {
                shown.insert(name);
            }
        }
    }
    Ok(shown)
}

fn look_below(below: &[(usize, OwnedFd)], name: &CStr) -> Result<Seen> {
    let mut layers = Vec::new();
    let mut first = None;
    for (layer, directory) in below {
        let stat = match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => continue,
            Err(errno) => return Err(errno).doing(|| "look at it in the layers below"),
        };
        if is_whiteout(&stat) {
            break;
        }
        if file_type(&stat) != FileType::Directory {
            if layers.is_empty() {
                return Ok(Seen::File);
            }
            break;
        }
        layers.push(*layer);
        first.get_or_insert(stat);
        if attributes::overlay_notes(&Place::within(directory, name))?.is_opaque {
            break;
        }
    }
    Ok(match first {
        Some(stat) => Seen::Directory { layers, stat: Box::new(stat) },
        None => Seen::Nothing,
    })
}

/// By what an inode is known to be untouched since the copy was made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Untouched {
    /// The file system has shared the inodes: both have the same number and time of change.
    SameInode,
    /// The copy was whole at this time of the file system; every later change is later.
    Since((i64, u64)),
    /// Nothing is known: what looks the same is compared.
    Unknown,
}

/// The changes in a whole tree that began as a copy of another.
pub(crate) fn of_tree(tree: &Path, base: &Path, untouched: Untouched) -> Result<Vec<Change>> {
    let (tree, base) = (&open_directory(tree)?, &open_directory(base)?);
    let mut walk = TreeWalk::new(tree, base, untouched);
    walk.root()?;
    while let Some((path, has_base)) = walk.pending.pop() {
        walk.directory(&path, has_base).doing(|| format!("compare directory {}", shown(&path)))?;
    }
    // A new name of an untouched file: both have to be in a layer, to be one file there too.
    for (inode, paths) in walk.unchanged_links {
        if walk.changed_links.contains(&inode) {
            walk.changes.extend(paths.into_iter().map(|path| (path, ChangeKind::Modified)));
        }
    }
    Ok(listed(walk.changes))
}

/// Everything in a tree that began empty.
pub(crate) fn of_new_tree(tree: &Path) -> Result<Vec<Change>> {
    let tree = &open_directory(tree)?;
    let mut walk = TreeWalk::new(tree, tree, Untouched::Unknown);
    walk.pending = vec![(Vec::new(), false)];
    while let Some((path, has_base)) = walk.pending.pop() {
        walk.directory(&path, has_base).doing(|| format!("list directory {}", shown(&path)))?;
    }
    Ok(listed(walk.changes))
}

/// Nothing is left of a tree.
pub(crate) fn of_nothing(base: &Path) -> Result<Vec<Change>> {
    let names = names(&open_directory(base)?)?;
    Ok(listed(names.into_iter().map(|name| (name.into_bytes(), ChangeKind::Deleted)).collect()))
}

type Inode = (u64, u64);

struct TreeWalk<'a> {
    tree: &'a OwnedFd,
    base: &'a OwnedFd,
    untouched: Untouched,
    changes: Changes,
    pending: Vec<(Vec<u8>, bool)>,
    unchanged_links: HashMap<Inode, Vec<Vec<u8>>>,
    changed_links: HashSet<Inode>,
}

impl<'a> TreeWalk<'a> {
    fn new(tree: &'a OwnedFd, base: &'a OwnedFd, untouched: Untouched) -> Self {
        Self {
            tree,
            base,
            untouched,
            changes: Changes::new(),
            pending: vec![(Vec::new(), true)],
            unchanged_links: HashMap::new(),
            changed_links: HashSet::new(),
        }
    }

    fn root(&mut self) -> Result<()> {
        let (new, old) = (
            fstat(self.tree).doing(|| "look at the root")?,
            fstat(self.base).doing(|| "look at the root")?,
        );
        let same_xattrs = attributes::same_xattrs(&Place::of(self.tree), &Place::of(self.base))?;
        let change = directory_change(&new, &old, same_xattrs);
        self.changes.extend(change.map(|kind| (Vec::new(), kind)));
        Ok(())
    }

    fn directory(&mut self, path: &[u8], has_base: bool) -> Result<()> {
        let own = beneath(self.tree, path)?;
        let base = has_base.then(|| beneath(self.base, path)).transpose()?;
        let mut old_names: BTreeSet<CString> = match &base {
            Some(base) => names(base)?.into_iter().collect(),
            None => BTreeSet::new(),
        };
        for name in names(&own)? {
            let old = base.as_ref().filter(|_| old_names.remove(&name));
            self.name(&own, old, &name, path).doing(|| format!("compare {name:?}"))?;
        }
        for name in old_names {
            self.changes.insert(join(path, name.to_bytes()), ChangeKind::Deleted);
        }
        Ok(())
    }

    fn name(
        &mut self,
        own: &OwnedFd,
        base: Option<&OwnedFd>,
        name: &CStr,
        directory: &[u8],
    ) -> Result<()> {
        let path = join(directory, name.to_bytes());
        let stat = statat(own, name, AtFlags::SYMLINK_NOFOLLOW).doing(|| "look at it")?;
        let is_directory = file_type(&stat) == FileType::Directory;
        let Some(base) = base else {
            self.change(&stat, path.clone(), ChangeKind::Added);
            if is_directory {
                self.pending.push((path, false));
            }
            return Ok(());
        };
        let old = statat(base, name, AtFlags::SYMLINK_NOFOLLOW).doing(|| "look at it before")?;
        let is_unchanged = self.is_untouched(&stat, &old)
            || (looks_same(&stat, &old) && holds_same(own, base, name, &stat)?);
        if is_unchanged {
            if !is_directory && stat.st_nlink > 1 {
                let inode = (stat.st_dev, stat.st_ino);
                self.unchanged_links.entry(inode).or_default().push(path.clone());
            }
        } else {
            let both = is_directory && file_type(&old) == FileType::Directory;
            let place = |directory| Place::within(directory, name);
            let kind = match both && attributes::same_xattrs(&place(own), &place(base))? {
                true => directory_change(&stat, &old, true).unwrap_or(ChangeKind::Modified),
                false => ChangeKind::Modified,
            };
            self.change(&stat, path.clone(), kind);
        }
        if is_directory {
            self.pending.push((path, file_type(&old) == FileType::Directory));
        }
        Ok(())
    }

    fn change(&mut self, stat: &Stat, path: Vec<u8>, kind: ChangeKind) {
        if file_type(stat) != FileType::Directory && stat.st_nlink > 1 {
            self.changed_links.insert((stat.st_dev, stat.st_ino));
        }
        self.changes.insert(path, kind);
    }

    fn is_untouched(&self, new: &Stat, old: &Stat) -> bool {
        looks_same(new, old)
            && match self.untouched {
                Untouched::SameInode => {
                    (new.st_ino, new.st_ctime, new.st_ctime_nsec)
                        == (old.st_ino, old.st_ctime, old.st_ctime_nsec)
                }
                Untouched::Since(moment) => (new.st_ctime, new.st_ctime_nsec) < moment,
                Untouched::Unknown => false,
            }
    }
}

/// What became of a directory that was there before, as far as its own inode tells.
fn directory_change(new: &Stat, old: &Stat, same_xattrs: bool) -> Option<ChangeKind> {
    match (has_same_attributes(new, old) && same_xattrs, has_same_time(new, old)) {
        (true, true) => None,
        (true, false) => Some(ChangeKind::Touched),
        (false, _) => Some(ChangeKind::Modified),
    }
}

/// Do two inodes say the same of themselves?
fn looks_same(new: &Stat, old: &Stat) -> bool {
    has_same_attributes(new, old) && has_same_time(new, old)
}

fn has_same_attributes(new: &Stat, old: &Stat) -> bool {
    let of = |stat: &Stat| {
        let is_directory = file_type(stat) == FileType::Directory;
        // The size of a directory and the number of its links are the file system's affair.
        let extent = if is_directory { (0, 0) } else { (stat.st_size, stat.st_nlink) };
        (stat.st_mode, stat.st_uid, stat.st_gid, stat.st_rdev, extent)
    };
    of(new) == of(old)
}

fn has_same_time(new: &Stat, old: &Stat) -> bool {
    (new.st_mtime, new.st_mtime_nsec) == (old.st_mtime, old.st_mtime_nsec)
}

/// Have two files that look the same the same target, attributes and content?
fn holds_same(own: &OwnedFd, base: &OwnedFd, name: &CStr, stat: &Stat) -> Result<bool> {
    if !attributes::same_xattrs(&Place::within(own, name), &Place::within(base, name))? {
        return Ok(false);
    }
    match file_type(stat) {
        FileType::Symlink => {
            let target = |directory: &OwnedFd| {
                rustix::fs::readlinkat(directory, name, Vec::new()).doing(|| "read the link")
            };
            Ok(target(own)? == target(base)?)
        }
        FileType::RegularFile => {
            let open = |directory: &OwnedFd| {
                let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
                rustix::fs::openat(directory, name, flags, Mode::empty())
                    .map(File::from)
                    .doing(|| "open it")
            };
            same_content(open(own)?, open(base)?).doing(|| "read it")
        }
        _ => Ok(true),
    }
}

fn same_content(mut new: File, mut old: File) -> std::io::Result<bool> {
    const PIECE_BYTES: u64 = 64 << 10;
    let (mut left, mut right) = (Vec::new(), Vec::new());
    loop {
        left.clear();
        right.clear();
        Read::by_ref(&mut new).take(PIECE_BYTES).read_to_end(&mut left)?;
        Read::by_ref(&mut old).take(PIECE_BYTES).read_to_end(&mut right)?;
        if left != right || left.is_empty() {
            return Ok(left == right);
        }
    }
}

fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

fn is_whiteout(stat: &Stat) -> bool {
    file_type(stat) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// Opens a directory of a tree, by which no link leads out of it.
fn beneath(root: &OwnedFd, path: &[u8]) -> Result<OwnedFd> {
    within(root, Path::new(OsStr::from_bytes(path))).doing(|| format!("open {}", shown(path)))
}

fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}

fn shown(path: &[u8]) -> String {
    format!("/{}", Path::new(OsStr::from_bytes(path)).display())
}
