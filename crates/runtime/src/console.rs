//! A container's terminal: made inside its own devpts, its master handed out.
//!
//! Nothing here goes by the name of a terminal. The slave is opened through the master, and the
//! slave's own fd is what is bound to `/dev/console`; a name could have been swapped in between
//! (CVE-2025-52565).

use crate::{devices, mounts::move_onto};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_spec::runtime::ConsoleSize;
use dhow_sys::{
    mount::{Attributes, Propagation, Reach},
    root::{Last, Root},
};
use rustix::{
    fs::{Gid, OFlags, Uid},
    pty::OpenptFlags,
    termios::{OptionalActions, OutputModes},
};
use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

/// The magic number of devpts, `statfs(2)`.
const DEVPTS_MAGIC: rustix::fs::FsWord = 0x1cd1;

/// What the terminal makes of the ends of lines.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LineEnds {
    /// What every terminal begins with: a return before each.
    Returned,
    /// Nothing: another terminal shows them and does that, or they go into a file.
    AsWritten,
}

/// Both sides of a terminal.
#[derive(Debug)]
pub(crate) struct Console {
    pub(crate) master: OwnedFd,
    slave: OwnedFd,
}

impl Console {
    /// Makes a terminal in the devpts below `root`.
    pub(crate) fn make(
        root: Root<'_>,
        size: Option<ConsoleSize>,
        line_ends: LineEnds,
    ) -> Result<Self> {
        let doing = || "open /dev/pts/ptmx";
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let master = root
            .open(Path::new("/dev/pts/ptmx"), flags, Last::NoLinks)
            .map_err(|error| hinted(error, doing()))?;
        let filesystem = rustix::fs::fstatfs(&master).doing(doing)?;
        if filesystem.f_type != DEVPTS_MAGIC {
            return Err(hinted(std::io::ErrorKind::InvalidData.into(), "use /dev/pts: no devpts"));
        }
        rustix::pty::unlockpt(&master).doing(|| "unlock the terminal")?;
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)
            .doing(|| "open the terminal's inner side")?;
        if let Some(ConsoleSize { height, width }) = size {
            let size = rustix::termios::Winsize {
                ws_row: height,
                ws_col: width,
                ws_xpixel: 0,
                ws_ypixel: 0,
            };
            rustix::termios::tcsetwinsize(&slave, size).doing(|| "set the terminal's size")?;
        }
        if line_ends == LineEnds::AsWritten {
            let doing = || "set the ends of the terminal's lines";
            let mut settings = rustix::termios::tcgetattr(&slave).doing(doing)?;
            settings.output_modes.remove(OutputModes::ONLCR);
            rustix::termios::tcsetattr(&slave, OptionalActions::Now, &settings).doing(doing)?;
        }
        Ok(Self { master, slave })
    }

    /// Binds the slave to `/dev/console`.
    pub(crate) fn bind(&self, root: Root<'_>) -> Result<()> {
        let doing = || "bind the terminal to /dev/console";
        let place = devices::console_place(root)?;
        let attributes = Attributes::propagating(Propagation::Private);
        let copy =
            dhow_sys::mount::copy(self.slave.as_fd(), attributes, Reach::ThisMount).doing(doing)?;
        move_onto(copy.as_fd(), place.as_fd()).doing(doing)
    }

    /// Gives the terminal to the container's user, so that it can be opened again by name.
    pub(crate) fn give_to(&self, uid: u32) -> Result<()> {
        rustix::fs::fchown(&self.slave, Some(Uid::from_raw(uid)), None::<Gid>)
            .doing(|| format!("give the terminal to user {uid}"))
    }

    /// Both fds, to keep them while others are closed.
    pub(crate) fn fds(&self) -> [BorrowedFd<'_>; 2] {
        [self.master.as_fd(), self.slave.as_fd()]
    }

    /// Makes the slave the controlling terminal and the standard streams of the calling process,
    /// which leads a session.
    pub(crate) fn take(&self) -> Result<()> {
        rustix::process::ioctl_tiocsctty(&self.slave).doing(|| "take the terminal")?;
        let streams = || "make the terminal the standard streams";
        rustix::stdio::dup2_stdin(&self.slave).doing(streams)?;
        rustix::stdio::dup2_stdout(&self.slave).doing(streams)?;
        rustix::stdio::dup2_stderr(&self.slave).doing(streams)
    }
}

fn hinted(error: std::io::Error, doing: &str) -> Error {
    Error::new(Kind::Invalid, doing)
        .because(error)
        .hint("a process with a terminal needs a devpts mounted at /dev/pts")
}
