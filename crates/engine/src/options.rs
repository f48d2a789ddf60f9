//! What the user asks for, parsed: the doors fill these in, the engine gives them their meaning.
//!
//! `None` and empty mean "not said", so that the image's word or the engine's default counts.

mod block_io;
mod cdi;
mod cgroup;
mod environment;
mod labels;
mod mount;
mod names;
mod namespaces;
mod network;
mod process;

use crate::Purpose;
pub use block_io::BlockIoOptions;
pub use cdi::CdiName;
pub use cgroup::{CgroupMaking, CgroupOptions};
pub use dhow_network::{Mac, Protocol, Publication};
pub use environment::EnvironmentOptions;
pub use labels::{LabelField, LabelOption};
pub use names::{HostsBase, NameOptions};
pub use namespaces::{NamespaceOptions, Sharing, UserNamespace};
pub use network::{ConnectionOptions, DEFAULT_NETWORK, Exposed, NetworkMode, PASTA, PortOptions};
pub use process::{AccountOptions, Mark, SurroundingOptions, Systemd};

pub use crate::foundation::RootDirectory;
pub use crate::{
    health::{HealthAction, HealthOptions, NEVER, StartupOptions},
    life::LifeOptions,
    logging::{LogDriver, LogOptions},
    restart::RestartPolicy,
};
use dhow_base::id::Name;
/// When an image is fetched.
pub use dhow_image::Policy as PullPolicy;
use dhow_spec::image::Platform;
pub use mount::{
    IdMap, ImageVolumes, MountDetails, MountOption, MountWhat, ObjectOptions, OverlayOption,
    PodChoice, Relabel, SecretOption, SecretWay, VolumeMaking, VolumesFrom,
};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A container to create.
#[derive(Clone, Debug)]
pub struct CreateOptions {
    /// The image, as the user wrote it; with a root of their own, how they wrote that.
    pub image: String,
    /// `--rootfs`: a directory in the place of an image.
    pub directory: Option<RootDirectory>,
    /// `--storage-opt size=`: how much the root may take beyond the image.
    pub root_bytes: Option<u64>,
    /// Arguments after the image.
    pub command: Vec<String>,
    /// `--name`.
    pub name: Option<Name>,
    /// `--entrypoint`; an empty list clears the image's.
    pub entrypoint: Option<Vec<String>>,
    /// `-e` and `--env-file`, in order: `NAME=value`. Names without a value are resolved by the door.
    pub env: Vec<String>,
    /// `-w`.
    pub workdir: Option<String>,
    /// `-u`: `user`, `uid`, `user:group`…
    pub user: Option<String>,
    /// `--group-add`.
    pub groups: Vec<String>,
    /// `--hostname`.
    pub hostname: Option<String>,
    /// `-l`.
    pub labels: Vec<(String, String)>,
    /// `--annotation`.
    pub annotations: Vec<(String, String)>,
    /// `-i`: standard input is open.
    pub interactive: bool,
    /// `-t`: a terminal.
    pub tty: bool,
    /// `--rm`.
    pub auto_remove: bool,
    /// Limits.
    pub limits: Limits,
    /// Rights.
    pub rights: Rights,
    /// `-v`, `--mount`, `--tmpfs`.
    pub mounts: Vec<MountOption>,
    /// `--read-only`.
    pub read_only: bool,
    /// `--network`, and how it is connected to each.
    pub network: NetworkMode,
    /// `-p`, `-P`, `--expose`.
    pub ports: PortOptions,
    /// `--stop-signal`.
    pub stop_signal: Option<i32>,
    /// `--stop-timeout`, seconds; 10 unless said.
    pub stop_timeout: Option<u32>,
    /// `--pull`.
    pub pull: PullPolicy,
    /// `--platform`.
    pub platform: Option<Platform>,
    /// `--shm-size`, in bytes.
    pub shm_bytes: Option<u64>,
    /// What it takes from other objects: volumes of other containers, secrets, a pod.
    pub objects: ObjectOptions,
    /// The control group.
    pub cgroup: CgroupOptions,
    /// The environment beside [`CreateOptions::env`].
    pub environment: EnvironmentOptions,
    /// Names of hosts.
    pub names: NameOptions,
    /// Namespaces.
    pub namespaces: NamespaceOptions,
    /// What else the process finds.
    pub surroundings: SurroundingOptions,
    /// How it lives: restarts, health checks, logs.
    pub life: LifeOptions,
}

impl CreateOptions {
    /// For what an engine is opened that is to run this.
    pub fn purpose(&self) -> Purpose {
        let own_network = matches!(
            self.network,
            NetworkMode::Unsaid
                | NetworkMode::None
                | NetworkMode::Pasta(_)
                | NetworkMode::Networks(_)
        );
        let shares_ids =
            matches!(self.namespaces.user, UserNamespace::Unsaid | UserNamespace::Host);
        match own_network && shares_ids && self.objects.pod.is_none() {
            true => Purpose::StartApart,
            false => Purpose::Start,
        }
    }

    /// Everything unsaid, for one image.
    pub fn of(image: impl Into<String>) -> Self {
        Self {
            image: image.into(),
            directory: None,
            root_bytes: None,
            command: Vec::new(),
            name: None,
            entrypoint: None,
            env: Vec::new(),
            workdir: None,
            user: None,
            groups: Vec::new(),
            hostname: None,
            labels: Vec::new(),
            annotations: Vec::new(),
            interactive: false,
            tty: false,
            auto_remove: false,
            limits: Limits::default(),
            rights: Rights::default(),
            mounts: Vec::new(),
            read_only: false,
            network: NetworkMode::Unsaid,
            ports: PortOptions::default(),
            stop_signal: None,
            stop_timeout: None,
            pull: PullPolicy::Missing,
            platform: None,
            shm_bytes: None,
            objects: ObjectOptions::default(),
            cgroup: CgroupOptions::default(),
            environment: EnvironmentOptions::default(),
            names: NameOptions::default(),
            namespaces: NamespaceOptions::default(),
            surroundings: SurroundingOptions::default(),
            life: LifeOptions::default(),
        }
    }
}

/// Resource limits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// `--memory`, bytes.
    pub memory_bytes: Option<u64>,
    /// `--memory-swap`, bytes of memory and swap together; -1 is no limit.
    pub memory_swap_bytes: Option<i64>,
    /// `--memory-reservation`, bytes.
    pub memory_reservation_bytes: Option<u64>,
    /// `--cpus`, in billionths of a processor.
    pub nano_cpus: Option<u64>,
    /// `--cpu-shares`.
    pub cpu_shares: Option<u64>,
    /// `--cpu-period`, microseconds.
    pub cpu_period: Option<u64>,
    /// `--cpu-quota`, microseconds a period; 0 and below are no limit.
    pub cpu_quota: Option<i64>,
    /// `--cpu-rt-period`, microseconds.
    pub cpu_rt_period: Option<u64>,
    /// `--cpu-rt-runtime`, microseconds a period.
    pub cpu_rt_runtime: Option<i64>,
    /// `--memory-swappiness`, 0 to 100.
    pub memory_swappiness: Option<u64>,
    /// `--oom-kill-disable`.
    pub oom_kill_disable: bool,
    /// Block devices.
    pub block_io: BlockIoOptions,
    /// `--cpuset-cpus`.
    pub cpuset_cpus: Option<String>,
    /// `--cpuset-mems`.
    pub cpuset_mems: Option<String>,
    /// `--pids-limit`; 0 and below are no limit.
    pub pids: Option<i64>,
    /// `--ulimit`: name without `RLIMIT_`, soft, hard.
    pub ulimits: Vec<Ulimit>,
    /// `--oom-score-adj`.
    pub oom_score_adj: Option<i32>,
}

/// One `--ulimit`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ulimit {
    /// `nofile`, in lower case.
    pub name: String,
    /// The limit that can be raised.
    pub soft: u64,
    /// The limit that cannot.
    pub hard: u64,
}

/// What the container may do beyond the default, or not.
#[derive(Clone, Debug, Default)]
pub struct Rights {
    /// `--privileged`.
    pub privileged: bool,
    /// What a container has where nothing is added or dropped; docker's fourteen unless said.
    pub default_capabilities: Option<Vec<String>>,
    /// `--cap-add`, with or without `CAP_`; `ALL`.
    pub cap_add: Vec<String>,
    /// `--cap-drop`.
    pub cap_drop: Vec<String>,
    /// `--security-opt no-new-privileges`.
    pub no_new_privileges: bool,
    /// `--security-opt seccomp=…`.
    pub seccomp: SeccompChoice,
    /// `--security-opt apparmor=…`.
    pub apparmor: Option<String>,
    /// `--security-opt label=…`; of two that contradict each other the later one counts.
    pub labels: Vec<LabelOption>,
    /// `--security-opt mask=…`: paths that are masked besides the default ones.
    pub mask: Vec<String>,
    /// `--security-opt unmask=…`: paths that are not masked; `ALL`.
    pub unmask: Vec<String>,
    /// `--device`: host path, container path, access.
    pub devices: Vec<DeviceOption>,
    /// `--device vendor.com/class=name` and `--gpus`: devices that documents describe.
    pub cdi: Vec<CdiName>,
    /// Where those documents lie; the usual places where nothing is said.
    pub cdi_directories: Vec<PathBuf>,
    /// `--security-opt proc-opts=…`: options of the mount at `/proc`.
    pub proc_options: Vec<String>,
}

impl Rights {
    /// Takes what `--security-opt` of a pod says where these say nothing.
    pub(crate) fn secure(&mut self, pod: &SecurityOptions) {
        self.no_new_privileges |= pod.no_new_privileges;
        if self.seccomp == SeccompChoice::Default {
            self.seccomp.clone_from(&pod.seccomp);
        }
        self.apparmor = self.apparmor.take().or_else(|| pod.apparmor.clone());
        // Later ones count, and a container's own come later.
        self.labels.splice(0..0, pod.labels.iter().cloned());
        self.mask.extend(pod.mask.iter().cloned());
        self.unmask.extend(pod.unmask.iter().cloned());
        self.proc_options.splice(0..0, pod.proc_options.iter().cloned());
    }

    /// What `--security-opt` has said.
    pub fn security(&self) -> SecurityOptions {
        SecurityOptions {
            no_new_privileges: self.no_new_privileges,
            seccomp: self.seccomp.clone(),
            apparmor: self.apparmor.clone(),
            labels: self.labels.clone(),
            mask: self.mask.clone(),
            unmask: self.unmask.clone(),
            proc_options: self.proc_options.clone(),
        }
    }
}

/// `--security-opt` of a pod: each field as in [`Rights`].
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
#[expect(missing_docs, reason = "they are those of `Rights`")]
pub struct SecurityOptions {
    pub no_new_privileges: bool,
    pub seccomp: SeccompChoice,
    pub apparmor: Option<String>,
    pub labels: Vec<LabelOption>,
    pub mask: Vec<String>,
    pub unmask: Vec<String>,
    pub proc_options: Vec<String>,
}

/// Which seccomp profile.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeccompChoice {
    /// dhow's own.
    #[default]
    Default,
    /// None.
    Unconfined,
    /// The content of a profile file.
    Profile(Vec<u8>),
}

/// One `--device`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct DeviceOption {
    /// The node on the host.
    pub host: PathBuf,
    /// The node in the container.
    pub container: PathBuf,
    /// Some of `rwm`.
    pub access: String,
}

/// A process to run in a running container.
#[derive(Clone, Debug, Default)]
pub struct ExecOptions {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// `-e`.
    pub env: Vec<String>,
    /// `-w`.
    pub workdir: Option<String>,
    /// `-u`.
    pub user: Option<String>,
    /// `-i`.
    pub interactive: bool,
    /// `-t`.
    pub tty: bool,
    /// `--privileged`.
    pub privileged: bool,
    /// `--preserve-fds`: how many of the command's fds it has, from 3 on.
    pub preserve_fds: u32,
}

/// How much is removed with a container.
#[derive(Clone, Copy, Debug, Default)]
pub struct RemoveOptions {
    /// `-f`: kill it first where it runs.
    pub force: bool,
    /// `-v`: its anonymous volumes too.
    pub volumes: bool,
}
