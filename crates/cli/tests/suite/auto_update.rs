//! `auto-update`: a newer image takes the place of an older one, or does not.

use crate::fixture::{layout_of, start, wait_for_state};
use dhow_testkit::{Access, Dhow, HostNetwork, Registry, Transport, needs_root, needs_tool};
use std::{process::Stdio, time::Duration};

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

#[test]
fn the_registry_is_asked_for_a_newer_image_of_containers_that_say_so() {
    needs_root!();
    needs_tool!("docker-registry", "setpriv");
    let dhow = Dhow::new();
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let name = registry.reference("app:stable");
    let publish = |version: &str, command: &[&str]| {
        let from = layout_of(&dhow, &format!("app-{version}"), |image| image.command(command));
        let from = from.reference(&format!("app-{version}"));
        drop(dhow.run(&["image", "copy", "-q", &from, &format!("docker://{name}")]).ok());
    };
    publish("one", &["sh", "-c", "echo one; sleep 1000"]);
    let label = ["--name", "web", "--label", "io.containers.autoupdate=registry", &name];
    start(&dhow, &label);
    let first = registry.requests().len();
    assert_eq!(update(&dhow, &[]), "web false\n");
    let asked = registry.requests();
    // To find out that nothing is new takes no layer.
    assert!(asked.len() > first && asked[first..].iter().all(|one| !one.contains("/blobs/")));

    publish("two", &["sh", "-c", "echo two; sleep 1000"]);
    assert_eq!(update(&dhow, &["--dry-run"]), "web pending\n");
    assert_eq!(update(&dhow, &[]), "web true\n");

    assert_eq!(dhow.run(&["logs", "web"]).ok().stdout, "two\n");
    drop(registry);
    let outcome = dhow.run(&["auto-update", "--patience", "300ms"]).exits(1);
    assert!(outcome.stdout.contains("failed"), "{outcome}");
    wait_for_state(&dhow, "web", "running");
    drop(dhow.run(&["rm", "-fa"]).ok());
    dhow.assert_clean();
}

#[test]
fn an_address_of_its_own_goes_to_the_successor_and_comes_back_with_a_rollback() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = Dhow::networked();
    drop(dhow.run(&["network", "create", "--subnet", "10.91.7.0/24", "front"]).ok());
    pull(&dhow, "one", &["sh", "-c", "echo one; sleep 1000"]);
    let address = ["--network", "front", "--ip", "10.91.7.9", "--stop-timeout", "0", "app"];
    start(&dhow, &[&["--name", "web", "--label", LABEL][..], &address].concat());
    let has_address = || {
        let shown = dhow.run(&["exec", "web", "ip", "-4", "-o", "address", "show", "eth0"]).ok();
        assert!(shown.stdout.contains("10.91.7.9/24"), "{}", shown.stdout);
    };

    pull(&dhow, "two", &["sh", "-c", "echo two; sleep 1000"]);
    assert_eq!(update(&dhow, &[]), "web true\n");
    assert_eq!(dhow.run(&["logs", "web"]).ok().stdout, "two\n");
    has_address();

    pull(&dhow, "bad", &["sh", "-c", "exit 3"]);
    assert_eq!(update(&dhow, &[]), "web rolled back\n");
    has_address();
    assert_eq!(dhow.run(&["ps", "-aq"]).ok().stdout.lines().count(), 1);
    drop(dhow.run(&["rm", "-fa"]).ok());
    drop(dhow.run(&["network", "rm", "front"]).ok());
    dhow.assert_clean();
}

#[test]
fn an_update_that_is_killed_anywhere_is_ended_by_the_next_one() {
    needs_root!();
    let dhow = Dhow::new();
    pull(&dhow, "one", &["sh", "-c", "echo one; sleep 1000"]);
    pull(&dhow, "two", &["sh", "-c", "echo two; sleep 1000"]);
    let listed = dhow.run(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).ok().stdout;
    let image = |version: &str| {
        let is_it = |name: &&str| name.contains(&format!("app-{version}"));
        listed.lines().find(is_it).unwrap().to_owned()
    };
    start(&dhow, &["--name", "web", "--label", LABEL, "--stop-timeout", "0", "app"]);
    let words = ["auto-update", "--patience", "300ms"];
    for (number, version) in ["one", "two"].into_iter().cycle().take(8).enumerate() {
        drop(dhow.run(&["tag", &image(version), "app"]).ok());
        let mut killed = dhow.command(&words);
        let null = Stdio::null;
        let mut killed = killed.stdin(null()).stdout(null()).stderr(null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(12 + 45 * u64::try_from(number).unwrap()));
        killed.kill().unwrap();
        killed.wait().unwrap();

        drop(dhow.run(&words).ok());

        let names = dhow.run(&["ps", "-a", "--format", "{{.Names}} {{.State}}"]).ok().stdout;
        assert_eq!(names, "web running\n", "kill {number}");
        let logs = dhow.run(&["logs", "web"]).ok().stdout;
        assert_eq!(logs, format!("{version}\n"), "kill {number}");
        assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    }
    drop(dhow.run(&["rm", "-fa"]).ok());
    dhow.assert_clean();
}

#[test]
fn the_credentials_of_an_update_are_those_that_are_named() {
    needs_root!();
    needs_tool!("docker-registry", "setpriv");
    let dhow = Dhow::new();
    let registry = Registry::start(Access::Basic, Transport::Plain).unwrap();
    let name = registry.reference("app:stable");
    let file = dhow.directory().join("auth.json");
    std::fs::write(&file, registry.credentials()).unwrap();
    let authfile = format!("--authfile={}", file.display());
    let from = layout_of(&dhow, "app-one", |image| image.command(&["sleep", "1000"]));
    let from = from.reference("app-one");
    drop(dhow.run(&["image", "copy", "-q", &authfile, &from, &format!("docker://{name}")]).ok());
    let label = ["--name", "web", "--label", "io.containers.autoupdate=registry", &authfile, &name];
    start(&dhow, &label);

    drop(dhow.run(&["auto-update"]).exits(1).says("authentication required"));
    assert_eq!(update(&dhow, &[&authfile]), "web false\n");
    drop(dhow.run(&["rm", "-fa"]).ok());
}
