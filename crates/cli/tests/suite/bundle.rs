//! A bundle with busybox, and a runtime to run it: ours by the name that engines use, or the one
//! that `RUNTIME` names, so that these tests can be tried on runc and crun too.
//!
//! Records lie in a directory of the test's own. At the end the container is deleted, and whatever
//! of it is left then fails the test.

use dhow_base::id::random_hex;
use dhow_testkit::{
    Dhow, Outcome, Terminal, need, outcome,
    rootfs::{self, Rootfs},
};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

/// What hides the version 2 tree beside version 1's hierarchies, which other runtimes refuse.
const FIRST_ONLY: &str = "! mountpoint -q /sys/fs/cgroup/unified || umount /sys/fs/cgroup/unified \
    || exit 99; exec \"$0\" \"$@\"";

/// A container to be, and its bundle.
pub(crate) struct Bundle {
    pub(crate) dhow: Dhow,
    pub(crate) path: PathBuf,
    pub(crate) id: String,
    program: PathBuf,
    is_ours: bool,
    _root: Rootfs,
}

impl Bundle {
    /// A bundle whose process has these arguments and no terminal.
    pub(crate) fn new(arguments: &[&str]) -> Self {
        let dhow = Dhow::new();
        let root = rootfs::busybox().unwrap();
        let path = dhow.directory().join("bundle");
        fs::create_dir(&path).unwrap();
        let link = dhow.directory().join("dhow-runtime");
        symlink(dhow.program(), &link).unwrap();
        let foreign = need::variable("RUNTIME").map(PathBuf::from);
        let is_ours = foreign.is_none();
        let program = foreign.unwrap_or(link);
        let id = format!("test-{}", random_hex(8).unwrap());
        let bundle = Self { dhow, path, id, program, is_ours, _root: root };
        drop(bundle.run(&["spec"]).ok());
        bundle.change(|config| {
            config["process"]["args"] = json!(arguments);
            config["process"]["terminal"] = json!(false);
            config["root"]["path"] = json!(bundle._root.path());
        });
        bundle
    }

    /// Whether it is our runtime that is tried.
    pub(crate) fn is_ours(&self) -> bool {
        self.is_ours
    }

    /// Changes `config.json`.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Value)) {
        let file = self.path.join("config.json");
        let mut config: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        change(&mut config);
        fs::write(file, config.to_string()).unwrap();
    }

    /// Where the records are.
    pub(crate) fn records(&self) -> PathBuf {
        self.dhow.directory().join("records")
    }

    /// A command of the runtime, in the bundle's directory.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = if self.is_ours {
            Command::new(&self.program)
        } else {
            let mut command = Command::new("unshare");
            command.args(["--mount", "sh", "-c", FIRST_ONLY]).arg(&self.program);
            command
        };
        command.arg("--root").arg(self.records()).args(words).current_dir(&self.path);
        for name in ["NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "XDG_RUNTIME_DIR"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, words: &[&str]) -> Outcome {
        outcome::run(&mut self.command(words), b"", outcome::LIMIT).unwrap()
    }

    /// Runs a command on a terminal.
    pub(crate) fn terminal(&self, words: &[&str]) -> Terminal {
        Terminal::start(&self.command(words)).unwrap()
    }

    /// Runs a command whose streams a container keeps, so that they are files: a pipe would stay
    /// open. What it said is in the outcome all the same.
    pub(crate) fn run_detached(&self, words: &[&str]) -> Outcome {
        self.finish_detached(self.command(words))
    }

    /// As [`Bundle::run_detached`], with a command that was changed.
    pub(crate) fn finish_detached(&self, command: Command) -> Outcome {
        let said = |name: &str| self.dhow.directory().join(name);
        let file = |name: &str| {
            fs::write(said(name), "").unwrap();
            fs::OpenOptions::new().append(true).open(said(name)).unwrap()
        };
        fs::write(said("in"), "").unwrap();
        let mut command = command;
        let status = command
            .stdin(File::open(said("in")).unwrap())
            .stdout(file("out"))
            .stderr(Stdio::from(file("err")))
            .status()
            .unwrap();
        let bytes = fs::read(said("out")).unwrap();
        Outcome {
            command: format!("{command:?}"),
            code: status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&bytes).into_owned(),
            stderr: String::from_utf8_lossy(&fs::read(said("err")).unwrap()).into_owned(),
            bytes,
            took: std::time::Duration::ZERO,
        }
    }

    /// What the container has printed by now, where it was created by the last detached command.
    pub(crate) fn printed(&self) -> String {
        fs::read_to_string(self.dhow.directory().join("out")).unwrap_or_default()
    }

    /// Creates the container.
    pub(crate) fn create(&self) {
        drop(self.run_detached(&["create", &self.id]).ok());
    }

    /// Creates and starts it.
    pub(crate) fn start(&self) {
        self.create();
        drop(self.run(&["start", &self.id]).ok());
    }

    /// What `state` prints.
    pub(crate) fn state(&self) -> Value {
        serde_json::from_str(&self.run(&["state", &self.id]).ok().stdout).unwrap()
    }

    /// Where in its life it is.
    pub(crate) fn status(&self) -> String {
        self.state()["status"].as_str().unwrap().to_owned()
    }

    /// Waits until it is somewhere in its life.
    pub(crate) fn wait_for(&self, status: &str) {
        let there =
            need::eventually(crate::fixture::SOON, || (self.status() == status).then_some(()));
        assert!(there.is_some(), "it is {}, not {status}", self.status());
    }

    /// Whether anything of the container is left.
    pub(crate) fn leftovers(&self) -> Vec<PathBuf> {
        let mut found = vec![self.records().join(&self.id)];
        let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
        for hierarchy in hierarchies {
            found.push(hierarchy.path().join("dhow").join(&self.id));
            found.push(hierarchy.path().join(&self.id));
        }
        found.retain(|at| Path::exists(at));
        found
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let deleted = self.run(&["delete", "--force", &self.id]);
        let leftovers = self.leftovers();
        if !thread::panicking() && self.is_ours {
            drop(deleted.ok());
            assert!(leftovers.is_empty(), "left behind: {leftovers:?}");
        }
    }
}
