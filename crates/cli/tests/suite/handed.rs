//! What a program gets of the command's own: open files, standard output, and a service manager's ear.

use crate::fixture::{start, wait_for_state, with_box};
use dhow_testkit::{Dhow, needs_root};
use std::{
    fs,
    os::unix::net::UnixDatagram,
    process::{Command, Stdio},
    time::Duration,
};

/// A shell that runs dhow, with files opened by redirections.
fn shell(dhow: &Dhow, script: &str) -> Command {
    let mut command = Command::new("sh");
    let globals = format!(
        "dhow() {{ \"{}\" --root \"{}\" --runroot \"{}\" \"$@\"; }}; ",
        dhow.program().display(),
        dhow.root().display(),
        dhow.runroot().display()
    );
    command.args(["-c", &format!("{globals}{script}")]).current_dir(dhow.directory());
    command
}

#[test]
fn open_files_are_the_programs_and_nobody_elses() {
    needs_root!();
    let dhow = with_box();
    let script = "dhow run --rm -q --preserve-fds 2 box sh -c 'cat <&3; echo out >&4' 3<in 4>out";
    fs::write(dhow.directory().join("in"), "from outside\n").unwrap();

    let said = dhow.finish(&mut shell(&dhow, script), b"").ok();
    assert_eq!(said.stdout, "from outside\n");
    assert_eq!(fs::read_to_string(dhow.directory().join("out")).unwrap(), "out\n");
    drop(start(&dhow, &["--name", "a", "box", "sleep", "100"]));
    let script = "dhow exec --preserve-fd 3 a cat /proc/self/fd/3 3<in";
    assert_eq!(dhow.finish(&mut shell(&dhow, script), b"").ok().stdout, "from outside\n");

    // The reader of a pipe that was handed on does not wait for the monitor.
    let script = "dhow run -d -q --name b --preserve-fds 1 box sh -c 'echo x >&3; exec 3>&-; sleep 100' \
                  3>&1 >/dev/null | cat";
    assert_eq!(dhow.finish(&mut shell(&dhow, script), b"").ok().stdout, "x\n");
    wait_for_state(&dhow, "b", "running");
    let missing = dhow.run(&["run", "--rm", "-q", "--preserve-fds", "40", "box", "true"]);
    drop(missing.exits(125).says("is not open"));
    let gap = dhow.run(&["run", "--rm", "-q", "--preserve-fd", "4", "box", "true"]);
    drop(gap.exits(125).says("a gap"));
    drop(dhow.run(&["rm", "-f", "a", "b"]).ok());
}

#[test]
fn output_is_passed_through_without_a_log() {
    needs_root!();
    let dhow = with_box();
    let script = "dhow run -d -q --name a --log-driver passthrough box sh -c 'echo out; echo err >&2; exit 7' \
                  >printed 2>said; dhow wait a";

    assert_eq!(dhow.finish(&mut shell(&dhow, script), b"").ok().line(), "7");
    let printed = fs::read_to_string(dhow.directory().join("printed")).unwrap();
    assert!(printed.lines().any(|line| line == "out"), "{printed}");
    assert_eq!(fs::read_to_string(dhow.directory().join("said")).unwrap(), "err\n");
    drop(dhow.run(&["logs", "a"]).exits(1).says("passthrough keeps none"));
    let attached =
        ["run", "--rm", "-q", "--log-driver", "passthrough", "box", "sh", "-c", "echo x; exit 3"];
    assert_eq!(dhow.run(&attached).exits(3).stdout, "x\n");
    let terminal = ["run", "--rm", "-qt", "--log-driver", "passthrough", "box", "true"];
    drop(dhow.run(&terminal).exits(125).says("a terminal's output"));
    drop(dhow.run(&["rm", "a"]).ok());
}

/// What a service manager hears of a command.
fn heard(dhow: &Dhow, arguments: &[&str]) -> Vec<String> {
    let path = dhow.directory().join("manager.sock");
    let manager = UnixDatagram::bind(&path).unwrap();
    let mut command = dhow.command(&[&["run", "-q"], arguments].concat());
    command.env("NOTIFY_SOCKET", &path).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut lines = Vec::new();
    let mut buffer = [0; 4096];
    // A barrier is the last, whose pipe closes when it has been read.
    loop {
        let count = manager.recv(&mut buffer).unwrap();
        let text = String::from_utf8_lossy(&buffer[..count]).trim().to_owned();
        if text.starts_with("BARRIER") {
            break;
        }
        lines.push(text);
    }
    drop(manager);
    assert!(child.wait().unwrap().success());
    fs::remove_file(&path).unwrap();
    lines
}

#[test]
fn a_service_manager_hears_that_a_container_is_ready() {
    needs_root!();
    let dhow = with_box();
    let monitor = |name: &str| {
        let pid = dhow.run(&["inspect", "--format", "{{.State.Pid}}", name]).ok();
        let status = fs::read_to_string(format!("/proc/{}/status", pid.line())).unwrap();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
        format!("MAINPID={}", parent.trim())
    };

    let lines = heard(&dhow, &["-d", "--sdnotify=conmon", "--name", "a", "box", "sleep", "100"]);
    assert_eq!(lines, ["READY=1".to_owned(), monitor("a")]);
    let healthy = [
        "-d",
        "--sdnotify=healthy",
        "--health-cmd",
        "test -e /ok",
        "--health-interval=200ms",
        "--name",
        "b",
        "box",
        "sh",
        "-c",
        "sleep 0.5; touch /ok; sleep 100",
    ];
    assert_eq!(heard(&dhow, &healthy), ["READY=1".to_owned(), monitor("b")]);
    drop(
        dhow.run(&["run", "-q", "--sdnotify", "healthy", "box", "true"])
            .exits(125)
            .says("--detach"),
    );
    drop(
        dhow.run(&["run", "-q", "--sdnotify", "bogus", "box", "true"])
            .exits(125)
            .says("--sdnotify"),
    );
    let place = ["-d", "--sdnotify=ignore", "--name", "c", "box", "env"];
    let mut command = dhow.command(&[&["run", "-q"], &place[..]].concat());
    drop(dhow.finish(command.env("NOTIFY_SOCKET", "/nowhere"), b"").ok());
    drop(dhow.run(&["wait", "c"]).ok());
    assert!(!dhow.run(&["logs", "c"]).ok().stdout.contains("NOTIFY_SOCKET"));
    let place = [
        "create",
        "-q",
        "--sdnotify=container",
        "--name",
        "d",
        "box",
        "sh",
        "-c",
        "test -S $NOTIFY_SOCKET && echo it is there",
    ];
    drop(dhow.run(&place).ok());
    assert_eq!(dhow.run(&["start", "-a", "d"]).ok().stdout, "it is there\n");
    drop(dhow.run(&["rm", "-f", "a", "b", "c", "d"]).ok());
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn volumes_tell_that_they_are_mounted() {
    needs_root!();
    let dhow = with_box();
    drop(dhow.run(&["run", "-q", "--rm", "-v", "data:/data", "box", "true"]).ok());
    drop(dhow.run(&["run", "-q", "-v", "data:/data:ro", "--name", "a", "box", "true"]).ok());

    let events =
        ["events", "--since", "1h", "--until", "0s", "--filter", "type=volume", "--format", "json"];
    let told = dhow.run(&events).ok().stdout;
    let told: Vec<serde_json::Value> =
        told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |action: &str| told.iter().filter(|event| event["Action"] == action).count();
    assert_eq!((of("mount"), of("unmount")), (2, 2), "{told:?}");
    let last = told.iter().rfind(|event| event["Action"] == "mount").unwrap();
    assert_eq!(last["Actor"]["ID"], "data");
    assert_eq!(last["Actor"]["Attributes"]["destination"], "/data");
    drop(dhow.run(&["rm", "a"]).ok());
    drop(dhow.run(&["volume", "rm", "data"]).ok());
}
