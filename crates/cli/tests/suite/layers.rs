//! Images of many layers, layers that lie across each other's links, and the drivers for them.

use crate::fixture::{layout_of, snapshots};
use dhow_testkit::{
    Dhow, Tree,
    disk::{Disk, Format},
    image::{Compression, Image, Layout},
    need, needs_root, needs_tool, outcome, rootfs,
    tarball::{Entry, Tarball, What},
};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

#[test]
fn an_image_of_128_layers_runs() {
    needs_root!();
    let dhow = Dhow::new();
    let layout = many_layers(&dhow, 128);

    drop(dhow.run(&["pull", "-q", &layout.reference("many")]).ok());
    let script = "ls /layers | wc -l; cat /changed; ls /gone";
    let outcome = dhow.run(&["run", "--rm", "-q", "many", "sh", "-c", script]).ok();

    assert_eq!(outcome.stdout, "127\n127only127\n");
    drop(dhow.run(&["rmi", "many"]).ok());
    assert_eq!(snapshots(&dhow), Vec::<PathBuf>::new());
}

/// Each layer adds a file, changes one and removes one of the layer before.
fn many_layers(dhow: &Dhow, count: usize) -> Layout {
    let root = rootfs::busybox().unwrap();
    let layout = Layout::new(&dhow.directory().join("layout-many")).unwrap();
    let mut layers = vec![layout.layer_of(root.path(), Compression::Gzip).unwrap()];
    for number in 1..count {
        let mut tar = Tarball::in_memory();
        let names = [
            format!("layers/{number}"),
            "changed".to_owned(),
            format!("gone/only{number}"),
            format!("gone/.wh.only{}", number - 1),
        ];
        for name in names {
            tar.file(&name, number.to_string().as_bytes()).unwrap();
        }
        let tar = tar.finish().unwrap();
        layers.push(layout.layer_of_tar(&tar, Compression::Gzip).unwrap());
    }
    layout.tag_image(&Image::new(layers), "many").unwrap();
    layout
}

/// A layer that brings `lib/x` and does not list `lib`, which is a link below, means what the link
/// leads to.
#[test]
fn a_layer_may_reach_through_a_link_of_a_lower_one() {
    needs_root!();
    let dhow = Dhow::new();
    let root = rootfs::busybox().unwrap();
    fs::create_dir_all(root.path().join("usr/lib")).unwrap();
    fs::write(root.path().join("usr/lib/low"), "low").unwrap();
    fs::write(root.path().join("usr/lib/gone"), "gone").unwrap();
    symlink("usr/lib", root.path().join("lib")).unwrap();
    symlink("/usr/lib", root.path().join("replaced")).unwrap();
    let layout = Layout::new(&dhow.directory().join("layout")).unwrap();
    let mut tar = Tarball::in_memory();
    tar.file("lib/high", b"high").unwrap().file("lib/.wh.gone", b"").unwrap();
    tar.directory("replaced").unwrap().file("replaced/own", b"own").unwrap();
    let bottom = layout.layer_of(root.path(), Compression::Gzip).unwrap();
    let top = layout.layer_of_tar(&tar.finish().unwrap(), Compression::Gzip).unwrap();
    layout.tag_image(&Image::new([bottom, top]), "linked").unwrap();

    drop(dhow.run(&["pull", "-q", &layout.reference("linked")]).ok());
    let script = "readlink lib; ls usr/lib; ls replaced; readlink replaced || echo directory";
    let outcome = dhow.run(&["run", "--rm", "-q", "linked", "sh", "-c", script]).ok();

    assert_eq!(outcome.stdout, "usr/lib\nhigh\nlow\nown\ndirectory\n");
    needs_tool!("umoci");
    let image = format!("{}:linked", layout.path().display());
    let (theirs, ours) = (dhow.directory().join("theirs"), dhow.directory().join("ours"));
    let mut umoci = Command::new("umoci");
    umoci.args(["unpack", "--image", &image]).arg(&theirs);
    drop(outcome::run_ok(&mut umoci, outcome::LIMIT).unwrap());
    drop(dhow.run(&["image", "unpack", "--image", &image, ours.to_str().unwrap()]).ok());
    let tree = |bundle: &Path| Tree::read(&bundle.join("rootfs")).unwrap().without_times();
    tree(&ours).assert_same(&tree(&theirs));
}

#[test]
fn every_storage_driver_runs_an_image_and_refuses_to_mix() {
    needs_root!();
    let usual = Dhow::new();
    each_step(&usual, "overlay");
    each_step(&Dhow::new(), "plain");
    each_step(&Dhow::new(), "erofs");
    let refused = usual.run(&["--storage-driver", "zfs", "images"]).exits(1);
    assert!(refused.stderr.contains("overlay, erofs, plain and btrfs"), "{}", refused.stderr);
    needs_tool!("mkfs.btrfs");
    let disk = match Disk::formatted(Format::Btrfs, 512 << 20) {
        Ok(disk) => disk,
        Err(error) => return need::skip(&format!("a loop device ({})", error.one_line())),
    };
    each_step(&Dhow::below(disk.path()), "btrfs");
}

fn each_step(dhow: &Dhow, driver: &str) {
    let layout = layout_of(dhow, "box", |image| image);
    let run = |arguments: &[&str]| dhow.run(&[&["--storage-driver", driver], arguments].concat());
    drop(run(&["pull", "-q", &layout.reference("box")]).ok());
    let script = "echo changed > /bin/new; rm /bin/new; echo $?";
    assert_eq!(run(&["run", "--rm", "-q", "box", "sh", "-c", script]).ok().stdout, "0\n");
    let written = fs::read_to_string(dhow.root().join("snapshots/driver")).unwrap();
    assert_eq!(written.trim(), driver);
    let other = if driver == "plain" { "overlay" } else { "plain" };
    drop(
        dhow.run(&["--storage-driver", other, "run", "--rm", "box", "true"])
            .exits(125)
            .says(&format!("what is here is in {driver}")),
    );
    // Without the flag it is what it was.
    assert_eq!(dhow.run(&["run", "--rm", "-q", "box", "echo", "hi"]).ok().stdout, "hi\n");
    drop(run(&["rmi", "box"]).ok());
}

/// Each limit lets through what is at its edge, and not a step more; nothing is left of that.
#[test]
fn limits_of_layers_are_settings() {
    needs_root!();
    let dhow = Dhow::new();
    let layout = Layout::new(&dhow.directory().join("layout")).unwrap();
    let mut tar = Tarball::in_memory();
    tar.directory("d").unwrap().file("d/file", &[0; 8192]).unwrap();
    let note = Entry::new("noted", What::File).xattr("user.note", &[b'x'; 100]);
    tar.put(&note, b"").unwrap();
    let layer = layout.layer_of_tar(&tar.finish().unwrap(), Compression::Gzip).unwrap();
    layout.tag_image(&Image::new([layer]), "edge").unwrap();
    let pull =
        |flags: &[&str]| dhow.run(&[flags, &["pull", "-q", &layout.reference("edge")]].concat());
    let edges = [
        // The attribute has a header of its own.
        ("entries", 4, "entries"),
        ("unpacked", 8192, "unpacked bytes"),
        ("file", 8192, "bytes of one file"),
        ("path", 6, "bytes of path"),
        ("component", 5, "bytes of path component"),
        ("depth", 2, "path components"),
        ("xattr", 100, "bytes of extended attribute"),
    ];
    for (name, edge, words) in edges {
        let limit = |value: u64| format!("{name}={value}");
        let refused = pull(&["--limit", &limit(edge - 1)]).exits(1);
        assert!(refused.stderr.contains(words), "{name}: {}", refused.stderr);
        assert!(refused.stderr.contains("--limit raises it"), "{name}: {}", refused.stderr);
        assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n", "{name}");
        drop(pull(&["--limit", &limit(edge)]).ok());
        drop(dhow.run(&["rmi", "edge"]).ok());
    }
    drop(pull(&["--limit", "ratio=2", "--limit", "ratio-from=1k"]).exits(1).says("times"));
    drop(pull(&["--limit", "ratio=2"]).ok());
    drop(dhow.run(&["rmi", "edge"]).ok());

    let mut by_variable = dhow.command(&["pull", "-q", &layout.reference("edge")]);
    by_variable.env("DHOW_LIMITS", "depth=9,entries=1");
    drop(dhow.finish(&mut by_variable, b"").exits(1).says("limit of 1 entries"));
    drop(pull(&["--limit", "bogus=1"]).exits(1).says("there are entries, unpacked"));
    drop(pull(&["--limit", "depth"]).exits(1).says("NAME=NUMBER"));
}

#[test]
fn limits_of_memory_and_of_whole_images_are_settings() {
    needs_root!();
    let dhow = Dhow::new();
    let layout = Layout::new(&dhow.directory().join("layout")).unwrap();
    let mut tar = Tarball::in_memory();
    // Its directory is not listed, which is to be remembered until the end.
    tar.file("implied/large", &vec![7; 5 << 20]).unwrap();
    let one = layout.layer_of_tar(&tar.finish().unwrap(), Compression::Zstd).unwrap();
    let mut tar = Tarball::in_memory();
    tar.file("small", b"1").unwrap();
    let two = layout.layer_of_tar(&tar.finish().unwrap(), Compression::Gzip).unwrap();
    layout.tag_image(&Image::new([one, two]), "edge").unwrap();
    let pull = |limit: &str| dhow.run(&["--limit", limit, "pull", "-q", &layout.reference("edge")]);
    let edges = [
        ("layers=1", "layers=2", "limit of 1 layers"),
        // The window of a stream of zstd's level 3 whose length nobody knew.
        ("memory=2097151", "memory=2m", "limit of 2097151 bytes memory"),
        ("remembered=1", "remembered=1k", "limit of 1 bytes of remembered paths"),
    ];
    for (below, edge, words) in edges {
        let refused = pull(below).exits(1).says(words);
        assert_eq!(refused.stdout, "", "{below}");
        assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n", "{below}");
        drop(pull(edge).ok());
        drop(dhow.run(&["rmi", "edge"]).ok());
    }
    // A bundle is unpacked within the same limits.
    let bundle = dhow.directory().join("bundle");
    let unpack = |limit: &str| {
        let bundle = bundle.to_str().unwrap();
        dhow.run(&[
            "--limit",
            limit,
            "image",
            "unpack",
            "--image",
            &format!("{}:edge", layout.path().display()),
            bundle,
        ])
    };
    drop(unpack("layers=1").exits(1).says("limit of 1 layers"));
    assert!(!bundle.exists());
    drop(unpack("layers=2").ok());
}
