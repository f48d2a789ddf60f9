//! Health checks: what the image says, what the user says of it, and what is kept of both.
//!
//! The monitor does the checking; see its `health`. Here the words are put together: the user's
//! flags change the image's check field by field, a test of the user's replaces it, as in docker. In
//! the same way `update` changes the check of a container that is there.

use crate::{
    Engine,
    events::{Subject, tell},
    record::Record,
};
use dhow_base::{Doing, Error, Kind, Result, id::ContainerId};
use dhow_monitor::{
    Check, Checked, Client, HealthPlan, HealthReport, StartupCheck, UnhealthyAction,
};
use dhow_spec::image::{ExecutionConfig, Healthcheck};
use dhow_state::containers::{self, Container, Phase};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Docker's defaults.
const INTERVAL_MS: u64 = 30_000;
const TIMEOUT_MS: u64 = 30_000;
const START_INTERVAL_MS: u64 = 5_000;
const RETRIES: u32 = 3;

/// How many results are kept, and how much of each one's output.
const LOG_COUNT: u32 = 5;
const LOG_BYTES: u32 = 4096;

const NANOS_A_MS: i64 = 1_000_000;

/// What `--health-…` says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HealthOptions {
    /// `--no-healthcheck`.
    pub none: bool,
    /// `--health-cmd`, in the form that images have it: `CMD`, `CMD-SHELL` or `NONE` first.
    pub test: Option<Vec<String>>,
    /// `--health-interval`, milliseconds; 0 is docker's default, [`NEVER`] checks on demand only.
    pub interval_ms: Option<u64>,
    /// `--health-timeout`, milliseconds.
    pub timeout_ms: Option<u64>,
    /// `--health-retries`.
    pub retries: Option<u32>,
    /// `--health-start-period`, milliseconds.
    pub start_period_ms: Option<u64>,
    /// `--health-start-interval`, milliseconds.
    pub start_interval_ms: Option<u64>,
    /// `--health-on-failure`.
    pub on_failure: Option<HealthAction>,
    /// `--health-startup-cmd` and its fellows.
    pub startup: Option<StartupOptions>,
    /// `--health-max-log-count`; 0 is without an end.
    pub log_count: Option<u32>,
    /// `--health-max-log-size`, letters of one output; 0 is without an end.
    pub log_bytes: Option<u32>,
    /// `--health-log-destination`, a directory; an empty one is the container's own.
    pub log_directory: Option<String>,
}

/// Checks are made on demand only.
pub const NEVER: u64 = u64::MAX;

/// A check that must succeed before the usual one begins.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct StartupOptions {
    /// `--health-startup-cmd`; empty where an update leaves it as it is.
    pub test: Vec<String>,
    /// `--health-startup-interval`, milliseconds.
    pub interval_ms: Option<u64>,
    /// `--health-startup-timeout`, milliseconds.
    pub timeout_ms: Option<u64>,
    /// `--health-startup-retries`; 0 is without an end.
    pub retries: Option<u32>,
    /// `--health-startup-success`; 0 is one.
    pub successes: Option<u32>,
}

/// What is done with a container that becomes unhealthy.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthAction {
    /// Nothing.
    #[default]
    None,
    /// It is killed; its restart policy says how it goes on.
    Kill,
    /// It is started again.
    Restart,
    /// It is stopped.
    Stop,
}

/// A check as the row keeps it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct HealthRecord {
    /// `CMD` and words, or `CMD-SHELL` and a line.
    pub(crate) test: Vec<String>,
    pub(crate) interval_ms: u64,
    pub(crate) timeout_ms: u64,
    pub(crate) retries: u32,
    pub(crate) start_period_ms: u64,
    pub(crate) start_interval_ms: u64,
    #[serde(default)]
    pub(crate) on_failure: HealthAction,
    #[serde(default)]
    pub(crate) startup: Option<StartupRecord>,
    pub(crate) log_count: u32,
    pub(crate) log_bytes: u32,
    #[serde(default)]
    pub(crate) log_directory: Option<String>,
}

/// A check before the first one, as the row keeps it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct StartupRecord {
    pub(crate) test: Vec<String>,
    pub(crate) interval_ms: u64,
    pub(crate) timeout_ms: u64,
    pub(crate) retries: u32,
    pub(crate) successes: u32,
}

/// The check of a container; `None` where none is made.
pub(crate) fn record(
    options: &HealthOptions,
    image: &ExecutionConfig,
) -> Result<Option<HealthRecord>> {
    if options.none {
        return Ok(None);
    }
    let of_image = image.healthcheck.as_ref();
    let test = match &options.test {
        Some(test) => Some(test),
        None => of_image.map(|check| &check.test),
    };
    let Some(test) = test.filter(|test| test.first().is_some_and(|word| !is_none(word))) else {
        return match &options.startup {
            None if options.on_failure.is_some_and(|action| action != HealthAction::None) => Err(
                Error::new(Kind::Invalid, "an action on failure needs a health check that fails")
                    .hint("give one with --health-cmd"),
            ),
            Some(_) => {
                Err(Error::new(Kind::Invalid, "a startup check needs a health check to go on with")
                    .hint("give one with --health-cmd"))
            }
            None => Ok(None),
        };
    };
    let said = |field: fn(&Healthcheck) -> Option<i64>, usual: u64| {
        let ms = of_image.and_then(field).and_then(|nanos| u64::try_from(nanos / NANOS_A_MS).ok());
        ms.filter(|ms| *ms > 0).unwrap_or(usual)
    };
    let retries = of_image.and_then(|check| check.retries);
    let retries = retries.and_then(|retries| u32::try_from(retries).ok());
    let mut health = HealthRecord {
        test: checked(test)?,
        interval_ms: said(|check| check.interval, INTERVAL_MS),
        timeout_ms: said(|check| check.timeout, TIMEOUT_MS),
        retries: retries.filter(|retries| *retries > 0).unwrap_or(RETRIES),
        start_period_ms: said(|check| check.start_period, 0),
        start_interval_ms: said(|check| check.start_interval, START_INTERVAL_MS),
        on_failure: HealthAction::None,
        startup: None,
        log_count: LOG_COUNT,
        log_bytes: LOG_BYTES,
        log_directory: None,
    };
    health.take(options)?;
    Ok(Some(health))
}

/// The check of a container after an update; `None` where none is made any more.
pub(crate) fn updated(
    options: &HealthOptions,
    before: Option<&HealthRecord>,
) -> Result<Option<HealthRecord>> {
    let is_none = options.test.as_ref().is_some_and(|test| test.first().is_some_and(is_none));
    if options.none || is_none {
        return Ok(None);
    }
    let Some(before) = before else {
        return match record(options, &ExecutionConfig::default())? {
            None => Err(Error::new(Kind::Conflict, "it has no health check to change")
                .hint("give one with --health-cmd")),
            some => Ok(some),
        };
    };
    let mut after = before.clone();
    after.take(options)?;
    Ok(Some(after))
}

fn is_none(word: &String) -> bool {
    word == "NONE"
}

impl HealthRecord {
    /// What the user says goes before what is there; a time of nothing is docker's default.
    fn take(&mut self, options: &HealthOptions) -> Result<()> {
        if let Some(test) = &options.test {
            self.test = checked(test)?;
        }
        take_ms(&mut self.interval_ms, options.interval_ms, INTERVAL_MS);
        take_ms(&mut self.timeout_ms, options.timeout_ms, TIMEOUT_MS);
        take_ms(&mut self.start_period_ms, options.start_period_ms, 0);
        take_ms(&mut self.start_interval_ms, options.start_interval_ms, START_INTERVAL_MS);
        if let Some(retries) = options.retries {
            self.retries = if retries > 0 { retries } else { RETRIES };
        }
        self.on_failure = options.on_failure.unwrap_or(self.on_failure);
        self.log_count = options.log_count.unwrap_or(self.log_count);
        self.log_bytes = options.log_bytes.unwrap_or(self.log_bytes);
        if let Some(directory) = &options.log_directory {
            self.log_directory = Some(directory.clone()).filter(|place| !place.is_empty());
        }
        if let Some(startup) = &options.startup {
            self.startup = startup_record(startup, self.startup.take())?;
        }
        Ok(())
    }
}

fn take_ms(field: &mut u64, said: Option<u64>, usual: u64) {
    if let Some(ms) = said {
        *field = if ms > 0 { ms } else { usual };
    }
}

/// The startup check after what the user says, where one is to be made.
fn startup_record(
    options: &StartupOptions,
    before: Option<StartupRecord>,
) -> Result<Option<StartupRecord>> {
    if options.test.first().is_some_and(is_none) {
        return Ok(None);
    }
    let mut startup = match (before, options.test.is_empty()) {
        (None, true) => {
            return Err(Error::new(Kind::Conflict, "it has no startup check to change")
                .hint("give one with --health-startup-cmd"));
        }
        (Some(before), true) => before,
        (Some(before), false) => StartupRecord { test: checked(&options.test)?, ..before },
        (None, false) => StartupRecord {
            test: checked(&options.test)?,
            interval_ms: INTERVAL_MS,
            timeout_ms: TIMEOUT_MS,
            retries: 0,
            successes: 1,
        },
    };
    take_ms(&mut startup.interval_ms, options.interval_ms, INTERVAL_MS);
    take_ms(&mut startup.timeout_ms, options.timeout_ms, TIMEOUT_MS);
    startup.retries = options.retries.unwrap_or(startup.retries);
    startup.successes = options.successes.unwrap_or(startup.successes).max(1);
    Ok(Some(startup))
}

/// A test as images write it; bare words are taken for a program, as old images have it.
fn checked(test: &[String]) -> Result<Vec<String>> {
    match test.first().map(String::as_str) {
        Some("CMD") if test.len() > 1 => Ok(test.to_vec()),
        Some("CMD-SHELL") if test.len() == 2 => Ok(test.to_vec()),
        Some("CMD" | "CMD-SHELL") | None => {
            Err(Error::new(Kind::Invalid, "the health check names no command"))
        }
        Some(_) => Ok(std::iter::once("CMD".to_owned()).chain(test.iter().cloned()).collect()),
    }
}

/// The words that a test runs.
pub(crate) fn words(test: &[String]) -> Vec<String> {
    match test.split_first() {
        Some((kind, rest)) if kind == "CMD-SHELL" => {
            ["/bin/sh", "-c"].into_iter().map(str::to_owned).chain(rest.iter().cloned()).collect()
        }
        Some((_, rest)) => rest.to_vec(),
        None => Vec::new(),
    }
}

impl Engine {
    /// What the monitor is told of the checks.
    pub(crate) fn health_plan(&self, row: &Container, record: &Record) -> Option<Box<HealthPlan>> {
        let health = record.life.health.as_ref()?;
        Some(Box::new(HealthPlan {
            check: Check {
                words: words(&health.test),
                interval_ms: health.interval_ms,
                timeout_ms: health.timeout_ms,
                retries: health.retries,
            },
            startup: health.startup.as_ref().map(|startup| StartupCheck {
                check: Check {
                    words: words(&startup.test),
                    interval_ms: startup.interval_ms,
                    timeout_ms: startup.timeout_ms,
                    retries: startup.retries,
                },
                successes: startup.successes,
            }),
            start_period_ms: health.start_period_ms,
            start_interval_ms: health.start_interval_ms,
            action: match health.on_failure {
                HealthAction::None => UnhealthyAction::None,
                HealthAction::Kill => UnhealthyAction::Kill,
                HealthAction::Restart => UnhealthyAction::Restart,
                HealthAction::Stop => UnhealthyAction::Stop,
            },
            file: self.health_file(row, record),
            log_count: health.log_count,
            log_bytes: health.log_bytes,
            engine: self.own_command(),
        }))
    }

    /// Where the results of a container's checks lie.
    fn health_file(&self, row: &Container, record: &Record) -> PathBuf {
        let health = record.life.health.as_ref();
        match health.and_then(|health| health.log_directory.as_deref()) {
            Some(directory) => Path::new(directory).join(format!("{}-healthcheck.log", row.id)),
            None => self.layout.container(&row.id).join("health.json"),
        }
    }

    /// What is known of a container's health; nothing where it is not checked.
    pub(crate) fn health_report(
        &self,
        row: &Container,
        record: &Record,
    ) -> Result<Option<HealthReport>> {
        match record.life.health {
            Some(_) => HealthReport::read(&self.health_file(row, record)),
            None => Ok(None),
        }
    }

    /// Has a container's health checked now.
    pub fn check_health(&mut self, container: &str) -> Result<Checked> {
        let row = self.look_up(container)?;
        let doing = || format!("check the health of container {}", row.name);
        let client = match row.phase {
            Phase::Running => Client::connect(&self.layout.run(&row.id)).doing(doing)?,
            _ => None,
        };
        let client = client.ok_or_else(|| Error::new(Kind::Conflict, "it is not running"));
        client.and_then(Client::check_health).doing(doing)
    }

    /// Takes what the monitor has found over into the row; for the monitor's own command.
    pub fn note_health(&mut self, id: &ContainerId) -> Result<()> {
        let Some(row) = containers::find(self.state.read(), id)? else { return Ok(()) };
        let record = Record::parse(&row.settings)?;
        let Some(report) = self.health_report(&row, &record)? else { return Ok(()) };
        if row.course.health.as_deref() == Some(report.status.as_str()) {
            return Ok(());
        }
        self.state.write(|write| {
            containers::mark_health(write, id, Some(&report.status))?;
            let action = format!("health_status: {}", report.status);
            tell(write, &Subject::of(&row, &record), &action, &[])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(test: &[&str]) -> ExecutionConfig {
        let check = Healthcheck {
            test: test.iter().map(ToString::to_string).collect(),
            interval: Some(2_000_000_000),
            timeout: None,
            start_period: None,
            start_interval: None,
            retries: Some(7),
        };
        ExecutionConfig { healthcheck: Some(check), ..ExecutionConfig::default() }
    }

    fn shell(line: &str) -> Option<Vec<String>> {
        Some(vec!["CMD-SHELL".to_owned(), line.to_owned()])
    }

    #[test]
    fn the_users_fields_go_before_the_images() {
        let options = HealthOptions { timeout_ms: Some(5), ..HealthOptions::default() };

        let check = record(&options, &image(&["CMD", "/check"])).unwrap().unwrap();

        assert_eq!(check.test, ["CMD", "/check"]);
        assert_eq!((check.interval_ms, check.timeout_ms, check.retries), (2000, 5, 7));
    }

    #[test]
    fn a_test_of_the_users_replaces_the_images_and_none_is_none() {
        let with = |test| HealthOptions { test, ..HealthOptions::default() };
        let found = record(&with(shell("true")), &image(&["CMD", "/check"])).unwrap().unwrap();
        assert_eq!(words(&found.test), ["/bin/sh", "-c", "true"]);

        assert_eq!(record(&HealthOptions::default(), &image(&["NONE"])).unwrap(), None);
        assert_eq!(record(&with(None), &ExecutionConfig::default()).unwrap(), None);
        let none = HealthOptions { none: true, ..with(None) };
        assert_eq!(record(&none, &image(&["CMD", "/check"])).unwrap(), None);
        let named = with(Some(vec!["NONE".to_owned()]));
        assert_eq!(record(&named, &image(&["CMD", "/check"])).unwrap(), None);
    }

    #[test]
    fn an_update_changes_what_it_names() {
        let before = record(&HealthOptions::default(), &image(&["CMD", "/check"])).unwrap();
        let change = |options: &HealthOptions| updated(options, before.as_ref()).unwrap();
        let startup =
            |options| HealthOptions { startup: Some(options), ..HealthOptions::default() };

        let slower = HealthOptions {
            interval_ms: Some(9_000),
            on_failure: Some(HealthAction::Stop),
            log_directory: Some("/logs".into()),
            ..HealthOptions::default()
        };
        let after = change(&slower).unwrap();
        assert_eq!((after.interval_ms, after.retries), (9_000, 7));
        assert_eq!((after.on_failure, after.test.len()), (HealthAction::Stop, 2));
        let own = HealthOptions { log_directory: Some(String::new()), ..HealthOptions::default() };
        assert_eq!(updated(&own, Some(&after)).unwrap().unwrap().log_directory, None);
        assert_eq!(change(&HealthOptions { none: true, ..HealthOptions::default() }), None);
        let none = HealthOptions { test: Some(vec!["NONE".into()]), ..HealthOptions::default() };
        assert_eq!(change(&none), None);

        let first = StartupOptions { test: shell("true").unwrap(), ..StartupOptions::default() };
        let with = change(&startup(first)).unwrap();
        let often = StartupOptions { successes: Some(3), ..StartupOptions::default() };
        assert!(updated(&startup(often.clone()), before.as_ref()).is_err(), "nothing to change");
        let with = updated(&startup(often), Some(&with)).unwrap().unwrap().startup.unwrap();
        assert_eq!((with.successes, with.test[1].as_str()), (3, "true"));

        assert!(updated(&slower, None).is_err(), "there is no check");
        let anew = HealthOptions { test: shell("true"), ..slower };
        assert_eq!(updated(&anew, None).unwrap().unwrap().interval_ms, 9_000);
    }

    #[test]
    fn a_check_without_a_command_is_refused() {
        for test in [&["CMD"][..], &["CMD-SHELL"], &["CMD-SHELL", "a", "b"]] {
            assert!(record(&HealthOptions::default(), &image(test)).is_err(), "{test:?}");
        }
        let options =
            HealthOptions { startup: Some(StartupOptions::default()), ..HealthOptions::default() };
        assert!(record(&options, &ExecutionConfig::default()).is_err());
    }
}
