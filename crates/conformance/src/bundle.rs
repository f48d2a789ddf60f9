//! A bundle of a test's own: configuration, root, and the one container that is made from it.
//!
//! # Life
//!
//! `new` makes a directory with a busybox root, the probe in it, and a place for the runtime's
//! records. `run`, or `create` and `call`, write the configuration as it is then. Dropping it
//! deletes the container by the runtime, and then looks for what should be gone: what is found is
//! removed, and fails the test of our own runtime.

use crate::{
    config,
    runtime::{Name, Place, Runtime},
};
use dhow_base::id::random_hex;
use dhow_testkit::{
    need,
    outcome::{self, Outcome},
    rootfs::{self, Rootfs},
};
use serde_json::{Value, json};
use std::{
    fs::{self, OpenOptions, Permissions},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// How long a command of a runtime may take. Two cores may be shared by many.
const LIMIT: Duration = Duration::from_secs(60);

/// How long what is being cleaned up may stay.
const SETTLING: Duration = Duration::from_secs(8);

/// How long to wait for what comes soon.
pub const SOON: Duration = Duration::from_secs(30);

/// A bundle and its container.
#[derive(Debug)]
pub struct Bundle<'a> {
    runtime: &'a Runtime,
    home: TempDir,
    root: Rootfs,
    id: String,
    /// What becomes `config.json`.
    pub config: Value,
    /// A shell script that runs before each of the runtime's commands, in their mount namespace.
    pub before: String,
    /// More namespaces of which those commands get new ones, as options of unshare(1).
    pub apart: Vec<&'static str>,
    /// The ordinary user whose commands they are, and the copy of the runtime that is within reach.
    user: Option<(u32, PathBuf)>,
}

impl<'a> Bundle<'a> {
    /// A bundle with the basic configuration.
    pub fn new(runtime: &'a Runtime, probe: &str) -> Self {
        let home = tempfile::Builder::new().prefix("c").tempdir().expect("a directory");
        // Whoever is root inside by a mapping must be able to reach the bundle.
        open_for_all(home.path());
        let root = rootfs::busybox().unwrap_or_else(|error| panic!("{}", error.one_line()));
        open_for_all(root.path().parent().expect("it lies in a temporary directory"));
        fs::copy(probe, root.path().join("bin/probe")).expect("a copy of the probe");
        let mut config = config::basic();
        config["root"]["path"] = json!(root.path());
        let id = format!("conformance-{}", random_hex(6).expect("random bytes"));
        config["linux"]["cgroupsPath"] = json!(format!("/{id}"));
        Self {
            runtime,
            home,
            root,
            id,
            config,
            before: String::new(),
            apart: Vec::new(),
            user: None,
        }
    }

    /// The container's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The container's root as the host sees it.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// A directory of the host's that belongs to the test; it is the bundle too.
    pub fn directory(&self) -> &Path {
        self.home.path()
    }

    /// Sets a value of the configuration by its pointer.
    pub fn set(&mut self, pointer: &str, value: Value) -> &mut Self {
        config::set(&mut self.config, pointer, value);
        self
    }

    /// Sets what runs.
    pub fn args(&mut self, args: &[&str]) -> &mut Self {
        self.set("/process/args", json!(args))
    }

    /// Sets a shell script as what runs.
    pub fn script(&mut self, script: &str) -> &mut Self {
        self.args(&["sh", "-c", script])
    }

    /// Adds a mount.
    pub fn mount(&mut self, mount: Value) -> &mut Self {
        self.config["mounts"].as_array_mut().expect("a list").push(mount);
        self
    }

    /// Adds a mount of one of the host's directories or files.
    pub fn bind(&mut self, source: &Path, destination: &str, options: &[&str]) -> &mut Self {
        let mount = json!({
            "destination": destination, "type": "bind", "source": source, "options": options,
        });
        self.mount(mount)
    }

    /// Sets or replaces a namespace; `null` as the path makes a new one.
    pub fn namespace(&mut self, kind: &str, path: Value) -> &mut Self {
        self.without_namespace(kind);
        let list = self.config["linux"]["namespaces"].as_array_mut().expect("a list");
        let mut entry = json!({"type": kind});
        if !path.is_null() {
            entry["path"] = path;
        }
        list.push(entry);
        self
    }

    /// Takes a namespace out, so that the container stays in the runtime's.
    pub fn without_namespace(&mut self, kind: &str) -> &mut Self {
        let list = self.config["linux"]["namespaces"].as_array_mut().expect("a list");
        list.retain(|entry| entry["type"] != kind);
        self
    }

    /// Runs a container to its end.
    pub fn run(&self) -> Outcome {
        self.run_under(&[])
    }

    /// Runs a container to its end, with global options before the command.
    pub fn run_under(&self, globals: &[&str]) -> Outcome {
        self.write();
        let shown = self.shown();
        self.call(&[globals, &["run", "--bundle", &shown, &self.id]].concat())
    }

    /// Runs the probe and returns what it saw.
    pub fn see(&mut self) -> Value {
        self.see_files(&[])
    }

    /// Runs the probe, which looks at these files too.
    pub fn see_files(&mut self, files: &[&str]) -> Value {
        let mut words = vec!["probe"];
        words.extend(files);
        self.args(&words);
        let outcome = self.run().ok();
        parse(&outcome.stdout)
    }

    /// Creates the container. What it prints goes to a file, since it outlives the command.
    pub fn create(&self) -> Outcome {
        self.create_with(&[])
    }

    /// Creates the container with more options.
    pub fn create_with(&self, options: &[&str]) -> Outcome {
        self.write();
        let shown = self.shown();
        let mut words = vec!["create", "--bundle", &shown];
        words.extend(options);
        words.push(&self.id);
        self.detached(&words)
    }

    /// Creates and starts the container, and does not wait for its end.
    pub fn start_detached(&self) {
        drop(self.create().ok());
        drop(self.call(&["start", &self.id]).ok());
    }

    /// Runs a command of the runtime whose streams the container keeps: they are files.
    pub fn detached(&self, words: &[&str]) -> Outcome {
        let open = |name: &str| {
            let mut options = OpenOptions::new();
            options.read(true).append(true).create(true).mode(0o666);
            options.open(self.home.path().join(name)).expect("a file for a stream")
        };
        let command = self.command(words);
        // The runner hands pipes to what it starts; the shell in between puts files there.
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "exec \"$@\" <in >out 2>err", "sh"])
            .arg(command.get_program())
            .args(command.get_args())
            .current_dir(self.home.path());
        drop((open("in"), open("out"), open("err")));
        let mut outcome = run(&mut shell);
        outcome.stdout = self.printed();
        outcome.stderr = fs::read_to_string(self.home.path().join("err")).unwrap_or_default();
        outcome
    }

    /// What a container that was not waited for has printed so far.
    pub fn printed(&self) -> String {
        fs::read_to_string(self.home.path().join("out")).unwrap_or_default()
    }

    /// Waits until such a container has printed a text.
    pub fn wait_for(&self, text: &str) -> String {
        let printed =
            need::eventually(SOON, || Some(self.printed()).filter(|it| it.contains(text)));
        printed.unwrap_or_else(|| panic!("{text:?} was not printed: {:?}", self.printed()))
    }

    /// Runs a command of the runtime to its end.
    pub fn call(&self, words: &[&str]) -> Outcome {
        let mut command = self.command(words);
        command.current_dir(self.home.path()).stdin(Stdio::piped());
        run(&mut command)
    }

    /// Gives the bundle and its root to an ordinary user, who then calls the runtime.
    pub fn give_to(&mut self, uid: u32) -> &mut Self {
        // The tests' own directories may be closed to others.
        let copy = self.home.path().join(self.runtime.file_name());
        fs::copy(self.runtime.program(), &copy).expect("a copy of the runtime");
        for path in [self.home.path(), self.root.path()] {
            std::os::unix::fs::chown(path, Some(uid), Some(uid)).expect("it is ours to give");
        }
        self.user = Some((uid, copy));
        self
    }

    fn command(&self, words: &[&str]) -> Command {
        let as_user = self.user.as_ref().map(|(uid, copy)| (*uid, copy.as_path()));
        let place = Place { before: &self.before, apart: &self.apart, as_user };
        self.runtime.command(&self.records(), place, words)
    }

    /// What `state` says.
    pub fn state(&self) -> Value {
        parse(&self.call(&["state", &self.id]).ok().stdout)
    }

    /// Panics unless the runtime refuses to make this container, and leaves nothing of it.
    pub fn refused(&self) -> Outcome {
        let outcome = self.run();
        assert_ne!(outcome.code, 0, "it was not refused: {outcome}");
        assert_ne!(outcome.stderr.trim(), "", "nothing was said: {outcome}");
        self.assert_clean();
        outcome
    }

    /// Waits until the state is this one.
    pub fn wait_until(&self, status: &str) {
        let mut last = Value::Null;
        let reached = need::eventually(SOON, || {
            last = self.state()["status"].clone();
            (last == status).then_some(())
        });
        assert!(reached.is_some(), "the container is {last}, not {status}");
    }

    /// The number of the container's first process.
    pub fn pid(&self) -> i64 {
        self.state()["pid"].as_i64().expect("a running container has a pid")
    }

    /// Its cgroups, by name in each hierarchy.
    pub fn cgroups(&self) -> Vec<PathBuf> {
        let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
        let mut found: Vec<PathBuf> =
            hierarchies.map(|hierarchy| hierarchy.path().join(&self.id)).collect();
        found.push(Path::new("/sys/fs/cgroup").join(&self.id));
        found.retain(|at| at.is_dir());
        found.sort();
        found
    }

    /// What a container that is deleted should not have left.
    pub fn leftovers(&self) -> Vec<String> {
        let mut found: Vec<String> =
            self.cgroups().iter().map(|at| format!("cgroup {}", at.display())).collect();
        let records = fs::read_dir(self.records().join(&self.id));
        found.extend(records.is_ok().then(|| "records".to_owned()));
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let ours = |line: &&str| {
            [self.root(), self.directory()].iter().any(|at| line.contains(&*at.to_string_lossy()))
        };
        found.extend(table.lines().filter(ours).map(|line| format!("mount {line}")));
        found.extend(self.processes().iter().map(|pid| format!("process {pid}")));
        found
    }

    /// Panics unless nothing of the container is there, or goes within a moment.
    pub fn assert_clean(&self) {
        let clean = need::eventually(SETTLING, || self.leftovers().is_empty().then_some(()));
        assert!(clean.is_some(), "left behind: {:?}", self.leftovers());
    }

    /// Processes whose root, or one of whose words, lies in this bundle.
    fn processes(&self) -> Vec<i32> {
        let ours = |at: &Path| at.starts_with(self.root()) || at.starts_with(self.directory());
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        let all = fs::read_dir("/proc").into_iter().flatten().flatten();
        let numbered =
            all.filter_map(|it| Some((it.file_name().to_str()?.parse().ok()?, it.path())));
        numbered
            .filter(|(pid, at)| {
                let words = fs::read(at.join("cmdline")).unwrap_or_default();
                *pid != own
                    && (["root", "cwd"]
                        .iter()
                        .any(|link| fs::read_link(at.join(link)).is_ok_and(|to| ours(&to)))
                        || String::from_utf8_lossy(&words).contains(&self.id))
            })
            .map(|(pid, _)| pid)
            .collect()
    }

    fn records(&self) -> PathBuf {
        self.home.path().join("records")
    }

    fn shown(&self) -> String {
        self.home.path().display().to_string()
    }

    fn write(&self) {
        let path = self.home.path().join("config.json");
        fs::write(path, self.config.to_string()).expect("the bundle is writable");
    }

    fn sweep(&self) {
        for pid in self.processes().into_iter().filter_map(rustix::process::Pid::from_raw) {
            let _killed = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        for cgroup in self.cgroups() {
            need::eventually(Duration::from_secs(2), || fs::remove_dir(&cgroup).ok());
        }
    }
}

impl Drop for Bundle<'_> {
    fn drop(&mut self) {
        if self.records().join(&self.id).exists() {
            // A frozen process dies only when it is let go.
            drop(self.call(&["resume", &self.id]));
            drop(self.call(&["delete", "--force", &self.id]));
        }
        let clean =
            need::eventually(Duration::from_secs(5), || self.leftovers().is_empty().then_some(()));
        let left = if clean.is_some() { Vec::new() } else { self.leftovers() };
        self.sweep();
        let strict = self.runtime.name() == Name::Dhow && !thread::panicking();
        assert!(!strict || left.is_empty(), "left behind: {left:?}");
    }
}

fn run(command: &mut Command) -> Outcome {
    let outcome = outcome::run(command, b"", LIMIT);
    let outcome = outcome.unwrap_or_else(|error| panic!("{}", error.one_line()));
    assert_ne!(outcome.code, 99, "the place for the command could not be made: {outcome}");
    outcome
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text:?}"))
}

fn open_for_all(path: &Path) {
    fs::set_permissions(path, Permissions::from_mode(0o755)).expect("it is ours");
}
