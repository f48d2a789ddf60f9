//! Signals, by name or number: `KILL`, `SIGTERM`, `rtmin+3`, `9`.

use super::refuse;
use dhow_base::Result;

/// Parses a signal. `flag` is named in the error.
pub(crate) fn parse(flag: &str, text: &str) -> Result<i32> {
    dhow_engine::signal_number(text).ok_or_else(|| {
        refuse(flag, text, "no signal has that name or number")
            .hint("such as TERM, SIGHUP, RTMIN+3 or 9; numbers are 1 to 64")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_parse_by_name_and_number() {
        let cases = [
            ("9", Some(9)),
            ("64", Some(64)),
            ("KILL", Some(9)),
            ("sigterm", Some(15)),
            ("RTMIN", Some(34)),
            ("sigrtmin+3", Some(37)),
            ("RTMAX-1", Some(63)),
            ("RTMIN+31", None),
            ("RTMIN+x", None),
            ("0", None),
            ("65", None),
            ("-9", None),
            ("99999999999999", None),
            ("BOGUS", None),
            ("SIG", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse("--signal", text).ok(), expected, "parsing {text:?}");
        }
    }

    #[test]
    fn the_error_names_the_flag_and_the_value() {
        let error = parse("--signal", "BOG\u{1b}US").unwrap_err();

        assert_eq!(
            error.one_line(),
            r#"--signal "BOG\u{1b}US": no signal has that name or number"#
        );
        assert!(error.innermost_hint().is_some());
    }
}
