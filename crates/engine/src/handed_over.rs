//! Where an ordinary user's container gets its cgroup: below what systemd, or whoever else has the machine's,
//! has handed over to the command that starts it.
//!
//! Each start may come from another place, a terminal or a service. So the place is looked for at each, and
//! written into `config.json` before anything is made there: whoever comes later, from wherever, finds the
//! cgroup, and what a killed start has left of it.

use crate::{Engine, exec, record::Record};
use dhow_base::{Error, Kind, Result, file};
use dhow_cgroup::{Hierarchies, USUAL_PARENT};
use dhow_spec::runtime::Spec;
use dhow_state::containers::Container;

impl Engine {
    /// Writes the place into the configuration of a container that is about to start. Root's containers,
    /// and those whose place the user has said, have theirs from their creation.
    pub(crate) fn place_cgroup(&self, row: &Container, record: &Record) -> Result<()> {
        if self.is_of_root || record.no_cgroup || record.has_cgroup_parent {
            return Ok(());
        }
        let hierarchies = Hierarchies::detect()?;
        let found = dhow_cgroup::delegated(&hierarchies, USUAL_PARENT, row.id.as_str())?;
        let place = found.map(|location| location.to_string());
        let path = self.layout.config(&row.id);
        let mut spec = Spec::parse(&file::read_limited(&path, exec::CONFIG_LIMIT_BYTES)?)?;
        let linux = spec.linux.get_or_insert_default();
        if linux.cgroups_path == place {
            return Ok(());
        }
        linux.cgroups_path = place;
        let bytes = serde_json::to_vec(&spec)
            .map_err(|error| Error::new(Kind::Internal, "write config.json").because(error))?;
        file::replace(&path, &bytes, 0o600)
    }
}
