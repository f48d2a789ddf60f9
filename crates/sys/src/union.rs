//! A [`Mount`] made real but attached nowhere: an fd to look into, or to attach with `move_mount`.
//!
//! Nobody else sees such a mount, no path leads to it, and it goes when the last fd of it closes.
//! Linux 5.2. Layers are given one by one, which has no limit on their number (Linux 6.5), or all
//! in one string before.

use crate::mount::{Attributes, Propagation, Reach, copy, set_attributes};
use dhow_spec::{Mount, mount::OverlayUpper};
use rustix::{
    fs::{CWD, Mode, OFlags},
    io::Errno,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag,
        fsconfig_set_string, fsmount, fsopen,
    },
};
use std::{
    error, fmt, io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

/// Which of the many steps failed, where the errno alone would not tell.
#[derive(Debug)]
pub struct Failure {
    /// The step, with the path it was about or the kernel's own words.
    pub step: String,
    /// The errno.
    pub source: io::Error,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.step)
    }
}

impl error::Error for Failure {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.source)
    }
}

/// For callers who only pass it on; the kind stays.
impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        Self::new(failure.source.kind(), failure)
    }
}

/// Names the step that failed.
fn failed<E: Into<io::Error>>(step: impl FnOnce() -> String) -> impl FnOnce(E) -> Failure {
    |source| Failure { step: step(), source: source.into() }
}

/// Mounts without attaching.
pub fn open(mount: &Mount) -> Result<OwnedFd, Failure> {
    match mount {
        Mount::Overlay { lower, upper } => overlay(lower, upper.as_ref()),
        Mount::Bind { source, read_only: false } => bind(source, Propagation::Private),
        Mount::Bind { source, read_only: true } => bind_read_only(source),
    }
}

/// A copy of a directory's mount, with what is mounted below it.
pub fn bind(source: &Path, propagation: Propagation) -> Result<OwnedFd, Failure> {
    let step = || format!("open the directory {}", source.display());
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let place = rustix::fs::openat(CWD, source, flags, Mode::empty()).map_err(failed(step))?;
    let attributes = Attributes::propagating(propagation);
    copy(place.as_fd(), attributes, Reach::WholeTree).map_err(failed(step))
}

/// As [`bind`], private; what is mounted below stays as it is.
fn bind_read_only(source: &Path) -> Result<OwnedFd, Failure> {
    let root = bind(source, Propagation::Private)?;
    let attributes = Attributes::setting(MountAttrFlags::MOUNT_ATTR_RDONLY);
    set_attributes(root.as_fd(), attributes, Reach::ThisMount)
        .map_err(failed(|| format!("make {} read-only", source.display())))?;
    Ok(root)
}

fn overlay(lower: &[PathBuf], upper: Option<&OverlayUpper>) -> Result<OwnedFd, Failure> {
    // A union of one read-only layer is that layer; the kernel refuses it as an overlay.
    if let ([only], None) = (lower, upper) {
        return bind_read_only(only);
    }
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)
        .map_err(failed(|| "open the overlay filesystem".to_owned()))?;
    let context = context.as_fd();
    add_lower(context, lower)?;
    if let Some(upper) = upper {
        add_upper(context, upper)?;
    }
    fsconfig_create(context).map_err(failed(|| explained(context)))?;
    fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
        .map_err(failed(|| "mount the overlay".to_owned()))
}

/// One layer a call (Linux 6.5), or all in one escaped string before.
fn add_lower(context: BorrowedFd<'_>, lower: &[PathBuf]) -> Result<(), Failure> {
    for (index, layer) in lower.iter().enumerate() {
        match fsconfig_set_string(context, "lowerdir+", layer) {
            Err(Errno::INVAL) if index == 0 => {
                return fsconfig_set_string(context, "lowerdir", join_escaped(lower).as_slice())
                    .map_err(failed(|| format!("use {} layers", lower.len())));
            }
            result => result.map_err(failed(|| format!("use {} as a layer", layer.display())))?,
        }
    }
    Ok(())
}

/// Layers with `:` between them; overlayfs takes `\` as the escape of `:` and of itself.
fn join_escaped(lower: &[PathBuf]) -> Vec<u8> {
    let mut joined = Vec::new();
    for (index, layer) in lower.iter().enumerate() {
        if index > 0 {
            joined.push(b':');
        }
        for &byte in layer.as_os_str().as_bytes() {
            if matches!(byte, b':' | b'\\') {
                joined.push(b'\\');
            }
            joined.push(byte);
        }
    }
    joined
}

fn add_upper(context: BorrowedFd<'_>, upper: &OverlayUpper) -> Result<(), Failure> {
    for (key, path) in [("upperdir", &upper.upper), ("workdir", &upper.work)] {
        fsconfig_set_string(context, key, path)
            .map_err(failed(|| format!("use {} as the overlay's {key}", path.display())))?;
    }
    if upper.volatile {
        fsconfig_set_flag(context, "volatile")
            .map_err(failed(|| "make the overlay volatile".to_owned()))?;
    }
    Ok(())
}

/// The kernel's own words for a failure, which it keeps in the context.
fn explained(context: BorrowedFd<'_>) -> String {
    let mut buffer = [0_u8; 512];
    let count = rustix::io::read(context, &mut buffer).unwrap_or(0);
    let words = String::from_utf8_lossy(&buffer[..count]);
    match words.trim_end().trim_start_matches("e ") {
        "" => "mount the overlay".to_owned(),
        words => format!("mount the overlay ({words})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_layers_keep_their_colons_and_backslashes() {
        let layers = [PathBuf::from("/a:b"), PathBuf::from("/c\\d")];

        assert_eq!(join_escaped(&layers), b"/a\\:b:/c\\\\d");
    }

    #[test]
    fn a_failure_keeps_its_step_and_its_kind() {
        let missing = Mount::Bind { source: PathBuf::from("/no/such/layer"), read_only: true };

        let failure = open(&missing).unwrap_err();

        assert_eq!(failure.step, "open the directory /no/such/layer");
        assert_eq!(io::Error::from(failure).kind(), io::ErrorKind::NotFound);
    }
}
