//! A repository of a registry, being written.

use super::target::{Content, Role, Target};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_distribution::{Arrival, Client, Reference, Repository};
use dhow_spec::image::Descriptor;
use std::{io::Read, sync::Arc};

/// A repository and the name that is written there.
#[derive(Debug)]
pub(crate) struct RegistryTarget {
    repository: Repository,
    reference: Reference,
}

impl RegistryTarget {
    /// The registry itself; nothing is ever written to a mirror.
    pub(crate) fn open(client: &Client, reference: &Reference) -> Result<Self> {
        let repository = client.destination(reference)?;
        Ok(Self { repository, reference: reference.clone() })
    }
}

impl dhow_distribution::Content for Content {
    fn open(&self, offset: u64) -> Result<Box<dyn Read + Send>> {
        // From the start it can be checked here; what is sent on after a break, and what was checked
        // when it came into our store, the registry checks.
        if offset == 0 && !self.origin.is_verified(&self.descriptor) {
            Ok(Box::new(self.verified()?))
        } else {
            self.from(offset)
        }
    }
}

impl Target for RegistryTarget {
    fn has(&self, blob: &Descriptor) -> Result<bool> {
        match self.repository.has_blob(&blob.digest)? {
            Some(size) if size != blob.size => {
                let what = format!("look for blob {} there: it has {size} bytes", blob.digest);
                Err(Error::new(Kind::Corrupt, format!("{what}, not {}", blob.size)))
            }
            found => Ok(found.is_some()),
        }
    }

    fn put(&self, content: &Content) -> Result<Arrival> {
        let own = &self.reference;
        let from = content
            .known
            .iter()
            .find(|known| known.domain() == own.domain() && known.path() != own.path());
        self.repository.bring(&content.descriptor, Arc::new(content.clone()), from)
    }

    fn put_manifest(&self, descriptor: &Descriptor, bytes: &[u8], role: Role<'_>) -> Result<()> {
        let put = |identifier: &str| {
            self.repository
                .put_manifest(identifier, &descriptor.media_type, bytes)
                .map(drop)
                .doing(|| format!("write manifest {} to {}", descriptor.digest, self.reference))
        };
        let Role::Top(more) = role else { return put(descriptor.digest.as_str()) };
        put(self.reference.identifier())?;
        more.iter().try_for_each(|tag| put(tag))
    }
}
