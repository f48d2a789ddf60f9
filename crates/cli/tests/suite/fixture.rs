//! A dhow with a busybox image in it, and short words for what tests do with it.

use dhow_sys::process::reap_with_usage;
use dhow_testkit::{
    Dhow, Outcome,
    image::{Compression, Image, Layout},
    need, outcome, rootfs,
};
use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Pid, PidfdFlags, Signal, kill_process},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// How long something that should happen soon is waited for.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// A layout with busybox as `box`, in the directory of `dhow`, to be changed as a test likes.
pub(crate) fn layout(dhow: &Dhow) -> Layout {
    layout_of(dhow, "box", |image| image)
}

/// As [`layout`], with a changed configuration and another name.
pub(crate) fn layout_of(dhow: &Dhow, name: &str, change: impl FnOnce(Image) -> Image) -> Layout {
    let root = rootfs::busybox().unwrap();
    let layout = Layout::new(&dhow.directory().join(format!("layout-{name}"))).unwrap();
    let layer = layout.layer_of(root.path(), Compression::Gzip).unwrap();
    layout.tag_image(&change(Image::new([layer])), name).unwrap();
    layout
}

/// A dhow that has the image `box`.
pub(crate) fn with_box() -> Dhow {
    having_box(Dhow::new())
}

/// The same on a machine's network of its own, where containers get bridges.
pub(crate) fn with_networked_box() -> Dhow {
    having_box(Dhow::networked())
}

fn having_box(dhow: Dhow) -> Dhow {
    let layout = rootfs::busybox_image().unwrap();
    drop(dhow.run(&["pull", "-q", &layout.reference("box")]).ok());
    dhow
}

/// The snapshots that are kept, and what lies where they are made and taken away.
pub(crate) fn snapshots(dhow: &Dhow) -> Vec<PathBuf> {
    let root = dhow.root().join("snapshots");
    let entries = |directory: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(directory).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let apart = root.join("apart");
    let own = entries(&root).into_iter().filter(|path| path.is_dir() && *path != apart);
    own.chain(entries(&apart)).collect()
}

/// Runs a command and returns its exit code and the most memory that it had, in MiB. That is at least
/// what this process had when it started the command, which is little.
pub(crate) fn weigh(dhow: &Dhow, arguments: &[&str]) -> (i32, u64) {
    let mut command = dhow.command(arguments);
    let command = command.stdin(Stdio::null()).stdout(Stdio::null());
    let pid = i32::try_from(command.spawn().unwrap().id()).unwrap();
    let used = reap_with_usage(Pid::from_raw(pid).unwrap()).unwrap();
    (used.code, used.peak_bytes >> 20)
}

/// Starts a container in the background and returns its id.
pub(crate) fn start(dhow: &Dhow, arguments: &[&str]) -> String {
    let outcome = dhow.run(&[&["run", "-d", "-q"], arguments].concat()).ok();
    outcome.line().to_owned()
}

/// Kills a process of a container's, by what it is called in the record of the start: `pid` or
/// `monitor_pid`.
pub(crate) fn kill_by_name(dhow: &Dhow, id: &str, process: &str) {
    let record = dhow.runroot().join("containers").join(id).join("started.json");
    let started: serde_json::Value = serde_json::from_slice(&fs::read(record).unwrap()).unwrap();
    let pid = i32::try_from(started[process].as_i64().unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

/// The process that keeps a container that runs.
pub(crate) fn monitor_of(dhow: &Dhow, container: &str) -> Pid {
    let told = dhow.run(&["inspect", "--format", "{{.State.Pid}}", container]).ok();
    let status = fs::read_to_string(format!("/proc/{}/status", told.line())).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    Pid::from_raw(parent.trim().parse().unwrap()).unwrap()
}

/// Kills the process that keeps a container that runs, and waits until it is dead.
pub(crate) fn kill_monitor(dhow: &Dhow, container: &str) {
    let monitor = monitor_of(dhow, container);
    let handle = rustix::process::pidfd_open(monitor, PidfdFlags::empty()).unwrap();
    kill_process(monitor, Signal::KILL).unwrap();
    let mut end = [PollFd::new(&handle, PollFlags::IN)];
    assert_eq!(poll(&mut end, None).unwrap(), 1);
}

/// Waits until a container is in a state.
pub(crate) fn wait_for_state(dhow: &Dhow, container: &str, state: &str) {
    let there = need::eventually(SOON, || {
        let outcome = dhow.run(&["inspect", "--format", "{{.State.Status}}", container]);
        (outcome.line() == state).then_some(())
    });
    assert!(there.is_some(), "{container} is not {state}");
}

/// Waits until a container's log holds some text.
pub(crate) fn wait_for_output(dhow: &Dhow, container: &str, text: &str) {
    let there = need::eventually(SOON, || {
        dhow.run(&["logs", container]).stdout.contains(text).then_some(())
    });
    assert!(there.is_some(), "{container} does not print {text:?}");
}

/// Runs podman with storage of its own in the fixture's directory, which is where it works.
pub(crate) fn podman(dhow: &Dhow, arguments: &[&str]) -> Outcome {
    let here = dhow.directory().join("podman");
    let mut command = Command::new("podman");
    command
        .args(["--root", &format!("{}/root", here.display())])
        .args(["--runroot", &format!("{}/run", here.display())])
        .args(["--storage-driver", "vfs"])
        .args(arguments)
        .current_dir(dhow.directory());
    outcome::run(&mut command, b"", outcome::LIMIT).unwrap()
}
