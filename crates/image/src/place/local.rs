//! Our own images as a place: the blobs as they came, by the rows that name them.
//!
//! A layer that was here already in another compression has no blob of its own here, and one that was
//! discarded has none any more; it comes from the repositories that are known to have it.

use crate::{
    Images, Registries,
    image::missing,
    origin::{Opened, Origin, read_from},
    plan::parse_manifest,
};
use dhow_base::{Digest, Doing, Error, Kind, Result};
use dhow_distribution::{Client, Reference};
use dhow_spec::image::{Descriptor, MANIFEST_LIMIT_BYTES, Manifest};
use dhow_state::{
    Read as Rows, State,
    images::{self, Image as Row, Phase},
    places,
};
use dhow_store::Store;
use std::{
    collections::{HashMap, HashSet},
    io::Read,
    sync::{Arc, OnceLock},
};

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
    let names = images::names(read, &row.manifest)?;
    let Documents { top, bytes, manifest } = documents(images.store(), &row)?;
    let mut known = HashMap::new();
    for blob in manifest.layers.into_iter().chain([manifest.config]) {
        let places = places_of(read, &names, &blob.digest)?;
        known.insert(blob.digest, places);
    }
    let elsewhere = Elsewhere {
        places: known.clone(),
        registries: images.registries().clone(),
        client: OnceLock::new(),
    };
    let origin = Arc::new(Stored { store: images.store().clone(), elsewhere });
    Ok(Opened { names, known, ..Opened::new(top, bytes, origin) })
}

/// The manifest of an image, as bytes and parsed.
pub(crate) struct Documents {
    top: Descriptor,
    bytes: Vec<u8>,
    pub(crate) manifest: Manifest,
}

/// Reads the manifest of one of our images.
pub(crate) fn documents(store: &Store, row: &Row) -> Result<Documents> {
    let bytes = store.read(&row.manifest, MANIFEST_LIMIT_BYTES)?;
    let top = Descriptor::new(&row.media_type, row.manifest.clone(), bytes.len() as u64);
    let manifest = parse_manifest(&top, &bytes)?;
    Ok(Documents { top, bytes, manifest })
}

/// The repositories that were seen to have a blob of an image with these names.
pub(crate) fn places_of(read: &Rows, names: &[String], blob: &Digest) -> Result<Vec<Reference>> {
    // The image's own places first: of the others nobody says that they still have it.
    let by_digest = names.iter().filter_map(|name| Some(name.split_once('@')?.0));
    let mut all: Vec<String> = by_digest.map(ToOwned::to_owned).collect();
    all.extend(places::of_blob(read, blob)?);
    let mut seen = HashSet::new();
    all.retain(|place| seen.insert(place.clone()));
    // A row's name is always complete; one that is not is nothing to rely on.
    Ok(all.iter().filter_map(|name| Reference::parse(name).ok()).collect())
}

/// The blobs of our store, all of which are there.
pub(crate) fn stored(store: &Store) -> Arc<dyn Origin> {
    Arc::new(Stored { store: store.clone(), elsewhere: Elsewhere::default() })
}

/// The blobs of our store, and those that are missing there.
#[derive(Debug)]
struct Stored {
    store: Store,
    elsewhere: Elsewhere,
}

impl Origin for Stored {
    fn blob(&self, descriptor: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>> {
        let digest = &descriptor.digest;
        // Asked each time: another command may discard it while this one is at work.
        match self.store.open(digest) {
            Ok(file) => read_from(file, offset).doing(|| format!("read blob {digest}")),
            Err(error) if error.kind() == Kind::NotFound => self.elsewhere.blob(descriptor, offset),
            Err(error) => Err(error),
        }
    }

    fn is_verified(&self, descriptor: &Descriptor) -> bool {
        self.store.has(&descriptor.digest).unwrap_or(false)
    }
}

/// Where blobs are that the store does not have, as far as that is known.
#[derive(Debug, Default)]
struct Elsewhere {
    places: HashMap<Digest, Vec<Reference>>,
    // With the logins that are kept: what a user says of a destination is not for these places.
    registries: Registries,
    client: OnceLock<Client>,
}

impl Elsewhere {
    /// The bytes of a blob from the first place that gives them. Who reads them checks them.
    fn blob(&self, descriptor: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>> {
        let digest = &descriptor.digest;
        let mut refusals = Vec::new();
        for place in self.places.get(digest).into_iter().flatten() {
            let opened = self
                .client()?
                .repository(place)
                .and_then(|repository| repository.blob(descriptor, offset));
            match opened {
                Ok(stream) => return Ok(Box::new(stream)),
                Err(error) => refusals.push((place.name(), error)),
            }
        }
        Err(refused(digest, refusals))
    }

    fn client(&self) -> Result<&Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = Client::new(&self.registries)?;
        Ok(self.client.get_or_init(|| client))
    }
}

/// What to say of a blob that is not here and that no place gives.
fn refused(digest: &Digest, mut refusals: Vec<(String, Error)>) -> Error {
    let what = format!("find blob {digest}: it is not in the store");
    let again = "`dhow rmi` and `dhow pull` bring the whole image from another place";
    if refusals.len() > 1 {
        let each: Vec<String> = refusals
            .iter()
            .map(|(place, error)| format!("{place} ({})", error.one_line()))
            .collect();
        let kind = refusals[0].1.kind();
        let what = format!("{what}, and no place that had it gives it: {}", each.join("; "));
        return Error::new(kind, what)
            .hint(format!("log in there, or see that they can be reached; {again}"));
    }
    match refusals.pop() {
        None => Error::new(Kind::NotFound, format!("{what}, and no registry is known to have it"))
            .hint(again),
        Some((place, error)) => {
            let what = format!("{what}, and {place}, which had it, does not give it");
            Error::new(error.kind(), what)
                .hint(format!("log in there, or see that it can be reached; {again}"))
                .because(error)
        }
    }
}

/// The name under which an image is to be ours.
pub(crate) fn stored_name(text: &str) -> Result<String> {
    crate::names::given(text).map(|name| crate::names::key(&name))
}
