//! The overlay driver: a container sees its own changes above the layers of its image.
//!
//! Each layer lies in a snapshot of its own, written with overlayfs' whiteouts, so the layers of an
//! image unpack at the same time and every chain that has a layer shares it.

use crate::{
    Driver, Layering, Number, Snapshots, attributes,
    changes::{self, Change},
    layer::{hides_below, within},
    open_directory,
    relocate::relocate,
};
use dhow_base::{Doing, Result};
use dhow_spec::mount::{Mount, OverlayUpper};
use rustix::{fs::Mode, io::Errno};
use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

/// The kernel unites at most 500 layers (`OVL_MAX_STACK`); the rest is room for what a container
/// may add. An image with more is merged into one snapshot.
const CHAIN_LIMIT: usize = 480;

/// Snapshots united by overlayfs.
#[derive(Debug)]
pub struct Overlay {
    root: PathBuf,
}

impl Overlay {
    /// The driver on `root`. Touches nothing.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }
}

impl Snapshots for Overlay {
    fn driver(&self) -> Driver {
        Driver::Overlay
    }

    fn root(&self) -> &Path {
        &self.root
    }

    fn layering(&self) -> Layering {
        Layering::Apart { limit: CHAIN_LIMIT }
    }

    fn activate(&self, number: Number, chain: &[Number]) -> Result<Mount> {
        let upper = self.make(number)?;
        let work = self.directory(number).join("work");
        rustix::fs::mkdir(&work, Mode::from_raw_mode(0o700))
            .doing(|| format!("create directory {}", work.display()))?;
        if let Some(top) = chain.first() {
            // The root of the union has the attributes of the uppermost directory, which is ours.
            attributes::copy_directory(open_directory(&self.files(*top))?, open_directory(&upper)?)
                .doing(|| format!("make the root of snapshot {number} as {top} has it"))?;
        }
        self.active(number, chain)
    }

    fn active(&self, number: Number, chain: &[Number]) -> Result<Mount> {
        let upper = self.files(number);
        if chain.is_empty() {
            // Overlayfs wants something below; an image without layers has nothing.
            return Ok(Mount::Bind { source: upper, read_only: false });
        }
        let lower = chain.iter().map(|number| self.files(*number)).collect();
        let work = self.directory(number).join("work");
        Ok(Mount::Overlay { lower, upper: Some(OverlayUpper { upper, work, volatile: false }) })
    }

    fn view(&self, chain: &[Number]) -> Result<Mount> {
        match chain {
            // Overlayfs without a writable part wants at least two layers.
            [only] => Ok(Mount::Bind { source: self.files(*only), read_only: true }),
            _ => {
                let lower = chain.iter().map(|number| self.files(*number)).collect();
                Ok(Mount::Overlay { lower, upper: None })
            }
        }
    }

    fn changes(&self, number: Number, chain: &[Number]) -> Result<Vec<Change>> {
        let chain: Vec<PathBuf> = chain.iter().map(|number| self.files(*number)).collect();
        changes::of_overlay(&self.files(number), &chain)
            .doing(|| format!("compare snapshot {number} with its image"))
    }
}

/// Gives directories that a layer implies without listing them the attributes that the union below
/// shows, as if they had been copied up; where it shows a link, what is in them goes behind it.
pub(crate) fn inherit(files: &Path, paths: &[PathBuf], chain: &[PathBuf]) -> Result<()> {
    let own = open_directory(files)?;
    let chain: Vec<OwnedFd> =
        chain.iter().map(|path| open_directory(path)).collect::<Result<_>>()?;
    for path in &relocate(&own, &chain, paths)? {
        let Some(model) = visible(&chain, path)? else { continue };
        let directory =
            within(&own, path).doing(|| format!("open {} in the layer", path.display()))?;
        attributes::copy_directory(model, directory)
            .doing(|| format!("inherit the attributes of {}", path.display()))?;
    }
    Ok(())
}

/// The directory at `path` that the union of `chain` shows, if it shows one.
fn visible(chain: &[OwnedFd], path: &Path) -> Result<Option<OwnedFd>> {
    for layer in chain {
        match within(layer, path) {
            Ok(directory) => return Ok(Some(directory)),
            Err(Errno::NOENT) => {
                if hides_below(layer, path)? {
                    return Ok(None);
                }
            }
            // A whiteout, a link or a file lies in the way and hides what is below it.
            Err(Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            Err(errno) => return Err(errno).doing(|| format!("look for {}", path.display())),
        }
    }
    Ok(None)
}
