//! Rules about the text of source files.

use super::{Problem, arrows, line_of};
use std::path::Path;

/// Names that say nothing, so that everything would end up in them.
const EMPTY_NAMES: [&str; 7] = ["util", "utils", "common", "helper", "helpers", "misc", "stuff"];

/// Paths that exist on one machine only. They are put together here, or this file would break its
/// own rule.
const MACHINE_PATHS: [&str; 4] = [
    concat!("/wo", "rk/"),
    concat!("/.car", "go/registry"),
    concat!("/.rust", "up/"),
    concat!("/home/", "runner"),
];

/// Marks of work that is not finished, put together for the same reason.
const UNFINISHED: [&str; 6] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("X", "XX"),
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("HA", "CK"),
];

/// A file or module must be named after what it is.
pub(super) fn check_name(file: &Path) -> Vec<Problem> {
    let stems = file.components().filter_map(|part| Path::new(part.as_os_str()).file_stem());
    let empty = stems.filter_map(|stem| stem.to_str()).find(|stem| EMPTY_NAMES.contains(stem));
    let remedy = "name it after the thing that is in it";
    empty
        .map(|name| Problem::new(file, 1, format!("`{name}` is no noun of this domain"), remedy))
        .into_iter()
        .collect()
}

/// No path of the machine on which somebody happened to work.
pub(super) fn check_machine_paths(file: &Path, text: &str) -> Vec<Problem> {
    let remedy = "take the path from an argument, the environment or the manifest's directory";
    every(text, &MACHINE_PATHS)
        .map(|(line, found)| {
            Problem::new(file, line, format!("`{found}` is on one machine only"), remedy)
        })
        .collect()
}

/// Nothing is left for later without an issue.
pub(super) fn check_unfinished(file: &Path, text: &str) -> Vec<Problem> {
    let remedy = "finish it, or write an issue and take the mark out";
    every(text, &UNFINISHED)
        .map(|(line, found)| {
            Problem::new(file, line, format!("`{found}` marks unfinished work"), remedy)
        })
        .collect()
}

/// The rules for Rust alone.
pub(super) fn check_rust(file: &Path, text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    problems.extend(check_header(file, text));
    let code = without_comments_and_strings(text);
    problems.extend(check_unsafe(file, &code));
    problems.extend(check_async(file, &code));
    problems.extend(check_modules(file, &code));
    problems
}

fn check_header(file: &Path, text: &str) -> Option<Problem> {
    let first = text.lines().find(|line| !line.starts_with("#!"));
    let good = first.is_some_and(|line| line.starts_with("//!"));
    let remedy = "open it with `//!`: what this is, how it lives, what it does not know";
    (!good).then(|| Problem::new(file, 1, "the file does not say what it is", remedy))
}

fn check_unsafe(file: &Path, code: &str) -> Vec<Problem> {
    if file.starts_with("crates/sys") {
        return Vec::new();
    }
    let remedy = "wrap the call in crates/sys";
    words(code, &["unsafe"])
        .map(|(line, _)| Problem::new(file, line, "unsafe code outside sys", remedy))
        .collect()
}

fn check_async(file: &Path, code: &str) -> Vec<Problem> {
    let mut parts = file.components().map(|part| part.as_os_str().to_string_lossy());
    let folder = (parts.next().as_deref() == Some("crates")).then(|| parts.next()).flatten();
    if folder.is_some_and(|folder| arrows::may_be_async(&folder)) {
        return Vec::new();
    }
    let remedy = "keep it synchronous; only distribution may be async";
    words(code, &["async", "await"])
        .map(|(line, word)| Problem::new(file, line, format!("`{word}` below the doors"), remedy))
        .collect()
}

fn check_modules(file: &Path, code: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut words = line
            .split(|c: char| !(c.is_alphanumeric() || c == '_'))
            .skip_while(|word| *word != "mod");
        let name = words.nth(1).unwrap_or_default();
        if EMPTY_NAMES.contains(&name) {
            let what = format!("the module `{name}` has an empty name");
            let remedy = "name it after the thing that is in it";
            problems.push(Problem::new(file, number + 1, what, remedy));
        }
    }
    problems
}

/// Every place of the patterns, by line, at most one a line and pattern.
fn every<'a>(text: &'a str, patterns: &'a [&'a str]) -> impl Iterator<Item = (usize, &'a str)> {
    text.lines().enumerate().flat_map(move |(number, line)| {
        let found = patterns.iter().filter(move |pattern| holds(line, pattern));
        found.map(move |pattern| (number + 1, *pattern))
    })
}

/// A pattern that begins or ends with a letter must stand as a word of its own there.
fn holds(line: &str, pattern: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(pattern).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(is_word);
        let after = line[at + pattern.len()..].chars().next().is_some_and(is_word);
        !(before && pattern.starts_with(is_word) || after && pattern.ends_with(is_word))
    })
}

/// Every place of the words, which must not be parts of longer ones.
fn words<'a>(code: &'a str, wanted: &'a [&'a str]) -> impl Iterator<Item = (usize, &'a str)> {
    wanted.iter().flat_map(move |word| {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        code.match_indices(word).filter_map(move |(at, word)| {
            let before = at.checked_sub(1).map(|at| code.as_bytes()[at]);
            let after = code.as_bytes().get(at + word.len()).copied();
            let alone = !before.is_some_and(is_word) && !after.is_some_and(is_word);
            alone.then(|| (line_of(code, at), word))
        })
    })
}

/// The same text with every comment and every string blanked, so that words in them do not count.
/// Line breaks stay where they are.
fn without_comments_and_strings(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = piece_end(bytes, at);
        match end {
            Some(end) => {
                blank(&mut out[at..end.min(bytes.len())]);
                at = end;
            }
            // A word is stepped over whole, so that the `r` of `for"` starts no raw string.
            None if is_word(bytes[at]) => {
                while at < bytes.len() && is_word(bytes[at]) {
                    at += 1;
                }
            }
            None => at += 1,
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn blank(piece: &mut [u8]) {
    for byte in piece.iter_mut().filter(|byte| **byte != b'\n') {
        *byte = b' ';
    }
}

/// The end of the comment, string or character that starts here, if one does.
fn piece_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    if rest.starts_with(b"//") {
        return Some(at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()));
    }
    if rest.starts_with(b"/*") {
        return Some(at + block_comment(rest));
    }
    if let Some(length) = raw_string(rest) {
        return Some(at + length);
    }
    let prefix =
        usize::from(matches!(rest.first(), Some(b'b' | b'c')) && rest.get(1) == Some(&b'"'));
    if rest.get(prefix) == Some(&b'"') {
        return Some(at + prefix + quoted(&rest[prefix..], b'"'));
    }
    character(rest).map(|length| at + length)
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// `r"…"`, `r#"…"#` and their `b` and `c` forms.
fn raw_string(rest: &[u8]) -> Option<usize> {
    let mut at = usize::from(matches!(rest.first(), Some(b'b' | b'c')));
    if rest.get(at) != Some(&b'r') {
        return None;
    }
    at += 1;
    let hashes = rest[at..].iter().take_while(|byte| **byte == b'#').count();
    at += hashes;
    if rest.get(at) != Some(&b'"') {
        return None;
    }
    let mut end = vec![b'"'];
    end.resize(hashes + 1, b'#');
    let length = rest[at + 1..].windows(end.len()).position(|window| window == end);
    Some(length.map_or(rest.len(), |length| at + 1 + length + end.len()))
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// A character such as `'"'`; a lifetime is none.
fn character(rest: &[u8]) -> Option<usize> {
    let at = usize::from(rest.first() == Some(&b'b'));
    if rest.get(at) != Some(&b'\'') {
        return None;
    }
    let escaped = rest.get(at + 1) == Some(&b'\\');
    // A character of several bytes ends within the next four.
    let closes = (at + 2..at + 6).any(|end| rest.get(end) == Some(&b'\''));
    let is_lifetime =
        rest.get(at + 1).copied().is_some_and(is_word) && rest.get(at + 2) != Some(&b'\'');
    (escaped || closes && !is_lifetime).then(|| at + quoted(&rest[at..], b'\''))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rust(text: &str) -> Vec<String> {
        let text = format!("//! A sample.\n{text}");
        let problems = check_rust(Path::new("crates/engine/src/x.rs"), &text);
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_file_without_a_header_is_found() {
        let check = |text| check_header(Path::new("x.rs"), text).is_some();

        assert!(check("use std::fs;\n"));
        assert!(check(""));
        assert!(!check("//! A thing.\n"));
        assert!(!check("#![no_std]\n//! A thing.\n"));
    }

    #[test]
    fn unsafe_code_is_found_outside_sys_but_not_in_words_and_strings() {
        let bad = "fn f() {\n    unsafe { g() }\n}\n";

        assert_eq!(rust(bad).len(), 1);
        assert!(rust(bad)[0].starts_with("crates/engine/src/x.rs:3: "), "{:?}", rust(bad));
        assert!(check_unsafe(Path::new("crates/sys/src/x.rs"), bad).is_empty());
        assert_eq!(
            rust("// unsafe\nlet unsafe_code = \"unsafe\"; /* unsafe /* */ unsafe */\n"),
            [""; 0]
        );
        assert_eq!(
            rust("let x = r#\"\" unsafe \"#; let c = '\"'; let d = b'\\''; // '\n"),
            [""; 0]
        );
        assert_eq!(rust("fn f<'a>(x: &'a str) { unsafe {} }\n").len(), 1);
        assert_eq!(rust("let quote = '\"'; unsafe {}\n").len(), 1);
    }

    #[test]
    fn awaiting_below_the_doors_is_found() {
        let bad = "async fn f() { g().await }\n";

        assert_eq!(rust(bad).len(), 2);
        assert!(check_async(Path::new("crates/distribution/src/x.rs"), bad).is_empty());
    }

    #[test]
    fn empty_names_are_found_in_paths_and_modules() {
        assert_eq!(check_name(Path::new("crates/engine/src/utils.rs")).len(), 1);
        assert_eq!(check_name(Path::new("crates/engine/src/helpers/a.rs")).len(), 1);
        assert_eq!(check_name(Path::new("crates/distribution/src/helper_program.rs")).len(), 0);
        assert_eq!(rust("pub(crate) mod common;\n").len(), 1);
        assert_eq!(rust("mod commons;\n").len(), 0);
    }

    #[test]
    fn machine_paths_and_unfinished_work_are_found() {
        let path = Path::new("x.rs");
        let place = format!("let x = \"{}main\";", MACHINE_PATHS[0]);
        let mark = format!("// {}: later", UNFINISHED[0]);
        let call = format!("fn f() {{ {}) }}", UNFINISHED[3]);

        assert_eq!(check_machine_paths(path, &place).len(), 1);
        assert_eq!(check_unfinished(path, &mark).len(), 1);
        assert_eq!(check_unfinished(path, &call).len(), 1);
        assert_eq!(check_unfinished(path, &format!("let {}S = 1;", UNFINISHED[0])).len(), 0);
    }
}
