//! The root of a chain, to be compared: a directory, or a union that nobody else sees and that goes
//! with this value.

use dhow_base::{Doing, Result};
use dhow_spec::Mount;
use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

/// A root that can be read.
#[derive(Debug)]
pub(crate) struct View {
    path: PathBuf,
    _union: Option<OwnedFd>,
}

impl View {
    /// Makes what a driver's `view` describes.
    pub(crate) fn open(mount: &Mount) -> Result<Self> {
        if let Mount::Bind { source, .. } = mount {
            return Ok(Self { path: source.clone(), _union: None });
        }
        let union =
            dhow_sys::union::open(mount).map_err(io::Error::from).doing(|| "unite the layers")?;
        // With the dot, the name is that of a directory and not of a link.
        let path = PathBuf::from(format!("/proc/self/fd/{}/.", union.as_raw_fd()));
        Ok(Self { path, _union: Some(union) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}
