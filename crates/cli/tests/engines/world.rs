//! A world for engines: namespaces and cgroups of its own, gone with everything in it at the end.
//!
//! ```text
//!   test ──stdin──▶ keeper (sh)                     outlives the test by its clean-up only
//!                     └─ unshare ─▶ init (sh)       PID 1 of the world: reaps, and waits
//!   test ── sh, nsenter ──────────▶ engines, daemons, containers
//! ```
//!
//! The world has its own `/run`, one more tmpfs for the engines' storage, a network with a loopback,
//! and on version 1 a group in each hierarchy that looks like its root from inside. The unified tree
//! of a hybrid layout is unmounted there, since peers refuse it. When the test closes the keeper's
//! input, or dies, the keeper thaws what is frozen, kills PID 1 and with it all others, and removes
//! the groups. So nothing is left even where the test was killed.

use dhow_base::id::random_hex;
use dhow_testkit::{Outcome, Terminal, need, outcome};
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// How long the world may take to begin and to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long what containers leave may take to go away.
const SETTLING: Duration = Duration::from_secs(15);

/// Joins the groups, makes the world, says the number of `unshare`, and cleans up after it.
const KEEPER: &str = r#"
init=$1; lib=$2; shift 2
for at; do echo $$ >"$at/cgroup.procs" || exit 1; done
unshare --mount --propagation private --pid --fork --kill-child --mount-proc --cgroup --net \
    --ipc --uts sh -c "$init" init "$lib" </dev/null &
unshare=$!
echo $unshare
# The groups must not hold the keeper when they are removed.
for at; do echo $$ >"${at%/*}/cgroup.procs"; done
cat >/dev/null
for at; do
    find "$at" -name freezer.state | while read -r state; do echo THAWED >"$state"; done
done
kill -KILL $unshare
wait $unshare 2>/dev/null
for at; do
    for again in 1 2 3 4 5 6 7 8 9 10; do
        find "$at" -depth -type d -exec rmdir {} + 2>/dev/null
        [ -d "$at" ] || break
        sleep 0.1
    done
    [ ! -d "$at" ] || echo "cannot remove $at" >&2
done
"#;

/// Mounts, says that all is ready, and reaps for ever.
const INIT: &str = r#"
set -e
mount -t tmpfs -o mode=755 run /run
mount -t tmpfs -o mode=755 lib "$1"
mkdir /run/lock
ip link set lo up
! mountpoint -q /sys/fs/cgroup/unified || umount /sys/fs/cgroup/unified
sed -n 's|^[^ ]* [^ ]* [^ ]* [^ ]* \(/sys/fs/cgroup/[^ ]*\) .* - cgroup [^ ]* rw,\(.*\)$|\1 \2|p' \
    /proc/self/mountinfo >/run/hierarchies
while read -r at options; do
    umount "$at"
    mount -t cgroup -o "$options" cgroup "$at"
done </run/hierarchies
rm /run/hierarchies
echo ready
while :; do sleep 1000; done
"#;

/// The world, and the way into it.
#[derive(Debug)]
pub(crate) struct World {
    keeper: Child,
    /// What `nsenter` takes its namespaces from.
    unshare: String,
    groups: Vec<PathBuf>,
    home: TempDir,
}

impl World {
    /// Makes one.
    pub(crate) fn new() -> Self {
        let home = tempfile::Builder::new().prefix("e").tempdir().unwrap();
        let lib = home.path().join("lib");
        fs::create_dir(&lib).unwrap();
        let groups = make_groups(&format!("dhow-engines-{}", random_hex(8).unwrap()));
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper", INIT])
            .arg(&lib)
            .args(&groups)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A runner that kills the test's group must not keep the clean-up from happening.
            .process_group(0)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(keeper.stdout.take().unwrap()).lines().map_while(Result::ok);
        let unshare = lines.next().unwrap_or_default();
        let ready = lines.next();
        let world = Self { keeper, unshare, groups, home };
        assert_eq!(ready.as_deref(), Some("ready"), "{}", world.end().1);
        world
    }

    /// A directory that is the same inside and outside, for images, profiles and links.
    pub(crate) fn shared(&self) -> &Path {
        self.home.path()
    }

    /// A directory for storage, which exists inside only.
    pub(crate) fn lib(&self) -> PathBuf {
        self.home.path().join("lib")
    }

    /// A command in the world.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        // The shell joins the groups, so that the cgroups that an engine reads of itself make sense.
        let script = "n=$1; shift; for at; do shift; [ \"$at\" = -- ] && break; \
                      echo $$ >\"$at/cgroup.procs\"; done; \
                      exec nsenter --mount=/proc/$n/ns/mnt --pid=/proc/$n/ns/pid_for_children \
                      --cgroup=/proc/$n/ns/cgroup --net=/proc/$n/ns/net --ipc=/proc/$n/ns/ipc \
                      --uts=/proc/$n/ns/uts -- \"$@\"";
        let mut command = Command::new("sh");
        command
            .args(["-c", script, "enter", &self.unshare])
            .args(&self.groups)
            .arg("--")
            .args(words)
            .current_dir("/")
            .env("HOME", self.home.path())
            .env_remove("DOCKER_HOST")
            .env_remove("CONTAINER_HOST")
            .env_remove("XDG_RUNTIME_DIR");
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, words: &[&str]) -> Outcome {
        self.run_with_input(words, b"")
    }

    /// Runs a command to its end with something on its standard input.
    pub(crate) fn run_with_input(&self, words: &[&str], input: &[u8]) -> Outcome {
        finish(&mut self.command(words), words, input)
    }

    /// Runs a command on a terminal.
    pub(crate) fn terminal(&self, words: &[&str]) -> Terminal {
        Terminal::start(&self.command(words)).unwrap()
    }

    /// Starts a daemon that lives until the world ends; its output goes to a file.
    pub(crate) fn daemon(&self, words: &[&str]) -> Daemon {
        let log = self.home.path().join("daemon.log");
        let file = fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let child = self
            .command(words)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        Daemon { child, log }
    }

    /// Waits until no process and no group of a container is left but those that `may_stay`.
    pub(crate) fn assert_clean(&self, may_stay: impl Fn(&str) -> bool) {
        let left = || {
            let mut left = self.processes();
            left.extend(self.groups_of_containers());
            left.retain(|line| !may_stay(line));
            left
        };
        let clean = need::eventually(SETTLING, || left().is_empty().then_some(()));
        assert!(clean.is_some(), "something is left:\n  {}", left().join("\n  "));
    }

    /// The processes of the world but for its PID 1 and those that look, as command lines.
    fn processes(&self) -> Vec<String> {
        let listed = self.run(&["ps", "-e", "-o", "pid=,ppid=,args="]).ok();
        let lines = listed.stdout.lines().map(str::trim).filter(|line| {
            let mut words = line.split_whitespace();
            let (pid, parent) = (words.next(), words.next());
            let own = pid == Some("1") || (parent == Some("1") && line.ends_with("sleep 1000"));
            !own && !line.ends_with("ps -e -o pid=,ppid=,args=")
        });
        lines.map(str::to_owned).collect()
    }

    /// The groups below the world's own that are named after a container's id.
    fn groups_of_containers(&self) -> Vec<String> {
        let mut found = Vec::new();
        for group in &self.groups {
            containers_below(group, &mut found);
        }
        found
    }

    /// Ends it; returns whether that went well, and what the keeper said.
    fn end(mut self) -> (bool, String) {
        self.finish()
    }

    fn finish(&mut self) -> (bool, String) {
        drop(self.keeper.stdin.take());
        let ended = need::eventually(PATIENCE, || self.keeper.try_wait().ok().flatten());
        if ended.is_none() {
            // Only our own child is killed, and it is reaped at once.
            drop(self.keeper.kill());
            drop(self.keeper.wait());
        }
        let mut said = String::new();
        if let Some(mut stderr) = self.keeper.stderr.take() {
            drop(stderr.read_to_string(&mut said));
        }
        let left: Vec<_> = self.groups.iter().filter(|group| group.exists()).collect();
        (ended.is_some() && left.is_empty(), format!("{said}{left:?}"))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let (well, said) = self.finish();
        assert!(well || thread::panicking(), "the world did not end: {said}");
    }
}

/// A daemon in the world; it is killed with the value, and with the world at the latest.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Waits until `ready` answers with true.
    pub(crate) fn wait_until(&mut self, mut ready: impl FnMut() -> bool) {
        let there = need::eventually(PATIENCE, || {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("the daemon ended with {status}:\n{}", self.log());
            }
            ready().then_some(())
        });
        assert!(there.is_some(), "the daemon does not answer:\n{}", self.log());
    }

    /// All that it said.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // This is nsenter, whose child goes on; the world's end takes that one.
        drop(self.child.kill());
        drop(self.child.wait());
        if thread::panicking() {
            let log = self.log();
            let serious = log.lines().filter(|line| !line.contains("level=info"));
            println!("the daemon said:\n{}", serious.collect::<Vec<_>>().join("\n"));
        }
    }
}

fn finish(command: &mut Command, words: &[&str], input: &[u8]) -> Outcome {
    let mut outcome = outcome::run(command, input, outcome::LIMIT)
        .unwrap_or_else(|error| panic!("{}: {}", words.join(" "), error.one_line()));
    outcome.command = words.join(" ");
    outcome
}

/// One group in each hierarchy of version 1. On a pure version 2 there is none: processes may not
/// be in the parent of a group that hands out controllers, so engines work from where they are.
fn make_groups(name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir("/sys/fs/cgroup").map(|entries| entries.flatten().collect());
    let hierarchies: Vec<fs::DirEntry> = entries.unwrap_or_default();
    let mut groups = Vec::new();
    for hierarchy in hierarchies.iter().map(fs::DirEntry::path) {
        let first = hierarchy.join("cgroup.procs").exists()
            && !hierarchy.join("cgroup.controllers").exists()
            && !hierarchy.is_symlink();
        if first {
            let group = hierarchy.join(name);
            fs::create_dir(&group).unwrap();
            // A new group of cpuset may run nowhere.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if let Ok(value) = fs::read(hierarchy.join(file)) {
                    fs::write(group.join(file), value).unwrap();
                }
            }
            groups.push(group);
        }
    }
    groups
}

fn containers_below(at: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(at).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            // `<64 digits>`, `libpod-<64 digits>` or, by ctr, the name that the test gave.
            let name = entry.file_name().to_string_lossy().into_owned();
            let digits = name.bytes().rev().take_while(u8::is_ascii_hexdigit).count();
            if digits >= 64 || name.starts_with("dhow-test-") {
                found.push(entry.path().display().to_string());
            }
            containers_below(&entry.path(), found);
        }
    }
}
