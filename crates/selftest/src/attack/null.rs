//! `/dev/null` of the image, with which kernel files are masked, swapped for a link to one.

use super::{passed, while_swapping};
use crate::{Stage, Verdict, trial::Trial, verdict::ensure};
use dhow_base::{Doing, Result};
use rustix::fs::{CWD, FileType, Mode};
use std::path::Path;

/// What the container looks at and tries to open; it writes nothing.
const LOOK: [&str; 23] = [
    "kind",
    "/proc/kcore",
    ",",
    "kind",
    "/proc/keys",
    ",",
    "kind",
    "/proc/timer_list",
    ",",
    "kind",
    "/proc/interrupts",
    ",",
    "open",
    "/proc/sys/kernel/core_pattern",
    ",",
    "open",
    "/proc/sysrq-trigger",
    ",",
    "open",
    "/proc/sys/kernel/modprobe",
    ",",
    "open",
    "/proc/kcore",
];

pub(super) fn swapped(stage: &Stage) -> Result<Verdict> {
    for target in ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger"] {
        let mut trial = Trial::new(stage)?;
        trial.unmount("/dev");
        trial.link("dev/null", Path::new(target))?;
        let done = trial.run(&LOOK)?;
        ensure!(done.code == 1 || is_shut(&done.stdout), "/dev/null -> {target}: {done}");
    }
    race(stage)
}

fn race(stage: &Stage) -> Result<Verdict> {
    let mut trial = Trial::new(stage)?;
    trial.unmount("/dev");
    let null = trial.root().join("dev/null");
    if stage.caller.uid().is_none() {
        let mode = Mode::from_raw_mode(0o666);
        let device = rustix::fs::makedev(1, 3);
        rustix::fs::mknodat(CWD, &null, FileType::CharacterDevice, mode, device)
            .doing(|| "make a null device in the container's root")?;
    } else {
        // The host's is bound onto it.
        trial.write("dev/null", "")?;
    }
    let evil = trial.link("dev/evil", Path::new("/proc/sys/kernel/core_pattern"))?;
    let times = stage.times(30, 10_000);
    let (outcome, swaps) = while_swapping(&null, &evil, || {
        let (mut ran, mut refused) = (0, 0);
        for _ in 0..times {
            let done = trial.run(&LOOK)?;
            match done.code {
                0 if is_shut(&done.stdout) => ran += 1,
                1 => refused += 1,
                _ => return Ok(Err(done)),
            }
        }
        Ok(Ok((ran, refused)))
    })?;
    Ok(match outcome {
        Ok((0, refused)) => Verdict::Failed(format!("all of {refused} starts were refused")),
        Ok((ran, refused)) => {
            passed(format!("{ran} starts and {refused} refused over {swaps} swaps"))
        }
        Err(done) => Verdict::Failed(format!("a kernel file is open: {done}")),
    })
}

/// Files are masked by the null device itself, and nothing could be opened but that.
fn is_shut(printed: &str) -> bool {
    printed.lines().all(|line| {
        let is_null = line == "character 1:3" || line == "OPENED /proc/kcore";
        let is_missing = line.contains("No such file");
        is_null || is_missing || line.starts_with("refused ")
    }) && printed.contains("character 1:3")
}
