//! What is sent along with a request: nothing, some bytes, or a part of a blob as it is read.
//!
//! ```text
//!  Content::open(offset) ──▶ reader (a blocking thread) ──▶ channel, 1 MiB ──▶ connection
//!                                                               │
//!                                                     Pulse: how far, and what broke
//! ```
//!
//! A connection may break after any byte, and then the rest is sent over another one. So what is
//! sent is not a stream but something that can be opened again, at any offset.

use crate::{
    refusal::{Failure, of_network},
    transport::silent,
};
use bytes::Bytes;
use dhow_base::{Digest, Doing, Error, Kind, Result};
use http_body::{Body, Frame, SizeHint};
use reqwest::Response;
use std::{
    convert::Infallible,
    fmt,
    io::{self, Cursor, Read},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::sync::mpsc;
use url::Url;

/// Large enough that a hand-over costs little; the channel holds three more of them.
const PIECE_BYTES: usize = 256 << 10;
const PIECES: usize = 3;

/// The bytes of a blob that is sent. It is opened anew, perhaps further on, when a line breaks.
pub trait Content: Send + Sync {
    /// The bytes from `offset` on.
    fn open(&self, offset: u64) -> Result<Box<dyn Read + Send>>;
}

/// What is in memory already.
impl Content for Bytes {
    fn open(&self, offset: u64) -> Result<Box<dyn Read + Send>> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        Ok(Box::new(Cursor::new(self.slice(from..))))
    }
}

/// What a request carries.
#[derive(Clone, Debug, Default)]
pub(crate) enum Payload {
    #[default]
    Nothing,
    Bytes(Bytes),
    Part(Part),
}

/// A part of a blob: `length` bytes from `from` on.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) content: Arc<dyn Content>,
    /// Whose part it is, for messages.
    pub(crate) digest: Digest,
    pub(crate) from: u64,
    pub(crate) length: u64,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { digest, from, length, .. } = self;
        write!(f, "Part({digest}, {from}, {length})")
    }
}

impl Part {
    /// Starts to read. The thread ends with the part, or when nobody wants it any more.
    pub(crate) fn start(&self) -> (reqwest::Body, Arc<Pulse>) {
        let (sender, pieces) = mpsc::channel(PIECES);
        let pulse = Arc::new(Pulse::default());
        let (part, watched) = (self.clone(), Arc::clone(&pulse));
        tokio::task::spawn_blocking(move || {
            if let Err(error) = part.read(&sender) {
                watched.fail(error);
            }
        });
        let outgoing = Outgoing { pieces, left: self.length, pulse: Arc::clone(&pulse) };
        (reqwest::Body::wrap(outgoing), pulse)
    }

    fn read(&self, sender: &mpsc::Sender<Bytes>) -> Result<()> {
        let doing = || format!("read blob {} from byte {}", self.digest, self.from);
        let mut reader = self.content.open(self.from).doing(doing)?;
        let mut left = self.length;
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES);
            let mut piece = vec![0; wanted];
            let count = match reader.read(&mut piece) {
                Ok(0) => {
                    let why = format!("{}: {left} bytes are missing at its end", doing());
                    return Err(Error::new(Kind::Corrupt, why));
                }
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).doing(doing),
            };
            piece.truncate(count);
            left -= count as u64;
            if sender.blocking_send(piece.into()).is_err() {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// How far the sending of a part has come.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    sent: AtomicU64,
    failed: Mutex<Option<Error>>,
}

impl Pulse {
    fn fail(&self, error: Error) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    fn take_failure(&self) -> Option<Error> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits for the answer as long as bytes keep going out, and `stall` longer.
    pub(crate) async fn watch(
        &self,
        stall: Duration,
        url: &Url,
        sending: impl Future<Output = reqwest::Result<Response>>,
    ) -> Result<Response, Failure> {
        let mut sending = std::pin::pin!(sending);
        let mut before = 0;
        loop {
            let answered = tokio::time::timeout(stall, &mut sending).await;
            // What is wrong on this side is no reason to try again.
            if let Some(error) = self.take_failure() {
                return Err(error.into());
            }
            match answered {
                Ok(answered) => return answered.map_err(|error| of_network(error, url)),
                Err(_) => {
                    let now = self.sent.load(Ordering::Relaxed);
                    if now == before {
                        return Err(Failure::passing(silent(url, stall)));
                    }
                    before = now;
                }
            }
        }
    }
}

/// A part on its way into a connection.
struct Outgoing {
    pieces: mpsc::Receiver<Bytes>,
    left: u64,
    pulse: Arc<Pulse>,
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Infallible>>> {
        // A reader that ends early leaves the body short of its length, which breaks the
        // connection; the pulse then knows why.
        let piece = ready!(self.pieces.poll_recv(context));
        Poll::Ready(piece.map(|piece| {
            let length = piece.len() as u64;
            self.left = self.left.saturating_sub(length);
            self.pulse.sent.fetch_add(length, Ordering::Relaxed);
            Ok(Frame::data(piece))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
