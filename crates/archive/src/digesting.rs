//! Hashing on the way: a reader that refuses what is not what was promised, and a writer that says
//! what passed.

use dhow_base::{
    Digest, Error, Kind, Result,
    digest::{Algorithm, Hasher},
};
use std::io::{self, Read, Write};

/// Reads `stream` through, and fails where size or digest are not the expected ones.
///
/// The check is part of reading: the read that would report the end reports the mismatch instead,
/// so who reads to the end cannot forget it. More bytes than promised are refused when they arrive.
#[derive(Debug)]
pub struct Digesting<R> {
    stream: R,
    expected: Digest,
    size: Option<u64>,
    seen: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    Hashing(Box<Hasher>),
    Verified,
    Failed,
}

impl<R: Read> Digesting<R> {
    /// Expects a digest; the size is not known (a layer's uncompressed form).
    pub fn new(stream: R, expected: Digest) -> Self {
        let hasher = Box::new(Hasher::new(expected.algorithm()));
        Self { stream, expected, size: None, seen: 0, state: State::Hashing(hasher) }
    }

    /// Expects `size` bytes exactly.
    #[must_use]
    pub fn sized(mut self, size: u64) -> Self {
        self.size = Some(size);
        self
    }

    /// How many bytes have passed.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Reads what is left and returns the inner stream; fails unless all of it was as promised.
    pub fn finish(mut self) -> Result<R> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            match self.read(&mut buffer) {
                Ok(0) => return Ok(self.stream),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ours(error, &self.expected)),
            }
        }
    }

    fn check_end(&mut self) -> Result<()> {
        let State::Hashing(hasher) = std::mem::replace(&mut self.state, State::Failed) else {
            return Ok(());
        };
        if let Some(size) = self.size.filter(|size| *size != self.seen) {
            return Err(self.corrupt(&format!("has {} bytes, expected {size}", self.seen)));
        }
        let actual = hasher.finish();
        if actual != self.expected {
            return Err(self.corrupt(&format!("has digest {actual}")));
        }
        self.state = State::Verified;
        Ok(())
    }

    fn corrupt(&self, why: &str) -> Error {
        Error::new(Kind::Corrupt, format!("check {}: the content {why}", self.expected))
    }
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        match self.state {
            State::Hashing(_) => {}
            State::Verified => return Ok(0),
            State::Failed => return Err(self.corrupt("was already refused").into()),
        }
        let count = self.stream.read(buffer)?;
        if count == 0 {
            self.check_end()?;
            return Ok(0);
        }
        self.seen = self.seen.saturating_add(count as u64);
        if let Some(size) = self.size.filter(|size| self.seen > *size) {
            self.state = State::Failed;
            return Err(self.corrupt(&format!("has more than the expected {size} bytes")).into());
        }
        if let State::Hashing(hasher) = &mut self.state {
            hasher.update(&buffer[..count]);
        }
        Ok(count)
    }
}

/// Takes an error of ours out of the `io::Error` that carried it.
fn ours(error: io::Error, expected: &Digest) -> Error {
    use dhow_base::Doing;
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Err::<(), _>(error)
            .doing(|| format!("read {expected}"))
            .expect_err("an error stays an error"),
    }
}

/// Writes through to `sink` and knows size and digest of what has passed.
#[derive(Debug)]
pub struct Measured<W> {
    sink: W,
    hasher: Hasher,
    written: u64,
}

impl<W: Write> Measured<W> {
    /// Starts with nothing written.
    pub fn new(sink: W, algorithm: Algorithm) -> Self {
        Self { sink, hasher: Hasher::new(algorithm), written: 0 }
    }

    /// How many bytes have passed.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The sink, the number of bytes and their digest.
    pub fn finish(self) -> (W, u64, Digest) {
        (self.sink, self.written, self.hasher.finish())
    }
}

impl<W: Write> Write for Measured<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.sink.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.written = self.written.saturating_add(count as u64);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(content: &[u8], promised: &[u8], size: Option<u64>) -> Result<Vec<u8>> {
        let mut digesting = Digesting::new(content, Digest::of(promised));
        digesting.size = size;
        let mut read = Vec::new();
        digesting.read_to_end(&mut read).map_err(|error| ours(error, &Digest::of(b"")))?;
        digesting.finish()?;
        Ok(read)
    }

    #[test]
    fn only_what_was_promised_passes() {
        type Case<'a> = (&'a [u8], &'a [u8], Option<u64>, Option<&'a str>);
        let cases: [Case<'_>; 6] = [
            (b"layer", b"layer", Some(5), None),
            (b"layer", b"layer", None, None),
            (b"", b"", Some(0), None),
            (b"layer", b"other", Some(5), Some("has digest sha256:")),
            (b"lay", b"layer", Some(5), Some("has 3 bytes, expected 5")),
            (b"layer and more", b"layer", Some(5), Some("more than the expected 5 bytes")),
        ];
        for (content, promised, size, failure) in cases {
            match (outcome(content, promised, size), failure) {
                (Ok(read), None) => assert_eq!(read, content),
                (Err(error), Some(text)) => {
                    assert_eq!(error.kind(), Kind::Corrupt);
                    assert!(error.to_string().contains(text), "{error}");
                    assert!(error.to_string().contains(Digest::of(promised).as_str()));
                }
                (other, _) => panic!("{content:?} against {promised:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_refused_stream_stays_refused() {
        let mut digesting = Digesting::new(&b"abc"[..], Digest::of(b"x")).sized(1);
        let mut buffer = [0; 8];

        assert!(digesting.read(&mut buffer).is_err());
        assert!(digesting.read(&mut buffer).is_err());
        assert!(digesting.finish().is_err());
    }

    #[test]
    fn a_measured_writer_knows_what_passed() {
        let mut measured = Measured::new(Vec::new(), Algorithm::Sha256);
        measured.write_all(b"lay").unwrap();
        measured.write_all(b"er").unwrap();

        let (sink, written, digest) = measured.finish();

        assert_eq!((sink.as_slice(), written, digest), (&b"layer"[..], 5, Digest::of(b"layer")));
    }
}
