//! Control groups: create, limit, measure, freeze, kill, delete; versions 1, 2 and both at once.
//!
//! ```text
//!   Hierarchies::detect()          what this machine has, once a process
//!        │  Location::new(cgroupsPath, id)
//!        ▼
//!   Cgroup::create ──▶ join (in the child) or add(pid) ──▶ freeze/thaw, stats, update
//!        │                                                      │
//!        └──────────▶ Cgroup::open (a later command) ───────────┴─▶ kill_all ──▶ delete
//! ```
//!
//! Nothing here touches a cgroup other than the one that was asked for, its descendants, and those
//! of its ancestors that had to be made on the way. It knows nothing of containers.

mod ahead;
mod cgroup;
mod dbus;
mod delegation;
mod device_program;
pub mod devices;
mod driver;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod glance;
mod hierarchy;
mod legacy;
mod location;
mod oom;
mod ownership;
mod place;
mod properties;
pub mod stats;
mod subgroup;
mod systemd;
mod unified;
mod unit;

pub use ahead::Ahead;
pub use cgroup::Cgroup;
pub use delegation::delegated;
pub use driver::Driver;
pub use glance::{is_plainly_thawed, plain_oom_kills, plain_processes};
pub use hierarchy::{Hierarchies, Layout};
pub use location::{Location, USUAL_PARENT};
pub use oom::{OomNews, OomWatch};
pub use stats::Stats;
pub use subgroup::Subgroup;
pub use systemd::Bus;
