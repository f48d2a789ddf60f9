//! `pull`, `images`, `tag`, `rmi`, `history`, `inspect`: images by name and id.

use crate::fixture::{layout, with_box};
use dhow_testkit::{Access, Dhow, Registry, Transport, needs_root, needs_tool};
use serde_json::Value;

#[test]
fn an_image_comes_from_each_kind_of_place() {
    needs_root!();
    let dhow = Dhow::new();
    let layout = layout(&dhow);
    let archive = dhow.directory().join("box.tar");
    layout.archive(&archive).unwrap();
    let id = dhow.run(&["pull", "-q", &layout.reference("box")]).ok().stdout;
    drop(dhow.run(&["rmi", "box"]).ok());

    let again = dhow.run(&["pull", "-q", &format!("oci-archive:{}:box", archive.display())]).ok();

    assert!(id.starts_with("sha256:") && id.trim().len() == 71, "{id}");
    assert_eq!(again.stdout, id);
    assert_eq!(dhow.run(&["run", "--rm", "-q", "box", "echo", "hi"]).ok().stdout, "hi\n");
}

#[test]
fn an_image_comes_from_a_registry_once() {
    needs_root!();
    needs_tool!("docker-registry", "skopeo");
    let dhow = Dhow::new();
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    registry.push(&layout(&dhow).reference("box"), "box:1").unwrap();
    let name = registry.reference("box:1");

    let outcome = dhow.run(&["run", "--rm", &name, "echo", "hi"]).ok().says("pulling");
    let before = registry.requests().len();
    drop(dhow.run(&["run", "--rm", "-q", &name, "true"]).ok());

    assert_eq!(outcome.stdout, "hi\n");
    assert_eq!(registry.requests().len(), before, "the second run asked the registry");
}

#[test]
fn a_pull_shows_bars_on_a_terminal_and_lines_elsewhere() {
    needs_root!();
    let dhow = Dhow::new();
    let layout = layout(&dhow);

    let lines =
        dhow.run(&["pull", &layout.reference("box")]).ok().says("note: pulling").says(": done");
    assert!(!lines.stderr.contains(['\r', '\u{1b}']), "{:?}", lines.stderr);
    drop(dhow.run(&["rmi", "box"]).ok());
    let mut terminal = dhow.terminal(&["pull", &layout.reference("box")]);

    terminal.expect("[=");
    terminal.expect("sha256:");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn names_are_given_and_taken() {
    needs_root!();
    let dhow = with_box();
    let list = || dhow.run(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).ok().stdout;
    let before = list();

    drop(dhow.run(&["tag", "box", "other:2"]).ok());
    assert!(list().contains("other:2"), "{}", list());
    drop(dhow.run(&["rmi", "other:2"]).ok());

    assert_eq!(list(), before);
    assert_eq!(dhow.run(&["run", "--rm", "-q", "box", "echo", "hi"]).ok().stdout, "hi\n");
}

#[test]
fn names_go_and_the_image_stays() {
    needs_root!();
    let dhow = with_box();
    let list = || dhow.run(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).ok().stdout;
    let id = dhow.run(&["images", "-q", "--no-trunc"]).ok().line().to_owned();
    drop(dhow.run(&["tag", "box", "two", "three:3"]).ok());

    drop(dhow.run(&["untag", "box", "two"]).ok());
    let refused = dhow.run(&["untag", "box", "three:3", "nobody"]).exits(1);
    assert!(refused.stderr.contains("nobody is no name of image box"), "{}", refused.stderr);
    assert!(list().contains("three:3") && !list().contains("two:"), "{}", list());
    drop(dhow.run(&["image", "untag", &id]).ok());

    assert_eq!(list(), "<none>:<none>\n");
    assert_eq!(dhow.run(&["run", "--rm", "-q", &id, "echo", "hi"]).ok().stdout, "hi\n");
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn an_image_in_use_stays_and_a_removed_one_is_gone() {
    needs_root!();
    let dhow = with_box();
    drop(dhow.run(&["create", "-q", "--name", "job", "box", "true"]).ok());

    drop(dhow.run(&["rmi", "box"]).exits(1).says("box"));
    drop(dhow.run(&["rm", "job"]).ok());
    drop(dhow.run(&["rmi", "box"]).ok());

    assert_eq!(dhow.run(&["images", "-q"]).ok().stdout, "");
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    drop(dhow.run(&["run", "-q", "--pull", "never", "box", "true"]).exits(125).says("box"));
}

#[test]
fn lists_and_histories_have_dockers_columns() {
    needs_root!();
    let dhow = with_box();

    let table = dhow.run(&["images"]).ok().stdout;
    let header: Vec<&str> = table
        .lines()
        .next()
        .unwrap()
        .split("  ")
        .filter(|t| !t.is_empty())
        .map(str::trim)
        .collect();
    assert_eq!(header, ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"]);
    let history = dhow.run(&["history", "box"]).ok().stdout;
    let header: Vec<&str> = history
        .lines()
        .next()
        .unwrap()
        .split("  ")
        .filter(|t| !t.is_empty())
        .map(str::trim)
        .collect();
    assert_eq!(header, ["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"]);
    assert!(history.contains("layer 1"), "{history}");
    let json: Value =
        serde_json::from_str(&dhow.run(&["images", "--format", "json"]).ok().stdout).unwrap();
    assert!(json["ID"].as_str().unwrap().len() == 12, "{json}");
}
