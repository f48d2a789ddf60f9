//! The 512-byte header block of tar: v7, ustar, GNU and star, read and written.
//!
//! Pure: a block in, fields out. Reading follows the rules of Go's `archive/tar`, which is what
//! docker, containerd, podman and umoci read layers with, so that no archive means one thing here
//! and another there. Only the fields are decoded; what an entry means is the reader's affair.

use crate::path::Shown;
use dhow_base::{Error, Kind, Result};

/// Everything in a tar stream comes in multiples of this.
pub(crate) const BLOCK: usize = 512;

/// The largest numbers that fit the octal fields of eight and twelve bytes.
pub(crate) const OCTAL_7_MAX: u64 = (1 << 21) - 1;
pub(crate) const OCTAL_11_MAX: u64 = (1 << 33) - 1;

/// What the magic number and its version say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Dialect {
    V7,
    Ustar,
    Gnu,
    Star,
}

/// One header block whose checksum is right.
pub(crate) struct Header<'b> {
    block: &'b [u8; BLOCK],
    pub(crate) dialect: Dialect,
}

impl<'b> Header<'b> {
    /// Checks the checksum and tells the dialect.
    pub(crate) fn parse(block: &'b [u8; BLOCK]) -> Result<Self> {
        let header = Self { block, dialect: dialect(block) };
        // Sun's old tar summed signed bytes; Go and GNU tar accept both sums.
        let (mut unsigned, mut signed) = (0_i64, 0_i64);
        for (index, byte) in block.iter().enumerate() {
            let byte = if (148..156).contains(&index) { b' ' } else { *byte };
            unsigned += i64::from(byte);
            signed += i64::from(byte.cast_signed());
        }
        let stored = header.number(148..156, "checksum")?;
        if stored != unsigned && stored != signed {
            return Err(header.corrupt("the checksum of its header is wrong"));
        }
        Ok(header)
    }

    /// Is it one of the zero blocks that end an archive?
    pub(crate) fn is_zero(block: &[u8; BLOCK]) -> bool {
        block.iter().all(|byte| *byte == 0)
    }

    pub(crate) fn typeflag(&self) -> u8 {
        self.block[156]
    }

    /// The name, with its prefix where the dialect has one.
    pub(crate) fn name(&self) -> Vec<u8> {
        let prefix = match self.dialect {
            Dialect::Ustar => text(&self.block[345..500]),
            Dialect::Star => text(&self.block[345..476]),
            Dialect::V7 | Dialect::Gnu => b"",
        };
        let name = text(&self.block[..100]);
        if prefix.is_empty() {
            return name.to_vec();
        }
        [prefix, b"/", name].concat()
    }

    pub(crate) fn link_name(&self) -> &'b [u8] {
        text(&self.block[157..257])
    }

    pub(crate) fn mode(&self) -> Result<i64> {
        self.number(100..108, "mode")
    }

    pub(crate) fn uid(&self) -> Result<i64> {
        self.number(108..116, "owner")
    }

    pub(crate) fn gid(&self) -> Result<i64> {
        self.number(116..124, "group")
    }

    pub(crate) fn size(&self) -> Result<i64> {
        self.number(124..136, "size")
    }

    pub(crate) fn mtime(&self) -> Result<i64> {
        self.number(136..148, "time")
    }

    /// Major and minor number; v7 has none.
    pub(crate) fn device(&self) -> Result<(i64, i64)> {
        if self.dialect == Dialect::V7 {
            return Ok((0, 0));
        }
        Ok((self.number(329..337, "device")?, self.number(337..345, "device")?))
    }

    /// The sparse part of an old GNU header.
    pub(crate) fn gnu_sparse(&self) -> &'b [u8] {
        &self.block[386..495]
    }

    /// A refusal of this entry.
    pub(crate) fn corrupt(&self, why: &str) -> Error {
        Error::new(Kind::Corrupt, format!("archive entry {}: {why}", Shown(&self.name())))
    }

    fn number(&self, range: std::ops::Range<usize>, field: &str) -> Result<i64> {
        number(&self.block[range])
            .ok_or_else(|| self.corrupt(&format!("the {field} in its header is not a number")))
    }
}

/// Reads an octal field, or one in base 256, whose first bit is set (GNU and star).
pub(crate) fn number(field: &[u8]) -> Option<i64> {
    match field.first() {
        Some(first) if first & 0x80 != 0 => base_256(field),
        _ => octal(field),
    }
}

fn octal(field: &[u8]) -> Option<i64> {
    let is_padding = |byte: &u8| matches!(byte, b' ' | 0);
    let Some(start) = field.iter().position(|byte| !is_padding(byte)) else { return Some(0) };
    let digits = &field[start..];
    // Whatever follows a NUL is not part of the number.
    let digits = text(digits).trim_ascii_end();
    digits.iter().try_fold(0_i64, |sum, digit| match digit {
        b'0'..=b'7' => sum.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

/// Two's complement over the field without its first bit.
fn base_256(field: &[u8]) -> Option<i64> {
    let negative = field.first()? & 0x40 != 0;
    let mut value: i128 = if negative { -1 } else { 0 };
    for (index, byte) in field.iter().enumerate() {
        // The marker bit takes on the value of the sign.
        let byte = match (index, negative) {
            (0, true) => byte | 0x80,
            (0, false) => byte & 0x7f,
            _ => *byte,
        };
        value = (value << 8) | i128::from(byte);
    }
    i64::try_from(value).ok()
}

/// A field up to its first NUL.
pub(crate) fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn dialect(block: &[u8; BLOCK]) -> Dialect {
    match (&block[257..263], &block[263..265], &block[508..512]) {
        (b"ustar\0", _, b"tar\0") => Dialect::Star,
        (b"ustar\0", _, _) => Dialect::Ustar,
        (b"ustar ", b" \0", _) => Dialect::Gnu,
        _ => Dialect::V7,
    }
}

/// The fields of a ustar header about to be written; each fits its field.
pub(crate) struct Draft<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) prefix: &'a [u8],
    pub(crate) typeflag: u8,
    pub(crate) link_name: &'a [u8],
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    pub(crate) size: u64,
    pub(crate) mtime: u64,
    pub(crate) device: (u32, u32),
}

impl Draft<'_> {
    /// The block. Numbers and texts too large for a field are cut: their true value is in the PAX
    /// header before it.
    pub(crate) fn block(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        put_text(&mut block[..100], self.name);
        put_octal(&mut block[100..108], self.mode.into());
        put_octal(&mut block[108..116], self.uid.min(OCTAL_7_MAX));
        put_octal(&mut block[116..124], self.gid.min(OCTAL_7_MAX));
        put_octal(&mut block[124..136], self.size.min(OCTAL_11_MAX));
        put_octal(&mut block[136..148], self.mtime.min(OCTAL_11_MAX));
        block[148..156].fill(b' ');
        block[156] = self.typeflag;
        put_text(&mut block[157..257], self.link_name);
        block[257..265].copy_from_slice(b"ustar\x0000");
        put_octal(&mut block[329..337], self.device.0.into());
        put_octal(&mut block[337..345], self.device.1.into());
        put_text(&mut block[345..500], self.prefix);
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        // Six digits, NUL, space: the form that every reader knows.
        put_octal(&mut block[148..155], sum);
        block
    }
}

fn put_text(field: &mut [u8], text: &[u8]) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text[..length]);
}

/// Fills all but the last byte, which stays NUL, with digits.
fn put_octal(field: &mut [u8], mut value: u64) {
    let digits = field.len() - 1;
    for place in field[..digits].iter_mut().rev() {
        *place = b'0' + u8::try_from(value & 7).expect("three bits fit a byte");
        value >>= 3;
    }
    field[digits] = 0;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256() {
        let cases: [(&[u8], Option<i64>); 15] = [
            (b"0000644\0", Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\x00\x00\x00644\0\0", Some(0o644)),
            (b"644\0junk", Some(0o644)),
            (b"        ", Some(0)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"77777777777\0", Some(0o77777777777)),
            (b"000064x\0", None),
            (b"-000644\0", None),
            (b"00008\0\0\0", None),
            (b"\x80\0\0\0\0\0\x01\0", Some(256)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
            (b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", Some(i64::MAX)),
            (b"\x80\0\0\x01\0\0\0\0\0\0\0\0", None),
        ];
        for (field, expected) in cases {
            assert_eq!(number(field), expected, "{}", field.escape_ascii());
        }
    }

    #[test]
    fn a_written_header_reads_back() {
        let draft = Draft {
            name: b"file",
            prefix: b"some/dir",
            typeflag: b'3',
            link_name: b"target",
            mode: 0o4755,
            uid: 1000,
            gid: OCTAL_7_MAX,
            size: OCTAL_11_MAX,
            mtime: 1_700_000_000,
            device: (7, 1_048_575),
        };

        let block = draft.block();
        let header = Header::parse(&block).unwrap();

        assert_eq!(header.dialect, Dialect::Ustar);
        assert_eq!(header.name(), b"some/dir/file");
        assert_eq!(header.link_name(), b"target");
        assert_eq!(header.typeflag(), b'3');
        assert_eq!(header.mode().unwrap(), 0o4755);
        assert_eq!(header.uid().unwrap(), 1000);
        assert_eq!(header.gid().unwrap(), 2_097_151);
        assert_eq!(header.size().unwrap(), 8_589_934_591);
        assert_eq!(header.mtime().unwrap(), 1_700_000_000);
        assert_eq!(header.device().unwrap(), (7, 1_048_575));
    }

    #[test]
    fn a_flipped_bit_breaks_the_checksum() {
        let draft = Draft {
            name: b"x",
            prefix: b"",
            typeflag: b'0',
            link_name: b"",
            mode: 0o644,
            uid: 0,
            gid: 0,
            size: 0,
            mtime: 0,
            device: (0, 0),
        };
        let mut block = draft.block();
        block[3] ^= 1;

        let error = Header::parse(&block).err().unwrap();

        assert_eq!(error.kind(), Kind::Corrupt);
        assert!(error.to_string().contains("checksum"), "{error}");
    }
}
