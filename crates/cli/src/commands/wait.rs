//! `wait`: wait for what becomes of containers.

use super::{picked::latest, several};
use crate::{
    exit::SUCCESS,
    flags::{moment, refuse},
    invocation::Invocation,
    tree::Act,
};
use dhow_base::{Error, Kind, Result};
use dhow_engine::{Condition, WaitState};
use std::time::Duration;

/// Wait until containers end and print their exit codes
///
/// With `--condition`, wait for something else: not-running, next-exit, removed, or a state
/// (created, running, paused, exited, healthy, unhealthy); -1 is printed where no exit code belongs
/// to it.
#[derive(clap::Args, Debug)]
pub(crate) struct Wait {
    /// The containers, by name or id
    #[arg(value_name = "CONTAINER", required_unless_present = "latest")]
    containers: Vec<String>,

    /// Wait for this; several are alternatives
    #[arg(long, value_name = "CONDITION", value_delimiter = ',')]
    condition: Vec<String>,

    /// Look so often where nothing tells of a change; a number is milliseconds
    #[arg(short, long, value_name = "DURATION")]
    interval: Option<String>,

    /// Let containers that are not there be no error: -1 is printed
    #[arg(long)]
    ignore: bool,

    /// Wait for the first container alone that comes to it, and print its code
    #[arg(long)]
    exit_first_match: bool,

    /// Wait for the newest container
    #[arg(short, long, conflicts_with = "containers")]
    latest: bool,
}

impl Act for Wait {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let conditions =
            self.condition.iter().map(|text| condition(text)).collect::<Result<Vec<_>>>()?;
        let interval = self.interval.as_deref().map(interval).transpose()?.unwrap_or_default();
        let mut engine = invocation.engine()?;
        let containers = if self.latest { vec![latest(&mut engine)?] } else { self.containers };
        if self.exit_first_match {
            let mut there = Vec::new();
            for name in &containers {
                match engine.made(name) {
                    Err(error) if self.ignore && error.kind() == Kind::NotFound => {}
                    found => there.push(found?.id.to_string()),
                }
            }
            let code = match there.is_empty() {
                true => -1,
                false => engine.wait_for_first(&there, &conditions, interval)?,
            };
            invocation.console.line(&code.to_string())?;
            return Ok(SUCCESS);
        }
        several::each(invocation, &containers, |container| {
            match engine.wait_for(container, &conditions, interval) {
                Ok(code) => Ok(Some(code.to_string())),
                Err(error) if self.ignore && error.kind() == Kind::NotFound => {
                    Ok(Some("-1".to_owned()))
                }
                Err(error) => Err(error),
            }
        })
    }
}

fn condition(text: &str) -> Result<Condition> {
    Ok(match text {
        "not-running" | "stopped" => Condition::NotRunning,
        "next-exit" => Condition::NextExit,
        "removed" | "removing" => Condition::Removed,
        "created" | "configured" | "initialized" => Condition::State(WaitState::Created),
        "running" => Condition::State(WaitState::Running),
        "paused" => Condition::State(WaitState::Paused),
        "exited" => Condition::State(WaitState::Exited),
        "healthy" => Condition::State(WaitState::Healthy),
        "unhealthy" => Condition::State(WaitState::Unhealthy),
        _ => {
            return Err(refuse("--condition", text, "there is no such condition").hint(
                "there are not-running, next-exit, removed, created, running, paused, exited, \
                 healthy and unhealthy",
            ));
        }
    })
}

fn interval(text: &str) -> Result<Duration> {
    let milliseconds = match text.parse() {
        Ok(milliseconds) => milliseconds,
        Err(_) => moment::milliseconds("--interval", text)?,
    };
    if milliseconds > 3_600_000 {
        return Err(Error::new(Kind::Invalid, format!("--interval {text:?}: more than an hour")));
    }
    Ok(Duration::from_millis(milliseconds))
}
