//! A blob as it arrives.
//!
//! ```text
//!  connection ──▶ pump (a task) ──▶ channel, at most 1 MiB ──▶ BlobReader ──▶ whoever reads
//!      ▲            │  breaks off
//!      └────────────┘  asks again, from the byte reached
//! ```
//!
//! The pump reads no further than the channel has room, so a slow reader slows the sender down and
//! memory stays bounded. Dropping the reader ends the transfer.
//!
//! The reader gives exactly the bytes that the descriptor promises, from the offset on, or an
//! error: never fewer, and more is [`Kind::Corrupt`]. It does not hash; whoever stores the bytes
//! does.

use crate::{
    address::shown,
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
    io::{self, Read},
    sync::Arc,
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
}

/// An answer that has begun, and how many of its first bytes we have already.
#[derive(Debug)]
struct Opened {
    answer: Answer,
    skip: u64,
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
        let transfer = Self { fetcher, endpoints, digest: digest.clone(), size, at: offset };
        let pump = if remaining == 0 {
            None
        } else {
            let mut tries = Tries::new(&transfer.fetcher.patience);
            let opened = transfer.open(&mut tries).await?;
            let pump = async move {
                if let Err(error) = transfer.pump(opened, tries, &sender).await {
                    // Nobody to tell means nobody is reading any more.
                    let _told = sender.send(Err(error)).await;
                }
            };
            Some(tokio::spawn(pump).abort_handle())
        };
        Ok(BlobReader { pieces, current: None, remaining, digest, pump, _runtime: runtime })
    }

    /// Asks for the blob from `at` on, one endpoint after the other, until one has it.
    async fn open(&self, tries: &mut Tries) -> Result<Opened> {
        loop {
            let mut failed = None;
            for endpoint in &self.endpoints {
                match self.open_at(endpoint).await {
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

    async fn open_at(&self, endpoint: &Endpoint) -> Result<Opened, Failure> {
        let question = Question::blob(endpoint, &self.digest, self.at);
        let answer = self.fetcher.ask(endpoint, &question).await?;
        let wrong = |why: String| {
            let what = format!("read blob {} from {}", self.digest, shown(&answer.url));
            Error::new(Kind::Corrupt, format!("{what}: {why}"))
        };
        let headers = answer.response.headers();
        let start = match answer.response.status().as_u16() {
            200 => 0,
            206 => self.check_range(headers).map_err(&wrong)?,
            status => return Err(wrong(format!("status {status} has no content")).into()),
        };
        if let Some(encoding) = headers.get(CONTENT_ENCODING).filter(|value| *value != "identity") {
            return Err(wrong(format!("it comes in the encoding {encoding:?}")).into());
        }
        if let Some(length) = answer.response.content_length()
            && length != self.size - start
        {
            let has = start.saturating_add(length);
            return Err(wrong(format!("it has {has} bytes there, not {}", self.size)).into());
        }
        Ok(Opened { skip: self.at - start, answer })
    }

    /// The first byte of a partial answer, which must be the one that was asked for.
    fn check_range(&self, headers: &HeaderMap) -> std::result::Result<u64, String> {
        let text = headers.get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
        let text = text.ok_or("the partial answer has no Content-Range")?;
        let range = ContentRange::parse(text).ok_or_else(|| {
            format!("Content-Range {:?} cannot be read", crate::refusal::tame(text))
        })?;
        let whole = range.last.checked_add(1) == Some(self.size);
        if range.first != self.at || !whole || range.total.is_some_and(|total| total != self.size) {
            let wanted = format!("bytes {} to {}", self.at, self.size);
            return Err(format!("asked for {wanted}, got Content-Range {range:?}"));
        }
        Ok(range.first)
    }

    /// Moves bytes from the connection into the channel until all are there.
    async fn pump(
        mut self,
        mut opened: Opened,
        mut tries: Tries,
        sender: &mpsc::Sender<Result<Piece>>,
    ) -> Result<()> {
        let room = Arc::new(Semaphore::new(WAITING_LIMIT_BYTES));
        loop {
            let before = self.at;
            let Err(failure) = self.drain(&mut opened, &room, sender).await else {
                return Ok(());
            };
            if self.at - before >= PROGRESS_BYTES {
                tries.reset();
            }
            tries.pause(failure).await?;
            opened = self.open(&mut tries).await?;
        }
    }

    /// Drains one answer. `Ok` means that the blob is complete, or that nobody wants it any more.
    async fn drain(
        &mut self,
        opened: &mut Opened,
        room: &Arc<Semaphore>,
        sender: &mpsc::Sender<Result<Piece>>,
    ) -> Result<(), Failure> {
        let mut pace = Pace::new(self.fetcher.patience.stall);
        let Opened { answer, skip } = opened;
        loop {
            let piece = match pace.next(&mut answer.response, &answer.url).await {
                // All bytes are there, so it does not matter how the connection ends.
                Err(_) | Ok(None) if self.at == self.size => return Ok(()),
                Ok(None) => return Err(self.short(answer)),
                Ok(Some(piece)) => piece,
                Err(failure) => return Err(failure),
            };
            let piece = without_first(piece, skip);
            if piece.len() as u64 > self.size - self.at {
                let what = format!("read blob {} from {}", self.digest, shown(&answer.url));
                let why = format!("more bytes come than the {} of its descriptor", self.size);
                return Err(Error::new(Kind::Corrupt, format!("{what}: {why}")).into());
            }
            if piece.is_empty() {
                continue;
            }
            self.at += piece.len() as u64;
            let wanted = u32::try_from(piece.len().min(WAITING_LIMIT_BYTES))
                .expect("half a MiB fits into 32 bits");
            let permit = Arc::clone(room).acquire_many_owned(wanted).await;
            let permit = permit.expect("the semaphore is never closed");
            if sender.send(Ok((piece, permit))).await.is_err() {
                return Ok(());
            }
        }
    }

    fn short(&self, answer: &Answer) -> Failure {
        let what = format!("read blob {} from {}", self.digest, shown(&answer.url));
        let why = format!("it ended after {} of {} bytes", self.at, self.size);
        Failure::passing(Error::new(Kind::Unavailable, format!("{what}: {why}")))
    }
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
