//! The process that keeps a user's namespaces while nobody else is in them.
//!
//! ```text
//!   command ── exec ──▶ anchor: leaves into new namespaces ─▶ says so
//!      └─ maps its ids, writes the record ─▶ tells it ─▶ waits for whoever lives there ─▶ goes
//! ```
//!
//! It waits for the end of one of the processes in its user namespace, then for that of another; when
//! there is none for a while, it goes, and the namespaces with it. So it need not be told of monitors,
//! of shells, or of anything that somebody starts there, and a user whose containers are gone has no
//! process of ours. One that is killed is replaced by the next command
//! ([`enter`](crate::user_namespace::enter)).

use crate::user_namespace::{Anchored, lives_in, number, open, processes, try_lock};
use dhow_base::{Doing, Error, Kind, Result};
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    fs::{Mode, OFlags},
    net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType},
    process::DumpableBehavior,
    thread::ThreadNameSpaceType,
};
use std::{
    ffi::{CString, OsString},
    os::{fd::OwnedFd, unix::process::CommandExt},
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
};

/// The name under which the binary is an anchor.
pub const ANCHOR_ROLE: &str = "dhow-anchor";

/// How long an anchor stays when it is alone: the next command is quicker for it.
const LINGER: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// What a command says of the namespaces that an anchor is to have.
const APART: &str = "apart";
const BESIDE: &str = "beside";

/// What anchor and command say to each other when all is well.
const WELL: u8 = b'.';

/// An anchor that is not in the record yet; without that it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Newcomer {
    process: Child,
    line: OwnedFd,
}

impl Newcomer {
    /// One in new namespaces, which have no ids yet.
    pub(crate) fn apart(directory: &Path) -> Result<Self> {
        Self::start(directory, APART)
    }

    /// One in the namespaces of the caller.
    pub(crate) fn beside(directory: &Path) -> Result<Self> {
        Self::start(directory, BESIDE)
    }

    fn start(directory: &Path, place: &str) -> Result<Self> {
        let (line, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .doing(|| "make a socket pair")?;
        // What the command's own caller left open must not stay open as long as containers live.
        dhow_sys::fds::close_at_exec_from(3).doing(|| "keep other files from the anchor")?;
        let process = Command::new("/proc/self/exe")
            .arg0(ANCHOR_ROLE)
            .arg(directory)
            .arg(place)
            .env_clear()
            .current_dir("/")
            .stdin(theirs)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .doing(|| "start the process that keeps it")?;
        let newcomer = Self { process, line };
        match newcomer.hear()? {
            0 => Ok(newcomer),
            number => Err(refusal(number)),
        }
    }

    /// Waits for its word: the number of the error that it met, or none.
    fn hear(&self) -> Result<i32> {
        let mut said = [0_u8; 5];
        let (count, _) = rustix::net::recv(&self.line, &mut said[..], RecvFlags::WAITALL)
            .doing(|| "hear the process that keeps it")?;
        match said {
            [WELL, number @ ..] if count == said.len() => Ok(i32::from_ne_bytes(number)),
            _ => Err(Error::new(Kind::Internal, "hear the process that keeps it: it died")),
        }
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.process.id()).expect("the kernel's process ids have 22 bits")
    }

    /// Writes the record, and tells the anchor so.
    pub(crate) fn record(
        self,
        directory: &Path,
        anchored: impl FnOnce(i32, u64) -> Anchored,
    ) -> Result<()> {
        let pid = self.pid();
        let started = dhow_sys::process::start_time(pid).doing(|| "look at the anchor")?;
        anchored(pid, started).write(directory)?;
        rustix::net::send(&self.line, &[WELL], SendFlags::NOSIGNAL)
            .map(drop)
            .doing(|| "tell the anchor")
    }
}

fn refusal(number: i32) -> Error {
    let error = std::io::Error::from_raw_os_error(number);
    let kind = match error.kind() {
        std::io::ErrorKind::PermissionDenied => Kind::Denied,
        _ => Kind::Unsupported,
    };
    Error::new(kind, "make a user namespace").because(error).hint(
        "the kernel must let users have them: see the sysctls user.max_user_namespaces, \
         kernel.unprivileged_userns_clone and kernel.apparmor_restrict_unprivileged_userns",
    )
}

/// The `main` of a process that was started under the name [`ANCHOR_ROLE`]. Its standard input is the
/// line to the command.
pub fn anchor_main(arguments: &[OsString]) -> ExitCode {
    let [_, directory, place] = arguments else { return ExitCode::FAILURE };
    match settle(place == APART).and_then(|()| stay(Path::new(directory))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Goes to its place, and waits until the record tells of it.
fn settle(apart: bool) -> Result<()> {
    // A terminal that is closed takes its session along, and we belong to no session of a user's.
    let _session = rustix::process::setsid();
    rustix::process::umask(Mode::from_raw_mode(0o077));
    let name = CString::new(ANCHOR_ROLE).expect("the name has no zero byte");
    rustix::thread::set_name(&name).doing(|| "take a name")?;
    let gone = if apart { leave() } else { Ok(()) };
    let number = gone.as_ref().err().and_then(std::io::Error::raw_os_error).unwrap_or(0);
    let line = rustix::stdio::stdin();
    let word: Vec<u8> = [WELL].into_iter().chain(number.to_ne_bytes()).collect();
    rustix::net::send(line, &word, SendFlags::NOSIGNAL).doing(|| "say that we are there")?;
    gone.doing(|| "leave for new namespaces")?;
    let mut said = [0_u8; 1];
    match rustix::net::recv(line, &mut said[..], RecvFlags::empty()) {
        Ok((1, _)) => {}
        _ => return Err(Error::new(Kind::Unavailable, "wait for the record")),
    }
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .doing(|| "open /dev/null")?;
    rustix::stdio::dup2_stdin(&null).doing(|| "read from /dev/null")
}

fn leave() -> std::io::Result<()> {
    dhow_sys::namespace::leave(ThreadNameSpaceType::USER | ThreadNameSpaceType::MOUNT)?;
    // Who maps our ids opens our files in procfs, which the kernel closes to who gains rights.
    Ok(rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)?)
}

/// Stays as long as anybody lives in the namespace, and a while longer.
#[inline(never)]
fn stay(directory: &Path) -> Result<()> {
    let own = number("/proc/self/ns/user")?;
    loop {
        if let Some(other) = neighbour(own)? {
            let mut end = [PollFd::new(&other, PollFlags::IN)];
            // A signal ends a wait before its time; then there is somebody still.
            let _woken = dhow_sys::memory::give_back_and_poll(&mut end, None);
            continue;
        }
        let _waited = dhow_sys::memory::give_back_and_poll(&mut [], Some(&LINGER));
        if neighbour(own)?.is_some() {
            continue;
        }
        // Who holds the lock is about to join.
        let Some(_alone) = try_lock(directory)? else { continue };
        if neighbour(own)?.is_none() {
            return withdraw(directory);
        }
    }
}

/// A process, other than this one, in the user namespace of this number.
fn neighbour(own: Option<u64>) -> Result<Option<OwnedFd>> {
    let this = rustix::process::getpid().as_raw_pid();
    for pid in processes()? {
        if pid != this
            && lives_in(pid, own)
            && let Some(process) = open(pid)?
            && lives_in(pid, own)
        {
            return Ok(Some(process));
        }
    }
    Ok(None)
}

/// Takes the record away, if it tells of this process.
fn withdraw(directory: &Path) -> Result<()> {
    let this = rustix::process::getpid().as_raw_pid();
    match Anchored::read(directory)? {
        Some(anchored) if anchored.pid == this => Anchored::remove(directory),
        _ => Ok(()),
    }
}
