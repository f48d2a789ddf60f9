//! One mount, as data. Nothing here has touched the kernel yet.
//!
//! Snapshots hand mounts out and the runtime performs them, inside the container's own mount
//! namespace; the two sides share this type and nothing else.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A filesystem to mount as a container's root, or below it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Mount {
    /// Layers united by overlayfs.
    Overlay {
        /// Read-only layers, the uppermost first: directories, and files whose names end with
        /// `.erofs`, which hold a file system of that kind.
        lower: Vec<PathBuf>,
        /// The writable layer and its work directory; without it the union is read-only.
        upper: Option<OverlayUpper>,
        /// Whether its notes are in attributes that ordinary users can write. Linux 5.11.
        #[serde(default)]
        userxattr: bool,
    },
    /// A directory used as it is.
    Bind {
        /// The directory.
        source: PathBuf,
        /// Whether writes are refused.
        read_only: bool,
    },
    /// A root that is mounted on the host already, for somebody who looks into it: the same one, as two
    /// unions must not write to one layer. That devices and set-user-id programs count for nothing
    /// is for the looker, and not passed on.
    Attached {
        /// Where it is mounted.
        at: PathBuf,
    },
}

impl Mount {
    /// The same to be looked into only. What an overlay has collected becomes its uppermost layer,
    /// so that it may be looked into while it is also mounted for writing.
    #[must_use]
    pub fn for_reading(self) -> Self {
        match self {
            Self::Overlay { mut lower, upper: Some(upper), userxattr } => {
                lower.insert(0, upper.upper);
                Self::Overlay { lower, upper: None, userxattr }
            }
            Self::Overlay { .. } => self,
            Self::Bind { source, .. } | Self::Attached { at: source } => {
                Self::Bind { source, read_only: true }
            }
        }
    }
}

/// The writable half of an overlay. Both lie on one filesystem, as the kernel demands.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct OverlayUpper {
    /// Where changes go.
    pub upper: PathBuf,
    /// The kernel's scratch directory.
    pub work: PathBuf,
    /// Whether unmounting may leave changes unsynced: right for what is thrown away afterwards. The
    /// kernel then refuses the next mount until `work/incompat` is removed. Linux 5.10.
    #[serde(default)]
    pub volatile: bool,
}
