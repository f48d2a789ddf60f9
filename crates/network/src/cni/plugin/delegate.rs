//! The plugin that hands out addresses, called by one that makes a device.

use super::asked::Asked;
use crate::cni::{Command, Outcome, Refusal, program::SEARCH_PATH};
use dhow_base::{Doing, Error, Kind};
use serde_json::Value;

/// The addresses for a device; nothing where the author wants none.
pub(super) fn add(asked: &Asked) -> Result<Outcome, Refusal> {
    let Some(program) = program(asked) else { return Ok(Outcome::default()) };
    let answer = call(asked, program)?;
    let said = || format!("believe the plugin {program:?}");
    let document: Value = serde_json::from_slice(&answer)
        .map_err(|error| Error::new(Kind::Invalid, "read its result as JSON").because(error))
        .doing(said)?;
    let outcome = Outcome::parse(&document, asked.version()).doing(said)?;
    if outcome.ips.is_empty() {
        let text = "IPAM plugin returned missing IP config";
        return Err(Refusal::new(Refusal::OTHER, text));
    }
    Ok(outcome)
}

/// Gives the addresses back.
pub(super) fn del(asked: &Asked) -> Result<(), Refusal> {
    hand_on(asked)
}

/// Sees whether they are still taken.
pub(super) fn check(asked: &Asked) -> Result<(), Refusal> {
    hand_on(asked)
}

/// Gives back those of nobody.
pub(super) fn gc(asked: &Asked) -> Result<(), Refusal> {
    hand_on(asked)
}

/// Whether there is hope for another.
pub(super) fn status(asked: &Asked) -> Result<(), Refusal> {
    hand_on(asked)
}

fn hand_on(asked: &Asked) -> Result<(), Refusal> {
    match program(asked) {
        Some(program) => call(asked, program).map(drop),
        None => Ok(()),
    }
}

pub(super) fn program(asked: &Asked) -> Option<&str> {
    let name = asked.document.get("ipam")?.get("type")?.as_str()?;
    (!name.is_empty()).then_some(name)
}

/// The whole document goes to it, with the command that we were given; but for what we are asked to
/// take back, which is a DEL of its own.
fn call(asked: &Asked, program: &str) -> Result<Vec<u8>, Refusal> {
    call_with(asked, program, asked.command)
}

/// Takes back what [`add`] got, where something failed later.
pub(super) fn undo(asked: &Asked) {
    if let Some(program) = program(asked) {
        let _first_failure_counts = call_with(asked, program, Command::Del);
    }
}

fn call_with(asked: &Asked, program: &str, command: Command) -> Result<Vec<u8>, Refusal> {
    if program.contains('/') {
        let text = format!("invalid IPAM plugin name {program:?}");
        return Err(Refusal::new(Refusal::BAD_CONFIGURATION, text));
    }
    let arguments: Vec<String> =
        asked.arguments.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let environment = [
        SEARCH_PATH.to_owned(),
        format!("CNI_COMMAND={}", command.name()),
        format!("CNI_CONTAINERID={}", asked.container),
        format!("CNI_NETNS={}", asked.namespace),
        format!("CNI_IFNAME={}", asked.interface),
        format!("CNI_ARGS={}", arguments.join(";")),
        format!("CNI_PATH={}", asked.programs.path()),
    ];
    let path = asked.programs.find(program)?;
    let called = asked.programs.execute(&path, &environment, &asked.document, None);
    let doing = || format!("call the plugin {program:?} with {}", command.name());
    Ok(called.doing(doing)?)
}
