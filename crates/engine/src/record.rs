//! What the engine keeps of a container beside its `config.json`: the `settings` of its row.
//!
//! Only what a later command needs and the configuration does not say, so that there is no second
//! copy of anything that could differ.

mod asked;
mod namespaces;

pub(crate) use asked::Asked;
pub(crate) use namespaces::{Joined, NamespaceRecord};

use crate::{
    foundation::RootDirectory,
    life::LifeRecord,
    options::{NameOptions, PASTA, PortOptions},
    selinux::Labels,
};
use dhow_base::{Error, Kind, Result, id::Name};
use dhow_monitor::Driver;
use dhow_spec::runtime::NamespaceKind;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// The `settings` column, JSON.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Record {
    /// What runs before the command.
    #[serde(skip_serializing_if = "is_unsaid")]
    pub(crate) entrypoint: Vec<String>,
    /// The command.
    pub(crate) command: Vec<String>,
    /// Whether standard input is open.
    #[serde(skip_serializing_if = "is_unsaid")]
    pub(crate) interactive: bool,
    /// Whether there is a terminal.
    #[serde(skip_serializing_if = "is_unsaid")]
    pub(crate) tty: bool,
    /// The signal that asks the program to end.
    pub(crate) stop_signal: i32,
    /// Whether a systemd is its first process, for which it is prepared.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) systemd: bool,
    /// How long it is given.
    pub(crate) stop_timeout_seconds: u32,
    /// Labels of image and user together.
    #[serde(skip_serializing_if = "is_unsaid")]
    pub(crate) labels: BTreeMap<String, String>,
    /// The first network's name; or `none`, `host`, `container:<id>`, `ns:<path>`.
    pub(crate) network: String,
    /// The host name inside.
    pub(crate) hostname: String,
    /// Who the process runs as, as it was asked for.
    #[serde(skip_serializing_if = "is_unsaid")]
    pub(crate) user: String,
    /// The directory of the host's that is its root, where that is no image's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) directory: Option<RootDirectory>,
    /// The containers that are started before it, by their ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) requires: Vec<String>,
    /// The project of the file system's quotas that its root is, where it is limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) root_project: Option<u32>,
    /// The working directory.
    pub(crate) workdir: String,
    /// Whether all rights were given.
    #[serde(skip_serializing_if = "is_unsaid")]
    pub(crate) privileged: bool,
    /// Whether the root is read-only.
    #[serde(skip_serializing_if = "is_unsaid")]
    pub(crate) read_only: bool,
    /// What `-v`, `--mount` and `--tmpfs` asked for, for `inspect`.
    #[serde(skip_serializing_if = "is_unsaid")]
    pub(crate) mounts: Vec<MountRecord>,
    /// Limits as they were asked for, for `inspect`.
    #[serde(skip_serializing_if = "is_unsaid")]
    pub(crate) memory_bytes: u64,
    /// Billionths of a processor.
    #[serde(skip_serializing_if = "is_unsaid")]
    pub(crate) nano_cpus: u64,
    /// Number of processes; 0 is no limit.
    #[serde(skip_serializing_if = "is_unsaid")]
    pub(crate) pids: i64,
    /// Capabilities added.
    #[serde(skip_serializing_if = "is_unsaid")]
    pub(crate) cap_add: Vec<String>,
    /// Capabilities dropped.
    #[serde(skip_serializing_if = "is_unsaid")]
    pub(crate) cap_drop: Vec<String>,
    /// How it is reached from the host, as it was asked for.
    #[serde(skip_serializing_if = "is_unsaid")]
    pub(crate) ports: PortOptions,
    /// Names of hosts, which are written anew at each start.
    #[serde(skip_serializing_if = "is_unsaid")]
    pub(crate) names: NameOptions,
    /// Namespaces.
    #[serde(skip_serializing_if = "is_unsaid")]
    pub(crate) namespaces: NamespaceRecord,
    /// Whether there is no control group.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) no_cgroup: bool,
    /// Whether the user has said below which one it is.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) has_cgroup_parent: bool,
    /// The pod that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pod: Option<String>,
    /// The names of its secrets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) secrets: Vec<String>,
    /// Labels of SELinux.
    #[serde(skip_serializing_if = "is_unsaid")]
    pub(crate) selinux: Labels,
    /// Options as they were written.
    #[serde(skip_serializing_if = "is_unsaid")]
    pub(crate) asked: Asked,
    /// How it lives: restarts, health checks, logs.
    pub(crate) life: LifeRecord,
}

/// What nobody asked for is not written: a list of all containers reads every row.
fn is_unsaid<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// One mount that was asked for.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct MountRecord {
    /// `bind`, `volume`, `tmpfs`, `ramfs`, `devpts` or `image`.
    pub(crate) kind: String,
    /// The volume's name.
    #[serde(skip_serializing_if = "is_unsaid")]
    pub(crate) name: String,
    /// The path on the host.
    #[serde(skip_serializing_if = "is_unsaid")]
    pub(crate) source: String,
    /// The path in the container.
    pub(crate) target: String,
    /// Whether writes are refused.
    #[serde(skip_serializing_if = "is_unsaid")]
    pub(crate) read_only: bool,
    /// Words of the runtime's, such as `rslave`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) options: Vec<String>,
    /// Whether nobody has named the volume.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) anonymous: bool,
    /// The path in the source that is mounted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subpath: Option<PathBuf>,
}

impl Record {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|error| {
            Error::new(Kind::Corrupt, "parse a container's settings").because(error)
        })
    }

    pub(crate) fn to_text(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| {
            Error::new(Kind::Internal, "write a container's settings").because(error)
        })
    }

    /// Whether it is connected to networks of ours.
    pub(crate) fn has_networks(&self) -> bool {
        let others = ["container:", "ns:"];
        !matches!(self.network.as_str(), "" | "none" | "host")
            && self.pasta().is_none()
            && !others.iter().any(|start| self.network.starts_with(start))
    }

    /// The words for pasta, where it is connected by that.
    pub(crate) fn pasta(&self) -> Option<Vec<String>> {
        let options = self.network.strip_prefix(PASTA)?;
        match options.strip_prefix(':') {
            Some(options) => Some(options.split(',').map(str::to_owned).collect()),
            None => options.is_empty().then(Vec::new),
        }
    }

    /// Whether it has a volume, named or not.
    pub(crate) fn has_volumes(&self) -> bool {
        self.mounts.iter().any(|mount| mount.kind == "volume")
    }

    /// Its volumes that nobody has named.
    pub(crate) fn anonymous_volumes(&self) -> Result<Vec<Name>> {
        let anonymous = self.mounts.iter().filter(|mount| mount.anonymous);
        anonymous.map(|mount| mount.name.parse()).collect()
    }

    /// Whether all of its processes end with the first one: it has a namespace of process ids of its
    /// own, and the runtime is ours.
    pub(crate) fn ends_with_its_first(&self) -> bool {
        let namespaces = &self.namespaces;
        matches!(namespaces.pid.as_str(), "" | "private")
            && !namespaces.joins(NamespaceKind::Pid)
            && self.pod.is_none()
            && self.life.runtime.is_none()
    }

    /// Who makes the cgroup.
    pub(crate) fn driver(&self) -> Driver {
        if self.no_cgroup { Driver::Nobody } else { Driver::Files }
    }

    /// The words of entrypoint and command, as lists show them.
    pub(crate) fn words(&self) -> Vec<String> {
        self.entrypoint.iter().chain(&self.command).cloned().collect()
    }
}
