//! A directory of the host's in the place of an image: `--rootfs`.

use crate::fixture::{start, wait_for_output};
use dhow_testkit::{Dhow, needs_root, needs_tool, rootfs};
use std::{fs, os::unix::fs::MetadataExt, path::Path};

/// Runs a script in a root, and returns what it prints.
fn sh(dhow: &Dhow, words: &[&str], root: &str, script: &str) -> String {
    let run = ["run", "--rm", "-q", "--network=none"];
    dhow.run(&[&run, words, &["--rootfs", root, "sh", "-c", script]].concat()).ok().stdout
}

fn is_there(root: &Path, name: &str) -> bool {
    fs::symlink_metadata(root.join(name)).is_ok()
}

#[test]
fn a_program_runs_in_a_directory_and_changes_it() {
    needs_root!();
    needs_tool!("busybox");
    let (dhow, root) = (Dhow::new(), rootfs::busybox().unwrap());
    let path = root.path().to_str().unwrap();

    assert_eq!(sh(&dhow, &[], path, "echo kept > /kept; cat /etc/os-release").lines().count(), 2);
    assert_eq!(fs::read_to_string(root.path().join("kept")).unwrap(), "kept\n");

    // With changes kept apart nothing reaches it, and they last as long as the container.
    let apart = format!("{path}:O");
    start(
        &dhow,
        &[
            "--name",
            "web",
            "--rootfs",
            &apart,
            "sh",
            "-c",
            "echo x >> /apart; cat /apart; sleep 99",
        ],
    );
    wait_for_output(&dhow, "web", "x");
    drop(dhow.run(&["stop", "-t0", "web"]).ok());
    drop(dhow.run(&["start", "web"]).ok());
    wait_for_output(&dhow, "web", "x\nx\nx");
    assert!(!is_there(root.path(), "apart"));
    assert_eq!(dhow.run(&["exec", "web", "cat", "/apart"]).ok().stdout, "x\nx\n");
    drop(dhow.run(&["rm", "-ft0", "web"]).ok());
    dhow.assert_clean();

    let read_only = sh(&dhow, &["--read-only"], path, "touch /no 2>/dev/null || echo refused");
    assert_eq!(read_only, "refused\n");
    assert!(!is_there(root.path(), "no"));
    dhow.assert_clean();
}

#[test]
fn what_is_done_to_containers_is_done_to_one_of_a_directory() {
    needs_root!();
    needs_tool!("busybox");
    let (dhow, root) = (Dhow::new(), rootfs::busybox().unwrap());
    let path = root.path().to_str().unwrap();
    let create = |name: &str, root: &str| {
        let words = ["create", "-q", "--network=none", "--name", name, "--rootfs", root];
        drop(dhow.run(&[&words[..], &["sh", "-c", "echo hello"]].concat()).ok());
    };
    create("web", path);
    let podmans =
        dhow.run_as("podman", &["inspect", "--format", "{{.Rootfs}}|{{.ImageName}}|", "web"]);
    assert_eq!(podmans.ok().stdout, format!("{path}||\n"));
    assert_eq!(dhow.run(&["ps", "-a", "--format", "{{.Image}}"]).ok().stdout, format!("{path}\n"));

    fs::write(dhow.directory().join("note"), "n").unwrap();
    let note = dhow.directory().join("note");
    drop(dhow.run(&["cp", note.to_str().unwrap(), "web:/note"]).ok());
    assert!(is_there(root.path(), "note"));
    let tar = dhow.directory().join("root.tar");
    drop(dhow.run(&["export", "-o", tar.to_str().unwrap(), "web"]).ok());
    assert!(fs::metadata(&tar).unwrap().len() > 100_000);
    let mounted = dhow.run(&["mount", "web"]).ok().stdout;
    assert!(is_there(Path::new(mounted.trim()), "note"), "{mounted}");
    drop(dhow.run(&["unmount", "web"]).ok());
    drop(dhow.run(&["container", "clone", "web", "twin"]).ok());
    assert_eq!(dhow.run(&["start", "-a", "twin"]).ok().stdout, "hello\n");
    for words in [&["diff", "web"][..], &["commit", "-q", "web", "new"]] {
        drop(dhow.run(words).exits(1).says("no image's").says(path));
    }
    drop(dhow.run(&["rm", "web", "twin"]).ok());
    assert!(is_there(root.path(), "note") && is_there(root.path(), "bin/sh"));
    dhow.assert_clean();
}

#[test]
fn a_root_that_cannot_be_one_is_told() {
    needs_root!();
    needs_tool!("busybox");
    let (dhow, root) = (Dhow::new(), rootfs::busybox().unwrap());
    let path = root.path().to_str().unwrap();
    let run =
        |words: &[&str]| dhow.run(&[&["run", "--rm", "-q", "--network=none"], words].concat());

    drop(run(&["--rootfs", "/no/where", "true"]).exits(125).says("/no/where"));
    drop(run(&["--rootfs", "/etc/passwd", "true"]).exits(125).says("no directory"));
    drop(run(&["--rootfs", &format!("{path}:x"), "true"]).exits(125).says("no such option: x"));
    drop(run(&["--rootfs", path]).exits(125).says("no command is given"));
    drop(run(&["--rootfs", "--pull=always", path, "true"]).exits(125).says("--pull"));
    drop(run(&["--rmi", "--rootfs", path, "true"]).exits(125).says("--rmi"));
    drop(run(&["--rootfs", path, "missing"]).exits(127).says("missing"));
    dhow.assert_clean();

    let words = ["create", "-q", "--network=none", "--name=web", "--rootfs", path, "true"];
    drop(dhow.run(&words).ok());
    let aside = root.path().with_extension("aside");
    fs::rename(root.path(), &aside).unwrap();
    drop(dhow.run(&["start", "web"]).exits(125).says(path));
    fs::rename(&aside, root.path()).unwrap();
    drop(dhow.run(&["start", "-a", "web"]).ok());
    drop(dhow.run(&["rm", "web"]).ok());
    dhow.assert_clean();
}

/// Where the container has ids of its own, the files of the directory are shown with them.
#[test]
fn files_of_a_directory_have_the_containers_ids() {
    needs_root!();
    needs_tool!("busybox");
    let (dhow, root) = (Dhow::new(), rootfs::busybox().unwrap());
    let path = root.path().to_str().unwrap();
    let script = "stat -c %u /etc/passwd; cut -c1-30 /proc/self/uid_map; touch /mine";

    let told = sh(&dhow, &["--uidmap=0:100000:65536"], path, script);

    assert!(told.starts_with("0\n") && told.contains("100000"), "{told}");
    assert_eq!(fs::metadata(root.path().join("mine")).unwrap().uid(), 0);
    dhow.assert_clean();
}
