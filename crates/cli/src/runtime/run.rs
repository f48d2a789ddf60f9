//! `run`: create, start, wait, delete; and waiting for a process, which `exec` does too.

use super::life::Birth;
use crate::exit::SUCCESS;
use dhow_base::{Doing, Error, Kind, Result};
use dhow_runtime::{
    Driver,
    shelf::{Force, Shelf},
};
use dhow_sys::{mask::Blocked, signal};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions},
};
use std::os::fd::{AsFd, BorrowedFd};

/// Run a container and stay with it until it ends
#[derive(clap::Args, Debug)]
pub(super) struct Run {
    /// Do not stay
    #[arg(short, long)]
    detach: bool,

    #[command(flatten)]
    birth: Birth,
}

impl Run {
    pub(super) fn act(&self, shelf: &Shelf, driver: &Driver) -> Result<u8> {
        let record = self.birth.create(shelf, driver)?;
        let id = &self.birth.id;
        let code = self.start_and_wait(shelf, &record);
        if self.detach && code.is_ok() {
            return code;
        }
        // Whatever went wrong, nothing stays; and what went wrong first is what is said.
        let deleted = shelf.delete(id, Force::Kill);
        let code = code?;
        deleted.map(|()| code)
    }

    fn start_and_wait(&self, shelf: &Shelf, record: &dhow_runtime::shelf::Record) -> Result<u8> {
        let init = record
            .init
            .ok_or_else(|| Error::new(Kind::Internal, "find the container's first process"))?;
        // It is our child and not reaped yet, so the number is still its own.
        let pid = Pid::from_raw(init.pid)
            .ok_or_else(|| Error::new(Kind::Internal, format!("find process {}", init.pid)))?;
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())
            .doing(|| format!("watch process {}", init.pid))?;
        shelf.start(&record.id)?;
        if self.detach { Ok(SUCCESS) } else { wait(pidfd.as_fd()) }
    }
}

/// Signals that are the process's and not ours while we wait.
const PASSED_ON: [Signal; 7] = [
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::TERM,
    Signal::USR1,
    Signal::USR2,
    Signal::WINCH,
];

/// Waits for the end of a child of ours, passing signals on; returns its code as shells have it.
pub(super) fn wait(process: BorrowedFd<'_>) -> Result<u8> {
    let doing = || "wait for the container's process";
    let numbers = PASSED_ON.map(Signal::as_raw);
    let _blocked = Blocked::new(&numbers).doing(doing)?;
    let signals = signal::Reader::new(&numbers).doing(doing)?;
    loop {
        let mut fds =
            [PollFd::new(&process, PollFlags::IN), PollFd::new(signals.fd(), PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).doing(doing),
        }
        if fds[0].revents().contains(PollFlags::IN) {
            return reap(process).doing(doing);
        }
        while let Some(number) = signals.next_signal().doing(doing)? {
            if let Some(signal) = signal::from_number(number) {
                match rustix::process::pidfd_send_signal(process, signal) {
                    // It has ended meanwhile, which the next turn sees.
                    Ok(()) | Err(Errno::SRCH) => {}
                    Err(errno) => return Err(errno).doing(doing),
                }
            }
        }
    }
}

fn reap(process: BorrowedFd<'_>) -> rustix::io::Result<u8> {
    let status = loop {
        match rustix::process::waitid(WaitId::PidFd(process), WaitIdOptions::EXITED) {
            Err(Errno::INTR) => {}
            status => break status?,
        }
    };
    let code = status.and_then(|status| {
        status.exit_status().or_else(|| status.terminating_signal().map(|signal| signal + 128))
    });
    Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX))
}
