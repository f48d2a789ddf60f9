//! Extended headers (POSIX.1-2001 "pax"): `length key=value\n` records, read and written.
//!
//! Only the keys that change what lands on the disk are kept. Global headers are read, checked and
//! dropped, as docker, containerd and umoci drop them: a layer must not mean more here than there.

use crate::{
    entry::{Mtime, Xattr},
    limits::{Limits, exceeded},
};
use dhow_base::{Error, Kind, Result};

const XATTR: &[u8] = b"SCHILY.xattr.";

/// What the extended header before an entry says about it.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Pax {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link_path: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) uid: Option<u64>,
    pub(crate) gid: Option<u64>,
    pub(crate) mtime: Option<Mtime>,
    pub(crate) xattrs: Vec<Xattr>,
    pub(crate) sparse: PaxSparse,
}

/// The `GNU.sparse.*` keys of the three versions that GNU tar has written.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct PaxSparse {
    pub(crate) major: Option<u64>,
    pub(crate) minor: Option<u64>,
    pub(crate) name: Option<Vec<u8>>,
    /// `size` in 0.0 and 0.1, `realsize` in 1.0.
    pub(crate) real_size: Option<u64>,
    /// `map` of 0.1, or offsets and lengths of 0.0, in turn.
    pub(crate) numbers: Option<Vec<u64>>,
}

impl Pax {
    /// Reads the payload of one extended header.
    pub(crate) fn parse(payload: &[u8], limits: &Limits) -> Result<Self> {
        let mut pax = Self::default();
        let mut rest = payload;
        while !rest.is_empty() {
            let (key, value, next) =
                record(rest).ok_or_else(|| corrupt("a record is malformed"))?;
            pax.take(key, value, limits)?;
            rest = next;
        }
        Ok(pax)
    }

    fn take(&mut self, key: &[u8], value: &[u8], limits: &Limits) -> Result<()> {
        if let Some(name) = key.strip_prefix(XATTR) {
            return self.take_xattr(name, value, limits);
        }
        if let Some(sparse) = key.strip_prefix(b"GNU.sparse.") {
            return self.sparse.take(sparse, value, limits);
        }
        // An empty value means that the key is not there (POSIX, and Go).
        let given = !value.is_empty();
        match key {
            b"path" => self.path = given.then(|| checked_text(key, value)).transpose()?,
            b"linkpath" => self.link_path = given.then(|| checked_text(key, value)).transpose()?,
            b"size" => self.size = given.then(|| decimal(key, value)).transpose()?,
            b"uid" => self.uid = given.then(|| decimal(key, value)).transpose()?,
            b"gid" => self.gid = given.then(|| decimal(key, value)).transpose()?,
            b"mtime" => {
                let time = || time(value).ok_or_else(|| corrupt("mtime is not a number"));
                self.mtime = given.then(time).transpose()?;
            }
            _ => {}
        }
        Ok(())
    }

    fn take_xattr(&mut self, name: &[u8], value: &[u8], limits: &Limits) -> Result<()> {
        if name.is_empty() || name.len() > 255 || name.contains(&0) {
            return Err(corrupt("the name of an extended attribute is not one"));
        }
        if value.len() > limits.xattr_bytes {
            return Err(exceeded(
                format_args!("extended attribute \"{}\"", name.escape_ascii()),
                "bytes of extended attribute",
                limits.xattr_bytes,
            ));
        }
        // The later record wins, as everywhere in an extended header. The list stays short: it
        // comes out of one header of at most `pax_bytes`, but a search in it would be quadratic.
        self.xattrs.push(Xattr { name: name.to_vec(), value: value.to_vec() });
        Ok(())
    }
}

impl PaxSparse {
    fn take(&mut self, key: &[u8], value: &[u8], limits: &Limits) -> Result<()> {
        match key {
            b"major" => self.major = Some(decimal(key, value)?),
            b"minor" => self.minor = Some(decimal(key, value)?),
            b"name" => self.name = Some(checked_text(key, value)?),
            b"size" | b"realsize" => self.real_size = Some(decimal(key, value)?),
            b"map" => {
                let mut numbers = Vec::new();
                for number in value.split(|byte| *byte == b',').filter(|text| !text.is_empty()) {
                    push_number(&mut numbers, decimal(key, number)?, limits)?;
                }
                self.numbers = Some(numbers);
            }
            b"offset" | b"numbytes" => {
                let numbers = self.numbers.get_or_insert_default();
                // They come in pairs, the offset first.
                if numbers.len().is_multiple_of(2) != (key == b"offset") {
                    return Err(corrupt("sparse offsets and lengths do not alternate"));
                }
                push_number(numbers, decimal(key, value)?, limits)?;
            }
            _ => {}
        }
        Ok(())
    }
}

fn push_number(numbers: &mut Vec<u64>, number: u64, limits: &Limits) -> Result<()> {
    if numbers.len() / 2 >= limits.sparse_extents {
        return Err(exceeded("sparse map", "sparse extents", limits.sparse_extents));
    }
    numbers.push(number);
    Ok(())
}

/// Splits the first record off: key, value, what follows.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    // A length of 20 digits would not fit a u64.
    let space = bytes.iter().take(21).position(|byte| *byte == b' ')?;
    let length = usize::try_from(digits(&bytes[..space])?).ok()?;
    let (record, next) = bytes.split_at_checked(length)?;
    let body = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|byte| *byte == b'=')?;
    let (key, value) = (&body[..equals], &body[equals + 1..]);
    if key.is_empty() || key.contains(&0) {
        return None;
    }
    Some((key, value, next))
}

fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |sum, digit| match digit {
        b'0'..=b'9' => sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

fn decimal(key: &[u8], value: &[u8]) -> Result<u64> {
    digits(value)
        .ok_or_else(|| corrupt(&format!("{} is not a number", String::from_utf8_lossy(key))))
}

fn checked_text(key: &[u8], value: &[u8]) -> Result<Vec<u8>> {
    if value.contains(&0) {
        return Err(corrupt(&format!("{} has a NUL byte", String::from_utf8_lossy(key))));
    }
    Ok(value.to_vec())
}

/// `-12.5` is twelve and a half seconds before 1970; digits past the ninth are dropped.
fn time(value: &[u8]) -> Option<Mtime> {
    let (negative, value) = match value.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, value),
    };
    let mut parts = value.splitn(2, |byte| *byte == b'.');
    let whole = i64::try_from(digits(parts.next()?)?).ok()?;
    let mut nanoseconds = 0_u32;
    if let Some(fraction) = parts.next() {
        if !fraction.iter().all(u8::is_ascii_digit) {
            return None;
        }
        for place in 0..9 {
            let digit = fraction.get(place).map_or(0, |digit| digit - b'0');
            nanoseconds = nanoseconds * 10 + u32::from(digit);
        }
    }
    Some(match (negative, nanoseconds) {
        (false, _) => Mtime { seconds: whole, nanoseconds },
        (true, 0) => Mtime { seconds: -whole, nanoseconds },
        (true, _) => Mtime { seconds: -whole - 1, nanoseconds: 1_000_000_000 - nanoseconds },
    })
}

fn corrupt(why: &str) -> Error {
    Error::new(Kind::Corrupt, format!("extended header: {why}"))
}

/// Collects records for an extended header to be written.
#[derive(Debug, Default)]
pub(crate) struct Records(Vec<u8>);

impl Records {
    pub(crate) fn push(&mut self, key: &[u8], value: &[u8]) {
        // The length counts its own digits.
        let body = key.len() + value.len() + 3;
        let mut length = body + 1;
        while length != body + length.to_string().len() {
            length = body + length.to_string().len();
        }
        self.0.extend_from_slice(length.to_string().as_bytes());
        self.0.push(b' ');
        self.0.extend_from_slice(key);
        self.0.push(b'=');
        self.0.extend_from_slice(value);
        self.0.push(b'\n');
    }

    pub(crate) fn push_time(&mut self, key: &[u8], time: Mtime) {
        let (sign, seconds, nanoseconds) = match (time.seconds < 0, time.nanoseconds) {
            (true, 0) => ("-", time.seconds.unsigned_abs(), 0),
            (true, part) => ("-", time.seconds.unsigned_abs() - 1, 1_000_000_000 - part),
            (false, part) => ("", time.seconds.unsigned_abs(), part),
        };
        let mut text = format!("{sign}{seconds}");
        if nanoseconds != 0 {
            text.push_str(format!(".{nanoseconds:09}").trim_end_matches('0'));
        }
        self.push(key, text.as_bytes());
    }

    pub(crate) fn push_xattr(&mut self, xattr: &Xattr) {
        self.push(&[XATTR, &xattr.name].concat(), &xattr.value);
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(payload: &[u8]) -> Result<Pax> {
        Pax::parse(payload, &Limits::default())
    }

    #[test]
    fn malformed_records_are_corrupt() {
        let cases: [&[u8]; 16] = [
            b"x",
            b"5 a=b",
            b"99 path=a\n",
            b"0 path=a\n",
            b"3 a=b\n",
            b"6 a=bb\n",
            b"6 ab\n\n\n",
            b"5 =b\n",
            b" 7 a=b\n",
            b"+6 a=b\n",
            b"99999999999999999999999 a=b\n",
            b"18446744073709551615 a=b\n",
            b"10 path=a\0\n",
            b"8 uid=-1\n",
            b"10 size=1x\n",
            b"13 mtime=1.x2\n",
        ];
        for payload in cases {
            let error = parse(payload).err();

            assert_eq!(
                error.map(|error| error.kind()),
                Some(Kind::Corrupt),
                "{}",
                payload.escape_ascii()
            );
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut records = Records::default();
        records.push(b"path", &[b'p'; 4000]);
        records.push(b"linkpath", b"a\nb=c");
        records.push(b"uid", b"4294967294");
        records.push(b"comment", b"of no use");
        records.push_time(b"mtime", Mtime { seconds: -2, nanoseconds: 500_000_000 });
        let xattr = Xattr { name: b"security.capability".to_vec(), value: vec![0, b'\n', 255] };
        records.push_xattr(&xattr);

        let pax = parse(records.bytes()).unwrap();

        assert_eq!(pax.path, Some(vec![b'p'; 4000]));
        assert_eq!(pax.link_path.as_deref(), Some(&b"a\nb=c"[..]));
        assert_eq!(pax.uid, Some(4_294_967_294));
        assert_eq!(pax.mtime, Some(Mtime { seconds: -2, nanoseconds: 500_000_000 }));
        assert_eq!(pax.xattrs, [xattr]);
    }

    #[test]
    fn lengths_count_their_own_digits() {
        for length in 1..1200 {
            let value = vec![b'v'; length];
            let mut records = Records::default();
            records.push(b"path", &value);

            assert_eq!(parse(records.bytes()).unwrap().path, Some(value), "length {length}");
        }
    }

    #[test]
    fn times_have_a_sign_and_nine_digits() {
        type Case<'a> = (&'a [u8], Option<(i64, u32)>);
        let cases: [Case<'_>; 9] = [
            (b"0", Some((0, 0))),
            (b"1350244992.023960108", Some((1_350_244_992, 23_960_108))),
            (b"1.5", Some((1, 500_000_000))),
            (b"1.0000000019", Some((1, 1))),
            (b"-1", Some((-1, 0))),
            (b"-1.5", Some((-2, 500_000_000))),
            (b"-0.1", Some((-1, 900_000_000))),
            (b"1e5", None),
            (b"99999999999999999999", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|(seconds, nanoseconds)| Mtime { seconds, nanoseconds });

            assert_eq!(time(text), expected, "{}", text.escape_ascii());
        }
    }
}
