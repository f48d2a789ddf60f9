//! Help, version and completions: there for each command, before anything is opened.

use dhow_testkit::Dhow;

#[test]
fn each_command_has_help_that_begins_with_what_it_does() {
    let dhow = Dhow::new();
    let help = dhow.run(&["--help"]).ok().stdout;
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| !line.trim().is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();

    assert!(commands.contains(&"run") && commands.contains(&"container"), "{help}");
    assert!(!commands.contains(&"cleanup"), "{help}");
    for command in commands {
        let outcome = dhow.run(&[command, "--help"]).ok();
        let first = outcome.stdout.lines().next().unwrap_or_default();
        assert!(first.starts_with(|letter: char| letter.is_uppercase()), "{outcome}");
        assert!(!first.ends_with('.'), "{outcome}");
        assert!(outcome.stdout.contains(&format!("dhow {command}")), "{outcome}");
    }
    assert!(!dhow.root().join("state.db").exists(), "help opened the state");
}

#[test]
fn without_a_command_there_is_help() {
    let dhow = Dhow::new();

    let outcome = dhow.run(&[]).ok();

    assert!(outcome.stdout.contains("Usage: dhow"), "{outcome}");
}

#[test]
fn the_version_is_one_line() {
    let dhow = Dhow::new();

    for flag in ["--version", "-v"] {
        let outcome = dhow.run(&[flag]).ok();
        assert_eq!(outcome.stdout, format!("dhow {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn shells_get_completions() {
    let dhow = Dhow::new();

    for shell in ["bash", "zsh", "fish"] {
        let outcome = dhow.run(&["completion", shell]).ok();
        assert!(outcome.stdout.contains("__complete"), "{shell} does not ask the program");
    }
}

#[test]
fn help_is_asked_for_by_a_word_as_well_as_by_a_flag() {
    let dhow = Dhow::new();

    for (words, flag) in [
        (&["help"][..], &["--help"][..]),
        (&["help", "run"], &["run", "--help"]),
        (&["help", "container", "ls"], &["container", "ls", "--help"]),
        (&["--root", "x", "help", "ps"], &["ps", "--help"]),
    ] {
        assert_eq!(dhow.run(words).ok().stdout, dhow.run(flag).ok().stdout, "{words:?}");
    }
    drop(dhow.run(&["help", "bogus"]).exits(1).says("there is no command bogus"));
}

#[test]
fn a_command_of_others_that_is_not_there_says_why() {
    let dhow = Dhow::new();

    drop(dhow.run(&["compose", "up"]).exits(1).says("compose files are not read yet"));
    drop(dhow.run(&["image", "build", "."]).exits(1).says("dhow commit"));
    drop(dhow.run(&["system", "reset"]).exits(1).says("volumes are never removed"));
}
