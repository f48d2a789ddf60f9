//! All images of an index: each by its digest, and the one for this machine by the name.
//!
//! The index itself stays in the store, held by the image that has the name. What an index lists
//! beside images, such as attestations, which are for no platform, is left out.

use crate::{
    Image, Images, Place, PullOptions, names, origin::Found, plan::check_content,
    progress::Progress,
};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_distribution::{Reference, Resolved};
use dhow_spec::image::{Descriptor, Document, Index, Platform};
use dhow_state::{State, blobs, images};

impl Images {
    /// Makes the images of all platforms present that `source`, a name, leads to; returns the one
    /// for this machine, or the first where there is none.
    pub fn pull_all_platforms(
        &self,
        state: &mut State,
        source: &str,
        options: &PullOptions,
        progress: &dyn Progress,
    ) -> Result<Image> {
        self.pull_all(state, source, options, progress).doing(|| format!("pull {source}"))
    }

    fn pull_all(
        &self,
        state: &mut State,
        source: &str,
        options: &PullOptions,
        progress: &dyn Progress,
    ) -> Result<Image> {
        let Place::Registry(name) = Place::parse_or_name(source)? else {
            let what = "fetch all platforms: only registries are asked for them";
            return Err(Error::new(Kind::Unsupported, what).hint("name one with --platform"));
        };
        let client = self.client_with(options.tls_verify, options.credentials.as_ref())?;
        let mut failed: Option<Error> = None;
        for reference in client.expand(&name)? {
            match client.resolve(&reference) {
                Ok(resolved) => return self.take_all(state, source, &resolved, progress),
                // The first registry of a search list is the one that was most likely meant.
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        Err(failed.unwrap_or_else(|| Error::new(Kind::NotFound, "no registry is configured")))
    }

    fn take_all(
        &self,
        state: &mut State,
        source: &str,
        resolved: &Resolved,
        progress: &dyn Progress,
    ) -> Result<Image> {
        let reference = &resolved.reference;
        let kind = &resolved.descriptor.media_type;
        let index = match Document::parse(&resolved.bytes, kind)
            .doing(|| format!("read the manifest of {reference}"))?
        {
            Document::Index(index) => *index,
            Document::Manifest(_) => {
                // One image for one platform is all that there is, whichever it is for.
                let names = vec![names::key(reference)];
                let found = found(resolved, &resolved.descriptor, resolved.bytes.clone(), names);
                return self.take(state, source, &found, &found.own_platform()?, progress);
            }
        };
        let named = chosen(&index)?;
        let mut result = None;
        for entry in index.manifests.iter().filter(|entry| is_image(entry)) {
            let fetched = resolved.repository.manifest(&entry.digest)?;
            check_content(entry, &fetched.bytes)?;
            let mut names = vec![by_digest(reference, entry)];
            let is_named = entry.digest == named.digest;
            if is_named {
                names.extend([names::key(reference), by_digest(reference, &resolved.descriptor)]);
                names.dedup();
            }
            let found = found(resolved, entry, fetched.bytes, names);
            let platform = match &entry.platform {
                Some(platform) => platform.clone(),
                None => found.own_platform()?,
            };
            let image = self.take(state, source, &found, &platform, progress)?;
            if is_named {
                self.keep_index(state, &image, resolved)?;
                result = Some(image);
            }
        }
        result.ok_or_else(|| Error::new(Kind::NotFound, "the index has no image"))
    }

    /// Puts the index into the store, for as long as the image is here.
    fn keep_index(&self, state: &mut State, image: &Image, resolved: &Resolved) -> Result<()> {
        let Descriptor { digest, size, .. } = &resolved.descriptor;
        state.write(|write| {
            blobs::want(write, digest, *size)?;
            images::hold_blob(write, &image.manifest, digest)
        })?;
        self.store().put(digest, &resolved.bytes)?;
        state.write(|write| blobs::mark_present(write, digest))
    }
}

fn found(resolved: &Resolved, entry: &Descriptor, bytes: Vec<u8>, names: Vec<String>) -> Found {
    let manifest = Descriptor::new(&entry.media_type, entry.digest.clone(), entry.size);
    Found { manifest, bytes, names, origin: std::sync::Arc::new(resolved.repository.clone()) }
}

fn by_digest(reference: &Reference, of: &Descriptor) -> String {
    names::key(&reference.with_digest(of.digest.clone()))
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
