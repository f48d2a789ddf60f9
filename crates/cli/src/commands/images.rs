//! `images`: the list of images, in docker's columns.

use crate::{
    exit::SUCCESS,
    flags::refuse,
    invocation::Invocation,
    render::list::{Column, Row, Shape},
    tree::Act,
};
use dhow_base::pattern::matches;
use dhow_base::{
    Digest, Result,
    clock::{Moment, humanly},
    size,
};
use dhow_image::{Image, Images, Outline, Reference};
use dhow_state::State;
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

    /// List only images for which this holds: reference=, label= or dangling=
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
}

impl Act for List {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let shape = Shape::of(self.quiet, self.format.as_deref(), "ID")?;
        let mut filters =
            self.filter.iter().map(|text| Filter::parse(text)).collect::<Result<Vec<_>>>()?;
        filters.extend(self.name.clone().map(Filter::Reference));
        let mut engine = invocation.engine()?;
        let (images, state) = engine.images();
        let labelled = labelled(images, state, &filters)?;
        let now = Moment::now();
        let mut rows = Vec::new();
        for image in images.outlines(state)? {
            if labelled.as_ref().is_some_and(|labelled| !labelled.contains(&image.manifest)) {
                continue;
            }
            for name in Shown::of(&image) {
                if filters.iter().all(|filter| filter.may_show(&name)) {
                    rows.push(row(&image, &name, now, self.no_trunc));
                }
            }
        }
        if self.quiet {
            rows.dedup_by(|row, other| row.cell("ID") == other.cell("ID"));
        }
        let columns = if self.digests { COLUMNS_WITH_DIGESTS } else { COLUMNS };
        invocation.console.print(shape.print(columns, &rows)?)?;
        Ok(SUCCESS)
    }
}

/// The images that have the labels which filters ask for; `None` where none does. Only for this are
/// configurations read.
fn labelled(images: &Images, state: &State, filters: &[Filter]) -> Result<Option<HashSet<Digest>>> {
    if !filters.iter().any(|filter| matches!(filter, Filter::Label(..))) {
        return Ok(None);
    }
    let all = images.list(state)?.into_iter();
    let having = all.filter(|image| filters.iter().all(|filter| filter.may_have(image)));
    Ok(Some(having.map(|image| image.manifest).collect()))
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
            all.push(Self { repository: NONE.to_owned(), tag: NONE.to_owned() });
        }
        all
    }
}

fn row(image: &Outline, name: &Shown, now: Moment, whole: bool) -> Row {
    let created = image.created();
    let since =
        created.map_or_else(|| "N/A".to_owned(), |at| format!("{} ago", humanly(now.since(at))));
    let id = if whole { image.id.as_str() } else { image.id.short() };
    Row::new([
        ("CreatedAt", created.map(Moment::rfc3339).unwrap_or_default()),
        ("CreatedSince", since),
        ("Digest", image.manifest.to_string()),
        ("ID", id.to_owned()),
        ("Repository", name.repository.clone()),
        ("Size", size::humanly(image.size)),
        ("Tag", name.tag.clone()),
    ])
}

/// One `--filter`.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Filter {
    Reference(String),
    Label(String, Option<String>),
    Dangling(bool),
}

impl Filter {
    fn parse(text: &str) -> Result<Self> {
        let refused = |why: &str| {
            refuse("--filter", text, why).hint("there are reference=, label= and dangling=")
        };
        let (key, value) = text.split_once('=').ok_or_else(|| refused("the value is missing"))?;
        let value = value.to_owned();
        Ok(match key {
            "reference" => Self::Reference(value),
            "label" => match value.split_once('=') {
                Some((key, value)) => Self::Label(key.to_owned(), Some(value.to_owned())),
                None => Self::Label(value, None),
            },
            "dangling" => {
                Self::Dangling(value.parse().map_err(|_| refused("neither true nor false"))?)
            }
            _ => return Err(refused("no such filter")),
        })
    }

    /// Does it hold for an image under this name? What is about labels is asked of the image.
    fn may_show(&self, name: &Shown) -> bool {
        match self {
            Self::Reference(pattern) => is_named(name, pattern),
            Self::Label(..) => true,
            Self::Dangling(dangling) => (name.tag == NONE) == *dangling,
        }
    }

    /// Does it hold for an image with its configuration?
    fn may_have(&self, image: &Image) -> bool {
        let Self::Label(key, value) = self else { return true };
        let found = image.config.config.labels.get(key);
        found.is_some_and(|found| value.as_ref().is_none_or(|value| value == found))
    }
}

/// `name` or `name:tag`, each of which may hold stars. The name may leave out what familiar names
/// leave out.
fn is_named(name: &Shown, pattern: &str) -> bool {
    let pattern = pattern.strip_prefix("docker.io/").unwrap_or(pattern);
    let pattern = pattern.strip_prefix("library/").unwrap_or(pattern);
    let (repository, tag) = match pattern.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (pattern, "*"),
    };
    matches(repository, &name.repository) && matches(tag, &name.tag)
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
    }
}
