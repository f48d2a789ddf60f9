//! Discarding: the compressed layers of an image go, its files stay.
//!
//! ```text
//!  held ─▶ an origin has it? ─▶ row: discarded, blob condemned ─▶ file gone
//!                 │ no                                              │
//!                 ▼                                                 ▼
//!            held for ever                push, copy, save: streamed from an origin, under its digest
//! ```
//!
//! Containers stand on snapshots and need no blobs. Whoever needs the bytes again gets them from a
//! repository that the image was pulled from or pushed to (see [`dhow_state::places`]); they are
//! never made again from the files, since nobody can promise that another version would pack the
//! same bytes. So a layer that no repository is known to have, as those of images that were made or
//! loaded here, is kept. So are manifest and configuration, which are small.
//!
//! A layer that another image or an artifact holds too keeps its file until the last of them has
//! let go.

use crate::{
    Images,
    image::missing,
    place::local::{documents, places_of},
    workers,
};
use dhow_base::{Digest, Doing, Error, Kind, Result};
use dhow_distribution::Reference;
use dhow_spec::image::Descriptor;
use dhow_state::{
    Owner, State, Write, blobs, discards, events,
    images::{self, Image as Row, Phase},
};

/// What is done with the blobs of layers that were unpacked.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LayerBlobs {
    /// They stay, so that the content is an image layout that other tools can read.
    #[default]
    Keep,
    /// They go, if a registry has them.
    Discard,
}

/// How it is known that a layer can be had again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Proof {
    /// A repository that should have it is asked, and says so.
    Asked,
    /// It came from there, or was sent there.
    Remembered,
}

/// What became of one image's layers.
#[derive(Debug)]
pub struct Discarded {
    /// The image's id.
    pub image: Digest,
    /// The layers that it holds no more.
    pub layers: Vec<Digest>,
    /// The bytes of those that nobody else holds.
    pub bytes: u64,
    /// The layers that it still holds, and why.
    pub kept: Vec<(Digest, Error)>,
}

impl Images {
    /// Discards the layers of an image that can be had again.
    pub fn discard(&self, state: &mut State, image: &str, proof: Proof) -> Result<Discarded> {
        let row = self.find_row(state.read(), image)?.ok_or_else(|| missing(image))?;
        self.discard_layers(state, &row, proof).doing(|| format!("discard the layers of {image}"))
    }

    /// The same after a pull, where that is the setting.
    pub(crate) fn discard_pulled(&self, state: &mut State, manifest: &Digest) -> Result<()> {
        if self.layer_blobs == LayerBlobs::Keep {
            return Ok(());
        }
        match images::find(state.read(), manifest)? {
            Some(row) => self.discard_layers(state, &row, Proof::Remembered).map(drop),
            None => Ok(()),
        }
    }

    fn discard_layers(&self, state: &mut State, row: &Row, proof: Proof) -> Result<Discarded> {
        let mut discarded =
            Discarded { image: row.config.clone(), layers: Vec::new(), bytes: 0, kept: Vec::new() };
        for (layer, found) in self.judged(state, row, proof)? {
            match found {
                Ok(()) => discarded.layers.push(layer.digest),
                Err(why) => discarded.kept.push((layer.digest, why)),
            }
        }
        if discarded.layers.is_empty() {
            return Ok(discarded);
        }
        let me = Owner::current()?;
        discarded.bytes = state.write(|write| let_go(write, row, &discarded.layers, me))?;
        self.sweep(state)?;
        self.refresh_index(state)?;
        Ok(discarded)
    }

    /// The layers that an image holds, and of each, why it must be kept.
    fn judged(
        &self,
        state: &State,
        row: &Row,
        proof: Proof,
    ) -> Result<Vec<(Descriptor, Result<()>)>> {
        let read = state.read();
        let held = images::blobs(read, &row.manifest)?;
        let names = images::names(read, &row.manifest)?;
        let mut layers = documents(self.store(), row)?.manifest.layers;
        layers.sort_by(|one, other| one.digest.cmp(&other.digest));
        layers.dedup_by(|one, other| one.digest == other.digest);
        layers.retain(|layer| held.contains(&layer.digest));
        let mut placed = Vec::with_capacity(layers.len());
        for layer in layers {
            let places = places_of(read, &names, &layer.digest)?;
            placed.push((layer, places));
        }
        workers::each(placed, |(layer, places): (Descriptor, Vec<Reference>)| {
            let found = match (places.is_empty(), proof) {
                (true, _) => Err(nowhere()),
                (false, Proof::Remembered) => Ok(()),
                (false, Proof::Asked) => self.ask(&layer, &places),
            };
            Ok((layer, found))
        })
    }

    /// Fails unless one of these places has the layer.
    fn ask(&self, layer: &Descriptor, places: &[Reference]) -> Result<()> {
        let mut failed = None;
        for place in places {
            let asked =
                self.client()?.repository(place).and_then(|there| there.has_blob(&layer.digest));
            match asked {
                Ok(Some(size)) if size == layer.size => return Ok(()),
                Ok(_) => failed = failed.or_else(|| Some(lost(place))),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        Err(failed.unwrap_or_else(nowhere))
    }
}

/// Writes that the image holds these layers no more, and condemns those that nobody holds. Returns
/// their bytes.
fn let_go(write: &Write<'_>, row: &Row, layers: &[Digest], me: Owner) -> Result<u64> {
    let present =
        images::find(write, &row.manifest)?.is_some_and(|now| now.phase == Phase::Present);
    if !present {
        // Another command removed it since it was found.
        return Err(missing(row.config.as_str()));
    }
    let mut bytes = 0;
    for layer in layers {
        discards::discard(write, &row.manifest, layer)?;
        blobs::condemn_orphan(write, layer, me)?;
        let condemned = blobs::find(write, layer)?;
        let gone = condemned.filter(|blob| blob.phase == blobs::Phase::Removing);
        bytes += gone.map_or(0, |blob| blob.size);
    }
    events::record(write, "image", "discard", row.config.as_str(), "{}")?;
    Ok(bytes)
}

fn nowhere() -> Error {
    Error::new(Kind::NotFound, "no registry is known to have it")
        .hint("`dhow push` sends it to one; then it can be had again")
}

fn lost(place: &Reference) -> Error {
    Error::new(Kind::NotFound, format!("{} does not have it any more", place.name()))
}
