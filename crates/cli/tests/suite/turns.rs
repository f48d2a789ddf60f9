//! One life of a container ends before the next one begins, however slow somebody is at it.

use crate::fixture::{SOON, start, wait_for_state, with_box};
use dhow_base::lock::{Lock, Sharing};
use dhow_testkit::{Dhow, need, needs_root};
use rustix::process::{Pid, Signal, kill_process};
use std::{fs, process::Stdio, time::Duration};

/// The processes whose command line has all these words.
fn processes_with(words: &[&str]) -> Vec<i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let has_words = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        words.iter().all(|word| line.split('\0').any(|one| one == *word))
    };
    pids.filter(has_words).collect()
}

/// Whether a process waits for a lock.
fn waits_for_a_lock(pid: i32) -> bool {
    let locks = fs::read_to_string("/proc/locks").unwrap();
    locks.lines().any(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        words.get(1) == Some(&"->") && words.get(5) == Some(&pid.to_string().as_str())
    })
}

fn namespace_in(dhow: &Dhow, container: &str) -> String {
    dhow.run(&["exec", container, "readlink", "/proc/self/ns/net"]).ok().line().to_owned()
}

#[test]
fn who_ends_a_life_and_sleeps_over_it_takes_nothing_from_the_next_one() {
    needs_root!();
    let dhow = with_box();
    drop(dhow.run(&["pod", "create", "--name", "web"]).ok());
    let id = start(&dhow, &["--pod", "web", "--name", "a", "box", "sleep", "1000"]);
    // Its end comes as far as to what the pod shares, and is stopped there.
    let pods = Lock::acquire(&dhow.runroot().join("locks/pods"), Sharing::Exclusive).unwrap();
    drop(dhow.run(&["kill", "a"]).ok());
    let cleanup = need::eventually(SOON, || {
        let pids = processes_with(&["cleanup", &id]);
        pids.into_iter().find(|pid| waits_for_a_lock(*pid))
    });
    let cleanup = Pid::from_raw(cleanup.expect("the end waits for the lock")).unwrap();
    kill_process(cleanup, Signal::STOP).unwrap();
    // Who has stopped waits for the lock no longer, and so does not get it.
    let is_stopped = || {
        let status = fs::read_to_string(format!("/proc/{}/status", cleanup.as_raw_pid())).ok()?;
        status.contains("State:\tT").then_some(())
    };
    need::eventually(SOON, is_stopped).expect("it stops");
    drop(pods);

    let mut starts = dhow.command(&["start", "a"]);
    let mut starts = starts.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // That something does not happen cannot be waited for.
    std::thread::sleep(Duration::from_millis(300));
    let has_overtaken = starts.try_wait().unwrap().is_some();
    kill_process(cleanup, Signal::CONT).unwrap();
    let status = starts.wait().unwrap();

    assert!(!has_overtaken && status.success(), "{status}, overtaken: {has_overtaken}");
    wait_for_state(&dhow, "a", "running");
    start(&dhow, &["--pod", "web", "--name", "b", "box", "sleep", "1000"]);
    assert_eq!(namespace_in(&dhow, "a"), namespace_in(&dhow, "b"));
    drop(dhow.run(&["pod", "rm", "-f", "web"]).ok());
    dhow.assert_clean();
}

#[test]
fn a_start_waits_for_its_turn_and_finds_what_was_started_meanwhile() {
    needs_root!();
    let dhow = with_box();
    let id = start(&dhow, &["--name", "a", "box", "sleep", "1000"]);
    drop(dhow.run(&["stop", "-t", "0", "a"]).ok());
    let directory = dhow.root().join("containers").join(&id);
    let turn = Lock::acquire_directory_within(&directory, SOON).unwrap().unwrap();

    let begin = || {
        let mut command = dhow.command(&["start", "a"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut starts = [begin(), begin(), begin()];
    std::thread::sleep(Duration::from_millis(100));
    let overtaken = starts.iter_mut().filter_map(|one| one.try_wait().unwrap()).count();
    drop(turn);

    assert_eq!(overtaken, 0);
    for start in &mut starts {
        assert!(start.wait().unwrap().success());
    }
    wait_for_state(&dhow, "a", "running");
    drop(dhow.run(&["rm", "-f", "a"]).ok());
    dhow.assert_clean();
}
