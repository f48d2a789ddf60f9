//! Cgroups on the running kernel, on whatever versions this machine has mounted.
//!
//! Needs root. Everything happens below `/dhow-test-<random>` and is removed. Two tests run the
//! others again where only version 2, or only version 1, is to be seen. What an engine does every
//! day is tried in `real`; here are the odd cases, and what it costs.

#![expect(clippy::unwrap_used, reason = "a test's helpers panic as tests do")]

use dhow_base::{Kind, id::random_hex};
use dhow_cgroup::{Cgroup, Hierarchies, Layout, Location};
use dhow_spec::runtime::{Cpu, DeviceRule, HugepageLimit, Memory, Pids, Resources};
use rustix::process::Pid;
use std::{
    ffi::OsStr,
    fs,
    io::{Read, Write},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    time::{Duration, Instant},
};

/// The hierarchies, or a word on why not.
#[expect(clippy::print_stderr, reason = "a skipped test says so aloud")]
fn hierarchies() -> Option<Hierarchies> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return None;
    }
    Some(Hierarchies::detect().unwrap())
}

/// A cgroup of the test's own; nothing of it is left when it goes.
struct Ground {
    hierarchies: Hierarchies,
    name: String,
}

impl Ground {
    fn new() -> Option<Self> {
        let name = format!("dhow-test-{}", random_hex(6).unwrap());
        Some(Self { hierarchies: hierarchies()?, name })
    }

    fn location(&self, below: &str) -> Location {
        Location::new(Some(&format!("/{}/{below}", self.name)), "/dhow", "unused").unwrap()
    }

    fn create(&self, resources: &Resources) -> dhow_base::Result<Cgroup> {
        Cgroup::create(&self.hierarchies, &self.location("c"), resources)
    }

    fn is_unified(&self) -> bool {
        self.hierarchies.layout() == Layout::Unified
    }

    /// The directories of the ground, one a hierarchy, that are there.
    fn directories(&self) -> Vec<PathBuf> {
        let roots: Vec<PathBuf> = if self.is_unified() {
            vec!["/sys/fs/cgroup".into()]
        } else {
            let listed = fs::read_dir("/sys/fs/cgroup").unwrap();
            listed.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
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
struct Shell {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Shell {
    fn new(script: &str) -> Self {
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

    fn within(cgroup: &Cgroup, script: &str) -> Self {
        let shell = Self::new(script);
        cgroup.add(shell.pid()).unwrap();
        shell
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn go(&mut self) {
        self.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    /// Lets it begin and gives what it printed until it ended.
    fn output(mut self) -> String {
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

#[test]
fn a_cgroup_is_made_entered_killed_and_removed_in_every_hierarchy() {
    let Some(ground) = Ground::new() else { return };
    let cgroup = ground.create(&Resources::default()).unwrap();
    let shell = Shell::within(&cgroup, "sleep 100");

    let lines = fs::read_to_string(format!("/proc/{}/cgroup", shell.pid().as_raw_pid())).unwrap();
    let own = format!("/{}/c", ground.name);
    // The version 1 hierarchies that are mounted nowhere to be seen stay where they were.
    let inside = lines.lines().filter(|line| line.ends_with(&own)).count();
    assert_eq!(inside, ground.directories().len(), "{lines}");
    assert_eq!(cgroup.processes().unwrap(), [shell.pid()]);
    assert_eq!(
        Cgroup::open(&ground.hierarchies, cgroup.location()).unwrap().processes().unwrap().len(),
        1
    );

    cgroup.kill_all().unwrap();

    assert!(cgroup.processes().unwrap().is_empty());
    cgroup.delete().unwrap();
    for directory in ground.directories() {
        assert!(!directory.join("c").exists(), "{}", directory.display());
    }
    let gone = Cgroup::open(&ground.hierarchies, &ground.location("c")).unwrap_err();
    assert_eq!(gone.kind(), Kind::NotFound);
}

#[test]
fn frozen_processes_stand_still_go_on_and_die() {
    let Some(ground) = Ground::new() else { return };
    let cgroup = ground.create(&Resources::default()).unwrap();
    let mut shell = Shell::within(&cgroup, "while :; do :; done");
    shell.go();
    let ticks = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", shell.pid().as_raw_pid())).unwrap();
        let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let until_moving = |from: u64| {
        let deadline = Instant::now() + Duration::from_secs(20);
        while ticks() == from {
            assert!(Instant::now() < deadline, "it does not run");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    until_moving(0);

    cgroup.freeze().unwrap();
    assert!(cgroup.is_frozen().unwrap());
    let before = ticks();
    std::thread::sleep(Duration::from_millis(60));
    assert_eq!(ticks(), before);

    cgroup.thaw().unwrap();
    assert!(!cgroup.is_frozen().unwrap());
    until_moving(before);

    cgroup.freeze().unwrap();
    cgroup.kill_all().unwrap();
    cgroup.delete().unwrap();
}

#[test]
fn trees_below_are_killed_and_removed_whatever_their_names_and_depth() {
    let Some(ground) = Ground::new() else { return };
    let cgroup = ground.create(&Resources::default()).unwrap();
    let mut shells = Vec::new();
    for directory in ground.directories() {
        let odd = directory.join("c").join(OsStr::from_bytes(b"a b\xff\xfe"));
        let mut deep = odd;
        for _ in 0..30 {
            fs::create_dir(&deep).unwrap();
            deep = deep.join("d".repeat(100));
        }
        let shell = Shell::within(&cgroup, "sleep 100");
        // A cpuset takes nobody before it has processors; the others take part.
        if !directory.to_string_lossy().contains("cpuset") {
            let procs = deep.parent().unwrap().join("cgroup.procs");
            fs::write(procs, shell.pid().as_raw_pid().to_string()).unwrap();
        }
        shells.push(shell);
    }
    assert_eq!(cgroup.processes().unwrap().len(), shells.len());

    cgroup.kill_all().unwrap();
    cgroup.delete().unwrap();

    for directory in ground.directories() {
        assert!(!directory.join("c").exists(), "{}", directory.display());
    }
}

#[test]
fn a_fork_bomb_ends() {
    let Some(ground) = Ground::new() else { return };
    let limits = Resources {
        pids: (!ground.is_unified()).then_some(Pids { limit: Some(40) }),
        ..Resources::default()
    };
    let cgroup = ground.create(&limits).unwrap();
    // Without a limit for processes, this one keeps to a few by itself.
    let bomb = "f() { while :; do sleep 0.01 & sleep 0.01 & wait; done; }; f & f & f & f";
    let mut shell = Shell::within(&cgroup, bomb);
    shell.go();
    std::thread::sleep(Duration::from_millis(100));

    cgroup.kill_all().unwrap();

    assert!(cgroup.processes().unwrap().is_empty());
    cgroup.delete().unwrap();
}

#[test]
fn a_cgroup_with_processes_is_not_taken_and_not_harmed() {
    let Some(ground) = Ground::new() else { return };
    let first = ground.create(&Resources::default()).unwrap();
    let shell = Shell::within(&first, "sleep 100");

    let error = ground.create(&Resources::default()).unwrap_err();

    assert_eq!(error.kind(), Kind::Conflict);
    let named = format!("process {} is in it", shell.pid().as_raw_pid());
    assert!(error.one_line().contains(&named), "{}", error.one_line());
    assert_eq!(first.processes().unwrap(), [shell.pid()]);
}

#[test]
fn an_empty_cgroup_may_be_used_and_outlives_a_failure() {
    let Some(ground) = Ground::new() else { return };
    drop(ground.create(&Resources::default()).unwrap());
    let impossible = Resources {
        hugepage_limits: vec![HugepageLimit { page_size: "../x".into(), limit: 1 }],
        ..Resources::default()
    };

    ground.create(&impossible).unwrap_err();

    assert!(ground.create(&Resources::default()).is_ok());
}

#[test]
fn a_failure_leaves_nothing_behind() {
    let Some(ground) = Ground::new() else { return };
    let impossible = Resources {
        hugepage_limits: vec![HugepageLimit { page_size: "../x".into(), limit: 1 }],
        ..Resources::default()
    };

    let error = ground.create(&impossible).unwrap_err();

    assert_eq!(error.kind(), Kind::Invalid);
    assert_eq!(ground.directories(), Vec::<PathBuf>::new());
}

#[test]
fn limits_land_or_name_the_controller_that_is_missing() {
    let Some(ground) = Ground::new() else { return };
    let memory = Memory { limit: Some(64 << 20), ..Memory::default() };
    let cpu = Cpu { quota: Some(50_000), period: Some(100_000), ..Cpu::default() };
    let cases = [
        ("memory", Resources { memory: Some(memory), ..Resources::default() }),
        ("pids", Resources { pids: Some(Pids { limit: Some(17) }), ..Resources::default() }),
        ("cpu", Resources { cpu: Some(cpu), ..Resources::default() }),
    ];
    for (controller, resources) in cases {
        match ground.create(&resources) {
            Ok(cgroup) => {
                let stats = cgroup.stats().unwrap();
                let (memory, pids) = (stats.memory.usage.limit, stats.pids.limit);
                assert!(resources.memory.is_none() || memory == 64 << 20, "{stats:?}");
                assert!(resources.pids.is_none() || pids == 17, "{stats:?}");
                cgroup.delete().unwrap();
            }
            Err(error) => {
                assert_eq!(error.kind(), Kind::Unsupported, "{}", error.one_line());
                let line = error.one_line();
                assert!(line.contains(&format!("no cgroup controller {controller}")), "{line}");
                assert!(ground.is_unified(), "{line}");
            }
        }
    }
}

#[test]
fn limits_change_while_processes_run() {
    let Some(ground) = Ground::new() else { return };
    if ground.is_unified() {
        return;
    }
    let with = |limit: i64, swap: i64| Resources {
        memory: Some(Memory { limit: Some(limit), swap: Some(swap), ..Memory::default() }),
        cpu: Some(Cpu { shares: Some(512), ..Cpu::default() }),
        ..Resources::default()
    };
    let limit = |cgroup: &Cgroup| cgroup.stats().unwrap().memory.usage.limit;
    let accounts_swap = PathBuf::from("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes").exists();
    let swap = |bytes: i64| if accounts_swap { bytes } else { -1 };
    let cgroup = ground.create(&with(32 << 20, swap(64 << 20))).unwrap();
    assert_eq!(limit(&cgroup), 32 << 20);

    // Up beyond the old sum, and down below the old limit: the order of the two writes differs.
    cgroup.update(&with(128 << 20, swap(256 << 20))).unwrap();
    assert_eq!(limit(&cgroup), 128 << 20);
    cgroup.update(&with(16 << 20, swap(24 << 20))).unwrap();
    assert_eq!(limit(&cgroup), 16 << 20);
    cgroup.update(&with(-1, -1)).unwrap();
    assert!(limit(&cgroup) > 1 << 60);
}

#[test]
fn devices_are_denied_until_a_rule_allows_them() {
    let Some(ground) = Ground::new() else { return };
    let script = "for name in null zero kmsg; do true < /dev/$name && echo $name; done";
    let cgroup = ground.create(&Resources::default()).unwrap();
    assert_eq!(Shell::within(&cgroup, script).output(), "null\nzero\n");

    let kmsg = DeviceRule {
        allow: true,
        kind: Some("c".into()),
        major: Some(1),
        minor: Some(11),
        access: Some("r".into()),
    };
    cgroup.update(&Resources { devices: vec![kmsg], ..Resources::default() }).unwrap();
    assert_eq!(Shell::within(&cgroup, script).output(), "null\nzero\nkmsg\n");

    cgroup
        .update(&Resources { devices: vec![DeviceRule::default()], ..Resources::default() })
        .unwrap();
    assert_eq!(Shell::within(&cgroup, script).output(), "null\nzero\n");
    let all = DeviceRule { allow: true, ..DeviceRule::default() };
    cgroup.update(&Resources { devices: vec![all], ..Resources::default() }).unwrap();
    assert_eq!(Shell::within(&cgroup, script).output(), "null\nzero\nkmsg\n");
}

#[test]
fn many_at_once_make_the_same_ancestors() {
    let Some(ground) = Ground::new() else { return };
    std::thread::scope(|scope| {
        for number in 0..8 {
            let ground = &ground;
            scope.spawn(move || {
                for round in 0..5 {
                    let location = ground.location(&format!("a/b/c{number}-{round}"));
                    let resources = Resources::default();
                    let made = Cgroup::create(&ground.hierarchies, &location, &resources);
                    made.unwrap().delete().unwrap();
                }
            });
        }
    });
}

#[test]
fn a_mount_over_a_cgroup_is_not_followed() {
    let Some(ground) = Ground::new() else { return };
    drop(ground.create(&Resources::default()).unwrap());
    let victim = ground.directories().remove(0).join("c");
    let other = tempfile::tempdir().unwrap();
    fs::create_dir(other.path().join("canary")).unwrap();
    let mount = |arguments: &[&OsStr]| {
        Command::new(arguments[0]).args(&arguments[1..]).status().unwrap().success()
    };
    let bind = ["mount", "--bind"].map(OsStr::new);
    assert!(mount(&[bind[0], bind[1], other.path().as_os_str(), victim.as_os_str()]));

    let opened = Cgroup::open(&ground.hierarchies, &ground.location("c"));

    assert!(mount(&[OsStr::new("umount"), victim.as_os_str()]));
    assert!(opened.is_err());
    assert!(other.path().join("canary").exists());
}

#[test]
fn making_entering_and_removing_is_quick() {
    let Some(ground) = Ground::new() else { return };
    drop(ground.create(&Resources::default()).unwrap());
    let mut fastest = [Duration::MAX; 4];
    for round in 0..20 {
        // As long as the kernel needs to fall back from the quick form of its fork lock.
        std::thread::sleep(Duration::from_millis(40));
        let mut took = [Duration::ZERO; 4];
        let mut start = Instant::now();
        let mut lap =
            |at: usize| took[at] = std::mem::replace(&mut start, Instant::now()).elapsed();
        let hierarchies = Hierarchies::detect().unwrap();
        lap(0);
        let location = ground.location(&format!("q{round}"));
        let cgroup = Cgroup::create(&hierarchies, &location, &Resources::default()).unwrap();
        lap(1);
        std::thread::scope(|scope| {
            let joined = scope.spawn(|| {
                let start = Instant::now();
                cgroup.join().unwrap();
                start.elapsed()
            });
            took[2] = joined.join().unwrap();
        });
        let start = Instant::now();
        cgroup.delete().unwrap();
        took[3] = start.elapsed();
        for (fastest, took) in fastest.iter_mut().zip(took) {
            *fastest = took.min(*fastest);
        }
    }
    let [detect, create, join, delete] = fastest;
    eprintln!("detect {detect:?}, create {create:?}, join {join:?}, delete {delete:?}");
    // A grace period is several milliseconds.
    assert!(join < Duration::from_millis(3), "{join:?}");
}

/// Runs the other tests where `arrange` has changed what is mounted.
#[expect(clippy::print_stderr, reason = "a skipped test says so aloud")]
fn elsewhere(arrange: &str) {
    let Some(hierarchies) = hierarchies() else { return };
    if hierarchies.layout() != Layout::Hybrid || !Path::new(UNIFIED).is_dir() {
        eprintln!("skipped: needs version 1 with a version 2 tree on {UNIFIED}");
        return;
    }
    let script = format!("{arrange} && exec \"$0\" \"$@\"");

    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .args(["--skip", "all_of_this_holds", "--nocapture", "--test-threads", "2"])
        .output()
        .unwrap();

    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}{}", String::from_utf8_lossy(&output.stderr));
    assert!(shown.contains("test result: ok"), "{shown}");
}

const UNIFIED: &str = "/sys/fs/cgroup/unified";

#[test]
fn all_of_this_holds_on_version_2_alone() {
    elsewhere(&format!("mount --bind {UNIFIED} /sys/fs/cgroup"));
}

#[test]
fn all_of_this_holds_on_version_1_alone() {
    elsewhere(&format!("umount {UNIFIED}"));
}
