//! The OCI runtime's `spec`.

use crate::bundle::Bundle;
use dhow_testkit::needs_root;
use serde_json::{Value, json};
use std::fs;

#[test]
fn a_configuration_is_written_once() {
    let bundle = Bundle::new(&["true"]);
    let other = bundle.path.join("other");
    fs::create_dir(&other).unwrap();

    drop(bundle.run(&["spec", "--bundle", "other"]).ok());
    drop(bundle.run(&["spec", "-b", "other"]).exits(1).says("exists. Remove it first"));
    drop(bundle.run(&["spec", "-b", "gone"]).exits(1).says("gone"));

    let config: Value =
        serde_json::from_slice(&fs::read(other.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["process"]["args"], json!(["sh"]));
    assert_eq!(config["root"], json!({"path": "rootfs", "readonly": true}));
    assert_eq!(config["process"]["terminal"], true);
}

/// As runc's template: with version 1's hierarchies a container sees its cgroups where the machine has
/// them.
#[test]
fn a_cgroup_namespace_is_for_version_2_alone() {
    let bundle = Bundle::new(&["true"]);
    let is_unified = fs::exists("/sys/fs/cgroup/cgroup.controllers").unwrap();

    let config: Value =
        serde_json::from_slice(&fs::read(bundle.path.join("config.json")).unwrap()).unwrap();

    let namespaces = config["linux"]["namespaces"].as_array().unwrap();
    let has = namespaces.iter().any(|namespace| namespace["type"] == "cgroup");
    assert_eq!(has, is_unified);
}

#[test]
fn one_for_an_ordinary_user_has_a_user_namespace_and_no_network() {
    needs_root!();
    let bundle = Bundle::new(&["true"]);
    fs::remove_file(bundle.path.join("config.json")).unwrap();

    drop(bundle.run(&["spec", "--rootless"]).ok());

    let config: Value =
        serde_json::from_slice(&fs::read(bundle.path.join("config.json")).unwrap()).unwrap();
    let kinds: Vec<&str> = config["linux"]["namespaces"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|namespace| namespace["type"].as_str())
        .collect();
    assert!(kinds.contains(&"user") && !kinds.contains(&"network"), "{kinds:?}");
    assert_eq!(config["linux"]["uidMappings"], json!([{"containerID": 0, "hostID": 0, "size": 1}]));
    let text = config["mounts"].to_string();
    assert!(!text.contains("gid=") && text.contains("rbind"), "{text}");
}
