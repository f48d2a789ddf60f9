//! Containers that another one requires (podman's `--requires`): they are started before it, each time.
//!
//! They are found by name when the container is made, and by id from then on: so none can require itself,
//! not over others either. To remove one is not forbidden; who requires it does not start any more.

use crate::{Engine, options::CreateOptions, record::Record, start::Watch};
use dhow_base::{Doing, Result, id::ContainerId};
use dhow_state::containers::{self, Phase};

impl Engine {
    /// The ids of those that are named.
    pub(crate) fn find_required(&mut self, options: &CreateOptions) -> Result<Vec<String>> {
        let named = options.objects.requires.iter();
        named
            .map(|name| {
                let row = self.look_up(name).doing(|| format!("require container {name}"))?;
                Ok(row.id.to_string())
            })
            .collect()
    }

    /// Starts those that do not run.
    pub(crate) fn start_required(&mut self, record: &Record) -> Result<()> {
        for id in &record.requires {
            let doing = || format!("start the required container {}", &id[..id.len().min(12)]);
            if self.look_up(id).doing(doing)?.phase != Phase::Running {
                self.start(id, Watch::Detached)
                    .and_then(|running| running.client.detach())
                    .doing(doing)?;
            }
        }
        Ok(())
    }

    /// A container, and before it those that require it, also over others: who comes first can go first.
    pub fn with_requiring(&mut self, container: &str) -> Result<Vec<ContainerId>> {
        let mut found = vec![self.look_up(container)?.id];
        let mut rows = Vec::new();
        for row in containers::list(self.state.read())? {
            rows.push((row.id, Record::parse(&row.settings)?.requires));
        }
        let mut next = 0;
        while let Some(id) = found.get(next).cloned() {
            for (other, requires) in &rows {
                if requires.iter().any(|one| one == id.as_str()) && !found.contains(other) {
                    found.push(other.clone());
                }
            }
            next += 1;
        }
        found.reverse();
        Ok(found)
    }
}
