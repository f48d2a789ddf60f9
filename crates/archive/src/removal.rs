//! Removal of what is below a directory fd, with few fds and no recursion, whatever the depth.
//!
//! A tree of a stranger's making may be as deep as a path is long. So directories are opened again
//! by their path from the fd, without following symlinks, instead of being held open.

use crate::path::join;
use rustix::{
    fs::{AtFlags, Dir, Mode, OFlags, ResolveFlags, openat2, unlinkat},
    io::{Errno, Result},
};
use std::os::fd::{BorrowedFd, OwnedFd};

/// Opens `path` below `root`; symlinks anywhere in it are an error (`ELOOP`).
pub(crate) fn open_beneath(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
    let path = if path.is_empty() { b"." } else { path };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
}

/// Removes `name` in `directory`, with everything below it; fine where it is not there.
pub(crate) fn remove_tree(directory: BorrowedFd<'_>, name: &[u8]) -> Result<()> {
    if remove_one(directory, name)? {
        return Ok(());
    }
    let mut pending = vec![name.to_vec()];
    while let Some(path) = pending.last().cloned() {
        let subdirectories = empty(directory, &path)?;
        if subdirectories.is_empty() {
            unlinkat(directory, &path, AtFlags::REMOVEDIR)?;
            pending.pop();
        }
        pending.extend(subdirectories.into_iter().map(|name| join(&path, &name)));
    }
    Ok(())
}

/// Removes what is no full directory in `path`, and returns the names of what is.
fn empty(root: BorrowedFd<'_>, path: &[u8]) -> Result<Vec<Vec<u8>>> {
    let fd = open_beneath(root, path, OFlags::RDONLY | OFlags::DIRECTORY)?;
    let mut full = Vec::new();
    for name in names(&fd)? {
        if !remove_one(std::os::fd::AsFd::as_fd(&fd), &name)? {
            full.push(name);
        }
    }
    Ok(full)
}

/// The names in a directory, without `.` and `..`, in the order of the file system.
pub(crate) fn names(directory: &OwnedFd) -> Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    Ok(names)
}

/// Removes a file or an empty directory; false for a directory that is not empty.
fn remove_one(directory: BorrowedFd<'_>, name: &[u8]) -> Result<bool> {
    match unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(true),
        // EISDIR by Linux, EPERM by POSIX.
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(errno) => return Err(errno),
    }
    match unlinkat(directory, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(errno) => Err(errno),
    }
}
