//! The runtime's command line as data: flags by tables, read by the rules of Go's flag package,
//! which every engine knows from runc.
//!
//! ```text
//!   -flag  --flag  --flag=value  --flag value  -flag=false     a flag has one dash or two
//!   --                                                         what follows is no flag
//! ```
//!
//! Nothing here knows what a flag means. A table is read without building anything, since most
//! commands of the runtime are to be over within a millisecond.

use dhow_base::{Error, Kind, Result};
use std::str::FromStr;

/// A flag of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flag {
    pub(super) name: &'static str,
    /// One letter, or empty.
    pub(super) short: &'static str,
    pub(super) takes: Takes,
    /// What the help says; an obsolete flag has none and is not shown.
    pub(super) help: &'static str,
}

/// What belongs to a flag.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Takes {
    /// Nothing, or `=true` or `=false`.
    Nothing,
    /// A value, which the help calls this.
    Value(&'static str),
}

/// A flag that is there or not.
pub(super) const fn switch(name: &'static str, short: &'static str, help: &'static str) -> Flag {
    Flag { name, short, takes: Takes::Nothing, help }
}

/// A flag with a value.
pub(super) const fn value(
    name: &'static str,
    short: &'static str,
    what: &'static str,
    help: &'static str,
) -> Flag {
    Flag { name, short, takes: Takes::Value(what), help }
}

/// Where flags end and everything else is an argument, whatever it looks like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stop {
    /// Only at `--`.
    Nowhere,
    /// After the first argument: the rest belongs to another program.
    AfterFirst,
}

/// What was typed.
#[derive(Debug, Default)]
pub(super) struct Words {
    flags: Vec<(&'static str, String)>,
    pub(super) arguments: Vec<String>,
}

/// The result of reading.
#[derive(Debug)]
pub(super) enum Read {
    Words(Words),
    /// `-h`, `--help`.
    Help,
}

/// Reads `words` by the tables.
pub(super) fn read(tables: &[&[Flag]], words: &[String], stop: Stop) -> Result<Read> {
    let mut read = Words::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let Some(flag) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) else {
            read.arguments.push(word.clone());
            if stop == Stop::AfterFirst {
                break;
            }
            continue;
        };
        if flag == "-" {
            break;
        }
        let flag = flag.strip_prefix('-').unwrap_or(flag);
        let (name, given) = match flag.split_once('=') {
            Some((name, given)) => (name, Some(given.to_owned())),
            None => (flag, None),
        };
        let found = tables.iter().copied().flatten().find(|known| known.is_called(name));
        let Some(known) = found else {
            if matches!(name, "h" | "help") {
                return Ok(Read::Help);
            }
            return Err(misused(format!("flag provided but not defined: -{name}")));
        };
        let text = match (known.takes, given) {
            (Takes::Nothing, given) => {
                let text = given.unwrap_or_else(|| "true".to_owned());
                truth(&text).ok_or_else(|| bad(known.name, &text, "not true or false"))?.to_string()
            }
            (Takes::Value(_), Some(given)) => given,
            (Takes::Value(_), None) => words
                .next()
                .cloned()
                .ok_or_else(|| misused(format!("flag needs an argument: -{name}")))?,
        };
        read.flags.push((known.name, text));
    }
    read.arguments.extend(words.cloned());
    Ok(Read::Words(read))
}

impl Flag {
    fn is_called(&self, name: &str) -> bool {
        self.name == name || (!self.short.is_empty() && self.short == name)
    }
}

/// The words of Go's `strconv.ParseBool`.
fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

impl Words {
    /// What was given last for a flag.
    pub(super) fn text(&self, flag: &str) -> Option<&str> {
        self.flags.iter().rev().find(|given| given.0 == flag).map(|given| given.1.as_str())
    }

    /// As [`Words::text`], where an empty value means the same as no flag.
    pub(super) fn filled(&self, flag: &str) -> Option<&str> {
        self.text(flag).filter(|text| !text.is_empty())
    }

    /// All that was given for a flag.
    pub(super) fn texts(&self, flag: &'static str) -> impl Iterator<Item = &str> {
        self.flags.iter().filter(move |given| given.0 == flag).map(|given| given.1.as_str())
    }

    /// Whether a switch is on; nothing where it was not named.
    pub(super) fn switched(&self, flag: &str) -> Option<bool> {
        self.text(flag).map(|text| text == "true")
    }

    /// Whether a switch is on.
    pub(super) fn is_on(&self, flag: &str) -> bool {
        self.switched(flag) == Some(true)
    }

    /// A number.
    pub(super) fn number<T: FromStr>(&self, flag: &'static str) -> Result<Option<T>> {
        let parse = |text: &str| text.parse().map_err(|_| bad(flag, text, "not such a number"));
        self.filled(flag).map(parse).transpose()
    }

    /// The container's id, which is the first argument.
    pub(super) fn id(&self) -> Result<&str> {
        match self.arguments.first().map(String::as_str) {
            None | Some("") => Err(misused("container id cannot be empty")),
            Some(id) => Ok(id),
        }
    }
}

/// Something that was typed and makes no sense.
pub(super) fn misused(text: impl Into<String>) -> Error {
    Error::new(Kind::Invalid, text)
}

/// A value that makes no sense.
pub(super) fn bad(flag: &str, text: &str, why: &str) -> Error {
    misused(format!("invalid value {text:?} for flag -{flag}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: [Flag; 4] = [
        switch("detach", "d", "x"),
        value("bundle", "b", "DIR", "x"),
        value("env", "e", "NAME=VALUE", "x"),
        switch("tty", "t", "x"),
    ];

    fn words(stop: Stop, typed: &[&str]) -> Result<Words> {
        let typed: Vec<String> = typed.iter().map(|&word| word.to_owned()).collect();
        match read(&[&TABLE[..2], &TABLE[2..]], &typed, stop)? {
            Read::Words(words) => Ok(words),
            Read::Help => Err(misused("help")),
        }
    }

    #[test]
    fn one_dash_or_two_a_value_after_a_space_or_a_sign() {
        for typed in [
            ["-d", "-b", "x"].as_slice(),
            &["--detach", "--bundle", "x"],
            &["-detach", "-bundle=x"],
            &["--d=1", "--b=x"],
            &["-bundle=y", "-d=T", "-b=x"],
        ] {
            let words = words(Stop::Nowhere, &[typed, &["id"]].concat()).unwrap();

            assert!(words.is_on("detach"), "{typed:?}");
            assert_eq!(words.text("bundle"), Some("x"), "{typed:?}");
            assert_eq!(words.arguments, ["id"], "{typed:?}");
        }
    }

    #[test]
    fn flags_end_where_the_command_says_and_at_two_dashes() {
        let typed = ["-t", "id", "-d", "--", "-e"];

        let exec = words(Stop::AfterFirst, &typed).unwrap();
        let state = words(Stop::Nowhere, &typed).unwrap();

        assert_eq!(exec.arguments, ["id", "-d", "--", "-e"]);
        assert!(!exec.is_on("detach"));
        assert_eq!(state.arguments, ["id", "-e"]);
        assert!(state.is_on("detach"));
    }

    #[test]
    fn a_list_keeps_its_order_and_a_switch_can_be_off() {
        let words = words(Stop::Nowhere, &["-e", "A=1", "--env=B=2", "-t=false"]).unwrap();

        assert_eq!(words.texts("env").collect::<Vec<_>>(), ["A=1", "B=2"]);
        assert_eq!(words.switched("tty"), Some(false));
        assert_eq!(words.switched("detach"), None);
    }

    #[test]
    fn a_value_may_look_like_a_flag_and_a_lone_dash_is_an_argument() {
        let words = words(Stop::Nowhere, &["-b", "-d", "-"]).unwrap();

        assert_eq!(words.text("bundle"), Some("-d"));
        assert_eq!(words.arguments, ["-"]);
    }

    #[test]
    fn what_makes_no_sense_is_said_in_gos_words() {
        for (typed, said) in [
            (&["--nope"][..], "flag provided but not defined: -nope"),
            (&["--nope=1"], "flag provided but not defined: -nope"),
            (&["-b"], "flag needs an argument: -b"),
            (&["-d=perhaps"], "invalid value \"perhaps\" for flag -detach: not true or false"),
        ] {
            assert_eq!(words(Stop::Nowhere, typed).unwrap_err().one_line(), said);
        }
        assert_eq!(words(Stop::Nowhere, &["-h"]).unwrap_err().one_line(), "help");
    }
}
