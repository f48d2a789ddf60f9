//! A tmpfs that begins with the files which it hides (`tmpcopyup`).
//!
//! Every name is taken from an open directory, and no link is followed: the directory is the
//! image's, and somebody with a shared volume may be changing it meanwhile. Owners, modes, times,
//! extended attributes, symbolic and hard links, devices and pipes come along; the tmpfs's own size
//! is the limit. What a socket was bound to is gone, so sockets stay behind.

use crate::mounts::place_in;
use dhow_base::{Doing, Error, Kind, Result};
use rustix::{
    fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags},
    io::Errno,
};
use std::{
    collections::HashMap,
    ffi::{CStr, CString, OsStr},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

/// How deep directories may lie in each other; an open fd pair is kept for each.
const DEPTH: usize = 200;

/// The largest list of names, or value, that the kernel has for extended attributes.
const ATTRIBUTE_BYTES: usize = 64 << 10;

/// How much one call copies.
const CHUNK_BYTES: usize = 1 << 20;

/// Copies what is in the directory `from`, and what the directory itself is, to `to`, a tmpfs that
/// was made with `options`. What these say about its root holds.
pub(crate) fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>, options: &[String]) -> Result<()> {
    let here = OsStr::new(".");
    let mut copying = Copying { links: HashMap::new(), root: reopen(to, here)? };
    let source = reopen(from, here)?;
    let target = reopen(to, here)?;
    copying.directory(&source, &target, Path::new(""))?;
    let mut status = rustix::fs::fstat(&source).doing(|| "look at the directory")?;
    let made = rustix::fs::fstat(&target).doing(|| "look at the tmpfs")?;
    let says = |name: &str| options.iter().any(|option| option.starts_with(name));
    if says("mode=") {
        status.st_mode = made.st_mode;
    }
    if says("uid=") {
        status.st_uid = made.st_uid;
    }
    if says("gid=") {
        status.st_gid = made.st_gid;
    }
    dress(&source, &target, &status).doing(|| "dress the directory")
}

/// A directory below an open one, to be read.
fn reopen(directory: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(directory, name, flags, Mode::empty()).doing(|| "open the directory")
}

/// What one copy remembers.
struct Copying {
    /// Where the first name of a file with several names went, by device and inode.
    links: HashMap<(u64, u64), std::path::PathBuf>,
    root: OwnedFd,
}

impl Copying {
    fn directory(&mut self, from: &OwnedFd, to: &OwnedFd, path: &Path) -> Result<()> {
        if path.components().count() > DEPTH {
            let text = format!("copy {}: more than {DEPTH} directories deep", path.display());
            return Err(Error::new(Kind::Exhausted, text));
        }
        let doing = || format!("read {}", path.join(".").display());
        for entry in Dir::read_from(from).doing(doing)? {
            let entry = entry.doing(doing)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                let path = path.join(name);
                self.entry(from, to, name, &path).doing(|| format!("copy {}", path.display()))?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, from: &OwnedFd, to: &OwnedFd, name: &OsStr, path: &Path) -> Result<()> {
        let status =
            rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW).doing(|| "look at it")?;
        let kind = FileType::from_raw_mode(status.st_mode);
        if kind != FileType::Directory && status.st_nlink > 1 {
            let file = (status.st_dev, status.st_ino);
            if let Some(first) = self.links.get(&file) {
                return rustix::fs::linkat(&self.root, first, to, name, AtFlags::empty())
                    .doing(|| format!("link it to {}", first.display()));
            }
            self.links.insert(file, path.to_owned());
        }
        match kind {
            FileType::Directory => self.subdirectory(from, to, name, path),
            FileType::RegularFile => file(from, to, name),
            FileType::Symlink => symlink(from, to, name, &status),
            FileType::Socket => Ok(()),
            _ => node(to, name, &status),
        }
    }

    fn subdirectory(
        &mut self,
        from: &OwnedFd,
        to: &OwnedFd,
        name: &OsStr,
        path: &Path,
    ) -> Result<()> {
        let source = reopen(from.as_fd(), name)?;
        let status = rustix::fs::fstat(&source).doing(|| "look at it")?;
        rustix::fs::mkdirat(to, name, Mode::from_raw_mode(0o700)).doing(|| "make the directory")?;
        let target = reopen(to.as_fd(), name)?;
        self.directory(&source, &target, path)?;
        dress(&source, &target, &status)
    }
}

fn file(from: &OwnedFd, to: &OwnedFd, name: &OsStr) -> Result<()> {
    // Not blocking, in case that a pipe has taken its place.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let source = rustix::fs::openat(from, name, flags, Mode::empty()).doing(|| "open it")?;
    let status = rustix::fs::fstat(&source).doing(|| "look at it")?;
    if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
        return Err(Error::new(Kind::Conflict, "read it: it has become something else"));
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o600);
    let target = rustix::fs::openat(to, name, flags, mode).doing(|| "make the file")?;
    loop {
        match rustix::fs::sendfile(&target, &source, None, CHUNK_BYTES) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).doing(|| "copy its content"),
        }
    }
    dress(&source, &target, &status)
}

fn symlink(from: &OwnedFd, to: &OwnedFd, name: &OsStr, status: &Stat) -> Result<()> {
    let target = rustix::fs::readlinkat(from, name, Vec::new()).doing(|| "read the link")?;
    rustix::fs::symlinkat(target, to, name).doing(|| "make the link")?;
    own(to, name, status)
}

fn node(to: &OwnedFd, name: &OsStr, status: &Stat) -> Result<()> {
    let kind = FileType::from_raw_mode(status.st_mode);
    let mode = Mode::from_raw_mode(status.st_mode & 0o7777);
    match rustix::fs::mknodat(to, name, kind, mode, status.st_rdev) {
        // In a user namespace nobody makes a device, and an image's are of no use there.
        Err(Errno::PERM) if kind != FileType::Fifo => return Ok(()),
        result => result.doing(|| "make the node")?,
    }
    own(to, name, status)?;
    // A change of owner takes away the bits that this brings back; what it is has just been made.
    let place = place_in(to.as_fd(), name).doing(|| "open the node")?;
    let stays = rustix::fs::fstat(&place).doing(|| "look at the node")?;
    if stays.st_mode & 0o7777 == status.st_mode & 0o7777 {
        return Ok(());
    }
    rustix::fs::chmodat(to, name, mode, AtFlags::empty()).doing(|| "set the node's mode")
}

/// Owner and times of something that has no fd of its own.
fn own(to: &OwnedFd, name: &OsStr, status: &Stat) -> Result<()> {
    let (uid, gid) = owner(status);
    given(rustix::fs::chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW))?;
    rustix::fs::utimensat(to, name, &times(status), AtFlags::SYMLINK_NOFOLLOW)
        .doing(|| "set its times")
}

/// Owner, mode, extended attributes and times, in the order in which none undoes another.
fn dress(source: &OwnedFd, target: &OwnedFd, status: &Stat) -> Result<()> {
    let (uid, gid) = owner(status);
    given(rustix::fs::fchown(target, Some(uid), Some(gid)))?;
    rustix::fs::fchmod(target, Mode::from_raw_mode(status.st_mode & 0o7777))
        .doing(|| "set its mode")?;
    copy_attributes(source, target)?;
    rustix::fs::futimens(target, &times(status)).doing(|| "set its times")
}

fn owner(status: &Stat) -> (Uid, Gid) {
    (Uid::from_raw(status.st_uid), Gid::from_raw(status.st_gid))
}

/// An owner whom the user namespace has no number for cannot own anything in it.
fn given(result: rustix::io::Result<()>) -> Result<()> {
    match result {
        Err(Errno::INVAL) => Ok(()),
        result => result.doing(|| "give it to its owner"),
    }
}

fn times(status: &Stat) -> Timestamps {
    let time = |seconds: i64, nanoseconds| Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or(0),
    };
    Timestamps {
        last_access: time(status.st_atime, status.st_atime_nsec),
        last_modification: time(status.st_mtime, status.st_mtime_nsec),
    }
}

fn copy_attributes(source: &OwnedFd, target: &OwnedFd) -> Result<()> {
    let mut names = vec![0_u8; ATTRIBUTE_BYTES];
    let count = match rustix::fs::flistxattr(source, &mut names) {
        Err(Errno::OPNOTSUPP) => return Ok(()),
        result => result.doing(|| "list its extended attributes")?,
    };
    let mut value = vec![0_u8; if count == 0 { 0 } else { ATTRIBUTE_BYTES }];
    for name in names[..count].split_inclusive(|&byte| byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name).map(CString::from) else { continue };
        let doing = || format!("copy its extended attribute {}", name.to_string_lossy());
        let length = match rustix::fs::fgetxattr(source, &name, &mut value) {
            Err(Errno::NODATA) => continue,
            result => result.doing(doing)?,
        };
        match rustix::fs::fsetxattr(target, &name, &value[..length], XattrFlags::empty()) {
            // Kinds that a tmpfs does not have, or only the host's root may set.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::PERM) => {}
            Err(errno) => return Err(errno).doing(doing),
        }
    }
    Ok(())
}
