//! Compression undone as a stream: gzip, zstd, xz, bzip2 or none.
//!
//! The form is told by its first bytes, as docker does, or by the media type, as containerd does.
//! Members and frames may follow each other without end; anything else after the last one is
//! corrupt, since two readers could disagree on whether it belongs to the layer.
//!
//! Two guards against bombs: a decoder's memory is bounded ([`DecodeLimits::memory_bytes`]), and
//! output that outgrows the input by more than [`DecodeLimits::ratio`] is refused once it is large
//! enough to hurt. An error of the stream below passes unchanged; one of the format is
//! [`Kind::Corrupt`].

use crate::{Allowance, frames::Frames, limits::RAISE};
use dhow_base::{Doing, Error, Kind, Result};
use std::{
    fmt,
    io::{self, BufReader, Read},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// What is read from the stream below in one go.
const INPUT_BYTES: usize = 64 << 10;
/// What bzip2 takes at most.
const BZIP2_BYTES: u64 = 4 << 20;
/// The longest magic number: xz has six bytes.
const MAGIC_BYTES: usize = 6;

/// How a layer is compressed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Compression {
    /// Not at all.
    Plain,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// The format of xz-utils.
    Xz,
    /// The format of bzip2.
    Bzip2,
}

impl Compression {
    /// Tells the form by the first bytes; six are enough, fewer are [`Compression::Plain`].
    pub fn of_magic(bytes: &[u8]) -> Self {
        match bytes {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A zstd stream may begin with a frame to skip.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Self::Bzip2,
            _ => Self::Plain,
        }
    }

    /// Tells the form by a layer's media type; nothing where the type does not say.
    pub fn of_media_type(media_type: &str) -> Option<Self> {
        let (_, suffix) = media_type.rsplit_once(['.', '+'])?;
        match suffix {
            "tar" => Some(Self::Plain),
            "gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            "xz" => Some(Self::Xz),
            "bzip2" => Some(Self::Bzip2),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
        }
    }
}

/// How far decompression may go.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DecodeLimits {
    /// Output for each byte of input.
    pub ratio: u64,
    /// Output below this size is never refused for its ratio.
    pub ratio_from_bytes: u64,
    /// Memory of the decoder: the window of zstd, rounded down to a power of two, and twice that
    /// for xz, which counts its other tables too.
    pub memory_bytes: u64,
    /// What of the memory that all layers have together is this one's.
    pub allowance: Allowance,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        let allowance = Allowance::default();
        Self { ratio: 250, ratio_from_bytes: 1 << 30, memory_bytes: 128 << 20, allowance }
    }
}

/// The uncompressed bytes of a compressed stream.
pub struct Decoder<R: Read> {
    inner: Inner<R>,
    compression: Compression,
    limits: DecodeLimits,
    tally: Arc<Tally>,
    produced: u64,
}

enum Inner<R: Read> {
    Plain(Input<R>),
    Gzip(Box<flate2::bufread::MultiGzDecoder<BufReader<Input<R>>>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, BufReader<Frames<Input<R>>>>>),
    Xz(Box<liblzma::bufread::XzDecoder<BufReader<Input<R>>>>),
    Bzip2(Box<bzip2::bufread::MultiBzDecoder<BufReader<Input<R>>>>),
    /// After an error: what a decoder would say next is not defined.
    Failed,
}

type Input<R> = io::Chain<io::Cursor<Vec<u8>>, Source<R>>;

impl<R: Read> Decoder<R> {
    /// Tells the compression by the first bytes, which it reads.
    pub fn detect(stream: R, limits: DecodeLimits) -> Result<Self> {
        Self::start(stream, None, limits)
    }

    /// Undoes the compression that the media type names.
    pub fn new(stream: R, compression: Compression, limits: DecodeLimits) -> Result<Self> {
        Self::start(stream, Some(compression), limits)
    }

    /// How the stream is compressed.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// How many compressed bytes have been read; runs ahead of the output by a buffer.
    pub fn consumed(&self) -> u64 {
        self.tally.consumed.load(Ordering::Relaxed)
    }

    fn start(stream: R, compression: Option<Compression>, limits: DecodeLimits) -> Result<Self> {
        let tally = Arc::new(Tally::default());
        let mut source = Source { stream, tally: Arc::clone(&tally) };
        let mut head = Vec::with_capacity(MAGIC_BYTES);
        if compression.is_none() {
            source
                .by_ref()
                .take(MAGIC_BYTES as u64)
                .read_to_end(&mut head)
                .doing(|| "read the beginning of a layer")?;
        }
        let compression = compression.unwrap_or_else(|| Compression::of_magic(&head));
        let inner = Inner::new(compression, io::Cursor::new(head).chain(source), &limits)
            .doing(|| format!("start a decoder for {}", compression.name()))?;
        Ok(Self { inner, compression, limits, tally, produced: 0 })
    }

    /// Names a failure of the format; one of the stream below is passed on as it came.
    fn explain(&self, error: io::Error) -> io::Error {
        let is_ours = error.get_ref().is_some_and(|inner| inner.is::<Error>());
        if is_ours || self.tally.failed.load(Ordering::Relaxed) {
            return error;
        }
        let what = format!("decompress {}", self.compression.name());
        if is_out_of_memory(&error) {
            let what =
                format!("{what} within the limit of {} bytes memory", self.limits.memory_bytes);
            return Error::new(Kind::Exhausted, what).because(error).hint(RAISE).into();
        }
        Error::new(Kind::Corrupt, what).because(error).into()
    }

    fn check_ratio(&self) -> Result<()> {
        let allowed = self.consumed().saturating_mul(self.limits.ratio);
        if self.produced <= self.limits.ratio_from_bytes.max(allowed) {
            return Ok(());
        }
        Err(Error::new(
            Kind::Exhausted,
            format!(
                "decompress {}: {} bytes became {}, more than {} times as many",
                self.compression.name(),
                self.consumed(),
                self.produced,
                self.limits.ratio
            ),
        )
        .hint(RAISE))
    }
}

impl<R: Read> Inner<R> {
    fn new(compression: Compression, input: Input<R>, limits: &DecodeLimits) -> io::Result<Self> {
        let buffered = |input| BufReader::with_capacity(INPUT_BYTES, input);
        let allowance = &limits.allowance;
        Ok(match compression {
            Compression::Plain => Self::Plain(input),
            Compression::Gzip => {
                Self::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(buffered(input))))
            }
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(
                    BufReader::with_capacity(INPUT_BYTES, Frames::new(input, allowance.clone())),
                )?;
                decoder.window_log_max(limits.memory_bytes.max(1 << 10).ilog2())?;
                Self::Zstd(Box::new(decoder))
            }
            Compression::Xz => {
                // What it needs is known to the library only, and told as a refusal.
                let memory = limits.memory_bytes.saturating_mul(2).min(allowance.large_bytes());
                allowance.take(memory)?;
                let stream = liblzma::stream::Stream::new_stream_decoder(
                    memory,
                    liblzma::stream::CONCATENATED,
                )?;
                Self::Xz(Box::new(liblzma::bufread::XzDecoder::new_stream(buffered(input), stream)))
            }
            Compression::Bzip2 => {
                allowance.take(BZIP2_BYTES)?;
                Self::Bzip2(Box::new(bzip2::bufread::MultiBzDecoder::new(buffered(input))))
            }
        })
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let outcome = match &mut self.inner {
            Inner::Plain(input) => input.read(buffer),
            Inner::Gzip(decoder) => decoder.read(buffer),
            Inner::Zstd(decoder) => decoder.read(buffer),
            Inner::Xz(decoder) => decoder.read(buffer),
            Inner::Bzip2(decoder) => decoder.read(buffer),
            Inner::Failed => {
                return Err(Error::new(
                    Kind::Corrupt,
                    format!(
                        "decompress {}: the stream was already refused",
                        self.compression.name()
                    ),
                )
                .into());
            }
        };
        let count = match outcome {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => {
                self.inner = Inner::Failed;
                return Err(self.explain(error));
            }
        };
        self.produced = self.produced.saturating_add(count as u64);
        if let Err(error) = self.check_ratio() {
            self.inner = Inner::Failed;
            return Err(error.into());
        }
        Ok(count)
    }
}

impl<R: Read> fmt::Debug for Decoder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("compression", &self.compression)
            .field("produced", &self.produced)
            .finish_non_exhaustive()
    }
}

fn is_out_of_memory(error: &io::Error) -> bool {
    use liblzma::stream::Error as Xz;
    let xz = error.get_ref().and_then(|inner| inner.downcast_ref::<Xz>());
    // The binding of zstd gives nothing but the library's own text.
    matches!(xz, Some(Xz::MemLimit | Xz::Mem)) || error.to_string().contains("too much memory")
}

/// The stream below, counted, so that its failures can be told from those of the format.
struct Source<R> {
    stream: R,
    tally: Arc<Tally>,
}

#[derive(Default)]
struct Tally {
    consumed: AtomicU64,
    failed: AtomicBool,
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let outcome = self.stream.read(buffer);
        match &outcome {
            Ok(count) => {
                self.tally.consumed.fetch_add(*count as u64, Ordering::Relaxed);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.tally.failed.store(true, Ordering::Relaxed),
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(content: &[u8]) -> Vec<u8> {
        zstd::stream::encode_all(content, 3).unwrap()
    }

    fn xz(content: &[u8]) -> Vec<u8> {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn bzip2(content: &[u8]) -> Vec<u8> {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn decode(bytes: &[u8], limits: DecodeLimits) -> Result<(Compression, Vec<u8>)> {
        let mut decoder = Decoder::detect(bytes, limits)?;
        let mut content = Vec::new();
        decoder.read_to_end(&mut content).doing(|| "decode")?;
        Ok((decoder.compression(), content))
    }

    type Encode = fn(&[u8]) -> Vec<u8>;
    const FORMS: [(Compression, Encode); 4] = [
        (Compression::Gzip, gzip),
        (Compression::Zstd, zstd),
        (Compression::Xz, xz),
        (Compression::Bzip2, bzip2),
    ];

    #[test]
    fn every_form_is_told_and_undone_member_after_member() {
        for (compression, encode) in FORMS {
            let bytes = [encode(b"one "), encode(b""), encode(b"two")].concat();

            let decoded = decode(&bytes, DecodeLimits::default()).unwrap();

            assert_eq!(decoded, (compression, b"one two".to_vec()));
        }
        let plain = decode(b"tar", DecodeLimits::default()).unwrap();
        assert_eq!(plain, (Compression::Plain, b"tar".to_vec()));
        assert_eq!(decode(b"", DecodeLimits::default()).unwrap().0, Compression::Plain);
    }

    #[test]
    fn cut_short_or_followed_by_anything_else_is_corrupt() {
        for (compression, encode) in FORMS {
            let good = encode(&[b'x'; 5000]);
            let cut = good[..good.len() - 3].to_vec();
            let followed = [good.clone(), b"garbage".to_vec()].concat();
            let mut damaged = good.clone();
            let middle = good.len() / 2;
            damaged[middle] ^= 0xff;
            for (what, bytes) in [("cut", cut), ("followed", followed), ("damaged", damaged)] {
                let error = decode(&bytes, DecodeLimits::default()).err();

                let kind = error.map(|error| error.kind());
                assert_eq!(kind, Some(Kind::Corrupt), "{what} {compression:?}");
            }
        }
    }

    #[test]
    fn a_frame_to_skip_gives_nothing() {
        let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0][..], b"skip"].concat();
        let bytes = [skipped.clone(), zstd(b"content"), skipped].concat();

        let decoded = decode(&bytes, DecodeLimits::default()).unwrap();

        assert_eq!(decoded, (Compression::Zstd, b"content".to_vec()));
    }

    #[test]
    fn a_million_empty_members_take_no_stack_and_little_time() {
        let member = gzip(b"");
        let bytes = [member.repeat(1_000_000), gzip(b"end")].concat();
        let start = std::time::Instant::now();

        let decoded = decode(&bytes, DecodeLimits::default()).unwrap();

        assert_eq!(decoded.1, b"end");
        assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
    }

    #[test]
    fn a_window_larger_than_the_memory_is_refused() {
        // A frame header that asks for a window of 2 GiB, and a raw block that ends the frame.
        let bytes = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00];

        let error = decode(&bytes, DecodeLimits::default()).unwrap_err();

        assert_eq!(error.kind(), Kind::Exhausted, "{}", error.one_line());
    }

    #[test]
    fn xz_that_needs_more_than_the_memory_is_refused() {
        let limits = DecodeLimits { memory_bytes: 1 << 16, ..DecodeLimits::default() };

        let error = decode(&xz(&[1; 100_000]), limits).unwrap_err();

        assert_eq!(error.kind(), Kind::Exhausted, "{}", error.one_line());
    }

    #[test]
    fn a_bomb_is_refused_by_its_ratio() {
        let limits = DecodeLimits { ratio: 100, ratio_from_bytes: 1 << 20, ..Default::default() };
        for (compression, encode) in FORMS {
            let bytes = encode(&vec![0; 16 << 20]);

            let error = decode(&bytes, limits.clone()).unwrap_err();

            assert_eq!(error.kind(), Kind::Exhausted, "{compression:?}");
        }
        assert!(decode(&gzip(&vec![0; 1 << 20]), limits).is_ok(), "small output is no bomb");
    }

    #[test]
    fn a_failure_of_the_stream_below_keeps_its_kind() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(Error::new(Kind::Unavailable, "the registry went away").into())
            }
        }
        let good = gzip(&[b'x'; 5000]);
        let stream = (&good[..20]).chain(Broken);
        let mut decoder = Decoder::detect(stream, DecodeLimits::default()).unwrap();

        let read = decoder.read_to_end(&mut Vec::new()).doing(|| "decode");

        assert_eq!(read.unwrap_err().kind(), Kind::Unavailable);
    }

    #[test]
    fn media_types_name_their_form() {
        let cases = [
            ("application/vnd.oci.image.layer.v1.tar", Some(Compression::Plain)),
            ("application/vnd.oci.image.layer.v1.tar+gzip", Some(Compression::Gzip)),
            ("application/vnd.oci.image.layer.v1.tar+zstd", Some(Compression::Zstd)),
            ("application/vnd.docker.image.rootfs.diff.tar.gzip", Some(Compression::Gzip)),
            ("application/vnd.docker.image.rootfs.diff.tar", Some(Compression::Plain)),
            ("application/json", None),
        ];
        for (media_type, expected) in cases {
            assert_eq!(Compression::of_media_type(media_type), expected, "{media_type}");
        }
    }
}
