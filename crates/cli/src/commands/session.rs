//! The time between the start of a process and its end, when the user watches.

use crate::{console::Console, exit::SUCCESS, flags::refuse};
use dhow_base::Result;
use dhow_monitor::{Client, DetachKeys, Outcome, Session, Signals};
use std::{
    io::{self, IsTerminal},
    os::fd::AsFd,
};

/// What is connected to what.
#[derive(Clone, Debug)]
pub(super) struct Link {
    /// Whether the user's input goes to the process.
    pub(super) input: bool,
    /// Whether the process has a terminal.
    pub(super) terminal: bool,
    /// The keys that leave.
    pub(super) keys: DetachKeys,
    /// Whether signals to us are for the process.
    pub(super) signals: Signals,
}

/// How a session ended, for the one who began it.
#[derive(Debug)]
pub(super) enum End {
    /// The process ended, with this exit code.
    Exited(u8),
    /// The user left; the process goes on. With this we end.
    Left(u8),
    /// Nobody reads the output.
    OutputClosed(Client),
}

/// What a shell makes of SIGPIPE, which a program gets whose output nobody reads.
pub(super) const PIPE_CODE: u8 = 141;

impl Link {
    /// A link as flags describe it.
    pub(super) fn new(input: bool, terminal: bool, keys: &str, sig_proxy: bool) -> Result<Self> {
        let keys = keys.parse().map_err(|_| {
            refuse("--detach-keys", keys, "not a list of keys")
                .hint("keys are characters or ctrl-a to ctrl-z, with commas: ctrl-p,ctrl-q")
        })?;
        let signals = if sig_proxy { Signals::PassOn } else { Signals::Leave };
        Ok(Self { input, terminal, keys, signals })
    }

    /// Says so where the terminal will not be what the user expects of it.
    pub(super) fn check(&self, console: Console) {
        if self.terminal && self.input && !io::stdin().is_terminal() {
            console.warning(
                "standard input is not a terminal; --tty gives the process one all the same",
            );
        }
    }

    /// Connects the user and the process until one of them ends it.
    pub(super) fn run(self, client: Client) -> Result<End> {
        let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
        let session = Session {
            input: self.input.then(|| stdin.as_fd()),
            output: stdout.as_fd(),
            errors: stderr.as_fd(),
            terminal: self.terminal,
            detach_keys: self.keys,
            signals: self.signals,
        };
        Ok(match session.run(client)? {
            Outcome::Exited(exit) => End::Exited(exit.code),
            Outcome::Detached => End::Left(SUCCESS),
            Outcome::Interrupted(signal) => {
                End::Left(u8::try_from(signal).unwrap_or(0).saturating_add(128))
            }
            Outcome::OutputClosed(client) => End::OutputClosed(client),
        })
    }
}
