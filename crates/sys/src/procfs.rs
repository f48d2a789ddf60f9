//! A procfs that is proven to be one.
//!
//! An image or a volume can put any filesystem at `/proc`, and a write to
//! `/proc/self/attr/exec` then goes where its author wants (CVE-2019-16884, CVE-2025-52881). So
//! files are opened from an fd whose filesystem the kernel says is procfs, at its root, and a
//! lookup never leaves that one mount.

use rustix::{
    fs::{Mode, OFlags, ResolveFlags},
    io::Errno,
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags},
};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

/// The inode of a procfs's root directory, `PROC_ROOT_INO`.
const ROOT_INODE: u64 = 1;

/// The root of a procfs.
#[derive(Debug)]
pub struct Procfs {
    root: OwnedFd,
}

impl Procfs {
    /// A procfs of our own that no path leads to. It shows the calling process's PID namespace.
    pub fn private() -> io::Result<Self> {
        let context = rustix::mount::fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
        rustix::mount::fsconfig_create(context.as_fd())?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let root =
            rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
        Ok(Self { root })
    }

    /// The host's `/proc`, checked.
    pub fn of_host() -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Self::proven(rustix::fs::open("/proc", flags, Mode::empty())?)
    }

    /// Takes a directory that should be the root of a procfs; `InvalidData` where it is not.
    pub fn proven(root: OwnedFd) -> io::Result<Self> {
        let filesystem = rustix::fs::fstatfs(&root)?;
        let inode = rustix::fs::fstat(&root)?.st_ino;
        if filesystem.f_type != rustix::fs::PROC_SUPER_MAGIC || inode != ROOT_INODE {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not a procfs"));
        }
        Ok(Self { root })
    }

    /// The root's fd, to keep it while others are closed.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// The root's fd alone.
    pub fn into_fd(self) -> OwnedFd {
        self.root
    }

    /// Opens a file, by a path relative to the root: `self/attr/exec`.
    pub fn open(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        // `self` is an ordinary link within the mount; the magic ones would lead out of it.
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        Ok(rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve)?)
    }

    /// Writes a file in one call, as procfs demands.
    pub fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let file = self.open(path, OFlags::WRONLY)?;
        match rustix::io::write(&file, bytes)? {
            count if count == bytes.len() => Ok(()),
            _ => Err(Errno::IO.into()),
        }
    }

    /// Reads a short file, of less than a page, which procfs gives in one piece.
    pub fn read(&self, path: &str) -> io::Result<String> {
        let file = self.open(Path::new(path), OFlags::RDONLY)?;
        let mut buffer = [0_u8; 4096];
        let count = rustix::io::read(&file, &mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer[..count]).into_owned())
    }

    /// Opens the root directory of a process's, by its magic link; see [`namespace`](Self::namespace).
    pub fn root_of(&self, pid: i32) -> io::Result<OwnedFd> {
        let directory = self.open(Path::new(&pid.to_string()), OFlags::PATH | OFlags::DIRECTORY)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&directory, "root", flags, Mode::empty())?)
    }

    /// Opens one of the magic links to namespaces: `self/ns/pid`. The directory is proven, so what
    /// the link is can only be what the kernel put there.
    pub fn namespace(&self, process: &str, name: &str) -> io::Result<OwnedFd> {
        let directory =
            self.open(Path::new(&format!("{process}/ns")), OFlags::PATH | OFlags::DIRECTORY)?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&directory, name, flags, Mode::empty())?)
    }
}
