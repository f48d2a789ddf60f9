//! `artifact …`: files in the store and in a registry.

use dhow_testkit::{Access, Dhow, Registry, Transport, needs_root, needs_tool};
use serde_json::Value;
use std::{fs, path::PathBuf};

fn file(dhow: &Dhow, name: &str, content: &[u8]) -> String {
    let path = dhow.directory().join(name);
    fs::write(&path, content).unwrap();
    path.display().to_string()
}

fn directory(dhow: &Dhow, name: &str) -> PathBuf {
    let path = dhow.directory().join(name);
    fs::create_dir(&path).unwrap();
    path
}

#[test]
fn files_go_to_a_registry_and_come_back() {
    needs_root!();
    needs_tool!("docker-registry");
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let dhow = Dhow::new();
    let model = file(&dhow, "model.bin", &[7; 3_000_000]);
    let readme = file(&dhow, "README", b"read me\n");
    let name = registry.reference("team/model:1");

    let made = dhow
        .run(&["artifact", "add", "--type", "application/vnd.test", &name, &model])
        .ok()
        .line()
        .to_owned();
    let digest = dhow.run(&["artifact", "add", "--append", &name, &readme]).ok().line().to_owned();
    assert_ne!(made, digest);
    let pushed = dhow.run(&["artifact", "push", "-q", "--tls-verify=false", &name]).ok();
    assert_eq!(pushed.line(), digest);
    let other = Dhow::new();
    let pulled = other.run(&["artifact", "pull", "-q", "--tls-verify=false", &name]).ok();
    assert_eq!(pulled.line(), digest);

    let document: Value =
        serde_json::from_str(&other.run(&["artifact", "inspect", &name]).ok().stdout).unwrap();
    assert_eq!(document["Manifest"]["artifactType"], "application/vnd.test");
    let into = directory(&other, "out");
    drop(other.run(&["artifact", "extract", &name, &into.display().to_string()]).ok());
    assert_eq!(fs::read(into.join("model.bin")).unwrap(), [7; 3_000_000]);
    assert_eq!(fs::read(into.join("README")).unwrap(), b"read me\n");
    let list = other.run(&["artifact", "ls"]).ok().stdout;
    assert!(list.contains("team/model") && list.contains("3MB"), "{list}");
    assert_eq!(other.run(&["images", "-q"]).ok().stdout, "");
    assert_eq!(other.run(&["system", "check"]).ok().stdout, "all is well\n");
    drop(other.run(&["pull", "-q", "--tls-verify=false", &name]).exits(1).says("no image"));
    drop(other.run(&["artifact", "rm", &name]).ok());
    let left = fs::read_dir(other.root().join("content/blobs/sha256")).unwrap().count();
    assert_eq!(left, 0);
}

#[test]
fn an_artifact_is_made_whole_or_not_at_all() {
    needs_root!();
    let dhow = Dhow::new();
    let one = file(&dhow, "one", b"1");
    let here = dhow.directory().display().to_string();

    let cases: [(&[&str], &str); 5] = [
        (&["artifact", "add", "a", &one, "/nowhere"], "/nowhere"),
        (&["artifact", "add", "a", &here], "is no file"),
        (&["artifact", "add", "a", &one, &one], "it has a file one already"),
        (&["artifact", "inspect", "a"], "no such artifact: a"),
        (&["artifact", "rm", "a"], "no such artifact: a"),
    ];
    for (arguments, why) in cases {
        drop(dhow.run(arguments).exits(1).says(why));
    }
    assert_eq!(dhow.run(&["artifact", "ls", "-q"]).ok().stdout, "");
    drop(dhow.run(&["artifact", "add", "a", &one]).ok());
    drop(dhow.run(&["artifact", "add", "a", &one]).exits(1).says("--append"));
    drop(dhow.run(&["artifact", "add", "--replace", "a", &one]).ok());
    drop(dhow.run(&["artifact", "rm", "--ignore", "a", "b"]).ok());

    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn a_title_is_no_path() {
    needs_root!();
    let dhow = Dhow::new();
    let one = file(&dhow, "one", b"1");
    let into = directory(&dhow, "out");
    for title in ["../escaped", "/tmp/escaped", "..", "", "a/b"] {
        let annotation = format!("org.opencontainers.image.title={title}");
        let arguments = ["artifact", "add", "--replace", "--annotation", &annotation, "a", &one];
        drop(dhow.run(&arguments).ok());

        let refused = dhow.run(&["artifact", "extract", "a", &into.display().to_string()]).exits(1);

        assert!(refused.stderr.contains("which is no name"), "{title}: {}", refused.stderr);
        assert_eq!(fs::read_dir(&into).unwrap().count(), 0, "{title}");
        assert!(!dhow.directory().join("escaped").exists());
    }
    let target = into.join("mine");
    let digest = dhow
        .run(&["artifact", "inspect", "--format", "{{(index .Manifest.layers 0).digest}}", "a"])
        .ok();
    let arguments = ["artifact", "extract", "--digest", digest.line(), "a"];
    let path = target.display().to_string();
    drop(dhow.run(&[&arguments[..], &[&path]].concat()).ok());
    assert_eq!(fs::read(target).unwrap(), b"1");
}
