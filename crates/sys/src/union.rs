//! A [`Mount`] made real but attached nowhere: an fd to look into, or to attach with `move_mount`.
//!
//! Nobody else sees such a mount, no path leads to it, and it goes when the fd closes. Linux 5.2;
//! layers are given one by one (`lowerdir+`), which has no limit on their number. Linux 6.5.

use crate::mount::{Attributes, Reach, copy};
use dhow_spec::{Mount, mount::OverlayUpper};
use rustix::{
    fs::{CWD, Mode, OFlags},
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag,
        fsconfig_set_string, fsmount, fsopen,
    },
};
use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

/// Mounts without attaching.
pub fn open(mount: &Mount) -> io::Result<OwnedFd> {
    match mount {
        Mount::Overlay { lower, upper } => overlay(lower, upper.as_ref()),
        Mount::Bind { source, read_only } => bind(source, *read_only),
    }
}

fn overlay(lower: &[PathBuf], upper: Option<&OverlayUpper>) -> io::Result<OwnedFd> {
    // A union of one read-only layer is that layer; the kernel refuses it as an overlay.
    if let ([only], None) = (lower, upper) {
        return bind(only, true);
    }
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let context = context.as_fd();
    for layer in lower {
        fsconfig_set_string(context, "lowerdir+", layer)?;
    }
    let mut flags = MountAttrFlags::empty();
    match upper {
        Some(upper) => {
            fsconfig_set_string(context, "upperdir", &upper.upper)?;
            fsconfig_set_string(context, "workdir", &upper.work)?;
            if upper.volatile {
                fsconfig_set_flag(context, "volatile")?;
            }
        }
        None => flags |= MountAttrFlags::MOUNT_ATTR_RDONLY,
    }
    fsconfig_create(context)?;
    Ok(fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, flags)?)
}

fn bind(source: &Path, read_only: bool) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let place = rustix::fs::openat(CWD, source, flags, Mode::empty())?;
    let mut attributes = MountAttrFlags::empty();
    if read_only {
        attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY;
    }
    copy(place.as_fd(), Attributes::setting(attributes), Reach::ThisMount)
}
