//! What the tests stand on: a cgroup of each test's own, and shells that wait before they begin.

use dhow_base::id::random_hex;
use dhow_cgroup::{Cgroup, Hierarchies, Layout, Location};
use dhow_spec::runtime::Resources;
use rustix::process::Pid;
use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
};

/// A cgroup of the test's own; nothing of it is left when it goes.
pub(crate) struct Ground {
    pub(crate) hierarchies: Hierarchies,
    pub(crate) name: String,
}

impl Ground {
    pub(crate) fn new() -> Self {
        let name = format!("dhow-test-{}", random_hex(6).unwrap());
        Self { hierarchies: Hierarchies::detect().unwrap(), name }
    }

    /// Whether the machine has these controllers, in whatever version.
    pub(crate) fn has(&self, controllers: &[&str]) -> bool {
        let there = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
        controllers.iter().all(|wanted| {
            if self.is_unified() {
                there.split_whitespace().any(|controller| controller == *wanted)
            } else {
                Path::new("/sys/fs/cgroup").join(wanted).join("tasks").exists()
            }
        })
    }

    /// The text of a file of the cgroup: `controller/file` of version 1, or one of version 2.
    pub(crate) fn file(&self, legacy: &str, unified: &str) -> String {
        let own = Path::new(&self.name).join("c");
        let path = match legacy.split_once('/') {
            Some((controller, file)) if !self.is_unified() => {
                Path::new("/sys/fs/cgroup").join(controller).join(own).join(file)
            }
            _ => Path::new("/sys/fs/cgroup").join(own).join(unified),
        };
        fs::read_to_string(&path).unwrap().trim().to_owned()
    }

    pub(crate) fn location(&self, below: &str) -> Location {
        Location::new(Some(&format!("/{}/{below}", self.name)), "/dhow", "unused").unwrap()
    }

    pub(crate) fn create(&self, resources: &Resources) -> dhow_base::Result<Cgroup> {
        Cgroup::create(&self.hierarchies, &self.location("c"), resources)
    }

    pub(crate) fn is_unified(&self) -> bool {
        self.hierarchies.layout() == Layout::Unified
    }

    /// The directories of the ground, one a hierarchy, that are there.
    pub(crate) fn directories(&self) -> Vec<PathBuf> {
        let roots: Vec<PathBuf> = if self.is_unified() {
            vec!["/sys/fs/cgroup".into()]
        } else {
            let listed = fs::read_dir("/sys/fs/cgroup").unwrap().map(|entry| entry.unwrap().path());
            listed.filter(|path| path.join("cgroup.procs").exists()).collect()
        };
        roots.into_iter().map(|root| root.join(&self.name)).filter(|path| path.is_dir()).collect()
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let whole = Location::new(Some(&self.name), "/dhow", "unused").unwrap();
        if let Ok(cgroup) = Cgroup::open(&self.hierarchies, &whole) {
            cgroup.kill_all().unwrap();
            cgroup.delete().unwrap();
        }
    }
}

/// A shell that begins when it is told to, so that it is in its cgroup by then.
pub(crate) struct Shell {
    pub(crate) child: Child,
    stdin: Option<ChildStdin>,
}

impl Shell {
    pub(crate) fn new(script: &str) -> Self {
        let mut child = Command::new("sh")
            .args(["-c", &format!("read go; {script}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        Self { child, stdin }
    }

    pub(crate) fn within(cgroup: &Cgroup, script: &str) -> Self {
        let shell = Self::new(script);
        cgroup.add(shell.pid()).unwrap();
        shell
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn go(&mut self) {
        self.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    /// Lets it begin and gives what it printed until it ended.
    pub(crate) fn output(mut self) -> String {
        self.go();
        let mut text = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        drop(self.child.kill());
        self.child.wait().unwrap();
    }
}
