//! Docker's form of a record: one JSON object a line, byte for byte as its `json-file` driver
//! writes it.
//!
//! ```text
//! {"log":"a line\n","stream":"stdout","attrs":{"tag":"web"},"time":"2026-11-22T03:19:00.123456789Z"}
//! ```

use super::{
    find,
    record::{Record, Stream, is_graphic},
};
use serde::Deserialize;
use std::{borrow::Cow, collections::BTreeMap, fmt::Write};

/// As docker's writer orders and spells it.
pub(super) fn append(record: &Record<'_>, attributes: &str, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(b"{\"log\":\"");
    append_text(&record.text, bytes);
    if record.ends_line {
        bytes.extend_from_slice(b"\\n");
    }
    bytes.extend_from_slice(b"\",\"stream\":\"");
    bytes.extend_from_slice(record.stream.name().as_bytes());
    bytes.push(b'"');
    if !attributes.is_empty() {
        bytes.extend_from_slice(b",\"attrs\":");
        bytes.extend_from_slice(attributes.as_bytes());
    }
    bytes.extend_from_slice(b",\"time\":\"");
    bytes.extend_from_slice(record.time);
    bytes.extend_from_slice(b"\"}\n");
}

/// The `attrs` of every record; empty where there are none.
pub(super) fn attributes(pairs: &BTreeMap<String, String>) -> String {
    if pairs.is_empty() {
        return String::new();
    }
    serde_json::to_string(pairs).expect("texts always serialise")
}

/// What is no UTF-8 becomes U+FFFD, and what a browser might take for markup is spelled as a number.
fn append_text(text: &[u8], bytes: &mut Vec<u8>) {
    for chunk in text.utf8_chunks() {
        let mut plain_from = 0;
        let valid = chunk.valid();
        for (index, letter) in valid.char_indices() {
            let Some(spelling) = spelled(letter) else { continue };
            bytes.extend_from_slice(&valid.as_bytes()[plain_from..index]);
            bytes.extend_from_slice(spelling.as_bytes());
            plain_from = index + letter.len_utf8();
        }
        bytes.extend_from_slice(&valid.as_bytes()[plain_from..]);
        for _ in chunk.invalid() {
            bytes.extend_from_slice(b"\\ufffd");
        }
    }
}

fn spelled(letter: char) -> Option<Cow<'static, str>> {
    Some(match letter {
        '"' => "\\\"".into(),
        '\\' => "\\\\".into(),
        '\n' => "\\n".into(),
        '\r' => "\\r".into(),
        '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
            let mut text = String::with_capacity(6);
            let _written = write!(text, "\\u{:04x}", u32::from(letter));
            text.into()
        }
        _ => return None,
    })
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    stream: &'a str,
    #[serde(borrow)]
    time: &'a str,
}

/// Takes a record apart; `None` where it is none.
pub(super) fn parse(line: &[u8]) -> Option<Record<'_>> {
    parse_usual(line).or_else(|| parse_any(line))
}

/// As [`parse_any`], of a whole line as docker and we write it that has no letter which is spelled
/// otherwise: then nothing needs to be copied. Nothing of any other.
fn parse_usual(line: &[u8]) -> Option<Record<'_>> {
    let rest = line.strip_prefix(b"{\"log\":\"")?;
    let (text, rest) = rest.split_at_checked(find(b'\\', rest)?)?;
    let rest = rest.strip_prefix(b"\\n\",\"stream\":\"")?;
    let (stream, rest) = match rest.split_first_chunk()? {
        (b"stdout", rest) => (Stream::Stdout, rest),
        (b"stderr", rest) => (Stream::Stderr, rest),
        _ => return None,
    };
    let time = rest.strip_prefix(b"\",\"time\":\"")?.strip_suffix(b"\"}")?;
    let is_plain = !text
        .iter()
        .fold(false, |found, byte| found | !matches!(byte, b' '..=b'~') | (*byte == b'"'));
    let has_time = is_graphic(time) && !time.contains(&b'"') && !time.contains(&b'\\');
    (is_plain && has_time).then(|| Record { stream, time, ends_line: true, text: text.into() })
}

fn parse_any(line: &[u8]) -> Option<Record<'_>> {
    let Line { log, stream, time } = serde_json::from_slice(line).ok()?;
    let stream = match stream {
        "stdout" => Stream::Stdout,
        "stderr" => Stream::Stderr,
        _ => return None,
    };
    let ends_line = log.ends_with('\n');
    let text = match log {
        Cow::Borrowed(text) => Cow::Borrowed(text.strip_suffix('\n').unwrap_or(text).as_bytes()),
        Cow::Owned(mut text) => {
            if ends_line {
                text.pop();
            }
            Cow::Owned(text.into_bytes())
        }
    };
    Some(Record { stream, time: time.as_bytes(), ends_line, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &[u8], ends_line: bool) -> Record<'_> {
        let time = b"2026-11-22T03:19:00.123456789Z";
        Record { stream: Stream::Stderr, time, ends_line, text: text.into() }
    }

    #[test]
    fn a_record_is_what_docker_writes() {
        let attributes = attributes(&BTreeMap::from([("tag".to_owned(), "web".to_owned())]));
        let mut bytes = Vec::new();

        append(&record(b"a <b> & \"c\"\t\\ \xff \xc3\xa9\r", true), &attributes, &mut bytes);

        let expected = concat!(
            r#"{"log":"a \u003cb\u003e \u0026 \"c\"\u0009\\ \ufffd é\r\n","#,
            r#""stream":"stderr","attrs":{"tag":"web"},"time":"2026-11-22T03:19:00.123456789Z"}"#,
            "\n"
        );
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }

    #[test]
    fn the_quick_way_says_what_the_plain_one_says() {
        let lines: [(&[u8], bool); 11] = [
            (br#"{"log":"a line\n","stream":"stdout","time":"2026-11-22T03:19:00Z"}"#, true),
            (br#"{"log":"\n","stream":"stderr","time":"t"}"#, true),
            (br#"{"log":"a line","stream":"stdout","time":"t"}"#, false),
            (br#"{"log":"a\tb\n","stream":"stdout","time":"t"}"#, false),
            (br#"{"log":"a","b":"\n","stream":"stdout","time":"t"}"#, false),
            ("{\"log\":\"\u{e4}\\n\",\"stream\":\"stdout\",\"time\":\"t\"}".as_bytes(), false),
            (b"{\"log\":\"\x01\\n\",\"stream\":\"stdout\",\"time\":\"t\"}", false),
            (br#"{"log":"a\n","stream":"stdout","attrs":{"a":"b"},"time":"t"}"#, false),
            (br#"{"log":"a\n","stream":"stdout","time":"t","more":"x"}"#, false),
            (br#"{"log":"a\n","stream":"stdout","time":"\u0041"}"#, false),
            (br#"{"log":"a\n","stream":"stdin","time":"t"}"#, false),
        ];
        for (line, is_usual) in lines {
            let usual = parse_usual(line);
            assert_eq!(usual.is_some(), is_usual, "{}", line.escape_ascii());
            if is_usual {
                assert_eq!(usual, parse_any(line), "{}", line.escape_ascii());
            }
        }
    }

    #[test]
    fn records_come_apart_as_they_were_put_together() {
        for (text, ends_line) in [(&b""[..], true), (b"prompt> ", false), (b"a\"b\\\x01<", true)] {
            let mut bytes = Vec::new();
            append(&record(text, ends_line), "", &mut bytes);
            bytes.pop();

            assert_eq!(parse(&bytes), Some(record(text, ends_line)));
        }
        for other in [&b""[..], b"{", b"{}", br#"{"log":"x","stream":"stdin","time":"t"}"#] {
            assert_eq!(parse(other), None);
        }
    }
}
