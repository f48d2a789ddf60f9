//! Everything of a tar stream but the files' content: with the files, it gives the same bytes again.
//!
//! The form is that of `vbatts/tar-split`, which docker and containers/storage keep beside their
//! layers: a line of JSON for each run of bytes and each file, numbered, with the file's CRC-64.

use data_encoding::BASE64;
use dhow_base::{Doing, Result};
use serde::Serialize;
use std::io::Write;

const FILE: u8 = 1;
const SEGMENT: u8 = 2;

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "is_zero")]
    size: u64,
    payload: Option<String>,
    position: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Writes the lines to a sink.
pub(crate) struct TarSplit<W> {
    sink: W,
    position: u64,
    written: u64,
}

impl<W: Write> TarSplit<W> {
    pub(crate) fn new(sink: W) -> Self {
        Self { sink, position: 0, written: 0 }
    }

    /// Bytes that are no file's content.
    pub(crate) fn segment(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.line(SEGMENT, None, 0, Some(bytes))
    }

    /// A file's place; `checksum` is of its content, if it has some.
    pub(crate) fn file(&mut self, name: &str, size: u64, checksum: Option<u64>) -> Result<()> {
        let checksum = checksum.map(u64::to_be_bytes);
        self.line(FILE, Some(name), size, checksum.as_ref().map(|bytes| &bytes[..]))
    }

    /// The sink, and the bytes written to it.
    pub(crate) fn finish(self) -> (W, u64) {
        (self.sink, self.written)
    }

    fn line(
        &mut self,
        kind: u8,
        name: Option<&str>,
        size: u64,
        payload: Option<&[u8]>,
    ) -> Result<()> {
        let payload = payload.map(|bytes| BASE64.encode(bytes));
        let line = Line { kind, name, size, payload, position: self.position };
        let mut text = serde_json::to_vec(&line).doing_json()?;
        text.push(b'\n');
        self.sink.write_all(&text).doing(|| "write the tar-split data")?;
        self.position += 1;
        self.written += text.len() as u64;
        Ok(())
    }
}

/// Documents of our own making always can be written.
pub(crate) trait DoingJson<T> {
    fn doing_json(self) -> Result<T>;
}

impl<T> DoingJson<T> for serde_json::Result<T> {
    fn doing_json(self) -> Result<T> {
        self.map_err(|error| {
            dhow_base::Error::new(dhow_base::Kind::Internal, "write a document").because(error)
        })
    }
}

/// CRC-64 by the polynomial of ISO 3309, as Go's `hash/crc64` has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crc64(u64);

const CRC_TABLE: [u64; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u64;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { (value >> 1) ^ (0xd8 << 56) } else { value >> 1 };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
};

impl Crc64 {
    pub(crate) fn new() -> Self {
        Self(!0)
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let index = (self.0 ^ u64::from(*byte)) & 0xff;
            self.0 = CRC_TABLE[usize::try_from(index).expect("eight bits")] ^ (self.0 >> 8);
        }
    }

    pub(crate) fn finish(self) -> u64 {
        !self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_go() {
        // From the table of tests of Go's hash/crc64.
        let cases = [("", 0), ("a", 0x3420_0000_0000_0000), ("ab", 0x36c4_2000_0000_0000)];
        for (text, expected) in cases {
            let mut crc = Crc64::new();
            crc.update(text.as_bytes());
            assert_eq!(crc.finish(), expected, "{text}");
        }
    }

    #[test]
    fn lines_are_numbered_and_name_their_kind() {
        let mut split = TarSplit::new(Vec::new());
        split.segment(b"head").unwrap();
        split.segment(b"").unwrap();
        split.file("a/b", 3, Some(1)).unwrap();
        split.file("c", 0, None).unwrap();

        let (text, written) = split.finish();

        let expected = "{\"type\":2,\"payload\":\"aGVhZA==\",\"position\":0}\n\
            {\"type\":1,\"name\":\"a/b\",\"size\":3,\"payload\":\"AAAAAAAAAAE=\",\"position\":1}\n\
            {\"type\":1,\"name\":\"c\",\"payload\":null,\"position\":2}\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
        assert_eq!(written, expected.len() as u64);
    }
}
