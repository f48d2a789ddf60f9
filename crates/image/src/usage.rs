//! What images cost on disk, to the block, and what of it would come back.
//!
//! Blobs and snapshots are shared between images, so an image has a size (all that it holds) and a
//! unique size (what goes when it goes). What interrupted pulls hold is counted apart.

use crate::{Image, Images, Meter};
use dhow_base::{Digest, Result, id::ContainerId};
use dhow_snapshot::Number;
use dhow_state::{Read, State, artifacts, blobs, containers, images, mounts, snapshots};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// One thing that images share.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
enum Piece {
    Blob(Digest),
    Snapshot(u64),
}

/// What one image costs.
#[derive(Clone, Debug)]
pub struct ImageUsage {
    /// The image.
    pub image: Image,
    /// Bytes of all that it holds.
    pub size: u64,
    /// Bytes that no other image or interrupted pull holds as well.
    pub unique: u64,
    /// How many containers are made of it.
    pub containers: usize,
    /// Whether it is mounted on the host.
    pub mounted: bool,
}

/// What all images cost.
#[derive(Clone, Debug, Default)]
pub struct ImagesUsage {
    /// Each of them, the newest first.
    pub images: Vec<ImageUsage>,
    /// Bytes of everything that an image or an interrupted pull holds, each counted once.
    pub size: u64,
    /// Bytes that go when all images that nothing uses and all interrupted pulls go.
    pub reclaimable: u64,
    /// Bytes that only interrupted pulls hold.
    pub interrupted: u64,
}

/// Who holds what, and what each piece costs.
struct Ledger {
    costs: HashMap<Piece, u64>,
    holders: HashMap<Piece, BTreeSet<Digest>>,
}

impl Images {
    /// Measures everything that images hold. `meter` has counted it afterwards.
    pub fn usage(&self, state: &State, meter: &mut Meter) -> Result<ImagesUsage> {
        let read = state.read();
        let ledger = self.ledger(read, meter)?;
        let mut usage = ImagesUsage { size: ledger.costs.values().sum(), ..Default::default() };
        let mut active = BTreeSet::new();
        let mut whole = BTreeSet::new();
        for row in images::list(read)? {
            let used_by = containers::list_of_image(read, &row.manifest)?.len();
            let mounted =
                mounts::find(read, &mounts::Object::Image(row.manifest.clone()))?.is_some();
            if used_by > 0 || mounted {
                active.insert(row.manifest.clone());
            }
            whole.insert(row.manifest.clone());
            usage.images.push(ImageUsage {
                size: ledger.cost(|holders| holders.contains(&row.manifest)),
                unique: ledger
                    .cost(|holders| holders.len() == 1 && holders.contains(&row.manifest)),
                containers: used_by,
                mounted,
                image: self.image(read, row)?,
            });
        }
        usage.reclaimable = ledger.cost(|holders| holders.is_disjoint(&active));
        usage.interrupted = ledger.cost(|holders| holders.is_disjoint(&whole));
        Ok(usage)
    }

    /// Measures what artifacts hold and images do not: how many there are, and their bytes.
    pub fn artifacts_usage(&self, state: &State, meter: &mut Meter) -> Result<(usize, u64)> {
        let rows = artifacts::list(state.read())?;
        let mut bytes = 0;
        for row in &rows {
            for blob in artifacts::blobs(state.read(), &row.name)? {
                bytes += meter.measure(&self.store.path(&blob))?;
            }
        }
        Ok((rows.len(), bytes))
    }

    /// Measures a container's changes. `meter` has counted them afterwards.
    pub fn container_usage(
        &self,
        state: &State,
        container: &ContainerId,
        meter: &mut Meter,
    ) -> Result<u64> {
        let key = snapshots::container_key(container);
        let Some(row) = snapshots::find_by_key(state.read(), &key)? else { return Ok(0) };
        meter.measure(&self.snapshots()?.directory(Number(row.number)))
    }

    fn ledger(&self, read: &Read, meter: &mut Meter) -> Result<Ledger> {
        let mut holders: HashMap<Piece, BTreeSet<Digest>> = HashMap::new();
        for row in images::list(read)?.into_iter().chain(images::unfinished(read)?) {
            let blobs = images::blobs(read, &row.manifest)?.into_iter().map(Piece::Blob);
            let chain = images::chain(read, &row.manifest)?;
            let copies = images::copies(read, &row.manifest)?;
            let snapshots = chain.into_iter().chain(copies).map(Piece::Snapshot);
            for piece in blobs.chain(snapshots) {
                holders.entry(piece).or_default().insert(row.manifest.clone());
            }
        }
        // In one order every time: of two pieces that share a file by hard links, one pays.
        let ordered: BTreeMap<&Piece, ()> = holders.keys().map(|piece| (piece, ())).collect();
        let mut costs = HashMap::with_capacity(ordered.len());
        for piece in ordered.into_keys() {
            costs.insert(piece.clone(), self.cost(read, piece, meter)?);
        }
        Ok(Ledger { costs, holders })
    }

    fn cost(&self, read: &Read, piece: &Piece, meter: &mut Meter) -> Result<u64> {
        match piece {
            Piece::Snapshot(number) => meter.measure(&self.snapshots()?.directory(Number(*number))),
            Piece::Blob(digest) if blobs::is_present(read, digest)? => {
                meter.measure(&self.store.path(digest))
            }
            Piece::Blob(digest) => meter.measure(&self.store.partial(digest)),
        }
    }
}

impl Ledger {
    /// The cost of the pieces whose holders are such.
    fn cost(&self, such: impl Fn(&BTreeSet<Digest>) -> bool) -> u64 {
        let held = self.holders.iter().filter(|(_, holders)| such(holders));
        held.map(|(piece, _)| self.costs.get(piece).copied().unwrap_or(0)).sum()
    }
}
