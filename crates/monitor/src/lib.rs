//! The monitor: the small process that outlives the command and keeps a container's process.
//!
//! ```text
//!            spawn                      runtime::create (or exec)
//!   command ──────▶ monitor ─────────────────────────────────────▶ the process
//!      ▲              │  ▲ pidfd, stdout, stderr, stdin or terminal      │
//!      └── frames ────┘  └───────────────────────────────────────────────┘
//!                     │
//!                     ├──▶ log          every byte of output, with its time
//!                     └──▶ exit record  before anybody hears of the exit
//! ```
//!
//! One thread, one `poll`. The monitor is the parent of the process, so it alone learns the exit
//! status; it holds the other ends of the pipes or the terminal, so output is taken as long as the
//! process lives, whether a command watches or not.
//!
//! It knows nothing of images, networks, names or the state database: a [`Job`] tells it all, and
//! what became of it lies in two places that anybody can read, the [`ExitRecord`] and the log.

mod anchor;
mod bundle;
mod bury;
mod cancel;
mod client;
mod connection;
mod detach;
mod exit;
mod foreign;
mod frame;
mod furnish;
mod ground;
mod group;
mod health;
mod input;
mod job;
mod living;
pub mod log;
mod network;
mod pause;
mod prepared;
mod process;
mod raw;
mod readiness;
mod revival;
mod serve;
mod session;
mod sink;
mod spare;
mod spawn;
mod user_namespace;
mod watch;

pub use anchor::{ANCHOR_ROLE, anchor_main};
pub use bury::{bury, bury_unless_kept, freeze, thaw};
pub use cancel::{cancel_start, keeper};
pub use client::{Client, Event, is_alive, wait_for_exit};
pub use detach::DetachKeys;
pub use dhow_runtime::{Driver, Statistic, namespaces_with_ids, statistics};
pub use exit::{Exit, ExitRecord};
pub use frame::{STDIN_WINDOW, Size, Started};
pub use group::cgroup;
pub use health::{
    Check, Checked, HealthPlan, HealthReport, HealthResult, StartupCheck, UnhealthyAction,
};
pub use job::{
    Exec, Expected, Ground, Handed, Home, Job, LogFormat, LogSettings, NetworkTask, Revival, Run,
    Stdin, Task,
};
pub use living::Living;
pub use pause::{PAUSE_ROLE, Sleeper, pause_main, spawn_sleeper};
pub use raw::{LineEnds, RawMode};
pub use readiness::{READINESS, listen_for_readiness};
pub use revival::{Dump, checkpoint};
pub use serve::main;
pub use session::{Outcome, Session, Signals, hold_signals};
pub use spawn::{ROLE, WaitingMonitor};
pub use user_namespace::{OneId, enter, secure_directory, usual_runtime_directory};
