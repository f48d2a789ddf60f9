//! The client: names in, manifests and blobs out.
//!
//! ```text
//! Client ──resolve(reference)──▶ Resolved { descriptor, bytes, repository }
//!                                                   │
//!                        repository.manifest(digest)│ one of an index's manifests
//!                        repository.blob(descriptor, offset) ──▶ BlobReader: Read + Send
//! ```
//!
//! The calls block, so they belong on ordinary threads; on a thread of an asynchronous runtime they
//! panic (a door calls through its blocking pool). Inside is a small runtime of our own, made at the
//! first call that needs the network and shared by every clone of the client and all it gave out.
//!
//! Here a manifest's bytes are checked against the digest that was asked for. A blob's are not:
//! whoever stores them hashes them on the way, and hashing twice would cost twice. What is checked
//! here of a blob is its length.

use crate::{
    aliases,
    blob::{BlobReader, Transfer},
    config::Config,
    credentials::Keyring,
    fetcher::{Document, Fetcher, Tries},
    reference::{Reference, Typed},
    registries::{Candidates, Endpoint, Registries},
};
use dhow_base::{Digest, Doing, Error, Kind, Result};
use dhow_spec::image::Descriptor;
use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
};
use tokio::runtime::{Builder, Runtime};

/// Threads for the network. They decrypt as well, and two keep up with a fast link.
const WORKERS: usize = 2;

/// Fetches images from registries. Clones share connections and tokens.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    registries: Registries,
    short_name_aliases: Option<PathBuf>,
    fetcher: Arc<Fetcher>,
    engine: OnceLock<Arc<Engine>>,
}

/// The runtime, until its last user is gone.
#[derive(Debug)]
pub(crate) struct Engine {
    runtime: Option<Runtime>,
}

impl Engine {
    fn start() -> Result<Self> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(WORKERS).thread_name("dhow-network").enable_all();
        let runtime = builder.build().doing(|| "start the network's threads")?;
        Ok(Self { runtime: Some(runtime) })
    }

    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.as_ref().expect("the runtime is there until drop").block_on(work)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Waiting for the threads could block, and would panic on a thread of another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    fn engine(&self) -> Result<Arc<Engine>> {
        if let Some(engine) = self.engine.get() {
            return Ok(Arc::clone(engine));
        }
        let engine = Arc::new(Engine::start()?);
        Ok(Arc::clone(self.engine.get_or_init(|| engine)))
    }
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
///
/// What is changed is changed at the registry itself, never at a mirror (see `destination.rs`).
#[derive(Clone, Debug)]
pub struct Repository {
    shared: Arc<Shared>,
    endpoints: Vec<Endpoint>,
}

impl Client {
    /// Reads registries.conf and makes a client. No connection is made and no thread started yet.
    pub fn new(config: &Config) -> Result<Self> {
        let registries = Registries::load(config)?;
        let keyring = Keyring::new(config.auth_files.clone());
        let keyring = keyring.with_helpers(registries.credential_helpers.clone());
        let fetcher = Arc::new(Fetcher::new(config, keyring));
        let short_name_aliases = config.short_name_aliases.clone();
        let shared = Shared { registries, short_name_aliases, fetcher, engine: OnceLock::new() };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The complete names that `text` may stand for, the first choice first.
    pub fn candidates(&self, text: &str) -> Result<Candidates> {
        self.shared.registries.candidates(text)
    }

    /// The complete names to try for `text`, one after the other, where nobody can be asked.
    pub fn expand(&self, text: &str) -> Result<Vec<Reference>> {
        self.shared.registries.expand(text)
    }

    /// From now on a short name stands for this one image, for other tools too.
    pub fn remember_choice(&self, short: &str, chosen: &Reference) -> Result<()> {
        let Some(path) = &self.shared.short_name_aliases else { return Ok(()) };
        // A tag or digest belongs to this once, and no alias has one.
        let typed = Typed::parse(short)?;
        aliases::remember(path, &typed.path, &chosen.name())
    }

    /// Fetches the manifest or index that `reference` names now.
    pub fn resolve(&self, reference: &Reference) -> Result<Resolved> {
        let mut repository = self.repository(reference)?;
        let (place, document) = repository
            .first_document(reference.identifier(), reference.digest())
            .doing(|| format!("find {reference}"))?;
        // Whoever has the manifest most likely has the blobs.
        repository.endpoints[..=place].rotate_right(1);
        let Document { descriptor, bytes } = document;
        Ok(Resolved { reference: reference.clone(), descriptor, bytes, repository })
    }

    /// The places of a repository without asking any of them, as resuming a pull needs it.
    pub fn repository(&self, reference: &Reference) -> Result<Repository> {
        let endpoints = self.shared.registries.endpoints(reference)?;
        Ok(Repository { shared: Arc::clone(&self.shared), endpoints })
    }

    /// The repository as a place to change things in: the registry itself, without its mirrors.
    pub fn destination(&self, reference: &Reference) -> Result<Repository> {
        let mut repository = self.repository(reference)?;
        repository.endpoints.retain(|endpoint| !endpoint.mirror);
        Ok(repository)
    }

    pub(crate) fn fetcher(&self) -> &Fetcher {
        &self.shared.fetcher
    }

    pub(crate) fn engine(&self) -> Result<Arc<Engine>> {
        self.shared.engine()
    }

    /// What happened that the user may want to know, each thing once; to be asked after the work.
    pub fn take_notices(&self) -> Vec<String> {
        self.shared.fetcher.sessions.take_notices()
    }
}

impl Repository {
    /// The places, the one that is asked first in front.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Fetches a manifest or index by digest.
    pub fn manifest(&self, digest: &Digest) -> Result<Manifest> {
        let (_, Document { descriptor, bytes }) = self
            .first_document(digest.as_str(), Some(digest))
            .doing(|| format!("find {}@{digest}", self.name()))?;
        Ok(Manifest { descriptor, bytes })
    }

    /// Opens a blob, from `offset` on. The reader gives exactly `descriptor.size - offset` bytes
    /// or an error.
    pub fn blob(&self, descriptor: &Descriptor, offset: u64) -> Result<BlobReader> {
        let engine = self.shared.engine()?;
        let (fetcher, endpoints) = (Arc::clone(&self.shared.fetcher), self.endpoints.clone());
        let keeper = Arc::clone(&engine);
        engine
            .block_on(Transfer::begin(fetcher, endpoints, descriptor, offset, keeper))
            .doing(|| format!("fetch blob {} of {}", descriptor.digest, self.name()))
    }

    /// The registry itself.
    pub(crate) fn origin(&self) -> Result<&Endpoint> {
        let own = self.endpoints.iter().find(|endpoint| !endpoint.mirror);
        own.ok_or_else(|| Error::new(Kind::Internal, "the repository has no place of its own"))
    }

    pub(crate) fn fetcher(&self) -> &Fetcher {
        &self.shared.fetcher
    }

    pub(crate) fn engine(&self) -> Result<Arc<Engine>> {
        self.shared.engine()
    }

    fn name(&self) -> String {
        self.endpoints.first().map(Endpoint::name).unwrap_or_default()
    }

    fn first_document(
        &self,
        identifier: &str,
        wanted: Option<&Digest>,
    ) -> Result<(usize, Document)> {
        let fetcher = &self.shared.fetcher;
        self.first_answer(async |endpoint, tries| {
            fetcher.manifest(endpoint, identifier, wanted, tries).await
        })
    }

    /// The first answer of the places, and the number of the place that gave it. Where none has
    /// one, the registry's own error counts, which is the last.
    pub(crate) fn first_answer<T>(
        &self,
        mut ask: impl AsyncFnMut(&Endpoint, Tries) -> Result<T>,
    ) -> Result<(usize, T)> {
        let engine = self.shared.engine()?;
        let fetcher = &self.shared.fetcher;
        let mut failed: Option<Error> = None;
        for (place, endpoint) in self.endpoints.iter().enumerate() {
            // The next place is better than waiting for this one.
            let is_last = place + 1 == self.endpoints.len();
            let tries = if is_last { Tries::new } else { Tries::one }(&fetcher.patience);
            match engine.block_on(ask(endpoint, tries)) {
                Ok(answer) => return Ok((place, answer)),
                Err(error) => failed = Some(after_mirror(error, failed.take())),
            }
        }
        Err(failed.unwrap_or_else(|| Error::new(Kind::Internal, "the repository has no place")))
    }
}

/// The registry's own error, with the mirrors' before it in the same line.
fn after_mirror(error: Error, mirror: Option<Error>) -> Error {
    match mirror {
        None => error,
        Some(mirror) => {
            let what = format!("the mirror failed ({}) and the registry too", mirror.one_line());
            Error::new(error.kind(), what).because(error)
        }
    }
}
