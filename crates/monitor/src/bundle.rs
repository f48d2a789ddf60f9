//! A bundle with the root in it, for programs that want a directory: other runtimes, and CRIU.
//!
//! Ours makes the root out of nothing but fds, in the container's namespace alone. Here it is mounted
//! below the run directory, where only the caller sees it, who has a mount namespace of its own for that.

use dhow_base::{
    Doing, Error, Kind, Result,
    file::{self, Durability},
};
use dhow_spec::{
    Mount,
    runtime::{Linux, Root, Spec},
};
use rustix::{fs::CWD, mount::MoveMountFlags};
use std::{
    io,
    path::{Path, PathBuf},
};

/// Makes it in `directory` from a configuration that lies in `home`, and returns where it is.
pub(crate) fn make(
    directory: &Path,
    home: &Path,
    rootfs: Option<&Mount>,
    spec: Spec,
) -> Result<PathBuf> {
    let bundle = directory.join("bundle");
    let place = bundle.join("rootfs");
    file::make_directories(&place, 0o700)?;
    if let Some(mount) = rootfs {
        let label = spec.linux.as_ref().and_then(Linux::label);
        let root = dhow_sys::union::open_labelled(mount, label)
            .map_err(io::Error::from)
            .doing(|| "make the root")?;
        let whole = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        rustix::mount::move_mount(&root, "", CWD, &place, whole)
            .doing(|| format!("mount the root on {}", place.display()))?;
    }
    let readonly = spec.root.as_ref().is_some_and(|root| root.readonly);
    let path = match rootfs {
        Some(_) => place,
        None => spec.root.as_ref().map(|root| home.join(&root.path)).unwrap_or(place),
    };
    let spec = Spec { root: Some(Root { path, readonly }), ..spec };
    let bytes = serde_json::to_vec(&spec)
        .map_err(|error| Error::new(Kind::Internal, "write config.json").because(error))?;
    file::write_atomically(&bundle.join("config.json"), &bytes, 0o600, Durability::Cached)?;
    Ok(bundle)
}
