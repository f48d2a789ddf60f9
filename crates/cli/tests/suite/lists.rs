//! `ps` and `inspect`: what is there, as docker shows it.

use crate::fixture::{start, wait_for_state, with_box};
use dhow_testkit::{Dhow, needs_root};
use serde_json::Value;

#[test]
fn an_empty_list_is_a_header() {
    let dhow = Dhow::new();

    let outcome = dhow.run(&["ps"]).ok();

    assert_eq!(
        outcome.stdout,
        "CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES\n"
    );
}

#[test]
fn a_list_has_dockers_columns_filters_and_formats() {
    needs_root!();
    let dhow = with_box();
    let id = start(&dhow, &["--name", "web", "-l", "tier=front", "box", "sleep", "100"]);
    drop(dhow.run(&["run", "-q", "--name", "over", "box", "sh", "-c", "exit 3"]).exits(3));
    let ps = |arguments: &[&str]| dhow.run(&[&["ps"], arguments].concat()).ok().stdout;

    let table = ps(&[]);
    let row = table.lines().nth(1).unwrap();
    assert!(row.starts_with(&id[..12]) && row.ends_with("web"), "{table}");
    assert!(row.contains("box") && row.contains("\"sleep 100\"") && row.contains("Up "), "{table}");
    assert_eq!(ps(&["-q", "--no-trunc"]).trim(), id);
    assert_eq!(ps(&["-a", "--format", "{{.Names}} {{.State}}"]), "over exited\nweb running\n");
    assert!(ps(&["-a"]).contains("Exited (3) "));
    assert_eq!(ps(&["-a", "-f", "name=ov", "--format", "{{.Names}}"]), "over\n");
    assert_eq!(ps(&["-f", "status=exited", "--format", "{{.Names}}"]), "over\n");
    assert_eq!(ps(&["-f", "label=tier=front", "-q"]).trim(), &id[..12]);
    assert_eq!(ps(&["-l", "--format", "{{.Names}}"]), "over\n");
    let lines: Vec<Value> = ps(&["-a", "--format", "json"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[1]["Names"], &lines[1]["Labels"]), (&"web".into(), &"tier=front".into()));
}

#[test]
fn inspect_shows_documents_and_fields() {
    needs_root!();
    let dhow = with_box();
    let id = start(&dhow, &["--name", "web", "-m", "64m", "box", "sleep", "100"]);
    wait_for_state(&dhow, "web", "running");
    let inspect = |arguments: &[&str]| dhow.run(&[&["inspect"], arguments].concat()).ok().stdout;

    let document: Value = serde_json::from_str(&inspect(&["web", "box"])).unwrap();
    assert_eq!(document[0]["Id"], id.as_str());
    assert_eq!(document[0]["Name"], "/web");
    assert_eq!(document[0]["HostConfig"]["Memory"], 64 << 20);
    assert!(document[1]["RootFS"]["Layers"].is_array(), "{document}");
    assert_eq!(inspect(&["-f", "{{.State.Running}} {{.Config.Cmd}}", "web"]), "true [sleep 100]\n");
    assert_eq!(inspect(&["--type", "image", "-f", "{{.Os}}", "box"]), "linux\n");
    drop(dhow.run(&["inspect", "--type", "image", "web"]).exits(1).says("web"));
    drop(dhow.run(&["inspect", "-f", "{{.Bogus}}", "web"]).exits(1).says("Bogus"));
    let partly = dhow.run(&["inspect", "web", "gone"]).exits(1).says("gone");
    assert_eq!(serde_json::from_str::<Value>(&partly.stdout).unwrap().as_array().unwrap().len(), 1);
}
