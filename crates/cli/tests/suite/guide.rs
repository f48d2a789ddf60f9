//! The examples of pages in `docs/`, run in their order as a reader would.

use crate::fixture::{with_box, with_networked_box};
use dhow_testkit::{Dhow, HostNetwork, Outcome, needs_root};

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
fn play(dhow: &Dhow, page: &str, least: usize) -> Outcome {
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
    let mut shell = dhow.shell();
    dhow.finish(shell.args(["-c", &script]).current_dir(dhow.directory()), b"").ok()
}

#[test]
fn every_example_of_the_guide_runs() {
    if !HostNetwork::is_possible() {
        return;
    }

    let outcome = play(&with_networked_box(), GUIDE, 9);

    for expected in [
        "Hello from inside",
        "it works",
        "blue in /tmp",
        "uid=1000",
        "ready",
        "80/tcp -> 0.0.0.0:8080",
        "root:x:0:",
        "remember",
    ] {
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

    let outcome = play(&with_box(), CONFIGURATION, 1);

    for expected in ["--memory", "--umask", "\"--env\""] {
        assert!(outcome.stdout.contains(expected), "{expected:?} is missing");
    }
}
