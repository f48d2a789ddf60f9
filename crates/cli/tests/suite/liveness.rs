//! Whether containers live, told of many by the kernel's list of locks, and of one by its own lock:
//! the quick way and the plain one say the same.

use crate::fixture::{kill_by_name, start, wait_for_state, with_box};
use dhow_testkit::needs_root;
use std::collections::BTreeMap;

#[test]
fn a_list_of_many_says_of_each_what_is_said_of_it_alone() {
    needs_root!();
    let dhow = with_box();
    let names: Vec<String> = (0..9).map(|number| format!("c{number}")).collect();
    let begin = |name: &String| start(&dhow, &["--name", name, "box", "sleep", "1000"]);
    let ids: Vec<String> = names.iter().map(begin).collect();
    // Monitors that are killed leave their containers to the next command, which is the list.
    for id in &ids[..2] {
        kill_by_name(&dhow, id, "monitor_pid");
    }
    kill_by_name(&dhow, &ids[2], "pid");
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
