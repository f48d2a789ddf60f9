//! What is kept of a container in `state.json`, how that is read and written, and what it tells
//! together with the kernel.

use super::{Creation, Shelf};
use crate::{Init, Leftovers, container, hooks::Subject};
use dhow_base::{Error, Kind, Result, clock::Moment, file};
use dhow_cgroup::Driver;
use dhow_spec::runtime::{NamespaceKind, Spec, Status};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The record's name in the container's directory.
pub(super) const NAME: &str = "state.json";

/// The longest configuration or record that is read.
pub(super) const LIMIT_BYTES: u64 = 16 << 20;

/// The form of the records that this build writes. It reads all before.
const VERSION: u32 = 1;

/// What the runtime knows of a container.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The record's form.
    #[serde(default)]
    pub version: u32,
    /// The id.
    pub id: String,
    /// The first process; nothing while the container is being created.
    pub init: Option<Init>,
    /// The bundle, absolute.
    pub bundle: PathBuf,
    /// Who made its cgroup.
    #[serde(default)]
    pub driver: Driver,
    /// When it was created, RFC 3339.
    pub created: String,
    /// The configuration that it was created with, whatever the bundle holds by now.
    pub spec: Spec,
}

impl Record {
    /// The record of a container that has no process yet.
    pub(super) fn new(creation: &Creation<'_>, spec: Spec) -> Self {
        Self {
            version: VERSION,
            id: creation.id.to_owned(),
            init: None,
            bundle: creation.bundle.to_owned(),
            driver: creation.driver.clone(),
            created: Moment::now().rfc3339(),
            spec,
        }
    }

    /// The root filesystem, absolute.
    pub fn rootfs(&self) -> PathBuf {
        let path = self.spec.root.as_ref().map_or(Path::new("rootfs"), |root| &root.path);
        self.bundle.join(path)
    }
}

impl Shelf {
    /// The record of a container.
    pub fn record(&self, id: &str) -> Result<Record> {
        let path = self.place(id)?.join(NAME);
        let missing = || Error::new(Kind::NotFound, "container does not exist");
        let bytes = match file::read_limited(&path, LIMIT_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == Kind::NotFound => return Err(missing()),
            Err(error) => return Err(error),
        };
        let record: Record = serde_json::from_slice(&bytes).map_err(|error| {
            Error::new(Kind::Corrupt, format!("parse {}", path.display())).because(error)
        })?;
        if record.version > VERSION {
            let text = format!("read {}: a newer dhow has made it", path.display());
            return Err(Error::new(Kind::Unsupported, text));
        }
        Ok(record)
    }

    pub(super) fn write(&self, record: &Record) -> Result<()> {
        let bytes = serde_json::to_vec(record).map_err(|error| {
            Error::new(Kind::Internal, format!("write the record of {}", record.id)).because(error)
        })?;
        let path = self.place(&record.id)?.join(NAME);
        // Whoever owns the id is the only one who writes here.
        file::replace(&path, &bytes, 0o600)
    }
}

/// Whether the first process's end is the end of all.
pub(super) fn has_own_pids(spec: &Spec) -> bool {
    let linux = spec.linux.as_ref();
    let namespace = linux.and_then(|linux| linux.namespace(NamespaceKind::Pid));
    namespace.is_some_and(|namespace| namespace.path.is_none())
}

/// What the first process and its cgroup tell; a container that waits for its start runs, by that.
pub(super) fn status_of_process(record: &Record) -> Status {
    let Some(init) = record.init else { return Status::Creating };
    if !init.is_alive() {
        return Status::Stopped;
    }
    match container::frozen_cgroup(&record.id, &record.spec, &record.driver) {
        Ok(Some(_frozen)) => Status::Paused,
        _ => Status::Running,
    }
}

pub(super) fn leftovers(record: &Record) -> Leftovers<'_> {
    Leftovers { id: &record.id, spec: &record.spec, driver: &record.driver, bundle: &record.bundle }
}

pub(super) fn subject(record: &Record) -> Subject<'_> {
    Subject { id: &record.id, bundle: &record.bundle, annotations: &record.spec.annotations }
}
