//! Which volumes a filter means, and removing those that nobody uses.

use super::{RemoveVolume, Volume};
use crate::{Engine, filter};
use dhow_base::{Kind, Result, clock::Moment, id::Name};
use dhow_image::Meter;

/// What must hold of a volume.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum VolumeFilter {
    /// Its name has this in it.
    Name(String),
    /// It has the label, with this value where one is given.
    Label(String, Option<String>),
    /// It has not.
    NotLabel(String, Option<String>),
    /// No container uses it, or one does.
    Dangling(bool),
    /// Nobody has named it, or somebody did.
    Anonymous(bool),
    /// Its driver.
    Driver(String),
    /// It has an option of the driver's.
    Opt(String, Option<String>),
    /// `local` is the only scope.
    Scope(String),
    /// It was made before.
    Until(Moment),
    /// It was made after this one.
    Since(String),
}

/// What is pruned.
#[derive(Clone, Debug, Default)]
pub struct PruneVolumes {
    /// Named volumes too.
    pub all: bool,
    /// Only those for which all of these hold.
    pub filters: Vec<VolumeFilter>,
}

/// What a pruning has removed.
#[derive(Clone, Debug, Default)]
pub struct PrunedVolumes {
    /// The volumes.
    pub names: Vec<Name>,
    /// The bytes that they took.
    pub bytes: u64,
}

impl Engine {
    /// The volumes for which all filters hold; of one kind, but for labels, one is enough.
    pub fn volumes_where(&mut self, filters: &[VolumeFilter]) -> Result<Vec<Volume>> {
        let all = self.volumes()?;
        let mut since = Vec::new();
        for filter in filters {
            if let VolumeFilter::Since(name) = filter {
                since.push(self.volume(name)?.created);
            }
        }
        let each = |filter: &VolumeFilter| {
            matches!(filter, VolumeFilter::Label(..) | VolumeFilter::NotLabel(..))
        };
        let holds = |volume: &Volume| {
            filter::all_hold(filters, each, |filter| match filter {
                VolumeFilter::Since(_) => since.iter().any(|made| volume.created > *made),
                filter => filter.holds(volume),
            })
        };
        Ok(all.into_iter().filter(holds).collect())
    }

    /// Removes the volumes that no container uses and that are meant: those that nobody has named,
    /// or all.
    pub fn prune_volumes(&mut self, options: &PruneVolumes) -> Result<PrunedVolumes> {
        let mut pruned = PrunedVolumes::default();
        for volume in self.volumes_where(&options.filters)? {
            let is_meant = options.all || volume.anonymous;
            if !is_meant || !volume.users.is_empty() || volume.mounts > 0 {
                continue;
            }
            let bytes = Meter::new().measure(&self.layout.volume(&volume.name))?;
            match self.remove_volume(volume.name.as_str(), RemoveVolume::Gently) {
                Ok(name) => {
                    pruned.names.push(name);
                    pruned.bytes += bytes;
                }
                // Used or removed by another command since it was listed; both are its right.
                Err(error) if matches!(error.kind(), Kind::Conflict | Kind::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(pruned)
    }
}

impl VolumeFilter {
    fn holds(&self, volume: &Volume) -> bool {
        let has = |map, key: &str, value: &Option<String>| filter::has(map, key, value.as_deref());
        match self {
            Self::Name(part) => volume.name.as_str().contains(part.as_str()),
            Self::Label(key, value) => has(&volume.labels, key, value),
            Self::NotLabel(key, value) => !has(&volume.labels, key, value),
            Self::Dangling(wanted) => volume.users.is_empty() == *wanted,
            Self::Anonymous(wanted) => volume.anonymous == *wanted,
            Self::Driver(driver) => volume.driver == *driver,
            Self::Opt(key, value) => has(&volume.options, key, value),
            Self::Scope(scope) => scope == "local",
            Self::Until(moment) => volume.created < *moment,
            Self::Since(_) => true,
        }
    }
}
