//! `config.json` and the state document: OCI runtime specification 1.3.0.
//!
//! Field names, units and meanings are the specification's (config.md, config-linux.md,
//! runtime.md); the comments here only say what a reader of our code needs. Octal modes are plain
//! numbers as in JSON.

mod config;
mod default;
mod linux;
mod nulls;
mod resources;
mod seccomp;
mod state;

pub use config::{
    Capabilities, ConsoleSize, ExecCpuAffinity, Hook, Hooks, IoPriority, MountPoint, Process,
    Rlimit, Root, Scheduler, Spec, User,
};
pub use default::{DEFAULT_CAPABILITIES, HARMLESS_DEVICES, default_spec, example_spec};
pub use linux::{
    Device, IdMapping, IntelRdt, Linux, MemoryPolicy, Namespace, NamespaceKind, NetDevice,
    Personality, TimeOffset,
};
pub use nulls::parse;
pub use resources::{
    BlockIo, Cpu, DeviceRule, HugepageLimit, InterfacePriority, Memory, Network, Pids, Rdma,
    Resources, ThrottleDevice, WeightDevice,
};
pub use seccomp::{Action, Arg, Operator, Seccomp, Syscalls};
pub use state::{ProcessState, State, Status};

/// The version of the specification that dhow writes into what it makes.
pub const OCI_VERSION: &str = "1.3.0";
