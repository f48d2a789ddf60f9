//! Images that are taken in together: one sync for all of them, one transaction, one new index.
//!
//! ```text
//!  take ─▶ layers are there, row still "pulling" ─┐
//!  take ─▶ it is here already                    ─┼─▶ finish: sync ─▶ rows "present", names ─▶ index
//!  take ─▶ …                                     ─┘
//! ```
//!
//! What is taken is locked until it is finished. Nobody waits for the lock of an image while holding
//! another's, so a batch finishes before it waits; and it finishes when it has become large, since
//! strangers wait for its locks, and what is not finished is interrupted where the process dies.

use crate::{
    Image, Images,
    flush::Flush,
    names,
    origin::Found,
    plan::{check_platform, parse_manifest},
    progress::Progress,
    pull::{Pull, release},
};
use dhow_base::{
    Digest, Error, Kind, Result,
    clock::Moment,
    lock::{Lock, Sharing},
};
use dhow_spec::image::{ImageConfig, Platform};
use dhow_state::{Owner, State, Write, blobs, events, images, places, snapshots};
use std::collections::{HashMap, HashSet};

/// So many images wait for one sync at most.
const MOST_IMAGES: usize = 64;
/// So many compressed bytes of layers that were not here wait for it, unless one image has more.
const MOST_BYTES: u64 = 256 << 20;

/// Images that are here, but not all of them for good.
pub(crate) struct Batch<'a> {
    images: &'a Images,
    locks: HashMap<std::path::PathBuf, Lock>,
    members: Vec<Member>,
    bytes: u64,
    /// Since the first of the members that is new.
    flush: Option<Flush>,
}

struct Member {
    manifest: Digest,
    wanted: String,
    /// Its row says that it is being pulled.
    is_new: bool,
    /// Snapshots that another process had made before us.
    surplus: HashSet<u64>,
    /// The names that shall lead to it.
    names: Vec<String>,
    /// What the repositories of its names by digest have.
    blobs: Vec<Digest>,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(images: &'a Images) -> Self {
        Self { images, locks: HashMap::new(), members: Vec::new(), bytes: 0, flush: None }
    }

    /// Makes present what a source led to, all but for good. On failure nothing of it is left but,
    /// where the line broke, what the next attempt goes on from; the others are as they were.
    pub(crate) fn take(
        &mut self,
        state: &mut State,
        wanted: &str,
        found: &Found,
        platform: &Platform,
        progress: &dyn Progress,
    ) -> Result<()> {
        let manifest = &found.manifest.digest;
        self.lock(state, manifest)?;
        let here = images::find(state.read(), manifest)?;
        let is_taken = self.members.iter().any(|member| member.manifest == *manifest);
        let here = here.filter(|row| is_taken || row.phase == images::Phase::Present);
        let is_new = here.is_none();
        let mut surplus = HashSet::new();
        if let Some(row) = here {
            check_platform(&ImageConfig::parse(row.config_json.as_bytes())?, platform)?;
        } else {
            let plan = found.plan(platform)?;
            self.images.bounds.check(&plan)?;
            if self.flush.is_none() {
                self.images.store.make()?;
                self.flush = Some(Flush::open(self.images.store.root())?);
            }
            let flush = self.flush.as_ref().expect("it was just opened");
            let mut pull = Pull::new(self.images, state, &plan, found, progress, flush)?;
            match pull.run(wanted) {
                Ok(left) => surplus = left,
                Err(error) => {
                    // Its own failures are left to the next command, which mends.
                    let _cleaned = pull.clean_up(error.kind());
                    return Err(error);
                }
            }
            self.bytes += plan.layers.iter().map(|layer| layer.descriptor.size).sum::<u64>();
        }
        let mut blobs = Vec::new();
        if found.names.iter().any(|name| name.contains('@')) {
            let document = parse_manifest(&found.manifest, &found.bytes)?;
            blobs.extend(document.own_blobs().map(|blob| blob.digest.clone()));
        }
        self.members.push(Member {
            manifest: manifest.clone(),
            wanted: wanted.to_owned(),
            is_new,
            surplus,
            names: found.names.clone(),
            blobs,
        });
        Ok(())
    }

    /// Has the lock of an image, and room for it.
    fn lock(&mut self, state: &mut State, manifest: &Digest) -> Result<()> {
        if self.members.len() >= MOST_IMAGES || self.bytes >= MOST_BYTES {
            self.finish(state)?;
        }
        let path = self.images.lock_path("image", manifest)?;
        if self.locks.contains_key(&path) {
            return Ok(());
        }
        let lock = match Lock::try_acquire(&path, Sharing::Exclusive)? {
            Some(lock) => lock,
            None => {
                self.finish(state)?;
                Lock::acquire(&path, Sharing::Exclusive)?
            }
        };
        self.locks.insert(path, lock);
        Ok(())
    }

    /// Makes all that was taken present for good. Where that fails, none of the new ones is.
    pub(crate) fn finish(&mut self, state: &mut State) -> Result<()> {
        let members = std::mem::take(&mut self.members);
        self.bytes = 0;
        let flush = self.flush.take();
        let finished = self.settle(state, &members, flush.as_ref());
        if finished.is_err() {
            let _cleaned = self.give_up(state, &members);
        }
        self.locks.clear();
        finished
    }

    fn settle(&self, state: &mut State, members: &[Member], flush: Option<&Flush>) -> Result<()> {
        let is_anything_new = members.iter().any(|member| member.is_new);
        if !is_anything_new && members.iter().all(|member| is_named(state, member).unwrap_or(false))
        {
            return Ok(());
        }
        if let Some(flush) = flush {
            flush.finish()?;
        }
        let me = Owner::current()?;
        state.write(|write| members.iter().try_for_each(|member| member.settle(write, me)))?;
        if members.iter().any(|member| !member.surplus.is_empty()) {
            self.images.sweep(state)?;
        }
        self.images.refresh_index(state)?;
        let mut new = members.iter().filter(|member| member.is_new);
        new.try_for_each(|member| self.images.discard_pulled(state, &member.manifest))
    }

    /// Takes back what was new, where it could not be made to last.
    fn give_up(&self, state: &mut State, members: &[Member]) -> Result<()> {
        let me = Owner::current()?;
        state.write(|write| {
            for member in members.iter().filter(|member| member.is_new) {
                let row = images::find(write, &member.manifest)?;
                if row.is_some_and(|row| row.phase == images::Phase::Pulling) {
                    release(write, &member.manifest, me)?;
                }
                for number in &member.surplus {
                    snapshots::condemn(write, *number, me)?;
                }
            }
            Ok(())
        })?;
        self.images.sweep(state).map(drop)
    }
}

/// Do all its names lead to it?
fn is_named(state: &State, member: &Member) -> Result<bool> {
    let known: HashSet<String> =
        images::names(state.read(), &member.manifest)?.into_iter().collect();
    Ok(member.names.iter().all(|name| known.contains(name)))
}

impl Member {
    /// Everything of it is there and verified.
    fn settle(&self, write: &Write<'_>, me: Owner) -> Result<()> {
        let manifest = &self.manifest;
        if self.is_new {
            for blob in images::blobs(write, manifest)? {
                blobs::mark_present(write, &blob)?;
            }
            for number in &self.surplus {
                snapshots::condemn(write, *number, me)?;
            }
            images::finish(write, manifest, Moment::now())?;
            events::record(write, "image", "pull", &self.wanted, "{}")?;
        } else if images::find(write, manifest)?.is_none() {
            // Removed by another command since; who asks for the image is told.
            return Ok(());
        }
        for name in &self.names {
            images::set_name(write, name, manifest)?;
        }
        // What has a name by digest was found in a repository, which has all of it.
        for name in self.names.iter().filter(|name| name.contains('@')) {
            places::note(write, names::repository(name), &self.blobs, Moment::now())?;
        }
        Ok(())
    }
}

impl Images {
    /// Makes present what a source led to.
    pub(crate) fn take(
        &self,
        state: &mut State,
        wanted: &str,
        found: &Found,
        platform: &Platform,
        progress: &dyn Progress,
    ) -> Result<Image> {
        let mut batch = Batch::new(self);
        batch.take(state, wanted, found, platform, progress)?;
        batch.finish(state)?;
        self.taken(state, &found.manifest.digest)
    }

    /// An image that was taken in.
    pub(crate) fn taken(&self, state: &State, manifest: &Digest) -> Result<Image> {
        let read = state.read();
        let row = images::find(read, manifest)?
            .ok_or_else(|| Error::new(Kind::Conflict, "another command removed it meanwhile"))?;
        self.image(read, row)
    }
}
