//! `mount`, `unmount` and `init`: the root of a container, looked into on the host.

use crate::fixture::{start, with_box};
use dhow_testkit::{Dhow, needs_root};
use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

fn mount(dhow: &Dhow, container: &str) -> PathBuf {
    dhow.run(&["mount", container]).ok().line().into()
}

/// The options of what is mounted at a path.
fn options(path: &std::path::Path) -> Option<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let line = mounts.lines().find(|line| line.split(' ').nth(4) == path.to_str())?;
    line.split(' ').nth(5).map(str::to_owned)
}

#[test]
fn a_container_at_rest_is_mounted_as_its_next_life_finds_it() {
    needs_root!();
    let dhow = with_box();
    let script = "cat /from-host; echo inside > /from-inside; ls -l /set";
    drop(dhow.run(&["create", "-q", "--name", "a", "box", "sh", "-c", script]).ok());

    let path = mount(&dhow, "a");
    assert!(options(&path).unwrap().contains("nosuid,nodev"), "{:?}", options(&path));
    fs::write(path.join("from-host"), "hello\n").unwrap();
    fs::write(path.join("set"), "").unwrap();
    fs::set_permissions(path.join("set"), fs::Permissions::from_mode(0o4755)).unwrap();
    let said = dhow.run(&["start", "-a", "a"]).ok().stdout;
    assert!(said.starts_with("hello\n") && said.contains("-rwsr-xr-x"), "{said}");

    // It is one and the same, whoever looks.
    assert_eq!(fs::read_to_string(path.join("from-inside")).unwrap(), "inside\n");
    drop(dhow.run(&["unmount", "a"]).ok());
    assert!(!path.exists());
    assert!(dhow.run(&["diff", "a"]).ok().stdout.contains("A /from-inside"));
    drop(dhow.run(&["unmount", "a"]).exits(1).says("is not mounted"));
    drop(dhow.run(&["rm", "a"]).ok());
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn marks_for_the_looker_are_not_the_containers() {
    needs_root!();
    let dhow = with_box();
    drop(dhow.run(&["create", "-q", "--name", "a", "box", "cat", "/proc/self/mountinfo"]).ok());

    drop(mount(&dhow, "a"));
    let seen = dhow.run(&["start", "-a", "a"]).ok().stdout;

    let root = seen.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
    let options = root.split(' ').nth(5).unwrap();
    assert!(!options.contains("nosuid") && !options.contains("nodev"), "{root}");
    drop(dhow.run(&["rm", "-f", "a"]).ok());
}

#[test]
fn a_running_container_is_looked_into_without_its_volumes() {
    needs_root!();
    let dhow = with_box();
    let script = "echo one > /one; echo kept > /data/kept; touch /data/done; sleep 100";
    drop(start(&dhow, &["--name", "a", "-v", "vol:/data", "box", "sh", "-c", script]));
    crate::fixture::wait_for_state(&dhow, "a", "running");
    let there = dhow_testkit::need::eventually(crate::fixture::SOON, || {
        dhow.run(&["exec", "a", "test", "-e", "/data/done"]).code.eq(&0).then_some(())
    });
    assert!(there.is_some());

    let path = mount(&dhow, "a");
    assert_eq!(fs::read_to_string(path.join("one")).unwrap(), "one\n");
    assert_eq!(fs::read_dir(path.join("data")).unwrap().count(), 0);
    fs::write(path.join("two"), "two\n").unwrap();
    assert_eq!(dhow.run(&["exec", "a", "cat", "/two"]).ok().stdout, "two\n");

    // The next life is in the same mount.
    drop(dhow.run(&["restart", "-t", "0", "a"]).ok());
    fs::write(path.join("three"), "three\n").unwrap();
    assert_eq!(dhow.run(&["exec", "a", "cat", "/three"]).ok().stdout, "three\n");
    let listed = dhow.run(&["container", "mount", "--format", "json"]).ok().stdout;
    assert!(listed.contains("\"Names\"") && listed.contains(path.to_str().unwrap()), "{listed}");
    drop(dhow.run(&["rm", "-f", "a"]).ok());
    assert!(!path.exists() && options(&path).is_none());
    assert_eq!(dhow.run(&["mount"]).ok().stdout, "");
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn mounts_are_counted_and_keep_their_container() {
    needs_root!();
    let dhow = with_box();
    let id = dhow.run(&["create", "-q", "--name", "a", "box", "true"]).ok().line().to_owned();
    drop(dhow.run(&["create", "-q", "--name", "b", "box", "true"]).ok());

    let path = mount(&dhow, "a");
    assert_eq!(mount(&dhow, &id[..12]), path);
    assert_eq!(dhow.run(&["mount"]).ok().stdout, format!("{}  {}\n", &id[..12], path.display()));
    drop(dhow.run(&["rm", "a"]).exits(1).says("it is mounted"));
    drop(dhow.run(&["unmount", "a"]).ok());
    assert!(options(&path).is_some());
    drop(dhow.run(&["mount", "b", "nobody"]).exits(1).says("no such container"));
    assert_eq!(dhow.run(&["mount", "--no-trunc"]).ok().stdout.lines().count(), 1);
    drop(dhow.run(&["mount", "--all"]).ok());
    assert_eq!(dhow.run(&["mount"]).ok().stdout.lines().count(), 2);
    drop(dhow.run(&["umount", "--all", "--force"]).ok());
    assert_eq!(dhow.run(&["mount"]).ok().stdout, "");
    drop(dhow.run(&["mount", "--format", "xml"]).exits(1).says("there is json"));
    drop(dhow.run(&["rm", "a", "b"]).ok());
}

#[test]
fn a_copy_into_a_mounted_container_is_seen_there() {
    needs_root!();
    let dhow = with_box();
    drop(dhow.run(&["create", "-q", "--name", "a", "box", "true"]).ok());
    fs::write(dhow.directory().join("note"), "hi\n").unwrap();

    let path = mount(&dhow, "a");
    drop(dhow.run(&["cp", "note", "a:/note"]).ok());

    assert_eq!(fs::read_to_string(path.join("note")).unwrap(), "hi\n");
    drop(dhow.run(&["rm", "-f", "a"]).ok());
}

#[test]
fn ids_of_ones_own_are_not_started_in_a_mount_without_them() {
    needs_root!();
    let dhow = with_box();
    let ids = ["--uidmap", "0:100000:1000", "--gidmap", "0:100000:1000"];
    let create = [&["create", "-q", "--name", "a"], &ids[..], &["box", "true"]].concat();
    drop(dhow.run(&create).ok());

    drop(mount(&dhow, "a"));
    drop(dhow.run(&["start", "a"]).exits(125).says("it is mounted with the host's"));
    drop(dhow.run(&["unmount", "a"]).ok());
    drop(dhow.run(&["start", "-a", "a"]).ok());

    drop(dhow.run(&["rm", "a"]).ok());
}

#[test]
fn mounts_killed_at_any_moment_are_mended() {
    needs_root!();
    let dhow = with_box();
    drop(dhow.run(&["create", "-q", "--name", "a", "box", "true"]).ok());

    for pause in (0..20).map(std::time::Duration::from_millis) {
        for action in ["mount", "unmount"] {
            let mut command = dhow.command(&[action, "a"]);
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
            let mut child = command.spawn().unwrap();
            std::thread::sleep(pause);
            child.kill().unwrap();
            child.wait().unwrap();
            assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n", "{action} {pause:?}");
        }
    }

    drop(dhow.run(&["rm", "-f", "a"]).ok());
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    let left = fs::read_dir(dhow.runroot().join("mounts")).map_or(0, Iterator::count);
    assert_eq!(left, 0);
}

#[test]
fn init_says_what_a_start_would_miss() {
    needs_root!();
    let dhow = with_box();
    let data = dhow.directory().join("data");
    fs::create_dir(&data).unwrap();
    let volume = format!("{}:/data", data.display());
    let create = ["create", "-q", "--name", "a", "-v", &volume, "box", "true"];
    let id = dhow.run(&create).ok().line().to_owned();

    assert_eq!(dhow.run(&["init", "a"]).ok().line(), id);
    assert_eq!(dhow.run(&["container", "init", "--latest"]).ok().line(), id);
    fs::remove_dir(&data).unwrap();
    drop(dhow.run(&["init", "a"]).exits(1).says("data"));
    fs::create_dir(&data).unwrap();
    drop(dhow.run(&["start", "a"]).ok());
    drop(dhow.run(&["wait", "a"]).ok());
    assert_eq!(dhow.run(&["init", "--all"]).ok().line(), id);
    drop(start(&dhow, &["--name", "b", "box", "sleep", "100"]));
    drop(dhow.run(&["init", "b"]).exits(1).says("it is running"));
    assert_eq!(dhow.run(&["init", "--all"]).ok().stdout, format!("{id}\n"));
    drop(dhow.run(&["rm", "-f", "a", "b"]).ok());
}
