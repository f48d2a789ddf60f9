//! Images: from a registry, a directory or an archive to snapshots that a container can stand on.
//!
//! ```text
//! Place ─origin─▶ manifest, config ─plan─▶ rows ─layer─▶ blobs and snapshots ─finish─▶ Image
//!                                             │
//!                        references first, so that nobody removes what is about to be used
//! ```
//!
//! # Rules
//!
//! * An image can be found only when all of it was verified: each blob against the manifest while
//!   it streams, each layer against the configuration while it unpacks.
//! * A process that dies leaves rows that name what it left. [`Images::mend`] undoes what cannot be
//!   used and keeps what a second attempt can go on from.
//! * What is waited for is a file lock, which the kernel releases; and nobody waits for one lock
//!   while holding another of its kind, so there is no deadlock.
//!
//! The crate joins the organs distribution, store, archive and snapshot with the rows of the state
//! database. It starts no containers and prints nothing.

mod artifact;
mod batch;
mod bounds;
mod bundle;
mod commit;
mod convert;
mod copy;
mod create;
mod description;
mod difference;
mod discard;
mod doctor;
mod export;
mod flush;
mod image;
mod import;
mod index;
mod inspect;
mod layer;
mod layout;
mod list;
mod load;
mod mapped_copy;
mod mend;
mod meter;
mod mounted;
mod mtree;
#[cfg(test)]
mod mutations;
mod names;
mod origin;
mod pipe;
mod place;
mod plan;
mod platforms;
mod progress;
mod prune;
mod pull;
mod push;
mod referrers;
mod refetch;
mod remove;
mod repair;
mod root;
mod save;
mod short_name;
mod sync;
mod sync_list;
mod tarfile;
mod tree;
mod trust;
mod usage;
mod workers;

pub use artifact::{AddOptions, Artifact, ArtifactFile, Existing};
pub use bounds::Bounds;
pub use bundle::{Repack, Repacked, Unpacked, repack, unpack};
pub use commit::{Commit, Layers};
pub use convert::{Dialect, Packing};
pub use copy::{Copied, CopyOptions, MultiArch};
pub use create::LocalImage;
pub use description::{Description, LayerData, TagList, Tags, manifest_digest};
pub use dhow_archive::Encoding;
pub use dhow_distribution::{
    Address, Client, Config as Registries, Credentials, Patience, PolicyFile, Reference, Secret,
    TlsVerify, login,
};
pub use dhow_snapshot::{Change, ChangeKind, Driver};
pub use difference::with_directories;
pub use discard::{Discarded, LayerBlobs, Proof};
pub use doctor::{Depth, Finding};
pub use export::export_root;
pub use image::{Image, Outline};
pub use import::{ImportOptions, words};
pub use inspect::{CompleteNames, HistoryEntry};
pub use list::{Annotation, Which};
pub use load::{LoadFrom, Loaded};
pub use mend::Mended;
pub use meter::Meter;
pub use mounted::{Mounted, MountedContainer, Unmount};
pub use names::why_refused;
pub use place::{Place, end::End};
pub use progress::{Event, Phase, Progress, Silent};
pub use prune::PruneOptions;
pub use pull::{Policy, PullOptions};
pub use push::{PushForm, PushTo, Pushed};
pub use refetch::Refetched;
pub use remove::Removed;
pub use save::{SaveForm, SaveOptions, SaveTo};
pub use sync::{SyncFrom, SyncOptions, SyncOutcome, SyncProgress, SyncSide, SyncTo, Synced};
pub use tree::TreeLayer;
pub use usage::{ImageUsage, ImagesUsage};

use dhow_base::Result;
use dhow_snapshot::Snapshots;
use dhow_store::Store;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

/// The images below one root. Holds no rows and no locks; every call is given the state.
#[derive(Debug)]
pub struct Images {
    runroot: PathBuf,
    registries: Registries,
    store: Store,
    scratch: PathBuf,
    snapshots_root: PathBuf,
    storage_driver: Option<Driver>,
    bounds: Bounds,
    layer_blobs: LayerBlobs,
    // Both are made at their first use: a start from a local image needs no registries.conf, and
    // a list of images no driver.
    snapshots: OnceLock<Arc<dyn Snapshots>>,
    client: OnceLock<Client>,
    /// What the user is to be told of files, beside what the client wants them to know.
    notices: Mutex<Vec<String>>,
}

impl Images {
    /// The images below `root`, with locks below `runroot`. Touches nothing yet.
    pub fn open(root: &Path, runroot: &Path, registries: Registries) -> Result<Self> {
        Ok(Self {
            runroot: runroot.to_owned(),
            registries,
            store: Store::new(root.join("content")),
            scratch: root.join("content/ingest"),
            snapshots_root: root.join("snapshots"),
            storage_driver: None,
            bounds: Bounds::default(),
            layer_blobs: LayerBlobs::default(),
            snapshots: OnceLock::new(),
            client: OnceLock::new(),
            notices: Mutex::default(),
        })
    }

    /// The same images with another place for what is spooled while it is converted. Files there
    /// have no names.
    #[must_use]
    pub fn with_scratch(self, scratch: PathBuf) -> Self {
        Self { scratch, ..self }
    }

    /// The same with this driver for snapshots, and no other.
    #[must_use]
    pub fn stored_by(mut self, driver: Option<Driver>) -> Self {
        self.storage_driver = driver;
        self
    }

    /// The same with other limits for layers.
    #[must_use]
    pub fn within(self, bounds: Bounds) -> Self {
        Self { bounds, ..self }
    }

    /// The same with this done to the blobs of layers that were unpacked.
    #[must_use]
    pub fn with_layer_blobs(self, layer_blobs: LayerBlobs) -> Self {
        Self { layer_blobs, ..self }
    }

    /// The content store, for those who push and save.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// How snapshots are kept.
    pub fn driver(&self) -> Result<Driver> {
        Ok(self.snapshots()?.driver())
    }

    /// What the user is to know of where an image came from, each thing once; to be asked after a pull.
    pub fn take_notices(&self) -> Vec<String> {
        let own = &mut *self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        let mut notices = std::mem::take(own);
        notices.extend(self.client.get().map(Client::take_notices).unwrap_or_default());
        notices
    }

    /// Notes something that the user is to know.
    pub(crate) fn note(&self, notice: String) {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).push(notice);
    }

    /// How registries are reached where a command says nothing else.
    pub(crate) fn registries(&self) -> &Registries {
        &self.registries
    }

    fn snapshots(&self) -> Result<&Arc<dyn Snapshots>> {
        if let Some(snapshots) = self.snapshots.get() {
            return Ok(snapshots);
        }
        let opened = Arc::from(dhow_snapshot::open(&self.snapshots_root, self.storage_driver)?);
        Ok(self.snapshots.get_or_init(|| opened))
    }

    fn client(&self) -> Result<&Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = Client::new(&self.registries)?;
        Ok(self.client.get_or_init(|| client))
    }
}
