//! What an attack is told when it is refused: the self-test (`crates/selftest`) plays the attacks
//! themselves, by the command line and as every kind of caller, and looks at what they did.

use crate::{bundle::Bundle, mounts::bind};
use dhow_testkit::needs_root;
use std::{os::unix::fs::symlink, path::Path};

/// Attack tests 1 and 2.
#[test]
fn a_link_where_a_kernel_filesystem_belongs_is_named() {
    needs_root!();
    for victim in ["proc", "sys"] {
        let bundle = Bundle::new();
        let place = bundle.root().join(victim);
        std::fs::remove_dir(&place).unwrap();
        symlink("/tmp", &place).unwrap();
        let mut bundle = bundle;

        drop(bundle.run(&["true"]).exits(125).says("no plain directory"));
    }
}

/// Attack test 4: CVE-2025-31133.
#[test]
fn a_null_device_that_is_something_else_is_named() {
    needs_root!();
    let mut bundle = Bundle::new();
    bundle.spec.mounts.retain(|mount| !mount.destination.starts_with("/dev"));
    symlink("/proc/sys/kernel/core_pattern", bundle.root().join("dev/null")).unwrap();

    drop(bundle.run(&["true"]).exits(125).says("/dev/null"));
}

/// Attack test 5: CVE-2025-52565, without the race: a `/dev/console` that leads to a file that is
/// there is not followed.
#[test]
fn a_console_that_is_a_link_is_not_followed() {
    needs_root!();
    let mut bundle = Bundle::new();
    bundle.process().terminal = true;
    bundle.spec.mounts.retain(|mount| mount.destination != Path::new("/dev"));
    symlink("/proc/sysrq-trigger", bundle.root().join("dev/console")).unwrap();

    let outcome = bundle.sh("stat -c %F /proc/sysrq-trigger; cat /proc/self/mountinfo");

    assert!(!outcome.stdout.contains("character"), "{outcome}");
    assert!(matches!(outcome.code, 0 | 125), "{outcome}");
}

/// Attack test 6: CVE-2025-52881, CVE-2019-16884.
#[test]
fn what_would_cover_procfs_is_named() {
    needs_root!();
    for destination in ["/proc/self/attr", "/proc/sys/kernel", "/proc"] {
        let mut bundle = Bundle::new();
        let source = bundle.directory().join("fake");
        std::fs::create_dir(&source).unwrap();
        bundle.spec.mounts.push(bind(&source, destination, &["bind"]));

        drop(bundle.run(&["true"]).exits(125).says("inside procfs"));
    }
}

/// Attack test 7: CVE-2024-21626.
#[test]
fn a_working_directory_behind_the_root_is_refused() {
    needs_root!();
    let mut bundle = Bundle::new();
    bundle.process().cwd = "/proc/self/root/..".to_owned();

    assert_eq!(bundle.run(&["pwd"]).code, 125);
}
