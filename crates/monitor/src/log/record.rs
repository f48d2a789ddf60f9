//! One record of a log: a line of text that holds a line of output, or a part of one.

use dhow_base::clock::Moment;
use std::{borrow::Cow, fmt};

/// The longest part of a line that one record holds, as the kubelet and containerd have it.
pub(super) const LIMIT_BYTES: usize = 16 << 10;

/// How long a time is as our writer writes it.
const TIME_BYTES: usize = "2026-11-22T03:19:00.123456789Z".len();

/// Whether all are letters, digits and signs of ASCII. Without a way out in the middle the compiler
/// looks at many at once.
pub(super) fn is_graphic(bytes: &[u8]) -> bool {
    !bytes.iter().fold(false, |found, byte| found | !byte.is_ascii_graphic())
}

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
    pub(super) time: &'a [u8],
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
        Self::parse_usual(line).or_else(|| Self::parse_any(line))
    }

    /// As [`Self::parse_any`], of what our writer writes: each field has its place. Nothing where one is
    /// elsewhere.
    fn parse_usual(line: &'a [u8]) -> Option<Self> {
        let (time, rest) = line.split_at_checked(TIME_BYTES)?;
        let (head, text) = rest.split_first_chunk()?;
        let (stream, ends_line) = match head {
            b" stdout F " => (Stream::Stdout, true),
            b" stderr F " => (Stream::Stderr, true),
            b" stdout P " => (Stream::Stdout, false),
            b" stderr P " => (Stream::Stderr, false),
            _ => return None,
        };
        is_graphic(time).then_some(Self { stream, time, ends_line, text: text.into() })
    }

    fn parse_any(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.splitn(4, |byte| *byte == b' ');
        let time = fields.next().filter(|time| std::str::from_utf8(time).is_ok())?;
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
        bytes.extend_from_slice(self.time);
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
                time: b"2026-11-22T03:19:00Z",
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
    fn the_quick_way_says_what_the_plain_one_says() {
        let time = "2026-11-22T03:19:00.123456789Z";
        let mut quick = 0;
        let times = [time, "2026-11-22 03:19:00.123456789Z", "2026-11-22T03:19:00Z", "ä", ""];
        for (time, rest) in times.iter().flat_map(|time| {
            ["stdout F x", "stderr P ", "stdout F", "stdout F:t x", "stdin F x", " stdout F x", ""]
                .map(|rest| (time, rest))
        }) {
            let line = format!("{time} {rest}");
            let usual = Record::parse_usual(line.as_bytes());
            quick += u32::from(usual.is_some());
            if usual.is_some() {
                assert_eq!(usual, Record::parse_any(line.as_bytes()), "{line:?}");
            }
        }
        assert_eq!(quick, 2);
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
