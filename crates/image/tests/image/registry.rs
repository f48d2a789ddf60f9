//! Pulling from a real registry.

use crate::room::{Room, told};
use dhow_base::Kind;
use dhow_image::{Policy, PullOptions, Silent};
use dhow_testkit::{Access, Registry, Transport, image::Image, needs_tool};
use std::fs;

#[test]
fn an_image_from_a_registry_has_its_names_and_digests() {
    needs_tool!("docker-registry");
    needs_tool!("skopeo");
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let mut room = Room::new();
    let image = Image::new([room.layer(&[("a", "1")]), room.layer(&[("b", "2")])]);
    room.layout.tag_image(&image, "box").unwrap();
    registry.push(&room.layout.reference("box"), "team/box:1").unwrap();
    let name = registry.reference("team/box:1");

    let first = room.pull(&name).unwrap();
    let before = registry.requests().len();
    let second = room.pull(&name).unwrap();
    let requests = registry.requests();

    assert_eq!(first.manifest, second.manifest);
    let by_digest = registry.reference(&format!("team/box@{}", first.manifest));
    assert_eq!(first.names, [name.clone(), by_digest.clone()]);
    assert!(requests[before..].iter().all(|line| !line.contains("/blobs/")), "{requests:?}");
    assert!(room.images.find(&room.state, &by_digest).unwrap().is_some());
    room.images.remove(&mut room.state, &[name], false).unwrap();
    room.assert_empty();
    room.pull(&by_digest).unwrap();
    room.assert_healthy();
}

#[test]
fn policies_decide_whether_the_registry_is_asked() {
    needs_tool!("docker-registry");
    needs_tool!("skopeo");
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let mut room = Room::new();
    let (old, new) = (room.layer(&[("a", "old")]), room.layer(&[("a", "new")]));
    for (tag, layer) in [("old", old), ("new", new)] {
        room.layout.tag_image(&Image::new([layer]), tag).unwrap();
    }
    let name = registry.reference("box:1");
    let pull = |room: &mut Room, policy| {
        let options = PullOptions { policy, ..PullOptions::default() };
        room.images.pull(&mut room.state, &name, &options, &Silent)
    };
    let content = |room: &Room, image: &dhow_image::Image| room.content(image, "a").unwrap();
    registry.push(&room.layout.reference("old"), "box:1").unwrap();

    let never = pull(&mut room, Policy::Never).unwrap_err();
    let missing = pull(&mut room, Policy::Missing).unwrap();
    registry.push(&room.layout.reference("new"), "box:1").unwrap();
    let still = pull(&mut room, Policy::Missing).unwrap();
    let newer = pull(&mut room, Policy::Newer).unwrap();
    drop(registry);
    let unreachable = pull(&mut room, Policy::Newer).unwrap();
    let refused = pull(&mut room, Policy::Always).unwrap_err();

    assert_eq!(never.kind(), Kind::NotFound);
    assert_eq!(content(&room, &missing), "old");
    assert_eq!(content(&room, &still), "old");
    assert_eq!(content(&room, &newer), "new");
    assert_eq!(unreachable.manifest, newer.manifest);
    assert_eq!(refused.kind(), Kind::Unavailable, "{}", told(&refused));
    room.assert_healthy();
}

#[test]
fn a_spoilt_registry_leaves_nothing() {
    needs_tool!("docker-registry");
    needs_tool!("skopeo");
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let mut room = Room::new();
    let layer = room.layer(&[("a", "1")]);
    room.layout.tag_image(&Image::new([layer.clone()]), "box").unwrap();
    registry.push(&room.layout.reference("box"), "box:1").unwrap();
    let mut bytes = fs::read(registry.blob(&layer.digest)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(registry.blob(&layer.digest), bytes).unwrap();

    let error = room.pull(&registry.reference("box:1")).unwrap_err();
    let missing = room.pull(&registry.reference("nothing:1")).unwrap_err();

    assert_eq!(error.kind(), Kind::Corrupt, "{}", told(&error));
    assert!(told(&error).contains(layer.digest.as_str()), "{}", told(&error));
    assert_eq!(missing.kind(), Kind::NotFound, "{}", told(&missing));
    room.assert_empty();
}
