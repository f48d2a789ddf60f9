//! Durations as Go writes them: `1h30m`, `1.5s`, `100ms`.

use std::time::Duration;

/// A duration in Go's words; nothing where it is none, or one below zero.
pub fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|letter: char| letter != '.' && !letter.is_ascii_digit())?;
        let (number, after) = rest.split_at(end);
        let end = after
            .find(|letter: char| letter == '.' || letter.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, next) = after.split_at(end);
        let nanoseconds: u128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        total = total.checked_add(billionths(number)?.checked_mul(nanoseconds)? / 1_000_000_000)?;
        rest = next;
    }
    if text.is_empty() {
        return None;
    }
    let seconds = u64::try_from(total / 1_000_000_000).ok()?;
    let rest = u32::try_from(total % 1_000_000_000).ok()?;
    Some(Duration::new(seconds, rest))
}

/// A number with or without a fraction, in billionths.
fn billionths(text: &str) -> Option<u128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || whole.len() > 18 || fraction.len() > 9 {
        return None;
    }
    let fraction: u128 = format!("{fraction:0<9}").parse().ok()?;
    Some(whole.parse::<u128>().ok()? * 1_000_000_000 + fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        let cases = [
            ("10m", Some(600_000)),
            ("1.5h", Some(5_400_000)),
            ("1h1m1s", Some(3_661_000)),
            ("2000ms", Some(2000)),
            ("1500us", Some(1)),
            ("0", Some(0)),
            ("5", None),
            ("m", None),
            ("1d", None),
            ("-1s", None),
            ("1..5s", None),
            ("999999999999999999h", None),
            ("", None),
        ];
        for (text, milliseconds) in cases {
            let parsed = parse(text).map(|time| time.as_millis());
            assert_eq!(parsed, milliseconds, "{text:?}");
        }
    }
}
