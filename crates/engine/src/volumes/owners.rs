//! All files of a tree given to one user (`U` of `-v`, `chown` of `--mount`).
//!
//! The tree may be a container's, which may be changing it. So every step is taken from an open
//! directory, no link is followed and no mount entered.

use dhow_base::{Doing, Error, Kind, Result};
use rustix::{
    fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Uid},
    io::Errno,
};
use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

/// How deep directories may lie in each other; an fd is open for each.
const DEPTH: usize = 200;

/// What nobody may give away, since the system stands on it.
const SYSTEM: [&str; 18] = [
    "/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/media", "/opt", "/proc",
    "/root", "/run", "/sbin", "/sys", "/tmp", "/usr", "/var",
];

/// Gives what is at `path`, and all below it, to a user.
pub(crate) fn give(path: &Path, uid: u32, gid: u32) -> Result<()> {
    let doing = || format!("give {} to user {uid}", path.display());
    if SYSTEM.iter().any(|system| path == Path::new(system)) {
        let text = format!("{}: the system stands on it", doing());
        return Err(Error::new(Kind::Denied, text));
    }
    let owner = Owner { uid: Uid::from_raw(uid), gid: Gid::from_raw(gid) };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(top) => owner.tree(&top, DEPTH).doing(doing),
        Err(Errno::NOTDIR) => rustix::fs::chownat(
            rustix::fs::CWD,
            path,
            Some(owner.uid),
            Some(owner.gid),
            AtFlags::empty(),
        )
        .doing(doing),
        Err(errno) => Err(errno).doing(doing),
    }
}

#[derive(Clone, Copy)]
struct Owner {
    uid: Uid,
    gid: Gid,
}

impl Owner {
    fn tree(self, directory: &OwnedFd, depth: usize) -> Result<()> {
        let device = rustix::fs::fstat(directory).doing(|| "look at a directory")?.st_dev;
        rustix::fs::fchown(directory, Some(self.uid), Some(self.gid))
            .doing(|| "give a directory away")?;
        for entry in Dir::read_from(directory).doing(|| "list a directory")? {
            let entry = entry.doing(|| "list a directory")?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let doing = || format!("give {name:?} away");
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
                            self.tree(&below, depth - 1).doing(doing)?;
                        }
                        continue;
                    }
                    Err(Errno::NOENT) => continue,
                    Err(Errno::NOTDIR | Errno::LOOP) => {}
                    Err(errno) => return Err(errno).doing(doing),
                }
            }
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            match rustix::fs::chownat(directory, name, Some(self.uid), Some(self.gid), flags) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno).doing(doing),
            }
        }
        Ok(())
    }
}

fn enter(directory: BorrowedFd<'_>, name: &std::ffi::CStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(directory, name, flags, Mode::empty())
}
