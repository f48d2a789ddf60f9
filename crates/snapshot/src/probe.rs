//! Does overlayfs work on this file system, for this process, in this form?
//!
//! The only sure way to know is to try: a small union with a whiteout, an opaque directory and a
//! file above, mounted detached, so that no other process ever sees it and nothing is left to
//! unmount.

use crate::{Driver, Number, Snapshots, with_driver};
use dhow_base::{Doing, Result, file, id::random_hex, tree};
use dhow_spec::Mount;
use dhow_sys::union;
use rustix::fs::{FileType, Mode, OFlags, XattrFlags};
use std::{fs, io, path::Path};

/// Tries a union of root's in a temporary directory below `root`, which must exist.
pub fn overlay_works(root: &Path) -> Result<bool> {
    works(root, Driver::Overlay)
}

/// Tries the union of a driver.
///
/// An error means that not even the directories could be made; a kernel or file system that
/// refuses the mount is an answer, not an error.
pub(crate) fn works(root: &Path, driver: Driver) -> Result<bool> {
    let directory = root.join(format!(".probe-{}", random_hex(6)?));
    file::make_directories(&directory, 0o700)?;
    let answer = attempt(with_driver(driver, &directory).as_ref()).is_ok_and(|works| works);
    tree::remove(&directory).doing(|| format!("remove {}", directory.display()))?;
    Ok(answer)
}

fn attempt(snapshots: &dyn Snapshots) -> Result<bool> {
    let (low, high, own) = (Number(1), Number(2), Number(3));
    let below = snapshots.prepare(low, None)?;
    let above = snapshots.prepare(high, None)?;
    furnish(&below, &above, snapshots.driver()).doing(|| "make two layers")?;
    snapshots.seal(low)?;
    snapshots.seal(high)?;
    let mount = snapshots.activate(own, &[high, low])?;
    let Mount::Overlay { upper: Some(upper), .. } = &mount else { return Ok(false) };
    let union = union::open(&mount).map_err(io::Error::from).doing(|| "unite them")?;
    let sees = |name: &str| rustix::fs::statat(&union, name, rustix::fs::AtFlags::empty()).is_ok();
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let written = rustix::fs::openat(&union, "new", flags, Mode::from_raw_mode(0o600))
        .doing(|| "write above them")?;
    drop(written);
    Ok(sees("seen")
        && !sees("hidden")
        && sees("opaque")
        && !sees("opaque/hidden")
        && upper.upper.join("new").exists())
}

fn furnish(below: &Path, above: &Path, driver: Driver) -> io::Result<()> {
    for path in [below.join("opaque"), above.join("opaque")] {
        fs::create_dir(path)?;
    }
    for name in ["hidden", "opaque/hidden", "seen"] {
        fs::write(below.join(name), b"")?;
    }
    let whiteout = above.join("hidden");
    rustix::fs::mknodat(rustix::fs::CWD, &whiteout, FileType::CharacterDevice, Mode::empty(), 0)?;
    let note = match driver {
        Driver::UserOverlay => "user.overlay.opaque",
        _ => "trusted.overlay.opaque",
    };
    rustix::fs::setxattr(above.join("opaque"), note, b"y", XattrFlags::empty())?;
    Ok(())
}
