//! Where a session shows output: written to without ever waiting, though the file is not ours.
//!
//! Whether a file blocks is a setting that it shares with whoever else has it open, a user's shell
//! among them, so it is left as it is. A pipe is opened once more, which gives a file with settings
//! of its own; anything else is asked with `poll` and given as little as it surely takes.

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{FileType, Mode, OFlags},
    io::Errno,
};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Whatever says that it is ready takes so much: the kernel's promise for pipes.
const READY_BYTES: usize = 4096;

/// A file that output goes to.
#[derive(Debug)]
pub(crate) struct Sink<'a> {
    given: BorrowedFd<'a>,
    own: Option<OwnedFd>,
    piece_bytes: usize,
}

impl<'a> Sink<'a> {
    pub(crate) fn new(given: BorrowedFd<'a>) -> Self {
        let kind = rustix::fs::fstat(given).map(|stat| FileType::from_raw_mode(stat.st_mode));
        let own = match kind {
            // Where the pipe belongs to another user this is refused.
            Ok(FileType::Fifo) => reopen(given).ok(),
            _ => None,
        };
        let piece_bytes = match kind {
            Ok(FileType::RegularFile | FileType::BlockDevice) => usize::MAX,
            _ if own.is_some() => usize::MAX,
            _ => READY_BYTES,
        };
        Self { given, own, piece_bytes }
    }

    /// The file as it was given.
    pub(crate) fn given(&self) -> BorrowedFd<'a> {
        self.given
    }

    /// Writes as much as can be written without waiting.
    pub(crate) fn write(&self, bytes: &[u8]) -> rustix::io::Result<usize> {
        let fd = self.own.as_ref().map_or(self.given, AsFd::as_fd);
        let mut written_bytes = 0;
        while written_bytes < bytes.len() && (self.own.is_some() || is_ready(fd)?) {
            let rest = &bytes[written_bytes..];
            match rustix::io::write(fd, &rest[..rest.len().min(self.piece_bytes)]) {
                Ok(count) => written_bytes += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(errno) => return Err(errno),
            }
        }
        Ok(written_bytes)
    }
}

fn reopen(pipe: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
}

fn is_ready(fd: BorrowedFd<'_>) -> rustix::io::Result<bool> {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
    match poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
        Ok(count) => Ok(count > 0),
        Err(Errno::INTR) => Ok(false),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::{
        net::{AddressFamily, SocketFlags, SocketType, socketpair},
        pipe::{PipeFlags, pipe_with},
    };

    #[test]
    fn a_full_pipe_and_a_full_socket_are_not_waited_for_and_stay_as_they_were() {
        let (_read, pipe) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let (_other, socket) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                .unwrap();
        for fd in [pipe, socket] {
            let sink = Sink::new(fd.as_fd());
            let bytes = vec![0; 10 << 20];

            let written_bytes = sink.write(&bytes).unwrap();

            assert!(written_bytes > 0 && written_bytes < bytes.len());
            assert_eq!(sink.write(&bytes).unwrap(), 0);
            assert!(!rustix::fs::fcntl_getfl(&fd).unwrap().contains(OFlags::NONBLOCK));
        }
    }

    #[test]
    fn a_file_takes_everything_and_a_pipe_without_a_reader_says_so() {
        let file = tempfile::tempfile().unwrap();
        let (read, pipe) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        drop(read);

        assert_eq!(Sink::new(file.as_fd()).write(&[0; 100_000]), Ok(100_000));
        assert_eq!(Sink::new(pipe.as_fd()).write(&[0; 10]), Err(Errno::PIPE));
    }
}
