//! Two containers share a volume; one of them swaps a directory in it for a link to the host's
//! while the other starts with a mount below that directory.

use super::passed;
use crate::{Stage, Verdict, nest::Nest, stage::read, trial::Trial, verdict::ensure};
use dhow_base::{Doing, Result};
use std::{fs, os::unix::fs::symlink, path::Path};

pub(super) fn swapped(stage: &Stage) -> Result<Verdict> {
    let nest = Nest::build(&stage.directory().join("nest"), stage.caller.uid())?;
    let volume = stage.directory().join("volume");
    let data = stage.directory().join("data");
    for directory in [&volume, &volume.join("dir"), &volume.join("dir/x"), &data] {
        fs::create_dir(directory).doing(|| format!("make {}", directory.display()))?;
        stage.give(directory)?;
    }
    symlink(nest.path(), volume.join("link")).doing(|| "make the link of the attack")?;
    stage.give(&volume.join("link"))?;
    let mut attacker = Trial::new(stage)?;
    attacker.bind(&volume, "/vol", &["rbind"]);
    let swapping = attacker.start(&["swap", "/vol/dir", "/vol/link", "/vol/count"])?;
    let (mut ran, mut refused) = (0, 0);
    let mut victim = Trial::new(stage)?;
    victim.bind(&volume, "/vol", &["rbind"]);
    victim.bind(&data, "/vol/dir/x", &["rbind"]);
    for _ in 0..stage.times(30, 10_000) {
        let done = victim.run(&["cat", "/proc/self/mountinfo"])?;
        ensure!(done.code <= 1, "a start: {done}");
        let mounts = read(Path::new("/proc/self/mountinfo"))?;
        ensure!(!mounts.contains(stage.name()), "a mount is in the host: {mounts}");
        if let Some(harm) = nest.harm()? {
            return Ok(Verdict::Failed(harm));
        }
        if done.code == 0 {
            ran += 1;
            let places: Vec<&str> = below(&done.stdout, "/data ").collect();
            // A link is resolved within the root, so any place that is seen is inside.
            ensure!(places.len() == 1, "mounted at {places:?}");
        } else {
            refused += 1;
        }
    }
    drop(attacker.delete()?);
    let swaps: u64 = read(&volume.join("count"))?.trim().parse().unwrap_or(0);
    ensure!(swaps > 100, "the attacker swapped {swaps} times: {:?}", swapping.printed());
    ensure!(ran > 0, "all of {refused} starts were refused");
    Ok(passed(format!("{ran} starts and {refused} refused over {swaps} swaps")))
}

/// The places of mounts whose line has this text.
fn below<'a>(mountinfo: &'a str, text: &'a str) -> impl Iterator<Item = &'a str> {
    mountinfo
        .lines()
        .filter(move |line| line.contains(text))
        .filter_map(|line| line.split(' ').nth(4))
}
