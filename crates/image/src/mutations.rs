//! Documents of image places, damaged at random: what reads them says no or yes, and never panics.

use crate::{
    Bounds,
    place::{directory, saved},
    sync_list::Listed,
    tarfile::{Spool, Tarfile},
};
use dhow_base::Digest;
use dhow_testkit::{
    mutation::Mutator,
    tarball::{self, Tarball},
};
use serde_json::{Value, json};
use std::{io::Read, path::Path, sync::Arc};

const ROUNDS: usize = 5_000;

fn damaged(seed: u64, document: &Value, mut read: impl FnMut(&[u8]) -> bool) {
    let mut mutator = Mutator::new(seed);
    let whole = document.to_string().into_bytes();
    assert!(read(&whole), "the undamaged document is refused");

    let refused = (0..ROUNDS).filter(|_| !read(&mutator.damage(document))).count();

    assert!(refused > ROUNDS / 20, "hardly anything is refused: {refused}");
}

#[test]
fn damaged_tables_of_contents_are_read_or_refused() {
    let document = json!([
        {"Config": "a.json", "RepoTags": ["box:1", "a/b:2"], "Layers": ["a.tar", "b/layer.tar"]},
        {"Config": "b.json", "RepoTags": null, "Layers": []},
    ]);
    damaged(1, &document, |bytes| saved::parse(bytes).is_ok());
}

#[test]
fn damaged_manifests_of_directories_are_read_or_refused() {
    let digest = dhow_base::Digest::of(b"x");
    let blob = json!({"mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": digest.as_str(), "size": 1});
    let document = json!({"schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob, "layers": [blob], "annotations": {"a": "b"}});
    damaged(2, &document, |bytes| {
        let Ok(top) = directory::top_of(bytes) else { return false };
        dhow_spec::image::Document::parse(bytes, &top.media_type).is_ok()
    });
}

#[test]
fn damaged_lists_are_read_or_refused() {
    // YAML holds JSON.
    let document = json!({
        "registry.example.com": {
            "images": {"busybox": [], "redis": ["1.0", "2"]},
            "images-by-tag-regex": {"nginx": "^1\\.[0-9]+$"},
            "images-by-semver": {"alpine": ">= 3.12.0, < 4 || ^5"},
            "credentials": {"username": "john", "password": "x"},
            "tls-verify": true,
            "cert-dir": "/c",
        },
    });
    damaged(3, &document, |bytes| {
        str::from_utf8(bytes).is_ok_and(|text| Listed::parse(text).is_ok())
    });
}

/// Headers and the tables behind them, with their sums made right again. What is read of a file stays
/// within the archive, whatever its header says.
#[test]
fn damaged_archives_of_images_are_read_or_refused() {
    let config = json!({"rootfs": {"type": "layers", "diff_ids": [Digest::of(b"layer").as_str()]}});
    let table = json!([{"Config": "c.json", "RepoTags": ["box:1"], "Layers": ["d/l.tar"]}]);
    let mut tar = Tarball::in_memory();
    tar.file("c.json", config.to_string().as_bytes()).unwrap().symlink("d/l.tar", "../l").unwrap();
    tar.hard_link("k", "l").unwrap().file("l", b"layer").unwrap();
    tar.file("manifest.json", table.to_string().as_bytes()).unwrap();
    let whole = tar.finish().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let spool = Spool { scratch: scratch.path(), bounds: &Bounds::default() };
    let read = |bytes: &[u8]| {
        let file = spool.take(bytes).unwrap();
        let Ok(files) = Tarfile::of(file, Path::new("damaged"), spool) else { return false };
        for name in ["c.json", "d/l.tar", "k", "l", "manifest.json"] {
            let Ok(mut stream) = files.read(name, 0) else { continue };
            let mut content = Vec::new();
            stream.read_to_end(&mut content).unwrap();
            assert!(content.len() < bytes.len());
            assert_eq!(content.len() as u64, files.size(name).unwrap());
        }
        let all = saved::all(&Arc::new(files), spool.bounds);
        all.is_ok_and(|mut all| all.all(|one| one.is_ok()))
    };
    assert!(read(&whole));
    let mut mutator = Mutator::new(4);

    let refused = (0..ROUNDS).filter(|_| {
        let mut bytes = whole.clone();
        let at = mutator.below(bytes.len() / 512) * 512;
        let block: &mut [u8; 512] = (&mut bytes[at..at + 512]).try_into().unwrap();
        for _ in 0..=mutator.below(3) {
            block[mutator.below(200)] = b"\0 /.0157xLKSgl\xff\x80"[mutator.below(16)];
        }
        if mutator.below(8) != 0 {
            tarball::seal(block);
        }
        !read(&bytes)
    });

    assert!(refused.count() > ROUNDS / 20);
}
