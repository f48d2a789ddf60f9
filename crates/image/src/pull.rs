//! Pulling: from a source to an image that is whole, or to nothing.
//!
//! ```text
//!  lock the image ─▶ begin (row, references) ─▶ rounds of layers ─▶ finish its batch (sync, row, names)
//!                                                  │
//!             ┌────────────────────────────────────┘
//!             ▼
//!   try the lock of each missing layer ─▶ adopt what others have made meanwhile
//!             ─▶ fetch and unpack what we hold the lock of, at once ─▶ commit each as it is done
//!             ─▶ let go; if some are left, others work on them: wait for one, and again
//! ```
//!
//! Files are synced once, before the row says that the image is there (see [`crate::batch`]). After a power cut an
//! unfinished image of an earlier boot is therefore dropped whole (see [`crate::mend`]).

use crate::{
    Image, Images, Place,
    flush::Flush,
    layer::{Applied, Works},
    origin::{Found, Origin},
    plan::{Layer, Plan},
    progress::{Phase, Progress},
};
use dhow_archive::Whiteouts;
use dhow_base::{
    Digest, Doing, Error, Kind, Result,
    clock::Moment,
    id::random_hex,
    lock::{Lock, Sharing},
};
use dhow_snapshot::{Layering, Notes, Number, Snapshots};
use dhow_spec::image::Platform;
use dhow_state::{
    Owner, State, Write, blobs,
    images::{self, Image as Row},
    snapshots,
};
use std::{
    collections::{BTreeMap, HashSet},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// Layers at a time. Each is three threads; more layers would only take turns.
const PARALLEL_LAYERS: usize = 3;

/// When a registry is asked.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Policy {
    /// Always; what is here already is not fetched again.
    #[default]
    Always,
    /// Only if no image of this name and platform is here.
    Missing,
    /// As `Always`, but an image that is here will do where the registry has no answer.
    Newer,
    /// Never.
    Never,
}

/// How to pull.
#[derive(Clone, Debug, Default)]
pub struct PullOptions {
    /// Another platform than this machine's.
    pub platform: Option<Platform>,
    /// When to ask a registry.
    pub policy: Policy,
}

impl Images {
    /// Makes the image that `source` names present, and returns it.
    ///
    /// The sources are those of [`Place::parse_or_name`]. On failure nothing is left but, where the line
    /// broke, what the next attempt goes on from.
    pub fn pull(
        &self,
        state: &mut State,
        source: &str,
        options: &PullOptions,
        progress: &dyn Progress,
    ) -> Result<Image> {
        self.pull_source(state, source, options, progress).doing(|| format!("pull {source}"))
    }

    fn pull_source(
        &self,
        state: &mut State,
        text: &str,
        options: &PullOptions,
        progress: &dyn Progress,
    ) -> Result<Image> {
        let source = Place::parse_or_name(text)?;
        let platform = options.platform.clone().unwrap_or_else(Platform::host);
        let here = self.suitable(state, &source, options)?;
        match (options.policy, here) {
            (Policy::Missing | Policy::Never, Some(image)) => Ok(image),
            (Policy::Never, None) => Err(not_here()),
            (_, None) => {
                let found = self.resolve(&source, &platform)?;
                self.take(state, text, &found, &platform, progress)
            }
            (_, Some(image)) => {
                let opened = self.open_source(&source, &platform);
                if let Ok(opened) = &opened {
                    // What may not be taken is no reason to go on with an older one unseen.
                    self.permit_source(&source, opened)?;
                }
                match opened.and_then(|opened| opened.choose(&platform)) {
                    Ok(found) => self.take(state, text, &found, &platform, progress),
                    Err(error) if is_no_answer(&error) => Ok(image),
                    Err(error) => Err(error),
                }
            }
        }
    }

    /// An image of this name and platform that is here. Files have no names to be here by.
    pub(crate) fn suitable(
        &self,
        state: &State,
        source: &Place,
        options: &PullOptions,
    ) -> Result<Option<Image>> {
        let Place::Registry(name) = source else { return Ok(None) };
        if options.policy == Policy::Always {
            return Ok(None);
        }
        let found = self.find(state, name)?;
        Ok(found.filter(|image| {
            let own = image.config.platform();
            options.platform.as_ref().is_none_or(|wanted| own.satisfies(wanted))
        }))
    }

    /// Waits for the lock of a digest. Locks share files by their first digits, so that their
    /// number stays small; who holds one may thus keep a stranger waiting, never itself.
    fn lock(&self, what: &str, digest: &Digest) -> Result<Lock> {
        Lock::acquire(&self.lock_path(what, digest)?, Sharing::Exclusive)
    }

    pub(crate) fn lock_path(&self, what: &str, digest: &Digest) -> Result<PathBuf> {
        let directory = self.runroot.join("locks");
        dhow_base::file::make_directories(&directory, 0o700)?;
        Ok(directory.join(format!("{what}-{}", &digest.hex()[..2])))
    }
}

/// Does the registry have nothing for us, or not now? An answer that is wrong is another matter.
fn is_no_answer(error: &Error) -> bool {
    matches!(
        error.kind(),
        Kind::NotFound | Kind::Denied | Kind::Unavailable | Kind::TimedOut | Kind::Unsupported
    )
}

fn not_here() -> Error {
    Error::new(Kind::NotFound, "it is not here, and the policy is never to ask a registry")
        .hint("--pull missing fetches what is not here")
}

/// The keys under which snapshots are shared.
fn diff_key(layer: &Layer) -> String {
    format!("diff:{}", layer.diff_id)
}

fn chain_key(layer: &Layer) -> String {
    format!("chain:{}", layer.chain_id)
}

pub(crate) fn tree_key(chain_id: &Digest) -> String {
    format!("tree:{chain_id}")
}

/// The boot that this is; files that were not synced do not outlive it.
pub(crate) fn boot_id() -> Result<String> {
    let path = std::path::Path::new("/proc/sys/kernel/random/boot_id");
    let bytes = dhow_base::file::read_limited(path, 64)?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// A pull at work.
pub(crate) struct Pull<'a> {
    images: &'a Images,
    state: &'a mut State,
    plan: &'a Plan,
    works: Works<'a>,
    snapshots: Arc<dyn Snapshots>,
    owner: Owner,
    /// Snapshots that are ours alone: being prepared, not yet committed.
    preparing: HashSet<u64>,
    /// The snapshots of the image by position.
    chain: BTreeMap<usize, u64>,
}

/// A layer that is being made by us.
struct Job {
    position: usize,
    number: u64,
}

/// A layer that is unpacked, but whose implied directories wait for the layers below.
struct Incomplete {
    job: Job,
    applied: Applied,
}

impl<'a> Pull<'a> {
    pub(crate) fn new(
        images: &'a Images,
        state: &'a mut State,
        plan: &'a Plan,
        found: &'a Found,
        progress: &'a dyn Progress,
        flush: &'a Flush,
    ) -> Result<Self> {
        let origin: &dyn Origin = found.origin.as_ref();
        let stop = AtomicBool::new(false);
        Ok(Self {
            images,
            state,
            plan,
            works: Works {
                store: &images.store,
                origin,
                progress,
                flush,
                bounds: &images.bounds,
                pool: images.bounds.pool(),
                stop,
            },
            snapshots: Arc::clone(images.snapshots()?),
            owner: Owner::current()?,
            preparing: HashSet::new(),
            chain: BTreeMap::new(),
        })
    }

    /// Makes everything be there. Returns the snapshots that another process had made before us.
    pub(crate) fn run(&mut self, wanted: &str) -> Result<HashSet<u64>> {
        let layers = &self.plan.layers;
        let sizes: Vec<(Digest, u64)> = layers
            .iter()
            .map(|layer| (layer.descriptor.digest.clone(), layer.descriptor.size))
            .collect();
        self.works.progress.begin(wanted, &sizes);
        self.begin(wanted)?;
        let (flush, bytes) = (self.works.flush, sizes.iter().map(|(_, size)| size).sum());
        flush.beside(bytes, || match self.snapshots.layering() {
            Layering::Apart { limit, .. } if layers.len() <= limit => self.apart(),
            _ => self.merged(),
        })?;
        Ok(std::mem::take(&mut self.preparing))
    }

    /// The row and its references to the documents, then the documents.
    fn begin(&mut self, wanted: &str) -> Result<()> {
        let plan = self.plan;
        let row = Row {
            manifest: plan.manifest.digest.clone(),
            media_type: plan.manifest.media_type.clone(),
            config: plan.config.digest.clone(),
            config_json: plan.config_json.clone(),
            phase: images::Phase::Pulling,
            wanted: wanted.to_owned(),
            owner: Some(self.owner),
            boot: Some(boot_id()?),
            size: 0,
            pulled: Moment::now(),
        };
        self.state.write(|write| {
            images::begin(write, &row)?;
            for document in [&plan.manifest, &plan.config] {
                blobs::want(write, &document.digest, document.size)?;
                images::hold_blob(write, &row.manifest, &document.digest)?;
            }
            Ok(())
        })?;
        let store = &self.images.store;
        store.put(&plan.manifest.digest, &plan.manifest_bytes)?;
        store.put(&plan.config.digest, plan.config_json.as_bytes())
    }

    /// Each layer in a snapshot of its own.
    fn apart(&mut self) -> Result<()> {
        let mut pending = uppermost(&self.plan.layers);
        let mut incomplete: Vec<Incomplete> = Vec::new();
        let mut held: Option<(String, Lock)> = None;
        while !pending.is_empty() {
            let locks = self.try_locks(&pending, held.take())?;
            self.adopt(&mut pending)?;
            let ready: Vec<usize> = pending
                .iter()
                .copied()
                .filter(|position| locks.contains_key(&self.bucket(*position)))
                .collect();
            if let (true, Some(first)) = (ready.is_empty(), pending.first()) {
                drop(locks);
                held = Some(self.wait_for(*first)?);
                continue;
            }
            let jobs = self.prepare(&ready)?;
            incomplete.extend(self.work(jobs)?);
            pending.retain(|position| !ready.contains(position));
            drop(locks);
        }
        incomplete.sort_by_key(|layer| layer.job.position);
        incomplete.into_iter().try_for_each(|layer| self.complete(layer))
    }

    fn bucket(&self, position: usize) -> String {
        self.plan.layers[position].diff_id.hex()[..2].to_owned()
    }

    fn try_locks(
        &self,
        pending: &[usize],
        held: Option<(String, Lock)>,
    ) -> Result<BTreeMap<String, Lock>> {
        let mut locks: BTreeMap<String, Lock> = held.into_iter().collect();
        for position in pending {
            let bucket = self.bucket(*position);
            if locks.contains_key(&bucket) {
                continue;
            }
            let path = self.images.lock_path("layer", &self.plan.layers[*position].diff_id)?;
            if let Some(lock) = Lock::try_acquire(&path, Sharing::Exclusive)? {
                locks.insert(bucket, lock);
            }
        }
        Ok(locks)
    }

    fn wait_for(&self, position: usize) -> Result<(String, Lock)> {
        let layer = &self.plan.layers[position];
        self.works.tell(layer, Phase::Waiting, 0);
        let path = self.images.lock_path("layer", &layer.diff_id)?;
        Ok((self.bucket(position), Lock::acquire(&path, Sharing::Exclusive)?))
    }

    /// Takes the layers that are here already out of `pending`.
    fn adopt(&mut self, pending: &mut Vec<usize>) -> Result<()> {
        let (layers, manifest) = (&self.plan.layers, &self.plan.manifest.digest);
        let adopted = self.state.write(|write| {
            let mut adopted = Vec::new();
            for &position in &*pending {
                let layer = &layers[position];
                let Some(number) = committed(write, &[diff_key(layer), chain_key(layer)])? else {
                    continue;
                };
                images::hold_snapshot(write, manifest, position, number)?;
                hold_if_present(write, manifest, &layer.descriptor.digest)?;
                adopted.push((position, number));
            }
            Ok(adopted)
        })?;
        for &(position, _) in &adopted {
            self.works.tell(&layers[position], Phase::Exists, layers[position].descriptor.size);
        }
        self.chain.extend(adopted);
        pending.retain(|position| !self.chain.contains_key(position));
        Ok(())
    }

    /// The rows of the layers that we are about to make.
    fn prepare(&mut self, ready: &[usize]) -> Result<Vec<Job>> {
        let (layers, manifest, owner) = (&self.plan.layers, &self.plan.manifest.digest, self.owner);
        let driver = self.snapshots.driver().word();
        let mut jobs = self.state.write(|write| {
            let mut jobs = Vec::with_capacity(ready.len());
            for &position in ready {
                let blob = &layers[position].descriptor;
                blobs::want(write, &blob.digest, blob.size)?;
                images::hold_blob(write, manifest, &blob.digest)?;
                let number = snapshots::prepare(write, &private_key()?, driver, owner)?;
                jobs.push(Job { position, number });
            }
            Ok(jobs)
        })?;
        self.preparing.extend(jobs.iter().map(|job| job.number));
        // The largest first, so that none of them is alone at the end. Jobs are taken from the back.
        jobs.sort_by_key(|job| layers[job.position].descriptor.size);
        Ok(jobs)
    }

    /// Makes layers on several threads and commits each as it is done.
    fn work(&mut self, jobs: Vec<Job>) -> Result<Vec<Incomplete>> {
        let threads = jobs.len().min(PARALLEL_LAYERS);
        let jobs = std::sync::Mutex::new(jobs);
        let (results_in, results) = crossbeam_channel::unbounded();
        let (works, layers, drivers) = (&self.works, &self.plan.layers, &self.snapshots);
        let how = whiteouts(drivers.layering());
        let mut incomplete = Vec::new();
        let mut failed: Option<Error> = None;
        let (preparing, chain, state) = (&mut self.preparing, &mut self.chain, &mut *self.state);
        let manifest = &self.plan.manifest.digest;
        thread::scope(|scope| {
            for _ in 0..threads {
                let (jobs, results_in) = (&jobs, results_in.clone());
                scope.spawn(move || {
                    while let Some(job) = next_job(jobs, &works.stop) {
                        let layer = &layers[job.position];
                        let done = drivers
                            .prepare(Number(job.number), None)
                            .and_then(|target| works.run(layer, &target, how))
                            .and_then(|applied| {
                                if applied.implied.is_empty() {
                                    drivers.seal(Number(job.number))?;
                                }
                                Ok(applied)
                            });
                        if done.is_err() {
                            works.stop.store(true, Ordering::Relaxed);
                        }
                        // The receiver outlives the scope.
                        let _sent = results_in.send((job, done));
                    }
                });
            }
            drop(results_in);
            for (job, done) in results {
                let committed = match done {
                    Err(error) => Err(error),
                    Ok(applied) if !applied.implied.is_empty() => {
                        incomplete.push(Incomplete { job, applied });
                        Ok(())
                    }
                    Ok(applied) => {
                        let layer = &layers[job.position];
                        commit(state, manifest, layer, &job, &diff_key(layer), applied.size).map(
                            |number| {
                                if number == job.number {
                                    preparing.remove(&number);
                                }
                                chain.insert(job.position, number);
                            },
                        )
                    }
                };
                if let Err(error) = committed {
                    works.stop.store(true, Ordering::Relaxed);
                    failed = failed.take().or(Some(error));
                }
            }
        });
        failed.map_or(Ok(incomplete), Err)
    }

    /// Gives a layer's implied directories what the layers below show, and commits it.
    fn complete(&mut self, layer: Incomplete) -> Result<()> {
        let Incomplete { job, applied } = layer;
        let below: Vec<Number> =
            self.chain.range(..job.position).rev().map(|(_, number)| Number(*number)).collect();
        self.snapshots.inherit(Number(job.number), &applied.implied, &below)?;
        self.snapshots.seal(Number(job.number))?;
        let layer = &self.plan.layers[job.position];
        let manifest = &self.plan.manifest.digest;
        let key = chain_key(layer);
        let number = commit(self.state, manifest, layer, &job, &key, applied.size)?;
        if number == job.number {
            self.preparing.remove(&number);
        }
        self.chain.insert(job.position, number);
        Ok(())
    }

    /// All layers in one snapshot, above the longest part of the chain that is here already.
    fn merged(&mut self) -> Result<()> {
        let Some(top) = self.plan.top().cloned() else { return Ok(()) };
        let _lock = self.images.lock("layer", &top)?;
        let (layers, manifest, owner) = (&self.plan.layers, &self.plan.manifest.digest, self.owner);
        let driver = self.snapshots.driver().word();
        let (known, job) = self.state.write(|write| {
            let mut known = 0;
            for count in (1..=layers.len()).rev() {
                let key = tree_key(&layers[count - 1].chain_id);
                if let Some(number) = committed(write, &[key])? {
                    // Held already, so that nobody removes it while it is copied.
                    images::hold_snapshot(write, manifest, 0, number)?;
                    known = count;
                    break;
                }
            }
            for layer in &layers[..known] {
                hold_if_present(write, manifest, &layer.descriptor.digest)?;
            }
            for layer in &layers[known..] {
                blobs::want(write, &layer.descriptor.digest, layer.descriptor.size)?;
                images::hold_blob(write, manifest, &layer.descriptor.digest)?;
            }
            if known == layers.len() {
                return Ok((known, None));
            }
            let number = snapshots::prepare(write, &private_key()?, driver, owner)?;
            Ok((known, Some(Job { position: 0, number })))
        })?;
        for layer in &layers[..known] {
            self.works.tell(layer, Phase::Exists, layer.descriptor.size);
        }
        match job {
            None => Ok(()),
            Some(job) => self.merge(&job, known, &top),
        }
    }

    fn merge(&mut self, job: &Job, known: usize, top: &Digest) -> Result<()> {
        let (layers, manifest) = (&self.plan.layers, &self.plan.manifest.digest);
        self.preparing.insert(job.number);
        let base = images::chain(self.state.read(), manifest)?.first().copied();
        let mut size = match base {
            Some(base) => snapshots::find(self.state.read(), base)?.map_or(0, |base| base.size),
            None => 0,
        };
        let target = self.snapshots.prepare(Number(job.number), base.map(Number))?;
        for layer in &layers[known..] {
            size += self.works.run(layer, &target, Whiteouts::Apply)?.size;
        }
        self.snapshots.seal(Number(job.number))?;
        let layer = &layers[layers.len() - 1];
        let number = commit(self.state, manifest, layer, job, &tree_key(top), size)?;
        if number == job.number {
            self.preparing.remove(&number);
        }
        Ok(())
    }

    /// Takes back what a failed pull has made. What broke off on the way is kept for the next
    /// attempt; what is wrong, or has no room, is not.
    pub(crate) fn clean_up(&mut self, kind: Kind) -> Result<()> {
        // Directories first: on a full disk the database may have no room for their removal either.
        for number in &self.preparing {
            let _removed = self.snapshots.remove(Number(*number));
        }
        let worth_keeping = matches!(kind, Kind::Unavailable | Kind::TimedOut);
        let (manifest, owner, preparing) =
            (&self.plan.manifest.digest, self.owner, &self.preparing);
        self.state.write(|write| {
            for number in preparing {
                snapshots::condemn(write, *number, owner)?;
            }
            if worth_keeping {
                images::abandon(write, manifest)
            } else {
                release(write, manifest, owner)
            }
        })?;
        self.images.sweep(self.state).map(|_| ())
    }
}

/// Forgets an image and condemns what nobody else holds.
pub(crate) fn release(write: &Write<'_>, manifest: &Digest, owner: Owner) -> Result<()> {
    let held = images::delete(write, manifest)?;
    condemn_blobs(write, &held.blobs, owner)?;
    for number in &held.snapshots {
        snapshots::condemn_orphan(write, *number, owner)?;
    }
    Ok(())
}

/// Condemns those of these blobs that nobody holds.
pub(crate) fn condemn_blobs(write: &Write<'_>, blobs: &[Digest], owner: Owner) -> Result<()> {
    blobs.iter().try_for_each(|blob| blobs::condemn_orphan(write, blob, owner))
}

/// The positions whose layers count. A layer that comes again further up hides its own earlier
/// coming entirely, and overlayfs refuses one directory twice.
fn uppermost(layers: &[Layer]) -> Vec<usize> {
    let mut seen = HashSet::new();
    let mut positions: Vec<usize> = (0..layers.len())
        .rev()
        .filter(|position| seen.insert(&layers[*position].diff_id))
        .collect();
    positions.reverse();
    positions
}

/// What becomes of whiteouts in the snapshots of a driver.
fn whiteouts(layering: Layering) -> Whiteouts {
    match layering {
        Layering::Apart { notes: Notes::Trusted, .. } => Whiteouts::Overlay,
        Layering::Apart { notes: Notes::User, .. } => Whiteouts::UserOverlay,
        Layering::Merged => Whiteouts::Apply,
    }
}

fn next_job(jobs: &std::sync::Mutex<Vec<Job>>, stop: &AtomicBool) -> Option<Job> {
    if stop.load(Ordering::Relaxed) {
        return None;
    }
    jobs.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop()
}

/// A key that nobody looks for, until the snapshot is committed under its own.
pub(crate) fn private_key() -> Result<String> {
    Ok(format!("preparing:{}", random_hex(8)?))
}

/// The committed snapshot with the first of these keys that there is.
fn committed(write: &Write<'_>, keys: &[String]) -> Result<Option<u64>> {
    for key in keys {
        if let Some(snapshot) = snapshots::find_by_key(write, key)?
            && snapshot.phase == snapshots::Phase::Committed
        {
            return Ok(Some(snapshot.number));
        }
    }
    Ok(None)
}

fn hold_if_present(write: &Write<'_>, manifest: &Digest, blob: &Digest) -> Result<()> {
    if blobs::is_present(write, blob)? { images::hold_blob(write, manifest, blob) } else { Ok(()) }
}

/// Writes that a layer is whole. Where another process was faster, its snapshot is taken and ours
/// is left to be removed.
fn commit(
    state: &mut State,
    manifest: &Digest,
    layer: &Layer,
    job: &Job,
    key: &str,
    size: u64,
) -> Result<u64> {
    state.write(|write| {
        let number = match committed(write, &[key.to_owned()])? {
            Some(other) => other,
            None => {
                snapshots::commit(write, job.number, key, size)?;
                job.number
            }
        };
        images::hold_snapshot(write, manifest, job.position, number)?;
        blobs::mark_present(write, &layer.descriptor.digest)?;
        Ok(number)
    })
}
