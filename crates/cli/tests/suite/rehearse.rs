//! `run --dry-run`: what it prints is what a run makes, and it makes nothing.

use crate::fixture::{layout_of, with_box};
use dhow_testkit::{Dhow, needs_root};
use serde_json::{Value, json};

fn rehearsed(dhow: &Dhow, words: &[&str]) -> Value {
    let line = [&["run", "--dry-run", "--format", "json"], words].concat();
    serde_json::from_str(&dhow.run(&line).ok().stdout).unwrap()
}

/// The origin of the field whose value holds `text`, and where it is.
fn origin<'v>(document: &'v Value, below: &str, text: &str) -> &'v str {
    let origins = document["origins"].as_object().unwrap();
    let found = origins.iter().find(|(pointer, _)| {
        let value = document["spec"].pointer(pointer).unwrap();
        pointer.starts_with(below) && value.to_string().contains(text)
    });
    found.unwrap_or_else(|| panic!("nothing below {below} holds {text}")).1.as_str().unwrap()
}

#[test]
fn each_field_says_where_it_comes_from() {
    needs_root!();
    let dhow = Dhow::new();
    let layout = layout_of(&dhow, "set", |image| {
        image
            .set("Env", json!(["A=image", "PATH=/image/bin"]))
            .set("WorkingDir", json!("/tmp"))
            .command(&["default"])
    });
    drop(dhow.run(&["pull", "-q", &layout.reference("set")]).ok());
    let conf = dhow.directory().join("containers.conf");
    std::fs::write(&conf, "[containers]\nenv = [\"C=conf\"]\npids_limit = 99\n").unwrap();

    let words =
        ["-e", "B=1", "-m", "64m", "--memory-swap", "128m", "--read-only", "set", "echo", "x"];
    let mut command =
        dhow.command(&[&["run", "--dry-run", "--format", "json"], &words[..]].concat());
    command.env("CONTAINERS_CONF", &conf);
    let outcome = dhow.finish(&mut command, b"").ok();
    let document: Value = serde_json::from_str(&outcome.stdout).unwrap();

    let of = |below: &str, text: &str| origin(&document, below, text);
    assert_eq!(of("/process/env", "A=image"), "image");
    assert_eq!(of("/process/env", "B=1"), "--env");
    assert_eq!(of("/process/env", "C=conf"), "containers.conf");
    assert_eq!(of("/process/env", "HOSTNAME"), "default");
    assert_eq!(of("/process/args", "echo"), "COMMAND");
    assert_eq!(of("/process/cwd", "/tmp"), "image");
    assert_eq!(of("/root/readonly", "true"), "--read-only");
    assert_eq!(of("/linux/resources/memory/limit", "67108864"), "--memory");
    assert_eq!(of("/linux/resources/memory/swap", "134217728"), "--memory-swap");
    assert_eq!(of("/linux/resources/pids/limit", "99"), "containers.conf");
    assert_eq!(of("/linux/seccomp", "defaultAction"), "default");
    assert_eq!(dhow.run(&["ps", "-aq"]).ok().stdout, "");
}

#[test]
fn what_is_rehearsed_is_what_is_made() {
    needs_root!();
    let dhow = with_box();
    let words = ["--cap-drop", "ALL", "--umask", "0077", "--add-host", "a:1.2.3.4", "box", "true"];

    let document = rehearsed(&dhow, &words);
    assert_eq!(dhow.run(&["ps", "-aq"]).ok().stdout, "", "nothing is made");
    let id = dhow.run(&[&["create", "-q"], &words[..]].concat()).ok().line().to_owned();

    let config = dhow.root().join("containers").join(&id).join("config.json");
    let made: Value = serde_json::from_slice(&std::fs::read(config).unwrap()).unwrap();
    let words_of = |value: &Value| {
        let cgroup = value["linux"]["cgroupsPath"].as_str().unwrap();
        let id = cgroup.rsplit('/').next().unwrap().to_owned();
        value.to_string().replace(&id, "ID").replace(&id[..12], "ID")
    };
    assert_eq!(words_of(&document["spec"]), words_of(&made));
    drop(dhow.run(&["rm", &id]).ok());
}

#[test]
fn people_read_a_line_a_field_and_a_missing_image_is_not_fetched() {
    needs_root!();
    let dhow = with_box();

    let text = dhow.run(&["run", "--dry-run", "--umask", "0077", "box"]).ok().stdout;
    assert!(text.contains("--umask          /process/user/umask = 63\n"), "{text}");

    let missing = dhow.run(&["run", "--dry-run", "nowhere.example/x"]).exits(125);
    assert!(missing.stderr.contains("it is not here"), "{}", missing.stderr);
}
