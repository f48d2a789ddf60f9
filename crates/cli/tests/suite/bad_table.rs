//! Sixty and more broken inputs, row by row: each gets one error with its code, the object, the cause
//! and a next step, for programs as for people, and leaves nothing behind.

use crate::fixture::{layout_of, start, with_box};
use dhow_testkit::{
    Dhow, Outcome,
    image::{Compression, Image, Layout},
    needs_root,
};
use serde_json::Value;
use std::{fs, os::unix::fs::PermissionsExt};

/// A command line, and what is said of it.
struct Row {
    line: &'static [&'static str],
    exit: i32,
    code: &'static str,
    /// What the message names: the object, and why.
    words: &'static [&'static str],
}

const fn row(
    line: &'static [&'static str],
    exit: i32,
    code: &'static str,
    words: &'static [&'static str],
) -> Row {
    Row { line, exit, code, words }
}

/// What needs no image, and is refused before a database is made.
const FLAGS: [Row; 62] = [
    row(&["run", "--memory", "12x", "box"], 125, "invalid", &["--memory", "12x"]),
    row(&["run", "--cpus", "many", "box"], 125, "invalid", &["--cpus", "many"]),
    row(&["run", "--volume", "a/b:/c", "box"], 125, "invalid", &["a/b"]),
    row(&["run", "--mount", "type=bogus", "box"], 125, "invalid", &["--mount", "bogus"]),
    row(&["run", "--tmpfs", "relative", "box"], 125, "invalid", &["--tmpfs", "relative"]),
    row(&["run", "--ulimit", "nofile", "box"], 125, "invalid", &["--ulimit", "nofile"]),
    row(&["run", "--env", "=x", "box"], 125, "invalid", &["--env", "=x"]),
    row(&["run", "--network", "a:b=c", "box"], 125, "invalid", &["--network", "a:b=c"]),
    row(&["run", "--ip", "1.2.3.4.5", "box"], 125, "invalid", &["--ip", "1.2.3.4.5"]),
    row(&["run", "--security-opt", "bogus", "box"], 125, "invalid", &["--security-opt", "bogus"]),
    row(&["run", "--stop-signal", "BOGUS", "box"], 125, "invalid", &["--stop-signal", "BOGUS"]),
    row(&["run", "--detach-keys", "ctrl-1", "box"], 125, "invalid", &["--detach-keys", "ctrl-1"]),
    row(&["run", "--name", "a/b", "box"], 125, "invalid", &["--name", "a/b"]),
    row(&["run", "--bogus", "box"], 125, "invalid", &["no flag --bogus"]),
    row(&["run", "--env-file", "gone.env", "box"], 125, "not-found", &["gone.env"]),
    row(&["run"], 1, "invalid", &["IMAGE", "missing"]),
    row(&["bogus"], 1, "invalid", &["no command bogus"]),
    row(&["ps", "--format", "{{"], 1, "invalid", &["--format", "1:"]),
    row(&["ps", "--format", "{{nothing .ID}}"], 1, "invalid", &["nothing"]),
    row(&["ps", "--filter", "bogus=1"], 1, "invalid", &["bogus=1", "no such filter"]),
    row(&["ps", "--filter", "name=("], 1, "invalid", &["name=(", "regular expression"]),
    row(&["ps", "--filter", "status=asleep"], 1, "invalid", &["status=asleep", "no such status"]),
    row(&["ps", "--filter", "name"], 1, "invalid", &["name", "value is missing"]),
    row(&["ps", "--sort", "bogus"], 1, "invalid", &["--sort", "bogus"]),
    row(&["ps", "--last", "1", "--latest"], 125, "invalid", &["--latest"]),
    row(&["images", "--filter", "dangling=perhaps"], 1, "invalid", &["dangling=perhaps"]),
    row(&["cp", "a", "b"], 1, "invalid", &["neither is in a container"]),
    row(&["cp", "web:", "b"], 1, "invalid", &["web:", "belong together"]),
    row(&["kill", "--signal", "BOGUS", "web"], 1, "invalid", &["--signal", "BOGUS"]),
    row(&["container", "prune", "-f", "--filter", "x=y"], 1, "invalid", &["x=y"]),
    row(&["--storage-driver", "bogus", "ps"], 1, "invalid", &["--storage-driver", "bogus"]),
    row(&["run", "--userns", "bogus", "box"], 125, "invalid", &["--userns", "bogus"]),
    row(&["run", "--userns", "auto:size=x", "box"], 125, "invalid", &["--userns", "no size"]),
    row(&["run", "--userns", "keep-id:uid=x", "box"], 125, "invalid", &["--userns", "no id"]),
    row(
        &["run", "--userns", "host", "--uidmap", "0:0:1", "box"],
        125,
        "invalid",
        &["--userns", "--uidmap"],
    ),
    row(
        &["run", "--health-cmd", "x", "--no-healthcheck", "box"],
        125,
        "invalid",
        &["--health-cmd"],
    ),
    row(
        &["run", "--health-cmd", "x", "--health-interval", "1x", "box"],
        125,
        "invalid",
        &["--health-interval", "1x"],
    ),
    row(&["run", "--health-on-failure", "bogus", "box"], 125, "invalid", &["no such action"]),
    row(&["run", "--restart", "bogus", "box"], 125, "invalid", &["bogus", "no such policy"]),
    row(&["run", "--restart", "on-failure:x", "box"], 125, "invalid", &["on-failure:x", "number"]),
    row(&["run", "--secret", "type=env", "box"], 125, "invalid", &["--secret", "name is missing"]),
    row(&["run", "--secret", "src=x,type=bogus", "box"], 125, "invalid", &["--secret", "bogus"]),
    row(
        &["run", "--mount", "type=volume,src=data,dst=/d,volume-subpath=../x", "box"],
        125,
        "invalid",
        &["--mount", "../x"],
    ),
    row(&["run", "--log-driver", "bogus", "box"], 125, "invalid", &["bogus", "no such driver"]),
    row(&["run", "--log-opt", "max-size=x", "box"], 125, "invalid", &["max-size", "not a size"]),
    row(&["run", "--runtime", "bogus", "box"], 125, "not-found", &["--runtime", "bogus"]),
    row(&["run", "--security-opt", "seccomp=/none", "box"], 125, "not-found", &["/none"]),
    row(&["run", "--shm-size", "1x", "box"], 125, "invalid", &["--shm-size", "1x"]),
    row(&["run", "--umask", "99", "box"], 125, "invalid", &["--umask", "99"]),
    row(&["run", "--timeout", "x", "box"], 125, "invalid", &["--timeout", "x"]),
    row(&["run", "--attach", "bogus", "box"], 125, "invalid", &["--attach", "bogus"]),
    row(&["run", "--publish", "80:90000", "box"], 125, "invalid", &["80:90000"]),
    row(&["run", "--link", "db", "box"], 125, "unsupported", &["--link"]),
    row(&["pod", "create", "--name", "a/b"], 1, "invalid", &["a/b", "pod"]),
    row(&["pod", "create", "--network", "a:b=c"], 1, "invalid", &["--network", "a:b=c"]),
    row(&["volume", "create", "a/b"], 1, "invalid", &["a/b", "volume"]),
    row(&["volume", "ls", "--filter", "bogus=1"], 1, "invalid", &["bogus=1", "no such filter"]),
    row(&["secret", "create", "a/b", "-"], 1, "invalid", &["a/b", "secret"]),
    row(&["secret", "create", "--driver", "pass", "x", "-"], 1, "invalid", &["--driver", "pass"]),
    row(&["events", "--filter", "bogus=1", "--until", "0s"], 1, "invalid", &["bogus=1"]),
    row(&["update", "--restart", "bogus", "web"], 1, "invalid", &["bogus", "no such policy"]),
    row(&["wait", "--condition", "bogus", "web"], 1, "invalid", &["--condition", "bogus"]),
];

/// What needs the image `box`, and a container `web` that runs.
const OBJECTS: [Row; 58] = [
    row(&["run", "-q", "box", "no-such-program"], 127, "command-not-found", &["no-such-program"]),
    row(&["run", "-q", "box", "/etc/passwd"], 126, "command-not-runnable", &["/etc/passwd"]),
    row(&["run", "-q", "box", "/etc"], 126, "command-not-runnable", &["/etc"]),
    row(&["run", "-q", "--name", "web", "box"], 125, "already-exists", &["web", "in use"]),
    row(&["run", "-q", "--user", "nobody-here", "box"], 125, "not-found", &["nobody-here"]),
    row(&["run", "-q", "--user", "0:nogroup-here", "box"], 125, "not-found", &["nogroup-here"]),
    row(&["run", "-q", "-w", "relative", "box"], 125, "invalid", &["relative"]),
    row(&["run", "-q", "-h", "under_score!", "box"], 125, "invalid", &["under_score!"]),
    row(&["run", "-q", "--pull=never", "gone"], 125, "not-found", &["gone"]),
    row(
        &["run", "-q", "--platform", "linux/s390x", "--pull=never", "box"],
        125,
        "not-found",
        &["box"],
    ),
    row(
        &["run", "-q", "--mount", "type=bind,src=/none/here,dst=/x", "box"],
        125,
        "not-found",
        &["/none/here"],
    ),
    row(&["run", "-q", "--device", "/dev/none-here", "box"], 125, "not-found", &["/dev/none-here"]),
    row(&["run", "-q", "--cap-add", "BOGUS", "box"], 125, "invalid", &["BOGUS"]),
    row(&["exec", "web", "no-such-program"], 127, "command-not-found", &["no-such-program"]),
    row(&["exec", "idle", "true"], 125, "conflict", &["idle", "not running"]),
    row(&["exec", "gone", "true"], 125, "not-found", &["no such container: gone"]),
    row(&["exec", "-w", "relative", "web", "true"], 125, "invalid", &["relative"]),
    row(&["start", "gone"], 125, "not-found", &["no such container: gone"]),
    row(&["stop", "gone"], 1, "not-found", &["no such container: gone"]),
    row(&["kill", "idle"], 1, "conflict", &["idle", "not running"]),
    row(&["rm", "web"], 1, "conflict", &["web", "running"]),
    row(&["rmi", "box"], 1, "conflict", &["box"]),
    row(&["rmi", "gone"], 1, "not-found", &["gone"]),
    row(&["rename", "idle", "web"], 1, "already-exists", &["web", "in use"]),
    row(&["attach", "idle"], 1, "conflict", &["idle", "not running"]),
    row(&["top", "idle"], 1, "conflict", &["idle", "not running"]),
    row(&["port", "web", "http"], 1, "invalid", &["http", "not a port"]),
    row(&["inspect", "gone"], 1, "not-found", &["gone"]),
    row(&["inspect", "--format", "{{.Bogus}}", "web"], 1, "invalid", &["Bogus", "1:3"]),
    row(&["cp", "web:/none", "x"], 1, "not-found", &["/none"]),
    row(&["cp", "none", "web:/x"], 1, "not-found", &["none"]),
    row(&["commit", "-c", "RUN x", "web"], 1, "invalid", &["RUN x"]),
    row(&["commit", "web", "Bad Name"], 1, "invalid", &["Bad Name"]),
    row(&["logs", "--since", "yesterday", "web"], 1, "invalid", &["--since", "yesterday"]),
    row(
        &["run", "-q", "--subuidname", "nobody-here", "box", "true"],
        125,
        "not-found",
        &["nobody-here", "/etc/subuid"],
    ),
    row(
        &["run", "-q", "--device", "vendor.com/class=none", "box", "true"],
        125,
        "not-found",
        &["vendor.com/class=none", "no document names it"],
    ),
    row(&["run", "-q", "--gpus", "all", "box", "true"], 125, "not-found", &["nvidia.com/gpu=all"]),
    row(&["run", "-q", "--secret", "gone", "box", "true"], 125, "not-found", &["gone"]),
    row(&["run", "-q", "--pod", "gone", "box", "true"], 125, "not-found", &["no such pod: gone"]),
    row(&["run", "-q", "--volumes-from", "gone", "box", "true"], 125, "not-found", &["gone"]),
    row(&["run", "-q", "--rm", "--restart", "always", "box", "true"], 125, "invalid", &["--rm"]),
    row(
        &["run", "-q", "-v", "one:/x", "-v", "two:/x", "box", "true"],
        125,
        "invalid",
        &["/x", "one", "two"],
    ),
    row(
        &["run", "-q", "--network", "container:gone", "box", "true"],
        125,
        "not-found",
        &["no such container: gone"],
    ),
    row(
        &["run", "-q", "--ipc", "container:idle", "box", "true"],
        125,
        "conflict",
        &["idle", "not running"],
    ),
    row(&["run", "-q", "--sysctl", "kernel.x=1", "box", "true"], 125, "invalid", &["kernel.x"]),
    row(
        &["run", "-q", "--init", "--init-path", "/none", "box", "true"],
        125,
        "not-found",
        &["/none"],
    ),
    row(&["pod", "rm", "gone"], 1, "not-found", &["no such pod: gone"]),
    row(&["volume", "rm", "data"], 1, "conflict", &["data", "web"]),
    row(&["volume", "rm", "gone"], 1, "not-found", &["no such volume: gone"]),
    row(&["volume", "create", "--driver", "bogus", "x"], 1, "unsupported", &["bogus"]),
    row(&["volume", "create", "--opt", "bogus=1", "x"], 1, "invalid", &["bogus"]),
    row(&["volume", "import", "data", "/none.tar"], 1, "not-found", &["/none.tar"]),
    row(&["secret", "create", "x", "/none"], 1, "not-found", &["/none"]),
    row(&["secret", "rm", "gone"], 1, "not-found", &["no such secret: gone"]),
    row(&["healthcheck", "run", "web"], 1, "conflict", &["web", "no health check"]),
    row(&["pause", "idle"], 1, "conflict", &["idle", "created"]),
    row(&["unpause", "web"], 1, "conflict", &["web", "not paused"]),
    row(&["update", "--memory", "1k", "idle"], 1, "invalid", &["idle", "memory", "6 MiB"]),
];

/// The one error that a command said, as programs read it.
fn error_of(outcome: &Outcome) -> Value {
    let lines: Vec<Value> = outcome
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("JSON by {outcome}")))
        .collect();
    let mut errors = lines.into_iter().filter(|line| line["level"] == "error");
    let error = errors.next().unwrap_or_else(|| panic!("an error by {outcome}"));
    assert_eq!(errors.next(), None, "a second error by {outcome}");
    error
}

/// What is wrong about the answer to a row, all of it at once.
fn check(dhow: &Dhow, row: &Row) -> Option<String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| examine(dhow, row)))
        .err()
        .map(|why| format!("{:?}: {:?}", row.line, why.downcast_ref::<String>()))
}

fn examine(dhow: &Dhow, row: &Row) {
    let outcome = dhow.run(&[&["--error-format", "json"], row.line].concat());
    let error = error_of(&outcome);
    assert_eq!(error["code"], row.code, "of {outcome}");
    let message = error["message"].as_str().unwrap();
    for word in row.words {
        assert!(message.contains(word), "{word:?} in {message:?}, of {outcome}");
    }
    let has_way_out = error["hint"].is_string() || !error["because"].as_array().unwrap().is_empty();
    assert!(has_way_out, "a cause or a next step, of {outcome}");
    let data = if row.line[0] == "inspect" { "[]\n" } else { "" };
    assert!(["", data].contains(&outcome.stdout.as_str()), "of {outcome}");
    drop(outcome.exits(row.exit));
    // The same for people: one line, and perhaps a hint.
    let outcome = dhow.run(row.line);
    let lines: Vec<&str> =
        outcome.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(lines.len(), 1, "of {outcome}");
}

#[test]
fn flags_that_make_no_sense_leave_not_even_a_database() {
    let dhow = Dhow::new();

    let wrong: Vec<String> = FLAGS.iter().filter_map(|row| check(&dhow, row)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // What is wrong in a command line is found before anything is made for it.
    let made: Vec<_> = fs::read_dir(dhow.root()).unwrap().flatten().collect();
    assert!(made.is_empty(), "{made:?}");
}

#[test]
fn objects_that_are_not_as_they_should_be_are_named() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "-v", "data:/data", "box", "sleep", "1000"]);
    drop(dhow.run(&["create", "-q", "--name", "idle", "box", "true"]).ok());
    let before = fs::read_dir(dhow.root().join("containers")).unwrap().count();

    let mut wrong = Vec::new();
    for row in &OBJECTS {
        wrong.extend(check(&dhow, row));
        // A program that cannot be started leaves its container, as docker has it.
        for id in dhow.run(&["ps", "-aq", "--filter", "status=created"]).ok().stdout.lines() {
            let name = dhow.run(&["inspect", "-f", "{{.Name}}", id]).ok();
            if name.line() != "/idle" {
                drop(dhow.run(&["rm", id]).ok());
            }
        }
    }

    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(fs::read_dir(dhow.root().join("containers")).unwrap().count(), before);
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

/// An image with a file that cannot be run, and why.
fn with_program(dhow: &Dhow, name: &str, content: &[u8], mode: u32) {
    let root = dhow_testkit::rootfs::busybox().unwrap();
    let path = root.path().join("program");
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    let layout = Layout::new(&dhow.directory().join(format!("layout-{name}"))).unwrap();
    let layer = layout.layer_of(root.path(), Compression::Gzip).unwrap();
    layout.tag_image(&Image::new([layer]), name).unwrap();
    drop(dhow.run(&["pull", "-q", &layout.reference(name)]).ok());
}

#[test]
fn a_program_that_cannot_run_says_why() {
    needs_root!();
    let dhow = with_box();
    // The header of a program for a machine of IBM's.
    let mut foreign = b"\x7fELF\x02\x02\x01\0\0\0\0\0\0\0\0\0\0\x02\0\x16\0\0\0\x01".to_vec();
    foreign.resize(120, 0);
    with_program(&dhow, "interpreter", b"#!/none/here\n", 0o755);
    with_program(&dhow, "foreign", &foreign, 0o755);
    with_program(&dhow, "mode", b"#!/bin/sh\n", 0o644);
    with_program(&dhow, "empty", b"", 0o755);

    for (image, exits) in [("interpreter", [126, 127]), ("foreign", [126; 2]), ("mode", [126; 2])] {
        let line = ["--error-format", "json", "run", "--rm", "-q", image, "/program"];
        let outcome = dhow.run(&line);
        let error = error_of(&outcome);
        assert!(exits.contains(&outcome.code), "of {outcome}");
        assert!(error["message"].as_str().unwrap().contains("/program"), "of {outcome}");
    }
    let noexec = ["--error-format", "json", "run", "--rm", "-q", "--tmpfs", "/t:noexec", "box"];
    let script = ["sh", "-c", "cp /bin/busybox /t/sh; exec /t/sh"];
    drop(dhow.run(&[&noexec[..], &script[..]].concat()).exits(126));
    assert_eq!(dhow.run(&["ps", "-aq"]).ok().stdout, "");
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn an_image_whose_user_is_unknown_is_named() {
    needs_root!();
    let dhow = with_box();
    let layout = layout_of(&dhow, "user", |image| image.set("User", "nobody-here".into()));
    drop(dhow.run(&["pull", "-q", &layout.reference("user")]).ok());

    let outcome = dhow.run(&["--error-format", "json", "run", "--rm", "-q", "user"]);

    let error = error_of(&outcome);
    assert_eq!(error["code"], "not-found");
    assert!(error["message"].as_str().unwrap().contains("nobody-here"), "of {outcome}");
    drop(outcome.exits(125));
}
