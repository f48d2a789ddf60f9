//! The embedded image: the first thing that a newcomer runs.

use dhow_testkit::{Dhow, need, needs, needs_root};

#[test]
fn hello_needs_no_registry_and_says_what_a_container_is() {
    needs_root!();
    let dhow = Dhow::new();

    let outcome = dhow.run(&["run", "--rm", "hello"]).ok();

    let own = std::fs::read_link("/proc/self/ns/mnt").unwrap();
    let number = own.to_str().unwrap().trim_matches(|letter: char| !letter.is_ascii_digit());
    for expected in
        ["Hello from inside a container", "pid 1,", "its own", "seccomp: yes", "refused"]
    {
        assert!(outcome.stdout.contains(expected), "{expected:?} in {outcome}");
    }
    assert!(!outcome.stdout.contains(number), "it is in our mount namespace: {outcome}");
    assert!(!outcome.stdout.contains("ALLOWED"), "{outcome}");
    assert!(outcome.stdout.lines().all(|line| line.chars().count() <= 80), "{outcome}");
    dhow.assert_clean();
}

#[test]
fn the_limits_that_hello_sees_are_those_that_were_set() {
    needs_root!();
    needs!(need::processors() > 1, "two processors");
    let dhow = Dhow::new();

    let outcome = dhow.run(&[
        "run",
        "--rm",
        "-q",
        "-m",
        "64m",
        "--pids-limit",
        "50",
        "--cpus",
        "1.5",
        "hello",
    ]);

    let outcome = outcome.ok();
    let line = "memory 64 MiB, processes 50, processors 1.5";
    assert!(outcome.stdout.contains(line), "{outcome}");
}

#[test]
fn hello_is_an_image_like_any_other() {
    needs_root!();
    let dhow = Dhow::new();
    drop(dhow.run(&["run", "--rm", "-q", "hello"]).ok());

    let list = dhow.run(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).ok();

    assert_eq!(list.line(), "localhost/hello:latest");
    drop(dhow.run(&["rmi", "localhost/hello"]).ok());
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

/// The first thing that may be in a newcomer's way: a root that is a directory and no mount.
#[test]
fn a_chroot_is_named_with_what_helps() {
    needs_root!();
    let dhow = Dhow::new();
    let room = tempfile::tempdir().unwrap();
    std::fs::copy(dhow.program(), room.path().join("dhow")).unwrap();
    let script = "set -e; for d in proc sys dev; do mkdir $0/$d; mount --rbind /$d $0/$d; done; \
                  test -z \"$1\" || mount --rbind $0 $0; cd $0; \
                  exec chroot . /dhow --root /l --runroot /r run --rm -q --network none hello";
    let within = |kind: &str| {
        let mut command = std::process::Command::new("unshare");
        // What the caller's configuration would be is not in there.
        command.env_remove("CONTAINERS_CONF_OVERRIDE");
        let words = ["-m", "--propagation", "private", "sh", "-c", script];
        let outcome = dhow.finish(command.args(words).arg(room.path()).arg(kind), b"");
        for name in ["proc", "sys", "dev"] {
            std::fs::remove_dir(room.path().join(name)).unwrap();
        }
        outcome
    };

    let refused = within("").exits(125);
    let fine = within("bound").ok();

    assert!(refused.stderr.contains("/ is no mount, as in a chroot"), "{refused}");
    assert!(refused.stderr.contains("mount --bind"), "{refused}");
    assert!(fine.stdout.contains("Hello from inside a container"), "{fine}");
}
