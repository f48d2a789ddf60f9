//! One record of a log: a line of text that holds a line of output, or a part of one.

use dhow_base::clock::Moment;
use std::{borrow::Cow, fmt};

/// The longest part of a line that one record holds, as the kubelet and containerd have it.
pub(super) const LIMIT_BYTES: usize = 16 << 10;

/// Which stream the program wrote to. With a terminal there is only `Stdout`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// The stream's name, as records have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }

    pub(super) fn index(self) -> usize {
        match self {
            Self::Stdout => 0,
            Self::Stderr => 1,
        }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A piece of output as the log has it: a line, or a part of a very long or unfinished one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// The stream.
    pub stream: Stream,
    /// When the monitor read it.
    pub time: Moment,
    /// Whether it begins a line of its stream; where times are shown, they are shown here.
    pub begins_line: bool,
    /// The bytes that the program wrote, with the newline where the line ends.
    pub bytes: Vec<u8>,
}

/// A record as it lies in the log, without its newline.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Record<'a> {
    pub(super) stream: Stream,
    pub(super) time: &'a str,
    pub(super) ends_line: bool,
    pub(super) text: Cow<'a, [u8]>,
}

impl<'a> Record<'a> {
    /// Takes a record apart; `None` where it is none, as after a crash in the middle of a write.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        // A time never begins so.
        if line.first() == Some(&b'{') {
            return super::json::parse(line);
        }
        let mut fields = line.splitn(4, |byte| *byte == b' ');
        let time = std::str::from_utf8(fields.next()?).ok()?;
        let stream = match fields.next()? {
            b"stdout" => Stream::Stdout,
            b"stderr" => Stream::Stderr,
            _ => return None,
        };
        // Further tags may follow after a colon, says the format; there are none so far.
        let ends_line = match fields.next()?.split(|byte| *byte == b':').next()? {
            b"F" => true,
            b"P" => false,
            _ => return None,
        };
        Some(Self { stream, time, ends_line, text: fields.next()?.into() })
    }

    /// Appends the bytes that [`Record::parse`] takes apart, and the newline.
    pub(super) fn append_to(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(self.time.as_bytes());
        bytes.push(b' ');
        bytes.extend_from_slice(self.stream.name().as_bytes());
        bytes.extend_from_slice(if self.ends_line { b" F " } else { b" P " });
        bytes.extend_from_slice(&self.text);
        bytes.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_apart_as_they_were_put_together() {
        for text in [&b""[..], b" ", b"a b  c ", b"\xff\xfe\r", b"2026 stdout F x"] {
            let record = Record {
                stream: Stream::Stderr,
                time: "2026-11-22T03:19:00Z",
                ends_line: true,
                text: text.into(),
            };
            let mut bytes = Vec::new();

            record.append_to(&mut bytes);

            assert_eq!(bytes.pop(), Some(b'\n'));
            assert_eq!(Record::parse(&bytes), Some(record));
        }
    }

    #[test]
    fn what_is_no_record_is_told_apart() {
        let cases = [
            ("t stdout F x", true),
            ("t stdout F:tag x", true),
            ("t stdout F", false),
            ("t stdin F x", false),
            ("t stdout X x", false),
            ("t stdout", false),
            ("", false),
        ];
        for (line, is_record) in cases {
            assert_eq!(Record::parse(line.as_bytes()).is_some(), is_record, "parsing {line:?}");
        }
    }
}
