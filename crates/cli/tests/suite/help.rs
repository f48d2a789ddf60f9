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
