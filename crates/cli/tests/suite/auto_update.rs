//! `auto-update`: a newer image takes the place of an older one, or does not.

use crate::fixture::{layout_of, start, wait_for_state};
use dhow_testkit::{Dhow, needs_root};

const LABEL: &str = "io.containers.autoupdate=local";

/// A dhow with an image `app` that says its version, and how to give it another one.
fn pull(dhow: &Dhow, version: &str, command: &[&str]) {
    let layout = layout_of(dhow, &format!("app-{version}"), |image| image.command(command));
    drop(dhow.run(&["pull", "-q", &layout.reference(&format!("app-{version}"))]).ok());
    let ids = dhow.run(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).ok().stdout;
    let name =
        ids.lines().find(|line| line.contains(&format!("app-{version}"))).unwrap().to_owned();
    drop(dhow.run(&["tag", &name, "app"]).ok());
}

fn update(dhow: &Dhow, more: &[&str]) -> String {
    let words =
        ["auto-update", "--patience", "700ms", "--format", "{{.ContainerName}} {{.Updated}}"];
    dhow.run(&[&words[..], more].concat()).ok().stdout
}

#[test]
fn a_container_is_replaced_by_one_of_the_newer_image_and_keeps_its_name_and_flags() {
    needs_root!();
    let dhow = Dhow::new();
    pull(&dhow, "one", &["sh", "-c", "echo one $WORD; sleep 1000"]);
    start(&dhow, &["--name", "web", "--label", LABEL, "-e", "WORD=hi", "app"]);
    start(&dhow, &["--name", "other", "app"]);
    assert_eq!(update(&dhow, &[]), "web false\n");

    pull(&dhow, "two", &["sh", "-c", "echo two $WORD; sleep 1000"]);
    assert_eq!(update(&dhow, &["--dry-run"]), "web pending\n");
    assert_eq!(update(&dhow, &[]), "web true\n");

    wait_for_state(&dhow, "web", "running");
    assert_eq!(dhow.run(&["logs", "web"]).ok().stdout, "two hi\n");
    assert_eq!(dhow.run(&["ps", "-aq"]).ok().stdout.lines().count(), 2);
    assert_eq!(update(&dhow, &[]), "web false\n");
    drop(dhow.run(&["rm", "-fa"]).ok());
    dhow.assert_clean();
}

#[test]
fn what_does_not_come_up_is_taken_back() {
    needs_root!();
    let dhow = Dhow::new();
    pull(&dhow, "one", &["sh", "-c", "echo one; sleep 1000"]);
    let id = start(&dhow, &["--name", "web", "--label", LABEL, "--restart=always", "app"]);
    pull(&dhow, "bad", &["sh", "-c", "exit 3"]);

    assert_eq!(update(&dhow, &[]), "web rolled back\n");

    wait_for_state(&dhow, "web", "running");
    assert_eq!(dhow.run(&["inspect", "-f", "{{.Id}}", "web"]).ok().line(), id);
    assert_eq!(dhow.run(&["ps", "-aq"]).ok().stdout.lines().count(), 1);
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}
