//! Making, starting, stopping and removing pods.

use super::{Pods, Settings, cgroup};
use crate::{
    Engine, devices, merge, names,
    options::{Limits, RemoveOptions},
};
use dhow_base::{
    Doing, Error, Kind, Result,
    clock::Moment,
    id::{ContainerId, Name},
};
use dhow_cgroup::{Cgroup, Hierarchies, Location};
use dhow_spec::runtime::NamespaceKind;
use dhow_state::{
    containers::{self, Phase},
    events,
    pods::{self, Pod as Row},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A kind of namespace that the containers of a pod share.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shared {
    /// Message queues and shared memory, `/dev/shm` included.
    Ipc,
    /// The network, loopback included.
    Net,
    /// The host name.
    Uts,
}

impl Shared {
    /// The word of `--share`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ipc => "ipc",
            Self::Net => "net",
            Self::Uts => "uts",
        }
    }

    pub(super) fn kind(self) -> NamespaceKind {
        match self {
            Self::Ipc => NamespaceKind::Ipc,
            Self::Net => NamespaceKind::Network,
            Self::Uts => NamespaceKind::Uts,
        }
    }
}

/// What happens to a pod whose last container has ended.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExitPolicy {
    /// Nothing.
    #[default]
    Continue,
    /// It counts as stopped. There is nothing left in it to stop.
    Stop,
}

impl ExitPolicy {
    /// The word of `--exit-policy`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Continue => "continue",
            Self::Stop => "stop",
        }
    }
}

/// A pod to make.
#[derive(Clone, Debug, Default)]
pub struct PodOptions {
    /// Its name; a random one without.
    pub name: Option<Name>,
    /// What its containers share.
    pub shared: BTreeSet<Shared>,
    /// Its host name; its name without.
    pub hostname: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether its network is the host's.
    pub host_network: bool,
    /// Limits for all its containers together.
    pub limits: Limits,
    /// Whether its containers are in a cgroup of its own.
    pub own_cgroup: bool,
    /// The size of `/dev/shm`.
    pub shm_bytes: Option<u64>,
    /// What happens when the last container has ended.
    pub exit_policy: ExitPolicy,
    /// Whether it takes the place of one of this name.
    pub replace: bool,
}

impl PodOptions {
    /// Shares what podman shares unless told otherwise.
    pub fn usual(name: Option<Name>) -> Self {
        Self {
            name,
            shared: [Shared::Ipc, Shared::Net, Shared::Uts].into(),
            own_cgroup: true,
            ..Self::default()
        }
    }
}

/// How often a random name is tried before giving up.
const NAME_ATTEMPTS: usize = 16;

impl Engine {
    /// Makes a pod.
    pub fn create_pod(&mut self, options: &PodOptions) -> Result<ContainerId> {
        // What makes no sense is refused now, and not at the first start.
        merge::pod_resources(&options.limits)?;
        if let (Some(name), true) = (&options.name, options.replace) {
            match self.remove_pod(name.as_str(), Force::Yes) {
                Err(error) if error.kind() == Kind::NotFound => {}
                result => drop(result?),
            }
        }
        for attempt in 0..NAME_ATTEMPTS {
            let name = match &options.name {
                Some(name) => name.clone(),
                None => names::random(attempt)?.parse()?,
            };
            match self.insert_pod(options, name) {
                Err(error) if error.kind() == Kind::AlreadyExists && options.name.is_none() => {}
                result => return result.doing(|| "create a pod"),
            }
        }
        Err(Error::new(Kind::AlreadyExists, "find a free name for the pod"))
    }

    fn insert_pod(&mut self, options: &PodOptions, name: Name) -> Result<ContainerId> {
        let limits = &options.limits;
        let settings = Settings {
            labels: options.labels.clone(),
            shared: options.shared.clone(),
            hostname: options.hostname.clone().unwrap_or_else(|| name.to_string()),
            exit_policy: options.exit_policy,
            host_network: options.host_network,
            cgroup: options.own_cgroup,
            memory_bytes: limits.memory_bytes,
            memory_swap_bytes: limits.memory_swap_bytes,
            nano_cpus: limits.nano_cpus,
            cpu_shares: limits.cpu_shares,
            cpuset_cpus: limits.cpuset_cpus.clone(),
            cpuset_mems: limits.cpuset_mems.clone(),
            pids: limits.pids,
            shm_bytes: options.shm_bytes,
        };
        let settings = serde_json::to_string(&settings).map_err(|error| {
            Error::new(Kind::Internal, "write the settings of a pod").because(error)
        })?;
        let row = Row { id: ContainerId::random()?, name, created: Moment::now(), settings };
        self.state.write(|write| {
            if let Some(container) = containers::find_by_name(write, row.name.as_str())? {
                let id = container.id.short();
                let text = format!("the name {} is in use by container {id}", row.name);
                return Err(Error::new(Kind::AlreadyExists, text));
            }
            pods::insert(write, &row)?;
            events::record(write, "pod", "create", row.id.as_str(), "{}")
        })?;
        Ok(row.id)
    }

    /// Removes a pod: one in which nothing runs, or with `Force::Yes` all of it.
    pub fn remove_pod(&mut self, text: &str, force: Force) -> Result<ContainerId> {
        let pod = self.pod(text)?;
        let doing = || format!("remove pod {}", pod.name);
        let rests = |phase| matches!(phase, Phase::Created | Phase::Exited);
        let running = pod.members.iter().find(|one| !rests(one.phase));
        if let (Some(member), Force::No) = (running, force) {
            let text = format!("{}: container {} runs in it", doing(), member.name);
            return Err(Error::new(Kind::Conflict, text)
                .hint("`dhow pod stop` stops all of them, and --force kills and removes them"));
        }
        for member in &pod.members {
            let options = RemoveOptions { force: true, volumes: true };
            match self.remove(member.id.as_str(), options) {
                Err(error) if error.kind() == Kind::NotFound => {}
                result => result.doing(doing)?,
            }
        }
        let pods = self.pods_mut();
        let _lock = pods.lock()?;
        pods.sink(&pod.id).doing(doing)?;
        pods.state
            .write(|write| {
                if let Some(member) = pods::members(write, &pod.id)?.first() {
                    let text = format!("container {} has come into it", member.short());
                    return Err(Error::new(Kind::Conflict, text));
                }
                pods::delete(write, &pod.id)?;
                events::record(write, "pod", "remove", pod.id.as_str(), "{}")
            })
            .doing(doing)?;
        Ok(pod.id)
    }

    /// Does something to each container of a pod, and goes on after a failure, which is returned
    /// at the end.
    pub fn each_of_pod(
        &mut self,
        text: &str,
        which: fn(Phase) -> bool,
        mut one: impl FnMut(&mut Self, &ContainerId) -> Result<()>,
    ) -> Result<ContainerId> {
        let pod = self.pod(text)?;
        let mut failed = None;
        for member in pod.members.iter().filter(|member| which(member.phase)) {
            if let Err(error) = one(self, &member.id) {
                failed = failed.or(Some(error));
            }
        }
        match failed {
            Some(error) => Err(error).doing(|| format!("work on pod {}", pod.name)),
            None => Ok(pod.id),
        }
    }
}

/// Whether a removal goes on over what runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Force {
    /// Yes.
    Yes,
    /// No.
    No,
}

/// Makes a pod's cgroup with its limits, where it is not there.
pub(super) fn make_cgroup(id: &ContainerId, limits: &Limits) -> Result<()> {
    let mut resources = merge::pod_resources(limits)?;
    if resources == dhow_spec::runtime::Resources::default() {
        // Nothing is limited: it is made on the way to its first container's.
        return Ok(());
    }
    // What devices there are is a matter of each container.
    resources.devices = vec![devices::allow_all()];
    let (hierarchies, location) = (Hierarchies::detect()?, location(id)?);
    match Cgroup::open(&hierarchies, &location) {
        // Made and limited when the first container started; others run in it.
        Ok(_) => Ok(()),
        Err(error) if error.kind() == Kind::NotFound => {
            Cgroup::create(&hierarchies, &location, &resources).map(drop)
        }
        Err(error) => Err(error),
    }
}

/// Removes a pod's cgroup, in which there is nothing any more.
pub(super) fn remove_cgroup(id: &ContainerId) -> Result<()> {
    let hierarchies = Hierarchies::detect()?;
    let location = location(id)?;
    match Cgroup::open(&hierarchies, &location) {
        Ok(cgroup) => cgroup.delete(),
        Err(error) if error.kind() == Kind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn location(id: &ContainerId) -> Result<Location> {
    Location::new(Some(&cgroup(id)), "dhow", id.as_str())
}

impl Pods<'_> {
    /// Puts a container into a pod, in the transaction in which the container gets its row.
    pub(crate) fn note(
        write: &dhow_state::Write<'_>,
        pod: &ContainerId,
        container: &ContainerId,
    ) -> Result<()> {
        pods::join(write, pod, container)
    }
}
