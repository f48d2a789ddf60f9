//! What strangers' bytes are tried on; see the runtime's module of this name.

use crate::{Limits, Reader};
use std::io::Read;

/// A layer's tar stream: entries and their content, within the limits, or an error.
pub fn archive(bytes: &[u8]) -> bool {
    let limits = Limits { entries: 100, unpacked_bytes: 1 << 20, ..Limits::default() };
    let Ok(mut reader) = Reader::new(bytes, limits) else { return false };
    let mut entries = 0;
    loop {
        match reader.next_entry() {
            Err(_) => return false,
            Ok(None) => break,
            Ok(Some(_)) => entries += 1,
        }
        // What a sparse file says of its size costs nothing to say.
        let content = std::io::copy(&mut (&mut reader).take(1 << 20), &mut std::io::sink());
        if content.is_err() {
            return false;
        }
    }
    assert!(entries <= 100);
    reader.drain().is_ok_and(|length| length <= bytes.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    /// An archive of another program's, with bytes of its headers changed and their sums made right
    /// again, so that more than the sum is looked at.
    #[test]
    fn damaged_archives_are_refused_or_read() {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(7);
        let long = format!("{}file", "long/".repeat(40));
        for name in ["a/short", long.as_str()] {
            builder.append_data(&mut header, name, &b"content"[..]).unwrap();
        }
        let whole = builder.into_inner().unwrap();
        assert!(archive(&whole));
        let (mut state, mut read, begin) = (7_u64, 0, Instant::now());
        let mut below = |end: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from(state >> 33).unwrap() % end
        };
        for _ in 0..20_000 {
            let mut bytes = whole.clone();
            let block = below(bytes.len() / 512) * 512;
            for _ in 0..=below(3) {
                bytes[block + below(512)] = b"\0 /.0157xLKSg\xff\x80"[below(15)];
            }
            sum(&mut bytes[block..block + 512]);
            read += u32::from(archive(&bytes));
        }

        assert!(read > 100, "{read} were read");
        assert!(begin.elapsed() < Duration::from_secs(60));
    }

    fn sum(block: &mut [u8]) {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    }
}
