//! Pruning: the images that nobody needs go, all in one call.
//!
//! An image that a container is made of, or that is mounted, stays whatever is asked. So does one that was made or
//! pulled after `until`, and one whose labels do not fit.

use crate::{Image, Images, Removed, remove::is_in_use};
use dhow_base::{Kind, Result, clock::Moment};
use dhow_state::State;

/// Which images go.
#[derive(Clone, Debug, Default)]
pub struct PruneOptions {
    /// Those with names too, not only those that have none.
    pub all: bool,
    /// Only those that were made before this moment; one that does not say when is as old as its
    /// pull.
    pub until: Option<Moment>,
    /// Only those with this label, or with this label and value.
    pub labels: Vec<(String, Option<String>)>,
    /// Only those without.
    pub without_labels: Vec<(String, Option<String>)>,
}

impl PruneOptions {
    fn mean(&self, image: &Image) -> bool {
        let has_tags = image.names.iter().any(|name| !name.contains('@'));
        let has = |(key, value): &(String, Option<String>)| {
            let found = image.config.config.labels.get(key);
            found.is_some_and(|found| value.as_ref().is_none_or(|value| value == found))
        };
        (self.all || !has_tags)
            && self.until.is_none_or(|until| image.created().unwrap_or(image.pulled) < until)
            && self.labels.iter().all(has)
            && !self.without_labels.iter().any(has)
    }
}

impl Images {
    /// Removes the images that `options` mean and that nothing uses.
    pub fn prune(&self, state: &mut State, options: &PruneOptions) -> Result<Vec<Removed>> {
        let mut removed = Vec::new();
        for image in self.list(state)? {
            if is_in_use(state.read(), &image.manifest)? || !options.mean(&image) {
                continue;
            }
            match self.remove(state, &[image.id.to_string()], true) {
                Ok(all) => removed.extend(all),
                // Another command used it or removed it since it was listed; both are its right.
                Err(error) if matches!(error.kind(), Kind::Conflict | Kind::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }
}
