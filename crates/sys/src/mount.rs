//! `mount_setattr(2)` and `open_tree_attr(2)`; the rest of the mount calls is in rustix.

use crate::fds;
use rustix::{
    fs::{AtFlags, CWD, StatxAttributes, StatxFlags},
    io::Errno,
    mount::MountAttrFlags,
};
use std::{
    ffi::CStr,
    io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
    path::Path,
};

const EMPTY: &CStr = c"";

/// How far a change reaches; the kernel calls the second `AT_RECURSIVE`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reach {
    /// The mount alone.
    ThisMount,
    /// The mount and all below it.
    WholeTree,
}

impl Reach {
    fn flag(self) -> libc::c_uint {
        match self {
            Self::ThisMount => 0,
            Self::WholeTree => libc::AT_RECURSIVE.unsigned_abs(),
        }
    }
}

/// How mounts and unmounts below a mount spread to its copies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Propagation {
    /// Both ways.
    Shared,
    /// From the original to this one.
    Slave,
    /// Not at all.
    Private,
    /// Not at all, and it cannot be bound elsewhere.
    Unbindable,
}

/// What changes about a mount. What is in neither set stays.
#[derive(Clone, Copy, Debug)]
pub struct Attributes {
    /// Set these.
    pub set: MountAttrFlags,
    /// Clear these. A change of the access time's mode clears all of `MOUNT_ATTR__ATIME`.
    pub clear: MountAttrFlags,
    /// How it propagates from now on.
    pub propagation: Option<Propagation>,
}

impl Attributes {
    /// Only sets flags.
    pub fn setting(set: MountAttrFlags) -> Self {
        Self { set, clear: MountAttrFlags::empty(), propagation: None }
    }

    /// Only changes how it propagates.
    pub fn propagating(propagation: Propagation) -> Self {
        Self {
            set: MountAttrFlags::empty(),
            clear: MountAttrFlags::empty(),
            propagation: Some(propagation),
        }
    }

    fn raw(self) -> libc::mount_attr {
        let propagation = match self.propagation {
            None => 0,
            Some(Propagation::Shared) => libc::MS_SHARED,
            Some(Propagation::Slave) => libc::MS_SLAVE,
            Some(Propagation::Private) => libc::MS_PRIVATE,
            Some(Propagation::Unbindable) => libc::MS_UNBINDABLE,
        };
        libc::mount_attr {
            attr_set: self.set.bits().into(),
            attr_clr: self.clear.bits().into(),
            propagation,
            userns_fd: 0,
        }
    }
}

/// Changes the mount behind `mount`, which is the root of a mount (from `open_tree`, `fsmount`, or
/// opened where it is attached). Linux 5.12; `ENOSYS` before.
pub fn set_attributes(
    mount: BorrowedFd<'_>,
    attributes: Attributes,
    reach: Reach,
) -> io::Result<()> {
    set_raw(mount, attributes.raw(), reach)
}

/// Makes the mount behind `mount` an idmapped mount, using the mappings of the user namespace
/// behind `userns`.
///
/// The mount must be detached (from `open_tree` or `fsmount`) and not already idmapped. `EINVAL`
/// usually means that the filesystem has no idmap support. Linux 5.12.
pub fn idmap(mount: BorrowedFd<'_>, userns: BorrowedFd<'_>, reach: Reach) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP,
        attr_clr: 0,
        propagation: 0,
        // The field is `u64` while fds are `i32`; an open fd is never negative.
        userns_fd: userns.as_raw_fd().unsigned_abs().into(),
    };
    set_raw(mount, attributes, reach)
}

fn set_raw(mount: BorrowedFd<'_>, attributes: libc::mount_attr, reach: Reach) -> io::Result<()> {
    let flags = libc::AT_EMPTY_PATH.unsigned_abs() | reach.flag();
    // SAFETY: the kernel reads a terminated string, which is a constant, and `size` bytes of
    // `attributes`, which lives on this stack; it writes no memory of ours.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            EMPTY.as_ptr(),
            flags,
            &raw const attributes,
            std::mem::size_of::<libc::mount_attr>(),
        )
    };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Is the root of a mount at this path, whose last link is not followed? Linux 5.8; what is not
/// there is no mount.
pub fn is_root_at(path: &Path) -> io::Result<bool> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    match rustix::fs::statx(CWD, path, flags, StatxFlags::empty()) {
        Ok(found) => Ok(found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// A detached copy of the mount behind `place` (a directory or file anywhere in a mount), with
/// attributes changed: one call on Linux 6.15, two before.
pub fn copy(place: BorrowedFd<'_>, attributes: Attributes, reach: Reach) -> io::Result<OwnedFd> {
    copy_at(place, EMPTY, attributes, reach)
}

/// As [`copy`], of the mount at a path, whose links are followed.
pub fn copy_at(
    directory: BorrowedFd<'_>,
    path: &CStr,
    attributes: Attributes,
    reach: Reach,
) -> io::Result<OwnedFd> {
    match copy_with_attributes(directory, path, attributes.raw(), reach) {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::NOSYS) => {
            let flags = rustix::mount::OpenTreeFlags::OPEN_TREE_CLONE
                | rustix::mount::OpenTreeFlags::OPEN_TREE_CLOEXEC
                | rustix::mount::OpenTreeFlags::AT_EMPTY_PATH
                | match reach {
                    Reach::ThisMount => rustix::mount::OpenTreeFlags::empty(),
                    Reach::WholeTree => rustix::mount::OpenTreeFlags::AT_RECURSIVE,
                };
            let copy = rustix::mount::open_tree(directory, path, flags)?;
            set_raw(std::os::fd::AsFd::as_fd(&copy), attributes.raw(), reach)?;
            Ok(copy)
        }
        result => result,
    }
}

fn copy_with_attributes(
    directory: BorrowedFd<'_>,
    path: &CStr,
    attributes: libc::mount_attr,
    reach: Reach,
) -> io::Result<OwnedFd> {
    // The same number on every architecture, as all calls since 5.1 have.
    const SYS_OPEN_TREE_ATTR: libc::c_long = 467;
    let flags = libc::OPEN_TREE_CLONE
        | libc::OPEN_TREE_CLOEXEC
        | libc::AT_EMPTY_PATH.unsigned_abs()
        | reach.flag();
    // SAFETY: the kernel reads a string that `CStr` ends with a zero byte, and `size` bytes of
    // `attributes`, which lives on this stack; it writes no memory of ours.
    let result = unsafe {
        libc::syscall(
            SYS_OPEN_TREE_ATTR,
            directory.as_raw_fd(),
            path.as_ptr(),
            flags,
            &raw const attributes,
            std::mem::size_of::<libc::mount_attr>(),
        )
    };
    // SAFETY: this is the result of a call that makes an fd.
    unsafe { fds::made(result) }
}
