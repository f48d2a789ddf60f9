//! The two streams of the command line: data goes to standard output, everything else to standard
//! error, in one line each, understandable without colour.
//!
//! Text that comes from outside (names, messages of registries, paths) may hold bytes that steer
//! a terminal. Whatever is written here for people is escaped first; what programs in containers
//! write, and JSON, is passed on as it is.

use crate::{manners::Manners, render::text::escaped};
use anstyle::{AnsiColor, Style};
use dhow_base::{Doing, Error, Result};
use rustix::io::Errno;
use serde_json::{Value, json};
use std::{
    error::Error as _,
    io::{self, IsTerminal, Write},
};

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Colour {
    /// On terminals, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Also where nobody may see it.
    Always,
    /// Not at all.
    Never,
}

/// How much is said beside the data.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd, clap::ValueEnum)]
pub(crate) enum Level {
    /// Errors only.
    #[value(aliases = ["fatal", "panic"])]
    Error,
    /// Errors and warnings.
    #[value(alias = "warning")]
    Warn,
    /// Also notes.
    #[default]
    #[value(aliases = ["debug", "trace"])]
    Info,
}

/// How what is said beside the data is written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum ErrorFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: one object a line.
    Json,
}

/// Standard output and standard error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Console {
    format: ErrorFormat,
    colour: Colour,
    level: Level,
    wants_colour: bool,
    can_move: bool,
    /// With which word errors begin.
    error: &'static str,
}

impl Console {
    /// The console, by what the user and the environment want.
    pub(crate) fn new(colour: Colour, level: Level, no_color: bool, term: Option<&str>) -> Self {
        let is_known = term.is_some_and(|term| term != "dumb");
        Self {
            format: ErrorFormat::Text,
            colour,
            level,
            wants_colour: !no_color && is_known,
            can_move: term != Some("dumb"),
            error: "error",
        }
    }

    /// The same, saying what it says in this form.
    pub(crate) fn saying_in(self, format: ErrorFormat) -> Self {
        Self { format, ..self }
    }

    /// The same, whose errors begin as scripts know them that watch for this program's.
    pub(crate) fn of(self, manners: Manners) -> Self {
        let error = if manners == Manners::Podman { "Error" } else { "error" };
        Self { error, ..self }
    }

    /// Asked only when something is said there: most commands say nothing.
    fn is_coloured(self) -> bool {
        match self.colour {
            Colour::Auto => self.wants_colour && io::stderr().is_terminal(),
            Colour::Always => true,
            Colour::Never => false,
        }
    }

    /// Whether somebody watches standard error on a terminal that can move its cursor.
    pub(crate) fn is_watched(self) -> bool {
        self.can_move && self.format == ErrorFormat::Text && io::stderr().is_terminal()
    }

    /// Writes data to standard output, whole.
    pub(crate) fn print(self, data: impl AsRef<[u8]>) -> Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(data.as_ref()).and_then(|()| out.flush()).doing(|| "write to standard output")
    }

    /// Writes one line of data, escaped for terminals.
    pub(crate) fn line(self, text: &str) -> Result<()> {
        self.print(format!("{}\n", escaped(text)))
    }

    /// Says what went wrong and what can be done.
    pub(crate) fn error(self, error: &Error) {
        if self.format == ErrorFormat::Json {
            say_line(&described(error));
            return;
        }
        self.say(self.error, AnsiColor::Red, &error.one_line());
        if let Some(hint) = hint(error) {
            self.say("hint", AnsiColor::Cyan, hint);
        }
    }

    /// Says what is probably not as the user wants it.
    pub(crate) fn warning(self, text: &str) {
        if self.level >= Level::Warn {
            self.say("warning", AnsiColor::Yellow, text);
        }
    }

    /// Says what is good to know.
    pub(crate) fn note(self, text: &str) {
        if self.level >= Level::Info {
            self.say("note", AnsiColor::Cyan, text);
        }
    }

    fn say(self, word: &str, colour: AnsiColor, text: &str) {
        if self.format == ErrorFormat::Json {
            say_line(&json!({ "level": word, "message": text }));
            return;
        }
        let text = escaped(text);
        let line = if self.is_coloured() {
            let style = Style::new().bold().fg_color(Some(colour.into()));
            format!("{style}{word}:{style:#} {text}\n")
        } else {
            format!("{word}: {text}\n")
        };
        // Where nobody listens on standard error there is nobody to tell of it.
        let _written = io::stderr().lock().write_all(line.as_bytes());
    }
}

fn say_line(line: &Value) {
    // Where nobody listens on standard error there is nobody to tell of it.
    let _written = io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}

/// What can be done: as the error says it, or as its cause does that everybody knows and that may come from
/// anywhere.
fn hint(error: &Error) -> Option<&str> {
    let of_cause = || match Errno::from_raw_os_error(error.errno()?) {
        Errno::NOSPC | Errno::DQUOT => Some(
            "where a disk is full, `dhow system df` shows what is kept and `dhow system prune` makes room",
        ),
        Errno::ROFS => {
            Some("it is mounted for reading only; --root names another place for what is kept")
        }
        _ => None,
    };
    error.innermost_hint().or_else(of_cause)
}

/// An error for programs: its code, what was being done and to what, why it failed, link by link, and
/// what to try next.
fn described(error: &Error) -> Value {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    json!({
        "level": "error",
        "code": crate::exit::word_of(error.kind()),
        "message": error.one_line(),
        "doing": error.to_string(),
        "because": causes,
        "hint": hint(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_base::Kind;

    #[test]
    fn an_error_for_programs_has_all_its_links() {
        let inner = Error::new(Kind::NotFound, "open /x").hint("look");
        let error: Error = Err::<(), _>(inner).doing(|| "start web").unwrap_err();

        assert_eq!(
            described(&error),
            json!({
                "level": "error",
                "code": "not-found",
                "message": "start web: open /x",
                "doing": "start web",
                "because": ["open /x"],
                "hint": "look",
            })
        );
    }
}
