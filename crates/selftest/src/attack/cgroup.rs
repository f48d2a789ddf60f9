//! Ways out of a container's cgroup, and one that was left frozen.

use super::passed;
use crate::{Stage, Verdict, nest::Nest, trial::Trial};
use dhow_base::{Doing, Result};
use dhow_spec::runtime::MountPoint;
use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

pub(super) fn escaped(stage: &Stage) -> Result<Verdict> {
    let nest = Nest::build(&stage.directory().join("nest"), stage.caller.uid())?;
    for path in climbing(stage.name(), nest.path()) {
        if let Some(failure) = climb(stage, &path, &nest)? {
            return Ok(Verdict::Failed(format!("cgroupsPath {path}: {failure}")));
        }
    }
    if let Some(failure) = joined_elsewhere(stage)? {
        return Ok(Verdict::Failed(failure));
    }
    let tried = match agents(stage)? {
        Ok(tried) => tried,
        Err(failure) => return Ok(Verdict::Failed(failure)),
    };
    if stage.caller.uid().is_some() {
        // Nobody can freeze what has no cgroup of its own.
        return Ok(passed(format!("9 paths, {tried} files")));
    }
    if let Some(failure) = frozen(stage)? {
        return Ok(Verdict::Failed(failure));
    }
    Ok(passed(format!("9 paths, {tried} files, 2 frozen containers removed")))
}

fn climbing(name: &str, nest: &Path) -> [String; 5] {
    let nest = nest.display();
    [
        format!("../../../{name}-a"),
        format!("/../../../{name}-b"),
        format!("dhow/../../../../{name}-c"),
        format!("../../../../../../../..{nest}/cgroup"),
        format!("/{name}-d/./../{name}-e/../../.."),
    ]
}

/// The container ends up below the hierarchies' roots, or does not start.
fn climb(stage: &Stage, path: &str, nest: &Nest) -> Result<Option<String>> {
    let mut trial = Trial::new(stage)?;
    trial.linux().cgroups_path = Some(path.to_owned());
    let done = trial.run(&["cat", "/proc/self/cgroup"])?;
    if done.code > 1 {
        return Ok(Some(format!("{done}")));
    }
    for directory in ["/sys/fs", "/sys", "/"] {
        let made = fs::read_dir(directory).doing(|| format!("list {directory}"))?.flatten();
        let ours =
            |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(stage.name());
        if let Some(made) = made.into_iter().find(ours) {
            return Ok(Some(format!("{} was made", made.path().display())));
        }
    }
    nest.harm()
}

/// One more process lands in no cgroup but the container's.
fn joined_elsewhere(stage: &Stage) -> Result<Option<String>> {
    let mut trial = Trial::new(stage)?;
    let _running = trial.start(&["wait"])?;
    for path in ["..", "/..", "../../..", "inner/../../.."] {
        let flag = format!("--cgroup={path}");
        let done = trial.exec(&[&flag], &["cat", "/proc/self/cgroup"])?;
        // The container sees its own cgroup as the root; what is above it begins with `/..`.
        if done.code == 0 && done.stdout.contains("/..") {
            return Ok(Some(format!("exec {flag}: {done}")));
        }
    }
    Ok(None)
}

/// `release_agent` and its like, which run programs as the host's root.
fn agents(stage: &Stage) -> Result<std::result::Result<usize, String>> {
    let mut trial = Trial::new(stage)?;
    if stage.caller.uid().is_some() {
        // Nothing is read-only: the kernel alone stands between the user and the host's files.
        trial.spec.mounts.push(MountPoint {
            destination: "/sys/fs/cgroup".into(),
            kind: Some("cgroup".to_owned()),
            source: Some("cgroup".into()),
            options: ["nosuid", "noexec", "nodev"].map(str::to_owned).to_vec(),
            ..MountPoint::default()
        });
    }
    let mut words: Vec<String> = Vec::new();
    for hierarchy in hierarchies() {
        for file in ["release_agent", "notify_on_release", "cgroup.procs", "tasks", "devices.allow"]
        {
            words.extend(["open".to_owned(), format!("{hierarchy}/{file}"), ",".to_owned()]);
        }
        words.extend(["touch".to_owned(), format!("{hierarchy}/new"), ",".to_owned()]);
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = trial.run(&words)?;
    if done.code != 0 || done.stdout.contains("OPENED") || done.stdout.contains("TOUCHED") {
        return Ok(Err(format!("a file of the cgroup's can be written: {done}")));
    }
    let tried = done.stdout.matches("refused").count();
    Ok(if tried < 6 { Err(format!("nothing was tried: {done}")) } else { Ok(tried) })
}

fn hierarchies() -> Vec<String> {
    let top = PathBuf::from("/sys/fs/cgroup");
    let below = fs::read_dir(&top).into_iter().flatten().flatten().map(|entry| entry.path());
    // Above version 1's hierarchies is a plain tmpfs, the container's own.
    let all = below.chain([top.clone()]);
    all.filter(|path| path.join("cgroup.procs").exists())
        .map(|path| path.display().to_string())
        .collect()
}

/// Whoever froze a container may be gone: it must be possible to kill and to remove it.
fn frozen(stage: &Stage) -> Result<Option<String>> {
    for command in ["delete", "kill"] {
        let mut trial = Trial::new(stage)?;
        let running = trial.start(&["wait"])?;
        let Some(pid) = trial.pid()? else { return Ok(Some("it has no process".to_owned())) };
        let paused = trial.tell(&["pause", &trial.id])?;
        if paused.code != 0 {
            return Ok(Some(format!("pause: {paused}")));
        }
        let done = match command {
            "kill" => trial.tell(&["kill", &trial.id, "KILL"])?,
            _ => trial.tell(&["delete", "--force", &trial.id])?,
        };
        if done.code != 0 {
            return Ok(Some(format!("{command} of a frozen container: {done}")));
        }
        if !is_gone_soon(pid) {
            return Ok(Some(format!("{command} leaves the frozen process {pid}")));
        }
        drop(running);
    }
    Ok(None)
}

fn is_gone_soon(pid: u32) -> bool {
    let end = Instant::now() + Duration::from_secs(10);
    let stat = PathBuf::from(format!("/proc/{pid}/stat"));
    // A zombie is its parent's to reap.
    let is_alive = || {
        fs::read_to_string(&stat).is_ok_and(|text| !text.contains(") Z ") && !text.contains(") X "))
    };
    while is_alive() {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}
