//! Namespaces of other containers: found by name when a container is created, joined at each start.
//!
//! A namespace is named by the first process of the container that has it, which is another one after
//! each of its starts. So the row keeps the container's id, and the start writes the path.

use crate::{
    Engine, create, exec, merge,
    options::CreateOptions,
    record::{Joined, NamespaceRecord, Record},
};
use dhow_base::{Doing, Error, Kind, Result, file, id::ContainerId};
use dhow_spec::runtime::{MountPoint, NamespaceKind, Spec};
use dhow_state::containers::{Container, Phase};
use std::path::{Path, PathBuf};

impl Engine {
    /// The containers whose namespaces are asked for. One that has the host's user ids has none of
    /// its own to join.
    pub(crate) fn find_joined(&mut self, options: &CreateOptions) -> Result<Vec<Joined>> {
        let mut joined = Vec::new();
        for (kind, name) in merge::wanted(options) {
            let row = self.look_up(name).doing(|| doing(kind, name))?;
            let record = Record::parse(&row.settings)?;
            if kind == NamespaceKind::User && !record.namespaces.has_ids() {
                continue;
            }
            joined.push(Joined { kind, container: row.id.to_string() });
        }
        Ok(joined)
    }

    /// The run directory of the container that has the network, where that is another.
    pub(crate) fn network_directory(&self, joined: &[Joined]) -> Result<Option<PathBuf>> {
        match joined.iter().find(|joined| joined.kind == NamespaceKind::Network) {
            None => Ok(None),
            Some(joined) => Ok(Some(self.layout.run(&joined.container.parse::<ContainerId>()?))),
        }
    }

    /// Who joins a user namespace has its ids, by which the image's files are shown.
    pub(crate) fn take_ids_of_joined(
        &self,
        joined: &[Joined],
        record: &mut NamespaceRecord,
    ) -> Result<()> {
        if let Some(joined) = joined.iter().find(|joined| joined.kind == NamespaceKind::User) {
            let row = create::look_up(&self.state, &joined.container)?;
            let other = Record::parse(&row.settings)?.namespaces;
            (record.uids, record.gids) = (other.uids, other.gids);
            record.is_on_disk = other.is_on_disk;
        }
        Ok(())
    }

    /// Docker's rule: who shares a container's network has its host name too.
    pub(crate) fn network_hostname(&self, joined: &[Joined]) -> Result<Option<String>> {
        let Some(joined) = joined.iter().find(|joined| joined.kind == NamespaceKind::Network)
        else {
            return Ok(None);
        };
        let row = create::look_up(&self.state, &joined.container)?;
        Ok(Some(Record::parse(&row.settings)?.hostname))
    }

    /// Writes into the configuration where the namespaces of others are now.
    pub(crate) fn point_at_joined(&mut self, row: &Container, record: &Record) -> Result<()> {
        if record.namespaces.joined.is_empty() {
            return Ok(());
        }
        let path = self.layout.config(&row.id);
        let mut spec = Spec::parse(&file::read_limited(&path, exec::CONFIG_LIMIT_BYTES)?)?;
        let linux = spec.linux.get_or_insert_default();
        for Joined { kind, container } in &record.namespaces.joined {
            let other = self.look_up(container).doing(|| doing(*kind, container))?;
            let process = other.process.filter(|_| other.phase == Phase::Running);
            let process = process.ok_or_else(|| {
                let why = format!("{}: it is not running", doing(*kind, &other.name));
                Error::new(Kind::Conflict, why)
                    .hint(format!("`dhow start {}` starts it", other.name))
            })?;
            let path = |name: &str| format!("/proc/{}/ns/{name}", process.pid);
            merge::point(linux, *kind, Some(Path::new(&path(kind.proc_name()))));
            if *kind == NamespaceKind::Ipc {
                share_memory(&mut spec.mounts, &path("mnt"));
            }
        }
        let bytes = serde_json::to_vec(&spec)
            .map_err(|error| Error::new(Kind::Internal, "write config.json").because(error))?;
        file::replace(&path, &bytes, 0o600)
    }
}

/// Shared memory goes with the namespace of System V's: it is what the other container has mounted
/// for it, where it has any.
fn share_memory(mounts: &mut [MountPoint], namespace: &str) {
    for mount in mounts.iter_mut().filter(|mount| mount.destination == Path::new("/dev/shm")) {
        mount.kind = Some("bind".to_owned());
        mount.source = Some("/dev/shm".into());
        let options = ["bind", "rprivate", "nosuid", "noexec", "nodev"];
        mount.options = options.map(str::to_owned).to_vec();
        mount.options.push(format!("mount-namespace={namespace}"));
    }
}

fn doing(kind: NamespaceKind, container: &str) -> String {
    format!("join the {} namespace of container {container}", kind.proc_name())
}
