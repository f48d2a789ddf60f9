//! The cgroup of a container, for those who look at its processes or stop them for a while.

use crate::bury::read_spec;
use dhow_base::{Kind, Result, id::ContainerId};
use dhow_runtime::{Cgroup, Driver, Whereabouts};
use std::path::Path;

/// The cgroup of the container whose `config.json` is `config`; none where there is none now.
pub fn cgroup(config: &Path, id: &ContainerId) -> Result<Option<Cgroup>> {
    let Some(spec) = read_spec(config)? else { return Ok(None) };
    match dhow_runtime::cgroup(&Whereabouts::new(id.as_str(), &spec, &Driver::Files)) {
        Ok(cgroup) => Ok(Some(cgroup)),
        Err(error) if error.kind() == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
