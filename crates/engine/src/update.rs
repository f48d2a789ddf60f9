//! Changing the limits of a container that is there.
//!
//! The configuration and the row come first, so that the next start has them whatever happens; then,
//! where the container runs, its control group. Where that refuses, all is as it was before.

use crate::{
    Engine, exec, merge,
    options::{Limits, RestartPolicy},
    record::Record,
};
use dhow_base::{Doing, Error, Kind, Result, file};
use dhow_cgroup::{Cgroup, Hierarchies};
use dhow_spec::runtime::{Resources, Spec};
use dhow_state::{
    containers::{self, Container, Phase},
    events,
};

/// What changes of a container.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// Limits; what none names stays.
    pub limits: Limits,
    /// Whether it is started again by itself, from its next end on.
    pub restart: Option<RestartPolicy>,
}

impl Engine {
    /// Changes what is named; the rest stays.
    pub fn update(&mut self, container: &str, update: &Update) -> Result<()> {
        let row = self.look_up(container)?;
        self.update_row(&row, update).doing(|| format!("update container {}", row.name))
    }

    fn update_row(&mut self, row: &Container, update: &Update) -> Result<()> {
        let limits = &update.limits;
        let mut record = Record::parse(&row.settings)?;
        if let Some(policy) = update.restart {
            if row.auto_remove && policy != RestartPolicy::No {
                return Err(Error::new(Kind::Conflict, "it is removed when it ends (--rm)"));
            }
            record.life.restart = policy;
        }
        let path = self.layout.config(&row.id);
        let before = file::read_limited(&path, exec::CONFIG_LIMIT_BYTES)?;
        let mut spec = Spec::parse(&before)?;
        let linux = spec.linux.get_or_insert_default();
        let resources = linux.resources.take().unwrap_or_default();
        let change = change(limits, &resources)?;
        if record.no_cgroup && change != Resources::default() {
            return Err(Error::new(Kind::Conflict, "the container has no cgroup to limit"));
        }
        let after = resources.overlaid(&change);
        linux.resources = Some(after.clone());
        let cgroups_path = linux.cgroups_path.clone();
        if let Some(process) = &mut spec.process {
            for limit in merge::rlimits(limits) {
                process.rlimits.retain(|other| other.kind != limit.kind);
                process.rlimits.push(limit);
            }
        }
        note(&mut record, limits);
        let bytes = serde_json::to_vec(&spec)
            .map_err(|error| Error::new(Kind::Internal, "write config.json").because(error))?;
        file::replace(&path, &bytes, 0o600)?;
        let is_running = row.phase == Phase::Running && change != Resources::default();
        if is_running && let Err(error) = limit(row, cgroups_path.as_deref(), &change, &after) {
            // The error to report is why the group refused.
            let _restored = file::replace(&path, &before, 0o600);
            return Err(error);
        }
        let settings = record.to_text()?;
        self.state.write(|write| {
            containers::set_settings(write, &row.id, &settings)?;
            events::record(write, "container", "update", row.id.as_str(), "{}")
        })
    }
}

/// What changes, checked together with what stays.
fn change(limits: &Limits, before: &Resources) -> Result<Resources> {
    let mut whole = limits.clone();
    let memory = before.memory.clone().unwrap_or_default();
    let said = |bytes: Option<i64>| bytes.and_then(|bytes| u64::try_from(bytes).ok());
    if limits.memory_swap_bytes.is_some() {
        whole.memory_bytes = limits.memory_bytes.or(said(memory.limit));
    } else if limits.memory_bytes.is_some() {
        whole.memory_swap_bytes = memory.swap;
    }
    merge::limited(&whole, merge::processors).map_err(|error| match limits.memory_swap_bytes {
        None if limits.memory_bytes.is_some() => {
            error.hint("change --memory-swap at the same time, or to -1")
        }
        _ => error,
    })?;
    merge::limited(&Limits { memory_swap_bytes: None, ..limits.clone() }, merge::processors).map(
        |mut change| {
            if let Some(swap) = limits.memory_swap_bytes {
                change.memory.get_or_insert_default().swap = Some(swap);
            }
            change
        },
    )
}

/// What lists and `inspect` show of limits.
fn note(record: &mut Record, limits: &Limits) {
    if let Some(bytes) = limits.memory_bytes {
        record.memory_bytes = bytes;
    }
    if let Some(nano) = limits.nano_cpus {
        record.nano_cpus = nano;
    }
    if let Some(pids) = limits.pids {
        record.pids = pids;
    }
    record.asked.block_io.take(&limits.block_io);
}

fn limit(
    row: &Container,
    cgroups_path: Option<&str>,
    change: &Resources,
    after: &Resources,
) -> Result<()> {
    let location = dhow_cgroup::Driver::Files.locate(
        cgroups_path,
        dhow_cgroup::USUAL_PARENT,
        row.id.as_str(),
    )?;
    let cgroup = Cgroup::open(&Hierarchies::detect()?, &location)?;
    cgroup.update(&change.with_quota_of(after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_spec::runtime::Memory;

    #[test]
    fn what_changes_must_go_with_what_stays() {
        let memory = Memory { limit: Some(64 << 20), swap: Some(128 << 20), ..Memory::default() };
        let before = Resources { memory: Some(memory), ..Resources::default() };
        let with = |memory_bytes: Option<u64>, memory_swap_bytes: Option<i64>| {
            let limits = Limits { memory_bytes, memory_swap_bytes, ..Limits::default() };
            change(&limits, &before).map(|change| change.memory.unwrap_or_default())
        };

        assert_eq!(with(Some(100 << 20), None).unwrap().swap, None);
        assert_eq!(with(None, Some(256 << 20)).unwrap().limit, None);
        assert_eq!(with(None, Some(256 << 20)).unwrap().swap, Some(256 << 20));
        assert!(with(Some(200 << 20), None).is_err(), "more than memory and swap together");
        assert!(with(None, Some(32 << 20)).is_err(), "less than the memory that there is");
        assert_eq!(with(Some(200 << 20), Some(-1)).unwrap().limit, Some(200 << 20));
    }
}
