//! `kill -9` at random points of everything that is done to images: the doctor finds nothing, the
//! retry succeeds, and in the end no byte is left over.

use crate::{
    fixture::snapshots,
    torment::{Dice, Operation, torment, words},
};
use dhow_testkit::{
    Access, Dhow, Registry, Transport,
    image::{Compression, Image, Layout},
    needs_root, needs_tool, outcome,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// An image whose layers take a moment: files that hardly compress, and many small ones.
fn image(directory: &Path) -> Layout {
    let layout = Layout::new(&directory.join("layout")).unwrap();
    let mut dice = Dice(7);
    let layers: Vec<_> = (0..3)
        .map(|number| {
            let tree = directory.join(format!("tree-{number}"));
            fs::create_dir(&tree).unwrap();
            let noise: Vec<u8> = (0..1_500_000).map(|_| dice.throw().to_le_bytes()[0]).collect();
            fs::write(tree.join(format!("noise-{number}")), noise).unwrap();
            for file in 0..60 {
                fs::write(tree.join(format!("small-{number}-{file}")), [number; 100]).unwrap();
            }
            layout.layer_of(&tree, Compression::Gzip).unwrap()
        })
        .collect();
    layout.tag_image(&Image::new(layers), "box").unwrap();
    layout
}

#[test]
fn whatever_is_killed_the_doctor_is_content_and_the_retry_succeeds() {
    needs_root!();
    needs_tool!("docker-registry", "skopeo", "tar");
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let dhow = Dhow::new();
    let layout = image(dhow.directory());
    let source = layout.reference("box");
    registry.push(&source, "team/box:1").unwrap();
    let name = registry.reference("team/box:1");
    let archive = dhow.directory().join("box.tar").display().to_string();
    drop(dhow.run(&["pull", "-q", &source]).ok());
    drop(dhow.run(&["save", "-q", "-o", &archive, "box"]).ok());
    drop(dhow.run(&["rmi", "-f", "box"]).ok());
    let id = || dhow.run(&["images", "-q", "--no-trunc"]).ok().stdout;
    let gone = || drop(dhow.run(&["rmi", "-af"]).ok());
    let here = || drop(dhow.run(&["pull", "-q", "--tls-verify=false", &name]).ok());
    let is_here = || assert_eq!(id().lines().count(), 1);
    let is_gone = || assert_eq!(id(), "");
    let copies = dhow.directory().join("copies");
    let to_layout = format!("oci:{}:box", copies.display());
    let no_copy = || drop(fs::remove_dir_all(&copies));
    let is_copied = || {
        let digest = dhow.run(&["image", "inspect", "--format", "{{.Digest}}", &to_layout]).ok();
        let expected = dhow.run(&["image", "inspect", "--format", "{{.Digest}}", &source]).ok();
        assert_eq!(digest.stdout, expected.stdout);
    };
    let pushed = registry.reference("other/box:1");
    let is_pushed = || {
        let there = format!("docker://{pushed}");
        let arguments =
            ["image", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", &there];
        drop(dhow.run(&arguments).ok());
    };
    let saved = dhow.directory().join("saved.tar");
    let not_saved = || drop(fs::remove_file(&saved));
    let here_alone = || {
        here();
        not_saved();
    };
    let is_saved = || {
        let loaded = Dhow::new();
        drop(loaded.run(&["load", "-q", "-i", saved.to_str().unwrap()]).ok());
        not_saved();
    };
    let discarded = || {
        let held = fs::read_dir(dhow.root().join("content/blobs/sha256")).unwrap().count();
        assert_eq!(held, 2, "manifest and configuration are left");
        not_saved();
        // Whatever was discarded can be had again.
        let copy = format!("oci-archive:{}", saved.display());
        drop(dhow.run(&["image", "copy", "-q", &format!("dhow:{name}"), &copy]).ok());
    };
    let here_without_layers = || {
        here();
        drop(dhow.run(&["image", "discard", "--tls-verify=false", &name]).ok());
    };
    let whole_again = || {
        let held = fs::read_dir(dhow.root().join("content/blobs/sha256")).unwrap().count();
        assert_eq!(held, 5, "three layers are there again");
    };
    // What interrupted pulls hold would be counted too.
    let gone_whole = || {
        gone();
        drop(dhow.run(&["image", "prune", "-af"]).ok());
    };
    let here_anew = || {
        gone_whole();
        here();
    };
    let root = dhow.directory().join("tree-0.tar");
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(dhow.directory().join("tree-0")).arg("-cf").arg(&root).arg(".");
    drop(outcome::run_ok(&mut tar, outcome::LIMIT).unwrap());
    let root = root.display().to_string();
    let operations = [
        Operation {
            name: "save",
            before: &here_alone,
            arguments: words(&["save", "-q", "-o", saved.to_str().unwrap(), &name]),
            after: &is_saved,
        },
        Operation {
            name: "import",
            before: &gone,
            arguments: words(&["import", "-q", &root, "imported"]),
            after: &is_here,
        },
        Operation {
            name: "pull",
            before: &gone,
            arguments: words(&["pull", "-q", "--tls-verify=false", &name]),
            after: &is_here,
        },
        Operation {
            name: "load",
            before: &gone,
            arguments: words(&["load", "-q", "-i", &archive]),
            after: &is_here,
        },
        Operation {
            name: "discard",
            before: &here_anew,
            arguments: words(&["image", "discard", "--tls-verify=false", &name]),
            after: &discarded,
        },
        Operation {
            name: "refetch",
            before: &here_without_layers,
            arguments: words(&["image", "refetch", "--tls-verify=false", &name]),
            after: &whole_again,
        },
        Operation {
            name: "pull that discards",
            before: &gone_whole,
            arguments: words(&["--discard-layers", "pull", "-q", "--tls-verify=false", &name]),
            after: &discarded,
        },
        Operation {
            name: "rmi",
            before: &here,
            arguments: words(&["rmi", "-f", &name]),
            after: &is_gone,
        },
        Operation {
            name: "prune",
            before: &here,
            arguments: words(&["image", "prune", "-af"]),
            after: &is_gone,
        },
        Operation {
            name: "copy",
            before: &no_copy,
            arguments: words(&["image", "copy", "-q", &source, &to_layout]),
            after: &is_copied,
        },
        Operation {
            name: "push",
            before: &here,
            arguments: words(&["push", "-q", "--tls-verify=false", &name, &pushed]),
            after: &is_pushed,
        },
    ];

    torment(&dhow, &gone, &operations);

    gone();
    no_copy();
    let strays: Vec<String> = fs::read_dir(dhow.directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".tmp"))
        .collect();
    assert!(strays.is_empty(), "{strays:?}");
    drop(dhow.run(&["system", "prune", "-af"]).ok());
    assert_eq!(dhow.run(&["system", "check"]).ok().stdout, "all is well\n");
    let sizes = dhow.run(&["system", "df", "--format", "{{.Type}} {{.RawSize}}"]).ok().stdout;
    assert!(sizes.starts_with("Images 0\nContainers 0\n"), "{sizes}");
    for directory in ["content/ingest", "content/blobs/sha256"] {
        let left = fs::read_dir(dhow.root().join(directory)).unwrap().count();
        assert_eq!(left, 0, "{directory}");
    }
}

#[test]
fn whoever_is_killed_while_images_are_mounted_leaves_no_mount_that_nobody_knows() {
    needs_root!();
    for driver in ["overlay", "erofs"] {
        kill_mounters(driver);
    }
}

/// Layers of EROFS are mounted from files, so that a mount of an image is several there.
fn kill_mounters(driver: &str) {
    let dhow = Dhow::new();
    let source = image(dhow.directory()).reference("box");
    let pull = ["--storage-driver", driver, "pull", "-q", &source];
    let nothing_mounted = || drop(dhow.run(&["image", "unmount", "-a", "-f"]).ok());
    let gone = || {
        nothing_mounted();
        drop(dhow.run(&["rmi", "-af"]).ok());
    };
    let here = || {
        nothing_mounted();
        drop(dhow.run(&pull).ok());
    };
    let is_gone = || assert_eq!(dhow.run(&["images", "-q"]).ok().stdout, "");
    let mounts = || {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        mounts.lines().filter(|line| line.contains(dhow.directory().to_str().unwrap())).count()
    };
    let is_mounted = || {
        let path = dhow.run(&["image", "mount", "box"]).ok().line().to_owned();
        assert_eq!(fs::read(Path::new(&path).join("small-2-59")).unwrap(), [2; 100]);
    };
    let mounted = || {
        here();
        is_mounted();
    };
    let is_unmounted = || assert_eq!(mounts(), 0);
    let operations = [
        Operation {
            name: "pull",
            before: &gone,
            arguments: words(&pull),
            after: &|| drop(dhow.run(&["run", "--rm", "--entrypoint", "/none", "box"]).exits(127)),
        },
        Operation {
            name: "image mount",
            before: &here,
            arguments: words(&["image", "mount", "box"]),
            after: &is_mounted,
        },
        Operation {
            name: "image unmount",
            before: &mounted,
            arguments: words(&["image", "unmount", "box"]),
            after: &is_unmounted,
        },
        Operation {
            name: "rmi",
            before: &here,
            arguments: words(&["rmi", "-f", "box"]),
            after: &is_gone,
        },
    ];

    torment(&dhow, &gone, &operations);

    gone();
    is_unmounted();
    drop(dhow.run(&["system", "prune", "-af"]).ok());
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n", "{driver}");
    assert_eq!(snapshots(&dhow), Vec::<PathBuf>::new(), "{driver}");
}
