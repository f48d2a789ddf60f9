//! Account files that never end, or that are no files. The configuration has no `HOME`, so that the
//! runtime looks for one there.

use super::passed;
use crate::{Effort, Stage, Verdict, nest::Nest, stage::read, trial::Trial, verdict::ensure};
use dhow_base::{Doing, Error, Kind, Result};
use rustix::fs::{CWD, FileType, Mode};
use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    os::unix::fs::symlink,
    path::Path,
};

/// The most memory that the runtime may need.
const LIMIT_KIB: u64 = 16 << 10;
/// The most processor time, which other work on the machine does not change.
const LIMIT_MS: u64 = 1000;

const KINDS: [&str; 8] =
    ["plain", "sparse", "lines", "line", "fifo", "link", "directory", "device"];

pub(super) fn endless(stage: &Stage) -> Result<Verdict> {
    let nest = Nest::build(&stage.directory().join("nest"), stage.caller.uid())?;
    let (mut most_kib, mut most_ms, mut count) = (0, 0, 0);
    for kind in KINDS {
        if kind == "device" && stage.caller.uid().is_some() {
            // An ordinary user makes none.
            continue;
        }
        for file in ["etc/passwd", "etc/group"] {
            let mut trial = Trial::new(stage)?;
            trial.process().env.retain(|entry| !entry.starts_with("HOME="));
            make(stage, &trial.root().join(file), kind, nest.path())?;
            let (kib, ms) = measured(stage, &mut trial)?;
            ensure!(kib <= LIMIT_KIB, "{file} is a {kind}: {kib} KiB of memory");
            ensure!(ms <= LIMIT_MS, "{file} is a {kind}: {ms} ms of processor time");
            (most_kib, most_ms) = (most_kib.max(kib), most_ms.max(ms));
            count += 1;
        }
    }
    if let Some(harm) = nest.harm()? {
        return Ok(Verdict::Failed(harm));
    }
    Ok(passed(format!("{count} files, at most {most_kib} KiB and {most_ms} ms")))
}

/// Runs the container by way of the probe, which is small, and measures the runtime.
fn measured(stage: &Stage, trial: &mut Trial<'_>) -> Result<(u64, u64)> {
    trial.arrange(&["nothing"])?;
    let file = trial.bundle().join("used");
    let inner = trial.command(&["run", &trial.id]);
    let mut command = stage.command(&stage.probe);
    command.arg("measure").arg(&file);
    command.arg(inner.get_program()).args(inner.get_args()).current_dir(trial.bundle());
    let done = stage.finish(&command)?;
    let used = read(&file)?;
    let mut numbers = used.split(' ').map(str::parse::<u64>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(kib)), Some(Ok(ms))) if done.code <= 1 => Ok((kib, ms)),
        _ => Err(Error::new(Kind::Internal, format!("measure the runtime: {done}, {used:?}"))),
    }
}

fn make(stage: &Stage, path: &Path, kind: &str, nest: &Path) -> Result<()> {
    let doing = || format!("make {} a {kind}", path.display());
    let mode = Mode::from_raw_mode(0o644);
    match kind {
        "plain" => fs::write(path, "root:x:0:0::/root:/bin/sh\n").doing(doing)?,
        "sparse" => new(path)?.set_len(10 << 30).doing(doing)?,
        "lines" | "line" => fill(stage, path, kind).doing(doing)?,
        "fifo" => rustix::fs::mknodat(CWD, path, FileType::Fifo, mode, 0).doing(doing)?,
        "link" => symlink(nest.join("canary"), path).doing(doing)?,
        "directory" => fs::create_dir(path).doing(doing)?,
        _ => {
            let zero = rustix::fs::makedev(1, 5);
            rustix::fs::mknodat(CWD, path, FileType::CharacterDevice, mode, zero).doing(doing)?;
        }
    }
    stage.give(path)
}

fn new(path: &Path) -> Result<File> {
    dhow_base::file::create_new(path, 0o644)
}

/// Ten million accounts, or one of the same size; fewer where time is short, but more than any
/// limit allows.
fn fill(stage: &Stage, path: &Path, kind: &str) -> std::io::Result<()> {
    let count = if stage.effort == Effort::Full { 10_000_000 } else { 300_000 };
    let mut file = BufWriter::new(new(path).map_err(std::io::Error::other)?);
    for number in 0..count {
        if kind == "lines" {
            writeln!(file, "u{number}:x:{number}:{number}::/:/bin/sh")?;
        } else {
            write!(file, "u{number},xxxxxxxxxxxxxxxxxx")?;
        }
    }
    file.flush()
}
