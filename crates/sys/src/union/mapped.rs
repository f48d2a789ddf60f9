//! A [`Mount`] whose files belong to the ids of a user namespace: what is root's on disk is shown as
//! the namespace's root's, and what that root writes is root's on disk. So one set of layers serves
//! containers of all ids, and nothing is ever chowned.
//!
//! Each layer is mapped by itself, since a union as a whole cannot be (the kernel's overlayfs does
//! not allow it). What the union does on its own account (its work directory) it does as whoever
//! mounts it, who must have an id on the mapped disk: so for that one call we are the namespace's
//! root to the file system. Mapped layers that are attached nowhere need Linux 6.15.

use super::{Failure, Layers, bind, erofs, explained, failed, is_image, mount, open_context};
use crate::mount::{Attributes, Propagation, Reach, copy, idmap, set_attributes};
use dhow_spec::{Mount, mount::OverlayUpper};
use rustix::{
    fs::{CWD, Gid, Mode, OFlags, Uid},
    io::Errno,
    mount::{MountAttrFlags, fsconfig_set_fd, fsconfig_set_flag},
};
use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

/// Whose ids the files are shown with.
#[derive(Clone, Copy, Debug)]
pub struct Owners<'a> {
    /// The user namespace.
    pub namespace: BorrowedFd<'a>,
    /// What its root is outside.
    pub root: (Uid, Gid),
}

/// As [`open_labelled`](super::open_labelled), with files that belong to the ids of a user namespace.
pub fn open_mapped(
    mount: &Mount,
    owners: Owners<'_>,
    label: Option<&str>,
) -> Result<OwnedFd, Failure> {
    match mount {
        Mount::Overlay { lower, upper, userxattr } => {
            let layers = Layers { lower, upper: upper.as_ref(), userxattr: *userxattr, label };
            unite(&layers, owners)
        }
        Mount::Bind { source, read_only } => {
            let tree = bind(source, Propagation::Private)?;
            map(&tree, source, owners)?;
            if *read_only {
                make_read_only(&tree, source)?;
            }
            Ok(tree)
        }
        // Who mounted it did so without these ids, and a union cannot get them afterwards.
        Mount::Attached { at } => {
            Err(failed(|| format!("map the ids of {}, which is mounted", at.display()))(
                Errno::BUSY,
            ))
        }
    }
}

fn unite(layers: &Layers<'_>, owners: Owners<'_>) -> Result<OwnedFd, Failure> {
    // A union of one read-only layer is that layer.
    if let ([only], None) = (layers.lower, layers.upper) {
        let layer = mapped_layer(only, owners)?;
        make_read_only(&layer, only)?;
        return Ok(layer);
    }
    let context = open_context(layers)?;
    // The union takes them when it is made.
    let mut kept = Vec::new();
    for path in layers.lower {
        let layer = mapped_layer(path, owners)?;
        set_layer(context.as_fd(), "lowerdir+", layer.as_fd(), path)?;
        kept.push(layer);
    }
    if let Some(upper) = layers.upper {
        kept.extend(set_upper(context.as_fd(), upper, owners)?);
    }
    let mounted = crate::process::as_owner(owners.root, || mount(context.as_fd()));
    drop(kept);
    mounted.map_err(failed(|| "become the owner of the layers".to_owned()))?
}

fn mapped_layer(path: &Path, owners: Owners<'_>) -> Result<OwnedFd, Failure> {
    let layer = if is_image(path) { erofs(path)? } else { copy_of(path)? };
    map(&layer, path, owners)?;
    Ok(layer)
}

fn copy_of(path: &Path) -> Result<OwnedFd, Failure> {
    let step = || format!("open the layer {}", path.display());
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let place = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(failed(step))?;
    let attributes = Attributes::propagating(Propagation::Private);
    copy(place.as_fd(), attributes, Reach::ThisMount).map_err(failed(step))
}

fn map(layer: &OwnedFd, path: &Path, owners: Owners<'_>) -> Result<(), Failure> {
    idmap(layer.as_fd(), owners.namespace, Reach::ThisMount).map_err(failed(|| {
        format!("map the ids of {} (does its file system support that?)", path.display())
    }))
}

fn make_read_only(layer: &OwnedFd, path: &Path) -> Result<(), Failure> {
    let attributes = Attributes::setting(MountAttrFlags::MOUNT_ATTR_RDONLY);
    set_attributes(layer.as_fd(), attributes, Reach::ThisMount)
        .map_err(failed(|| format!("make {} read-only", path.display())))
}

fn set_layer(
    context: BorrowedFd<'_>,
    key: &str,
    layer: BorrowedFd<'_>,
    path: &Path,
) -> Result<(), Failure> {
    fsconfig_set_fd(context, key, layer).map_err(failed(|| {
        explained(context, format!("use {} as a mapped layer (Linux 6.15)", path.display()))
    }))
}

/// The writable layer and its work directory lie in one directory, and the kernel wants them in one
/// mount: the directory is mapped, and they are opened in it.
fn set_upper(
    context: BorrowedFd<'_>,
    upper: &OverlayUpper,
    owners: Owners<'_>,
) -> Result<[OwnedFd; 3], Failure> {
    let step = || format!("use {} as the overlay's upperdir", upper.upper.display());
    let apart = || failed(step)(Errno::XDEV);
    let (Some(directory), Some(name)) = (upper.upper.parent(), upper.upper.file_name()) else {
        return Err(apart());
    };
    let work_name = match upper.work.strip_prefix(directory) {
        Ok(name) => name,
        Err(_) => return Err(apart()),
    };
    let tree = copy_of(directory)?;
    map(&tree, directory, owners)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = |name: &Path| rustix::fs::openat(&tree, name, flags, Mode::empty());
    let above = open(Path::new(name)).map_err(failed(step))?;
    let work = open(work_name).map_err(failed(step))?;
    set_layer(context, "upperdir", above.as_fd(), &upper.upper)?;
    set_layer(context, "workdir", work.as_fd(), &upper.work)?;
    if upper.volatile {
        fsconfig_set_flag(context, "volatile")
            .map_err(failed(|| "make the overlay volatile".to_owned()))?;
    }
    Ok([above, work, tree])
}
