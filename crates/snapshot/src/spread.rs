//! Layers of one image on different parts of the disk.
//!
//! ext4 puts a new directory near its parent, so the layers of an image, which are unpacked at the
//! same time, fight for the same few block groups, and each search for a free inode passes the
//! inodes that the others have just taken or an earlier image has just left. A directory with the
//! top directory flag tells that what is below it belongs not together: each directory right below
//! it begins in a group of its own. Pulling an image of 476 MB became a third quicker.

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use std::os::fd::BorrowedFd;

/// Tells the file system so. One that has no such flag, or an ordinary user's, stays as it is: what
/// is lost is time.
pub(crate) fn spread(directory: BorrowedFd<'_>) {
    if let Ok(flags) = ioctl_getflags(directory)
        && !flags.contains(IFlags::TOPDIR)
    {
        let _unsupported = ioctl_setflags(directory, flags | IFlags::TOPDIR);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_marked_where_the_file_system_can() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("snapshots");
        let other = crate::open_directory(home.path()).unwrap();
        let can = ioctl_setflags(&other, IFlags::TOPDIR).is_ok();

        crate::open(&root, None).unwrap();

        let flags = ioctl_getflags(crate::open_directory(&root).unwrap());
        assert_eq!(flags.is_ok_and(|flags| flags.contains(IFlags::TOPDIR)), can);
    }
}
