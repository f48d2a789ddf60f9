//! Which containers `ps` lists.

use crate::flags::{filter::Filters, moment, refuse};
use dhow_base::{Kind, Result, clock::Moment};
use dhow_engine::{Engine, Summary};
use dhow_state::containers::Phase;
use regex::Regex;
use std::collections::HashMap;

const KEYS: [&str; 15] = [
    "id",
    "name",
    "label",
    "status",
    "exited",
    "ancestor",
    "before",
    "since",
    "until",
    "volume",
    "network",
    "health",
    "command",
    "pod",
    "restart-policy",
];

/// Docker's words, and podman's further ones.
const STATUSES: [&str; 12] = [
    "created",
    "running",
    "exited",
    "removing",
    "paused",
    "restarting",
    "dead",
    "configured",
    "initialized",
    "stopped",
    "stopping",
    "unknown",
];

const HEALTH: [&str; 4] = ["starting", "healthy", "unhealthy", "none"];

/// The filters, with what they name looked up.
pub(super) struct Choice {
    filters: Filters,
    ids: Vec<Regex>,
    names: Vec<Regex>,
    commands: Vec<Regex>,
    exited: Vec<i32>,
    before: Option<Moment>,
    since: Option<Moment>,
    images: Vec<String>,
    /// The names of networks, by the words that are used for them.
    networks: HashMap<String, String>,
}

impl Choice {
    /// Refuses what makes no sense, before a database is made for it.
    pub(super) fn check(texts: &[String]) -> Result<()> {
        let filters = Filters::parse(texts, &KEYS)?;
        let one_of = |known: &'static [&'static str], what: &'static str| {
            move |text: &str| match known.contains(&text) {
                true => Ok(()),
                false => Err(format!("no such {what}: there are {}", known.join(", "))),
            }
        };
        filters.parsed("status", one_of(&STATUSES, "status"))?;
        filters.parsed("health", one_of(&HEALTH, "health"))?;
        filters.parsed("exited", exit_code)?;
        filters.parsed("id", id)?;
        filters.parsed("name", pattern)?;
        filters.parsed("command", pattern)?;
        filters.moment("until").map(drop)
    }

    pub(super) fn parse(texts: &[String], engine: &mut Engine) -> Result<Self> {
        let filters = Filters::parse(texts, &KEYS)?;
        let mut before = filters.moment("until")?;
        let mut since = None;
        for text in filters.values("before") {
            let created = created(engine, text)?;
            before = Some(before.map_or(created, |before| before.min(created)));
        }
        for text in filters.values("since") {
            since = since.max(Some(created(engine, text)?));
        }
        let mut images = Vec::new();
        for name in filters.values("ancestor") {
            let (store, state) = engine.images();
            // What is no name of an image here is compared as it is.
            let found = store.find(state, name).ok().flatten();
            images.extend(found.map(|image| image.manifest.to_string()));
        }
        // What is no network is one of the words that stand for having none of one's own.
        let named = filters
            .values("network")
            .filter_map(|word| Some((word.to_owned(), engine.name_of_network(word)?)));
        let networks = named.collect();
        Ok(Self {
            ids: filters.parsed("id", id)?,
            names: filters.parsed("name", pattern)?,
            commands: filters.parsed("command", pattern)?,
            exited: filters.parsed("exited", exit_code)?,
            filters,
            before,
            since,
            images,
            networks,
        })
    }

    /// Whether it asks for containers that do not run.
    pub(super) fn is_about_status(&self) -> bool {
        self.filters.has(&["status", "exited"])
    }

    pub(super) fn means(&self, container: &Summary) -> bool {
        self.has_id(container)
            && (self.names.is_empty() || self.has_name(container))
            && (self.commands.is_empty() || self.has_command(container))
            && self.filters.mean_labels(|name| {
                let mut labels = container.labels.iter();
                labels.find(|(key, _)| key == name).map(|(_, value)| value.clone())
            })
            && self.filters.any("status", |word| is_in(container, word))
            && (self.exited.is_empty()
                || container.phase == Phase::Exited
                    && container.exit_code.is_some_and(|code| self.exited.contains(&code)))
            && self.filters.any("ancestor", |name| self.stands_on(container, name))
            && self.before.is_none_or(|before| container.created < before)
            && self.since.is_none_or(|since| container.created > since)
            && self.filters.any("volume", |name| {
                container.mounts.iter().any(|mount| mount == name)
                    || container.volumes.iter().any(|volume| volume == name)
            })
            && self.filters.any("network", |name| self.is_on(container, name))
            && self.filters.any("health", |word| word == container.health())
            && self.filters.any("restart-policy", |policy| {
                container.restart.name() == policy || container.restart.to_string() == policy
            })
            && self.filters.any("pod", |name| container.pod_is(name))
    }

    fn is_on(&self, container: &Summary, name: &str) -> bool {
        let name = self.networks.get(name).map_or(name, String::as_str);
        container.networks.iter().any(|network| network == name)
    }

    /// The beginning of an id, or a regular expression as podman takes it.
    fn has_id(&self, container: &Summary) -> bool {
        let id = container.id.as_str();
        self.ids.is_empty() || self.ids.iter().any(|pattern| pattern.is_match(id))
    }

    /// Docker knows names with a slash before them, and its users have learned to write it.
    fn has_name(&self, container: &Summary) -> bool {
        let with_slash = format!("/{}", container.name);
        self.names.iter().any(|name| name.is_match(&container.name) || name.is_match(&with_slash))
    }

    fn has_command(&self, container: &Summary) -> bool {
        let words = container.words.join(" ");
        self.commands.iter().any(|command| command.is_match(&words))
    }

    fn stands_on(&self, container: &Summary, name: &str) -> bool {
        let named = &container.image_name;
        let manifest = container.image.as_ref().map(|digest| digest.as_str());
        named == name
            || named.rsplit_once(':').is_some_and(|(repository, _)| repository == name)
            || manifest == Some(name)
            || manifest.is_some_and(|manifest| self.images.iter().any(|image| image == manifest))
    }
}

fn is_in(container: &Summary, word: &str) -> bool {
    let state = container.status();
    match word {
        "stopped" => state == "exited",
        "configured" | "initialized" => state == "created",
        _ => state == word,
    }
}

fn pattern(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| {
        let last = error.to_string();
        format!("no regular expression: {}", last.lines().last().unwrap_or_default().trim())
    })
}

/// What is all hexadecimal is where an id begins, in small letters or not; an expression may say more.
fn id(text: &str) -> Result<Regex, String> {
    let is_beginning = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    pattern(&if is_beginning { format!("^{}", text.to_lowercase()) } else { text.to_owned() })
}

fn exit_code(text: &str) -> Result<i32, String> {
    text.parse().map_err(|_| "not an exit code".to_owned())
}

/// When the container that a filter names was created; podman also takes a time.
fn created(engine: &Engine, text: &str) -> Result<Moment> {
    match engine.created(text) {
        Err(error) if error.kind() == Kind::NotFound => moment::parse("--filter", text)
            .map_err(|_| refuse("--filter", text, "neither a container nor a time")),
        found => found,
    }
}
