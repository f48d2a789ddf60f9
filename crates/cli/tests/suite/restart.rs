//! Restart policies, `restart`, `pause` and `unpause`: who lives again, and who does not.

use crate::fixture::{SOON, start, wait_for_output, wait_for_state, with_box};
use dhow_testkit::{Dhow, need, needs_root};
use rustix::process::{Pid, Signal, kill_process};

fn inspect(dhow: &Dhow, container: &str, template: &str) -> String {
    dhow.run(&["inspect", "--format", template, container]).ok().line().to_owned()
}

fn wait_for(dhow: &Dhow, container: &str, template: &str, expected: &str) {
    let there =
        need::eventually(SOON, || (inspect(dhow, container, template) == expected).then_some(()));
    assert!(there.is_some(), "{template} is {}", inspect(dhow, container, template));
}

#[test]
fn who_fails_is_started_again_as_often_as_the_policy_says() {
    needs_root!();
    let dhow = with_box();
    start(
        &dhow,
        &["--name", "web", "--restart", "on-failure:2", "box", "sh", "-c", "echo life; exit 3"],
    );

    wait_for(&dhow, "web", "{{.State.Status}} {{.RestartCount}}", "exited 2");

    assert_eq!(dhow.run(&["logs", "web"]).ok().stdout, "life\nlife\nlife\n");
    assert_eq!(inspect(&dhow, "web", "{{.State.ExitCode}}"), "3");
    let policy =
        "{{.HostConfig.RestartPolicy.Name}}:{{.HostConfig.RestartPolicy.MaximumRetryCount}}";
    assert_eq!(inspect(&dhow, "web", policy), "on-failure:2");
    drop(dhow.run(&["rm", "web"]).ok());
    dhow.assert_clean();
}

#[test]
fn who_succeeds_is_left_alone_by_on_failure() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "--restart", "on-failure", "box", "true"]);

    wait_for(&dhow, "web", "{{.State.Status}} {{.RestartCount}}", "exited 0");
}

#[test]
fn a_stop_is_the_last_word_also_in_the_pause() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "--restart", "always", "box", "false"]);
    // After some quick failures the pauses are long enough to be met.
    wait_for(&dhow, "web", "{{ge .RestartCount 3}}", "true");
    wait_for_state(&dhow, "web", "restarting");
    assert!(dhow.run(&["ps"]).ok().stdout.contains("Restarting (1)"));

    drop(dhow.run(&["stop", "web"]).ok());

    assert_eq!(inspect(&dhow, "web", "{{.State.Status}} {{.State.Running}}"), "exited false");
    let count = inspect(&dhow, "web", "{{.RestartCount}}");
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(inspect(&dhow, "web", "{{.State.Status}}"), "exited");
    assert_eq!(inspect(&dhow, "web", "{{.RestartCount}}"), count);
    drop(dhow.run(&["rm", "web"]).ok());
    dhow.assert_clean();
}

#[test]
fn removal_by_force_ends_a_pause_and_leaves_nothing() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "--restart", "always", "box", "false"]);
    wait_for(&dhow, "web", "{{ge .RestartCount 2}}", "true");

    drop(dhow.run(&["rm", "-f", "web"]).ok());

    dhow.assert_clean();
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn a_program_that_was_killed_from_outside_lives_again_and_one_that_the_user_kills_does_not() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "--restart", "unless-stopped", "box", "sleep", "100"]);
    let pid = inspect(&dhow, "web", "{{.State.Pid}}").parse().unwrap();

    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    wait_for(&dhow, "web", "{{.State.Status}} {{.RestartCount}}", "running 1");
    drop(dhow.run(&["kill", "web"]).ok());

    wait_for_state(&dhow, "web", "exited");
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(inspect(&dhow, "web", "{{.State.Status}}"), "exited");
    drop(dhow.run(&["start", "web"]).ok());
    assert_eq!(inspect(&dhow, "web", "{{.RestartCount}}"), "0", "the user has started it");
}

#[test]
fn a_killed_monitor_or_sleeper_costs_no_life() {
    needs_root!();
    let dhow = with_box();
    let id = start(&dhow, &["--name", "web", "--restart", "always", "box", "sleep", "100"]);
    let started = dhow.runroot().join("containers").join(&id).join("started.json");
    let started: serde_json::Value =
        serde_json::from_slice(&std::fs::read(started).unwrap()).unwrap();
    let monitor = i32::try_from(started["monitor_pid"].as_i64().unwrap()).unwrap();

    kill_process(Pid::from_raw(monitor).unwrap(), Signal::KILL).unwrap();

    wait_for(&dhow, "web", "{{.State.Status}} {{.RestartCount}}", "running 1");
    drop(dhow.run(&["rm", "-f", "web"]).ok());
    dhow.assert_clean();
}

#[test]
fn a_policy_and_rm_refuse_each_other_and_nonsense_is_refused() {
    needs_root!();
    let dhow = with_box();
    let run = |policy: &str| dhow.run(&["run", "--rm", "-q", "--restart", policy, "box", "true"]);

    drop(run("always").exits(125).says("--rm and --restart"));
    drop(run("sometimes").exits(125).says("there is no such policy"));
    drop(run("no").ok());
}

#[test]
fn restart_stops_and_starts() {
    needs_root!();
    let dhow = with_box();
    let script = "trap 'echo bye; exit 0' TERM; echo hi; while :; do sleep 0.1; done";
    start(&dhow, &["--name", "web", "box", "sh", "-c", script]);
    wait_for_output(&dhow, "web", "hi");

    assert_eq!(dhow.run(&["restart", "web"]).ok().stdout, "web\n");

    wait_for_output(&dhow, "web", "hi\nbye\nhi");
    drop(dhow.run(&["stop", "web"]).ok());
    drop(dhow.run(&["restart", "web"]).ok());
    wait_for_state(&dhow, "web", "running");
    drop(dhow.run(&["restart", "gone"]).exits(1).says("gone"));
}

#[test]
fn a_paused_container_stands_still_and_goes_on() {
    needs_root!();
    let dhow = with_box();
    let script = "while :; do echo tick; sleep 0.05; done";
    start(&dhow, &["--name", "web", "box", "sh", "-c", script]);
    wait_for_output(&dhow, "web", "tick");

    drop(dhow.run(&["pause", "web"]).ok());
    assert_eq!(inspect(&dhow, "web", "{{.State.Status}} {{.State.Paused}}"), "paused true");
    assert!(dhow.run(&["ps"]).ok().stdout.contains("(Paused)"));
    drop(dhow.run(&["pause", "web"]).exits(1).says("it is paused"));
    let before = dhow.run(&["logs", "web"]).ok().stdout.len();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(dhow.run(&["logs", "web"]).ok().stdout.len(), before);

    drop(dhow.run(&["unpause", "web"]).ok());
    let grew = need::eventually(SOON, || {
        (dhow.run(&["logs", "web"]).ok().stdout.len() > before).then_some(())
    });
    assert!(grew.is_some());
    drop(dhow.run(&["unpause", "web"]).exits(1).says("it is not paused"));
    drop(dhow.run(&["pause", "--all"]).ok());
    drop(dhow.run(&["stop", "-t", "1", "web"]).ok());
    drop(dhow.run(&["rm", "web"]).ok());
    dhow.assert_clean();
}

#[test]
fn wait_waits_for_what_is_asked() {
    needs_root!();
    let dhow = with_box();
    drop(dhow.run(&["create", "-q", "--name", "job", "box", "sh", "-c", "exit 4"]).ok());

    assert_eq!(dhow.run(&["wait", "--condition", "created", "job"]).ok().stdout, "-1\n");
    let mut command = dhow.command(&["wait", "--condition=exited", "job"]);
    let child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(dhow.run(&["start", "job"]).ok());
    let output = child.wait_with_output().unwrap();

    assert_eq!(String::from_utf8_lossy(&output.stdout), "4\n");
    drop(dhow.run(&["wait", "--condition", "bogus", "job"]).exits(1).says("bogus"));
    assert_eq!(dhow.run(&["wait", "--ignore", "gone"]).ok().stdout, "-1\n");
}
