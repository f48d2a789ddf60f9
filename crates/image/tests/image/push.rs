//! Pushing to a real registry: the same digests there, and nothing sent that is there already.

use crate::room::{Room, told};
use dhow_base::Kind;
use dhow_image::{Credentials, PushForm, PushTo, Pushed, Registries, Silent};
use dhow_testkit::{
    Access, Registry, Transport,
    image::{Compression, Dialect, Image},
    needs_tool, outcome,
    registry::{PASSWORD, USER},
};
use std::process::Command;

fn push(room: &mut Room, image: &str, to: &str) -> dhow_base::Result<Pushed> {
    room.images.push(
        &mut room.state,
        image,
        PushTo { name: Some(to), registries: &Registries::default() },
        &PushForm::default(),
        &Silent,
    )
}

fn count(requests: &[String], method: &str) -> usize {
    requests.iter().filter(|request| request.starts_with(method)).count()
}

fn digest_there(registry: &Registry, name: &str) -> String {
    let mut inspect = Command::new("skopeo");
    inspect
        .args(["--insecure-policy", "inspect", "--tls-verify=false", "--format", "{{.Digest}}"])
        .arg(format!("docker://{}", registry.reference(name)));
    outcome::run_ok(&mut inspect, outcome::LIMIT).unwrap().line().to_owned()
}

#[test]
fn a_pushed_image_keeps_its_digest_and_a_second_push_sends_nothing() {
    needs_tool!("docker-registry", "skopeo");
    for dialect in [Dialect::Oci, Dialect::Docker] {
        let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
        let mut room = Room::new();
        let large: String =
            (0..400_000).map(|at: u32| format!("{:x}", at.wrapping_mul(2_654_435_761))).collect();
        let layers = [room.layer(&[("a", "1")]), room.layer(&[("b", &large)])];
        room.layout.tag_image(&Image::new(layers).dialect(dialect), "box").unwrap();
        let image = room.pull(&room.layout.reference("box")).unwrap();

        let pushed = push(&mut room, "box", &registry.reference("team/box:1")).unwrap();
        let before = registry.requests().len();
        let again = push(&mut room, "box", &registry.reference("team/box:2")).unwrap();
        let requests = registry.requests();

        assert_eq!(pushed.digest, image.manifest);
        assert_eq!(digest_there(&registry, "team/box:1"), image.manifest.as_str());
        assert_eq!(digest_there(&registry, "team/box:2"), image.manifest.as_str());
        assert_eq!(again.digest, image.manifest);
        let second = &requests[before..];
        // Two layers and the configuration; one request finds out that plain HTTP is spoken.
        assert_eq!(count(second, "HEAD"), 3, "{second:#?}");
        assert_eq!(count(second, "PUT"), 1, "{second:#?}");
        assert_eq!(count(second, "POST") + count(second, "PATCH"), 0, "{second:#?}");
        let other = Room::new();
        let mut other = other;
        let back = other.pull(&registry.reference("team/box:1")).unwrap();
        assert_eq!(other.content(&back, "b").unwrap(), large);
        room.assert_healthy();
    }
}

#[test]
fn blobs_are_taken_over_from_the_repository_that_they_came_from() {
    needs_tool!("docker-registry", "skopeo");
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let mut room = Room::new();
    let layers = [room.layer(&[("a", "1")]), room.layer(&[("b", "2")])];
    room.layout.tag_image(&Image::new(layers), "box").unwrap();
    registry.push(&room.layout.reference("box"), "one/box:1").unwrap();
    let name = registry.reference("one/box:1");
    let image = room.pull(&name).unwrap();
    let before = registry.requests().len();

    push(&mut room, &name, &registry.reference("two/box:1")).unwrap();

    let requests = &registry.requests()[before..];
    assert_eq!(count(requests, "POST"), 3, "{requests:#?}");
    assert!(
        requests.iter().filter(|line| line.starts_with("POST")).all(|line| line.ends_with(" 201")),
        "{requests:#?}"
    );
    assert_eq!((count(requests, "PATCH"), count(requests, "PUT")), (0, 1), "{requests:#?}");
    assert_eq!(digest_there(&registry, "two/box:1"), image.manifest.as_str());
}

#[test]
fn a_blob_that_is_not_here_is_passed_on() {
    needs_tool!("docker-registry", "skopeo");
    let (from, to) = (
        Registry::start(Access::Open, Transport::Plain).unwrap(),
        Registry::start(Access::Open, Transport::Plain).unwrap(),
    );
    let mut room = Room::new();
    let gzip = room.layer(&[("a", "1")]);
    let zstd = room.layer_in(&[("a", "1")], Compression::Zstd);
    assert_eq!(gzip.diff_id, zstd.diff_id);
    room.pull_of(vec![gzip], "gzip").unwrap();
    room.layout.tag_image(&Image::new([zstd.clone()]), "zstd").unwrap();
    from.push(&room.layout.reference("zstd"), "box:1").unwrap();
    let name = from.reference("box:1");
    let image = room.pull(&name).unwrap();
    assert!(
        !room.images.store().has(&zstd.digest).unwrap(),
        "its layer was here, so was not fetched"
    );

    push(&mut room, &name, &to.reference("box:1")).unwrap();

    assert_eq!(digest_there(&to, "box:1"), image.manifest.as_str());
    room.assert_healthy();
}

#[test]
fn an_image_goes_where_its_name_says_and_all_tags_of_a_repository_are_found() {
    needs_tool!("docker-registry", "skopeo");
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let mut room = Room::new();
    let image = room.pull_of(vec![room.layer(&[("a", "1")])], "box").unwrap();
    let id = image.id.to_string();
    for tag in ["a", "b"] {
        room.images.tag(&mut room.state, "box", &registry.reference(&format!("x:{tag}"))).unwrap();
    }
    let registries = Registries::default();

    let tags = room.images.tags_of(&room.state, &registry.reference("x")).unwrap();
    for tag in &tags {
        room.images
            .push(
                &mut room.state,
                tag,
                PushTo { name: None, registries: &registries },
                &PushForm::default(),
                &Silent,
            )
            .unwrap();
    }
    let nameless = room
        .images
        .push(
            &mut room.state,
            &id,
            PushTo { name: None, registries: &registries },
            &PushForm::default(),
            &Silent,
        )
        .unwrap_err();
    let nothing = room.images.tags_of(&room.state, &registry.reference("y")).unwrap_err();

    assert_eq!(tags, [registry.reference("x:a"), registry.reference("x:b")]);
    assert_eq!(digest_there(&registry, "x:b"), image.manifest.as_str());
    assert_eq!(nameless.kind(), Kind::Invalid, "{}", told(&nameless));
    assert_eq!(nothing.kind(), Kind::NotFound);
}

#[test]
fn a_push_that_cannot_be_changes_nothing() {
    needs_tool!("docker-registry");
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let mut room = Room::new();
    let layer = room.layer(&[("a", "1")]);
    room.pull_of(vec![layer.clone()], "box").unwrap();
    let to = registry.reference("box:1");

    let missing = push(&mut room, "nothing", &to).unwrap_err();
    let unnamed = push(&mut room, "box", "UPPER").unwrap_err();
    // What the disk has changed is not passed on as if it were right.
    let path = room.images.store().path(&layer.digest);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let spoilt = push(&mut room, "box", &to).unwrap_err();
    drop(registry);
    let unreachable = push(&mut room, "box", &to).unwrap_err();

    assert_eq!(missing.kind(), Kind::NotFound, "{}", told(&missing));
    assert_eq!(unnamed.kind(), Kind::Invalid, "{}", told(&unnamed));
    assert_eq!(spoilt.kind(), Kind::Corrupt, "{}", told(&spoilt));
    assert!(told(&spoilt).contains(layer.digest.as_str()), "{}", told(&spoilt));
    assert_eq!(unreachable.kind(), Kind::Unavailable, "{}", told(&unreachable));
}

#[test]
fn what_was_sent_to_one_repository_is_not_sent_to_another_of_that_registry() {
    needs_tool!("docker-registry", "skopeo");
    for access in [Access::Open, Access::Token] {
        let registry = Registry::start(access, Transport::Plain).unwrap();
        let mut room = Room::new();
        let base = room.layer(&[("base", "1")]);
        let (one, two) = (room.layer(&[("one", "1")]), room.layer(&[("two", "2")]));
        room.pull_of(vec![base.clone(), one], "one").unwrap();
        room.pull_of(vec![base.clone(), two.clone()], "two").unwrap();
        let registries = || Registries {
            credentials: (access == Access::Token)
                .then(|| Credentials::parse(&format!("{USER}:{PASSWORD}")).unwrap()),
            ..Registries::default()
        };
        let push = |room: &mut Room, image: &str, to: &str| {
            let (name, registries) = (registry.reference(to), registries());
            let to = PushTo { name: Some(&name), registries: &registries };
            let form = PushForm::default();
            room.images.push(&mut room.state, image, to, &form, &Silent).unwrap()
        };
        push(&mut room, "one", "team/one:1");
        // The blob's own row and file go with the image; what is known of its place does not.
        room.images.remove(&mut room.state, &["one".to_owned()], true).unwrap();
        let before = registry.requests().len();

        push(&mut room, "two", "team/two:1");

        let requests = &registry.requests()[before..];
        let begun = |status: &str| {
            let begins = |line: &&String| line.starts_with("POST") && line.ends_with(status);
            requests.iter().filter(begins).cloned().collect::<Vec<_>>()
        };
        let mounted = begun(" 201");
        assert_eq!(mounted.len(), 1, "{access:?} {requests:#?}");
        assert!(
            mounted[0].contains(&format!("mount={}&from=team/one", base.digest)),
            "{mounted:?}"
        );
        assert_eq!(begun(" 202").len(), 2, "{access:?} {requests:#?}");
        assert_eq!(registry.blob(&two.digest).metadata().unwrap().len(), two.size);
    }
}

#[test]
fn a_place_that_has_forgotten_a_blob_gets_it_again() {
    needs_tool!("docker-registry", "skopeo");
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let mut room = Room::new();
    let layer = room.layer(&[("a", "1")]);
    room.pull_of(vec![layer.clone()], "box").unwrap();
    push(&mut room, "box", &registry.reference("one/box:1")).unwrap();
    std::fs::remove_dir_all(registry.repository("one/box")).unwrap();

    let pushed = push(&mut room, "box", &registry.reference("two/box:1")).unwrap();

    // The upload that the registry begins in place of the mount is the one that is gone on with.
    let requests = registry.requests();
    let posts = requests.iter().filter(|line| line.contains("two/box/blobs/uploads/?mount"));
    assert_eq!(posts.clone().count(), 2, "{requests:#?}");
    assert!(posts.clone().all(|line| line.ends_with(" 202")), "{requests:#?}");
    assert_eq!(digest_there(&registry, "two/box:1"), pushed.digest.as_str());
}
