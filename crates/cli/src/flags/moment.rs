//! Times of `--since` and `--until`, and the count of `--tail`.

use super::refuse;
use dhow_base::{Result, clock::Moment, duration};

/// A time: RFC 3339, a date, seconds since 1970, or how long ago in Go's words (`1h30m`).
pub(crate) fn parse(flag: &str, text: &str) -> Result<Moment> {
    let nanos = |nanos: i128| i64::try_from(nanos).ok().map(Moment::from_unix_nanoseconds);
    let parsed = Moment::parse(text)
        .ok()
        .or_else(|| Moment::parse(&format!("{text}Z")).ok())
        .or_else(|| Moment::parse(&format!("{text}T00:00:00Z")).ok())
        .or_else(|| nanos(seconds(text)?))
        .or_else(|| {
            let age = i128::try_from(duration::parse(text)?.as_nanos()).ok()?;
            nanos(i128::from(Moment::now().unix_nanoseconds()) - age)
        });
    parsed.ok_or_else(|| {
        refuse(flag, text, "not a time").hint(
            "write 2026-11-22T03:19:00Z, 2026-11-22, seconds since 1970, or an age such as 1h30m",
        )
    })
}

/// Seconds since 1970, with or without a fraction, in nanoseconds.
fn seconds(text: &str) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || whole.len() > 12 || fraction.len() > 9 {
        return None;
    }
    Some(whole.parse::<i128>().ok()? * NANOS + format!("{fraction:0<9}").parse::<i128>().ok()?)
}

const NANOS: i128 = 1_000_000_000;

/// A duration in Go's words, in milliseconds.
pub(crate) fn milliseconds(flag: &str, text: &str) -> Result<u64> {
    let span = duration::parse(text);
    span.and_then(|span| u64::try_from(span.as_millis()).ok()).ok_or_else(|| {
        refuse(flag, text, "not a duration").hint("write such as 500ms, 10s or 1m30s")
    })
}

/// `--tail`: a number of lines, or all. Docker takes what is below zero for all.
pub(crate) fn tail(text: &str) -> Result<Option<usize>> {
    if text == "all" {
        return Ok(None);
    }
    match text.parse::<i64>() {
        Ok(lines) => Ok(usize::try_from(lines).ok()),
        Err(_) => Err(refuse("--tail", text, "neither a number of lines nor all")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_absolute_or_ages() {
        let at = |text: &str| Moment::parse(text).ok();
        let cases = [
            ("2026-11-22T03:19:00Z", at("2026-11-22T03:19:00Z")),
            ("2026-11-22T03:19:00+01:00", at("2026-11-22T02:19:00Z")),
            ("2026-11-22T03:19:00", at("2026-11-22T03:19:00Z")),
            ("2026-11-22", at("2026-11-22T00:00:00Z")),
            ("60", at("1970-01-01T00:01:00Z")),
            ("60.5", at("1970-01-01T00:01:00.5Z")),
            ("yesterday", None),
            ("1x", None),
            ("-5m", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse("--since", text).ok(), expected, "parsing {text:?}");
        }
        let then = parse("--since", "1h30m").unwrap();
        let age = Moment::now().since(then);
        assert!((5400..5410).contains(&age.as_secs()), "{age:?}");
    }

    #[test]
    fn a_tail_is_a_number_or_all() {
        assert_eq!(tail("all").unwrap(), None);
        assert_eq!(tail("0").unwrap(), Some(0));
        assert_eq!(tail("10").unwrap(), Some(10));
        assert_eq!(tail("-1").unwrap(), None);
        assert!(tail("some").is_err());
    }
}
