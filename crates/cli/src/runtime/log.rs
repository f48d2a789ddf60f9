//! What the runtime says beside its data, in the forms that engines read from runc.
//!
//! | `--log` | the file | standard error |
//! |---|---|---|
//! | given | a line of text or JSON | the message alone |
//! | missing | | a line of text or JSON; on a terminal, words for people |
//!
//! Engines show their users the last line of the file with level `error`.

use super::grammar::Words;
use crate::console::Console;
use dhow_base::{Doing, Error, Kind, Result, clock::Moment};
use dhow_sys::host_path::{LastLink, Place};
use serde_json::json;
use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

/// How a line is written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Format {
    #[default]
    Text,
    Json,
}

/// Where messages go.
#[derive(Clone, Debug)]
pub(super) struct Log {
    file: Option<PathBuf>,
    format: Format,
    console: Console,
}

impl Log {
    /// For what cannot even be parsed.
    pub(super) fn plain(console: Console) -> Self {
        Self { file: None, format: Format::default(), console }
    }

    /// As the global flags say. The file is made at once: who cannot write it must hear of that
    /// before anything is done.
    pub(super) fn of(globals: &Words, console: Console) -> Result<Self> {
        let format = match globals.filled("log-format") {
            None | Some("text") => Format::Text,
            Some("json") => Format::Json,
            Some(other) => {
                return Err(Error::new(Kind::Invalid, format!("invalid log-format: {other}")));
            }
        };
        let file = globals.filled("log").map(PathBuf::from);
        if let Some(path) = &file {
            drop(open(path).doing(|| format!("open log {}", path.display()))?);
        }
        Ok(Self { file, format, console })
    }

    /// Where data goes.
    pub(super) fn console(&self) -> Console {
        self.console
    }

    /// Says why the command failed.
    pub(super) fn error(&self, error: &Error) {
        if self.file.is_none() && self.console.is_watched() {
            return self.console.error(error);
        }
        let text = match error.innermost_hint() {
            Some(hint) => format!("{} ({hint})", message(error)),
            None => message(error),
        };
        self.say("error", &text);
    }

    /// Says what did not stop the command.
    pub(super) fn warning(&self, text: &str) {
        if self.file.is_none() && self.console.is_watched() {
            return self.console.warning(text);
        }
        self.say("warning", text);
    }

    fn say(&self, level: &str, text: &str) {
        let line = self.line(level, text);
        let said = match &self.file {
            Some(path) => {
                // Where the log cannot be written any more, standard error says it all the same.
                let _written = open(path).and_then(|mut file| file.write_all(line.as_bytes()));
                format!("{text}\n")
            }
            None => line,
        };
        // Where nobody listens on standard error there is nobody to tell of it.
        let _written = std::io::stderr().lock().write_all(said.as_bytes());
    }

    /// A line as logrus writes it: to the second, and one line whatever the text holds.
    fn line(&self, level: &str, text: &str) -> String {
        let time = seconds(&Moment::now().rfc3339());
        match self.format {
            Format::Json => format!("{}\n", json!({"level": level, "msg": text, "time": time})),
            Format::Text => format!("time={time:?} level={level} msg={text:?}\n"),
        }
    }
}

/// An error's chain, with the kernel's reason in the words that Go programs look for: in lower
/// case, without a number.
fn message(error: &Error) -> String {
    let text = error.one_line();
    let Some(errno) = error.errno() else { return text };
    let reason = std::io::Error::from_raw_os_error(errno).to_string();
    match (text.strip_suffix(&reason), reason.split_once(" (os error")) {
        (Some(before), Some((words, _))) => format!("{before}{}", words.to_lowercase()),
        _ => text,
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    Place::find(path, LastLink::Followed)?.append(0o644)
}

/// A moment without its fraction of a second.
fn seconds(moment: &str) -> String {
    match moment.split_once('.') {
        Some((whole, rest)) => {
            let zone = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            format!("{whole}{zone}")
        }
        None => moment.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::{Colour, Level};

    fn log(format: Format) -> Log {
        let console = Console::new(Colour::Never, Level::Info, true, None);
        Log { file: None, format, console }
    }

    #[test]
    fn a_line_is_one_line_whatever_it_says() {
        let text = log(Format::Text).line("error", "a \"b\"\nc");
        let json = log(Format::Json).line("warning", "a \"b\"\nc");

        assert!(text.ends_with("level=error msg=\"a \\\"b\\\"\\nc\"\n"), "{text}");
        assert_eq!((text.lines().count(), json.lines().count()), (1, 1));
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&json["level"], &json["msg"]), (&json!("warning"), &json!("a \"b\"\nc")));
    }

    #[test]
    fn the_kernels_reason_is_in_gos_words() {
        let error = Err::<(), _>(rustix::io::Errno::NOENT).doing(|| "dial /X").unwrap_err();

        assert_eq!(message(&error), "dial /X: no such file or directory");
        assert_eq!(message(&Error::new(Kind::Invalid, "Some Text")), "Some Text");
    }

    #[test]
    fn time_is_told_to_the_second() {
        assert_eq!(seconds("2026-01-02T03:04:05.123456789Z"), "2026-01-02T03:04:05Z");
        assert_eq!(seconds("2026-01-02T03:04:05.1+01:00"), "2026-01-02T03:04:05+01:00");
        assert_eq!(seconds("2026-01-02T03:04:05Z"), "2026-01-02T03:04:05Z");
    }
}
