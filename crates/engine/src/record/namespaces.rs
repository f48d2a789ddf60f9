//! What a row keeps of namespaces: whose are joined at each start, and which ids the container has.

use dhow_archive::MappedOwners;
use dhow_base::Result;
use dhow_spec::runtime::{IdMapping, NamespaceKind};
use serde::{Deserialize, Serialize};

/// Namespaces, as a later start needs them.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct NamespaceRecord {
    /// Namespaces of other containers.
    pub(crate) joined: Vec<Joined>,
    /// User ids of a user namespace of its own.
    pub(crate) uids: Vec<IdMapping>,
    /// Group ids of it.
    pub(crate) gids: Vec<IdMapping>,
    /// Whether files have on disk the owners that these ids give them, as an ordinary user's copy of an
    /// image has; otherwise mounts are mapped, and the disk has the owners of inside.
    pub(crate) is_on_disk: bool,
    /// As it was asked for, for `inspect`: `--pid`.
    pub(crate) pid: String,
    /// `--ipc`.
    pub(crate) ipc: String,
    /// `--uts`.
    pub(crate) uts: String,
    /// `--cgroupns`.
    pub(crate) cgroup: String,
    /// `--userns`.
    pub(crate) user: String,
}

/// A namespace of another container's.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Joined {
    /// Which kind.
    pub(crate) kind: NamespaceKind,
    /// The container's id.
    pub(crate) container: String,
}

impl NamespaceRecord {
    /// Whether a namespace of this kind is another container's.
    pub(crate) fn joins(&self, kind: NamespaceKind) -> bool {
        self.joined.iter().any(|joined| joined.kind == kind)
    }

    /// Whether the container's ids are not the host's.
    pub(crate) fn has_ids(&self) -> bool {
        !self.uids.is_empty()
    }

    /// Whether what is mounted shows other owners than the disk has.
    pub(crate) fn maps_mounts(&self) -> bool {
        self.has_ids() && !self.is_on_disk
    }

    /// The owners of inside and those of outside.
    pub(crate) fn owners(&self) -> Option<MappedOwners> {
        self.has_ids().then(|| MappedOwners::new(&self.uids, &self.gids))
    }

    /// The same where the disk has those of outside.
    pub(crate) fn owners_on_disk(&self) -> Option<MappedOwners> {
        self.owners().filter(|_| self.is_on_disk)
    }

    /// Whose a file is on disk that is to belong to this user and group of the container.
    pub(crate) fn on_disk(&self, uid: u32, gid: u32) -> Result<(u32, u32)> {
        self.owners_on_disk().map_or(Ok((uid, gid)), |owners| owners.outside(uid, gid))
    }
}
