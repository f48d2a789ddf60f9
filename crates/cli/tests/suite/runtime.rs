//! `dhow runtime`: the OCI runtime by runc's command line.

use crate::fixture::SOON;
use dhow_base::id::random_hex;
use dhow_testkit::{
    Dhow, Outcome, need, needs_root, outcome,
    rootfs::{self, Rootfs},
};
use serde_json::{Value, json};
use std::{fs, path::PathBuf, process::Command};

/// A bundle with busybox, and records in a directory of its own. Containers are deleted at the end.
struct Bundle {
    dhow: Dhow,
    _root: Rootfs,
    path: PathBuf,
    id: String,
}

impl Bundle {
    fn new(command: &[&str]) -> Self {
        let dhow = Dhow::new();
        let root = rootfs::busybox().unwrap();
        let path = dhow.directory().join("bundle");
        fs::create_dir(&path).unwrap();
        let bundle =
            Self { _root: root, path, id: format!("test-{}", random_hex(8).unwrap()), dhow };
        let mut spec: Value = serde_json::from_str(&bundle.run(&["spec"]).ok().stdout).unwrap();
        spec["root"]["path"] = json!(bundle._root.path());
        spec["process"]["args"] = json!(command);
        fs::write(bundle.path.join("config.json"), spec.to_string()).unwrap();
        bundle
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = Command::new(self.dhow.program());
        command.args(["runtime", "--root"]).arg(self.dhow.directory().join("records"));
        command.args(arguments).current_dir(&self.path);
        outcome::run(&mut command, b"", outcome::LIMIT).unwrap()
    }

    fn status(&self) -> Value {
        let state = self.run(&["state", &self.id]).ok();
        serde_json::from_str::<Value>(&state.stdout).unwrap()["status"].clone()
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        drop(self.run(&["delete", "--force", &self.id]));
    }
}

#[test]
fn run_stays_until_the_end_and_its_exit_code_is_the_programs() {
    needs_root!();
    let bundle = Bundle::new(&["sh", "-c", "echo hi; exit 7"]);

    let outcome = bundle.run(&["run", &bundle.id]).exits(7);

    assert_eq!(outcome.stdout, "hi\n");
    assert_eq!(bundle.run(&["list", "-q"]).ok().stdout, "");
}

#[test]
fn a_life_by_hand() {
    needs_root!();
    let bundle = Bundle::new(&["sleep", "100"]);
    let id = bundle.id.as_str();
    // Its streams are those of whoever creates it, so a pipe of ours would stay open.
    let script = format!(
        "{} runtime --root {} create --pid-file pid {id} </dev/null >/dev/null 2>&1",
        bundle.dhow.program().display(),
        bundle.dhow.directory().join("records").display(),
    );
    let mut create = Command::new("sh");
    create.args(["-c", &script]).current_dir(&bundle.path);
    drop(outcome::run(&mut create, b"", outcome::LIMIT).unwrap().ok());

    assert_eq!(bundle.status(), "created");
    drop(bundle.run(&["start", id]).ok());
    assert_eq!(bundle.status(), "running");
    assert_eq!(bundle.run(&["exec", id, "cat", "/proc/1/comm"]).ok().stdout, "sleep\n");
    drop(bundle.run(&["exec", id, "sh", "-c", "exit 4"]).exits(4));
    drop(bundle.run(&["exec", "-u", "5:6", id, "id", "-u"]).ok());
    drop(bundle.run(&["delete", id]).exits(1).says("running"));
    drop(bundle.run(&["kill", id, "KILL"]).ok());
    let stopped = need::eventually(SOON, || (bundle.status() == "stopped").then_some(()));
    assert!(stopped.is_some());
    drop(bundle.run(&["delete", id]).ok());

    assert!(fs::read_to_string(bundle.path.join("pid")).unwrap().parse::<u32>().is_ok());
    drop(bundle.run(&["state", id]).exits(1).says("does not exist"));
}

#[test]
fn errors_go_to_the_log_that_engines_read() {
    let bundle = Bundle::new(&["true"]);

    drop(bundle.run(&["--log", "log", "--log-format", "json", "state", "gone"]).exits(1));

    let line: Value =
        serde_json::from_str(&fs::read_to_string(bundle.path.join("log")).unwrap()).unwrap();
    assert_eq!(line["level"], "error");
    assert!(line["msg"].as_str().unwrap().contains("gone"), "{line}");
}
