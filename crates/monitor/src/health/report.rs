//! What is known of a container's health: one file, docker's `State.Health` word for word, which is read
//! and written anew at each check. A monitor that sleeps between two checks keeps no output of theirs.

use super::HealthPlan;
use dhow_base::{Error, Kind, Result, file};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A file with the results of checks is some kilobytes.
const FILE_LIMIT_BYTES: u64 = 16 << 20;

/// What is known of a container's health: docker's `State.Health`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct HealthReport {
    /// `starting`, `healthy` or `unhealthy`.
    pub status: String,
    /// Failures since the last success.
    pub failing_streak: u32,
    /// The last results, oldest first.
    pub log: Vec<HealthResult>,
}

/// What a check found.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct HealthResult {
    /// When it began.
    pub start: String,
    /// When it ended.
    pub end: String,
    /// The command's exit code; -1 where there is none.
    pub exit_code: i32,
    /// What the command printed.
    pub output: String,
}

impl HealthReport {
    /// Reads a report; `None` where there is none.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        match file::read_limited(path, FILE_LIMIT_BYTES) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
                Error::new(Kind::Corrupt, format!("parse {}", path.display())).because(error)
            }),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Adds what a check has found to the report of a plan.
    pub(super) fn add(plan: &HealthPlan, status: &str, failing_streak: u32, result: HealthResult) {
        // A file that somebody has spoilt is begun anew.
        let mut report = Self::read(&plan.file).ok().flatten().unwrap_or_default();
        status.clone_into(&mut report.status);
        report.failing_streak = failing_streak;
        report.log.push(result);
        let most = usize::try_from(plan.log_count).unwrap_or(usize::MAX);
        if most > 0 && report.log.len() > most {
            report.log.drain(..report.log.len() - most);
        }
        report.write(&plan.file);
    }

    pub(super) fn write(&self, path: &Path) {
        let bytes = serde_json::to_vec(self).expect("texts and numbers always serialise");
        // What cannot be written is missed in `inspect`; the container goes on.
        let _written = file::write_atomically(path, &bytes, 0o600, file::Durability::Cached);
    }
}

impl HealthPlan {
    /// As much of a check's output as is kept.
    pub(super) fn shortened(&self, mut output: Vec<u8>) -> String {
        let most = usize::try_from(self.log_bytes).unwrap_or(usize::MAX);
        if most > 0 {
            output.truncate(most);
        }
        String::from_utf8_lossy(&output).into_owned()
    }
}
