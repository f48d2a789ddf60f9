//! `selftest`: attacks on the runtime, on the user's own host.

use crate::{
    exit::{FAILURE, SUCCESS},
    invocation::Invocation,
    tree::Act,
};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_selftest::{ATTACKS, Attack, Caller, Effort, Mapping, Verdict};
use serde_json::json;
use std::{fs, path::Path};

/// Attack the runtime, to see that it holds here
///
/// Plays what broke other runtimes against this one: in containers of its own, below a temporary
/// directory, with cgroups of its own. Nothing of the host's is changed; what stays behind is a
/// failure. Root plays each attack as root and as an ordinary user, who has no rights on the host;
/// everybody else as themselves. Ends with 1 where an attack was not held off.
#[derive(clap::Args, Debug)]
pub(crate) struct Selftest {
    /// Play the attacks
    #[arg(long)]
    attack: bool,

    /// Play those that need luck thousands of times, for hours
    #[arg(long)]
    full: bool,

    /// Print a line an attack, or a JSON document
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json"])]
    format: String,

    /// Play these attacks only, by number or name
    #[arg(value_name = "ATTACK")]
    only: Vec<String>,
}

/// The ordinary user that root acts as: `nobody`, who owns nothing.
const NOBODY: u32 = 65_534;
/// Ids that no distribution gives to users, for the ranges of `nobody`.
const RANGE: (u32, u32) = (2_000_000_000, 65_536);

impl Act for Selftest {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        if !self.attack {
            return Err(Error::new(Kind::Invalid, "choose a test")
                .hint("--attack is the only one that there is"));
        }
        let chosen = self.chosen()?;
        let program = fs::read_link("/proc/self/exe").doing(|| "find our own binary")?;
        let effort = if self.full { Effort::Full } else { Effort::Quick };
        let (mut failures, mut skipped, mut documents) = (0_u32, 0_u32, Vec::new());
        for attack in &chosen {
            for caller in callers()? {
                let verdict = dhow_selftest::play(attack, &program, caller, effort);
                failures += u32::from(matches!(verdict, Verdict::Failed(_)));
                skipped += u32::from(matches!(verdict, Verdict::Skipped(_)));
                if self.format == "json" {
                    documents.push(document(attack, caller, &verdict));
                } else {
                    invocation.console.line(&line(attack, caller, &verdict))?;
                }
            }
        }
        if self.format == "json" {
            let text = serde_json::Value::Array(documents);
            invocation.console.line(&format!("{text:#}"))?;
        } else {
            let played = format!("{} attacks, {failures} failed, {skipped} skipped", chosen.len());
            invocation.console.line(&played)?;
        }
        Ok(if failures == 0 { SUCCESS } else { FAILURE })
    }
}

impl Selftest {
    fn chosen(&self) -> Result<Vec<&'static Attack>> {
        if self.only.is_empty() {
            return Ok(ATTACKS.iter().collect());
        }
        let find = |word: &String| {
            let is_meant =
                |attack: &&Attack| attack.name == *word || attack.number.to_string() == *word;
            ATTACKS.iter().find(is_meant).ok_or_else(|| {
                let names: Vec<&str> = ATTACKS.iter().map(|attack| attack.name).collect();
                Error::new(Kind::NotFound, format!("there is no attack {word:?}"))
                    .hint(format!("there are {}", names.join(", ")))
            })
        };
        self.only.iter().map(find).collect()
    }
}

/// Everybody whom this process can act as.
fn callers() -> Result<Vec<Caller>> {
    let has_tools = ["newuidmap", "newgidmap"].iter().all(|tool| is_installed(tool));
    if rustix::process::geteuid().is_root() {
        let mut callers = vec![Caller::Root, Caller::User(NOBODY, Mapping::Single)];
        let may_cover = ["unshare", "setpriv", "mount"].iter().all(|tool| is_installed(tool));
        let is_there = |file: &str| Path::new(file).exists();
        if has_tools && may_cover && is_there("/etc/subuid") && is_there("/etc/subgid") {
            callers.push(Caller::User(NOBODY, Mapping::Range(RANGE.0, RANGE.1)));
        }
        return Ok(callers);
    }
    let uid = rustix::process::geteuid().as_raw();
    let mut callers = vec![Caller::Root, Caller::User(uid, Mapping::Single)];
    if has_tools && let Some((first, size)) = range_of(uid) {
        callers.push(Caller::User(uid, Mapping::Range(first, size)));
    }
    Ok(callers)
}

fn is_installed(tool: &str) -> bool {
    ["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin"]
        .iter()
        .any(|directory| Path::new(directory).join(tool).is_file())
}

/// The first range that both files give to a user by number, and to the same ids.
fn range_of(uid: u32) -> Option<(u32, u32)> {
    let of = |file: &str| {
        let text = fs::read_to_string(file).ok()?;
        text.lines().find_map(|line| {
            let mut fields = line.split(':');
            let is_theirs = fields.next()?.parse::<u32>().ok()? == uid;
            let range = (fields.next()?.parse().ok()?, fields.next()?.trim().parse().ok()?);
            is_theirs.then_some(range)
        })
    };
    let range: (u32, u32) = of("/etc/subuid")?;
    (of("/etc/subgid") == Some(range)).then_some(range)
}

fn line(attack: &Attack, caller: Caller, verdict: &Verdict) -> String {
    format!(
        "{:>2} {:<12} {:<16} {}: {}",
        attack.number,
        attack.name,
        caller.word(),
        verdict.word(),
        verdict.words()
    )
}

fn document(attack: &Attack, caller: Caller, verdict: &Verdict) -> serde_json::Value {
    json!({
        "number": attack.number,
        "name": attack.name,
        "about": attack.about,
        "breaches": attack.breaches,
        "caller": caller.word(),
        "verdict": verdict.word().to_lowercase(),
        "words": verdict.words(),
    })
}
