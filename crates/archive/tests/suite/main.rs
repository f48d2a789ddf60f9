//! Layers unpacked to a real directory: legal ones, hostile ones, mutated ones, and ones of our own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

mod hostile;
mod mutation;
mod raw;
mod round_trip;
mod target;
mod unpack;
