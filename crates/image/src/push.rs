//! Pushing: an image that is here to a registry, with the digests that it has here.
//!
//! ```text
//!  each blob, several at once:   there? ─yes─▶ nothing to do
//!                                  │no
//!                                  ▼
//!                                taken over from another repository of that registry
//!                                  │no, or none is known
//!                                  ▼
//!                                sent: from the store, or from where the image came from
//!  then the manifest
//! ```
//!
//! A registry has a manifest only after all that it names, so whoever is killed in between leaves
//! there what a registry collects by itself. Here a push changes nothing.
//!
//! Where blobs may be taken over from is read from the names by digest that images got when they
//! were pulled. A blob that is not in the store, since its layer was here already in another
//! compression, is passed on from where the image is.

use crate::{
    Credentials, Images, Reference,
    image::missing,
    names,
    plan::parse_manifest,
    progress::{Event, Phase, Progress},
};
use dhow_base::{Digest, Doing, Error, Kind, Result};
use dhow_distribution::{Arrival, Client, Content, Repository};
use dhow_spec::image::{Descriptor, MANIFEST_LIMIT_BYTES};
use dhow_state::{
    Read, State, events,
    images::{self, Image as Row},
};
use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::FileExt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// Blobs at a time. More would only share the same line.
const PARALLEL_BLOBS: usize = 4;
/// How often it is told how far the sending has come.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// How to push.
#[derive(Clone, Debug, Default)]
pub struct PushOptions {
    /// Whether certificates are checked, where the user said so.
    pub tls_verify: Option<bool>,
    /// The user's own credentials.
    pub credentials: Option<Credentials>,
}

/// What was pushed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pushed {
    /// The name that it has there.
    pub reference: Reference,
    /// The digest of its manifest.
    pub digest: Digest,
}

impl Images {
    /// Sends an image to a registry. Without a destination it goes where its name says.
    pub fn push(
        &self,
        state: &mut State,
        image: &str,
        destination: Option<&str>,
        options: &PushOptions,
        progress: &dyn Progress,
    ) -> Result<Pushed> {
        self.push_image(state, image, destination, options, progress)
            .doing(|| format!("push {image}"))
    }

    /// The names of the images in a repository, for those who push all of them.
    pub fn tags_of(&self, state: &State, repository: &str) -> Result<Vec<String>> {
        let wanted = Reference::parse(repository)?.name();
        let mut found = Vec::new();
        for row in images::list(state.read())? {
            let all = images::names(state.read(), &row.manifest)?;
            found.extend(
                all.into_iter()
                    .filter(|name| !name.contains('@') && names::repository(name) == wanted),
            );
        }
        found.sort();
        if found.is_empty() {
            return Err(missing(repository));
        }
        Ok(found)
    }

    fn push_image(
        &self,
        state: &mut State,
        image: &str,
        destination: Option<&str>,
        options: &PushOptions,
        progress: &dyn Progress,
    ) -> Result<Pushed> {
        let row = self.find_row(state.read(), image)?.ok_or_else(|| missing(image))?;
        let reference = match destination {
            Some(text) => Reference::parse(text.strip_prefix("docker://").unwrap_or(text))?,
            None => self.own_name(state, image)?,
        };
        let client = self.client_with(options.tls_verify, options.credentials.as_ref())?;
        let parcel = self.parcel(state.read(), &row, &reference)?;
        let push = Push {
            images: self,
            target: client.destination(&reference)?,
            progress,
            stop: AtomicBool::new(false),
        };
        let sizes: Vec<(Digest, u64)> =
            parcel.items.iter().map(|item| (item.blob.digest.clone(), item.blob.size)).collect();
        progress.begin_push(&reference.to_string(), &sizes);
        push.send_all(&parcel.items)?;
        push.target.put_manifest(reference.identifier(), &row.media_type, &parcel.manifest)?;
        let name = reference.to_string();
        state.write(|write| events::record(write, "image", "push", &name, "{}"))?;
        Ok(Pushed { reference, digest: row.manifest })
    }

    /// Where an image belongs by the name that the user gave.
    fn own_name(&self, state: &State, image: &str) -> Result<Reference> {
        let stored = self.stored_name(state, image)?.ok_or_else(|| {
            Error::new(Kind::Invalid, "it was not given by a name that says where to")
                .hint("name the destination too: dhow push IMAGE REGISTRY/NAME:TAG")
        })?;
        Reference::parse(&stored)
    }

    /// Everything that goes there.
    fn parcel(&self, read: &Read, row: &Row, to: &Reference) -> Result<Parcel> {
        let bytes = self.store.read(&row.manifest, MANIFEST_LIMIT_BYTES)?;
        let descriptor = Descriptor::new(&row.media_type, row.manifest.clone(), bytes.len() as u64);
        let manifest = parse_manifest(&descriptor, &bytes)?;
        let own: Vec<Reference> = places(&images::names(read, &row.manifest)?);
        let mut items: Vec<Item> = Vec::with_capacity(manifest.layers.len() + 1);
        for blob in manifest.layers.into_iter().chain([manifest.config]) {
            if items.iter().any(|item| item.blob.digest == blob.digest) {
                continue;
            }
            // The image itself may have come without this blob, where its layer was here already.
            let mut known = own.clone();
            known.extend(places(&images::names_of_blob(read, &blob.digest)?));
            let mount = known
                .iter()
                .find(|place| place.domain() == to.domain() && place.path() != to.path());
            let mount = mount.cloned();
            items.push(Item { blob, mount, known, sent: Arc::default() });
        }
        // The largest last, since jobs are taken from the back: none of them is alone at the end.
        items.sort_by_key(|item| item.blob.size);
        Ok(Parcel { manifest: bytes, items })
    }
}

/// The repositories that something is known to be in, since that is where it came from.
pub(crate) fn places(names: &[String]) -> Vec<Reference> {
    let by_digest = names.iter().filter(|name| name.contains('@'));
    // A row's name is always complete; one that is not is nothing to rely on.
    by_digest.filter_map(|name| Reference::parse(name).ok()).collect()
}

/// An image as a registry takes it.
struct Parcel {
    manifest: Vec<u8>,
    items: Vec<Item>,
}

/// One blob of it.
struct Item {
    blob: Descriptor,
    /// Another repository of the same registry that has it.
    mount: Option<Reference>,
    /// All that is known of where it came from.
    known: Vec<Reference>,
    /// How many bytes were read for sending.
    sent: Arc<AtomicU64>,
}

/// A push at work.
struct Push<'a> {
    images: &'a Images,
    target: Repository,
    progress: &'a dyn Progress,
    stop: AtomicBool,
}

impl Push<'_> {
    /// Sends blobs on several threads; tells meanwhile how far they are.
    fn send_all(&self, items: &[Item]) -> Result<()> {
        let waiting = Mutex::new(items.iter().collect::<Vec<&Item>>());
        let (done_in, done) = crossbeam_channel::unbounded::<Result<()>>();
        let mut failed: Option<Error> = None;
        thread::scope(|scope| {
            for _ in 0..items.len().min(PARALLEL_BLOBS) {
                let (waiting, done_in) = (&waiting, done_in.clone());
                scope.spawn(move || {
                    while let Some(item) = self.next(waiting) {
                        let sent = self.send(item);
                        if sent.is_err() {
                            self.stop.store(true, Ordering::Relaxed);
                        }
                        // The receiver outlives the scope.
                        let _told = done_in.send(sent);
                    }
                });
            }
            drop(done_in);
            loop {
                match done.recv_timeout(TELL_EVERY) {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => failed = failed.take().or(Some(error)),
                    Err(crossbeam_channel::RecvTimeoutError::Timeout) => self.tell_how_far(items),
                    Err(crossbeam_channel::RecvTimeoutError::Disconnected) => break,
                }
            }
        });
        failed.map_or(Ok(()), Err)
    }

    fn next<'b>(&self, waiting: &Mutex<Vec<&'b Item>>) -> Option<&'b Item> {
        if self.stop.load(Ordering::Relaxed) {
            return None;
        }
        waiting.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn send(&self, item: &Item) -> Result<()> {
        let blob = &item.blob;
        if let Some(size) = self.target.has_blob(&blob.digest)? {
            if size != blob.size {
                let what = format!("look for blob {} there: it has {size} bytes", blob.digest);
                return Err(Error::new(Kind::Corrupt, format!("{what}, not {}", blob.size)));
            }
            self.tell(item, Phase::There, blob.size);
            return Ok(());
        }
        let content = self.content(item)?;
        let arrival = self.target.bring(blob, content, item.mount.as_ref())?;
        let phase = match arrival {
            Arrival::Mounted => Phase::Mounted,
            Arrival::Sent => Phase::Done,
        };
        self.tell(item, phase, blob.size);
        Ok(())
    }

    /// The bytes: from the store, or from where the image came from.
    fn content(&self, item: &Item) -> Result<Arc<dyn Content>> {
        let (digest, sent) = (&item.blob.digest, Arc::clone(&item.sent));
        if self.images.store.has(digest)? {
            let file = Arc::new(self.images.store.open(digest)?);
            return Ok(Arc::new(Stored { file, sent }));
        }
        let place = item.known.first().ok_or_else(|| {
            Error::new(Kind::NotFound, format!("find blob {digest}: it is not in the store"))
                .hint("`dhow doctor` says what is broken; pull the image again")
        })?;
        // The user's own credentials are for the destination, not for this place.
        let client: &Client = self.images.client()?;
        let repository = client.repository(place)?;
        Ok(Arc::new(PassedOn { repository, blob: item.blob.clone(), sent }))
    }

    fn tell_how_far(&self, items: &[Item]) {
        for item in items {
            let sent = item.sent.load(Ordering::Relaxed);
            if sent > 0 && sent < item.blob.size {
                self.tell(item, Phase::Sending, sent);
            }
        }
    }

    fn tell(&self, item: &Item, phase: Phase, done: u64) {
        let Descriptor { digest, size, .. } = &item.blob;
        self.progress.layer(&Event { layer: digest, phase, done, total: *size });
    }
}

/// A blob in the store. The open file outlives a removal of the image.
struct Stored {
    file: Arc<File>,
    sent: Arc<AtomicU64>,
}

impl Content for Stored {
    fn open(&self, offset: u64) -> Result<Box<dyn io::Read + Send>> {
        let (file, sent) = (Arc::clone(&self.file), Arc::clone(&self.sent));
        Ok(Box::new(FromFile { file, at: offset, sent }))
    }
}

/// Reads at a place of its own, since several may read one open file.
struct FromFile {
    file: Arc<File>,
    at: u64,
    sent: Arc<AtomicU64>,
}

impl io::Read for FromFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        self.sent.store(self.at, Ordering::Relaxed);
        Ok(count)
    }
}

/// A blob of another registry.
struct PassedOn {
    repository: Repository,
    blob: Descriptor,
    sent: Arc<AtomicU64>,
}

impl Content for PassedOn {
    fn open(&self, offset: u64) -> Result<Box<dyn io::Read + Send>> {
        let reader = self.repository.blob(&self.blob, offset)?;
        self.sent.store(offset, Ordering::Relaxed);
        Ok(Box::new(reader.take(self.blob.size - offset)))
    }
}
