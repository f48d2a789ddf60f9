//! Which namespaces are a container's own, and whose the others are.

use crate::pods::Ids;
use dhow_spec::runtime::IdMapping;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The namespaces that a flag can choose, but for the network's ([`NetworkMode`]).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NamespaceOptions {
    /// `--pid`.
    pub pid: Sharing,
    /// `--ipc`.
    pub ipc: Sharing,
    /// `--uts`.
    pub uts: Sharing,
    /// `--cgroupns`.
    pub cgroup: Sharing,
    /// `--userns`, `--uidmap` and what belongs to them.
    pub user: UserNamespace,
}

/// With whom a namespace is shared.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sharing {
    /// Nothing was said: with nobody.
    #[default]
    Unsaid,
    /// With nobody.
    Private,
    /// With nobody, and there is no `/dev/shm` either (`--ipc none`).
    Bare,
    /// With whoever asks for it. Every container's may be joined, so this is as private.
    Shareable,
    /// With the host.
    Host,
    /// With a container, by its name or id.
    Container(String),
    /// With whoever has the namespace at this path.
    Path(PathBuf),
}

impl Sharing {
    /// Whether nothing was said.
    pub(crate) fn is_unsaid(&self) -> bool {
        *self == Self::Unsaid
    }

    /// The word that `inspect` shows, which is the flag's; nothing where nothing was said.
    pub(crate) fn word(&self) -> String {
        match self {
            Self::Unsaid => String::new(),
            Self::Private => "private".to_owned(),
            Self::Bare => "none".to_owned(),
            Self::Shareable => "shareable".to_owned(),
            Self::Host => "host".to_owned(),
            Self::Container(name) => format!("container:{name}"),
            Self::Path(path) => format!("ns:{}", path.display()),
        }
    }
}

impl UserNamespace {
    /// As [`Sharing::word`].
    pub(crate) fn word(&self) -> String {
        match self {
            Self::Unsaid => String::new(),
            Self::Host => "host".to_owned(),
            Self::Auto { .. } => "auto".to_owned(),
            Self::KeepId { .. } => "keep-id".to_owned(),
            Self::NoMap => "nomap".to_owned(),
            Self::Mapped { .. } | Self::Ranges { .. } => "private".to_owned(),
            Self::Pod(_) => "pod".to_owned(),
            Self::Container(name) => format!("container:{name}"),
            Self::Path(path) => format!("ns:{}", path.display()),
        }
    }
}

/// Which ids the container's are outside.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UserNamespace {
    /// Nothing was said: the same.
    #[default]
    Unsaid,
    /// The same.
    Host,
    /// A free range of those that `/etc/subuid` gives to containers, of this size where one is said,
    /// with mappings of the user's own over it.
    Auto {
        /// How many ids.
        size: Option<u32>,
        /// User ids that are mapped otherwise.
        uids: Vec<IdMapping>,
        /// Group ids that are mapped otherwise.
        gids: Vec<IdMapping>,
    },
    /// The caller's ids are these inside (their own where nothing is said); all others come from the
    /// caller's ranges.
    KeepId {
        /// The caller's user id inside.
        uid: Option<u32>,
        /// The caller's group id inside.
        gid: Option<u32>,
    },
    /// The caller's ids are nobody's inside.
    NoMap,
    /// As these lists say.
    Mapped {
        /// `--uidmap`.
        uids: Vec<IdMapping>,
        /// `--gidmap`.
        gids: Vec<IdMapping>,
    },
    /// All ids that `/etc/subuid` and `/etc/subgid` give to this user and group.
    Ranges {
        /// `--subuidname`.
        user: String,
        /// `--subgidname`.
        group: String,
    },
    /// A container's, by its name or id.
    Container(String),
    /// The namespace at this path.
    Path(PathBuf),
    /// Its pod's, which has these ids.
    Pod(Ids),
}
