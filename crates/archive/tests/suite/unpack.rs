//! What legal layers become on the disk.

use crate::{
    raw::{Header, Raw},
    target::Target,
};
use dhow_archive::{Limits, Mtime, Whiteouts};
use dhow_base::Kind;
use std::{
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt},
    },
    process::Command,
};

const MODES: [Whiteouts; 2] = [Whiteouts::Overlay, Whiteouts::Apply];

#[test]
fn every_sort_of_entry_lands_with_its_attributes() {
    let Some(target) = Target::new() else { return };
    let node = |typeflag, name, device| Header {
        typeflag,
        name,
        device,
        mode: 0o660,
        uid: 7,
        gid: 8,
        mtime: 5,
        ..Header::default()
    };
    let file = Header {
        name: b"d/f",
        mode: 0o4755,
        uid: 1000,
        gid: 2000,
        size: 5,
        ..node(b'0', b"", (0, 0))
    };
    let tar = Raw::new()
        .directory_of("d", 77)
        .entry(&file, b"hello")
        .symlink("d/s", "/nowhere")
        .hard_link("d/h", "d/f")
        .hard_link("d/hs", "d/s")
        .entry(&node(b'6', b"d/fifo", (0, 0)), b"")
        .entry(&node(b'3', b"d/c", (1, 3)), b"")
        .entry(&node(b'4', b"d/b", (7, 300)), b"")
        .end();

    let summary = target.unpack(&tar, Whiteouts::Overlay).unwrap();

    assert_eq!((summary.entries, summary.files, summary.bytes), (8, 1, 5));
    assert!(summary.implied.is_empty());
    let file = target.status("d/f");
    assert_eq!((file.mode() & 0o7777, file.uid(), file.gid()), (0o4755, 1000, 2000));
    assert_eq!((file.mtime(), file.nlink()), (5, 2));
    assert_eq!(target.text("d/h"), "hello");
    assert_eq!(target.status("d/h").ino(), file.ino());
    assert_eq!(target.status("d/hs").ino(), target.status("d/s").ino());
    assert_eq!(target.status("d/s").mtime(), 1_000_000_000);
    assert!(target.status("d/fifo").file_type().is_fifo());
    let (c, b) = (target.status("d/c"), target.status("d/b"));
    assert!(c.file_type().is_char_device() && b.file_type().is_block_device());
    assert_eq!((c.rdev(), b.rdev()), (rustix::fs::makedev(1, 3), rustix::fs::makedev(7, 300)));
    assert_eq!((c.mode() & 0o7777, c.uid(), c.gid(), c.mtime()), (0o660, 7, 8, 5));
    assert_eq!(target.status("d").mtime(), 77);
}

#[test]
fn attributes_and_fine_times_come_from_extended_headers() {
    let Some(target) = Target::new() else { return };
    // cap_net_raw=ep, version 2.
    let capability = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let time = ("mtime", &b"-1.5"[..]);
    let suid = Header { name: b"ping", mode: 0o4755, uid: 5, ..Header::default() };
    let tar = Raw::new()
        .pax(&[("SCHILY.xattr.security.capability", &capability), time])
        .entry(&suid, b"")
        .pax(&[("SCHILY.xattr.user.note", b"a\0b"), time])
        .directory("d")
        .pax(&[("mtime", b"12.000000345")])
        .symlink("s", "d")
        .pax(&[("SCHILY.xattr.trusted.note", b"link"), ("uid", b"3000000000")])
        .symlink("s2", "d")
        .file("d/later", "")
        .end();

    target.unpack(&tar, Whiteouts::Overlay).unwrap();

    assert_eq!(target.xattr("ping", "security.capability").as_deref(), Some(&capability[..]));
    assert_eq!(target.status("ping").mode() & 0o7777, 0o4755);
    let time = |path: &str| {
        let status = target.status(path);
        let nanoseconds = u32::try_from(status.mtime_nsec()).unwrap();
        Mtime { seconds: status.mtime(), nanoseconds }
    };
    let before_1970 = Mtime { seconds: -2, nanoseconds: 500_000_000 };
    assert_eq!((time("ping"), time("d")), (before_1970, before_1970));
    assert_eq!(time("s"), Mtime { seconds: 12, nanoseconds: 345 });
    assert_eq!(target.xattr("d", "user.note").as_deref(), Some(&b"a\0b"[..]));
    assert_eq!(target.xattr("s2", "trusted.note").as_deref(), Some(&b"link"[..]));
    assert_eq!(target.status("s2").uid(), 3_000_000_000);
}

#[test]
fn records_of_the_overlay_driver_are_dropped() {
    let Some(target) = Target::new() else { return };
    let tar = Raw::new()
        .pax(&[
            ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
            ("SCHILY.xattr.user.overlay.opaque", b"y"),
            ("SCHILY.xattr.user.kept", b"1"),
        ])
        .directory("d")
        .pax(&[("SCHILY.xattr.trusted.overlay.metacopy", b"")])
        .file("d/f", "x")
        .end();

    target.unpack(&tar, Whiteouts::Overlay).unwrap();

    assert_eq!(target.xattr("d", "trusted.overlay.redirect"), None);
    assert_eq!(target.xattr("d", "user.overlay.opaque"), None);
    assert_eq!(target.xattr("d", "user.kept").as_deref(), Some(&b"1"[..]));
    assert_eq!(target.xattr("d/f", "trusted.overlay.metacopy"), None);
}

#[test]
fn labels_of_the_machine_where_a_layer_was_made_are_dropped() {
    let Some(target) = Target::new() else { return };
    // Unknown to whichever policy there is: where SELinux is on, the kernel would refuse it.
    let label = ("SCHILY.xattr.security.selinux", &b"nobody_u:object_r:nothing_t:s0\0"[..]);
    let tar = Raw::new().pax(&[label]).directory("d").pax(&[label]).symlink("s", "d").end();

    target.unpack(&tar, Whiteouts::Overlay).unwrap();

    for path in ["d", "s"] {
        assert_ne!(target.xattr(path, "security.selinux").as_deref(), Some(label.1), "{path}");
    }
}

#[test]
fn a_sparse_file_keeps_its_holes() {
    for form in ["gnu", "posix"] {
        let Some(target) = Target::new() else { return };
        let source = tempfile::tempdir().unwrap();
        let path = source.path().join("sparse");
        fs::write(&path, "start").unwrap();
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"middle", 40 << 20).unwrap();
        file.set_len(64 << 20).unwrap();
        let made = Command::new("tar")
            .args(["--sparse", &format!("--format={form}"), "-cf", "-", "-C"])
            .arg(source.path())
            .arg("sparse")
            .output();
        let Ok(made) = made else {
            eprintln!("skipped: needs tar");
            return;
        };
        assert!(made.stdout.len() < 1 << 20, "tar did not see the holes");

        let summary = target.unpack(&made.stdout, Whiteouts::Overlay).unwrap();

        let status = target.status("sparse");
        assert_eq!(status.size(), 64 << 20, "{form}");
        assert!(status.blocks() * 512 < 1 << 20, "{form}: {} blocks", status.blocks());
        assert!(summary.bytes < 1 << 20, "{form}");
        assert!(fs::read(&path).unwrap() == fs::read(target.at("sparse")).unwrap(), "{form}");
    }
}

#[test]
fn names_are_bytes() {
    let Some(target) = Target::new() else { return };
    let name = b"caf\xe9\n\xff";
    let tar = Raw::new()
        .entry(&Header { name, ..Header::default() }, b"")
        .file("A", "upper")
        .file("a", "lower")
        .file("e\u{301}", "two")
        .file("\u{e9}", "one")
        .end();

    target.unpack(&tar, Whiteouts::Overlay).unwrap();

    assert!(target.root().join(OsStr::from_bytes(name)).exists());
    assert_eq!((target.text("A"), target.text("a")), ("upper".into(), "lower".into()));
    assert_eq!((target.text("e\u{301}"), target.text("\u{e9}")), ("two".into(), "one".into()));
}

#[test]
fn the_later_entry_wins() {
    for mode in MODES {
        let Some(target) = Target::new() else { return };
        let tar = Raw::new()
            .file("twice", "first")
            .file("twice", "second")
            .directory_of("was-directory", 5)
            .file("was-directory/inner", "gone")
            .file("was-directory", "file")
            .file("was-file", "gone")
            .directory_of("was-file", 6)
            .directory_of("kept", 7)
            .file("kept/inner", "stays")
            .directory_of("kept", 8)
            .directory("to-link")
            .file("to-link/inner", "gone")
            .symlink("to-link", "kept")
            .file("linked", "1")
            .hard_link("self", "linked")
            .hard_link("self", "linked")
            .file("self", "2")
            .end();

        let summary = target.unpack(&tar, mode).unwrap();

        assert_eq!(target.text("twice"), "second");
        assert_eq!(target.text("was-directory"), "file");
        assert_eq!(target.status("was-directory").mtime(), 1_000_000_000, "dated as the directory");
        assert_eq!(target.status("was-file").mtime(), 6);
        assert_eq!(target.text("kept/inner"), "stays");
        assert_eq!(target.status("kept").mtime(), 8, "the last time counts");
        assert_eq!(fs::read_link(target.at("to-link")).unwrap().to_str(), Some("kept"));
        assert_eq!((target.text("linked"), target.text("self")), ("1".into(), "2".into()));
        assert!(summary.implied.is_empty());
    }
}

#[test]
fn missing_directories_are_made_and_told() {
    let Some(target) = Target::new() else { return };
    let tar = Raw::new()
        .file("a/b/c/file", "x")
        .file("l/late/file", "y")
        .directory_of("l/late", 9)
        .file("gone/inner", "z")
        .file("gone", "now a file")
        .end();

    let summary = target.unpack(&tar, Whiteouts::Overlay).unwrap();

    let implied: Vec<&OsStr> = summary.implied.iter().map(AsRef::as_ref).collect();
    assert_eq!(implied, ["a", "a/b", "a/b/c", "l"]);
    assert_eq!(target.status("a/b").mode() & 0o7777, 0o755);
    assert_eq!(target.status("l/late").mtime(), 9);
}

#[test]
fn a_symlink_in_the_way_is_followed_within_the_root() {
    for mode in MODES {
        let Some(target) = Target::new() else { return };
        let tar = Raw::new()
            .directory("usr/bin")
            .symlink("bin", "usr/bin")
            .file("bin/env", "followed")
            .symlink("lib", "/usr/lib")
            .file("lib/libc", "made where it points")
            .symlink("usr/up", "../../../x/./y")
            .file("usr/up/file", "root is its own parent")
            .directory_of("bin/sub", 11)
            .file("usr/bin/sub/file", "")
            .hard_link("again", "bin/env")
            .end();

        let summary = target.unpack(&tar, mode).unwrap();

        assert!(target.status("bin").is_symlink() && target.status("lib").is_symlink());
        assert_eq!(target.text("usr/bin/env"), "followed");
        assert_eq!(target.text("usr/lib/libc"), "made where it points");
        assert_eq!(target.text("x/y/file"), "root is its own parent");
        assert_eq!(target.text("again"), "followed");
        assert_eq!(target.status("usr/bin/sub").mtime(), 11);
        let implied: Vec<&OsStr> = summary.implied.iter().map(AsRef::as_ref).collect();
        assert_eq!(implied, ["usr", "usr/lib", "x", "x/y"]);
    }
}

#[test]
fn whiteouts_for_overlayfs_are_devices_in_either_order() {
    let Some(target) = Target::new() else { return };
    let tar = Raw::new()
        .file("d/.wh.gone", "")
        .file(".wh.new", "")
        .file("new", "replaced the whiteout")
        .file("old", "stays")
        .file(".wh.old", "")
        .file(".wh.tree", "")
        .directory("tree")
        .directory("eert")
        .file(".wh.eert", "")
        .file(".wh.implied", "")
        .file("implied/file", "")
        .file("deilpmi/file", "")
        .file(".wh.deilpmi", "")
        .directory("plain")
        .end();

    let summary = target.unpack(&tar, Whiteouts::Overlay).unwrap();

    assert!(target.is_whiteout("d/gone"));
    assert_eq!(target.text("new"), "replaced the whiteout");
    assert_eq!(target.text("old"), "stays");
    for path in ["tree", "eert", "implied", "deilpmi"] {
        assert!(target.is_opaque(path), "{path}");
    }
    assert!(!target.is_opaque("plain") && !target.is_opaque("d"));
    assert!(summary.implied.iter().any(|path| AsRef::<OsStr>::as_ref(path) == "d"));
    assert_eq!(target.names("").len(), 8, "no whiteout is left under its own name");
}

#[test]
fn whiteouts_applied_delete_what_lies_below_only() {
    let Some(target) = Target::new() else { return };
    let lower = Raw::new()
        .file("d/gone", "")
        .file("d/kept", "")
        .file("tree/deep/lower", "")
        .file("tree/lower", "")
        .file("eert/deep/lower", "")
        .file("eert/lower", "")
        .file("new", "old")
        .symlink("link", "d")
        .end();
    let upper = Raw::new()
        .file("d/.wh.gone", "")
        .file("d/.wh.never-there", "")
        .file(".wh.tree", "")
        .file("tree/deep/upper", "")
        .file("eert/deep/upper", "")
        .file(".wh.eert", "")
        .file("new", "new")
        .file(".wh.new", "")
        .file(".wh.link", "")
        .end();
    target.unpack(&lower, Whiteouts::Apply).unwrap();

    target.unpack(&upper, Whiteouts::Apply).unwrap();

    assert_eq!(target.names("d"), ["kept"]);
    assert_eq!(
        (target.names("tree"), target.names("tree/deep")),
        (vec!["deep".into()], vec!["upper".into()])
    );
    assert_eq!(
        (target.names("eert"), target.names("eert/deep")),
        (vec!["deep".into()], vec!["upper".into()])
    );
    assert_eq!(target.text("new"), "new");
    assert!(!target.exists("link"));
}

#[test]
fn opaque_directories_hide_what_lies_below_in_either_order() {
    for opaque_first in [true, false] {
        let Some(target) = Target::new() else { return };
        let lower = Raw::new().file("d/lower", "").file("d/sub/lower", "").symlink("l", "d").end();
        let mut upper = Raw::new();
        if opaque_first {
            upper = upper.file("d/.wh..wh..opq", "").file("d/sub/upper", "").file("d/upper", "");
        } else {
            upper = upper.file("d/sub/upper", "").file("d/upper", "").file("d/.wh..wh..opq", "");
        }
        let upper = upper.end();
        target.unpack(&lower, Whiteouts::Apply).unwrap();

        target.unpack(&upper, Whiteouts::Apply).unwrap();

        assert_eq!(target.names("d"), ["sub", "upper"], "first: {opaque_first}");
        assert_eq!(target.names("d/sub"), ["upper"], "first: {opaque_first}");
        let Some(target) = Target::new() else { return };
        target.unpack(&upper, Whiteouts::Overlay).unwrap();
        assert!(target.is_opaque("d") && !target.is_opaque("d/sub"));
        assert_eq!(target.names("d"), ["sub", "upper"]);
    }
}

#[test]
fn whiteouts_reach_through_symlinks_within_the_root() {
    let Some(target) = Target::new() else { return };
    let lower = Raw::new().file("d/lower", "").file("d/gone", "").symlink("l", "/d").end();
    let upper =
        Raw::new().file("l/upper", "").file("l/.wh.gone", "").file("d/.wh..wh..opq", "").end();
    target.unpack(&lower, Whiteouts::Apply).unwrap();

    target.unpack(&upper, Whiteouts::Apply).unwrap();

    assert_eq!(target.names("d"), ["upper"], "known by its true path");
    let again = Raw::new().file("l/.wh..wh..opq", "").end();
    target.unpack(&again, Whiteouts::Apply).unwrap();
    assert!(target.names("d").is_empty(), "opaque through the link");
    assert!(target.status("l").is_symlink());
}

#[test]
fn records_of_aufs_are_skipped() {
    let Some(target) = Target::new() else { return };
    let tar =
        Raw::new().directory(".wh..wh.plnk").file(".wh..wh.plnk/1.2", "x").file("f", "").end();

    target.unpack(&tar, Whiteouts::Overlay).unwrap();

    assert_eq!(target.names(""), ["f"]);
}

/// Two names that look the same, or are the same to other systems, are two files here.
#[test]
fn twins_by_case_and_by_unicode_are_two_files() {
    let Some(target) = Target::new() else { return };
    let twins = [["Name", "name"], ["caf\u{e9}", "cafe\u{301}"], ["\u{212a}", "K"]];
    for whiteouts in MODES {
        let tar = twins.iter().flatten().fold(Raw::new(), |tar, name| tar.file(name, name));

        let summary = target.unpack(&tar.end(), whiteouts).unwrap();

        assert_eq!(summary.files, 6);
        for name in twins.iter().flatten() {
            assert_eq!(target.text(name), *name);
        }
    }
}

/// More directories than are remembered at a time, first all of them and then what is in them: each
/// has its own time in the end, and what no entry dates has the time at which it was changed.
#[test]
fn directories_beyond_all_memory_have_their_times() {
    const COUNT: u64 = 12_000;
    let name = |number: u64| format!("many/{number}-{}", "x".repeat(40));
    for whiteouts in [Whiteouts::Overlay, Whiteouts::Apply, Whiteouts::Literal] {
        let Some(target) = Target::new() else { return };
        fs::create_dir(target.at("before")).unwrap();
        let old = fs::File::open(target.at("before")).unwrap();
        old.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        let mut tar = Raw::new().directory_of("many", 3);
        for number in 0..COUNT {
            tar = tar.directory_of(&name(number), 1000 + number);
        }
        tar = tar.symlink("link", "many").file("before/new", "").file("implied/deep/new", "");
        for number in (0..COUNT).step_by(3) {
            tar = tar.file(&format!("{}/file", name(number)), "");
        }
        // By another way, in place of what is there, and away again.
        tar = tar.file(&format!("link/{}/other", &name(1)["many/".len()..]), "");
        tar = tar.file(&name(2), "no directory").directory_of(&format!("{}/deeper", name(5)), 7);
        tar = tar.file(&format!("{}/.wh.gone", name(4)), "").file("before/.wh.new", "");

        let summary = target.unpack(&tar.end(), whiteouts).unwrap();

        for number in (0..COUNT).filter(|number| *number != 2) {
            let seconds = i64::try_from(1000 + number).unwrap();
            assert_eq!(target.status(&name(number)).mtime(), seconds, "{number} {whiteouts:?}");
        }
        assert_eq!(target.status("many").mtime(), 3, "{whiteouts:?}");
        assert_eq!(target.status(&format!("{}/deeper", name(5))).mtime(), 7);
        assert!(target.status(&name(2)).is_file());
        assert!(target.exists("before/new"), "{whiteouts:?} spares what the layer has brought");
        if whiteouts != Whiteouts::Overlay {
            assert!(target.status("before").mtime() > 0, "nobody has dated it: {whiteouts:?}");
            let implied: Vec<_> =
                summary.implied.iter().map(|path| path.to_str().unwrap()).collect();
            assert_eq!(implied, ["implied", "implied/deep"]);
        }
    }
}

/// What a layer without an end may have others remember has a bound: here directories that it never
/// lists.
#[test]
fn implied_directories_are_bounded_and_listed_ones_cost_nothing() {
    let Some(target) = Target::new() else { return };
    let limits = || Limits { remembered_bytes: 200_000, ..Limits::default() };
    let implied = (0..3000).fold(Raw::new(), |tar, index| tar.file(&format!("i{index}/f"), ""));
    let listed = (0..3000).fold(Raw::new(), |tar, index| tar.directory(&format!("l{index}")));

    let error = target.unpack_within(&implied.end(), Whiteouts::Overlay, limits()).unwrap_err();

    assert_eq!(error.kind(), Kind::Exhausted, "{}", error.one_line());
    drop(target.unpack_within(&listed.end(), Whiteouts::Overlay, limits()).unwrap());
}
