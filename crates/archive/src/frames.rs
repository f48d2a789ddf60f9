//! The frames of a zstd stream, looked at as they go by: each says how much memory it needs before the
//! decoder has seen it.
//!
//! ```text
//!  magic ─▶ header ─▶ (block header ─▶ block)* ─▶ checksum? ─▶ magic …        RFC 8878
//!              └▶ its window is taken from the layer's allowance
//! ```
//!
//! Nothing is changed, and nothing refused but a window that there is no memory for: what is no
//! frame is for the decoder to refuse, which gets it as it came.

use crate::Allowance;
use std::io::{self, Read};

/// The magic number, descriptor, window, dictionary and size at their longest.
const HEADER_BYTES: usize = 18;
const MAGIC: u32 = 0xFD2F_B528;
const SKIPPED: std::ops::RangeInclusive<u32> = 0x184D_2A50..=0x184D_2A5F;

/// A reader of such a stream.
#[derive(Debug)]
pub(crate) struct Frames<R> {
    stream: R,
    allowance: Allowance,
    at: At,
    /// What of the next header, or block header, was read.
    head: [u8; HEADER_BYTES],
    filled: usize,
    /// How much of that was handed out.
    handed: usize,
    has_checksum: bool,
    /// The window for which the allowance was asked.
    window_bytes: u64,
}

/// Where in the stream we are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum At {
    /// A frame begins, or the stream ends.
    Frame,
    /// A block's header is next.
    Block,
    /// So many bytes go by, and then comes what.
    Passing(u64, Next),
    /// It is no zstd; whatever it is goes by.
    Unknown,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Next {
    Frame,
    Block,
}

/// What a header has told, or how many bytes it takes to tell.
enum Header {
    Frame { window_bytes: u64, has_checksum: bool },
    Skipped { bytes: u64 },
    Short(usize),
    Foreign,
}

impl<R: Read> Frames<R> {
    pub(crate) fn new(stream: R, allowance: Allowance) -> Self {
        Self {
            stream,
            allowance,
            at: At::Frame,
            head: [0; HEADER_BYTES],
            filled: 0,
            handed: 0,
            has_checksum: false,
            window_bytes: 0,
        }
    }

    /// Reads until `head` has so many bytes; tells whether it has.
    fn gather(&mut self, count: usize) -> io::Result<bool> {
        while self.filled < count {
            let read = self.stream.read(&mut self.head[self.filled..count])?;
            if read == 0 {
                return Ok(false);
            }
            self.filled += read;
        }
        Ok(true)
    }

    /// Reads the next header whole, and says what follows it.
    fn step(&mut self) -> io::Result<()> {
        self.at = match self.at {
            At::Frame => self.frame()?,
            At::Block => self.block()?,
            At::Passing(0, Next::Frame) => At::Frame,
            At::Passing(0, Next::Block) => At::Block,
            same => same,
        };
        Ok(())
    }

    fn frame(&mut self) -> io::Result<At> {
        let mut wanted = 4;
        loop {
            if !self.gather(wanted)? {
                return Ok(At::Unknown);
            }
            match parse(&self.head[..self.filled]) {
                Header::Short(more) => wanted = more,
                Header::Foreign => return Ok(At::Unknown),
                Header::Skipped { bytes } => return Ok(At::Passing(bytes, Next::Frame)),
                Header::Frame { window_bytes, has_checksum } => {
                    if window_bytes > self.window_bytes {
                        self.allowance.take(window_bytes - self.window_bytes)?;
                        self.window_bytes = window_bytes;
                    }
                    self.has_checksum = has_checksum;
                    return Ok(At::Block);
                }
            }
        }
    }

    fn block(&mut self) -> io::Result<At> {
        if !self.gather(3)? {
            return Ok(At::Unknown);
        }
        let header = u32::from_le_bytes([self.head[0], self.head[1], self.head[2], 0]);
        let (is_last, kind, size) = (header & 1 == 1, header >> 1 & 3, u64::from(header >> 3));
        // A block of one byte repeated has that byte.
        let bytes = if kind == 1 { 1 } else { size };
        Ok(match (is_last, self.has_checksum) {
            (false, _) => At::Passing(bytes, Next::Block),
            (true, true) => At::Passing(bytes + 4, Next::Frame),
            (true, false) => At::Passing(bytes, Next::Frame),
        })
    }
}

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.handed < self.filled {
                let head = &self.head[self.handed..self.filled];
                let count = head.len().min(buffer.len());
                buffer[..count].copy_from_slice(&head[..count]);
                self.handed += count;
                if self.handed == self.filled {
                    (self.handed, self.filled) = (0, 0);
                }
                return Ok(count);
            }
            match self.at {
                At::Unknown => return self.stream.read(buffer),
                At::Passing(left, next) if left > 0 => {
                    let most =
                        usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
                    let count = self.stream.read(&mut buffer[..most])?;
                    self.at = At::Passing(left - count as u64, next);
                    return Ok(count);
                }
                _ => self.step()?,
            }
        }
    }
}

/// Takes apart the beginning of a frame, as far as it is there.
fn parse(head: &[u8]) -> Header {
    let Some((magic, rest)) = head.split_first_chunk::<4>() else { return Header::Short(4) };
    let magic = u32::from_le_bytes(*magic);
    if SKIPPED.contains(&magic) {
        return match rest.first_chunk::<4>() {
            Some(size) => Header::Skipped { bytes: u64::from(u32::from_le_bytes(*size)) },
            None => Header::Short(8),
        };
    }
    if magic != MAGIC {
        return Header::Foreign;
    }
    let Some(&descriptor) = rest.first() else { return Header::Short(5) };
    let is_single = descriptor & 0x20 != 0;
    let window = usize::from(!is_single);
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size = match descriptor >> 6 {
        0 => usize::from(is_single),
        flag => 1 << flag,
    };
    let whole = 5 + window + dictionary + size;
    if head.len() < whole {
        return Header::Short(whole);
    }
    let mut number = [0; 8];
    number[..size].copy_from_slice(&head[whole - size..whole]);
    // Two bytes count from 256 on.
    let content = u64::from_le_bytes(number).saturating_add(if size == 2 { 256 } else { 0 });
    let window_bytes = if is_single {
        content
    } else {
        let base = 1_u64 << (10 + (head[5] >> 3));
        base + base / 8 * u64::from(head[5] & 7)
    };
    Header::Frame { window_bytes, has_checksum: descriptor & 4 != 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allowance::Pool;
    use std::io::Write;

    fn frame(content: &[u8], window_log: u32, is_sized: bool) -> Vec<u8> {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(window_log).unwrap();
        encoder.include_checksum(content.len().is_multiple_of(2)).unwrap();
        if is_sized {
            encoder.set_pledged_src_size(Some(content.len() as u64)).unwrap();
        }
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn passed(bytes: &[u8], most: u64) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Frames::new(bytes, Pool::new(most, 0).part()).read_to_end(&mut out).map(|_| out)
    }

    #[test]
    fn what_goes_by_is_unchanged_and_each_window_is_seen() {
        let noise: Vec<u8> =
            (0..3_000_001_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
        let skipped = [&[0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"xyz"].concat();
        let small = frame(&noise[..1000], 10, true);
        let streamed = frame(&noise, 20, false);
        let zeros = frame(&[0; 2_000_000], 21, false);
        let whole = [&small[..], &skipped, &streamed, &zeros, &small].concat();

        assert!(passed(&whole, 1 << 21).unwrap() == whole);
        // The third frame's window is larger than that.
        assert!(passed(&whole, 1 << 20).is_err());
        assert!(passed(&whole[..whole.len() - small.len() - zeros.len()], 1 << 20).is_ok());
    }

    #[test]
    fn what_is_no_frame_goes_by() {
        let good = frame(b"content", 10, true);
        for bytes in [&b"no zstd at all"[..], b"", b"\x28\xb5", &good[..good.len() - 1]] {
            assert_eq!(passed(bytes, 1 << 20).unwrap(), bytes);
        }
        let followed = [&good[..], b"garbage that is long enough"].concat();
        assert_eq!(passed(&followed, 1 << 20).unwrap(), followed);
    }
}
