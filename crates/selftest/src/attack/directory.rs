//! Working directories that go through the fds of a process that is about to be the container's,
//! while the caller has leaked directories of the host's to it.

use super::passed;
use crate::{Stage, Verdict, nest::Nest, stage::Done, trial::Trial, verdict::ensure};
use dhow_base::Result;
use std::process::Command;

pub(super) fn leaked(stage: &Stage) -> Result<Verdict> {
    let nest = Nest::build(&stage.directory().join("nest"), stage.caller.uid())?;
    let last = stage.times(16, 1023);
    let mut count = 0;
    let mut trial = Trial::new(stage)?;
    let container = running(stage)?;
    for number in (3..=last).chain([1023]) {
        for path in [
            format!("/proc/self/fd/{number}"),
            format!("/proc/1/fd/{number}/.."),
            format!("/proc/thread-self/fd/{number}"),
        ] {
            trial.process().cwd.clone_from(&path);
            trial.arrange(&["cwd"])?;
            let command = with_leaks(&trial.command(&["run", &trial.id]), &nest);
            let ran = stage.finish(&command)?;
            ensure!(is_safe(&ran), "cwd {path}: {ran}");
            let words = ["exec", "--cwd", &path, &container.0.id, crate::probe::PLACE, "cwd"];
            let command = with_leaks(&container.0.command(&words), &nest);
            let executed = stage.finish(&command)?;
            ensure!(is_safe(&executed), "exec --cwd {path}: {executed}");
            count += 2;
        }
    }
    for path in ["/proc/self/root/..", "/proc/self/cwd", "/proc/1/root", "/proc/1/cwd/../.."] {
        trial.process().cwd = path.to_owned();
        let done = trial.run(&["cwd"])?;
        ensure!(is_safe(&done), "cwd {path}: {done}");
        count += 1;
    }
    // A link in the image to such a path is no better.
    trial.link("srv/way", std::path::Path::new("/proc/self/fd/7"))?;
    trial.process().cwd = "/srv/way".to_owned();
    let done = trial.run(&["cwd"])?;
    ensure!(is_safe(&done), "cwd by a link: {done}");
    if let Some(harm) = nest.harm()? {
        return Ok(Verdict::Failed(harm));
    }
    Ok(passed(format!("{} working directories", count + 1)))
}

/// A container to execute in.
fn running(stage: &Stage) -> Result<(Trial<'_>, crate::stage::Spawned)> {
    let mut trial = Trial::new(stage)?;
    let spawned = trial.start(&["wait"])?;
    Ok((trial, spawned))
}

/// The same command from a caller that holds directories of the host's, not marked to be closed.
pub(super) fn with_leaks(inner: &Command, nest: &Nest) -> Command {
    let script = "exec 5<\"$0\" 7</ 8</proc 9</etc; exec \"$@\"";
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).arg(nest.path()).arg(inner.get_program()).args(inner.get_args());
    if let Some(directory) = inner.get_current_dir() {
        command.current_dir(directory);
    }
    command
}

fn is_safe(done: &Done) -> bool {
    let refused = done.code != 0 && !done.stdout.contains("side");
    let inside = done.stdout.starts_with("inside /");
    !done.stdout.contains("OUTSIDE") && !done.stdout.contains("unreachable") && (refused || inside)
}
