//! Layers whose blobs were discarded: `image discard`, `--discard-layers`.

use crate::fixture::layout;
use dhow_testkit::{Access, Dhow, Registry, Transport, needs_root, needs_tool};
use std::{fs, process::Command};

/// How many blobs are in the content store.
fn blobs(dhow: &Dhow) -> usize {
    fs::read_dir(dhow.root().join("content/blobs/sha256")).unwrap().count()
}

/// A registry with busybox as `team/box:1`, and its name there.
fn registry(dhow: &Dhow) -> (Registry, String) {
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    registry.push(&layout(dhow).reference("box"), "team/box:1").unwrap();
    let name = registry.reference("team/box:1");
    (registry, name)
}

#[test]
fn an_image_without_its_blobs_runs_and_is_given_on() {
    needs_root!();
    needs_tool!("docker-registry", "skopeo");
    let dhow = Dhow::new();
    let (registry, name) = registry(&dhow);
    drop(dhow.run(&["pull", "-q", "--tls-verify=false", &name]).ok());
    let digest = dhow.run(&["inspect", "--format", "{{.Digest}}", &name]).ok().line().to_owned();

    let told = dhow.run(&["image", "discard", "--tls-verify=false", &name]).ok().stdout;

    assert!(told.starts_with("Discarded: sha256:"), "{told}");
    assert!(told.contains("Total reclaimed space: ") && !told.contains(": 0B"), "{told}");
    assert_eq!(blobs(&dhow), 2);
    let again = dhow.run(&["image", "discard", "--all"]).ok().stdout;
    assert_eq!(again, "Total reclaimed space: 0B\n");
    assert_eq!(dhow.run(&["run", "--rm", "-q", &name, "echo", "hi"]).ok().stdout, "hi\n");
    assert_eq!(dhow.run(&["system", "check"]).ok().stdout, "all is well\n");
    let sizes = dhow.run(&["system", "df", "--format", "{{.RawSize}}"]).ok().stdout;
    let sum: u64 = sizes.lines().map(|line| line.parse::<u64>().unwrap()).sum();
    let du = Command::new("du").args(["-s", "-B1"]).arg(dhow.root()).output().unwrap();
    let du = String::from_utf8(du.stdout).unwrap();
    assert_eq!(Some(sum.to_string().as_str()), du.split_whitespace().next());
    let saved = dhow.directory().join("saved");
    let layout = saved.display().to_string();
    drop(dhow.run(&["save", "-q", "--format", "oci-dir", "-o", &layout, &name]).ok());
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["--insecure-policy", "copy", "-q", "--dest-tls-verify=false"]);
    skopeo
        .arg(format!("oci:{layout}"))
        .arg(format!("docker://{}", registry.reference("new/box:1")));
    let copied = skopeo.output().unwrap();
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    let there = format!("docker://{}", registry.reference("new/box:1"));
    let look = ["image", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", &there];
    assert_eq!(dhow.run(&look).ok().line(), digest);

    drop(registry);
    let gone = dhow.directory().join("gone.tar").display().to_string();
    let refused = dhow.run(&["save", "-q", "-o", &gone, &name]).exits(1).stderr;
    assert!(refused.contains("team/box") && refused.contains("hint: "), "{refused}");
    assert_eq!(dhow.run(&["run", "--rm", "-q", &name, "echo", "hi"]).ok().stdout, "hi\n");
    drop(dhow.run(&["rmi", &name]).ok());
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn discarding_is_a_setting_of_the_store() {
    needs_root!();
    needs_tool!("docker-registry", "skopeo");
    let dhow = Dhow::new();
    let (_registry, name) = registry(&dhow);
    let pull = ["pull", "-q", "--tls-verify=false", &name];

    drop(dhow.run(&[&["--discard-layers"], &pull[..]].concat()).ok());
    assert_eq!(blobs(&dhow), 2);
    drop(dhow.run(&["rmi", &name]).ok());
    let mut by_variable = dhow.command(&pull);
    drop(dhow.finish(by_variable.env("DHOW_DISCARD_LAYERS", "true"), b"").ok());
    assert_eq!(blobs(&dhow), 2);
    drop(dhow.run(&["rmi", &name]).ok());
    drop(dhow.run(&pull).ok());
    assert_eq!(blobs(&dhow), 3);

    let mut wrong = dhow.command(&["images"]);
    let refused = dhow.finish(wrong.env("DHOW_DISCARD_LAYERS", "perhaps"), b"").exits(1);
    assert!(refused.stderr.contains("DHOW_DISCARD_LAYERS"), "{}", refused.stderr);
    drop(dhow.run(&["image", "discard"]).exits(1));
}
