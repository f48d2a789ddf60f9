//! The plain driver: every snapshot is a whole tree. It works on every file system, and costs a
//! copy for each container; where the file system can share blocks between files, that is cheap.

use crate::{Driver, Layering, Number, Snapshots};
use dhow_base::{Error, Kind, Result};
use dhow_spec::Mount;
use std::path::{Path, PathBuf};

/// Snapshots that are copies.
#[derive(Debug)]
pub struct Plain {
    root: PathBuf,
}

impl Plain {
    /// The driver on `root`. Touches nothing.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }
}

/// The one snapshot of a chain; images of this driver have no more.
fn only(chain: &[Number]) -> Result<Option<Number>> {
    match chain {
        [] => Ok(None),
        [only] => Ok(Some(*only)),
        more => Err(Error::new(
            Kind::Invalid,
            format!("stack {} snapshots: the plain driver knows whole trees only", more.len()),
        )),
    }
}

impl Snapshots for Plain {
    fn driver(&self) -> Driver {
        Driver::Plain
    }

    fn root(&self) -> &Path {
        &self.root
    }

    fn layering(&self) -> Layering {
        Layering::Merged
    }

    fn activate(&self, number: Number, chain: &[Number]) -> Result<Mount> {
        self.prepare(number, only(chain)?)?;
        self.active(number, chain)
    }

    fn active(&self, number: Number, _chain: &[Number]) -> Result<Mount> {
        Ok(Mount::Bind { source: self.files(number), read_only: false })
    }

    fn view(&self, chain: &[Number]) -> Result<Mount> {
        let number = only(chain)?.ok_or_else(|| {
            Error::new(Kind::Unsupported, "view an image without layers with the plain driver")
        })?;
        Ok(Mount::Bind { source: self.files(number), read_only: true })
    }
}
