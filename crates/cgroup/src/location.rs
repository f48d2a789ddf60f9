//! Where a cgroup is: a clean path below the root of every hierarchy.

use crate::unit::Unit;
use dhow_base::{Error, Kind, Result};
use std::{collections::BTreeMap, fmt};

/// Below what the cgroups of containers are that name no other.
pub const USUAL_PARENT: &str = "dhow";

/// A path below the hierarchies' roots, without `.`, `..` and doubled slashes, never empty.
///
/// Where systemd makes cgroups, it is the path of a unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Location {
    path: String,
    unit: Option<Unit>,
}

impl Location {
    /// `cgroups_path` as `config.json` has it; `/<fallback>/<id>` where it is missing or empty.
    ///
    /// A path that climbs is refused and not folded: what it means would depend on where it starts.
    pub fn new(cgroups_path: Option<&str>, fallback: &str, id: &str) -> Result<Self> {
        let wanted = match cgroups_path {
            Some(path) if !path.is_empty() => path.to_owned(),
            _ => format!("{fallback}/{id}"),
        };
        let invalid = |why: &str| {
            Err(Error::new(Kind::Invalid, format!("use {wanted:?} as a cgroup: {why}")))
        };
        let mut parts = Vec::new();
        for part in wanted.split('/').filter(|part| !part.is_empty() && *part != ".") {
            if part == ".." {
                return invalid("it must not hold `..`");
            }
            if part.len() > 255 || part.contains(['\0', '\n']) {
                return invalid("a part of it is too long or holds a NUL or newline");
            }
            // The kernel keeps these names for its own files.
            if part.starts_with("cgroup.") {
                return invalid("names that begin with `cgroup.` are the kernel's");
            }
            parts.push(part);
        }
        if parts.is_empty() {
            return invalid("it names the root");
        }
        // Room is left below `PATH_MAX` for a file's name.
        if wanted.len() > 3500 || parts.len() > 100 {
            return invalid("it is too long");
        }
        Ok(Self { path: parts.join("/"), unit: None })
    }

    pub(crate) fn with_unit(self, unit: Unit) -> Self {
        Self { unit: Some(unit), ..self }
    }

    pub(crate) fn unit(&self) -> Option<&Unit> {
        self.unit.as_ref()
    }

    /// Takes the properties of the unit that a container's annotations ask for
    /// (`org.systemd.property.…`). Without systemd they mean nothing.
    pub fn with_annotations(mut self, annotations: &BTreeMap<String, String>) -> Result<Self> {
        if let Some(unit) = &mut self.unit {
            unit.add_annotations(annotations)?;
        }
        Ok(self)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_clean_or_refused() {
        let cases = [
            (None, Some("dhow/c1")),
            (Some(""), Some("dhow/c1")),
            (Some("/a//b/./c/"), Some("a/b/c")),
            (Some("relative"), Some("relative")),
            (Some("/"), None),
            (Some("/a/../b"), None),
            (Some("../.."), None),
            (Some("/a\0b"), None),
            (Some("/cgroup.procs"), None),
            (Some(&"a/".repeat(101)), None),
        ];
        for (given, expected) in cases {
            let location = Location::new(given, "/dhow", "c1").ok();
            assert_eq!(location.as_ref().map(Location::as_str), expected, "{given:?}");
        }
    }
}
