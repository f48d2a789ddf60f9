//! The container's root filesystem as a detached mount: no path leads to it until the container's
//! own mount namespace attaches it, and nothing is left when the last fd of it closes.

use dhow_base::{Doing, Error, Kind, Result};
use dhow_spec::mount::{Mount, OverlayUpper};
use dhow_sys::mount::{Attributes, Propagation, Reach};
use rustix::{
    fs::{CWD, Mode, OFlags},
    io::Errno,
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags},
};
use std::{
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

/// Mounts `mount`, attached to nothing.
pub(crate) fn detached(mount: &Mount) -> Result<OwnedFd> {
    match mount {
        Mount::Overlay { lower, upper } => overlay(lower, upper.as_ref()),
        Mount::Bind { source, read_only } => {
            let root = bound(source)?;
            if *read_only {
                let attributes = Attributes::setting(MountAttrFlags::MOUNT_ATTR_RDONLY);
                dhow_sys::mount::set_attributes(root.as_fd(), attributes, Reach::ThisMount)
                    .doing(|| format!("make {} read-only", source.display()))?;
            }
            Ok(root)
        }
    }
}

/// A private copy of the directory's mount, with what is mounted below it.
pub(crate) fn bound(source: &Path) -> Result<OwnedFd> {
    let doing = || format!("open root filesystem {}", source.display());
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let place = rustix::fs::open(source, flags, Mode::empty()).doing(doing)?;
    let attributes = Attributes::propagating(Propagation::Private);
    dhow_sys::mount::copy(place.as_fd(), attributes, Reach::WholeTree).doing(doing)
}

fn overlay(lower: &[PathBuf], upper: Option<&OverlayUpper>) -> Result<OwnedFd> {
    if lower.is_empty() {
        return Err(Error::new(Kind::Invalid, "mount an overlay without a lower layer"));
    }
    // An overlay without an upper layer wants two lower ones: a layer over nothing is itself.
    if let ([only], None) = (lower, upper) {
        return detached(&Mount::Bind { source: only.clone(), read_only: true });
    }
    let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)
        .doing(|| "open the overlay filesystem")?;
    let context = context.as_fd();
    add_lower(context, lower)?;
    if let Some(OverlayUpper { upper, work, volatile }) = upper {
        for (key, path) in [("upperdir", upper), ("workdir", work)] {
            rustix::mount::fsconfig_set_string(context, key, path)
                .doing(|| format!("use {} as the overlay's {key}", path.display()))?;
        }
        if *volatile {
            rustix::mount::fsconfig_set_flag(context, "volatile")
                .doing(|| "make the overlay volatile")?;
        }
    }
    rustix::mount::fsconfig_create(context).map_err(|errno| explain(context, errno))?;
    rustix::mount::fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
        .doing(|| "mount the overlay")
}

/// One layer a call (Linux 6.5), or all in one escaped string before.
fn add_lower(context: std::os::fd::BorrowedFd<'_>, lower: &[PathBuf]) -> Result<()> {
    for (index, layer) in lower.iter().enumerate() {
        match rustix::mount::fsconfig_set_string(context, "lowerdir+", layer) {
            Ok(()) => {}
            Err(Errno::INVAL) if index == 0 => return add_lower_joined(context, lower),
            Err(errno) => {
                return Err(errno).doing(|| format!("use {} as a layer", layer.display()));
            }
        }
    }
    Ok(())
}

fn add_lower_joined(context: std::os::fd::BorrowedFd<'_>, lower: &[PathBuf]) -> Result<()> {
    let joined = join_escaped(lower);
    rustix::mount::fsconfig_set_string(context, "lowerdir", joined.as_slice())
        .doing(|| format!("use {} layers", lower.len()))
}

/// Layers with `:` between them; overlayfs takes `\` as the escape of `:` and of itself.
fn join_escaped(lower: &[PathBuf]) -> Vec<u8> {
    let mut joined = Vec::new();
    for (index, layer) in lower.iter().enumerate() {
        if index > 0 {
            joined.push(b':');
        }
        for &byte in std::os::unix::ffi::OsStrExt::as_bytes(layer.as_os_str()) {
            if matches!(byte, b':' | b'\\') {
                joined.push(b'\\');
            }
            joined.push(byte);
        }
    }
    joined
}

/// The kernel's own words for a failure, which it keeps in the context.
fn explain(context: std::os::fd::BorrowedFd<'_>, errno: Errno) -> Error {
    let mut buffer = [0_u8; 512];
    let words = match rustix::io::read(context, &mut buffer) {
        Ok(count) => {
            String::from_utf8_lossy(&buffer[..count]).trim_end().trim_start_matches("e ").to_owned()
        }
        Err(_) => String::new(),
    };
    let text = match words.as_str() {
        "" => "mount the overlay".to_owned(),
        words => format!("mount the overlay ({words})"),
    };
    let kind = match errno {
        Errno::INVAL | Errno::NOENT | Errno::NOTDIR => Kind::Invalid,
        Errno::PERM | Errno::ACCESS => Kind::Denied,
        Errno::NOSPC | Errno::NOMEM => Kind::Exhausted,
        Errno::NODEV => Kind::Unsupported,
        _ => Kind::Internal,
    };
    Error::new(kind, text).because(std::io::Error::from(errno))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_layers_keep_their_colons_and_backslashes() {
        let layers = [PathBuf::from("/a:b"), PathBuf::from("/c\\d")];

        assert_eq!(join_escaped(&layers), b"/a\\:b:/c\\\\d");
    }
}
