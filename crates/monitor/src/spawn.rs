//! The start of a monitor, seen from the command that needs one.
//!
//! ```text
//!   command ── exec ──▶ starter ── fork ──▶ monitor      (setsid in between: nobody's terminal)
//!      │                   └─ exits                       init adopts it
//!      └───────────── job, over the socket ─────────▶ reads it, creates the container
//!      ◀───────────── Started or Failed ────────────
//! ```
//!
//! The exec gives the monitor a small memory of its own and one thread, whatever the command was;
//! the fork leaves the command without a child that it would have to reap some day.

use crate::{Client, Job, frame::Frame};
use dhow_base::{Doing, Result};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::{
    os::unix::process::CommandExt,
    process::{Command, Stdio},
};

/// The name under which the binary is a monitor.
pub const ROLE: &str = "dhow-monitor";

/// Starts a monitor and hands it the job. The client is its first: ask it whether the process
/// [`Client::started`].
pub fn spawn(job: &Job) -> Result<Client> {
    let (ours, theirs) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .doing(|| "make a socket pair")?;
    let starter = Command::new("/proc/self/exe")
        .arg0(ROLE)
        .stdin(theirs)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .doing(|| "start the monitor")?;
    let mut client = Client::on(ours, Some(starter));
    client.send(&Frame::Job(job.to_bytes()?))?;
    Ok(client)
}
