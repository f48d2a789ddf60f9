//! The directories of a layer or a tree: what is at a path, reached without following a link.

use crate::attributes::{self, Place};
use dhow_base::{Doing, Result};
use rustix::fs::{Dir, Mode, OFlags, ResolveFlags};
use std::{
    ffi::CString,
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

/// Is one of the directories that lead to `path` opaque in this layer?
pub(crate) fn hides_below(layer: &OwnedFd, path: &Path) -> Result<bool> {
    for ancestor in path.ancestors().skip(1) {
        let Ok(directory) = within(layer, ancestor) else { continue };
        if attributes::overlay_notes(&Place::of(&directory))?.is_opaque {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Opens a directory of the layer.
pub(crate) fn within(directory: impl AsFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(directory, path, flags, Mode::empty(), resolve)
}

/// The names in a directory, without `.` and `..`.
pub(crate) fn names(directory: &OwnedFd) -> Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory).doing(|| "list it")? {
        let entry = entry.doing(|| "list it")?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}
