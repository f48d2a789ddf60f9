//! Pushing: a copy of one of our images to a registry, under the name that says where.
//!
//! The blobs go as [`crate::copy`] sends them: what is there is not sent, what another repository of
//! that registry is known to have is taken over from it, and what is not in our store is passed on
//! from where the image came from. A registry has a manifest only after all that it names, so
//! whoever is killed in between leaves there what a registry collects by itself. Here a push changes
//! nothing but what is remembered: the repository has these blobs, and the next push to that registry
//! need not send them.

use crate::{
    CopyOptions, Dialect, End, Images, Packing, Place, Reference, Registries, image::missing,
    names, progress::Progress,
};
use dhow_base::{Digest, Doing, Error, Kind, Result};
use dhow_state::{State, events, images};

/// In which form an image is sent; as it is here, where nothing is asked for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PushForm {
    /// Whose documents.
    pub dialect: Option<Dialect>,
    /// What is done to layers.
    pub packing: Packing,
    /// How hard they are compressed.
    pub level: Option<i32>,
    /// Signatures stay behind.
    pub remove_signatures: bool,
}

impl PushForm {
    fn options(&self) -> CopyOptions {
        let Self { dialect, packing, level, remove_signatures } = *self;
        CopyOptions { format: dialect, packing, level, remove_signatures, ..CopyOptions::default() }
    }
}

/// Where an image is sent.
#[derive(Clone, Copy, Debug)]
pub struct PushTo<'a> {
    /// Under which name; where the image's own says, without one.
    pub name: Option<&'a str>,
    /// How registries are reached.
    pub registries: &'a Registries,
}

/// What was pushed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pushed {
    /// The name that it has there.
    pub reference: Reference,
    /// The digest of its manifest.
    pub digest: Digest,
    /// What the registry client wants the user to know.
    pub notices: Vec<String>,
}

impl Images {
    /// Sends an image to a registry.
    pub fn push(
        &self,
        state: &mut State,
        image: &str,
        to: PushTo<'_>,
        form: &PushForm,
        progress: &dyn Progress,
    ) -> Result<Pushed> {
        let mut push = || -> Result<Pushed> {
            if self.find_row(state.read(), image)?.is_none() {
                return Err(missing(image));
            }
            let reference = match to.name {
                Some(text) => Reference::parse(text.strip_prefix("docker://").unwrap_or(text))?,
                None => self.own_name(state, image)?,
            };
            let name = reference.to_string();
            let from = End::new(Place::Local(image.to_owned()), self.registries().clone());
            let to = End::new(Place::Registry(name.clone()), to.registries.clone());
            let options = form.options();
            let copied = self.copy_between(Some(&mut *state), &from, &to, &options, progress)?;
            state.write(|write| events::record(write, "image", "push", &name, "{}"))?;
            let notices = to.take_notices().into_iter().chain(copied.notes).collect();
            Ok(Pushed { reference, digest: copied.digest, notices })
        };
        push().doing(|| format!("push {image}"))
    }

    /// The names of the images in a repository, for those who push all of them.
    pub fn tags_of(&self, state: &State, repository: &str) -> Result<Vec<String>> {
        let wanted = Reference::parse(repository)?.name();
        let mut found = Vec::new();
        for row in images::list(state.read())? {
            let all = images::names(state.read(), &row.manifest)?;
            found.extend(
                all.into_iter()
                    .filter(|name| !name.contains('@') && names::repository(name) == wanted),
            );
        }
        found.sort();
        if found.is_empty() {
            return Err(missing(repository));
        }
        Ok(found)
    }

    /// Where an image belongs by the name that the user gave.
    fn own_name(&self, state: &State, image: &str) -> Result<Reference> {
        let stored = self.stored_name(state, image)?.ok_or_else(|| {
            Error::new(Kind::Invalid, "it was not given by a name that says where to")
                .hint("name the destination too: dhow push IMAGE REGISTRY/NAME:TAG")
        })?;
        Reference::parse(&stored)
    }
}
