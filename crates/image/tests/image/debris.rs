//! Every kind of debris, made by hand: the doctor finds it, repair mends it, nothing is left.

use crate::room::Room;
use dhow_base::{Digest, clock::Moment};
use dhow_image::Depth;
use dhow_state::{Owner, blobs, images, snapshots};
use std::{fs, path::PathBuf, process::Command};

type Make = fn(&mut Room);

/// A process that has ended.
fn dead() -> Owner {
    let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    let owner = Owner::of(pid).unwrap().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    owner
}

/// A digest that nothing here has, and the file that a blob of it would be.
fn blob(room: &Room) -> (Digest, PathBuf) {
    let digest = Digest::of(b"debris");
    let path = room.images.store().path(&digest);
    (digest, path)
}

fn directory(room: &Room, number: u64) {
    fs::create_dir_all(room.root().join(format!("snapshots/{number}/fs/etc"))).unwrap();
}

/// A snapshot's row in the phase in which its maker leaves it.
fn preparing(room: &mut Room, owner: Owner) -> u64 {
    room.state.write(|write| snapshots::prepare(write, "debris", "overlay", owner)).unwrap()
}

const KINDS: [(&str, Make); 12] = [
    ("a blob without a row", |room| fs::write(blob(room).1, b"debris").unwrap()),
    ("half a blob without a row", |room| {
        let partial = room.images.store().partial(&blob(room).0);
        fs::write(partial, b"deb").unwrap();
    }),
    ("a blob's row without a file that nobody needs", |room| {
        let (digest, _) = blob(room);
        let write = |write: &dhow_state::Write<'_>| {
            blobs::want(write, &digest, 6)?;
            blobs::mark_present(write, &digest)
        };
        room.state.write(write).unwrap();
    }),
    ("a blob with a row that nobody needs", |room| {
        let (digest, path) = blob(room);
        fs::write(path, b"debris").unwrap();
        let write = |write: &dhow_state::Write<'_>| {
            blobs::want(write, &digest, 6)?;
            blobs::mark_present(write, &digest)
        };
        room.state.write(write).unwrap();
    }),
    ("half a blob with a row that nobody needs", |room| {
        let (digest, _) = blob(room);
        fs::write(room.images.store().partial(&digest), b"deb").unwrap();
        room.state.write(|write| blobs::want(write, &digest, 6)).unwrap();
    }),
    ("a blob that a dead process was removing", |room| {
        let (digest, path) = blob(room);
        fs::write(path, b"debris").unwrap();
        let owner = dead();
        let write = |write: &dhow_state::Write<'_>| {
            blobs::want(write, &digest, 6)?;
            blobs::condemn_orphan(write, &digest, owner)
        };
        room.state.write(write).unwrap();
    }),
    ("a snapshot without a row", |room| directory(room, 4711)),
    ("a snapshot's row without a directory that nothing stands on", |room| {
        let number = preparing(room, dead());
        room.state.write(|write| snapshots::commit(write, number, "diff:debris", 0)).unwrap();
    }),
    ("a snapshot with a row that nothing stands on", |room| {
        let number = preparing(room, dead());
        directory(room, number);
        room.state.write(|write| snapshots::commit(write, number, "diff:debris", 0)).unwrap();
    }),
    ("a snapshot that a dead process was preparing", |room| {
        let number = preparing(room, dead());
        directory(room, number);
    }),
    ("a snapshot that a dead process was removing", |room| {
        let owner = dead();
        let number = preparing(room, owner);
        directory(room, number);
        room.state.write(|write| snapshots::condemn(write, number, owner)).unwrap();
    }),
    ("an image that a dead process was pulling in an earlier boot", |room| {
        let (digest, _) = blob(room);
        fs::write(room.images.store().partial(&digest), b"deb").unwrap();
        let row = images::Image {
            manifest: digest.clone(),
            media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
            config: Digest::of(b"{}"),
            config_json: "{}".to_owned(),
            phase: images::Phase::Pulling,
            wanted: "debris".to_owned(),
            owner: Some(dead()),
            boot: Some("another".to_owned()),
            size: 0,
            pulled: Moment::now(),
        };
        let write = |write: &dhow_state::Write<'_>| {
            images::begin(write, &row)?;
            blobs::want(write, &digest, 6)?;
            images::hold_blob(write, &digest, &digest)
        };
        room.state.write(write).unwrap();
    }),
];

#[test]
fn every_kind_of_debris_is_found_and_mended() {
    for (name, make) in KINDS {
        let mut room = Room::new();
        let layer = room.layer(&[("file", "content")]);
        let image = room.pull_of(vec![layer], "box").unwrap();
        let (blobs, snapshots) = (room.blobs(), room.snapshots());
        room.assert_healthy();

        make(&mut room);

        let unfinished = !images::unfinished(room.state.read()).unwrap().is_empty();
        let found = room.images.doctor(&room.state, Depth::Names).unwrap();
        // An interrupted pull is named by its row: the next command drops or goes on with it.
        assert_eq!(found.is_empty(), unfinished, "{name}: {found:#?}");
        room.images.repair(&mut room.state, Depth::Names).unwrap();

        room.assert_healthy();
        assert_eq!((room.blobs(), room.snapshots()), (blobs, snapshots), "{name}");
        assert!(images::unfinished(room.state.read()).unwrap().is_empty(), "{name}");
        assert_eq!(room.content(&image, "file").as_deref(), Some("content"), "{name}");
    }
}
