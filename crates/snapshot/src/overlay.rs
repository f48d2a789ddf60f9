//! The overlay drivers: a container sees its own changes above the layers of its image.
//!
//! Each layer lies in a snapshot of its own, written with overlayfs' whiteouts, so the layers of an
//! image unpack at the same time and every chain that has a layer shares it. There are three forms:
//!
//! * of root: overlayfs keeps its notes in `trusted.overlay.…`;
//! * of ordinary users, in a user namespace: in `user.overlay.…` (Linux 5.11);
//! * of images: a layer that is whole becomes one file, an EROFS, which is mounted where it is needed
//!   and nowhere else. It is read-only by its nature, and goes with one call.

use crate::{
    Driver, Layering, Notes, Number, Owners, Snapshots, attributes,
    changes::{self, Change},
    copy, erofs_image,
    layer::{hides_below, within},
    open_directory,
    relocate::relocate,
};
use dhow_base::{Doing, Error, Kind, Result, file, tree};
use dhow_spec::mount::{Mount, OverlayUpper};
use dhow_sys::union;
use rustix::{fs::Mode, io::Errno};
use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

/// The kernel unites at most 500 layers, and an older one fewer; the rest is room for what a
/// container may add. An image with more is merged into one snapshot.
const CHAIN_LIMIT: usize = 480;

/// The name of a layer that has become an image. By its ending a mount knows it.
const IMAGE: &str = "layer.erofs";

/// In which form layers lie.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    Root,
    User,
    Images,
}

/// Snapshots united by overlayfs.
#[derive(Debug)]
pub struct Overlay {
    root: PathBuf,
    form: Form,
}

impl Overlay {
    /// The driver on `root`. Touches nothing.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), form: Form::Root }
    }

    /// The same for an ordinary user, who is root in a user namespace.
    pub fn of_user(root: &Path) -> Self {
        Self { root: root.to_owned(), form: Form::User }
    }

    /// The same with layers as images of EROFS.
    pub fn of_images(root: &Path) -> Self {
        Self { root: root.to_owned(), form: Form::Images }
    }

    /// What a mount has of a layer: its image, or its directory as long as it is none.
    fn layer(&self, number: Number) -> PathBuf {
        if self.form == Form::Images {
            let image = self.directory(number).join(IMAGE);
            if image.exists() {
                return image;
            }
        }
        self.files(number)
    }

    fn layers(&self, chain: &[Number]) -> Vec<PathBuf> {
        chain.iter().map(|number| self.layer(*number)).collect()
    }

    /// The root directory of a layer.
    fn open(&self, number: Number) -> Result<OwnedFd> {
        let layer = self.layer(number);
        if layer.ends_with(IMAGE) {
            union::erofs(&layer)
                .map_err(std::io::Error::from)
                .doing(|| format!("open snapshot {number}"))
        } else {
            open_directory(&layer)
        }
    }

    fn open_all(&self, chain: &[Number]) -> Result<Vec<OwnedFd>> {
        chain.iter().map(|number| self.open(*number)).collect()
    }

    fn union(&self, lower: Vec<PathBuf>, upper: Option<OverlayUpper>) -> Mount {
        Mount::Overlay { lower, upper, userxattr: self.form == Form::User }
    }

    /// Where overlayfs works.
    fn work(&self, number: Number) -> PathBuf {
        self.directory(number).join("work")
    }

    fn make_work(&self, number: Number) -> Result<()> {
        let work = self.work(number);
        match rustix::fs::mkdir(&work, Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(errno).doing(|| format!("create directory {}", work.display())),
        }
    }

    /// How a container's snapshot is mounted.
    fn writable(&self, number: Number, chain: &[Number]) -> Mount {
        let upper = self.files(number);
        if chain.is_empty() {
            // Overlayfs wants something below; an image without layers has nothing.
            return Mount::Bind { source: upper, read_only: false };
        }
        let work = self.work(number);
        self.union(self.layers(chain), Some(OverlayUpper { upper, work, volatile: false }))
    }

    /// Makes an image of the layer in its place.
    fn make_image(&self, number: Number) -> Result<()> {
        let directory = self.directory(number);
        let (unfinished, whole) = (directory.join("unfinished"), directory.join(IMAGE));
        let image = file::create_new(&unfinished, 0o600)?;
        erofs_image::write(&open_directory(&self.files(number))?, &image)?;
        rustix::fs::rename(&unfinished, &whole)
            .doing(|| format!("rename {} to {IMAGE}", unfinished.display()))?;
        tree::remove(&self.files(number))
    }
}

impl Snapshots for Overlay {
    fn driver(&self) -> Driver {
        match self.form {
            Form::Root => Driver::Overlay,
            Form::User => Driver::UserOverlay,
            Form::Images => Driver::Erofs,
        }
    }

    fn root(&self) -> &Path {
        &self.root
    }

    fn layering(&self) -> Layering {
        let notes = if self.form == Form::User { Notes::User } else { Notes::Trusted };
        Layering::Apart { limit: CHAIN_LIMIT.min(union::most_layers()), notes }
    }

    fn prepare(&self, number: Number, base: Option<Number>) -> Result<PathBuf> {
        let files = self.make_apart(number)?;
        if let Some(base) = base {
            copy::copy(self.open(base)?, &files, Owners::Kept)
                .doing(|| format!("copy snapshot {base} to {number}"))?;
        }
        Ok(files)
    }

    fn seal(&self, number: Number) -> Result<()> {
        match self.form {
            Form::Root | Form::User => Ok(()),
            Form::Images => {
                self.make_image(number).doing(|| format!("make an image of snapshot {number}"))
            }
        }
    }

    fn is_there(&self, number: Number) -> bool {
        self.layer(number).exists()
    }

    fn activate(&self, number: Number, chain: &[Number]) -> Result<Mount> {
        drop(self.reserve(number, chain)?);
        self.active(number, chain)
    }

    /// Overlayfs' directory to work in is made for the first mount. An ordinary user's is made here, for
    /// whom a mount may have other rights to the disk than a creation.
    fn reserve(&self, number: Number, chain: &[Number]) -> Result<Mount> {
        let upper = self.make(number)?;
        if self.form == Form::User {
            self.make_work(number)?;
        }
        if let Some(top) = chain.first() {
            // The root of the union has the attributes of the uppermost directory, which is ours.
            attributes::copy_directory(self.open(*top)?, open_directory(&upper)?)
                .doing(|| format!("make the root of snapshot {number} as {top} has it"))?;
        }
        Ok(self.writable(number, chain))
    }

    fn active(&self, number: Number, chain: &[Number]) -> Result<Mount> {
        if !chain.is_empty() {
            self.make_work(number)?;
        }
        Ok(self.writable(number, chain))
    }

    fn view(&self, chain: &[Number]) -> Result<Mount> {
        let lower = self.layers(chain);
        match &lower[..] {
            // Overlayfs without a writable part wants at least two layers.
            [only] if !only.ends_with(IMAGE) => {
                Ok(Mount::Bind { source: only.clone(), read_only: true })
            }
            _ => Ok(self.union(lower, None)),
        }
    }

    fn changes(&self, number: Number, chain: &[Number]) -> Result<Vec<Change>> {
        changes::of_overlay(&self.open(number)?, &self.open_all(chain)?)
            .doing(|| format!("compare snapshot {number} with its image"))
    }

    fn inherit(&self, number: Number, paths: &[PathBuf], below: &[Number]) -> Result<()> {
        inherit(&self.files(number), paths, &self.open_all(below)?)
            .doing(|| format!("complete snapshot {number}"))
    }
}

/// Tries whether images can be mounted and united here.
pub(crate) fn check_images(root: &Path) -> Result<()> {
    if crate::probe::works(root, Driver::Erofs)? {
        return Ok(());
    }
    let what = format!("use the storage driver erofs on {}", root.display());
    Err(Error::new(Kind::Unsupported, what)
        .hint("it needs root and Linux 6.13 with EROFS; overlay and plain work on older ones"))
}

/// Gives directories that a layer implies without listing them the attributes that the union below
/// shows, as if they had been copied up; where it shows a link, what is in them goes behind it.
fn inherit(files: &Path, paths: &[PathBuf], chain: &[OwnedFd]) -> Result<()> {
    let own = open_directory(files)?;
    for path in &relocate(&own, chain, paths)? {
        let Some(model) = visible(chain, path)? else { continue };
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
