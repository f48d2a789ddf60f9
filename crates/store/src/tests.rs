//! The store's promises.

use super::*;
use std::{collections::BTreeMap, os::unix::fs::PermissionsExt, sync::Barrier};

fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::new(directory.path().join("content"));
    (directory, store)
}

fn wanted(store: &Store, digest: &Digest, size: u64) -> Ingest {
    match store.ingest(digest, size).unwrap() {
        Intake::Wanted(ingest) => ingest,
        Intake::Present => panic!("{digest} is there already"),
    }
}

#[test]
fn a_blob_is_there_only_after_its_commit() {
    let (_directory, store) = store();
    let digest = Digest::of(b"layer");
    let mut ingest = wanted(&store, &digest, 5);
    ingest.append(b"lay").unwrap();
    ingest.append(b"er").unwrap();
    let before = store.has(&digest).unwrap();

    ingest.commit().unwrap();

    assert!(!before);
    assert_eq!(store.read(&digest, 5).unwrap(), b"layer");
    assert_eq!(store.list().unwrap(), [Found::Blob(digest.clone(), 5)]);
    assert!(matches!(store.ingest(&digest, 5).unwrap(), Intake::Present));
    assert_eq!(store.list().unwrap(), [Found::Blob(digest, 5)]);
}

#[test]
fn what_is_not_as_promised_is_refused_and_gone() {
    let cases: [(&[u8], u64, &str); 3] = [
        (b"other", 5, "has digest sha256:"),
        (b"lay", 5, "3 of 5 bytes"),
        (b"layer and more", 5, "more than its 5 bytes"),
    ];
    for (content, size, why) in cases {
        let (_directory, store) = store();
        let digest = Digest::of(b"layer");
        let mut ingest = wanted(&store, &digest, size);

        let error = ingest.append(content).and_then(|()| ingest.commit()).unwrap_err();

        assert_eq!(error.kind(), Kind::Corrupt);
        assert!(error.one_line().contains(why), "{}", error.one_line());
        assert!(error.one_line().contains(digest.as_str()), "{}", error.one_line());
        assert_eq!(store.list().unwrap(), []);
    }
}

#[test]
fn an_interrupted_blob_goes_on_where_it_ended_and_is_hashed_again() {
    let (_directory, store) = store();
    let content = vec![7_u8; 3 << 20];
    let digest = Digest::of(&content);
    let mut first = wanted(&store, &digest, 3 << 20);
    first.append(&content[..2 << 20]).unwrap();
    drop(first);

    let mut second = wanted(&store, &digest, 3 << 20);
    let mut replayed = Vec::new();
    second
        .replay(|piece| {
            replayed.extend_from_slice(piece);
            Ok(())
        })
        .unwrap();
    let received = second.received();
    second.append(&content[2 << 20..]).unwrap();
    second.commit().unwrap();

    assert_eq!((received, replayed.len()), (2 << 20, 2 << 20));
    store.verify(&digest).unwrap();
}

#[test]
fn a_part_that_changed_on_disk_does_not_become_a_blob() {
    let (_directory, store) = store();
    let content = vec![7_u8; 2 << 20];
    let digest = Digest::of(&content);
    let mut first = wanted(&store, &digest, 2 << 20);
    first.append(&content[..3 << 19]).unwrap();
    drop(first);
    fs::write(store.partial(&digest), vec![8_u8; 3 << 19]).unwrap();

    let mut second = wanted(&store, &digest, 2 << 20);
    second.append(&content[3 << 19..]).unwrap();
    let error = second.commit().unwrap_err();

    assert_eq!(error.kind(), Kind::Corrupt);
    assert_eq!(store.list().unwrap(), []);
}

#[test]
fn small_parts_are_not_kept_and_too_long_ones_start_over() {
    let (_directory, store) = store();
    let digest = Digest::of(b"layer");
    let mut ingest = wanted(&store, &digest, 5);
    ingest.append(b"lay").unwrap();
    drop(ingest);
    assert_eq!(store.list().unwrap(), []);

    fs::write(store.partial(&digest), b"much too long").unwrap();

    assert_eq!(wanted(&store, &digest, 5).received(), 0);
}

#[test]
fn two_takers_of_one_blob_write_it_once() {
    let (_directory, store) = store();
    let content = vec![1_u8; 1 << 20];
    let digest = Digest::of(&content);
    let barrier = Barrier::new(4);
    let writers = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    match store.ingest(&digest, 1 << 20).unwrap() {
                        Intake::Present => 0,
                        Intake::Wanted(mut ingest) => {
                            ingest.append(&content).unwrap();
                            ingest.commit().unwrap();
                            1
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u32>()
    });

    assert_eq!(writers, 1);
    assert_eq!(store.list().unwrap(), [Found::Blob(digest, 1 << 20)]);
}

#[test]
fn removal_asks_once_more_and_takes_parts_too() {
    let (_directory, store) = store();
    let (kept, gone) = (Digest::of(b"kept"), Digest::of(b"gone"));
    store.put(&kept, b"kept").unwrap();
    store.put(&gone, b"gone").unwrap();

    assert!(!store.remove(&kept, || Ok(false)).unwrap());
    assert!(store.remove(&gone, || Ok(true)).unwrap());
    assert!(store.remove(&gone, || Ok(true)).unwrap());

    assert_eq!(store.list().unwrap(), [Found::Blob(kept, 4)]);
}

#[test]
fn a_blob_that_rots_is_noticed_when_read() {
    let (_directory, store) = store();
    let digest = Digest::of(b"layer");
    store.put(&digest, b"layer").unwrap();
    fs::write(store.path(&digest), b"LAYER").unwrap();

    assert_eq!(store.read(&digest, 5).unwrap_err().kind(), Kind::Corrupt);
    assert_eq!(store.verify(&digest).unwrap_err().kind(), Kind::Corrupt);
}

#[test]
fn only_root_reads_it_and_strangers_are_listed() {
    let (_directory, store) = store();
    let digest = Digest::of(b"layer");
    store.put(&digest, b"layer").unwrap();
    fs::write(store.root().join("blobs/sha256/notes"), b"x").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;

    assert_eq!(mode(store.root()), 0o700);
    assert_eq!(mode(&store.path(&digest)), 0o600);
    let stray = store.root().join("blobs/sha256/notes");
    assert_eq!(store.list().unwrap(), [Found::Blob(digest, 5), Found::Stray(stray)]);
}

#[test]
fn the_empty_blob_and_sha512_are_blobs_too() {
    let (_directory, store) = store();
    let mut hasher = Hasher::new(Algorithm::Sha512);
    hasher.update(b"x");
    let long = hasher.finish();

    store.put(&Digest::of(b""), b"").unwrap();
    store.put(&long, b"x").unwrap();

    assert_eq!(store.read(&Digest::of(b""), 0).unwrap(), b"");
    assert_eq!(store.read(&long, 1).unwrap(), b"x");
}

#[test]
fn the_directory_is_an_image_layout() {
    let (_directory, store) = store();
    let index = Index {
        schema_version: 2,
        media_type: None,
        artifact_type: None,
        manifests: Vec::new(),
        subject: None,
        annotations: BTreeMap::new(),
    };

    store.write_index(&index).unwrap();

    assert_eq!(fs::read(store.root().join("oci-layout")).unwrap(), LAYOUT);
    let text = fs::read_to_string(store.root().join("index.json")).unwrap();
    assert_eq!(text, r#"{"schemaVersion":2,"manifests":[]}"#);
}
