//! The start of a monitor, seen from the command that needs one.
//!
//! ```text
//!   command ── fork, exec ──▶ monitor                    (setsid first: nobody's terminal)
//!      ├── what is expected ─────▶ opens its door, makes a cgroup, mounts the root
//!      └── job ──────────────────▶ reads it, creates the container
//!      ◀── Started or Failed ─────
//!    exits: init adopts it
//! ```
//!
//! The monitor comes up while the command still finds out what the job is: with two processors, most
//! of its start costs no time.
//!
//! The exec gives the monitor a small memory of its own and one thread, whatever the command was.
//! The monitor is the command's child: one that ends before the command does is reaped when that has
//! ended. A second fork would make it init's at once, and took a tenth of the time of an `exec`. What
//! is run is the command's own binary, sealed against the containers that the monitor will touch.

use crate::{Client, Expected, Handed, Job, frame::Frame, spare};
use dhow_base::{Doing, Result};
use dhow_sys::seal;
use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType},
    process::{Pid, WaitOptions},
};
use std::{
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    path::PathBuf,
    process::{Command, Stdio},
};

/// The name under which the binary is a monitor.
pub const ROLE: &str = "dhow-monitor";

/// Tells the C library how a monitor's memory is to be kept: without the store of free pieces that
/// makes a busy process quick, and that holds on to every page which once had one.
const TUNABLES: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0");

/// Takes from a program that a monitor starts what was meant for the monitor.
pub(crate) fn as_usual(command: &mut Command) -> &mut Command {
    command.env_remove(TUNABLES.0)
}

/// A monitor that waits for its job. One that gets none ends when this is dropped.
#[derive(Debug)]
pub struct WaitingMonitor {
    client: Client,
    monitor: Pid,
    /// What keeps the sealed binary alive.
    sealed: Option<OwnedFd>,
}

impl WaitingMonitor {
    /// Starts a monitor. It takes a while to come up, in which the command can find out what the job
    /// is.
    pub fn start() -> Result<Self> {
        Self::start_with(Handed::default())
    }

    /// As [`WaitingMonitor::start`], with files of the command's that its process is to have.
    pub fn start_with(handed: Handed) -> Result<Self> {
        Self::start_told(&[], handed)
    }

    /// As [`WaitingMonitor::start`], and tells it that a container with a network namespace of its own is to
    /// be expected: it makes that meanwhile.
    pub fn start_with_network() -> Result<Self> {
        Self::start_told(&[spare::EXPECTED], Handed::default())
    }

    fn start_told(words: &[&str], handed: Handed) -> Result<Self> {
        let (ours, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .doing(|| "make a socket pair")?;
        // Rust closes at exec whatever it opens; what the command's own caller left open (a pipe of
        // its shell's) must not stay open as long as a container lives.
        dhow_sys::fds::close_at_exec_from(3).doing(|| "keep other files from the monitor")?;
        dhow_sys::fds::keep_at_exec(3, handed.fds).doing(|| "hand files to the monitor")?;
        let output = || if handed.output { Stdio::inherit() } else { Stdio::null() };
        let (program, sealed) = own_program()?;
        let reaped_by_init = Command::new(program)
            .arg0(ROLE)
            .args(words)
            .env(TUNABLES.0, TUNABLES.1)
            .stdin(theirs)
            .stdout(output())
            .stderr(output())
            .spawn()
            .doing(|| "start the monitor")?;
        let monitor = Pid::from_child(&reaped_by_init);
        Ok(Self { client: Client::on(ours), monitor, sealed })
    }

    /// Its number, which is nobody else's as long as the command lives.
    pub fn pid(&self) -> Pid {
        self.monitor
    }

    /// Tells it what container is coming, as soon as that is known: it opens its door there, makes the
    /// cgroup's directories, and mounts the root, while the command makes the rest. What the job does not want after all
    /// goes again.
    pub fn expect(&mut self, expected: Expected) -> Result<()> {
        self.client.send(&Frame::Expected(Box::new(expected)))
    }

    /// Sends it home, and waits until all that it has made ahead is gone.
    pub fn dismiss(self) -> Result<()> {
        let Self { client, monitor, sealed } = self;
        drop((client, sealed));
        loop {
            match rustix::process::waitpid(Some(monitor), WaitOptions::empty()) {
                Err(Errno::INTR) => {}
                Ok(_) | Err(Errno::CHILD) => return Ok(()),
                Err(errno) => return Err(errno).doing(|| "wait for a monitor that is not needed"),
            }
        }
    }

    /// Hands it the job. The client is its first: ask it whether the process [`Client::started`].
    pub fn take_job(self, job: &Job) -> Result<Client> {
        let Self { mut client, sealed, .. } = self;
        client.send(&Frame::Job(job.to_bytes()?))?;
        // The kernel takes up to a millisecond to let go of a mount: not before the monitor has work.
        drop(sealed);
        Ok(client)
    }
}

/// A path of our own binary that a container cannot write through, and what keeps it alive.
pub(crate) fn own_program() -> Result<(PathBuf, Option<OwnedFd>)> {
    if seal::is_sealed().doing(|| "look at our own binary")? {
        return Ok(("/proc/self/exe".into(), None));
    }
    let sealed =
        seal::read_only_mount().or_else(|_| seal::sealed_copy()).doing(|| "seal our own binary")?;
    // The child resolves it: its fds have the same numbers until it is another program.
    Ok((format!("/proc/self/fd/{}", sealed.as_raw_fd()).into(), Some(sealed)))
}
