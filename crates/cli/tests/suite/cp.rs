//! `cp`: what lands where, whose it is, and that nothing leaves the container.

use crate::fixture::{start, wait_for_output, with_box};
use dhow_testkit::{Canary, Dhow, needs_root, needs_tool};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
};

fn here(dhow: &Dhow, path: &str) -> String {
    dhow.directory().join(path).to_str().unwrap().to_owned()
}

/// A tree on the host with all that files have.
fn tree(dhow: &Dhow) -> String {
    let path = here(dhow, "tree");
    fs::create_dir_all(format!("{path}/inner")).unwrap();
    fs::write(format!("{path}/inner/one"), "one").unwrap();
    std::os::unix::fs::chown(format!("{path}/inner/one"), Some(123), Some(456)).unwrap();
    // After the owner, whose change takes this bit away.
    fs::set_permissions(format!("{path}/inner/one"), fs::Permissions::from_mode(0o4711)).unwrap();
    fs::hard_link(format!("{path}/inner/one"), format!("{path}/two")).unwrap();
    symlink("inner/one", format!("{path}/link")).unwrap();
    fs::write(format!("{path}/.wh.odd"), "odd").unwrap();
    path
}

fn in_container(dhow: &Dhow, script: &str) -> String {
    dhow.run(&["exec", "web", "sh", "-c", script]).ok().stdout
}

#[test]
fn files_go_both_ways_while_it_runs_and_while_it_does_not() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "box", "sleep", "100"]);
    let tree = tree(&dhow);

    drop(dhow.run(&["cp", &tree, "web:/new"]).ok());
    drop(dhow.run(&["cp", &tree, "web:/tmp"]).ok());
    drop(dhow.run(&["cp", &format!("{tree}/."), "web:/tmp"]).ok());

    let script = "cat /new/inner/one /new/.wh.odd; readlink /tmp/tree/link; stat -c '%u %a %h' /tmp/two; stat -c %a /tmp";
    assert_eq!(in_container(&dhow, script), "oneoddinner/one\n0 711 2\n1777\n");
    drop(dhow.run(&["stop", "-t", "0", "web"]).ok());
    drop(dhow.run(&["cp", "web:/new", &here(&dhow, "back")]).ok());
    assert_eq!(fs::read_to_string(here(&dhow, "back/inner/one")).unwrap(), "one");
    assert_eq!(fs::metadata(here(&dhow, "back/inner/one")).unwrap().nlink(), 2);
    fs::write(here(&dhow, "late"), "late").unwrap();
    drop(dhow.run(&["cp", "late", "web:/new/inner/"]).ok());
    drop(dhow.run(&["start", "web"]).ok());
    assert_eq!(in_container(&dhow, "cat /new/inner/late"), "late");
    drop(dhow.run(&["rm", "-f", "web"]).ok());
    dhow.assert_clean();
}

#[test]
fn owners_are_the_destinations_unless_they_are_kept() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "box", "sleep", "100"]);
    let tree = tree(&dhow);

    drop(dhow.run(&["cp", &tree, "web:/plain"]).ok());
    drop(dhow.run(&["cp", "-a", &tree, "web:/kept"]).ok());
    drop(dhow.run(&["cp", "-a", "web:/kept/two", &here(&dhow, "kept")]).ok());
    drop(dhow.run(&["cp", "web:/kept/two", &here(&dhow, "plain")]).ok());

    let script = "stat -c '%u %g %a' /plain/two /kept/two";
    assert_eq!(in_container(&dhow, script), "0 0 711\n123 456 4711\n");
    let on_host = |path: &str| {
        let status = fs::metadata(here(&dhow, path)).unwrap();
        (status.uid(), status.gid(), status.mode() & 0o7777)
    };
    assert_eq!(on_host("kept"), (123, 456, 0o4711));
    // What ran as somebody there does not run as root here.
    assert_eq!(on_host("plain"), (0, 0, 0o711));
}

#[test]
fn containers_streams_and_volumes_are_ends_too() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "-v", "data:/data", "box", "sleep", "100"]);
    start(&dhow, &["--name", "other", "box", "sleep", "100"]);
    drop(in_container(&dhow, "mkdir /d; echo 1 > /d/one; echo v > /data/v; ln -s /d/one /l"));

    drop(dhow.run(&["cp", "web:/d", "other:/e"]).ok());
    drop(dhow.run(&["cp", "web:/data/v", "other:/v"]).ok());
    drop(dhow.run(&["cp", "web:/l", "other:/link"]).ok());
    drop(dhow.run(&["cp", "-L", "web:/l", "other:/file"]).ok());

    let script = "cat /e/one /v; readlink /link; cat /file";
    assert_eq!(dhow.run(&["exec", "other", "sh", "-c", script]).ok().stdout, "1\nv\n/d/one\n1\n");
    let archive = here(&dhow, "d.tar");
    let out = dhow.command(&["cp", "web:/d", "-"]).output().unwrap();
    assert!(out.status.success());
    fs::write(&archive, &out.stdout).unwrap();
    let listed = std::process::Command::new("tar").args(["tf", &archive]).output().unwrap();
    assert_eq!(String::from_utf8(listed.stdout).unwrap(), "d/\nd/one\n");
    drop(dhow.run_with_input(&["cp", "-", "other:/tmp"], &out.stdout).ok());
    assert_eq!(dhow.run(&["exec", "other", "cat", "/tmp/d/one"]).ok().stdout, "1\n");
    // A volume is found though nothing is mounted.
    drop(dhow.run(&["stop", "-t", "0", "web"]).ok());
    drop(dhow.run(&["cp", "web:/data/v", &here(&dhow, "v")]).ok());
    assert_eq!(fs::read_to_string(here(&dhow, "v")).unwrap(), "v\n");
}

#[test]
fn what_cannot_be_copied_is_named() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "box", "sleep", "100"]);
    let tree = tree(&dhow);
    let cases: [(&[&str], &str); 9] = [
        (&["cp", "web:/none", "x"], "/none: no such file"),
        (&["cp", "gone:/etc", "x"], "no such container: gone"),
        (&["cp", &tree, "web:/etc/passwd"], "a file, and what is copied a directory"),
        (&["cp", "web:/etc/passwd", "x/"], "no such directory"),
        (&["cp", "web:/etc/passwd", "none/x"], "none"),
        (&["cp", "web:/etc/passwd/", "x"], "no directory"),
        (&["cp", "a", "b"], "neither is in a container"),
        (&["cp", "web:", "b"], "belong together"),
        (&["cp", "-", "web:/none"], "no such directory"),
    ];
    for (arguments, words) in cases {
        drop(dhow.run(arguments).exits(1).says(words));
    }
    drop(in_container(&dhow, "mkdir -p /two/tree/link /three; echo f > /three/tree"));
    drop(dhow.run(&["cp", &tree, "web:/two"]).exits(1).says("a directory is in its place"));
    drop(dhow.run(&["cp", &tree, "web:/three"]).exits(1).says("no directory"));
    drop(dhow.run(&["cp", "--overwrite", &tree, "web:/three"]).ok());
    drop(dhow.run(&["cp", "--overwrite", &tree, "web:/two"]).ok());
    assert_eq!(
        in_container(&dhow, "readlink /two/tree/link; cat /three/tree/two"),
        "inner/one\none"
    );
    let read_only = ["run", "-d", "-q", "--name", "ro", "--read-only", "box", "sleep", "100"];
    drop(dhow.run(&read_only).ok());
    drop(dhow.run(&["cp", &tree, "ro:/x"]).exits(1).says("ead-only"));
    drop(dhow.run(&["stop", "-t", "0", "ro"]).ok());
    drop(dhow.run(&["cp", &tree, "ro:/x"]).exits(1).says("read-only"));
}

/// A directory of the host's that nothing may be written to, with a file in it.
fn outside(dhow: &Dhow) -> (Canary, String) {
    let outside = here(dhow, "outside");
    fs::create_dir(&outside).unwrap();
    (Canary::hatch(&Path::new(&outside).join("canary")).unwrap(), outside)
}

#[test]
fn links_lead_nowhere_but_into_the_container() {
    needs_root!();
    let dhow = with_box();
    let (canary, outside) = outside(&dhow);
    start(&dhow, &["--name", "web", "box", "sleep", "100"]);
    fs::write(here(&dhow, "file"), "copied").unwrap();
    let script = format!(
        "mkdir -p /w; ln -s {outside} /w/dir; ln -s ../../../..{outside}/canary /w/file; \
         ln -s /proc/1/root /w/magic; mkdir /src; ln -s {outside} /src/tree"
    );
    drop(in_container(&dhow, &script));

    for running in [true, false] {
        if !running {
            drop(dhow.run(&["stop", "-t", "0", "web"]).ok());
        }
        // Whether it is refused or lands in the container: never outside.
        for target in ["web:/w/dir/x", "web:/w/dir", "web:/w/file", "web:/w/magic/tmp/x"] {
            drop(dhow.run(&["cp", "file", target]));
        }
        drop(dhow.run(&["cp", "web:/w/dir/canary", "stolen"]));
        drop(dhow.run(&["cp", "-L", "web:/w/file", "stolen"]));
    }

    canary.assert_alive();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    let stolen = fs::read_to_string(here(&dhow, "stolen")).unwrap_or_default();
    assert!(stolen.is_empty() || stolen == "copied", "{stolen:?}");
}

/// A tree whose directory becomes a link to the host's and back as fast as the container can.
#[test]
fn links_that_change_all_the_time_lead_nowhere_either() {
    needs_root!();
    let dhow = with_box();
    let (canary, outside) = outside(&dhow);
    let script = format!(
        "mkdir -p /w/dir; echo i > /w/dir/canary; ln -s {outside} /w/link; echo ready; \
         while :; do mv /w/dir /w/x; mv /w/link /w/dir; mv /w/dir /w/link; mv /w/x /w/dir; done"
    );
    start(&dhow, &["--name", "web", "box", "sh", "-c", &script]);
    wait_for_output(&dhow, "web", "ready");
    fs::write(here(&dhow, "canary"), "copied").unwrap();

    for round in 0..60 {
        drop(dhow.run(&["cp", "canary", "web:/w/dir"]));
        drop(dhow.run(&["cp", "canary", "web:/w/dir/canary"]));
        let out = format!("out{round}");
        drop(dhow.run(&["cp", "web:/w/dir/canary", &out]));
        let read = fs::read_to_string(here(&dhow, &out)).unwrap_or_default();
        assert!(["", "i\n", "copied"].contains(&read.as_str()), "{read:?}");
    }

    canary.assert_alive();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

#[test]
fn special_and_sparse_files_keep_what_they_are() {
    needs_root!();
    let dhow = with_box();
    start(&dhow, &["--name", "web", "box", "sleep", "100"]);
    let script = "mkdir /s; mkfifo /s/pipe; mknod /s/null c 1 3; dd if=/dev/zero of=/s/holes bs=1 count=1 seek=1G 2>/dev/null";
    drop(in_container(&dhow, script));

    drop(dhow.run(&["cp", "web:/s", "s"]).ok());

    let status = |name: &str| fs::symlink_metadata(here(&dhow, &format!("s/{name}"))).unwrap();
    assert_eq!(status("pipe").mode() >> 12, 0o01);
    assert_eq!(status("null").mode() >> 12, 0o02);
    assert_eq!(status("holes").len(), (1 << 30) + 1);
    assert!(status("holes").blocks() < 1000, "the holes are holes");
    // Nobody waits for a writer of the pipe.
    drop(dhow.run(&["cp", "web:/s/pipe", "pipe"]).ok());
    assert!(Path::new(&here(&dhow, "pipe")).symlink_metadata().is_ok());
}

#[test]
fn a_killed_copy_leaves_a_container_that_starts() {
    needs_root!();
    let dhow = with_box();
    drop(dhow.run(&["create", "-q", "--name", "web", "box", "sleep", "100"]).ok());
    fs::write(here(&dhow, "large"), vec![7; 64 << 20]).unwrap();
    for delay_ms in (0..60).step_by(4) {
        let mut copy = dhow.command(&["cp", "large", "web:/large"]).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(delay_ms));
        copy.kill().unwrap();
        copy.wait().unwrap();
    }

    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    drop(dhow.run(&["cp", "large", "web:/large"]).ok());
    drop(dhow.run(&["start", "web"]).ok());
    assert_eq!(in_container(&dhow, "stat -c %s /large"), format!("{}\n", 64 << 20));
}

/// Attack test 34: whoever unpacks a stream looks for no program to do so, and not in a container.
#[test]
fn no_program_of_the_container_unpacks_a_stream() {
    needs_root!();
    needs_tool!("tar", "gzip");
    let dhow = with_box();
    start(&dhow, &["--name", "web", "box", "sleep", "1000"]);
    let trap = "for name in gzip gunzip unpigz pigz xz bzip2 zstd tar; do rm -f /bin/$name; \
                printf '#!/bin/sh\\ntouch /trapped\\n' > /bin/$name; chmod +x /bin/$name; done";
    drop(in_container(&dhow, trap));
    fs::create_dir(here(&dhow, "d")).unwrap();
    fs::write(here(&dhow, "d/one"), "one").unwrap();
    let directory = dhow.directory().display().to_string();
    let tar = |flags: &str| {
        let line = ["-C", &directory, flags, "-", "d"];
        std::process::Command::new("tar").args(line).output().unwrap().stdout
    };

    for running in [true, false] {
        for flags in ["-cf", "-czf"] {
            // A stream that is compressed is unpacked or refused, and it is all the same who packed it.
            let outcome = dhow.run_with_input(&["cp", "-", "web:/tmp"], &tar(flags));
            assert!(outcome.code == 0 || outcome.stderr.starts_with("error: "), "{outcome}");
        }
        if running {
            assert_eq!(in_container(&dhow, "cat /tmp/d/one; ls /trapped 2>&1 | wc -l"), "one1\n");
            drop(dhow.run(&["stop", "-t", "0", "web"]).ok());
        }
    }
    drop(dhow.run(&["cp", "web:/trapped", "x"]).exits(1));
}

#[test]
fn ids_are_the_containers_where_it_has_ids_of_its_own() {
    needs_root!();
    let dhow = with_box();
    let maps = ["--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536", "-v", "data:/data"];
    start(&dhow, &[&["--name", "web"], &maps[..], &["box", "sleep", "1000"]].concat());
    let tree = tree(&dhow);

    for running in [true, false] {
        let name = if running { "one" } else { "two" };
        drop(dhow.run(&["cp", &tree, &format!("web:/{name}")]).ok());
        drop(dhow.run(&["cp", "-a", &tree, &format!("web:/kept-{name}")]).ok());
        drop(dhow.run(&["cp", &tree, &format!("web:/data/{name}")]).ok());
        let out = here(&dhow, &format!("out-{name}"));
        drop(dhow.run(&["cp", "-a", &format!("web:/kept-{name}/inner/one"), &out]).ok());
        let status = fs::metadata(out).unwrap();
        assert_eq!((status.uid(), status.gid()), (123, 456), "{name}");
        if running {
            drop(dhow.run(&["stop", "-t", "0", "web"]).ok());
        }
    }
    drop(dhow.run(&["start", "web"]).ok());

    for name in ["one", "two"] {
        let script = format!("stat -c '%u %g' /{name}/inner/one /kept-{name}/inner/one");
        assert_eq!(in_container(&dhow, &script), "0 0\n123 456\n", "{name}");
        let script = format!("stat -c '%u %g' /data/{name}/inner/one");
        assert_eq!(in_container(&dhow, &script), "0 0\n", "{name}");
    }
}
