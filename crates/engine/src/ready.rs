//! Whether everything is there that a start of a container takes; nothing is made.
//!
//! Podman's `init` makes namespaces and a process that waits in them. Here a start makes both in a few
//! milliseconds, and what is not needed before would only have to be kept.

use crate::{Engine, rooted};
use dhow_base::{Doing, Error, Kind, Result, file, id::ContainerId};
use dhow_spec::runtime::Spec;
use dhow_state::containers::Phase;
use std::path::Path;

impl Engine {
    /// Looks at the configuration of a container that does not run, its root, and all that is to be
    /// mounted in it.
    pub fn check_ready(&mut self, container: &str) -> Result<ContainerId> {
        let row = self.look_up(container)?;
        let doing = || format!("prepare container {}", row.name);
        if !matches!(row.phase, Phase::Created | Phase::Exited) {
            let why = format!("it is {}", row.status());
            return Err(Error::new(Kind::Conflict, why)).doing(doing);
        }
        let bytes = file::read_limited(&self.layout.config(&row.id), 16 << 20).doing(doing)?;
        let spec = Spec::parse(&bytes).doing(doing)?;
        let root = self.root_of(&row).doing(doing)?;
        rooted::open(&root.for_reading()).doing(doing)?;
        for mount in &spec.mounts {
            let is_bind = mount.options.iter().any(|word| word == "bind" || word == "rbind");
            let Some(source) = mount.source.as_deref().map(Path::new).filter(|_| is_bind) else {
                continue;
            };
            // The engine's own files are made at the start.
            if !source.starts_with(self.layout.runroot()) {
                let what = || format!("mount {}", source.display());
                rustix::fs::stat(source).doing(what).doing(doing)?;
            }
        }
        Ok(row.id)
    }
}
