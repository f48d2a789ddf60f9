//! One entry of an archive, as data: what [`crate::Reader`] yields and [`crate::Builder`] writes.

use crate::path::ArchivePath;

/// What an entry says about one name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Where it goes.
    pub path: ArchivePath,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits, with set-user-id, set-group-id and sticky; nothing above `0o7777`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// When its content last changed.
    pub mtime: Mtime,
    /// Extended attributes, in the order of the archive.
    pub xattrs: Vec<Xattr>,
}

impl Entry {
    /// An entry owned by root, of 1970, without extended attributes.
    pub fn new(path: ArchivePath, kind: EntryKind, mode: u32) -> Self {
        Self { path, kind, mode, uid: 0, gid: 0, mtime: Mtime::default(), xattrs: Vec::new() }
    }
}

/// What sort of file an entry makes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum EntryKind {
    /// A regular file; its content follows in the stream.
    File {
        /// The size of the file, with its holes.
        size: u64,
    },
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink {
        /// Any text; it is resolved by whoever follows the link, in the root of the container.
        target: Vec<u8>,
    },
    /// Another name for a file that the archive has already brought.
    HardLink {
        /// The earlier name.
        target: ArchivePath,
    },
    /// A named pipe.
    Fifo,
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
}

/// A time on a file: seconds from 1970, which may be negative, and nanoseconds after them.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Mtime {
    /// Seconds from 1970, rounded down.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanoseconds: u32,
}

/// An extended attribute.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Xattr {
    /// With its namespace: `security.capability`.
    pub name: Vec<u8>,
    /// Any bytes.
    pub value: Vec<u8>,
}
