//! How images stand on each other: by the layers that they begin with.

use crate::{Image, Images};
use dhow_base::{Digest, Result};
use dhow_state::State;

/// A layer of an image.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TreeLayer {
    /// The digest of its uncompressed form.
    pub diff_id: Digest,
    /// Its bytes, uncompressed; 0 where layers were merged and theirs are not known.
    pub size: u64,
    /// The tags of the images that end with it, and with exactly the layers below it.
    pub tops: Vec<String>,
}

impl Images {
    /// The layers of an image, the lowest first.
    pub fn layers(&self, state: &State, image: &Image) -> Result<Vec<TreeLayer>> {
        let all = self.list(state)?;
        let diff_ids = &image.config.rootfs.diff_ids;
        let sizes = image.layer_sizes(state)?;
        let layer = |(position, (diff_id, size)): (usize, (&Digest, u64))| {
            let ends_here =
                |other: &&Image| other.config.rootfs.diff_ids.as_slice() == &diff_ids[..=position];
            let tops = all.iter().filter(ends_here).flat_map(Image::tags).collect();
            TreeLayer { diff_id: diff_id.clone(), size, tops }
        };
        Ok(diff_ids.iter().zip(sizes).enumerate().map(layer).collect())
    }

    /// The images whose layers begin with all of this one's and go on.
    pub fn standing_on(&self, state: &State, image: &Image) -> Result<Vec<Image>> {
        let below = &image.config.rootfs.diff_ids;
        let mut all = self.list(state)?;
        all.retain(|other| {
            let layers = &other.config.rootfs.diff_ids;
            layers.len() > below.len() && layers.starts_with(below)
        });
        Ok(all)
    }
}
