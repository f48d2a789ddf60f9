//! The OCI runtime's errors: the words that engines look for, where they look for them, and that
//! nothing is left.

use crate::bundle::Bundle;
use dhow_testkit::{needs, needs_root};
use serde_json::{Value, json};
use std::{fs, os::unix::fs::symlink, path::Path};

#[test]
fn errors_go_to_the_log_that_engines_read() {
    let bundle = Bundle::new(&["true"]);

    let state = ["state", "gone"];
    let json = [&["--log", "log", "--log-format", "json"][..], &state].concat();
    let text = [&["--log=text", "-log-format=text"][..], &state].concat();
    let said = bundle.run(&json).exits(1).stderr;
    drop(bundle.run(&text).exits(1));
    let bare = bundle.run(&state).exits(1).stderr;

    let line: Value =
        serde_json::from_str(&fs::read_to_string(bundle.path.join("log")).unwrap()).unwrap();
    assert_eq!(line["level"], "error");
    let message = line["msg"].as_str().unwrap();
    assert!(message.contains("container does not exist"), "{line}");
    assert!(line["time"].as_str().unwrap().ends_with('Z'), "{line}");
    assert_eq!(said, format!("{message}\n"));
    let text = fs::read_to_string(bundle.path.join("text")).unwrap();
    for line in [&text, &bare] {
        assert!(line.starts_with("time=\"2"), "{line}");
        assert!(line.ends_with(&format!(" level=error msg={message:?}\n")), "{line}");
    }
}

#[test]
fn the_log_is_made_before_anything_is_done() {
    needs_root!();
    let bundle = Bundle::new(&["true"]);

    drop(bundle.run(&["--log", "log", "run", &bundle.id]).ok());

    assert_eq!(fs::read_to_string(bundle.path.join("log")).unwrap(), "");
    drop(bundle.run(&["--log", "/no/such/log", "run", &bundle.id]).exits(1).says("/no/such/log"));
    drop(bundle.run(&["--log-format", "xml", "list"]).exits(1).says("invalid log-format"));
}

#[test]
fn what_was_typed_wrong_is_said() {
    let bundle = Bundle::new(&["true"]);
    for (words, said) in [
        (&["state"][..], "\"state\" requires exactly 1 argument(s)"),
        (&["state", "a", "b"], "\"state\" requires exactly 1 argument(s)"),
        (&["kill"], "\"kill\" requires a minimum of 1 argument(s)"),
        (&["--nope", "list"], "flag provided but not defined: -nope"),
        (&["create", "--nope", "x"], "flag provided but not defined: -nope"),
        (&["create", "--bundle"], "flag needs an argument"),
        (&["state", ""], "container id cannot be empty"),
    ] {
        let outcome = bundle.run(words);
        assert!(outcome.code == 1, "{outcome}");
        let spoken = format!("{}{}", outcome.stdout, outcome.stderr).replace("\\\"", "\"");
        assert!(spoken.contains(said), "{outcome}");
    }
    needs!(bundle.is_ours(), "our own runtime");
    drop(bundle.run(&["nope"]).exits(1).says("there is no command"));
    drop(bundle.run(&["--rootless", "maybe", "list"]).exits(1).says("rootless"));
}

#[test]
fn help_and_version_are_for_standard_output() {
    let bundle = Bundle::new(&["true"]);

    let version = bundle.run(&["--version"]).ok().stdout;
    assert_eq!(bundle.run(&["-v"]).ok().stdout, version);
    let first = version.lines().next().unwrap_or_default();
    let words: Vec<&str> = first.split_whitespace().collect();
    assert_eq!(words.get(1), Some(&"version"), "{first}");
    assert!(words[2].starts_with(|c: char| c.is_ascii_digit()), "{first}");
    assert!(version.lines().any(|line| line.starts_with("spec: 1.")), "{version}");
    if bundle.is_ours() {
        // Built without a repository, there is no commit to name.
        let commit = version.lines().find_map(|line| line.strip_prefix("commit: "));
        let is_hash = |commit: &str| {
            commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        assert!(commit.is_none_or(is_hash), "{version}");
        assert!(version.lines().any(|line| line.starts_with("rustc: 1.")), "{version}");
    }
    for words in [&["--help"][..], &["-h"], &[]] {
        assert!(bundle.run(words).ok().stdout.contains("create"), "{words:?}");
    }
    let help = bundle.run(&["update", "--help"]).ok().stdout;
    assert!(help.contains("--cpu-quota") && help.contains("--resources"), "{help}");
}

#[test]
fn the_name_of_the_program_is_the_name_in_its_version() {
    let bundle = Bundle::new(&["true"]);
    let named = |name: &str| {
        let link = bundle.dhow.directory().join(name);
        drop(symlink(bundle.dhow.program(), &link));
        let output = std::process::Command::new(link).arg("--version").output().unwrap();
        String::from_utf8_lossy(&output.stdout).split(' ').next().unwrap_or_default().to_owned()
    };

    assert_eq!(named("runc"), "runc");
    assert_eq!(named("dhow-runtime"), "dhow-runtime");
    assert_eq!(named("dhow"), "dhow");
}

#[test]
fn an_id_is_a_name_and_no_path() {
    needs_root!();
    let bundle = Bundle::new(&["true"]);
    let long = "x".repeat(2000);
    for id in [".", "..", "../x", "a/b", "a b", "a\nb", "ü", "a$", long.as_str()] {
        for command in ["create", "run", "state", "delete"] {
            let outcome = bundle.run(&[command, id]);
            assert_eq!(outcome.code, 1, "{outcome}");
        }
        drop(bundle.run(&["create", id]).says("invalid container ID format"));
    }
    assert!(!bundle.records().exists() || fs::read_dir(bundle.records()).unwrap().count() == 0);
}

#[test]
fn an_id_has_one_container() {
    needs_root!();
    let bundle = Bundle::new(&["sleep", "100"]);
    bundle.start();

    let second = bundle.run(&["create", &bundle.id]).exits(1);
    drop(second.says("container with given ID already exists"));

    assert_eq!(bundle.status(), "running");
}

#[test]
fn a_bundle_must_be_whole() {
    needs_root!();
    let bundle = Bundle::new(&["true"]);
    let id = bundle.id.as_str();
    let refused = |words: &[&str], said: &str| {
        let outcome = bundle.run(&[words, &[id]].concat()).exits(1);
        assert!(outcome.stderr.to_lowercase().contains(said), "{outcome}");
        assert!(bundle.leftovers().is_empty(), "{:?}", bundle.leftovers());
    };

    refused(&["run", "--bundle", "/no/such/bundle"], "/no/such/bundle");
    fs::create_dir(bundle.path.join("empty")).unwrap();
    refused(&["create", "-b", "empty"], "config.json not found");
    bundle.change(|config| config["root"]["path"] = json!("no-such-root"));
    refused(&["create"], "no such file or directory");
    fs::write(bundle.path.join("file"), "").unwrap();
    bundle.change(|config| config["root"]["path"] = json!("file"));
    refused(&["create"], "directory");
    for text in ["", "{", "[]", "null", "{\"ociVersion\": 7}", "\u{0}"] {
        fs::write(bundle.path.join("config.json"), text).unwrap();
        refused(&["create"], "");
    }
}

#[test]
fn a_configuration_that_breaks_the_specification_is_refused_by_name() {
    needs_root!();
    let bundle = Bundle::new(&["true"]);
    needs!(bundle.is_ours(), "our own runtime");
    let whole: Value =
        serde_json::from_slice(&fs::read(bundle.path.join("config.json")).unwrap()).unwrap();
    let without_uts = json!([{"type": "mount"}, {"type": "pid"}]);
    let cases: [(&str, Value, &str); 26] = [
        ("/ociVersion", Value::Null, "ociVersion"),
        ("/ociVersion", json!(""), "ociVersion is missing"),
        ("/ociVersion", json!("one"), "semantic version"),
        ("/ociVersion", json!("2.0.0"), "not supported"),
        ("/root", Value::Null, "root property must not be empty"),
        ("/root/path", json!(""), "root.path"),
        ("/process", Value::Null, "process property must not be empty"),
        ("/process/cwd", json!(""), "Cwd property must not be empty"),
        ("/process/cwd", json!("tmp"), "Cwd must be an absolute path"),
        ("/process/args", json!([]), "args must not be empty"),
        ("/process/args", json!(["a\u{0}b"]), "zero byte"),
        ("/process/env", json!(["A=a\u{0}b"]), "zero byte"),
        ("/process/rlimits", json!([{"type": "RLIMIT_X", "soft": 1, "hard": 1}]), "RLIMIT_X"),
        ("/process/user/uid", json!(-1), "parse config.json"),
        ("/linux/namespaces", without_uts, "unable to set hostname without a private UTS"),
        ("/linux/namespaces", json!([{"type": "nope"}]), "parse config.json"),
        ("/linux/namespaces/0/path", json!("/no/such/namespace"), "/no/such/namespace"),
        ("/linux/uidMappings", json!([{"containerID": 0, "hostID": 0, "size": 1}]), "mappings"),
        ("/linux/timeOffsets", json!({"boottime": {"secs": 1}}), "time namespace"),
        ("/linux/maskedPaths", json!(["proc"]), "not absolute"),
        ("/linux/rootfsPropagation", json!("sideways"), "sideways"),
        ("/linux/sysctl", json!({"kernel.panic": "1"}), "kernel.panic"),
        ("/linux/cgroupsPath", json!("../up"), "cgroup"),
        ("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_NOPE"}), "parse config.json"),
        ("/hooks", json!({"prestart": [{"path": "true"}]}), "not absolute"),
        ("/annotations", json!({"": "x"}), "empty key"),
    ];
    for (at, value, said) in cases {
        let mut config = whole.clone();
        let (parent, name) = at.rsplit_once('/').unwrap();
        let parent = config.pointer_mut(parent).unwrap();
        match (parent, value) {
            (Value::Object(object), Value::Null) => drop(object.remove(name)),
            (parent, value) => parent[name] = value,
        }
        fs::write(bundle.path.join("config.json"), config.to_string()).unwrap();

        let outcome = bundle.run(&["create", &bundle.id]);

        assert!(outcome.code == 1 && outcome.stderr.contains(said), "{at}: {outcome}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{at}: {outcome}");
        assert!(bundle.leftovers().is_empty(), "{at}: {:?}", bundle.leftovers());
    }
}

#[test]
fn a_program_that_cannot_run_is_named_and_nothing_is_left() {
    needs_root!();
    let bundle = Bundle::new(&["true"]);
    let refused = |program: &str, said: &str| {
        bundle.change(|config| config["process"]["args"] = json!([program]));
        for command in ["create", "run"] {
            let outcome = bundle.run(&[command, &bundle.id]).exits(1);
            assert!(outcome.stderr.contains(said), "{outcome}");
            assert!(bundle.leftovers().is_empty(), "{:?}", bundle.leftovers());
        }
    };

    refused("no-such-program", "executable file not found in $PATH");
    refused("/no/such/program", "no such file or directory");
    refused("/etc/passwd", "permission denied");
}

#[test]
fn a_state_that_does_not_allow_it_is_said() {
    needs_root!();
    let bundle = Bundle::new(&["sh", "-c", "exit 0"]);
    let id = bundle.id.as_str();
    drop(bundle.run(&["start", id]).exits(1).says("container does not exist"));
    drop(bundle.run(&["delete", id]).exits(1).says("container does not exist"));
    drop(bundle.run(&["delete", "--force", id]).ok());
    drop(bundle.run(&["kill", id, "9"]).exits(1).says("container does not exist"));
    bundle.start();
    bundle.wait_for("stopped");

    drop(bundle.run(&["start", id]).exits(1).says("cannot start a container that has stopped"));
    drop(bundle.run(&["exec", id, "true"]).exits(255).says("cannot exec in a stopped container"));
    drop(bundle.run(&["events", "--stats", id]).exits(1).says("is not running"));
    drop(bundle.run(&["update", "--memory", "64m", id]).exits(1).says("container not running"));

    let running = Bundle::new(&["sleep", "100"]);
    running.start();
    let again = running.run(&["start", &running.id]).exits(1);
    drop(again.says("cannot start an already running container"));
}

#[test]
fn a_creation_that_was_cut_short_can_be_deleted() {
    needs_root!();
    let bundle = Bundle::new(&["true"]);
    fs::create_dir_all(bundle.records().join(&bundle.id)).unwrap();

    drop(bundle.run(&["state", &bundle.id]).exits(1).says("container does not exist"));
    drop(bundle.run(&["delete", "--force", &bundle.id]).ok());

    assert!(!Path::exists(&bundle.records().join(&bundle.id)));
}
