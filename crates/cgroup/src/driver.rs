//! Who makes and removes cgroups: this program in the kernel's files, or systemd as units.
//!
//! Where systemd runs, it means to be the only one who makes cgroups near the root. Whoever asks it
//! gets a scope, which it delegates: what is in there, limits too, is the asker's.

use crate::{
    Location,
    systemd::{Bus, Manager},
    unit::{Unit, UnitName},
};
use dhow_base::{Error, Kind, Result};
use serde::{Deserialize, Serialize};

/// Who makes and removes cgroups.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// This program.
    #[default]
    Files,
    /// systemd, behind this bus.
    Systemd(Bus),
    /// Nobody: the container stays in its creator's cgroup.
    Nobody,
}

impl Driver {
    /// Where the cgroup is that `config.json` calls `cgroups_path`: a path, or
    /// `slice:prefix:name` for systemd.
    ///
    /// Where it is missing or empty, it is `/<fallback>/<id>`, or the scope `<fallback>-<id>`. A
    /// user's systemd is asked where its own cgroup is. What nobody makes is not found.
    pub fn locate(&self, cgroups_path: Option<&str>, fallback: &str, id: &str) -> Result<Location> {
        let bus = match self {
            Self::Files => return Location::new(cgroups_path, fallback, id),
            Self::Nobody => {
                return Err(Error::new(Kind::NotFound, format!("container {id} has no cgroup")));
            }
            Self::Systemd(bus) => bus,
        };
        let slice = if bus.is_of_user() { "user.slice" } else { "system.slice" };
        let name = match cgroups_path.filter(|path| !path.is_empty()) {
            Some(path) => UnitName::parse(path, slice)?,
            None => UnitName::new(slice, fallback, id)?,
        };
        let above =
            if bus.is_of_user() { Manager::open(bus)?.own_cgroup()? } else { String::new() };
        let path = format!("{above}/{}", name.path()?);
        Ok(Location::new(Some(&path), "", "")?.with_unit(Unit::new(bus.clone(), name)))
    }
}

/// What a path is refused for that only the other driver understands.
pub(crate) fn not_a_triple(path: &str) -> Error {
    Error::new(Kind::Invalid, format!("use {path:?} as a cgroup of systemd's"))
        .hint("with systemd, cgroupsPath has the form slice:prefix:name")
}
