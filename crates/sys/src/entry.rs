//! The program's beginning.
//!
//! The standard library's own beginning costs seventeen system calls: it reads the list of mappings
//! to find the main thread's stack and gives signal handlers a stack, so that an overflow of the
//! first can be told in words. A container's life is four of our processes, each shorter than a
//! millisecond. What of that beginning keeps others safe is here; an overflow ends the process
//! either way.

use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{Mode, OFlags},
    io::Errno,
};
use std::{
    io::{self, Write},
    os::fd::IntoRawFd,
    process::ExitCode,
};

/// How the standard library's main ends after a panic.
const PANICKED: u8 = 101;

/// Makes a `fn() -> ExitCode` the program, in a crate with `#![no_main]`.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        // SAFETY: the name is the C library's for the program's beginning, of which there is one:
        // the crate has no other `main`. The signature is C's; the arguments are not looked at,
        // since the C library gives them to the standard library before it calls this.
        #[unsafe(no_mangle)]
        extern "C" fn main(_count: i32, _words: *const *const u8) -> i32 {
            $crate::entry::begin($main)
        }
    };
}

/// Calls `main` in a process that is ready for it; the number with which to end.
pub fn begin(main: fn() -> ExitCode) -> i32 {
    if fill_streams().is_err() || crate::signal::ignore_broken_pipes().is_err() {
        std::process::abort();
    }
    // A panic must not go on into the C library.
    let code = std::panic::catch_unwind(main).unwrap_or(ExitCode::from(PANICKED));
    // Whoever does not read what we say has no use for a word about that.
    let _unread = io::stdout().flush();
    number(code)
}

/// A file that we open must not become somebody's standard stream because that one was closed.
fn fill_streams() -> rustix::io::Result<()> {
    let [input, output, errors] =
        [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    let mut streams =
        [input, output, errors].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::empty()));
    let now = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
    while let Err(errno) = poll(&mut streams, Some(&now)) {
        if errno != Errno::INTR {
            return Err(errno);
        }
    }
    for stream in &streams {
        if stream.revents().contains(PollFlags::NVAL) {
            // The lowest free number is the first one that is closed.
            let null = rustix::fs::open(c"/dev/null", OFlags::RDWR, Mode::empty())?;
            let _is_a_stream_now = null.into_raw_fd();
        }
    }
    Ok(())
}

/// The standard library keeps an exit code's number to itself, but compares.
fn number(code: ExitCode) -> i32 {
    let is_it = |number: &u8| ExitCode::from(*number) == code;
    (0..=u8::MAX).find(is_it).map_or(1, i32::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_numbers() {
        assert_eq!(number(ExitCode::SUCCESS), 0);
        assert_eq!(number(ExitCode::FAILURE), 1);
        assert_eq!(number(ExitCode::from(255)), 255);
    }
}
