//! Paths of the host's that go through a directory of another user's, who has put links there.

use super::{console::run_on_terminal, passed};
use crate::{Stage, Verdict, nest::Nest, stage::read, trial::Trial, verdict::ensure};
use dhow_base::{Doing, Result};
use dhow_spec::runtime::{Hook, Hooks};
use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, lchown, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
};

/// An ordinary user who is not the caller.
const STRANGER: u32 = 65_533;

pub(super) fn linked(stage: &Stage) -> Result<Verdict> {
    let mut nest = Nest::build(&stage.directory().join("nest"), stage.caller.uid())?;
    let trap = Trap::lay(stage, &mut nest)?;
    let mut count = 0;
    for (what, words) in [
        ("pid file in a linked directory", ["--pid-file", "way/pid"]),
        ("pid file that is a link", ["--pid-file", "canary"]),
    ] {
        let mut trial = Trial::new(stage)?;
        let path = trap.path.join(words[1]).display().to_string();
        trial.arrange(&["nothing"])?;
        let done = trial.tell(&["create", words[0], &path, &trial.id])?;
        count += 1;
        ensure!(done.code <= 1, "{what}: {done}");
        if let Some(harm) = nest.harm()? {
            return Ok(Verdict::Failed(format!("{what}: {harm}")));
        }
    }
    for place in ["way/log", "canary"] {
        let log = trap.path.join(place).display().to_string();
        let done = stage.finish(&stage.runtime(&["--log", &log, "state", "gone"]))?;
        count += 1;
        ensure!(done.code == 1, "log at {place}: {done}");
        if let Some(harm) = nest.harm()? {
            return Ok(Verdict::Failed(format!("log at {place}: {harm}")));
        }
    }
    if let Some(failure) = console(stage, &trap)?.or(hooks(stage, &trap)?).or(nest.harm()?) {
        return Ok(Verdict::Failed(failure));
    }
    if let Some(failure) = own_links_are_followed(stage)? {
        return Ok(Verdict::Failed(failure));
    }
    Ok(passed(format!("{} paths", count + 3)))
}

/// The stranger's directory: `way` leads to the nest, `canary` to its canary.
#[derive(Debug)]
struct Trap {
    path: PathBuf,
    /// What a hook behind the link would write.
    track: PathBuf,
    listener: UnixListener,
}

impl Trap {
    fn lay(stage: &Stage, nest: &mut Nest) -> Result<Self> {
        let path = stage.directory().join("stranger");
        let doing = || "lay the trap";
        fs::create_dir(&path).doing(doing)?;
        // The caller may write there too, as root may everywhere.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).doing(doing)?;
        symlink(nest.path(), path.join("way")).doing(doing)?;
        symlink(nest.path().join("canary"), path.join("canary")).doing(doing)?;
        for file in [&path, &path.join("way"), &path.join("canary")] {
            lchown(file, Some(STRANGER), Some(STRANGER)).doing(doing)?;
        }
        let track = stage.directory().join("track");
        let hook = nest.path().join("hook");
        fs::write(&hook, format!("#!/bin/sh\necho > {}\n", track.display())).doing(doing)?;
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).doing(doing)?;
        let listener = UnixListener::bind(nest.path().join("socket")).doing(doing)?;
        listener.set_nonblocking(true).doing(doing)?;
        fs::set_permissions(nest.path().join("socket"), fs::Permissions::from_mode(0o777))
            .doing(doing)?;
        nest.settle()?;
        Ok(Self { path, track, listener })
    }
}

/// A terminal's master goes to nobody whom the caller did not name.
fn console(stage: &Stage, trap: &Trap) -> Result<Option<String>> {
    let mut trial = Trial::new(stage)?;
    trial.process().terminal = true;
    trial.arrange(&["nothing"])?;
    let socket = trap.path.join("way/socket").display().to_string();
    let done = trial.tell(&["create", "--console-socket", &socket, &trial.id])?;
    let got = trap.listener.accept().is_ok();
    Ok((done.code == 0 || got).then(|| format!("the terminal went through the link: {done}")))
}

fn hooks(stage: &Stage, trap: &Trap) -> Result<Option<String>> {
    let mut trial = Trial::new(stage)?;
    trial.spec.hooks = Some(Hooks {
        create_runtime: vec![Hook {
            path: trap.path.join("way/hook"),
            args: vec!["hook".to_owned()],
            env: Vec::new(),
            timeout: None,
        }],
        ..Hooks::default()
    });
    let done = trial.run(&["nothing"])?;
    let ran = trap.track.exists();
    Ok((done.code == 0 || ran).then(|| format!("a hook behind the link ran: {done}")))
}

/// The caller's own links are its own business, as is `/var/run`.
fn own_links_are_followed(stage: &Stage) -> Result<Option<String>> {
    let mut trial = Trial::new(stage)?;
    let place = trial.make_directory("srv/files")?;
    trial.link("srv/way", &place)?;
    let way = trial.root().join("srv/way");
    let path = |name: &str| way.join(name).display().to_string();
    trial.arrange(&["nothing"])?;
    let done =
        trial.tell(&["--log", &path("log"), "create", "--pid-file", &path("pid"), &trial.id])?;
    let pid = read(Path::new(&path("pid")))?;
    if done.code != 0 || pid.trim().parse::<u32>().is_err() {
        return Ok(Some(format!("the caller's own link is not followed: {done}, pid {pid:?}")));
    }
    drop(trial.delete()?);
    trial.process().terminal = true;
    let (done, _) = run_on_terminal(stage, &mut trial, &["nothing"])?;
    Ok((done.code != 0).then(|| format!("the caller's own socket is not reached: {done}")))
}
