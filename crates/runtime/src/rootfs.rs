//! The container's root filesystem as a detached mount: no path leads to it until the container's
//! own mount namespace attaches it, and nothing is left when the last fd of it closes.

use crate::{mappings, options};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_spec::{
    mount::Mount,
    runtime::{IdMapping, Linux, Spec},
};
use dhow_sys::{
    mount::{Attributes, Propagation, Reach},
    union::{self, Failure, Owners},
};
use rustix::{
    fs::{CWD, Gid, Uid},
    io::Errno,
    mount::MoveMountFlags,
};
use std::{
    cell::RefCell,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

/// How the root propagates (config-linux.md, "Rootfs Mount Propagation"): nothing that the container
/// mounts ever reaches the host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Propagates(Option<(Propagation, Reach)>);

impl Propagates {
    /// What the configuration says.
    pub(crate) fn of(spec: &Spec) -> Result<Self> {
        let word = spec.linux.as_ref().and_then(|linux| linux.rootfs_propagation.as_deref());
        match word.filter(|word| !word.is_empty()) {
            None => Ok(Self(None)),
            Some(word) => match options::propagation(word) {
                Some(change) => Ok(Self(Some(change))),
                None => Err(Error::new(Kind::Invalid, format!("use rootfsPropagation {word:?}"))),
            },
        }
    }

    /// How the copy of the root's directory propagates: a slave hears of the host's mounts.
    fn copy(self) -> Propagation {
        match self.0 {
            Some((Propagation::Slave, _)) => Propagation::Slave,
            _ => Propagation::Private,
        }
    }

    /// Opens a new peer group, or forbids copies, when the root is the container's alone. That it
    /// is private or a slave it is since its copy was made; what the mounts below it are their
    /// own options have said.
    pub(crate) fn finish(self, root: BorrowedFd<'_>) -> Result<()> {
        match self.0 {
            Some((propagation @ (Propagation::Shared | Propagation::Unbindable), reach)) => {
                let attributes = Attributes::propagating(propagation);
                dhow_sys::mount::set_attributes(root, attributes, reach)
                    .doing(|| "change how the root propagates")
            }
            _ => Ok(()),
        }
    }
}

/// Mounts `mount`, attached to nothing, with the configuration's label where it can have one.
pub(crate) fn detached(mount: &Mount, label: Option<&str>) -> Result<OwnedFd> {
    if matches!(mount, Mount::Overlay { lower, .. } if lower.is_empty()) {
        return Err(Error::new(Kind::Invalid, "mount an overlay without a lower layer"));
    }
    union::open_labelled(mount, label).map_err(explain)
}

/// A root that was mounted before anybody knew the configuration: without a label, and with the ids
/// that its files have.
#[derive(Debug)]
pub struct RootAhead {
    mount: Mount,
    detached: RefCell<Option<OwnedFd>>,
}

impl RootAhead {
    /// Mounts it, attached to nothing. It goes with this value, unless a container has it by then.
    pub fn make(mount: Mount) -> Result<Self> {
        let detached = RefCell::new(Some(self::detached(&mount, None)?));
        Ok(Self { mount, detached })
    }

    /// The root, where it is of that mount. There is none for a second one.
    pub(crate) fn take(&self, mount: &Mount) -> Option<OwnedFd> {
        if self.mount == *mount { self.detached.take() } else { None }
    }
}

/// As [`detached`], with the ids of the container's user namespace: who hands us a mount hands us the
/// files of an image, whose owners are ids of the container.
pub(crate) fn mapped(mount: &Mount, linux: &Linux, joined: Option<&OwnedFd>) -> Result<OwnedFd> {
    let (uids, gids) = (&linux.uid_mappings, &linux.gid_mappings);
    let own;
    let namespace = match joined {
        Some(joined) => joined,
        None => {
            own = mappings::namespace(uids, gids)?;
            &own
        }
    };
    let owners = Owners {
        namespace: namespace.as_fd(),
        root: (Uid::from_raw(outside(uids)), Gid::from_raw(outside(gids))),
    };
    union::open_mapped(mount, owners, linux.label()).map_err(explain)
}

/// What the namespace's root is outside; where it has none, the first id that there is.
fn outside(ids: &[IdMapping]) -> u32 {
    let root = ids.iter().find(|range| range.container_id == 0);
    root.or(ids.first()).map_or(0, |range| range.host_id)
}

/// A copy of the directory's mount, with what is mounted below it. A link to the directory is
/// followed: the bundle is the caller's, and what is in the root is not looked at yet.
pub(crate) fn bound(source: &Path, propagates: Propagates) -> Result<OwnedFd> {
    let doing = || format!("open root filesystem {}", source.display());
    union::bind(source, propagates.copy()).map_err(|failure| failure.source).doing(doing)
}

/// What is wrong with the mount: most often that a path in it is not what it should be.
fn explain(failure: Failure) -> Error {
    let kind = match Errno::from_io_error(&failure.source) {
        Some(Errno::INVAL | Errno::NOENT | Errno::NOTDIR) => Kind::Invalid,
        Some(Errno::PERM | Errno::ACCESS) => Kind::Denied,
        Some(Errno::NOSPC | Errno::NOMEM) => Kind::Exhausted,
        Some(Errno::BUSY) => Kind::Conflict,
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
