//! What shells are told when the tabulator is pressed.

use crate::fixture::{start, with_box};
use dhow_testkit::{Dhow, needs_root, needs_tool};
use std::process::Command;

/// The candidates for some words, without what is said of them.
fn candidates(dhow: &Dhow, words: &[&str]) -> Vec<String> {
    let outcome = dhow.run(&[&["__complete", "--"], words].concat()).ok();
    let word = |line: &str| line.split('\t').next().unwrap_or_default().to_owned();
    outcome.stdout.lines().map(word).collect()
}

#[test]
fn commands_and_flags_are_completed_without_a_database() {
    let dhow = Dhow::new();

    assert_eq!(candidates(&dhow, &["ren"]), ["rename"]);
    assert!(candidates(&dhow, &["container", ""]).contains(&"prune".to_owned()));
    assert_eq!(candidates(&dhow, &["ps", "--no-t"]), ["--no-trunc"]);
    assert_eq!(candidates(&dhow, &["rm", ""]), Vec::<String>::new());
    assert_eq!(candidates(&dhow, &["save", "-o", ""]), [":files"]);
    assert_eq!(candidates(&dhow, &["inspect", "--type", "im"]), ["image"]);
    assert!(!dhow.root().join("state.db").exists());
}

#[test]
fn names_and_ids_are_completed() {
    needs_root!();
    let dhow = with_box();
    let id = start(&dhow, &["--name", "web", "-v", "data:/data", "box", "sleep", "100"]);
    drop(dhow.run(&["create", "-q", "--name", "idle", "box"]).ok());

    assert_eq!(candidates(&dhow, &["stop", ""]), ["web"]);
    assert_eq!(candidates(&dhow, &["start", ""]), ["idle"]);
    assert_eq!(candidates(&dhow, &["rm", "web", "i"]), ["idle"]);
    assert_eq!(candidates(&dhow, &["rm", &id[..5]]), [&id[..12]]);
    assert_eq!(candidates(&dhow, &["cp", "w"]), ["web:", ":files"]);
    let images = candidates(&dhow, &["run", "--rm", ""]);
    assert!(images.iter().any(|image| image.contains("box")), "{images:?}");
}

#[test]
fn a_shell_completes_with_the_script() {
    needs_root!();
    needs_tool!("bash");
    let dhow = with_box();
    start(&dhow, &["--name", "web", "box", "sleep", "100"]);
    let script = format!(
        "source <({program} completion bash); dhow() {{ {program} \"$@\"; }}; \
         COMP_LINE='dhow stop w'; COMP_POINT=11; COMP_WORDS=(dhow stop w); COMP_CWORD=2; \
         _dhow; echo \"${{COMPREPLY[@]}}\"",
        program = dhow.program().display(),
    );
    let mut bash = Command::new("bash");
    bash.args(["-c", &script]).env("DHOW_ROOT", dhow.root()).env("DHOW_RUNROOT", dhow.runroot());

    assert_eq!(dhow.finish(&mut bash, b"").ok().stdout, "web\n");
}
