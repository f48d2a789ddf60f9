//! `run --dry-run`: the configuration that a run would make, with the origin of each field.
//!
//! Where a field comes from is not noted while it is made; it is found out by making it again. What
//! changes when a flag is left out is the flag's, what changes when the image says nothing is the
//! image's, what changes without `containers.conf` is that file's, and the rest is the default. So
//! this cannot say otherwise than a run would do.

use super::run::Run;
use crate::{
    commands::look::pretty,
    containers_conf::ContainersConf,
    flags::{container::ContainerFlags, refuse},
    invocation::Invocation,
    tree,
};
use clap::{FromArgMatches, parser::ValueSource};
use dhow_base::{Error, Kind, Result};
use dhow_engine::{CreateOptions, Engine, ImageSays, Rehearsal};
use serde_json::{Value, json};
use std::{collections::BTreeMap, ffi::OsString};

/// A whole filter says one thing; its rules by the hundred do not.
const WHOLE: [&str; 1] = ["/linux/seccomp"];
/// Longer values are cut in what people read.
const SHOWN_CHARACTERS: usize = 100;

/// Prints the configuration.
pub(super) fn print(
    flags: &ContainerFlags,
    format: Option<&str>,
    invocation: &Invocation,
) -> Result<()> {
    let is_json = match format {
        None => false,
        Some("json") => true,
        Some(other) => {
            return Err(refuse("--format", other, "no such format").hint("there is json"));
        }
    };
    let conf = invocation.containers_conf()?;
    let around = invocation.surroundings();
    let with = |flags: &ContainerFlags, conf: &ContainersConf| {
        flags.with_defaults(conf, around)?.options(around)
    };
    let options = with(flags, &conf)?;
    let mut engine = invocation.engine()?;
    let rehearsal = engine.rehearse(&options)?;
    let mut stage = Stage { engine: &mut engine, rehearsal: &rehearsal };
    let whole = stage.play(&options, ImageSays::Everything)?;
    let line = Line::read()?;
    let mut acts = Vec::new();
    let bare = line.only(&[]).and_then(|flags| with(&flags, &conf));
    let bare = bare.and_then(|options| stage.play(&options, ImageSays::Everything));
    for flag in &line.flags {
        let without = line.without(&flag.0).and_then(|flags| with(&flags, &conf));
        let act = match without.and_then(|options| stage.play(&options, ImageSays::Everything)) {
            Ok(value) => Act::Without(value),
            // Another flag needs this one: what it adds when it is alone is its part.
            Err(_) => {
                let alone = line.only(&[&flag.0]).and_then(|flags| with(&flags, &conf));
                match alone.and_then(|options| stage.play(&options, ImageSays::Everything)) {
                    Ok(value) => Act::Alone(value),
                    Err(_) => continue,
                }
            }
        };
        acts.push((flag.1.clone(), act));
    }
    let silent = stage.play(&options, ImageSays::Nothing)?;
    acts.push(("image".to_owned(), Act::Without(silent)));
    if !conf.is_empty() {
        let without = with(flags, &ContainersConf::default())?;
        let without = stage.play(&without, ImageSays::Everything)?;
        acts.push(("containers.conf".to_owned(), Act::Without(without)));
    }
    let origins = origins(&whole, &acts, bare.as_ref().ok());
    let text = if is_json {
        pretty(&json!({ "spec": whole, "origins": origins }))?
    } else {
        table(&whole, &origins).into_bytes()
    };
    invocation.console.print(text)
}

struct Stage<'a> {
    engine: &'a mut Engine,
    rehearsal: &'a Rehearsal,
}

impl Stage<'_> {
    fn play(&mut self, options: &CreateOptions, says: ImageSays) -> Result<Value> {
        let spec = self.engine.rehearsed(self.rehearsal, options, says)?;
        serde_json::to_value(&spec)
            .map_err(|error| Error::new(Kind::Internal, "write JSON").because(error))
    }
}

/// A configuration to compare with.
enum Act {
    /// As the whole would be without something.
    Without(Value),
    /// As nothing would be with something.
    Alone(Value),
}

/// The flags of the command line, each with its words.
struct Line {
    /// Identifier, name, words.
    flags: Vec<(String, String, Vec<OsString>)>,
    image: OsString,
}

/// What the words after the image are called.
const COMMAND: &str = "COMMAND";

impl Line {
    fn read() -> Result<Self> {
        let lost = || Error::new(Kind::Internal, "read the command line again");
        let arguments: Vec<OsString> = std::env::args_os().collect();
        let matches = tree::command(tree::Switches::WithValues)
            .try_get_matches_from(&arguments)
            .map_err(|error| lost().because(error))?;
        let (_, inner, _) = tree::chosen(&matches).ok_or_else(lost)?;
        let mut line = Self { flags: Vec::new(), image: OsString::new() };
        for argument in tree::leniently::<Run>().get_arguments() {
            let id = argument.get_id().as_str();
            if inner.value_source(id) != Some(ValueSource::CommandLine) {
                continue;
            }
            let Some(occurrences) = inner.get_raw_occurrences(id) else { continue };
            let words = occurrences.map(|words| words.map(OsString::from).collect::<Vec<_>>());
            match argument.get_long() {
                Some(long) => {
                    let flag = |words: Vec<OsString>| {
                        let mut word = OsString::from(format!("--{long}"));
                        if let Some(value) = words.first() {
                            word.push("=");
                            word.push(value);
                        }
                        word
                    };
                    let words = words.map(flag).collect();
                    line.flags.push((id.to_owned(), format!("--{long}"), words));
                }
                None => {
                    let mut words = words.flatten();
                    line.image = words.next().unwrap_or_default();
                    let command: Vec<OsString> = words.collect();
                    if !command.is_empty() {
                        line.flags.push((COMMAND.to_owned(), COMMAND.to_owned(), command));
                    }
                }
            }
        }
        line.flags.retain(|(_, name, _)| !matches!(name.as_str(), "--dry-run" | "--format"));
        Ok(line)
    }

    fn without(&self, id: &str) -> Result<ContainerFlags> {
        self.parse(|other| other != id)
    }

    fn only(&self, ids: &[&String]) -> Result<ContainerFlags> {
        self.parse(|other| ids.iter().any(|id| *id == other))
    }

    fn parse(&self, is_kept: impl Fn(&str) -> bool) -> Result<ContainerFlags> {
        let kept = self.flags.iter().filter(|(id, ..)| is_kept(id));
        let (command, flags): (Vec<_>, Vec<_>) = kept.partition(|(id, ..)| id == COMMAND);
        let mut words: Vec<OsString> = flags.into_iter().flat_map(|flag| flag.2.clone()).collect();
        words.push("--".into());
        words.push(self.image.clone());
        words.extend(command.into_iter().flat_map(|command| command.2.clone()));
        let lost =
            |error| Error::new(Kind::Internal, "read some of the flags again").because(error);
        let matches = tree::leniently::<Run>()
            .no_binary_name(true)
            .try_get_matches_from(words)
            .map_err(|error: clap::Error| lost(error))?;
        ContainerFlags::from_arg_matches(&matches).map_err(lost)
    }
}

/// The fields, each with its place: scalars, and the elements of lists as a whole.
fn fields(value: &Value) -> Vec<(String, &Value)> {
    let mut all = Vec::new();
    collect(value, String::new(), &mut all);
    all
}

fn collect<'v>(value: &'v Value, pointer: String, all: &mut Vec<(String, &'v Value)>) {
    match value {
        Value::Object(map) if !map.is_empty() && !WHOLE.contains(&pointer.as_str()) => {
            for (key, inner) in map {
                let key = key.replace('~', "~0").replace('/', "~1");
                collect(inner, format!("{pointer}/{key}"), all);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for (index, inner) in list.iter().enumerate() {
                all.push((format!("{pointer}/{index}"), inner));
            }
        }
        _ => all.push((pointer, value)),
    }
}

/// Whether another configuration has the same field; an element of a list may have another place.
fn has(other: &Value, pointer: &str, value: &Value) -> bool {
    let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
    match other.pointer(parent) {
        Some(Value::Array(list)) => list.contains(value),
        _ => other.pointer(pointer) == Some(value),
    }
}

fn origins(
    whole: &Value,
    acts: &[(String, Act)],
    bare: Option<&Value>,
) -> BTreeMap<String, String> {
    let mut origins = BTreeMap::new();
    for (pointer, value) in fields(whole) {
        let made = |act: &Act| match act {
            Act::Without(other) => !has(other, &pointer, value),
            Act::Alone(alone) => {
                has(alone, &pointer, value) && bare.is_some_and(|bare| !has(bare, &pointer, value))
            }
        };
        let found = acts.iter().find(|(_, act)| made(act));
        let origin = found.map_or("default", |(name, _)| name);
        origins.insert(pointer, origin.to_owned());
    }
    origins
}

fn table(whole: &Value, origins: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (pointer, value) in fields(whole) {
        let mut shown = value.to_string();
        if shown.chars().count() > SHOWN_CHARACTERS {
            shown = shown.chars().take(SHOWN_CHARACTERS).collect::<String>() + "…";
        }
        let origin = origins.get(&pointer).map_or("default", String::as_str);
        text.push_str(&format!("{origin:<16} {pointer} = {shown}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_whose_absence_changes_it() {
        let whole =
            json!({"a": 1, "env": ["A", "B", "C"], "linux": {"seccomp": {"x": [1, 2]}, "d/e": []}});
        let without_flag = json!({"a": 2, "env": ["B", "C"], "linux": whole["linux"]});
        let without_image = json!({"a": 1, "env": ["A", "C"], "linux": whole["linux"]});
        let acts = [
            ("--flag".to_owned(), Act::Without(without_flag)),
            ("image".to_owned(), Act::Without(without_image)),
        ];

        let origins = origins(&whole, &acts, None);

        let expected = [
            ("/a", "--flag"),
            ("/env/0", "--flag"),
            ("/env/1", "image"),
            ("/env/2", "default"),
            ("/linux/d~1e", "default"),
            ("/linux/seccomp", "default"),
        ];
        let found: Vec<_> = origins.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_cannot_be_left_out_is_tried_alone() {
        let whole = json!({"limit": 5, "swap": 7});
        let acts = [("--memory".to_owned(), Act::Alone(json!({"limit": 5})))];

        let origins = origins(&whole, &acts, Some(&json!({})));

        assert_eq!(origins["/limit"], "--memory");
        assert_eq!(origins["/swap"], "default");
    }
}
