//! Whether containers live, told of many by the kernel's list of locks, and of one by its own lock:
//! the quick way and the plain one say the same.

use crate::fixture::{start, wait_for_state, with_box};
use dhow_testkit::needs_root;
use rustix::process::{Pid, Signal, kill_process};
use std::{collections::BTreeMap, fs};

/// Kills a process of a container's, by what it is called in the record of the start.
fn kill(dhow: &dhow_testkit::Dhow, id: &str, process: &str) {
    let record = dhow.runroot().join("containers").join(id).join("started.json");
    let started: serde_json::Value = serde_json::from_slice(&fs::read(record).unwrap()).unwrap();
    let pid = i32::try_from(started[process].as_i64().unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn a_list_of_many_says_of_each_what_is_said_of_it_alone() {
    needs_root!();
    let dhow = with_box();
    let names: Vec<String> = (0..9).map(|number| format!("c{number}")).collect();
    let begin = |name: &String| start(&dhow, &["--name", name, "box", "sleep", "1000"]);
    let ids: Vec<String> = names.iter().map(begin).collect();
    // Monitors that are killed leave their containers to the next command, which is the list.
    for id in &ids[..2] {
        kill(&dhow, id, "monitor_pid");
    }
    kill(&dhow, &ids[2], "pid");
    drop(dhow.run(&["stop", "-t", "0", "c3"]).ok());
    drop(dhow.run(&["pause", "c4"]).ok());
    wait_for_state(&dhow, "c2", "exited");

    let listed = dhow.run(&["ps", "-a", "--format", "{{.Names}} {{.State}}"]).ok().stdout;
    let running = dhow.run(&["ps", "--format", "{{.Names}}"]).ok().stdout;

    let listed: BTreeMap<&str, &str> =
        listed.lines().map(|line| line.split_once(' ').unwrap()).collect();
    for name in &names {
        let alone = dhow.run(&["inspect", "--format", "{{.State.Status}}", name]).ok();
        assert_eq!(listed[name.as_str()], alone.line(), "{name}");
        let is_running = matches!(alone.line(), "running" | "paused");
        assert_eq!(running.lines().any(|line| line == name), is_running, "{name}");
    }
    let states = ["exited", "exited", "exited", "exited", "paused", "running"];
    assert_eq!(
        names.iter().zip(states).filter(|(name, state)| listed[name.as_str()] != *state).count(),
        0
    );
    drop(dhow.run(&["unpause", "c4"]).ok());
}
