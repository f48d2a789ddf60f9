//! Does overlayfs work on this file system, for this process?
//!
//! The only sure way to know is to try: a small union with a whiteout, an opaque directory and a
//! file above, mounted detached, so that no other process ever sees it and nothing is left to
//! unmount.

use crate::remove;
use dhow_base::{Doing, Result, file, id::random_hex};
use rustix::{
    fs::{FileType, Mode, OFlags, XattrFlags},
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags},
};
use std::{
    fs,
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

/// Tries a union in a temporary directory below `root`, which must exist.
///
/// An error means that not even the directories could be made; a kernel or file system that
/// refuses the mount is an answer, not an error.
pub fn overlay_works(root: &Path) -> Result<bool> {
    let directory = root.join(format!(".probe-{}", random_hex(6)?));
    file::make_directories(&directory, 0o700)?;
    let answer = attempt(&directory).is_ok_and(|works| works);
    remove::remove(&directory).doing(|| format!("remove {}", directory.display()))?;
    Ok(answer)
}

fn attempt(directory: &Path) -> std::io::Result<bool> {
    let (lower, upper, work) =
        (directory.join("lower"), directory.join("upper"), directory.join("work"));
    for path in [&lower.join("opaque"), &upper.join("opaque"), &work] {
        fs::create_dir_all(path)?;
    }
    for name in ["hidden", "opaque/hidden", "seen"] {
        fs::write(lower.join(name), b"")?;
    }
    let whiteout = upper.join("hidden");
    rustix::fs::mknodat(rustix::fs::CWD, &whiteout, FileType::CharacterDevice, Mode::empty(), 0)?;
    let opaque = upper.join("opaque");
    rustix::fs::setxattr(&opaque, "trusted.overlay.opaque", b"y", XattrFlags::empty())?;
    let union = mount(&lower, &upper, &work)?;
    let sees = |name: &str| rustix::fs::statat(&union, name, rustix::fs::AtFlags::empty()).is_ok();
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let written = rustix::fs::openat(&union, "new", flags, Mode::from_raw_mode(0o600))?;
    drop(written);
    Ok(sees("seen")
        && !sees("hidden")
        && sees("opaque")
        && !sees("opaque/hidden")
        && upper.join("new").exists())
}

/// A union that is mounted nowhere; it goes with its fd.
pub(crate) fn mount(lower: &Path, upper: &Path, work: &Path) -> rustix::io::Result<OwnedFd> {
    let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, path) in [("lowerdir", lower), ("upperdir", upper), ("workdir", work)] {
        rustix::mount::fsconfig_set_string(context.as_fd(), key, path)?;
    }
    rustix::mount::fsconfig_create(context.as_fd())?;
    rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
}
