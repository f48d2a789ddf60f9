//! What clap found wrong with a command line, as an error of ours: one line and a way out.
//!
//! The exit codes are docker's: 125 for a flag that makes no sense, 1 for a command that does not
//! exist or lacks its arguments.

use crate::{
    elsewhere,
    exit::{FAILURE, OWN_FAILURE},
};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use dhow_base::{Error, Kind};

/// A command line that cannot be carried out.
#[derive(Debug)]
pub(crate) struct Misuse {
    pub(crate) error: Error,
    pub(crate) code: u8,
}

/// Translates clap's error. `words` are the command's names, such as `container run`.
pub(crate) fn explain(error: &clap::Error, words: &str) -> Misuse {
    let said = Said(error);
    let argument = said.text(ContextKind::InvalidArg);
    // Clap shows an argument with its placeholders: `--memory <SIZE>`.
    let flag = argument.split_whitespace().next().unwrap_or_default();
    let value = said.text(ContextKind::InvalidValue);
    if error.kind() == ErrorKind::UnknownArgument
        && let Some((why, instead)) = elsewhere::reason(words, flag)
    {
        let refused = Error::new(Kind::Unsupported, format!("{words}: {argument}: {why}"));
        let error = instead.into_iter().fold(refused, Error::hint);
        return Misuse { error, code: OWN_FAILURE };
    }
    if error.kind() == ErrorKind::InvalidSubcommand {
        let name = said.text(ContextKind::InvalidSubcommand);
        if let Some((why, instead)) = elsewhere::reason_of_command(words, &name) {
            let space = if words.is_empty() { "" } else { " " };
            let text = format!("there is no command {words}{space}{name}: {why}");
            let error = instead.into_iter().fold(Error::new(Kind::Unsupported, text), Error::hint);
            return Misuse { error, code: FAILURE };
        }
    }
    let (what, code) = match error.kind() {
        ErrorKind::UnknownArgument if flag.starts_with('-') => {
            (format!("there is no flag {argument}"), OWN_FAILURE)
        }
        ErrorKind::UnknownArgument => {
            (format!("there is one argument too many: {argument}"), FAILURE)
        }
        ErrorKind::InvalidSubcommand => {
            (format!("there is no command {}", said.text(ContextKind::InvalidSubcommand)), FAILURE)
        }
        ErrorKind::MissingSubcommand => ("the command is missing".to_owned(), FAILURE),
        ErrorKind::MissingRequiredArgument => {
            (format!("an argument is missing: {}", bare(&argument)), FAILURE)
        }
        // A positional argument that takes several values has too few of them.
        ErrorKind::TooFewValues if !flag.starts_with('-') => {
            (format!("an argument is missing: one of {}", bare(&argument)), FAILURE)
        }
        ErrorKind::InvalidValue | ErrorKind::TooFewValues | ErrorKind::NoEquals
            if value.is_empty() =>
        {
            (format!("{flag} needs a value"), OWN_FAILURE)
        }
        ErrorKind::InvalidValue => {
            let choices = said.text(ContextKind::ValidValue);
            (format!("{flag} {value:?}: not one of {choices}"), OWN_FAILURE)
        }
        ErrorKind::ValueValidation => (format!("{flag} {value:?}: {}", why(error)), OWN_FAILURE),
        ErrorKind::ArgumentConflict if said.text(ContextKind::PriorArg) == argument => {
            (format!("{flag} is given twice"), OWN_FAILURE)
        }
        ErrorKind::ArgumentConflict => {
            let other = said.text(ContextKind::PriorArg);
            (format!("{flag} does not go with {other}"), OWN_FAILURE)
        }
        ErrorKind::TooManyValues => (format!("{flag} takes no value {value:?}"), OWN_FAILURE),
        ErrorKind::InvalidUtf8 => ("an argument is not UTF-8 text".to_owned(), OWN_FAILURE),
        _ => (first_line(&error.to_string()), OWN_FAILURE),
    };
    let what = if words.is_empty() { what } else { format!("{words}: {what}") };
    Misuse { error: Error::new(Kind::Invalid, what).hint(said.way_out(words)), code }
}

/// An argument's name without the marks of a synopsis.
fn bare(argument: &str) -> String {
    argument.replace(['<', '>'], "").replace("...", "")
}

fn why(error: &clap::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) if source.is::<std::num::ParseIntError>() => "not a whole number".to_owned(),
        Some(source) => source.to_string(),
        None => "not a value that it takes".to_owned(),
    }
}

fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

struct Said<'a>(&'a clap::Error);

impl Said<'_> {
    fn text(&self, kind: ContextKind) -> String {
        match self.0.get(kind) {
            Some(ContextValue::String(text)) => text.clone(),
            Some(ContextValue::Strings(texts)) => texts.join(", "),
            Some(other) => other.to_string(),
            None => String::new(),
        }
    }

    fn way_out(&self, words: &str) -> String {
        let suggested = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand]
            .map(|kind| {
                // What begins so is not for people.
                let texts = self.text(kind);
                let texts: Vec<_> =
                    texts.split(", ").filter(|one| !one.starts_with("__")).collect();
                texts.join(" or ")
            })
            .into_iter()
            .find(|text| !text.is_empty());
        let space = if words.is_empty() { "" } else { " " };
        let help = format!("see 'dhow{space}{words} --help'");
        suggested.map_or(help.clone(), |text| format!("did you mean {text}? {help}"))
    }
}
