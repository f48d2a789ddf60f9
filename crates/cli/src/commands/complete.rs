//! `__complete`: what could stand where the cursor is, for the scripts that shells load.
//!
//! ```text
//! dhow __complete -- run --na          the words before the cursor, the last one unfinished
//! --name <TAB> Name of the container   one candidate a line
//! :files                               where a path of the host may stand
//! ```
//!
//! It runs at each press of the tabulator, so it reads the database and mends nothing; where there is
//! none, or an older one, there are no names.

use crate::{
    exit::SUCCESS,
    invocation::Invocation,
    tree::{self, Act, Switches},
};
use clap::{Arg, Command};
use dhow_base::Result;
use dhow_image::Reference;
use dhow_state::{
    State,
    containers::{self, Phase},
    images, networks, pods, secrets, volumes,
};
use std::collections::BTreeSet;

/// Say what could stand where the cursor is
#[derive(clap::Args, Debug)]
pub(crate) struct Complete {
    /// The words before the cursor, without the program's name
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

impl Act for Complete {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut command = tree::command(Switches::Plain);
        command.build();
        let wanted = wanted(&command, &self.words);
        let mut lines = Vec::new();
        for want in &wanted.kinds {
            lines.extend(candidates(*want, &wanted, invocation));
        }
        let mut text = String::new();
        for (word, about) in lines {
            if word.starts_with(wanted.start) {
                text.push_str(&format!("{word}\t{about}\n"));
            }
        }
        if wanted.kinds.contains(&Kind::Files) {
            text.push_str(":files\t\n");
        }
        invocation.console.print(text)?;
        Ok(SUCCESS)
    }
}

/// What sort of word is wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Commands,
    Flags,
    Values,
    Containers(Life),
    /// A container and a colon.
    ContainerPaths,
    Images,
    Volumes,
    Pods,
    Secrets,
    Networks,
    Files,
}

/// The networks that are none of ours.
const NETWORKS: [(&str, &str); 2] = [("host", "the host's"), ("none", "a loopback only")];

/// Which containers make sense.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Life {
    Any,
    Running,
    Idle,
}

/// What is wanted at the cursor.
struct Wanted<'w> {
    command: &'w Command,
    /// The flag whose value is wanted.
    flag: Option<&'w Arg>,
    start: &'w str,
    kinds: Vec<Kind>,
}

/// Walks through the words as far as they are whole.
fn wanted<'w>(command: &'w Command, words: &'w [String]) -> Wanted<'w> {
    let (start, whole) =
        words.split_last().map_or(("", &[][..]), |(last, whole)| (last.as_str(), whole));
    let mut level = command;
    let (mut flag, mut place, mut only_arguments) = (None, 0_usize, false);
    for word in whole {
        if flag.take().is_some() {
            continue;
        }
        if word == "--" {
            only_arguments = true;
        } else if word.starts_with('-') && word.len() > 1 && !only_arguments {
            flag = awaited(level, word);
        } else if let Some(inner) = level.find_subcommand(word).filter(|_| place == 0) {
            level = inner;
        } else {
            place += 1;
            only_arguments |= rest(level).is_some_and(|rest| rest <= place);
        }
    }
    let kinds = match flag {
        Some(flag) => kinds_of(level, flag),
        None if start.starts_with('-') && !only_arguments => vec![Kind::Flags],
        None if rest(level).is_some_and(|rest| rest < place) => Vec::new(),
        None if level.has_subcommands() => vec![Kind::Commands],
        None => argument(level, place).map_or_else(Vec::new, |argument| kinds_of(level, argument)),
    };
    Wanted { command: level, flag, start, kinds }
}

/// The flag that takes the next word as its value.
fn awaited<'c>(command: &'c Command, word: &str) -> Option<&'c Arg> {
    let takes = |argument: &&Arg| {
        argument.get_action().takes_values()
            && !argument.is_require_equals_set()
            && !argument.is_positional()
    };
    let mut flags = command.get_arguments().filter(takes);
    match word.strip_prefix("--") {
        Some(long) => flags.find(|flag| {
            flag.get_long() == Some(long)
                || flag.get_all_aliases().is_some_and(|aliases| aliases.contains(&long))
        }),
        None => {
            let short = word.chars().last()?;
            flags.find(|flag| flag.get_short() == Some(short))
        }
    }
}

/// The argument at a place; the last one may stand for many.
fn argument(command: &Command, place: usize) -> Option<&Arg> {
    let all: Vec<&Arg> = command.get_positionals().collect();
    all.get(place)
        .or_else(|| {
            all.last()
                .filter(|last| last.get_num_args().is_some_and(|count| count.max_values() > 1))
        })
        .copied()
}

/// The place of the argument with which the words of another program begin, as after `run`.
fn rest(command: &Command) -> Option<usize> {
    command.get_positionals().position(Arg::is_trailing_var_arg_set)
}

fn kinds_of(command: &Command, argument: &Arg) -> Vec<Kind> {
    if !argument.get_possible_values().is_empty() {
        return vec![Kind::Values];
    }
    let names = argument.get_value_names().unwrap_or_default();
    let name = names.first().map_or("", |name| name.as_str());
    let life = match command.get_name() {
        "exec" | "attach" | "kill" | "stop" | "top" | "pause" | "port" => Life::Running,
        "start" | "init" => Life::Idle,
        _ => Life::Any,
    };
    match name {
        _ if name.starts_with("[CONTAINER:]") => vec![Kind::ContainerPaths, Kind::Files],
        "CONTAINER" => vec![Kind::Containers(life)],
        "IMAGE" | "OTHER" => vec![Kind::Images],
        // `inspect` and `tag` take either.
        "NAME" if command.get_name() == "inspect" => {
            vec![Kind::Containers(Life::Any), Kind::Images, Kind::Volumes]
        }
        "VOLUME" => vec![Kind::Volumes],
        "POD" => vec![Kind::Pods],
        "SECRET" => vec![Kind::Secrets],
        _ if name.starts_with("NAME[,type=mount") => vec![Kind::Secrets],
        _ if name.starts_with("CONTAINER[:") => vec![Kind::Containers(Life::Any)],
        "NETWORK" => vec![Kind::Networks],
        _ if name.starts_with("NETWORK[:") => vec![Kind::Networks],
        "FILE" | "DIR" | "PATH" | "BUNDLE" | "LAYOUT" => vec![Kind::Files],
        _ => Vec::new(),
    }
}

/// A word and what it is.
type Candidate = (String, String);

fn candidates(kind: Kind, wanted: &Wanted<'_>, invocation: &Invocation) -> Vec<Candidate> {
    match kind {
        Kind::Commands => {
            let shown = wanted.command.get_subcommands().filter(|command| !command.is_hide_set());
            shown
                .map(|command| (command.get_name().to_owned(), about(command.get_about())))
                .collect()
        }
        Kind::Flags => flags(wanted.command),
        Kind::Values => wanted
            .flag
            .into_iter()
            .chain(wanted.command.get_positionals())
            .flat_map(Arg::get_possible_values)
            .map(|value| (value.get_name().to_owned(), about(value.get_help())))
            .collect(),
        Kind::Files => Vec::new(),
        Kind::Networks => {
            let known = NETWORKS.map(|(word, about)| (word.to_owned(), about.to_owned()));
            let made = invocation.state_to_read();
            let made = made.and_then(|state| names(kind, wanted.start, &state)).unwrap_or_default();
            known.into_iter().chain(made).collect()
        }
        Kind::Containers(_)
        | Kind::ContainerPaths
        | Kind::Images
        | Kind::Volumes
        | Kind::Pods
        | Kind::Secrets => {
            // A tabulator is no place for errors.
            invocation
                .state_to_read()
                .and_then(|state| names(kind, wanted.start, &state))
                .unwrap_or_default()
        }
    }
}

fn about(text: Option<&clap::builder::StyledStr>) -> String {
    text.map(ToString::to_string).unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

fn flags(command: &Command) -> Vec<Candidate> {
    let shown = command.get_arguments().filter(|flag| !flag.is_hide_set());
    shown
        .filter_map(|flag| Some((format!("--{}", flag.get_long()?), about(flag.get_help()))))
        .collect()
}

fn names(kind: Kind, start: &str, state: &State) -> Result<Vec<Candidate>> {
    let read = state.read();
    Ok(match kind {
        Kind::Containers(life) => {
            let mut found = Vec::new();
            for container in containers::list(read)? {
                let fits = match life {
                    Life::Any => true,
                    Life::Running => container.phase == Phase::Running,
                    Life::Idle => container.phase != Phase::Running,
                };
                if fits {
                    let id = container.id.short().to_owned();
                    // Ids only for who has begun to write one.
                    if !start.is_empty() && id.starts_with(start) {
                        found.push((id, container.name.clone()));
                    }
                    found.push((container.name, container.image_name));
                }
            }
            found
        }
        Kind::ContainerPaths => containers::list(read)?
            .into_iter()
            .map(|container| (format!("{}:", container.name), container.image_name))
            .collect(),
        Kind::Images => {
            let mut found = BTreeSet::new();
            for image in images::outlines(read)? {
                let id = image.config.short();
                if !start.is_empty() && id.starts_with(start) {
                    found.insert((id.to_owned(), String::new()));
                }
                let names = image.names.iter().filter_map(|name| Reference::parse(name).ok());
                found.extend(names.filter_map(|name| {
                    let tag = name.tag()?;
                    Some((format!("{}:{tag}", name.familiar_name()), id.to_owned()))
                }));
            }
            found.into_iter().collect()
        }
        Kind::Volumes => volumes::list_with_users(read)?
            .into_iter()
            .map(|(name, users)| (name.to_string(), format!("{users} containers")))
            .collect(),
        Kind::Pods => pods::list(read)?
            .into_iter()
            .map(|pod| (pod.name.to_string(), pod.id.short().to_owned()))
            .collect(),
        Kind::Secrets => secrets::list(read)?
            .into_iter()
            .map(|secret| (secret.name.to_string(), String::new()))
            .collect(),
        Kind::Networks => networks::list(read)?
            .into_iter()
            .map(|network| (network.name.to_string(), network.id.short().to_owned()))
            .collect(),
        Kind::Commands | Kind::Flags | Kind::Values | Kind::Files => Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_depends_on_the_words_before() {
        let mut command = tree::command(Switches::Plain);
        command.build();
        let cases: [(&[&str], &[Kind]); 18] = [
            (&["pod", "rm", ""], &[Kind::Pods]),
            (&["run", "--pod", ""], &[Kind::Pods]),
            (&["secret", "inspect", ""], &[Kind::Secrets]),
            (&["run", "--network", ""], &[Kind::Networks]),
            (&[""], &[Kind::Commands]),
            (&["ru"], &[Kind::Commands]),
            (&["container", "l"], &[Kind::Commands]),
            (&["run", "--na"], &[Kind::Flags]),
            (&["run", "--name", ""], &[]),
            (&["run", ""], &[Kind::Images]),
            (&["run", "--rm", "--name", "x", "deb"], &[Kind::Images]),
            (&["run", "debian", "-"], &[]),
            (&["--root", "/x", "stop", ""], &[Kind::Containers(Life::Running)]),
            (&["rm", "a", "b"], &[Kind::Containers(Life::Any)]),
            (&["start", "a"], &[Kind::Containers(Life::Idle)]),
            (&["cp", "w"], &[Kind::ContainerPaths, Kind::Files]),
            (&["save", "-o", ""], &[Kind::Files]),
            (&["inspect", "--type", ""], &[Kind::Values]),
        ];
        for (words, expected) in cases {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            assert_eq!(wanted(&command, &words).kinds, expected, "{words:?}");
        }
    }
}
