//! What a row keeps of namespaces: whose are joined at each start, and which ids the container has.

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
}
