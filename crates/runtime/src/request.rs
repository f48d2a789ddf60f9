//! What a caller asks of the runtime, as plain data.

use crate::RootAhead;
use dhow_base::{Doing, Result};
use dhow_cgroup::{Ahead as CgroupAhead, Driver};
use dhow_spec::{Mount, runtime::Spec};
use serde::{Deserialize, Serialize};
use std::{os::fd::BorrowedFd, path::Path};

/// A container to create.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The container's id: names its cgroup where the specification does not.
    pub id: &'a str,
    /// Its `config.json`.
    pub spec: &'a Spec,
    /// Who makes its cgroup.
    pub driver: &'a Driver,
    /// The bundle, absolute: relative paths in the specification start here.
    pub bundle: &'a Path,
    /// The root filesystem; without it, `spec.root.path` is bound.
    pub rootfs: Option<&'a Mount>,
    /// A directory to attach the root at, inside the container's new mount namespace only. It can
    /// be any directory, the root itself too; what it holds is hidden from the container alone.
    pub mountpoint: &'a Path,
    /// The standard streams, where the process has no terminal of its own.
    pub stdio: Stdio<'a>,
    /// Whether the program runs at once.
    pub hold: Hold<'a>,
    /// How many fds, from 3 on, the process keeps.
    pub preserve_fds: u32,
    /// Whether the process gets a session keyring of its own.
    pub keyring: Keyring,
    /// What was made before all of this was known.
    pub made_ahead: MadeAhead<'a>,
    /// Who sets up the new network namespace, while the container's mounts are made.
    pub network: Option<&'a dyn Furnish>,
}

/// What a caller has made before it knew the rest of its request. Each is used where it turns out to be
/// the right one, and stays the caller's otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub struct MadeAhead<'a> {
    /// A new network namespace with its loopback interface up and nobody in it: the container's, where
    /// it gets one that the caller's user namespace owns.
    pub network: Option<BorrowedFd<'a>>,
    /// The directories of its cgroup.
    pub cgroup: Option<&'a CgroupAhead>,
    /// Its root filesystem.
    pub root: Option<&'a RootAhead>,
}

/// Who brings devices into a network namespace that has just been born.
pub trait Furnish: std::fmt::Debug {
    /// Does it, or says why not: then there is no container. Called once, in the parent, before any
    /// hook and before the program; what is half done is the callee's to undo.
    fn furnish(&self, namespace: BorrowedFd<'_>) -> Result<()>;
}

/// The standard streams of a process.
#[derive(Clone, Copy, Debug)]
pub enum Stdio<'a> {
    /// Those of the calling process.
    Inherit,
    /// As [`Stdio::Inherit`]; and a terminal's output is shown on one of the caller's, or written into
    /// a file, so that its lines end as they were written.
    Shown,
    /// Input, output, errors. Unused where `process.terminal` asks for a terminal.
    Streams([BorrowedFd<'a>; 3]),
}

/// When the program runs.
#[derive(Clone, Copy, Debug)]
pub enum Hold<'a> {
    /// When `Container::start` says so.
    UntilStart,
    /// When another process dials this listening socket (`SOCK_SEQPACKET`) and says so.
    UntilDialled(BorrowedFd<'a>),
    /// At once; `create` returns when the program runs, and `start` has nothing to do.
    Not,
}

/// The session keyring of a process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Keyring {
    /// A new one, where the kernel allows it.
    New,
    /// The caller's.
    Inherited,
}

/// What a paused container means to one more process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Paused {
    /// It is refused.
    Refused,
    /// It goes in, and its program runs when the container is resumed.
    Entered,
}

/// A container's first process, told apart from a later one with the same number by the time it
/// started.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Init {
    /// The process id, in the caller's PID namespace.
    pub pid: i32,
    /// Clock ticks after boot, from `/proc/<pid>/stat`.
    pub started: u64,
}

impl Init {
    /// The process that has this number now.
    pub fn of_pid(pid: i32) -> Result<Self> {
        let started = dhow_sys::process::start_time(pid)
            .doing(|| format!("find out when process {pid} started"))?;
        Ok(Self { pid, started })
    }

    /// Whether it still runs: the number is not another's by now, and it has not ended.
    pub fn is_alive(&self) -> bool {
        dhow_sys::process::status(self.pid)
            .is_ok_and(|status| status.started == self.started && !status.has_ended())
    }
}
