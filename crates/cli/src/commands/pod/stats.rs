//! `pod stats`: what the containers of pods use, again and again.

use super::super::stats::{Looks, Seen};
use crate::{invocation::Invocation, render::list::Column, tree::Act};
use dhow_base::Result;
use dhow_engine::Engine;

const COLUMNS: &[Column] = &[
    ("POD", "Pod"),
    ("CID", "CID"),
    ("NAME", "Name"),
    ("CPU %", "CPUPerc"),
    ("MEM USAGE / LIMIT", "MemUsage"),
    ("MEM %", "MemPerc"),
    ("NET I/O", "NetIO"),
    ("BLOCK I/O", "BlockIO"),
    ("PIDS", "PIDs"),
];

/// Show what the containers of pods use
///
/// Again and again, until it is interrupted, unless `--no-stream` is given.
#[derive(clap::Args, Debug)]
pub(crate) struct Stats {
    /// The pods, by name or id; all of which anything runs unless any is named
    #[arg(value_name = "POD")]
    pods: Vec<String>,

    /// All pods
    #[arg(short, long, conflicts_with = "pods")]
    all: bool,

    /// The newest pod
    #[arg(short, long, conflicts_with_all = ["pods", "all"])]
    latest: bool,

    #[command(flatten)]
    looks: Looks,
}

impl Act for Stats {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        self.looks.go_on(COLUMNS, invocation, |engine| look(engine, &self.pods, self.latest))
    }
}

fn look(engine: &mut Engine, named: &[String], latest: bool) -> Result<Vec<Seen>> {
    let pods = match named.is_empty() {
        true => engine.pods()?.into_iter().take(if latest { 1 } else { usize::MAX }).collect(),
        false => named.iter().map(|pod| engine.pod(pod)).collect::<Result<Vec<_>>>()?,
    };
    let mut seen = Vec::new();
    for pod in &pods {
        for member in &pod.members {
            // Who does not run uses nothing.
            let Ok(sample) = engine.sample(member.id.as_str()) else { continue };
            seen.push(Seen::of(sample, pod.id.short()));
        }
    }
    Ok(seen)
}
