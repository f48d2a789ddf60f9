//! The time between the start of a process and its end, when the user watches.

use crate::{console::Console, exit::SUCCESS, flags::refuse, invocation::Invocation};
use dhow_base::{Doing, Result};
use dhow_monitor::{Client, DetachKeys, Exit, Outcome, Session, Signals};
use std::{
    fs::{File, OpenOptions},
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
    /// Which streams are the user's.
    streams: Streams,
}

/// Which streams of the process are shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Streams {
    Both,
    Output,
    Errors,
    Neither,
}

/// How a session ended, for the one who began it.
#[derive(Debug)]
pub(super) enum End {
    /// The process ended; its monitor may wait for what this end of the connection says of the rest.
    Exited(Exit, Client),
    /// The user left; the process goes on. With this we end.
    Left(u8),
    /// Nobody reads the output.
    OutputClosed(Client),
}

/// What a shell makes of SIGPIPE, which a program gets whose output nobody reads.
pub(super) const PIPE_CODE: u8 = 141;

/// The keys that leave a session: the flag's, or those that `containers.conf` names, which is not asked
/// where there is no terminal to type them on.
pub(super) fn detach_keys(
    flag: Option<&str>,
    terminal: bool,
    invocation: &Invocation,
) -> Result<Option<String>> {
    match flag {
        None if terminal => Ok(invocation.containers_conf()?.engine.detach_keys),
        flag => Ok(flag.map(str::to_owned)),
    }
}

impl Link {
    /// A link as flags describe it.
    pub(super) fn new(
        input: bool,
        terminal: bool,
        keys: Option<&str>,
        sig_proxy: bool,
    ) -> Result<Self> {
        let keys = match keys {
            Some(keys) => keys.parse().map_err(|_| {
                refuse("--detach-keys", keys, "not a list of keys")
                    .hint("keys are characters or ctrl-a to ctrl-z, with commas: ctrl-p,ctrl-q")
            })?,
            None => DetachKeys::default(),
        };
        let signals = if sig_proxy { Signals::PassOn } else { Signals::Leave };
        Ok(Self { input, terminal, keys, signals, streams: Streams::Both })
    }

    /// With the streams alone that `--attach` names; all of them where it names none.
    pub(super) fn attached(mut self, named: &[String]) -> Result<Self> {
        if named.is_empty() {
            return Ok(self);
        }
        let is_named = |stream: &str| named.iter().any(|name| name.eq_ignore_ascii_case(stream));
        let known = |name: &&String| {
            ["stdin", "stdout", "stderr"].iter().any(|stream| name.eq_ignore_ascii_case(stream))
        };
        if let Some(other) = named.iter().find(|name| !known(name)) {
            return Err(
                refuse("--attach", other, "not a stream").hint("write stdin, stdout or stderr")
            );
        }
        self.streams = match (is_named("stdout"), is_named("stderr")) {
            (true, true) => Streams::Both,
            (true, false) => Streams::Output,
            (false, true) => Streams::Errors,
            (false, false) => Streams::Neither,
        };
        self.input &= is_named("stdin");
        Ok(self)
    }

    /// Whether nothing of the program is shown.
    pub(super) fn is_blind(&self) -> bool {
        self.streams == Streams::Neither
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
        // What is not shown is read all the same, so that the program does not wait for a reader.
        let nowhere = match self.streams {
            Streams::Both => None,
            Streams::Output | Streams::Errors | Streams::Neither => Some(open_null()?),
        };
        let is_hidden = |shown_alone| [shown_alone, Streams::Neither].contains(&self.streams);
        let hidden = |shown_alone| nowhere.as_ref().filter(|_| is_hidden(shown_alone));
        let session = Session {
            input: self.input.then(|| stdin.as_fd()),
            output: hidden(Streams::Errors).map_or(stdout.as_fd(), AsFd::as_fd),
            errors: hidden(Streams::Output).map_or(stderr.as_fd(), AsFd::as_fd),
            terminal: self.terminal,
            detach_keys: self.keys,
            signals: self.signals,
        };
        Ok(match session.run(client)? {
            Outcome::Exited(exit, client) => End::Exited(exit, client),
            Outcome::Detached => End::Left(SUCCESS),
            Outcome::Interrupted(signal) => {
                End::Left(u8::try_from(signal).unwrap_or(0).saturating_add(128))
            }
            Outcome::OutputClosed(client) => End::OutputClosed(client),
        })
    }
}

fn open_null() -> Result<File> {
    OpenOptions::new().write(true).open("/dev/null").doing(|| "open /dev/null")
}
