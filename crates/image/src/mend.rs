//! What commands that died have left: undone where it is of no use, kept where a second attempt
//! can go on from it.
//!
//! ```text
//!  snapshot, preparing, owner dead      condemned: half a layer is no layer
//!  snapshot or blob, removing           removed, as the dead owner was about to
//!  image, pulling, owner dead           kept for a day, with its blobs and finished layers; after
//!                                       a reboot dropped, since nothing of it was synced
//! ```

use crate::{
    Images,
    pull::{boot_id, release},
    workers,
};
use dhow_base::{Result, clock::Moment};
use dhow_snapshot::Number;
use dhow_state::{
    Owner, Read, State, blobs,
    images::{self, Image as Row},
    snapshots::{self, Phase, Snapshot},
};
use std::time::Duration;

/// How long an interrupted pull waits for its next attempt.
const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// What was mended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Mended {
    /// Snapshots that were removed.
    pub snapshots: usize,
    /// Blobs that were removed.
    pub blobs: usize,
    /// Artifacts whose fetching was given up.
    pub artifacts: usize,
    /// Interrupted pulls that were given up.
    pub pulls: usize,
}

impl Images {
    /// Mends what dead commands have left. One quick query where there is nothing.
    pub fn mend(&self, state: &mut State) -> Result<Mended> {
        let artifacts = self.mend_artifacts(state)?;
        self.mend_mounts(state)?;
        if !images::anything_unfinished(state.read())? {
            return Ok(Mended { artifacts, ..Mended::default() });
        }
        let pulls = self.drop_pulls(state, |row, boot| {
            row.boot.as_deref() != Some(boot) || Moment::now().since(row.pulled) > PATIENCE
        })?;
        Ok(Mended { pulls, artifacts, ..self.sweep(state)? })
    }

    /// Gives up all interrupted pulls, however young; for those who want their space back.
    pub fn forget_interrupted(&self, state: &mut State) -> Result<Mended> {
        let pulls = self.drop_pulls(state, |_, _| true)?;
        Ok(Mended { pulls, ..self.sweep(state)? })
    }

    fn drop_pulls(
        &self,
        state: &mut State,
        hopeless: impl Fn(&Row, &str) -> bool,
    ) -> Result<usize> {
        let boot = boot_id()?;
        let mut dead = Vec::new();
        for row in images::unfinished(state.read())? {
            if !is_alive(row.owner)? && hopeless(&row, &boot) {
                dead.push(row);
            }
        }
        if dead.is_empty() {
            return Ok(0);
        }
        let me = Owner::current()?;
        state.write(|write| {
            let mut dropped = 0;
            for row in &dead {
                // Another pull may have taken it over since.
                let now = images::find(write, &row.manifest)?;
                if now.is_some_and(|now| now.owner == row.owner && now.phase == row.phase) {
                    release(write, &row.manifest, me)?;
                    dropped += 1;
                }
            }
            Ok(dropped)
        })
    }

    /// Removes what is condemned, by us or by the dead, and what the dead were preparing.
    pub(crate) fn sweep(&self, state: &mut State) -> Result<Mended> {
        let me = Owner::current()?;
        let snapshots = self.sweep_snapshots(state, me)?;
        let blobs = self.sweep_blobs(state, me)?;
        Ok(Mended { snapshots, blobs, ..Mended::default() })
    }

    fn sweep_snapshots(&self, state: &mut State, me: Owner) -> Result<usize> {
        let ours = |read: &Read| -> Result<Vec<Snapshot>> {
            let mut ours = Vec::new();
            for row in snapshots::unfinished(read)? {
                let mine = row.owner == Some(me) && row.phase == Phase::Removing;
                if mine || !is_alive(row.owner)? {
                    ours.push(row);
                }
            }
            Ok(ours)
        };
        if ours(state.read())?.is_empty() {
            return Ok(0);
        }
        let condemned = state.write(|write| {
            let ours = ours(write)?;
            for row in &ours {
                snapshots::condemn(write, row.number, me)?;
            }
            Ok(ours)
        })?;
        let drivers = self.snapshots()?;
        // All of it is the kernel's work, and each layer has block groups of its own. The largest
        // first, so that none of them is alone at the end.
        let mut numbers: Vec<(u64, u64)> =
            condemned.iter().map(|row| (row.size, row.number)).collect();
        numbers.sort_unstable_by(|one, other| other.cmp(one));
        workers::each(numbers, |(_, number)| drivers.remove(Number(number)))?;
        state.write(|write| {
            condemned.iter().try_for_each(|row| snapshots::delete(write, row.number))
        })?;
        Ok(condemned.len())
    }

    fn sweep_blobs(&self, state: &mut State, me: Owner) -> Result<usize> {
        let mut removed = Vec::new();
        for row in blobs::condemned(state.read())? {
            if row.owner != Some(me) && is_alive(row.owner)? {
                continue;
            }
            // A pull may have wanted it again since; then it is condemned no more.
            let read = state.read();
            if self.store.remove(&row.digest, || blobs::is_condemned(read, &row.digest))? {
                removed.push(row.digest);
            }
        }
        if !removed.is_empty() {
            state.write(|write| removed.iter().try_for_each(|blob| blobs::delete(write, blob)))?;
        }
        Ok(removed.len())
    }
}

fn is_alive(owner: Option<Owner>) -> Result<bool> {
    owner.map_or(Ok(false), |owner| owner.is_alive())
}
