//! Limits: sizes, shares of processors, `--ulimit`.

use super::refuse;
use dhow_base::{Error, Result, size};
use dhow_engine::options::Ulimit;

/// A size in bytes.
pub(crate) fn bytes(flag: &str, text: &str) -> Result<u64> {
    size::parse_bytes(text).map_err(|error| hinted(refuse(flag, text, "not a size"), &error))
}

/// A size in bytes, or -1 for no limit.
pub(crate) fn bytes_or_unlimited(flag: &str, text: &str) -> Result<i64> {
    if text == "-1" {
        return Ok(-1);
    }
    let bytes = bytes(flag, text)?;
    i64::try_from(bytes).map_err(|_| refuse(flag, text, "too large"))
}

fn hinted(error: Error, cause: &Error) -> Error {
    match cause.innermost_hint() {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// `--cpus 1.5`, in billionths of a processor. Exact: what has more than nine decimals is refused.
pub(crate) fn nano_cpus(text: &str) -> Result<u64> {
    let invalid = || {
        refuse("--cpus", text, "not a number of processors").hint("write a number such as 2 or 1.5")
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let empty = whole.is_empty() && fraction.is_empty();
    if empty || !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return Err(invalid());
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
    let nanos: u64 = format!("{fraction:0<9}").parse().map_err(|_| invalid())?;
    whole.checked_mul(1_000_000_000).and_then(|all| all.checked_add(nanos)).ok_or_else(invalid)
}

/// A list of processors or memory nodes: `0-3,7`.
pub(crate) fn set(flag: &str, text: &str) -> Result<String> {
    let invalid = || refuse(flag, text, "not a list of numbers").hint("write a list such as 0-3,7");
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |digits: &str| digits.parse::<u16>().map_err(|_| invalid());
        if number(first)? > number(last)? {
            return Err(invalid());
        }
    }
    Ok(text.to_owned())
}

/// The resources that `setrlimit(2)` knows, in lower case and without their prefix.
const RESOURCES: [&str; 16] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// `--ulimit name=soft[:hard]`; -1 is no limit.
pub(crate) fn ulimit(text: &str) -> Result<Ulimit> {
    let refused = |why: &str| {
        refuse("--ulimit", text, why)
            .hint("write name=soft or name=soft:hard, such as nofile=1024:2048")
    };
    let (name, limits) = text.split_once('=').ok_or_else(|| refused("the limit is missing"))?;
    if !RESOURCES.contains(&name) {
        return Err(refused("no limit has that name"));
    }
    let number = |part: &str| match part {
        "-1" => Ok(u64::MAX),
        _ => part.parse::<u64>().map_err(|_| refused("the limit is not a number")),
    };
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let (soft, hard) = (number(soft)?, number(hard)?);
    if soft > hard {
        return Err(refused("the soft limit is above the hard one"));
    }
    Ok(Ulimit { name: name.to_owned(), soft, hard })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_size_names_the_flag_and_shows_how() {
        let error = bytes("--memory", "12x").unwrap_err();

        assert_eq!(error.one_line(), r#"--memory "12x": not a size"#);
        assert!(error.innermost_hint().unwrap().contains("512m"));
        assert_eq!(bytes("--memory", "64m").unwrap(), 64 << 20);
    }

    #[test]
    fn minus_one_is_no_limit() {
        let cases =
            [("-1", Some(-1)), ("1k", Some(1024)), ("-2", None), ("16777215t", None), ("", None)];
        for (text, expected) in cases {
            let parsed = bytes_or_unlimited("--memory-swap", text).ok();
            assert_eq!(parsed, expected, "parsing {text:?}");
        }
    }

    #[test]
    fn processors_are_counted_in_billionths() {
        let cases = [
            ("1", Some(1_000_000_000)),
            ("1.5", Some(1_500_000_000)),
            (".5", Some(500_000_000)),
            ("0.000000001", Some(1)),
            ("2.", Some(2_000_000_000)),
            ("0.0000000001", None),
            (".", None),
            ("", None),
            ("-1", None),
            ("1e3", None),
            ("x", None),
            ("99999999999999", None),
        ];
        for (text, expected) in cases {
            assert_eq!(nano_cpus(text).ok(), expected, "parsing {text:?}");
        }
    }

    #[test]
    fn sets_are_numbers_and_ranges() {
        for good in ["0", "0-3", "0,2", "0-1,3-4"] {
            assert!(set("--cpuset-cpus", good).is_ok(), "{good}");
        }
        for bad in ["", "a", "3-1", "0-", ",", "-1", "0;1", "70000"] {
            assert!(set("--cpuset-cpus", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ulimits_have_a_name_and_one_or_two_numbers() {
        let limit = |name: &str, soft, hard| Some(Ulimit { name: name.into(), soft, hard });
        let cases = [
            ("nofile=1024:2048", limit("nofile", 1024, 2048)),
            ("nofile=1024", limit("nofile", 1024, 1024)),
            ("core=-1", limit("core", u64::MAX, u64::MAX)),
            ("core=0:-1", limit("core", 0, u64::MAX)),
            ("nofile=2048:1024", None),
            ("nofile=-1:1024", None),
            ("nofile", None),
            ("nofile=", None),
            ("nofile=a", None),
            ("files=1", None),
            ("NOFILE=1", None),
        ];
        for (text, expected) in cases {
            assert_eq!(ulimit(text).ok(), expected, "parsing {text:?}");
        }
    }
}
