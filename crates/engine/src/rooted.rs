//! The root of a container as a place for others than its processes.
//!
//! Of a running container it is what its first process sees, volumes included. Of one that does not
//! run it is mounted unseen: for reading, as often as anybody likes; for writing, by one who holds a
//! lock that a start waits for, since two unions must not write to one layer.

use crate::{Engine, exec::root_of};
use dhow_base::{
    Doing, Error, Kind, Result, file,
    id::ContainerId,
    lock::{Lock, Sharing},
};
use dhow_spec::runtime::Spec;
use dhow_state::containers::{Container, Phase};
use std::{
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

/// What is done in a root.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// A place in a container: what resolves paths, and the path in it.
pub(crate) struct Rooted {
    pub(crate) root: OwnedFd,
    pub(crate) path: PathBuf,
    /// Keeps the container from being started.
    _lock: Option<Lock>,
}

impl Rooted {
    /// A place that nobody starts.
    pub(crate) fn new(root: OwnedFd, path: PathBuf) -> Self {
        Self { root, path, _lock: None }
    }
}

impl Engine {
    /// Waits until nobody starts a container or writes into its root, and keeps others from it.
    pub(crate) fn lock_root(&self, id: &ContainerId) -> Result<Lock> {
        Lock::acquire(&self.layout.root_lock(id), Sharing::Exclusive)
    }

    /// Opens the root of a container for one who goes to `path` in it.
    pub(crate) fn rooted(
        &mut self,
        row: &Container,
        path: &Path,
        access: Access,
    ) -> Result<Rooted> {
        if let Some(process) = row.process.filter(|_| row.phase == Phase::Running) {
            return Ok(Rooted::new(root_of(process)?, path.to_owned()));
        }
        let lock = match access {
            Access::Read => None,
            Access::Write => Some(self.lock_root(&row.id)?),
        };
        let row = self.look_up(row.id.as_str())?;
        match row.phase {
            // It was started while we waited.
            Phase::Running if lock.is_some() => {
                drop(lock);
                return self.rooted(&row, path, access);
            }
            Phase::Created | Phase::Exited => {}
            _ => return Err(busy(&row)),
        }
        let (root, path) = self.unseen(&row, path, access)?;
        Ok(Rooted { root, path, _lock: lock })
    }

    fn unseen(&self, row: &Container, path: &Path, access: Access) -> Result<(OwnedFd, PathBuf)> {
        let bytes = file::read_limited(&self.layout.config(&row.id), 16 << 20)?;
        let spec = Spec::parse(&bytes)?;
        let refused = |what: &str| {
            Error::new(Kind::Denied, format!("write to {} in {}: {what}", path.display(), row.name))
        };
        if let Some((source, inner, read_only)) = mounted_at(&spec, path, self.layout.runroot()) {
            if read_only && access == Access::Write {
                return Err(refused("what is mounted there is read-only"));
            }
            let mount = dhow_spec::Mount::Bind { source, read_only: access == Access::Read };
            return Ok((open(&mount)?, inner));
        }
        let is_read_only = spec.root.as_ref().is_some_and(|root| root.readonly);
        if is_read_only && access == Access::Write {
            return Err(refused("its root is read-only"));
        }
        let mount = match access {
            Access::Read => self.images.container_mount(&self.state, &row.id)?.for_reading(),
            Access::Write => self.root_at_rest(row)?,
        };
        Ok((open(&mount)?, path.to_owned()))
    }
}

/// Whose turn it is not.
pub(crate) fn busy(row: &Container) -> Error {
    Error::new(Kind::Conflict, format!("container {}: another command is at work on it", row.name))
}

pub(crate) fn open(mount: &dhow_spec::Mount) -> Result<OwnedFd> {
    dhow_sys::union::open(mount).map_err(io::Error::from).doing(|| "mount the root unseen")
}

/// The directory that would be mounted where the path leads, and the rest of the path. A link on the
/// way is not followed for this: nothing is mounted yet that could be crossed.
fn mounted_at(spec: &Spec, path: &Path, runroot: &Path) -> Option<(PathBuf, PathBuf, bool)> {
    let binds = spec.mounts.iter().filter(|mount| {
        let source = mount.source.as_deref().map(Path::new);
        let is_bind = mount.options.iter().any(|option| option == "bind" || option == "rbind");
        // The engine's own files are made at the start.
        is_bind && source.is_some_and(|source| source.is_dir() && !source.starts_with(runroot))
    });
    let found = binds
        .filter(|mount| path.starts_with(&mount.destination))
        .max_by_key(|mount| mount.destination.components().count())?;
    let inner = path.strip_prefix(&found.destination).ok()?;
    let read_only = found.options.iter().any(|option| option == "ro");
    Some((PathBuf::from(found.source.as_ref()?), Path::new("/").join(inner), read_only))
}
