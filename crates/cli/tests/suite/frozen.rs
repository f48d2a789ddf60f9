//! Attack test 14 with the engine: whoever froze a container is gone, and so is its monitor.

use crate::fixture::{start, wait_for_state, with_box};
use dhow_testkit::{need, needs, needs_root};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// The file that freezes a process's cgroup, and the words that freeze and thaw.
fn freezer(pid: u32) -> Option<(PathBuf, &'static str)> {
    let table = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let path = |names: &str| {
        let line = table.lines().find(|line| line.split(':').nth(1) == Some(names))?;
        line.splitn(3, ':').nth(2).map(|path| path.trim_start_matches('/').to_owned())
    };
    let top = Path::new("/sys/fs/cgroup");
    let legacy = path("freezer").map(|path| top.join("freezer").join(path).join("freezer.state"));
    if let Some(file) = legacy.filter(|file| file.exists()) {
        return Some((file, "FROZEN"));
    }
    let unified = top.join(path("")?).join("cgroup.freeze");
    unified.exists().then_some((unified, "1"))
}

fn parent(pid: u32) -> u32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("PPid:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_frozen_container_whose_monitor_was_killed_can_be_removed() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "box", "sleep", "1000"]);
    let outcome = dhow.run(&["inspect", "--format", "{{.State.Pid}}", "web"]).ok();
    let pid: u32 = outcome.line().parse().unwrap();
    let freezer = freezer(pid);
    needs!(freezer.is_some(), "a freezer among the cgroups");
    let (file, word) = freezer.unwrap();
    let monitor = Pid::from_raw(i32::try_from(parent(pid)).unwrap()).unwrap();

    fs::write(&file, word).unwrap();
    kill_process(monitor, Signal::KILL).unwrap();
    let removed = dhow.run(&["rm", "-f", "web"]);

    drop(removed.ok());
    let gone = need::eventually(Duration::from_secs(20), || {
        // Its parent is gone, so whoever inherited it reaps it.
        (!Path::new(&format!("/proc/{pid}")).exists()).then_some(())
    });
    assert!(gone.is_some(), "the frozen process is left");
    dhow.assert_clean();
}

#[test]
fn a_frozen_container_is_killed_by_a_forced_removal() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "box", "sleep", "1000"]);
    wait_for_state(&dhow, "web", "running");
    let outcome = dhow.run(&["inspect", "--format", "{{.State.Pid}}", "web"]).ok();
    let freezer = freezer(outcome.line().parse().unwrap());
    needs!(freezer.is_some(), "a freezer among the cgroups");
    let (file, word) = freezer.unwrap();

    fs::write(file, word).unwrap();

    drop(dhow.run(&["rm", "-f", "web"]).ok());
    dhow.assert_clean();
}
