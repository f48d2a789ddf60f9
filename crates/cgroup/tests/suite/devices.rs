//! Which devices may be used, by version 1's files or version 2's programs.

use crate::ground::{Ground, Shell};
use dhow_cgroup::Cgroup;
use dhow_spec::runtime::{DeviceRule, Resources, default_spec};
use dhow_testkit::{needs, needs_root};
use rustix::fs::{CWD, FileType, Mode, makedev};
use std::path::Path;

#[test]
fn devices_are_denied_until_a_rule_allows_them() {
    needs_root!();
    let ground = Ground::new();
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

/// Makes a node of a device and says whether opening it is refused as a cgroup refuses.
fn is_denied(cgroup: Option<&Cgroup>, node: &Path) -> bool {
    let script = format!("sh -c ': <{}' 2>&1", node.display());
    let shell = Shell::new(&script);
    if let Some(cgroup) = cgroup {
        cgroup.add(shell.pid()).unwrap();
    }
    shell.output().contains("Operation not permitted")
}

#[test]
fn nodes_of_ones_own_making_open_only_where_rules_allow_it() {
    needs_root!();
    let ground = Ground::new();
    let devices = default_spec().linux.unwrap().resources.unwrap().devices;
    let cgroup = ground.create(&Resources { devices, ..Resources::default() }).unwrap();
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

    assert!(is_denied(Some(&cgroup), &loop_device));
    assert!(is_denied(Some(&cgroup), &kernel_log));
    assert!(!is_denied(Some(&cgroup), &null));
}
