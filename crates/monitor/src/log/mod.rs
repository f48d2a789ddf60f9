//! A container's output as it is kept: in a file of CRI's form or of docker's, or in systemd's journal.
//!
//! CRI's form is the usual one, so that every tool of that world reads it too.
//!
//! ```text
//!   2026-11-22T03:19:00.123456789Z stdout F a whole line
//!   2026-11-22T03:19:00.123456789Z stderr P the beginning of a line
//!   2026-11-22T03:19:01.000000000Z stderr F , and its end
//! ```
//!
//! A record holds at most 16 KiB of one line. What has no newline yet is written at once as `P`, so
//! that a prompt is seen while it waits; the newline comes with the `F` record that ends the line.
//! Output that ends without a newline ends with a `P`, and reading gives back exactly the bytes that
//! were written (some writers add an empty `F` there, and with it a newline that nobody wrote).
//!
//! A log that reached its limit is set aside: `log` becomes `log.1`, `log.1` becomes `log.2`.

mod journal;
mod json;
mod reader;
mod record;
mod writer;

pub use reader::{Dress, Query, Reader, Shown, read};
pub use record::{Entry, Stream};
pub(crate) use writer::Writer;

use std::{
    io::BufRead,
    path::{Path, PathBuf},
};

/// Where a byte is for the first time. The standard library looks for it many bytes at a time, behind
/// this door.
fn find(byte: u8, mut bytes: &[u8]) -> Option<usize> {
    let whole = bytes;
    let count = bytes.skip_until(byte).unwrap_or(0);
    count.checked_sub(1).filter(|last| whole[*last] == byte)
}

/// The name of the log that was set aside `age` rotations ago; the current one has age 0.
fn aged(path: &Path, age: u32) -> PathBuf {
    if age == 0 {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{age}"));
    name.into()
}
