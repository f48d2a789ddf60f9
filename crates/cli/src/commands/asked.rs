//! The question before much goes at once.

use crate::invocation::Invocation;
use dhow_base::{Doing, Error, Kind, Result};
use std::io::{self, BufRead, IsTerminal, Write};

/// Asks on the terminal; only `y` and `yes` mean yes. Where nobody can answer, the flag that
/// answers in advance is asked for.
pub(super) fn asked(_invocation: &Invocation, what: &str) -> Result<bool> {
    if !io::stdin().is_terminal() {
        return Err(Error::new(
            Kind::Invalid,
            "ask before removing: standard input is no terminal",
        )
        .hint("--force does not ask"));
    }
    let mut err = io::stderr().lock();
    write!(err, "{what}\nAre you sure you want to continue? [y/N] ")
        .and_then(|()| err.flush())
        .doing(|| "ask on the terminal")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).doing(|| "read the answer")?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
