//! Docker's form of a record: one JSON object a line, byte for byte as its `json-file` driver
//! writes it.
//!
//! ```text
//! {"log":"a line\n","stream":"stdout","attrs":{"tag":"web"},"time":"2026-11-22T03:19:00.123456789Z"}
//! ```

use super::record::{Record, Stream};
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
    bytes.extend_from_slice(record.time.as_bytes());
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
    Some(Record { stream, time, ends_line, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &[u8], ends_line: bool) -> Record<'_> {
        let time = "2026-11-22T03:19:00.123456789Z";
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
