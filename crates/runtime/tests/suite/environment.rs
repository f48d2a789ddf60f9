//! What the program finds around it: environment, fds, devices, standard streams.

use crate::bundle::Bundle;
use dhow_spec::runtime::Device;
use dhow_testkit::needs_root;

#[test]
fn the_environment_is_the_configured_one_and_no_more() {
    needs_root!();
    let mut bundle = Bundle::new();
    bundle.process().env.push("A=b=c".to_owned());

    assert_eq!(bundle.run(&["env"]).ok().stdout, "PATH=/bin\nA=b=c\nHOME=/root\n");
}

#[test]
fn the_default_devices_are_what_they_are_called() {
    needs_root!();
    let mut bundle = Bundle::new();
    bundle.spec.linux.as_mut().unwrap().devices = vec![Device {
        kind: "c".to_owned(),
        path: "/dev/sub/mine".into(),
        major: 1,
        minor: 5,
        file_mode: Some(0o640),
        uid: Some(7),
        gid: Some(8),
    }];

    let outcome = bundle
        .sh("cd /dev; stat -c '%n %F %t:%T %a %u:%g' null zero full random urandom tty sub/mine; readlink fd; readlink ptmx")
        .ok();

    assert_eq!(
        outcome.stdout,
        "null character special file 1:3 666 0:0\n\
         zero character special file 1:5 666 0:0\n\
         full character special file 1:7 666 0:0\n\
         random character special file 1:8 666 0:0\n\
         urandom character special file 1:9 666 0:0\n\
         tty character special file 5:0 666 0:0\n\
         sub/mine character special file 1:5 640 7:8\n\
         /proc/self/fd\npts/ptmx\n"
    );
}

#[test]
fn a_held_program_starts_when_it_is_told_to() {
    needs_root!();
    let mut bundle = Bundle::new();
    let mut held = bundle.hold(&["sh", "-c", "echo ran; exit 3"]);

    let name = std::fs::read_to_string(format!("/proc/{}/comm", held.pid)).unwrap();
    let open = std::fs::read_dir(format!("/proc/{}/fd", held.pid)).unwrap().count();

    assert_eq!(name.trim(), "bundle", "the program does not run yet");
    assert_eq!(open, 4, "it waits with its streams and one line");
    held.start();
    assert_eq!(held.line(), "ran");
    assert_eq!(held.end(), (3, String::new()));
}
