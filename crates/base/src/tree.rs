//! Removing a tree that a stranger may have built.
//!
//! Everything goes by directory fd, no link is followed and no mount is entered: a bind mount that
//! was forgotten inside must stop the removal, not lose its source. Trees may be deeper than there
//! are fds or stack; what lies too deep is first moved up to the top.

use crate::{Doing, Error, Kind, Result};
use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags},
    io::Errno,
};
use std::{
    ffi::{CStr, CString},
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

/// Open directories at a time.
const DEPTH_LIMIT: u32 = 64;

/// Removes the directory at `path` with all that is in it; one that is not there is fine.
pub fn remove(path: &Path) -> Result<()> {
    let top = match open(path) {
        Ok(top) => top,
        Err(error) if error.kind() == Kind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut moved = 0;
    loop {
        empty(&top, &top, DEPTH_LIMIT, &mut moved)?;
        match rustix::fs::rmdir(path) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            // What was moved up from below is now here.
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            Err(errno) => return Err(errno).doing(|| format!("remove {}", path.display())),
        }
    }
}

fn open(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::open(path, flags, Mode::empty()).doing(|| format!("open {}", path.display()))
}

/// Removes a directory in `parent` with all that is in it.
pub fn remove_in(parent: &OwnedFd, name: &CStr) -> Result<()> {
    let top = enter(parent, name)?;
    let mut moved = 0;
    loop {
        empty(&top, &top, DEPTH_LIMIT, &mut moved)?;
        match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            // What was moved up from below is now here.
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            Err(errno) => return Err(errno).doing(|| format!("remove directory {name:?}")),
        }
    }
}

/// Empties `directory`; what lies more than `depth` below it moves to `top`.
fn empty(directory: &OwnedFd, top: &OwnedFd, depth: u32, moved: &mut u64) -> Result<()> {
    for (name, kind) in entries(directory)? {
        if kind != FileType::Directory && unlink(directory, &name)? == Unlinked::Gone {
            continue;
        }
        if depth == 0 {
            move_up(directory, &name, top, moved)?;
            continue;
        }
        let below = match enter(directory, &name) {
            // Somebody else removes it too: who mends, and who ends.
            Err(error) if error.kind() == Kind::NotFound => continue,
            below => below?,
        };
        empty(&below, top, depth - 1, moved)?;
        drop(below);
        match rustix::fs::unlinkat(directory, &name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno).doing(|| format!("remove directory {name:?}")),
        }
    }
    Ok(())
}

fn entries(directory: &OwnedFd) -> Result<Vec<(CString, FileType)>> {
    let mut names = Vec::new();
    let read = Dir::read_from(directory).doing(|| "list a directory")?;
    for entry in read {
        let entry = entry.doing(|| "list a directory")?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            names.push((name.to_owned(), entry.file_type()));
        }
    }
    Ok(names)
}

#[derive(Eq, PartialEq)]
enum Unlinked {
    Gone,
    IsDirectory,
}

fn unlink(directory: &OwnedFd, name: &CStr) -> Result<Unlinked> {
    let attempt = || rustix::fs::unlinkat(directory, name, AtFlags::empty());
    let result = match attempt() {
        // Without privileges a directory may not even let its owner delete.
        Err(Errno::ACCESS) => open_up(directory).and_then(|()| attempt()),
        result => result,
    };
    match result {
        Ok(()) | Err(Errno::NOENT) => Ok(Unlinked::Gone),
        Err(Errno::ISDIR) => Ok(Unlinked::IsDirectory),
        Err(errno) => Err(errno).doing(|| format!("remove {name:?}")),
    }
}

fn enter(directory: &OwnedFd, name: &CStr) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let attempt = || rustix::fs::openat2(directory, name, flags, Mode::empty(), resolve);
    let result = match attempt() {
        Err(Errno::ACCESS) => rustix::fs::chmodat(directory, name, Mode::RWXU, AtFlags::empty())
            .and_then(|()| attempt()),
        result => result,
    };
    match result {
        Err(Errno::XDEV) => Err(Error::new(
            Kind::Conflict,
            format!("remove directory {name:?}: something is mounted on it"),
        )
        .hint("unmount it and try again")),
        result => result.doing(|| format!("open directory {name:?}")),
    }
}

fn move_up(directory: &OwnedFd, name: &CStr, top: &OwnedFd, moved: &mut u64) -> Result<()> {
    loop {
        *moved += 1;
        let target = format!(".deep-{moved}");
        let flags = rustix::fs::RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(directory, name, top, &target, flags) {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno).doing(|| format!("move the deep directory {name:?}")),
        }
    }
}

fn open_up(directory: impl AsFd) -> rustix::io::Result<()> {
    rustix::fs::fchmod(directory, Mode::RWXU)
}
