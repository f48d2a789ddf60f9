//! Attack tests 7, 8 and 17 with images: directories and files of the host's that a container could
//! reach by a working directory, by a leaked fd, or by a link of another user's.

use crate::fixture::{layout_of, start, with_box};
use dhow_testkit::{Canary, Outcome, needs_root};
use std::{
    fs,
    os::unix::fs::{lchown, symlink},
    process::Command,
};

fn assert_inside(outcome: &Outcome, path: &str) {
    let is_inside = outcome.line().starts_with('/') && !outcome.line().contains("unreachable");
    assert!(outcome.code != 0 || is_inside, "{path}: {outcome}");
    assert!(!outcome.stdout.contains("canary"), "{path}: {outcome}");
}

/// A caller that holds a directory of the host's and does not mark it to be closed.
fn with_leaks(inner: &Command, held: &std::path::Path) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "exec 5<\"$0\" 7</ 9<\"$0\"; exec \"$@\""]).arg(held);
    command.arg(inner.get_program()).args(inner.get_args());
    if let Some(directory) = inner.get_current_dir() {
        command.current_dir(directory);
    }
    command
}

#[test]
fn no_working_directory_leads_to_the_host() {
    needs_root!();
    let dhow = with_box();
    let held = dhow.directory().join("held");
    fs::create_dir(&held).unwrap();
    let canary = Canary::hatch(&held.join("canary")).unwrap();
    let look = ["sh", "-c", "pwd; ls; ls .."];
    start(&dhow, &["--name", "web", "box", "sleep", "100"]);
    let last = if dhow_testkit::need::is_full() { 1023 } else { 12 };
    for number in (3..=last).chain([1023]) {
        let path = format!("/proc/self/fd/{number}");
        let inner = dhow.command(&[&["exec", "-w", &path, "web"][..], &look].concat());
        assert_inside(&dhow.finish(&mut with_leaks(&inner, &held), b""), &path);
        if number % 4 == 1 {
            let inner =
                dhow.command(&[&["run", "-q", "--rm", "-w", &path, "box"][..], &look].concat());
            assert_inside(&dhow.finish(&mut with_leaks(&inner, &held), b""), &path);
        }
    }
    let layout = layout_of(&dhow, "way", |image| image.set("WorkingDir", "/proc/self/fd/7".into()));
    drop(dhow.run(&["pull", "-q", &layout.reference("way")]).ok());
    let inner = dhow.command(&[&["run", "-q", "--rm", "way"][..], &look].concat());
    assert_inside(&dhow.finish(&mut with_leaks(&inner, &held), b""), "the image's");
    canary.assert_alive();
}

#[test]
fn processes_have_their_streams_and_nothing_else_open() {
    needs_root!();
    let dhow = with_box();
    let list = ["sh", "-c", "ls /proc/$$/fd; true"];

    let inner = dhow.command(&[&["run", "-q", "--rm", "box"][..], &list].concat());
    let ran = dhow.finish(&mut with_leaks(&inner, dhow.directory()), b"").ok();
    start(&dhow, &["--name", "web", "box", "sleep", "100"]);
    let inner = dhow.command(&[&["exec", "web"][..], &list].concat());
    let executed = dhow.finish(&mut with_leaks(&inner, dhow.directory()), b"").ok();

    assert_eq!(ran.stdout, "0\n1\n2\n");
    assert_eq!(executed.stdout, "0\n1\n2\n");
}

#[test]
fn a_file_for_the_id_is_not_written_through_a_stranger_s_link() {
    needs_root!();
    let dhow = with_box();
    let (held, stranger) = (dhow.directory().join("held"), dhow.directory().join("stranger"));
    fs::create_dir(&held).unwrap();
    fs::create_dir(&stranger).unwrap();
    let canary = Canary::hatch(&held.join("canary")).unwrap();
    symlink(&held, stranger.join("way")).unwrap();
    for file in [&stranger, &stranger.join("way")] {
        lchown(file, Some(65_533), Some(65_533)).unwrap();
    }
    let before = fs::metadata(&held).unwrap().modified().unwrap();
    let file = stranger.join("way/cid").display().to_string();

    let outcome = dhow.run(&["run", "-q", "--rm", "--cidfile", &file, "box", "true"]);

    assert_eq!(outcome.exits(125).stdout, "");
    assert_eq!(fs::metadata(&held).unwrap().modified().unwrap(), before);
    canary.assert_alive();
}
