//! The root filesystem of a container: a writable snapshot above its image.
//!
//! The row is written first; until its directory is there, the container's own row says that the
//! container is being created, and whoever undoes that calls [`Images::remove_container_root`].

use crate::{Image, Images, image::missing};
use dhow_base::{Doing, Error, Kind, Result, id::ContainerId};
use dhow_snapshot::{Change, Driver, Number};
use dhow_spec::Mount;
use dhow_state::{State, Write, containers, images, snapshots};
use std::path::PathBuf;

impl Images {
    /// Makes the container's writable snapshot and says how to mount it.
    pub fn container_root(
        &self,
        state: &mut State,
        id: &ContainerId,
        image: &Image,
    ) -> Result<Mount> {
        let number = state.write(|write| self.note_root(write, id, image))?;
        self.make_root(number, image)
    }

    /// The first half of [`Images::container_root`], for a caller that has more to write at once.
    pub fn note_root(&self, write: &Write<'_>, id: &ContainerId, image: &Image) -> Result<Number> {
        if !images::is_present(write, &image.manifest)? {
            // Another process removed it since it was found.
            return Err(missing(image.id.as_str()));
        }
        let top = image.chain.first().map(|number| number.0);
        let driver = self.snapshots()?.driver().word();
        snapshots::activate(write, id, top, driver).map(Number)
    }

    /// The second half of [`Images::container_root`]: the directories.
    pub fn make_root(&self, number: Number, image: &Image) -> Result<Mount> {
        self.snapshots()?.activate(number, &image.chain)
    }

    /// As [`Images::make_root`], of a container that may never be started: who mounts it asks
    /// [`Images::container_mount`] before.
    pub fn reserve_root(&self, number: Number, image: &Image) -> Result<Mount> {
        self.snapshots()?.reserve(number, &image.chain)
    }

    /// How to mount the root of a container that was created earlier.
    pub fn container_mount(&self, state: &State, id: &ContainerId) -> Result<Mount> {
        let (number, chain) = self.container_snapshot(state, id)?;
        self.snapshots()?.active(number, &chain)
    }

    /// What was changed in the root of a container, whatever it is doing now.
    pub fn container_changes(&self, state: &State, id: &ContainerId) -> Result<Vec<Change>> {
        let (number, chain) = self.container_snapshot(state, id)?;
        self.snapshots()?.changes(number, &chain)
    }

    fn container_snapshot(&self, state: &State, id: &ContainerId) -> Result<(Number, Vec<Number>)> {
        let read = state.read();
        let snapshot =
            snapshots::find_by_key(read, &snapshots::container_key(id))?.ok_or_else(|| gone(id))?;
        let manifest = containers::find(read, id)?.and_then(|container| container.image);
        let chain = match &manifest {
            Some(manifest) => images::chain(read, manifest)?,
            None => Vec::new(),
        };
        let chain: Vec<Number> = chain.into_iter().rev().map(Number).collect();
        let number = Number(snapshot.number);
        if snapshot.parent == chain.first().map(|number| number.0) {
            return Ok((number, chain));
        }
        match (snapshot.parent, &manifest) {
            (Some(parent), Some(manifest)) if images::copies(read, manifest)?.contains(&parent) => {
                Ok((number, vec![Number(parent)]))
            }
            _ => Err(gone(id)),
        }
    }

    /// The directory of a container's snapshot, where to remove it takes nothing but removing that.
    pub fn container_root_directory(
        &self,
        state: &State,
        id: &ContainerId,
    ) -> Result<Option<PathBuf>> {
        let key = snapshots::container_key(id);
        let Some(snapshot) = snapshots::find_by_key(state.read(), &key)? else { return Ok(None) };
        let snapshots = self.snapshots()?;
        let is_plain = snapshots.driver() != Driver::Btrfs;
        Ok(is_plain.then(|| snapshots.directory(Number(snapshot.number))))
    }

    /// Removes the files of a snapshot; one without any is fine. Its row is the caller's.
    pub fn remove_snapshot(&self, number: Number) -> Result<()> {
        self.snapshots()?.remove(number)
    }

    /// Removes the container's snapshot with all its changes; one that is not there is fine.
    pub fn remove_container_root(&self, state: &mut State, id: &ContainerId) -> Result<()> {
        match self.empty_container_root(state, id)? {
            Some(root) => state.write(|write| Self::forget_root(write, root)),
            None => Ok(()),
        }
    }

    /// The first half of [`Images::remove_container_root`], for a caller that has more to write at once:
    /// the files. The row stays, and says what [`Images::forget_root`] is to be told.
    pub fn empty_container_root(&self, state: &State, id: &ContainerId) -> Result<Option<Number>> {
        let key = snapshots::container_key(id);
        let Some(snapshot) = snapshots::find_by_key(state.read(), &key)? else { return Ok(None) };
        let root = Number(snapshot.number);
        self.snapshots()?
            .remove(root)
            .doing(|| format!("remove the root filesystem of container {}", id.short()))?;
        Ok(Some(root))
    }

    /// The second half: the row of a snapshot whose files are gone.
    pub fn forget_root(write: &Write<'_>, root: Number) -> Result<()> {
        snapshots::delete(write, root.0)
    }
}

fn gone(id: &ContainerId) -> Error {
    let what = format!("the root filesystem of container {} is not what it was", id.short());
    Error::new(Kind::Corrupt, what).hint("`dhow doctor` says what is missing")
}
