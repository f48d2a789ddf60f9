//! The driver with plugins that are shell scripts.

use super::*;
use std::{fs, os::unix::fs::PermissionsExt, time::Instant};

/// A directory of plugins that are shell scripts, a cache, and a log of their calls.
struct Scene {
    directory: tempfile::TempDir,
    driver: Driver,
}

/// Notes each call; `$document` is what it was given.
const HEAD: &str = "#!/bin/sh\nexec 3>>LOG\ndocument=$(cat)\n\
    echo \"${0##*/} $CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME $CNI_NETNS $CNI_ARGS\" >&3\n";

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let driver = Driver::new(
            vec![directory.path().join("none"), directory.path().to_owned()],
            &directory.path().join("cache"),
        );
        Self { directory, driver }
    }

    fn plugin(&self, name: &str, body: &str) {
        let path = self.directory.path().join(name);
        let log = self.directory.path().join("log");
        let text = format!("{HEAD}{body}\n").replace("LOG", &log.to_string_lossy());
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What the plugins were called with since the last time.
    fn calls(&self) -> Vec<String> {
        let log = self.directory.path().join("log");
        let text = fs::read_to_string(&log).unwrap_or_default();
        let _none = fs::remove_file(&log);
        text.lines().map(|line| line.trim_end().to_owned()).collect()
    }

    fn remembered(&self) -> usize {
        self.driver.connections(None).unwrap().len()
    }
}

fn list(version: &str, programs: &[&str]) -> List {
    let plugins: Vec<Value> = programs
        .iter()
        .map(|program| json!({"type": program, "capabilities": {"mac": true, "ips": false}}))
        .collect();
    let document = json!({"cniVersion": version, "name": "net", "plugins": plugins});
    List::parse(document.to_string().as_bytes()).unwrap().0
}

fn connection() -> Connection {
    Connection {
        container: "c1".into(),
        namespace: "/run/netns/x".into(),
        interface: "eth0".into(),
        arguments: vec![("A".into(), "b".into())],
        capabilities: json!({"mac": "02:00:00:00:00:01", "ips": ["10.0.0.9/8"]})
            .as_object()
            .unwrap()
            .clone(),
    }
}

/// Gives back the result that it was given, with an address more.
const ADDS: &str = r#"
[ "$CNI_COMMAND" = ADD ] || exit 0
case $document in *prevResult*) n=2;; *) n=1;; esac
echo "{\"cniVersion\":\"1.0.0\",\"ips\":[{\"address\":\"10.0.0.$n/8\"}],\"own\":1}""#;

/// Keeps what it was given in a file beside the log.
const KEEPS: &str = r#"printf %s "$document" > LOG.$CNI_COMMAND
[ "$CNI_COMMAND" = ADD ] && echo '{"cniVersion":"1.0.0"}'; exit 0"#;

#[test]
fn plugins_are_called_in_order_and_taken_back_in_reverse() {
    let scene = Scene::new();
    scene.plugin("one", ADDS);
    scene.plugin("two", ADDS);
    let list = list("1.0.0", &["one", "two"]);

    let outcome = scene.driver.add(&list, &connection()).unwrap();
    let taken = scene.driver.add(&list, &connection()).unwrap_err();
    scene.driver.check(&list, &connection()).unwrap();
    scene.driver.del(&list, &connection()).unwrap();

    assert_eq!(outcome.ips[0].address.to_string(), "10.0.0.2/8");
    assert_eq!(taken.kind(), Kind::AlreadyExists);
    let end = "c1 eth0 /run/netns/x A=b";
    let expected = ["one ADD", "two ADD", "one CHECK", "two CHECK", "two DEL", "one DEL"];
    assert_eq!(scene.calls(), expected.map(|call| format!("{call} {end}")));
    assert_eq!(scene.remembered(), 0);
    let gone = scene.driver.check(&list, &connection()).unwrap_err();
    assert_eq!(gone.kind(), Kind::NotFound);
}

#[test]
fn a_plugin_is_told_what_its_author_wrote_and_what_was_asked_of_it() {
    let scene = Scene::new();
    scene.plugin("one", ADDS);
    scene.plugin("keeps", KEEPS);
    let list = list("1.0.0", &["one", "keeps"]);
    let told = |command: &str| -> Value {
        let path = scene.directory.path().join(format!("log.{command}"));
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    };

    scene.driver.add(&list, &connection()).unwrap();
    scene.driver.del(&list, &connection()).unwrap();

    let added = told("ADD");
    assert_eq!(added["cniVersion"], "1.0.0");
    assert_eq!(added["name"], "net");
    assert_eq!(added["runtimeConfig"], json!({"mac": "02:00:00:00:00:01"}));
    assert_eq!(added["prevResult"]["own"], 1, "fields that we do not know go through");
    assert_eq!(told("DEL")["prevResult"], json!({"cniVersion": "1.0.0"}));
}

#[test]
fn what_was_begun_is_taken_back_where_a_plugin_refuses() {
    let scene = Scene::new();
    scene.plugin("one", ADDS);
    scene.plugin(
        "two",
        r#"[ "$CNI_COMMAND" = ADD ] || exit 0
        echo '{"cniVersion":"1.0.0","code":7,"msg":"no such mode","details":"mode x"}'; exit 1"#,
    );
    scene.plugin("three", ADDS);

    let error =
        scene.driver.add(&list("1.0.0", &["one", "two", "three"]), &connection()).unwrap_err();

    assert_eq!(
        error.one_line(),
        "connect c1 to network \"net\": call the plugin \"two\" with ADD: it refuses: \
         no such mode; mode x (code 7)"
    );
    assert_eq!(error.kind(), Kind::Invalid);
    let calls: Vec<String> = scene.calls().iter().map(|call| call[..7].trim().to_owned()).collect();
    assert_eq!(calls, ["one ADD", "two ADD", "two DEL", "one DEL"]);
    assert_eq!(scene.remembered(), 0);
}

#[test]
fn what_cannot_be_taken_back_is_remembered_and_tried_again() {
    let scene = Scene::new();
    scene.plugin("one", ADDS);
    scene.plugin("two", "echo so what >&2; exit 3");
    let list = list("1.0.0", &["one", "two"]);

    let error = scene.driver.add(&list, &connection()).unwrap_err();
    assert!(error.one_line().ends_with("it ended with exit code 3: it said \"so what\""));
    assert!(error.innermost_hint().unwrap().starts_with("taking it back failed too"));
    assert_eq!(scene.remembered(), 1);
    scene.driver.del(&list, &connection()).unwrap_err();
    assert_eq!(scene.remembered(), 1);
    scene.plugin("two", "");
    scene.driver.gc(&list, &[]).unwrap();

    assert_eq!(scene.remembered(), 0);
}

#[test]
fn plugins_that_misbehave_are_named() {
    let scene = Scene::new();
    for (name, body, expected) in [
        ("garbage", "echo hello", "read its result as JSON"),
        ("silent", "true", "read its result as JSON"),
        ("array", "echo '[]'", "it is not an object of JSON"),
        ("future", r#"echo '{"cniVersion":"3.0.0"}'"#, "version \"3.0.0\""),
        ("odd", r#"echo '{"cniVersion":"1.0.0","ips":[{"address":"x"}]}'"#, "\"x\""),
        ("killed", "kill -9 $$", "signal 9"),
        ("endless", "while :; do echo 0123456789012345678901234567890123456789; done", "more than"),
    ] {
        let body = format!("[ \"$CNI_COMMAND\" = ADD ] || exit 0\n{body}");
        scene.plugin(name, &body);
        let error = scene.driver.add(&list("1.0.0", &[name]), &connection()).unwrap_err();
        let text = error.one_line();
        assert!(text.contains(expected) && text.contains(name), "{name}: {text}");
        assert_eq!(scene.remembered(), 0, "{name}");
    }
    let error = scene.driver.add(&list("1.0.0", &["missing"]), &connection()).unwrap_err();
    assert!(error.one_line().contains("find the plugin \"missing\" in "), "{error:?}");
}

#[test]
fn a_plugin_that_hangs_is_killed_with_its_children() {
    let scene = Scene::new();
    let script = "trap '' TERM INT HUP\n\
        setsid sh -c 'trap \"\" TERM; echo $$ >> LOG.pids; while :; do sleep 1; done' &\n\
        while ! [ -s LOG.pids ]; do sleep 0.01; done\n\
        echo $$ >> LOG.pids\nwhile :; do sleep 1; done";
    scene.plugin("hangs", &format!("[ \"$CNI_COMMAND\" = ADD ] || exit 0\n{script}"));
    let driver = scene.driver.clone().time_limit(Duration::from_secs(2));
    let begin = Instant::now();

    let error = driver.add(&list("1.0.0", &["hangs"]), &connection()).unwrap_err();

    assert_eq!(error.kind(), Kind::TimedOut);
    assert!(error.one_line().contains("\"hangs\""), "{error:?}");
    assert!(begin.elapsed() < Duration::from_secs(30));
    let pids = fs::read_to_string(scene.directory.path().join("log.pids")).unwrap();
    assert_eq!(pids.lines().count(), 2, "{pids}");
    for pid in pids.lines() {
        // The child is init's to reap now.
        let ended = dhow_testkit::need::eventually(Duration::from_secs(10), || {
            let status = dhow_sys::process::status(pid.parse().unwrap());
            status.map_or(true, |status| status.has_ended()).then_some(())
        });
        assert!(ended.is_some(), "{pid} lives");
    }
}

#[test]
fn a_child_that_is_left_behind_does_not_hold_us_up() {
    let scene = Scene::new();
    scene.plugin("leaves", &format!("sleep 8 & {ADDS}"));
    let begin = Instant::now();

    scene.driver.add(&list("1.0.0", &["leaves"]), &connection()).unwrap();

    assert!(begin.elapsed() < Duration::from_secs(6), "{:?}", begin.elapsed());
}

#[test]
fn plugins_of_older_versions_are_understood_and_handed_on_in_the_lists() {
    let scene = Scene::new();
    let old = r#"{"cniVersion":"0.2.0","ip4":{"ip":"10.0.0.7/8","gateway":"10.0.0.1"}}"#;
    scene.plugin("old", &format!("[ \"$CNI_COMMAND\" = ADD ] && echo '{old}'; exit 0"));
    scene.plugin("keeps", KEEPS);

    scene.driver.add(&list("1.0.0", &["old", "keeps"]), &connection()).unwrap();

    let told = fs::read(scene.directory.path().join("log.ADD")).unwrap();
    let told: Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(
        told["prevResult"]["ips"],
        json!([{"address": "10.0.0.7/8", "gateway": "10.0.0.1"}])
    );
    assert_eq!(told["prevResult"]["cniVersion"], "1.0.0");
}

#[test]
fn the_newest_version_of_all_plugins_is_spoken_where_there_is_a_choice() {
    let scene = Scene::new();
    let speaks = |versions: &str| {
        format!(
            "[ \"$CNI_COMMAND\" = VERSION ] && echo '{{\"supportedVersions\":[{versions}]}}' && exit\n{KEEPS}"
        )
    };
    scene.plugin("new", &speaks(r#""0.4.0","1.0.0","1.1.0""#));
    scene.plugin("old", &speaks(r#""0.4.0","1.0.0""#));
    let document = json!({"cniVersions": ["0.4.0", "1.0.0", "1.1.0"], "name": "net",
        "plugins": [{"type": "new"}, {"type": "old"}]});
    let list = List::parse(document.to_string().as_bytes()).unwrap().0;

    scene.driver.add(&list, &connection()).unwrap();

    let told = fs::read(scene.directory.path().join("log.ADD")).unwrap();
    let told: Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(told["cniVersion"], "1.0.0");
}

#[test]
fn a_plugin_of_another_version_is_asked_which_it_speaks() {
    let scene = Scene::new();
    scene.plugin(
        "old",
        r#"[ "$CNI_COMMAND" = VERSION ] && echo '{"supportedVersions":["0.3.1"]}' && exit
        [ "$CNI_COMMAND" = ADD ] || exit 0
        echo '{"code":1,"msg":"incompatible CNI versions"}'; exit 1"#,
    );

    let error = scene.driver.add(&list("1.1.0", &["old"]), &connection()).unwrap_err();

    assert_eq!(error.kind(), Kind::Unsupported);
    let hint = error.innermost_hint().unwrap();
    assert_eq!(hint, "the network is of version 1.1.0, the plugin speaks 0.3.1");
}

#[test]
fn collecting_leaves_those_that_are_valid() {
    let scene = Scene::new();
    scene.plugin("keeps", KEEPS);
    let list = list("1.1.0", &["keeps"]);
    for container in ["c1", "c2", "c3"] {
        let one = Connection { container: container.into(), ..connection() };
        scene.driver.add(&list, &one).unwrap();
    }
    scene.calls();

    scene.driver.gc(&list, &[("c2".into(), "eth0".into())]).unwrap();
    scene.driver.status(&list).unwrap();

    let mut calls = scene.calls();
    calls[..2].sort();
    let end = "eth0 /run/netns/x A=b";
    assert_eq!(
        calls,
        [
            format!("keeps DEL c1 {end}"),
            format!("keeps DEL c3 {end}"),
            "keeps GC".to_owned(),
            "keeps STATUS".to_owned(),
        ]
    );
    let told = fs::read(scene.directory.path().join("log.GC")).unwrap();
    let told: Value = serde_json::from_slice(&told).unwrap();
    let valid = json!([{"containerID": "c2", "ifname": "eth0"}]);
    assert_eq!(told["cni.dev/valid-attachments"], valid);
    assert_eq!(scene.remembered(), 1);
}

#[test]
fn a_plugin_gets_no_other_fds_and_a_plain_environment() {
    let scene = Scene::new();
    let secret = scene.directory.path().join("secret");
    fs::write(&secret, "x").unwrap();
    let open = fs::File::open(&secret).unwrap();
    rustix::io::fcntl_setfd(&open, rustix::io::FdFlags::empty()).unwrap();
    scene.plugin("looks", &format!("ls -l /proc/$$/fd > LOG.fds; env > LOG.env; {ADDS}"));

    scene.driver.add(&list("1.0.0", &["looks"]), &connection()).unwrap();

    let fds = fs::read_to_string(scene.directory.path().join("log.fds")).unwrap();
    assert!(fds.contains("pipe:") && !fds.contains("secret"), "{fds}");
    let environment = fs::read_to_string(scene.directory.path().join("log.env")).unwrap();
    let names: Vec<&str> = environment.lines().filter_map(|line| line.split('=').next()).collect();
    assert!(!names.contains(&"HOME") && names.contains(&"CNI_PATH"), "{environment}");
}
