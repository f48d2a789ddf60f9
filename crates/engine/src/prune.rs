//! Pruning: what is not in use goes. Volumes stay unless they are asked for, since they hold the only
//! copy of what is in them.

use crate::{
    Engine, NetworkFilter, PruneVolumes, VolumeFilter, options::RemoveOptions, record::Record,
};
use dhow_base::{
    Kind, Result,
    id::{ContainerId, Name},
};
use dhow_image::{PruneOptions, Removed};
use dhow_state::containers::{self, Container, Phase};

/// What a pruning reaches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// Images, and what interrupted pulls have fetched.
    Images,
    /// Containers that do not run.
    Containers,
    /// Both, and the networks that no container is connected to.
    Everything,
    /// And the volumes that nobody has named and no container uses.
    EverythingAndVolumes,
}

/// What a pruning has removed.
#[derive(Clone, Debug, Default)]
pub struct Pruned {
    /// The containers.
    pub containers: Vec<ContainerId>,
    /// The networks.
    pub networks: Vec<Name>,
    /// The volumes.
    pub volumes: Vec<Name>,
    /// The images and names.
    pub images: Vec<Removed>,
    /// The bytes on disk that came back.
    pub bytes: u64,
}

impl Engine {
    /// Removes what is not in use and is meant by `options`: of a container its age and its labels count.
    pub fn prune(&mut self, scope: Scope, options: &PruneOptions) -> Result<Pruned> {
        let before = self.disk_usage()?.removable();
        let mut pruned = Pruned::default();
        if scope != Scope::Images {
            // First, since with them go the last reasons to keep their images and volumes.
            pruned.containers = self.prune_containers(options)?;
        }
        if matches!(scope, Scope::Everything | Scope::EverythingAndVolumes) {
            let mut filters: Vec<NetworkFilter> =
                options.until.into_iter().map(NetworkFilter::Until).collect();
            let labels = options.labels.iter().cloned();
            filters.extend(labels.map(|(key, value)| NetworkFilter::Label(key, value)));
            let others = options.without_labels.iter().cloned();
            filters.extend(others.map(|(key, value)| NetworkFilter::NotLabel(key, value)));
            pruned.networks = self.prune_networks(&filters)?;
        }
        if scope == Scope::EverythingAndVolumes {
            let wanted = |labels: &[(String, Option<String>)], make: fn(_, _) -> VolumeFilter| {
                labels.iter().cloned().map(|(key, value)| make(key, value)).collect::<Vec<_>>()
            };
            let mut filters = wanted(&options.labels, VolumeFilter::Label);
            filters.extend(wanted(&options.without_labels, VolumeFilter::NotLabel));
            pruned.volumes = self.prune_volumes(&PruneVolumes { all: false, filters })?.names;
        }
        if scope != Scope::Containers {
            pruned.images = self.images.prune(&mut self.state, options)?;
            self.images.forget_interrupted(&mut self.state)?;
        }
        pruned.bytes = before.saturating_sub(self.disk_usage()?.removable());
        Ok(pruned)
    }

    fn prune_containers(&mut self, options: &PruneOptions) -> Result<Vec<ContainerId>> {
        let mut removed = Vec::new();
        for row in containers::list(self.state.read())? {
            let Some(row) = self.refreshed(row)? else { continue };
            let idle = matches!(row.phase, Phase::Created | Phase::Exited);
            if !idle
                || !meant(&row, options)?
                || options.until.is_some_and(|until| row.created >= until)
            {
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

/// Whether a container has the labels that are asked for, and none of the others.
fn meant(row: &Container, options: &PruneOptions) -> Result<bool> {
    if options.labels.is_empty() && options.without_labels.is_empty() {
        return Ok(true);
    }
    let labels = Record::parse(&row.settings)?.labels;
    let has = |(key, value): &(String, Option<String>)| {
        labels.get(key).is_some_and(|found| value.as_ref().is_none_or(|value| value == found))
    };
    Ok(options.labels.iter().all(has) && !options.without_labels.iter().any(has))
}
