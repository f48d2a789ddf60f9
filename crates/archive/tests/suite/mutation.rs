//! Valid archives with bytes changed, the checksums made right again: no panic, nothing outside.

use crate::{
    raw::{Header, Raw, seal},
    target::Target,
};
use dhow_archive::{Limits, Whiteouts};
use std::time::{Duration, Instant};

const TIME: Duration = Duration::from_secs(4);
const SEED: u64 = 0x6468_6f77;

#[test]
fn mutated_archives_do_no_harm() {
    let Some(target) = Target::new() else { return };
    let seeds = seeds(&target.outside_path());
    let mut random = Random(SEED);
    let start = Instant::now();
    let (mut tries, mut accepted) = (0_u64, 0_u64);
    while start.elapsed() < TIME {
        let mut tar = seeds[random.below(seeds.len())].clone();
        mutate(&mut tar, &mut random);
        let mode = [Whiteouts::Overlay, Whiteouts::Apply][random.below(2)];
        let limits = Limits { entries: 100, unpacked_bytes: 1 << 20, ..Limits::default() };

        // What one leaves behind is the ground of the next.
        accepted += u64::from(target.unpack_within(&tar, mode, limits).is_ok());
        tries += 1;

        assert!(tries % 16 != 0 || target.is_untouched(), "seed {SEED:#x}, try {tries}");
    }
    assert!(target.is_untouched());
    eprintln!("{tries} archives, {accepted} of them accepted");
}

fn seeds(out: &str) -> Vec<Vec<u8>> {
    let device = Header { typeflag: b'3', name: b"d/c", device: (1, 3), ..Header::default() };
    vec![
        Raw::new()
            .directory("d")
            .symlink("l", "d")
            .file("l/f", "content")
            .hard_link("h", "d/f")
            .symlink("o", out)
            .file("o/secret", "x")
            .entry(&device, b"")
            .end(),
        Raw::new()
            .pax(&[("path", b"d/long"), ("SCHILY.xattr.user.a", b"b"), ("mtime", b"-1.25")])
            .file("x", "content")
            .extension(b'L', b"d/other\0")
            .file("x", "content")
            .file("d/.wh.gone", "")
            .file("d/.wh..wh..opq", "")
            .end(),
        Raw::new()
            .pax(&[("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0")])
            .pax(&[
                ("GNU.sparse.major", b"1"),
                ("GNU.sparse.minor", b"0"),
                ("GNU.sparse.name", b"s"),
                ("GNU.sparse.realsize", b"9000"),
            ])
            .file("x", &format!("1\n4096\n4\n{}data", "\0".repeat(503)))
            .symlink("s2", out)
            .directory("s2/inner")
            .end(),
    ]
}

/// A few changes; half of the time somewhere in a header, where they tell.
fn mutate(tar: &mut Vec<u8>, random: &mut Random) {
    const TEXTS: [&[u8]; 8] =
        [b"../", b"/", b".wh.", b".wh..wh..opq", b"\0", b"7777777", b"\x80\0\0\0\0", b"l/"];
    for _ in 0..=random.below(3) {
        let block = random.below(tar.len() / 512) * 512;
        match random.below(6) {
            0 => tar[block + random.below(512)] ^= 1 << random.below(8),
            1 => tar[block + 156] = b"0123456SxgLK7\0"[random.below(14)],
            2 => {
                let text = TEXTS[random.below(TEXTS.len())];
                let place = block + [0, 124, 157, 345][random.below(4)];
                tar[place..place + text.len()].copy_from_slice(text);
            }
            3 => {
                let other = random.below(tar.len() / 512) * 512;
                tar.copy_within(other..other + 512, block);
            }
            4 => {
                let copy = tar[block..block + 512].to_vec();
                tar.splice(block..block, copy);
            }
            _ => drop(tar.drain(block..block + 512)),
        }
        if tar.len() < 1024 {
            return;
        }
    }
    for block in tar.chunks_exact_mut(512) {
        if &block[257..262] == b"ustar" && random.below(20) != 0 {
            seal(block);
        }
    }
}

/// An xorshift generator: the same archives in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}
