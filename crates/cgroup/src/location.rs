//! Where a cgroup is: a clean path below the root of every hierarchy.

use dhow_base::{Error, Kind, Result};
use std::fmt;

/// A path below the hierarchies' roots, without `.`, `..` and doubled slashes, never empty.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Location {
    path: String,
}

impl Location {
    /// `cgroups_path` as `config.json` has it; `/<fallback>/<id>` where it is missing or empty.
    pub fn new(cgroups_path: Option<&str>, fallback: &str, id: &str) -> Result<Self> {
        let path = cgroups_path.map_or_else(|| format!("{fallback}/{id}"), str::to_owned);
        if path.is_empty() {
            return Err(Error::new(Kind::Invalid, "use an empty path as a cgroup"));
        }
        Ok(Self { path })
    }

    /// The path, relative to a hierarchy's root: no slash in front.
    pub fn as_str(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.path)
    }
}
