//! Terminals: in the container's own devpts, controlling, and at `/dev/console`.

use crate::bundle::Bundle;
use dhow_spec::runtime::ConsoleSize;
use dhow_testkit::needs_root;

#[test]
fn a_terminal_is_the_container_s_own() {
    needs_root!();
    let mut bundle = Bundle::new();
    bundle.process().terminal = true;
    bundle.process().console_size = Some(ConsoleSize { height: 11, width: 77 });

    // The shell's own pipe comes and goes while its fds are listed.
    let outcome = bundle
        .sh("tty; stty size; echo x > /dev/tty; stat -c %t:%T /dev/console /dev/pts/0; ls -l /proc/$$/fd 2>/dev/null | grep -c /dev/pts/0")
        .ok();

    assert_eq!(outcome.stdout.replace('\r', ""), "/dev/pts/0\n11 77\nx\n88:0\n88:0\n3\n");
}

#[test]
fn a_terminal_belongs_to_the_container_s_user() {
    needs_root!();
    let mut bundle = Bundle::new();
    bundle.process().terminal = true;
    bundle.process().user.uid = 1000;

    let outcome = bundle.sh("stat -c %u /dev/pts/0; echo again > /dev/pts/0").ok();

    assert_eq!(outcome.stdout.replace('\r', ""), "1000\nagain\n");
}

#[test]
fn a_terminal_without_devpts_is_an_error_that_says_so() {
    needs_root!();
    let mut bundle = Bundle::new();
    bundle.process().terminal = true;
    bundle.spec.mounts.retain(|mount| mount.destination != std::path::Path::new("/dev/pts"));

    drop(bundle.run(&["true"]).exits(125).says("open /dev/pts/ptmx"));
}
