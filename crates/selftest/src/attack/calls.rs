//! System calls that the default filter refuses, by every way into the kernel.

use super::{capabilities::field, passed};
use crate::{Stage, Verdict, probe, stage::read, trial::Trial, verdict::ensure};
use dhow_base::Result;
use dhow_spec::runtime::{Hook, Hooks};
use dhow_sys::attempt::{Door, FORBIDDEN, HARMLESS};

const REFUSED: &str = "errno 1";
const MISSING: &str = "errno 38";

pub(super) fn forbidden(stage: &Stage) -> Result<Verdict> {
    let open = answers(stage, false)?;
    let shut = answers(stage, true)?;
    let has_i386 = shut.iter().any(|(name, answer)| name == "i386 getpid" && answer == "done");
    let (mut refused, mut differ) = (0, 0);
    for attempt in FORBIDDEN {
        let find = |list: &[(String, String)]| {
            list.iter().find(|(name, _)| name == attempt.name).map(|(_, answer)| answer.clone())
        };
        let Some(answer) = find(&shut) else {
            return Ok(Verdict::Failed(format!("{} was not tried", attempt.name)));
        };
        let is_refused = match attempt.door {
            // A filter that knows the 64-bit calls alone kills those of others.
            Door::X32 => answer == MISSING || answer == REFUSED || answer == "signal 31",
            Door::I386 if !has_i386 => answer.starts_with("signal ") || answer == MISSING,
            _ if attempt.name.ends_with("clone3") => answer == MISSING,
            _ => answer == REFUSED || answer == MISSING,
        };
        ensure!(is_refused, "{} is granted: {answer}", attempt.name);
        refused += 1;
        differ += u32::from(find(&open).as_ref() != Some(&answer));
    }
    for attempt in HARMLESS.iter().filter(|attempt| has_i386 || attempt.door != Door::I386) {
        let is_granted = shut.iter().any(|(name, answer)| name == attempt.name && answer == "done");
        ensure!(is_granted, "{} is refused: {shut:?}", attempt.name);
    }
    // Without the filter the kernel must have answered otherwise, or the test shows nothing.
    ensure!(differ >= 8, "only {differ} answers are the filter's: {open:?}");
    if let Some(failure) = filter_is_first(stage)? {
        return Ok(Verdict::Failed(failure));
    }
    let ways = if has_i386 { "" } else { ", 32-bit calls are not there" };
    Ok(passed(format!("{refused} calls refused, {differ} by the filter alone{ways}")))
}

/// What is answered, call by call, with the default filter or without one.
fn answers(stage: &Stage, is_filtered: bool) -> Result<Vec<(String, String)>> {
    let mut trial = Trial::new(stage)?;
    if !is_filtered {
        trial.linux().seccomp = None;
    }
    let done = trial.run(&["attempts"])?;
    let pairs = done.stdout.lines().filter_map(|line| line.split_once(": "));
    Ok(pairs.map(|(name, answer)| (name.to_owned(), answer.to_owned())).collect())
}

/// No code of the image's runs without the filter: not the program, not one more beside it, not a
/// hook inside.
fn filter_is_first(stage: &Stage) -> Result<Option<String>> {
    for no_new_privileges in [false, true] {
        let mut trial = Trial::new(stage)?;
        trial.process().no_new_privileges = no_new_privileges;
        let words = ["cat-to", "/proc/self/status", "/tmp/hook"];
        let words = std::iter::once(probe::NAME).chain(words);
        trial.spec.hooks = Some(Hooks {
            start_container: vec![Hook {
                path: probe::PLACE.into(),
                args: words.map(str::to_owned).collect(),
                env: Vec::new(),
                timeout: None,
            }],
            ..Hooks::default()
        });
        let running = trial.start(&["cat", "/proc/self/status", ",", "wait"])?;
        let executed = trial.exec(&[], &["cat", "/proc/self/status"])?.stdout;
        let hook = read(&trial.root().join("tmp/hook"))?;
        for (who, status) in
            [("the program", running.printed()), ("exec", executed), ("a hook inside", hook)]
        {
            if field(&status, "Seccomp") != "2" {
                return Ok(Some(format!(
                    "{who} runs without the filter (noNewPrivileges {no_new_privileges})"
                )));
            }
        }
    }
    Ok(None)
}
