//! The role of a monitor, from its first instruction to its last.
//!
//! # What happens when a monitor dies
//!
//! The container goes on, without anybody who reads its output or learns its exit. It is not tied
//! to the monitor's life with `PR_SET_PDEATHSIG`, since the kernel forgets that setting whenever a
//! program changes its user, and a rule that holds for some images only is none. Instead the death
//! can be told with certainty (the lock is free, [`crate::is_alive`]) and so can the orphan
//! (`started.json` names its pid and start time): the next command kills it, and writes the exit
//! record in the monitor's place.
//!
//! # Signals
//!
//! SIGTERM is passed on to the process. Whatever else a terminal or a shell may send is blocked;
//! the runtime gives a container's process a clean mask.

use crate::{
    ExitRecord, Home, Job, ROLE, Started, Task,
    client::{LOCK, SOCKET, STARTED, address_in},
    connection::{Connection, Role},
    exit::Exit,
    frame::{Failure, Frame},
    log::Writer,
    prepared::Prepared,
    process::{self, Process},
    spare::{self, SpareNetwork},
    spawn::as_usual,
    watch::{Place, Watch},
};
use dhow_base::{
    Doing, Error, Kind, Result,
    clock::Moment,
    file::{self, Durability},
    lock::{Lock, Sharing},
};
use dhow_sys::signal;
use rustix::{
    fs::{Mode, OFlags},
    net::{AddressFamily, RecvFlags, SocketFlags, SocketType},
    process::Signal,
};
use std::{
    ffi::{CString, OsString},
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::CommandExt,
    },
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

/// What does not disturb a monitor.
const BLOCKED: [Signal; 11] = [
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::TERM,
    Signal::PIPE,
    Signal::ALARM,
    Signal::USR1,
    Signal::USR2,
    Signal::TSTP,
    Signal::TTIN,
    Signal::TTOU,
];

/// How long those who ask whether a monitor lives may be in the way of one that comes to life: each for
/// a moment, but on a busy machine a moment is as long as another program may run.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);

/// How many who knock may wait at the door.
const BACKLOG: i32 = 64;

/// How unwilling the kernel shall be to kill a monitor when memory runs out. Its container's
/// processes are what takes the memory.
const OOM_SCORE_ADJUSTMENT: &[u8] = b"-900";

/// The `main` of a process that was started under the name [`ROLE`]. Its standard input is the
/// socket that the job comes from.
pub fn main() -> ExitCode {
    step_into_background()
        .and_then(wait_and_serve)
        .map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

fn wait_and_serve(socket: OwnedFd) -> Result<()> {
    let is_expected = std::env::args_os().nth(1).is_some_and(|word| word == spare::EXPECTED);
    let mut prepared = Prepared::default();
    if is_expected {
        prepared.network = SpareNetwork::make()?;
    }
    let job = receive_job(&socket, &mut prepared)?;
    serve(job, prepared, socket)
}

/// Leaves the command's session, directory and streams behind, and keeps the socket. It is the first
/// of a session without a terminal, which it must not get: whatever it opens that may be one is opened
/// with `O_NOCTTY`.
fn step_into_background() -> Result<OwnedFd> {
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)
        .doing(|| "keep the command's socket")?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .doing(|| "open /dev/null")?;
    rustix::stdio::dup2_stdin(&null).doing(|| "read from /dev/null")?;
    rustix::process::setsid().doing(|| "leave the command's session")?;
    rustix::process::chdir("/").doing(|| "leave the command's directory")?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let name = CString::new(ROLE).expect("the name has no zero byte");
    rustix::thread::set_name(&name).doing(|| "take a name")?;
    let blocked = BLOCKED.map(Signal::as_raw);
    signal::block(&blocked).doing(|| "block signals")?;
    Ok(socket)
}

/// Reads the first frames: what is to be expected, if that is said, and the job.
#[inline(never)]
fn receive_job(socket: &OwnedFd, prepared: &mut Prepared) -> Result<Job> {
    let mut bytes = Vec::new();
    // On the heap: what a stack has once reached it keeps.
    let mut piece = vec![0_u8; 16 << 10];
    loop {
        match Frame::parse_job(&bytes)? {
            Some((Frame::Job(job), used)) if used == bytes.len() => {
                return Job::parse(&job);
            }
            Some((Frame::Expected(expected), used)) => {
                bytes.drain(..used);
                prepared.expect(*expected);
                continue;
            }
            Some(_) => return Err(Error::new(Kind::Invalid, "expect a job and nothing else")),
            None => {}
        }
        match rustix::net::recv(socket, &mut piece, RecvFlags::empty()) {
            Ok((0, _)) => return Err(Error::new(Kind::Unavailable, "wait for a job")),
            Ok((count, _)) => bytes.extend_from_slice(&piece[..count]),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno).doing(|| "wait for a job"),
        }
    }
}

/// Does the job. What fails is told to the starter and written down; nobody else would hear.
fn serve(job: Job, prepared: Prepared, socket: OwnedFd) -> Result<()> {
    let mut starter = Connection::new(socket, 0, Role::Starter);
    starter.attached = job.attached;
    let is_session = matches!(job.task, Task::Exec(_));
    let (has_heard, code) = match start(&job, prepared) {
        Ok((process, started, place)) => {
            let ended = Watch::new(&job, process, started, place, starter).run();
            (ended.has_heard, Some(ended.code))
        }
        Err(error) => (has_heard_of_failure(&job, starter, &error), None),
    };
    // The lock is free by now, as proof for the cleanup that nobody lives here any more.
    match (job.cleanup, code) {
        (Some(mut command), Some(code)) if is_session && !has_heard => {
            command.push(code.to_string().into());
            Err(become_command(&command))
        }
        // What has not begun has no end to be told of.
        (Some(_), None) if is_session => Ok(()),
        (Some(command), _) if !has_heard => Err(become_command(&command)),
        _ => Ok(()),
    }
}

/// Prepares everything, then starts the process: what can fail, fails before. Its frame is gone
/// when the monitor sleeps.
#[inline(never)]
fn start(job: &Job, mut prepared: Prepared) -> Result<(Process, Started, Place)> {
    let place = Place {
        door: job.home().map(|home| prepared.door_at(home)).transpose()?,
        signals: signal::Reader::new(&[Signal::TERM.as_raw()]).doing(|| "read signals")?,
        log: job.log.clone().map(Writer::open).transpose()?,
    };
    let process = process::start(job, &prepared);
    // From here on the network namespace lives as long as somebody is in it. Where there is no process,
    // what was made ahead goes before the door closes.
    drop(prepared);
    let process = process?;
    part_with_handed(job)?;
    let started = Started {
        pid: process.pid,
        start_time: process.start_time,
        monitor_pid: rustix::process::getpid().as_raw_pid(),
        started_at: Moment::now().unix_nanoseconds(),
        ports: process.network.published(),
        leases: process.network.leased(),
    };
    if let Some(home) = job.home()
        && let Err(error) = write_started(&home.directory, &started)
    {
        process.abandon();
        return Err(error);
    }
    protect_from_memory_shortage();
    Ok((process, started, place))
}

/// Keeps nothing of the command's that is the process's now: its readers would wait for us too.
fn part_with_handed(job: &Job) -> Result<()> {
    let doing = || "part with the command's files";
    dhow_sys::fds::close_handed(3, job.handed.fds).doing(doing)?;
    if job.handed.output {
        let null = rustix::stdio::stdin();
        rustix::stdio::dup2_stdout(null).doing(doing)?;
        rustix::stdio::dup2_stderr(null).doing(doing)?;
    }
    Ok(())
}

/// What others find of a monitor: that it lives, and where to knock.
#[derive(Debug)]
pub(crate) struct Door {
    /// Held to the end: it says that this monitor lives.
    pub(crate) lock: Lock,
    /// Where clients come in.
    pub(crate) listener: OwnedFd,
}

impl Door {
    pub(crate) fn open(home: &Home) -> Result<Self> {
        // Of an earlier run: whoever waits for this one must not find it.
        file::remove_if_there(&home.exit_record)?;
        Ok(Self { lock: lock(&home.directory)?, listener: listen(&home.directory)? })
    }
}

/// Shows that a monitor lives here. Who asks for that takes the lock for a moment, so one that is
/// taken is tried again; one that stays taken is another monitor's.
fn lock(directory: &Path) -> Result<Lock> {
    let path = directory.join(LOCK);
    Lock::acquire_within(&path, Sharing::Exclusive, LOCK_PATIENCE)?.ok_or_else(|| {
        Error::new(Kind::Conflict, format!("keep {}: another monitor does", directory.display()))
    })
}

fn listen(directory: &Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(directory, flags, Mode::empty())
        .doing(|| format!("open {}", directory.display()))?;
    // What an earlier monitor left when it was killed; the lock says that it is dead.
    file::remove_if_there(&directory.join(SOCKET))?;
    file::remove_if_there(&directory.join(STARTED))?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let listener = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .doing(|| "make a socket")?;
    let umask = rustix::process::umask(Mode::from_raw_mode(0o177));
    let bound = rustix::net::bind(&listener, &address_in(opened.as_fd())?);
    rustix::process::umask(umask);
    bound.doing(|| format!("make socket {}/{SOCKET}", directory.display()))?;
    rustix::net::listen(&listener, BACKLOG)
        .doing(|| format!("listen on {}/{SOCKET}", directory.display()))?;
    Ok(listener)
}

fn write_started(directory: &Path, started: &Started) -> Result<()> {
    let bytes = serde_json::to_vec(started).expect("numbers always serialise");
    file::write_atomically(&directory.join(STARTED), &bytes, 0o600, Durability::Cached)
}

/// Only now: a process inherits the adjustment from its parent.
fn protect_from_memory_shortage() {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    if let Ok(file) = rustix::fs::open("/proc/self/oom_score_adj", flags, Mode::empty()) {
        // Without the right to, a monitor is as good a victim as any.
        let _written = rustix::io::write(&file, OOM_SCORE_ADJUSTMENT);
    }
}

/// Tells the starter why there is no process. Returns whether it has heard, and is to clean up.
#[inline(never)]
fn has_heard_of_failure(job: &Job, mut starter: Connection, error: &Error) -> bool {
    let code = match error.kind() {
        Kind::CommandNotFound => 127,
        Kind::CommandNotRunnable => 126,
        _ => 125,
    };
    let record = ExitRecord {
        exit: Exit { code, signal: None, oom_killed: false },
        started_at: None,
        finished_at: Some(Moment::now()),
        log_lost_bytes: 0,
        problem: Some(error.one_line()),
    };
    if let Some(home) = job.home() {
        let _written = record.write(&home.exit_record);
        let _removed = rustix::fs::unlink(home.directory.join(SOCKET));
    }
    // The socket is new and the frame small, so there is room for it.
    starter.say(&Frame::Failed(Failure::from(error)));
    !starter.gone && !starter.has_unsent()
}

/// Becomes another command of ours; returns only if that failed.
#[inline(never)]
pub(crate) fn become_command(command: &[OsString]) -> Error {
    let Some((program, arguments)) = command.split_first() else {
        return Error::new(Kind::Invalid, "go on as a command: there is none");
    };
    let error = as_usual(&mut Command::new(program))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .exec();
    Error::new(Kind::Internal, format!("go on as {}", program.display())).because(error)
}
