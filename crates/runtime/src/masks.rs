//! Paths that a container may not read, and those that it may not write.

use crate::mounts::{check_character_device, move_onto};
use dhow_base::{Doing, Result};
use dhow_sys::{
    fds::leave_to_exec,
    mount::{Attributes, Propagation, Reach},
    root::{Last, Root},
};
use rustix::{
    fs::FileType,
    io::Errno,
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags},
};
use std::{
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

/// What covers masked paths: files get the null device, directories an empty tmpfs.
///
/// The null device is the container's own and checked through the fd that is then copied: it could
/// have been swapped for a link to a kernel file, which would be bound writable (CVE-2025-31133).
/// It is not the host's, whose mode the container's root could change through the cover.
#[derive(Debug, Default)]
struct Covers {
    null: Option<OwnedFd>,
    empty: Option<OwnedFd>,
}

/// Covers cannot be written, nor their modes and owners changed.
const COVER_ATTRIBUTES: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_RDONLY
    .union(MountAttrFlags::MOUNT_ATTR_NOSUID)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// Covers the paths; one that does not exist needs no cover.
pub(crate) fn mask(root: Root<'_>, paths: &[String]) -> Result<()> {
    let mut covers = Covers::default();
    for path in paths {
        let Some(place) = existing(root, path).doing(|| format!("open {path}"))? else { continue };
        covers.cover(root, &place).doing(|| format!("mask {path}"))?;
        leave_to_exec(place);
    }
    Ok(())
}

/// Makes the paths, with all below them, read-only.
pub(crate) fn make_read_only(root: Root<'_>, paths: &[String]) -> Result<()> {
    let attributes = Attributes {
        set: MountAttrFlags::MOUNT_ATTR_RDONLY,
        clear: MountAttrFlags::empty(),
        propagation: Some(Propagation::Private),
    };
    for path in paths {
        let doing = || format!("make {path} read-only");
        let Some(place) = existing(root, path).doing(doing)? else { continue };
        let copy =
            dhow_sys::mount::copy(place.as_fd(), attributes, Reach::WholeTree).doing(doing)?;
        move_onto(copy.as_fd(), place.as_fd()).doing(doing)?;
        leave_to_exec(copy);
        leave_to_exec(place);
    }
    Ok(())
}

fn existing(root: Root<'_>, path: &str) -> std::io::Result<Option<OwnedFd>> {
    match root.place(Path::new(path), Last::Followed) {
        Ok(place) => Ok(Some(place)),
        Err(error)
            if [Errno::NOENT, Errno::NOTDIR]
                .map(|errno| Some(errno.raw_os_error()))
                .contains(&error.raw_os_error()) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

impl Covers {
    fn cover(&mut self, root: Root<'_>, place: &OwnedFd) -> Result<()> {
        let status = rustix::fs::fstat(place).doing(|| "look at it")?;
        if FileType::from_raw_mode(status.st_mode) == FileType::Directory {
            return self.cover_directory(place).doing(|| "cover the directory");
        }
        if self.null.is_none() {
            self.null = Some(null_device(root)?);
        }
        let null = self.null.as_ref().expect("set above");
        cover_with_copy(null, place).doing(|| "cover the file")
    }

    /// The first directory gets the tmpfs itself, the others copies of it.
    fn cover_directory(&mut self, place: &OwnedFd) -> std::io::Result<()> {
        if let Some(empty) = &self.empty {
            return cover_with_copy(empty, place);
        }
        let empty = empty_tmpfs()?;
        move_onto(empty.as_fd(), place.as_fd())?;
        self.empty = Some(empty);
        Ok(())
    }
}

fn null_device(root: Root<'_>) -> Result<OwnedFd> {
    let null = root.place(Path::new("/dev/null"), Last::NoLinks).doing(|| "open /dev/null")?;
    check_character_device(null.as_fd(), (1, 3)).doing(|| "use /dev/null")?;
    Ok(null)
}

fn cover_with_copy(cover: &OwnedFd, place: &OwnedFd) -> std::io::Result<()> {
    let attributes = Attributes {
        set: COVER_ATTRIBUTES,
        clear: MountAttrFlags::empty(),
        propagation: Some(Propagation::Private),
    };
    let copy = dhow_sys::mount::copy(cover.as_fd(), attributes, Reach::ThisMount)?;
    move_onto(copy.as_fd(), place.as_fd())?;
    leave_to_exec(copy);
    Ok(())
}

fn empty_tmpfs() -> std::io::Result<OwnedFd> {
    let context = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_set_string(context.as_fd(), "nr_blocks", "1")?;
    rustix::mount::fsconfig_set_string(context.as_fd(), "nr_inodes", "1")?;
    rustix::mount::fsconfig_create(context.as_fd())?;
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    Ok(rustix::mount::fsmount(context.as_fd(), flags, COVER_ATTRIBUTES)?)
}
