//! A pipe between two threads that hands buffers over instead of copying them, and takes the empty
//! ones back.
//!
//! ```text
//!  Sink ── full buffers, at most 8 ──▶ Stream: Read
//!    ▲                                    │
//!    └────────── empty buffers ───────────┘
//! ```
//!
//! A stream ends only where its sink was finished. A sink that is merely dropped, because its side
//! failed, is an error to the reader, so half a layer is never taken for a whole one.

use crossbeam_channel::{Receiver, Sender, bounded};
use std::{
    io::{self, Read, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// The size of a buffer: large enough that a hand-over costs nothing, small enough for the cache.
pub(crate) const BUFFER_BYTES: usize = 128 << 10;
const BUFFERS: usize = 8;

/// The end that is written to.
#[derive(Debug)]
pub(crate) struct Sink {
    full: Sender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
    made: usize,
    deserted: Arc<AtomicBool>,
    pending: Vec<u8>,
}

/// The end that is read from.
#[derive(Debug)]
pub(crate) struct Stream {
    full: Receiver<Vec<u8>>,
    empty: Sender<Vec<u8>>,
    current: Vec<u8>,
    at: usize,
    ended: bool,
    starved: Arc<AtomicBool>,
}

/// Tells after a failure whether it was only the other side's.
#[derive(Clone, Debug)]
pub(crate) struct Blame(Arc<AtomicBool>);

impl Blame {
    pub(crate) fn is_the_others(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

pub(crate) fn pipe() -> (Sink, Stream) {
    let (full_in, full_out) = bounded(BUFFERS);
    let (empty_in, empty_out) = bounded(BUFFERS);
    let sink = Sink {
        full: full_in,
        empty: empty_out,
        made: 0,
        deserted: Arc::default(),
        pending: Vec::new(),
    };
    let stream = Stream {
        full: full_out,
        empty: empty_in,
        current: Vec::new(),
        at: 0,
        ended: false,
        starved: Arc::default(),
    };
    (sink, stream)
}

impl Sink {
    /// An empty buffer of full length to read into; waits for one where all are under way.
    pub(crate) fn buffer(&mut self) -> io::Result<Vec<u8>> {
        if self.made < BUFFERS {
            self.made += 1;
            return Ok(vec![0; BUFFER_BYTES]);
        }
        let mut buffer = self.empty.recv().map_err(|_| self.nobody_reads())?;
        buffer.resize(BUFFER_BYTES, 0);
        Ok(buffer)
    }

    /// Hands a buffer over. An empty one would be the end, and is left out.
    pub(crate) fn push(&mut self, buffer: Vec<u8>) -> io::Result<()> {
        if buffer.is_empty() {
            self.made -= 1;
            return Ok(());
        }
        self.full.send(buffer).map_err(|_| self.nobody_reads())
    }

    /// Everything was written.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.full.send(Vec::new()).map_err(|_| self.nobody_reads())
    }

    pub(crate) fn blame(&self) -> Blame {
        Blame(Arc::clone(&self.deserted))
    }

    fn nobody_reads(&self) -> io::Error {
        self.deserted.store(true, Ordering::Release);
        io::ErrorKind::BrokenPipe.into()
    }
}

/// For those who write small pieces.
impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.pending.capacity() == 0 {
            self.pending = self.buffer()?;
            self.pending.clear();
        }
        let count = bytes.len().min(BUFFER_BYTES - self.pending.len());
        self.pending.extend_from_slice(&bytes[..count]);
        if self.pending.len() == BUFFER_BYTES {
            self.flush()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let full = std::mem::take(&mut self.pending);
        self.push(full)
    }
}

impl Stream {
    pub(crate) fn blame(&self) -> Blame {
        Blame(Arc::clone(&self.starved))
    }
}

impl Read for Stream {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        if self.at == self.current.len() && !self.ended && !target.is_empty() {
            let next = self.full.recv().map_err(|_| {
                self.starved.store(true, Ordering::Release);
                io::Error::from(io::ErrorKind::UnexpectedEof)
            })?;
            self.ended = next.is_empty();
            let done = std::mem::replace(&mut self.current, next);
            self.at = 0;
            if done.capacity() > 0 {
                // A sink that is gone needs no buffers.
                let _returned = self.empty.try_send(done);
            }
        }
        let rest = &self.current[self.at..];
        let count = rest.len().min(target.len());
        target[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn what_is_written_is_read_in_order_to_the_end() {
        let content: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
        let (mut sink, mut stream) = pipe();

        let read = thread::scope(|scope| {
            scope.spawn(|| {
                for piece in content.chunks(77_777) {
                    sink.write_all(piece).unwrap();
                }
                sink.finish().unwrap();
            });
            let mut read = Vec::new();
            stream.read_to_end(&mut read).unwrap();
            read
        });

        assert!(read == content);
        assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
    }

    #[test]
    fn a_dropped_sink_is_no_end_and_its_reader_not_to_blame() {
        let (mut sink, mut stream) = pipe();
        let blame = stream.blame();
        sink.write_all(b"half").unwrap();
        sink.flush().unwrap();
        drop(sink);
        let mut read = Vec::new();

        let error = stream.read_to_end(&mut read).unwrap_err();

        assert_eq!((error.kind(), &read[..]), (io::ErrorKind::UnexpectedEof, &b"half"[..]));
        assert!(blame.is_the_others());
    }

    #[test]
    fn a_dropped_stream_stops_the_writer() {
        let (mut sink, stream) = pipe();
        let blame = sink.blame();
        drop(stream);

        let error = sink.write_all(&vec![0; 1 << 20]).unwrap_err();

        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert!(blame.is_the_others());
    }
}
