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
use dhow_image::{CompleteNames, Images, Outline, Reference};
use dhow_state::State;
use serde_json::json;
use std::collections::{BTreeMap, HashMap, HashSet};

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
        let podman = invocation.manners == Manners::Podman;
        let labels = match podman && shape.shows(COLUMNS, "Labels") {
            true => labels_of_all(images, state)?,
            false => HashMap::new(),
        };
        let now = Moment::now();
        let mut rows = Vec::new();
        for image in images.outlines(state)? {
            if labelled.as_ref().is_some_and(|labelled| !labelled.contains(&image.manifest)) {
                continue;
            }
            let row = |name: &Shown| {
                let row = row(&image, name, now, self.no_trunc, invocation.manners);
                match podman {
                    true => row.with(podmans(&image, labels.get(&image.manifest))),
                    false => row,
                }
            };
            let names = Shown::of(&image).into_iter().filter(|name| chosen.may_show(&image, name));
            // podman's array has one object for an image, with all of its names.
            let shown = if podman && shape.is_array() { 1 } else { usize::MAX };
            rows.extend(names.take(shown).map(|name| (image.size, row(&name))));
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
    /// As short as it can be.
    repository: String,
    /// With the registry.
    complete: String,
    tag: String,
}

impl Shown {
    /// One for each tag; where there is none, one for each repository, or one that says so.
    fn of(image: &Outline) -> Vec<Self> {
        let names: Vec<Reference> =
            image.names.iter().filter_map(|name| Reference::parse(name).ok()).collect();
        let shown = |reference: &Reference| Self {
            repository: reference.familiar_name(),
            complete: reference.name(),
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
        let none = || NONE.to_owned();
        Self { repository: none(), complete: none(), tag: none() }
    }
}

fn row(image: &Outline, name: &Shown, now: Moment, whole: bool, manners: Manners) -> Row {
    let created = image.created();
    let since =
        created.map_or_else(|| "N/A".to_owned(), |at| format!("{} ago", humanly(now.since(at))));
    let id = if whole { image.id.as_str() } else { image.id.short() };
    let repository = if manners == Manners::Podman { &name.complete } else { &name.repository };
    Row::new([
        ("CreatedAt", created.map(Moment::as_go_prints).unwrap_or_default()),
        ("CreatedSince", since),
        ("Digest", image.manifest.to_string()),
        ("ID", id.to_owned()),
        ("Repository", repository.clone()),
        ("Size", size::humanly(image.size)),
        ("Tag", name.tag.clone()),
    ])
}

/// The image as podman knows it, in a list and in templates.
fn podmans(image: &Outline, labels: Option<&BTreeMap<String, String>>) -> Podmans {
    let names = CompleteNames::of(&image.names, &image.manifest);
    let seconds = |at: Moment| at.unix_nanoseconds().div_euclid(1_000_000_000);
    let created = image.created();
    let ago = |at: Moment| format!("{} ago", humanly(Moment::now().since(at)));
    let document = json!({
        "Id": image.id.hex(),
        "ParentId": "",
        "RepoTags": names.tagged,
        "RepoDigests": names.digested,
        "Names": names.tagged,
        "History": names.tagged,
        "Digest": image.manifest.as_str(),
        "Size": image.size,
        "SharedSize": 0,
        "VirtualSize": image.size,
        "Labels": labels,
        "Dangling": names.tagged.is_empty(),
        "Created": created.map(seconds),
        "CreatedAt": created.map(Moment::rfc3339),
    });
    let fields = [
        ("Labels", json!(labels)),
        ("RepoTags", json!(names.tagged)),
        ("RepoDigests", json!(names.digested)),
        ("Names", json!(names.tagged)),
        ("History", json!(names.tagged.join(", "))),
        ("Created", json!(created.map(ago))),
        ("VirtualSize", json!(size::humanly(image.size))),
        ("Dangling", json!(names.tagged.is_empty())),
    ];
    Podmans {
        document,
        fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    }
}

/// The labels of all images, by their manifests; only for these are configurations read.
fn labels_of_all(
    images: &Images,
    state: &State,
) -> Result<HashMap<Digest, BTreeMap<String, String>>> {
    let all = images.list(state)?.into_iter();
    Ok(all.map(|image| (image.manifest, image.config.config.labels)).collect())
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
        let name = |repository: &str, tag: &str| Shown {
            repository: repository.into(),
            complete: repository.into(),
            tag: tag.into(),
        };
        assert!(is_named(&name("debian", "13"), "debian"));
        assert!(is_named(&name("debian", "13"), "docker.io/library/debian:1*"));
        assert!(!is_named(&name("debian", "13"), "debian:12"));
        assert!(is_named(&name("localhost:5000/a", "1"), "localhost:5000/a"));
        assert!(!is_named(&name("localhost:5000/a", "1"), "a"));
        assert!(is_named(&name("localhost/a", "1"), "a:1"));
        assert!(is_named(&name("localhost/a", "1"), "localhost/a"));
    }
}
