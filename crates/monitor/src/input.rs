//! The input of a process: what clients sent and the process has not read.
//!
//! Several clients may write; what each sends goes on in one piece, in the order of arrival. Every
//! byte that left, also one that nobody will ever read, is reported, so that its client may send
//! another: a client never waits for a process that closed its input.

use std::{
    collections::VecDeque,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// What ends the input of a terminal, which cannot be closed: Ctrl-D, as a user would.
const END_OF_TRANSMISSION: u8 = 4;

/// Where the input goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Pipe,
    Terminal,
}

/// Bytes that left: how many, and whose they were.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Taken {
    pub(crate) client: u64,
    pub(crate) bytes: usize,
}

/// The input of a process.
#[derive(Debug)]
pub(crate) struct Input {
    fd: Option<OwnedFd>,
    kind: Kind,
    pending: VecDeque<Portion>,
    closing: bool,
}

#[derive(Debug)]
struct Portion {
    client: Option<u64>,
    bytes: Vec<u8>,
    taken_bytes: usize,
}

impl Input {
    pub(crate) fn new(fd: Option<OwnedFd>, kind: Kind) -> Self {
        Self { fd, kind, pending: VecDeque::new(), closing: false }
    }

    /// The fd to wait for, and whether there is something to write.
    pub(crate) fn interest(&self) -> Option<(BorrowedFd<'_>, bool)> {
        let fd = self.fd.as_ref()?.as_fd();
        // An idle pipe is watched for its reader's end; an idle terminal would report a hang-up
        // again and again.
        let idle = self.pending.is_empty();
        (!idle || self.kind == Kind::Pipe).then_some((fd, !idle))
    }

    /// Adds what a client sent, and writes what can be written.
    pub(crate) fn push(&mut self, client: u64, bytes: Vec<u8>) -> Vec<Taken> {
        if bytes.is_empty() {
            return Vec::new();
        }
        self.pending.push_back(Portion { client: Some(client), bytes, taken_bytes: 0 });
        self.write()
    }

    /// Ends the input after what is pending.
    pub(crate) fn close(&mut self) -> Vec<Taken> {
        match self.kind {
            Kind::Pipe => self.closing = true,
            Kind::Terminal => self.pending.push_back(Portion {
                client: None,
                bytes: vec![END_OF_TRANSMISSION],
                taken_bytes: 0,
            }),
        }
        self.write()
    }

    /// The process does not read any more: what is pending leaves unread.
    pub(crate) fn give_up(&mut self) -> Vec<Taken> {
        if self.kind == Kind::Pipe {
            self.fd = None;
        }
        let pending = std::mem::take(&mut self.pending);
        pending.into_iter().filter_map(|portion| portion.leave(usize::MAX)).collect()
    }

    /// Writes what can be written.
    pub(crate) fn write(&mut self) -> Vec<Taken> {
        let mut taken = Vec::new();
        while let Some(portion) = self.pending.front_mut() {
            let Some(fd) = &self.fd else {
                taken.extend(self.give_up());
                break;
            };
            match rustix::io::write(fd, &portion.bytes[portion.taken_bytes..]) {
                Ok(count) => {
                    taken.extend(portion.leave(count));
                    portion.taken_bytes += count;
                    if portion.taken_bytes == portion.bytes.len() {
                        self.pending.pop_front();
                    }
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => break,
                Err(_) => {
                    taken.extend(self.give_up());
                    break;
                }
            }
        }
        if self.closing && self.pending.is_empty() {
            self.fd = None;
        }
        taken
    }
}

impl Portion {
    fn leave(&self, most_bytes: usize) -> Option<Taken> {
        let bytes = (self.bytes.len() - self.taken_bytes).min(most_bytes);
        Some(Taken { client: self.client?, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::{PipeFlags, pipe_with};

    fn pipe() -> (OwnedFd, Input) {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
        (read, Input::new(Some(write), Kind::Pipe))
    }

    fn read(fd: &OwnedFd) -> Vec<u8> {
        let mut buffer = vec![0; 1 << 20];
        let count = rustix::io::read(fd, &mut buffer).unwrap();
        buffer.truncate(count);
        buffer
    }

    #[test]
    fn what_clients_send_arrives_in_order_and_is_accounted_for() {
        let (end, mut input) = pipe();

        let first = input.push(7, b"one ".to_vec());
        let second = input.push(8, b"two".to_vec());

        assert_eq!(first, [Taken { client: 7, bytes: 4 }]);
        assert_eq!(second, [Taken { client: 8, bytes: 3 }]);
        assert_eq!(read(&end), b"one two");
    }

    #[test]
    fn a_full_pipe_keeps_the_rest_and_closes_after_it() {
        let (end, mut input) = pipe();
        let sent = vec![b'x'; 200_000];

        let mut taken = input.push(1, sent.clone());
        taken.extend(input.close());
        assert!(input.interest().unwrap().1, "something is to be written");
        let mut received = Vec::new();
        while received.len() < sent.len() {
            received.extend(read(&end));
            taken.extend(input.write());
        }

        assert_eq!(received, sent);
        assert_eq!(taken.iter().map(|taken| taken.bytes).sum::<usize>(), sent.len());
        assert_eq!(read(&end), b"", "the end of the input");
    }

    #[test]
    fn nobody_waits_for_a_process_that_does_not_read() {
        let (end, mut input) = pipe();
        drop(end);

        let taken = input.push(1, vec![b'x'; 100]);
        let later = input.push(1, vec![b'x'; 10]);

        assert_eq!(taken, [Taken { client: 1, bytes: 100 }]);
        assert_eq!(later, [Taken { client: 1, bytes: 10 }]);
        assert!(input.interest().is_none());
    }
}
