//! Removing a tree that a stranger may have built.
//!
//! Everything goes by directory fd, no link is followed and no mount is entered: a bind mount that
//! was forgotten inside must stop the removal, not lose its source. Trees may be deeper than there
//! are fds or stack; what lies too deep is first moved up to the top. Others may put something into it
//! meanwhile, such as a session that comes to its end: then it is looked at again, though not for ever.

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

/// How often a tree is looked at into which others put something meanwhile.
const MOST_PASSES: u32 = 100;

/// Open directories at a time.
const DEPTH_LIMIT: u32 = 64;

/// Removes the directory at `path` with all that is in it; one that is not there is fine.
pub fn remove(path: &Path) -> Result<()> {
    let top = match open(path) {
        Ok(top) => top,
        Err(error) if error.kind() == Kind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    remove_by_passes(&top, || rustix::fs::rmdir(path))
        .doing(|| format!("remove {}", path.display()))
}

/// Empties a directory and takes it away, until it is empty when it is taken away.
fn remove_by_passes(top: &OwnedFd, take_away: impl Fn() -> rustix::io::Result<()>) -> Result<()> {
    let (mut moved, mut passes) = (0, 0);
    loop {
        let before = moved;
        empty(top, top, DEPTH_LIMIT, &mut moved)?;
        match take_away() {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            // What was moved up from below is now here: a tree has an end.
            Err(Errno::NOTEMPTY | Errno::EXIST) if moved > before => {}
            Err(Errno::NOTEMPTY | Errno::EXIST) if passes < MOST_PASSES => passes += 1,
            Err(errno) => return Err(errno).doing(|| "take the directory away"),
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
    remove_by_passes(&top, || rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR))
        .doing(|| format!("remove directory {name:?}"))
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
            // Somebody has just put something into it; the next pass finds it.
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs,
        sync::atomic::{AtomicBool, Ordering},
    };

    #[test]
    fn no_link_is_followed_and_what_is_not_there_is_fine() {
        let directory = tempfile::tempdir().unwrap();
        let (tree, other) = (directory.path().join("tree"), directory.path().join("other"));
        fs::create_dir_all(tree.join("a/b")).unwrap();
        fs::create_dir(&other).unwrap();
        fs::write(other.join("kept"), "x").unwrap();
        std::os::unix::fs::symlink(&other, tree.join("a/link")).unwrap();

        remove(&tree).unwrap();
        remove(&tree).unwrap();

        assert!(!tree.exists() && other.join("kept").exists());
    }

    #[test]
    fn a_tree_deeper_than_there_are_fds_goes() {
        let directory = tempfile::tempdir().unwrap();
        let tree = directory.path().join("tree");
        fs::create_dir(&tree).unwrap();
        let mut fd = open(&tree).unwrap();
        for _ in 0..3_000 {
            rustix::fs::mkdirat(&fd, c"d", Mode::RWXU).unwrap();
            fd = enter(&fd, c"d").unwrap();
        }

        remove(&tree).unwrap();

        assert!(!tree.exists());
    }

    #[test]
    fn what_others_put_into_it_meanwhile_goes_too() {
        let directory = tempfile::tempdir().unwrap();
        let tree = directory.path().join("tree");
        for round in 0..50 {
            fs::create_dir_all(tree.join("sessions")).unwrap();
            let has_begun = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    for number in 0..200 {
                        // Once it is gone, nobody can.
                        let _written = fs::write(tree.join(format!("sessions/{number}")), "x");
                        has_begun.store(true, Ordering::Release);
                    }
                });
                while !has_begun.load(Ordering::Acquire) {
                    std::thread::yield_now();
                }
                // Whoever never stops is told of; this one does.
                while let Err(error) = remove(&tree) {
                    assert!(error.errno() == Some(Errno::NOTEMPTY.raw_os_error()), "{error:?}");
                }
            });
            assert!(!tree.exists(), "round {round}");
        }
    }
}
