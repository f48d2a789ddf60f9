//! Repair: what [`Images::doctor`] finds and what nobody is in the middle of, put right.
//!
//! ```text
//!  blob or snapshot that no row names       removed
//!  row that nothing needs                   removed, with its file
//!  layer's blob that is lost or wrong       let go of: the image runs without it
//!  configuration that is lost or wrong      written again from its row
//!  lost snapshot, lost or wrong manifest    the image goes back to `pulling`: it is listed no
//!                                           more, and the next pull brings only what is missing
//!  the same, with containers made of it     left: they may still run; the doctor tells of it
//!  image said to be mounted that is not     is said to be so no more
//!  mount that no row names                  taken away
//!  strange file                             left: whoever put it there may want it
//! ```
//!
//! Each step asks again inside a transaction, or under the lock that the file's maker would hold,
//! so that a pull at work loses nothing.

use crate::{Depth, Finding, Images, pull::boot_id, remove::is_in_use};
use dhow_base::{Digest, Error, Kind, Result};
use dhow_snapshot::Number;
use dhow_state::{
    Owner, Read, State, blobs,
    images::{self, Image as Row},
    snapshots,
};
use std::collections::BTreeSet;

/// What an image lacks.
#[derive(Debug, Default)]
struct Lack {
    manifest: bool,
    config: bool,
    layers: Vec<Digest>,
    snapshots: Vec<u64>,
}

impl Images {
    /// Puts right what can be, and says what was done, one finding each.
    pub fn repair(&self, state: &mut State, depth: Depth) -> Result<Vec<Finding>> {
        let mut done = Vec::new();
        self.mend(state)?;
        self.repair_mounts(state, &mut done)?;
        self.remove_unnamed_blobs(state, &mut done)?;
        self.remove_unnamed_snapshots(state, &mut done)?;
        self.heal_images(state, depth, &mut done)?;
        self.remove_unneeded(state, &mut done)?;
        if !done.is_empty() {
            self.sweep(state)?;
            self.refresh_index(state)?;
        }
        Ok(done)
    }

    fn remove_unnamed_blobs(&self, state: &State, done: &mut Vec<Finding>) -> Result<()> {
        use dhow_store::Found;
        let read = state.read();
        for found in self.store.list()? {
            let (Found::Blob(digest, _) | Found::Partial(digest, _)) = found else { continue };
            if blobs::is_known(read, &digest)? {
                continue;
            }
            // A row comes before its file, so under the file's lock no row means no maker.
            if self.store.remove(&digest, || Ok(!blobs::is_known(read, &digest)?))? {
                done.push(Finding::new(format!("blob {digest}"), "removed: no row named it"));
            }
        }
        Ok(())
    }

    fn remove_unnamed_snapshots(&self, state: &State, done: &mut Vec<Finding>) -> Result<()> {
        use dhow_snapshot::Found;
        for found in dhow_snapshot::list(&self.snapshots_root)? {
            let Found::Snapshot(number) = found else { continue };
            // The list was read before the rows, and a row comes before its directory.
            if snapshots::find(state.read(), number.0)?.is_none() {
                self.snapshots()?.remove(number)?;
                done.push(Finding::new(format!("snapshot {number}"), "removed: no row named it"));
            }
        }
        Ok(())
    }

    fn remove_unneeded(&self, state: &mut State, done: &mut Vec<Finding>) -> Result<()> {
        let me = Owner::current()?;
        let (unneeded_blobs, unneeded_snapshots) = state.write(|write| {
            let (blobs, snapshots) = (blobs::orphans(write)?, snapshots::orphans(write)?);
            for row in &blobs {
                blobs::condemn_orphan(write, &row.digest, me)?;
            }
            for row in &snapshots {
                snapshots::condemn_orphan(write, row.number, me)?;
            }
            Ok((blobs, snapshots))
        })?;
        done.extend(unneeded_blobs.iter().map(|row| {
            Finding::new(format!("blob {}", row.digest), "removed: no image needed it")
        }));
        done.extend(unneeded_snapshots.iter().map(|row| {
            let object = format!("snapshot {} ({})", row.number, row.key);
            Finding::new(object, "removed: nothing stood on it")
        }));
        Ok(())
    }

    fn heal_images(&self, state: &mut State, depth: Depth, done: &mut Vec<Finding>) -> Result<()> {
        let mut sound = BTreeSet::new();
        for row in images::list(state.read())? {
            let lack = self.lack(state.read(), &row, depth, &mut sound)?;
            let object = || format!("image {}", row.config.short());
            for digest in &lack.layers {
                state.write(|write| images::let_go_of_blob(write, &row.manifest, digest))?;
                let what = format!("layer {digest} was lost or wrong; it runs without that");
                done.push(Finding::new(object(), what));
            }
            if lack.config {
                self.rewrite(&row)?;
                done.push(Finding::new(object(), "its configuration was written again"));
            }
            if !lack.needs_a_pull() || is_in_use(state.read(), &row.manifest)? {
                continue;
            }
            self.demote(state, &row, &lack)?;
            let what = "was not whole: pull it again, which brings only what is missing";
            done.push(Finding::new(object(), what));
        }
        Ok(())
    }

    /// The configuration is in its row too.
    fn rewrite(&self, row: &Row) -> Result<()> {
        if Digest::of(row.config_json.as_bytes()) != row.config {
            let what = format!("write configuration {} again: its row has changed", row.config);
            return Err(Error::new(Kind::Corrupt, what));
        }
        self.store.remove(&row.config, || Ok(true))?;
        self.store.put(&row.config, row.config_json.as_bytes())
    }

    fn lack(
        &self,
        read: &Read,
        row: &Row,
        depth: Depth,
        sound: &mut BTreeSet<Digest>,
    ) -> Result<Lack> {
        let mut lack = Lack::default();
        for digest in images::blobs(read, &row.manifest)? {
            if sound.contains(&digest) {
                continue;
            }
            if self.is_sound(read, &digest, depth)? {
                sound.insert(digest);
            } else if digest == row.manifest {
                lack.manifest = true;
            } else if digest == row.config {
                lack.config = true;
            } else {
                lack.layers.push(digest);
            }
        }
        for number in images::chain(read, &row.manifest)? {
            if !self.snapshots()?.is_there(Number(number)) {
                lack.snapshots.push(number);
            }
        }
        Ok(lack)
    }

    fn is_sound(&self, read: &Read, digest: &Digest, depth: Depth) -> Result<bool> {
        let size = blobs::find(read, digest)?.map(|row| row.size);
        if size.is_none() || self.store.size(digest)? != size {
            return Ok(false);
        }
        if depth == Depth::Names {
            return Ok(true);
        }
        match self.store.verify(digest) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == Kind::Corrupt => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn demote(&self, state: &mut State, row: &Row, lack: &Lack) -> Result<()> {
        let (boot, me) = (boot_id()?, Owner::current()?);
        state.write(|write| {
            images::demote(write, &row.manifest, &boot)?;
            if lack.manifest {
                blobs::unsettle(write, &row.manifest)?;
            }
            for number in &lack.snapshots {
                images::let_go_of_snapshot(write, *number)?;
                snapshots::condemn(write, *number, me)?;
            }
            Ok(())
        })?;
        if lack.manifest {
            // Wrong bytes would be believed by the pull that mends.
            self.store.remove(&row.manifest, || Ok(true))?;
        }
        Ok(())
    }
}

impl Lack {
    fn needs_a_pull(&self) -> bool {
        self.manifest || !self.snapshots.is_empty()
    }
}
