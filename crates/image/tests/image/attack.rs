//! Attack tests 18 and 19 at the level of a pull: a layer never reaches beyond its directory, and
//! a small one never becomes a huge one.

use crate::room::{Room, told};
use dhow_base::{Digest, Kind};
use dhow_snapshot::Driver;
use dhow_testkit::{
    Canary,
    image::{Compression, Layer},
    needs_root,
    tarball::{Entry, Tarball, What},
};
use std::{fs, path::Path};

type Attack = fn(&mut Tarball<Vec<u8>>, &Path);

/// Archives that aim at a directory of the host.
const ATTACKS: [(&str, Attack); 12] = [
    ("climbing", |tar, aim| {
        let up = "../".repeat(30);
        tar.file(&format!("{up}{}/x", aim.display()), b"x").unwrap();
    }),
    ("absolute", |tar, aim| {
        tar.file(&format!("{}/x", aim.display()), b"x").unwrap();
    }),
    ("through a link", |tar, aim| {
        tar.symlink("l", aim.to_str().unwrap()).unwrap().file("l/x", b"x").unwrap();
    }),
    ("through a relative link", |tar, aim| {
        let up = format!("{}{}", "../".repeat(30), aim.display());
        tar.symlink("l", &up).unwrap().file("l/x", b"x").unwrap();
    }),
    ("over a link", |tar, aim| {
        let canary = format!("{}/canary", aim.display());
        tar.symlink("l", &canary).unwrap().file("l", b"x").unwrap();
    }),
    ("a hard link to the host", |tar, aim| {
        let canary = format!("{}/canary", aim.display());
        tar.hard_link("h", &canary).unwrap().file("h", b"x").unwrap();
    }),
    ("a hard link through a link", |tar, aim| {
        tar.symlink("l", aim.to_str().unwrap()).unwrap().hard_link("h", "l/canary").unwrap();
        tar.file("h", b"x").unwrap();
    }),
    ("a hard link to a link", |tar, aim| {
        let canary = format!("{}/canary", aim.display());
        tar.symlink("l", &canary).unwrap().hard_link("h", "l").unwrap();
        tar.put(&Entry::new("h", What::File).mode(0o777).owner(7, 7), b"x").unwrap();
    }),
    ("a directory that becomes a link", |tar, aim| {
        tar.directory("d").unwrap().symlink("d", aim.to_str().unwrap()).unwrap();
        tar.file("d/x", b"x").unwrap();
        tar.put(&Entry::new("d", What::Directory).mode(0o777).owner(7, 7), b"").unwrap();
    }),
    ("a whiteout through a link", |tar, aim| {
        tar.symlink("l", aim.to_str().unwrap()).unwrap().file("l/.wh.canary", b"").unwrap();
    }),
    ("an opaque whiteout through a link", |tar, aim| {
        tar.symlink("l", aim.to_str().unwrap()).unwrap().file("l/.wh..wh..opq", b"").unwrap();
    }),
    ("a path that PAX overrides", |tar, aim| {
        let target = format!("{}{}/x", "../".repeat(30), aim.display());
        let entry = Entry::new("harmless", What::File).record("path", target.as_bytes());
        tar.put(&entry, b"x").unwrap();
    }),
];

#[test]
fn no_layer_reaches_the_host() {
    needs_root!();
    for driver in [Driver::Overlay, Driver::Plain] {
        for (name, attack) in ATTACKS {
            let mut room = Room::with(driver);
            let aim = room.directory.path().join("aim");
            fs::create_dir(&aim).unwrap();
            let canary = Canary::hatch(&aim.join("canary")).unwrap();
            let around = Canary::watch(&aim).unwrap();
            // A first layer with the same links, so that the second is applied above them.
            let mut tarball = Tarball::in_memory();
            attack(&mut tarball, &aim);
            let layer =
                room.layout.layer_of_tar(&tarball.finish().unwrap(), Compression::Gzip).unwrap();
            let below = room.layer(&[("innocent", "1")]);

            let pulled = room.pull_of(vec![below, layer], "bad");

            canary.assert_alive();
            around.assert_alive();
            assert_eq!(fs::read_dir(&aim).unwrap().count(), 1, "{name} by {driver:?}");
            room.assert_healthy();
            match pulled {
                Ok(_) => {
                    room.images.remove(&mut room.state, &["bad".into()], false).unwrap();
                    canary.assert_alive();
                }
                Err(error) => {
                    let kinds = [Kind::Corrupt, Kind::Denied, Kind::NotFound, Kind::Invalid];
                    assert!(kinds.contains(&error.kind()), "{name}: {}", told(&error));
                }
            }
            room.assert_empty();
        }
    }
}

/// A link in one layer and a file through it in the next: the union would follow, unpacking must not.
#[test]
fn a_link_of_a_lower_layer_is_not_followed() {
    needs_root!();
    for driver in [Driver::Overlay, Driver::Plain] {
        let mut room = Room::with(driver);
        let aim = room.directory.path().join("aim");
        fs::create_dir(&aim).unwrap();
        let canary = Canary::hatch(&aim.join("canary")).unwrap();
        let mut lower = Tarball::in_memory();
        lower.symlink("l", aim.to_str().unwrap()).unwrap();
        let mut upper = Tarball::in_memory();
        upper.file("l/canary", b"x").unwrap().file("l/.wh.canary", b"").unwrap();
        let layers = [lower, upper].map(|tarball| {
            room.layout.layer_of_tar(&tarball.finish().unwrap(), Compression::Gzip).unwrap()
        });

        let _either = room.pull_of(layers.to_vec(), "bad");

        canary.assert_alive();
        assert_eq!(fs::read_dir(&aim).unwrap().count(), 1, "{driver:?}");
        room.assert_healthy();
    }
}

#[test]
fn a_bomb_is_refused_before_it_goes_off() {
    let mut room = Room::new();
    // 64 members of 64 MiB of zeros each: 4 GiB in 4 MiB.
    let zeros = vec![0_u8; 64 << 20];
    let mut header = Tarball::in_memory();
    header
        .raw(&dhow_testkit::tarball::header(
            b"zeros",
            b'0',
            4 << 30,
            &Entry::new("zeros", What::File),
        ))
        .unwrap();
    let head = room.layout.layer_of_tar(&header.cut(), Compression::Gzip).unwrap();
    let member = room.layout.layer_of_tar(&zeros, Compression::Gzip).unwrap();
    let mut bomb = fs::read(room.layout.blob(&head.digest)).unwrap();
    let member = fs::read(room.layout.blob(&member.digest)).unwrap();
    for _ in 0..64 {
        bomb.extend_from_slice(&member);
    }
    let digest = room.layout.add_blob(&bomb).unwrap();
    let layer = Layer {
        digest,
        diff_id: Digest::of(b"never reached"),
        size: bomb.len() as u64,
        compression: Compression::Gzip,
    };

    let error = room.pull_of(vec![layer], "bomb").unwrap_err();

    assert_eq!(error.kind(), Kind::Exhausted, "{}", told(&error));
    room.assert_empty();
}
