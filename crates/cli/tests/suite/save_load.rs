//! `save`, `load` and `import`: images in files, and what podman and umoci make of them.

use crate::fixture::{layout, podman, with_box};
use dhow_base::Digest;
use dhow_testkit::{
    Dhow,
    image::{Compression, Image},
    needs_root, needs_tool, outcome, rootfs,
};
use serde_json::{Value, json};
use std::{fs, process::Command};

#[test]
fn images_survive_every_form_of_file() {
    needs_root!();
    needs_tool!("busybox");
    let dhow = with_box();
    let id = dhow.run(&["inspect", "--format", "{{.Id}}", "box"]).ok().stdout;
    for form in ["docker-archive", "oci-archive", "oci-dir", "docker-dir"] {
        let path = dhow.directory().join(form);
        let path = path.to_str().unwrap();
        drop(dhow.run(&["save", "--format", form, "-o", path, "box"]).ok());
        let other = Dhow::new();

        let loaded = other.run(&["load", "-q", "-i", path]).ok();

        let name = match form {
            "docker-dir" => "localhost/docker-dir:latest",
            _ => "localhost/box:latest",
        };
        assert_eq!(loaded.line(), format!("Loaded image: {name}"), "{form}");
        let told = other.run(&["inspect", "--format", "{{.Id}}", name]).ok().stdout;
        assert_eq!(told, id, "{form}");
        drop(other.run(&["doctor"]).ok());
    }
}

#[test]
fn several_images_go_through_a_pipe_and_come_back_compressed() {
    needs_root!();
    needs_tool!("busybox", "gzip");
    let dhow = with_box();
    drop(dhow.run(&["tag", "box", "one:1", "quay.io/two:2"]).ok());
    let saved = dhow.run(&["save", "one:1", "quay.io/two:2"]).ok();
    let file = dhow.directory().join("all.tar");
    fs::write(&file, &saved.bytes).unwrap();
    drop(outcome::run_ok(Command::new("gzip").arg(&file), outcome::LIMIT).unwrap());
    let zipped = fs::read(dhow.directory().join("all.tar.gz")).unwrap();
    let other = Dhow::new();

    let loaded = other.run_with_input(&["load", "-q"], &zipped).ok();

    assert_eq!(loaded.stdout, "Loaded image: localhost/one:1\nLoaded image: quay.io/two:2\n");
    drop(other.run(&["run", "--rm", "-q", "one:1", "true"]).ok());
    let missing = dhow.directory().join("missing.tar");
    drop(dhow.run(&["save", "-o", missing.to_str().unwrap(), "box", "nobody"]).exits(1));
    assert!(!missing.exists());
    drop(other.run_with_input(&["load"], b"nonsense").exits(1));
    drop(other.run_with_input(&["load"], b"").exits(1));
    drop(other.run(&["doctor"]).ok());
}

#[test]
fn podman_loads_what_was_saved_and_the_reverse() {
    needs_root!();
    needs_tool!("busybox", "podman");
    let dhow = with_box();
    let id = dhow.run(&["inspect", "--format", "{{.Id}}", "box"]).ok().stdout;
    let id = id.trim().trim_start_matches("sha256:").to_owned();
    drop(dhow.run(&["save", "-o", "docker.tar", "box"]).ok());
    drop(dhow.run(&["save", "--format", "oci-archive", "-o", "oci.tar", "box"]).ok());

    for file in ["docker.tar", "oci.tar"] {
        drop(podman(&dhow, &["load", "-q", "-i", file]).ok());
        let told = podman(&dhow, &["inspect", "--format", "{{.Id}}", "localhost/box:latest"]).ok();
        assert_eq!(told.line(), id, "{file}");
    }
    for form in ["docker-archive", "oci-archive"] {
        let file = format!("{form}.tar");
        drop(
            podman(&dhow, &["save", "-q", "--format", form, "-o", &file, "localhost/box:latest"])
                .ok(),
        );
        let other = Dhow::new();
        let path = dhow.directory().join(&file);
        let loaded = other.run(&["load", "-q", "-i", path.to_str().unwrap()]).ok();
        assert_eq!(loaded.line(), "Loaded image: localhost/box:latest", "{form}");
        drop(other.run(&["run", "--rm", "-q", "box", "true"]).ok());
    }
    drop(podman(&dhow, &["rmi", "-af"]).ok());
}

#[test]
fn a_tar_file_of_a_root_becomes_an_image() {
    needs_root!();
    needs_tool!("busybox", "tar");
    let dhow = Dhow::new();
    let root = dhow_testkit::rootfs::busybox().unwrap();
    let file = dhow.directory().join("root.tar.gz");
    let mut tar = Command::new("tar");
    tar.arg("-czf").arg(&file).arg("-C").arg(root.path()).arg(".");
    drop(outcome::run_ok(&mut tar, outcome::LIMIT).unwrap());
    let path = file.to_str().unwrap();

    let imported = dhow
        .run(&[
            "import",
            "-c",
            "CMD [\"echo\", \"hi\"]",
            "--change",
            "ENV A=b",
            "-m",
            "mine",
            path,
            "me:1",
        ])
        .ok();
    let unnamed = dhow.run_with_input(&["import", "-"], &fs::read(&file).unwrap()).ok();

    assert_eq!(dhow.run(&["run", "--rm", "-q", "me:1"]).ok().stdout, "hi\n");
    let document = dhow.run(&["inspect", "me:1"]).ok().stdout;
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document[0]["Id"], imported.line());
    assert_eq!(document[0]["Comment"], "mine");
    assert_eq!(document[0]["Config"]["Env"], serde_json::json!(["A=b"]));
    assert_ne!(unnamed.line(), imported.line());
    drop(dhow.run(&["import", "-c", "RUN x", path]).exits(1).says("only CMD"));
    drop(dhow.run_with_input(&["import", "-"], b"no tar").exits(1));
    drop(dhow.run(&["doctor"]).ok());
}

/// What an archive brings is made to last at once, not image by image.
#[test]
fn a_hundred_images_are_synced_together() {
    needs_root!();
    needs_tool!("busybox", "strace");
    let source = Dhow::new();
    let layout = layout(&source);
    let box_layer = layout.layer_of(rootfs::busybox().unwrap().path(), Compression::Gzip).unwrap();
    for number in 0..99 {
        let image = Image::new([box_layer.clone()]).set("Hostname", json!(format!("n{number}")));
        layout.tag_image(&image, &format!("many:{number}")).unwrap();
    }
    let (dhow, trace) = (Dhow::new(), source.directory().join("trace"));
    let plain = dhow.command(&["load", "-q", "-i", layout.path().to_str().unwrap()]);
    let mut command = Command::new("strace");
    command.args(["-f", "-e", "trace=syncfs", "-o"]).arg(&trace);
    command.arg(plain.get_program()).args(plain.get_args());

    let loaded = dhow.finish(&mut command, b"").ok();

    assert_eq!(loaded.stdout.lines().count(), 100);
    let synced = fs::read_to_string(&trace).unwrap().matches("syncfs(").count();
    assert_eq!(synced, 2, "one for the first 64, one for the rest");
    assert_eq!(dhow.run(&["images", "-q", "many"]).ok().stdout.lines().count(), 99);
    let index = fs::read(dhow.root().join("content/index.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 100);
    drop(dhow.run(&["doctor"]).ok());
}

/// What stands before a broken image in a file has come; the broken one has not.
#[test]
fn images_before_a_broken_one_are_there() {
    needs_root!();
    needs_tool!("busybox");
    let source = Dhow::new();
    let layout = layout(&source);
    let box_layer = layout.layer_of(rootfs::busybox().unwrap().path(), Compression::Gzip).unwrap();
    let mut broken = box_layer.clone();
    broken.diff_id = Digest::of(b"another");
    layout.tag_image(&Image::new([broken]), "broken").unwrap();
    layout.tag_image(&Image::new([box_layer]).set("Hostname", json!("c")), "late").unwrap();
    let dhow = Dhow::new();

    drop(dhow.run(&["load", "-i", layout.path().to_str().unwrap()]).exits(1).says("digest"));

    assert_eq!(dhow.run(&["images", "--format", "{{.Repository}}"]).ok().line(), "localhost/box");
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn umoci_lists_what_was_saved() {
    needs_root!();
    needs_tool!("busybox", "umoci");
    let dhow = with_box();
    drop(layout(&dhow));
    drop(dhow.run(&["save", "--format", "oci-dir", "-o", "saved", "box"]).ok());
    let path = dhow.directory().join("saved");

    let mut umoci = Command::new("umoci");
    let listed =
        outcome::run_ok(umoci.args(["ls", "--layout"]).arg(&path), outcome::LIMIT).unwrap();

    assert_eq!(listed.line(), "localhost/box:latest");
}

/// Root can put a file in the place of any name; a device that a user names for output is not meant to
/// give way, nor what a link leads to.
#[test]
fn what_is_no_file_stays_and_is_written_into() {
    needs_root!();
    let dhow = with_box();
    let at = |name: &str| dhow.directory().join(name).display().to_string();
    let (null, link, file) = (at("null"), at("link"), at("file"));
    let made = std::process::Command::new("mknod").args([&null, "c", "1", "3"]).status();
    assert!(made.is_ok_and(|status| status.success()));
    std::fs::write(&file, "").unwrap();
    std::os::unix::fs::symlink("file", &link).unwrap();
    drop(dhow.run(&["create", "-q", "--network=none", "--name=web", "box", "true"]).ok());
    drop(dhow.run(&["volume", "create", "data"]).ok());
    let commands: [&[&str]; 6] = [
        &["save", "-o"],
        &["export", "-o"],
        &["volume", "export", "-o"],
        &["commit", "-q", "--iidfile"],
        &["image", "export", "-o"],
        &["save", "--format=oci-archive", "-o"],
    ];
    for words in commands {
        let object = match words[0] {
            "volume" => "data",
            "commit" => "web",
            "export" => "web",
            _ => "box",
        };
        for target in [&null, &link] {
            drop(dhow.run(&[words, &[target, object]].concat()).ok());
        }
        let kind = std::fs::symlink_metadata(&null).unwrap().file_type();
        assert!(std::os::unix::fs::FileTypeExt::is_char_device(&kind), "{words:?}");
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink(), "{words:?}");
        assert!(std::fs::metadata(&file).unwrap().len() > 10, "{words:?}");
        std::fs::write(&file, "").unwrap();
    }
    let piped = dhow.run(&["save", "-o", "/dev/stdout", "--format=docker-archive", "box"]).ok();
    assert!(piped.stdout.contains("manifest.json"), "{}", piped.stdout.len());
    drop(dhow.run(&["rm", "web"]).ok());
    drop(dhow.run(&["volume", "rm", "data"]).ok());
    dhow.assert_clean();
}
