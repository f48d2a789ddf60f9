//! `--requires`: containers that are started before another one; `rm --depend`.

use crate::fixture::with_box;
use dhow_testkit::{Dhow, needs_root};

/// A container that does nothing for long.
fn create(dhow: &Dhow, name: &str, requires: &[&str]) {
    let words = ["create", "-q", "--network=none", "--name", name];
    let requires: Vec<String> = requires.iter().map(|one| format!("--requires={one}")).collect();
    let requires: Vec<&str> = requires.iter().map(String::as_str).collect();
    drop(dhow.run(&[&words[..], &requires, &["box", "sleep", "1000"]].concat()).ok());
}

fn running(dhow: &Dhow) -> String {
    let told = dhow.run(&["ps", "--format", "{{.Names}}"]).ok().stdout;
    let mut names: Vec<&str> = told.lines().collect();
    names.sort_unstable();
    names.join(" ")
}

#[test]
fn what_a_container_requires_is_started_before_it() {
    needs_root!();
    let dhow = with_box();
    create(&dhow, "base", &[]);
    create(&dhow, "side", &[]);
    create(&dhow, "middle", &["base"]);
    create(&dhow, "top", &["middle,side"]);
    drop(dhow.run(&["start", "side"]).ok());

    drop(dhow.run(&["start", "top"]).ok());

    assert_eq!(running(&dhow), "base middle side top");
    let begun = |name: &str| {
        let told = dhow.run(&["inspect", "--format", "{{.State.StartedAt}}", name]).ok().stdout;
        told.trim().to_owned()
    };
    assert!(begun("base") < begun("middle") && begun("middle") < begun("top"));
    drop(dhow.run(&["stop", "-t0", "base", "middle"]).ok());
    let run = ["run", "--rm", "-q", "--network=none", "--requires=middle", "box", "echo", "here"];
    assert_eq!(dhow.run(&run).ok().stdout, "here\n");
    assert_eq!(running(&dhow), "base middle side top");

    drop(dhow.run(&["rm", "-ft0", "--depend", "base", "middle"]).ok());
    assert_eq!(running(&dhow), "side");
    drop(dhow.run(&["rm", "-ft0", "side"]).ok());
    assert_eq!(dhow.run(&["ps", "-aq"]).ok().stdout, "");
    dhow.assert_clean();
}

#[test]
fn what_is_required_and_not_there_is_told() {
    needs_root!();
    let dhow = with_box();
    let run = ["run", "--rm", "-q", "--network=none", "--requires=nobody", "box", "true"];
    drop(dhow.run(&run).exits(125).says("require container nobody"));
    create(&dhow, "base", &[]);
    create(&dhow, "top", &["base"]);
    drop(dhow.run(&["rm", "base"]).ok());

    drop(dhow.run(&["start", "top"]).exits(125).says("required container"));

    drop(dhow.run(&["rm", "top"]).ok());
    dhow.assert_clean();
}
