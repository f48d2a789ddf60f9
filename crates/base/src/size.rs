//! Sizes in bytes as users write and read them.

use crate::{Error, Kind, Result};

/// Parses a size with docker's binary suffixes: `64m`, `1.5g`, `512k`, `100b`, `1024`, `2GiB`.
///
/// One bad size gives one error that shows the accepted forms.
pub fn parse_bytes(text: &str) -> Result<u64> {
    let invalid = || {
        Error::new(Kind::Invalid, format!("parse size {text:?}"))
            .hint("a size is a number and a unit: b, k, m, g or t, such as 512m or 1.5g")
    };
    let trimmed = text.trim();
    let digits = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, suffix) = trimmed.split_at(digits);
    let suffix = suffix.trim_start().to_ascii_lowercase();
    let shift =
        match suffix.strip_suffix("ib").or_else(|| suffix.strip_suffix('b')).unwrap_or(&suffix) {
            "" => 0,
            "k" => 10,
            "m" => 20,
            "g" => 30,
            "t" => 40,
            "p" => 50,
            _ => return Err(invalid()),
        };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.len() > 9 || (number.contains('.') && fraction.is_empty()) {
        return Err(invalid());
    }
    let whole: u64 = whole.parse().map_err(|_| invalid())?;
    let bytes = whole.checked_mul(1 << shift).ok_or_else(invalid)?;
    let fraction_bytes = if fraction.is_empty() {
        0
    } else {
        let digits: u128 = fraction.parse().map_err(|_| invalid())?;
        let scale = 10_u128.pow(u32::try_from(fraction.len()).map_err(|_| invalid())?);
        u64::try_from((digits << shift) / scale).map_err(|_| invalid())?
    };
    bytes.checked_add(fraction_bytes).ok_or_else(invalid)
}

/// A size in docker's decimal words: `0B`, `1.23kB`, `204MB`, `1.5GB`.
pub fn humanly(bytes: u64) -> String {
    shown(bytes, 1000.0, ["B", "kB", "MB", "GB", "TB", "PB", "EB"], 3)
}

/// A size in docker's binary words, as memory is told: `0B`, `1.234MiB`, `1.5GiB`.
pub fn binary(bytes: u64) -> String {
    shown(bytes, 1024.0, ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"], 4)
}

/// A number with as many digits that count, and no zeros after the last of them.
fn shown(bytes: u64, base: f64, units: [&str; 7], digits: usize) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a few digits are shown")]
    let mut value = bytes as f64;
    if value < base {
        return format!("{bytes}B");
    }
    let mut unit = 0;
    while value >= base - 0.5 && unit < units.len() - 1 {
        value /= base;
        unit += 1;
    }
    let whole = match value {
        value if value < 9.995 => 1,
        value if value < 99.95 => 2,
        value if value < 999.5 => 3,
        _ => 4,
    };
    let decimals = digits.saturating_sub(whole);
    let text = format!("{value:.decimals$}");
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_parse_as_in_docker() {
        let cases = [
            ("0", Some(0)),
            ("100b", Some(100)),
            ("1k", Some(1024)),
            ("512m", Some(512 << 20)),
            ("1.5g", Some(3 << 29)),
            ("2GiB", Some(2 << 30)),
            ("2 GB", Some(2 << 30)),
            ("", None),
            ("m", None),
            ("-1m", None),
            ("1..5g", None),
            ("5.m", None),
            ("1x", None),
            ("99999999999g", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_bytes(text).ok(), expected, "parsing {text:?}");
        }
    }

    #[test]
    fn sizes_read_as_in_docker() {
        let cases = [
            (0, "0B"),
            (999, "999B"),
            (1000, "1kB"),
            (1234, "1.23kB"),
            (204_000_000, "204MB"),
            (1_500_000_000, "1.5GB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(humanly(bytes), text, "{bytes} bytes");
        }
    }

    #[test]
    fn memory_is_told_as_docker_does() {
        let cases = [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1KiB"),
            (1_294_000, "1.234MiB"),
            (3 << 29, "1.5GiB"),
            (128 << 20, "128MiB"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(binary(bytes), expected);
        }
    }
}
