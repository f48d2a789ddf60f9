//! `run`: what a program in a container gets and gives.

use crate::fixture::{SOON, layout_of, start, wait_for_state, with_box};
use dhow_testkit::{Dhow, need, needs_root};
use serde_json::json;
use std::{fs, process::Stdio};

#[test]
fn a_program_prints_on_both_streams_and_its_exit_code_is_ours() {
    needs_root!();
    let dhow = with_box();

    let outcome =
        dhow.run(&["run", "--rm", "-q", "box", "sh", "-c", "echo out; echo err >&2; exit 7"]);

    let outcome = outcome.exits(7);
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("out\n", "err\n"));
    assert_eq!(dhow.run(&["ps", "-aq"]).ok().stdout, "");
}

/// Alone among its kind, a process that shares the host's pids may outlive the first one.
#[test]
fn a_container_is_removed_with_what_outlives_its_program() {
    needs_root!();
    let dhow = with_box();
    let script = "sleep 1234 >/dev/null 2>&1 & echo $!; exit 5";

    let outcome =
        dhow.run(&["run", "--rm", "-q", "--pid", "host", "box", "sh", "-c", script]).exits(5);

    dhow_testkit::process::wait_for_end(outcome.stdout.trim().parse().unwrap());
    assert_eq!(dhow.run(&["ps", "-aq"]).ok().stdout, "");
    assert_eq!(fs::read_dir(dhow.root().join("containers")).unwrap().count(), 0);
}

#[test]
fn input_goes_in_only_when_asked_for() {
    needs_root!();
    let dhow = with_box();

    let with = dhow.run_with_input(&["run", "-i", "--rm", "-q", "box", "cat"], b"hi\n").ok();
    let without = dhow.run_with_input(&["run", "--rm", "-q", "box", "cat"], b"hi\n").ok();

    assert_eq!((with.stdout.as_str(), without.stdout.as_str()), ("hi\n", ""));
}

#[test]
fn large_input_and_output_arrive_whole() {
    needs_root!();
    let dhow = with_box();
    let input: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();

    let outcome = dhow.run_with_input(&["run", "-i", "--rm", "-q", "box", "cat"], &input).ok();

    assert_eq!(outcome.bytes.len(), input.len());
    assert!(outcome.bytes == input, "the bytes differ");
}

#[test]
fn the_users_options_win_over_the_images_and_the_images_over_the_defaults() {
    needs_root!();
    let dhow = Dhow::new();
    let layout = layout_of(&dhow, "set", |image| {
        image
            .set("Entrypoint", json!(["/bin/echo", "entry"]))
            .set("Env", json!(["A=image", "B=image", "PATH=/bin"]))
            .set("WorkingDir", json!("/tmp"))
            .set("User", json!("5:6"))
            .command(&["default"])
    });
    drop(dhow.run(&["pull", "-q", &layout.reference("set")]).ok());
    let run =
        |arguments: &[&str]| dhow.run(&[&["run", "--rm", "-q"], arguments].concat()).ok().stdout;
    let see = "echo $A $B $C; pwd; id -u; id -g";

    assert_eq!(run(&["set"]), "entry default\n");
    assert_eq!(run(&["set", "mine", "--rm"]), "entry mine --rm\n");
    assert_eq!(run(&["--entrypoint", "/bin/sh", "set", "-c", see]), "image image\n/tmp\n5\n6\n");
    assert_eq!(
        run(&[
            "--entrypoint",
            "sh",
            "-eA=1",
            "-e",
            "C=3",
            "-w",
            "/proc",
            "-u",
            "7:8",
            "set",
            "-c",
            see
        ]),
        "1 image 3\n/proc\n7\n8\n"
    );
    assert_eq!(run(&["--entrypoint", "", "set", "id", "-u"]), "5\n");
}

#[test]
fn variables_come_from_flags_files_and_our_environment_and_from_nowhere_else() {
    needs_root!();
    let dhow = with_box();
    fs::write(dhow.directory().join("vars"), "# no\nA=file\nB=file\nGIVEN\nUNSET\n").unwrap();
    let arguments =
        ["run", "--rm", "-q", "--env-file", "vars", "-e", "A=flag", "-e", "OTHER", "box", "env"];
    let mut command = dhow.command(&arguments);
    command.env("GIVEN", "here").env("SECRET", "of the host");

    let outcome = dhow.finish(&mut command, b"").ok();

    let lines: Vec<&str> = outcome.stdout.lines().collect();
    for expected in ["A=flag", "B=file", "GIVEN=here"] {
        assert!(lines.contains(&expected), "{expected} in {lines:?}");
    }
    for name in ["SECRET", "UNSET", "OTHER"] {
        assert!(!outcome.stdout.contains(name), "{name} in {lines:?}");
    }
}

#[test]
fn directories_of_the_host_are_mounted() {
    needs_root!();
    let dhow = with_box();
    let data = dhow.directory().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("from-host"), "1\n").unwrap();
    let mount = format!("type=bind,source={},target=/m,readonly", data.display());
    let run = |arguments: &[&str]| dhow.run(&[&["run", "--rm", "-q"], arguments].concat());

    let written =
        run(&["-v", "./data:/d", "box", "sh", "-c", "cat /d/from-host; echo 2 > /d/from-box"]);
    let refused = run(&["-v", "./data:/d:ro", "box", "touch", "/d/x"]);
    let by_mount = run(&["--mount", &mount, "box", "cat", "/m/from-box"]);
    let by_mount_refused = run(&["--mount", &mount, "box", "touch", "/m/x"]);

    assert_eq!(written.ok().stdout, "1\n");
    assert_eq!(fs::read_to_string(data.join("from-box")).unwrap(), "2\n");
    drop(refused.exits(1).says("Read-only file system"));
    assert_eq!(by_mount.ok().stdout, "2\n");
    drop(by_mount_refused.exits(1).says("Read-only file system"));
}

#[test]
fn a_volume_outlives_its_containers() {
    needs_root!();
    let dhow = with_box();

    drop(
        dhow.run(&["run", "--rm", "-q", "-v", "keep:/k", "box", "sh", "-c", "echo kept > /k/f"])
            .ok(),
    );
    let outcome = dhow.run(&["run", "--rm", "-q", "-v", "keep:/k", "box", "cat", "/k/f"]).ok();

    assert_eq!(outcome.stdout, "kept\n");
}

#[test]
fn memory_is_mounted_with_its_size_and_mode() {
    needs_root!();
    let dhow = with_box();

    let outcome = dhow.run(&[
        "run",
        "--rm",
        "-q",
        "--tmpfs",
        "/t:size=1m,mode=700",
        "--shm-size",
        "2m",
        "box",
        "sh",
        "-c",
        "df -k /t /dev/shm | awk 'NR>1 {print $2}'; stat -c %a /t",
    ]);

    assert_eq!(outcome.ok().stdout, "1024\n2048\n700\n");
}

#[test]
fn a_read_only_root_refuses_writes() {
    needs_root!();
    let dhow = with_box();

    drop(
        dhow.run(&["run", "--rm", "-q", "--read-only", "box", "touch", "/x"])
            .exits(1)
            .says("Read-only"),
    );
    drop(
        dhow.run(&["run", "--rm", "-q", "--read-only", "--tmpfs", "/t", "box", "touch", "/t/x"])
            .ok(),
    );
}

#[test]
fn capabilities_are_the_defaults_and_what_the_user_says() {
    needs_root!();
    let dhow = with_box();
    let effective = |arguments: &[&str]| {
        let show = ["box", "sh", "-c", "grep CapEff /proc/self/status | cut -f2"];
        let outcome = dhow.run(&[&["run", "--rm", "-q"], arguments, &show[..]].concat()).ok();
        u64::from_str_radix(outcome.line(), 16).unwrap()
    };

    assert_eq!(effective(&["--cap-drop", "ALL"]), 0);
    assert_eq!(effective(&["--cap-drop", "all", "--cap-add", "CAP_NET_RAW"]), 1 << 13);
    let usual = effective(&[]);
    assert_eq!(usual & (1 << 21), 0, "sys_admin is not among the defaults: {usual:x}");
    assert_ne!(effective(&["--privileged"]) & (1 << 21), 0);
    assert_eq!(effective(&["-u", "1000"]), 0);
}

#[test]
fn limits_are_set() {
    needs_root!();
    let dhow = with_box();
    let read = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max \
                2>/dev/null || cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max";

    let outcome = dhow.run(&[
        "run",
        "--rm",
        "-q",
        "-m",
        "64m",
        "--pids-limit",
        "33",
        "--cpus",
        "0.5",
        "--ulimit",
        "nofile=100:200",
        "box",
        "sh",
        "-c",
        &format!("{read}; ulimit -n; ulimit -Hn"),
    ]);

    assert_eq!(outcome.ok().stdout, "67108864\n33\n100\n200\n");
}

#[test]
fn a_container_has_a_loopback_only_or_the_network_of_the_host() {
    needs_root!();
    let dhow = with_box();
    let links = ["box", "sh", "-c", "ls /sys/class/net"];
    let run =
        |arguments: &[&str]| dhow.run(&[&["run", "--rm"], arguments, &links[..]].concat()).ok();

    let none = run(&["--network", "none"]);
    let host = run(&["--network", "host"]);

    assert_eq!((none.stdout.as_str(), none.stderr.as_str()), ("lo\n", ""));
    assert_eq!(host.stderr, "");
    assert!(fs::read_dir("/sys/class/net").unwrap().count() == host.stdout.lines().count());
}

#[test]
fn new_privileges_and_system_calls_are_held_back() {
    needs_root!();
    let dhow = with_box();
    let status = |arguments: &[&str]| {
        let show = ["box", "grep", "-E", "^(NoNewPrivs|Seccomp):", "/proc/self/status"];
        let outcome = dhow.run(&[&["run", "--rm", "-q"], arguments, &show[..]].concat()).ok();
        outcome.stdout.replace('\t', "")
    };

    assert_eq!(status(&[]), "NoNewPrivs:0\nSeccomp:2\n");
    assert_eq!(
        status(&["--security-opt", "no-new-privileges", "--security-opt", "seccomp=unconfined"]),
        "NoNewPrivs:1\nSeccomp:0\n"
    );
}

#[test]
fn a_program_starts_with_the_signals_of_a_fresh_process() {
    needs_root!();
    let dhow = with_box();
    let mask = |name: &str| {
        let show = format!("grep {name} /proc/self/status | cut -f2");
        let outcome = dhow.run(&["run", "--rm", "-q", "box", "sh", "-c", &show]).ok();
        u64::from_str_radix(outcome.line(), 16).unwrap()
    };

    assert_eq!(mask("SigBlk"), 0);
    // Whoever runs the tests may ignore real-time signals, which dhow does not look for.
    assert_eq!(mask("SigIgn") & 0x7fff_ffff, 0);
}

#[test]
fn in_the_background_the_id_is_printed_and_the_container_goes_on() {
    needs_root!();
    let dhow = with_box();

    let id =
        start(&dhow, &["--name", "web", "-h", "here", "box", "sh", "-c", "hostname; sleep 100"]);

    assert_eq!(id.len(), 64);
    wait_for_state(&dhow, "web", "running");
    drop(dhow.run(&["rm", "-f", "web"]).ok());
    dhow.assert_clean();
}

#[test]
fn with_rm_a_container_in_the_background_removes_itself() {
    needs_root!();
    let dhow = with_box();

    start(&dhow, &["--rm", "box", "true"]);

    dhow.assert_clean();
    assert_eq!(dhow.run(&["ps", "-aq"]).ok().stdout, "");
}

#[test]
fn the_id_is_written_to_a_file_that_was_not_there() {
    needs_root!();
    let dhow = with_box();

    let id = start(&dhow, &["--cidfile", "cid", "box", "sleep", "100"]);

    assert_eq!(fs::read_to_string(dhow.directory().join("cid")).unwrap(), id);
    let again = dhow.run(&["run", "--cidfile", "cid", "box", "true"]);
    drop(again.exits(125).says("--cidfile \"cid\": the file exists"));
    assert_eq!(dhow.run(&["ps", "-aq", "--no-trunc"]).ok().line(), id);
}

#[test]
fn when_nobody_reads_its_output_a_program_ends() {
    needs_root!();
    let dhow = with_box();
    let mut command = dhow.command(&["run", "--rm", "-q", "box", "yes"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();

    drop(child.stdout.take());

    assert_eq!(child.wait().unwrap().code(), Some(141));
    dhow.assert_clean();
}

#[test]
fn ten_at_once_all_run() {
    needs_root!();
    let dhow = with_box();

    let outcomes: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..10)
            .map(|number| {
                let mut command =
                    dhow.command(&["run", "--rm", "-q", "box", "echo", &number.to_string()]);
                scope.spawn(move || {
                    let output = command.output().unwrap();
                    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                    String::from_utf8(output.stdout).unwrap()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });

    let expected: Vec<String> = (0..10).map(|number| format!("{number}\n")).collect();
    assert_eq!(outcomes, expected);
    dhow.assert_clean();
}

#[test]
fn with_rmi_the_image_goes_with_the_container_unless_others_use_it() {
    needs_root!();
    let dhow = with_box();
    drop(dhow.run(&["run", "-q", "--name", "made", "box", "touch", "/new"]).ok());
    for name in ["mine", "used"] {
        drop(dhow.run(&["commit", "-q", "made", name]).ok());
    }
    drop(dhow.run(&["tag", "box", "also"]).ok());
    drop(dhow.run(&["create", "-q", "--name", "keeps", "used"]).ok());
    let has = |image: &str| dhow.run(&["image", "exists", image]).code == 0;

    drop(dhow.run(&["run", "--rmi", "also", "sh", "-c", "exit 3"]).exits(3));
    assert!(!has("also") && has("box"), "one name of several went");
    drop(dhow.run(&["run", "--rmi", "used", "test", "-e", "/new"]).ok());
    assert!(has("used"), "another container stands on it");
    start(&dhow, &["--rmi", "--name", "web", "mine", "sleep", "100"]);
    drop(dhow.run(&["stop", "-t", "0", "web"]).ok());
    let gone = need::eventually(SOON, || (!has("mine")).then_some(()));
    assert!(gone.is_some());
    assert_eq!(dhow.run(&["ps", "-a", "--format", "{{.Names}}"]).ok().stdout, "keeps\nmade\n");
    drop(dhow.run(&["tag", "box", "moved"]).ok());
    start(&dhow, &["--rmi", "--name", "old", "moved", "sleep", "100"]);
    drop(dhow.run(&["tag", "used", "moved"]).ok());
    drop(dhow.run(&["rm", "-f", "keeps", "made"]).ok());
    drop(dhow.run(&["stop", "-t", "0", "old"]).ok());
    let gone =
        need::eventually(SOON, || dhow.run(&["ps", "-aq"]).ok().stdout.is_empty().then_some(()));
    assert!(gone.is_some() && has("moved"), "the name means another image by now");
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn the_number_of_the_process_is_written_to_a_file_at_each_start() {
    needs_root!();
    let dhow = with_box();
    let place = dhow.directory().join("web.pid");
    let run =
        ["--pidfile", "web.pid", "--restart", "always", "--name", "web", "box", "sleep", "100"];
    start(&dhow, &run);
    let agree = || {
        let pid = dhow.run(&["inspect", "--format", "{{.State.Pid}}", "web"]).ok();
        (fs::read_to_string(&place).unwrap() == pid.line()).then(|| pid.line().to_owned())
    };

    let first = agree().unwrap();
    // Its policy starts it again, and nobody is there who has asked for the file.
    let process = rustix::process::Pid::from_raw(first.parse().unwrap()).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
    let next = need::eventually(SOON, || agree().filter(|pid| *pid != first && pid != "0"));
    assert!(next.is_some());
    drop(dhow.run(&["rm", "-f", "web"]).ok());

    let nowhere = dhow.run(&["run", "-d", "--pidfile", "gone/x", "--name", "b", "box", "true"]);
    drop(nowhere.exits(125).says("write the container's process to"));
    assert_eq!(
        dhow.run(&["ps", "-a", "--format", "{{.Names}} {{.State}}"]).ok().line(),
        "b created"
    );
    drop(dhow.run(&["rm", "b"]).ok());
}
