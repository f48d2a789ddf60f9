//! Which containers a command is for: names, the newest, all, those of files or of filters.

use super::ps;
use crate::{flags::refuse, invocation::Invocation};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_engine::{Engine, Which};

/// Which containers are meant.
#[derive(clap::Args, Clone, Debug, Default)]
pub(super) struct Picked {
    /// The containers, by name or id
    #[arg(
        value_name = "CONTAINER",
        required_unless_present_any = ["all", "filter", "cidfile", "latest"]
    )]
    pub(super) containers: Vec<String>,

    /// Mean all containers
    #[arg(short, long, conflicts_with = "containers")]
    pub(super) all: bool,

    /// Mean containers for which this holds, as in `dhow ps`
    #[arg(long, value_name = "KEY=VALUE", conflicts_with = "containers")]
    filter: Vec<String>,

    /// Mean the container whose id is in a file
    #[arg(long, value_name = "FILE")]
    cidfile: Vec<String>,

    /// Mean the newest container
    #[arg(short, long, conflicts_with_all = ["containers", "all", "filter"])]
    latest: bool,
}

impl Picked {
    /// The same of flags with other letters.
    pub(super) fn of(
        containers: Vec<String>,
        all: bool,
        filter: Vec<String>,
        latest: bool,
    ) -> Self {
        Self { containers, all, filter, cidfile: Vec::new(), latest }
    }

    /// The containers, by what the user called them. `which` is what all of them are.
    pub(super) fn names(
        &self,
        engine: &mut Engine,
        which: Which,
        invocation: &Invocation,
    ) -> Result<Vec<String>> {
        let mut names = self.containers.clone();
        for file in &self.cidfile {
            names.push(id_in(file, invocation)?);
        }
        if self.latest {
            names.push(latest(engine)?);
        }
        if self.all || !self.filter.is_empty() {
            let found = ps::matching(engine, which, &self.filter)?;
            names.extend(found.into_iter().map(|container| container.id.to_string()));
        } else if names.is_empty() {
            return Err(Error::new(Kind::Invalid, "no container is named")
                .hint("give names or ids, or --all"));
        }
        Ok(names)
    }
}

/// The newest container.
pub(super) fn latest(engine: &mut Engine) -> Result<String> {
    let newest = engine.list(Which::All)?.into_iter().next();
    newest
        .map(|container| container.id.to_string())
        .ok_or_else(|| Error::new(Kind::NotFound, "find the newest container: there is none"))
}

/// The one container that a name or `--latest` means.
pub(super) fn one(engine: &mut Engine, name: Option<&String>, newest: bool) -> Result<String> {
    match (name, newest) {
        (Some(name), false) => Ok(name.clone()),
        (None, true) => latest(engine),
        (Some(_), true) => Err(Error::new(Kind::Invalid, "--latest takes no name besides")),
        (None, false) => Err(Error::new(Kind::Invalid, "no container is named")
            .hint("give a name or an id, or --latest")),
    }
}

fn id_in(file: &str, invocation: &Invocation) -> Result<String> {
    let path = invocation.surroundings().absolute(file);
    let bytes = dhow_base::file::read_limited(&path, 4096)
        .doing(|| format!("read the container's id from {}", path.display()))?;
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    if text.is_empty() { Err(refuse("--cidfile", file, "there is no id in it")) } else { Ok(text) }
}

/// Whether an error of one container is none where `--ignore` was given.
pub(super) fn is_ignored(ignore: bool, error: &Error) -> bool {
    ignore && error.kind() == Kind::NotFound
}
