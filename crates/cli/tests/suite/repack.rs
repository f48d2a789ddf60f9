//! `image unpack` and `image repack`, with umoci on the other side.

use dhow_testkit::{
    Dhow, Tree,
    image::{Compression, Image, Layer, Layout},
    needs_root, needs_tool, outcome,
    tarball::{Entry, Tarball, What},
};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

/// A layout with an image of two layers under the name `two`.
fn layout_of_two(dhow: &Dhow) -> Layout {
    let at = dhow.directory();
    let (lower, upper) = (at.join("lower"), at.join("upper"));
    for root in [&lower, &upper] {
        fs::create_dir_all(root.join("etc/conf d")).unwrap();
        fs::create_dir_all(root.join("data")).unwrap();
        fs::write(root.join("etc/passwd"), "root:x:0:0::/root:\nweb:x:33:34::/srv:\n").unwrap();
        fs::write(root.join("etc/conf d/a#b"), "same").unwrap();
        fs::write(root.join("etc/kept"), "kept").unwrap();
        fs::hard_link(root.join("etc/kept"), root.join("etc/twin")).unwrap();
        symlink("kept", root.join("etc/soft")).unwrap();
        xattr(&root.join("etc/kept"), "user.note", "a b");
    }
    // Else the clock decides which directories of the upper tree are in the upper layer.
    for directory in ["etc/conf d", "etc", "data"] {
        let directory = fs::File::open(lower.join(directory)).unwrap();
        directory.set_modified(std::time::UNIX_EPOCH).unwrap();
    }
    fs::create_dir(lower.join("gone")).unwrap();
    fs::write(lower.join("gone/file"), "gone").unwrap();
    fs::write(upper.join("new"), "new").unwrap();
    let layout = Layout::new(&at.join("layout")).unwrap();
    let bottom = layout.layer_of(&lower, Compression::Gzip).unwrap();
    let top = layout.layer_between(&lower, &upper, Compression::Zstd).unwrap();
    tag(&layout, [bottom, top], "two");
    layout
}

fn tag(layout: &Layout, layers: impl IntoIterator<Item = Layer>, name: &str) {
    let image = Image::new(layers)
        .set("User", json!("web"))
        .set("Env", json!(["A=1"]))
        .set("Entrypoint", json!(["/entry"]))
        .set("WorkingDir", json!("/srv"))
        .set("Volumes", json!({"/data": {}}))
        .set("Labels", json!({"key": "value"}))
        .command(&["word"]);
    layout.tag_image(&image, name).unwrap();
}

fn xattr(path: &Path, name: &str, value: &str) {
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(path, name, value.as_bytes(), flags).unwrap();
}

fn umoci(arguments: &[&str]) {
    drop(outcome::run_ok(Command::new("umoci").args(arguments), outcome::LIMIT).unwrap());
}

/// Changes that an image must tell.
fn change(rootfs: &Path) {
    fs::write(rootfs.join("etc/added"), "added").unwrap();
    fs::write(rootfs.join("etc/conf d/a#b"), "SAME").unwrap();
    fs::remove_file(rootfs.join("etc/soft")).unwrap();
    fs::remove_file(rootfs.join("new")).unwrap();
    fs::create_dir_all(rootfs.join("new/below")).unwrap();
    fs::set_permissions(rootfs.join("etc/passwd"), fs::Permissions::from_mode(0o600)).unwrap();
    xattr(&rootfs.join("etc/passwd"), "user.mark", "x");
    fs::write(rootfs.join("data/of a volume"), "not in the image").unwrap();
}

fn without_volume(root: &Path) -> Tree {
    let mut tree = Tree::read(root).unwrap().without_times();
    drop(tree.entries.remove(&b"data/of a volume"[..]));
    tree
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_bundle_has_the_tree_and_the_configuration_of_the_image() {
    needs_root!();
    let dhow = Dhow::new();
    let layout = layout_of_two(&dhow);
    let bundle = dhow.directory().join("bundle");
    let image = format!("{}:two", layout.path().display());

    drop(dhow.run(&["image", "unpack", "--image", &image, text(&bundle)]).ok());

    let tree = |path: &Path| {
        let mut tree = Tree::read(path).unwrap();
        // The root is not listed in these layers.
        drop(tree.entries.remove(&b"."[..]));
        tree
    };
    tree(&bundle.join("rootfs")).assert_same(&tree(&dhow.directory().join("upper")));
    let config: Value =
        serde_json::from_slice(&fs::read(bundle.join("config.json")).unwrap()).unwrap();
    let process = &config["process"];
    assert_eq!(process["args"], json!(["/entry", "word"]));
    assert_eq!((&process["cwd"], &process["user"]["uid"]), (&json!("/srv"), &json!(33)));
    assert_eq!(process["user"]["gid"], 34);
    assert!(process["env"].as_array().unwrap().contains(&json!("A=1")));
    assert_eq!(config["annotations"]["key"], "value");
    // A second time there is something in the way, and it stays.
    drop(
        dhow.run(&["image", "unpack", "--image", &image, text(&bundle)])
            .exits(1)
            .says("there is something in it"),
    );
    assert!(bundle.join("config.json").exists());
    let missing = format!("{}:three", layout.path().display());
    let other = dhow.directory().join("other");
    drop(
        dhow.run(&["image", "unpack", "--image", &missing, text(&other)])
            .exits(1)
            .says("no image called three"),
    );
    assert!(!other.exists());
}

#[test]
fn a_corrupt_layer_leaves_no_bundle() {
    needs_root!();
    let dhow = Dhow::new();
    let layout = layout_of_two(&dhow);
    let manifest = layout.manifest("two").unwrap();
    let digest = manifest["layers"][1]["digest"].as_str().unwrap();
    let blob = layout.blob(&digest.parse().unwrap());
    let mut bytes = fs::read(&blob).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&blob, bytes).unwrap();
    let bundle = dhow.directory().join("bundle");
    let image = format!("{}:two", layout.path().display());

    let outcome = dhow.run(&["image", "unpack", "--image", &image, text(&bundle)]).exits(1);

    assert!(outcome.stderr.contains(digest), "{}", outcome.stderr);
    assert!(!bundle.exists());
}

/// Who unpacks a bundle, or packs it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Tool {
    Dhow,
    Umoci,
}

impl Tool {
    fn unpack(self, dhow: &Dhow, image: &str, bundle: &Path) {
        match self {
            Self::Dhow => {
                drop(dhow.run(&["image", "unpack", "--image", image, text(bundle)]).ok());
            }
            Self::Umoci => umoci(&["unpack", "--image", image, text(bundle)]),
        }
    }

    fn repack(self, dhow: &Dhow, image: &str, bundle: &Path) {
        match self {
            Self::Dhow => {
                drop(dhow.run(&["image", "repack", "--image", image, text(bundle)]).ok());
            }
            Self::Umoci => umoci(&["repack", "--image", image, text(bundle)]),
        }
    }
}

#[test]
fn a_root_without_an_entry_has_always_the_same_time() {
    use std::os::unix::fs::MetadataExt;
    needs_root!();
    let dhow = Dhow::new();
    let layout = Layout::new(&dhow.directory().join("layout")).unwrap();
    let layer = |root: Option<i64>, name: &str| {
        let mut tarball = Tarball::in_memory();
        if let Some(seconds) = root {
            let entry = Entry::new("./", What::Directory).mode(0o755).mtime(seconds, 5);
            tarball.put(&entry, b"").unwrap();
        }
        tarball.file(name, b"content").unwrap();
        layout.layer_of_tar(&tarball.finish().unwrap(), Compression::Gzip).unwrap()
    };
    let without = Image::new([layer(None, "a"), layer(None, "b")]);
    layout.tag_image(&without, "without").unwrap();
    let with = Image::new([layer(None, "a"), layer(Some(1000), "b"), layer(None, "c")]);
    layout.tag_image(&with, "with").unwrap();

    for (name, expected) in [("without", (0, 0)), ("with", (1000, 5))] {
        let bundle = dhow.directory().join(name);
        let image = format!("{}:{name}", layout.path().display());
        drop(dhow.run(&["image", "unpack", "--image", &image, bundle.to_str().unwrap()]).ok());

        let root = fs::metadata(bundle.join("rootfs")).unwrap();
        assert_eq!((root.mtime(), root.mtime_nsec()), expected, "{name}");
        let packed = ["image", "repack", "--compress", "zstd", "--image", &image];
        drop(dhow.run(&[&packed[..], &[bundle.to_str().unwrap()]].concat()).ok());
    }
}

#[test]
fn either_tool_packs_and_unpacks_what_the_other_did() {
    needs_root!();
    needs_tool!("umoci");
    let dhow = Dhow::new();
    let layout = layout_of_two(&dhow);
    // This umoci knows no zstd.
    let upper = layout.layer_of(&dhow.directory().join("upper"), Compression::Gzip).unwrap();
    tag(&layout, [upper], "one");
    let image = |name: &str| format!("{}:{name}", layout.path().display());
    let place = |name: &str| -> PathBuf { dhow.directory().join(name) };
    let ours = [Tool::Dhow, Tool::Umoci];
    for (number, (unpacks, packs)) in
        ours.into_iter().flat_map(|one| ours.map(|other| (one, other))).enumerate()
    {
        let name = format!("changed{number}");
        let bundle = place(&format!("bundle{number}"));
        unpacks.unpack(&dhow, &image("one"), &bundle);
        change(&bundle.join("rootfs"));

        packs.repack(&dhow, &image(&name), &bundle);

        let wanted = without_volume(&bundle.join("rootfs"));
        for reads in ours {
            let again = place(&format!("again{number}{reads:?}"));
            reads.unpack(&dhow, &image(&name), &again);
            eprintln!("unpacked by {unpacks:?}, packed by {packs:?}, read by {reads:?}");
            without_volume(&again.join("rootfs")).assert_same(&wanted);
            assert!(!again.join("rootfs/data/of a volume").exists());
        }
    }
}

#[test]
fn what_has_not_changed_is_the_same_image_and_what_has_is_one_layer() {
    needs_root!();
    let dhow = Dhow::new();
    let layout = layout_of_two(&dhow);
    let image = |name: &str| format!("{}:{name}", layout.path().display());
    let bundle = dhow.directory().join("bundle");
    drop(dhow.run(&["image", "unpack", "--image", &image("two"), text(&bundle)]).ok());
    let before = layout.manifest("two").unwrap();

    let repack = |name: &str, more: &[&str]| {
        let image = image(name);
        let line = [&["image", "repack", "--image", &image][..], more, &[text(&bundle)]].concat();
        dhow.run(&line).ok().line().to_owned()
    };
    let same = repack("same", &[]);

    assert_eq!(layout.manifest("same").unwrap(), before);
    change(&bundle.join("rootfs"));
    let first = repack("first", &["--compression-format", "zstd:chunked", "--mask-path", "/etc"]);
    assert_ne!(first, same);
    let manifest = layout.manifest("first").unwrap();
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 3);
    let annotations = manifest["layers"][2]["annotations"].as_object().unwrap();
    assert!(annotations.contains_key("io.github.containers.zstd-chunked.manifest-position"));
    drop(repack("refreshed", &["--refresh-bundle"]));
    let refreshed = layout.manifest("refreshed").unwrap();
    drop(repack("still", &[]));
    assert_eq!(layout.manifest("still").unwrap(), refreshed);
    // The image can be run from the layout, all three layers of it.
    drop(dhow.run(&["pull", "-q", &format!("oci:{}", image("first"))]).ok());
    drop(dhow.run(&["rmi", &first]).ok());
}
