//! `--mount` and `-v` in all their forms.

use crate::fixture::{start, wait_for_output, with_box};
use dhow_testkit::{Dhow, need, needs_root};
use std::{fs, os::unix::fs::symlink};

fn run(dhow: &Dhow, arguments: &[&str]) -> dhow_testkit::Outcome {
    dhow.run(&[&["run", "--rm", "-q"], arguments].concat())
}

/// A volume `v` with `in/file`, and with links that lead out of it.
fn with_volume(dhow: &Dhow) {
    drop(dhow.run(&["volume", "create", "v"]).ok());
    let data = dhow.root().join("volumes/v/data");
    fs::create_dir(data.join("in")).unwrap();
    fs::write(data.join("in/file"), "inside\n").unwrap();
    symlink("in", data.join("way")).unwrap();
    symlink("/etc", data.join("out")).unwrap();
    symlink("../../../../../../../etc", data.join("up")).unwrap();
}

#[test]
fn a_part_of_a_volume_is_mounted_and_nothing_outside_of_it() {
    needs_root!();
    let dhow = with_box();
    with_volume(&dhow);
    let part = |path: &str| {
        let mount = format!("type=volume,src=v,dst=/p,volume-subpath={path}");
        run(&dhow, &["--mount", &mount, "box", "sh", "-c", "cat /p/file; ls /p"])
    };

    assert_eq!(part("in").ok().stdout, "inside\nfile\n");
    assert_eq!(part("way").ok().stdout, "inside\nfile\n");
    for path in ["out", "up", "way/../../out"] {
        let refused = part(path);
        assert_ne!(refused.code, 0, "{refused}");
        assert_eq!(refused.stdout, "", "{path}");
    }
    drop(part("out").exits(125).says("leads out of it"));
    drop(part("nothing").exits(125).says("nothing"));
}

#[test]
fn a_part_that_is_swapped_for_a_link_meanwhile_never_leads_out() {
    needs_root!();
    let dhow = with_box();
    with_volume(&dhow);
    let canary = dhow.directory().join("canary");
    fs::create_dir(&canary).unwrap();
    fs::write(canary.join("file"), "outside\n").unwrap();
    let data = dhow.root().join("volumes/v/data");
    symlink(&canary, data.join("link")).unwrap();
    let swap = "echo up; while :; do mv /v/in /v/x; mv /v/link /v/in; mv /v/in /v/link; mv /v/x /v/in; done";
    drop(start(&dhow, &["--name", "swapper", "-v", "v:/v", "box", "sh", "-c", swap]));
    wait_for_output(&dhow, "swapper", "up");
    let mount = "type=volume,src=v,dst=/p,volume-subpath=in";

    let mut inside = 0;
    for _ in 0..25 {
        let outcome = run(&dhow, &["--mount", mount, "box", "cat", "/p/file"]);
        assert!(!outcome.stdout.contains("outside"), "{outcome}");
        inside += u32::from(outcome.stdout == "inside\n");
    }

    drop(dhow.run(&["rm", "-f", "swapper"]).ok());
    assert!(inside > 0, "no start was lucky");
    assert_eq!(fs::read_to_string(canary.join("file")).unwrap(), "outside\n");
}

#[test]
fn an_image_is_mounted_to_be_read_or_written_apart() {
    needs_root!();
    let dhow = with_box();
    let script = "ls /i/bin/sh; touch /i/new && echo written";

    let read = run(&dhow, &["--mount", "type=image,src=box,dst=/i", "box", "sh", "-c", script]);
    let written =
        run(&dhow, &["--mount", "type=image,src=box,dst=/i,rw=true", "box", "sh", "-c", script]);
    let again = run(&dhow, &["--mount", "type=image,src=box,dst=/i", "box", "ls", "/i/new"]);
    drop(dhow.run(&["create", "-q", "--name", "c", "--mount", "type=image,src=box,dst=/i", "box"]));

    drop(read.exits(1).says("Read-only"));
    assert_eq!(written.ok().stdout, "/i/bin/sh\nwritten\n");
    drop(again.exits(1));
    drop(dhow.run(&["rmi", "box"]).exits(1));
    drop(dhow.run(&["rm", "c"]).ok());
    drop(
        run(&dhow, &["--mount", "type=image,src=nothing,dst=/i", "--pull", "never", "box", "true"])
            .exits(125)
            .says("nothing"),
    );
}

#[test]
fn a_part_of_an_image_is_mounted() {
    needs_root!();
    if !need::kernel(6, 15) {
        need::skip("Linux 6.15");
        return;
    }
    let dhow = with_box();

    let listed =
        run(&dhow, &["--mount", "type=image,src=box,dst=/i,subpath=bin", "box", "ls", "/i/sh"]);

    assert_eq!(listed.ok().stdout, "/i/sh\n");
}

#[test]
fn changes_over_a_directory_of_the_host_go_apart() {
    needs_root!();
    let dhow = with_box();
    let source = dhow.directory().join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), "1\n").unwrap();
    for name in ["upper", "work"] {
        fs::create_dir(dhow.directory().join(name)).unwrap();
    }

    let thrown =
        run(&dhow, &["-v", "./source:/s:O", "box", "sh", "-c", "cat /s/file; echo 2 > /s/file"]);
    let kept = run(
        &dhow,
        &[
            "-v",
            "./source:/s:O,upperdir=./upper,workdir=./work",
            "box",
            "sh",
            "-c",
            "echo 3 > /s/file",
        ],
    );

    assert_eq!(thrown.ok().stdout, "1\n");
    drop(kept.ok());
    assert_eq!(fs::read_to_string(source.join("file")).unwrap(), "1\n");
    assert_eq!(fs::read_to_string(dhow.directory().join("upper/file")).unwrap(), "3\n");
}

#[test]
fn a_pattern_brings_each_match() {
    needs_root!();
    let dhow = with_box();
    for name in ["lib-a.so", "lib-b.so", "other"] {
        fs::write(dhow.directory().join(name), name).unwrap();
    }

    let all = run(&dhow, &["--mount", "type=glob,src=./lib-*.so,dst=/lib,ro", "box", "ls", "/lib"]);
    let none = run(&dhow, &["--mount", "type=glob,src=./nothing*,dst=/lib", "box", "true"]);

    assert_eq!(all.ok().stdout, "lib-a.so\nlib-b.so\n");
    drop(none.exits(125).says("nothing*"));
}

#[test]
fn file_systems_of_the_kernel_are_mounted() {
    needs_root!();
    let dhow = with_box();
    let see = "grep -e ' /p ' -e ' /r ' -e ' /t ' /proc/mounts | cut -d' ' -f2,3; ls /t/sh";

    let outcome = run(
        &dhow,
        &[
            "--mount",
            "type=devpts,dst=/p",
            "--mount",
            "type=ramfs,dst=/r",
            "--mount",
            "type=tmpfs,dst=/t,tmpfs-size=1m",
            "--tmpfs",
            "/bin2",
            "box",
            "sh",
            "-c",
            see,
        ],
    );
    let copied = run(&dhow, &["--tmpfs", "/etc:tmpcopyup", "box", "sh", "-c", "ls /etc | wc -l"]);
    let bare = run(&dhow, &["--tmpfs", "/etc", "box", "sh", "-c", "ls -A /etc | wc -l"]);

    let lines: Vec<&str> = outcome.stdout.lines().collect();
    for line in ["/p devpts", "/r ramfs", "/t tmpfs"] {
        assert!(lines.contains(&line), "{line} in {lines:?}");
    }
    let count = |outcome: dhow_testkit::Outcome| outcome.ok().line().parse::<u32>().unwrap();
    assert!(count(copied) > count(bare));
}

#[test]
fn two_mounts_at_one_place_are_one_clear_error() {
    needs_root!();
    let dhow = with_box();

    let cases: [&[&str]; 3] = [
        &["-v", "a:/x", "-v", "b:/x/"],
        &["-v", "/tmp:/x", "--tmpfs", "/x"],
        &["-v", "a:/x", "--mount", "type=bind,src=/tmp,dst=/x/."],
    ];
    for arguments in cases {
        let refused = run(&dhow, &[arguments, &["box", "true"]].concat());
        drop(refused.exits(125).says("mount two things on /x"));
    }
    assert_eq!(dhow.run(&["volume", "ls", "-q"]).ok().stdout, "");
    let same: [&[&str]; 4] = [
        &["-v", "/tmp:/x", "-v", "/tmp:/x"],
        &["-v", "a:/x", "-v", "a:/x/"],
        &["--tmpfs", "/x", "--tmpfs", "/x"],
        &["-v", "/tmp:/x:ro", "-v", "/tmp:/x:ro"],
    ];
    for arguments in same {
        let words = ["box", "grep", "-c", " /x ", "/proc/mounts"];
        assert_eq!(run(&dhow, &[arguments, &words].concat()).ok().line(), "1", "{arguments:?}");
    }
    let differ = ["-v", "/tmp:/x", "-v", "/tmp:/x:ro", "box", "true"];
    drop(run(&dhow, &differ).exits(125).says("mount two things on /x"));
}

#[test]
fn read_only_reaches_what_is_mounted_below_unless_told_otherwise() {
    needs_root!();
    let dhow = with_box();
    fs::create_dir_all(dhow.directory().join("top/below")).unwrap();
    let top = dhow.directory().join("top");
    let below = dhow_testkit::Disk::of(1 << 20).unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["--bind", below.path().to_str().unwrap(), top.join("below").to_str().unwrap()])
        .status()
        .unwrap();
    assert!(mounted.success());
    let write = |how: &str| {
        let mount = format!("type=bind,src={},dst=/m,ro{how}", top.display());
        run(&dhow, &["--mount", &mount, "box", "sh", "-c", "touch /m/a; touch /m/below/a"])
    };

    let all = write("");
    let only_top = write(",bind-recursive=writable");
    let alone = write(",bind-recursive=disabled");

    let unmounted = std::process::Command::new("umount").arg(top.join("below")).status().unwrap();
    assert!(unmounted.success());
    drop(all.exits(1));
    drop(only_top.ok());
    drop(alone.exits(1));
    drop(
        run(
            &dhow,
            &["--mount", "type=bind,src=/tmp,dst=/m,bind-recursive=readonly", "box", "true"],
        )
        .exits(125)
        .says("read-only mounts"),
    );
}

#[test]
fn ids_of_a_directory_are_shown_as_others() {
    needs_root!();
    let dhow = with_box();
    let source = dhow.directory().join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), "").unwrap();

    let shown = run(
        &dhow,
        &[
            "-v",
            "./source:/s:idmap=uids=0-1000-1;gids=0-2000-1",
            "box",
            "stat",
            "-c",
            "%u:%g",
            "/s/file",
        ],
    );

    if shown.stderr.contains("support mapped mounts") {
        need::skip("a file system with mapped mounts below the temporary directory");
        return;
    }
    assert_eq!(shown.ok().stdout, "1000:2000\n");
}
