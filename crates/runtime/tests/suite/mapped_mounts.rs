//! Mounts with mapped ids: with their own mappings, with the container's, with those of a user
//! namespace that is joined.

use crate::{bundle::Bundle, mounts::bind};
use dhow_spec::runtime::{IdMapping, Namespace, NamespaceKind};
use dhow_testkit::{need, needs, needs_root, needs_tool};
use std::{
    os::unix::fs::{MetadataExt, chown},
    path::Path,
};

fn range(container_id: u32, host_id: u32, size: u32) -> IdMapping {
    IdMapping { container_id, host_id, size }
}

/// A directory of the host's with a file of root's and one of user 5's.
fn source(bundle: &Bundle) -> std::path::PathBuf {
    let source = bundle.directory().join("mapped");
    std::fs::create_dir(&source).unwrap();
    for (name, owner) in [("of-root", 0), ("of-5", 5)] {
        std::fs::write(source.join(name), "").unwrap();
        chown(source.join(name), Some(owner), Some(owner)).unwrap();
    }
    source
}

fn in_user_namespace(bundle: &mut Bundle) {
    bundle.give_to(100_000);
    let linux = bundle.spec.linux.as_mut().unwrap();
    linux.namespaces.push(Namespace { kind: NamespaceKind::User, path: None });
    linux.uid_mappings = vec![range(0, 100_000, 65_536)];
    linux.gid_mappings = linux.uid_mappings.clone();
}

const LOOK: &str = "stat -c %u:%g /mapped/of-root /mapped/of-5; touch /mapped/new";

#[test]
fn without_mappings_of_its_own_a_mount_has_the_container_s() {
    needs_root!();
    needs!(need::kernel(6, 3), "a tmpfs that can be mapped (Linux 6.3)");
    for option in ["idmap", "ridmap"] {
        let mut bundle = Bundle::new();
        in_user_namespace(&mut bundle);
        let source = source(&bundle);
        bundle.spec.mounts.push(bind(&source, "/mapped", &["rbind", option]));

        let outcome = bundle.sh(LOOK).ok();

        // On disk nothing is 100,000's, and inside everything is the container's own.
        assert_eq!(outcome.stdout, "0:0\n5:5\n", "{option}");
        assert_eq!(source.join("new").metadata().unwrap().uid(), 0, "{option}");
    }
}

#[test]
fn a_mount_can_have_mappings_of_its_own() {
    needs_root!();
    needs!(need::kernel(6, 3), "a tmpfs that can be mapped (Linux 6.3)");
    let mut bundle = Bundle::new();
    in_user_namespace(&mut bundle);
    let source = source(&bundle);
    let mut mount = bind(&source, "/mapped", &["bind"]);
    // The file of user 5 is the container's user 7's, and root's is nobody's.
    mount.uid_mappings = vec![range(5, 100_007, 1), range(9, 100_000, 1)];
    mount.gid_mappings = vec![range(5, 100_008, 1), range(9, 100_000, 1)];
    bundle.spec.mounts.push(mount);

    let outcome =
        bundle.sh("stat -c %u:%g /mapped/of-root /mapped/of-5; touch /mapped/new").exits(1);

    assert_eq!(outcome.stdout, "65534:65534\n7:8\n", "{outcome}");
}

#[test]
fn a_joined_user_namespace_maps_too() {
    needs_root!();
    needs!(need::kernel(6, 3), "a tmpfs that can be mapped (Linux 6.3)");
    let mut first = Bundle::new();
    in_user_namespace(&mut first);
    let mut held = first.hold(&["true"]);
    let mut second = Bundle::new();
    second.give_to(100_000);
    let path = format!("/proc/{}/ns/user", held.pid);
    let namespaces = &mut second.spec.linux.as_mut().unwrap().namespaces;
    namespaces.push(Namespace { kind: NamespaceKind::User, path: Some(path.into()) });
    let source = source(&second);
    second.spec.mounts.push(bind(&source, "/mapped", &["bind", "idmap"]));

    let outcome = second.sh(LOOK).ok();

    assert_eq!(outcome.stdout, "0:0\n5:5\n");
    assert_eq!(source.join("new").metadata().unwrap().uid(), 0);
    held.start();
    assert_eq!(held.end(), (0, String::new()));
}

#[test]
fn idmap_maps_one_mount_and_ridmap_those_below() {
    needs_root!();
    needs!(need::kernel(6, 3), "a tmpfs that can be mapped (Linux 6.3)");
    needs_tool!("unshare");
    let mut bundle = Bundle::new();
    let setup = "mkdir tree; mount -t tmpfs none tree; mkdir tree/below
        mount -t tmpfs none tree/below; touch tree/a tree/below/b";
    let cases: [(&str, &[&str]); 3] =
        [("/one", &["rbind", "idmap"]), ("/plain", &["rbind"]), ("/all", &["rbind", "ridmap"])];
    for (at, options) in cases {
        let mut mount = bind(Path::new("tree"), at, options);
        mount.uid_mappings = vec![range(0, 1000, 10)];
        mount.gid_mappings = vec![range(0, 1000, 10)];
        bundle.spec.mounts.push(mount);
    }

    let look = "stat -c %u /one/a /one/below/b /plain/a /plain/below/b /all/a /all/below/b";
    let outcome = bundle.sh_within(setup, look).ok();

    assert_eq!(outcome.stdout, "1000\n0\n1000\n0\n1000\n1000\n");
}

#[test]
fn mappings_that_cannot_be_are_refused() {
    needs_root!();
    needs!(need::kernel(6, 3), "a tmpfs that can be mapped (Linux 6.3)");
    let mut bundle = Bundle::new();
    let source = source(&bundle);
    bundle.spec.mounts.push(bind(&source, "/mapped", &["bind", "idmap"]));

    drop(bundle.run(&["true"]).exits(125).says("neither it nor the container has mappings"));

    bundle.spec.mounts.last_mut().unwrap().uid_mappings = vec![range(0, 1000, 1)];
    drop(bundle.run(&["true"]).exits(125).says("uidMappings and gidMappings go together"));

    bundle.spec.mounts.pop();
    bundle.spec.mounts.push(bind(Path::new("/proc"), "/mapped", &["bind", "idmap"]));
    in_user_namespace(&mut bundle);
    drop(bundle.run(&["true"]).exits(125).says("map the ids of the mount"));
}
