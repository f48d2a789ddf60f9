//! What a container has of the host's: CRIU must be told, since it writes down only what is the
//! container's own, and asks for the rest when it makes it again.
//!
//! A mount is known by its place in the container, looked up in the same way both times: below the
//! root's directory, links within it followed.

use crate::{devices::default_places, shelf::Record};
use dhow_base::{Doing, Result};
use dhow_cgroup::Cgroup;
use dhow_spec::runtime::{MountPoint, Namespace, NamespaceKind, Spec};
use dhow_sys::root::{Last, Root};
use rustix::fs::{FileType, Mode, OFlags};
use std::{
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

/// A mount from outside.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct External {
    /// Where it is in the container.
    pub(super) place: String,
    /// What it is of the host's.
    pub(super) source: String,
}

/// The root's directory, as the host sees it.
pub(super) fn open_root(record: &Record) -> Result<OwnedFd> {
    let path = record.rootfs();
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(&path, flags, Mode::empty())
        .doing(|| format!("open root filesystem {}", path.display()))
}

/// All mounts of a container that are not its own.
pub(super) fn mounts(record: &Record, root: BorrowedFd<'_>, cgroup: &Cgroup) -> Vec<External> {
    let spec = &record.spec;
    let mut found = Vec::new();
    for mount in &spec.mounts {
        if is_bind(mount) {
            let source = mount.source.clone().unwrap_or_default();
            let source = record.bundle.join(source);
            found.push(external(&resolved(root, &mount.destination), &source));
        } else if is_cgroup(mount) && own(spec, NamespaceKind::Cgroup).is_none() {
            found.extend(hierarchies(&resolved(root, &mount.destination), cgroup));
        }
    }
    // In a user namespace no device can be made, so those of the host are bound.
    if own(spec, NamespaceKind::User).is_some() && !has_foreign_dev(spec) {
        let asked = || spec.linux.iter().flat_map(|linux| &linux.devices);
        let is_asked = |place: &Path| asked().any(|device| device.path == place);
        found.extend(asked().map(|device| external(&device.path, &device.path)));
        let defaults = default_places().filter(|place| !is_asked(place));
        found.extend(defaults.map(|place| external(place, place)));
    }
    found
}

/// Whether `/dev` is the host's, to which nothing was added.
fn has_foreign_dev(spec: &Spec) -> bool {
    spec.mounts.iter().any(|mount| is_bind(mount) && mount.destination == Path::new("/dev"))
}

/// Files that are masked: the null device covers them.
pub(super) fn masks(spec: &Spec, inside: BorrowedFd<'_>) -> Vec<External> {
    let paths = spec.linux.iter().flat_map(|linux| &linux.masked_paths);
    let is_file = |path: &&String| {
        let place = Root::new(inside).place(Path::new(path), Last::Followed);
        let status = place.ok().and_then(|place| rustix::fs::fstat(&place).ok());
        status.is_some_and(|status| FileType::from_raw_mode(status.st_mode) != FileType::Directory)
    };
    paths.filter(is_file).map(|path| external(Path::new(path), Path::new("/dev/null"))).collect()
}

/// Makes the places that mounts need, as a birth does. What is on a tmpfs comes with its content.
pub(super) fn make_places(record: &Record, root: BorrowedFd<'_>) -> Result<()> {
    let mounts = &record.spec.mounts;
    let is_tmpfs = |mount: &&MountPoint| mount.kind.as_deref() == Some("tmpfs");
    let fresh: Vec<&Path> =
        mounts.iter().filter(is_tmpfs).map(|mount| mount.destination.as_path()).collect();
    for mount in mounts.iter().filter(|mount| !is_cgroup(mount)) {
        let place = mount.destination.as_path();
        if fresh.iter().any(|above| place.starts_with(above) && place != *above) {
            continue;
        }
        let source = mount.source.as_ref().map(|source| record.bundle.join(source));
        let is_file = is_bind(mount) && source.is_some_and(|source| source.is_file());
        let root = Root::new(root);
        let made = if is_file { root.make_file(place) } else { root.make_directories(place) };
        made.doing(|| format!("make the place of the mount {}", place.display()))?;
    }
    Ok(())
}

/// The namespace of this kind that the container does not share with its caller.
pub(super) fn own(spec: &Spec, kind: NamespaceKind) -> Option<&Namespace> {
    spec.linux.as_ref().and_then(|linux| linux.namespace(kind))
}

fn external(place: &Path, source: &Path) -> External {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    External { place: text(place), source: text(source) }
}

fn is_bind(mount: &MountPoint) -> bool {
    mount.kind.as_deref() == Some("bind")
        || mount.options.iter().any(|option| option == "bind" || option == "rbind")
}

fn is_cgroup(mount: &MountPoint) -> bool {
    matches!(mount.kind.as_deref(), Some("cgroup" | "cgroup2"))
}

/// Without a cgroup namespace, the hierarchies of version 1 are bound one by one below a tmpfs.
fn hierarchies(place: &Path, cgroup: &Cgroup) -> Vec<External> {
    let named = |path: &PathBuf| {
        let name = path.strip_prefix("/sys/fs/cgroup").ok()?.components().next()?;
        Some(external(&place.join(name), path))
    };
    cgroup.directories().iter().filter_map(named).collect()
}

/// Where a destination leads, links followed within the root; itself where it does not exist.
fn resolved(root: BorrowedFd<'_>, destination: &Path) -> PathBuf {
    let name =
        |fd: BorrowedFd<'_>| std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).ok();
    let place = Root::new(root).place(destination, Last::Followed).ok();
    let found = place.and_then(|place| name(place.as_fd()));
    match (found, name(root)) {
        (Some(found), Some(root)) => match found.strip_prefix(&root) {
            Ok(below) => Path::new("/").join(below),
            Err(_) => Path::new("/").join(destination),
        },
        _ => Path::new("/").join(destination),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_looked_up_within_the_root() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("run")).unwrap();
        std::os::unix::fs::symlink("/run", directory.path().join("var")).unwrap();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(directory.path(), flags, Mode::empty()).unwrap();

        assert_eq!(resolved(root.as_fd(), Path::new("/var")), Path::new("/run"));
        assert_eq!(resolved(root.as_fd(), Path::new("/no/such")), Path::new("/no/such"));
    }
}
