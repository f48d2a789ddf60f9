//! What an image may ask for before it is refused, as settings by name.
//!
//! Every limit has a default that admits every image known to the field; who trusts an image that
//! needs more raises the one that its refusal names.

use crate::plan::Plan;
use dhow_archive::{DecodeLimits, Limits, Pool, exceeded};
use dhow_base::Result;
use std::sync::Arc;

/// What each layer may have of memory, however many are worked on: the window that zstd asks for up
/// to its level 19, and a little.
const SHARE_BYTES: u64 = 17 << 19;
/// With the share, this is a window of 32 MiB. What three layers have together then stays below the
/// 64 MiB and 8 MiB a processor that no pull exceeds, with the 24 MiB that an ordinary one takes.
const LARGE_BYTES: u64 = 24 << 20;

/// The limits of images that are unpacked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bounds {
    pub(crate) archive: Limits,
    pub(crate) decoding: DecodeLimits,
    /// Bytes of memory that one layer at a time may have beyond its share.
    large_bytes: u64,
    /// Layers of an image.
    layers: usize,
    /// Bytes of a file that is read from an address.
    pub(crate) download_bytes: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            archive: Limits::default(),
            decoding: DecodeLimits::default(),
            large_bytes: LARGE_BYTES,
            layers: 1000,
            // More than any root file system that is worth a name; an endless answer ends here.
            download_bytes: 256 << 30,
        }
    }
}

/// A limit by its name: what it bounds, and how it is changed.
struct Bound {
    name: &'static str,
    about: &'static str,
    set: fn(&mut Bounds, u64),
}

const BOUNDS: [Bound; 15] = [
    Bound {
        name: "entries",
        about: "headers in a layer",
        set: |bounds, value| bounds.archive.entries = value,
    },
    Bound {
        name: "unpacked",
        about: "bytes of all files of a layer",
        set: |bounds, value| bounds.archive.unpacked_bytes = value,
    },
    Bound {
        name: "file",
        about: "bytes of one file, with its holes",
        set: |bounds, value| bounds.archive.file_bytes = value,
    },
    Bound {
        name: "path",
        about: "bytes of a path",
        set: |bounds, value| bounds.archive.path_bytes = length(value),
    },
    Bound {
        name: "component",
        about: "bytes of one component of a path",
        set: |bounds, value| bounds.archive.component_bytes = length(value),
    },
    Bound {
        name: "depth",
        about: "components of a path",
        set: |bounds, value| bounds.archive.depth = length(value),
    },
    Bound {
        name: "header",
        about: "bytes of an extended header",
        set: |bounds, value| bounds.archive.pax_bytes = value,
    },
    Bound {
        name: "xattr",
        about: "bytes of an extended attribute",
        set: |bounds, value| bounds.archive.xattr_bytes = length(value),
    },
    Bound {
        name: "regions",
        about: "regions of a sparse file",
        set: |bounds, value| bounds.archive.sparse_extents = length(value),
    },
    Bound {
        name: "ratio",
        about: "bytes that one compressed byte may become",
        set: |bounds, value| bounds.decoding.ratio = value,
    },
    Bound {
        name: "ratio-from",
        about: "bytes of a layer before its ratio counts",
        set: |bounds, value| bounds.decoding.ratio_from_bytes = value,
    },
    Bound {
        name: "memory",
        about: "bytes of memory for a layer: the window of zstd, maps of sparse files, paths",
        set: |bounds, value| {
            bounds.decoding.memory_bytes = value;
            bounds.large_bytes = value.saturating_sub(SHARE_BYTES);
        },
    },
    Bound {
        name: "remembered",
        about: "bytes of the paths that are remembered while a layer is unpacked",
        set: |bounds, value| bounds.archive.remembered_bytes = length(value),
    },
    Bound {
        name: "layers",
        about: "layers of an image",
        set: |bounds, value| bounds.layers = length(value),
    },
    Bound {
        name: "download",
        about: "bytes of a file that is imported from an address",
        set: |bounds, value| bounds.download_bytes = value,
    },
];

/// No more than can be counted here.
fn length(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

impl Bounds {
    /// The names of all limits, and what each bounds.
    pub fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
        BOUNDS.iter().map(|bound| (bound.name, bound.about))
    }

    /// Changes the limit of this name; tells whether there is one.
    pub fn set(&mut self, name: &str, value: u64) -> bool {
        let found = BOUNDS.iter().find(|bound| bound.name == name);
        if let Some(bound) = found {
            (bound.set)(self, value);
        }
        found.is_some()
    }

    /// The memory of the layers of one image.
    pub(crate) fn pool(&self) -> Arc<Pool> {
        Pool::new(SHARE_BYTES, self.large_bytes)
    }

    /// The limits of one layer, with its part of that memory.
    pub(crate) fn of_layer(&self, pool: &Arc<Pool>) -> (DecodeLimits, Limits) {
        let allowance = pool.part();
        let decoding = DecodeLimits { allowance: allowance.clone(), ..self.decoding.clone() };
        (decoding, Limits { allowance, ..self.archive.clone() })
    }

    /// Refuses an image that has too many layers.
    pub(crate) fn check(&self, plan: &Plan) -> Result<()> {
        self.check_layers(plan.layers.len())
    }

    /// The same of an image that is not known better than by their number.
    pub(crate) fn check_layers(&self, count: usize) -> Result<()> {
        if count <= self.layers {
            return Ok(());
        }
        Err(exceeded(format!("the image has {count} layers"), "layers", self.layers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_changes_a_limit_of_its_own() {
        let mut seen = vec![Bounds::default()];

        for (name, _) in Bounds::names() {
            let mut bounds = Bounds::default();
            assert!(bounds.set(name, 7), "{name}");
            assert!(!seen.contains(&bounds), "{name} changes nothing of its own");
            seen.push(bounds);
        }

        assert!(!Bounds::default().set("surely-none", 7));
    }
}
