//! A directory as an image of EROFS: one file that the kernel mounts, read-only by its nature.
//!
//! ```text
//!  block 0   1..              everywhere behind
//!  super     root's inode     content, and inodes in between: an inode, its attributes, its tail
//! ```
//!
//! An inode is found by its place (`nid` × 32 bytes), so nothing has to be sorted or moved: a name
//! gets its place when its directory is read, its content is appended in whole blocks, and what is
//! left over, less than a block, lies behind the inode where it fits. Files with holes keep them.
//! Nothing is compressed, so that pages are shared and mapped as they lie there, and content is
//! aligned to blocks: a file system that shares blocks between files shares these too, and then the
//! image costs no copy. The same tree gives the same bytes.
//!
//! The form is that of Linux 5.16 (`fs/erofs/erofs_fs.h`); mounting it from a file needs Linux 6.12.

use crate::{
    attributes::{self, Place},
    copy,
    layer::{names, within},
};
use dhow_base::{Doing, Error, Kind, Result};
use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, SeekFrom, Stat},
    io::Errno,
};
use std::{
    collections::HashMap,
    ffi::{CStr, CString, OsStr},
    fs::File,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{ffi::OsStrExt, fs::FileExt},
    },
    path::{Path, PathBuf},
};

const BLOCK: u64 = 4096;
const BLOCK_LENGTH: usize = 4096;
const SLOT: u64 = 32;
const INODE_BYTES: u64 = 64;
const INODE_LENGTH: usize = 64;
const SUPER_AT: u64 = 1024;
const MAGIC: u32 = 0xe0f5_e1e2;
/// Some files are laid out in chunks (Linux 5.15).
const INCOMPAT_CHUNKED_FILE: u32 = 4;
/// How many started blocks of inodes are kept in mind, to be filled up.
const OPEN_BLOCKS: usize = 64;
/// Chunks of a file with holes are no smaller, and it has no more of them than this.
const LEAST_CHUNK_BITS: u32 = 16;
const MOST_CHUNKS: u64 = 1 << 16;
/// A chunk that is a hole.
const HOLE: u32 = u32::MAX;

/// How an inode's content lies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Layout {
    /// In blocks of its own.
    Plain = 0,
    /// In blocks, and the rest behind the inode.
    Inline = 2,
    /// In chunks, whose places are listed behind the inode.
    Chunks = 4,
}

/// Writes a directory and everything in it into an empty file.
pub(crate) fn write(directory: &OwnedFd, image: &File) -> Result<()> {
    let mut writer = Writer {
        source: directory,
        image,
        end: BLOCK,
        open: Vec::new(),
        links: HashMap::new(),
        inodes: 0,
        has_chunks: false,
    };
    let root = writer.plan(directory, PathBuf::new(), None)?;
    let root_nid = root.nid();
    let mut pending = vec![root];
    while let Some(level) = pending.pop() {
        writer
            .directory(&level, &mut pending)
            .doing(|| format!("write directory /{}", level.path.display()))?;
    }
    writer.finish(root_nid)
}

struct Writer<'w> {
    source: &'w OwnedFd,
    image: &'w File,
    /// Where the next block begins.
    end: u64,
    /// Blocks of inodes with some room left: where it begins, and how much it is.
    open: Vec<(u64, u64)>,
    /// The inodes of files that have several names.
    links: HashMap<(u64, u64), u64>,
    inodes: u64,
    has_chunks: bool,
}

/// A directory whose place is known and whose names are not written yet.
struct Level {
    path: PathBuf,
    stat: Stat,
    xattrs: Vec<u8>,
    names: Vec<CString>,
    at: u64,
    parent: Option<u64>,
    size: u64,
    layout: Layout,
    content: u32,
}

impl Level {
    fn nid(&self) -> u64 {
        self.at / SLOT
    }
}

/// A name in a directory.
struct Entry {
    name: Vec<u8>,
    nid: u64,
    kind: u8,
}

/// What an inode says, besides what its file says of itself.
struct Inode<'i> {
    stat: &'i Stat,
    xattrs: &'i [u8],
    layout: Layout,
    size: u64,
    /// Where the content begins, which device it is, or how large its chunks are.
    word: u32,
    links: u64,
}

impl Writer<'_> {
    /// Reads a directory's names and gives it a place.
    fn plan(&mut self, fd: &OwnedFd, path: PathBuf, parent: Option<u64>) -> Result<Level> {
        let stat = rustix::fs::fstat(fd).doing(|| "look at it")?;
        let xattrs = encoded_attributes(&Place::of(fd))?;
        let mut names = names(fd)?;
        names.sort_unstable();
        let size = listing(&entries(&names, 0, 0)).len() as u64;
        let (at, layout, content) = self.place(size, xattrs.len() as u64)?;
        Ok(Level { path, stat, xattrs, names, at, parent, size, layout, content })
    }

    fn directory(&mut self, level: &Level, pending: &mut Vec<Level>) -> Result<()> {
        let fd = within(self.source, &level.path).doing(|| "open it")?;
        let nid = level.nid();
        let mut entries = entries(&level.names, nid, level.parent.unwrap_or(nid));
        let mut links = 2;
        for entry in entries.iter_mut().filter(|entry| entry.nid == 0) {
            let name = CString::new(entry.name.as_slice()).expect("it came from the kernel");
            let doing = || format!("write {name:?}");
            let stat = rustix::fs::statat(&fd, &name, AtFlags::SYMLINK_NOFOLLOW).doing(doing)?;
            let kind = FileType::from_raw_mode(stat.st_mode);
            entry.kind = kind_number(kind);
            if kind == FileType::Directory {
                let path = level.path.join(OsStr::from_bytes(&entry.name));
                let below = within(&fd, Path::new(OsStr::from_bytes(&entry.name))).doing(doing)?;
                let below = self.plan(&below, path, Some(nid)).doing(doing)?;
                entry.nid = below.nid();
                pending.push(below);
                links += 1;
            } else {
                entry.nid = self.name(&fd, &name, &stat, kind).doing(doing)?;
            }
        }
        let content = listing(&entries);
        let inode = Inode {
            stat: &level.stat,
            xattrs: &level.xattrs,
            layout: level.layout,
            size: level.size,
            word: level.content,
            links,
        };
        self.inode(level.at, &inode, &content)
    }

    /// Writes a file that is no directory, once for all of its names.
    fn name(&mut self, fd: &OwnedFd, name: &CStr, stat: &Stat, kind: FileType) -> Result<u64> {
        let identity = (stat.st_dev, stat.st_ino);
        if stat.st_nlink > 1
            && let Some(nid) = self.links.get(&identity)
        {
            return Ok(*nid);
        }
        let xattrs = encoded_attributes(&Place::within(fd, name))?;
        let nid = match kind {
            FileType::RegularFile => self.file(fd, name, stat, &xattrs)?,
            FileType::Symlink => {
                let target =
                    rustix::fs::readlinkat(fd, name, Vec::new()).doing(|| "read the link")?;
                self.small(stat, &xattrs, target.as_bytes(), 0)?
            }
            _ => self.small(stat, &xattrs, b"", device(stat.st_rdev))?,
        };
        if stat.st_nlink > 1 {
            self.links.insert(identity, nid);
        }
        Ok(nid)
    }

    /// Writes an inode whose content is in memory. `word` counts where there is none.
    fn small(&mut self, stat: &Stat, xattrs: &[u8], content: &[u8], word: u32) -> Result<u64> {
        let size = content.len() as u64;
        let (at, layout, begin) = self.place(size, xattrs.len() as u64)?;
        let word = if content.is_empty() { word } else { begin };
        let inode = Inode { stat, xattrs, layout, size, word, links: stat.st_nlink };
        self.inode(at, &inode, content)?;
        Ok(at / SLOT)
    }

    fn file(&mut self, fd: &OwnedFd, name: &CStr, stat: &Stat, xattrs: &[u8]) -> Result<u64> {
        let size = stat.st_size.cast_unsigned();
        if size == 0 {
            return self.small(stat, xattrs, b"", 0);
        }
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = rustix::fs::openat(fd, name, flags, Mode::empty()).doing(|| "open it")?;
        let held = stat.st_blocks.cast_unsigned().saturating_mul(512);
        if held + (1 << LEAST_CHUNK_BITS) < size {
            return self.sparse(&file, stat, xattrs);
        }
        let (at, layout, begin) = self.place(size, xattrs.len() as u64)?;
        let whole = if layout == Layout::Inline { size - size % BLOCK } else { size };
        copy::range(&file, self.image.as_fd(), 0..whole, u64::from(begin) * BLOCK)
            .doing(|| "copy its content")?;
        let file = File::from(file);
        let mut tail = vec![0; usize::try_from(size - whole).expect("less than a block")];
        file.read_exact_at(&mut tail, whole).doing(|| "read its end")?;
        let inode = Inode { stat, xattrs, layout, size, word: begin, links: stat.st_nlink };
        self.inode(at, &inode, &tail)?;
        Ok(at / SLOT)
    }

    /// Writes a file with holes: the chunks that have data, and a map of them.
    fn sparse(&mut self, file: &OwnedFd, stat: &Stat, xattrs: &[u8]) -> Result<u64> {
        let size = stat.st_size.cast_unsigned();
        let mut bits = LEAST_CHUNK_BITS;
        while size >> bits >= MOST_CHUNKS {
            bits += 1;
        }
        let chunk = 1_u64 << bits;
        let count = usize::try_from(size.div_ceil(chunk)).expect("there are few chunks");
        let mut map = vec![HOLE; count];
        let mut offset = 0;
        while let Some(start) = next_data(file, offset, size)? {
            let begin = start - start % chunk;
            let end = (begin + chunk).min(size);
            let to = self.blocks(end - begin)?;
            copy::range(file, self.image.as_fd(), begin..end, u64::from(to) * BLOCK)
                .doing(|| "copy its content")?;
            map[usize::try_from(begin / chunk).expect("there are few chunks")] = to;
            offset = end;
        }
        self.has_chunks = true;
        let map: Vec<u8> = map.iter().flat_map(|place| place.to_le_bytes()).collect();
        let at = self.reserve(INODE_BYTES + xattrs.len() as u64 + map.len() as u64)?;
        // The map lies there like a tail, but counts to no size.
        let word = bits - BLOCK.trailing_zeros();
        let links = stat.st_nlink;
        let inode = Inode { stat, xattrs, layout: Layout::Chunks, size, word, links };
        self.inode(at, &inode, &map)?;
        Ok(at / SLOT)
    }

    /// Finds a place for an inode with content of this size: where it is, how its content lies, and
    /// the first block of that.
    fn place(&mut self, size: u64, xattrs: u64) -> Result<(u64, Layout, u32)> {
        let (head, tail) = (INODE_BYTES + xattrs, size % BLOCK);
        if tail > 0 && head + tail <= BLOCK {
            let at = self.reserve(head + tail)?;
            return Ok((at, Layout::Inline, self.blocks(size - tail)?));
        }
        let at = self.reserve(head)?;
        Ok((at, Layout::Plain, self.blocks(size)?))
    }

    /// Room for an inode and what lies behind it, within one block where that is possible: a tail
    /// may not cross the end of one.
    fn reserve(&mut self, bytes: u64) -> Result<u64> {
        self.inodes += 1;
        if bytes > BLOCK {
            return Ok(u64::from(self.blocks(bytes)?) * BLOCK);
        }
        let bytes = bytes.next_multiple_of(SLOT);
        if let Some(open) = self.open.iter_mut().find(|(_, room)| *room >= bytes) {
            let at = open.0;
            *open = (at + bytes, open.1 - bytes);
            return Ok(at);
        }
        if self.open.len() == OPEN_BLOCKS {
            let fullest = (0..OPEN_BLOCKS).min_by_key(|index| self.open[*index].1);
            self.open.swap_remove(fullest.expect("there are some"));
        }
        let at = u64::from(self.blocks(BLOCK)?) * BLOCK;
        self.open.push((at + bytes, BLOCK - bytes));
        Ok(at)
    }

    /// Appends so many bytes in whole blocks and returns the number of the first.
    fn blocks(&mut self, bytes: u64) -> Result<u32> {
        let first = u32::try_from(self.end / BLOCK).ok().filter(|first| *first != HOLE);
        self.end += bytes.next_multiple_of(BLOCK);
        first.ok_or_else(|| Error::new(Kind::Exhausted, "an image holds at most 16 TiB"))
    }

    /// Writes an inode, its attributes, and behind them its tail; content that is in blocks of its
    /// own was written, but for what is in memory.
    fn inode(&self, at: u64, inode: &Inode<'_>, content: &[u8]) -> Result<()> {
        let Inode { stat, xattrs, layout, size, word, links } = inode;
        let mut bytes = Vec::with_capacity(BLOCK_LENGTH);
        let has_version_2 = 1;
        let format = has_version_2 | ((*layout as u16) << 1);
        // The count is of words of four bytes; a header of twelve is one.
        let xattr_words = if xattrs.is_empty() { 0 } else { (xattrs.len() - 12) / 4 + 1 };
        let xattr_words = u16::try_from(xattr_words)
            .map_err(|_| Error::new(Kind::Unsupported, "it has too many extended attributes"))?;
        let mode = u16::try_from(stat.st_mode & 0xffff).expect("sixteen bits");
        for word in [format, xattr_words, mode, 0] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(size.to_le_bytes());
        bytes.extend(word.to_le_bytes());
        // The number is told by the place; this one is for kernels whose numbers have 32 bits.
        let number = u32::try_from((at / SLOT) & 0xffff_ffff).expect("32 bits");
        for number in [number, stat.st_uid, stat.st_gid] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(stat.st_mtime.to_le_bytes());
        let nanoseconds = u32::try_from(stat.st_mtime_nsec).unwrap_or(0);
        let links = u32::try_from(*links).unwrap_or(u32::MAX);
        for number in [nanoseconds, links] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.resize(INODE_LENGTH, 0);
        bytes.extend(*xattrs);
        // Of a file's content only the tail is in memory; of a directory or link all is.
        let (blocks, tail) = match layout {
            Layout::Plain => (content, &b""[..]),
            Layout::Inline => content.split_at(content.len() - content.len() % BLOCK_LENGTH),
            Layout::Chunks => (&b""[..], content),
        };
        bytes.extend(tail);
        self.put(&bytes, at)?;
        self.put(blocks, u64::from(*word) * BLOCK)
    }

    fn put(&self, bytes: &[u8], at: u64) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.image.write_all_at(bytes, at).doing(|| "write the image")
    }

    fn finish(self, root: u64) -> Result<()> {
        let root = u16::try_from(root).expect("the root is the first inode");
        let blocks = u32::try_from(self.end / BLOCK)
            .map_err(|_| Error::new(Kind::Exhausted, "an image holds at most 16 TiB"))?;
        let mut bytes = vec![0; 128];
        let mut set = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        set(0, &MAGIC.to_le_bytes());
        set(12, &[u8::try_from(BLOCK.trailing_zeros()).expect("twelve"), 0]);
        set(14, &root.to_le_bytes());
        set(16, &self.inodes.to_le_bytes());
        set(36, &blocks.to_le_bytes());
        // Inodes are counted from the beginning (40), and no attributes are shared (44).
        let incompatible = if self.has_chunks { INCOMPAT_CHUNKED_FILE } else { 0 };
        set(80, &incompatible.to_le_bytes());
        self.put(&bytes, SUPER_AT)?;
        self.image.set_len(self.end).doing(|| "write the image")
    }
}

/// Where the next data is at or after `offset`.
fn next_data(file: &OwnedFd, offset: u64, size: u64) -> Result<Option<u64>> {
    if offset >= size {
        return Ok(None);
    }
    match rustix::fs::seek(file, SeekFrom::Data(offset)) {
        Ok(start) => Ok((start < size).then_some(start)),
        Err(Errno::NXIO) => Ok(None),
        Err(Errno::INVAL) => Ok(Some(offset)),
        Err(errno) => Err(errno).doing(|| "look for its holes"),
    }
}

/// The names of a directory in order, with its own and its parent's.
fn entries(names: &[CString], own: u64, parent: u64) -> Vec<Entry> {
    let directory = kind_number(FileType::Directory);
    let fixed = [(b".".to_vec(), own), (b"..".to_vec(), parent)].map(|(name, nid)| Entry {
        name,
        nid,
        kind: directory,
    });
    let others = names.iter().map(|name| Entry { name: name.to_bytes().to_vec(), nid: 0, kind: 0 });
    let mut entries: Vec<Entry> = others.chain(fixed).collect();
    entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    entries
}

/// A directory's content: in each block first all its entries, then their names.
fn listing(entries: &[Entry]) -> Vec<u8> {
    const ENTRY_BYTES: usize = 12;
    let mut bytes: Vec<u8> = Vec::new();
    let mut left = entries;
    while !left.is_empty() {
        bytes.resize(bytes.len().next_multiple_of(BLOCK_LENGTH), 0);
        let mut room = BLOCK_LENGTH;
        let fitting = left.iter().take_while(|entry| {
            let fits = room >= ENTRY_BYTES + entry.name.len();
            room = room.saturating_sub(ENTRY_BYTES + entry.name.len());
            fits
        });
        let (block, rest) = left.split_at(fitting.count());
        let mut name_at = block.len() * ENTRY_BYTES;
        for entry in block {
            bytes.extend(entry.nid.to_le_bytes());
            bytes.extend(u16::try_from(name_at).expect("within a block").to_le_bytes());
            bytes.extend([entry.kind, 0]);
            name_at += entry.name.len();
        }
        block.iter().for_each(|entry| bytes.extend(&entry.name));
        left = rest;
    }
    bytes
}

/// The kinds as the kernel numbers them in directories.
fn kind_number(kind: FileType) -> u8 {
    match kind {
        FileType::RegularFile => 1,
        FileType::Directory => 2,
        FileType::CharacterDevice => 3,
        FileType::BlockDevice => 4,
        FileType::Fifo => 5,
        FileType::Socket => 6,
        FileType::Symlink => 7,
        FileType::Unknown => 0,
    }
}

/// A device number in the kernel's own 32 bits.
fn device(device: u64) -> u32 {
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}

/// The extended attributes as they lie behind an inode: a header of zeros, then each with its kind
/// as a number, its name and its value, padded to four bytes.
fn encoded_attributes(place: &Place) -> Result<Vec<u8>> {
    let mut names = attributes::every_name(place)?;
    names.sort_unstable();
    let mut bytes = Vec::new();
    for name in &names {
        let Some((kind, rest)) = kind_of_attribute(name.to_bytes()) else { continue };
        let value = attributes::value(place, name)?;
        let too_long =
            |_| Error::new(Kind::Unsupported, format!("the attribute {name:?} is too long"));
        let (name_length, value_length) = (
            u8::try_from(rest.len()).map_err(too_long)?,
            u16::try_from(value.len()).map_err(too_long)?,
        );
        if bytes.is_empty() {
            bytes.resize(12, 0);
        }
        bytes.extend([name_length, kind]);
        bytes.extend(value_length.to_le_bytes());
        bytes.extend(rest);
        bytes.extend(&value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    Ok(bytes)
}

/// The number of an attribute's namespace and what its name is in there. What belongs to the file
/// system that a file lies on has none.
fn kind_of_attribute(name: &[u8]) -> Option<(u8, &[u8])> {
    match name {
        b"system.posix_acl_access" => Some((2, b"")),
        b"system.posix_acl_default" => Some((3, b"")),
        _ => [(1, &b"user."[..]), (4, b"trusted."), (6, b"security.")]
            .into_iter()
            .find_map(|(kind, prefix)| Some((kind, name.strip_prefix(prefix)?))),
    }
}

#[cfg(test)]
mod tests;
