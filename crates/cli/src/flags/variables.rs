//! Environment variables for the container: `-e` and `--env-file`, by docker's rules.
//!
//! A file has one `NAME=value` a line; `#` begins a comment line, values are taken as they are
//! (quotes and trailing spaces too), and a name alone takes its value from our own environment. A
//! name that is not set there is dropped, so nothing of the host's environment travels that the
//! user has not named.

use super::{Surroundings, refuse};
use dhow_base::{Doing, Error, Kind, Result, file};
use std::path::Path;

/// A file of variables is no larger than what a program can be started with.
const FILE_LIMIT_BYTES: u64 = 2 << 20;

/// The variables of the files, then those of the flags, so that flags win.
pub(crate) fn collect(
    files: &[String],
    flags: &[String],
    around: Surroundings<'_>,
) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for path in files {
        let text = read("--env-file", &around.absolute(path))?;
        all.extend(parse_file("--env-file", path, &text, around.variable)?);
    }
    for text in flags {
        all.extend(parse(text, around.variable)?);
    }
    Ok(all)
}

/// Reads a file of lines, which must be UTF-8.
pub(crate) fn read(flag: &str, path: &Path) -> Result<String> {
    let doing = || format!("{flag} {:?}", path.display().to_string());
    let bytes = file::read_limited(path, FILE_LIMIT_BYTES).doing(doing)?;
    String::from_utf8(bytes).map_err(|_| Error::new(Kind::Invalid, doing() + ": not UTF-8 text"))
}

/// One `-e`. Nothing comes of a name that is not set here.
fn parse(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Option<String>> {
    if text.is_empty() || text.starts_with('=') {
        return Err(refuse("--env", text, "the name is missing").hint("write NAME=value or NAME"));
    }
    if text.contains('\0') {
        return Err(refuse("--env", text, "a variable cannot hold a NUL byte"));
    }
    Ok(completed(text, lookup))
}

/// The lines of a file, whose path is for the errors.
pub(crate) fn parse_file(
    flag: &str,
    path: &str,
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<String>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut variables = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let name = line.split_once('=').map_or(line, |(name, _)| name);
        let refused = |why: &str| refuse(flag, path, format!("line {}: {why}", number + 1));
        if name.is_empty() {
            return Err(refused("the name is missing"));
        }
        if name.contains(char::is_whitespace) {
            return Err(refused(&format!("the name {name:?} has spaces in it")));
        }
        if line.contains('\0') {
            return Err(refused("a variable cannot hold a NUL byte"));
        }
        variables.extend(completed(line, lookup));
    }
    Ok(variables)
}

fn completed(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    if text.contains('=') {
        Some(text.to_owned())
    } else {
        lookup(text).map(|value| format!("{text}={value}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::tests::world;

    #[test]
    fn flags_take_missing_values_from_the_environment() {
        let cases = [
            ("A=1", Some(&["A=1"][..])),
            ("A=", Some(&["A="])),
            ("A=B=C", Some(&["A=B=C"])),
            ("A= b ", Some(&["A= b "])),
            ("HOME", Some(&["HOME=/root"])),
            ("EMPTY", Some(&["EMPTY="])),
            ("UNSET", Some(&[])),
            // A pattern is a name like any other: it never gathers what the host has.
            ("*", Some(&[])),
            ("=x", None),
            ("", None),
            ("A=\0", None),
        ];
        for (text, expected) in cases {
            let parsed = collect(&[], &[text.to_owned()], world()).ok();
            let expected = expected.map(|all| all.iter().map(ToString::to_string).collect());
            assert_eq!(parsed, expected, "parsing {text:?}");
        }
    }

    #[test]
    fn files_are_read_by_dockers_rules() {
        let cases = [
            ("A=1\nB=2\n", Some(&["A=1", "B=2"][..])),
            ("\u{feff}A=1\r\n\n  # no\n#no\n  B=\"x\" # kept ", Some(&["A=1", "B=\"x\" # kept "])),
            ("HOME\nUNSET\n", Some(&["HOME=/root"])),
            ("A B=1", None),
            ("=1", None),
            ("", Some(&[])),
        ];
        for (text, expected) in cases {
            let parsed = parse_file("--env-file", "f", text, world().variable).ok();
            let expected: Option<Vec<String>> =
                expected.map(|all| all.iter().map(ToString::to_string).collect());
            assert_eq!(parsed, expected, "parsing {text:?}");
        }
    }

    #[test]
    fn flags_come_after_files_and_a_missing_file_is_named() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("vars"), "A=file\nB=file\n").unwrap();
        let around = Surroundings { directory: directory.path(), ..world() };

        let all = collect(&["vars".into()], &["A=flag".into()], around).unwrap();
        let error = collect(&["gone".into()], &[], around).unwrap_err();

        assert_eq!(all, ["A=file", "B=file", "A=flag"]);
        assert_eq!(error.kind(), Kind::NotFound);
        assert!(error.one_line().contains("--env-file"), "{}", error.one_line());
        assert!(error.one_line().contains("gone"), "{}", error.one_line());
    }
}
