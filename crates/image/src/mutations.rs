//! Documents of image places, damaged at random: what reads them says no or yes, and never panics.

use crate::{
    place::{directory, saved},
    sync_list::Listed,
};
use dhow_testkit::mutation::Mutator;
use serde_json::{Value, json};

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
