//! The newest forms of what dhow writes, read by umoci, skopeo and podman, and what they write read
//! here: sparse files, other compressions, artifacts.

use crate::fixture::{self, with_box};
use dhow_testkit::{
    Access, Dhow, Outcome, Registry, Transport, Tree,
    image::{Compression, Image, Layout},
    needs_root, needs_tool, outcome,
};
use serde_json::Value;
use std::{
    fs,
    io::{Seek, SeekFrom, Write},
    os::unix::fs::MetadataExt,
    path::Path,
    process::Command,
};

const SPARSE_BYTES: u64 = 16 << 20;

fn run(program: &str, arguments: &[&str]) -> Outcome {
    outcome::run_ok(Command::new(program).args(arguments), outcome::LIMIT).unwrap()
}

/// Podman with a store of its own.
fn podman(dhow: &Dhow, arguments: &[&str]) -> Outcome {
    fixture::podman(dhow, arguments).ok()
}

/// Data at the beginning, in the middle and at the end, and nothing in between.
fn write_sparse(path: &Path) {
    let mut file = fs::File::create_new(path).unwrap();
    for at in [0, SPARSE_BYTES / 2 + 12345, SPARSE_BYTES - 5] {
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(b"data.").unwrap();
    }
}

fn is_sparse(path: &Path) -> bool {
    let status = fs::metadata(path).unwrap();
    assert_eq!(status.len(), SPARSE_BYTES);
    status.blocks() * 512 < SPARSE_BYTES / 4
}

/// A layout whose image `sparse` was packed here from a bundle with a sparse file and attributes.
fn with_sparse(dhow: &Dhow) -> (Layout, std::path::PathBuf) {
    let layout = Layout::new(&dhow.directory().join("layout")).unwrap();
    let mut tar = dhow_testkit::tarball::Tarball::in_memory();
    tar.directory("etc").unwrap().file("etc/base", b"base").unwrap();
    let base = layout.layer_of_tar(&tar.finish().unwrap(), Compression::Gzip).unwrap();
    layout.tag_image(&Image::new([base]), "base").unwrap();
    let bundle = dhow.directory().join("bundle");
    let image = |name: &str| format!("{}:{name}", layout.path().display());
    let bundle_text = bundle.to_str().unwrap();
    drop(dhow.run(&["image", "unpack", "--image", &image("base"), bundle_text]).ok());
    let sparse = bundle.join("rootfs/etc/sparse");
    write_sparse(&sparse);
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(&sparse, "user.note", b"of a sparse file", flags).unwrap();
    drop(dhow.run(&["image", "repack", "--image", &image("sparse"), bundle_text]).ok());
    (layout, bundle)
}

#[test]
fn a_sparse_file_is_the_same_file_to_umoci_and_skopeo() {
    needs_root!();
    needs_tool!("umoci", "skopeo", "gzip");
    let dhow = Dhow::new();
    let (layout, bundle) = with_sparse(&dhow);
    let image = format!("{}:sparse", layout.path().display());
    let (ours, theirs) = (dhow.directory().join("ours"), dhow.directory().join("theirs"));
    let copied = dhow.directory().join("copied");

    drop(dhow.run(&["image", "unpack", "--image", &image, ours.to_str().unwrap()]).ok());
    drop(run("umoci", &["unpack", "--image", &image, theirs.to_str().unwrap()]));
    let target = format!("dir:{}", copied.display());
    drop(run("skopeo", &["--insecure-policy", "copy", "-q", &format!("oci:{image}"), &target]));

    let manifest: Value = layout.manifest("sparse").unwrap();
    let digest = manifest["layers"][1]["digest"].as_str().unwrap();
    let blob = layout.blob(&digest.parse().unwrap());
    let tar = run("gzip", &["-dc", blob.to_str().unwrap()]).bytes.len();
    assert!(tar < 1 << 20, "the holes are in the layer: {tar} bytes");
    assert!(is_sparse(&ours.join("rootfs/etc/sparse")), "the holes are filled");
    let wanted = Tree::read(&bundle.join("rootfs/etc")).unwrap();
    Tree::read(&ours.join("rootfs/etc")).unwrap().assert_same(&wanted);
    Tree::read(&theirs.join("rootfs/etc")).unwrap().assert_same(&wanted);
    // umoci finds nothing to be packed in what was unpacked here, and the reverse: the manifests of
    // the trees agree to the last attribute.
    for (bundle, name) in [(&ours, "by-umoci"), (&theirs, "by-dhow")] {
        let again = format!("{}:{name}", layout.path().display());
        let bundle = bundle.to_str().unwrap();
        if name == "by-umoci" {
            drop(run("umoci", &["repack", "--image", &again, bundle]));
        } else {
            drop(dhow.run(&["image", "repack", "--image", &again, bundle]).ok());
        }
        let repacked = layout.manifest(name).unwrap();
        let size = |layer: &Value| layer["size"].as_u64().unwrap();
        let new = repacked["layers"].as_array().unwrap().iter().skip(2);
        // umoci packs an empty layer where there is nothing to pack.
        assert!(new.map(size).all(|size| size < 1024), "{name}: {repacked}");
    }
}

#[test]
fn podman_loads_sparse_files_and_pulls_every_compression() {
    needs_root!();
    needs_tool!("podman", "docker-registry");
    let dhow = Dhow::new();
    let (layout, bundle) = with_sparse(&dhow);
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    drop(dhow.run(&["pull", "-q", &layout.reference("sparse")]).ok());
    let archive = dhow.directory().join("saved.tar");
    drop(dhow.run(&["save", "-q", "-o", archive.to_str().unwrap(), "sparse"]).ok());
    let wanted = Tree::read(&bundle.join("rootfs/etc")).unwrap();
    let read_by_podman = |image: &str, how: &str| {
        let root = podman(&dhow, &["image", "mount", image]);
        let tree = Tree::read(&Path::new(root.line()).join("etc")).unwrap();
        eprintln!("read by podman from {how}");
        tree.assert_same(&wanted);
        drop(podman(&dhow, &["image", "unmount", image]));
        drop(podman(&dhow, &["rmi", "-af"]));
    };

    drop(podman(&dhow, &["load", "-q", "-i", archive.to_str().unwrap()]));
    let images = podman(&dhow, &["images", "-q"]);
    read_by_podman(images.line(), "docker-archive");
    for (number, form) in ["gzip", "zstd", "zstd:chunked"].iter().enumerate() {
        let name = registry.reference(&format!("sparse:{number}"));
        let push = ["push", "-q", "--compression-format", form, "sparse", &name];
        let pushed = dhow.run(&push).ok();
        // Its table of contents has no holes, and a file with zeros in their place would be another layer.
        let is_told = pushed.stderr.contains("without the table of contents");
        assert_eq!(is_told, *form == "zstd:chunked", "{pushed}");
        drop(podman(&dhow, &["pull", "-q", "--tls-verify=false", &name]));
        read_by_podman(&name, form);
    }
    drop(dhow.run(&["pull", "-q", &layout.reference("base")]).ok());
    let chunked = registry.reference("base:chunked");
    let push = ["push", "-q", "--compression-format", "zstd:chunked", "base", &chunked];
    drop(dhow.run(&push).ok());
    drop(podman(&dhow, &["pull", "-q", "--tls-verify=false", &chunked]));
    let root = podman(&dhow, &["image", "mount", &chunked]);
    assert_eq!(fs::read(Path::new(root.line()).join("etc/base")).unwrap(), b"base");
    drop(podman(&dhow, &["image", "unmount", &chunked]));
    drop(podman(&dhow, &["rmi", "-af"]));
    for kind in ["v2s2", "oci"] {
        let name = registry.reference(&format!("form:{kind}"));
        drop(dhow.run(&["push", "-q", "--format", kind, "sparse", &name]).ok());
        drop(podman(&dhow, &["pull", "-q", "--tls-verify=false", &name]));
        read_by_podman(&name, kind);
    }
}

#[test]
fn what_podman_pushes_in_each_compression_is_read_here() {
    needs_root!();
    needs_tool!("podman", "docker-registry");
    let dhow = with_box();
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let archive = dhow.directory().join("saved.tar");
    drop(dhow.run(&["save", "-q", "-o", archive.to_str().unwrap(), "box"]).ok());
    drop(podman(&dhow, &["load", "-q", "-i", archive.to_str().unwrap()]));
    let id = podman(&dhow, &["images", "-q"]).line().to_owned();

    for form in ["gzip", "zstd", "zstd:chunked"] {
        let name = registry.reference(&format!("box:{}", form.replace(':', "-")));
        let push = ["push", "-q", "--tls-verify=false", "--format", "oci", "--compression-format"];
        drop(podman(&dhow, &[&push[..], &[form, &id, &name]].concat()));
        drop(dhow.run(&["pull", "-q", &name]).ok());

        assert_eq!(dhow.run(&["image", "diff", "box", &name]).ok().stdout, "", "{form}");
    }
}

#[test]
fn an_artifact_is_one_to_skopeo_and_one_that_skopeo_copied_is_one_here() {
    needs_root!();
    needs_tool!("skopeo", "docker-registry");
    let dhow = Dhow::new();
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let file = dhow.directory().join("model.bin");
    fs::write(&file, b"weights").unwrap();
    let (one, two) = (registry.reference("one:1"), registry.reference("two:1"));

    let add = ["artifact", "add", "--type", "application/x.model", &one, file.to_str().unwrap()];
    drop(dhow.run(&add).ok());
    drop(dhow.run(&["artifact", "push", "-q", &one]).ok());
    let copy =
        ["--insecure-policy", "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false"];
    let (from, to) = (format!("docker://{one}"), format!("docker://{two}"));
    drop(run("skopeo", &[&copy[..], &["--preserve-digests", &from, &to]].concat()));
    drop(dhow.run(&["artifact", "pull", "-q", &two]).ok());
    let out = dhow.directory().join("out");
    drop(dhow.run(&["artifact", "extract", &two, out.to_str().unwrap()]).ok());

    assert_eq!(fs::read(&out).unwrap(), b"weights");
    let raw = run("skopeo", &["inspect", "--raw", "--tls-verify=false", &from]);
    let manifest: Value = serde_json::from_str(&raw.stdout).unwrap();
    assert_eq!(manifest["artifactType"], "application/x.model");
}
