//! The OCI runtime's `exec`.

use crate::bundle::Bundle;
use dhow_testkit::{needs, needs_root, process};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
};

fn sleeper() -> Bundle {
    let bundle = Bundle::new(&["sleep", "100"]);
    bundle.start();
    bundle
}

#[test]
fn the_exit_code_is_the_programs_and_a_failure_to_run_it_is_255() {
    needs_root!();
    let bundle = sleeper();
    let id = bundle.id.as_str();

    drop(bundle.run(&["exec", id, "sh", "-c", "exit 4"]).exits(4));
    drop(bundle.run(&["exec", id, "sh", "-c", "kill -9 $$"]).exits(137));
    let missing = bundle.run(&["exec", id, "nope"]).exits(255).says("exec failed");
    drop(missing.says("executable file not found in $PATH"));
    drop(bundle.run(&["exec", id, "/nope"]).exits(255).says("no such file or directory"));
    drop(bundle.run(&["exec", id, "/etc"]).exits(255));
    drop(bundle.run(&["exec", id]).exits(255).says("exec args cannot be empty"));
    drop(bundle.run(&["exec", "no-such", "true"]).exits(255).says("container does not exist"));
}

#[test]
fn flags_change_the_process() {
    needs_root!();
    let bundle = sleeper();
    let exec = |words: &[&str]| bundle.run(&[&["exec"], words].concat()).ok().stdout;
    let id = bundle.id.as_str();

    assert_eq!(exec(&["-e", "A=1", "--env", "B=2 3", id, "sh", "-c", "echo $A $B"]), "1 2 3\n");
    assert_eq!(exec(&["--cwd", "/tmp", id, "pwd"]), "/tmp\n");
    assert_eq!(exec(&["-u", "5:6", "-g", "7", "--additional-gids=8", id, "id", "-G"]), "6 7 8\n");
    assert_eq!(exec(&["--user", "5", id, "id", "-u"]), "5\n");
    let status = exec(&["-cap", "CAP_SYS_ADMIN", id, "grep", "CapBnd", "/proc/self/status"]);
    let bits = u64::from_str_radix(status.split_whitespace().last().unwrap(), 16).unwrap();
    assert_eq!(bits >> 21 & 1, 1, "CAP_SYS_ADMIN in {status}");
    let privileges = |flags: &[&str]| {
        let words = [flags, &[id, "grep", "NoNewPrivs", "/proc/self/status"]].concat();
        exec(&words).trim().ends_with('1')
    };
    assert!(privileges(&[]) && privileges(&["--no-new-privs"]));
    assert!(!bundle.is_ours() || !privileges(&["--no-new-privs=false"]));
    drop(bundle.run(&["exec", "-u", "root", id, "true"]).exits(255).says("bad uid"));
}

#[test]
fn what_follows_the_id_belongs_to_the_program() {
    needs_root!();
    let bundle = sleeper();

    let outcome = bundle.run(&["exec", &bundle.id, "echo", "-d", "--tty", "--", "x"]).ok();

    assert_eq!(outcome.stdout, "-d --tty -- x\n");
}

#[test]
fn a_whole_process_comes_from_a_file() {
    needs_root!();
    let bundle = sleeper();
    let process = json!({
        "args": ["sh", "-c", "echo $X; pwd; id -u"],
        "env": ["X=y", "PATH=/bin"],
        "cwd": "/tmp",
        "user": {"uid": 9, "gid": 9},
    });
    fs::write(bundle.path.join("process.json"), process.to_string()).unwrap();

    let outcome = bundle.run(&["exec", "--process", "process.json", &bundle.id]).ok();

    assert_eq!(outcome.stdout, "y\n/tmp\n9\n");
    fs::write(bundle.path.join("relative.json"), r#"{"args": ["true"], "cwd": "tmp"}"#).unwrap();
    let relative = bundle.run(&["exec", "-p", "relative.json", &bundle.id]).exits(255);
    drop(relative.says("Cwd must be an absolute path"));
    fs::write(bundle.path.join("empty.json"), r#"{"cwd": "/"}"#).unwrap();
    let empty = bundle.run(&["exec", "-p", "empty.json", &bundle.id]).exits(255);
    drop(empty.says("args must not be empty"));
    drop(bundle.run(&["exec", "-p", "gone.json", &bundle.id]).exits(255).says("gone.json"));
}

#[test]
fn a_detached_process_is_named_by_its_file() {
    needs_root!();
    let bundle = sleeper();
    let words = ["exec", "-d", "--pid-file", "pid", &bundle.id, "sleep", "77"];

    drop(bundle.run_detached(&words).ok());

    let pid = fs::read_to_string(bundle.path.join("pid")).unwrap();
    assert_eq!(process::words(&pid), ["sleep", "77"]);
}

#[test]
fn a_container_that_waits_for_its_start_can_be_entered() {
    needs_root!();
    let bundle = Bundle::new(&["sleep", "100"]);
    bundle.create();

    assert_eq!(bundle.run(&["exec", &bundle.id, "echo", "in"]).ok().stdout, "in\n");
    assert_eq!(bundle.status(), "created");
}

#[test]
fn a_process_waits_in_a_paused_container() {
    needs_root!();
    let bundle = sleeper();
    drop(bundle.run(&["pause", &bundle.id]).ok());

    let mut terminal =
        bundle.terminal(&["exec", "--ignore-paused", &bundle.id, "sh", "-c", "echo waited"]);
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert!(!terminal.transcript().contains("waited"));
    drop(bundle.run(&["resume", &bundle.id]).ok());

    terminal.expect("waited");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn a_process_can_be_in_a_part_of_the_cgroup() {
    needs_root!();
    let memory = Path::new("/sys/fs/cgroup/memory");
    needs!(memory.join("memory.limit_in_bytes").exists(), "version 1's memory controller");
    let bundle = sleeper();
    needs!(bundle.is_ours(), "our own runtime");
    let cgroup = memory.join("dhow").join(&bundle.id);
    fs::create_dir(cgroup.join("part")).unwrap();
    let id = bundle.id.as_str();
    let of = |flags: &[&str], controller: &str| {
        let words = [&["exec"], flags, &[id, "cat", "/proc/self/cgroup"]].concat();
        let shown = bundle.run(&words).ok().stdout;
        let line = shown.lines().find(|line| line.contains(&format!(":{controller}:"))).unwrap();
        line.rsplit('/').next().unwrap().to_owned()
    };

    assert_eq!(of(&["--cgroup", "memory:part"], "memory"), "part");
    assert_ne!(of(&["--cgroup", "memory:part"], "pids"), "part");
    assert_ne!(of(&[], "memory"), "part");
    for (flag, said) in [
        ("memory:gone", "no such file"),
        ("memory:../..", ""),
        ("memory:..", ""),
        ("nope:part", "unknown controller nope"),
        ("part", "CONTROLLER:PATH"),
        (":part", "empty <controller> prefix"),
    ] {
        drop(bundle.run(&["exec", "--cgroup", flag, id, "true"]).exits(255).says(said));
    }
}

/// The cgroup of a container's in the one tree of version 2.
fn unified_cgroup(bundle: &Bundle) -> PathBuf {
    let memberships = fs::read_to_string(format!("/proc/{}/cgroup", bundle.state()["pid"]));
    let path = memberships.unwrap().lines().find_map(|line| {
        line.strip_prefix("0::/").map(|path| Path::new("/sys/fs/cgroup").join(path))
    });
    path.expect("there is a version 2 tree")
}

#[test]
fn a_process_can_be_in_a_part_of_the_cgroup_of_version_2() {
    needs_root!();
    needs!(Path::new("/sys/fs/cgroup/cgroup.controllers").exists(), "cgroup version 2 alone");
    let bundle = sleeper();
    needs!(bundle.is_ours(), "our own runtime");
    let cgroup = unified_cgroup(&bundle);
    fs::create_dir_all(cgroup.join("part/deep")).unwrap();
    let id = bundle.id.as_str();
    let own = |flags: &[&str]| {
        bundle.run(&[&["exec"], flags, &[id, "cat", "/proc/self/cgroup"]].concat()).ok().stdout
    };

    assert_eq!(own(&["--cgroup", "part"]), "0::/part\n");
    assert_eq!(own(&["--cgroup", "/part/deep"]), "0::/part/deep\n");
    assert_eq!(own(&[]), "0::/\n");
    for (flag, said) in [
        ("gone", "no such file"),
        ("../..", ""),
        ("..", ""),
        ("part/../../..", ""),
        ("memory:part", "unknown controller memory"),
    ] {
        drop(bundle.run(&["exec", "--cgroup", flag, id, "true"]).exits(255).says(said));
    }
}

#[test]
fn beside_a_first_process_that_has_moved_down_there_is_room() {
    needs_root!();
    let controllers = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    needs!(controllers.contains("pids"), "cgroup version 2 alone, with the controller pids");
    let bundle = sleeper();
    let cgroup = unified_cgroup(&bundle);
    fs::create_dir(cgroup.join("inner")).unwrap();
    fs::write(cgroup.join("inner/cgroup.procs"), bundle.state()["pid"].to_string()).unwrap();
    // From now on it may hold no process itself.
    fs::write(cgroup.join("cgroup.subtree_control"), "+pids").unwrap();

    let shown = bundle.run(&["exec", &bundle.id, "cat", "/proc/self/cgroup"]).ok();
    let refused = bundle.run(&["exec", "--cgroup", "/", &bundle.id, "true"]);

    assert_eq!(shown.stdout, "0::/inner\n");
    assert_ne!(refused.code, 0, "{refused}");
}
