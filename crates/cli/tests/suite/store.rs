//! What is stored: `system df`, `system check`, `doctor --repair`, `image prune`, `image tree`.

use crate::fixture::{layout, layout_of, snapshots, with_box};
use dhow_testkit::{
    Dhow,
    disk::{Disk, Format},
    image::{Compression, Image},
    need, needs_root, rootfs,
    tarball::Tarball,
    user_namespace,
};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn du(path: &Path) -> u64 {
    let output = Command::new("du").args(["-s", "-B1"]).arg(path).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

fn sizes(dhow: &Dhow) -> Vec<u64> {
    let lines = dhow.run(&["system", "df", "--format", "{{.RawSize}}"]).ok().stdout;
    lines.lines().map(|line| line.parse().unwrap()).collect()
}

/// The only file of its kind: the blob of the one layer, or the one snapshot.
fn largest(directory: &Path) -> PathBuf {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap()
}

fn blobs(dhow: &Dhow) -> PathBuf {
    dhow.root().join("content/blobs/sha256")
}

#[test]
fn df_says_what_du_says() {
    needs_root!();
    let dhow = with_box();
    let volume = ["run", "-q", "--name", "one", "-v", "data:/data", "box", "sh", "-c"];
    let work =
        "dd if=/dev/zero of=/data/file bs=1k count=100; dd if=/dev/zero of=/own bs=1k count=50";
    drop(dhow.run(&[&volume[..], &[work]].concat()).ok());

    let measured = sizes(&dhow);
    let expected = du(&dhow.root());

    assert_eq!(measured.len(), 4);
    assert_eq!(measured.iter().sum::<u64>(), expected, "{measured:?}");
    assert!(measured[1] > 50 << 10 && measured[2] > 100 << 10, "{measured:?}");
    let table = dhow.run(&["system", "df"]).ok().stdout;
    assert!(table.starts_with("TYPE "), "{table}");
    let all = dhow.run(&["system", "df", "-v"]).ok().stdout;
    assert!(all.contains("one") && all.contains("data"), "{all}");
}

/// Every driver in turn, on the file systems that it has ways of its own for. An ordinary user's is
/// tried inside a user namespace.
#[test]
fn df_is_du_to_the_block_by_every_driver() {
    needs_root!();
    if user_namespace::is_inside() {
        compare_df_and_du(&Dhow::new(), "overlay", "overlay-userxattr");
        return;
    }
    user_namespace::run_again().unwrap();
    for driver in ["overlay", "plain", "erofs"] {
        compare_df_and_du(&Dhow::new(), driver, driver);
    }
    for (format, driver) in [
        (Format::Ext4, "overlay"),
        (Format::Xfs, "plain"),
        (Format::Xfs, "erofs"),
        (Format::Btrfs, "btrfs"),
        (Format::Btrfs, "plain"),
    ] {
        let disk = match Disk::formatted(format, 512 << 20) {
            Ok(disk) => disk,
            Err(error) => {
                need::skip(&format!("a disk of {format:?} ({})", error.one_line()));
                continue;
            }
        };
        compare_df_and_du(&Dhow::below(disk.path()), driver, driver);
    }
}

/// Two images that share a layer, one of them twice, and a container with changes of its own.
fn compare_df_and_du(dhow: &Dhow, driver: &str, word: &str) {
    let layout = layout(dhow);
    let mut tar = Tarball::in_memory();
    tar.directory("./").unwrap().file("more", &[7; 70_000]).unwrap();
    tar.hard_link("twin", "more").unwrap().symlink("link", "more").unwrap();
    let more = layout.layer_of_tar(&tar.finish().unwrap(), Compression::Zstd).unwrap();
    let root = rootfs::busybox().unwrap();
    let base = layout.layer_of(root.path(), Compression::Gzip).unwrap();
    layout.tag_image(&Image::new([base, more]), "more").unwrap();
    let run = |arguments: &[&str]| dhow.run(&[&["--storage-driver", driver], arguments].concat());
    for name in ["box", "more"] {
        drop(run(&["pull", "-q", &layout.reference(name)]).ok());
    }
    drop(run(&["tag", "box", "again"]).ok());
    let create = ["create", "-q", "--name", "job", "more", "sh", "-c", "echo x > /own; rm /more"];
    drop(run(&create).ok());
    if !user_namespace::is_inside() {
        drop(run(&["start", "-a", "job"]).ok());
    }
    // Until it is on the disk, a file system may not know yet how many blocks it takes.
    rustix::fs::syncfs(fs::File::open(dhow.root()).unwrap()).unwrap();

    let measured = sizes(dhow);
    let expected = du(&dhow.root());

    let written = fs::read_to_string(dhow.root().join("snapshots/driver")).unwrap();
    assert_eq!(written.trim(), word);
    assert_eq!(measured.iter().sum::<u64>(), expected, "{driver}: {measured:?}");
    assert!(measured[0] > 1 << 20, "{driver}: {measured:?}");
    drop(run(&["rm", "job"]).ok());
    drop(run(&["rmi", "-af"]).ok());
    rustix::fs::syncfs(fs::File::open(dhow.root()).unwrap()).unwrap();
    let measured = sizes(dhow);
    assert_eq!(measured.iter().sum::<u64>(), du(&dhow.root()), "{driver}: {measured:?}");
    assert_eq!(measured[0], 0, "{driver}");
}

#[test]
fn what_no_row_names_is_found_and_removed() {
    needs_root!();
    let dhow = with_box();
    let before = du(&dhow.root());
    let stranger = blobs(&dhow).join("ab".repeat(32));
    fs::write(&stranger, b"left behind").unwrap();
    let partial = dhow.root().join("content/ingest").join(format!("sha256-{}", "cd".repeat(32)));
    fs::write(&partial, b"half").unwrap();
    let snapshot = dhow.root().join("snapshots/4711");
    fs::create_dir_all(snapshot.join("fs/etc")).unwrap();

    let found = dhow.run(&["doctor"]).exits(1).stdout;
    for what in ["abababab", "cdcdcdcd", "snapshot 4711"] {
        assert!(found.contains(what), "{found}");
    }
    let repaired = dhow.run(&["doctor", "--repair"]).ok().stdout;

    assert_eq!(repaired.lines().count(), 4, "{repaired}");
    assert!(repaired.ends_with("all is well\n"), "{repaired}");
    assert!(!stranger.exists() && !partial.exists() && !snapshot.exists());
    assert_eq!(du(&dhow.root()), before);
}

#[test]
fn an_image_that_lost_something_is_repaired_and_whole_after_the_next_pull() {
    needs_root!();
    type Damage = fn(&Dhow);
    let damages: [(&str, Damage); 5] = [
        ("a blob is gone", |dhow| fs::remove_file(largest(&blobs(dhow))).unwrap()),
        ("a blob has changed", |dhow| {
            let path = largest(&blobs(dhow));
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(&path, bytes).unwrap();
        }),
        ("the manifest is gone", |dhow| {
            let digest = dhow.run(&["inspect", "--format", "{{.Digest}}", "box"]).ok();
            let hex = digest.line().strip_prefix("sha256:").unwrap().to_owned();
            fs::remove_file(blobs(dhow).join(hex)).unwrap();
        }),
        ("the configuration is gone", |dhow| {
            let id = dhow.run(&["images", "-q", "--no-trunc"]).ok();
            let hex = id.line().strip_prefix("sha256:").unwrap().to_owned();
            fs::remove_file(blobs(dhow).join(hex)).unwrap();
        }),
        ("a snapshot is gone", |dhow| {
            fs::remove_dir_all(&snapshots(dhow)[0]).unwrap();
        }),
    ];
    for (name, damage) in damages {
        let dhow = Dhow::new();
        let layout = layout(&dhow);
        drop(dhow.run(&["pull", "-q", &layout.reference("box")]).ok());
        damage(&dhow);

        drop(dhow.run(&["system", "check"]).exits(1));
        let repaired = dhow.run(&["system", "check", "--repair"]).ok().stdout;
        assert!(repaired.starts_with("image "), "{name}: {repaired}");
        drop(dhow.run(&["pull", "-q", &layout.reference("box")]).ok());

        assert_eq!(
            dhow.run(&["run", "--rm", "-q", "box", "echo", "hi"]).ok().stdout,
            "hi\n",
            "{name}"
        );
        assert_eq!(dhow.run(&["system", "check"]).ok().stdout, "all is well\n", "{name}");
    }
}

#[test]
fn an_image_with_containers_is_not_let_go_of() {
    needs_root!();
    let dhow = with_box();
    drop(dhow.run(&["create", "-q", "--name", "job", "box", "true"]).ok());
    fs::remove_file(largest(&blobs(&dhow))).unwrap();

    let told = dhow.run(&["doctor", "--repair"]).ok().stdout;
    assert!(told.contains("it runs without that"), "{told}");

    drop(dhow.run(&["start", "job"]).ok());
}

#[test]
fn prune_takes_what_nobody_needs() {
    needs_root!();
    let dhow = with_box();
    let other = layout_of(&dhow, "other", |image| image.set("Labels", json!({ "keep": "no" })));
    drop(dhow.run(&["pull", "-q", &other.reference("other")]).ok());
    drop(dhow.run(&["untag", "other"]).ok());
    drop(dhow.run(&["create", "-q", "--name", "job", "box", "true"]).ok());
    let count = || dhow.run(&["images", "-q"]).ok().stdout.lines().count();

    drop(dhow.run(&["image", "prune"]).exits(1).says("--force"));
    drop(dhow.run(&["image", "prune", "-f", "--filter", "label=keep=yes"]).ok());
    assert_eq!(count(), 2);
    let pruned = dhow.run(&["image", "prune", "-f", "--filter", "label=keep=no"]).ok().stdout;
    assert!(pruned.contains("Deleted: sha256:"), "{pruned}");
    assert!(pruned.contains("Total reclaimed space: "), "{pruned}");
    assert_eq!(count(), 1);
    drop(dhow.run(&["image", "prune", "-af"]).ok());
    assert_eq!(count(), 1, "a container is made of it");
    drop(dhow.run(&["system", "prune", "-af"]).ok());

    assert_eq!(count(), 0);
    assert_eq!(dhow.run(&["ps", "-aq"]).ok().stdout, "");
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    assert!(sizes(&dhow)[0] == 0, "{:?}", sizes(&dhow));
}

#[test]
fn a_tree_shows_layers_and_what_stands_on_them() {
    needs_root!();
    let dhow = with_box();
    drop(dhow.run(&["tag", "box", "second:2"]).ok());

    let tree = dhow.run(&["image", "tree", "box"]).ok().stdout;

    assert!(tree.contains("Image Layers\n└── ID: "), "{tree}");
    assert!(tree.contains("second:2"), "{tree}");
    let above = dhow.run(&["image", "tree", "--whatrequires", "box"]).ok().stdout;
    assert!(above.ends_with("Images that stand on it:\n"), "{above}");
}
