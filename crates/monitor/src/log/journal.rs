//! systemd's journal as a log: its native protocol, one datagram a line.
//!
//! ```text
//!   NAME=value\n                         where the value has no newline
//!   NAME\n<length, u64 LE><value>\n      where it may have one
//! ```
//!
//! The journal keeps the time, the order and the size. A line that it does not take at once is lost
//! and counted: a container does not wait for it.

use super::record::{LIMIT_BYTES, Stream};
use crate::LogSettings;
use dhow_base::{Doing, Error, Kind, Result};
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use std::os::fd::OwnedFd;

/// Where the journal listens.
const SOCKET: &str = "/run/systemd/journal/socket";

/// syslog's words for how important something is.
const ERROR: &[u8] = b"3";
const INFORMATION: &[u8] = b"6";

/// A log that the journal keeps.
#[derive(Debug)]
pub(crate) struct Journal {
    socket: OwnedFd,
    address: SocketAddrUnix,
    // What is said beside each line.
    fields: Vec<u8>,
    // Lines that have not come to their end.
    begun: [Vec<u8>; 2],
    pub(super) lost_bytes: u64,
}

impl Journal {
    pub(super) fn open(settings: &LogSettings) -> Result<Self> {
        Self::open_at(SOCKET, settings)
    }

    fn open_at(path: &str, settings: &LogSettings) -> Result<Self> {
        if !std::path::Path::new(path).exists() {
            return Err(Error::new(Kind::Unavailable, "log to the journal: there is none here")
                .hint("systemd-journald keeps one; --log-driver k8s-file needs nobody"));
        }
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)
            .doing(|| "make a socket for the journal")?;
        let address = SocketAddrUnix::new(path).doing(|| "name the journal's socket")?;
        let mut fields = Vec::new();
        for (name, value) in &settings.attributes {
            append_field(&mut fields, &field_name(name), value.as_bytes());
        }
        Ok(Self { socket, address, fields, begun: Default::default(), lost_bytes: 0 })
    }

    pub(super) fn append(&mut self, stream: Stream, output: &[u8]) {
        for piece in output.split_inclusive(|byte| *byte == b'\n') {
            let begun = &mut self.begun[stream.index()];
            begun.extend_from_slice(piece);
            let is_whole = begun.last() == Some(&b'\n');
            if !is_whole && begun.len() < LIMIT_BYTES {
                continue;
            }
            let mut line = std::mem::take(begun);
            if is_whole {
                line.pop();
            }
            self.send(stream, &line, is_whole);
        }
    }

    /// What has no newline yet will get none any more.
    pub(super) fn finish(&mut self) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let line = std::mem::take(&mut self.begun[stream.index()]);
            if !line.is_empty() {
                self.send(stream, &line, true);
            }
        }
    }

    fn send(&mut self, stream: Stream, line: &[u8], is_whole: bool) {
        let mut message = Vec::with_capacity(line.len() + self.fields.len() + 64);
        append_field(&mut message, "MESSAGE", line);
        let priority = if stream == Stream::Stderr { ERROR } else { INFORMATION };
        append_field(&mut message, "PRIORITY", priority);
        if !is_whole {
            append_field(&mut message, "CONTAINER_PARTIAL_MESSAGE", b"true");
        }
        message.extend_from_slice(&self.fields);
        let sent = rustix::net::sendto(&self.socket, &message, SendFlags::NOSIGNAL, &self.address);
        if sent.is_err() {
            self.lost_bytes += line.len() as u64;
        }
    }
}

fn append_field(message: &mut Vec<u8>, name: &str, value: &[u8]) {
    message.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        message.push(b'\n');
        message.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        message.push(b'=');
    }
    message.extend_from_slice(value);
    message.push(b'\n');
}

/// The journal takes capital letters, digits and underscores.
fn field_name(name: &str) -> String {
    let letter = |letter: char| match letter {
        'a'..='z' | 'A'..='Z' | '0'..='9' => letter.to_ascii_uppercase(),
        _ => '_',
    };
    name.chars().map(letter).collect::<String>().trim_start_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeMap, os::unix::net::UnixDatagram};

    #[test]
    fn lines_arrive_with_their_fields() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let journal = UnixDatagram::bind(&path).unwrap();
        let attributes = BTreeMap::from([("com.tier".to_owned(), "web".to_owned())]);
        let settings = LogSettings { attributes, ..LogSettings::default() };
        let mut log = Journal::open_at(path.to_str().unwrap(), &settings).unwrap();
        let receive = || {
            let mut bytes = [0; 1 << 16];
            let count = journal.recv(&mut bytes).unwrap();
            String::from_utf8(bytes[..count].to_vec()).unwrap()
        };

        log.append(Stream::Stderr, b"one\ntw");
        log.append(Stream::Stderr, b"o\n");
        log.append(Stream::Stdout, b"unfinished");
        log.finish();

        assert_eq!(receive(), "MESSAGE=one\nPRIORITY=3\nCOM_TIER=web\n");
        assert_eq!(receive(), "MESSAGE=two\nPRIORITY=3\nCOM_TIER=web\n");
        assert_eq!(receive(), "MESSAGE=unfinished\nPRIORITY=6\nCOM_TIER=web\n");
        assert_eq!(log.lost_bytes, 0);
    }

    #[test]
    fn a_missing_journal_is_told_and_a_full_one_loses_and_counts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let open = || Journal::open_at(path.to_str().unwrap(), &LogSettings::default());
        assert_eq!(open().unwrap_err().kind(), Kind::Unavailable);

        let journal = UnixDatagram::bind(&path).unwrap();
        let mut log = open().unwrap();
        drop(journal);
        log.append(Stream::Stdout, b"lost\n");

        assert_eq!(log.lost_bytes, 4);
    }

    #[test]
    fn a_value_with_a_newline_has_its_length_before_it() {
        let mut message = Vec::new();

        append_field(&mut message, "A", b"b\nc");

        assert_eq!(message, b"A\n\x03\0\0\0\0\0\0\0b\nc\n");
    }
}
