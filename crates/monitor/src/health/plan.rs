//! How a container is checked: plain data, part of a monitor's job.

use serde::{Deserialize, Serialize};
use std::{ffi::OsString, path::PathBuf};

/// How a container is checked.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct HealthPlan {
    /// The usual check.
    pub check: Check,
    /// A check that must succeed before the usual one begins.
    pub startup: Option<StartupCheck>,
    /// For so long after the start failures do not count.
    pub start_period_ms: u64,
    /// Between two checks in the start period, until the first success.
    pub start_interval_ms: u64,
    /// What is done when the container becomes unhealthy.
    pub action: UnhealthyAction,
    /// Where the results lie.
    pub file: PathBuf,
    /// How many results are kept; 0 is all.
    pub log_count: u32,
    /// How many bytes of each output are kept; 0 is all.
    pub log_bytes: u32,
    /// This binary on the engine's state, to be given a command.
    pub engine: Vec<OsString>,
}

/// One command and how it is taken.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Check {
    /// The program and its arguments.
    pub words: Vec<String>,
    /// Between the end of a check and the next; `u64::MAX` is on demand only.
    pub interval_ms: u64,
    /// What takes longer has failed.
    pub timeout_ms: u64,
    /// So many failures in a row are too many; 0 is never.
    pub retries: u32,
}

/// A check that must succeed first.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct StartupCheck {
    /// The check; after too many failures the container is started again.
    pub check: Check,
    /// So many successes are enough.
    pub successes: u32,
}

/// What is done when a container becomes unhealthy.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnhealthyAction {
    /// Nothing.
    None,
    /// Its first process is killed.
    Kill,
    /// It is started again.
    Restart,
    /// It is stopped.
    Stop,
}
