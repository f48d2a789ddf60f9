//! Changing the limits, the health check and the environment of a container that is there.
//!
//! The configuration and the row come first, so that the next start has them whatever happens; then,
//! where the container runs, its control group, and its monitor that makes the checks. Where one of them
//! refuses, configuration and row are as they were before; limits that the kernel had taken by then stay,
//! which only a monitor of an older build can bring about, by refusing other checks.

use crate::{
    Engine,
    events::{Subject, tell},
    exec,
    health::{self, HealthOptions},
    merge,
    options::{Limits, RestartPolicy},
    record::Record,
};
use dhow_base::{Doing, Error, Kind, Result, file};
use dhow_cgroup::{Cgroup, Hierarchies};
use dhow_monitor::Client;
use dhow_spec::runtime::{Resources, Spec};
use dhow_state::containers::{self, Container, Phase};

/// What changes of a container.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// Limits; what none names stays.
    pub limits: Limits,
    /// Whether it is started again by itself, from its next end on.
    pub restart: Option<RestartPolicy>,
    /// Its health check.
    pub health: HealthOptions,
    /// Variables of its environment that are set, `NAME=value`: for its next start and for sessions.
    pub env: Vec<String>,
    /// Variables that are not set any more.
    pub unset: Vec<String>,
}

impl Update {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        let Self { limits, restart, health, env, unset } = self;
        *limits == Limits::default()
            && restart.is_none()
            && *health == HealthOptions::default()
            && env.is_empty()
            && unset.is_empty()
    }
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
        if update.health != HealthOptions::default() {
            record.life.health = health::updated(&update.health, record.life.health.as_ref())?;
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
        change_process(&mut spec, update);
        note(&mut record, limits);
        let bytes = serde_json::to_vec(&spec)
            .map_err(|error| Error::new(Kind::Internal, "write config.json").because(error))?;
        file::replace(&path, &bytes, 0o600)?;
        let is_running = row.phase == Phase::Running && change != Resources::default();
        let changed = match is_running {
            true => limit(row, cgroups_path.as_deref(), &change, &after),
            false => Ok(()),
        };
        if let Err(error) = changed.and_then(|()| self.write_update(row, &record)) {
            // The error to report is why it was refused.
            let _restored = file::replace(&path, &before, 0o600);
            return Err(error);
        }
        Ok(())
    }

    /// Writes the row, and tells the monitor where that makes other checks from now on.
    fn write_update(&mut self, row: &Container, record: &Record) -> Result<()> {
        let before = Record::parse(&row.settings)?;
        let checks_otherwise = before.life.health != record.life.health;
        let settings = record.to_text()?;
        let status = match &record.life.health {
            Some(_) if row.phase == Phase::Running => {
                row.course.health.as_deref().or(Some("starting"))
            }
            Some(_) => row.course.health.as_deref(),
            None => None,
        };
        self.state.write(|write| {
            containers::set_settings(write, &row.id, &settings)?;
            if checks_otherwise {
                containers::mark_health(write, &row.id, status)?;
            }
            tell(write, &Subject::of(row, record), "update", &[])
        })?;
        if !checks_otherwise || row.phase != Phase::Running {
            return Ok(());
        }
        if let Err(error) = self.check_otherwise(row, record) {
            self.state.write(|write| {
                containers::set_settings(write, &row.id, &row.settings)?;
                containers::mark_health(write, &row.id, row.course.health.as_deref())
            })?;
            return Err(error);
        }
        self.note_health(&row.id)
    }

    fn check_otherwise(&self, row: &Container, record: &Record) -> Result<()> {
        // One that has just ended has the new checks in its next life.
        let Some(client) = Client::connect(&self.layout.run(&row.id))? else { return Ok(()) };
        client.change_health(self.health_plan(row, record)).map_err(|error| match error.kind() {
            Kind::Unavailable => {
                error.hint("an older dhow may have started it: stop it, then change its checks")
            }
            _ => error,
        })
    }
}

/// What its next start has, and sessions.
fn change_process(spec: &mut Spec, update: &Update) {
    let Some(process) = &mut spec.process else { return };
    for limit in merge::rlimits(&update.limits) {
        process.rlimits.retain(|other| other.kind != limit.kind);
        process.rlimits.push(limit);
    }
    let is_unset = |entry: &String| {
        let name = entry.split_once('=').map_or(entry.as_str(), |(name, _)| name);
        update.unset.iter().any(|unset| unset == name)
    };
    process.env.retain(|entry| !is_unset(entry));
    for entry in &update.env {
        merge::set_variable(&mut process.env, entry);
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
