//! The container's root filesystem as a detached mount: no path leads to it until the container's
//! own mount namespace attaches it, and nothing is left when the last fd of it closes.

use dhow_base::{Doing, Error, Kind, Result};
use dhow_spec::mount::Mount;
use dhow_sys::{
    mount::Reach,
    union::{self, Failure},
};
use rustix::{
    fs::CWD,
    io::Errno,
    mount::{MoveMountFlags, OpenTreeFlags},
};
use std::{os::fd::OwnedFd, path::Path};

/// Mounts `mount`, attached to nothing.
pub(crate) fn detached(mount: &Mount) -> Result<OwnedFd> {
    if matches!(mount, Mount::Overlay { lower, .. } if lower.is_empty()) {
        return Err(Error::new(Kind::Invalid, "mount an overlay without a lower layer"));
    }
    union::open(mount).map_err(explain)
}

/// A private copy of the directory's mount, with what is mounted below it.
pub(crate) fn bound(source: &Path) -> Result<OwnedFd> {
    union::bind(source)
        .map_err(|failure| failure.source)
        .doing(|| format!("open root filesystem {}", source.display()))
}

/// What is wrong with the mount: most often that a path in it is not what it should be.
fn explain(failure: Failure) -> Error {
    let kind = match Errno::from_io_error(&failure.source) {
        Some(Errno::INVAL | Errno::NOENT | Errno::NOTDIR) => Kind::Invalid,
        Some(Errno::PERM | Errno::ACCESS) => Kind::Denied,
        Some(Errno::NOSPC | Errno::NOMEM) => Kind::Exhausted,
        Some(Errno::NODEV) => Kind::Unsupported,
        _ => Kind::Internal,
    };
    Error::new(kind, failure.step).because(failure.source)
}

/// Puts a detached mount on a directory of the calling process's mount namespace.
pub(crate) fn attach(root: &OwnedFd, mountpoint: &Path) -> Result<()> {
    // The mountpoint is the engine's or the bundle's, and links in it are meant.
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_SYMLINKS;
    rustix::mount::move_mount(root, "", CWD, mountpoint, flags)
        .doing(|| format!("attach the root filesystem to {}", mountpoint.display()))
}

/// A copy of one mount of the calling process's namespace.
pub(crate) fn copy_of(path: &Path, reach: Reach) -> std::io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if reach == Reach::WholeTree {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    Ok(rustix::mount::open_tree(CWD, path, flags)?)
}
