//! Pods: containers that share namespaces, limits and a life.
//!
//! # Life of a pod
//!
//! ```text
//!  row ──first container starts──▶ namespaces, /dev/shm, cgroup in the run directory
//!      ◀──last container has ended── they go
//!  row ──rm──▶ gone, after its containers
//! ```
//!
//! No process keeps the namespaces: a file is bound onto each of them, which holds it as well. So a
//! pod of which nothing runs costs a row. A PID namespace cannot be held so, since it ends with its
//! first process: where it is to be shared, or somebody asks for it, a container of the pod's own keeps it
//! ([`infra`]).
//!
//! Whoever starts or ends a container of a pod looks after its namespaces under the pods' lock.

mod change;
mod ids;
mod infra;
pub(crate) mod namespaces;
mod networks;
mod survey;

pub use change::{ExitPolicy, Force, MemberOptions, PodOptions, Shared};
pub use ids::Ids;
pub(crate) use ids::ids;
pub use infra::InfraOptions;

use crate::{
    Engine,
    layout::Layout,
    merge,
    options::{
        BlockIoOptions, CreateOptions, LabelField, LabelOption, Limits, NetworkMode, PortOptions,
        Publication, Sharing, UserNamespace,
    },
    selinux,
};
use dhow_base::{
    Doing, Error, Kind, Result,
    clock::Moment,
    file,
    id::{ContainerId, Name},
    lock::{self, Lock},
};
use dhow_spec::runtime::{MountPoint, Namespace, NamespaceKind, Spec};
use dhow_state::{
    Read, State, Write,
    containers::{self, Phase},
    events,
    pods::{self, Pod as Row},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// A pod, as lists and `inspect` show it.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Its id.
    pub id: ContainerId,
    /// Its name.
    pub name: Name,
    /// When it was made.
    pub created: Moment,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What its containers share.
    pub shared: BTreeSet<Shared>,
    /// Its host name.
    pub hostname: String,
    /// What happens when the last container ends.
    pub exit_policy: ExitPolicy,
    /// Its cgroup, where its containers are in one.
    pub cgroup: Option<String>,
    /// The container that keeps what no file can, where there is one.
    pub infra: Option<ContainerId>,
    /// Its containers, the oldest first.
    pub members: Vec<Member>,
}

/// A container of a pod.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its id.
    pub id: ContainerId,
    /// Its name.
    pub name: String,
    /// Where in its life it is.
    pub phase: Phase,
    /// Whether its processes stand still.
    pub paused: bool,
}

impl Pod {
    /// One word for what its containers do, as podman has it.
    pub fn status(&self) -> &'static str {
        let count = |phase: Phase| self.members.iter().filter(|one| one.phase == phase).count();
        let (all, running) = (self.members.len(), count(Phase::Running));
        match () {
            () if all == 0 => "Created",
            () if running == all && self.members.iter().all(|one| one.paused) => "Paused",
            () if running == all => "Running",
            () if running > 0 => "Degraded",
            () if count(Phase::Exited) == all => "Exited",
            () if count(Phase::Created) == all => "Created",
            () => "Stopped",
        }
    }
}

/// The `settings` of a pod's row.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Settings {
    labels: BTreeMap<String, String>,
    shared: BTreeSet<Shared>,
    hostname: String,
    exit_policy: ExitPolicy,
    host_network: bool,
    /// Whether it is connected to networks of ours.
    networked: bool,
    /// The ports through which its containers are reached.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ports: Vec<Publication>,
    /// Whether its containers are in a cgroup of the pod's.
    cgroup: bool,
    memory_bytes: Option<u64>,
    memory_swap_bytes: Option<i64>,
    nano_cpus: Option<u64>,
    cpu_shares: Option<u64>,
    cpuset_cpus: Option<String>,
    cpuset_mems: Option<String>,
    pids: Option<i64>,
    shm_bytes: Option<u64>,
    #[serde(skip_serializing_if = "BlockIoOptions::is_empty")]
    block_io: BlockIoOptions,
    /// Where its cgroup is, where that was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup_parent: Option<String>,
    /// The container that keeps what no file can.
    #[serde(skip_serializing_if = "Option::is_none")]
    infra: Option<String>,
    /// What each of its containers gets.
    members: MemberOptions,
    /// The ids of its containers, where they are not the host's.
    #[serde(skip_serializing_if = "Option::is_none")]
    ids: Option<Ids>,
    /// What was asked for of them, to make another pod like it.
    asked_ids: UserNamespace,
    /// The level of SELinux's labels that its containers have, since they share memory or processes.
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<String>,
}

impl Settings {
    pub(crate) fn of(row: &Row) -> Result<Self> {
        serde_json::from_str(&row.settings).map_err(|error| {
            Error::new(Kind::Corrupt, format!("parse the settings of pod {}", row.name))
                .because(error)
        })
    }

    fn limits(&self) -> Limits {
        Limits {
            memory_bytes: self.memory_bytes,
            memory_swap_bytes: self.memory_swap_bytes,
            nano_cpus: self.nano_cpus,
            cpu_shares: self.cpu_shares,
            cpuset_cpus: self.cpuset_cpus.clone(),
            cpuset_mems: self.cpuset_mems.clone(),
            pids: self.pids,
            block_io: self.block_io.clone(),
            ..Limits::default()
        }
    }

    pub(crate) fn to_text(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| {
            Error::new(Kind::Internal, "write the settings of a pod").because(error)
        })
    }

    /// Where its cgroup is.
    fn cgroup_of(&self, id: &ContainerId) -> String {
        cgroup(id, self.cgroup_parent.as_deref())
    }

    fn shares(&self, what: Shared) -> bool {
        self.shared.contains(&what)
    }

    /// The namespaces of which a file is bound onto each, the owner of the others first.
    fn held_by_files(&self) -> Vec<NamespaceKind> {
        let is_hosts = |what: Shared| what == Shared::Net && self.host_network;
        let shared =
            self.shared.iter().filter(|what| what.is_held_by_a_file() && !is_hosts(**what));
        let user = self.ids.is_some().then_some(NamespaceKind::User);
        user.into_iter().chain(shared.map(|what| what.kind())).collect()
    }
}

/// The levels that pods have.
pub(crate) fn levels(read: &Read) -> Result<Vec<String>> {
    let mut levels = Vec::new();
    for row in pods::list(read)? {
        levels.extend(Settings::of(&row)?.level);
    }
    Ok(levels)
}

/// Where the containers of a pod are in the tree of cgroups.
fn cgroup(id: &ContainerId, parent: Option<&str>) -> String {
    format!("{}/pod-{id}", parent.unwrap_or("/dhow").trim_end_matches('/'))
}

/// Writes an event of a pod. Its name and labels go along, since the pod may be gone when somebody asks.
pub(crate) fn tell(write: &Write<'_>, row: &Row, action: &str) -> Result<()> {
    let mut detail = Settings::of(row)?.labels;
    detail.insert("name".to_owned(), row.name.to_string());
    let detail = serde_json::to_string(&detail)
        .map_err(|error| Error::new(Kind::Internal, "write an event of a pod").because(error))?;
    events::record(write, "pod", action, row.id.as_str(), &detail)
}

/// The pod that a container is to be in, and what that means for it.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    pub(crate) id: ContainerId,
    settings: Settings,
    infra: Option<ContainerId>,
}

impl Home {
    pub(crate) fn of(row: &Row) -> Result<Self> {
        let settings = Settings::of(row)?;
        let infra = settings.infra()?;
        Ok(Self { id: row.id.clone(), settings, infra })
    }

    /// What the user asked of a container, as it is in the pod.
    pub(crate) fn settle(&self, options: &CreateOptions) -> Result<CreateOptions> {
        let conflict = |what: &str| {
            let text = format!("{what} of a container in a pod: it shares the pod's");
            Err(Error::new(Kind::Invalid, text).hint("give it to `dhow pod create`"))
        };
        let mut options = options.clone();
        if self.settings.shares(Shared::Net) {
            let wanted =
                if self.settings.host_network { NetworkMode::Host } else { NetworkMode::None };
            if options.network != NetworkMode::Unsaid && options.network != wanted {
                return conflict("choose the network");
            }
            options.network = wanted;
            if options.ports != PortOptions::default() {
                return conflict("publish ports");
            }
        }
        if self.settings.shares(Shared::Uts) {
            if options.hostname.is_some() {
                return conflict("choose the host name");
            }
            options.hostname = Some(self.settings.hostname.clone());
        }
        if self.settings.shares(Shared::Ipc) && options.shm_bytes.is_some() {
            return conflict("choose the size of /dev/shm");
        }
        let own = options.namespaces.clone();
        if self.settings.shares(Shared::Ipc) && own.ipc != Sharing::Unsaid {
            return conflict("choose the ipc namespace");
        }
        if self.settings.shares(Shared::Uts) && own.uts != Sharing::Unsaid {
            return conflict("choose the uts namespace");
        }
        // What it shares belongs to one user namespace, in which only its root may mount it.
        match (&self.settings.ids, &own.user) {
            (None, UserNamespace::Unsaid | UserNamespace::Host) => {}
            (Some(ids), asked)
                if *asked == UserNamespace::Unsaid || *asked == self.settings.asked_ids =>
            {
                options.namespaces.user = UserNamespace::Pod(ids.clone());
            }
            _ => return conflict("choose the user namespace"),
        }
        if self.settings.cgroup && options.cgroup.parent.is_none() {
            let parent = self.settings.cgroup_parent.as_deref();
            options.cgroup.parent = Some(cgroup(&self.id, parent));
        }
        if options.objects.infra {
            return Ok(options);
        }
        if self.settings.shares(Shared::Pid) {
            if own.pid != Sharing::Unsaid {
                return conflict("choose the pid namespace");
            }
            let infra = self.infra.as_ref().ok_or_else(|| {
                Error::new(Kind::Conflict, format!("pod {} was not made whole", self.id.short()))
                    .hint("remove it and make it again")
            })?;
            options.namespaces.pid = Sharing::Container(infra.to_string());
        }
        self.settings.members.give(&mut options);
        if let Some(level) = &self.settings.level {
            // Before what the container's user says.
            let level = LabelOption::Field(LabelField::Level, level.clone());
            options.rights.labels.insert(0, level);
        }
        Ok(options)
    }

    /// Puts the pod's namespaces into a container's configuration.
    pub(crate) fn share(&self, spec: &mut Spec, layout: &Layout) {
        let directory = layout.pod(&self.id);
        let linux = spec.linux.get_or_insert_default();
        if self.settings.ids.is_some() {
            let kind = NamespaceKind::User;
            merge::point(linux, kind, Some(&directory.join(kind.proc_name())));
        }
        for what in &self.settings.shared {
            let kind = what.kind();
            let is_hosts = *what == Shared::Net && self.settings.host_network;
            if is_hosts || !what.is_held_by_a_file() {
                continue;
            }
            linux.namespaces.retain(|namespace| namespace.kind != kind);
            linux.namespaces.push(Namespace { kind, path: Some(directory.join(kind.proc_name())) });
        }
        if self.settings.shares(Shared::Uts) {
            // It has been set in the namespace, and is not the container's to change.
            spec.hostname = None;
        }
        if self.settings.shares(Shared::Ipc) {
            for mount in &mut spec.mounts {
                if mount.destination == Path::new("/dev/shm")
                    && mount.kind.as_deref() == Some("tmpfs")
                {
                    *mount = shm(&directory.join(SHM));
                }
            }
        }
    }
}

const SHM: &str = "shm";

fn shm(source: &Path) -> MountPoint {
    MountPoint {
        destination: "/dev/shm".into(),
        kind: Some("bind".to_owned()),
        source: Some(source.to_owned()),
        options: ["bind", "rprivate", "nosuid", "nodev", "noexec"].map(str::to_owned).to_vec(),
        ..MountPoint::default()
    }
}

/// Pods for whoever has the state and the layout in hand.
#[derive(Debug)]
pub(crate) struct Pods<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) layout: &'a Layout,
}

impl Engine {
    pub(crate) fn pods_mut(&mut self) -> Pods<'_> {
        Pods { state: &mut self.state, layout: &self.layout }
    }

    /// All pods, the newest first.
    pub fn pods(&mut self) -> Result<Vec<Pod>> {
        let rows = pods::list(self.state.read())?;
        rows.into_iter().map(|row| self.shown_pod(row)).collect()
    }

    /// The pod that a word of the user's means.
    pub fn pod(&mut self, text: &str) -> Result<Pod> {
        let row = pods::look_up(self.state.read(), text)?;
        self.shown_pod(row)
    }

    fn shown_pod(&mut self, row: Row) -> Result<Pod> {
        let settings = Settings::of(&row)?;
        let mut members = Vec::new();
        for id in pods::members(self.state.read(), &row.id)? {
            let Some(container) = containers::find(self.state.read(), &id)? else { continue };
            let Some(container) = self.refreshed(container)? else { continue };
            let paused = container.course.paused;
            members.push(Member { id, name: container.name, phase: container.phase, paused });
        }
        Ok(Pod {
            cgroup: settings.cgroup.then(|| cgroup(&row.id, settings.cgroup_parent.as_deref())),
            infra: settings.infra()?,
            id: row.id,
            name: row.name,
            created: row.created,
            labels: settings.labels,
            shared: settings.shared,
            hostname: settings.hostname,
            exit_policy: settings.exit_policy,
            members,
        })
    }
}

impl Pods<'_> {
    fn lock(&self) -> Result<Lock> {
        file::make_directories(&self.layout.locks(), 0o700)?;
        Lock::acquire(&self.layout.locks().join("pods"), lock::Sharing::Exclusive)
    }

    /// What its containers share and a file is to hold that is not there yet.
    fn missing(&self, id: &ContainerId, settings: &Settings) -> Result<Vec<NamespaceKind>> {
        let directory = self.layout.pod(id);
        file::make_directories(&self.layout.pods(), 0o700)?;
        file::make_directories(&directory, 0o700)?;
        let held = settings.held_by_files();
        let mut missing = Vec::new();
        for kind in &held {
            let path = directory.join(kind.proc_name());
            if !dhow_sys::mount::is_root_at(&path).doing(|| "look at its files")? {
                missing.push(*kind);
            }
        }
        // What is missing could not belong to the user namespace that is there: who made it was killed.
        if settings.ids.is_some() && !missing.is_empty() && missing != held {
            namespaces::unmake(&directory)?;
            file::make_directories(&directory, 0o700)?;
            return Ok(held);
        }
        Ok(missing)
    }

    /// Makes what is no namespace.
    fn rise(&self, id: &ContainerId, settings: &Settings) -> Result<()> {
        if settings.shares(Shared::Ipc) {
            let owner = settings.ids.as_ref().and_then(Ids::of_root).unwrap_or((0, 0));
            let label = selinux::files_of_level(settings.level.as_deref())?;
            let bytes = settings.shm_bytes;
            namespaces::make_shm(&self.layout.pod(id).join(SHM), bytes, owner, label.as_deref())?;
        }
        if settings.cgroup {
            change::make_cgroup(&settings.cgroup_of(id), &settings.limits())?;
        }
        Ok(())
    }

    /// Whether nothing of a pod runs but the one that has ended. For who holds the lock.
    fn is_last(&self, pod: &ContainerId, ended: &ContainerId) -> Result<bool> {
        for id in pods::members(self.state.read(), pod)? {
            let row = containers::find(self.state.read(), &id)?;
            let runs = |phase| !matches!(phase, Phase::Created | Phase::Exited | Phase::Removing);
            if id != *ended && row.is_some_and(|row| runs(row.phase)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes away what a pod's containers shared but its networks. For who holds the lock.
    fn sink(&self, pod: &ContainerId, settings: &Settings) -> Result<()> {
        namespaces::unmake(&self.layout.pod(pod))?;
        change::remove_cgroup(&settings.cgroup_of(pod))
    }

    /// The namespace files of a pod.
    fn files(&self, pod: &ContainerId) -> Vec<PathBuf> {
        let directory = self.layout.pod(pod);
        [NamespaceKind::User, NamespaceKind::Network, NamespaceKind::Ipc, NamespaceKind::Uts]
            .map(|kind| directory.join(kind.proc_name()))
            .into_iter()
            .chain([directory.join(SHM)])
            .collect()
    }
}
