//! The root of a container as a place for others than its processes.
//!
//! Of a running container it is what its first process sees, volumes included. Of one that does not
//! run it is mounted unseen: for reading, as often as anybody likes; for writing, by one who holds a
//! lock that a start waits for, since two unions must not write to one layer.

use crate::{Engine, exec::root_of, record::Record};
use dhow_archive::MappedOwners;
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
    /// Whose files are whose, where the container has ids of its own.
    pub(crate) owners: Option<MappedOwners>,
    /// As whom files are made there, where root's own ids have no place: owner and group.
    pub(crate) maker: Option<(u32, u32)>,
    /// Keeps the container from being started.
    _lock: Option<Lock>,
}

impl Rooted {
    /// A place that nobody starts.
    pub(crate) fn new(root: OwnedFd, path: PathBuf) -> Self {
        Self { root, path, owners: None, maker: None, _lock: None }
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
            let namespaces = Record::parse(&row.settings)?.namespaces;
            let owners = namespaces.owners();
            // Its mounts show other ids than the disk has, and root's are not among them.
            let is_made = access == Access::Write && namespaces.maps_mounts();
            let maker = owners.as_ref().filter(|_| is_made);
            let maker = maker.map(|owners| owners.outside(0, 0)).transpose()?;
            let rooted = Rooted::new(root_of(process)?, path.to_owned());
            return Ok(Rooted { owners, maker, ..rooted });
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
        let unseen = self.unseen(&row, path, access)?;
        Ok(Rooted { _lock: lock, ..unseen })
    }

    fn unseen(&self, row: &Container, path: &Path, access: Access) -> Result<Rooted> {
        let bytes = file::read_limited(&self.layout.config(&row.id), 16 << 20)?;
        let spec = Spec::parse(&bytes)?;
        let refused = |what: &str| {
            Error::new(Kind::Denied, format!("write to {} in {}: {what}", path.display(), row.name))
        };
        if let Some(found) = mounted_at(&spec, path, self.layout.runroot()) {
            if found.read_only && access == Access::Write {
                return Err(refused("what is mounted there is read-only"));
            }
            // A mapped mount shows the ids of the disk as the container's; another one does not.
            let owners = match found.is_mapped {
                true => None,
                false => Record::parse(&row.settings)?.namespaces.owners(),
            };
            let read_only = access == Access::Read;
            let mount = dhow_spec::Mount::Bind { source: found.source, read_only };
            return Ok(Rooted { owners, ..Rooted::new(open(&mount)?, found.inner) });
        }
        let is_read_only = spec.root.as_ref().is_some_and(|root| root.readonly);
        if is_read_only && access == Access::Write {
            return Err(refused("its root is read-only"));
        }
        let mount = match access {
            Access::Read => self.root_of(row)?.for_reading(),
            Access::Write => self.root_at_rest(row)?,
        };
        let owners = Record::parse(&row.settings)?.namespaces.owners_on_disk();
        Ok(Rooted { owners, ..Rooted::new(open(&mount)?, path.to_owned()) })
    }
}

/// Whose turn it is not.
pub(crate) fn busy(row: &Container) -> Error {
    Error::new(Kind::Conflict, format!("container {}: another command is at work on it", row.name))
}

pub(crate) fn open(mount: &dhow_spec::Mount) -> Result<OwnedFd> {
    dhow_sys::union::open(mount).map_err(io::Error::from).doing(|| "mount the root unseen")
}

/// What would be mounted where a path leads.
struct MountedAt {
    source: PathBuf,
    /// The rest of the path.
    inner: PathBuf,
    read_only: bool,
    is_mapped: bool,
}

/// The directory that would be mounted where the path leads, and the rest of the path. A link on the
/// way is not followed for this: nothing is mounted yet that could be crossed.
fn mounted_at(spec: &Spec, path: &Path, runroot: &Path) -> Option<MountedAt> {
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
    let has = |word: &str| found.options.iter().any(|option| option == word);
    Some(MountedAt {
        source: PathBuf::from(found.source.as_ref()?),
        inner: Path::new("/").join(inner),
        read_only: has("ro"),
        is_mapped: !found.uid_mappings.is_empty() || has("idmap") || has("ridmap"),
    })
}
