//! A layer in the making: a tar stream goes in, a blob comes out, and both digests with it.
//!
//! ```text
//!  tar ─▶ hash (diff id) ─▶ Encoder, on all cores ─▶ hash (digest) ─▶ sink
//! ```
//!
//! Every byte is hashed once on either side, while it passes.

use crate::{
    digesting::Measured,
    encoder::{Encoder, Encoding},
};
use dhow_base::{Digest, Result, digest::Algorithm};
use std::{
    collections::BTreeMap,
    io::{self, Write},
};

/// What a finished layer is, as its descriptor and the image's configuration say it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Blob {
    /// The digest of the blob.
    pub digest: Digest,
    /// Bytes of the blob.
    pub size: u64,
    /// The digest of the tar stream.
    pub diff_id: Digest,
    /// Bytes of the tar stream.
    pub diff_size: u64,
    /// What the descriptor should be annotated with: where a zstd:chunked layer has its contents.
    pub annotations: BTreeMap<String, String>,
}

/// Writes a layer to a sink. Takes the tar stream by its [`Write`].
#[derive(Debug)]
pub struct LayerWriter<W: Write> {
    tar: Measured<Encoder<Measured<W>>>,
}

impl<W: Write> LayerWriter<W> {
    /// Starts; without a level it is the one that the field uses.
    pub fn new(sink: W, encoding: Encoding, level: Option<i32>) -> Result<Self> {
        let encoder = Encoder::new(Measured::new(sink, Algorithm::Sha256), encoding, level)?;
        Ok(Self { tar: Measured::new(encoder, Algorithm::Sha256) })
    }

    /// Writes what is left, and returns the sink and what the layer has become.
    pub fn finish(self) -> Result<(W, Blob)> {
        let (encoder, diff_size, diff_id) = self.tar.finish();
        let (blob, annotations) = encoder.finish()?;
        let (sink, size, digest) = blob.finish();
        Ok((sink, Blob { digest, size, diff_id, diff_size, annotations }))
    }
}

impl<W: Write> Write for LayerWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tar.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tar.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_digests_are_those_of_what_passed() {
        for encoding in [Encoding::Plain, Encoding::Gzip, Encoding::Zstd] {
            let content = b"layer".repeat(500_000);
            let mut writer = LayerWriter::new(Vec::new(), encoding, None).unwrap();
            writer.write_all(&content).unwrap();

            let (bytes, blob) = writer.finish().unwrap();

            assert_eq!((blob.digest, blob.size), (Digest::of(&bytes), bytes.len() as u64));
            assert_eq!((blob.diff_id, blob.diff_size), (Digest::of(&content), 2_500_000));
            assert!(blob.annotations.is_empty());
        }
    }
}
