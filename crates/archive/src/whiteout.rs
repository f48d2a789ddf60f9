//! Whiteouts: how a layer says that something below it is gone.
//!
//! `.wh.name` removes `name`, `.wh..wh..opq` hides everything that lower layers have in its
//! directory (OCI image specification 1.1.1, layer, "Whiteouts"). Neither touches what the same
//! layer brings, in whatever order.

use crate::path::{ArchivePath, split};
use dhow_base::{Error, Kind, Result};

pub(crate) const PREFIX: &[u8] = b".wh.";
pub(crate) const OPAQUE: &[u8] = b".wh..wh..opq";
/// The value that makes a directory opaque to overlayfs.
pub(crate) const OPAQUE_VALUE: &[u8] = b"y";
/// Attributes in which overlayfs keeps its own records, as root and as an ordinary user: from a
/// stranger, they could point a layer's file at any other (`redirect`) or hide one.
pub(crate) const OVERLAY_XATTRS: [&[u8]; 2] = [b"trusted.overlay.", b"user.overlay."];

/// AUFS kept its own records under these names; no one else gives them a meaning.
const AUFS_PREFIX: &[u8] = b".wh..wh.";

/// What becomes of whiteouts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Whiteouts {
    /// The directory is one layer for overlayfs: whiteouts become character devices 0:0, opaque
    /// directories get `trusted.overlay.opaque`.
    Overlay,
    /// The same for the overlay of an ordinary user, in a user namespace: opaque directories get
    /// `user.overlay.opaque`. What such a user may not make is left out, as docker and podman leave
    /// it out: devices, and attributes that belong to root of the machine.
    UserOverlay,
    /// The directory is the whole tree up to here: what a whiteout names is deleted.
    Apply,
    /// The archive is no layer: such a name is a name like any other.
    Literal,
}

impl Whiteouts {
    /// Is the directory one layer, and not the whole tree?
    pub(crate) fn is_apart(self) -> bool {
        !matches!(self, Self::Apply | Self::Literal)
    }

    /// The attribute that makes a directory opaque to overlayfs.
    pub(crate) fn opaque_xattr(self) -> &'static str {
        if self == Self::UserOverlay { "user.overlay.opaque" } else { "trusted.overlay.opaque" }
    }

    /// May an attribute of this name be made here?
    pub(crate) fn may_have(self, xattr: &[u8]) -> bool {
        let is_roots = xattr.starts_with(b"trusted.")
            || (xattr.starts_with(b"security.") && xattr != b"security.capability");
        self != Self::UserOverlay || !is_roots
    }
}

/// What an entry's name asks for.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Whiteout<'p> {
    /// Nothing: it is a usual entry.
    None,
    /// An AUFS record, to be skipped.
    Skip,
    /// Hides what lower layers have in this directory.
    Opaque { directory: &'p [u8] },
    /// Hides one name in this directory.
    Remove { directory: &'p [u8], name: &'p [u8] },
}

impl<'p> Whiteout<'p> {
    pub(crate) fn of(path: &'p ArchivePath) -> Result<Self> {
        let corrupt = |why: &str| Error::new(Kind::Corrupt, format!("archive entry {path}: {why}"));
        let (directory, last) = path.split();
        for component in directory.split(|byte| *byte == b'/') {
            if component.starts_with(AUFS_PREFIX) {
                return Ok(Self::Skip);
            }
            if component.starts_with(PREFIX) {
                return Err(corrupt("a whiteout has nothing below it"));
            }
        }
        match last.strip_prefix(PREFIX) {
            None => Ok(Self::None),
            Some(_) if last == OPAQUE => Ok(Self::Opaque { directory }),
            Some(_) if last.starts_with(AUFS_PREFIX) => Ok(Self::Skip),
            Some(b"" | b"." | b"..") => Err(corrupt("a whiteout of no name")),
            Some(name) => Ok(Self::Remove { directory, name }),
        }
    }
}

/// The first component of a clean path that is reserved for whiteouts.
pub(crate) fn is_reserved(path: &[u8]) -> bool {
    split(path).1.starts_with(PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;

    #[test]
    fn names_tell_whiteouts() {
        let cases: [(&str, Option<Whiteout<'_>>); 11] = [
            ("a/b", Some(Whiteout::None)),
            ("a/.whatever", Some(Whiteout::None)),
            ("a/.wh.b", Some(Whiteout::Remove { directory: b"a", name: b"b" })),
            (".wh.b", Some(Whiteout::Remove { directory: b"", name: b"b" })),
            ("a/.wh..wh..opq", Some(Whiteout::Opaque { directory: b"a" })),
            (".wh..wh.plnk/1.2", Some(Whiteout::Skip)),
            (".wh..wh.aufs", Some(Whiteout::Skip)),
            ("a/.wh.", None),
            ("a/.wh..", None),
            ("a/.wh...", None),
            (".wh.a/b", None),
        ];
        for (text, expected) in cases {
            let path = ArchivePath::parse(text.as_bytes(), &Limits::default()).unwrap();

            assert_eq!(Whiteout::of(&path).ok(), expected, "{text}");
        }
    }
}
