//! One layer on its way from its origin to a directory, verified twice while it streams.
//!
//! ```text
//!  origin ─▶ fetch: hash, write the blob ─▶ inflate: hash the tar ─▶ apply: make the files
//!                 (compressed digest)            (diff id)
//! ```
//!
//! The three stages are threads, since each has work of its own for a core: even an image of a
//! single layer keeps two busy. Nothing that was made counts before all three agree.

use crate::{
    Bounds,
    flush::Flush,
    origin::Origin,
    pipe::{self, BUFFER_BYTES, Sink, Stream},
    plan::Layer,
    progress::{Event, Phase, Progress},
};
use dhow_archive::{
    Compression, DecodeLimits, Decoder, Digesting, Limits, Pool, Unpack, Whiteouts,
};
use dhow_base::{Digest, Doing, Error, Kind, Result, digest::Hasher};
use dhow_store::{Ingest, Intake, Store};
use dhow_sys::writeback;
use rustix::fs::{Mode, OFlags};
use std::{
    io::{self, Read},
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// After a layer turned out to be unusable, so much more of its blob is still fetched, to tell
/// whether the layer is bad or only what came of it.
const POST_MORTEM_BYTES: u64 = 256 << 20;

/// So much of a blob at a time starts on its way to the disk while the rest is still coming, so that
/// the sync at the end finds little left.
const WRITEBACK_BYTES: u64 = 8 << 20;

/// What all layers of a pull share.
#[derive(Debug)]
pub(crate) struct Works<'a> {
    pub(crate) store: &'a Store,
    pub(crate) origin: &'a dyn Origin,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) flush: &'a Flush,
    pub(crate) bounds: &'a Bounds,
    /// The memory that the layers have together.
    pub(crate) pool: Arc<Pool>,
    /// Set when another layer has failed.
    pub(crate) stop: AtomicBool,
}

/// A layer that was applied.
#[derive(Debug)]
pub(crate) struct Applied {
    /// Directories that it needs but does not list.
    pub(crate) implied: Vec<PathBuf>,
    /// The bytes of its uncompressed form.
    pub(crate) size: u64,
}

/// A stage's failure, and whether it only failed because a neighbour did.
struct Fault {
    error: Error,
    is_the_others: bool,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self { error, is_the_others: false }
    }
}

impl Works<'_> {
    /// Fetches the layer's blob into the store and applies it to the directory.
    pub(crate) fn run(&self, layer: &Layer, target: &Path, how: Whiteouts) -> Result<Applied> {
        let doing = || format!("unpack layer {}", layer.descriptor.digest);
        let (raw_in, raw_out) = pipe::pipe();
        let (tar_in, tar_out) = pipe::pipe();
        let (fetched, inflated, applied) = thread::scope(|scope| {
            let (decoding, limits) = self.bounds.of_layer(&self.pool);
            let inflating = scope.spawn(|| inflate(layer, raw_out, tar_in, decoding));
            let applying = scope.spawn(|| apply(tar_out, target, how, limits));
            let fetched = self.fetch(layer, raw_in);
            (fetched, join(inflating), join(applying))
        });
        let (size, implied) = judge(fetched, inflated, applied).doing(doing)?;
        self.tell(layer, Phase::Done, layer.descriptor.size);
        Ok(Applied { implied, size })
    }

    /// Tells whoever listens where a layer is.
    pub(crate) fn tell(&self, layer: &Layer, phase: Phase, done: u64) {
        let total = layer.descriptor.size;
        self.progress.layer(&Event { layer: &layer.descriptor.digest, phase, done, total });
    }

    fn fetch(&self, layer: &Layer, sink: Sink) -> Result<(), Fault> {
        let descriptor = &layer.descriptor;
        let mut feed = Feed::new(sink);
        match self.store.ingest(&descriptor.digest, descriptor.size)? {
            Intake::Present => self.reread(layer, &mut feed)?,
            Intake::Wanted(ingest) => self.take_in(layer, ingest, &mut feed)?,
        }
        self.tell(layer, Phase::Unpacking, descriptor.size);
        feed.finish()
    }

    /// The blob is here already; what reads it verifies it by the layer's own digest.
    fn reread(&self, layer: &Layer, feed: &mut Feed) -> Result<(), Fault> {
        let mut file = self.store.open(&layer.descriptor.digest)?;
        let mut before = 0;
        pass(layer, &mut file, feed, &mut |done| {
            self.flush.came(done - before);
            before = done;
            self.tell(layer, Phase::Fetching, done);
            self.check_stop()
        })
    }

    fn take_in(&self, layer: &Layer, mut ingest: Ingest, feed: &mut Feed) -> Result<(), Fault> {
        let descriptor = &layer.descriptor;
        self.tell(layer, Phase::Fetching, ingest.received());
        ingest.replay(|piece| feed.copy(piece))?;
        if ingest.received() < descriptor.size {
            let mut stream = self.origin.blob(descriptor, ingest.received())?;
            let mut written_back = ingest.received();
            loop {
                self.check_stop()?;
                let mut buffer = feed.buffer()?;
                let read = fill(&mut stream, &mut buffer);
                // What came before the line broke is worth keeping.
                ingest.append(&buffer)?;
                read.doing(|| format!("fetch blob {}", descriptor.digest))?;
                if buffer.is_empty() {
                    break;
                }
                self.tell(layer, Phase::Fetching, ingest.received());
                if ingest.received() - written_back >= WRITEBACK_BYTES {
                    // Only asked for; the sync at the end is what counts.
                    let _asked = writeback::start(ingest.as_fd(), written_back, 0);
                    written_back = ingest.received();
                }
                self.flush.came(buffer.len() as u64);
                feed.push(buffer)?;
                feed.check(descriptor.size - ingest.received())?;
            }
        }
        ingest.commit().map_err(Fault::from)
    }

    fn check_stop(&self) -> Result<(), Fault> {
        if self.stop.load(Ordering::Relaxed) {
            let error = Error::new(Kind::Conflict, "stopped, since another layer failed");
            return Err(Fault { error, is_the_others: true });
        }
        Ok(())
    }
}

/// Applies a layer to a directory without keeping its blob.
pub(crate) fn pass_through(
    origin: &dyn Origin,
    layer: &Layer,
    target: &Path,
    how: Whiteouts,
    bounds: &Bounds,
) -> Result<()> {
    let doing = || format!("unpack layer {}", layer.descriptor.digest);
    let (raw_in, raw_out) = pipe::pipe();
    let (tar_in, tar_out) = pipe::pipe();
    let (passed, inflated, applied) = thread::scope(|scope| {
        let (decoding, limits) = bounds.of_layer(&bounds.pool());
        let inflating = scope.spawn(|| inflate(layer, raw_out, tar_in, decoding));
        let applying = scope.spawn(|| apply(tar_out, target, how, limits));
        let mut feed = Feed::new(raw_in);
        let passed = origin
            .blob(&layer.descriptor, 0)
            .map_err(Fault::from)
            .and_then(|mut stream| pass(layer, &mut stream, &mut feed, &mut |_| Ok(())));
        let passed = passed.and_then(|()| feed.finish());
        (passed, join(inflating), join(applying))
    });
    judge(passed, inflated, applied).doing(doing).map(drop)
}

/// Feeds a whole blob, and fails at its end where it is not the layer's.
fn pass(
    layer: &Layer,
    stream: &mut dyn Read,
    feed: &mut Feed,
    each: &mut dyn FnMut(u64) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let digest = &layer.descriptor.digest;
    let mut hasher = Hasher::new(digest.algorithm());
    let mut done = 0;
    loop {
        each(done)?;
        let mut buffer = feed.buffer()?;
        fill(stream, &mut buffer).doing(|| format!("read blob {digest}"))?;
        if buffer.is_empty() {
            break;
        }
        hasher.update(&buffer);
        done += buffer.len() as u64;
        feed.push(buffer)?;
    }
    let actual = hasher.finish();
    let expected = layer.descriptor.size;
    if actual == *digest && done == expected {
        return Ok(());
    }
    let what = format!(
        "check stored blob {digest}: it has {done} of {expected} bytes and digest {actual}"
    );
    Err(Error::new(Kind::Corrupt, what).into())
}

/// What fetching feeds: the inflating stage, until that has failed.
struct Feed {
    sink: Option<Sink>,
    spare: Vec<u8>,
}

impl Feed {
    fn new(sink: Sink) -> Self {
        Self { sink: Some(sink), spare: Vec::new() }
    }

    fn buffer(&mut self) -> Result<Vec<u8>> {
        if let Some(sink) = &mut self.sink {
            match sink.buffer() {
                Ok(buffer) => return Ok(buffer),
                Err(_) => self.sink = None,
            }
        }
        let mut buffer = std::mem::take(&mut self.spare);
        buffer.resize(BUFFER_BYTES, 0);
        Ok(buffer)
    }

    fn push(&mut self, buffer: Vec<u8>) -> Result<()> {
        match &mut self.sink {
            Some(sink) => {
                if sink.push(buffer).is_err() {
                    self.sink = None;
                }
            }
            None => self.spare = buffer,
        }
        Ok(())
    }

    fn copy(&mut self, mut piece: &[u8]) -> Result<()> {
        while !piece.is_empty() {
            let mut buffer = self.buffer()?;
            let count = piece.len().min(buffer.len());
            buffer.truncate(count);
            buffer.copy_from_slice(&piece[..count]);
            self.push(buffer)?;
            piece = &piece[count..];
        }
        Ok(())
    }

    /// Gives up where nobody reads any more and finding out why would take too long.
    fn check(&self, left: u64) -> Result<(), Fault> {
        if self.sink.is_none() && left > POST_MORTEM_BYTES { Err(deserted()) } else { Ok(()) }
    }

    fn finish(self) -> Result<(), Fault> {
        match self.sink.map(Sink::finish) {
            Some(Ok(())) => Ok(()),
            _ => Err(deserted()),
        }
    }
}

/// Nobody reads any more: why is for the reader to say. Only where that is content, having seen the
/// end of the layer, is this the reason.
fn deserted() -> Fault {
    let error = Error::new(Kind::Corrupt, "bytes follow the end of the compressed layer");
    Fault { error, is_the_others: true }
}

/// Reads until the buffer is full or the stream ends; the buffer is then as long as what was read,
/// also after an error.
fn fill(stream: &mut dyn Read, buffer: &mut Vec<u8>) -> io::Result<()> {
    let mut filled = 0;
    let result = loop {
        if filled == buffer.len() {
            break Ok(());
        }
        match stream.read(&mut buffer[filled..]) {
            Ok(0) => break Ok(()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
    };
    buffer.truncate(filled);
    result
}

/// Undoes the compression and verifies the layer's own digest. Returns its length.
fn inflate(layer: &Layer, raw: Stream, tar: Sink, limits: DecodeLimits) -> Result<u64, Fault> {
    let (before, after) = (raw.blame(), tar.blame());
    pump(layer, raw, tar, limits).map_err(|error| Fault {
        error,
        is_the_others: before.is_the_others() || after.is_the_others(),
    })
}

fn pump(layer: &Layer, raw: Stream, mut tar: Sink, limits: DecodeLimits) -> Result<u64> {
    let doing = || "inflate it";
    let decoder = Decoder::detect(raw, limits)?;
    // A layer that is not compressed is its own blob, whose digest is verified with that.
    let hashed_before =
        decoder.compression() == Compression::Plain && layer.descriptor.digest == layer.diff_id;
    if hashed_before {
        return pour(decoder, &mut tar).and_then(|size| {
            tar.finish().doing(doing)?;
            Ok(size)
        });
    }
    let size = pour(Digesting::new(decoder, layer.diff_id.clone()), &mut tar)
        .map_err(|error| explain(error, &layer.diff_id))?;
    tar.finish().doing(doing)?;
    Ok(size)
}

fn pour(mut stream: impl Read, tar: &mut Sink) -> Result<u64> {
    let mut size = 0;
    loop {
        let mut buffer = tar.buffer().doing(|| "inflate it")?;
        fill(&mut stream, &mut buffer).doing(|| "inflate it")?;
        if buffer.is_empty() {
            tar.push(buffer).doing(|| "inflate it")?;
            return Ok(size);
        }
        size += buffer.len() as u64;
        tar.push(buffer).doing(|| "inflate it")?;
    }
}

fn explain(error: Error, diff_id: &Digest) -> Error {
    let kind = error.kind();
    Error::new(kind, format!("compare it with the configuration's {diff_id}")).because(error)
}

/// Makes the files. Returns the directories that the layer needs but does not list.
fn apply(
    mut tar: Stream,
    target: &Path,
    how: Whiteouts,
    limits: Limits,
) -> Result<Vec<PathBuf>, Fault> {
    let blame = tar.blame();
    let unpack = || -> Result<Vec<PathBuf>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let directory = rustix::fs::open(target, flags, Mode::empty())
            .doing(|| format!("open {}", target.display()))?;
        let root = RootMark::put(directory.as_fd(), how)?;
        let summary = Unpack::new(directory.as_fd(), how, limits).apply(&mut tar)?;
        // The padding behind the end of an archive is part of the digest.
        io::copy(&mut tar, &mut io::sink()).doing(|| "read to the end")?;
        let mut implied = summary.implied;
        if root.was_left()? {
            implied.push(PathBuf::new());
        }
        Ok(implied)
    };
    unpack().map_err(|error| Fault { error, is_the_others: blame.is_the_others() })
}

/// Tells whether a layer lists its root: many do not, and then it has the attributes of the root
/// below, like every other directory that is only implied.
struct RootMark<'a>(Option<BorrowedFd<'a>>);

impl<'a> RootMark<'a> {
    /// Set-user-id means nothing on a directory, so no image gives its root this mode.
    const MODE: u32 = 0o4700;

    fn put(directory: BorrowedFd<'a>, how: Whiteouts) -> Result<Self> {
        if how == Whiteouts::Apply {
            return Ok(Self(None));
        }
        rustix::fs::fchmod(directory, Mode::from_raw_mode(Self::MODE))
            .doing(|| "mark the root of the layer")?;
        Ok(Self(Some(directory)))
    }

    /// Is the mark still there? It is gone afterwards.
    fn was_left(self) -> Result<bool> {
        let Some(directory) = self.0 else { return Ok(false) };
        let stat = rustix::fs::fstat(directory).doing(|| "look at the root of the layer")?;
        if stat.st_mode & 0o7777 != Self::MODE {
            return Ok(false);
        }
        rustix::fs::fchmod(directory, Mode::from_raw_mode(0o755))
            .doing(|| "set the mode of the root of the layer")?;
        Ok(true)
    }
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, Result<T, Fault>>) -> Result<T, Fault> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The results of the three stages as one: the first own failure in the order of the stream.
fn judge(
    fetched: Result<(), Fault>,
    inflated: Result<u64, Fault>,
    applied: Result<Vec<PathBuf>, Fault>,
) -> Result<(u64, Vec<PathBuf>)> {
    let (inflated, applied) = match (&fetched, inflated, applied) {
        (Ok(()), Ok(size), Ok(implied)) => return Ok((size, implied)),
        (_, inflated, applied) => (inflated.err(), applied.err()),
    };
    let faults: Vec<Fault> = [fetched.err(), inflated, applied].into_iter().flatten().collect();
    let mut others = None;
    for fault in faults {
        if !fault.is_the_others {
            return Err(fault.error);
        }
        others = others.or(Some(fault.error));
    }
    Err(others.unwrap_or_else(|| Error::new(Kind::Internal, "a stage failed without a reason")))
}
