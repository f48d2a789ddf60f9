//! `manifest …`: lists put together here, and what registries and skopeo make of them.

use crate::fixture::{layout, with_box};
use dhow_testkit::{
    Access, Dhow, Registry, Transport,
    image::{Compression, Image, native_architecture},
    needs_root, needs_tool, outcome, rootfs,
};
use serde_json::Value;
use std::process::Command;

/// The architecture that this machine is not.
fn foreign() -> &'static str {
    if native_architecture() == "arm64" { "amd64" } else { "arm64" }
}

/// A registry with an image for another machine, and its name there.
fn registry_with_foreign_image(dhow: &Dhow) -> (Registry, String) {
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let root = rootfs::busybox().unwrap();
    let layout = layout(dhow);
    let layer = layout.layer_of(root.path(), Compression::Gzip).unwrap();
    let image = Image::new([layer]).platform("linux", foreign(), None);
    layout.tag_image(&image, "foreign").unwrap();
    registry.push(&layout.reference("foreign"), "team/foreign:1").unwrap();
    let name = registry.reference("team/foreign:1");
    (registry, name)
}

fn skopeo(arguments: &[&str]) -> String {
    let mut command = Command::new("skopeo");
    command.arg("--insecure-policy").args(arguments);
    outcome::run_ok(&mut command, outcome::LIMIT).unwrap().stdout
}

fn inspect(dhow: &Dhow, list: &str) -> Value {
    serde_json::from_str(&dhow.run(&["manifest", "inspect", list]).ok().stdout).unwrap()
}

#[test]
fn a_list_of_ours_and_of_a_registry_is_pushed_whole() {
    needs_root!();
    needs_tool!("docker-registry", "skopeo", "busybox");
    let dhow = with_box();
    let (registry, foreign_image) = registry_with_foreign_image(&dhow);
    let away = format!("docker://{foreign_image}");

    let made = dhow.run(&["manifest", "create", "multi:1", "box"]).ok();
    assert!(made.line().starts_with("sha256:"), "{}", made.stdout);
    drop(dhow.run(&["manifest", "add", "--tls-verify=false", "multi:1", &away]).ok());
    let digest = dhow
        .run(&["manifest", "annotate", "--annotation", "by=test", "multi:1", "box"])
        .ok()
        .line()
        .to_owned();
    let to = registry.reference("team/multi:1");
    let pushed = dhow.run(&["manifest", "push", "-q", "--tls-verify=false", "multi:1", &to]).ok();

    assert_eq!(pushed.line(), digest);
    let there = format!("docker://{to}");
    let raw: Value =
        serde_json::from_str(&skopeo(&["inspect", "--tls-verify=false", "--raw", &there])).unwrap();
    assert_eq!(raw, inspect(&dhow, "multi:1"));
    let architectures: Vec<&str> = raw["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["platform"]["architecture"].as_str().unwrap())
        .collect();
    assert_eq!(architectures, [native_architecture(), foreign()]);
    assert_eq!(raw["manifests"][0]["annotations"]["by"], "test");
    for architecture in architectures {
        let into = format!("dir:{}/{architecture}", dhow.directory().display());
        let arguments = ["copy", "-q", "--src-tls-verify=false", "--override-arch", architecture];
        drop(skopeo(&[&arguments[..], &[&there, &into]].concat()));
    }
    let other = Dhow::new();
    drop(other.run(&["pull", "-q", "--tls-verify=false", &to]).ok());
    assert_eq!(other.run(&["run", "--rm", "-q", &to, "echo", "hi"]).ok().stdout, "hi\n");
}

#[test]
fn a_list_holds_our_images_until_it_goes() {
    needs_root!();
    needs_tool!("busybox");
    let dhow = with_box();
    drop(dhow.run(&["manifest", "create", "multi", "box"]).ok());

    drop(dhow.run(&["rmi", "box"]).exits(1).says("list localhost/multi:latest"));
    drop(dhow.run(&["image", "prune", "-af"]).ok());
    assert_eq!(dhow.run(&["images", "-q"]).ok().stdout.lines().count(), 1);
    drop(dhow.run(&["tag", "box", "multi"]).exits(1).says("list"));
    drop(dhow.run(&["manifest", "exists", "multi"]).ok());
    drop(dhow.run(&["manifest", "remove", "multi", "box"]).ok());
    assert_eq!(inspect(&dhow, "multi")["manifests"].as_array().unwrap().len(), 0);
    drop(dhow.run(&["rmi", "box"]).ok());
    drop(dhow.run(&["manifest", "rm", "multi"]).ok());

    drop(dhow.run(&["manifest", "exists", "multi"]).exits(1));
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn what_is_wrong_with_a_list_is_said_and_nothing_is_made() {
    needs_root!();
    needs_tool!("busybox");
    let dhow = with_box();
    drop(dhow.run(&["manifest", "create", "multi"]).ok());

    let cases: [(&[&str], &str); 7] = [
        (&["manifest", "create", "multi"], "that list exists"),
        (&["manifest", "create", "box"], "an image has this name"),
        (&["manifest", "create", "new", "dir:/nowhere"], "/nowhere"),
        (&["manifest", "add", "nobody", "box"], "no such list: nobody"),
        (&["manifest", "annotate", "multi", "box"], "box is not in list multi"),
        (&["manifest", "push", "nobody", "localhost:1/x"], "no such list: nobody"),
        (&["manifest", "rm", "nobody"], "no such list: nobody"),
    ];
    for (arguments, why) in cases {
        drop(dhow.run(arguments).exits(1).says(why));
    }
    drop(dhow.run(&["manifest", "exists", "new"]).exits(1));
    drop(dhow.run(&["manifest", "create", "--amend", "multi", "box"]).ok());
    assert_eq!(inspect(&dhow, "multi")["manifests"].as_array().unwrap().len(), 1);
}
