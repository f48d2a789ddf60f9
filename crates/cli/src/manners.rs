//! Whose manners the command line has: the name that dhow is started under decides.
//!
//! | name | where docker and podman disagree |
//! |---|---|
//! | `dhow` | mostly as docker does (docs/differences.md) |
//! | `docker` | as docker does |
//! | `podman` | as podman does |
//! | `skopeo` | a command line of its own (`crate::skopeo`) |
//!
//! Each of them also has flags before the command that the others do not know. Those that would lead
//! to another machine or another store are refused, since what they ask for would not happen; those
//! that only say how the work is done are named as meaningless.

use crate::console::Console;
use clap::{Arg, ArgAction, ArgMatches, Command, parser::ValueSource};
use dhow_base::{Digest, Doing, Error, Kind, Result};
use rustix::fs::{Mode, OFlags};

/// Whose manners the commands have.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Manners {
    /// Ours.
    #[default]
    Dhow,
    /// docker's.
    Docker,
    /// podman's.
    Podman,
    /// skopeo's, which says to standard output what it is doing.
    Skopeo,
}

/// A flag before the command, of another program's.
struct Foreign {
    long: &'static str,
    short: Option<char>,
    has_value: bool,
    meaning: Meaning,
}

/// What becomes of such a flag.
#[derive(Clone, Copy, Debug)]
enum Meaning {
    /// Nothing may be done as if it were not there.
    Refused(&'static str),
    /// The same, unless it has this beginning, which is what happens anyway.
    OnlyAs(&'static str, &'static str),
    /// What it asks for has no counterpart, and what is done is the same.
    Nothing(&'static str),
    /// Standard output is a file, the one that is named, or that in which everything is lost.
    Output,
}

use Meaning::{Nothing, OnlyAs, Output, Refused};

/// Where nobody reads it.
const NOWHERE: &str = "/dev/null";

const fn value(long: &'static str, meaning: Meaning) -> Foreign {
    Foreign { long, short: None, has_value: true, meaning }
}

const fn switch(long: &'static str, meaning: Meaning) -> Foreign {
    Foreign { long, short: None, has_value: false, meaning }
}

const NO_DAEMON: &str = "the work is done in this process, on this machine";
const NO_TLS: &str = "there is no daemon to speak to by TLS";
const NO_STORE: &str = "what is kept lies below --root alone";

const DOCKERS: &[Foreign] = &[
    value("config", Refused("the variable DOCKER_CONFIG says where logins are")),
    Foreign {
        long: "context",
        short: Some('c'),
        has_value: true,
        meaning: OnlyAs("default", NO_DAEMON),
    },
    Foreign { long: "debug", short: Some('D'), has_value: false, meaning: Nothing(NO_DAEMON) },
    Foreign {
        long: "host",
        short: Some('H'),
        has_value: true,
        meaning: OnlyAs("unix://", NO_DAEMON),
    },
    switch("tls", Nothing(NO_TLS)),
    value("tlscacert", Nothing(NO_TLS)),
    value("tlscert", Nothing(NO_TLS)),
    value("tlskey", Nothing(NO_TLS)),
    switch("tlsverify", Nothing(NO_TLS)),
];

const PODMANS: &[Foreign] = &[
    value("cgroup-manager", OnlyAs("cgroupfs", "control groups are made as directories")),
    value("conmon", Nothing("dhow keeps its containers by itself")),
    Foreign { long: "connection", short: Some('c'), has_value: true, meaning: Refused(NO_DAEMON) },
    Foreign { long: "debug", short: Some('D'), has_value: false, meaning: Nothing(NO_DAEMON) },
    value("db-backend", Nothing("there is one kind of database")),
    value("events-backend", Nothing("events are kept in the database")),
    value("hooks-dir", Refused("directories of hooks are not read")),
    value("identity", Refused(NO_DAEMON)),
    value("imagestore", Refused(NO_STORE)),
    value("module", Refused("modules of containers.conf are not read")),
    value("network-cmd-path", Nothing("no such program is run")),
    value("network-config-dir", Nothing("networks are kept in the database")),
    switch("noout", Output),
    value("out", Output),
    value("pull-option", Nothing("layers are fetched as the registry has them")),
    Foreign { long: "remote", short: Some('r'), has_value: false, meaning: Refused(NO_DAEMON) },
    value("runtime", Refused("`run --runtime` and `create --runtime` choose one")),
    value("runtime-flag", Refused("no flags are handed to other runtimes")),
    value("ssh", Nothing(NO_DAEMON)),
    value("storage-opt", Refused("--storage-driver chooses how snapshots are kept")),
    switch("syslog", Nothing("errors are said on standard error")),
    value("tmpdir", Nothing("what a reboot may take lies below --runroot")),
    switch("transient-store", Refused(NO_STORE)),
    value("url", Refused(NO_DAEMON)),
    value("volumepath", Refused(NO_STORE)),
];

/// Podman's flags that mean the same before and after the command, and no other thing there.
const ANYWHERE: [&str; 11] = [
    "cgroup-manager",
    "conmon",
    "db-backend",
    "events-backend",
    "log_level",
    "noout",
    "out",
    "root",
    "runroot",
    "syslog",
    "tmpdir",
];

impl Manners {
    /// Those that a program of this name has; nothing where it is no other program's.
    pub(crate) fn of_name(name: &[u8]) -> Option<Self> {
        match name {
            b"docker" => Some(Self::Docker),
            b"podman" => Some(Self::Podman),
            _ => None,
        }
    }

    /// Those of a command line that begins with this word.
    pub(crate) fn of_program(word: &str) -> Self {
        let name = word.rsplit('/').next().unwrap_or(word);
        Self::of_name(name.as_bytes()).unwrap_or_default()
    }

    /// An id as it is printed: podman's are bare.
    pub(crate) fn id(self, id: &Digest) -> &str {
        match self {
            Self::Podman => id.hex(),
            Self::Dhow | Self::Docker | Self::Skopeo => id.as_str(),
        }
    }

    fn foreign(self) -> &'static [Foreign] {
        match self {
            Self::Docker => DOCKERS,
            Self::Podman => PODMANS,
            Self::Dhow | Self::Skopeo => &[],
        }
    }

    /// The tree of commands, with the flags that the other program has before the command, of which
    /// podman takes some after the command too.
    pub(crate) fn declare(self, command: Command) -> Command {
        let command = command.args(self.foreign().iter().map(Foreign::argument));
        match self {
            Self::Docker => command.mut_arg("log_level", |argument| argument.short('l')),
            Self::Podman => ANYWHERE
                .iter()
                .fold(command, |command, id| command.mut_arg(id, |argument| argument.global(true))),
            Self::Dhow | Self::Skopeo => command,
        }
    }

    /// Refuses flags that cannot be kept, and names those that mean nothing.
    pub(crate) fn check(self, matches: &ArgMatches, console: Console) -> Result<()> {
        let given = |foreign: &&Foreign| {
            matches.value_source(foreign.long) == Some(ValueSource::CommandLine)
        };
        for foreign in self.foreign().iter().filter(given) {
            let flag = format!("--{}", foreign.long);
            let refused = |why: &str| Err(Error::new(Kind::Unsupported, format!("{flag}: {why}")));
            match foreign.meaning {
                Refused(why) => return refused(why),
                OnlyAs(beginning, why) => {
                    let value = matches.get_one::<String>(foreign.long);
                    if !value.is_some_and(|value| value.starts_with(beginning)) {
                        return refused(why);
                    }
                }
                Output => {
                    let value = matches.try_get_one::<String>(foreign.long).ok().flatten();
                    let file = value.map_or(NOWHERE, String::as_str);
                    write_into(file).doing(|| format!("{flag} {file}"))?;
                }
                Nothing(why) => console.warning(&format!("{flag} means nothing here: {why}")),
            }
        }
        Ok(())
    }
}

/// Makes a file, emptied, our standard output.
fn write_into(file: &str) -> rustix::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
    let opened = rustix::fs::open(file, flags, Mode::from_raw_mode(0o666))?;
    rustix::stdio::dup2_stdout(opened)
}

impl Foreign {
    fn argument(&self) -> Arg {
        let argument = Arg::new(self.long).long(self.long).hide(true);
        let argument = match self.short {
            Some(letter) => argument.short(letter),
            None => argument,
        };
        match self.has_value {
            true => argument.action(ArgAction::Set),
            false => argument.action(ArgAction::SetTrue),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        console::{Colour, Level},
        tree::{self, Switches},
    };

    fn checked(manners: Manners, line: &[&str]) -> Result<()> {
        let console = Console::new(Colour::Never, Level::Error, true, None);
        let matches =
            manners.declare(tree::command(Switches::Plain)).try_get_matches_from(line).unwrap();
        manners.check(&matches, console)
    }

    #[test]
    fn the_trees_are_sound() {
        for manners in [Manners::Docker, Manners::Podman] {
            manners.declare(tree::command(Switches::Plain)).debug_assert();
        }
    }

    #[test]
    fn a_brief_tree_knows_that_it_is_one_under_every_name() {
        for manners in [Manners::Dhow, Manners::Docker, Manners::Podman] {
            let understood = |line: &[&str]| {
                let brief = manners.declare(tree::command(Switches::Brief));
                brief.try_get_matches_from(line).is_ok()
            };
            assert!(understood(&["any", "create", "--name", "web", "box"]), "{manners:?}");
            assert!(!understood(&["any", "create", "--health-cmd", "true", "box"]), "{manners:?}");
        }
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        let refused: [(Manners, &[&str]); 4] = [
            (Manners::Docker, &["docker", "-H", "ssh://there", "ps"]),
            (Manners::Docker, &["docker", "--context", "there", "ps"]),
            (Manners::Podman, &["podman", "--remote", "ps"]),
            (Manners::Podman, &["podman", "--cgroup-manager", "systemd", "ps"]),
        ];
        for (manners, line) in refused {
            assert_eq!(checked(manners, line).unwrap_err().kind(), Kind::Unsupported, "{line:?}");
        }
        checked(Manners::Docker, &["docker", "-D", "-H", "unix:///run/docker.sock", "ps"]).unwrap();
        checked(Manners::Docker, &["docker", "-l", "debug", "-c", "default", "ps"]).unwrap();
        checked(Manners::Podman, &["podman", "--cgroup-manager=cgroupfs", "--syslog", "ps"])
            .unwrap();
    }
}
