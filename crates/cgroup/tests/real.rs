//! The cgroups of this machine, used as a container engine uses them. Each test has a cgroup of its
//! own below the hierarchies' roots, and looks at its end whether anything of it is left.
//!
//! Layouts that the machine does not have are made in a mount namespace, where this program runs
//! the same tests again.

#![expect(clippy::unwrap_used, reason = "a test panics with what went wrong")]

use dhow_cgroup::{Cgroup, Hierarchies, Layout, Location, OomWatch};
use dhow_spec::runtime::{Cpu, Memory, Network, Pids, Resources, default_spec};
use dhow_testkit::{need, needs, needs_root, needs_tool};
use rustix::{
    event::{PollFd, PollFlags},
    fs::{CWD, FileType, Mode, makedev},
    process::Pid,
};
use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

const TOP: &str = "/sys/fs/cgroup";
const LIMIT: Duration = Duration::from_secs(10);
const MIB: i64 = 1 << 20;

/// A cgroup of a test's own.
struct Own {
    name: String,
    cgroup: Option<Cgroup>,
}

impl Own {
    fn new(resources: &Resources) -> Self {
        Self::named(format!("dhow-test-{}", dhow_base::id::random_hex(6).unwrap()), resources)
    }

    fn named(name: String, resources: &Resources) -> Self {
        let hierarchies = Hierarchies::detect().unwrap();
        let cgroup = Cgroup::create(&hierarchies, &at(&name), resources).unwrap();
        Self { name, cgroup: Some(cgroup) }
    }

    fn get(&self) -> &Cgroup {
        self.cgroup.as_ref().unwrap()
    }

    /// The text of one of its files, in version 1 or 2.
    fn file(&self, legacy: &str, unified: &str) -> String {
        let layout = Hierarchies::detect().unwrap().layout();
        let path = match (layout, legacy.split_once('/')) {
            (Layout::Unified, _) => Path::new(TOP).join(&self.name).join(unified),
            (_, Some((controller, file))) => {
                Path::new(TOP).join(controller).join(&self.name).join(file)
            }
            (_, None) => panic!("{legacy} names no controller"),
        };
        std::fs::read_to_string(&path).unwrap().trim().to_owned()
    }

    fn delete(mut self) {
        self.cgroup.take().unwrap().delete().unwrap();
        assert_eq!(left(&self.name), Vec::<PathBuf>::new());
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(cgroup) = self.cgroup.take() {
            let _killed = cgroup.kill_all();
            let _deleted = cgroup.delete();
        }
    }
}

fn at(path: &str) -> Location {
    Location::new(Some(path), "", "").unwrap()
}

/// The directories of a cgroup.
fn left(name: &str) -> Vec<PathBuf> {
    let hierarchies = std::fs::read_dir(TOP).unwrap().map(|entry| entry.unwrap().path());
    let places = hierarchies.chain([PathBuf::from(TOP)]).map(|hierarchy| hierarchy.join(name));
    places.filter(|place| place.exists()).collect()
}

/// A shell that does nothing before [`Shell::go`].
struct Shell(Child);

impl Shell {
    fn new(script: &str, argument: &str) -> Self {
        let script = format!("read line; {script}");
        let mut command = Command::new("sh");
        command.args(["-c", &script, argument]).stdin(Stdio::piped());
        Self(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
    }

    fn inside(cgroup: &Cgroup, script: &str, argument: &str) -> Self {
        let shell = Self::new(script, argument);
        cgroup.add(shell.pid()).unwrap();
        shell
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    fn go(&mut self) {
        self.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    fn end(mut self) -> Output {
        self.go();
        self.0.wait_with_output().unwrap()
    }
}

fn limited() -> Resources {
    Resources {
        memory: Some(Memory { limit: Some(64 * MIB), ..Memory::default() }),
        pids: Some(Pids { limit: Some(50) }),
        cpu: Some(Cpu { quota: Some(50_000), period: Some(100_000), ..Cpu::default() }),
        ..Resources::default()
    }
}

/// Whether the machine has what most tests need.
fn has_limits() -> bool {
    let Ok(hierarchies) = Hierarchies::detect() else { return false };
    let controllers = std::fs::read_to_string(format!("{TOP}/cgroup.controllers"));
    ["memory", "pids", "cpu"].iter().all(|wanted| match hierarchies.layout() {
        Layout::Unified => controllers.as_ref().is_ok_and(|text| text.contains(wanted)),
        _ => Path::new(TOP).join(wanted).join("tasks").exists(),
    })
}

#[test]
fn limits_are_set_and_an_update_changes_only_what_it_names() {
    needs_root!();
    needs!(has_limits(), "the controllers memory, pids and cpu");
    let own = Own::new(&limited());

    let update = Resources { pids: Some(Pids { limit: Some(60) }), ..Resources::default() };
    own.get().update(&update).unwrap();

    assert_eq!(own.file("memory/memory.limit_in_bytes", "memory.max"), (64 * MIB).to_string());
    assert_eq!(own.file("pids/pids.max", "pids.max"), "60");
    let quota = own.file("cpu/cpu.cfs_quota_us", "cpu.max");
    assert!(quota == "50000" || quota == "50000 100000", "{quota}");
    own.delete();
}

#[test]
fn a_missing_controller_is_named_and_nothing_is_left() {
    needs_root!();
    needs!(!Path::new(TOP).join("net_cls").exists(), "a machine without net_cls");
    let hierarchies = Hierarchies::detect().unwrap();
    needs!(hierarchies.layout() != Layout::Unified, "cgroup version 1");
    let network = Network { class_id: Some(1), ..Network::default() };
    let resources = Resources { network: Some(network), ..Resources::default() };
    let name = format!("dhow-test-{}", dhow_base::id::random_hex(6).unwrap());

    let error = Cgroup::create(&hierarchies, &at(&name), &resources).unwrap_err();

    assert_eq!(error.kind(), dhow_base::Kind::Unsupported);
    assert!(error.one_line().contains("net_cls"), "{}", error.one_line());
    assert_eq!(left(&name), Vec::<PathBuf>::new());
}

#[test]
fn a_process_that_is_added_is_in_every_hierarchy() {
    needs_root!();
    let own = Own::new(&Resources::default());

    let shell = Shell::inside(own.get(), "exit 0", "sh");

    let memberships = std::fs::read_to_string(format!("/proc/{}/cgroup", shell.0.id())).unwrap();
    let inside = memberships.lines().filter(|line| line.ends_with(&own.name)).count();
    assert_eq!(inside, left(&own.name).len(), "{memberships}");
    assert_eq!(own.get().processes().unwrap(), [shell.pid()]);
    assert!(shell.end().status.success());
    own.delete();
}

#[test]
fn a_process_joins_version_1_by_itself() {
    needs_root!();
    let own = Own::named(format!("dhow-test-join-{}", std::process::id()), &Resources::default());

    let output = again(&["joins_the_cgroup_of_its_parent"], "exec \"$@\"");

    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    own.delete();
}

/// In a process of its own: one that joins cannot leave again.
#[test]
#[ignore = "run by another test"]
fn joins_the_cgroup_of_its_parent() {
    let parent = rustix::process::getppid().unwrap();
    let name = format!("dhow-test-join-{}", parent.as_raw_pid());
    let hierarchies = Hierarchies::detect().unwrap();

    Cgroup::open(&hierarchies, &at(&name)).unwrap().join().unwrap();

    let memberships = std::fs::read_to_string("/proc/thread-self/cgroup").unwrap();
    for line in memberships.lines().filter(|line| !line.starts_with("0::")) {
        assert!(line.ends_with(&name), "{memberships}");
    }
}

#[test]
fn a_frozen_tree_stands_still_goes_on_and_can_be_killed() {
    needs_root!();
    let own = Own::new(&Resources::default());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("beats");
    let script = "sleep 1000 & sleep 1000 & while sleep 0.01; do echo >>\"$0\"; done";
    let mut shell = Shell::inside(own.get(), script, path.to_str().unwrap());
    shell.go();
    let beats = || std::fs::metadata(&path).map_or(0, |status| status.len());
    let beaten = |since| need::eventually(LIMIT, || (beats() > since).then_some(()));
    beaten(0).expect("the loop runs");

    own.get().freeze().unwrap();

    let frozen_at = beats();
    std::thread::sleep(Duration::from_millis(100));
    assert!(own.get().is_frozen().unwrap());
    assert_eq!(beats(), frozen_at);

    own.get().thaw().unwrap();

    beaten(frozen_at).expect("the loop goes on");
    assert!(!own.get().is_frozen().unwrap());

    own.get().freeze().unwrap();
    own.get().kill_all().unwrap();

    assert!(own.get().processes().unwrap().is_empty());
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&shell.0.wait().unwrap()), Some(9));
    own.delete();
}

#[test]
fn what_is_nested_is_seen_killed_and_deleted_too() {
    needs_root!();
    let own = Own::new(&Resources::default());
    let below = at(&format!("{}/a/b", own.name));
    let hierarchies = Hierarchies::detect().unwrap();
    let nested = Cgroup::create(&hierarchies, &below, &Resources::default()).unwrap();
    let mut shell = Shell::inside(&nested, "sleep 1000", "sh");

    let seen = own.get().processes().unwrap();
    own.get().kill_all().unwrap();

    assert_eq!(seen, [shell.pid()]);
    assert!(!shell.0.wait().unwrap().success());
    own.delete();
}

#[test]
fn a_kill_for_want_of_memory_is_counted() {
    needs_root!();
    needs!(has_limits(), "the controllers memory, pids and cpu");
    let memory = Memory { limit: Some(16 * MIB), ..Memory::default() };
    let own = Own::new(&Resources { memory: Some(memory), ..Resources::default() });
    let before = own.get().oom_kills().unwrap();

    // `tail` must keep what may be the end: far more than the limit, and then swap is no help.
    let shell = Shell::inside(own.get(), "head -c 268435456 /dev/zero | tail -c 268435456", "sh");
    drop(shell.end());

    assert_eq!(before, 0);
    assert!(own.get().oom_kills().unwrap() >= 1);
    own.delete();
}

#[test]
fn the_numbers_are_plausible() {
    needs_root!();
    needs!(has_limits(), "the controllers memory, pids and cpu");
    let own = Own::new(&limited());
    let mut shell = Shell::inside(own.get(), "while :; do :; done", "sh");
    shell.go();

    let busy = need::eventually(LIMIT, || {
        (own.get().stats().unwrap().cpu.total_ns > 20_000_000).then_some(())
    });
    let stats = own.get().stats().unwrap();
    own.get().kill_all().unwrap();

    assert!(busy.is_some(), "{stats:?}");
    assert_eq!((stats.pids.current, stats.pids.limit), (1, 50));
    let memory = stats.memory.usage;
    assert_eq!(memory.limit, 64 << 20);
    assert!(memory.usage < 64 << 20 && memory.peak >= memory.usage, "{stats:?}");
    drop(shell.0.wait());
    own.delete();
}

/// Whether opening a device of these numbers is refused as a cgroup refuses.
fn is_denied(own: Option<&Own>, node: &Path) -> bool {
    let shell = Shell::new(": <\"$0\"", node.to_str().unwrap());
    if let Some(own) = own {
        own.get().add(shell.pid()).unwrap();
    }
    let said = String::from_utf8_lossy(&shell.end().stderr).into_owned();
    said.contains("Operation not permitted")
}

#[test]
fn devices_are_denied_but_those_that_the_rules_allow() {
    needs_root!();
    let devices = default_spec().linux.unwrap().resources.unwrap().devices;
    let own = Own::new(&Resources { devices, ..Resources::default() });
    let directory = tempfile::tempdir().unwrap();
    let make = |name: &str, kind, major, minor| {
        let path = directory.path().join(name);
        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(CWD, &path, kind, mode, makedev(major, minor)).unwrap();
        path
    };
    let loop_device = make("loop", FileType::BlockDevice, 7, 0);
    let kernel_log = make("kmsg", FileType::CharacterDevice, 1, 11);
    let null = make("null", FileType::CharacterDevice, 1, 3);
    needs!(!is_denied(None, &loop_device), "the right to use devices");

    assert!(is_denied(Some(&own), &loop_device));
    assert!(is_denied(Some(&own), &kernel_log));
    assert!(!is_denied(Some(&own), &null));
    own.delete();
}

/// Runs tests of this program in a process that a shell script starts.
fn again(tests: &[&str], script: &str) -> Output {
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(program).args(["--include-ignored", "--exact"]);
    command.arg("--test-threads=1").args(tests).output().unwrap()
}

/// The same in a mount namespace that the script arranges first.
fn again_elsewhere(tests: &[&str], arrange: &str) {
    let script = format!(
        "exec unshare --mount --propagation private sh -c '{arrange} && exec \"$@\"' sh \"$@\""
    );
    let output = again(tests, &script);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains(&format!(" {} passed", tests.len())), "{said}");
}

#[test]
fn without_the_devices_controller_a_program_denies_devices() {
    needs_root!();
    needs_tool!("unshare");
    needs!(Path::new(TOP).join("devices/tasks").exists(), "the devices controller of version 1");
    needs!(Path::new(TOP).join("unified/cgroup.procs").exists(), "a version 2 tree beside it");

    again_elsewhere(
        &["devices_are_denied_but_those_that_the_rules_allow"],
        "umount /sys/fs/cgroup/devices",
    );
}

#[test]
fn version_2_alone_does_the_same() {
    needs_root!();
    needs_tool!("unshare");
    needs!(Hierarchies::detect().unwrap().layout() == Layout::Hybrid, "both versions");

    again_elsewhere(
        &[
            "a_process_that_is_added_is_in_every_hierarchy",
            "a_frozen_tree_stands_still_goes_on_and_can_be_killed",
            "what_is_nested_is_seen_killed_and_deleted_too",
            "devices_are_denied_but_those_that_the_rules_allow",
        ],
        "umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup",
    );
}

#[test]
fn memory_that_runs_out_is_told_of() {
    needs_root!();
    needs!(has_limits(), "the controllers memory, pids and cpu");
    let memory = Memory { limit: Some(16 * MIB), ..Memory::default() };
    let own = Own::new(&Resources { memory: Some(memory), ..Resources::default() });
    let mut watch = own.get().watch_oom().unwrap();
    let shell = Shell::inside(own.get(), "head -c 268435456 /dev/zero | tail -c 268435456", "sh");
    let is_readable = |watch: &OomWatch, limit: Duration| {
        let mut fds = [PollFd::new(watch, PollFlags::IN)];
        let limit = limit.try_into().unwrap();
        rustix::event::poll(&mut fds, Some(&limit)).unwrap() == 1
    };
    assert!(!is_readable(&watch, Duration::ZERO));

    drop(shell.end());

    assert!(is_readable(&watch, LIMIT));
    let news = watch.take().unwrap();
    assert!(news.events >= 1, "{news:?}");
    own.delete();
    assert!(is_readable(&watch, LIMIT));
    assert!(watch.take().unwrap().is_over);
}
