//! The OCI runtime by runc's command line: a container's life.

use crate::{bundle::Bundle, fixture::SOON};
use dhow_testkit::{need, needs_root};
use serde_json::{Value, json};
use std::fs;

#[test]
fn run_stays_until_the_end_and_its_exit_code_is_the_programs() {
    needs_root!();
    let bundle = Bundle::new(&["sh", "-c", "echo hi; exit 7"]);

    let outcome = bundle.run(&["run", &bundle.id]).exits(7);

    assert_eq!(outcome.stdout, "hi\n");
    assert_eq!(bundle.run(&["list", "-q"]).ok().stdout, "");
    assert!(bundle.leftovers().is_empty());
}

#[test]
fn a_program_that_a_signal_ends_counts_as_in_a_shell() {
    needs_root!();
    // The first process of a PID namespace ignores signals without a handler, so a child ends.
    let bundle = Bundle::new(&["sh", "-c", "sh -c 'kill -9 $$'; exit $?"]);

    drop(bundle.run(&["run", &bundle.id]).exits(137));
}

#[test]
fn a_life_by_hand() {
    needs_root!();
    let bundle = Bundle::new(&["sleep", "100"]);
    let id = bundle.id.as_str();
    drop(bundle.run_detached(&["create", "--pid-file", "pid", id]).ok());

    assert_eq!(bundle.status(), "created");
    drop(bundle.run(&["start", id]).ok());
    let state = bundle.state();
    assert_eq!(bundle.run(&["exec", id, "cat", "/proc/1/comm"]).ok().stdout, "sleep\n");
    drop(bundle.run(&["delete", id]).exits(1).says("that is not stopped: running"));
    drop(bundle.run(&["kill", id, "KILL"]).ok());
    bundle.wait_for("stopped");
    let stopped = bundle.state();
    drop(bundle.run(&["delete", id]).ok());

    let pid: i64 = fs::read_to_string(bundle.path.join("pid")).unwrap().parse().unwrap();
    assert_eq!((&state["status"], &state["pid"]), (&json!("running"), &json!(pid)));
    assert_eq!((&state["bundle"], &state["owner"]), (&json!(bundle.path), &json!("root")));
    assert!(state["rootfs"].is_string() && state["created"].is_string(), "{state}");
    assert_eq!(stopped["pid"], 0);
    drop(bundle.run(&["state", id]).exits(1).says("container does not exist"));
}

#[test]
fn the_state_has_the_configurations_version_and_annotations() {
    needs_root!();
    let bundle = Bundle::new(&["sleep", "100"]);
    bundle.change(|config| {
        config["ociVersion"] = json!("1.0.2-dev");
        config["annotations"] = json!({"a": "b"});
    });
    bundle.create();

    let state = bundle.state();

    assert_eq!(
        (&state["ociVersion"], &state["annotations"]),
        (&json!("1.0.2-dev"), &json!({"a": "b"}))
    );
}

#[test]
fn a_container_pauses_and_goes_on() {
    needs_root!();
    let bundle = Bundle::new(&["sleep", "100"]);
    let id = bundle.id.as_str();
    bundle.start();

    drop(bundle.run(&["pause", id]).ok());
    assert_eq!(bundle.status(), "paused");
    drop(bundle.run(&["exec", id, "true"]).exits(255).says("cannot exec in a paused container"));
    drop(bundle.run(&["start", id]).exits(1).says("cannot start a container in the paused state"));
    drop(bundle.run(&["resume", id]).ok());
    assert_eq!(bundle.status(), "running");
    drop(bundle.run(&["resume", id]).exits(1).says("container not paused"));
    drop(bundle.run(&["pause", id]).ok());

    // By version 1 a frozen process does not even die.
    drop(bundle.run(&["kill", id, "9"]).ok());
    bundle.wait_for("stopped");
    drop(bundle.run(&["pause", id]).exits(1).says("container not running"));
}

#[test]
fn a_paused_container_is_deleted_by_force() {
    needs_root!();
    let bundle = Bundle::new(&["sleep", "100"]);
    bundle.start();
    drop(bundle.run(&["pause", &bundle.id]).ok());

    drop(bundle.run(&["delete", &bundle.id]).exits(1).says("not stopped: paused"));
    drop(bundle.run(&["delete", "-f", &bundle.id]).ok());

    assert!(bundle.leftovers().is_empty());
}

#[test]
fn a_created_container_is_deleted_without_force() {
    needs_root!();
    let bundle = Bundle::new(&["sleep", "100"]);
    bundle.create();

    drop(bundle.run(&["delete", &bundle.id]).ok());

    assert!(bundle.leftovers().is_empty());
}

#[test]
fn signals_have_names_numbers_and_reach() {
    needs_root!();
    let script = "trap 'echo usr1' USR1; trap 'echo term' TERM; echo ready; \
        while :; do sleep 0.05; done";
    let bundle = Bundle::new(&["sh", "-c", script]);
    let id = bundle.id.as_str();
    bundle.start();
    let printed = |text: &str| {
        let there = need::eventually(SOON, || bundle.printed().contains(text).then_some(()));
        assert!(there.is_some(), "{text} is not in {:?}", bundle.printed());
    };
    printed("ready");

    drop(bundle.run(&["kill", id, "SIGUSR1"]).ok());
    printed("usr1");
    drop(bundle.run(&["kill", id]).ok());
    printed("term");
    drop(bundle.run(&["kill", id, "0"]).ok());
    drop(bundle.run(&["kill", id, "BOGUS"]).exits(1).says("unknown signal"));
    drop(bundle.run(&["kill", "--all", id, "9"]).ok());
    bundle.wait_for("stopped");

    drop(bundle.run(&["kill", id, "TERM"]).exits(1).says("container not running"));
    drop(bundle.run(&["kill", "--all", id, "KILL"]).ok());
}

#[test]
fn a_kill_is_for_all_where_processes_do_not_end_with_the_first() {
    needs_root!();
    let bundle = Bundle::new(&["sh", "-c", "sleep 1000 & wait"]);
    bundle.change(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|namespace| namespace["type"] != "pid");
    });
    bundle.start();
    let pids = || -> Vec<i32> {
        let shown = bundle.run(&["ps", "-f", "json", &bundle.id]).ok().stdout;
        serde_json::from_str::<Option<Vec<i32>>>(&shown).unwrap().unwrap_or_default()
    };
    assert!(need::eventually(SOON, || (pids().len() == 2).then_some(())).is_some());

    drop(bundle.run(&["kill", &bundle.id, "KILL"]).ok());

    assert!(need::eventually(SOON, || pids().is_empty().then_some(())).is_some(), "{:?}", pids());
}

/// As in runc since 1.3: a signal that is no kill is the first process's, whatever `--all` says.
#[test]
fn all_is_about_a_container_that_has_ended() {
    needs_root!();
    let script = "trap 'echo first' USR1; (trap 'echo second' USR1; while :; do sleep 0.05; done) & \
        echo ready; while :; do sleep 0.05; done";
    let bundle = Bundle::new(&["sh", "-c", script]);
    dhow_testkit::needs!(bundle.is_ours(), "our own runtime");
    bundle.change(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|namespace| namespace["type"] != "pid");
    });
    let id = bundle.id.as_str();
    bundle.start();
    let printed = |text: &str| {
        let there = need::eventually(SOON, || bundle.printed().contains(text).then_some(()));
        assert!(there.is_some(), "{text} is not in {:?}", bundle.printed());
    };
    printed("ready");

    drop(bundle.run(&["kill", "--all", id, "USR1"]).ok());
    printed("first");
    drop(bundle.run(&["kill", id, "KILL"]).ok());
    bundle.wait_for("stopped");

    assert!(!bundle.printed().contains("second"), "{:?}", bundle.printed());
    // A kill finds all that is left in the cgroup, also after the first process's end; where there
    // is nobody, it is no failure with `--all`.
    drop(bundle.run(&["kill", "--all", id, "KILL"]).ok());
    drop(bundle.run(&["kill", "--all", id, "TERM"]).ok());
    drop(bundle.run(&["kill", id, "TERM"]).exits(1).says("container not running"));
}

/// Whoever shares the machine's PID namespace may outlive the first process, but not the container.
#[test]
fn a_deletion_ends_what_has_outlived_the_first_process() {
    needs_root!();
    let bundle = Bundle::new(&["sh", "-c", "sleep 1000 & echo $!"]);
    bundle.change(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|namespace| namespace["type"] != "pid");
    });
    bundle.start();
    bundle.wait_for("stopped");
    let pid = bundle.printed().trim().to_owned();
    let is_there = || fs::exists(format!("/proc/{pid}/ns")).unwrap_or(false);
    assert!(is_there(), "{pid} ended with the first process");

    drop(bundle.run(&["delete", "--force", &bundle.id]).ok());

    assert!(need::eventually(SOON, || (!is_there()).then_some(())).is_some(), "{pid} is left");
    drop(bundle.run(&["delete", &bundle.id]).exits(1).says("does not exist"));
    drop(bundle.run(&["delete", "--force", &bundle.id]).ok());
}

/// A filter that holds before the program does need not know of calls that only we take: people write
/// them by looking at what the program does.
#[test]
fn a_filter_older_than_our_calls_is_no_hindrance() {
    needs_root!();
    let bundle = Bundle::new(&["sh", "-c", "echo begun; pwd"]);
    let newer = [
        "close_range",
        "openat2",
        "faccessat2",
        "fsopen",
        "fsconfig",
        "fsmount",
        "fspick",
        "open_tree",
        "move_mount",
        "mount_setattr",
        "clone3",
    ];
    bundle.change(|config| {
        config["process"]["noNewPrivileges"] = json!(false);
        config["process"]["cwd"] = json!("/tmp");
        config["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": newer, "action": "SCMP_ACT_ERRNO", "errnoRet": 38}],
        });
    });

    assert_eq!(bundle.run(&["run", &bundle.id]).ok().stdout, "begun\n/tmp\n");
}

#[test]
fn run_leaves_a_container_where_it_shall() {
    needs_root!();
    let bundle = Bundle::new(&["sh", "-c", "exit 3"]);
    let id = bundle.id.as_str();

    drop(bundle.run(&["run", "--keep", id]).exits(3));
    assert_eq!(bundle.status(), "stopped");
    drop(bundle.run(&["delete", id]).ok());

    bundle.change(|config| config["process"]["args"] = json!(["sleep", "100"]));
    drop(bundle.run_detached(&["run", "-d", id]).ok());
    assert_eq!(bundle.status(), "running");
}

#[test]
fn run_takes_in_processes_that_lose_their_parent() {
    needs_root!();
    // Without a PID namespace orphans go to the next subreaper above.
    let script = "(sleep 0.3; cut -d ' ' -f 4 /proc/self/stat) & sleep 1";
    let bundle = Bundle::new(&["sh", "-c", &format!("sh -c \"{script}\" & wait; sleep 1.5")]);
    bundle.change(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|namespace| namespace["type"] != "pid");
    });

    drop(bundle.run(&["run", &bundle.id]).ok());
}

#[test]
fn signals_to_run_are_the_programs() {
    needs_root!();
    let script = "trap 'echo got; exit 5' TERM; echo ready; while :; do sleep 0.05; done";
    let bundle = Bundle::new(&["sh", "-c", script]);
    let mut terminal = bundle.terminal(&["run", &bundle.id]);
    terminal.expect("ready");

    let pid = rustix::process::Pid::from_raw(terminal.pid().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();

    terminal.expect("got");
    assert_eq!(terminal.end(), 5);
}

#[test]
fn containers_are_listed_as_table_and_json() {
    needs_root!();
    let bundle = Bundle::new(&["sleep", "100"]);
    assert_eq!(bundle.run(&["list"]).code, 1, "a directory that is not there");
    bundle.create();

    let table = bundle.run(&["list"]).ok().stdout;
    let list: Value =
        serde_json::from_str(&bundle.run(&["list", "-f", "json"]).ok().stdout).unwrap();

    let mut lines = table.lines();
    let words = |line: Option<&str>| -> Vec<String> {
        line.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    };
    assert_eq!(words(lines.next()), ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
    let row = words(lines.next());
    assert_eq!(
        (row[0].as_str(), row[2].as_str(), row[5].as_str()),
        (&*bundle.id, "created", "root")
    );
    assert_eq!(list[0]["id"], json!(bundle.id));
    assert_eq!(list[0]["owner"], "root");
    assert_eq!(bundle.run(&["list", "--quiet"]).ok().line(), bundle.id);
    drop(bundle.run(&["list", "-f", "xml"]).exits(1).says("invalid format option"));
    drop(bundle.run(&["delete", &bundle.id]).ok());
    assert_eq!(bundle.run(&["list", "-f", "json"]).ok().stdout, "null\n");
}

#[test]
fn processes_are_shown_as_ps_shows_them() {
    needs_root!();
    dhow_testkit::needs_tool!("ps");
    let bundle = Bundle::new(&["sleep", "100"]);
    bundle.start();
    let pid = bundle.state()["pid"].as_i64().unwrap();

    let json: Vec<i64> =
        serde_json::from_str(&bundle.run(&["ps", "-f", "json", &bundle.id]).ok().stdout).unwrap();
    let table = bundle.run(&["ps", &bundle.id]).ok().stdout;
    let chosen = bundle.run(&["ps", &bundle.id, "-e", "-o", "pid,comm"]).ok().stdout;

    assert_eq!(json, [pid]);
    assert!(table.starts_with("UID") && table.contains("sleep 100"), "{table}");
    let words: Vec<&str> = chosen.split_whitespace().collect();
    assert_eq!(words, ["PID", "COMMAND", &pid.to_string(), "sleep"]);
}

#[test]
fn a_record_of_a_newer_build_is_left_alone() {
    needs_root!();
    let bundle = Bundle::new(&["sleep", "100"]);
    dhow_testkit::needs!(bundle.is_ours(), "our own runtime");
    bundle.create();
    let file = bundle.records().join(&bundle.id).join("state.json");
    let kept = fs::read(&file).unwrap();
    let mut record: Value = serde_json::from_slice(&kept).unwrap();
    record["version"] = json!(99);
    fs::write(&file, record.to_string()).unwrap();

    drop(bundle.run(&["delete", "-f", &bundle.id]).exits(1).says("a newer dhow"));

    fs::write(&file, kept).unwrap();
}

#[test]
fn a_null_device_as_a_stream_is_the_containers() {
    needs_root!();
    // The same numbers, and a node of the container's own /dev.
    let script = "for n in 0 1 2; do [ /proc/self/fd/$n -ef /dev/null ] || exit 4$n; done";
    let bundle = Bundle::new(&["sh", "-c", script]);
    let mut command = bundle.command(&["run", &bundle.id]);
    let null = || std::process::Stdio::null();
    command.stdin(null()).stdout(null()).stderr(null());

    assert_eq!(command.status().unwrap().code(), Some(0));
}
