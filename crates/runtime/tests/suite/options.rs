//! Mount options, one by one, as the container's mount table and its files show them.

use crate::{
    bundle::Bundle,
    mounts::{bind, options_of, tmpfs},
};
use dhow_spec::runtime::MountPoint;
use dhow_testkit::{needs, needs_root, needs_tool};
use std::path::Path;

/// Every flag that a mount can carry, on a source with a mount below it.
const BARE: &str = "mkdir -p bare/below full/below
    mount -t tmpfs none bare && mkdir bare/below && mount -t tmpfs none bare/below
    mount -t tmpfs none full && mkdir full/below && mount -t tmpfs none full/below
    for at in full/below full; do
        mount -o remount,bind,ro,nosuid,nodev,noexec,nodiratime,nosymfollow,noatime $at
    done";

/// A word, the word that undoes it, and what mountinfo says for the first.
const WORDS: [(&str, &str, &str); 6] = [
    ("ro", "rw", "ro"),
    ("nosuid", "suid", "nosuid"),
    ("nodev", "dev", "nodev"),
    ("noexec", "exec", "noexec"),
    ("nodiratime", "diratime", "nodiratime"),
    ("nosymfollow", "symfollow", "nosymfollow"),
];

/// busybox's mount does not know all the words.
fn has_mount_of_util_linux() -> bool {
    let mut command = std::process::Command::new("mount");
    command.arg("--version");
    dhow_testkit::outcome::run(&mut command, b"", std::time::Duration::from_secs(30))
        .is_ok_and(|outcome| outcome.stdout.contains("util-linux"))
}

fn has(options: &str, word: &str) -> bool {
    options.split(',').any(|option| option == word)
}

#[test]
fn every_attribute_reaches_the_mount_or_with_an_r_the_whole_tree() {
    needs_root!();
    needs_tool!("unshare");
    needs!(has_mount_of_util_linux(), "util-linux's mount");
    let mut bundle = Bundle::new();
    for (word, undo, _) in WORDS {
        for (source, option) in [("bare", word), ("full", undo)] {
            let (at, tree) = (format!("/at-{option}"), format!("/at-r{option}"));
            bundle.spec.mounts.push(bind(Path::new(source), &at, &["rbind", option]));
            let recursive = format!("r{option}");
            bundle.spec.mounts.push(bind(Path::new(source), &tree, &["rbind", &recursive]));
        }
    }

    let mounts = bundle.sh_within(BARE, "cat /proc/self/mountinfo").ok().stdout;

    for (word, undo, shown) in WORDS {
        let options = |path: &str| options_of(&mounts, path);
        let seen = [
            options(&format!("/at-{word}")),
            options(&format!("/at-{word}/below")),
            options(&format!("/at-r{word}")),
            options(&format!("/at-r{word}/below")),
        ];
        assert_eq!(seen.each_ref().map(|seen| has(seen, shown)), [true, false, true, true]);
        let seen = [
            options(&format!("/at-{undo}")),
            options(&format!("/at-{undo}/below")),
            options(&format!("/at-r{undo}")),
            options(&format!("/at-r{undo}/below")),
        ];
        assert_eq!(seen.each_ref().map(|seen| has(seen, shown)), [false, true, false, false]);
        let others = WORDS.iter().filter(|other| other.0 != word);
        for (_, _, other) in others {
            assert!(has(&seen[0], other), "{undo} took {other} away too: {}", seen[0]);
        }
    }
}

#[test]
fn the_access_time_is_one_of_three_and_its_negations_choose_the_default() {
    needs_root!();
    needs_tool!("unshare");
    needs!(has_mount_of_util_linux(), "util-linux's mount");
    let mut bundle = Bundle::new();
    let cases = [
        ("bare", "noatime", "noatime"),
        ("bare", "relatime", "relatime"),
        ("bare", "strictatime", ""),
        ("full", "atime", "relatime"),
        ("full", "norelatime", "relatime"),
        ("full", "nostrictatime", "relatime"),
    ];
    for (source, word, _) in cases {
        bundle.spec.mounts.push(bind(Path::new(source), &format!("/{word}"), &["rbind", word]));
        let tree = format!("r{word}");
        bundle.spec.mounts.push(bind(Path::new(source), &format!("/{tree}"), &["rbind", &tree]));
        bundle.spec.mounts.push(tmpfs(&format!("/tmpfs-{word}"), &[word]));
    }

    let mounts = bundle.sh_within(BARE, "cat /proc/self/mountinfo").ok().stdout;

    let shown = |path: &str| {
        let options = options_of(&mounts, path);
        options
            .split(',')
            .find(|word| word.ends_with("atime") && *word != "nodiratime")
            .map_or_else(String::new, str::to_owned)
    };
    for (source, word, expected) in cases {
        let before = if source == "bare" { "relatime" } else { "noatime" };
        assert_eq!(shown(&format!("/{word}")), expected, "{word}");
        assert_eq!(shown(&format!("/{word}/below")), before, "{word}");
        assert_eq!(shown(&format!("/r{word}")), expected, "r{word}");
        assert_eq!(shown(&format!("/r{word}/below")), expected, "r{word}");
        assert_eq!(shown(&format!("/tmpfs-{word}")), expected, "{word}");
    }
}

#[test]
fn options_have_their_effect_on_files() {
    needs_root!();
    let mut bundle = Bundle::new();
    let source = bundle.directory().join("data");
    std::fs::create_dir(&source).unwrap();
    std::fs::copy(bundle.root().join("bin/busybox"), source.join("true")).unwrap();
    std::os::unix::fs::symlink("true", source.join("link")).unwrap();
    for (at, option) in [("/noexec", "noexec"), ("/nosymfollow", "nosymfollow"), ("/plain", "exec")]
    {
        bundle.spec.mounts.push(bind(&source, at, &["bind", option]));
    }

    let outcome = bundle
        .sh("/plain/true && echo runs; /noexec/true || echo not
             cat /plain/link > /tmp/x && echo follows; cat /nosymfollow/link || echo not")
        .ok();

    assert_eq!(outcome.stdout, "runs\nnot\nfollows\nnot\n", "{outcome}");
}

#[test]
fn flags_of_a_filesystem_reach_it() {
    needs_root!();
    let mut bundle = Bundle::new();
    // Once by one call, once in steps.
    let words = ["sync", "dirsync", "lazytime", "mand", "silent", "loud", "async", "nolazytime"];
    for word in words {
        bundle.spec.mounts.push(tmpfs(&format!("/{word}"), &["sync", "nosuid", word]));
        bundle.spec.mounts.push(tmpfs(&format!("/steps-{word}"), &["private", "rnodev", word]));
    }
    bundle.spec.mounts.push(tmpfs("/many", &["defaults", "iversion", "noacl", "nomand", "copy"]));

    let mounts = bundle.run(&["cat", "/proc/self/mountinfo"]).ok().stdout;

    let of_filesystem = |path: &str| {
        let line = mounts.lines().find(|line| line.split(' ').nth(4) == Some(path)).unwrap();
        line.rsplit(' ').next().unwrap().to_owned()
    };
    for word in ["sync", "dirsync", "lazytime"] {
        assert!(has(&of_filesystem(&format!("/{word}")), word), "{word}: {mounts}");
        assert!(has(&of_filesystem(&format!("/steps-{word}")), word), "{word}: {mounts}");
        assert!(has(&options_of(&mounts, &format!("/steps-{word}")), "nodev"), "{word}");
    }
    assert!(!has(&of_filesystem("/async"), "sync"), "{mounts}");
    assert!(!has(&of_filesystem("/nolazytime"), "lazytime"), "{mounts}");
}

#[test]
fn a_remount_changes_what_is_there() {
    needs_root!();
    let mut bundle = Bundle::new();
    let remount = |destination: &str, options: &[&str]| MountPoint {
        kind: Some("tmpfs".to_owned()),
        source: None,
        ..bind(Path::new(""), destination, options)
    };
    bundle.spec.mounts.push(tmpfs("/a", &["size=64k"]));
    bundle.spec.mounts.push(remount("/a", &["remount", "size=128k", "nosuid"]));
    bundle.spec.mounts.push(tmpfs("/b", &["size=64k"]));
    bundle.spec.mounts.push(remount("/b", &["bind", "remount", "ro", "noexec"]));
    bundle.spec.mounts.push(remount("/proc", &["remount", "bind", "rrw", "nodev"]));

    let mounts = bundle.run(&["cat", "/proc/self/mountinfo"]).ok().stdout;

    assert!(mounts.contains("size=128k") && mounts.contains("size=64k"), "{mounts}");
    assert_eq!(options_of(&mounts, "/a"), "rw,nosuid,relatime");
    assert_eq!(options_of(&mounts, "/b"), "ro,noexec,relatime");
}

#[test]
fn a_remount_of_nothing_is_refused() {
    needs_root!();
    for options in [&["remount", "bind", "ro"][..], &["remount", "ro"]] {
        let mut bundle = Bundle::new();
        bundle.spec.mounts.push(tmpfs("/bin", options));

        let outcome = bundle.run(&["true"]).exits(125);

        drop(outcome.says("mount /bin: remount what is there"));
    }
}

#[test]
fn words_that_would_be_passed_over_are_refused() {
    needs_root!();
    let cases: [(&[&str], &str, &str); 4] = [
        (&["bind", "size=3"], "bind", "use size=3 as options of a bind mount"),
        (&["nonsense"], "tmpfs", "mount filesystem tmpfs"),
        (&["tmpcopyup"], "proc", "tmpcopyup with filesystem proc"),
        (&["idmap"], "tmpfs", "only those of a bind mount"),
    ];
    for (options, kind, says) in cases {
        let mut bundle = Bundle::new();
        let source = bundle.directory().to_owned();
        let mut mount = bind(&source, "/x", options);
        mount.kind = Some(kind.to_owned());
        bundle.spec.mounts.push(mount);

        drop(bundle.run(&["true"]).exits(125).says(says));
    }
}
