//! `inspect`, field by field: docker's document beside dhow's, of the same command line.

use super::{Who, archive, plain};
use crate::{engine::BOX, engine::Engine, world::World};
use dhow_testkit::{need, needs_root, needs_tool};
use serde_json::Value;

/// Fields that are not the same, and why. A dot at the end means all below.
const EXPLAINED: &[(&str, &str)] = &[
    (".Id", "ids are random"),
    (".Created", "it is another moment"),
    (".ResolvConfPath", "it lies elsewhere"),
    (".HostnamePath", "it lies elsewhere"),
    (".HostsPath", "it lies elsewhere"),
    (".LogPath", "it lies elsewhere"),
    (".State.Pid", "it is another process"),
    (".State.StartedAt", "it is another moment"),
    (".Driver", "drivers have other names"),
    (".GraphDriver.", "roots are mounted in the container alone"),
    (".HostConfig.LogConfig.", "the usual driver is podman's k8s-file"),
    (".HostConfig.CgroupnsMode", "private also on version 1, as podman has it on version 2"),
    (".HostConfig.Runtime", "the runtime is the same program"),
    (".HostConfig.Ulimits", "the daemon of the test has limits of its own"),
    (".HostConfig.MaskedPaths", "more is masked"),
    (".HostConfig.MemorySwap", "the limit that holds is shown"),
    (".HostConfig.SecurityOpt", "no label has to be disabled where none is given"),
    (".HostConfig.Tmpfs./t", "sizes are numbers"),
    (".HostConfig.CgroupParent", "groups lie below dhow's"),
    (".HostConfig.PidsLimit", "no limit is 0 as well"),
    (".HostConfig.KernelMemory", "the kernel has no such limit any more"),
    (".HostConfig.KernelMemoryTCP", "the kernel has no such limit any more"),
    (".Mounts.Source", "it lies elsewhere"),
    (".Mounts.Name", "names that nobody gave are random"),
    (".Config.WorkingDir", "the directory in which it runs is shown"),
    (".Config.Hostname", "it is the id's beginning"),
    (".Config.Env", "what the engine sets is shown as well"),
    (".NetworkSettings.", "there is no network that gives addresses"),
    (".SizeRootFs", "the image takes another place"),
];

/// What a container is asked for in the one comparison, and in the other.
const LINES: [&[&str]; 2] = [
    &["--network", "none", BOX, "sleep", "1000"],
    &[
        "--network",
        "none",
        "-v",
        "data:/data:ro",
        "-v",
        "/anonymous",
        "-m",
        "64m",
        "--cpus",
        "0.5",
        "--cap-add",
        "NET_ADMIN",
        "--cap-drop",
        "NET_RAW",
        "--group-add",
        "extra",
        "--device",
        "/dev/loop-control:/dev/mine:r",
        "--device-cgroup-rule",
        "c 1:3 rwm",
        "--security-opt",
        "no-new-privileges",
        "--tmpfs",
        "/t:size=1m",
        "--sysctl",
        "net.ipv4.ip_forward=1",
        "-e",
        "A=b",
        "-l",
        "x=y",
        "--add-host",
        "a:1.2.3.4",
        "--oom-score-adj",
        "100",
        "--read-only",
        "--shm-size",
        "2m",
        "--restart",
        "on-failure:3",
        "--stop-signal",
        "SIGUSR1",
        "--stop-timeout",
        "5",
        "-u",
        "1000",
        "-w",
        "/tmp",
        "-i",
        "-t",
        "--ipc",
        "shareable",
        "--pid",
        "host",
        "--health-cmd",
        "true",
        "--health-interval",
        "1h",
        "--cpu-shares",
        "512",
        "--cpuset-cpus",
        "0",
        "--pids-limit",
        "50",
        "--init",
        "--entrypoint",
        "sh",
        BOX,
        "-c",
        "sleep 1000",
    ],
];

#[test]
fn inspect_has_dockers_fields_and_what_is_in_them() {
    needs_root!();
    needs_tool!("unshare", "nsenter", "ip", "busybox", "dockerd", "docker", "containerd", "runc");
    let world = World::new();
    let (_daemon, docker) = Who::Docker.begin(&world);
    let version = docker.run(&["version", "--format", "{{.Server.Version}}"]);
    if !version.line().starts_with(Who::Docker.version()) {
        return need::skip("the version of it whose differences are listed");
    }
    let (_none, dhow) = Who::Dhow.begin(&world);
    let archive = archive(&world, BOX, plain);
    let mut differ = Vec::new();
    for line in LINES {
        let [theirs, ours] = [&docker, &dhow].map(|engine| document(engine, &archive, line));
        compare("", &theirs, &ours, &mut differ);
    }

    let mut used = vec![false; EXPLAINED.len()];
    differ.retain(|(path, _)| {
        let why = EXPLAINED.iter().position(|(known, _)| {
            path == known || (known.ends_with('.') && path.starts_with(known))
        });
        why.inspect(|at| used[*at] = true).is_none()
    });
    let lines: Vec<&str> = differ.iter().map(|(_, line)| line.as_str()).collect();
    assert!(lines.is_empty(), "docker's beside ours:\n{}", lines.join("\n"));
    let idle = EXPLAINED.iter().zip(used).filter(|(_, used)| !used);
    let idle: Vec<&str> = idle.map(|((path, _), _)| *path).collect();
    assert!(idle.is_empty(), "explained, though there is no difference: {idle:?}");
}

fn document(engine: &Engine<'_>, archive: &str, line: &[&str]) -> Value {
    drop(engine.run(&["load", "-q", "-i", archive]).ok());
    drop(engine.run(&[&["run", "-d", "--name", "fields"], line].concat()).ok());
    let words = ["inspect", "--size", "--type", "container", "fields"];
    let text = engine.run(&words).ok().stdout;
    engine.remove(&["fields"]);
    let mut document = serde_json::from_str::<Value>(&text).unwrap()[0].clone();
    // Docker lists them as they come, which is now one way and now the other.
    if let Some(mounts) = document["Mounts"].as_array_mut() {
        mounts.sort_by_key(|mount| mount["Destination"].as_str().map(str::to_owned));
    }
    document
}

/// Notes each path whose value is another one, and each that is missing. Lists are compared element
/// by element and have no numbers in their paths.
fn compare(path: &str, theirs: &Value, ours: &Value, differ: &mut Vec<(String, String)>) {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            for (name, value) in theirs {
                let path = format!("{path}.{name}");
                match ours.get(name) {
                    Some(found) => compare(&path, value, found, differ),
                    None => differ.push((path.clone(), format!("{path}: {value}, and nothing"))),
                }
            }
        }
        (Value::Array(theirs), Value::Array(ours)) if theirs.len() == ours.len() => {
            for (one, other) in theirs.iter().zip(ours) {
                compare(path, one, other, differ);
            }
        }
        _ if theirs == ours => {}
        _ => differ.push((path.to_owned(), format!("{path}: {theirs}, and {ours}"))),
    }
}
