//! Pruning containers: those that do not run go.

use crate::{Engine, options::RemoveOptions};
use dhow_base::{Kind, Result, clock::Moment, id::ContainerId};
use dhow_state::containers::{self, Phase};

impl Engine {
    /// Removes the containers that have ended or never started, and that were created before
    /// `until`. Their named volumes stay.
    pub fn prune_containers(&mut self, until: Option<Moment>) -> Result<Vec<ContainerId>> {
        let mut removed = Vec::new();
        for row in containers::list(self.state.read())? {
            let Some(row) = self.refreshed(row)? else { continue };
            let idle = matches!(row.phase, Phase::Created | Phase::Exited);
            if !idle || until.is_some_and(|until| row.created >= until) {
                continue;
            }
            match self.remove(row.id.as_str(), RemoveOptions::default()) {
                Ok(()) => removed.push(row.id),
                // Started or removed by another command since it was listed; both are its right.
                Err(error) if matches!(error.kind(), Kind::Conflict | Kind::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }
}
