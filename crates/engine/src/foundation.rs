//! What a container stands on: an image, or a directory of the host's (`--rootfs`).
//!
//! ```text
//!   image                ─▶ its layers, and a snapshot of the container's own above them
//!   directory            ─▶ that directory, which the container changes
//!   directory, `:O`      ─▶ the directory below, and above it one that goes with the container
//! ```
//!
//! A directory has no configuration, no id and no history: the user says what runs, and there is nothing
//! that the container could be compared with or committed onto. It is looked up anew at each start, as
//! the source of a mount is.

use crate::{layout::Layout, record::Record};
use dhow_base::{Digest, Doing, Error, Kind, Result, file, id::ContainerId};
use dhow_image::{Image, Images};
use dhow_snapshot::Driver;
use dhow_spec::{
    Mount,
    image::{ExecutionConfig, ImageConfig, Platform, RootFs},
    mount::OverlayUpper,
};
use dhow_state::{State, containers::Container};
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::{os::fd::OwnedFd, path::PathBuf};

/// A directory of the host's that is a root.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct RootDirectory {
    /// Where it is, absolute.
    pub path: PathBuf,
    /// Whether changes are kept apart and go with the container: podman's `:O`.
    pub is_below: bool,
}

impl RootDirectory {
    /// How to mount it for a container that is there.
    fn mount(&self, images: &Images, layout: &Layout, id: &ContainerId) -> Result<Mount> {
        if !self.is_below {
            return Ok(Mount::Bind { source: self.path.clone(), read_only: false });
        }
        let own = layout.own_root(id);
        let (upper, work) = (own.join("fs"), own.join("work"));
        Ok(Mount::Overlay {
            lower: vec![self.path.clone()],
            upper: Some(OverlayUpper { upper, work, volatile: false }),
            userxattr: images.driver()? == Driver::UserOverlay,
        })
    }

    fn check(&self) -> Result<()> {
        let doing = || format!("use {} as the root", self.path.display());
        let status = rustix::fs::stat(&self.path).doing(doing)?;
        let kind = rustix::fs::FileType::from_raw_mode(status.st_mode);
        if kind == rustix::fs::FileType::Directory {
            return Ok(());
        }
        let text = format!("{}: it is no directory", doing());
        Err(Error::new(Kind::Invalid, text).hint("`dhow import` makes an image of a tar file"))
    }
}

/// What a container that is being made stands on.
#[derive(Clone, Debug)]
pub(crate) enum Foundation {
    /// An image that is here.
    Image(Image),
    /// A directory, and a configuration that says nothing.
    Directory(RootDirectory, ImageConfig),
}

impl Foundation {
    /// A directory that is there.
    pub(crate) fn directory(directory: &RootDirectory) -> Result<Self> {
        directory.check()?;
        let Platform { os, architecture, variant, .. } = Platform::host();
        let config = ImageConfig {
            created: None,
            author: None,
            architecture,
            variant,
            os,
            config: ExecutionConfig::default(),
            rootfs: RootFs { kind: "layers".to_owned(), diff_ids: Vec::new() },
            history: Vec::new(),
        };
        Ok(Self::Directory(directory.clone(), config))
    }

    /// The image, where it is one.
    pub(crate) fn image(&self) -> Option<&Image> {
        match self {
            Self::Image(image) => Some(image),
            Self::Directory(..) => None,
        }
    }

    /// The image's digest.
    pub(crate) fn manifest(&self) -> Option<&Digest> {
        self.image().map(|image| &image.manifest)
    }

    /// What it says of what runs.
    pub(crate) fn config(&self) -> &ImageConfig {
        match self {
            Self::Image(image) => &image.config,
            Self::Directory(_, config) => config,
        }
    }

    /// The same, whose configuration is another.
    pub(crate) fn saying(mut self, says: ExecutionConfig) -> Self {
        match &mut self {
            Self::Image(image) => image.config.config = says,
            Self::Directory(_, config) => config.config = says,
        }
        self
    }

    /// Its files, for reading only.
    pub(crate) fn view(&self) -> Result<Mount> {
        match self {
            Self::Image(image) => image.view(),
            Self::Directory(directory, _) => {
                Ok(Mount::Bind { source: directory.path.clone(), read_only: true })
            }
        }
    }

    /// Its files, to be looked up below this fd and only read.
    ///
    /// A single layer is its directory. Several are united in a mount that nobody else sees, which the
    /// kernel takes its time to let go of when the fd closes: it waits until no processor can be looking
    /// at it, a tenth of a millisecond, and some milliseconds on a busy machine.
    pub(crate) fn look(&self) -> Result<OwnedFd> {
        let doing = || "look into the image";
        match &self.view()? {
            Mount::Bind { source, .. } => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                rustix::fs::open(source, flags, Mode::empty()).doing(doing)
            }
            view => dhow_sys::union::open(view).map_err(std::io::Error::from).doing(doing),
        }
    }
}

/// Makes what a container's root needs where it stands on a directory, and says how to mount it.
pub(crate) fn make(
    directory: &RootDirectory,
    images: &Images,
    layout: &Layout,
    id: &ContainerId,
) -> Result<Mount> {
    let root = directory.mount(images, layout, id)?;
    if let Mount::Overlay { upper: Some(upper), .. } = &root {
        file::make_directories(&upper.upper, 0o755)?;
        file::make_directories(&upper.work, 0o700)?;
    }
    Ok(root)
}

/// How to mount the root of a container that was created earlier.
pub(crate) fn root_of(
    row: &Container,
    images: &Images,
    state: &State,
    layout: &Layout,
) -> Result<Mount> {
    match directory_of(row)? {
        Some(directory) => {
            directory.check()?;
            directory.mount(images, layout, &row.id)
        }
        None => images.container_mount(state, &row.id),
    }
}

/// The directory that is a container's root.
fn directory_of(row: &Container) -> Result<Option<RootDirectory>> {
    // Of an image's, nothing is read.
    match row.image {
        Some(_) => Ok(None),
        None => Ok(Record::parse(&row.settings)?.directory),
    }
}

/// Refuses what only a container of an image has.
pub(crate) fn refuse_directory(row: &Container) -> Result<()> {
    let Some(directory) = directory_of(row)? else { return Ok(()) };
    let why = format!("its root is the directory {}, and no image's", directory.path.display());
    Err(Error::new(Kind::Unsupported, why)
        .hint("`dhow export` writes it as a tar file, which `dhow import` makes an image of"))
}
