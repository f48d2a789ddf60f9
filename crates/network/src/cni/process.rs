//! One run of a plugin: a program that gets a document on its standard input and answers on its
//! standard output, within limits.
//!
//! The document is in the pipe before the program runs, so that nobody waits for somebody who does
//! not read. When the time is over, or the answer too long, the program is killed with its children
//! and theirs: each is stopped before its children are looked for, so that none escapes by being
//! born meanwhile. A grandchild that has left its parents before that is not found.

use super::guard::Guard;
use dhow_base::{Doing, Error, Kind, Result};
use dhow_sys::{exec::Strings, launch::Launch, pidfd};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    pipe::PipeFlags,
    process::{Pid, Signal},
};
use std::{
    ffi::CString,
    fs,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    time::{Duration, Instant},
};

/// No result is longer; it is handed on in the next one's document.
const ANSWER_BYTES: usize = 512 << 10;

/// Of what a plugin complains about, so much is kept.
const COMPLAINT_BYTES: usize = 4 << 10;

/// What the kernel lets a pipe have without privileges.
const PIPE_BYTES: usize = 1 << 20;

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Whether it ended with code 0.
    pub(crate) is_success: bool,
    /// In words, such as `exit code 1`.
    pub(crate) how: String,
    /// All that it printed.
    pub(crate) answer: Vec<u8>,
    /// The beginning of what it printed on standard error.
    pub(crate) complaint: Vec<u8>,
}

/// A program to run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run<'a> {
    pub(crate) program: &'a Path,
    pub(crate) arguments: &'a [&'a str],
    pub(crate) environment: &'a [String],
    /// What it reads.
    pub(crate) document: &'a [u8],
}

/// Runs a program to its end. Where there is a guard, that is its standard error.
pub(crate) fn run(run: &Run<'_>, time_limit: Duration, guard: Option<&Guard>) -> Result<Ended> {
    let Run { program, arguments, environment, document } = *run;
    let end = Instant::now() + time_limit;
    let path = CString::new(program.as_os_str().as_bytes())
        .map_err(|error| Error::new(Kind::Invalid, "name the program").because(error))?;
    let name = program.to_string_lossy();
    let words: Vec<String> =
        std::iter::once(&*name).chain(arguments.iter().copied()).map(str::to_owned).collect();
    let texts = |texts: &[String]| {
        Strings::new(texts)
            .map_err(|error| Error::new(Kind::Invalid, "pass it its environment").because(error))
    };
    let input = filled_pipe(document)?;
    let (answers, answer) = pipe()?;
    let (complaints, complaint) = match guard {
        Some(guard) => copies(guard).doing(|| "hand the lock on")?,
        None => pipe()?,
    };
    let launched = Launch {
        path: &path,
        arguments: &texts(&words)?,
        environment: &texts(environment)?,
        directory: Some(c"/"),
        streams: [input.as_fd(), answer.as_fd(), complaint.as_fd()],
    }
    .start()
    .doing(|| "start it")?;
    drop((input, answer, complaint));
    let mut process = Running { pid: launched.pid, pidfd: Some(launched.pidfd) };
    let mut answers = Stream::new(answers, ANSWER_BYTES);
    let mut complaints = Stream::new(complaints, COMPLAINT_BYTES);
    loop {
        let has_ended = wait(&process, &answers, &complaints, end)?;
        answers.read()?;
        complaints.read()?;
        if answers.is_over_limit {
            let text = format!("it printed more than {ANSWER_BYTES} bytes");
            return Err(Error::new(Kind::Exhausted, text));
        }
        if has_ended {
            break;
        }
        if Instant::now() >= end {
            let text = format!("it did not end within {time_limit:?}");
            return Err(Error::new(Kind::TimedOut, text));
        }
    }
    let status = process.reap().doing(|| "wait for its end")?;
    let how = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no exit code".to_owned(),
    };
    Ok(Ended {
        is_success: status.exit_status() == Some(0),
        how,
        answer: answers.bytes,
        complaint: complaints.bytes,
    })
}

fn copies(guard: &Guard) -> std::io::Result<(OwnedFd, OwnedFd)> {
    let copy = || guard.fifo().try_clone_to_owned();
    Ok((copy()?, copy()?))
}

fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    rustix::pipe::pipe_with(PipeFlags::CLOEXEC).doing(|| "make a pipe")
}

/// The reading end of a pipe that has all of the document.
fn filled_pipe(document: &[u8]) -> Result<OwnedFd> {
    let flags = PipeFlags::CLOEXEC | PipeFlags::NONBLOCK;
    let (reader, writer) = rustix::pipe::pipe_with(flags).doing(|| "make a pipe")?;
    let too_long = || {
        let text = format!("its configuration has {} bytes, too many for a pipe", document.len());
        Error::new(Kind::Exhausted, text)
    };
    if document.len() > PIPE_BYTES {
        return Err(too_long());
    }
    if document.len() > 32 << 10 {
        rustix::pipe::fcntl_setpipe_size(&writer, document.len()).map_err(|_| too_long())?;
    }
    let mut rest = document;
    while !rest.is_empty() {
        // The reading end is ours as well: nothing here can break.
        match rustix::io::write(&writer, rest) {
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Err(too_long()),
            Err(errno) => return Err(errno).doing(|| "write its configuration"),
        }
    }
    // The reader's flags are the program's too: it expects to wait.
    let flags = rustix::fs::fcntl_getfl(&reader).doing(|| "look at a pipe")?;
    rustix::fs::fcntl_setfl(&reader, flags - rustix::fs::OFlags::NONBLOCK)
        .doing(|| "prepare a pipe")?;
    Ok(reader)
}

/// Waits until something happens, or the end of time; tells whether the process has ended.
fn wait(process: &Running, answers: &Stream, complaints: &Stream, end: Instant) -> Result<bool> {
    let left = end.saturating_duration_since(Instant::now());
    let timeout = Timespec::try_from(left)
        .map_err(|error| Error::new(Kind::Invalid, "use the time limit").because(error))?;
    let streams = [answers, complaints];
    let mut fds = vec![PollFd::from_borrowed_fd(process.pidfd(), PollFlags::IN)];
    for stream in streams.iter().filter(|stream| stream.is_open) {
        fds.push(PollFd::new(&stream.fd, PollFlags::IN));
    }
    match poll(&mut fds, Some(&timeout)) {
        Ok(_) => Ok(!fds[0].revents().is_empty()),
        Err(Errno::INTR) => Ok(false),
        Err(errno) => Err(errno).doing(|| "wait for its answer"),
    }
}

/// A process that is killed with all its children unless it is reaped.
struct Running {
    pid: Pid,
    /// There until it is reaped.
    pidfd: Option<OwnedFd>,
}

impl Running {
    fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_ref().expect("it is taken by the call that ends the loop only").as_fd()
    }

    fn reap(&mut self) -> std::io::Result<rustix::process::WaitIdStatus> {
        let status = pidfd::reap(self.pidfd())?;
        self.pidfd = None;
        Ok(status)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(pidfd) = self.pidfd.take() else { return };
        kill_family(self.pid);
        // It leads a group of its number, which whoever was not found above may still be in.
        let _gone_already = rustix::process::kill_process_group(self.pid, Signal::KILL);
        let _reaped = pidfd::reap(pidfd.as_fd());
    }
}

/// Kills a process, its children and theirs. As long as a parent is stopped it reaps nobody, so that
/// no number is used again; and it is asked until it has no child that was not seen before, since
/// it takes a moment to stop.
pub(super) fn kill_family(parent: Pid) {
    let mut family = vec![parent];
    let mut seen = 0;
    while seen < family.len() {
        for pid in &family[seen..] {
            let _gone_already = rustix::process::kill_process(*pid, Signal::STOP);
        }
        seen = family.len();
        let born: Vec<Pid> = family.iter().flat_map(|pid| children(*pid)).collect();
        for pid in born {
            if !family.contains(&pid) {
                family.push(pid);
            }
        }
    }
    for pid in family {
        let _gone_already = rustix::process::kill_process(pid, Signal::KILL);
    }
}

fn children(parent: Pid) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{}/task", parent.as_raw_nonzero()));
    let lists = tasks.into_iter().flatten().flatten().map(|task| task.path().join("children"));
    let texts: Vec<String> = lists.filter_map(|list| fs::read_to_string(list).ok()).collect();
    let words = texts.iter().flat_map(|text| text.split_whitespace());
    words.filter_map(|word| Pid::from_raw(word.parse().ok()?)).collect()
}

/// A pipe that somebody writes to, read without waiting.
struct Stream {
    fd: OwnedFd,
    bytes: Vec<u8>,
    limit: usize,
    is_over_limit: bool,
    is_open: bool,
}

impl Stream {
    fn new(fd: OwnedFd, limit: usize) -> Self {
        Self { fd, bytes: Vec::new(), limit, is_over_limit: false, is_open: true }
    }

    /// Takes what is there; what is over the limit is lost.
    fn read(&mut self) -> Result<()> {
        let mut piece = [0; 16 << 10];
        // One piece a call where the limit is passed: who writes for ever must not keep us here.
        while self.is_open {
            let mut ready = [PollFd::new(&self.fd, PollFlags::IN)];
            if poll(&mut ready, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) == Ok(0) {
                return Ok(());
            }
            match rustix::io::read(&self.fd, &mut piece) {
                Ok(0) => self.is_open = false,
                Ok(count) => self.keep(&piece[..count]),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).doing(|| "read its answer"),
            }
            if self.is_over_limit {
                return Ok(());
            }
        }
        Ok(())
    }

    fn keep(&mut self, piece: &[u8]) {
        let room = self.limit.saturating_sub(self.bytes.len());
        self.bytes.extend(&piece[..piece.len().min(room)]);
        self.is_over_limit |= piece.len() > room;
    }
}
