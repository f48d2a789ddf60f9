//! Where images come from, and how their layers are packed.

use crate::room::{Room, directories, tar};
use dhow_base::{Digest, Kind};
use dhow_image::{PullOptions, Silent};
use dhow_snapshot::Driver;
use dhow_spec::image::Platform;
use dhow_testkit::{
    Tree,
    image::{Compression, Dialect, Image, native_architecture},
    needs_root, needs_tool, rootfs,
};
use std::process::Command;

#[test]
fn every_compression_and_dialect_is_unpacked_by_every_driver() {
    for driver in [Driver::Overlay, Driver::Plain] {
        for dialect in [Dialect::Oci, Dialect::Docker] {
            let mut room = Room::with(driver);
            let layers = [
                room.layer_in(&[("a", "plain"), ("over", "1")], Compression::Plain),
                room.layer_in(&[("b", "gzip"), ("over", "2")], Compression::Gzip),
                room.layer_in(&[("c", "zstd"), ("over", "3")], Compression::Zstd),
            ];
            let wanted = Image::new(layers).dialect(dialect);
            let digest = room.layout.tag_image(&wanted, "box").unwrap();

            let image = room.pull(&room.layout.reference("box")).unwrap();

            assert_eq!(image.manifest, digest);
            assert_eq!(image.names, ["localhost/box:latest"]);
            for (path, content) in [("a", "plain"), ("b", "gzip"), ("c", "zstd"), ("over", "3")] {
                let found = room.content(&image, path);
                assert_eq!(found.as_deref(), Some(content), "{path} by {driver:?}, {dialect:?}");
            }
            assert_eq!(room.snapshots(), if driver == Driver::Overlay { 3 } else { 1 });
            room.assert_healthy();
        }
    }
}

#[test]
fn archives_give_the_same_image_as_their_layout() {
    let mut room = Room::new();
    let layer = room.layer(&[("a", "1")]);
    let image = Image::new([layer]);
    room.layout.tag_image(&image, "box").unwrap();
    let path = |name: &str| room.directory.path().join(name);
    room.layout.archive(&path("oci.tar")).unwrap();
    room.layout.docker_archive(&image, "me/box:1", &path("docker.tar")).unwrap();
    let zipped = Command::new("gzip").arg("-k").arg(path("docker.tar")).status().unwrap();
    assert!(zipped.success());
    let oci = format!("oci-archive:{}", path("oci.tar").display());
    let docker = format!("docker-archive:{}", path("docker.tar").display());

    let from_layout = room.pull(&room.layout.reference("box")).unwrap();
    let from_archive = room.pull(&oci).unwrap();
    let from_docker = room.pull(&docker).unwrap();
    let from_zipped = room.pull(&format!("{docker}.gz:me/box:1")).unwrap();

    assert_eq!(from_archive.manifest, from_layout.manifest);
    assert_eq!(from_docker.id, from_layout.id);
    assert_eq!(from_zipped.manifest, from_docker.manifest);
    assert_eq!(from_docker.names, ["localhost/me/box:1"]);
    assert_eq!(room.snapshots(), 1);
    room.assert_healthy();
    let missing = room.pull(&format!("{docker}:other")).unwrap_err();
    assert_eq!(missing.kind(), Kind::NotFound);
    assert!(missing.innermost_hint().unwrap().contains("me/box:1"));
}

#[test]
fn an_index_gives_the_platform_that_was_asked_for() {
    let mut room = Room::new();
    let native = Image::new([room.layer(&[("arch", "native")])]);
    let other = Image::new([room.layer(&[("arch", "s390x")])]).platform("linux", "s390x", None);
    room.layout.tag_index(&[other.clone(), native], "both").unwrap();
    room.layout.tag_image(&other, "other").unwrap();
    let source = room.layout.reference("both");
    let options = PullOptions {
        platform: Some(Platform::parse("linux/s390x").unwrap()),
        ..PullOptions::default()
    };

    let native = room.pull(&source).unwrap();
    let other = room.images.pull(&mut room.state, &source, &options, &Silent).unwrap();
    let error = room.pull(&room.layout.reference("other")).unwrap_err();

    assert_eq!(native.config.architecture, native_architecture());
    assert_eq!(other.config.architecture, "s390x");
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(error.innermost_hint().unwrap().contains("--platform linux/s390x"));
    room.assert_healthy();
}

#[test]
fn an_image_may_have_no_layers_or_one_of_them_twice() {
    for driver in [Driver::Overlay, Driver::Plain] {
        let mut room = Room::with(driver);
        let (a, b) = (room.layer(&[("x", "1")]), room.layer(&[("x", "2")]));

        let empty = room.pull_of(vec![], "empty").unwrap();
        let twice = room.pull_of(vec![a.clone(), b, a], "twice").unwrap();

        assert_eq!(empty.config.rootfs.diff_ids, []);
        assert_eq!(room.content(&twice, "x").as_deref(), Some("1"));
        room.assert_healthy();
    }
}

#[test]
fn many_layers_are_a_chain_and_very_many_one_tree() {
    for (count, snapshots) in [(130_usize, 130), (600, 1)] {
        let mut room = Room::with(Driver::Overlay);
        let layers = (0..count).map(|number| {
            let archive = tar(&[("top", &number.to_string()), (&format!("f{number}"), "x")]);
            room.layout.layer_of_tar(&archive, Compression::Gzip).unwrap()
        });
        let layers: Vec<_> = layers.collect();

        let image = room.pull_of(layers, "deep").unwrap();

        assert_eq!(room.snapshots(), snapshots);
        assert_eq!(room.content(&image, "top"), Some((count - 1).to_string()));
        assert_eq!(room.content(&image, "f0").as_deref(), Some("x"));
        assert_eq!(image.config.rootfs.diff_ids.len(), count);
        room.assert_healthy();
    }
}

#[test]
fn an_image_of_a_layout_is_named_when_there_are_several() {
    let mut room = Room::new();
    let layer = room.layer(&[("a", "1")]);
    room.layout.tag_image(&Image::new([layer.clone()]), "one").unwrap();
    room.layout.tag_image(&Image::new([layer]).command(&["x"]), "two").unwrap();
    let path = room.layout.path().display().to_string();

    let unnamed = room.pull(&format!("oci:{path}")).unwrap_err();
    let missing = room.pull(&format!("oci:{path}:three")).unwrap_err();
    let nowhere = room.pull(&format!("oci:{path}/no")).unwrap_err();

    assert!(unnamed.innermost_hint().unwrap().contains("one, two"), "{unnamed:?}");
    assert_eq!(missing.kind(), Kind::NotFound);
    assert_eq!(nowhere.kind(), Kind::NotFound);
    room.assert_empty();
}

#[test]
fn a_whole_debian_comes_back_as_it_was() {
    needs_root!();
    needs_tool!("mmdebstrap");
    let mut room = Room::with(Driver::Overlay);
    let layout = rootfs::debian_image().unwrap();

    let image = room.pull(&layout.reference("debian")).unwrap();

    let unpacked = Tree::read(&directories(&image)[0]).unwrap();
    let original = Tree::read(rootfs::debian().unwrap().path()).unwrap();
    // The layer does not list its root.
    unpacked.without(".").assert_same(&original.without("."));
}

#[test]
fn a_local_image_is_made_once() {
    use dhow_image::LocalImage;
    use dhow_spec::image::{ExecutionConfig, ImageConfig, RootFs};
    let mut room = Room::new();
    let platform = Platform::host();
    let config = ImageConfig {
        created: None,
        author: None,
        architecture: platform.architecture,
        variant: platform.variant,
        os: platform.os,
        config: ExecutionConfig { cmd: vec!["/hello".into()], ..ExecutionConfig::default() },
        rootfs: RootFs { kind: "layers".into(), diff_ids: Vec::new() },
        history: Vec::new(),
    };
    let local = LocalImage { name: Some("hello".into()), config };
    let archive = tar(&[("hello", "hi")]);
    let mut write = |sink: &mut dyn std::io::Write| {
        sink.write_all(&archive)
            .map_err(|error| dhow_base::Error::new(Kind::Internal, "write").because(error))
    };

    let first = room.images.create(&mut room.state, &local, &mut write).unwrap();
    let second = room.images.create(&mut room.state, &local, &mut write).unwrap();

    assert_eq!(first.manifest, second.manifest);
    assert_eq!(first.config.rootfs.diff_ids, [Digest::of(&archive)]);
    assert_eq!(first.names, ["localhost/hello:latest"]);
    assert_eq!(room.content(&first, "hello").as_deref(), Some("hi"));
    assert!(room.images.find(&room.state, "hello").unwrap().is_some());
    assert_eq!((room.blobs(), room.snapshots()), (3, 1));
    room.assert_healthy();
}
