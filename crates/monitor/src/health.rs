//! Health checks: a command that is run in the container now and then, and what follows from it.
//!
//! ```text
//!            interval          exit 0
//!  starting ─────────▶ check ─────────▶ healthy
//!     ▲                  │ other exit, or too slow: the streak grows
//!     └──────────────────┴──── as often as `retries` ────▶ unhealthy ─▶ the action
//! ```
//!
//! A failure in the start period does not count until there has been a success, as in docker. The
//! check is a process beside the container's own, started by the runtime as an exec session is, and
//! the monitor's loop waits for it as for everything else: no thread and no timer of anybody's.
//!
//! The plan may become another one meanwhile: what the same command has found goes on to count, another
//! command begins anew.
//!
//! What was found lies in one file ([`HealthReport`]). A change of the state is told to the engine, by a
//! command of ours that writes the row.

mod plan;
mod report;

pub use plan::{Check, HealthPlan, StartupCheck, UnhealthyAction};
pub use report::{HealthReport, HealthResult};

use crate::{
    Job, Started,
    log::Stream,
    process::{self, Process},
};
use dhow_base::{Kind, clock::Moment, file};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use std::{
    borrow::Cow,
    ffi::OsString,
    os::fd::{AsFd, BorrowedFd},
    path::Path,
    time::{Duration, Instant},
};

/// Output of a check that is taken at most.
const OUTPUT_LIMIT_BYTES: usize = 64 << 10;

/// The exit code of a check that was too slow, in docker's words.
const TOO_SLOW: i32 = -1;

/// What a check led to, for the loop to do.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Outcome {
    /// Commands of ours to run.
    pub(crate) commands: Vec<Vec<OsString>>,
    /// Whether the container's first process is to be killed.
    pub(crate) kills: bool,
    /// Who had asked for the check, and the answer.
    pub(crate) answers: Vec<(u64, Checked)>,
}

/// The answer to somebody who asked for a check.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Checked {
    /// The command's exit code; -1 where it was too slow or could not be started.
    pub exit_code: i32,
    /// The container's state after it.
    pub status: String,
}

/// The checks of one life.
#[derive(Debug)]
pub(crate) struct Health<'a> {
    job: &'a Job,
    plan: Cow<'a, HealthPlan>,
    init: (i32, u64),
    begun: Instant,
    next: Option<Instant>,
    status: Status,
    streak: u32,
    startup: Option<Startup>,
    running: Option<Running>,
    askers: Vec<u64>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Status {
    Starting,
    Healthy,
    Unhealthy,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// The checks before the usual ones.
#[derive(Debug, Default)]
struct Startup {
    successes: u32,
    failures: u32,
}

/// A check that runs.
#[derive(Debug)]
struct Running {
    process: Process,
    began: Moment,
    deadline: Instant,
    too_slow: bool,
    output: Vec<u8>,
}

impl<'a> Health<'a> {
    pub(crate) fn new(job: &'a Job, plan: Cow<'a, HealthPlan>, started: &Started) -> Self {
        let mut health = Self {
            job,
            startup: plan.startup.as_ref().map(|_| Startup::default()),
            plan,
            init: (started.pid, started.start_time),
            begun: Instant::now(),
            next: None,
            status: Status::Starting,
            streak: 0,
            running: None,
            askers: Vec::new(),
        };
        health.begin_anew();
        health
    }

    /// Nothing is known yet.
    fn begin_anew(&mut self) {
        (self.status, self.streak, self.begun) = (Status::Starting, 0, Instant::now());
        self.startup = self.plan.startup.as_ref().map(|_| Startup::default());
        let status = self.status.word().to_owned();
        HealthReport { status, ..HealthReport::default() }.write(&self.plan.file);
        self.next = self.due();
    }

    /// Checks by another plan from now on. What another command finds says nothing about what this one
    /// would, so it begins anew then, and a check that runs is given up.
    pub(crate) fn change(&mut self, plan: HealthPlan, now: Instant) -> Outcome {
        let before = std::mem::replace(&mut self.plan, Cow::Owned(plan));
        let words = |plan: &HealthPlan| {
            let startup = plan.startup.as_ref().map(|startup| startup.check.words.clone());
            (plan.check.words.clone(), startup)
        };
        if words(&before) != words(&self.plan) {
            self.abandon();
            self.begin_anew();
            if before.file != self.plan.file {
                remove_report(&before.file);
            }
            return if self.askers.is_empty() { Outcome::default() } else { self.begin(now) };
        }
        if before.file != self.plan.file {
            HealthReport::read(&before.file)
                .ok()
                .flatten()
                .unwrap_or_default()
                .write(&self.plan.file);
            remove_report(&before.file);
        }
        self.next = self.due();
        Outcome::default()
    }

    /// Makes no checks any more. Who has asked for one hears that none was made.
    pub(crate) fn give_up(&mut self) -> Outcome {
        self.abandon();
        remove_report(&self.plan.file);
        let answer = Checked { exit_code: TOO_SLOW, status: self.status.word().to_owned() };
        let answers = self.askers.drain(..).map(|asker| (asker, answer.clone())).collect();
        Outcome { answers, ..Outcome::default() }
    }

    /// When something is to be done.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.running {
            Some(running) if running.too_slow => None,
            Some(running) => Some(running.deadline),
            None => self.next,
        }
    }

    /// What is waited for: the check's own end, and what it prints.
    pub(crate) fn interests(&self) -> (Option<BorrowedFd<'_>>, Vec<BorrowedFd<'_>>) {
        let Some(running) = &self.running else { return (None, Vec::new()) };
        let outputs = running.process.outputs.iter().map(|(_, fd)| fd.as_fd()).collect();
        (Some(running.process.pidfd.as_fd()), outputs)
    }

    /// Somebody wants a check now.
    pub(crate) fn ask(&mut self, client: u64, now: Instant) -> Outcome {
        self.askers.push(client);
        if self.running.is_none() { self.begin(now) } else { Outcome::default() }
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, now: Instant) -> Outcome {
        match &mut self.running {
            Some(running) if running.deadline <= now && !running.too_slow => {
                running.too_slow = true;
                running.process.signal(Signal::KILL.as_raw());
            }
            None if self.next.is_some_and(|next| next <= now) => return self.begin(now),
            _ => {}
        }
        Outcome::default()
    }

    fn begin(&mut self, now: Instant) -> Outcome {
        let check = self.check();
        let (words, timeout) = (check.words.clone(), Duration::from_millis(check.timeout_ms));
        let began = Moment::now();
        match process::start_check(self.job, self.init, words) {
            Ok(process) => {
                // A time beyond all times is none.
                let deadline = now.checked_add(timeout).unwrap_or(now + YEAR);
                let running =
                    Running { process, began, deadline, too_slow: false, output: Vec::new() };
                self.running = Some(running);
                Outcome::default()
            }
            // Frozen: the program could not answer, and need not.
            Err(error) if error.kind() == Kind::Conflict && self.askers.is_empty() => {
                self.next = self.due();
                Outcome::default()
            }
            Err(error) => self.conclude(began, TOO_SLOW, error.one_line().into_bytes()),
        }
    }

    /// Takes what the check has printed so far.
    pub(crate) fn read_output(&mut self) {
        let Some(running) = &mut self.running else { return };
        let mut piece = [0_u8; 4096];
        running.process.outputs.retain(|(_, fd): &(Stream, _)| {
            loop {
                match rustix::io::read(fd, &mut piece) {
                    Ok(0) => return false,
                    Ok(count) => {
                        let room =
                            OUTPUT_LIMIT_BYTES - running.output.len().min(OUTPUT_LIMIT_BYTES);
                        running.output.extend_from_slice(&piece[..count.min(room)]);
                    }
                    Err(rustix::io::Errno::INTR) => {}
                    Err(rustix::io::Errno::AGAIN) => return true,
                    Err(_) => return false,
                }
            }
        });
    }

    /// The check has ended.
    pub(crate) fn end(&mut self) -> Outcome {
        self.read_output();
        let Some(running) = self.running.take() else { return Outcome::default() };
        let exit = running.process.reap();
        let timeout = Duration::from_millis(self.check().timeout_ms);
        let (code, output) = match exit {
            _ if running.too_slow => {
                let text = format!("Health check exceeded timeout ({timeout:?})");
                (TOO_SLOW, text.into_bytes())
            }
            Ok(exit) => (exit.code.into(), running.output),
            Err(error) => (TOO_SLOW, error.one_line().into_bytes()),
        };
        self.conclude(running.began, code, output)
    }

    /// Ends a check whose container has ended.
    pub(crate) fn abandon(&mut self) {
        if let Some(running) = self.running.take() {
            running.process.abandon();
        }
    }

    fn check(&self) -> &Check {
        match (&self.startup, &self.plan.startup) {
            (Some(_), Some(startup)) => &startup.check,
            _ => &self.plan.check,
        }
    }

    fn is_in_start_period(&self) -> bool {
        self.status == Status::Starting
            && self.begun.elapsed() < Duration::from_millis(self.plan.start_period_ms)
    }

    fn due(&self) -> Option<Instant> {
        let interval_ms = match &self.startup {
            None if self.is_in_start_period() => {
                self.plan.start_interval_ms.min(self.plan.check.interval_ms)
            }
            _ => self.check().interval_ms,
        };
        Instant::now().checked_add(Duration::from_millis(interval_ms))
    }

    fn conclude(&mut self, began: Moment, exit_code: i32, output: Vec<u8>) -> Outcome {
        let before = self.status;
        let mut outcome = match self.startup {
            Some(_) => self.count_startup(exit_code),
            None => self.count(exit_code),
        };
        let result = HealthResult {
            start: began.rfc3339(),
            end: Moment::now().rfc3339(),
            exit_code,
            output: self.plan.shortened(output),
        };
        HealthReport::add(&self.plan, self.status.word(), self.streak, result);
        if self.status != before {
            outcome.commands.insert(0, self.command(&["cleanup", "--health"]));
        }
        let status = self.status.word().to_owned();
        let answer = Checked { exit_code, status };
        outcome.answers = self.askers.drain(..).map(|asker| (asker, answer.clone())).collect();
        self.next = self.due();
        outcome
    }

    fn count_startup(&mut self, exit_code: i32) -> Outcome {
        let (Some(startup), Some(plan)) = (&mut self.startup, &self.plan.startup) else {
            return Outcome::default();
        };
        if exit_code == 0 {
            startup.successes += 1;
            if startup.successes >= plan.successes {
                self.startup = None;
                self.begun = Instant::now();
            }
            return Outcome::default();
        }
        startup.failures += 1;
        let retries = plan.check.retries;
        if retries == 0 || startup.failures < retries {
            return Outcome::default();
        }
        startup.failures = 0;
        Outcome { commands: vec![self.command(&["restart"])], ..Outcome::default() }
    }

    fn count(&mut self, exit_code: i32) -> Outcome {
        if exit_code == 0 {
            (self.status, self.streak) = (Status::Healthy, 0);
            return Outcome::default();
        }
        if self.is_in_start_period() {
            return Outcome::default();
        }
        self.streak += 1;
        if self.streak < self.plan.check.retries {
            return Outcome::default();
        }
        let was_unhealthy = self.status == Status::Unhealthy;
        self.status = Status::Unhealthy;
        let mut outcome = Outcome::default();
        match self.plan.action {
            UnhealthyAction::Kill => outcome.kills = true,
            // Once: it takes a while, and checks may come in between.
            UnhealthyAction::Restart if !was_unhealthy => {
                outcome.commands.push(self.command(&["restart"]));
            }
            UnhealthyAction::Stop if !was_unhealthy => {
                outcome.commands.push(self.command(&["stop"]));
            }
            UnhealthyAction::None | UnhealthyAction::Restart | UnhealthyAction::Stop => {}
        }
        outcome
    }

    fn command(&self, words: &[&str]) -> Vec<OsString> {
        let id = self.job.container().as_str();
        self.plan
            .engine
            .iter()
            .cloned()
            .chain(words.iter().map(Into::into))
            .chain([id.into()])
            .collect()
    }
}

/// Results that nobody will look for there any more. What cannot be removed is found beside the new ones.
fn remove_report(path: &Path) {
    let _removed = file::remove_if_there(path);
}

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Handed, Run, Stdin, Task};
    use dhow_base::id::ContainerId;
    use std::path::{Path, PathBuf};

    fn plan(directory: &Path, retries: u32, start_period_ms: u64) -> HealthPlan {
        HealthPlan {
            check: Check { words: vec!["x".into()], interval_ms: 10, timeout_ms: 10, retries },
            startup: None,
            start_period_ms,
            start_interval_ms: 5,
            action: UnhealthyAction::Restart,
            file: directory.join("health.json"),
            log_count: 2,
            log_bytes: 4,
            engine: vec!["dhow".into()],
        }
    }

    fn job(directory: &Path) -> Job {
        Job {
            task: Task::Run(Box::new(Run {
                id: ContainerId::random().unwrap(),
                home: crate::Home {
                    exit_record: directory.join("exit.json"),
                    directory: directory.to_owned(),
                },
                removed_at_end: false,
                leavings: Vec::new(),
                config: PathBuf::new(),
                bundle: PathBuf::new(),
                rootfs: None,
                mountpoint: PathBuf::new(),
                revival: None,
                runtime: None,
                network: None,
                variables: Vec::new(),
                driver: dhow_runtime::Driver::Files,
            })),
            terminal: false,
            stdin: Stdin::Null,
            log: None,
            cleanup: None,
            attached: false,
            time_limit_ms: None,
            health: None,
            handed: Handed::default(),
        }
    }

    fn started() -> Started {
        Started {
            pid: 1,
            start_time: 1,
            monitor_pid: 1,
            started_at: 1,
            ports: Vec::new(),
            leases: Vec::new(),
        }
    }

    fn conclude(health: &mut Health<'_>, code: i32) -> Outcome {
        health.conclude(Moment::now(), code, b"output".to_vec())
    }

    #[test]
    fn failures_in_a_row_make_it_unhealthy_and_a_success_makes_it_healthy() {
        let directory = tempfile::tempdir().unwrap();
        let (job, plan) = (job(directory.path()), plan(directory.path(), 2, 0));
        let mut health = Health::new(&job, Cow::Borrowed(&plan), &started());
        let read = || HealthReport::read(&plan.file).unwrap().unwrap();
        assert_eq!(read().status, "starting");

        assert!(conclude(&mut health, 1).commands.is_empty());
        assert_eq!((read().status.as_str(), read().failing_streak), ("starting", 1));
        let outcome = conclude(&mut health, 1);
        let words: Vec<_> = outcome.commands.iter().map(|command| command[1].clone()).collect();
        assert_eq!(words, ["cleanup", "restart"]);
        assert!(conclude(&mut health, 1).commands.is_empty(), "it is restarted once");
        assert_eq!(conclude(&mut health, 0).commands.len(), 1);

        let report = read();
        assert_eq!((report.status.as_str(), report.failing_streak), ("healthy", 0));
        assert_eq!(report.log.len(), 2);
        assert_eq!(report.log[1].output, "outp");
    }

    #[test]
    fn failures_in_the_start_period_do_not_count_until_a_success() {
        let directory = tempfile::tempdir().unwrap();
        let (job, plan) = (job(directory.path()), plan(directory.path(), 1, 3_600_000));
        let mut health = Health::new(&job, Cow::Borrowed(&plan), &started());

        conclude(&mut health, 1);
        assert_eq!((health.status, health.streak), (Status::Starting, 0));
        conclude(&mut health, 0);
        conclude(&mut health, 1);
        assert_eq!(health.status, Status::Unhealthy);
    }

    #[test]
    fn the_usual_checks_begin_after_the_startup_ones_have_succeeded() {
        let directory = tempfile::tempdir().unwrap();
        let mut plan = plan(directory.path(), 1, 0);
        let check = Check { words: vec!["y".into()], interval_ms: 1, timeout_ms: 1, retries: 2 };
        plan.startup = Some(StartupCheck { check, successes: 2 });
        let job = job(directory.path());
        let mut health = Health::new(&job, Cow::Borrowed(&plan), &started());

        assert!(conclude(&mut health, 1).commands.is_empty());
        assert_eq!(conclude(&mut health, 1).commands[0][1], "restart");
        conclude(&mut health, 0);
        assert_eq!((health.check().words[0].as_str(), health.status), ("y", Status::Starting));
        conclude(&mut health, 0);
        assert_eq!(health.check().words[0], "x");
        conclude(&mut health, 0);
        assert_eq!(health.status, Status::Healthy);
    }

    #[test]
    fn another_plan_keeps_what_its_command_has_found_and_another_command_begins_anew() {
        let directory = tempfile::tempdir().unwrap();
        let (job, first) = (job(directory.path()), plan(directory.path(), 3, 0));
        let mut health = Health::new(&job, Cow::Borrowed(&first), &started());
        conclude(&mut health, 1);
        conclude(&mut health, 1);

        let elsewhere = directory.path().join("elsewhere.json");
        let fewer = HealthPlan { file: elsewhere.clone(), ..plan(directory.path(), 4, 0) };
        assert_eq!(health.change(fewer.clone(), Instant::now()), Outcome::default());
        conclude(&mut health, 1);
        assert_eq!((health.status, health.streak), (Status::Starting, 3), "four are too many now");
        assert!(!first.file.exists());
        assert_eq!(HealthReport::read(&elsewhere).unwrap().unwrap().log.len(), 2);

        let mut other = fewer;
        other.check.words = vec!["z".into()];
        health.change(other, Instant::now());
        assert_eq!((health.status, health.streak), (Status::Starting, 0));
        assert!(HealthReport::read(&elsewhere).unwrap().unwrap().log.is_empty());
        conclude(&mut health, 0);
        assert_eq!(health.status, Status::Healthy);
        health.give_up();
        assert!(!elsewhere.exists());
    }

    #[test]
    fn who_asks_is_answered() {
        let directory = tempfile::tempdir().unwrap();
        let (job, plan) = (job(directory.path()), plan(directory.path(), 1, 0));
        let mut health = Health::new(&job, Cow::Borrowed(&plan), &started());

        // There is no configuration, so no check can be started.
        let outcome = health.ask(7, Instant::now());

        assert_eq!(outcome.answers[0].0, 7);
        assert_eq!(outcome.answers[0].1.exit_code, -1);
        assert_eq!(outcome.answers[0].1.status, "unhealthy");
    }
}
