//! A blob as it arrives.

use std::io;

/// The bytes of a blob as they arrive, through a bounded channel. Dropping it ends the transfer.
#[derive(Debug)]
pub struct BlobReader {}

impl io::Read for BlobReader {
    fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }
}
