//! Refetching: the compressed layers of an image that were discarded come back.
//!
//! ```text
//!  discarded ─▶ claimed: a condemned row of ours ─▶ fetched, verified ─▶ synced ─▶ held, present
//!                         │ failed or killed
//!                         └─▶ removed, by us or by the next command, as any condemned blob is
//! ```
//!
//! They come from the repositories that are known to have them, under the digests that the manifest
//! names, and are never made again from the files. So do layers that the image never had here, since
//! another image had brought the same files in another compression.

use crate::{
    Images, flush::sync, image::missing, origin::Origin, place::local::documents, workers,
};
use dhow_base::{Digest, Doing, Result};
use dhow_spec::image::Descriptor;
use dhow_state::{
    Owner, State, Write, blobs, events,
    images::{self, Image as Row, Phase},
};

/// What came back for one image.
#[derive(Debug)]
pub struct Refetched {
    /// The layers that it holds again.
    pub layers: Vec<Digest>,
    /// Their bytes.
    pub bytes: u64,
}

impl Images {
    /// Brings back the layers' blobs that an image lacks. All of them come, or none.
    pub fn refetch(&self, state: &mut State, image: &str) -> Result<Refetched> {
        let row = self.find_row(state.read(), image)?.ok_or_else(|| missing(image))?;
        self.refetch_layers(state, &row).doing(|| format!("fetch the layers of {image} again"))
    }

    fn refetch_layers(&self, state: &mut State, row: &Row) -> Result<Refetched> {
        let layers = self.lacking(state, row)?;
        let bytes = layers.iter().map(|layer| layer.size).sum();
        let refetched =
            Refetched { layers: layers.iter().map(|layer| layer.digest.clone()).collect(), bytes };
        if layers.is_empty() {
            return Ok(refetched);
        }
        // By the digest: its name may lead to another image by now.
        let origin = self.open_local(Some(state), row.manifest.as_str())?.origin;
        let me = Owner::current()?;
        state.write(|write| {
            layers.iter().try_for_each(|layer| blobs::claim(write, &layer.digest, layer.size, me))
        })?;
        let fetched = self
            .fetch_all(&layers, origin.as_ref())
            .and_then(|()| sync(self.store().root()))
            .and_then(|()| state.write(|write| hold_again(write, row, &layers)));
        if let Err(error) = fetched {
            // Its own failures are left to the next command, which mends.
            let _swept = self.sweep(state);
            return Err(error);
        }
        // Who had begun to remove one before our rows said otherwise has ended by the time that the
        // store gives us its lock; nearly always there is nothing left to do. What fails here is a
        // lost file, which the doctor names and mends.
        self.fetch_all(&layers, origin.as_ref())?;
        sync(self.store().root())?;
        self.refresh_index(state)?;
        Ok(refetched)
    }

    /// The layers of the manifest that the image does not hold.
    fn lacking(&self, state: &State, row: &Row) -> Result<Vec<Descriptor>> {
        let held = images::blobs(state.read(), &row.manifest)?;
        let mut layers = documents(self.store(), row)?.manifest.layers;
        layers.retain(|layer| !held.contains(&layer.digest));
        layers.sort_by(|one, other| one.digest.cmp(&other.digest));
        layers.dedup_by(|one, other| one.digest == other.digest);
        Ok(layers)
    }

    fn fetch_all(&self, layers: &[Descriptor], origin: &dyn Origin) -> Result<()> {
        let jobs: Vec<&Descriptor> = layers.iter().collect();
        workers::each(jobs, |layer| self.fetch_blob(origin, layer)).map(drop)
    }
}

/// Writes that the image holds these layers, which have come.
fn hold_again(write: &Write<'_>, row: &Row, layers: &[Descriptor]) -> Result<()> {
    let present =
        images::find(write, &row.manifest)?.is_some_and(|now| now.phase == Phase::Present);
    if !present {
        // Another command removed it since it was found.
        return Err(missing(row.config.as_str()));
    }
    for layer in layers {
        blobs::want(write, &layer.digest, layer.size)?;
        images::hold_blob(write, &row.manifest, &layer.digest)?;
        blobs::mark_present(write, &layer.digest)?;
    }
    events::record(write, "image", "refetch", row.config.as_str(), "{}")
}
