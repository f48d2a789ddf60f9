//! All images of an index: each by its digest, and the one for this machine by the name.
//!
//! The index itself stays in the store, held by the image that has the name. What an index lists
//! beside images, such as attestations, which are for no platform, is left out.

use crate::{
    Image, Images, Place, names,
    origin::{Found, Opened, from_registry},
    progress::Progress,
};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_spec::image::{Descriptor, Document, Index, Platform};
use dhow_state::{State, blobs, images};
use std::sync::Arc;

impl Images {
    /// Makes the images of all platforms present that `source`, a name, leads to; returns the one
    /// for this machine, or the first where there is none.
    pub fn pull_all_platforms(
        &self,
        state: &mut State,
        source: &str,
        progress: &dyn Progress,
    ) -> Result<Image> {
        let mut pull = || {
            let Place::Registry(name) = Place::parse_or_name(source)? else {
                let what = "fetch all platforms: only registries are asked for them";
                return Err(Error::new(Kind::Unsupported, what).hint("name one with --platform"));
            };
            let opened = from_registry(self.client()?, &name)?;
            self.permit(&Place::Registry(name), &opened)?;
            self.take_all(state, source, opened, progress)
        };
        pull().doing(|| format!("pull {source}"))
    }

    fn take_all(
        &self,
        state: &mut State,
        source: &str,
        opened: Opened,
        progress: &dyn Progress,
    ) -> Result<Image> {
        let Document::Index(index) = Document::parse(&opened.bytes, &opened.top.media_type)? else {
            // One image for one platform is all that there is, whichever it is for.
            let found = opened.choose(&Platform::host())?;
            return self.take_any(state, source, &found, progress);
        };
        let named = chosen(&index)?;
        let mut result = None;
        for entry in index.manifests.iter().filter(|entry| is_image(entry)) {
            let is_named = entry.digest == named.digest;
            let mut names: Vec<String> = by_digest(&opened, entry).into_iter().collect();
            if is_named {
                names.extend(by_digest(&opened, &opened.top));
                names.extend(opened.names.clone());
            }
            let manifest = Descriptor::new(&entry.media_type, entry.digest.clone(), entry.size);
            let bytes = opened.origin.manifest(entry)?;
            let found = Found { manifest, bytes, names, origin: Arc::clone(&opened.origin) };
            let platform = match &entry.platform {
                Some(platform) => platform.clone(),
                None => found.own_platform()?,
            };
            let image = self.take(state, source, &found, &platform, progress)?;
            if is_named {
                self.keep_index(state, &image, &opened)?;
                result = Some(image);
            }
        }
        result.ok_or_else(|| Error::new(Kind::NotFound, "the index has no image"))
    }

    /// Puts the index into the store, for as long as the image is here.
    fn keep_index(&self, state: &mut State, image: &Image, opened: &Opened) -> Result<()> {
        let Descriptor { digest, size, .. } = &opened.top;
        state.write(|write| {
            blobs::want(write, digest, *size)?;
            images::hold_blob(write, &image.manifest, digest)
        })?;
        self.store().put(digest, &opened.bytes)?;
        state.write(|write| blobs::mark_present(write, digest))
    }
}

fn by_digest(opened: &Opened, of: &Descriptor) -> Option<String> {
    let reference = opened.reference.as_ref()?;
    Some(names::key(&reference.with_digest(of.digest.clone())))
}

/// The entry that the name shall lead to.
fn chosen(index: &Index) -> Result<&Descriptor> {
    match index.choose(&Platform::host()) {
        Ok(chosen) => Ok(chosen),
        Err(error) => index.manifests.iter().find(|entry| is_image(entry)).ok_or(error),
    }
}

/// Attestations are said to be for an unknown system.
fn is_image(entry: &Descriptor) -> bool {
    entry.platform.as_ref().is_none_or(|platform| platform.os != "unknown")
}
