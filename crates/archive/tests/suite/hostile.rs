//! Archives that attack: nothing outside changes, nothing is spent past the limits, no panic.

use crate::{
    raw::{Header, Raw, seal},
    target::{Target, tree},
};
use dhow_archive::{DecodeLimits, Decoder, Limits, Reader, Whiteouts};
use dhow_base::Kind;
use std::{
    io::{Read, Write},
    time::{Duration, Instant},
};

const MODES: [Whiteouts; 2] = [Whiteouts::Overlay, Whiteouts::Apply];

/// Each unpacked in both modes; refused or not, the canary is as it was.
#[test]
fn nothing_outside_is_touched() {
    let Some(known) = Target::new() else { return };
    for number in 0..attacks(&known.outside_path()).len() {
        for mode in MODES {
            let target = Target::new().unwrap();
            let (what, tar, is_legal) = attacks(&target.outside_path()).swap_remove(number);

            let outcome = target.unpack(&tar, mode);

            assert!(target.is_untouched(), "{what}: the canary was touched");
            assert_eq!(outcome.is_ok(), is_legal, "{what}: {outcome:?}");
        }
    }
}

type Attack = (&'static str, Vec<u8>, bool);

fn attacks(out: &str) -> Vec<Attack> {
    let secret = format!("{out}/secret");
    let mut attacks = climbing(out, &secret);
    attacks.extend(links(out, &secret));
    attacks.extend(headers(&secret));
    attacks
}

/// Paths that climb, and symlinks that lead out.
fn climbing(out: &str, secret: &str) -> Vec<Attack> {
    let long = format!("{}{secret}", "../".repeat(60));
    vec![
        ("dots", Raw::new().file("../outside/secret", "x").end(), false),
        ("dots inside", Raw::new().file("a/../../outside/secret", "x").end(), false),
        ("absolute", Raw::new().file(secret, "x").end(), true),
        ("symlink then file", Raw::new().symlink("l", out).file("l/secret", "x").end(), true),
        ("symlink up", Raw::new().symlink("l", "../outside").file("l/secret", "x").end(), true),
        ("symlink far up", Raw::new().symlink("l", &long[..99]).file("l/x", "").end(), true),
        ("file over symlink", Raw::new().symlink("l", secret).file("l", "x").end(), true),
        ("directory over symlink", Raw::new().symlink("l", out).directory_of("l", 1).end(), true),
        (
            "directory replaced by symlink",
            Raw::new()
                .directory("d")
                .file("d/a", "")
                .symlink("d", out)
                .file("d/secret", "x")
                .directory("d/inner")
                .end(),
            true,
        ),
        (
            "times through a symlink",
            Raw::new().directory_of("d/inner", 1).symlink("d", out).end(),
            true,
        ),
        (
            "opaque through symlink",
            Raw::new().symlink("l", out).file("l/.wh..wh..opq", "").end(),
            true,
        ),
        (
            "whiteout through symlink",
            Raw::new().symlink("l", out).file("l/.wh.secret", "").end(),
            true,
        ),
        ("whiteout of a symlink", Raw::new().symlink("l", out).file(".wh.l", "").end(), true),
        ("whiteout of nothing", Raw::new().file(".wh.", "").end(), false),
        ("whiteout of itself", Raw::new().file("a/.wh..", "").end(), false),
        ("whiteout of the parent", Raw::new().file("a/.wh...", "").end(), false),
        ("below a whiteout", Raw::new().file(".wh.a/b", "").end(), false),
        ("symlink to itself", Raw::new().symlink("l", "l").file("l/x", "").end(), false),
        ("process links", Raw::new().symlink("l", "/proc/self/root").file("l/x", "").end(), true),
    ]
}

fn links(out: &str, secret: &str) -> Vec<Attack> {
    let mut chain = Raw::new().symlink("l0", out);
    for index in 1..=255 {
        chain = chain.symlink(&format!("l{index}"), &format!("l{}", index - 1));
    }
    let suid = Header { name: b"l", mode: 0o6777, uid: 3, mtime: 1, ..Header::default() };
    vec![
        ("chain of 255 symlinks", chain.file("l255/secret", "x").end(), false),
        ("hard link outside", Raw::new().hard_link("h", secret).file("h", "x").end(), false),
        ("hard link up", Raw::new().hard_link("h", "../outside/secret").end(), false),
        (
            "hard link through symlink",
            Raw::new().symlink("l", out).hard_link("h", "l/secret").end(),
            false,
        ),
        (
            "hard link to symlink, then written",
            Raw::new().symlink("l", secret).hard_link("h", "l").file("h", "x").end(),
            true,
        ),
        (
            "symlink over hard link, with owner and mode",
            Raw::new().symlink("l", secret).hard_link("h", "l").entry(&suid, b"").end(),
            true,
        ),
        ("hard link to a directory", Raw::new().directory("d").hard_link("h", "d").end(), false),
        ("hard link to the root", Raw::new().hard_link("h", ".").end(), false),
        (
            "hard link to a whiteout",
            Raw::new().file(".wh.w", "").hard_link("h", ".wh.w").end(),
            false,
        ),
        (
            "hard link to what is whited out",
            Raw::new().file(".wh.w", "").hard_link("h", "w").end(),
            false,
        ),
        (
            "hard link into what it replaces",
            Raw::new().file("d/f", "").hard_link("d", "d/f").end(),
            false,
        ),
    ]
}

/// Headers that say two things.
fn headers(secret: &str) -> Vec<Attack> {
    let huge = Header { name: b"f", size: 1 << 32, ..Header::default() };
    let root_link = Header { typeflag: b'2', name: b"./", link: b"/", ..Header::default() };
    let sparse = |records: &[(&str, &[u8])]| {
        let records =
            [&[("GNU.sparse.major", &b"0"[..]), ("GNU.sparse.minor", b"1")], records].concat();
        Raw::new().pax(&records).file("s", "data").end()
    };
    vec![
        (
            "path from a PAX header",
            Raw::new().pax(&[("path", b"../outside/secret")]).file("harmless", "x").end(),
            false,
        ),
        (
            "link path from a PAX header",
            Raw::new().pax(&[("linkpath", secret.as_bytes())]).hard_link("h", "x").end(),
            false,
        ),
        (
            "GNU long name",
            Raw::new().extension(b'L', b"../outside/secret\0").file("x", "").end(),
            false,
        ),
        (
            "GNU long link",
            Raw::new().extension(b'K', secret.as_bytes()).hard_link("h", "x").end(),
            false,
        ),
        (
            "name of a sparse file",
            sparse(&[
                ("GNU.sparse.name", b"../outside/secret"),
                ("GNU.sparse.map", b"0,4"),
                ("GNU.sparse.size", b"4"),
            ]),
            false,
        ),
        (
            "sparse with a huge size",
            sparse(&[("GNU.sparse.map", b"0,4"), ("GNU.sparse.size", b"9223372036854775807")]),
            false,
        ),
        (
            "sparse past its size",
            sparse(&[("GNU.sparse.map", b"18446744073709551615,4"), ("GNU.sparse.size", b"4")]),
            false,
        ),
        ("content that is not there", Raw::new().entry(&huge, b"x").end(), false),
        ("the root as a symlink", Raw::new().entry(&root_link, b"").end(), false),
        ("negative time", Raw::new().pax(&[("mtime", b"-9000000000.1")]).file("f", "").end(), true),
        ("NUL in a path", Raw::new().pax(&[("path", b"a\0b")]).file("f", "").end(), false),
        (
            "owner that means no owner",
            Raw::new().pax(&[("uid", b"4294967295")]).file("f", "").end(),
            false,
        ),
    ]
}

#[test]
fn bombs_end_at_their_limit() {
    let Some(target) = Target::new() else { return };
    let limits = Limits::default;
    let many = (0..200).fold(Raw::new(), |tar, index| tar.file(&format!("f{index}"), "")).end();
    let big = Raw::new().file("a", &"x".repeat(60_000)).file("b", &"x".repeat(60_000)).end();
    let deep = Raw::new().file(&"d/".repeat(40), "").end();
    let pax = Raw::new().pax(&[("comment", &[b'x'; 9000])]).file("f", "").end();
    let cases = [
        ("entries", &many, Limits { entries: 199, ..limits() }),
        ("content", &big, Limits { unpacked_bytes: 100_000, ..limits() }),
        ("one file", &big, Limits { file_bytes: 59_999, ..limits() }),
        ("depth", &deep, Limits { depth: 39, ..limits() }),
        ("path", &deep, Limits { path_bytes: 70, ..limits() }),
        ("extended header", &pax, Limits { pax_bytes: 8000, ..limits() }),
    ];
    for (what, tar, limits) in cases {
        let error = target.unpack_within(tar, Whiteouts::Overlay, limits).unwrap_err();

        let mut text = String::new();
        let mut next: Option<&dyn std::error::Error> = Some(&error);
        while let Some(link) = next {
            text = link.to_string();
            next = link.source();
        }
        assert!(text.contains("exceeds the limit of"), "{what}: {text}");
    }
    let directories = (0..200).fold(Raw::new(), |tar, index| tar.directory(&format!("d{index}")));
    let limits = Limits { remembered_bytes: 1000, ..limits() };
    let error = target.unpack_within(&directories.end(), Whiteouts::Apply, limits).unwrap_err();
    assert_eq!(error.kind(), Kind::Exhausted);
}

/// Each link doubles the path after it: without a limit on steps, one entry costs a fortune.
#[test]
fn symlinks_that_multiply_end() {
    let Some(target) = Target::new() else { return };
    let mut tar = Raw::new().directory("d").symlink("l0", "d/../d/../d/../d/..");
    for index in 1..40 {
        let inner = format!("l{}", index - 1);
        tar = tar.symlink(&format!("l{index}"), &format!("{inner}/{inner}/{inner}/{inner}"));
    }
    let start = Instant::now();

    let outcome = target.unpack(&tar.file("l39/x", "").end(), Whiteouts::Overlay);

    assert!(outcome.is_err());
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn empty_gzip_members_cost_no_more_than_their_bytes() {
    let mut member = Vec::new();
    flate2::write::GzEncoder::new(&mut member, flate2::Compression::fast()).finish().unwrap();
    let stream = member.repeat(1_000_000);
    let start = Instant::now();
    let mut decoder = Decoder::detect(&stream[..], DecodeLimits::default()).unwrap();

    let length = decoder.read_to_end(&mut Vec::new()).unwrap();

    assert_eq!(length, 0);
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

/// The same bytes again and again, so that a stream of gigabytes needs no memory.
struct Endless {
    block: Vec<u8>,
    at: usize,
    left: u64,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let count = buffer.len().min(self.block.len() - self.at).min(most);
        buffer[..count].copy_from_slice(&self.block[self.at..self.at + count]);
        self.at = (self.at + count) % self.block.len();
        self.left -= count as u64;
        Ok(count)
    }
}

#[test]
fn ten_million_empty_files_end_at_the_usual_limit() {
    let header = Raw::new().file("f", "").end();
    let block = header[..512].repeat(128);
    let tar = Endless { block, at: 0, left: 10_000_000 * 512 };
    let mut reader = Reader::new(tar, Limits::default()).unwrap();
    let mut entries = 0;

    let error = loop {
        match reader.next_entry() {
            Ok(Some(_)) => entries += 1,
            Ok(None) => panic!("{entries} entries were let through"),
            Err(error) => break error,
        }
    };

    assert_eq!((error.kind(), entries), (Kind::Exhausted, Limits::default().entries));
}

#[test]
fn a_compressed_bomb_ends_at_the_ratio() {
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..16 {
        bomb.write_all(&vec![0; 1 << 20]).unwrap();
    }
    let bomb = bomb.finish().unwrap();
    let limits = DecodeLimits { ratio_from_bytes: 4 << 20, ..DecodeLimits::default() };
    let mut decoder = Decoder::detect(&bomb[..], limits).unwrap();

    let mut seen = 0;
    let mut buffer = vec![0; 1 << 16];
    let outcome = loop {
        match decoder.read(&mut buffer) {
            Ok(0) => break Ok(()),
            Ok(count) => seen += count,
            Err(error) => break Err(error),
        }
    };

    assert!(outcome.is_err());
    assert!(seen <= 5 << 20, "{seen} bytes came out first");
}

/// Cut anywhere, it is refused, or what was complete is there; the rest of the machine is as it was.
#[test]
fn a_truncated_archive_is_refused_or_fine() {
    let Some(target) = Target::new() else { return };
    let whole = Raw::new()
        .directory("d")
        .file("d/f", &"content ".repeat(300))
        .pax(&[("SCHILY.xattr.user.a", b"b"), ("mtime", b"1.5")])
        .symlink("d/s", "f")
        .hard_link("d/h", "d/f")
        .file("d/.wh.x", "")
        .end();
    for length in (0..whole.len()).step_by(97) {
        // Between two entries, or in the padding, it may pass for the end.
        drop(target.unpack(&whole[..length], Whiteouts::Overlay));
    }
    for in_a_header_or_content in [100, 700, 1200, 3000, 4700] {
        let error =
            target.unpack(&whole[..in_a_header_or_content], Whiteouts::Overlay).unwrap_err();

        assert_eq!(error.kind(), Kind::Corrupt, "{in_a_header_or_content}");
    }
    assert!(target.is_untouched());
}

#[test]
fn a_header_may_lie_about_any_field() {
    let Some(target) = Target::new() else { return };
    let whole = Raw::new().file("f", "x").symlink("l", "/etc").end();
    let before = tree(&target.root());
    assert_eq!(before.len(), 1);
    for place in (0..345).filter(|place| !(148..156).contains(place)) {
        for byte in [0, b'7', b' ', 0x80, 0xff] {
            let mut tar = whole.clone();
            tar[place] = byte;
            seal(&mut tar[..512]);

            // Refused or not: it must return.
            drop(target.unpack(&tar, Whiteouts::Overlay));
        }
    }
    assert!(target.is_untouched());
}
