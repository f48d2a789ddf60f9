//! What is kept of a container in `state.json`, and how that is read and written.

use super::{Creation, Shelf};
use crate::{Init, Leftovers, hooks::Subject};
use dhow_base::{Error, Kind, Result, clock::Moment, file};
use dhow_cgroup::Driver;
use dhow_spec::runtime::Spec;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::path::PathBuf;

/// The record's name in the container's directory.
pub(super) const NAME: &str = "state.json";

/// The longest configuration or record that is read.
pub(super) const LIMIT_BYTES: u64 = 16 << 20;

/// The form of the records that this build writes. It reads all before.
const VERSION: u32 = 1;

/// What the runtime knows of a container, with all or some of its configuration.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record<S = Spec> {
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
    pub spec: S,
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
}

impl Record {
    /// The record of a container that somebody else keeps.
    pub fn of_running(creation: &Creation<'_>, init: Init, spec: Spec) -> Self {
        Self { init: Some(init), ..Self::new(creation, spec) }
    }
}

impl Shelf {
    /// The record of a container.
    pub fn record(&self, id: &str) -> Result<Record> {
        self.read(id)
    }

    /// Reads a record with as much of its configuration as `S` takes.
    pub(super) fn read<S: DeserializeOwned>(&self, id: &str) -> Result<Record<S>> {
        let path = self.place(id)?.join(NAME);
        let missing = || Error::new(Kind::NotFound, "container does not exist");
        let bytes = match file::read_limited(&path, LIMIT_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == Kind::NotFound => return Err(missing()),
            Err(error) => return Err(error),
        };
        let record: Record<S> = serde_json::from_slice(&bytes).map_err(|error| {
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

pub(super) fn leftovers(record: &Record) -> Leftovers<'_> {
    Leftovers { id: &record.id, spec: &record.spec, driver: &record.driver, bundle: &record.bundle }
}

pub(super) fn subject(record: &Record) -> Subject<'_> {
    Subject { id: &record.id, bundle: &record.bundle, annotations: &record.spec.annotations }
}
