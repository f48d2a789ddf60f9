//! `commit`, `diff` and `export`: what a container has made of its root.

use crate::fixture::{layout_of, start, with_box};
use dhow_testkit::{Dhow, needs_root};
use serde_json::Value;
use std::{fs, process::Stdio};

fn inspect(dhow: &Dhow, name: &str, format: &str) -> String {
    dhow.run(&["image", "inspect", "--format", format, name]).ok().line().to_owned()
}

/// A container that has added, changed and removed something.
fn changed() -> Dhow {
    let dhow = with_box();
    start(
        &dhow,
        &["--name", "web", "-e", "A=1", "-l", "x=y", "-v", "data:/data", "box", "sleep", "100"],
    );
    let script = "mkdir /new; echo 1 > /new/one; ln -s one /new/link; rm /bin/vi; \
                  chmod 700 /etc; echo v > /data/v; mkdir /old; rmdir /old";
    drop(dhow.run(&["exec", "web", "sh", "-c", script]).ok());
    dhow
}

#[test]
fn differences_are_those_of_the_container_alone() {
    needs_root!();
    let dhow = changed();
    let expected = "C /bin\nD /bin/vi\nC /etc\nA /new\nA /new/link\nA /new/one\n";

    assert_eq!(dhow.run(&["diff", "web"]).ok().stdout, expected);
    let json = dhow.run(&["container", "diff", "--format", "json", "web"]).ok().stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["deleted"], serde_json::json!(["/bin/vi"]));
    drop(dhow.run(&["stop", "-t", "0", "web"]).ok());
    assert_eq!(dhow.run(&["diff", "--latest"]).ok().stdout, expected);
    drop(dhow.run(&["diff", "gone"]).exits(1).says("no such container: gone"));
}

#[test]
fn an_image_names_the_places_of_mounts_where_it_is_asked_to() {
    needs_root!();
    let dhow = with_box();
    let mounts = ["-v", "data:/data", "-v", "/tmp:/host", "--tmpfs", "/t"];
    let create = [&["create", "--name", "web"], &mounts[..], &["box", "true"]].concat();
    drop(dhow.run(&create).ok());

    drop(dhow.run(&["commit", "-q", "web", "plain"]).ok());
    drop(dhow.run(&["commit", "-q", "--include-volumes", "web", "named"]).ok());

    let volumes = |name: &str| {
        let config: Value =
            serde_json::from_str(&inspect(&dhow, name, "{{json .Config}}")).unwrap();
        config["Volumes"].clone()
    };
    assert_eq!(volumes("plain"), Value::Null);
    assert_eq!(volumes("named"), serde_json::json!({"/data": {}, "/host": {}, "/t": {}}));
}

#[test]
fn an_image_of_a_container_runs_with_what_was_changed() {
    needs_root!();
    let dhow = changed();

    let commit = [
        "commit",
        "-a",
        "me",
        "-m",
        "why",
        "-c",
        "CMD cat /new/one",
        "-c",
        "ENV B=2",
        "-c",
        "HEALTHCHECK --interval=5s CMD true",
        "--iidfile",
        "iid",
        "web",
        "made:1",
    ];
    let id = dhow.run(&commit).ok().line().to_owned();

    assert_eq!(fs::read_to_string(dhow.directory().join("iid")).unwrap(), id);
    assert_eq!(dhow.run(&["run", "--rm", "-q", "made:1"]).ok().stdout, "1\n");
    let script = "ls /bin/vi /data/v 2>/dev/null; stat -c %a /etc; echo $A$B";
    assert_eq!(
        dhow.run(&["run", "--rm", "-q", "made:1", "sh", "-c", script]).ok().stdout,
        "700\n12\n"
    );
    assert_eq!(
        inspect(&dhow, "made:1", "{{.Author}} {{.Config.Labels.x}} {{len .RootFS.Layers}}"),
        "me y 2"
    );
    assert_eq!(
        dhow.run(&["history", "--format", "{{.Comment}}", "made:1"]).ok().stdout.lines().next(),
        Some("why")
    );
    // The container goes on, and nothing of the pause is left.
    assert_eq!(dhow.run(&["exec", "web", "echo", "on"]).ok().stdout, "on\n");
    drop(dhow.run(&["commit", "-c", "RUN x", "web"]).exits(1).says("RUN x"));
    drop(dhow.run(&["commit", "web", "Bad Name"]).exits(1).says("Bad Name"));
    assert_eq!(dhow.run(&["images", "-q"]).ok().stdout.lines().count(), 2);
}

#[test]
fn the_same_container_gives_the_same_image_each_time() {
    needs_root!();
    let dhow = changed();
    let commit = |flags: &[&str]| {
        let mut command = dhow.command(&[&["commit"], flags, &["web"]].concat());
        let outcome = dhow.finish(command.env("SOURCE_DATE_EPOCH", "1000000000"), b"");
        outcome.ok().line().to_owned()
    };

    let (first, second) = (commit(&[]), commit(&["--pause=false"]));
    let squashed = commit(&["--squash", "--format", "docker"]);

    assert_eq!(first, second);
    assert_eq!(
        inspect(&dhow, &squashed, "{{len .RootFS.Layers}} {{.Created}}"),
        "1 2001-09-09T01:46:40.000000000Z"
    );
    let archive = dhow.directory().join("squashed");
    drop(
        dhow.run(&["save", "--format", "docker-dir", "-o", archive.to_str().unwrap(), &squashed])
            .ok(),
    );
    let manifest: Value =
        serde_json::from_slice(&fs::read(archive.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["mediaType"], "application/vnd.docker.distribution.manifest.v2+json");
    assert_eq!(dhow.run(&["run", "--rm", "-q", &squashed, "cat", "/new/one"]).ok().stdout, "1\n");
}

#[test]
fn a_commit_killed_at_any_moment_leaves_a_container_that_goes_on() {
    needs_root!();
    let dhow = changed();
    for delay_us in (0..20_000).step_by(1000) {
        let mut command = dhow.command(&["commit", "-q", "web"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_micros(delay_us));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    assert_eq!(dhow.run(&["exec", "web", "echo", "on"]).ok().stdout, "on\n");
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    drop(dhow.run(&["commit", "web", "made"]).ok());
}

#[test]
fn an_exported_root_is_what_a_container_sees_without_what_is_mounted() {
    needs_root!();
    let dhow = changed();
    let tar = dhow.directory().join("root.tar");

    drop(dhow.run(&["export", "-o", tar.to_str().unwrap(), "web"]).ok());

    let listed = std::process::Command::new("tar").arg("tf").arg(&tar).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("new/one\n") && !listed.contains("data/v"), "{listed}");
    assert!(!listed.contains("bin/vi\n"), "{listed}");
    drop(dhow.run(&["import", tar.to_str().unwrap(), "again"]).ok());
    assert_eq!(dhow.run(&["run", "--rm", "-q", "again", "cat", "/new/one"]).ok().stdout, "1\n");
    drop(dhow.run(&["export", "gone"]).exits(1).says("gone"));
}

#[test]
fn health_checks_and_triggers_of_the_image_stay() {
    needs_root!();
    let dhow = Dhow::new();
    let layout = layout_of(&dhow, "checked", |image| {
        image.set("Healthcheck", serde_json::json!({"Test": ["CMD", "true"]}))
    });
    drop(dhow.run(&["pull", "-q", &layout.reference("checked")]).ok());
    drop(dhow.run(&["create", "-q", "--name", "c", "checked", "true"]).ok());

    drop(dhow.run(&["commit", "c", "made"]).ok());

    let archive = dhow.directory().join("made");
    drop(dhow.run(&["save", "--format", "oci-dir", "-o", archive.to_str().unwrap(), "made"]).ok());
    let blobs = fs::read_dir(archive.join("blobs/sha256")).unwrap();
    let has = |path: std::path::PathBuf| {
        fs::read(path).unwrap().windows(13).any(|part| part == b"\"Healthcheck\"")
    };
    assert!(blobs.into_iter().any(|entry| has(entry.unwrap().path())));
}

#[test]
fn fields_of_a_file_are_put_over_those_of_the_container() {
    needs_root!();
    let dhow = with_box();
    let create =
        ["create", "-q", "--name", "c", "-e", "A=1", "-e", "B=2", "-l", "x=y", "box", "true"];
    drop(dhow.run(&create).ok());
    let file = |name: &str, text: &str| {
        let path = dhow.directory().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let fields = file(
        "fields.json",
        r#"{"Hostname": "gone", "Env": ["B=3"], "Labels": {"z": "1"}, "Cmd": ["echo", "said"],
            "User": "", "ExposedPorts": {"80/tcp": {}}, "Healthcheck": {"Test": ["CMD", "true"]}}"#,
    );

    drop(dhow.run(&["commit", "-q", "--config", &fields, "-c", "WORKDIR=/etc", "c", "made"]).ok());

    let config: Value = serde_json::from_str(&inspect(&dhow, "made", "{{json .Config}}")).unwrap();
    let env = config["Env"].as_array().unwrap();
    assert!(env.contains(&"A=1".into()) && env.contains(&"B=3".into()), "{config}");
    assert!(!env.contains(&"B=2".into()));
    assert_eq!(config["Labels"], serde_json::json!({"x": "y", "z": "1"}));
    assert_eq!(config["WorkingDir"], "/etc");
    assert_eq!(config["ExposedPorts"], serde_json::json!({"80/tcp": {}}));
    assert_eq!(dhow.run(&["run", "--rm", "-q", "made"]).ok().stdout, "said\n");
    for (text, why) in [("[]", "read"), (r#"{"Colour": 1}"#, "Colour"), (r#"{"Cmd": 7}"#, "fields")]
    {
        let bad = file("bad.json", text);
        drop(dhow.run(&["commit", "-q", "--config", &bad, "c", "bad"]).exits(1).says(why));
    }
    drop(dhow.run(&["commit", "--config", "/no/where", "c", "bad"]).exits(1).says("/no/where"));
}
