//! A file of the host that nothing in a container may touch.
//!
//! Attack tests put one where an escape would land (the target of a link in a layer, a path that a
//! bind mount must not reach) and look at it afterwards.

use crate::tree::Entry;
use dhow_base::{Doing, Result};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// A host file with its remembered state.
#[derive(Debug)]
pub struct Canary {
    path: PathBuf,
    entry: Entry,
    /// Changes with content, owner, mode, links and attributes, and no one can set it back.
    ctime: (i64, i64),
    inode: u64,
}

impl Canary {
    /// Makes the file, with a content and a mode of its own.
    pub fn hatch(path: &Path) -> Result<Self> {
        let doing = || format!("make the canary {}", path.display());
        fs::write(path, "this belongs to the host\n").doing(doing)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o640)).doing(doing)?;
        Self::watch(path)
    }

    /// Watches a file that is there already, such as `/etc/passwd`.
    pub fn watch(path: &Path) -> Result<Self> {
        let entry = Entry::read(path)?;
        let meta = fs::symlink_metadata(path).doing(|| format!("look at {}", path.display()))?;
        let ctime = (meta.ctime(), meta.ctime_nsec());
        Ok(Self { path: path.to_owned(), entry, ctime, inode: meta.ino() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Panics if its content, owner, mode, times, attributes or identity changed.
    pub fn assert_alive(&self) {
        let now = Self::watch(&self.path).unwrap_or_else(|error| {
            panic!("the canary {} is gone: {}", self.path.display(), error.one_line())
        });
        assert_eq!(now.entry, self.entry, "the canary {} was changed", self.path.display());
        assert_eq!(now.inode, self.inode, "the canary {} was replaced", self.path.display());
        assert_eq!(now.ctime, self.ctime, "the canary {} was touched", self.path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_untouched_canary_lives_and_a_touched_one_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let canary = Canary::hatch(&directory.path().join("canary")).unwrap();
        canary.assert_alive();

        // The same bytes, mode and owner: only the times tell.
        fs::write(canary.path(), "this belongs to the host\n").unwrap();

        assert!(std::panic::catch_unwind(|| canary.assert_alive()).is_err());
    }
}
