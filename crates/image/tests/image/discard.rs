//! Discarding layers: what a registry has goes, and comes again under its digest wherever it is needed;
//! what nobody else has stays.

use crate::room::{Room, told};
use dhow_base::Kind;
use dhow_base::clock::Moment;
use dhow_image::{
    CopyOptions, Depth, End, Image, LayerBlobs, LoadFrom, Place, Proof, PushForm, PushTo,
    Registries, SaveForm, SaveOptions, SaveTo, Silent,
};
use dhow_state::{images, places};
use dhow_testkit::{
    Access, Registry, Transport,
    image::{self, Compression, Layer},
    needs_tool,
};
use std::fs;

/// An image of two layers, in a registry and from there here.
fn pulled(room: &mut Room, registry: &Registry) -> (Image, Vec<Layer>, String) {
    let layers = vec![room.layer(&[("a", "1")]), room.layer_in(&[("b", "2")], Compression::Zstd)];
    room.layout.tag_image(&image::Image::new(layers.clone()), "box").unwrap();
    registry.push(&room.layout.reference("box"), "one/box:1").unwrap();
    let name = registry.reference("one/box:1");
    (room.pull(&name).unwrap(), layers, name)
}

fn push(room: &mut Room, name: &str, to: &str) -> dhow_base::Result<dhow_image::Pushed> {
    let to = PushTo { name: Some(to), registries: &Registries::default() };
    room.images.push(&mut room.state, name, to, &PushForm::default(), &Silent)
}

fn has(room: &Room, layer: &Layer) -> bool {
    room.images.store().has(&layer.digest).unwrap()
}

#[test]
fn what_was_discarded_is_pushed_saved_and_copied_under_its_digest() {
    needs_tool!("docker-registry", "skopeo");
    let start = || Registry::start(Access::Open, Transport::Plain).unwrap();
    let (registry, other) = (start(), start());
    let mut room = Room::new();
    let (image, layers, name) = pulled(&mut room, &registry);

    let discarded = room.images.discard(&mut room.state, &name, Proof::Asked).unwrap();

    assert_eq!((discarded.layers.len(), discarded.kept.len()), (2, 0));
    assert_eq!(discarded.bytes, layers.iter().map(|layer| layer.size).sum::<u64>());
    assert!(!layers.iter().any(|layer| has(&room, layer)));
    room.assert_healthy();
    assert!(room.images.repair(&mut room.state, Depth::Content).unwrap().is_empty());
    // The name by which it came may go; where it came from is not forgotten.
    room.images.tag(&mut room.state, &name, "mine").unwrap();
    room.images.untag(&mut room.state, "mine", &[]).unwrap();
    let id = image.id.to_string();

    let sent = push(&mut room, &id, &other.reference("two/box:1")).unwrap();
    let saved = room.directory.path().join("saved");
    let form = SaveOptions { form: SaveForm::OciDirectory, compress: false };
    room.images
        .save(&room.state, std::slice::from_ref(&id), SaveTo::Path(saved.clone()), form)
        .unwrap();
    let copied = room.directory.path().join("copied.tar");
    let archive = Place::LayoutArchive(copied.clone(), Some("box".to_owned()));
    let (from, to) = (
        End::new(Place::Local(id.clone()), Registries::default()),
        End::new(archive, Registries::default()),
    );
    room.images.copy(Some(&mut room.state), &from, &to, &CopyOptions::default(), &Silent).unwrap();

    assert_eq!(sent.digest, image.manifest);
    let mut again = Room::new();
    let back = again.pull(&other.reference("two/box:1")).unwrap();
    assert_eq!((&back.manifest, again.content(&back, "b").unwrap()), (&image.manifest, "2".into()));
    for path in [saved, copied] {
        let mut again = Room::new();
        let loaded =
            again.images.load(&mut again.state, LoadFrom::Path(path), &Silent).unwrap().remove(0);
        assert_eq!(loaded.image.manifest, image.manifest);
        assert!(has(&again, &layers[0]) && has(&again, &layers[1]));
    }
    assert!(!layers.iter().any(|layer| has(&room, layer)), "nothing of it is kept here");
    room.assert_healthy();
}

#[test]
fn a_registry_that_has_it_is_sent_no_byte() {
    needs_tool!("docker-registry", "skopeo");
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let mut room = Room::new();
    let (image, _, name) = pulled(&mut room, &registry);
    room.images.discard(&mut room.state, &name, Proof::Asked).unwrap();
    let before = registry.requests().len();

    let pushed = push(&mut room, &name, &registry.reference("one/box:2")).unwrap();

    assert_eq!(pushed.digest, image.manifest);
    let requests = &registry.requests()[before..];
    let bodies = ["POST", "PATCH", "GET /v2/one/box/blobs"];
    assert!(
        !requests.iter().any(|request| bodies.iter().any(|word| request.starts_with(word))),
        "{requests:#?}"
    );
}

#[test]
fn what_nobody_else_has_is_kept_until_it_was_pushed() {
    needs_tool!("docker-registry", "skopeo");
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let mut room = Room::new();
    let layer = room.layer(&[("a", "1")]);
    room.pull_of(vec![layer.clone()], "box").unwrap();

    let kept = room.images.discard(&mut room.state, "box", Proof::Remembered).unwrap();
    assert!(kept.layers.is_empty() && has(&room, &layer));
    assert!(told(&kept.kept[0].1).contains("no registry is known to have it"));

    push(&mut room, "box", &registry.reference("box:1")).unwrap();
    let gone = room.images.discard(&mut room.state, "box", Proof::Asked).unwrap();

    assert_eq!(gone.layers, std::slice::from_ref(&layer.digest));
    assert!(!has(&room, &layer));
    room.assert_healthy();
}

#[test]
fn what_the_registry_has_lost_is_kept() {
    needs_tool!("docker-registry", "skopeo");
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let mut room = Room::new();
    let (_, layers, name) = pulled(&mut room, &registry);
    fs::remove_file(registry.blob(&layers[0].digest)).unwrap();

    let discarded = room.images.discard(&mut room.state, &name, Proof::Asked).unwrap();

    assert_eq!(discarded.layers, std::slice::from_ref(&layers[1].digest));
    assert_eq!(discarded.kept[0].0, layers[0].digest);
    assert!(told(&discarded.kept[0].1).contains("does not have it any more"));
    assert!(has(&room, &layers[0]));
    room.assert_healthy();
}

#[test]
fn a_layer_that_cannot_be_had_again_is_named_with_the_places_that_had_it() {
    needs_tool!("docker-registry", "skopeo");
    let start = || Registry::start(Access::Open, Transport::Plain).unwrap();
    let (registry, second, other) = (start(), start(), start());
    let mut room = Room::new();
    let (_, layers, name) = pulled(&mut room, &registry);
    room.images.discard(&mut room.state, &name, Proof::Asked).unwrap();
    fs::remove_file(registry.blob(&layers[0].digest)).unwrap();

    let one = push(&mut room, &name, &other.reference("box:1")).unwrap_err();
    room.state
        .write(|write| {
            let blobs = [layers[0].digest.clone()];
            places::note(write, &second.reference("never"), &blobs, Moment::now())
        })
        .unwrap();
    let two = push(&mut room, &name, &other.reference("box:1")).unwrap_err();

    for (error, places) in [(one, vec!["one/box"]), (two, vec!["one/box", "never"])] {
        let told = told(&error);
        assert!(told.contains(layers[0].digest.as_str()), "{told}");
        assert!(places.iter().all(|place| told.contains(place)), "{told}");
        assert!(error.innermost_hint().is_some(), "{told}");
    }
    room.assert_healthy();
}

#[test]
fn wrong_bytes_from_the_origin_are_never_passed_on() {
    needs_tool!("docker-registry", "skopeo");
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let mut room = Room::new();
    let (_, layers, name) = pulled(&mut room, &registry);
    room.images.discard(&mut room.state, &name, Proof::Asked).unwrap();
    let path = registry.blob(&layers[0].digest);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
    let saved = room.directory.path().join("saved.tar");

    let form = SaveOptions { form: SaveForm::OciArchive, compress: false };
    let error = room
        .images
        .save(&room.state, std::slice::from_ref(&name), SaveTo::Path(saved.clone()), form)
        .unwrap_err();

    assert_eq!(error.kind(), Kind::Corrupt, "{}", told(&error));
    assert!(!saved.exists());
}

#[test]
fn a_shared_layer_goes_with_its_last_holder() {
    needs_tool!("docker-registry", "skopeo");
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let mut room = Room::new();
    let (_, layers, name) = pulled(&mut room, &registry);
    let more = room.layer(&[("c", "3")]);
    let above = [layers[0].clone(), layers[1].clone(), more.clone()];
    room.layout.tag_image(&image::Image::new(above), "above").unwrap();
    registry.push(&room.layout.reference("above"), "two/above:1").unwrap();
    let second = registry.reference("two/above:1");
    room.pull(&second).unwrap();

    let first = room.images.discard(&mut room.state, &name, Proof::Asked).unwrap();
    assert_eq!((first.layers.len(), first.bytes), (2, 0));
    assert!(has(&room, &layers[0]));
    room.assert_healthy();
    let last = room.images.discard(&mut room.state, &second, Proof::Asked).unwrap();

    assert_eq!(last.layers.len(), 3);
    assert!(![&layers[0], &layers[1], &more].iter().any(|layer| has(&room, layer)));
    room.images.remove(&mut room.state, &[name, second], false).unwrap();
    room.assert_empty();
}

#[test]
fn the_setting_discards_after_each_pull_and_a_lost_snapshot_comes_again() {
    needs_tool!("docker-registry", "skopeo");
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let mut maker = Room::new();
    let (_, layers, name) = pulled(&mut maker, &registry);
    let mut room = Room::new();
    room.images = crate::room::open(room.directory.path()).1.with_layer_blobs(LayerBlobs::Discard);

    let image = room.pull(&name).unwrap();
    assert!(!layers.iter().any(|layer| has(&room, layer)));
    room.assert_healthy();
    let number = images::chain(room.state.read(), &image.manifest).unwrap()[0];
    fs::remove_dir_all(room.root().join(format!("snapshots/{number}"))).unwrap();
    let repaired = room.images.repair(&mut room.state, Depth::Names).unwrap();
    assert!(!repaired.is_empty());
    let image = room.pull(&name).unwrap();

    assert_eq!(room.content(&image, "a").as_deref(), Some("1"));
    assert!(!layers.iter().any(|layer| has(&room, layer)));
    room.assert_healthy();
    room.images.remove(&mut room.state, &[name], false).unwrap();
    room.assert_empty();
}

#[test]
fn the_index_names_whole_images_only() {
    needs_tool!("docker-registry", "skopeo");
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let mut room = Room::new();
    let (_, _, name) = pulled(&mut room, &registry);
    let whole = room.layer(&[("d", "4")]);
    room.pull_of(vec![whole], "whole").unwrap();
    let index = || fs::read_to_string(room.images.store().root().join("index.json")).unwrap();
    assert!(index().contains("one/box:1"));

    room.images.discard(&mut room.state, &name, Proof::Asked).unwrap();

    assert!(!index().contains("one/box:1") && index().contains("whole"), "{}", index());
}
