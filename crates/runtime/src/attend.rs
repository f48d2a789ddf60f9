//! A command that stays with the process it started: hands signals on, and ends as it ends.

use dhow_base::{Doing, Result};
use rustix::{
    event::{PollFd, PollFlags},
    io::Errno,
    process::{Signal, WaitId, WaitIdOptions},
};
use std::os::fd::{AsFd, BorrowedFd};

/// What is handed on. The others are about this process (SIGCHLD, SIGPIPE), or cannot be caught.
const HANDED_ON: [Signal; 9] = [
    Signal::TERM,
    Signal::INT,
    Signal::HUP,
    Signal::QUIT,
    Signal::USR1,
    Signal::USR2,
    Signal::WINCH,
    Signal::CONT,
    Signal::ALARM,
];

/// Signals on their way to a process. Made before the process starts, so that none is lost.
#[derive(Debug)]
pub struct Attendant {
    signals: dhow_sys::signal::Reader,
}

impl Attendant {
    /// Takes the calling process's signals.
    pub fn new() -> Result<Self> {
        let numbers = HANDED_ON.map(Signal::as_raw);
        dhow_sys::signal::block(&numbers).doing(|| "block signals")?;
        let signals = dhow_sys::signal::Reader::new(&numbers).doing(|| "read signals")?;
        Ok(Self { signals })
    }

    /// Stays until our child behind `pidfd` ends, and reaps it: its exit code, or 128 and the
    /// number of the signal that ended it.
    pub fn stay(&self, pidfd: BorrowedFd<'_>) -> Result<u8> {
        loop {
            let mut polled =
                [PollFd::new(&pidfd, PollFlags::IN), PollFd::new(self.signals.fd(), PollFlags::IN)];
            match rustix::event::poll(&mut polled, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).doing(|| "wait for the process"),
            }
            let has_ended = !polled[0].revents().is_empty();
            self.hand_on(pidfd)?;
            if has_ended {
                return reap(pidfd);
            }
        }
    }

    fn hand_on(&self, pidfd: BorrowedFd<'_>) -> Result<()> {
        while let Some(number) = self.signals.next_signal().doing(|| "read signals")? {
            if let Some(signal) = dhow_sys::signal::from_number(number) {
                match rustix::process::pidfd_send_signal(pidfd, signal) {
                    // It has ended meanwhile.
                    Ok(()) | Err(Errno::SRCH) => {}
                    Err(errno) => return Err(errno).doing(|| format!("hand on signal {number}")),
                }
            }
        }
        Ok(())
    }
}

fn reap(pidfd: BorrowedFd<'_>) -> Result<u8> {
    let status = loop {
        match rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED) {
            Err(Errno::INTR) => {}
            result => break result.doing(|| "reap the process")?,
        }
    };
    let code = status.and_then(|status| {
        status.exit_status().or(status.terminating_signal().map(|signal| 128 + signal))
    });
    Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX))
}
