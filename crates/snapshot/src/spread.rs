//! Layers of one image on different parts of the disk.
//!
//! ext4 puts a new directory near its parent, so the layers of an image, which are unpacked at the
//! same time, fight for the same few block groups, and each search for a free inode passes the
//! inodes that the others have just taken or an earlier image has just left. A directory with the
//! top directory flag tells that what is below it belongs not together: each directory right below
//! it begins in a group of its own. Pulling an image of 476 MB became a third quicker.
//!
//! To look for such a group takes a while, and its first block is mostly read from the disk, which a
//! container's few files are not worth. So layers are made in a directory beside, which has the flag,
//! and moved: where a directory was made it stays.

use crate::{Number, open_directory};
use dhow_base::{Doing, Result, tree};
use rustix::{
    fs::{CWD, IFlags, Mode, RenameFlags, ioctl_getflags, ioctl_setflags},
    io::Errno,
};
use std::{
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
};

/// Where layers are made.
pub(crate) const APART: &str = "apart";

/// Makes the directory of a snapshot, and that of its files, in a part of the disk of its own.
pub(crate) fn make(root: &Path, number: Number) -> Result<()> {
    let doing = |path: &Path| format!("create directory {}", path.display());
    let apart = root.join(APART);
    match rustix::fs::mkdir(&apart, Mode::RWXU) {
        Ok(()) => {
            mark(open_directory(&apart)?.as_fd(), true);
            // An earlier version has marked this one.
            mark(open_directory(root)?.as_fd(), false);
        }
        Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno).doing(|| doing(&apart)),
    }
    let (made, place) = (apart.join(number.to_string()), root.join(number.to_string()));
    rustix::fs::mkdir(&made, Mode::RWXU).doing(|| doing(&made))?;
    let files = made.join("fs");
    rustix::fs::mkdir(&files, Mode::from_raw_mode(0o755)).doing(|| doing(&files))?;
    let moved = rustix::fs::renameat_with(CWD, &made, CWD, &place, RenameFlags::NOREPLACE);
    if moved.is_err() {
        tree::remove(&made)?;
    }
    moved.doing(|| format!("rename {} to {}", made.display(), place.display()))
}

/// Removes what is left of a snapshot that somebody was making when he was killed.
pub(crate) fn forget(root: &Path, number: Number) -> Result<()> {
    let made: PathBuf = root.join(APART).join(number.to_string());
    tree::remove(&made)
}

/// Tells the file system so. One that has no such flag, or an ordinary user's, stays as it is: what
/// is lost is time.
fn mark(directory: BorrowedFd<'_>, apart: bool) {
    if let Ok(mut flags) = ioctl_getflags(directory)
        && flags.contains(IFlags::TOPDIR) != apart
    {
        flags.set(IFlags::TOPDIR, apart);
        let _unsupported = ioctl_setflags(directory, flags);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_marked(path: &Path) -> Option<bool> {
        let flags = ioctl_getflags(open_directory(path).unwrap()).ok()?;
        Some(flags.contains(IFlags::TOPDIR))
    }

    #[test]
    fn layers_are_made_where_the_file_system_spreads_them_and_containers_are_not() {
        let home = tempfile::tempdir().unwrap();
        mark(open_directory(home.path()).unwrap().as_fd(), true);
        let can = is_marked(home.path());

        make(home.path(), Number(7)).unwrap();

        assert!(home.path().join("7/fs").is_dir());
        assert!(std::fs::read_dir(home.path().join(APART)).unwrap().next().is_none());
        assert_eq!(is_marked(&home.path().join(APART)), can);
        assert_ne!(is_marked(home.path()), Some(true));
    }

    #[test]
    fn what_was_not_moved_any_more_goes() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(home.path().join(APART).join("7/fs")).unwrap();

        forget(home.path(), Number(7)).unwrap();
        forget(home.path(), Number(8)).unwrap();

        assert!(!home.path().join(APART).join("7").exists());
    }
}
