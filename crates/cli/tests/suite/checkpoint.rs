//! `container checkpoint` and `container restore`, by a CRIU that works on this kernel.

use crate::fixture::{SOON, start, wait_for_state, with_box};
use dhow_testkit::{Dhow, need, needs, needs_root, needs_tool, rootfs};

/// Prints ever larger numbers.
const COUNTER: &str = "i=0; while true; do i=$((i+1)); echo $i; sleep 0.05; done";

/// CRIU, or the end of the test with a word on why there is none.
macro_rules! criu {
    () => {{
        needs_root!();
        needs_tool!("mmdebstrap", "busybox");
        let criu = rootfs::working_criu();
        needs!(criu.is_some(), "a criu that works on this kernel");
        format!("--criu={}", criu.unwrap().to_str().unwrap())
    }};
}

/// The numbers that a counter has printed.
fn numbers(dhow: &Dhow, container: &str) -> Vec<u64> {
    let said = dhow.run(&["logs", container]).ok().stdout;
    said.lines().map(|line| line.trim().parse().unwrap()).collect()
}

/// Waits until the counter is beyond a number.
fn wait_beyond(dhow: &Dhow, container: &str, number: u64) {
    let there = need::eventually(SOON, || {
        numbers(dhow, container).last().is_some_and(|last| *last > number).then_some(())
    });
    assert!(there.is_some(), "{:?}", numbers(dhow, container));
}

#[test]
fn a_container_runs_on_from_its_checkpoint() {
    let criu = criu!();
    let dhow = with_box();
    let run = ["--name", "a", "--restart", "always", "box", "sh", "-c", COUNTER];
    let id = start(&dhow, &run);
    wait_beyond(&dhow, "a", 3);

    assert_eq!(dhow.run(&["container", "checkpoint", &criu, "a"]).ok().line(), id);
    wait_for_state(&dhow, "a", "exited");
    let last = *numbers(&dhow, "a").last().unwrap();
    drop(dhow.run(&["container", "checkpoint", &criu, "a"]).exits(1).says("it is exited"));
    assert_eq!(dhow.run(&["container", "restore", &criu, "--all"]).ok().line(), id);
    wait_beyond(&dhow, "a", last + 3);

    // It has counted on, and nothing twice.
    let all = numbers(&dhow, "a");
    assert!(all.windows(2).all(|pair| pair[1] == pair[0] + 1), "{all:?}");
    assert_eq!(dhow.run(&["exec", "a", "echo", "in"]).ok().stdout, "in\n");
    drop(dhow.run(&["container", "restore", &criu, "a"]).exits(1).says("there is no checkpoint"));
    let events = [
        "events",
        "--since",
        "1h",
        "--until",
        "0s",
        "--filter",
        "container=a",
        "--format",
        "{{.Action}}",
    ];
    let told = dhow.run(&events).ok().stdout;
    assert!(told.contains("checkpoint\n") && told.contains("restore\n"), "{told}");
    drop(dhow.run(&["stop", "-t", "0", "a"]).ok());
    assert_eq!(dhow.run(&["wait", "a"]).ok().line(), "137");
    drop(dhow.run(&["rm", "a"]).ok());
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn a_terminal_and_standard_input_come_back() {
    let criu = criu!();
    let dhow = with_box();
    let script = "echo up; while read line; do echo got $line; done";
    drop(start(&dhow, &["-it", "--name", "a", "box", "sh", "-c", script]));
    drop(start(&dhow, &["-i", "--name", "b", "box", "sh", "-c", script]));
    for name in ["a", "b"] {
        crate::fixture::wait_for_output(&dhow, name, "up");
    }

    drop(dhow.run(&["container", "checkpoint", &criu, "--all"]).ok());
    drop(dhow.run(&["container", "restore", &criu, "a", "b"]).ok());

    let typed = dhow.run_with_input(&["attach", "b"], b"one\n");
    assert!(typed.stdout.contains("got one"), "{typed}");
    wait_for_state(&dhow, "b", "exited");
    wait_for_state(&dhow, "a", "running");
    assert!(dhow.run(&["exec", "a", "ls", "-l", "/proc/1/fd/0"]).ok().stdout.contains("pts"));
    drop(dhow.run(&["rm", "-f", "a", "b"]).ok());
}

#[test]
fn a_container_goes_on_beside_its_checkpoint_which_stays_where_it_is_kept() {
    let criu = criu!();
    let dhow = with_box();
    drop(start(&dhow, &["--name", "a", "box", "sh", "-c", COUNTER]));
    wait_beyond(&dhow, "a", 3);

    drop(dhow.run(&["container", "checkpoint", &criu, "--leave-running", "--keep", "a"]).ok());
    let now = *numbers(&dhow, "a").last().unwrap();
    wait_beyond(&dhow, "a", now + 3);
    drop(dhow.run(&["container", "restore", &criu, "a"]).exits(1).says("it is running"));
    drop(dhow.run(&["stop", "-t", "0", "a"]).ok());
    drop(dhow.run(&["container", "restore", &criu, "--keep", "a"]).ok());
    wait_for_state(&dhow, "a", "running");
    drop(dhow.run(&["stop", "-t", "0", "a"]).ok());
    drop(dhow.run(&["container", "restore", &criu, "a"]).ok());
    drop(dhow.run(&["rm", "-f", "a"]).ok());
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn a_checkpoint_travels_in_a_file() {
    let criu = criu!();
    let dhow = with_box();
    let script = format!("echo mine > /note; rm /etc/passwd; {COUNTER}");
    drop(start(&dhow, &["--name", "a", "-v", "vol:/data", "box", "sh", "-c", &script]));
    wait_beyond(&dhow, "a", 3);

    let export = ["container", "checkpoint", &criu, "--export", "a.tar.zst"];
    let refused = dhow.run(&[&export[..], &["a"]].concat()).exits(1);
    drop(refused.says("its volumes does not go along"));
    drop(dhow.run(&[&export[..], &["--ignore-volumes", "a"]].concat()).ok());
    let last = *numbers(&dhow, "a").last().unwrap();
    drop(dhow.run(&["container", "restore", &criu, "a"]).exits(1).says("there is no checkpoint"));
    let import = ["container", "restore", &criu, "--import", "a.tar.zst"];
    drop(dhow.run(&import).exits(1).says("in use"));
    drop(dhow.run(&[&import[..], &["--name", "b"]].concat()).ok());
    wait_beyond(&dhow, "b", last + 3);

    assert_eq!(numbers(&dhow, "b")[0], last + 1);
    let seen = dhow.run(&["exec", "b", "sh", "-c", "cat /note; test -e /etc/passwd || echo gone"]);
    assert_eq!(seen.ok().stdout, "mine\ngone\n");
    drop(dhow.run(&["rm", "-f", "a", "b"]).ok());
    drop(dhow.run(&["volume", "rm", "vol"]).ok());
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn where_criu_fails_the_container_goes_on_and_the_reason_is_told() {
    needs_root!();
    let dhow = with_box();
    drop(start(&dhow, &["--name", "a", "--restart", "always", "box", "sleep", "100"]));
    drop(start(&dhow, &["--rm", "--name", "b", "box", "sleep", "100"]));

    let refused =
        |words: &[&str]| dhow.run(&[&["container", "checkpoint"], words].concat()).exits(1);
    drop(refused(&["--criu=/nowhere/criu", "a"]).says("it is not installed"));
    drop(refused(&["--criu=/bin/false", "a"]).says("CRIU"));
    drop(refused(&["b"]).says("it is removed at its end"));
    drop(refused(&["--create-image", "x", "a"]).says("--create-image"));
    drop(dhow.run(&["container", "restore", "-i", "/etc/passwd"]).exits(1).says("no checkpoint"));
    drop(refused(&["nobody"]).says("no such container"));
    wait_for_state(&dhow, "a", "running");
    assert_eq!(dhow.run(&["exec", "a", "echo", "in"]).ok().stdout, "in\n");
    drop(dhow.run(&["rm", "-f", "a", "b"]).ok());
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn what_criu_has_counted_is_printed() {
    let criu = criu!();
    let dhow = with_box();
    let id = start(&dhow, &["--name", "a", "box", "sh", "-c", COUNTER]);
    wait_beyond(&dhow, "a", 1);
    let of = |command: &str, whole: &str, runtime: &str| {
        let said = dhow.run(&["container", command, &criu, "--print-stats", "a"]).ok().stdout;
        let document: serde_json::Value = serde_json::from_str(&said).unwrap();
        let container = document["container_statistics"][0].clone();
        assert_eq!(container["Id"], id, "{said}");
        let (all, one) = (document[whole].as_u64().unwrap(), container[runtime].as_u64().unwrap());
        assert!(all >= one && one > 0, "{said}");
        container["criu_statistics"].clone()
    };

    let dumped = of("checkpoint", "podman_checkpoint_duration", "runtime_checkpoint_duration");
    assert!(dumped["frozen_time"].as_u64() > Some(0), "{dumped}");
    assert!(dumped["pages_written"].as_u64() > Some(0), "{dumped}");
    let restored = of("restore", "podman_restore_duration", "runtime_restore_duration");
    assert!(restored["restore_time"].as_u64() > Some(0), "{restored}");
    assert!(restored["pages_restored"].as_u64() > Some(0), "{restored}");
    drop(dhow.run(&["rm", "-f", "a"]).ok());
}

#[test]
fn open_connections_are_taken_along_or_closed() {
    let criu = criu!();
    let dhow = with_box();
    let script = "nc -l -p 99 -e sleep 1000 & while ! grep -q ':0063 .* 0A ' /proc/net/tcp*; do sleep 0.05; done; \
                  echo up; nc 127.0.0.1 99; echo closed; exec sleep 1000";
    drop(start(&dhow, &["-i", "--network", "none", "--name", "a", "box", "sh", "-c", script]));
    crate::fixture::wait_for_output(&dhow, "a", "up");
    let connected = need::eventually(SOON, || {
        let seen = dhow.run(&["exec", "a", "sh", "-c", "grep -c ':0063 01 ' /proc/net/tcp"]);
        (seen.stdout.trim() == "1").then_some(())
    });
    assert!(connected.is_some());

    let refused = dhow.run(&["container", "checkpoint", &criu, "a"]).exits(1);
    assert!(refused.stderr.contains("tcp"), "{}", refused.stderr);
    drop(dhow.run(&["container", "checkpoint", &criu, "--tcp-established", "a"]).ok());
    drop(dhow.run(&["container", "restore", &criu, "--keep", "--tcp-established", "a"]).ok());
    let seen = dhow.run(&["exec", "a", "sh", "-c", "grep -c ':0063 01 ' /proc/net/tcp"]).ok();
    assert_eq!(seen.line(), "1", "the connection goes on");
    drop(dhow.run(&["kill", "a"]).ok());
    wait_for_state(&dhow, "a", "exited");
    drop(dhow.run(&["container", "restore", &criu, "--tcp-close", "a"]).ok());
    crate::fixture::wait_for_output(&dhow, "a", "closed");
    let both = ["container", "restore", "--tcp-close", "--tcp-established", "a"];
    drop(dhow.run(&both).exits(125).says("does not go with"));
    drop(dhow.run(&["rm", "-f", "a"]).ok());
}
