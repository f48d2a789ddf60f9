//! A blob as it arrives.
//!
//! ```text
//!  connection ──▶ pump (a task) ──▶ channel, at most 1 MiB ──▶ BlobReader ──▶ whoever reads
//!      ▲            │  breaks off
//!      └────────────┘  asks again, from the byte reached: the next mirror, or the registry itself
//! ```
//!
//! The pump reads no further than the channel has room, so a slow reader slows the sender down and
//! memory stays bounded. Dropping the reader ends the transfer.
//!
//! A large blob comes over several connections where the server gives parts of it:
//!
//! ```text
//!  segment 5 ──▶ pump ──▶ channel ──▶ …        the first one as it arrives,
//!  segment 6 ──▶ waits in memory               the next ones ahead of it, each whole at most
//!  segment 7 ──▶ waits in memory
//! ```
//!
//! The reader gets them in order, so whoever stores them has a beginning without gaps at every
//! moment, and a killed pull resumes as if it had been one connection. Where the reader is the slower
//! side (see [`Balance`]), the next part is a longer one, and comes alone, as it is read. A server that answers with
//! the whole blob is taken at its word, and one connection it is.
//!
//! The reader gives exactly the bytes that the descriptor promises, from the offset on, or an
//! error: never fewer, and more is [`Kind::Corrupt`]. It does not hash; whoever stores the bytes
//! does.

use crate::{
    address::shown,
    balance::Balance,
    fetcher::{Fetcher, Pace, Question, Tries},
    refusal::Failure,
    registries::Endpoint,
    transport::Answer,
};
use bytes::{Buf, Bytes};
use dhow_base::{Digest, Error, Kind, Result};
use dhow_spec::image::Descriptor;
use reqwest::header::{CONTENT_ENCODING, CONTENT_RANGE, HeaderMap};
use std::{
    collections::VecDeque,
    io::{self, Read},
    sync::Arc,
    time::Instant,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::AbortHandle,
};

/// How much of a blob may wait to be read. With the piece in the pump's hands and the connection's
/// own buffer, each of at most 400 KiB, about 1 MiB of a blob is in memory.
const WAITING_LIMIT_BYTES: usize = 512 << 10;
const WAITING_LIMIT_PIECES: usize = 256;
/// After so many new bytes a transfer has earned all its tries back.
const PROGRESS_BYTES: u64 = 1 << 20;

/// From this size on a blob comes in segments.
const LARGE_BYTES: u64 = 48 << 20;
/// What one request asks for then.
const SEGMENT_BYTES: u64 = 4 << 20;
/// And of a part that comes alone. It is asked for whole, so that for so long nobody can join in.
const ALONE_BYTES: u64 = 32 << 20;
/// Pieces can be as small as a TLS record; a whole segment of those may wait.
const SEGMENT_PIECES: usize = 1024;
/// How many segments of one blob are on their way at most.
const SEGMENTS: usize = 3;

/// A piece, and the room that it takes in the channel until it has been read.
type Piece = (Bytes, OwnedSemaphorePermit);

/// The bytes of a blob as they arrive. Dropping it ends the transfer.
///
/// Reading blocks, so it belongs on a thread of its own, not into an asynchronous task.
#[derive(Debug)]
pub struct BlobReader {
    pieces: mpsc::Receiver<Result<Piece>>,
    current: Option<Piece>,
    remaining: u64,
    digest: Digest,
    pump: Option<AbortHandle>,
    /// Keeps the runtime alive that the pump runs on.
    _runtime: Arc<dyn Send + Sync + std::fmt::Debug>,
}

impl BlobReader {
    /// How many bytes are still to come.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    fn receive(&mut self) -> io::Result<Option<Piece>> {
        match self.pieces.blocking_recv() {
            Some(piece) => Ok(Some(piece?)),
            None if self.remaining == 0 => Ok(None),
            None => {
                let what = format!("read blob {}: the transfer has ended early", self.digest);
                Err(Error::new(Kind::Unavailable, what).into())
            }
        }
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let (mut bytes, room) = match self.current.take() {
            Some(piece) => piece,
            None => match self.receive()? {
                Some(piece) => piece,
                None => return Ok(0),
            },
        };
        let count = bytes.len().min(buffer.len());
        bytes.copy_to_slice(&mut buffer[..count]);
        // The pump sends no more than was promised, so this does not underflow.
        self.remaining -= count as u64;
        if bytes.has_remaining() {
            self.current = Some((bytes, room));
        }
        Ok(count)
    }
}

impl Drop for BlobReader {
    fn drop(&mut self) {
        if let Some(pump) = &self.pump {
            pump.abort();
        }
    }
}

/// One blob's way here.
#[derive(Debug)]
pub(crate) struct Transfer {
    fetcher: Arc<Fetcher>,
    endpoints: Vec<Endpoint>,
    digest: Digest,
    size: u64,
    /// The next byte wanted.
    at: u64,
    /// Where this part of the blob ends.
    end: u64,
}

/// An answer that has begun, and how many of its first bytes we have already.
#[derive(Debug)]
struct Opened {
    answer: Answer,
    skip: u64,
    /// The byte of the blob that it ends at.
    end: u64,
    /// The number of the endpoint that it comes from.
    place: usize,
}

/// Part of a blob on a connection of its own.
#[derive(Debug)]
struct Segment {
    pieces: mpsc::Receiver<Result<Piece>>,
    end: u64,
    task: AbortHandle,
    /// To run ahead of the first segment takes memory, of which there is so much for all blobs.
    _ahead: Option<OwnedSemaphorePermit>,
}

impl Drop for Segment {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Transfer {
    /// Opens the blob and starts the pump. What is wrong from the start is said here.
    pub(crate) async fn begin(
        fetcher: Arc<Fetcher>,
        endpoints: Vec<Endpoint>,
        descriptor: &Descriptor,
        offset: u64,
        runtime: Arc<dyn Send + Sync + std::fmt::Debug>,
    ) -> Result<BlobReader> {
        let (digest, size) = (descriptor.digest.clone(), descriptor.size);
        let remaining = size.checked_sub(offset).ok_or_else(|| {
            let what = format!("read blob {digest} from byte {offset}: it has {size} bytes");
            Error::new(Kind::Invalid, what)
        })?;
        let (sender, pieces) = mpsc::channel(WAITING_LIMIT_PIECES);
        let end = if remaining < LARGE_BYTES { size } else { offset + SEGMENT_BYTES };
        let transfer = Self { fetcher, endpoints, digest: digest.clone(), size, at: offset, end };
        let pump = if remaining == 0 {
            None
        } else {
            let mut tries = Tries::new(&transfer.fetcher.patience);
            let opened = transfer.open(&mut tries, 0).await?;
            let pump = async move {
                let pumped = if opened.end < size {
                    transfer.pump_segments(opened, tries, &sender).await
                } else {
                    let room = Arc::new(Semaphore::new(WAITING_LIMIT_BYTES));
                    Self { end: size, ..transfer }.pump(opened, tries, &room, &sender).await
                };
                if let Err(error) = pumped {
                    // Nobody to tell means nobody is reading any more.
                    let _told = sender.send(Err(error)).await;
                }
            };
            Some(tokio::spawn(pump).abort_handle())
        };
        Ok(BlobReader { pieces, current: None, remaining, digest, pump, _runtime: runtime })
    }

    /// Moves a large blob in segments, several at once, into the channel in their order.
    async fn pump_segments(
        self,
        opened: Opened,
        tries: Tries,
        sender: &mpsc::Sender<Result<Piece>>,
    ) -> Result<()> {
        let room = Arc::new(Semaphore::new(WAITING_LIMIT_BYTES));
        let mut balance = Balance::new(self.fetcher.parts);
        let (mut at, mut next) = (self.at, self.end);
        let mut running = VecDeque::from([self.part(at, next).start(Some((opened, tries)), None)]);
        loop {
            let most = if balance.is_one_enough() { 1 } else { SEGMENTS };
            while next < self.size && running.len() < most {
                let ahead = match Arc::clone(&self.fetcher.ahead).try_acquire_owned() {
                    Ok(permit) => Some(permit),
                    Err(_) if running.is_empty() => None,
                    Err(_) => break,
                };
                let length = if balance.is_one_enough() { ALONE_BYTES } else { SEGMENT_BYTES };
                let end = (next + length).min(self.size);
                running.push_back(self.part(next, end).start(None, ahead));
                next = end;
            }
            let Some(first) = running.front_mut() else { return Ok(()) };
            let begin = Instant::now();
            if let Some(piece) = first.pieces.recv().await {
                let came = Instant::now();
                let (bytes, _waited) = piece?;
                let length = bytes.len() as u64;
                at += length;
                let permit = room_for(&room, &bytes).await;
                if sender.send(Ok((bytes, permit))).await.is_err() {
                    return Ok(());
                }
                balance.passed(length, came - begin, came.elapsed());
                continue;
            }
            if at != first.end {
                let what = format!("read blob {}: a segment has ended early", self.digest);
                return Err(Error::new(Kind::Unavailable, what));
            }
            running.pop_front();
        }
    }

    fn part(&self, at: u64, end: u64) -> Self {
        let (fetcher, endpoints) = (Arc::clone(&self.fetcher), self.endpoints.clone());
        Self { fetcher, endpoints, digest: self.digest.clone(), size: self.size, at, end }
    }

    /// Starts a task that fetches this part.
    fn start(self, begun: Option<(Opened, Tries)>, ahead: Option<OwnedSemaphorePermit>) -> Segment {
        let (sender, pieces) = mpsc::channel(SEGMENT_PIECES);
        let end = self.end;
        let task = async move {
            let fetched = async {
                let (opened, tries) = match begun {
                    Some(begun) => begun,
                    None => {
                        let mut tries = Tries::new(&self.fetcher.patience);
                        (self.open(&mut tries, 0).await?, tries)
                    }
                };
                // What comes alone is read as it comes.
                let is_alone = self.end - self.at > SEGMENT_BYTES;
                let room = if is_alone { WAITING_LIMIT_BYTES as u64 } else { SEGMENT_BYTES };
                let room = usize::try_from(room).expect("4 MiB fit into a usize");
                self.pump(opened, tries, &Arc::new(Semaphore::new(room)), &sender).await
            };
            if let Err(error) = fetched.await {
                let _told = sender.send(Err(error)).await;
            }
        };
        Segment { pieces, end, task: tokio::spawn(task).abort_handle(), _ahead: ahead }
    }

    /// Asks for the blob from `at` on, one endpoint after the other from `first` on, until one has it.
    async fn open(&self, tries: &mut Tries, first: usize) -> Result<Opened> {
        loop {
            let mut failed = None;
            for step in 0..self.endpoints.len() {
                match self.open_at((first + step) % self.endpoints.len()).await {
                    Ok(opened) => return Ok(opened),
                    // What may pass at one place is better than what will not at another.
                    Err(failure @ Failure::Passing { .. }) => failed = Some(failure),
                    Err(failure) => failed = failed.or(Some(failure)),
                }
            }
            let failure = failed.unwrap_or_else(|| {
                Error::new(Kind::Internal, "read a blob of a repository without a place").into()
            });
            tries.pause(failure).await?;
        }
    }

    async fn open_at(&self, place: usize) -> Result<Opened, Failure> {
        let endpoint = &self.endpoints[place];
        let last = (self.end < self.size).then(|| self.end - 1);
        let question = Question::blob(endpoint, &self.digest, self.at, last);
        let answer = self.fetcher.ask(endpoint, &question).await?;
        let wrong = |why: String| {
            let what = format!("read blob {} from {}", self.digest, shown(&answer.url));
            Error::new(Kind::Corrupt, format!("{what}: {why}"))
        };
        let headers = answer.response.headers();
        // A little of it again is no harm; the whole blob for each of its segments would be.
        let far = self.end < self.size && self.at > LARGE_BYTES;
        let (start, end) = match answer.response.status().as_u16() {
            200 if far => return Err(wrong("it gave parts, and now the whole".into()).into()),
            200 => (0, self.size),
            206 => (self.check_range(headers).map_err(&wrong)?, self.end),
            status => return Err(wrong(format!("status {status} has no content")).into()),
        };
        if let Some(encoding) = headers.get(CONTENT_ENCODING).filter(|value| *value != "identity") {
            return Err(wrong(format!("it comes in the encoding {encoding:?}")).into());
        }
        if let Some(length) = answer.response.content_length()
            && length != end - start
        {
            let has = start.saturating_add(length);
            return Err(wrong(format!("it has {has} bytes there, not {end}")).into());
        }
        Ok(Opened { skip: self.at - start, answer, end, place })
    }

    /// The first byte of a partial answer, which must be the one that was asked for.
    fn check_range(&self, headers: &HeaderMap) -> std::result::Result<u64, String> {
        let text = headers.get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
        let text = text.ok_or("the partial answer has no Content-Range")?;
        let range = ContentRange::parse(text).ok_or_else(|| {
            format!("Content-Range {:?} cannot be read", crate::refusal::tame(text))
        })?;
        let whole = range.last.checked_add(1) == Some(self.end);
        if range.first != self.at || !whole || range.total.is_some_and(|total| total != self.size) {
            let wanted = format!("bytes {} to {}", self.at, self.end);
            return Err(format!("asked for {wanted}, got Content-Range {range:?}"));
        }
        Ok(range.first)
    }

    /// Moves bytes from the connection into the channel until all are there.
    async fn pump(
        mut self,
        mut opened: Opened,
        mut tries: Tries,
        room: &Arc<Semaphore>,
        sender: &mpsc::Sender<Result<Piece>>,
    ) -> Result<()> {
        let mut broken_off = 0;
        loop {
            let before = self.at;
            let Err(failure) = self.drain(&mut opened, room, sender).await else {
                return Ok(());
            };
            if self.at - before >= PROGRESS_BYTES {
                tries.reset();
                broken_off = 0;
            }
            broken_off += 1;
            // The next place is better than waiting for this one, until each has had its turn.
            let had_all = broken_off % self.endpoints.len() == 0;
            if had_all || !matches!(failure, Failure::Passing { .. }) {
                tries.pause(failure).await?;
            }
            opened = self.open(&mut tries, opened.place + 1).await?;
        }
    }

    /// Drains one answer. `Ok` means that this part is complete, or that nobody wants it any more.
    async fn drain(
        &mut self,
        opened: &mut Opened,
        room: &Arc<Semaphore>,
        sender: &mpsc::Sender<Result<Piece>>,
    ) -> Result<(), Failure> {
        let mut pace = Pace::new(self.fetcher.patience.stall);
        let Opened { answer, skip, end, .. } = opened;
        loop {
            let piece = match pace.next(&mut answer.response, &answer.url).await {
                // All bytes are there, so it does not matter how the connection ends.
                Err(_) | Ok(None) if self.at == self.end => return Ok(()),
                Ok(None) => return Err(self.short(answer)),
                Ok(Some(piece)) => piece,
                Err(failure) => return Err(failure),
            };
            let mut piece = without_first(piece, skip);
            if piece.len() as u64 > *end - self.at {
                let what = format!("read blob {} from {}", self.digest, shown(&answer.url));
                let why = format!("more bytes come than the {} of its descriptor", self.size);
                return Err(Error::new(Kind::Corrupt, format!("{what}: {why}")).into());
            }
            // The whole blob comes where a part was asked for: what follows is another part's.
            let is_enough = *end > self.end && piece.len() as u64 >= self.end - self.at;
            if is_enough {
                let left = usize::try_from(self.end - self.at).expect("less than the piece");
                piece.truncate(left);
            }
            if !piece.is_empty() {
                self.at += piece.len() as u64;
                let permit = room_for(room, &piece).await;
                if sender.send(Ok((piece, permit))).await.is_err() {
                    return Ok(());
                }
            }
            if is_enough {
                return Ok(());
            }
        }
    }

    fn short(&self, answer: &Answer) -> Failure {
        let what = format!("read blob {} from {}", self.digest, shown(&answer.url));
        let why = format!("it ended after {} of {} bytes", self.at, self.end);
        Failure::passing(Error::new(Kind::Unavailable, format!("{what}: {why}")))
    }
}

/// Waits until there is room for a piece.
async fn room_for(room: &Arc<Semaphore>, piece: &Bytes) -> OwnedSemaphorePermit {
    let wanted = u32::try_from(piece.len().min(WAITING_LIMIT_BYTES));
    let wanted = wanted.expect("half a MiB fits into 32 bits");
    let permit = Arc::clone(room).acquire_many_owned(wanted).await;
    permit.expect("the semaphore is never closed")
}

fn without_first(mut piece: Bytes, skip: &mut u64) -> Bytes {
    let skipped = usize::try_from(*skip).unwrap_or(usize::MAX).min(piece.len());
    *skip -= skipped as u64;
    piece.advance(skipped);
    piece
}

/// `bytes 5-9/10`; the total may be `*`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct ContentRange {
    first: u64,
    last: u64,
    total: Option<u64>,
}

impl ContentRange {
    fn parse(text: &str) -> Option<Self> {
        let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let number = |text: &str| text.trim().parse::<u64>().ok();
        let total = if total.trim() == "*" { None } else { Some(number(total)?) };
        Some(Self { first: number(first)?, last: number(last)?, total })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read_strictly() {
        let range = |first, last, total| Some(ContentRange { first, last, total });
        let cases = [
            ("bytes 5-9/10", range(5, 9, Some(10))),
            ("bytes 0-0/*", range(0, 0, None)),
            ("bytes */10", None),
            ("bytes 5-9", None),
            ("items 5-9/10", None),
            ("bytes -1-9/10", None),
            ("bytes 5-99999999999999999999/10", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(ContentRange::parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn skipping_crosses_pieces() {
        let mut skip = 5;

        assert_eq!(without_first(Bytes::from_static(b"abc"), &mut skip), "");
        assert_eq!(without_first(Bytes::from_static(b"defg"), &mut skip), "fg");
        assert_eq!(without_first(Bytes::from_static(b"h"), &mut skip), "h");
    }
}
