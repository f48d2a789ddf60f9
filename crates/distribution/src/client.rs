//! The client: names in, manifests and blobs out.
//!
//! ```text
//! Client ──resolve(reference)──▶ Resolved { descriptor, bytes, repository }
//!                                                   │
//!                        repository.manifest(digest)│ one of an index's manifests
//!                        repository.blob(descriptor, offset) ──▶ BlobReader: Read + Send
//! ```
//!
//! The calls block. Inside is a small asynchronous runtime, made at the first call that needs the
//! network and shared by every clone of the client and everything it gave out.
//!
//! Here a manifest's bytes are checked against the digest that was asked for. A blob's are not:
//! whoever stores them hashes them on the way, and hashing twice would cost twice. What is checked
//! here of a blob is its length.

use crate::{
    blob::BlobReader,
    config::Config,
    reference::Reference,
    registries::{Endpoint, Registries},
};
use dhow_base::{Digest, Error, Kind, Result};
use dhow_spec::image::Descriptor;
use std::sync::Arc;

/// Fetches images from registries. Clones share connections and tokens.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    registries: Registries,
}

/// What a reference led to.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The reference that was resolved.
    pub reference: Reference,
    /// Media type, digest and size of the manifest or index.
    pub descriptor: Descriptor,
    /// Its bytes, exactly as the registry gave them; they have the descriptor's digest.
    pub bytes: Vec<u8>,
    /// Where it came from and where its blobs are.
    pub repository: Repository,
}

/// A manifest or index by digest.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Media type, digest and size.
    pub descriptor: Descriptor,
    /// Its bytes, exactly as the registry gave them; they have the descriptor's digest.
    pub bytes: Vec<u8>,
}

/// A repository at the places that have it: the one that answered first, then the others.
#[derive(Clone, Debug)]
pub struct Repository {
    shared: Arc<Shared>,
    endpoints: Vec<Endpoint>,
}

impl Client {
    /// Reads registries.conf and makes a client. No connection is made and no thread started yet.
    pub fn new(config: Config) -> Result<Self> {
        Ok(Self { shared: Arc::new(Shared { registries: Registries::load(&config)? }) })
    }

    /// The complete names that `text` may stand for, the first choice first.
    pub fn expand(&self, text: &str) -> Result<Vec<Reference>> {
        self.shared.registries.expand(text)
    }

    /// Fetches the manifest or index that `reference` names now.
    pub fn resolve(&self, reference: &Reference) -> Result<Resolved> {
        Err(unconnected(&reference.to_string()))
    }

    /// The places of a repository without asking any of them, as resuming a pull needs it.
    pub fn repository(&self, reference: &Reference) -> Result<Repository> {
        let endpoints = self.shared.registries.endpoints(reference)?;
        Ok(Repository { shared: Arc::clone(&self.shared), endpoints })
    }
}

impl Repository {
    /// The place that is asked first.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoints[0]
    }

    /// Fetches a manifest or index by digest.
    pub fn manifest(&self, digest: &Digest) -> Result<Manifest> {
        Err(unconnected(digest.as_str()))
    }

    /// Opens a blob, from `offset` on. The reader gives exactly `descriptor.size - offset` bytes
    /// or an error.
    pub fn blob(&self, descriptor: &Descriptor, offset: u64) -> Result<BlobReader> {
        Err(unconnected(&format!("{} from {offset}", descriptor.digest)))
    }
}

fn unconnected(what: &str) -> Error {
    Error::new(Kind::Unsupported, format!("fetch {what}: the transport is not connected yet"))
}
