//! What an image's files are against those of another one, or against its own lower layers.

use crate::{Image, Images, pull::tree_key};
use dhow_base::{Digest, Doing, Error, Kind, Result, id::chain_id};
use dhow_snapshot::{Change, ChangeKind, Number};
use dhow_state::{State, snapshots};
use std::{collections::BTreeMap, path::Path};

impl Images {
    /// What is otherwise in an image than in another one. Without another, what its uppermost layer
    /// has changed; a first layer has made everything.
    pub fn differences(
        &self,
        state: &State,
        image: &str,
        other: Option<&str>,
    ) -> Result<Vec<Change>> {
        let found = self.look_up(state, image)?;
        let snapshots = self.snapshots()?;
        let Some(other) = other else {
            let compared = match found.chain.as_slice() {
                [top, below @ ..] if !below.is_empty() => snapshots.changes(*top, below),
                [_] => self
                    .below(state, &found)
                    .and_then(|below| snapshots.differences(&found.chain, below.as_slice())),
                _ => Ok(Vec::new()),
            };
            let compared =
                compared.doing(|| format!("compare image {image} with its lower layers"));
            return compared.map(with_directories);
        };
        let base = self.look_up(state, other)?;
        snapshots
            .differences(&found.chain, &base.chain)
            .doing(|| format!("compare image {image} with {other}"))
            .map(with_directories)
    }

    /// The tree of all layers but the uppermost, where one snapshot holds all.
    fn below(&self, state: &State, image: &Image) -> Result<Option<Number>> {
        let [below @ .., _] = image.config.rootfs.diff_ids.as_slice() else { return Ok(None) };
        let chain = below
            .iter()
            .fold(None, |below: Option<Digest>, layer| Some(chain_id(below.as_ref(), layer)));
        let Some(chain) = chain else { return Ok(None) };
        let key = tree_key(&chain);
        match snapshots::find_by_key(state.read(), &key)? {
            Some(row) => Ok(Some(Number(row.number))),
            None => {
                let what = "its layers are kept as one tree, and the lower ones are not here alone";
                Err(Error::new(Kind::Unsupported, what).hint("name an image to compare it with"))
            }
        }
    }
}

/// Adds the directories in which something has changed, as docker and podman list them, and leaves
/// the root out.
pub fn with_directories(changes: Vec<Change>) -> Vec<Change> {
    let mut all = BTreeMap::new();
    for change in changes {
        for directory in change.path.ancestors().skip(1) {
            all.entry(directory.to_owned()).or_insert(ChangeKind::Modified);
        }
        let kind = match change.kind {
            ChangeKind::Touched => ChangeKind::Modified,
            kind => kind,
        };
        all.insert(change.path, kind);
    }
    all.remove(Path::new(""));
    all.into_iter().map(|(path, kind)| Change { path, kind }).collect()
}
