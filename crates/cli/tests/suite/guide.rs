//! The examples of pages in `docs/`, run in their order as a reader would.

use crate::fixture::with_box;
use dhow_testkit::{Outcome, needs_root};
use std::process::Command;

const GUIDE: &str = include_str!("../../../../docs/guide.md");
const CONFIGURATION: &str = include_str!("../../../../docs/configuration.md");

/// The lines between "```sh" and "```", each block as one piece.
fn examples(page: &str) -> Vec<String> {
    page.split("```sh\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap_or_default().to_owned())
        .collect()
}

/// Runs the examples of a page, of which there are at least so many.
fn play(page: &str, least: usize) -> Outcome {
    let dhow = with_box();
    drop(dhow.run(&["tag", "box", "busybox"]).ok());
    let blocks = examples(page);
    assert!(blocks.len() >= least, "the page has {} examples", blocks.len());
    let program = dhow.program().display().to_string();
    let roots = [dhow.root(), dhow.runroot()].map(|path| path.display().to_string());

    let mut script = String::from("set -eux\n");
    script.push_str(&format!(
        "dhow() {{ '{program}' --root '{}' --runroot '{}' \"$@\"; }}\n",
        roots[0], roots[1]
    ));
    script.push_str(&blocks.concat());
    dhow.finish(Command::new("sh").args(["-c", &script]).current_dir(dhow.directory()), b"").ok()
}

#[test]
fn every_example_of_the_guide_runs() {
    needs_root!();

    let outcome = play(GUIDE, 8);

    for expected in
        ["Hello from inside", "it works", "blue in /tmp", "uid=1000", "ready", "remember"]
    {
        assert!(
            outcome.stdout.contains(expected),
            "{expected:?} is missing in\n{}",
            outcome.stdout
        );
    }
}

#[test]
fn every_example_of_the_page_on_configuration_runs() {
    needs_root!();

    let outcome = play(CONFIGURATION, 1);

    for expected in ["--memory", "--umask", "\"--env\""] {
        assert!(outcome.stdout.contains(expected), "{expected:?} is missing");
    }
}
