//! Finding, sharing, naming, standing on and removing images.

use crate::room::{Room, directories, open};
use dhow_base::{Kind, clock::Moment, id::ContainerId};
use dhow_image::{Images, PullOptions, Silent};
use dhow_snapshot::Driver;
use dhow_spec::Mount;
use dhow_state::{
    State,
    containers::{self, Container, Course, Phase},
    mounts,
};
use dhow_testkit::{
    image::Compression,
    needs_root, needs_tool,
    tarball::{Entry, Tarball, What},
};
use std::{os::unix::fs::MetadataExt, process::Command, sync::Barrier};

#[test]
fn an_image_is_found_by_name_id_and_digest() {
    let mut room = Room::new();
    let layer = room.layer(&[("a", "1")]);
    let image = room.pull_of(vec![layer], "quay.io/team/box:1").unwrap();
    room.images.tag(&mut room.state, "quay.io/team/box:1", "box").unwrap();
    let by_digest = format!("quay.io/team/box@{}", image.manifest);
    let (short, whole) = (image.id.short().to_owned(), image.id.to_string());
    let cases = [
        ("quay.io/team/box:1", true),
        ("docker://quay.io/team/box:1", true),
        ("box", true),
        ("box:latest", true),
        ("localhost/box", true),
        (short.as_str(), true),
        (whole.as_str(), true),
        (image.id.hex(), true),
        (image.manifest.as_str(), true),
        ("quay.io/team/box", false),
        ("team/box:1", false),
        ("box:2", false),
        (by_digest.as_str(), false),
        ("ffffffffffff", false),
    ];
    for (text, found) in cases {
        let image = room.images.find(&room.state, text).unwrap();
        assert_eq!(image.is_some(), found, "finding {text}");
    }
    assert!(room.images.find(&room.state, "No Name").is_err());
    assert_eq!(room.images.look_up(&room.state, "no").unwrap_err().kind(), Kind::NotFound);
}

#[test]
fn what_an_earlier_boot_had_mounted_is_mounted_no_more() {
    let mut room = Room::new();
    let layer = room.layer(&[("a", "1")]);
    let image = room.pull_of(vec![layer], "one").unwrap();
    let object = mounts::Object::Image(image.manifest.clone());
    room.state
        .write(|write| {
            mounts::begin(write, &object, "another boot")?;
            mounts::set_users(write, &object, 2)
        })
        .unwrap();
    let before = room.images.mounted(&room.state).unwrap().len();
    let names = ["one".to_owned()];
    let kept = room.images.remove(&mut room.state, &names, true).unwrap_err();

    room.images.mend(&mut room.state).unwrap();

    assert_eq!((before, kept.kind()), (0, Kind::Conflict));
    assert_eq!(mounts::list(room.state.read()).unwrap(), []);
    room.images.remove(&mut room.state, &names, false).unwrap();
    room.assert_empty();
}

#[test]
fn layers_are_shared_between_chains_and_fetched_once() {
    let mut room = Room::with(Driver::Overlay);
    let (a, b, c) =
        (room.layer(&[("a", "1")]), room.layer(&[("b", "2")]), room.layer(&[("c", "3")]));
    room.pull_of(vec![a.clone(), b.clone()], "one").unwrap();
    // What is here already must not be asked for again.
    std::fs::remove_file(room.layout.blob(&a.digest)).unwrap();
    std::fs::remove_file(room.layout.blob(&b.digest)).unwrap();

    let two = room.pull_of(vec![c, b, a], "two").unwrap();

    assert_eq!(room.snapshots(), 3);
    assert_eq!(room.content(&two, "a").as_deref(), Some("1"));
    room.assert_healthy();
}

#[test]
fn what_a_layer_does_not_list_is_as_the_layers_below_have_it() {
    needs_root!();
    let mut room = Room::with(Driver::Overlay);
    let mut base = Tarball::in_memory();
    base.put(&Entry::new("./", What::Directory).mode(0o1777).owner(5, 6), b"").unwrap();
    base.put(&Entry::new("d/", What::Directory).mode(0o2750).owner(7, 8), b"").unwrap();
    let mut above = Tarball::in_memory();
    above.file("d/new/x", b"1").unwrap();
    let layers = [base, above].map(|tarball| {
        room.layout.layer_of_tar(&tarball.finish().unwrap(), Compression::Gzip).unwrap()
    });

    let image = room.pull_of(layers.to_vec(), "box").unwrap();

    let top = &directories(&image)[0];
    let attributes = |path: &str| {
        let metadata = std::fs::metadata(top.join(path)).unwrap();
        (metadata.mode() & 0o7777, metadata.uid(), metadata.gid(), metadata.mtime())
    };
    assert_eq!(attributes(""), (0o1777, 5, 6, 1_735_689_600));
    assert_eq!(attributes("d"), (0o2750, 7, 8, 1_735_689_600));
    assert_eq!(attributes("d/new").0, 0o755);
    room.assert_healthy();
}

#[test]
fn a_tree_grows_from_the_longest_part_that_is_here() {
    let mut room = Room::with(Driver::Plain);
    let layers: Vec<_> = ["a", "b", "c"].iter().map(|name| room.layer(&[(name, name)])).collect();
    room.pull_of(layers[..2].to_vec(), "base").unwrap();
    std::fs::remove_file(room.layout.blob(&layers[0].digest)).unwrap();

    let image = room.pull_of(layers.clone(), "app").unwrap();

    for name in ["a", "b", "c"] {
        assert_eq!(room.content(&image, name).as_deref(), Some(name));
    }
    assert_eq!(room.snapshots(), 2);
    room.images.remove(&mut room.state, &["base".into()], false).unwrap();
    assert_eq!(room.snapshots(), 1);
    room.assert_healthy();
}

#[test]
fn removal_takes_what_nobody_else_holds() {
    for driver in [Driver::Overlay, Driver::Plain] {
        let mut room = Room::with(driver);
        let (shared, own) = (room.layer(&[("a", "1")]), room.layer(&[("b", "2")]));
        room.pull_of(vec![shared.clone()], "one").unwrap();
        let two = room.pull_of(vec![shared, own], "two").unwrap();

        let removed = room.images.remove(&mut room.state, &["one".into()], false).unwrap();

        assert_eq!(removed[0].untagged, ["localhost/one:latest"]);
        assert_eq!(room.content(&two, "a").as_deref(), Some("1"));
        room.assert_healthy();
        room.images.remove(&mut room.state, &[two.id.to_string()], false).unwrap();
        room.assert_empty();
    }
}

#[test]
fn names_protect_an_image_from_removal_by_id_only() {
    let mut room = Room::new();
    let layer = room.layer(&[("a", "1")]);
    let image = room.pull_of(vec![layer], "one").unwrap();
    room.images.tag(&mut room.state, "one", "two").unwrap();
    let id = [image.id.short().to_owned()];

    let error = room.images.remove(&mut room.state, &id, false).unwrap_err();
    let untagged = room.images.remove(&mut room.state, &["one".into()], false).unwrap();
    room.images.tag(&mut room.state, "two", "three").unwrap();
    let removed = room.images.remove(&mut room.state, &id, true).unwrap();

    assert_eq!(error.kind(), Kind::Conflict);
    assert_eq!((untagged[0].untagged.len(), &untagged[0].deleted), (1, &None));
    assert_eq!(removed[0].deleted, Some(image.id));
    assert_eq!(removed[0].untagged.len(), 2);
    room.assert_empty();
    let missing = room.images.remove(&mut room.state, &["one".into()], false).unwrap_err();
    assert_eq!(missing.kind(), Kind::NotFound);
}

fn container(
    state: &mut State,
    images: &Images,
    image: &dhow_image::Image,
) -> (ContainerId, Mount) {
    let id = ContainerId::random().unwrap();
    let row = Container {
        id: id.clone(),
        name: id.short().to_owned(),
        phase: Phase::Created,
        owner: None,
        image: Some(image.manifest.clone()),
        image_name: "box".into(),
        created: Moment::now(),
        started: None,
        finished: None,
        process: None,
        monitor: None,
        boot: None,
        exit_code: None,
        oom_killed: false,
        auto_remove: false,
        settings: "{}".into(),
        course: Course::default(),
    };
    state.write(|write| containers::insert(write, &row)).unwrap();
    let mount = images.container_root(state, &id, image).unwrap();
    (id, mount)
}

#[test]
fn a_container_stands_on_its_image_until_it_is_removed() {
    for driver in [Driver::Overlay, Driver::Plain] {
        let mut room = Room::with(driver);
        let layers = vec![room.layer(&[("a", "1")]), room.layer(&[("b", "2")])];
        let image = room.pull_of(layers, "box").unwrap();
        let (id, mount) = container(&mut room.state, &room.images, &image);

        let refused = room.images.remove(&mut room.state, &["box".into()], true).unwrap_err();
        let again = room.images.container_mount(&room.state, &id).unwrap();
        room.assert_healthy();
        room.images.remove_container_root(&mut room.state, &id).unwrap();
        room.images.remove_container_root(&mut room.state, &id).unwrap();
        room.state.write(|write| containers::delete(write, &id)).unwrap();

        assert_eq!(refused.kind(), Kind::Conflict);
        assert!(refused.one_line().contains(id.short()), "{}", refused.one_line());
        assert_eq!(mount, again);
        match (driver, mount) {
            (Driver::Overlay, Mount::Overlay { lower, upper: Some(_), .. }) => {
                assert_eq!(lower.len(), 2);
                assert!(lower[0].join("b").exists() && lower[1].join("a").exists());
            }
            (Driver::Plain, Mount::Bind { read_only: false, .. }) => {}
            other => panic!("{other:?}"),
        }
        room.images.remove(&mut room.state, &["box".into()], false).unwrap();
        room.assert_empty();
    }
}

#[test]
fn two_pulls_of_one_image_at_once_fetch_it_once() {
    let room = Room::new();
    let layers: Vec<_> = (0..4_u8)
        .map(|number| {
            let name = format!("f{number}");
            let content = format!("{number}").repeat(300_000);
            room.layer_in(&[(&name, &content)], Compression::Zstd)
        })
        .collect();
    let wanted = dhow_testkit::image::Image::new(layers);
    room.layout.tag_image(&wanted, "one").unwrap();
    room.layout.tag_image(&wanted.command(&["other"]), "two").unwrap();
    let barrier = Barrier::new(6);

    std::thread::scope(|scope| {
        for number in 0..6 {
            let (barrier, layout, path) = (&barrier, &room.layout, room.directory.path());
            scope.spawn(move || {
                let (mut state, images) = open(path);
                let source = layout.reference(if number % 2 == 0 { "one" } else { "two" });
                barrier.wait();
                images.pull(&mut state, &source, &PullOptions::default(), &Silent).unwrap();
            });
        }
    });

    // Four layers, two configurations, two manifests.
    assert_eq!((room.snapshots(), room.blobs()), (4, 8));
    room.assert_healthy();
}

#[test]
fn inspect_and_history_tell_what_docker_tells() {
    let mut room = Room::with(Driver::Overlay);
    let layers = vec![room.layer(&[("a", "1")]), room.layer(&[("b", "2")])];
    let image = room.pull_of(layers, "box").unwrap();

    let document = image.inspect();
    let history = image.history(&room.state).unwrap();

    assert_eq!(document["Id"], image.id.as_str());
    assert_eq!(document["RepoTags"][0], "localhost/box:latest");
    assert_eq!(document["Os"], "linux");
    assert_eq!(document["Config"]["Cmd"][0], "sh");
    assert_eq!(document["RootFS"]["Layers"].as_array().unwrap().len(), 2);
    assert_eq!(document["Size"], image.size);
    assert_eq!(history.len(), 2);
    assert_eq!((history[0].created_by.as_str(), history[0].id.is_some()), ("layer 2", true));
    assert_eq!((history[1].created_by.as_str(), history[1].id.is_some()), ("layer 1", false));
    assert_eq!(history.iter().map(|entry| entry.size).sum::<u64>(), image.size);
    assert!(image.size > 0);
}

#[test]
fn the_store_is_a_layout_that_others_read() {
    needs_root!();
    needs_tool!("skopeo");
    let mut room = Room::new();
    let layer = room.layer(&[("a", "1")]);
    let image = room.pull_of(vec![layer], "box").unwrap();
    let content = room.root().join("content");

    let output = Command::new("skopeo")
        .args(["--insecure-policy", "inspect", "--format", "{{.Digest}}"])
        .arg(format!("oci:{}:localhost/box:latest", content.display()))
        .output()
        .unwrap();

    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said.trim(), image.manifest.as_str(), "{output:?}");
}
