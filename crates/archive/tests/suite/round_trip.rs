//! What the builder writes, the reader, another tar library and the disk understand alike.

use crate::target::Target;
use dhow_archive::{
    ArchivePath, Builder, Entry, EntryKind, Limits, Mtime, Reader, Whiteouts, Xattr,
};
use dhow_base::Kind;
use proptest::{collection::vec, prelude::*};
use std::{
    fs,
    io::Read,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt},
    },
};

fn path(text: impl AsRef<[u8]>) -> ArchivePath {
    ArchivePath::parse(text.as_ref(), &Limits::default()).unwrap()
}

fn build(entries: &[(Entry, Vec<u8>)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (entry, content) in entries {
        builder.append(entry, &mut &content[..]).unwrap();
    }
    builder.finish().unwrap()
}

/// A name's bytes: anything but what ends a name or makes it a whiteout.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_filter("ends a name", |byte| !matches!(byte, 0 | b'/' | b'.'));
    prop_oneof![4 => vec(byte.clone(), 1..12), 1 => vec(byte, 90..250)]
}

fn kind() -> impl Strategy<Value = (EntryKind, Vec<u8>)> {
    let text = vec(1..=255_u8, 1..300);
    let device = || (0..4096_u32, 1..1_048_576_u32);
    prop_oneof![
        vec(any::<u8>(), 0..2000)
            .prop_map(|content| (EntryKind::File { size: content.len() as u64 }, content)),
        Just((EntryKind::Directory, Vec::new())),
        text.prop_map(|target| (EntryKind::Symlink { target }, Vec::new())),
        Just((EntryKind::Fifo, Vec::new())),
        device().prop_map(|(major, minor)| (EntryKind::CharDevice { major, minor }, Vec::new())),
        device().prop_map(|(major, minor)| (EntryKind::BlockDevice { major, minor }, Vec::new())),
    ]
}

/// Files in up to three directories that need not be listed; the number keeps the names apart.
fn entries() -> impl Strategy<Value = Vec<(Entry, Vec<u8>)>> {
    let owner = 0..u32::MAX;
    let mtime = (-1_000_000_000..4_000_000_000_i64, prop_oneof![Just(0), 0..1_000_000_000_u32]);
    let one = (
        vec(name(), 1..4),
        kind(),
        0..0o10000_u32,
        owner.clone(),
        owner,
        mtime,
        vec(any::<u8>(), 0..40),
    );
    vec(one, 1..12).prop_map(|all| {
        let entry = |(number, one): (usize, _)| {
            let (names, (kind, content), mode, uid, gid, (seconds, nanoseconds), value): (
                Vec<Vec<u8>>,
                _,
                _,
                _,
                _,
                (i64, u32),
                Vec<u8>,
            ) = one;
            let mut text = format!("{number}").into_bytes();
            text.extend(names.join(&b'/'));
            let is_plain = matches!(kind, EntryKind::File { .. } | EntryKind::Directory);
            let mut entry = Entry::new(path(text), kind, mode);
            (entry.uid, entry.gid) = (uid, gid);
            entry.mtime = Mtime { seconds, nanoseconds };
            if is_plain && !value.is_empty() {
                entry.xattrs.push(Xattr { name: b"user.value".to_vec(), value });
            }
            (entry, content)
        };
        all.into_iter().enumerate().map(entry).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn entries_survive_the_round_trip(entries in entries()) {
        let tar = build(&entries);

        let mut reader = Reader::new(&tar[..], Limits::default()).unwrap();
        for (written, content) in &entries {
            let read = reader.next_entry().unwrap().unwrap();
            // Linux has no mode on a symlink, but an archive has.
            prop_assert_eq!(&read, written);
            let mut found = Vec::new();
            reader.read_to_end(&mut found).unwrap();
            prop_assert_eq!(&found, content);
        }
        prop_assert!(reader.next_entry().unwrap().is_none());
        prop_assert_eq!(build(&entries), tar.clone());
        another_library_agrees(&tar, &entries);
        if let Some(target) = Target::new() {
            target.unpack(&tar, Whiteouts::Overlay).unwrap();
            for (entry, content) in &entries {
                is_on_disk(&target, entry, content);
            }
        }
    }
}

fn another_library_agrees(tar: &[u8], entries: &[(Entry, Vec<u8>)]) {
    let mut archive = tar::Archive::new(tar);
    let mut others = archive.entries().unwrap();
    for (entry, content) in entries {
        let mut other = others.next().unwrap().unwrap();
        let name = other.path_bytes().into_owned();
        let name = name.strip_suffix(b"/").unwrap_or(&name);
        // It splits extended headers at line feeds, wherever they are.
        let is_clear = |text: &[u8]| text.len() <= 99 || !text.contains(&b'\n');
        let mut is_legible = is_clear(entry.path.as_bytes());
        if let EntryKind::Symlink { target } = &entry.kind {
            is_legible &= is_clear(target);
        }
        if is_legible {
            assert_eq!(name, entry.path.as_bytes());
        }
        if let (EntryKind::Symlink { target }, true) = (&entry.kind, is_legible) {
            assert_eq!(other.link_name_bytes().as_deref(), Some(&target[..]));
        }
        let mut found = Vec::new();
        other.read_to_end(&mut found).unwrap();
        assert_eq!(&found, content);
    }
    assert!(others.next().is_none());
}

fn is_on_disk(target: &Target, entry: &Entry, content: &[u8]) {
    let path = target.root().join(entry.path.as_path());
    let status = fs::symlink_metadata(&path).unwrap();
    let file_type = status.file_type();
    match &entry.kind {
        EntryKind::File { .. } => assert_eq!(fs::read(&path).unwrap(), content),
        EntryKind::Directory => assert!(status.is_dir()),
        EntryKind::Symlink { target } => {
            assert_eq!(fs::read_link(&path).unwrap().as_os_str().as_bytes(), &target[..]);
        }
        EntryKind::Fifo => assert!(file_type.is_fifo()),
        EntryKind::CharDevice { .. } => assert!(file_type.is_char_device()),
        EntryKind::BlockDevice { .. } => assert!(file_type.is_block_device()),
        EntryKind::HardLink { .. } => unreachable!("none is made"),
    }
    assert_eq!((status.uid(), status.gid()), (entry.uid, entry.gid));
    assert_eq!(status.mtime(), entry.mtime.seconds);
    assert_eq!(status.mtime_nsec(), i64::from(entry.mtime.nanoseconds));
    if !status.is_symlink() {
        assert_eq!(status.mode() & 0o7777, entry.mode);
    }
    let path = std::str::from_utf8(entry.path.as_bytes());
    if let (Ok(path), Some(xattr)) = (path, entry.xattrs.first()) {
        assert_eq!(target.xattr(path, "user.value").as_ref(), Some(&xattr.value));
    }
}

#[test]
fn the_root_and_hard_links_are_written_too() {
    let mut link = Entry::new(path("b"), EntryKind::HardLink { target: path("a") }, 0o600);
    link.uid = 3;
    let entries = [
        (Entry::new(path(""), EntryKind::Directory, 0o750), Vec::new()),
        (Entry::new(path("a"), EntryKind::File { size: 1 }, 0o600), b"x".to_vec()),
        (link, Vec::new()),
    ];

    let tar = build(&entries);

    let mut reader = Reader::new(&tar[..], Limits::default()).unwrap();
    for (written, _) in &entries {
        assert_eq!(reader.next_entry().unwrap().as_ref(), Some(written));
    }
}

#[test]
fn what_no_reader_would_understand_is_not_written() {
    let file = EntryKind::File { size: 3 };
    let mut named = Entry::new(path("f"), file.clone(), 0o644);
    named.xattrs.push(Xattr { name: b"user.a=b".to_vec(), value: b"c".to_vec() });
    let cases = [
        (named, Kind::Unsupported),
        (Entry::new(path(""), file.clone(), 0o644), Kind::Invalid),
        (Entry::new(path("s"), EntryKind::Symlink { target: b"a\0b".to_vec() }, 0), Kind::Invalid),
        (Entry::new(path("s"), EntryKind::Symlink { target: Vec::new() }, 0), Kind::Invalid),
        (Entry::new(path("h"), EntryKind::HardLink { target: path("") }, 0), Kind::Invalid),
        (Entry::new(path("short"), file, 0o644), Kind::Corrupt),
    ];
    for (entry, kind) in cases {
        let error = Builder::new(Vec::new()).append(&entry, &mut &b"xy"[..]).unwrap_err();

        assert_eq!(error.kind(), kind, "{entry:?}");
    }
}
