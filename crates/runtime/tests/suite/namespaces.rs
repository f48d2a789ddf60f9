//! Namespaces: new ones, joined ones, and what the container is called in them.

use crate::bundle::Bundle;
use dhow_spec::runtime::{IdMapping, Namespace, NamespaceKind, TimeOffset};
use dhow_testkit::{needs_root, needs_tool};

fn own(kind: &str) -> String {
    std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().to_str().unwrap().to_owned()
}

#[test]
fn every_listed_namespace_is_new_and_the_others_are_the_host_s() {
    needs_root!();
    let mut bundle = Bundle::new();
    let kinds = ["pid", "net", "ipc", "uts", "mnt", "cgroup", "user", "time"];

    let outcome = bundle
        .sh("for k in pid net ipc uts mnt cgroup user time; do readlink /proc/self/ns/$k; done")
        .ok();

    for (kind, inside) in kinds.iter().zip(outcome.stdout.lines()) {
        let is_host = inside == own(kind);
        assert_eq!(is_host, matches!(*kind, "user" | "time"), "{kind}: {inside}");
    }
}

#[test]
fn the_program_is_process_one_with_its_own_host_name_and_loopback() {
    needs_root!();
    let mut bundle = Bundle::new();

    let outcome = bundle.sh("echo $$; hostname; ip addr show lo | grep -c 127.0.0.1").ok();

    assert_eq!(outcome.stdout, "1\ninside\n1\n");
}

#[test]
fn a_namespace_is_joined_by_its_path() {
    needs_root!();
    let mut first = Bundle::new();
    let mut held = first.hold(&["sh", "-c", "hostname"]);
    let mut second = Bundle::new();
    let namespaces = &mut second.spec.linux.as_mut().unwrap().namespaces;
    for namespace in namespaces.iter_mut() {
        let name = namespace.kind.proc_name();
        if matches!(
            namespace.kind,
            NamespaceKind::Network | NamespaceKind::Ipc | NamespaceKind::Pid | NamespaceKind::Uts
        ) {
            namespace.path = Some(format!("/proc/{}/ns/{name}", held.pid).into());
        }
    }
    second.spec.hostname = Some("shared".to_owned());

    let outcome = second.sh("for k in net ipc pid uts; do readlink /proc/self/ns/$k; done").ok();
    let expected: String = ["net", "ipc", "pid", "uts"]
        .map(|kind| {
            let link = std::fs::read_link(format!("/proc/{}/ns/{kind}", held.pid)).unwrap();
            format!("{}\n", link.display())
        })
        .concat();

    assert_eq!(outcome.stdout, expected);
    held.start();
    assert_eq!(held.line(), "shared");
    assert_eq!(held.end(), (0, String::new()));
}

/// config-linux.md, "Namespaces": "The runtime MUST generate an error if path is not associated with
/// a namespace of type type."
#[test]
fn a_path_to_anything_but_such_a_namespace_is_refused_by_name() {
    needs_root!();
    let mut bundle = Bundle::new();
    let pipe = bundle.directory().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    let all = bundle.spec.linux.as_ref().unwrap().namespaces.clone();
    for (kind, path, says) in [
        (NamespaceKind::Ipc, "/proc/self/ns/net", "it is a net namespace"),
        (NamespaceKind::Network, "/proc/self/ns/user", "it is a user namespace"),
        (NamespaceKind::User, "/proc/self/ns/mnt", "it is a mnt namespace"),
        (NamespaceKind::Time, "/proc/self/ns/cgroup", "it is a cgroup namespace"),
        (NamespaceKind::Uts, "/etc/passwd", "it is no namespace"),
        (NamespaceKind::Pid, pipe.to_str().unwrap(), "it is no namespace"),
        (NamespaceKind::Mount, "/dev/null", "it is no namespace"),
        (NamespaceKind::Cgroup, "proc/self/ns/cgroup", "the path is not absolute"),
        (NamespaceKind::Network, "/proc/self/ns/none", "No such file"),
    ] {
        let namespaces = &mut bundle.spec.linux.as_mut().unwrap().namespaces;
        *namespaces = all.iter().filter(|entry| entry.kind != kind).cloned().collect();
        namespaces.push(Namespace { kind, path: Some(path.into()) });

        let outcome = bundle.run(&["true"]).exits(125);

        let name = kind.proc_name();
        drop(outcome.says(&format!("open {name} namespace {path}")).says(says));
    }
}

#[test]
fn two_namespaces_of_a_kind_are_refused() {
    needs_root!();
    let mut bundle = Bundle::new();
    let namespaces = &mut bundle.spec.linux.as_mut().unwrap().namespaces;
    namespaces.push(Namespace { kind: NamespaceKind::Uts, path: None });

    drop(bundle.run(&["true"]).exits(125).says("use two uts namespaces"));
}

/// The namespaces of a process, as links.
fn links(pid: i32, kinds: &[&str]) -> String {
    let link = |kind| std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
    kinds.iter().map(|kind| format!("{}\n", link(kind).display())).collect()
}

const KINDS: [&str; 8] = ["pid", "net", "ipc", "uts", "mnt", "cgroup", "user", "time"];

fn in_new_user_namespace(bundle: &mut Bundle) {
    let linux = bundle.spec.linux.as_mut().unwrap();
    linux.namespaces.push(Namespace { kind: NamespaceKind::User, path: None });
    let mapping = vec![IdMapping { container_id: 0, host_id: 100_000, size: 65_536 }];
    linux.uid_mappings = mapping.clone();
    linux.gid_mappings = mapping;
    bundle.give_to(100_000);
}

/// The host's message queues are what a container sees that shares them, and a host may have none
/// mounted.
fn without_queues(bundle: &mut Bundle) {
    bundle.spec.mounts.retain(|mount| mount.kind.as_deref() != Some("mqueue"));
}

/// Makes `bundle` join namespaces of the process `pid`.
fn join(bundle: &mut Bundle, pid: i32, kinds: &[NamespaceKind]) {
    let linux = bundle.spec.linux.as_mut().unwrap();
    linux.namespaces.retain(|entry| !kinds.contains(&entry.kind));
    for &kind in kinds {
        let path = format!("/proc/{pid}/ns/{}", kind.proc_name());
        linux.namespaces.push(Namespace { kind, path: Some(path.into()) });
    }
}

#[test]
fn all_eight_namespaces_can_be_another_container_s() {
    needs_root!();
    let mut first = Bundle::new();
    in_new_user_namespace(&mut first);
    first
        .spec
        .linux
        .as_mut()
        .unwrap()
        .namespaces
        .push(Namespace { kind: NamespaceKind::Time, path: None });
    std::fs::write(first.root().join("here"), "the first's root").unwrap();
    let mut held = first.hold(&["sh", "-c", "hostname"]);
    let mut second = Bundle::new();
    join(&mut second, held.pid, &NamespaceKind::ALL);
    second.spec.hostname = Some("seen".to_owned());

    let outcome = second
        .sh("for k in pid net ipc uts mnt cgroup user time; do readlink /proc/self/ns/$k; done
             id -u; cat /here")
        .ok();
    let expected = links(held.pid, &KINDS);

    assert_eq!(outcome.stdout, format!("{expected}0\nthe first's root"));
    held.start();
    assert_eq!(held.line(), "seen");
    assert_eq!(held.end(), (0, String::new()));
}

#[test]
fn a_joined_user_namespace_owns_the_new_namespaces_and_has_the_same_ids() {
    needs_root!();
    let mut first = Bundle::new();
    in_new_user_namespace(&mut first);
    let mut held = first.hold(&["true"]);
    let mut second = Bundle::new();
    second.give_to(100_000);
    join(&mut second, held.pid, &[NamespaceKind::User, NamespaceKind::Network]);

    let outcome = second
        .sh("for k in net user; do readlink /proc/self/ns/$k; done
             echo $$; id -u; tr -s ' ' < /proc/self/uid_map
             touch /mine && stat -c %u /mine; echo x > /dev/null && echo null
             mount | grep -c ' /proc '")
        .ok();

    let expected = links(held.pid, &["net", "user"]);
    let mut third = second.hold(&["sleep", "60"]);
    third.start();
    let visitor = second.exec(third.pid, &["sh", "-c", "id -u; readlink /proc/self/ns/user"]).ok();
    third.kill();
    assert_eq!(third.end().0, 137);
    assert_eq!(visitor.stdout, format!("0\n{}", links(held.pid, &["user"])));
    assert_eq!(outcome.stdout, format!("{expected}1\n0\n 0 100000 65536\n0\nnull\n1\n"));
    let made = second.root().join("mine").metadata().unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&made), 100_000);
    held.start();
    assert_eq!(held.end(), (0, String::new()));
}

#[test]
fn a_new_user_namespace_joins_namespaces_that_the_host_owns() {
    needs_root!();
    let mut first = Bundle::new();
    let mut held = first.hold(&["true"]);
    let mut second = Bundle::new();
    in_new_user_namespace(&mut second);
    second.spec.hostname = None;
    without_queues(&mut second);
    let kinds = [NamespaceKind::Network, NamespaceKind::Ipc, NamespaceKind::Uts];
    join(&mut second, held.pid, &kinds);

    let outcome = second
        .sh("for k in net ipc uts; do readlink /proc/self/ns/$k; done
             id -u; [ -d /sys/class/net/lo ] && echo sys
             touch /sys/x 2> /dev/null || echo closed
             grep ' / /sys ' /proc/self/mountinfo | cut -d' ' -f6 | cut -d, -f1")
        .ok();

    let expected = links(held.pid, &["net", "ipc", "uts"]);
    let rest = "0\nsys\nclosed\nro\n";
    assert_eq!(outcome.stdout, format!("{expected}{rest}"), "{outcome}");
    held.start();
    assert_eq!(held.end(), (0, String::new()));
}

#[test]
fn without_namespaces_of_its_own_a_user_namespace_sees_the_host_s() {
    needs_root!();
    let mut bundle = Bundle::new();
    in_new_user_namespace(&mut bundle);
    bundle.spec.hostname = None;
    let linux = bundle.spec.linux.as_mut().unwrap();
    linux
        .namespaces
        .retain(|entry| matches!(entry.kind, NamespaceKind::User | NamespaceKind::Mount));
    linux.resources = None;
    bundle.spec.mounts.retain(|mount| mount.kind.as_deref() != Some("cgroup"));
    without_queues(&mut bundle);

    let outcome = bundle
        .sh("for k in pid net ipc uts; do readlink /proc/self/ns/$k; done
             test -r /proc/self/stat && test -d /sys/class && echo seen")
        .ok();

    let own: String = ["pid", "net", "ipc", "uts"].map(|kind| own(kind) + "\n").concat();
    assert_eq!(outcome.stdout, own + "seen\n");
}

#[test]
fn mappings_and_a_user_namespace_go_together() {
    needs_root!();
    let mapping = vec![IdMapping { container_id: 0, host_id: 100_000, size: 10 }];
    let mut bundle = Bundle::new();
    bundle.spec.linux.as_mut().unwrap().uid_mappings = mapping;

    drop(bundle.run(&["true"]).exits(125).says("need a user namespace"));

    let namespaces = &mut bundle.spec.linux.as_mut().unwrap().namespaces;
    namespaces.push(Namespace { kind: NamespaceKind::User, path: None });
    drop(bundle.run(&["true"]).exits(125).says("needs linux.uidMappings and gidMappings"));

    let linux = bundle.spec.linux.as_mut().unwrap();
    linux.gid_mappings = vec![IdMapping { container_id: 0, host_id: 100_000, size: 0 }];
    drop(bundle.run(&["true"]).exits(125).says("map the group ids: write gid_map"));
}

#[test]
fn clocks_are_shifted_in_a_new_time_namespace_only() {
    needs_root!();
    let offset = TimeOffset { secs: 2_000_000, nanosecs: 5 };
    let mut bundle = Bundle::new();
    bundle.spec.linux.as_mut().unwrap().time_offsets = [("monotonic".to_owned(), offset)].into();

    drop(bundle.run(&["true"]).exits(125).says("without a new time namespace"));

    let linux = bundle.spec.linux.as_mut().unwrap();
    linux.namespaces.push(Namespace { kind: NamespaceKind::Time, path: None });
    linux.time_offsets = [("realtime".to_owned(), offset)].into();
    drop(bundle.run(&["true"]).exits(125).says("clock \"realtime\": there is no such clock"));

    bundle.spec.linux.as_mut().unwrap().time_offsets =
        [("monotonic".to_owned(), offset), ("boottime".to_owned(), offset)].into();
    in_new_user_namespace(&mut bundle);
    let outcome = bundle.sh("tr -s ' ' < /proc/self/timens_offsets; cut -d. -f1 /proc/uptime").ok();

    let mut lines = outcome.stdout.lines();
    assert_eq!(lines.next(), Some("monotonic 2000000 5"), "{outcome}");
    assert_eq!(lines.next(), Some("boottime 2000000 5"), "{outcome}");
    assert!(lines.next().unwrap().parse::<u64>().unwrap() >= 2_000_000, "{outcome}");
}

#[test]
fn a_user_namespace_maps_ids_and_still_has_devices() {
    needs_root!();
    let mut bundle = Bundle::new();
    let linux = bundle.spec.linux.as_mut().unwrap();
    linux.namespaces.push(Namespace { kind: NamespaceKind::User, path: None });
    let mapping = vec![IdMapping { container_id: 0, host_id: 100_000, size: 65_536 }];
    linux.uid_mappings = mapping.clone();
    linux.gid_mappings = mapping;
    std::os::unix::fs::chown(bundle.root(), Some(100_000), Some(100_000)).unwrap();
    open_for_all(bundle.root());

    let outcome = bundle
        .sh("id -u; cat /proc/self/uid_map | tr -s ' '; echo x > /dev/null && echo written; stat -c %u /etc")
        .ok();

    assert_eq!(outcome.stdout, "0\n 0 100000 65536\nwritten\n65534\n");
}

/// The root lies in a directory that only root may enter; the mapped user must reach it.
pub(crate) fn open_for_all(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    let parent = path.parent().unwrap();
    std::fs::set_permissions(parent, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn an_ordinary_user_runs_a_container_with_one_mapping() {
    needs_root!();
    needs_tool!("setpriv");
    let mut bundle = Bundle::new();
    let linux = bundle.spec.linux.as_mut().unwrap();
    linux.namespaces.push(Namespace { kind: NamespaceKind::User, path: None });
    let mapping = vec![IdMapping { container_id: 0, host_id: 1000, size: 1 }];
    linux.uid_mappings = mapping.clone();
    linux.gid_mappings = mapping;
    linux.resources = None;
    bundle.spec.mounts.retain(|mount| mount.kind.as_deref() != Some("cgroup"));
    for mount in &mut bundle.spec.mounts {
        mount.options.retain(|option| !option.starts_with("gid="));
    }
    std::os::unix::fs::chown(bundle.root(), Some(1000), Some(1000)).unwrap();
    open_for_all(bundle.root());
    open_for_all(&bundle.directory().join("config.json"));

    let outcome = bundle
        .run_as(1000, "id -u; touch /mine && stat -c %u /mine; echo x > /dev/null && echo null")
        .ok();

    assert_eq!(outcome.stdout, "0\n0\nnull\n");
    assert_eq!(
        std::os::unix::fs::MetadataExt::uid(&bundle.root().join("mine").metadata().unwrap()),
        1000
    );
}

#[test]
fn a_time_namespace_has_its_offset() {
    needs_root!();
    let mut bundle = Bundle::new();
    let linux = bundle.spec.linux.as_mut().unwrap();
    linux.namespaces.push(Namespace { kind: NamespaceKind::Time, path: None });
    linux.time_offsets =
        [("boottime".to_owned(), TimeOffset { secs: 1_000_000, nanosecs: 0 })].into();

    let outcome = bundle.sh("cut -d. -f1 /proc/uptime").ok();

    assert!(outcome.line().parse::<u64>().unwrap() >= 1_000_000, "{outcome}");
}
