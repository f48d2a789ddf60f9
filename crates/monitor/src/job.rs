//! What a monitor is told to do: plain data, sent by the command as the first frame.
//!
//! It travels over the monitor's first connection and never in arguments or files, because the
//! process of an exec session carries environment variables that other users must not read.

use crate::HealthPlan;
use dhow_base::{Error, Kind, Result, id::ContainerId};
use dhow_network::Plan;
use dhow_runtime::Driver;
use dhow_spec::{Mount, runtime::Process};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

/// Everything a monitor needs to know.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Job {
    /// The process to start and to watch.
    pub task: Task,
    /// Whether the process gets a terminal. Then there is one stream of output, stdout.
    pub terminal: bool,
    /// Where the process reads from.
    pub stdin: Stdin,
    /// Where output is kept; nowhere where missing.
    pub log: Option<LogSettings>,
    /// A command that the monitor becomes after the exit. It is for those whom nobody waits for:
    /// where an attached client ([`Job::attached`]) hears of the exit, cleaning up is the client's
    /// part. The first word is the program; `/proc/self/exe` is this binary. A process of
    /// [`Task::Exec`] keeps nothing on disk, so its exit code is the last word.
    pub cleanup: Option<Vec<OsString>>,
    /// Whether the client that sent the job stays: it gets the output from the first byte, holds
    /// the process back when it does not keep up, and cleans up afterwards.
    pub attached: bool,
    /// The process is killed when it has lived so long.
    #[serde(default)]
    pub time_limit_ms: Option<u64>,
    /// How its health is checked.
    #[serde(default)]
    pub health: Option<Box<HealthPlan>>,
    /// What the process has of the command's own.
    #[serde(default)]
    pub handed: Handed,
}

/// Files of the command's that the process gets as they are.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Handed {
    /// So many fds, from 3 on.
    pub fds: u32,
    /// Its standard output and error, so that nobody takes the process's; it has no terminal then.
    pub output: bool,
}

/// The process to start and to watch.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// A container's first process.
    Run(Box<Run>),
    /// One more process in a running container. Nobody but who began it asks for it, and hears of it
    /// over the connection that the job came by: its monitor keeps nothing on disk.
    Exec(Box<Exec>),
}

/// Where those who come later find a container's monitor, or what it has left.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Home {
    /// The run directory, which exists and belongs to this container alone. The monitor keeps `attach`,
    /// `lock` and `started.json` there.
    pub directory: PathBuf,
    /// Where the [`crate::ExitRecord`] goes.
    pub exit_record: PathBuf,
}

/// What is known of a container before its job, which follows; it may come piece by piece.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Expected {
    /// Where its monitor will be found.
    #[serde(default)]
    pub home: Option<Home>,
    /// Its cgroup (`linux.cgroupsPath`), where it is certain that our own files make one.
    #[serde(default)]
    pub cgroup: Option<String>,
    /// Its root filesystem, where that is mounted without a label and with the ids that its files have.
    #[serde(default)]
    pub rootfs: Option<Mount>,
}

/// A container to create and start.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Run {
    /// The container.
    #[serde(with = "id_as_text")]
    pub id: ContainerId,
    /// Where its monitor is found.
    pub home: Home,
    /// Whether the client that stays removes it at its end, when no process of it is left that has not
    /// ended with the first: it hears of the end early, and does its part while the monitor does its own.
    #[serde(default)]
    pub removed_at_end: bool,
    /// The directories that go with it then, in this order, where that client leaves them to the monitor;
    /// the last one is the run directory, in which the monitor's lock is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leavings: Vec<PathBuf>,
    /// Its `config.json`.
    pub config: PathBuf,
    /// The directory that relative paths of the configuration start from.
    pub bundle: PathBuf,
    /// The filesystem to mount as the root, inside the container's mount namespace only. Without
    /// it, `root.path` of the configuration is used as it is.
    pub rootfs: Option<Mount>,
    /// The empty directory that the root is mounted on.
    pub mountpoint: PathBuf,
    /// Who makes its cgroup.
    #[serde(default)]
    pub driver: Driver,
    /// Variables of the process that no file has, `NAME=value`: they are secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<String>,
    /// The files of a checkpoint that it is made of, instead of its program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revival: Option<Box<Revival>>,
    /// The OCI runtime that makes it; our own where missing.
    #[serde(default)]
    pub runtime: Option<PathBuf>,
    /// The networks of its namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Box<NetworkTask>>,
}

/// What a monitor does for its container's networks.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct NetworkTask {
    /// The networks.
    pub plan: Plan,
    /// Whose namespace it is.
    pub ground: Ground,
}

/// The network namespace that a plan is for.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ground {
    /// The container's own, which is born with it: everything is to be done.
    Newborn,
    /// One that this file holds, in which the links are: the rest is to be done.
    First(PathBuf),
    /// The same, in which another container lives already, whose monitor holds the ports.
    Beside(PathBuf),
}

impl NetworkTask {
    /// Whether nobody has done it before.
    pub fn is_first(&self) -> bool {
        !matches!(self.ground, Ground::Beside(_))
    }
}

/// A process to start in a running container.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Exec {
    /// The container.
    #[serde(with = "id_as_text")]
    pub id: ContainerId,
    /// The container's first process, as the host numbers it.
    pub pid: i32,
    /// When that process started, in clock ticks since boot: the pid may be somebody else's by now.
    pub start_time: u64,
    /// The container's `config.json`.
    pub config: PathBuf,
    /// The directory that relative paths of the configuration start from.
    pub bundle: PathBuf,
    /// What to run.
    pub process: Process,
    /// Who has made the container's cgroup.
    #[serde(default)]
    pub driver: Driver,
}

/// How processes are written to files, and made again of them.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Revival {
    /// CRIU, which does it.
    pub criu: PathBuf,
    /// The directory of the files.
    pub images: PathBuf,
    /// Where CRIU works and writes its log.
    pub work: PathBuf,
    /// Open connections come along.
    pub tcp_established: bool,
    /// Connections that were open come back closed.
    #[serde(default)]
    pub tcp_close: bool,
    /// Locks of files come along.
    pub file_locks: bool,
}

/// Where the process reads from.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stdin {
    /// `/dev/null`.
    Null,
    /// Clients. It ends when a client says so, or when the client that sent the job goes without
    /// having detached: a program must not wait for ever for a user who was killed.
    Once,
    /// Clients. It ends only when a client says so.
    Open,
}

/// Where output is kept.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct LogSettings {
    /// In which form.
    #[serde(default)]
    pub format: LogFormat,
    /// What goes along with each line, where the form has room for it.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// The log; older ones lie beside it as `<path>.1`, `<path>.2`… The journal has none.
    pub path: PathBuf,
    /// The size at which a log is set aside and a new one begun; never where missing.
    pub limit_bytes: Option<u64>,
    /// How many logs there may be at once, the current one included.
    pub files: u32,
}

/// In which form output is kept.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// CRI's.
    #[default]
    K8s,
    /// Docker's.
    Json,
    /// systemd's journal.
    Journal,
}

impl Job {
    /// Parses the bytes of a job frame.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes)
            .map_err(|error| Error::new(Kind::Invalid, "parse the monitor's job").because(error))
    }

    /// The bytes of a job frame.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|error| {
            Error::new(Kind::Invalid, "write the monitor's job")
                .because(error)
                .hint("paths of the platform's own directories must be UTF-8")
        })
    }

    /// Where a container's monitor is found.
    pub(crate) fn home(&self) -> Option<&Home> {
        match &self.task {
            Task::Run(run) => Some(&run.home),
            Task::Exec(_) => None,
        }
    }

    /// The container that the job is about.
    pub fn container(&self) -> &ContainerId {
        match &self.task {
            Task::Run(run) => &run.id,
            Task::Exec(exec) => &exec.id,
        }
    }
}

mod id_as_text {
    use dhow_base::id::ContainerId;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(id: &ContainerId, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(id.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<ContainerId, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_travels_whole() {
        let job = Job {
            task: Task::Run(Box::new(Run {
                id: ContainerId::random().unwrap(),
                home: Home { directory: "/run/c".into(), exit_record: "/c/exit.json".into() },
                removed_at_end: true,
                leavings: Vec::new(),
                config: "/c/config.json".into(),
                bundle: "/c".into(),
                rootfs: Some(Mount::Bind { source: "/r".into(), read_only: true }),
                mountpoint: "/m".into(),
                driver: Driver::Nobody,
                variables: Vec::new(),
                revival: None,
                runtime: None,
                network: None,
            })),
            terminal: true,
            stdin: Stdin::Once,
            log: Some(LogSettings {
                path: "/c/log".into(),
                limit_bytes: Some(1),
                files: 2,
                ..LogSettings::default()
            }),
            cleanup: Some(vec!["dhow".into(), "rm".into()]),
            attached: true,
            time_limit_ms: Some(1),
            health: None,
            handed: Handed::default(),
        };

        assert_eq!(Job::parse(&job.to_bytes().unwrap()).unwrap(), job);
        assert_eq!(Job::parse(b"{}").unwrap_err().kind(), Kind::Invalid);
    }
}
