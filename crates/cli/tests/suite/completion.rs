//! What shells are told when the tabulator is pressed.

use crate::fixture::{start, with_box};
use dhow_testkit::{Dhow, Terminal, needs_root, needs_tool};
use std::{fs, os::unix::fs::symlink, path::PathBuf, process::Command};

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

/// A directory for `PATH` in which this dhow is called so.
fn place_of(dhow: &Dhow) -> PathBuf {
    let place = dhow.directory().join("place");
    fs::create_dir(&place).expect("a new directory");
    symlink(dhow.program(), place.join("dhow")).expect("a new link");
    place
}

/// A shell that finds this dhow and its state.
fn shell_of(dhow: &Dhow, program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env("PATH", format!("{}:/usr/bin:/bin", place_of(dhow).display()))
        .env("HOME", dhow.directory())
        .env("DHOW_ROOT", dhow.root())
        .env("DHOW_RUNROOT", dhow.runroot());
    command
}

#[test]
fn fish_completes_with_the_script() {
    needs_root!();
    needs_tool!("fish");
    let dhow = with_box();
    start(&dhow, &["--name", "web", "box", "sleep", "100"]);
    fs::write(dhow.directory().join("weather"), "").unwrap();
    let mut fish = shell_of(&dhow, "fish");
    let script = "dhow completion fish | source; for line in 'dhow stop w' 'dhow ren' 'dhow save -o we' \
                  'dhow run box:l'; complete -C $line; echo; end";
    fish.args(["--no-config", "-c", script]).current_dir(dhow.directory());

    let shown = dhow.finish(&mut fish, b"").ok().stdout;

    let words: Vec<&str> =
        shown.lines().map(|line| line.split('\t').next().unwrap_or_default()).collect();
    assert_eq!(words[..5], ["web", "", "rename", "", "weather"], "{shown}");
}

#[test]
fn zsh_completes_with_the_script() {
    needs_root!();
    needs_tool!("zsh");
    let dhow = with_box();
    start(&dhow, &["--name", "web", "box", "sleep", "100"]);
    fs::write(dhow.directory().join("weather"), "").unwrap();
    let mut zsh = shell_of(&dhow, "zsh");
    zsh.args(["-f", "-i"]).current_dir(dhow.directory());
    let mut terminal = Terminal::start(&zsh).unwrap();

    // What the line editor has made of a line is told in full; on the screen it comes in pieces.
    let tells =
        r#"tells() { print -r -- "<$BUFFER>"; BUFFER=; }; zle -N tells; bindkey '^T' tells; "#;
    terminal.send(tells);
    terminal.send(
        "autoload -Uz compinit; compinit -u -D; source <(dhow completion zsh); PS1='rea''dy> '\r",
    );
    terminal.expect("ready> ");
    terminal.send("dhow stop w\t\x14").expect("<dhow stop web >");
    terminal.send("dhow ren\t\x14").expect("<dhow rename >");
    terminal.send("dhow save -o we\t\x14").expect("<dhow save -o weather >");
    terminal.send("exit\r");

    assert_eq!(terminal.end(), 0, "{}", terminal.transcript());
}
