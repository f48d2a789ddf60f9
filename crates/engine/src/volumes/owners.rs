//! All files of a tree given to one user (`U` of `-v`, `chown` of `--mount`), or to those whom a label of
//! SELinux lets at them (`z` and `Z`).
//!
//! The tree may be a container's, which may be changing it. So every step is taken from an open
//! directory, no link is followed and no mount entered.

use crate::selinux;
use dhow_base::{Doing, Error, Kind, Result};
use rustix::{
    fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Uid, XattrFlags},
    io::Errno,
};
use std::{
    ffi::{CStr, OsStr},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

/// How deep directories may lie in each other; an fd is open for each.
const DEPTH: usize = 200;

/// What nobody may give away, since the system stands on it.
const SYSTEM: [&str; 26] = [
    "/",
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/etc/passwd",
    "/etc/pki",
    "/etc/shadow",
    "/home",
    "/lib",
    "/lib64",
    "/media",
    "/mnt",
    "/opt",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/srv",
    "/sys",
    "/tmp",
    "/usr",
    "/usr/lib",
    "/var",
    "/var/lib",
    "/var/log",
];

/// Gives what is at `path`, and all below it, to a user.
pub(crate) fn give(path: &Path, uid: u32, gid: u32) -> Result<()> {
    let (owner, group) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    change(path, || format!("give {} to user {uid}", path.display()), &|thing| match thing {
        Thing::Directory(directory) => rustix::fs::fchown(directory, owner, group),
        Thing::Entry(directory, name) => {
            rustix::fs::chownat(directory, name, owner, group, AtFlags::SYMLINK_NOFOLLOW)
        }
        Thing::Alone(file) => rustix::fs::chownat(file, "", owner, group, AtFlags::EMPTY_PATH),
    })
}

/// Gives what is at `path`, and all below it, a label of SELinux. A file system that has none is left
/// as it is.
pub(crate) fn label(path: &Path, label: &str) -> Result<()> {
    let (name, value, flags) = (selinux::ATTRIBUTE, label.as_bytes(), XattrFlags::empty());
    change(path, || format!("label {} {label}", path.display()), &|thing| {
        let labelled = match thing {
            Thing::Directory(directory) => rustix::fs::fsetxattr(directory, name, value, flags),
            Thing::Entry(directory, entry) => {
                rustix::fs::lsetxattr(in_directory(directory, entry), name, value, flags)
            }
            Thing::Alone(file) => rustix::fs::setxattr(as_path(file), name, value, flags),
        };
        if labelled == Err(Errno::OPNOTSUPP) { Ok(()) } else { labelled }
    })
}

/// An entry of an open directory as a path, for calls that take no directory (`setxattrat` is of Linux 6.13).
fn in_directory(directory: BorrowedFd<'_>, entry: &CStr) -> PathBuf {
    as_path(directory).join(OsStr::from_bytes(entry.to_bytes()))
}

fn as_path(file: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// What is changed.
#[derive(Clone, Copy, Debug)]
enum Thing<'a> {
    Directory(BorrowedFd<'a>),
    /// What is no directory, or cannot be entered; a link is not followed.
    Entry(BorrowedFd<'a>, &'a CStr),
    /// A file that was named itself.
    Alone(BorrowedFd<'a>),
}

type Change<'c> = &'c dyn Fn(Thing<'_>) -> rustix::io::Result<()>;

fn change(path: &Path, doing: impl Fn() -> String, change: Change<'_>) -> Result<()> {
    // Links on the way are the user's own affair; what was opened is what is looked at and changed.
    let top =
        rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).doing(&doing)?;
    if is_of_the_system(&top).doing(&doing)? {
        let text = format!("{}: the system stands on it", doing());
        return Err(Error::new(Kind::Denied, text)
            .hint("name a directory below it, or leave the option out"));
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::openat(&top, ".", flags, Mode::empty()) {
        Ok(top) => tree(&top, DEPTH, change).doing(doing),
        Err(Errno::NOTDIR) => change(Thing::Alone(top.as_fd())).doing(doing),
        Err(errno) => Err(errno).doing(doing),
    }
}

/// Whether it is one of the system's directories, by whichever name, or somebody's home.
fn is_of_the_system(top: &OwnedFd) -> rustix::io::Result<bool> {
    let status = rustix::fs::fstat(top)?;
    let which = |status: rustix::fs::Stat| (status.st_dev, status.st_ino);
    let is = |path: &str, other| rustix::fs::stat(path).is_ok_and(|one| which(one) == other);
    if SYSTEM.iter().any(|path| is(path, which(status))) {
        return Ok(true);
    }
    if FileType::from_raw_mode(status.st_mode) != FileType::Directory {
        return Ok(false);
    }
    let above = rustix::fs::openat(top, "..", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    Ok(is("/home", which(rustix::fs::fstat(&above)?)))
}

fn tree(directory: &OwnedFd, depth: usize, change: Change<'_>) -> Result<()> {
    let device = rustix::fs::fstat(directory).doing(|| "look at a directory")?.st_dev;
    change(Thing::Directory(directory.as_fd())).doing(|| "change a directory")?;
    for entry in Dir::read_from(directory).doing(|| "list a directory")? {
        let entry = entry.doing(|| "list a directory")?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let doing = || format!("change {name:?}");
        if entry.file_type() == FileType::Directory {
            if depth == 0 {
                let text = format!("{}: more than {DEPTH} directories deep", doing());
                return Err(Error::new(Kind::Exhausted, text));
            }
            match enter(directory.as_fd(), name) {
                Ok(below) => {
                    let status = rustix::fs::fstat(&below).doing(doing)?;
                    // Another file system's files are not this volume's.
                    if status.st_dev == device {
                        tree(&below, depth - 1, change).doing(doing)?;
                    }
                    continue;
                }
                Err(Errno::NOENT) => continue,
                Err(Errno::NOTDIR | Errno::LOOP) => {}
                Err(errno) => return Err(errno).doing(doing),
            }
        }
        match change(Thing::Entry(directory.as_fd(), name)) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno).doing(doing),
        }
    }
    Ok(())
}

fn enter(directory: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(directory, name, flags, Mode::empty())
}
