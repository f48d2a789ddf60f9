//! The same tests where other versions are mounted than this machine has.

use crate::ground::Ground;
use dhow_cgroup::Layout;
use dhow_testkit::{needs, needs_root, needs_tool};
use std::{path::Path, process::Command};

const UNIFIED: &str = "/sys/fs/cgroup/unified";

/// Runs the other tests, or one file of them, in a mount namespace that a shell arranges first.
fn elsewhere(arrange: &str, tests: &[&str]) {
    let script = format!("{arrange} && exec \"$0\" \"$@\"");

    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .args(["--skip", "layouts", "--nocapture", "--test-threads", "2"])
        .args(tests)
        .output()
        .unwrap();

    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}{}", String::from_utf8_lossy(&output.stderr));
    assert!(shown.contains("test result: ok") && !shown.contains(" 0 passed"), "{shown}");
}

macro_rules! needs_both_versions {
    () => {
        needs_root!();
        needs_tool!("unshare");
        let is_hybrid = Ground::new().hierarchies.layout() == Layout::Hybrid;
        needs!(is_hybrid && Path::new(UNIFIED).is_dir(), "both versions of cgroups");
    };
}

#[test]
fn all_of_this_holds_on_version_2_alone() {
    needs_both_versions!();

    elsewhere(&format!("mount --bind {UNIFIED} /sys/fs/cgroup"), &[]);
}

#[test]
fn all_of_this_holds_on_version_1_alone() {
    needs_both_versions!();

    elsewhere(&format!("umount {UNIFIED}"), &[]);
}

#[test]
fn without_the_devices_controller_a_program_denies_devices() {
    needs_both_versions!();
    needs!(Path::new("/sys/fs/cgroup/devices/tasks").exists(), "the devices controller");

    elsewhere("umount /sys/fs/cgroup/devices", &["devices::"]);
}
