//! What is wrong is refused by name, and nothing of it stays.

use crate::room::{Room, told};
use dhow_base::{Digest, Kind};
use dhow_snapshot::Driver;
use dhow_testkit::{
    image::{Compression, Image},
    needs_root,
};
use serde_json::{Value, json};
use std::fs;

#[test]
fn a_blob_that_is_not_its_digest_is_refused_with_both() {
    for driver in [Driver::Overlay, Driver::Plain] {
        let mut room = Room::with(driver);
        let (good, bad) = (room.layer(&[("a", "1")]), room.layer(&[("b", "2")]));
        let other = room.layer(&[("b", "3")]);
        let bytes = fs::read(room.layout.blob(&other.digest)).unwrap();
        // The same length, so that only the content differs.
        let mut bytes = bytes;
        bytes.resize(usize::try_from(bad.size).unwrap(), 0);
        fs::write(room.layout.blob(&bad.digest), &bytes).unwrap();

        let error = room.pull_of(vec![good, bad.clone()], "bad").unwrap_err();

        assert_eq!(error.kind(), Kind::Corrupt);
        assert!(told(&error).contains(bad.digest.as_str()), "{}", told(&error));
        assert!(told(&error).contains(Digest::of(&bytes).as_str()), "{}", told(&error));
        room.assert_empty();
    }
}

#[test]
fn truncated_and_overlong_blobs_are_refused() {
    for change in [-1_i64, -40, 1, 4096] {
        let mut room = Room::new();
        let layer = room.layer(&[("a", "1"), ("b", "2")]);
        let path = room.layout.blob(&layer.digest);
        let length = fs::metadata(&path).unwrap().len().checked_add_signed(change).unwrap();
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();

        let error = room.pull_of(vec![layer.clone()], "bad").unwrap_err();

        assert_eq!(error.kind(), Kind::Corrupt, "{change}: {}", told(&error));
        assert!(told(&error).contains(layer.digest.as_str()), "{change}: {}", told(&error));
        room.assert_empty();
    }
}

#[test]
fn a_layer_that_is_not_its_diff_id_is_refused_with_both() {
    for compression in [Compression::Gzip, Compression::Zstd, Compression::Plain] {
        let mut room = Room::new();
        let mut layer = room.layer_in(&[("a", "1")], compression);
        let actual = std::mem::replace(&mut layer.diff_id, Digest::of(b"other"));

        let error = room.pull_of(vec![layer.clone()], "bad").unwrap_err();

        assert_eq!(error.kind(), Kind::Corrupt);
        assert!(told(&error).contains(layer.diff_id.as_str()), "{}", told(&error));
        assert!(told(&error).contains(actual.as_str()), "{}", told(&error));
        room.assert_empty();
    }
}

#[test]
fn a_missing_blob_is_named() {
    let mut room = Room::new();
    let layer = room.layer(&[("a", "1")]);
    fs::remove_file(room.layout.blob(&layer.digest)).unwrap();

    let error = room.pull_of(vec![layer.clone()], "bad").unwrap_err();

    assert_eq!(error.kind(), Kind::NotFound);
    assert!(told(&error).contains(layer.digest.hex()), "{}", told(&error));
    room.assert_empty();
}

#[test]
fn a_failed_layer_does_not_take_a_shared_one_with_it() {
    let mut room = Room::new();
    let (good, bad) = (room.layer(&[("a", "1")]), room.layer(&[("b", "2")]));
    let kept = room.pull_of(vec![good.clone()], "good").unwrap();
    fs::write(room.layout.blob(&bad.digest), b"").unwrap();

    room.pull_of(vec![good, bad], "bad").unwrap_err();

    assert_eq!(room.content(&kept, "a").as_deref(), Some("1"));
    assert_eq!((room.snapshots(), room.blobs()), (1, 3));
    room.assert_healthy();
}

/// Attack test 20: every way in which two readers could see two different images.
#[test]
fn ambiguous_manifests_are_refused() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change); 10] = [
        ("both kinds", |m| m["manifests"] = json!([])),
        ("urls", |m| m["layers"][0]["urls"] = json!(["https://example.com/x"])),
        ("foreign", |m| {
            m["layers"][0]["mediaType"] =
                json!("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip");
        }),
        ("longer", |m| m["layers"][0]["size"] = json!(1 << 20)),
        ("shorter", |m| m["layers"][0]["size"] = json!(10)),
        ("data", |m| m["layers"][0]["data"] = json!("eA==")),
        ("config data", |m| m["config"]["data"] = json!("e30=")),
        ("config type", |m| m["config"]["mediaType"] = json!("application/vnd.example")),
        ("another layer type", |m| {
            let mut second = m["layers"][0].clone();
            second["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar+zstd");
            m["layers"].as_array_mut().unwrap().push(second);
        }),
        ("schema 1", |m| m["schemaVersion"] = json!(1)),
    ];
    for (name, change) in cases {
        let mut room = Room::new();
        let layer = room.layer(&[("a", "1")]);
        room.layout.tag_image(&Image::new([layer]), "good").unwrap();
        let mut manifest = room.layout.manifest("good").unwrap();
        change(&mut manifest);
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let descriptor = room.layout.add_document(&manifest, media_type).unwrap();
        room.layout.tag(descriptor, "bad").unwrap();

        let error = room.pull(&room.layout.reference("bad")).unwrap_err();

        let kinds = [Kind::Corrupt, Kind::Unsupported];
        assert!(kinds.contains(&error.kind()), "{name}: {}", told(&error));
        room.assert_empty();
    }
}

#[test]
fn a_manifest_or_config_of_another_digest_is_refused() {
    for which in ["manifest", "config"] {
        let mut room = Room::new();
        let layer = room.layer(&[("a", "1")]);
        let image = Image::new([layer]);
        let manifest = room.layout.tag_image(&image, "bad").unwrap();
        let digest =
            if which == "manifest" { manifest } else { Digest::of(&image.configuration()) };
        let path = room.layout.blob(&digest);
        let text = fs::read_to_string(&path).unwrap().replace("linux", "LINUX");
        fs::write(&path, text.replace("schemaVersion\":2", "schemaVersion\":3")).unwrap();

        let error = room.pull(&room.layout.reference("bad")).unwrap_err();

        assert_eq!(error.kind(), Kind::Corrupt, "{}", told(&error));
        assert!(told(&error).contains(digest.as_str()), "{}", told(&error));
        room.assert_empty();
    }
}

#[test]
fn a_full_disk_is_named_and_leaves_nothing() {
    needs_root!();
    for driver in [Driver::Overlay, Driver::Plain] {
        let room = Room::with(driver);
        let big = "0123456789abcdef".repeat(1 << 16);
        let files: Vec<(String, &str)> =
            (0..24).map(|number| (format!("f{number}"), big.as_str())).collect();
        let files: Vec<(&str, &str)> =
            files.iter().map(|(name, content)| (name.as_str(), *content)).collect();
        let layer = room.layer(&files);
        room.layout.tag_image(&Image::new([layer]), "big").unwrap();
        let small = tempfile::tempdir().unwrap();
        mount_small(small.path());
        let snapshots = small.path().join("root/snapshots");
        fs::create_dir_all(&snapshots).unwrap();
        fs::write(snapshots.join("driver"), driver.word()).unwrap();
        let images = dhow_image::Images::open(
            &small.path().join("root"),
            &small.path().join("run"),
            dhow_image::Registries::default(),
        )
        .unwrap();
        let mut state = dhow_state::State::open(&small.path().join("root")).unwrap();

        let error = images
            .pull(
                &mut state,
                &room.layout.reference("big"),
                &dhow_image::PullOptions::default(),
                &dhow_image::Silent,
            )
            .unwrap_err();

        let findings = images.doctor(&state, dhow_image::Depth::Content).unwrap();
        let blobs = images.store().list().unwrap();
        let left = dhow_snapshot::list(&snapshots).unwrap();
        drop((state, images));
        // The fd of the log's index stays open as long as this process lives (`dhow_state`).
        rustix::mount::unmount(small.path(), rustix::mount::UnmountFlags::DETACH).unwrap();
        assert_eq!(error.kind(), Kind::Exhausted, "{}", told(&error));
        assert!((findings.len(), blobs.len(), left.len()) == (0, 0, 0), "{findings:?} {blobs:?}");
    }
}

/// A file system of 8 MiB.
fn mount_small(path: &std::path::Path) {
    use rustix::mount::{MountFlags, mount};
    mount("tmpfs", path, "tmpfs", MountFlags::empty(), c"size=8m").unwrap();
}
