//! `policy.json` is obeyed: what it rejects, and what it wants signed, is taken by no command, and what it
//! lets pass is.

use crate::fixture;
use dhow_testkit::{
    Access, Dhow, Outcome, Registry, Transport, image::Layout, needs_root, needs_tool,
};
use serde_json::{Value, json};
use std::fs;

/// A dhow whose user has a policy, an image in a layout and in a registry.
struct World {
    dhow: Dhow,
    layout: Layout,
    registry: Registry,
}

impl World {
    fn open() -> Self {
        let dhow = Dhow::new();
        let layout = fixture::layout(&dhow);
        let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
        registry.push(&layout.reference("box"), "team/box:1").unwrap();
        Self { dhow, layout, registry }
    }

    fn trust(&self, policy: &Value) {
        let directory = self.dhow.directory().join(".config/containers");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("policy.json"), policy.to_string()).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = self.dhow.command(arguments);
        command.env("HOME", self.dhow.directory());
        self.dhow.finish(&mut command, b"")
    }

    /// None of the ways by which an image comes in.
    fn nothing_comes(&self, why: &str) {
        let name = self.registry.reference("team/box:1");
        let (there, source) = (format!("docker://{name}"), self.layout.reference("box"));
        let path = self.layout.path().display().to_string();
        let synced = self.dhow.directory().join("synced").display().to_string();
        let copy = format!("dir:{}", self.dhow.directory().join("copy").display());
        for arguments in [
            &["pull", "-q", &name][..],
            &["pull", "-q", "--all-platforms", &name],
            &["run", "--rm", "-q", &name, "true"],
            &["image", "copy", "-q", &there, &copy],
            &["image", "copy", "-q", &there, "dhow:other"],
            &["image", "sync", "--src", "docker", "--dest", "dir", &name, &synced],
            &["artifact", "pull", "-q", &name],
            &["pull", "-q", &source],
            &["load", "-q", "-i", &path],
            &["image", "copy", "-q", &source, &copy],
        ] {
            let refused = self.run(arguments);
            assert_ne!(refused.code, 0, "{arguments:?}");
            assert!(refused.stderr.contains(why), "{arguments:?}: {refused}");
            assert!(refused.stderr.contains("policy.json"), "{arguments:?}: {refused}");
        }
        assert_eq!(self.run(&["images", "-q"]).ok().stdout, "");
        assert!(!self.dhow.directory().join("copy").join("manifest.json").exists());
    }
}

#[test]
fn what_the_policy_rejects_or_wants_signed_is_not_taken() {
    needs_root!();
    needs_tool!("docker-registry", "skopeo");
    let world = World::open();

    world.trust(&json!({"default": [{"type": "reject"}]}));
    world.nothing_comes("\"reject\"");
    let name = world.registry.reference("team/box:1");
    // To look is not to take.
    drop(world.run(&["image", "inspect", &format!("docker://{name}")]).ok());
    for kind in ["signedBy", "sigstoreSigned"] {
        world.trust(&json!({
            "default": [{"type": kind, "keyType": "GPGKeys", "keyPath": "/none"}],
        }));
        world.nothing_comes(kind);
    }
    world.trust(&json!({"default": [{"type": "insecureAcceptAnything"}], "transport": {}}));
    world.nothing_comes("transport");

    assert_eq!(world.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn an_image_that_is_here_does_not_stand_in_for_a_newer_one_that_is_rejected() {
    needs_root!();
    needs_tool!("docker-registry", "skopeo");
    let world = World::open();
    let name = world.registry.reference("team/box:1");
    drop(world.run(&["pull", "-q", &name]).ok());

    world.trust(&json!({"default": [{"type": "reject"}]}));

    for newer in [
        &["pull", "-q", "--policy", "newer", &name][..],
        &["run", "--rm", "-q", "--pull", "newer", &name, "true"],
    ] {
        let refused = world.run(newer).says("\"reject\"");
        assert_ne!(refused.code, 0, "{refused}");
    }
    // Nobody is asked about what came before there was this policy.
    drop(world.run(&["run", "--rm", "-q", "--pull", "missing", &name, "true"]).ok());
}

#[test]
fn what_the_policy_lets_pass_by_its_scope_is_taken() {
    needs_root!();
    needs_tool!("docker-registry", "skopeo");
    let world = World::open();
    let team = world.registry.reference("team");
    let link = world.dhow.directory().join("link");
    std::os::unix::fs::symlink(world.layout.path(), &link).unwrap();
    let accept = json!([{"type": "insecureAcceptAnything"}]);
    world.trust(&json!({
        "default": [{"type": "reject"}],
        "transports": {
            "docker": {&team: accept, format!("{team}/closed"): [{"type": "reject"}]},
            "oci": {world.layout.path().display().to_string(): accept},
        },
    }));
    let name = world.registry.reference("team/box:1");
    world.registry.push(&world.layout.reference("box"), "team/closed:1").unwrap();

    drop(world.run(&["pull", "-q", &name]).ok());
    drop(world.run(&["pull", "-q", &world.registry.reference("team/closed:1")]).exits(1));
    // By whatever way, it is the same place; what is ours already may go anywhere.
    drop(world.run(&["pull", "-q", &format!("oci:{}:box", link.display())]).ok());
    let pushed = format!("docker://{}", world.registry.reference("elsewhere/box:1"));
    drop(world.run(&["push", "-q", &name, &pushed]).ok());
    drop(world.run(&["rmi", "-af"]).ok());
    assert_eq!(world.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn skopeo_may_be_given_another_policy_or_none() {
    needs_root!();
    needs_tool!("docker-registry", "skopeo");
    let world = World::open();
    let file = |name: &str, policy: Value| {
        let path = world.dhow.directory().join(name);
        fs::write(&path, policy.to_string()).unwrap();
        path.display().to_string()
    };
    let strict = file("strict.json", json!({"default": [{"type": "reject"}]}));
    let kind = file("kind.json", json!({"default": [{"type": "insecureAcceptAnything"}]}));
    world.trust(&json!({"default": [{"type": "reject"}]}));
    let source = format!("oci:{}:box", world.layout.path().display());
    let target = |name: &str| format!("dir:{}", world.dhow.directory().join(name).display());
    let copy = |before: &[&str], to: &str| {
        let target = target(to);
        let words = [before, &["copy", "-q", &source, &target]].concat();
        world.dhow.run_as("skopeo", &words)
    };

    drop(copy(&[], "a").exits(1).says("reject"));
    drop(copy(&["--policy", &strict], "a").exits(1).says("reject"));
    drop(copy(&["--policy", "/none/policy.json"], "a").exits(1).says("/none/policy.json"));
    drop(copy(&["--policy", &kind], "b").ok());
    drop(copy(&["--policy", &strict, "--insecure-policy"], "c").ok());
}
