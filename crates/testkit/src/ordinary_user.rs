//! An ordinary user of a test's own: with a home, with ranges of ids, and nothing of anybody else's.
//!
//! Who may map what is said by files that a test may not change. So the user lives in a mount namespace
//! where other files cover them, and `/dev/net/tun` is open to all as it is on a usual machine; with a
//! network of the test's own, if need be. A process that does nothing keeps both, and goes with the value.
//!
//! Dropping it removes all containers, and fails the test where a process or a directory is left.

use crate::{HostNetwork, Outcome, dhow, need, outcome};
use std::{
    fs,
    io::Read,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// How long the last process may stay: it waits some seconds for the next command.
const SETTLING: Duration = Duration::from_secs(30);

/// How many ids a user has besides their own.
pub const RANGE: u32 = 65_536;

/// Programs that a user's containers need.
const TOOLS: [&str; 5] = ["unshare", "nsenter", "setpriv", "newuidmap", "newgidmap"];

/// Which ids a user may give to processes of theirs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ids {
    /// A range of each kind.
    Ranges,
    /// Their own.
    OnlyOwn,
}

/// An ordinary user, and their dhow.
#[derive(Debug)]
pub struct OrdinaryUser {
    uid: u32,
    program: PathBuf,
    home: TempDir,
    keeper: Child,
    host: Option<HostNetwork>,
}

impl OrdinaryUser {
    /// Whether the machine has what it takes; says so where not.
    pub fn is_possible() -> bool {
        let missing = TOOLS.into_iter().find(|name| need::tool(name).is_none());
        match missing {
            _ if !need::root() => need::skip("root"),
            Some(name) => need::skip(name),
            None => return true,
        }
        false
    }

    /// One on the machine's network.
    pub fn new(ids: Ids) -> Self {
        Self::on(None, ids)
    }

    /// One on a network of the test's own.
    pub fn networked(host: HostNetwork) -> Self {
        Self::on(Some(host), Ids::Ranges)
    }

    fn on(host: Option<HostNetwork>, ids: Ids) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        // Each test is a process; a process of many tests has many users.
        let number = std::process::id() % 4000 * 8 + NUMBER.fetch_add(1, Ordering::Relaxed) % 8;
        let uid = 20_000 + number;
        let home = tempfile::Builder::new().prefix("u").tempdir().expect("a directory for a user");
        let at = home.path();
        let first = 1_000_000 + number * RANGE;
        let line = match ids {
            Ids::Ranges => format!("tester:{first}:{RANGE}\n"),
            Ids::OnlyOwn => String::new(),
        };
        fs::set_permissions(at, fs::Permissions::from_mode(0o755)).expect("our own directory");
        for name in ["home", "run", "etc"] {
            fs::create_dir(at.join(name)).expect("an empty directory takes it");
        }
        for name in ["home", "run"] {
            chown(at.join(name), Some(uid), Some(uid)).expect("root gives away");
            let private = fs::Permissions::from_mode(0o700);
            fs::set_permissions(at.join(name), private).expect("our own directory");
        }
        for (name, more) in [
            ("passwd", format!("tester:x:{uid}:{uid}::{}/home:/bin/sh\n", at.display())),
            ("group", format!("tester:x:{uid}:\n")),
        ] {
            let own = fs::read_to_string(Path::new("/etc").join(name)).unwrap_or_default();
            fs::write(at.join("etc").join(name), own + &more).expect("a new file");
        }
        for name in ["subuid", "subgid"] {
            fs::write(at.join("etc").join(name), &line).expect("a new file");
        }
        let keeper = keeper(at);
        Self { uid, program: dhow::program(), home, keeper, host }
    }

    /// The user's number.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The first number that they may give to processes of theirs.
    pub fn first(&self) -> u32 {
        1_000_000 + (self.uid - 20_000) * RANGE
    }

    /// The user's home directory.
    pub fn home(&self) -> PathBuf {
        self.home.path().join("home")
    }

    /// Where what is kept lies.
    pub fn root(&self) -> PathBuf {
        self.home().join(".local/share/dhow")
    }

    /// Where what need not survive a reboot lies.
    pub fn runroot(&self) -> PathBuf {
        self.home.path().join("run/dhow")
    }

    /// The network that the user sees.
    pub fn host(&self) -> &HostNetwork {
        self.host.as_ref().expect("the user is networked")
    }

    /// A program as the user, in their home, who is in a group of their own only.
    pub fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        self.command_as(self.uid, program, arguments)
    }

    /// As [`OrdinaryUser::command`], as another user of the same machine.
    pub fn command_as(&self, uid: u32, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.keeper.id()));
        if let Some(host) = &self.host {
            command.arg(format!("--net={}", host.path().display()));
        }
        let home = self.home();
        let path = need::variable("PATH").unwrap_or_else(|| "/usr/bin:/bin".to_owned());
        command
            .arg(format!("--wd={}", home.display()))
            .args(["--", "setpriv", &format!("--reuid={uid}"), &format!("--regid={uid}")])
            .args(["--clear-groups", "--"])
            .arg(program)
            .args(arguments)
            .env_clear()
            .env("PATH", path)
            .env("HOME", &home)
            .env("XDG_RUNTIME_DIR", self.home.path().join("run"));
        command
    }

    /// Runs a command of dhow's to its end.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with_input(arguments, b"")
    }

    /// The same with something on its standard input.
    pub fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Outcome {
        let mut command = self.command(&self.program, arguments);
        outcome::run(&mut command, input, outcome::LIMIT)
            .unwrap_or_else(|error| panic!("{}", error.one_line()))
    }

    /// Where the binary is.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Processes of the user's, or of those whose numbers they may give.
    pub fn processes(&self) -> Vec<i32> {
        let ids = self.first()..self.first() + RANGE;
        let is_theirs = |uid: u32| uid == self.uid || ids.contains(&uid);
        let entries = fs::read_dir("/proc").expect("a procfs is there").flatten();
        entries
            .filter_map(|entry| {
                let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
                let status = fs::read_to_string(entry.path().join("status")).ok()?;
                let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
                let mut uids = line.split_whitespace().filter_map(|word| word.parse().ok());
                uids.any(is_theirs).then_some(pid)
            })
            .collect()
    }

    /// Waits until no process of the user's is left.
    pub fn wait_until_gone(&self) {
        let gone = need::eventually(SETTLING, || self.processes().is_empty().then_some(()));
        assert!(gone.is_some(), "the user has left behind: {}", self.described());
    }

    fn described(&self) -> String {
        let line = |pid: &i32| {
            let text = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            format!("\n  {pid}: {}", String::from_utf8_lossy(&text).replace('\0', " "))
        };
        self.processes().iter().map(line).collect()
    }

    fn sweep(&self) {
        for pid in self.processes() {
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                // Nobody else on this machine has these numbers.
                let _killed = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
}

/// Keeps the mounts that the user sees.
fn keeper(at: &Path) -> Child {
    let script = format!(
        "set -e; cd {}; for name in etc/*; do mount --bind $name /$name; done
         if [ -c /dev/net/tun ]; then mknod tun c 10 200; chmod 666 tun; mount --bind tun /dev/net/tun; fi
         echo up; exec cat",
        at.display()
    );
    let mut keeper = Command::new("unshare")
        .args(["--mount", "--propagation=private", "--", "sh", "-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("unshare starts");
    let mut said = [0; 3];
    let output = keeper.stdout.as_mut().expect("its output is a pipe");
    output.read_exact(&mut said).expect("the mount namespace is made");
    keeper
}

impl Drop for OrdinaryUser {
    fn drop(&mut self) {
        let used = self.root().join("state.db").exists();
        let removed = used.then(|| {
            let mut command = self.command(&self.program, &["rm", "--force", "--all"]);
            outcome::run(&mut command, b"", outcome::LIMIT)
        });
        let gone = need::eventually(SETTLING, || self.processes().is_empty().then_some(()));
        let left = if gone.is_some() { String::new() } else { self.described() };
        self.sweep();
        let _dead = self.keeper.kill();
        let _reaped = self.keeper.wait();
        if thread::panicking() {
            return;
        }
        match removed {
            Some(Ok(outcome)) => drop(outcome.ok()),
            Some(Err(error)) => panic!("removing all containers: {}", error.one_line()),
            None => {}
        }
        assert!(left.is_empty(), "the user has left behind: {left}");
    }
}
