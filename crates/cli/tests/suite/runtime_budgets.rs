//! What a container may cost at most: system calls, memory, and many at once.
//!
//! The bounds are a little above what was measured on a machine with ten cgroup hierarchies of
//! version 1, where everything costs most. Time is the bench's business: a test that depends on it
//! fails on a busy machine.

use crate::bundle::Bundle;
use dhow_seccomp::{Arch, default_profile};
use dhow_testkit::{need, needs, needs_root, needs_tool};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// How long a traced creation may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A bundle with all that a container usually has: the default profile and limits.
fn bundle(command: &[&str], memory_bytes: u64) -> Bundle {
    let bundle = Bundle::new(command);
    bundle.change(|spec| {
        spec["linux"]["seccomp"] = json!(default_profile::<&str>(Arch::NATIVE, &[]));
        // As engines ask for it, and `spec` does on version 2: one more mount each is the way without.
        let namespaces = spec["linux"]["namespaces"].as_array_mut().unwrap();
        if !namespaces.iter().any(|one| one["type"] == "cgroup") {
            namespaces.push(json!({"type": "cgroup"}));
        }
        spec["linux"]["resources"]["pids"] = json!({"limit": 100});
        spec["linux"]["resources"]["cpu"] = json!({"shares": 512});
        spec["linux"]["resources"]["memory"] = json!({"limit": memory_bytes});
    });
    bundle
}

/// Starts a command under a tracer, with streams that nobody reads.
fn traced(bundle: &Bundle, trace: &Path, words: &[&str]) -> Child {
    let inner = bundle.command(words);
    let mut command = Command::new("strace");
    command.args(["-f", "-q", "-o"]).arg(trace).arg(inner.get_program()).args(inner.get_args());
    command.current_dir(&bundle.path);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// System calls that a trace shows, of all processes.
fn calls(trace: &Path) -> usize {
    let text = fs::read_to_string(trace).unwrap();
    let is_call = |line: &&str| {
        !line.contains("resumed>") && !line.contains(" +++ ") && !line.contains(" --- ")
    };
    text.lines().filter(is_call).count()
}

/// Whether there is the one tree of version 2.
fn is_unified() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

fn limits_memory() -> bool {
    Path::new("/sys/fs/cgroup/memory/cgroup.procs").exists()
        || fs::read_to_string("/sys/fs/cgroup/cgroup.controllers")
            .is_ok_and(|text| text.split_whitespace().any(|word| word == "memory"))
}

#[test]
fn a_whole_life_takes_few_system_calls() {
    needs_root!();
    needs_tool!("busybox");
    needs_tool!("strace");
    needs!(limits_memory(), "a cgroup controller for memory");
    let bundle = bundle(&["true"], 64 << 20);
    let id = bundle.id.as_str();
    // What a first container costs more, places for mounts and cgroups above its own, others need
    // not pay again.
    let above = Above(format!("budget-{id}"));
    bundle.change(|spec| spec["linux"]["cgroupsPath"] = json!(format!("/{}/{id}", above.0)));
    drop(bundle.run(&["run", id]).ok());
    let traces = ["create", "start", "delete"].map(|name| bundle.dhow.directory().join(name));

    // The container stays the tracer's child until it ends.
    let mut created = traced(&bundle, &traces[0], &["create", id]);
    let is_there = || {
        let state = bundle.run(&["state", id]);
        state.stdout.contains("\"status\": \"created\"").then_some(())
    };
    assert!(need::eventually(PATIENCE, is_there).is_some(), "it is not created");
    assert!(traced(&bundle, &traces[1], &["start", id]).wait().unwrap().success());
    created.wait().unwrap();
    bundle.wait_for("stopped");
    assert!(traced(&bundle, &traces[2], &["delete", id]).wait().unwrap().success());

    let counts = [&traces[0], &traces[1], &traces[2]].map(|trace| calls(trace));
    let limits = if is_unified() { LIFE_LIMITS_OF_ONE_HIERARCHY } else { LIFE_LIMITS_OF_TEN };
    for (count, limit) in counts.into_iter().zip(limits) {
        assert!(count <= limit, "create, start, delete: {counts:?}, allowed {limits:?}");
    }
}

/// System calls of create, with all that the container's process does, of start and of delete; a
/// handful more than were counted, for a kernel with other files to mask and a caller that ignores
/// other signals. Nine of them
/// give the container a null device of its own for each stream that is one, as here.
const LIFE_LIMITS_OF_TEN: [usize; 3] = [335, 40, 48];
const LIFE_LIMITS_OF_ONE_HIERARCHY: [usize; 3] = [290, 42, 36];

/// A cgroup above the container's, in all hierarchies.
struct Above(String);

impl Drop for Above {
    fn drop(&mut self) {
        let hierarchies =
            fs::read_dir("/sys/fs/cgroup").unwrap().map(|entry| entry.unwrap().path());
        for place in hierarchies.chain([PathBuf::from("/sys/fs/cgroup")]) {
            let _missing = fs::remove_dir(place.join(&self.0));
        }
    }
}

#[test]
fn one_mebibyte_is_enough_to_begin() {
    needs_root!();
    needs_tool!("busybox");
    needs!(limits_memory(), "a cgroup controller for memory");
    let bundle = bundle(&["true"], 1 << 20);

    drop(bundle.run(&["run", &bundle.id]).ok());
}

/// A command of ours maps pages of its own binary, which all of our processes share; what is its
/// own is a few pages of heap and stack.
#[test]
fn a_waiting_container_holds_little_memory() {
    needs_root!();
    needs_tool!("busybox");
    let bundle = bundle(&["true"], 64 << 20);
    bundle.create();
    let pid = bundle.state()["pid"].to_string();

    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();

    let kib = |key: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    assert!(kib("RssAnon:") <= 512, "{status}");
    assert!(kib("VmHWM:") <= PEAK_KIB, "{status}");
}

/// The most memory that a command may have resident at once. Most of it are pages of the binary;
/// `cargo xtask order` lays out anew what has grown or moved.
const PEAK_KIB: u64 = 2048;

#[test]
fn no_command_of_a_whole_life_holds_more_than_two_mebibytes() {
    needs_root!();
    needs_tool!("busybox");
    needs_tool!("time");
    let bundle = bundle(&["sleep", "1000"], 64 << 20);
    let id = bundle.id.as_str();
    let life: [&[&str]; 11] = [
        &["create", id],
        &["start", id],
        &["state", id],
        &["list"],
        &["ps", id],
        &["exec", id, "true"],
        &["pause", id],
        &["resume", id],
        &["kill", id, "KILL"],
        &["delete", "--force", id],
        &["run", "--detach", id],
    ];

    let peaks = life.map(|words| (words[0], peak_kib(&bundle, words)));

    drop(bundle.run(&["delete", "--force", id]).ok());
    assert!(peaks.iter().all(|(_, peak)| *peak <= PEAK_KIB), "{peaks:?}");
}

/// Measures by a small program, since a process counts what its parent held when it was born.
fn peak_kib(bundle: &Bundle, words: &[&str]) -> u64 {
    let result = bundle.dhow.directory().join("peak");
    let inner = bundle.command(words);
    let mut command = Command::new("time");
    command.args(["--format", "%M", "--output"]).arg(&result);
    command.arg(inner.get_program()).args(inner.get_args()).current_dir(&bundle.path);
    // cargo sets it, and the C library takes it apart.
    command.env_remove("LD_LIBRARY_PATH");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(command.status().unwrap().success(), "{words:?}");
    fs::read_to_string(result).unwrap().trim().parse().unwrap()
}

#[test]
fn many_at_once_all_succeed_and_leave_nothing() {
    needs_root!();
    needs_tool!("busybox");
    let bundle = bundle(&["true"], 64 << 20);
    let start = |number: usize| {
        let mut command = bundle.command(&["run", &format!("{}-{number}", bundle.id)]);
        command.stdin(Stdio::null()).spawn().unwrap()
    };

    for round in 0..4 {
        let children: Vec<Child> = (0..8).map(|one| start(round * 8 + one)).collect();
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
    }

    assert_eq!(bundle.run(&["list", "--quiet"]).ok().stdout, "");
}
