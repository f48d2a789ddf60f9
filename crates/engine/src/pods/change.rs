//! Making, starting, stopping and removing pods.

use super::{InfraOptions, Member, Pods, Settings, ids::Choice, tell};
use crate::{
    Engine, devices, merge, names,
    networks::connect_all,
    options::{
        CdiName, CreateOptions, DeviceOption, Limits, MountOption, NameOptions, NetworkMode,
        Publication, RestartPolicy, SecurityOptions, Sharing, UserNamespace, VolumesFrom,
    },
    selinux,
};
use dhow_base::{
    Doing, Error, Kind, Result,
    clock::Moment,
    id::{ContainerId, Name},
};
use dhow_cgroup::{Cgroup, Hierarchies, Location};
use dhow_image::Progress;
use dhow_spec::runtime::NamespaceKind;
use dhow_state::{
    containers::{self, Phase},
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
    /// The processes: of a container of the pod's own.
    Pid,
    /// The host name.
    Uts,
}

impl Shared {
    /// The word of `--share`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ipc => "ipc",
            Self::Net => "net",
            Self::Pid => "pid",
            Self::Uts => "uts",
        }
    }

    pub(super) fn kind(self) -> NamespaceKind {
        match self {
            Self::Ipc => NamespaceKind::Ipc,
            Self::Net => NamespaceKind::Network,
            Self::Pid => NamespaceKind::Pid,
            Self::Uts => NamespaceKind::Uts,
        }
    }

    /// A PID namespace ends with its first process, whoever holds a file of it.
    pub(super) fn is_held_by_a_file(self) -> bool {
        self != Self::Pid
    }
}

/// What happens to a pod whose last container has ended.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExitPolicy {
    /// Nothing.
    #[default]
    Continue,
    /// It is stopped: the container of its own, where it has one, ends too.
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
    /// Its networks.
    pub network: NetworkMode,
    /// The ports through which its containers are reached.
    pub ports: Vec<Publication>,
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
    /// Where its cgroup is; with ours where nothing is said.
    pub cgroup_parent: Option<String>,
    /// The container of its own. One that shares processes has one in any case.
    pub infra: Option<InfraOptions>,
    /// What each of its containers gets.
    pub members: MemberOptions,
    /// The ids of its containers.
    pub user: UserNamespace,
}

/// What each container of a pod gets, beside what it asks for itself.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct MemberOptions {
    /// Mounts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<MountOption>,
    /// What other containers have mounted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes_from: Vec<VolumesFrom>,
    /// Devices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DeviceOption>,
    /// Devices by names that their makers have given them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cdi: Vec<CdiName>,
    /// Parameters of the kernel, in the namespaces.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sysctls: Vec<(String, String)>,
    /// Names of hosts; the container's own go before all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names: Option<NameOptions>,
    /// What they may do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security: Option<SecurityOptions>,
    /// Whether they are started again by themselves, where they say nothing of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<RestartPolicy>,
    /// Whose processes they see, where they share none of the pod's own.
    #[serde(skip_serializing_if = "Sharing::is_unsaid")]
    pub pid: Sharing,
    /// Whose host name they have, where they share none of the pod's own.
    #[serde(skip_serializing_if = "Sharing::is_unsaid")]
    pub uts: Sharing,
}

impl MemberOptions {
    /// Adds it to what a container asks for; its own word on a place or name counts.
    pub(super) fn give(&self, options: &mut CreateOptions) {
        let is_taken =
            |mount: &&MountOption| options.mounts.iter().all(|own| own.target != mount.target);
        let mounts: Vec<_> = self.mounts.iter().filter(is_taken).cloned().collect();
        options.mounts.splice(0..0, mounts);
        options.objects.volumes_from.splice(0..0, self.volumes_from.iter().cloned());
        options.rights.devices.splice(0..0, self.devices.iter().cloned());
        options.rights.cdi.splice(0..0, self.cdi.iter().cloned());
        options.surroundings.sysctls.splice(0..0, self.sysctls.iter().cloned());
        if let Some(names) = &self.names
            && options.names == NameOptions::default()
        {
            options.names = names.clone();
        }
        if let Some(security) = &self.security {
            options.rights.secure(security);
        }
        if options.life.restart.is_none() && !options.auto_remove {
            options.life.restart = self.restart;
        }
        for (own, pods) in
            [(&mut options.namespaces.pid, &self.pid), (&mut options.namespaces.uts, &self.uts)]
        {
            if own.is_unsaid() {
                own.clone_from(pods);
            }
        }
    }
}

impl PodOptions {
    /// Where the containers see somebody else's processes or host name, they share none of the pod's.
    fn without_others(mut self) -> Result<Self> {
        for (what, mode) in [(Shared::Pid, &self.members.pid), (Shared::Uts, &self.members.uts)] {
            if mode.is_unsaid() {
                continue;
            }
            self.shared.remove(&what);
            if what == Shared::Uts && self.hostname.is_some() {
                let text = "give a host name to a pod whose containers have another's";
                return Err(Error::new(Kind::Invalid, text).hint("leave --hostname or --uts out"));
            }
        }
        Ok(self)
    }

    /// A pod of which nothing is said is connected to the usual network, where its containers share
    /// one; ports of one without a network lead nowhere.
    fn with_usual_network(mut self) -> Result<Self> {
        if self.network == NetworkMode::Unsaid {
            self.network = match self.shared.contains(&Shared::Net) {
                true => NetworkMode::usual(),
                false => NetworkMode::None,
            };
        }
        let has_network = !self.network.connections().is_empty();
        if has_network && !self.shared.contains(&Shared::Net) {
            return Err(Error::new(
                Kind::Invalid,
                "connect a pod whose containers share no network",
            )
            .hint("share net, or connect the containers"));
        }
        if !self.ports.is_empty() && !has_network {
            return Err(Error::new(Kind::Invalid, "publish ports of a pod that has no network")
                .hint("leave --network out, or name one"));
        }
        Ok(self)
    }

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
    pub fn create_pod(
        &mut self,
        options: &PodOptions,
        progress: &dyn Progress,
    ) -> Result<ContainerId> {
        // What makes no sense is refused now, and not at the first start.
        merge::pod_resources(&options.limits)?;
        let mut options = options.clone().with_usual_network()?.without_others()?;
        if !self.is_of_root {
            // Its containers have each a cgroup of their own, where the user may have any.
            if options.limits != Limits::default() || options.cgroup_parent.is_some() {
                let text = "limit a pod: a user who is not root has no cgroup for it";
                return Err(Error::new(Kind::Unsupported, text).hint("limit its containers"));
            }
            if matches!(options.network, NetworkMode::Pasta(_)) {
                let text = "connect a pod by pasta alone";
                return Err(Error::new(Kind::Unsupported, text)
                    .hint("leave --network out, or name a network: pasta leads out of those too"));
            }
            options.own_cgroup = false;
        }
        let options = &options;
        self.ensure_usual_networks_of(options.network.connections())?;
        self.refuse_plugins(options.network.connections()).doing(|| "create a pod")?;
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
                result => {
                    let id = result.doing(|| "create a pod")?;
                    return self.complete_pod(id, options, progress);
                }
            }
        }
        Err(Error::new(Kind::AlreadyExists, "find a free name for the pod"))
    }

    /// Makes the container of a pod's own, where there is to be one; without it there is no pod.
    fn complete_pod(
        &mut self,
        id: ContainerId,
        options: &PodOptions,
        progress: &dyn Progress,
    ) -> Result<ContainerId> {
        let infra = match &options.infra {
            Some(infra) => infra.clone(),
            None if options.shared.contains(&Shared::Pid) => InfraOptions::default(),
            None => return Ok(id),
        };
        if let Err(error) = self.create_infra(&id, &infra, progress) {
            // Why it was not made says more than what is left of it.
            let _removed = self.remove_pod(id.as_str(), Force::Yes);
            return Err(error).doing(|| "create the pod's own container");
        }
        Ok(id)
    }

    /// How a pod was made, to make another like it.
    pub fn pod_options(&mut self, text: &str) -> Result<PodOptions> {
        let row = pods::look_up(self.state.read(), text)?;
        let settings = Settings::of(&row)?;
        let infra = match settings.infra()? {
            Some(infra) => Some(self.infra_options(&infra)?),
            None => None,
        };
        Ok(PodOptions {
            name: None,
            limits: settings.limits(),
            hostname: (settings.hostname != row.name.as_str()).then_some(settings.hostname),
            shared: settings.shared,
            labels: settings.labels,
            network: match (settings.host_network, settings.networked) {
                (true, _) => NetworkMode::Host,
                (false, true) => self.connections_of(&row.id)?,
                (false, false) => NetworkMode::None,
            },
            ports: settings.ports,
            own_cgroup: settings.cgroup,
            shm_bytes: settings.shm_bytes,
            exit_policy: settings.exit_policy,
            replace: false,
            cgroup_parent: settings.cgroup_parent,
            infra,
            members: settings.members,
            user: settings.asked_ids,
        })
    }

    fn insert_pod(&mut self, options: &PodOptions, name: Name) -> Result<ContainerId> {
        let limits = &options.limits;
        let settings = Settings {
            labels: options.labels.clone(),
            shared: options.shared.clone(),
            hostname: options.hostname.clone().unwrap_or_else(|| name.to_string()),
            exit_policy: options.exit_policy,
            host_network: options.network.is_host(),
            networked: !options.network.connections().is_empty(),
            ports: options.ports.clone(),
            cgroup: options.own_cgroup,
            memory_bytes: limits.memory_bytes,
            memory_swap_bytes: limits.memory_swap_bytes,
            nano_cpus: limits.nano_cpus,
            cpu_shares: limits.cpu_shares,
            cpuset_cpus: limits.cpuset_cpus.clone(),
            cpuset_mems: limits.cpuset_mems.clone(),
            pids: limits.pids,
            shm_bytes: options.shm_bytes,
            block_io: limits.block_io.clone(),
            cgroup_parent: options.cgroup_parent.clone(),
            infra: None,
            members: options.members.clone(),
            ids: None,
            asked_ids: options.user.clone(),
            level: None,
        };
        let mut ids = Choice::of(self.state.read(), &options.user, self.is_of_root)?;
        let id = ContainerId::random()?;
        let mut row = Row { id, name, created: Moment::now(), settings: String::new() };
        let shares = options.shared.contains(&Shared::Ipc) || options.shared.contains(&Shared::Pid);
        self.state.write(|write| {
            let level = if shares { selinux::level_for_pod(write)? } else { None };
            row.settings = Settings { ids: ids.take(write)?, level, ..settings }.to_text()?;
            if let Some(container) = containers::find_by_name(write, row.name.as_str())? {
                let id = container.id.short();
                let text = format!("the name {} is in use by container {id}", row.name);
                return Err(Error::new(Kind::AlreadyExists, text));
            }
            pods::insert(write, &row)?;
            connect_all(write, &row.id, options.network.connections())?;
            tell(write, &row, "create")
        })?;
        Ok(row.id)
    }

    /// Removes a pod: one in which nothing runs but its own container, or with `Force::Yes` all of it.
    pub fn remove_pod(&mut self, text: &str, force: Force) -> Result<ContainerId> {
        let pod = self.pod(text)?;
        let doing = || format!("remove pod {}", pod.name);
        let rests = |phase| matches!(phase, Phase::Created | Phase::Exited);
        let is_own = |one: &&Member| Some(&one.id) == pod.infra.as_ref();
        let running = pod.members.iter().find(|one| !is_own(one) && !rests(one.phase));
        if let (Some(member), Force::No) = (running, force) {
            let text = format!("{}: container {} runs in it", doing(), member.name);
            return Err(Error::new(Kind::Conflict, text)
                .hint("`dhow pod stop` stops all of them, and --force kills and removes them"));
        }
        // Its own container is the oldest of them, and goes last.
        for member in pod.members.iter().rev() {
            match self.remove_member(&member.id) {
                Err(error) if error.kind() == Kind::NotFound => {}
                result => result.doing(doing)?,
            }
        }
        let _lock = self.pods_mut().lock()?;
        self.lower_pod(&pod.id).doing(doing)?;
        self.state
            .write(|write| {
                if let Some(member) = pods::members(write, &pod.id)?.first() {
                    let text = format!("container {} has come into it", member.short());
                    return Err(Error::new(Kind::Conflict, text));
                }
                let row = pods::find(write, &pod.id)?;
                pods::delete(write, &pod.id)?;
                row.map_or(Ok(()), |row| tell(write, &row, "remove"))
            })
            .doing(doing)?;
        Ok(pod.id)
    }

    /// Does something to each container of a pod, and goes on after a failure, which is returned
    /// at the end. Where all went well it is an event of the pod. The pod's own container is the
    /// first to start, and the last for everything else.
    pub fn each_of_pod(
        &mut self,
        text: &str,
        action: &str,
        which: fn(&Member) -> bool,
        mut one: impl FnMut(&mut Self, &ContainerId) -> Result<()>,
    ) -> Result<ContainerId> {
        let pod = self.pod(text)?;
        let mut members: Vec<&Member> = pod.members.iter().filter(|member| which(member)).collect();
        members.sort_by_key(|member| {
            let is_own = Some(&member.id) == pod.infra.as_ref();
            if matches!(action, "start" | "restart") { !is_own } else { is_own }
        });
        let mut failed = None;
        for member in members {
            match one(self, &member.id) {
                // It has ended with the last of the others.
                Err(error)
                    if error.kind() == Kind::Conflict && Some(&member.id) == pod.infra.as_ref() => {
                }
                Err(error) => failed = failed.or(Some(error)),
                Ok(()) => {}
            }
        }
        if let Some(error) = failed {
            return Err(error).doing(|| format!("{action} pod {}", pod.name));
        }
        self.state.write(|write| match pods::find(write, &pod.id)? {
            Some(row) => tell(write, &row, action),
            None => Ok(()),
        })?;
        Ok(pod.id)
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
pub(super) fn make_cgroup(path: &str, limits: &Limits) -> Result<()> {
    let mut resources = merge::pod_resources(limits)?;
    if resources == dhow_spec::runtime::Resources::default() {
        // Nothing is limited: it is made on the way to its first container's.
        return Ok(());
    }
    // What devices there are is a matter of each container.
    resources.devices = vec![devices::allow_all()];
    let (hierarchies, location) = (Hierarchies::detect()?, location(path)?);
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
pub(super) fn remove_cgroup(path: &str) -> Result<()> {
    let hierarchies = Hierarchies::detect()?;
    let location = location(path)?;
    match Cgroup::open(&hierarchies, &location) {
        Ok(cgroup) => cgroup.delete(),
        Err(error) if error.kind() == Kind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn location(path: &str) -> Result<Location> {
    Location::new(Some(path), "dhow", "pod")
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
