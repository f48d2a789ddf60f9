//! A filter that asks a listener, and the way of the listener's fd out of the process that it
//! filters.
//!
//! ```text
//!   process                                      courier (shares the fds, has no filter)
//!     │  clone ──────────────────────────────────▶│
//!     │  load the filter: the listener is fd n    │
//!     │  write n ────────────────────────────────▶│
//!     │                                           │  delivers fd n, waits for the answer
//!     │◀──────────────────────────────── its end ─│
//! ```
//!
//! From the loading on, any call of the process may wait for whoever has the listener, and nobody
//! has it yet: the process itself cannot send it. Only `write` may not be filtered so; that is
//! refused when a profile is compiled.

use crate::{
    clone::{Side, clone_sharing_fds},
    filter::{Instruction, load_with_listener},
    pidfd, process,
};
use rustix::{
    io::Errno,
    pipe::PipeFlags,
    process::{Pid, Signal},
};
use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

/// Loads a filter and has its listener delivered: `deliver` runs in the courier, which ends with
/// it, and says whether the listener arrived.
///
/// `ConnectionAborted` means that it did not. The process must have one thread.
pub fn load_and_deliver(
    instructions: &[Instruction],
    flags: u32,
    deliver: impl FnOnce(BorrowedFd<'_>) -> bool,
) -> io::Result<()> {
    let (hears, tells) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    let own = rustix::process::getpid();
    match clone_sharing_fds()? {
        Side::Child => {
            let is_delivered = wait(own, &hears).is_ok_and(|number| {
                // SAFETY: the number is of a listener that the other process has just made and
                // keeps open until this one has ended; the fds are shared.
                deliver(unsafe { BorrowedFd::borrow_raw(number) })
            });
            process::leave(i32::from(!is_delivered))
        }
        Side::Parent { pidfd, .. } => {
            let loaded = load_with_listener(instructions, flags);
            let number = loaded.as_ref().map_or(-1, AsRawFd::as_raw_fd);
            let told = rustix::io::write(&tells, &number.to_ne_bytes());
            if told.is_err() {
                let _dead = rustix::process::pidfd_send_signal(&pidfd, Signal::KILL);
            }
            let end = pidfd::reap(pidfd.as_fd())?;
            let _listener: OwnedFd = loaded?;
            told?;
            match end.exit_status() {
                Some(0) => Ok(()),
                _ => Err(io::ErrorKind::ConnectionAborted.into()),
            }
        }
    }
}

/// Waits for the listener's number. Dies with the process that it works for: the shared fds would
/// keep the pipe open for ever.
fn wait(served: Pid, hears: &OwnedFd) -> io::Result<i32> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if rustix::process::getppid() != Some(served) {
        return Err(Errno::SRCH.into());
    }
    let mut bytes = [0; 4];
    let count = loop {
        match rustix::io::read(hears, &mut bytes) {
            Err(Errno::INTR) => {}
            result => break result?,
        }
    };
    let number = i32::from_ne_bytes(bytes);
    if count == bytes.len() && number >= 0 { Ok(number) } else { Err(Errno::BADF.into()) }
}
