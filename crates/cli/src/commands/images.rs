//! `images`: the list of images, in docker's columns.

use crate::{
    exit::SUCCESS,
    flags::filter::Filters,
    invocation::Invocation,
    manners::Manners,
    render::list::{Column, Podmans, Row, Shape},
    tree::Act,
};
use dhow_base::pattern::matches;
use dhow_base::{
    Digest, Result,
    clock::{Moment, humanly},
    size,
};
use dhow_image::{Images, Outline, Reference};
use dhow_state::State;
use serde_json::{Map, json};
use std::collections::HashSet;

const COLUMNS: &[Column] = &[
    ("REPOSITORY", "Repository"),
    ("TAG", "Tag"),
    ("IMAGE ID", "ID"),
    ("CREATED", "CreatedSince"),
    ("SIZE", "Size"),
];

const COLUMNS_WITH_DIGESTS: &[Column] = &[
    ("REPOSITORY", "Repository"),
    ("TAG", "Tag"),
    ("DIGEST", "Digest"),
    ("IMAGE ID", "ID"),
    ("CREATED", "CreatedSince"),
    ("SIZE", "Size"),
];

const NONE: &str = "<none>";

/// List images
///
/// The size is that of an image's layers, uncompressed.
#[derive(clap::Args, Debug)]
pub(crate) struct List {
    /// List only images of this name
    #[arg(value_name = "NAME[:TAG]")]
    name: Option<String>,

    /// List all images, which is what happens anyway
    #[arg(short, long)]
    all: bool,

    /// List only images for which this holds: reference=, label=, label!=, dangling=, before=,
    /// since=, until= or id=
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,

    /// Show the digests of manifests
    #[arg(long)]
    digests: bool,

    /// Print ids only
    #[arg(short, long)]
    quiet: bool,

    /// Do not shorten ids
    #[arg(long)]
    no_trunc: bool,

    /// Print as table, as json (one object a line) or by a template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,

    /// Print no titles of columns
    #[arg(short = 'n', long)]
    noheading: bool,

    /// In which order: created, id, repository, size or tag
    #[arg(long, value_name = "FIELD", value_parser = ["created", "id", "repository", "size", "tag"], default_value = "created")]
    sort: String,
}

impl Act for List {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let shape = Shape::of(self.quiet, self.format.as_deref(), "ID")?.by(invocation.manners);
        // What is wrong in a filter is told before a database is made for it.
        Filters::parse(&self.filter, &KEYS)?.switch("dangling")?;
        let mut engine = invocation.engine()?;
        let (images, state) = engine.images();
        let chosen = Chosen::parse(&self, images, state)?;
        let labelled = chosen.labelled(images, state)?;
        let now = Moment::now();
        let mut rows = Vec::new();
        for image in images.outlines(state)? {
            if labelled.as_ref().is_some_and(|labelled| !labelled.contains(&image.manifest)) {
                continue;
            }
            if invocation.manners == Manners::Podman && shape.is_array() {
                let is_shown = |name: &Shown| chosen.may_show(&image, name);
                if Shown::of(&image).iter().any(is_shown) {
                    let row = row(&image, &Shown::nameless(), now, self.no_trunc);
                    rows.push((image.size, row.with(podmans(&image))));
                }
                continue;
            }
            for name in Shown::of(&image) {
                if chosen.may_show(&image, &name) {
                    rows.push((image.size, row(&image, &name, now, self.no_trunc)));
                }
            }
        }
        match self.sort.as_str() {
            "id" => rows.sort_by(|(_, one), (_, other)| one.cell("ID").cmp(other.cell("ID"))),
            "repository" => rows.sort_by(|(_, one), (_, other)| {
                one.cell("Repository").cmp(other.cell("Repository"))
            }),
            "tag" => rows.sort_by(|(_, one), (_, other)| one.cell("Tag").cmp(other.cell("Tag"))),
            "size" => rows.sort_by_key(|(size, _)| *size),
            // The newest first, as they come.
            _ => {}
        }
        let mut rows: Vec<Row> = rows.into_iter().map(|(_, row)| row).collect();
        if self.quiet {
            rows.dedup_by(|row, other| row.cell("ID") == other.cell("ID"));
        }
        let columns = if self.digests { COLUMNS_WITH_DIGESTS } else { COLUMNS };
        invocation.console.print(shape.print_titled(columns, &rows, self.noheading)?)?;
        Ok(SUCCESS)
    }
}

/// A name of an image, as a list shows it.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Shown {
    repository: String,
    tag: String,
}

impl Shown {
    /// One for each tag; where there is none, one for each repository, or one that says so.
    fn of(image: &Outline) -> Vec<Self> {
        let names: Vec<Reference> =
            image.names.iter().filter_map(|name| Reference::parse(name).ok()).collect();
        let shown = |reference: &Reference| Self {
            repository: reference.familiar_name(),
            tag: reference.tag().unwrap_or(NONE).to_owned(),
        };
        let tagged: Vec<Self> =
            names.iter().filter(|name| name.tag().is_some()).map(shown).collect();
        if !tagged.is_empty() {
            return tagged;
        }
        let mut all: Vec<Self> = names.iter().map(shown).collect();
        if all.is_empty() {
            all.push(Self::nameless());
        }
        all
    }

    fn nameless() -> Self {
        Self { repository: NONE.to_owned(), tag: NONE.to_owned() }
    }
}

fn row(image: &Outline, name: &Shown, now: Moment, whole: bool) -> Row {
    let created = image.created();
    let since =
        created.map_or_else(|| "N/A".to_owned(), |at| format!("{} ago", humanly(now.since(at))));
    let id = if whole { image.id.as_str() } else { image.id.short() };
    Row::new([
        ("CreatedAt", created.map(Moment::as_go_prints).unwrap_or_default()),
        ("CreatedSince", since),
        ("Digest", image.manifest.to_string()),
        ("ID", id.to_owned()),
        ("Repository", name.repository.clone()),
        ("Size", size::humanly(image.size)),
        ("Tag", name.tag.clone()),
    ])
}

/// podman has one object for an image, with all of its names.
fn podmans(image: &Outline) -> Podmans {
    let names = image.names.iter().filter_map(|name| Reference::parse(name).ok());
    let (tagged, digested): (Vec<_>, Vec<_>) = names.partition(|name| name.tag().is_some());
    let texts = |names: Vec<Reference>| names.iter().map(Reference::to_string).collect::<Vec<_>>();
    let names = texts(tagged);
    let seconds = |at: Moment| at.unix_nanoseconds().div_euclid(1_000_000_000);
    let document = json!({
        "Id": image.id.hex(),
        "RepoTags": names,
        "RepoDigests": texts(digested),
        "Names": names,
        "Digest": image.manifest.as_str(),
        "Size": image.size,
        "VirtualSize": image.size,
        "Created": image.created().map(seconds),
        "CreatedAt": image.created().map(Moment::rfc3339),
    });
    Podmans { document, fields: Map::new() }
}

/// Which images a list has.
struct Chosen {
    patterns: Vec<String>,
    dangling: Option<bool>,
    filters: Filters,
    /// Those made before this, and those made after it.
    before: Option<Moment>,
    since: Option<Moment>,
    id: Vec<String>,
}

const KEYS: [&str; 8] =
    ["reference", "label", "dangling", "before", "since", "after", "until", "id"];

impl Chosen {
    fn parse(list: &List, images: &Images, state: &State) -> Result<Self> {
        let filters = Filters::parse(&list.filter, &KEYS)?;
        let made = |text: &str| -> Result<Moment> {
            let image = images.look_up(state, text)?;
            Ok(image.created().unwrap_or(image.pulled))
        };
        let mut before = filters.moment("until")?;
        for text in filters.values("before") {
            let made = made(text)?;
            before = Some(before.map_or(made, |before| before.min(made)));
        }
        let mut since = None;
        for text in filters.values("since").chain(filters.values("after")) {
            since = since.max(Some(made(text)?));
        }
        let mut patterns: Vec<String> = filters.values("reference").map(str::to_owned).collect();
        patterns.extend(list.name.clone());
        Ok(Self {
            patterns,
            dangling: filters.switch("dangling")?,
            id: filters.values("id").map(str::to_owned).collect(),
            filters,
            before,
            since,
        })
    }

    /// Does it mean an image under this name? What is about labels is asked of the image.
    fn may_show(&self, image: &Outline, name: &Shown) -> bool {
        let created = image.created();
        let hex = image.id.hex();
        (self.patterns.is_empty() || self.patterns.iter().any(|pattern| is_named(name, pattern)))
            && self.dangling.is_none_or(|dangling| (name.tag == NONE) == dangling)
            && self.before.is_none_or(|before| created.is_some_and(|at| at < before))
            && self.since.is_none_or(|since| created.is_some_and(|at| at > since))
            && (self.id.is_empty()
                || self
                    .id
                    .iter()
                    .any(|id| hex.starts_with(id.strip_prefix("sha256:").unwrap_or(id))))
    }

    /// The images that have the labels which are asked for; `None` where none is. Only for this are
    /// configurations read.
    fn labelled(&self, images: &Images, state: &State) -> Result<Option<HashSet<Digest>>> {
        if !self.filters.has(&["label"]) {
            return Ok(None);
        }
        let having = images.list(state)?.into_iter().filter(|image| {
            self.filters.mean_labels(|name| image.config.config.labels.get(name).cloned())
        });
        Ok(Some(having.map(|image| image.manifest).collect()))
    }
}

/// `name` or `name:tag`, each of which may hold stars. The name may leave out what familiar names
/// leave out, and the `localhost/` of those that no registry has.
fn is_named(name: &Shown, pattern: &str) -> bool {
    let pattern = pattern.strip_prefix("docker.io/").unwrap_or(pattern);
    let pattern = pattern.strip_prefix("library/").unwrap_or(pattern);
    let (repository, tag) = match pattern.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (pattern, "*"),
    };
    let of_nobody = name.repository.strip_prefix("localhost/");
    let is_called = matches(repository, &name.repository)
        || of_nobody.is_some_and(|name| matches(repository, name));
    is_called && matches(tag, &name.tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_may_name_the_tag_and_the_port_is_none() {
        let name =
            |repository: &str, tag: &str| Shown { repository: repository.into(), tag: tag.into() };
        assert!(is_named(&name("debian", "13"), "debian"));
        assert!(is_named(&name("debian", "13"), "docker.io/library/debian:1*"));
        assert!(!is_named(&name("debian", "13"), "debian:12"));
        assert!(is_named(&name("localhost:5000/a", "1"), "localhost:5000/a"));
        assert!(!is_named(&name("localhost:5000/a", "1"), "a"));
        assert!(is_named(&name("localhost/a", "1"), "a:1"));
        assert!(is_named(&name("localhost/a", "1"), "localhost/a"));
    }
}
