//! Staying with a process: signals go in, a terminal's keys and output go back and forth, until it
//! ends and its exit code is ours.
//!
//! ```text
//!   our stdin ──▶ master of its terminal ──▶ our stdout
//!   signals to us ──▶ the process            SIGWINCH ──▶ its terminal's size
//! ```
//!
//! Without a terminal the process has our own streams, and nothing is copied. One thread and one
//! `poll`, signals included. The ends of lines become what a terminal needs in ours, not in the process's: into
//! a file or a pipe they go as they were written.

use super::notify::Relay;
use dhow_base::{Doing, Error, Kind, Result};
use dhow_monitor::{LineEnds, RawMode};
use dhow_spec::runtime::ConsoleSize;
use dhow_sys::signal;
use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{Mode, OFlags},
    io::Errno,
    process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions},
};
use std::{
    io::Write,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// How much is copied at once.
const PIECE_BYTES: usize = 16 << 10;

/// Signals that are the process's while we stay. Those that tell of our own faults stay ours, and
/// so do those about reading and writing our own terminal.
const PASSED_ON: [Signal; 15] = [
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::USR1,
    Signal::USR2,
    Signal::ALARM,
    Signal::TERM,
    Signal::CONT,
    Signal::TSTP,
    Signal::XCPU,
    Signal::XFSZ,
    Signal::VTALARM,
    Signal::PROF,
    Signal::IO,
    Signal::POWER,
];

/// The first and the last real-time signal that the C library leaves to programs.
const REAL_TIME: std::ops::RangeInclusive<i32> = 34..=64;

/// Our signals, kept until the process is there to get them.
#[derive(Debug)]
pub(super) struct Signals {
    reader: signal::Reader,
}

impl Signals {
    /// From now on they wait.
    pub(super) fn take() -> Result<Self> {
        let mut numbers: Vec<i32> = PASSED_ON.map(Signal::as_raw).into();
        numbers.extend([Signal::WINCH.as_raw(), Signal::CHILD.as_raw()]);
        numbers.extend(REAL_TIME);
        signal::block(&numbers).doing(|| "block signals")?;
        let reader = signal::Reader::new(&numbers).doing(|| "read signals")?;
        Ok(Self { reader })
    }
}

/// What becomes of processes whose parent ended before them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Orphans {
    /// They are ours, and reaped.
    TakenIn,
    /// They are not our business.
    Elsewhere,
}

/// Our child, not reaped yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Child<'a> {
    pub(super) pid: i32,
    pub(super) pidfd: BorrowedFd<'a>,
}

/// A process that we stay with.
#[derive(Debug)]
pub(super) struct Foreground<'a> {
    signals: Signals,
    child: Child<'a>,
    terminal: Option<Terminal>,
    relay: Option<Relay>,
    orphans: Orphans,
    /// Its exit code, once known.
    code: Option<u8>,
}

/// The process's terminal, and ours.
#[derive(Debug)]
struct Terminal {
    /// Nothing once nobody is on the other side.
    master: Option<OwnedFd>,
    own: RawMode,
    /// What was typed and does not fit yet.
    typed: Vec<u8>,
    reads: bool,
    writes: bool,
}

/// What a wait found.
#[derive(Clone, Copy, Debug, Default)]
struct Ready {
    ended: bool,
    signals: bool,
    relay: bool,
    output: bool,
    room: bool,
    input: bool,
}

impl<'a> Foreground<'a> {
    /// Stays with a process, whose terminal has this master.
    pub(super) fn new(
        signals: Signals,
        child: Child<'a>,
        master: Option<OwnedFd>,
        relay: Option<Relay>,
        orphans: Orphans,
    ) -> Result<Self> {
        let terminal = master.map(Terminal::connect).transpose()?;
        Ok(Self { signals, child, terminal, relay, orphans, code: None })
    }

    /// Stays until the process ends: its exit code, or 128 and the signal's number.
    pub(super) fn stay(mut self) -> Result<u8> {
        loop {
            let ready = self.wait()?;
            if ready.signals {
                self.take_signals()?;
            }
            if ready.relay {
                self.hear_relay()?;
            }
            if let Some(terminal) = &mut self.terminal {
                terminal.copy(ready)?;
            }
            if ready.ended || self.code.is_some() {
                if let Some(terminal) = &mut self.terminal {
                    terminal.show();
                }
                return match self.code {
                    Some(code) => Ok(code),
                    None => reap(self.child.pidfd),
                };
            }
        }
    }

    fn wait(&self) -> Result<Ready> {
        let terminal = self.terminal.as_ref();
        let master = terminal.and_then(|terminal| terminal.master.as_ref());
        let stdin = rustix::stdio::stdin();
        let interests = [
            (Some(self.child.pidfd), PollFlags::IN),
            (Some(self.signals.reader.fd().as_fd()), PollFlags::IN),
            (self.relay.as_ref().map(Relay::fd), PollFlags::IN),
            (
                master.filter(|_| terminal.is_some_and(|own| own.writes)).map(AsFd::as_fd),
                PollFlags::IN,
            ),
            (
                master
                    .filter(|_| terminal.is_some_and(|own| !own.typed.is_empty()))
                    .map(AsFd::as_fd),
                PollFlags::OUT,
            ),
            (
                master
                    .filter(|_| terminal.is_some_and(|own| own.reads && own.typed.is_empty()))
                    .map(|_| stdin),
                PollFlags::IN,
            ),
        ];
        let mut fds: Vec<_> = interests
            .iter()
            .filter_map(|(fd, flags)| Some(PollFd::from_borrowed_fd((*fd)?, *flags)))
            .collect();
        match poll(&mut fds, None) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Ready::default()),
            Err(errno) => return Err(errno).doing(|| "wait for the container's process"),
        }
        let mut answers = fds.iter().map(|fd| !fd.revents().is_empty());
        let [ended, signals, relay, output, room, input] =
            interests.map(|(fd, _)| fd.is_some() && answers.next() == Some(true));
        Ok(Ready { ended, signals, relay, output, room, input })
    }

    fn take_signals(&mut self) -> Result<()> {
        while let Some(number) = self.signals.reader.next_signal().doing(|| "read signals")? {
            if number == Signal::CHILD.as_raw() {
                self.reap_orphans()?;
                continue;
            }
            if number == Signal::WINCH.as_raw() {
                if let Some(terminal) = &self.terminal {
                    terminal.resize();
                }
                continue;
            }
            if number == Signal::CONT.as_raw()
                && let Some(terminal) = &self.terminal
            {
                // The shell had the terminal in between, and has set it to its own liking.
                terminal.own.enter_again()?;
                terminal.resize();
            }
            self.pass_on(number)?;
        }
        Ok(())
    }

    fn pass_on(&self, number: i32) -> Result<()> {
        let Some(signal) = signal::from_number(number) else { return Ok(()) };
        match rustix::process::pidfd_send_signal(self.child.pidfd, signal) {
            // It has ended meanwhile.
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(errno) => Err(errno).doing(|| format!("pass on signal {number}")),
        }
    }

    /// Reaps whoever has ended, but leaves the process itself to the end.
    fn reap_orphans(&mut self) -> Result<()> {
        if self.orphans == Orphans::Elsewhere {
            return Ok(());
        }
        let own = Pid::from_raw(self.child.pid);
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if own == Some(pid) => {
                    self.code = code(status.exit_status(), status.terminating_signal());
                }
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) | Err(Errno::CHILD) => return Ok(()),
                Err(errno) => return Err(errno).doing(|| "reap processes"),
            }
        }
    }

    fn hear_relay(&mut self) -> Result<()> {
        if let Some(relay) = &self.relay
            && relay.take()?
        {
            self.relay = None;
        }
        Ok(())
    }
}

impl Terminal {
    /// Makes our terminal an image of the process's.
    fn connect(master: OwnedFd) -> Result<Self> {
        let own = own_terminal()?;
        let doing = || "prepare the process's terminal";
        // The master is ours alone; a process that does not read must not make us deaf.
        rustix::io::ioctl_fionbio(&master, true).doing(doing)?;
        let terminal =
            Self { master: Some(master), own, typed: Vec::new(), reads: true, writes: true };
        terminal.resize();
        Ok(terminal)
    }

    /// Gives the process's terminal the size of ours. Where ours is gone there is none to give.
    fn resize(&self) {
        if let Some(master) = &self.master
            && let Ok(size) = rustix::termios::tcgetwinsize(&self.own)
        {
            let _resized = rustix::termios::tcsetwinsize(master, size);
        }
    }

    fn copy(&mut self, ready: Ready) -> Result<()> {
        if ready.output {
            self.show();
        }
        if ready.input {
            self.read_keys()?;
        }
        if ready.room || ready.input {
            self.type_on();
        }
        Ok(())
    }

    /// Writes out what the process has written.
    fn show(&mut self) {
        let mut piece = [0_u8; PIECE_BYTES];
        while let Some(master) = &self.master {
            match rustix::io::read(master, piece.as_mut_slice()) {
                Ok(count @ 1..) => {
                    let mut out = std::io::stdout().lock();
                    if out.write_all(&piece[..count]).and_then(|()| out.flush()).is_err() {
                        self.writes = false;
                        return;
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                // The last holder of the other side is gone.
                Ok(0) | Err(_) => self.master = None,
            }
        }
    }

    fn read_keys(&mut self) -> Result<()> {
        let mut piece = [0_u8; PIECE_BYTES];
        match rustix::io::read(rustix::stdio::stdin(), piece.as_mut_slice()) {
            Ok(count @ 1..) => self.typed.extend_from_slice(&piece[..count]),
            Err(Errno::INTR | Errno::AGAIN) => {}
            // A terminal that was hung up says EIO.
            Ok(0) | Err(Errno::IO) => self.reads = false,
            Err(errno) => return Err(errno).doing(|| "read standard input"),
        }
        Ok(())
    }

    /// Types as much as fits.
    fn type_on(&mut self) {
        while let Some(master) = &self.master
            && !self.typed.is_empty()
        {
            match rustix::io::write(master, &self.typed) {
                Ok(count) => drop(self.typed.drain(..count)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => self.typed.clear(),
            }
        }
    }
}

/// The size of our terminal, where we have one.
pub(super) fn own_size() -> Option<ConsoleSize> {
    let size = streams().into_iter().find_map(|fd| rustix::termios::tcgetwinsize(fd).ok())?;
    Some(ConsoleSize { height: size.ws_row, width: size.ws_col })
}

fn streams() -> [BorrowedFd<'static>; 3] {
    [rustix::stdio::stderr(), rustix::stdio::stdout(), rustix::stdio::stdin()]
}

/// Our terminal, wherever it still is, made raw.
fn own_terminal() -> Result<RawMode> {
    for stream in streams() {
        if let Some(raw) = RawMode::enter(stream, LineEnds::Ours)? {
            return Ok(raw);
        }
    }
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let doing = || "find our own terminal for the process's";
    let controlling = rustix::fs::open("/dev/tty", flags, Mode::empty()).doing(doing)?;
    RawMode::enter(controlling.as_fd(), LineEnds::Ours)?
        .ok_or_else(|| Error::new(Kind::Unsupported, doing()))
}

fn reap(process: BorrowedFd<'_>) -> Result<u8> {
    let status = loop {
        match rustix::process::waitid(WaitId::PidFd(process), WaitIdOptions::EXITED) {
            Err(Errno::INTR) => {}
            status => break status.doing(|| "reap the container's process")?,
        }
    };
    let code = status.and_then(|status| code(status.exit_status(), status.terminating_signal()));
    Ok(code.unwrap_or(u8::MAX))
}

fn code(exit: Option<i32>, signal: Option<i32>) -> Option<u8> {
    exit.or_else(|| signal.map(|signal| signal + 128)).and_then(|code| u8::try_from(code).ok())
}
