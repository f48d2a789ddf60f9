//! A file that somebody else made: opened below a root, proven to be regular, read up to a limit.
//!
//! A FIFO would hang its reader, a device would do worse, and a sparse file of terabytes fills the
//! memory (CVE-2024-9676, CVE-2026-47262).

use crate::root::{Last, Root};
use rustix::fs::{FileType, OFlags};
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// Room that is made before the first byte has come.
const EXPECTED_MOST: u64 = 64 << 10;

/// The content of a regular file. `InvalidInput` where it is none, `FileTooLarge` where it is
/// longer than the limit.
pub fn read(root: Root<'_>, path: &Path, limit_bytes: u64) -> io::Result<Vec<u8>> {
    // Non-blocking, so that a FIFO opens at once and is then seen for what it is.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let fd = root.open(path, flags, Last::Followed)?;
    let status = rustix::fs::fstat(&fd)?;
    if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    // With room for one byte more, so that the end is seen without growing. What a file says of its size
    // is its owner's word.
    let expected = status.st_size.cast_unsigned().saturating_add(1).min(EXPECTED_MOST);
    let mut content = Vec::with_capacity(usize::try_from(expected).unwrap_or(0));
    File::from(fd).take(limit_bytes.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() as u64 > limit_bytes {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is larger than {limit_bytes} bytes"),
        ));
    }
    Ok(content)
}
