//! Our own images as a place: the blobs as they came, by the rows that name them.
//!
//! A layer that was here already in another compression has no blob of its own here; it comes from
//! the registry that the image came from.

use crate::{
    Images,
    image::missing,
    origin::{Opened, Origin, read_from},
    plan::parse_manifest,
};
use dhow_base::{Digest, Doing, Error, Kind, Result};
use dhow_distribution::{Reference, Repository};
use dhow_spec::image::{Descriptor, MANIFEST_LIMIT_BYTES};
use dhow_state::{
    State,
    images::{self, Phase},
    places,
};
use dhow_store::Store;
use std::{collections::HashMap, io::Read, sync::Arc};

/// Opens one of our images, lists or artifacts, in this order.
pub(crate) fn open(images: &Images, state: &State, name: &str) -> Result<Opened> {
    let read = state.read();
    let found = images.find_row(read, name)?.filter(|row| row.phase == Phase::Present);
    let Some(row) = found else {
        let other = match images.open_list(state, name)? {
            Some(list) => Some(list),
            None => images.open_artifact(state, name)?,
        };
        return other.ok_or_else(|| missing(name));
    };
    let bytes = images.store().read(&row.manifest, MANIFEST_LIMIT_BYTES)?;
    let top = Descriptor::new(&row.media_type, row.manifest.clone(), bytes.len() as u64);
    let names = images::names(read, &row.manifest)?;
    let manifest = parse_manifest(&top, &bytes)?;
    let mut known = HashMap::new();
    for blob in manifest.layers.into_iter().chain([manifest.config]) {
        // The image's own places first: of the others nobody says that they still have it.
        let mut places = repositories(&names);
        for place in places::of_blob(read, &blob.digest)? {
            places.extend(Reference::parse(&place).ok());
        }
        known.insert(blob.digest, places);
    }
    let origin =
        Arc::new(Stored { store: images.store().clone(), elsewhere: elsewhere(images, &known)? });
    Ok(Opened { names, known, ..Opened::new(top, bytes, origin) })
}

/// The repositories that something is known to be in, since that is where it came from.
fn repositories(names: &[String]) -> Vec<Reference> {
    let by_digest = names.iter().filter(|name| name.contains('@'));
    // A row's name is always complete; one that is not is nothing to rely on.
    by_digest.filter_map(|name| Reference::parse(name).ok()).collect()
}

/// The blobs of our store, all of which are there.
pub(crate) fn stored(store: &Store) -> Arc<dyn Origin> {
    Arc::new(Stored { store: store.clone(), elsewhere: HashMap::new() })
}

/// Where blobs are that the store does not have, as far as that is known.
fn elsewhere(
    images: &Images,
    known: &HashMap<Digest, Vec<Reference>>,
) -> Result<HashMap<Digest, Repository>> {
    let mut elsewhere = HashMap::new();
    for (digest, places) in known {
        let Some(place) = places.first() else { continue };
        if !images.store().has(digest)? {
            // With the logins that are kept: what a user says of a destination is not for this place.
            elsewhere.insert(digest.clone(), images.client()?.repository(place)?);
        }
    }
    Ok(elsewhere)
}

/// The blobs of our store, and those that are missing there.
#[derive(Debug)]
struct Stored {
    store: Store,
    elsewhere: HashMap<Digest, Repository>,
}

impl Origin for Stored {
    fn blob(&self, descriptor: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>> {
        let digest = &descriptor.digest;
        if let Some(repository) = self.elsewhere.get(digest) {
            return Ok(Box::new(repository.blob(descriptor, offset)?));
        }
        if !self.store.has(digest)? {
            let what = format!("find blob {digest}: it is not in the store");
            return Err(Error::new(Kind::NotFound, what).hint("pull the image again"));
        }
        read_from(self.store.open(digest)?, offset).doing(|| format!("read blob {digest}"))
    }

    fn is_verified(&self, descriptor: &Descriptor) -> bool {
        !self.elsewhere.contains_key(&descriptor.digest)
    }
}

/// The name under which an image is to be ours.
pub(crate) fn stored_name(text: &str) -> Result<String> {
    let name = crate::names::local(text)?;
    if name.digest().is_some() {
        let what = format!("name an image {text}: a digest cannot be given, only found");
        return Err(Error::new(Kind::Invalid, what));
    }
    Ok(crate::names::key(&name))
}
