//! A bundle of a test's own: a busybox root and the default configuration. When it drops, it looks
//! for what a container may have left: cgroups, mounts, processes.

use dhow_spec::{
    Mount,
    runtime::{Capabilities, DEFAULT_CAPABILITIES, Process, Root, Spec, default_spec},
};
use dhow_testkit::{
    outcome::{self, Outcome},
    rootfs::{self, Rootfs},
};
use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(30);

/// A bundle.
pub(crate) struct Bundle {
    /// What becomes `config.json`.
    pub(crate) spec: Spec,
    pub(crate) id: String,
    directory: TempDir,
    root: Rootfs,
}

impl Bundle {
    /// A bundle with docker's defaults, its seccomp filter too.
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let root = rootfs::busybox().unwrap();
        let mut spec = default_spec();
        spec.root = Some(Root { path: root.path().to_owned(), readonly: false });
        spec.hostname = Some("inside".to_owned());
        spec.process = Some(Process {
            cwd: "/".to_owned(),
            env: vec!["PATH=/bin".to_owned()],
            capabilities: Some(Capabilities::of_root(&DEFAULT_CAPABILITIES)),
            ..Process::default()
        });
        Self {
            spec,
            id: format!("dhow-test-{}-{number}", std::process::id()),
            directory: tempfile::tempdir().unwrap(),
            root,
        }
    }

    /// The process, to change it.
    pub(crate) fn process(&mut self) -> &mut Process {
        self.spec.process.as_mut().unwrap()
    }

    /// The container's root as the host sees it.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// A directory of the host's that belongs to the test.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Runs a shell script in the container, to its end.
    pub(crate) fn sh(&mut self, script: &str) -> Outcome {
        self.run(&["sh", "-c", script])
    }

    /// Runs a command in the container, to its end.
    pub(crate) fn run(&mut self, args: &[&str]) -> Outcome {
        let mut command = self.command("run", args);
        outcome::run(&mut command, b"", LIMIT).unwrap()
    }

    /// Runs a shell script in the container from a mount namespace of its own, in which `setup` has
    /// run before: what that mounts goes with it. `setup` finds the command that runs the container
    /// in `"$@"`, and does that itself where it mentions it.
    pub(crate) fn sh_within(&mut self, setup: &str, script: &str) -> Outcome {
        let inner = self.command("run", &["sh", "-c", script]);
        let end = if setup.contains("\"$@\"") { "" } else { "\nexec \"$@\"" };
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-ec"]);
        command.arg(format!("{setup}{end}")).arg("sh").arg(inner.get_program());
        command.args(inner.get_args()).current_dir(self.directory());
        outcome::run(&mut command, b"", LIMIT).unwrap()
    }

    /// Makes root and configuration readable for everybody, and the root `uid`'s own.
    pub(crate) fn give_to(&self, uid: u32) {
        use std::os::unix::fs::PermissionsExt;
        for directory in [self.directory(), self.root().parent().unwrap()] {
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(directory, mode).unwrap();
        }
        std::os::unix::fs::chown(self.root(), Some(uid), Some(uid)).unwrap();
    }

    /// Gives the container's root all that a test of mounts needs inside: rights and no filter.
    pub(crate) fn may_mount(&mut self) {
        let names: Vec<&str> =
            DEFAULT_CAPABILITIES.iter().copied().chain(["CAP_SYS_ADMIN"]).collect();
        self.process().capabilities = Some(Capabilities::of_root(&names));
        self.spec.linux.as_mut().unwrap().seccomp = None;
    }

    /// Runs a shell script in the container, as an ordinary user of the host's.
    pub(crate) fn run_as(&mut self, uid: u32, script: &str) -> Outcome {
        let inner = self.command("run", &["sh", "-c", script]);
        let mut command = Command::new("setpriv");
        command.arg(format!("--reuid={uid}")).arg(format!("--regid={uid}")).arg("--clear-groups");
        command.arg(inner.get_program()).args(inner.get_args());
        outcome::run(&mut command, b"", LIMIT).unwrap()
    }

    /// Creates a container that waits for its start.
    pub(crate) fn hold(&mut self, args: &[&str]) -> Held {
        let mut child = self
            .command("hold", args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let pid = line.trim().strip_prefix("created ").and_then(|pid| pid.parse().ok());
        let pid = pid.unwrap_or_else(|| panic!("{line:?}: {:?}", child.wait_with_output_now()));
        Held { pid, child, output }
    }

    /// Runs one more process in the container whose first process is `pid`.
    pub(crate) fn exec(&self, pid: i32, args: &[&str]) -> Outcome {
        let mut command = Command::new(driver());
        command
            .args(["sealed", "exec", &self.id])
            .arg(self.directory())
            .arg(pid.to_string())
            .args(args);
        outcome::run(&mut command, b"", LIMIT).unwrap()
    }

    fn command(&mut self, verb: &str, args: &[&str]) -> Command {
        self.process().args = args.iter().map(|&word| word.to_owned()).collect();
        self.write();
        let mut command = Command::new(driver());
        command.args([verb, &self.id]).arg(self.directory());
        command
    }

    /// Uses this mount as the root filesystem.
    pub(crate) fn mount_as_root(&self, mount: &Mount) {
        let text = serde_json::to_vec(mount).unwrap();
        std::fs::write(self.directory().join("mount.json"), text).unwrap();
    }

    /// Writes `config.json` as it is now.
    pub(crate) fn write(&self) {
        let text = serde_json::to_vec(&self.spec).unwrap();
        std::fs::write(self.directory().join("config.json"), text).unwrap();
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let root = self.root().to_str().unwrap().to_owned();
        assert!(!mounts.contains(&root), "a mount is left in the host: {mounts}");
        for hierarchy in std::fs::read_dir("/sys/fs/cgroup").unwrap() {
            let left = hierarchy.unwrap().path().join("dhow").join(&self.id);
            assert!(!left.exists(), "the cgroup {} is left", left.display());
        }
        let needle = self.directory.path().to_str().unwrap().to_owned();
        for process in std::fs::read_dir("/proc").unwrap() {
            let file = process.unwrap().path().join("cmdline");
            let line = std::fs::read(file).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).into_owned();
            assert!(!line.contains(&needle), "a process is left: {line:?}");
        }
    }
}

/// A container that is created, and waits.
pub(crate) struct Held {
    pub(crate) pid: i32,
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Held {
    /// Starts it.
    pub(crate) fn start(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Kills the first process.
    pub(crate) fn kill(&self) {
        let pid = rustix::process::Pid::from_raw(self.pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }

    /// Waits for the end; the exit code, and what was said.
    pub(crate) fn end(mut self) -> (i32, String) {
        let mut said = String::new();
        if let Some(mut errors) = self.child.stderr.take() {
            std::io::Read::read_to_string(&mut errors, &mut said).unwrap();
        }
        (self.child.wait().unwrap().code().unwrap_or(-1), said)
    }
}

trait WaitNow {
    fn wait_with_output_now(&mut self) -> String;
}

impl WaitNow for Child {
    fn wait_with_output_now(&mut self) -> String {
        let mut said = String::new();
        if let Some(mut errors) = self.stderr.take() {
            std::io::Read::read_to_string(&mut errors, &mut said).unwrap();
        }
        self.wait().unwrap();
        said
    }
}

/// The program that calls the library: built beside the tests, as all examples are.
pub(crate) fn driver() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let built = own.parent().and_then(Path::parent).unwrap();
    built.join("examples/bundle")
}
