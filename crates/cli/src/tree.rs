//! The tree of commands: names, what they take, what they do.
//!
//! A command's flags are declared only when that command is asked for (clap's `defer`): `dhow run`
//! does not pay for the flags of all others.

use crate::{
    exit::{FAILURE, OWN_FAILURE},
    flags::seldom,
    invocation::{Globals, Invocation},
};
use clap::{Arg, ArgAction, ArgMatches, Args, Command};
use dhow_base::{Error, Kind, Result};
use std::ffi::OsString;

/// The arguments of a command, which know what to do.
pub(crate) trait Act: Args {
    /// Does it; returns the exit code.
    fn act(self, invocation: &Invocation) -> Result<u8>;
}

/// A command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    about: &'static str,
    declare: fn(Command) -> Command,
    declare_briefly: fn(Command) -> Command,
    declare_leniently: fn(Command) -> Command,
    act: fn(&mut ArgMatches, &Invocation) -> Result<u8>,
    /// The exit code of failures that are dhow's and not the program's.
    pub(crate) own_failure: u8,
    hidden: bool,
    /// What others call it too.
    also: &'static [&'static str],
    /// Whether it has nothing to do with what is kept here.
    is_apart: bool,
}

/// How exact flags that are switches must be written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Switches {
    /// `--rm`, and none of those that are seldom given (`crate::flags::seldom`).
    Brief,
    /// `--rm`.
    Plain,
    /// Also `--rm=true` and `--rm=false`, which docker takes and which clutter the help.
    WithValues,
}

impl Entry {
    pub(crate) const fn new<A: Act>(name: &'static str, about: &'static str) -> Self {
        Self {
            name,
            about,
            declare: declare::<A>,
            declare_briefly: declare_briefly::<A>,
            declare_leniently: declare_leniently::<A>,
            act: act::<A>,
            own_failure: FAILURE,
            hidden: false,
            also: &[],
            is_apart: false,
        }
    }

    /// The command starts a program, whose exit code becomes ours: failures of our own get another.
    pub(crate) const fn of_a_program(self) -> Self {
        Self { own_failure: OWN_FAILURE, ..self }
    }

    /// The command is not for people.
    pub(crate) const fn hidden(self) -> Self {
        Self { hidden: true, ..self }
    }

    /// The command has other names too, which nobody needs to be shown.
    pub(crate) const fn also(self, names: &'static [&'static str]) -> Self {
        Self { also: names, ..self }
    }

    /// The command has nothing to do with what is kept here: it needs no rights over it.
    pub(crate) const fn apart(self) -> Self {
        Self { is_apart: true, ..self }
    }

    /// Goes to where the command has the rights that it needs, before anything else happens.
    pub(crate) fn enter(&self, invocation: &Invocation) -> Result<()> {
        if self.is_apart { Ok(()) } else { invocation.enter() }
    }

    pub(crate) fn command(&self, name: &'static str, switches: Switches) -> Command {
        let declare = match switches {
            Switches::Brief => self.declare_briefly,
            Switches::Plain => self.declare,
            Switches::WithValues => self.declare_leniently,
        };
        Command::new(name).about(self.about).hide(self.hidden).aliases(self.also).defer(declare)
    }

    pub(crate) fn act(&self, matches: &mut ArgMatches, invocation: &Invocation) -> Result<u8> {
        (self.act)(matches, invocation)
    }
}

fn declare<A: Act>(command: Command) -> Command {
    // `-h` is the host's name in `run` and `create`, as in docker; it is help everywhere else.
    // Of a flag that is given twice the last one holds, so that a script can add to what an alias says.
    let command = truths(A::augment_args(command)).args_override_self(true);
    let taken = command.get_arguments().any(|argument| argument.get_short() == Some('h'));
    let help = help();
    with_remarks_last(command).arg(if taken { help } else { help.short('h') })
}

fn declare_briefly<A: Act>(command: Command) -> Command {
    declare::<A>(seldom::briefly(command))
}

fn help() -> Arg {
    Arg::new("help").long("help").action(ArgAction::HelpShort).help("Print help")
}

/// What a flag calls the value that says whether.
const TRUTH: &str = "BOOL";

/// A flag with a truth value says yes where it stands alone, and no with `=false`.
pub(crate) fn truths(command: Command) -> Command {
    let is_truth = |argument: &Arg| {
        argument.get_value_names().is_some_and(|names| names.iter().any(|name| name == TRUTH))
    };
    // To change one takes all of them into another place.
    if !command.get_arguments().any(is_truth) {
        return command;
    }
    command.mut_args(|argument| {
        if !is_truth(&argument) {
            return argument;
        }
        argument
            .action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_parser(switch)
            .hide_default_value(true)
    })
}

/// What follows the first line of a command's help goes below the flags, so that one kind of help,
/// with a line a flag, is enough.
fn with_remarks_last(command: Command) -> Command {
    let long = command.get_long_about().map(ToString::to_string).unwrap_or_default();
    let command = command.disable_help_flag(true).long_about(None);
    match long.split_once("\n\n") {
        Some((_, remarks)) => command.after_help(remarks.to_owned()),
        None => command,
    }
}

fn declare_leniently<A: Act>(command: Command) -> Command {
    declare::<A>(command).mut_args(|argument| match argument.get_action() {
        ArgAction::SetTrue => argument
            .action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .default_value("false")
            .value_parser(switch),
        // What follows a flag that takes a value is its value, as in docker and podman, whatever it begins
        // with: a template such as --{{.ID}}--.
        ArgAction::Set | ArgAction::Append
            if argument.get_long().is_some() && takes_one(&argument) =>
        {
            argument.allow_hyphen_values(true)
        }
        _ => argument,
    })
}

fn takes_one(argument: &Arg) -> bool {
    argument.get_num_args().is_none_or(|count| count.min_values() == 1 && count.max_values() == 1)
}

/// The arguments of a command, whose switches may have values.
pub(crate) fn leniently<A: Act>() -> Command {
    declare_leniently::<A>(Command::new("any"))
}

/// A truth value as Go writes it.
pub(crate) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("neither true nor false".to_owned()),
    }
}

fn act<A: Act>(matches: &mut ArgMatches, invocation: &Invocation) -> Result<u8> {
    let arguments = A::from_arg_matches_mut(matches).map_err(|error| {
        Error::new(Kind::Internal, "read the parsed command line").because(error)
    })?;
    arguments.act(invocation)
}

/// All that dhow can do, as clap knows it.
pub(crate) fn command(switches: Switches) -> Command {
    command_of(switches, |_| true)
}

/// As [`command`], without the commands that no word of this command line names: what is understood by
/// this is understood alike by the whole. Nothing where no word names one.
pub(crate) fn command_named_in(arguments: &[OsString], switches: Switches) -> Option<Command> {
    let is_named = |name: &str| arguments.iter().skip(1).any(|word| word == name);
    let command = command_of(switches, is_named);
    command.has_subcommands().then_some(command)
}

fn command_of(switches: Switches, is_meant: impl Fn(&str) -> bool) -> Command {
    let entries = crate::commands::ALL.iter().filter(|entry| is_meant(entry.name));
    let entries = entries.map(|entry| entry.command(entry.name, switches));
    let groups = crate::commands::GROUPS.iter().filter(|group| is_meant(group.name));
    let groups = groups.map(|group| group.command(switches));
    let version = Arg::new("version")
        .short('v')
        .long("version")
        .action(ArgAction::Version)
        .help("Print the version");
    Globals::augment_args(Command::new("dhow"))
        .bin_name("dhow")
        .args_override_self(true)
        .disable_help_flag(true)
        .arg(help().short('h'))
        .about("Run containers, and fetch and keep their images")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .arg(version)
        .subcommand_value_name("COMMAND")
        .subcommand_help_heading("Commands")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(entries)
        .subcommands(groups)
        .after_help("`dhow runtime --help` shows the OCI runtime, which has runc's command line.")
}

/// Commands of one object, as docker has them: `container ls`, `image rm`, `system df`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    pub(crate) name: &'static str,
    about: &'static str,
    /// Commands that stand outside of the group too: their names in it and outside.
    shared: &'static [(&'static str, &'static str)],
    /// Commands that are found here alone.
    own: &'static [Entry],
    declare: [fn(Command) -> Command; 2],
}

impl Group {
    pub(crate) const fn new(
        name: &'static str,
        about: &'static str,
        shared: &'static [(&'static str, &'static str)],
        own: &'static [Entry],
        declare: [fn(Command) -> Command; 2],
    ) -> Self {
        Self { name, about, shared, own, declare }
    }

    fn command(&self, switches: Switches) -> Command {
        let [plain, with_values] = self.declare;
        let declare = match switches {
            Switches::Brief | Switches::Plain => plain,
            Switches::WithValues => with_values,
        };
        Command::new(self.name)
            .about(self.about)
            .disable_help_flag(true)
            .arg(help().short('h'))
            .subcommand_value_name("COMMAND")
            .subcommand_help_heading("Commands")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .disable_help_subcommand(true)
            .defer(declare)
    }

    /// Declares the members.
    pub(crate) fn members(&self, command: Command, switches: Switches) -> Command {
        let shared = self.shared.iter().filter_map(|(name, elsewhere)| {
            entry(elsewhere).map(|entry| entry.command(name, switches))
        });
        let own = self.own.iter().map(|entry| entry.command(entry.name, switches));
        command.subcommands(shared).subcommands(own)
    }

    fn member(&self, name: &str) -> Option<&'static Entry> {
        let elsewhere = self.shared.iter().find(|(shared, _)| *shared == name);
        match elsewhere {
            Some((_, elsewhere)) => entry(elsewhere),
            None => self.own.iter().find(|entry| entry.name == name),
        }
    }
}

fn entry(name: &str) -> Option<&'static Entry> {
    crate::commands::ALL.iter().find(|entry| entry.name == name)
}

/// The command that was asked for, and its own matches, taken out of all.
pub(crate) fn taken(matches: &mut ArgMatches) -> Option<(&'static Entry, ArgMatches)> {
    let (name, mut inner) = matches.remove_subcommand()?;
    if let Some(entry) = entry(&name) {
        return Some((entry, inner));
    }
    let group = crate::commands::GROUPS.iter().find(|group| group.name == name)?;
    let (member, innermost) = inner.remove_subcommand()?;
    Some((group.member(&member)?, innermost))
}

/// The command that was asked for, its own matches, and its name as the user wrote it.
pub(crate) fn chosen(matches: &ArgMatches) -> Option<(&'static Entry, &ArgMatches, String)> {
    let (name, inner) = matches.subcommand()?;
    if let Some(entry) = entry(name) {
        return Some((entry, inner, name.to_owned()));
    }
    let group = crate::commands::GROUPS.iter().find(|group| group.name == name)?;
    let (member, innermost) = inner.subcommand()?;
    Some((group.member(member)?, innermost, format!("{name} {member}")))
}

/// The words of a command line that name its command, for errors about the rest of it.
///
/// It stops at the first word that is no command, so a value of a global flag may hide the rest:
/// then the error names less, and is no less true.
pub(crate) fn words(arguments: &[std::ffi::OsString]) -> String {
    let mut command = command(Switches::Plain);
    command.build();
    let mut level = &command;
    let mut words = Vec::new();
    let mut rest = arguments.iter().skip(1);
    while let Some(word) = rest.next() {
        if let Some(found) = level.find_subcommand(word) {
            words.push(found.get_name().to_owned());
            level = found;
        } else if words.is_empty() && takes_a_value(level, word) {
            rest.next();
        } else if !word.to_string_lossy().starts_with('-') {
            break;
        }
    }
    words.join(" ")
}

fn takes_a_value(command: &Command, word: &std::ffi::OsStr) -> bool {
    let Some(long) = word.to_str().and_then(|word| word.strip_prefix("--")) else { return false };
    command
        .get_arguments()
        .any(|argument| argument.get_long() == Some(long) && argument.get_action().takes_values())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_sound() {
        for switches in [Switches::Brief, Switches::Plain, Switches::WithValues] {
            command(switches).debug_assert();
        }
    }

    #[test]
    fn the_list_says_what_the_commands_say() {
        let own = crate::commands::GROUPS.iter().flat_map(|group| group.own);
        for entry in crate::commands::ALL.iter().chain(own) {
            let bare = (entry.declare)(Command::new(entry.name));
            let about = bare.get_about().map(ToString::to_string).unwrap_or_default();
            assert_eq!(about, entry.about, "the help of {}", entry.name);
            assert!(!about.ends_with('.'), "{about}");
        }
    }

    #[test]
    fn a_command_is_found_by_both_of_its_names() {
        let cases: [(&[&str], &str, &str); 4] = [
            (&["dhow", "completion", "bash"], "completion", "completion"),
            (&["dhow", "container", "ls"], "ps", "container ls"),
            (&["dhow", "image", "rm", "x"], "rmi", "image rm"),
            (&["dhow", "image", "untag", "x"], "untag", "image untag"),
        ];
        for (line, name, words) in cases {
            let matches = command(Switches::Plain).try_get_matches_from(line).unwrap();
            let (entry, _, said) = chosen(&matches).unwrap();
            assert_eq!((entry.name, said.as_str()), (name, words));
        }
    }

    #[test]
    fn a_tree_of_the_named_commands_understands_what_the_whole_one_does() {
        let lines = [
            "dhow run --rm -it --network none box create x --rm",
            "dhow --root run create -e A=b box sh -c run",
            "dhow container ls -a",
            "dhow ps --filter name=ps",
            "dhow image rm run",
            "dhow --log-level error system df",
            "dhow exec web ps aux",
        ];
        for line in lines {
            let words: Vec<OsString> = line.split(' ').map(Into::into).collect();

            let whole = command(Switches::Plain).try_get_matches_from(&words).unwrap();
            let named = |switches| {
                let command = command_named_in(&words, switches).unwrap();
                command.try_get_matches_from(&words).unwrap()
            };
            let (named, mut brief) = (named(Switches::Plain), named(Switches::Brief));

            assert_eq!(named.subcommand(), whole.subcommand(), "{line}");
            let globals = |matches| format!("{:?}", Globals::of(matches));
            assert_eq!(globals(&named), globals(&whole), "{line}");
            assert_eq!(globals(&brief), globals(&whole), "{line}");
            let entry = chosen(&whole).unwrap().0;
            assert_eq!(taken(&mut brief).unwrap().0.name, entry.name, "{line}");
        }
        for line in ["dhow", "dhow --version", "dhow bogus", "run box"] {
            let words: Vec<OsString> = line.split(' ').map(Into::into).collect();
            assert!(command_named_in(&words, Switches::Plain).is_none(), "{line}");
        }
    }

    #[test]
    fn switches_may_have_values() {
        let line = ["dhow", "run", "-it=false", "--rm=true", "--privileged", "box"];

        assert!(command(Switches::Plain).try_get_matches_from(line).is_err());
        let matches = command(Switches::WithValues).try_get_matches_from(line).unwrap();
        let (_, run, _) = chosen(&matches).unwrap();

        let flag = |name| run.get_flag(name);
        assert_eq!(
            (flag("interactive"), flag("tty"), flag("rm"), flag("privileged"), flag("detach")),
            (true, false, true, true, false)
        );
    }

    #[test]
    fn the_value_of_a_flag_may_begin_like_one() {
        let line = ["dhow", "history", "--format", "--{{.ID}}--", "-q", "box"];

        let matches = command(Switches::WithValues).try_get_matches_from(line).unwrap();
        let (_, history, _) = chosen(&matches).unwrap();

        let format = history.get_one::<String>("format").map(String::as_str);
        assert_eq!((format, history.get_flag("quiet")), (Some("--{{.ID}}--"), true));
        let alone = ["dhow", "history", "box", "--format"];
        assert!(command(Switches::WithValues).try_get_matches_from(alone).is_err());
    }

    #[test]
    fn the_words_of_a_command_are_found_among_flags() {
        let cases: [(&[&str], &str); 5] = [
            (&["dhow", "run", "--bogus", "ps"], "run"),
            (&["dhow", "--root", "run", "ps", "x"], "ps"),
            (&["dhow", "container", "ls", "--bogus"], "container ls"),
            (&["dhow", "--bogus"], ""),
            (&["dhow", "bogus"], ""),
        ];
        for (line, expected) in cases {
            let line: Vec<std::ffi::OsString> = line.iter().map(Into::into).collect();
            assert_eq!(words(&line), expected, "{line:?}");
        }
    }
}
