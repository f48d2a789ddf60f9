//! Writeback: when what was written goes from memory to the disk.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

/// Has the kernel begin to write a part of a file to the disk, `sync_file_range(2)`; a length of 0
/// reaches to its end. What is asked for may not be begun, is not waited for, and nothing is durable
/// before it was synced: this only leaves less to do for that.
pub fn start(file: BorrowedFd<'_>, offset: u64, length: u64) -> io::Result<()> {
    let number = |value: u64| {
        libc::off64_t::try_from(value).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
    };
    let (offset, length) = (number(offset)?, number(length)?);
    // SAFETY: the call takes numbers and a borrowed, hence open, fd, and touches no memory of ours.
    let result = unsafe {
        libc::sync_file_range(file.as_raw_fd(), offset, length, libc::SYNC_FILE_RANGE_WRITE)
    };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::fd::AsFd};

    #[test]
    fn a_file_is_written_back_and_a_pipe_is_none() {
        let path = std::env::temp_dir().join(format!("dhow-writeback-{}", std::process::id()));
        fs::write(&path, [7; 100_000]).unwrap();
        let file = fs::File::open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let (reader, _writer) = std::io::pipe().unwrap();

        start(file.as_fd(), 4096, 0).unwrap();

        assert!(start(reader.as_fd(), 0, 0).is_err());
        assert!(start(file.as_fd(), u64::MAX, 0).is_err());
    }
}
