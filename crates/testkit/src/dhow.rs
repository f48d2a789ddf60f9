//! The built `dhow` with a root of its own, and the proof that a test left nothing behind.
//!
//! # Life
//!
//! `new` makes a directory that holds dhow's `--root`, its `--runroot` and a home without anybody's
//! credentials. Dropping it removes all containers with `dhow rm --force --all` and then looks for
//! what should be gone: mounts, processes, cgroups, directories of containers. What is found is
//! removed and fails the test.

use crate::{HostNetwork, Outcome, Terminal, need, outcome};
use std::{
    cell::RefCell,
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// How long what a command leaves may take to go away by itself.
const SETTLING: Duration = Duration::from_secs(5);

/// What would let the machine's own configuration and credentials into a test.
const FOREIGN: [&str; 18] = [
    "CONTAINERS_REGISTRIES_CONF",
    "DHOW_ROOT",
    "DHOW_RUNROOT",
    "DHOW_STORAGE_DRIVER",
    "DOCKER_CONFIG",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_COLOR",
    "NO_PROXY",
    "REGISTRY_AUTH_FILE",
    "SSL_CERT_FILE",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// A private dhow.
#[derive(Debug)]
pub struct Dhow {
    program: PathBuf,
    home: TempDir,
    /// The machine's network as its commands see it; the real one where there is none.
    host: Option<HostNetwork>,
    /// Ids of containers that were ever seen, to look for their cgroups.
    ids: RefCell<BTreeSet<String>>,
}

impl Dhow {
    /// A dhow without images and containers.
    #[expect(clippy::new_without_default, reason = "it makes directories")]
    pub fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    /// As [`Dhow::new`], with everything below a directory of the test's choice, such as a
    /// [`Disk`](crate::Disk) that is soon full.
    pub fn below(directory: &Path) -> Self {
        // The name is short because sockets lie below it, and their paths end at 108 bytes.
        let home = tempfile::Builder::new().prefix("d").tempdir_in(directory);
        let home = home.expect("a directory for a private dhow");
        for name in ["lib", "run", "home"] {
            fs::create_dir(home.path().join(name)).expect("an empty directory takes it");
        }
        // A test that says nothing of networks must not change those of the machine.
        let configuration = home.path().join("override.conf");
        fs::write(configuration, "[containers]\nnetns = \"none\"\n").expect("a new file");
        Self { program: program(), home, host: None, ids: RefCell::default() }
    }

    /// A dhow whose commands see a machine's network of their own, in which there is a loopback only;
    /// containers of it get bridges as they would on a machine.
    pub fn networked() -> Self {
        let mut dhow = Self::new();
        dhow.host = Some(HostNetwork::new());
        fs::write(dhow.override_file(), "").expect("a file that is there");
        dhow
    }

    /// The machine's network of a [networked](Dhow::networked) dhow.
    pub fn host(&self) -> &HostNetwork {
        self.host.as_ref().expect("the dhow is networked")
    }

    /// Has the program find this in containers.conf.
    pub fn configure(&self, text: &str) {
        fs::write(self.override_file(), text).expect("a file that can be written");
    }

    fn override_file(&self) -> PathBuf {
        self.home.path().join("override.conf")
    }

    /// The program, on its machine's network.
    fn start_of(&self, program: &Path) -> Command {
        match &self.host {
            Some(host) => host.command(program),
            None => Command::new(program),
        }
    }

    /// Where the binary is.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// A directory for the test's own files; it goes with this value.
    pub fn directory(&self) -> &Path {
        self.home.path()
    }

    /// What `--root` names.
    pub fn root(&self) -> PathBuf {
        self.home.path().join("lib")
    }

    /// What `--runroot` names.
    pub fn runroot(&self) -> PathBuf {
        self.home.path().join("run")
    }

    /// A command with the private roots, for tests that set more than arguments.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.start_of(&self.program);
        command
            .arg("--root")
            .arg(self.root())
            .arg("--runroot")
            .arg(self.runroot())
            .args(arguments)
            .current_dir(self.directory())
            .env("HOME", self.home.path().join("home"))
            .env("CONTAINERS_CONF_OVERRIDE", self.override_file());
        for name in FOREIGN {
            command.env_remove(name);
        }
        command
    }

    /// A shell that is to be given a script, on the same machine's network.
    pub fn shell(&self) -> Command {
        let mut shell = self.start_of(Path::new("sh"));
        shell.env("CONTAINERS_CONF_OVERRIDE", self.override_file());
        shell
    }

    /// Runs the program to its end under another name, such as `skopeo`. The private roots are in its
    /// environment, since its flags may be others.
    pub fn run_as(&self, name: &str, arguments: &[&str]) -> Outcome {
        let link = self.directory().join(name);
        if !link.exists() {
            std::os::unix::fs::symlink(&self.program, &link)
                .unwrap_or_else(|error| panic!("link {}: {error}", link.display()));
        }
        let mut command = self.start_of(&link);
        command
            .args(arguments)
            .current_dir(self.directory())
            .env("CONTAINERS_CONF_OVERRIDE", self.override_file())
            .env("DHOW_ROOT", self.root())
            .env("DHOW_RUNROOT", self.runroot())
            .env("HOME", self.directory());
        self.finish(&mut command, b"")
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with_input(arguments, b"")
    }

    /// Runs a command to its end with something on its standard input.
    pub fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Outcome {
        self.finish(&mut self.command(arguments), input)
    }

    /// Runs a command made with [`Dhow::command`] to its end.
    pub fn finish(&self, command: &mut Command, input: &[u8]) -> Outcome {
        let outcome = outcome::run(command, input, outcome::LIMIT)
            .unwrap_or_else(|error| panic!("{}", error.one_line()));
        self.remember(&outcome.stdout);
        outcome
    }

    /// Runs a command on a terminal.
    pub fn terminal(&self, arguments: &[&str]) -> Terminal {
        Terminal::start(&self.command(arguments))
            .unwrap_or_else(|error| panic!("{}", error.one_line()))
    }

    /// What should not be there once all containers are removed, one line each.
    pub fn leftovers(&self) -> Vec<String> {
        let mut found = Vec::new();
        let home = self.home.path();
        found.extend(mounts_below(home).iter().map(|at| format!("mount {}", at.display())));
        found.extend(
            processes_in(home).iter().map(|pid| format!("process {pid}: {}", name_of(*pid))),
        );
        found.extend(self.cgroups().iter().map(|at| format!("cgroup {}", at.display())));
        for directory in [self.root(), self.runroot()] {
            let kept = children(&directory.join("containers"));
            found.extend(kept.iter().map(|at| format!("directory {}", at.display())));
        }
        found
    }

    /// Panics unless everything of the removed containers is gone, or goes within a moment.
    pub fn assert_clean(&self) {
        let clean = need::eventually(SETTLING, || self.leftovers().is_empty().then_some(()));
        assert!(clean.is_some(), "dhow left behind:\n  {}", self.leftovers().join("\n  "));
    }

    fn remember(&self, printed: &str) {
        let mut ids = self.ids.borrow_mut();
        ids.extend(printed.split_whitespace().filter(|word| is_id(word)).map(str::to_owned));
        for at in children(&self.root().join("containers")) {
            let name = at.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if is_id(&name) {
                ids.insert(name);
            }
        }
    }

    fn cgroups(&self) -> Vec<PathBuf> {
        let ids = self.ids.borrow();
        let mut found = Vec::new();
        if !ids.is_empty() {
            let named = |name: &str| ids.iter().any(|id| name.contains(id.as_str()));
            cgroups_named(Path::new("/sys/fs/cgroup"), 8, &named, &mut found);
        }
        found
    }

    /// Takes away what was found, so that one failed test does not spoil the next.
    fn sweep(&self) {
        for pid in processes_in(self.home.path()) {
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                // Only processes that hold files of this private directory are meant.
                let _killed = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        thread::sleep(Duration::from_millis(50));
        for at in mounts_below(self.home.path()) {
            let _unmounted = rustix::mount::unmount(&at, rustix::mount::UnmountFlags::DETACH);
        }
        for at in self.cgroups() {
            drop(fs::remove_dir(at));
        }
    }
}

impl Drop for Dhow {
    fn drop(&mut self) {
        self.remember("");
        let used = self.root().join("state.db").exists();
        let removed = used.then(|| {
            let mut command = self.command(&["rm", "--force", "--all"]);
            outcome::run(&mut command, b"", outcome::LIMIT)
        });
        let clean = need::eventually(SETTLING, || self.leftovers().is_empty().then_some(()));
        let leftovers = if clean.is_some() { Vec::new() } else { self.leftovers() };
        self.sweep();
        if thread::panicking() {
            return;
        }
        match removed {
            Some(Ok(outcome)) => drop(outcome.ok()),
            Some(Err(error)) => panic!("removing all containers: {}", error.one_line()),
            None => {}
        }
        assert!(leftovers.is_empty(), "dhow left behind:\n  {}", leftovers.join("\n  "));
    }
}

/// The binary that `DHOW_BIN` names, else the one that was built beside the running test.
///
/// Panics where there is none: the suite runs against the real binary or not at all.
pub fn program() -> PathBuf {
    let named = need::variable("DHOW_BIN").map(PathBuf::from);
    let program = named.or_else(|| {
        // <target>/<triple>/release/deps/<test>
        let test = std::env::current_exe().ok()?;
        Some(test.parent()?.parent()?.join("dhow"))
    });
    let program = program.expect("a test knows where it is");
    assert!(
        program.is_file(),
        "there is no {}; build it with `cargo build --release` or name it in DHOW_BIN",
        program.display()
    );
    program
}

fn is_id(word: &str) -> bool {
    word.len() == 64 && word.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn children(directory: &Path) -> Vec<PathBuf> {
    let Ok(list) = fs::read_dir(directory) else { return Vec::new() };
    list.filter_map(|child| Some(child.ok()?.path())).collect()
}

/// Mount points below `directory` in our mount namespace, deepest first.
fn mounts_below(directory: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split(' ').nth(4)).map(unescape);
    let mut points: Vec<PathBuf> = points.filter(|point| point.starts_with(directory)).collect();
    points.reverse();
    points
}

/// Space, tab, newline and backslash are octal in the mount table.
fn unescape(text: &str) -> PathBuf {
    let plain = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    plain.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to)).into()
}

/// Processes other than ours that name `directory` on their command line, hold a file in it, or
/// live in another mount namespace where something of it is mounted.
fn processes_in(directory: &Path) -> Vec<i32> {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let home = mount_namespace(Path::new("/proc/self"));
    let pids = children(Path::new("/proc")).into_iter().filter_map(|at| {
        let pid: i32 = at.file_name()?.to_str()?.parse().ok()?;
        Some((pid, at))
    });
    pids.filter(|(pid, at)| *pid != own && belongs_to(at, directory, home)).map(|p| p.0).collect()
}

fn belongs_to(process: &Path, directory: &Path, home: Option<u64>) -> bool {
    let text = directory.to_string_lossy();
    let names_it = |file: &str| {
        let bytes = fs::read(process.join(file)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).contains(text.as_ref())
    };
    let leads_there = |link: PathBuf| fs::read_link(link).is_ok_and(|at| at.starts_with(directory));
    names_it("cmdline")
        || ["cwd", "root", "exe"].iter().any(|link| leads_there(process.join(link)))
        || children(&process.join("fd")).into_iter().any(leads_there)
        || (mount_namespace(process) != home && names_it("mountinfo"))
}

fn mount_namespace(process: &Path) -> Option<u64> {
    Some(fs::metadata(process.join("ns/mnt")).ok()?.ino())
}

fn name_of(pid: i32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

/// Deepest first, so that they can be removed in this order.
fn cgroups_named(at: &Path, depth: u32, named: &dyn Fn(&str) -> bool, found: &mut Vec<PathBuf>) {
    for child in children(at).into_iter().filter(|child| child.is_dir()) {
        if depth > 0 {
            cgroups_named(&child, depth - 1, named, found);
        }
        if child.file_name().is_some_and(|name| named(&name.to_string_lossy())) {
            found.push(child);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::needs_root;

    #[test]
    fn a_process_that_holds_a_file_of_the_directory_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let mut child =
            Command::new("sleep").arg("60").current_dir(directory.path()).spawn().unwrap();

        let found = processes_in(directory.path());
        child.kill().unwrap();
        child.wait().unwrap();

        assert_eq!(found, [i32::try_from(child.id()).unwrap()]);
        assert!(processes_in(directory.path()).is_empty());
    }

    #[test]
    fn a_mount_below_the_directory_is_found() {
        needs_root!();
        let directory = tempfile::tempdir().unwrap();
        let point = directory.path().join("a b");
        fs::create_dir(&point).unwrap();
        rustix::mount::mount("none", &point, "tmpfs", rustix::mount::MountFlags::empty(), None)
            .unwrap();

        let found = mounts_below(directory.path());
        rustix::mount::unmount(&point, rustix::mount::UnmountFlags::DETACH).unwrap();

        assert_eq!(found, [point]);
    }
}
