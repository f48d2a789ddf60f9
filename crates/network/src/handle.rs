//! Files that hold namespaces: one that is bound onto a file lives as long as the mount.

use dhow_base::{Doing, Result, file};
use dhow_sys::mount::{Attributes, Propagation, Reach};
use rustix::{
    fs::CWD,
    mount::{MoveMountFlags, UnmountFlags},
};
use std::{
    os::fd::{AsFd, BorrowedFd},
    path::Path,
};

/// Binds a namespace onto a new file.
pub fn hold(namespace: BorrowedFd<'_>, path: &Path) -> Result<()> {
    file::remove_if_there(path)?;
    drop(file::create_new(path, 0o600)?);
    let private = Attributes::propagating(Propagation::Private);
    let copy = dhow_sys::mount::copy(namespace, private, Reach::ThisMount)
        .doing(|| "bind the namespace")?;
    let onto = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    rustix::mount::move_mount(copy.as_fd(), "", CWD, path, onto).doing(|| "attach it")
}

/// Whether something is bound onto a file.
pub fn is_held(path: &Path) -> Result<bool> {
    dhow_sys::mount::is_root_at(path).doing(|| format!("look at {}", path.display()))
}

/// Lets go of a namespace, and removes the file; one that is not there is fine.
pub fn release(path: &Path) -> Result<()> {
    let doing = || format!("let go of {}", path.display());
    while is_held(path)? {
        let flags = UnmountFlags::NOFOLLOW | UnmountFlags::DETACH;
        rustix::mount::unmount(path, flags).doing(doing)?;
    }
    file::remove_if_there(path)
}
