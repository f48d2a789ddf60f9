//! What a container leaves that was to be removed at its end: its monitor takes the files away after the
//! command has gone, and whoever comes later finishes where it did not.

use crate::fixture::{SOON, monitor_of, wait_for_output, with_box};
use dhow_testkit::{Dhow, need, needs_root};
use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{PidfdFlags, Signal, kill_process, pidfd_open},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

/// What is in the directories where containers have files.
fn files(dhow: &Dhow) -> Vec<PathBuf> {
    let names = |path: &Path| -> Vec<PathBuf> {
        fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    let mut found = names(&dhow.root().join("containers"));
    found.extend(names(&dhow.runroot().join("containers")));
    let snapshots = names(&dhow.root().join("snapshots"));
    // A container's has a directory for overlayfs to work in.
    found.extend(snapshots.into_iter().filter(|path| path.join("work").exists()));
    found
}

#[test]
fn the_name_is_free_and_the_container_unknown_when_the_command_ends_and_its_files_go() {
    needs_root!();
    let dhow = with_box();

    for _ in 0..20 {
        drop(dhow.run(&["run", "-q", "--rm", "--name", "web", "box", "true"]).ok());
        assert_eq!(dhow.run(&["ps", "-aq"]).ok().stdout, "");
    }

    assert!(need::eventually(SOON, || files(&dhow).is_empty().then_some(())).is_some());
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    let told = dhow.run(&["events", "--since", "1h", "--until", "0s", "--format", "{{.Action}}"]);
    let of_ends = |word: &str| told.stdout.lines().filter(|line| *line == word).count();
    assert_eq!((of_ends("die"), of_ends("destroy")), (20, 20), "{}", told.stdout);
    dhow.assert_clean();
}

#[test]
fn the_exit_code_is_the_programs_and_so_is_the_events() {
    needs_root!();
    let dhow = with_box();

    let outcome = dhow.run(&["run", "-q", "--rm", "box", "sh", "-c", "exit 7"]);

    assert_eq!(outcome.code, 7);
    let format = "{{.Action}} {{.Attributes.exitCode}}";
    let told = dhow.run(&[
        "events",
        "--since",
        "1h",
        "--until",
        "0s",
        "--filter",
        "event=die",
        "--format",
        format,
    ]);
    assert!(told.stdout.contains('7'), "{}", told.stdout);
}

#[test]
fn what_a_killed_monitor_was_about_to_take_away_the_next_command_does() {
    needs_root!();
    let dhow = with_box();
    let script = "mkdir /many; cd /many; i=0; \
                  while [ $i -lt 3000 ]; do echo $i > $i; i=$((i+1)); done; echo ready; read word";
    let arguments = ["run", "-q", "-i", "--rm", "--name", "web", "box", "sh", "-c", script];
    let mut command = dhow.command(&arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    wait_for_output(&dhow, "web", "ready");
    let monitor = monitor_of(&dhow, "web");
    let handle = pidfd_open(monitor, PidfdFlags::empty()).unwrap();

    drop(child.stdin.take());
    assert!(!child.wait().unwrap().success(), "the input ended");
    // However far it is.
    let _gone = kill_process(monitor, Signal::KILL);
    assert_eq!(poll(&mut [PollFd::new(&handle, PollFlags::IN)], None).unwrap(), 1);

    assert_eq!(dhow.run(&["ps", "-aq"]).ok().stdout, "");
    assert!(files(&dhow).is_empty(), "{:?}", files(&dhow));
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    dhow.assert_clean();
}

#[test]
fn a_command_that_is_killed_after_the_end_leaves_the_container_to_others() {
    needs_root!();
    let dhow = with_box();
    for _ in 0..10 {
        let arguments =
            ["run", "-q", "-i", "--rm", "--name", "web", "box", "sh", "-c", "echo up; cat"];
        let mut command = dhow.command(&arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        wait_for_output(&dhow, "web", "up");
        drop(child.stdin.take());
        child.kill().unwrap();
        child.wait().unwrap();

        let gone = need::eventually(SOON, || {
            dhow.run(&["ps", "-aq"]).ok().stdout.is_empty().then_some(())
        });
        assert!(gone.is_some());
    }
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    dhow.assert_clean();
}

#[test]
fn a_container_with_more_than_files_is_removed_before_the_command_ends() {
    needs_root!();
    let dhow = with_box();

    drop(dhow.run(&["run", "-q", "--rm", "-v", "/data", "box", "touch", "/data/here"]).ok());

    assert_eq!(dhow.run(&["volume", "ls", "-q"]).ok().stdout, "");
    assert!(files(&dhow).is_empty(), "{:?}", files(&dhow));
}
