//! The OCI runtime: a bundle becomes a container's process.
//!
//! ```text
//!   create ──▶ Container (created: waits) ──start──▶ running ──exits──▶ delete
//!                                             ▲
//!                                             └── exec: one more process
//! ```
//!
//! [`create`] and [`exec`] fork, so the calling process must have one thread only. What runs in a
//! container's namespaces before its program does is here too (`init`). The runtime knows nothing
//! of images, networks, logs or restarts; who waits for the process is the caller, its parent.

mod affinity;
mod agent;
mod apart;
mod capabilities;
mod cgroup_owner;
mod cgroupfs;
mod check;
mod console;
mod container;
mod copy_up;
mod criu;
mod devices;
mod exec;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod handover;
mod hooks;
mod init;
mod io_priority;
mod limits;
mod line;
mod mappings;
mod masks;
mod memory_policy;
mod mounts;
#[cfg(test)]
mod mutations;
mod namespaces;
mod net_devices;
mod null_streams;
mod numbers;
mod options;
mod personality;
mod program;
mod request;
mod resctrl;
mod rootfs;
mod scheduler;
pub mod shelf;
mod sysctl;
mod task;

pub use apart::namespaces_with_ids;
pub use capabilities::{names as capability_names, ungrantable, unraisable};
pub use dhow_cgroup::{Ahead as CgroupAhead, Bus, Cgroup, Driver};

pub use container::{
    Container, Leftovers, Whereabouts, cgroup, create, delete, oom_kills, start_dialled,
};
pub use criu::{Statistic, statistics};
pub use dhow_cgroup::Subgroup;
pub use exec::{ExecRequest, Executed, exec};
pub use mappings::{GID_HELPER, UID_HELPER, is_ordinary_user, map_ids};
pub use memory_policy::names as memory_policy_names;
pub use options::mount_options;
pub use request::{Furnish, Hold, Init, Keyring, MadeAhead, Paused, Request, Stdio};
pub use rootfs::RootAhead;
