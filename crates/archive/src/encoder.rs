//! Compression as a stream: what a layer is written as.
//!
//! * gzip in members of 1 MiB, each compressed by a core of its own;
//! * zstd in one frame, by the library's own threads;
//! * zstd:chunked, in which each file can be fetched by itself ([`crate::chunked`]).
//!
//! The bytes depend on the input, the form and the level alone.

use crate::{
    chunked::Chunked,
    decoder::Compression,
    press::{Method, Press},
};
use dhow_base::{Doing, Error, Kind, Result};
use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Write},
    thread,
};

/// Input of one gzip member. Larger ones compress hardly better, smaller ones worse.
const MEMBER_BYTES: usize = 1 << 20;
const GZIP_LEVEL: i32 = 6;
const ZSTD_LEVEL: i32 = 3;
/// zstd's threads; each holds a few megabytes.
const ZSTD_THREADS: usize = 8;

/// How a layer is to be written.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Encoding {
    /// A tar stream as it is.
    Plain,
    /// RFC 1952.
    #[default]
    Gzip,
    /// RFC 8878.
    Zstd,
    /// zstd with a table of contents; read as zstd by those who do not know it.
    ZstdChunked,
}

impl Encoding {
    /// Every encoding, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::Plain, Self::Gzip, Self::Zstd, Self::ZstdChunked];

    /// The word for it on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Plain => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::ZstdChunked => "zstd:chunked",
        }
    }

    /// The encoding of this word.
    pub fn from_word(word: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|encoding| encoding.word() == word).ok_or_else(|| {
            Error::new(Kind::Invalid, format!("{word:?} is no compression of a layer"))
                .hint("there are none, gzip, zstd and zstd:chunked")
        })
    }

    /// What it looks like to a reader.
    pub fn compression(self) -> Compression {
        match self {
            Self::Plain => Compression::Plain,
            Self::Gzip => Compression::Gzip,
            Self::Zstd | Self::ZstdChunked => Compression::Zstd,
        }
    }

    /// The level used, checked.
    fn level(self, wanted: Option<i32>) -> Result<i32> {
        let (usual, range) = match self {
            Self::Plain => return Ok(0),
            Self::Gzip => (GZIP_LEVEL, 0..=9),
            Self::Zstd | Self::ZstdChunked => (ZSTD_LEVEL, zstd::compression_level_range()),
        };
        let level = wanted.unwrap_or(usual);
        if range.contains(&level) {
            return Ok(level);
        }
        let what = format!("compress by {} at level {level}", self.word());
        let hint = format!("its levels are {} to {}", range.start(), range.end());
        Err(Error::new(Kind::Invalid, what).hint(hint))
    }
}

/// Compresses what is written to it.
pub struct Encoder<W: Write> {
    form: Form<W>,
}

enum Form<W: Write> {
    Plain(W),
    Gzip { sink: W, press: Press, block: Vec<u8>, has_members: bool },
    Zstd(zstd::stream::write::Encoder<'static, W>),
    Chunked(Box<Chunked<W>>),
}

impl<W: Write> Encoder<W> {
    /// Starts; without a level it is the one that the field uses.
    pub fn new(sink: W, encoding: Encoding, level: Option<i32>) -> Result<Self> {
        let level = encoding.level(level)?;
        let form = match encoding {
            Encoding::Plain => Form::Plain(sink),
            Encoding::Gzip => {
                let press = Press::new(Method::Gzip(level));
                Form::Gzip { sink, press, block: Vec::new(), has_members: false }
            }
            Encoding::Zstd => Form::Zstd(zstd_encoder(sink, level)?),
            Encoding::ZstdChunked => Form::Chunked(Box::new(Chunked::new(sink, level)?)),
        };
        Ok(Self { form })
    }

    /// Writes what is left, and returns the sink and what a manifest should say of the blob.
    pub fn finish(self) -> Result<(W, BTreeMap<String, String>)> {
        let none = BTreeMap::new();
        match self.form {
            Form::Plain(mut sink) => {
                sink.flush().doing(|| "end the layer")?;
                Ok((sink, none))
            }
            Form::Gzip { mut sink, mut press, block, has_members } => {
                // Nothing at all is one member of nothing.
                if !block.is_empty() || !has_members {
                    let done = press.push(block)?;
                    sink.write_all(&done.unwrap_or_default()).doing(|| "write a gzip member")?;
                }
                while let Some(member) = press.pop()? {
                    sink.write_all(&member).doing(|| "write a gzip member")?;
                }
                sink.flush().doing(|| "end the layer")?;
                Ok((sink, none))
            }
            Form::Zstd(encoder) => Ok((encoder.finish().doing(|| "end the zstd stream")?, none)),
            Form::Chunked(chunked) => chunked.finish(),
        }
    }
}

fn zstd_encoder<W: Write>(sink: W, level: i32) -> Result<zstd::stream::write::Encoder<'static, W>> {
    let doing = || "start a zstd encoder";
    let mut encoder = zstd::stream::write::Encoder::new(sink, level).doing(doing)?;
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // At least one: none would be another algorithm, and the bytes must not depend on the machine.
    let threads = u32::try_from(cores.clamp(1, ZSTD_THREADS)).unwrap_or(1);
    encoder.multithread(threads).doing(doing)?;
    encoder.include_checksum(true).doing(doing)?;
    Ok(encoder)
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.form {
            Form::Plain(sink) => sink.write(bytes),
            Form::Gzip { sink, press, block, has_members } => {
                let count = bytes.len().min(MEMBER_BYTES - block.len());
                if block.capacity() == 0 {
                    block.reserve_exact(MEMBER_BYTES);
                }
                block.extend_from_slice(&bytes[..count]);
                if block.len() == MEMBER_BYTES {
                    *has_members = true;
                    if let Some(member) = press.push(std::mem::take(block))? {
                        sink.write_all(&member)?;
                    }
                }
                Ok(count)
            }
            Form::Zstd(encoder) => encoder.write(bytes),
            Form::Chunked(chunked) => {
                chunked.take(bytes)?;
                Ok(bytes.len())
            }
        }
    }

    /// Ends no member: what is written in small pieces must not become larger for it.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write> fmt::Debug for Encoder<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = match &self.form {
            Form::Plain(_) => Encoding::Plain,
            Form::Gzip { .. } => Encoding::Gzip,
            Form::Zstd(_) => Encoding::Zstd,
            Form::Chunked(_) => Encoding::ZstdChunked,
        };
        f.debug_struct("Encoder").field("form", &form).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decoder::{DecodeLimits, Decoder};
    use std::io::Read;

    fn encode(content: &[u8], encoding: Encoding, pieces: usize) -> Vec<u8> {
        let mut encoder = Encoder::new(Vec::new(), encoding, None).unwrap();
        for piece in content.chunks(pieces) {
            encoder.write_all(piece).unwrap();
            encoder.flush().unwrap();
        }
        encoder.finish().unwrap().0
    }

    fn decode(bytes: &[u8]) -> (Compression, Vec<u8>) {
        let mut decoder = Decoder::detect(bytes, DecodeLimits::default()).unwrap();
        let mut content = Vec::new();
        decoder.read_to_end(&mut content).unwrap();
        (decoder.compression(), content)
    }

    /// Compresses neither well nor not at all.
    fn some_content(length: usize) -> Vec<u8> {
        let mut state = 7_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 28) as u8
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn what_is_encoded_decodes_and_does_not_depend_on_the_pieces() {
        for length in [0, 1, MEMBER_BYTES - 1, MEMBER_BYTES, 5 * MEMBER_BYTES + 17] {
            let content = some_content(length);
            for encoding in [Encoding::Plain, Encoding::Gzip, Encoding::Zstd] {
                let whole = encode(&content, encoding, usize::MAX);

                assert!(whole == encode(&content, encoding, 10_007), "{encoding:?} {length}");
                let (compression, back) = decode(&whole);
                assert!(back == content, "{encoding:?} {length}");
                let expected =
                    if whole.is_empty() { Compression::Plain } else { encoding.compression() };
                assert_eq!(compression, expected);
            }
        }
    }

    #[test]
    fn words_and_levels_are_checked() {
        for encoding in Encoding::ALL {
            assert_eq!(Encoding::from_word(encoding.word()).unwrap(), encoding);
        }
        for (encoding, level) in [(Encoding::Gzip, 10), (Encoding::Gzip, -1), (Encoding::Zstd, 23)]
        {
            let error = Encoder::new(Vec::new(), encoding, Some(level)).unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid);
        }
        assert_eq!(Encoding::from_word("lzma").unwrap_err().kind(), Kind::Invalid);
    }
}
