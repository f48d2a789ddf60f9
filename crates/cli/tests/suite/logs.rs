//! `logs`: what a container printed, while and after it ran.

use crate::fixture::{start, wait_for_output, with_box};
use dhow_testkit::needs_root;

#[test]
fn both_streams_are_kept_apart() {
    needs_root!();
    let dhow = with_box();
    drop(
        dhow.run(&[
            "run",
            "-q",
            "--name",
            "over",
            "box",
            "sh",
            "-c",
            "echo out; echo err >&2; printf end",
        ])
        .ok(),
    );

    let outcome = dhow.run(&["logs", "over"]).ok();

    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("out\nend", "err\n"));
}

#[test]
fn the_end_of_a_log_and_times() {
    needs_root!();
    let dhow = with_box();
    drop(dhow.run(&["run", "-q", "--name", "over", "box", "seq", "100"]).ok());

    assert_eq!(dhow.run(&["logs", "--tail", "2", "over"]).ok().stdout, "99\n100\n");
    assert_eq!(dhow.run(&["logs", "-n", "0", "over"]).ok().stdout, "");
    assert_eq!(dhow.run(&["logs", "--since", "2100-01-01", "over"]).ok().stdout, "");
    assert_eq!(dhow.run(&["logs", "--since", "1h", "over"]).ok().stdout.lines().count(), 100);
    let timed = dhow.run(&["logs", "-t", "-n", "1", "over"]).ok().stdout;
    let (time, text) = timed.trim_end().split_once(' ').unwrap();
    assert!(time.ends_with('Z') && time.len() == 30 && text == "100", "{timed}");
}

#[test]
fn a_log_is_followed_to_the_end() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "box", "sh", "-c", "echo first; sleep 1; echo last"]);

    let outcome = dhow.run(&["logs", "-f", "web"]).ok();

    assert_eq!(outcome.stdout, "first\nlast\n");
}

#[test]
fn output_is_kept_while_no_command_runs() {
    needs_root!();
    let dhow = with_box();
    start(
        &dhow,
        &[
            "--name",
            "web",
            "box",
            "sh",
            "-c",
            "for i in 1 2 3; do echo $i; sleep 0.1; done; sleep 100",
        ],
    );

    wait_for_output(&dhow, "web", "3\n");

    assert_eq!(dhow.run(&["logs", "web"]).ok().stdout, "1\n2\n3\n");
}
