//! `--init`, `--timeout`: what keeps a program, and for how long.

use crate::fixture::{SOON, start, wait_for_output, with_box};
use dhow_testkit::{need, needs_root};
use std::time::Duration;

#[test]
fn an_init_runs_before_the_program_reaps_and_forwards() {
    needs_root!();
    let dhow = with_box();
    let script = "trap 'echo bye; exit 5' TERM; (sleep 0.2 & exec true) & echo ready $$; \
                  while :; do sleep 0.1; done";
    start(&dhow, &["--name", "web", "--init", "box", "sh", "-c", script]);
    wait_for_output(&dhow, "web", "ready");
    assert!(!dhow.run(&["logs", "web"]).ok().stdout.contains("ready 1\n"));

    let first = dhow.run(&["exec", "web", "cat", "/proc/1/comm"]).ok().stdout;
    let reaped = need::eventually(SOON, || {
        let processes = dhow.run(&["exec", "web", "ps", "-o", "stat,comm"]).ok().stdout;
        (!processes.lines().any(|line| line.trim_start().starts_with('Z'))).then_some(())
    });
    drop(dhow.run(&["stop", "web"]).ok());

    assert_eq!(first, "dhow-init\n");
    assert!(reaped.is_some());
    assert_eq!(dhow.run(&["wait", "web"]).ok().stdout, "5\n");
    assert!(dhow.run(&["logs", "web"]).ok().stdout.ends_with("bye\n"));
    drop(dhow.run(&["rm", "web"]).ok());
    dhow.assert_clean();
}

#[test]
fn the_exit_code_is_the_programs_also_with_an_init() {
    needs_root!();
    let dhow = with_box();
    let run = |words: &[&str]| dhow.run(&[&["run", "--rm", "-q", "--init", "box"], words].concat());

    drop(run(&["sh", "-c", "exit 7"]).exits(7));
    drop(run(&["sh", "-c", "kill -9 $$"]).exits(137));
    drop(run(&["no-such-program"]).exits(127).says("no-such-program"));
    drop(run(&["/etc"]).exits(126));
}

#[test]
fn an_init_of_the_hosts_can_be_used() {
    needs_root!();
    let dhow = with_box();
    let run = |path: &str| {
        dhow.run(&["run", "--rm", "-q", "--init", "--init-path", path, "box", "echo", "hi"])
    };
    let program = dhow.program().to_str().unwrap().to_owned();

    assert_eq!(run(&program).ok().stdout, "hi\n");
    drop(run("/nowhere/init").exits(125).says("/nowhere/init"));
}

#[test]
fn a_program_whose_time_is_over_is_killed() {
    needs_root!();
    let dhow = with_box();

    let outcome = dhow.run(&["run", "--rm", "-q", "--timeout", "1", "box", "sleep", "100"]);

    let outcome = outcome.exits(137);
    assert!(outcome.took >= Duration::from_millis(900), "{:?}", outcome.took);
    drop(dhow.run(&["run", "--rm", "-q", "--timeout", "60", "box", "true"]).ok());
}
