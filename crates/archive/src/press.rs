//! Compresses blocks on all cores and gives them back in their order.
//!
//! ```text
//!  push(block) ─▶ jobs ─▶ one thread a core ─▶ results, each in a place of its own
//!       └──────────── the oldest result, once enough are under way ◀──┘
//! ```
//!
//! Each block becomes a stream of its own (a gzip member, a zstd frame), so the bytes depend on the
//! blocks alone and not on how many cores there are. No more blocks are in memory than keep the
//! threads busy.

use crossbeam_channel::{Receiver, Sender, bounded};
use dhow_base::{Error, Kind, Result};
use std::{
    collections::VecDeque,
    thread::{self, JoinHandle},
};

/// More threads than this only wait for the one that hashes.
const MOST_THREADS: usize = 16;

/// What a block becomes, and the level of effort.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Method {
    /// A gzip member, without a name and a time.
    Gzip(i32),
    /// A zstd frame.
    Zstd(i32),
}

/// The threads and what they are at.
#[derive(Debug)]
pub(crate) struct Press {
    method: Method,
    /// Gone when no more blocks come.
    jobs: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
    pending: VecDeque<Receiver<Result<Vec<u8>>>>,
    most: usize,
}

struct Job {
    block: Vec<u8>,
    done: Sender<Result<Vec<u8>>>,
}

impl Press {
    /// A press that starts its threads with the first block.
    pub(crate) fn new(method: Method) -> Self {
        let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let most = cores.min(MOST_THREADS) * 2;
        Self { method, jobs: None, threads: Vec::new(), pending: VecDeque::new(), most }
    }

    /// Takes a block, and returns the oldest result where enough are under way.
    pub(crate) fn push(&mut self, block: Vec<u8>) -> Result<Option<Vec<u8>>> {
        let (done, result) = bounded(1);
        let jobs = self.jobs()?;
        jobs.send(Job { block, done }).map_err(|_| gone())?;
        self.pending.push_back(result);
        if self.pending.len() < self.most { Ok(None) } else { self.pop() }
    }

    /// The oldest result, waited for; nothing where none is under way.
    pub(crate) fn pop(&mut self) -> Result<Option<Vec<u8>>> {
        let Some(result) = self.pending.pop_front() else { return Ok(None) };
        result.recv().map_err(|_| gone())?.map(Some)
    }

    fn jobs(&mut self) -> Result<&Sender<Job>> {
        if self.jobs.is_none() {
            let (jobs, taken) = bounded(self.most);
            for _ in 0..self.most.div_ceil(2) {
                let (method, taken) = (self.method, taken.clone());
                let thread = thread::Builder::new().name("compress".to_owned());
                let thread = thread.spawn(move || work(method, &taken)).map_err(|error| {
                    Error::new(Kind::Exhausted, "start a thread that compresses").because(error)
                })?;
                self.threads.push(thread);
            }
            self.jobs = Some(jobs);
        }
        self.jobs.as_ref().ok_or_else(gone)
    }
}

impl Drop for Press {
    fn drop(&mut self) {
        self.jobs = None;
        self.pending.clear();
        for thread in self.threads.drain(..) {
            // A panic there has been told: its result never came.
            let _told = thread.join();
        }
    }
}

fn gone() -> Error {
    Error::new(Kind::Internal, "compress a block: its thread is gone")
}

fn work(method: Method, jobs: &Receiver<Job>) {
    let mut tool = Tool::new(method);
    for job in jobs {
        let result = match &mut tool {
            Ok(tool) => tool.compress(&job.block),
            Err(error) => Err(Error::new(error.kind(), error.one_line())),
        };
        // Whoever has stopped waiting has failed elsewhere.
        let _unwanted = job.done.send(result);
    }
}

enum Tool {
    Gzip(libdeflater::Compressor),
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Tool {
    fn new(method: Method) -> Result<Self> {
        match method {
            Method::Gzip(level) => {
                let level = libdeflater::CompressionLvl::new(level)
                    .map_err(|_| Error::new(Kind::Invalid, format!("no gzip level {level}")))?;
                Ok(Self::Gzip(libdeflater::Compressor::new(level)))
            }
            Method::Zstd(level) => {
                zstd::bulk::Compressor::new(level).map(Self::Zstd).map_err(|error| {
                    Error::new(Kind::Internal, "start a zstd compressor").because(error)
                })
            }
        }
    }

    fn compress(&mut self, block: &[u8]) -> Result<Vec<u8>> {
        match self {
            Self::Gzip(compressor) => {
                let mut member = vec![0; compressor.gzip_compress_bound(block.len())];
                let length = compressor.gzip_compress(block, &mut member).map_err(|error| {
                    Error::new(Kind::Internal, "compress a gzip member").because(error)
                })?;
                member.truncate(length);
                Ok(member)
            }
            Self::Zstd(compressor) => compressor.compress(block).map_err(|error| {
                Error::new(Kind::Internal, "compress a zstd frame").because(error)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn blocks_come_back_in_their_order() {
        for method in [Method::Gzip(1), Method::Zstd(1)] {
            let mut press = Press::new(method);
            let mut packed = Vec::new();
            let mut expected = Vec::new();
            for number in 0..200_u32 {
                // Blocks of very different sizes take very different times.
                let block = number.to_le_bytes().repeat(1 + (number as usize % 7) * 10_000);
                expected.extend_from_slice(&block);
                packed.extend(press.push(block).unwrap().unwrap_or_default());
            }
            while let Some(result) = press.pop().unwrap() {
                packed.extend(result);
            }

            let mut unpacked = Vec::new();
            match method {
                Method::Gzip(_) => {
                    flate2::read::MultiGzDecoder::new(&packed[..]).read_to_end(&mut unpacked)
                }
                Method::Zstd(_) => zstd::stream::read::Decoder::new(&packed[..])
                    .unwrap()
                    .read_to_end(&mut unpacked),
            }
            .unwrap();

            assert!(unpacked == expected, "{method:?}");
        }
    }

    #[test]
    fn a_level_that_does_not_exist_is_refused() {
        let mut press = Press::new(Method::Gzip(99));
        press.push(vec![1]).unwrap();

        assert_eq!(press.pop().unwrap_err().kind(), Kind::Invalid);
    }
}
