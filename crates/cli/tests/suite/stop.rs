//! `stop`, `kill`, `wait`, `start`, `rm`, `create`: a container's life by hand.

use crate::fixture::{SOON, start, wait_for_output, wait_for_state, with_box};
use dhow_testkit::{need, needs_root};
use rustix::{
    fs::{FlockOperation, flock},
    process::{Pid, Signal, kill_process},
};
use std::time::Duration;

const TRAP: &str =
    "trap 'echo bye; exit 5' TERM; trap 'exit 6' INT; echo ready; while :; do sleep 0.1; done";

#[test]
fn a_program_is_asked_to_end() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "box", "sh", "-c", TRAP]);
    wait_for_output(&dhow, "web", "ready");

    let outcome = dhow.run(&["stop", "web"]).ok();

    assert_eq!(outcome.stdout, "web\n");
    assert_eq!(dhow.run(&["wait", "web"]).ok().stdout, "5\n");
    drop(dhow.run(&["stop", "web"]).ok());
}

#[test]
fn a_program_that_does_not_listen_is_killed() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "box", "sleep", "100"]);

    let outcome = dhow.run(&["stop", "-t", "1", "web"]).ok();

    assert!(outcome.took >= Duration::from_millis(900), "{:?}", outcome.took);
    assert!(outcome.took < Duration::from_secs(8), "{:?}", outcome.took);
    assert_eq!(dhow.run(&["wait", "web"]).ok().stdout, "137\n");
}

#[test]
fn the_stop_signal_is_the_containers() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "--stop-signal", "INT", "box", "sh", "-c", TRAP]);
    wait_for_output(&dhow, "web", "ready");

    drop(dhow.run(&["stop", "web"]).ok());

    assert_eq!(dhow.run(&["wait", "web"]).ok().stdout, "6\n");
}

#[test]
fn any_signal_can_be_sent() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "box", "sh", "-c", TRAP]);
    wait_for_output(&dhow, "web", "ready");

    drop(dhow.run(&["kill", "-s", "SIGINT", "web"]).ok());

    assert_eq!(dhow.run(&["wait", "web"]).ok().stdout, "6\n");
}

#[test]
fn a_container_is_created_started_and_started_again() {
    needs_root!();
    let dhow = with_box();
    let id = dhow
        .run(&[
            "create",
            "-q",
            "--name",
            "job",
            "box",
            "sh",
            "-c",
            "echo run >> /count; cat /count",
        ])
        .ok();
    assert_eq!(id.line().len(), 64);
    wait_for_state(&dhow, "job", "created");

    assert_eq!(dhow.run(&["start", "-a", "job"]).ok().stdout, "run\n");
    assert_eq!(dhow.run(&["start", "-a", "job"]).ok().stdout, "run\nrun\n");

    drop(dhow.run(&["rm", "job"]).ok());
    dhow.assert_clean();
}

#[test]
fn a_running_container_is_removed_by_force_only() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "box", "sleep", "100"]);

    drop(dhow.run(&["rm", "web"]).exits(1).says("running"));
    drop(dhow.run(&["rm", "-f", "web"]).ok());

    drop(dhow.run(&["rm", "web"]).exits(1).says("web"));
    drop(dhow.run(&["rm", "-f", "web"]).ok());
    dhow.assert_clean();
}

#[test]
fn one_missing_container_does_not_stop_the_rest() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "box", "sleep", "100"]);

    let outcome = dhow.run(&["kill", "gone", "web"]).exits(1).says("gone");

    assert_eq!(outcome.stdout, "web\n");
}

#[test]
fn a_signal_to_dhow_is_a_signal_to_the_program() {
    needs_root!();
    let dhow = with_box();
    let mut command = dhow.command(&["run", "-q", "--name", "web", "box", "sh", "-c", TRAP]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    wait_for_output(&dhow, "web", "ready");
    // The program may be ready before who has started it is to hear of signals.
    let hears = || blocks(child.id(), Signal::WINCH).then_some(());
    need::eventually(SOON, hears).expect("it takes signals");

    let pid = rustix::process::Pid::from_child(&child);
    kill_process(pid, Signal::TERM).unwrap();

    assert_eq!(child.wait().unwrap().code(), Some(5));
}

/// Whether a process lets a signal wait.
fn blocks(pid: u32, signal: Signal) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
    let blocked = blocked.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    blocked.is_some_and(|mask| mask & 1 << (signal.as_raw() - 1) != 0)
}

#[test]
fn a_signal_to_dhow_that_comes_before_it_listens_is_the_programs_too() {
    needs_root!();
    let dhow = with_box();
    let lock = std::fs::File::open(dhow.root().join("state.lock")).unwrap();
    let containers = dhow.root().join("containers");
    let file = |name: &str| {
        let container = std::fs::read_dir(&containers).ok()?.next()?.ok()?.path();
        std::fs::read_to_string(container.join(name)).ok()
    };
    // Between its two entries in the state it makes the container: the second one is kept from it.
    for _ in 0..100 {
        let mut command = dhow.command(&["run", "-q", "--rm", "box", "sh", "-c", TRAP]);
        let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
        let (id, pid) = (child.id(), Pid::from_child(&child));
        while file("config.json").is_none() && child.try_wait().unwrap().is_none() {
            flock(&lock, FlockOperation::Unlock).unwrap();
            flock(&lock, FlockOperation::LockExclusive).unwrap();
        }
        let is_ready = || file("log").filter(|log| log.contains("ready")).map(drop);
        need::eventually(SOON, is_ready).expect("the program runs");
        let waits = format!("-> FLOCK  ADVISORY  WRITE {id} ");
        let is_kept = need::eventually(SOON, || {
            let locks = std::fs::read_to_string("/proc/locks").unwrap();
            let listens = blocks(id, Signal::WINCH);
            (locks.contains(&waits) || listens).then_some(!listens)
        });
        kill_process(pid, Signal::TERM).unwrap();
        flock(&lock, FlockOperation::Unlock).unwrap();

        assert_eq!(child.wait().unwrap().code(), Some(5));
        if is_kept.expect("it writes that the container runs") {
            dhow.assert_clean();
            return;
        }
    }
    panic!("it was never kept from writing that the container runs");
}

#[test]
fn the_first_that_ends_ends_a_wait_for_the_first() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "long", "box", "sleep", "1000"]);
    start(&dhow, &["--name", "short", "box", "sh", "-c", "sleep 0.3; exit 7"]);
    let wait =
        |words: &[&str]| dhow.run(&[&["wait", "--exit-first-match"], words].concat()).ok().stdout;

    assert_eq!(wait(&["long", "short"]), "7\n");
    assert_eq!(wait(&["--condition=running", "long", "short"]), "-1\n");
    assert_eq!(wait(&["--ignore", "nobody", "short"]), "7\n");
    assert_eq!(wait(&["--ignore", "nobody"]), "-1\n");
    drop(dhow.run(&["wait", "--exit-first-match", "nobody", "short"]).exits(1).says("nobody"));
    // Who is removed at its end leaves nothing but the word of its monitor.
    start(&dhow, &["--rm", "--name", "fleeting", "box", "sh", "-c", "sleep 0.3; exit 9"]);
    assert_eq!(wait(&["long", "fleeting"]), "9\n");
    drop(dhow.run(&["rm", "-ft0", "long", "short"]).ok());
}
