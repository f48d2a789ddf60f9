//! Questions to somebody at the terminal: asked on standard error, answered on standard input.

use dhow_base::{Doing, Error, Kind, Result};
use rustix::termios::{LocalModes, OptionalActions};
use std::io::{self, BufRead, IsTerminal, Read, Write};

/// Nobody types more.
pub(crate) const ANSWER_LIMIT_BYTES: u64 = 64 << 10;

/// Whether what is typed is seen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Echo {
    On,
    Off,
}

/// Is there somebody who sees a question and can answer it?
pub(crate) fn is_possible() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks, and returns the line that was typed without its end.
pub(crate) fn ask(question: &str, echo: Echo) -> Result<String> {
    let doing = || "ask at the terminal";
    let input = io::stdin();
    let before = rustix::termios::tcgetattr(&input).doing(doing)?;
    if echo == Echo::Off {
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        silent.local_modes.insert(LocalModes::ECHONL);
        rustix::termios::tcsetattr(&input, OptionalActions::Flush, &silent).doing(doing)?;
    }
    let mut errors = io::stderr().lock();
    let asked = errors.write_all(question.as_bytes()).and_then(|()| errors.flush());
    let mut line = String::new();
    let read = asked.and_then(|()| input.lock().take(ANSWER_LIMIT_BYTES).read_line(&mut line));
    if echo == Echo::Off {
        rustix::termios::tcsetattr(&input, OptionalActions::Flush, &before).doing(doing)?;
    }
    if read.doing(doing)? == 0 {
        return Err(Error::new(Kind::Invalid, format!("{}: nothing was typed", doing())));
    }
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}
