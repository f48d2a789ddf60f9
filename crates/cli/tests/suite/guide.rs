//! The examples of `docs/guide.md`, run in their order as a reader would.

use crate::fixture::with_box;
use dhow_testkit::needs_root;
use std::process::Command;

const GUIDE: &str = include_str!("../../../../docs/guide.md");

/// The lines between "```sh" and "```", each block as one piece.
fn examples() -> Vec<String> {
    GUIDE
        .split("```sh\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn every_example_of_the_guide_runs() {
    needs_root!();
    let dhow = with_box();
    drop(dhow.run(&["tag", "box", "busybox"]).ok());
    let blocks = examples();
    assert!(blocks.len() >= 8, "the guide has {} examples", blocks.len());
    let program = dhow.program().display().to_string();
    let roots = [dhow.root(), dhow.runroot()].map(|path| path.display().to_string());

    let mut script = String::from("set -eux\n");
    script.push_str(&format!(
        "dhow() {{ '{program}' --root '{}' --runroot '{}' \"$@\"; }}\n",
        roots[0], roots[1]
    ));
    script.push_str(&blocks.concat());
    let outcome =
        dhow.finish(Command::new("sh").args(["-c", &script]).current_dir(dhow.directory()), b"");

    let outcome = outcome.ok();
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
