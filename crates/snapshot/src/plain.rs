//! The plain driver: every snapshot is a whole tree. It works on every file system, and costs a
//! copy for each container; where the file system can share blocks between files, that is cheap.

use crate::{
    Driver, Layering, Number, Snapshots,
    changes::{self, Change, Untouched},
};
use dhow_base::{
    Doing, Error, Kind, Result,
    file::{self, Durability},
};
use dhow_spec::Mount;
use rustix::io::Errno;
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

    /// A file made when a container's copy was whole.
    fn since(&self, number: Number) -> PathBuf {
        self.directory(number).join("since")
    }
}

/// The one snapshot of a chain; images of drivers that know whole trees have no more.
pub(crate) fn only(chain: &[Number]) -> Result<Option<Number>> {
    match chain {
        [] => Ok(None),
        [only] => Ok(Some(*only)),
        more => Err(Error::new(
            Kind::Invalid,
            format!("stack {} snapshots: this driver knows whole trees only", more.len()),
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
        // The same clock as the inodes' dates it: the file system's own.
        file::write_new(&self.since(number), b"", 0o600, Durability::Cached)?;
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

    fn changes(&self, number: Number, chain: &[Number]) -> Result<Vec<Change>> {
        let doing = || format!("compare snapshot {number} with its image");
        let Some(base) = only(chain)? else {
            return changes::of_new_tree(&self.files(number)).doing(doing);
        };
        let untouched = match rustix::fs::stat(self.since(number)) {
            Ok(stat) => Untouched::Since((stat.st_ctime, stat.st_ctime_nsec)),
            // Made by a dhow that did not write it.
            Err(Errno::NOENT) => Untouched::Unknown,
            Err(errno) => return Err(errno).doing(doing),
        };
        changes::of_tree(&self.files(number), &self.files(base), untouched).doing(doing)
    }
}
