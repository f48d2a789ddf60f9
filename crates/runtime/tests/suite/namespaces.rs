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

#[test]
fn a_path_to_another_kind_of_namespace_is_refused() {
    needs_root!();
    let mut bundle = Bundle::new();
    let linux = bundle.spec.linux.as_mut().unwrap();
    linux.namespaces.retain(|namespace| namespace.kind != NamespaceKind::Ipc);
    linux
        .namespaces
        .push(Namespace { kind: NamespaceKind::Ipc, path: Some("/proc/self/ns/net".into()) });

    drop(bundle.run(&["true"]).exits(125).says("join the ipc namespace"));
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
fn open_for_all(path: &std::path::Path) {
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
