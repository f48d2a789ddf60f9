//! Pulling from a real registry.

use crate::{
    crash::program,
    room::{Room, open, told},
};
use dhow_base::Kind;
use dhow_image::{Policy, PullOptions, Silent};
use dhow_testkit::{
    Access, Registry, Transport,
    image::{Compression, Image, native_architecture},
    need, needs_tool, outcome,
};
use std::{fs, process::Command, thread};

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

#[test]
fn pulls_at_once_fetch_an_image_once() {
    needs_tool!("docker-registry", "skopeo");
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let room = Room::new();
    let layers = [room.layer(&[("a", "1")]), room.layer(&[("b", "2")])];
    room.layout.tag_image(&Image::new(layers), "box").unwrap();
    registry.push(&room.layout.reference("box"), "box:1").unwrap();
    let (name, before) = (registry.reference("box:1"), registry.requests().len());
    let directory = room.directory.path();

    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let (mut state, images) = open(directory);
                images.pull(&mut state, &name, &PullOptions::default(), &Silent).unwrap();
            });
        }
    });

    let requests = registry.requests();
    let blobs = requests[before..].iter().filter(|line| line.contains("/blobs/")).count();
    assert_eq!(blobs, 3, "two layers and the configuration: {requests:#?}");
    room.assert_healthy();
}

#[test]
fn a_pull_of_large_layers_takes_little_memory() {
    needs_tool!("docker-registry", "skopeo");
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let room = Room::new();
    let mut noise = 1_u32;
    let mut next = || {
        noise ^= noise << 13;
        noise ^= noise >> 17;
        noise ^= noise << 5;
        char::from(b' ' + noise.to_le_bytes()[1] % 90)
    };
    // Longer than a window, so that it does not compress well although it comes again and again.
    let piece: String = (0..1 << 20).map(|_| next()).collect();
    let layers: Vec<_> = [Compression::Gzip, Compression::Plain]
        .into_iter()
        .map(|compression| {
            let names: Vec<String> =
                (0..64).map(|file| format!("{compression:?}-{file}")).collect();
            let files: Vec<(&str, &str)> =
                names.iter().map(|name| (name.as_str(), piece.as_str())).collect();
            room.layer_in(&files, compression)
        })
        .collect();
    assert!(layers.iter().all(|layer| layer.size > 50 << 20), "they come in segments: {layers:?}");
    room.layout.tag_image(&Image::new(layers), "large").unwrap();
    registry.push(&room.layout.reference("large"), "large:1").unwrap();

    let mut pull = Command::new(program());
    pull.arg(room.root()).arg(room.runroot()).arg(registry.reference("large:1"));
    let told = outcome::run_ok(&mut pull, outcome::LIMIT).unwrap();

    let peak: usize = told.stdout.lines().nth(1).unwrap().parse().unwrap();
    let limit = (64 + 8 * need::processors()) << 10;
    assert!(peak > 1 << 10 && peak < limit, "{peak} of {limit} KiB");
    room.assert_healthy();
}

#[test]
fn all_platforms_come_with_their_index() {
    needs_tool!("docker-registry", "skopeo");
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let mut room = Room::new();
    let image = |layer, architecture| Image::new([layer]).platform("linux", architecture, None);
    let other = if native_architecture() == "arm64" { "amd64" } else { "arm64" };
    let images = [
        image(room.layer(&[("a", "other")]), other),
        image(room.layer(&[("a", "own")]), native_architecture()),
    ];
    let index = room.layout.tag_index(&images, "both").unwrap();
    registry.push(&room.layout.reference("both"), "box:1").unwrap();
    let name = registry.reference("box:1");

    let own = room.images.pull_all_platforms(&mut room.state, &name, &Silent).unwrap();

    assert_eq!(room.content(&own, "a").unwrap(), "own");
    assert!(own.names.contains(&name), "{:?}", own.names);
    assert!(own.names.iter().any(|name| name.ends_with(index.as_str())), "{:?}", own.names);
    let all = room.images.list(&room.state).unwrap();
    let foreign = all.iter().find(|image| image.manifest != own.manifest).unwrap();
    assert_eq!((all.len(), foreign.config.architecture.as_str()), (2, other));
    assert_eq!(room.content(foreign, "a").unwrap(), "other");
    assert!(room.images.store().has(&index).unwrap());
    room.assert_healthy();
    let names = [own.id.to_string(), foreign.id.to_string()];
    room.images.remove(&mut room.state, &names, true).unwrap();
    room.assert_empty();
    let refused =
        room.images.pull_all_platforms(&mut room.state, &room.layout.reference("both"), &Silent);
    assert_eq!(refused.unwrap_err().kind(), Kind::Unsupported);
}
