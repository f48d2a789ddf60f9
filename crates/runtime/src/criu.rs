//! CRIU, the program that writes a tree of processes to files and makes it again from them.
//!
//! ```text
//!   start `criu swrk <fd>` ── request ──▶ works
//!                          ◀── notify ─── a point is reached ── answered ──▶ …
//!                          ◀── response ─ done, or not
//! ```
//!
//! Each message is one datagram of protobuf on a socket pair. CRIU reads files of ours by their
//! numbers through `/proc`, and those that it inherits by its own. It knows nothing of containers,
//! and this knows nothing of records; `checkpoint` and `restore` join the two.

pub(crate) mod message;
mod statistics;

pub use statistics::{Statistic, statistics};

use dhow_base::{Doing, Error, Kind, Result};
use message::{Matter, Notify, Request, Response};
use prost::Message as _;
use rustix::{
    io::{Errno, FdFlags},
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags,
        SocketFlags, SocketType,
    },
};
use std::{
    io::IoSliceMut,
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::Path,
    process::{Child, Command, Stdio},
};

/// The longest answer.
const LIMIT_BYTES: usize = 64 << 10;
/// How much of a log is read to find out what went wrong, from its end.
const LOG_BYTES: u64 = 1 << 20;

/// That CRIU may not raise the number of its own files stops nothing, though it is told as the first
/// error.
const HARMLESS: &str = "Can't setup RLIMIT_NOFILE for self";

/// CRIU at work. Dropped, it is ended.
#[derive(Debug)]
pub(crate) struct Criu {
    child: Child,
    socket: OwnedFd,
    has_ended: bool,
}

/// Whose standard streams CRIU has; restored processes take theirs from it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Streams {
    /// The caller's.
    Own,
    /// None: it has nothing to say there.
    None,
}

impl Criu {
    /// Starts it; `files` stay open in it, under their numbers.
    ///
    /// The calling process must have one thread: an fd that is to be inherited is so for a moment.
    pub(crate) fn start(
        program: &Path,
        streams: Streams,
        files: &[BorrowedFd<'_>],
    ) -> Result<Self> {
        let doing = || format!("start {}", program.display());
        let kind = SocketType::SEQPACKET;
        let (socket, other) =
            rustix::net::socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)
                .doing(doing)?;
        let mut command = Command::new(program);
        command.arg("swrk").arg(other.as_raw_fd().to_string());
        if streams == Streams::None {
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        }
        let inherited: Vec<_> = files.iter().copied().chain([other.as_fd()]).collect();
        for fd in &inherited {
            rustix::io::fcntl_setfd(fd, FdFlags::empty()).doing(doing)?;
        }
        let started = command.spawn();
        for fd in &inherited {
            rustix::io::fcntl_setfd(fd, FdFlags::CLOEXEC).doing(doing)?;
        }
        match started {
            Ok(child) => Ok(Self { child, socket, has_ended: false }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(Error::new(Kind::Unsupported, format!("{}: it is not installed", doing()))
                    .hint("install criu, or name it with --criu"))
            }
            Err(error) => Err(error).doing(doing),
        }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks for one thing. `notified` hears of each point on the way, with the fd that comes along
    /// where one does; its failure ends the work.
    pub(crate) fn ask(
        &mut self,
        request: &Request,
        notified: &mut dyn FnMut(&Notify, Option<OwnedFd>) -> Result<()>,
    ) -> Result<Response> {
        self.send(request)?;
        loop {
            let (response, fd) = self.receive()?;
            if !response.success {
                return Err(refused(&response));
            }
            match (Matter::try_from(response.matter), &response.notify) {
                (Ok(Matter::Notify), Some(notify)) => {
                    notified(notify, fd)?;
                    self.send(&Request {
                        matter: Matter::Notify as i32,
                        notify_success: Some(true),
                        ..Request::default()
                    })?;
                }
                (Ok(matter), _) if matter as i32 == request.matter => return Ok(response),
                _ => {
                    let text = format!("hear CRIU: an answer about {}", response.matter);
                    return Err(Error::new(Kind::Internal, text));
                }
            }
        }
    }

    /// Waits for its end, which its last answer has announced.
    pub(crate) fn finish(mut self) -> Result<()> {
        rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Write)
            .doing(|| "take leave of CRIU")?;
        let status = self.child.wait().doing(|| "wait for CRIU")?;
        self.has_ended = true;
        if status.success() {
            return Ok(());
        }
        Err(Error::new(Kind::Internal, format!("wait for CRIU: it failed: {status}")))
    }

    fn send(&self, request: &Request) -> Result<()> {
        let bytes = request.encode_to_vec();
        rustix::net::send(&self.socket, &bytes, SendFlags::NOSIGNAL)
            .map(drop)
            .doing(|| "speak to CRIU")
    }

    fn receive(&self) -> Result<(Response, Option<OwnedFd>)> {
        let doing = || "hear CRIU";
        let mut buffer = vec![0; LIMIT_BYTES];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let count = loop {
            let mut slices = [IoSliceMut::new(&mut buffer)];
            let flags = RecvFlags::CMSG_CLOEXEC;
            match rustix::net::recvmsg(&self.socket, &mut slices, &mut control, flags) {
                Ok(message) => break message.bytes,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).doing(doing),
            }
        };
        let mut fd = None;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(mut fds) = message {
                fd = fds.next();
            }
        }
        if count == 0 {
            return Err(Error::new(Kind::Internal, "hear CRIU: it ended without an answer"));
        }
        let response = Response::decode(&buffer[..count]).map_err(|error| {
            Error::new(Kind::Corrupt, "hear CRIU: not an answer").because(error)
        })?;
        Ok((response, fd))
    }
}

impl Drop for Criu {
    fn drop(&mut self) {
        if !self.has_ended {
            // What it was doing has failed, which is told elsewhere.
            let _ended = self.child.kill();
            let _reaped = self.child.wait();
        }
    }
}

fn refused(response: &Response) -> Error {
    let is_reason = |text: &&str| !text.is_empty() && !text.contains(HARMLESS);
    let reason = response.message.as_deref().filter(is_reason);
    let text = match (reason, response.errno.unwrap_or(0)) {
        (Some(reason), _) => format!("CRIU refused: {reason}"),
        (None, 0) => "CRIU refused".to_owned(),
        (None, errno) => format!("CRIU refused: {}", std::io::Error::from_raw_os_error(errno)),
    };
    Error::new(Kind::Unsupported, text)
}

/// What CRIU wrote about its failure: the lines of its log that tell of errors, and where it is.
pub(crate) fn explained(error: Error, log: &Path) -> Error {
    let lines = errors_of(log).unwrap_or_default();
    let hint = format!("the whole log is {}", log.display());
    match lines.is_empty() {
        true => error.hint(hint),
        false => Error::new(error.kind(), lines.join("; ")).because(error).hint(hint),
    }
}

fn errors_of(log: &Path) -> std::io::Result<Vec<String>> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = std::fs::File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES).read_to_end(&mut bytes)?;
    Ok(errors_in(&String::from_utf8_lossy(&bytes)))
}

/// The last lines that tell of errors, without their times.
fn errors_in(text: &str) -> Vec<String> {
    let mut found: Vec<String> = text
        .lines()
        .filter_map(|line| line.split_once("Error ").map(|(_, rest)| rest))
        .filter(|rest| !rest.contains(HARMLESS))
        .map(|rest| rest.trim().chars().filter(|sign| !sign.is_control()).collect())
        .collect();
    found.drain(..found.len().saturating_sub(3));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use message::Options;

    #[test]
    fn messages_have_the_numbers_of_the_protocol() {
        let request = Request {
            matter: Matter::Dump as i32,
            options: Some(Options { images_dir_fd: 5, pid: Some(300), ..Options::default() }),
            ..Request::default()
        };

        assert_eq!(request.encode_to_vec(), [8, 1, 18, 5, 8, 5, 16, 0xac, 2]);
    }

    #[test]
    fn answers_are_read_and_nonsense_is_refused() {
        let answer = Response::decode([8, 6, 16, 1, 42, 4, 10, 2, b'o', b'k'].as_slice()).unwrap();

        assert!(answer.success);
        assert_eq!(answer.notify.and_then(|notify| notify.script).as_deref(), Some("ok"));
        assert!(Response::decode([255, 255, 255].as_slice()).is_err());
    }

    #[test]
    fn what_stops_nothing_is_no_reason() {
        let said = |text: &str| Response { message: Some(text.to_owned()), ..Response::default() };

        let harmless =
            refused(&said("Error (criu/util.c:1): rlimit: Can't setup RLIMIT_NOFILE for self: no"));

        assert_eq!(harmless.to_string(), "CRIU refused");
        assert_eq!(refused(&said("no room")).to_string(), "CRIU refused: no room");
    }

    #[test]
    fn the_reason_is_found_in_a_log() {
        let log = "(00.1) Error (criu/util.c:1): rlimit: Can't setup RLIMIT_NOFILE for self: no\n\
                   (00.2) Warn  (x.c:1): y\n(00.3) Error (criu/files.c:7): Can't dump fd 3\n";

        assert_eq!(errors_in(log), ["(criu/files.c:7): Can't dump fd 3"]);
    }
}
