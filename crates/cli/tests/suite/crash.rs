//! `kill -9`: the next command names and mends what it left.

use crate::fixture::{SOON, kill_by_name, start, wait_for_output, wait_for_state, with_box};
use dhow_testkit::{need, needs_root};
use rustix::process::{Pid, Signal, kill_process};
use std::process::Stdio;

#[test]
fn a_container_outlives_the_command_that_started_it() {
    needs_root!();
    let dhow = with_box();
    let mut command = dhow.command(&[
        "run",
        "-q",
        "--name",
        "web",
        "box",
        "sh",
        "-c",
        "echo up; sleep 1; echo on; sleep 100",
    ]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    wait_for_output(&dhow, "web", "up");

    child.kill().unwrap();
    child.wait().unwrap();

    wait_for_output(&dhow, "web", "on");
    wait_for_state(&dhow, "web", "running");
    drop(dhow.run(&["rm", "-f", "web"]).ok());
    dhow.assert_clean();
}

#[test]
fn with_rm_it_is_removed_although_the_command_was_killed() {
    needs_root!();
    let dhow = with_box();
    let mut command = dhow.command(&[
        "run",
        "-q",
        "--rm",
        "--name",
        "web",
        "box",
        "sh",
        "-c",
        "echo up; sleep 1",
    ]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    wait_for_output(&dhow, "web", "up");

    child.kill().unwrap();
    child.wait().unwrap();

    let gone = need::eventually(SOON, || dhow.run(&["ps", "-aq"]).stdout.is_empty().then_some(()));
    assert!(gone.is_some());
    dhow.assert_clean();
}

#[test]
fn a_container_without_its_monitor_is_found_and_ended() {
    needs_root!();
    let dhow = with_box();
    let id = start(&dhow, &["--name", "web", "box", "sleep", "100"]);

    kill_by_name(&dhow, &id, "monitor_pid");

    wait_for_state(&dhow, "web", "exited");
    assert_eq!(dhow.run(&["wait", "web"]).ok().stdout, "137\n");
    drop(dhow.run(&["rm", "web"]).ok());
    dhow.assert_clean();
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn a_container_whose_monitor_is_killed_while_it_is_stopped_leaves_nothing() {
    needs_root!();
    let dhow = with_box();
    let script = "trap 'echo asked' TERM; echo ready; while :; do sleep 0.05; done";
    let id = start(&dhow, &["--name", "web", "box", "sh", "-c", script]);
    wait_for_output(&dhow, "web", "ready");
    let mut stop = dhow.command(&["stop", "-t", "60", "web"]).spawn().unwrap();
    wait_for_output(&dhow, "web", "asked");

    kill_by_name(&dhow, &id, "monitor_pid");
    kill_by_name(&dhow, &id, "pid");

    assert!(stop.wait().unwrap().success());
    assert_eq!(dhow.run(&["inspect", "--format", "{{.State.ExitCode}}", "web"]).ok().line(), "137");
    drop(dhow.run(&["rm", "web"]).ok());
    dhow.assert_clean();
}

#[test]
fn a_run_killed_at_any_moment_leaves_nothing_that_is_not_mended() {
    needs_root!();
    let dhow = with_box();
    for delay_us in (0..12_000).step_by(400) {
        let mut command = dhow.command(&["run", "-q", "--rm", "box", "true"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_micros(delay_us));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    let gone = need::eventually(SOON, || dhow.run(&["ps", "-aq"]).stdout.is_empty().then_some(()));

    // What was created and not started has no monitor that could remove it; the user can.
    if gone.is_none() {
        drop(dhow.run(&["rm", "-fa"]).ok());
    }
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    dhow.assert_clean();
    assert_eq!(dhow.run(&["run", "--rm", "-q", "box", "echo", "hi"]).ok().stdout, "hi\n");
}

#[test]
fn a_pause_before_a_restart_that_is_killed_costs_no_life() {
    needs_root!();
    let dhow = with_box();
    let script =
        "test -e /twice && exec sleep 1000; test -e /once && touch /twice; touch /once; exit 1";
    start(&dhow, &["--name", "web", "--restart", "always", "box", "sh", "-c", script]);
    let gone = need::eventually(SOON, || {
        for process in std::fs::read_dir("/proc").unwrap().flatten() {
            let Ok(pid) = process.file_name().to_string_lossy().parse::<i32>() else { continue };
            let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line);
            // The sleeper of this very dhow, whose roots no other has.
            if line.starts_with("dhow-pause") && line.contains(&*dhow.root().to_string_lossy()) {
                let _gone = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
                return Some(());
            }
        }
        None
    });
    assert!(gone.is_some(), "no sleeper was seen");

    // The next command does what the sleeper was to do.
    wait_for_state(&dhow, "web", "running");

    drop(dhow.run(&["rm", "-f", "web"]).ok());
    dhow.assert_clean();
}
