//! The runtime's own records: a container's whole life by commands that each end.

use crate::bundle::Bundle;
use dhow_testkit::{
    needs_root,
    outcome::{self, Outcome},
};
use std::{process::Command, time::Duration};

/// One command of the record's life.
fn shelf(bundle: &Bundle, words: &[&str]) -> Outcome {
    let mut command = Command::new(crate::bundle::driver());
    command.arg("shelf").arg(bundle.directory().join("state")).args(words);
    // A container keeps the streams of its creator, so these go to files.
    let output = std::fs::File::options()
        .create(true)
        .append(true)
        .open(bundle.directory().join("output"))
        .unwrap();
    if words[0] == "create" {
        let status = command
            .stdin(std::process::Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .status()
            .unwrap();
        return Outcome {
            command: words.join(" "),
            code: status.code().unwrap(),
            stdout: String::new(),
            stderr: std::fs::read_to_string(bundle.directory().join("output")).unwrap(),
            bytes: Vec::new(),
            took: Duration::ZERO,
        };
    }
    outcome::run(&mut command, b"", Duration::from_secs(9)).unwrap()
}

#[test]
fn a_container_is_created_started_killed_and_deleted_by_separate_commands() {
    needs_root!();
    let mut bundle = Bundle::new();
    bundle.process().args = ["sh", "-c", "echo up; exec sleep 60"].map(str::to_owned).to_vec();
    bundle.write();
    let (id, path) = (bundle.id.clone(), bundle.directory().to_str().unwrap().to_owned());

    drop(shelf(&bundle, &["create", &id, &path]).ok());
    assert_eq!(shelf(&bundle, &["state", &id]).ok().line(), "created");
    drop(
        shelf(&bundle, &["create", &id, &path])
            .exits(125)
            .says("container with given ID already exists"),
    );
    drop(shelf(&bundle, &["start", &id]).ok());
    assert_eq!(shelf(&bundle, &["state", &id]).ok().line(), "running");
    drop(shelf(&bundle, &["start", &id]).exits(125).says("already running"));
    drop(shelf(&bundle, &["delete", &id]).exits(125).says("not stopped: running"));
    assert_eq!(shelf(&bundle, &["list"]).ok().line(), format!("{id} running"));
    drop(shelf(&bundle, &["kill", &id]).ok());
    dhow_testkit::need::eventually(Duration::from_secs(5), || {
        (shelf(&bundle, &["state", &id]).line() == "stopped").then_some(())
    })
    .unwrap();
    drop(shelf(&bundle, &["delete", &id]).ok());
    drop(shelf(&bundle, &["state", &id]).exits(125).says("does not exist"));
    let output = std::fs::read_to_string(bundle.directory().join("output")).unwrap();
    assert!(output.contains("up\n"), "{output}");
}

#[test]
fn a_creation_that_fails_leaves_no_record() {
    needs_root!();
    let mut bundle = Bundle::new();
    bundle.process().args = vec!["nope".to_owned()];
    bundle.write();
    let (id, path) = (bundle.id.clone(), bundle.directory().to_str().unwrap().to_owned());

    drop(shelf(&bundle, &["create", &id, &path]).exits(127).says("executable file not found"));

    drop(shelf(&bundle, &["state", &id]).exits(125).says("does not exist"));
    assert_eq!(shelf(&bundle, &["list"]).ok().line(), "");
}

#[test]
fn an_id_is_never_a_path() {
    needs_root!();
    let bundle = Bundle::new();

    for id in ["..", "a/b", "", "a b"] {
        drop(shelf(&bundle, &["state", id]).exits(125).says("invalid container ID format"));
    }
}
