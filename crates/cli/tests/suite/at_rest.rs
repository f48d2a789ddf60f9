//! `image mount`, `diff` and `export`: what is in an image, looked at without a container.

use crate::fixture::podman;
use dhow_testkit::{
    Dhow, Outcome, Tree,
    image::{Compression, Image, Layout},
    needs_root, needs_tool, outcome,
};
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

/// A dhow with the images `base` and `top`, of which the second has one more layer, in a layout.
fn with_two() -> (Dhow, Layout) {
    let dhow = Dhow::new();
    let layout = Layout::new(&dhow.directory().join("layout")).unwrap();
    let (below, above) = (dhow.directory().join("below"), dhow.directory().join("above"));
    fs::create_dir_all(below.join("d/inner")).unwrap();
    fs::write(below.join("d/inner/file"), "old").unwrap();
    fs::write(below.join("edit"), "one").unwrap();
    fs::write(below.join("kept"), "kept").unwrap();
    fs::write(below.join("lost"), "lost").unwrap();
    fs::create_dir_all(above.join("d")).unwrap();
    fs::write(above.join("d/new"), "new").unwrap();
    fs::write(above.join("edit"), "other").unwrap();
    fs::write(above.join(".wh.lost"), "").unwrap();
    let lower = layout.layer_of(&below, Compression::Gzip).unwrap();
    let upper = layout.layer_of(&above, Compression::Gzip).unwrap();
    layout.tag_image(&Image::new([lower.clone()]), "base").unwrap();
    layout.tag_image(&Image::new([lower, upper]), "top").unwrap();
    for name in ["base", "top"] {
        drop(dhow.run(&["pull", "-q", &layout.reference(name)]).ok());
    }
    (dhow, layout)
}

#[test]
fn an_image_is_mounted_once_for_all_who_want_it() {
    needs_root!();
    let (dhow, _layout) = with_two();

    let path = dhow.run(&["image", "mount", "top"]).ok().line().to_owned();
    let again = dhow.run(&["image", "mount", "top"]).ok().line().to_owned();

    assert_eq!(path, again);
    let root = PathBuf::from(&path);
    assert_eq!(fs::read_to_string(root.join("edit")).unwrap(), "other");
    assert_eq!(fs::read_to_string(root.join("d/inner/file")).unwrap(), "old");
    assert!(!root.join("lost").exists());
    assert!(fs::write(root.join("edit"), "mine").is_err(), "it can be written to");
    let listed = dhow.run(&["image", "mount", "--format", "json"]).ok();
    let listed: Value = serde_json::from_str(listed.line()).unwrap();
    assert_eq!((&listed["Mountpoint"], &listed["Users"]), (&path.as_str().into(), &"2".into()));
    drop(dhow.run(&["rmi", "-f", "top"]).exits(1).says("it is mounted"));
    drop(dhow.run(&["image", "prune", "-af"]).ok());
    assert_eq!(dhow.run(&["images", "-q"]).ok().stdout.lines().count(), 1);
    let active = dhow.run(&["system", "df", "--format", "{{.Type}} {{.Active}}"]).ok().stdout;
    assert!(active.starts_with("Images 1\n"), "{active}");
    let podmans = dhow.run_as("podman", &["system", "df", "--format", "json"]).ok().stdout;
    let podmans: Value = serde_json::from_str(&podmans).unwrap();
    assert_eq!(podmans[0]["Type"], "Images");
    assert_eq!((&podmans[0]["Total"], &podmans[0]["TotalCount"]), (&1.into(), &1.into()));
    let line = ["system", "df", "--format", "{{.Type}}:{{.Total}}:{{.Active}}"];
    assert!(dhow.run_as("podman", &line).ok().stdout.starts_with("Images:1:1\n"));
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    drop(dhow.run(&["image", "unmount", "top"]).ok());
    assert!(root.join("edit").exists(), "somebody still wants it");
    drop(dhow.run(&["image", "unmount", "top"]).ok());
    assert!(!root.exists());
    drop(dhow.run(&["image", "unmount", "top"]).exits(1).says("is not mounted"));
    drop(dhow.run(&["image", "mount", "nobody"]).exits(1).says("no such image"));
    drop(dhow.run(&["image", "mount", "top", "nobody"]).exits(1));
    assert_eq!(dhow.run(&["image", "mount", "--format", "json"]).ok().stdout, "");
    drop(dhow.run(&["rmi", "top"]).ok());
}

#[test]
fn the_doctor_names_a_mount_that_is_gone_or_nobodys() {
    needs_root!();
    needs_tool!("unshare");
    let (dhow, _layout) = with_two();
    // As after a loss of the mount: its name space went with the command.
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]).arg(dhow.program());
    command.arg("--root").arg(dhow.root()).arg("--runroot").arg(dhow.runroot());
    command.args(["image", "mount", "top"]);
    drop(outcome::run_ok(&mut command, outcome::LIMIT).unwrap());
    let stray = dhow.runroot().join("mounts/stray");
    fs::create_dir(&stray).unwrap();

    let found = dhow.run(&["doctor"]).exits(1);
    let repaired = dhow.run(&["doctor", "--repair"]).ok();

    assert!(found.stdout.contains("is said to be mounted on"), "{}", found.stdout);
    assert!(found.stdout.contains("stray: nothing that is mounted"), "{}", found.stdout);
    assert!(repaired.stdout.ends_with("all is well\n"), "{}", repaired.stdout);
    assert!(!stray.exists());
    drop(dhow.run(&["rmi", "top"]).ok());
}

#[test]
fn mounts_killed_at_any_moment_are_mended() {
    needs_root!();
    let (dhow, _layout) = with_two();

    for pause in (0..24).map(std::time::Duration::from_millis) {
        for action in ["mount", "unmount"] {
            let mut command = dhow.command(&["image", action, "top"]);
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
            let mut child = command.spawn().unwrap();
            std::thread::sleep(pause);
            child.kill().unwrap();
            child.wait().unwrap();
            assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n", "{action} {pause:?}");
        }
    }

    drop(dhow.run(&["image", "unmount", "--all", "--force"]).ok());
    assert_eq!(fs::read_dir(dhow.runroot().join("mounts")).unwrap().count(), 0);
}

#[test]
fn podman_finds_the_same_differences() {
    needs_root!();
    needs_tool!("podman");
    let (dhow, _layout) = with_two();
    drop(dhow.run(&["save", "-o", "two.tar", "base", "top"]).ok());
    drop(podman(&dhow, &["load", "-q", "-i", "two.tar"]).ok());
    let id = |name: &str| {
        dhow.run(&["inspect", "--format", "{{.Id}}", name]).ok().line()[7..].to_owned()
    };
    let lines = |outcome: &Outcome| outcome.stdout.lines().map(str::to_owned).collect();
    let (base, top) = (id("base"), id("top"));

    for arguments in [vec![&top], vec![&base], vec![&top, &base], vec![&base, &top]] {
        let words: Vec<&str> = arguments.iter().map(|word| word.as_str()).collect();
        let theirs = podman(&dhow, &[&["image", "diff"][..], &words].concat()).ok();
        let ours = dhow.run(&[&["image", "diff"][..], &words].concat()).ok();

        let (theirs, ours): (BTreeSet<String>, BTreeSet<String>) = (lines(&theirs), lines(&ours));
        assert_eq!(ours, theirs, "{words:?}");
    }
    let json = dhow.run(&["image", "diff", "--format", "json", "top", "base"]).ok().stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["deleted"], serde_json::json!(["/lost"]));
    drop(dhow.run(&["image", "diff", "top", "nobody"]).exits(1).says("no such image"));
    drop(podman(&dhow, &["rmi", "-af"]).ok());
}

#[test]
fn an_exported_root_is_the_same_each_time_and_others_read_it() {
    needs_root!();
    needs_tool!("podman", "tar");
    let (dhow, _layout) = with_two();
    let file = dhow.directory().join("root.tar");

    let stream = dhow.run(&["image", "export", "top"]).ok().bytes;
    drop(dhow.run(&["image", "export", "-o", file.to_str().unwrap(), "top"]).ok());

    assert_eq!(stream, fs::read(&file).unwrap());
    let unpacked = dhow.directory().join("unpacked");
    fs::create_dir(&unpacked).unwrap();
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(&unpacked).args(["--numeric-owner", "-xpf"]).arg(&file);
    drop(outcome::run_ok(&mut tar, outcome::LIMIT).unwrap());
    let mounted = dhow.run(&["image", "mount", "top"]).ok().line().to_owned();
    let expected = Tree::read(mounted.as_ref()).unwrap();
    Tree::read(&unpacked).unwrap().without_times().assert_same(&expected.without_times());
    drop(dhow.run(&["image", "unmount", "top"]).ok());
    drop(podman(&dhow, &["import", "-q", "root.tar", "localhost/again:1"]).ok());
    drop(podman(&dhow, &["rmi", "-af"]).ok());
    drop(dhow.run(&["import", file.to_str().unwrap(), "again:1"]).ok());
    assert_eq!(dhow.run(&["image", "diff", "again:1", "top"]).ok().stdout, "");
    let nowhere = dhow.directory().join("missing/root.tar");
    drop(dhow.run(&["image", "export", "-o", nowhere.to_str().unwrap(), "top"]).exits(1));
    let failed = dhow.directory().join("failed.tar");
    drop(dhow.run(&["image", "export", "-o", failed.to_str().unwrap(), "nobody"]).exits(1));
    assert!(!failed.exists());
}
