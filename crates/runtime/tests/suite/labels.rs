//! Labels of the security modules: the process's, and those of what is mounted for it.
//!
//! A kernel runs AppArmor or SELinux or neither; `cargo xtask lab` boots both, with the profile and
//! the policy that these tests name.

use crate::bundle::Bundle;
use dhow_testkit::{needs, needs_root, needs_tool};

/// A profile that allows everything but `/forbidden`.
const PROFILE: &str = "dhow-lab";
/// A label that the lab's policy has.
const LABEL: &str = "system_u:system_r:container_t:s0:c1,c2";
/// A label of files that the lab's policy has.
const FILE_LABEL: &str = "system_u:object_r:container_file_t:s0:c1,c2";

fn has_profile() -> bool {
    std::fs::read_to_string("/sys/kernel/security/apparmor/profiles")
        .is_ok_and(|profiles| profiles.contains(PROFILE))
}

/// A kernel without SELinux has no selinuxfs; one without a policy knows no label.
fn has_policy() -> bool {
    std::fs::write("/sys/fs/selinux/context", LABEL).is_ok()
}

#[test]
fn a_process_is_confined_by_its_apparmor_profile() {
    needs_root!();
    needs_tool!("busybox");
    needs!(has_profile(), "AppArmor with the profile dhow-lab");
    let mut bundle = Bundle::new();
    std::fs::write(bundle.root().join("forbidden"), "secret").unwrap();
    bundle.process().apparmor_profile = Some(PROFILE.to_owned());

    let outcome = bundle.sh("cat /proc/self/attr/current; cat /forbidden || echo refused").ok();

    assert_eq!(outcome.stdout, format!("{PROFILE} (enforce)\nrefused\n"));
}

#[test]
fn an_executed_process_is_confined_too() {
    needs_root!();
    needs_tool!("busybox");
    needs!(has_profile(), "AppArmor with the profile dhow-lab");
    let mut bundle = Bundle::new();
    bundle.process().apparmor_profile = Some(PROFILE.to_owned());
    let mut held = bundle.hold(&["sleep", "60"]);
    held.start();

    let outcome = bundle.exec(held.pid, &["cat", "/proc/self/attr/current"]).ok();

    assert_eq!(outcome.stdout, format!("{PROFILE} (enforce)\n"));
    held.kill();
    held.end();
}

#[test]
fn an_unknown_apparmor_profile_is_refused_by_name() {
    needs_root!();
    needs_tool!("busybox");
    needs!(has_profile(), "AppArmor with the profile dhow-lab");
    let mut bundle = Bundle::new();
    bundle.process().apparmor_profile = Some("no-such-profile".to_owned());

    let outcome = bundle.sh("echo ran");

    assert_ne!(outcome.code, 0, "{outcome:?}");
    assert!(outcome.stderr.contains("no-such-profile"), "{outcome:?}");
    assert_eq!(outcome.stdout, "");
}

#[test]
fn a_process_and_its_mounts_have_their_selinux_labels() {
    needs_root!();
    needs_tool!("busybox");
    needs!(has_policy(), "SELinux with the lab's policy");
    let mut bundle = Bundle::new();
    bundle.process().selinux_label = Some(LABEL.to_owned());
    bundle.spec.linux.as_mut().unwrap().mount_label = Some(FILE_LABEL.to_owned());

    let outcome =
        bundle.sh("tr -d '\\0' </proc/self/attr/current; echo; grep ' /dev ' /proc/mounts").ok();

    let mut lines = outcome.stdout.lines();
    assert_eq!(lines.next(), Some(LABEL));
    let dev = lines.next().unwrap();
    assert!(dev.contains(&format!("context=\"{FILE_LABEL}\"")), "{dev}");
}

#[test]
fn an_executed_process_has_its_selinux_label() {
    needs_root!();
    needs_tool!("busybox");
    needs!(has_policy(), "SELinux with the lab's policy");
    let mut bundle = Bundle::new();
    bundle.process().selinux_label = Some(LABEL.to_owned());
    let mut held = bundle.hold(&["sleep", "60"]);
    held.start();

    let outcome = bundle.exec(held.pid, &["cat", "/proc/self/attr/current"]).ok();

    assert_eq!(outcome.stdout.trim_end_matches('\0'), LABEL);
    held.kill();
    held.end();
}

#[test]
fn an_unknown_selinux_label_is_refused_by_name() {
    needs_root!();
    needs_tool!("busybox");
    needs!(has_policy(), "SELinux with the lab's policy");
    let mut bundle = Bundle::new();
    bundle.process().selinux_label = Some("system_u:system_r:no_such_t:s0".to_owned());

    let outcome = bundle.sh("echo ran");

    assert_ne!(outcome.code, 0, "{outcome:?}");
    assert!(outcome.stderr.contains("no_such_t"), "{outcome:?}");
    assert_eq!(outcome.stdout, "");
}
