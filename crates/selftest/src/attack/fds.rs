//! Open files of the caller's and of the runtime's, looked for in every process that is not theirs.

use super::{directory::with_leaks, passed};
use crate::{Stage, Verdict, nest::Nest, probe, stage::read, trial::Trial, verdict::ensure};
use dhow_base::{Doing, Result};
use dhow_spec::runtime::{Hook, Hooks};
use std::{fs, path::Path};

pub(super) fn leaked(stage: &Stage) -> Result<Verdict> {
    let nest = Nest::build(&stage.directory().join("nest"), stage.caller.uid())?;
    let mut trial = Trial::new(stage)?;
    let tracks = stage.directory().join("tracks");
    fs::create_dir(&tracks).doing(|| "make a directory for the hooks")?;
    stage.give(&tracks)?;
    trial.spec.hooks = Some(hooks(stage, &tracks));
    trial.arrange(&["fds", ",", "wait"])?;

    // The container's first process, between its birth and its program.
    let command = with_leaks(&trial.command(&["create", &trial.id]), &nest);
    let created = stage.finish(&command)?;
    ensure!(created.code == 0, "create: {created}");
    let held = held_by_init(&trial)?;
    ensure!(held.is_empty(), "before the start its process holds {held:?}");
    drop(trial.delete()?);

    // The program itself, and one more beside it.
    let command = with_leaks(&trial.command(&["run", &trial.id]), &nest);
    let mut running = stage.spawn(&command)?;
    trial.await_text(&mut running, "up\n")?;
    let printed = running.printed();
    let own = strangers(&printed);
    ensure!(own.is_empty(), "the program holds {own:?}");
    let command = with_leaks(&trial.command(&["exec", &trial.id, probe::PLACE, "fds"]), &nest);
    let executed = stage.finish(&command)?;
    ensure!(executed.code == 0, "exec: {executed}");
    let own = strangers(&executed.stdout);
    ensure!(own.is_empty(), "a process by exec holds {own:?}");
    drop(trial.delete()?);
    drop(running);

    let mut count = 3;
    for name in HOOKS {
        let path = match name {
            // It ran inside, where the root is the container's.
            "startContainer" => trial.root().join("tmp").join("startContainer.fds"),
            _ => tracks.join(format!("{name}.fds")),
        };
        let printed = read(&path)?;
        let own = strangers(&printed);
        ensure!(own.is_empty(), "the hook {name} holds {own:?}");
        count += 1;
    }
    Ok(passed(format!("{count} processes looked at")))
}

const HOOKS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

fn hooks(stage: &Stage, tracks: &Path) -> Hooks {
    let hook = |name: &str, program: &Path, place: &Path| {
        let file = place.join(format!("{name}.fds")).display().to_string();
        vec![Hook {
            path: program.to_owned(),
            args: vec![probe::NAME.to_owned(), "fds-to".to_owned(), file],
            env: Vec::new(),
            timeout: None,
        }]
    };
    let outside = |name: &str| hook(name, &stage.probe, tracks);
    Hooks {
        prestart: outside("prestart"),
        create_runtime: outside("createRuntime"),
        create_container: outside("createContainer"),
        start_container: hook("startContainer", Path::new(probe::PLACE), Path::new("/tmp")),
        poststart: outside("poststart"),
        poststop: outside("poststop"),
    }
}

/// What the list of a process has beside its streams.
fn strangers(printed: &str) -> Vec<&str> {
    let fds = printed.lines().filter(|line| line.starts_with(|byte: char| byte.is_ascii_digit()));
    fds.filter(|line| !matches!(line.split(' ').next(), Some("0" | "1" | "2"))).collect()
}

/// Files and directories that the waiting first process has open beside its streams.
fn held_by_init(trial: &Trial<'_>) -> Result<Vec<String>> {
    let Some(pid) = trial.pid()? else { return Ok(vec!["nothing: it is gone".to_owned()]) };
    let mut held = Vec::new();
    let directory = format!("/proc/{pid}/fd");
    for entry in fs::read_dir(&directory).doing(|| format!("list {directory}"))?.flatten() {
        let number = entry.file_name().to_string_lossy().into_owned();
        let target = fs::read_link(entry.path()).unwrap_or_default().display().to_string();
        // Sockets and the like are how it is told to start; a name is a way into the host.
        if !matches!(number.as_str(), "0" | "1" | "2") && target.starts_with('/') {
            held.push(format!("{number} {target}"));
        }
    }
    Ok(held)
}
