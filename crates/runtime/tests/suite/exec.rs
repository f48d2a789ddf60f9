//! One more process in a running container.

use crate::bundle::{Bundle, Held};
use dhow_testkit::needs_root;

fn running(bundle: &mut Bundle) -> Held {
    let mut held = bundle.hold(&["sh", "-c", "echo up; exec sleep 60"]);
    held.start();
    assert_eq!(held.line(), "up");
    held
}

fn stop(held: Held) {
    held.kill();
    assert_eq!(held.end().0, 137);
}

#[test]
fn a_process_joins_every_namespace_and_the_cgroup() {
    needs_root!();
    let mut bundle = Bundle::new();
    let held = running(&mut bundle);

    let script = "for k in pid net ipc uts mnt cgroup; do [ $(readlink /proc/self/ns/$k) = $(readlink /proc/1/ns/$k) ] || echo $k differs; done
                  hostname; [ \"$(cat /proc/self/cgroup)\" = \"$(cat /proc/1/cgroup)\" ] || cat /proc/self/cgroup /proc/1/cgroup; ls /bin/busybox; exit 4";
    let outcome = bundle.exec(held.pid, &["sh", "-c", script]).exits(4);

    assert_eq!(outcome.stdout, "inside\n/bin/busybox\n");
    stop(held);
}

/// Attack tests 8 and 12: a process that joins brings no fd and no capability along.
#[test]
fn a_process_that_joins_has_only_its_streams_and_the_declared_capabilities() {
    needs_root!();
    let mut bundle = Bundle::new();
    let held = running(&mut bundle);

    let outcome =
        bundle.exec(held.pid, &["sh", "-c", "ls /proc/$$/fd; grep Cap /proc/self/status"]).ok();

    assert!(outcome.stdout.starts_with("0\n1\n2\n"), "{outcome}");
    assert!(outcome.stdout.contains("CapEff:\t00000000a80425fb"), "{outcome}");
    assert!(outcome.stdout.contains("CapBnd:\t00000000a80425fb"), "{outcome}");
    stop(held);
}

#[test]
fn a_joining_process_can_have_a_terminal() {
    needs_root!();
    let mut bundle = Bundle::new();
    let held = running(&mut bundle);
    bundle.process().terminal = true;
    bundle.write();

    let outcome = bundle.exec(held.pid, &["tty"]).ok();

    assert_eq!(outcome.line(), "/dev/pts/0");
    stop(held);
}

#[test]
fn errors_of_a_joining_process_come_back() {
    needs_root!();
    let mut bundle = Bundle::new();
    let held = running(&mut bundle);

    drop(bundle.exec(held.pid, &["nope"]).exits(127).says("executable file not found in $PATH"));
    drop(bundle.exec(held.pid, &["/etc"]).exits(126).says("permission denied"));
    stop(held);
}

#[test]
fn a_process_that_is_not_the_container_s_any_more_is_refused() {
    needs_root!();
    let mut bundle = Bundle::new();
    let held = running(&mut bundle);
    let pid = held.pid;
    stop(held);

    assert_ne!(bundle.exec(pid, &["true"]).code, 0);
}
