//! A user's terminal, raw as long as a program elsewhere reads its keys.

use dhow_base::{Doing, Result};
use rustix::termios::{OptionalActions, OutputModes, Termios};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Who turns the ends of lines into what a terminal needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LineEnds {
    /// The terminal that the program has.
    Theirs,
    /// This one, as before it was raw.
    Ours,
}

/// A terminal that is raw as long as this lives; then it is as it was before.
#[derive(Debug)]
pub struct RawMode {
    terminal: OwnedFd,
    before: Termios,
    line_ends: LineEnds,
}

impl RawMode {
    /// Makes a terminal raw; nothing where the file is no terminal.
    pub fn enter(file: BorrowedFd<'_>, line_ends: LineEnds) -> Result<Option<Self>> {
        if !rustix::termios::isatty(file) {
            return Ok(None);
        }
        let terminal = file.try_clone_to_owned().doing(|| "copy the terminal's fd")?;
        let before =
            rustix::termios::tcgetattr(&terminal).doing(|| "read the terminal's settings")?;
        let raw = Self { terminal, before, line_ends };
        raw.enter_again()?;
        Ok(Some(raw))
    }

    /// Makes it raw again, where a shell has had it in between.
    pub fn enter_again(&self) -> Result<()> {
        let mut settings = self.before.clone();
        settings.make_raw();
        if self.line_ends == LineEnds::Ours {
            settings.output_modes.insert(OutputModes::OPOST);
        }
        rustix::termios::tcsetattr(&self.terminal, OptionalActions::Now, &settings)
            .doing(|| "make the terminal raw")
    }
}

impl AsFd for RawMode {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.terminal.as_fd()
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // If the terminal is gone there is nothing to put back.
        let _restored =
            rustix::termios::tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}
