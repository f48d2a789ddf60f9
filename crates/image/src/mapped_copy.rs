//! A copy of all files of an image with the owners that a container's user namespace gives them.
//!
//! Root shows an image's files with other owners by mapping their mounts. The kernel lets an ordinary
//! user do that on no file system of the machine's, so theirs are copied, once for each image and
//! mapping, and containers stand on the copy as they would on the image.
//!
//! ```text
//!   row preparing ─▶ files copied, synced ─▶ row committed, held by the image ─▶ containers stand on it
//! ```
//!
//! It goes with its image. Killed before it is whole, it is removed by whoever mends.

use crate::{Image, Images, flush::sync, image::missing, pull::private_key};
use dhow_archive::MappedOwners;
use dhow_base::{Digest, Doing, Error, Kind, Result};
use dhow_snapshot::{Number, Owners};
use dhow_spec::runtime::IdMapping;
use dhow_state::{
    Owner, Read, State,
    images::{self, Phase},
    snapshots,
};
use std::fmt::Write as _;

impl Images {
    /// The image with its files as they belong to whom these mappings say; copied at the first use.
    /// Fails where a file belongs to an id that they do not have.
    pub fn with_owners(
        &self,
        state: &mut State,
        image: &Image,
        uids: &[IdMapping],
        gids: &[IdMapping],
    ) -> Result<Image> {
        if image.chain.is_empty() {
            return Ok(image.clone());
        }
        let key = key(&image.manifest, uids, gids);
        let on = |number: u64| Image { chain: vec![Number(number)], ..image.clone() };
        if let Some(number) = self.ready_copy(state.read(), &key)? {
            return Ok(on(number));
        }
        self.drop_lost_copy(state, &key)?;
        let owners = MappedOwners::new(uids, gids);
        let number = self
            .make_copy(state, image, &key, &owners)
            .doing(|| format!("copy image {} with other owners", image.id.short()))?;
        Ok(on(number))
    }

    fn ready_copy(&self, read: &Read, key: &str) -> Result<Option<u64>> {
        let found = snapshots::find_by_key(read, key)?;
        match found.filter(|row| row.phase == snapshots::Phase::Committed) {
            Some(row) if self.snapshots()?.is_there(Number(row.number)) => Ok(Some(row.number)),
            _ => Ok(None),
        }
    }

    /// Forgets a copy whose files somebody has removed, so that it can be made again.
    fn drop_lost_copy(&self, state: &mut State, key: &str) -> Result<()> {
        let Some(row) = snapshots::find_by_key(state.read(), key)? else { return Ok(()) };
        let me = Owner::current()?;
        state.write(|write| {
            images::let_go_of_snapshot(write, row.number)?;
            snapshots::condemn_orphan(write, row.number, me)?;
            match snapshots::find_by_key(write, key)? {
                None => Ok(()),
                Some(_) => {
                    let text = format!("the files of snapshot {} are missing", row.number);
                    Err(Error::new(Kind::Corrupt, text)
                        .hint("containers stand on it: remove them, and it is made again"))
                }
            }
        })?;
        self.sweep(state).map(drop)
    }

    fn make_copy(
        &self,
        state: &mut State,
        image: &Image,
        key: &str,
        owners: &MappedOwners,
    ) -> Result<u64> {
        let me = Owner::current()?;
        let driver = self.snapshots()?;
        let word = driver.driver().word();
        let number = state.write(|write| snapshots::prepare(write, &private_key()?, word, me))?;
        let outside = |uid: u32, gid: u32| owners.outside(uid, gid);
        let copied = driver
            .copy(Number(number), &image.chain, Owners::Changed(&outside))
            .and_then(|()| driver.seal(Number(number)))
            .and_then(|()| sync(&self.snapshots_root))
            .and_then(|()| self.commit_copy(state, image, number, key));
        if !matches!(copied, Ok(kept) if kept == number) {
            state.write(|write| snapshots::condemn(write, number, me))?;
            self.sweep(state)?;
        }
        copied
    }

    /// The number of the copy that counts: another command may have been faster.
    fn commit_copy(&self, state: &mut State, image: &Image, number: u64, key: &str) -> Result<u64> {
        state.write(|write| {
            let row = images::find(write, &image.manifest)?;
            let row = row.filter(|row| row.phase == Phase::Present);
            let row = row.ok_or_else(|| missing(image.id.as_str()))?;
            if let Some(other) = self.ready_copy(write, key)? {
                return Ok(other);
            }
            snapshots::commit(write, number, key, row.size)?;
            images::hold_copy(write, &image.manifest, number)?;
            Ok(number)
        })
    }
}

/// By which a copy is found again: the image, and who owns what.
fn key(manifest: &Digest, uids: &[IdMapping], gids: &[IdMapping]) -> String {
    let mut text = String::new();
    for (kind, ids) in [("users", uids), ("groups", gids)] {
        text.push_str(kind);
        for range in ids {
            let IdMapping { container_id, host_id, size } = range;
            // A string takes whatever is written.
            let _written = write!(text, " {container_id}:{host_id}:{size}");
        }
        text.push('\n');
    }
    format!("mapped:{}:{}", manifest.hex(), Digest::of(text.as_bytes()).hex())
}
