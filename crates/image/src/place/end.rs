//! One end of a copy: a place, and how it is reached.

use super::{
    archive_target::{ArchiveTarget, Form},
    directory::DirectoryTarget,
    layout_target::LayoutTarget,
    registry_target::RegistryTarget,
    target::Target,
};
use crate::{
    Images, Place, Registries, layout,
    origin::{Opened, from_reference},
    sync_list::Listed,
};
use dhow_base::{Error, Kind, Result};
use dhow_distribution::{Client, Reference};
use dhow_spec::image::Platform;
use dhow_state::State;
use std::{path::PathBuf, sync::OnceLock};

/// A place, and how it is reached.
#[derive(Debug)]
pub struct End {
    /// The place.
    pub place: Place,
    /// A directory in which several layouts keep their blobs.
    pub shared_blobs: Option<PathBuf>,
    registries: Registries,
    client: OnceLock<Client>,
}

impl End {
    /// A place that is reached by these registries' rules, if it is in one.
    pub fn new(place: Place, registries: Registries) -> Self {
        Self { place, shared_blobs: None, registries, client: OnceLock::new() }
    }

    /// Tries requests again at least so often, where that is said.
    #[must_use]
    pub fn retried(mut self, times: Option<u32>) -> Self {
        let patience = &mut self.registries.patience;
        patience.retries = patience.retries.max(times.unwrap_or(0));
        self
    }

    /// The same way to another place; connections and tokens are shared.
    #[must_use]
    pub fn at(&self, place: Place) -> Self {
        let client = self.client.clone();
        Self { place, registries: self.registries.clone(), client, shared_blobs: None }
    }

    /// The same way, changed as a list wants it for one of its registries.
    pub(crate) fn of_registry(&self, listed: &Listed) -> Self {
        let mut registries = self.registries.clone();
        if let Some(verify) = listed.tls_verify {
            registries.tls_verify = verify.into();
        }
        if listed.credentials.is_some() {
            registries.credentials.clone_from(&listed.credentials);
        }
        if listed.cert_dir.is_some() {
            registries.own_certs_dir.clone_from(&listed.cert_dir);
        }
        Self::new(Place::Registry(listed.domain.clone()), registries)
    }

    /// What the registry client wants the user to know, each thing once.
    pub fn take_notices(&self) -> Vec<String> {
        self.client.get().map(Client::take_notices).unwrap_or_default()
    }

    /// The rules by which it is reached.
    pub(crate) fn registries(&self) -> &Registries {
        &self.registries
    }

    pub(crate) fn client(&self) -> Result<&Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = Client::new(&self.registries)?;
        Ok(self.client.get_or_init(|| client))
    }

    /// The complete name of a place in a registry. Who writes the transport means what docker
    /// means: without a registry it is one of Docker Hub.
    pub(crate) fn reference(&self) -> Result<Reference> {
        match &self.place {
            Place::Registry(name) => Reference::parse(name),
            other => Err(Error::new(Kind::Invalid, format!("{other} is in no registry"))),
        }
    }

    /// Opens the place for writing.
    pub(crate) fn target(&self) -> Result<Box<dyn Target>> {
        Ok(match &self.place {
            Place::Registry(_) => {
                Box::new(RegistryTarget::open(self.client()?, &self.reference()?)?)
            }
            Place::Layout(path, name) => {
                Box::new(LayoutTarget::open(path, self.shared_blobs.as_deref(), name.as_deref())?)
            }
            Place::LayoutArchive(path, name) => {
                Box::new(ArchiveTarget::create(Form::Layout, path, name.as_deref())?)
            }
            Place::DockerArchive(path, name) => {
                Box::new(ArchiveTarget::create(Form::Docker, path, name.as_deref())?)
            }
            Place::Directory(path) => Box::new(DirectoryTarget::open(path)?),
            Place::Local(name) => {
                return Err(Error::new(Kind::Internal, format!("write {name} as a file")));
            }
        })
    }
}

impl Images {
    /// Opens the place for reading.
    pub(crate) fn open_end(
        &self,
        state: Option<&State>,
        end: &End,
        platform: &Platform,
    ) -> Result<Opened> {
        match &end.place {
            Place::Registry(_) => from_reference(end.client()?, &end.reference()?),
            Place::Local(name) => self.open_local(state, name),
            Place::Layout(path, name) => {
                layout::from_directory(path, end.shared_blobs.as_deref(), name.as_deref(), platform)
            }
            other => self.open_files(other, platform),
        }
    }
}
