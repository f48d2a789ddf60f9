//! Flags as users write them, turned into what the engine is asked for.
//!
//! One file a kind of value. Parsing is a step of its own: it takes text and gives a value or one
//! error that names the flag, the text and a way out. The only things it looks at besides the text
//! are what [`Surroundings`] lends it: the environment and the working directory.

pub(crate) mod block_io;
pub(crate) mod cgroup;
pub(crate) mod container;
pub(crate) mod defaults;
pub(crate) mod descriptors;
pub(crate) mod device;
pub(crate) mod filter;
pub(crate) mod foreign;
pub(crate) mod health;
pub(crate) mod images;
pub(crate) mod life;
pub(crate) mod limits;
pub(crate) mod moment;
pub(crate) mod mount;
pub(crate) mod names;
pub(crate) mod namespaces;
pub(crate) mod network;
pub(crate) mod network_defaults;
pub(crate) mod objects;
pub(crate) mod pairs;
pub(crate) mod pod;
pub(crate) mod policy;
pub(crate) mod process;
pub(crate) mod pulling;
pub(crate) mod registry;
pub(crate) mod retrying;
pub(crate) mod security;
pub(crate) mod seldom;
pub(crate) mod signal;
pub(crate) mod surroundings;
pub(crate) mod variables;
pub(crate) mod way;

use crate::manners::Manners;
use dhow_base::{Error, Kind, Result};
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// What parsing may look at besides the text.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    /// The value of an environment variable, where it is set.
    pub(crate) variable: &'a dyn Fn(&str) -> Option<String>,
    /// Where relative paths of the host start.
    pub(crate) directory: &'a Path,
    /// Whose rules hold where programs disagree.
    pub(crate) manners: Manners,
}

impl fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl Surroundings<'_> {
    /// A path of the host's, absolute.
    pub(crate) fn absolute(&self, path: &str) -> PathBuf {
        let path = Path::new(path.strip_prefix("./").unwrap_or(path));
        if path == Path::new(".") { self.directory.to_owned() } else { self.directory.join(path) }
    }
}

/// The error for a value that makes no sense: it names the flag and shows the value, escaped.
pub(crate) fn refuse(flag: &str, value: &str, why: impl fmt::Display) -> Error {
    Error::new(Kind::Invalid, format!("{flag} {value:?}: {why}"))
}

/// What a flag that can be given once says.
fn parse<T>(text: Option<&String>, parser: impl FnOnce(&str) -> Result<T>) -> Result<Option<T>> {
    text.map(|text| parser(text)).transpose()
}

/// What a flag that can be repeated says.
fn parse_all<T>(texts: &[String], parser: impl Fn(&str) -> Result<T>) -> Result<Vec<T>> {
    texts.iter().map(|text| parser(text)).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::Surroundings;
    use std::path::Path;

    /// A little world: two variables, and `/here` as the working directory.
    pub(crate) fn world() -> Surroundings<'static> {
        Surroundings {
            variable: &variable,
            directory: Path::new("/here"),
            manners: crate::manners::Manners::Dhow,
        }
    }

    fn variable(name: &str) -> Option<String> {
        match name {
            "HOME" => Some("/root".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }
}
