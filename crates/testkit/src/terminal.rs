//! A pseudo-terminal with a program on it, driven as a person would: type, wait for text, look.
//!
//! The program becomes the leader of a session whose controlling terminal is the new one (by way of
//! `setsid --ctty`, since a test may not run code between fork and exec).

use crate::outcome::{self, end_of, lossy};
use dhow_base::{Doing, Result};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use std::{
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long to wait for text.
const PATIENCE: Duration = Duration::from_secs(30);

/// A terminal and the program on it. Dropping it kills the program.
#[derive(Debug)]
pub struct Terminal {
    master: OwnedFd,
    child: Child,
    shown: String,
    seen: Vec<u8>,
    /// How much of `seen` earlier calls of [`Terminal::expect`] have consumed.
    read: usize,
}

impl Terminal {
    /// Starts the command on a new terminal of 24 rows and 80 columns.
    pub fn start(command: &Command) -> Result<Self> {
        let shown = outcome::show(command);
        let (master, slave) = pair().doing(|| "open a pseudo-terminal")?;
        let clone = |fd: &OwnedFd| fd.try_clone().doing(|| "copy the terminal's fd");
        let child = on_own_session(command)
            .stdin(clone(&slave)?)
            .stdout(clone(&slave)?)
            .stderr(Stdio::from(slave))
            .spawn()
            .doing(|| format!("start `{shown}` on a terminal"))?;
        let terminal = Self { master, child, shown, seen: Vec::new(), read: 0 };
        terminal.resize(24, 80)?;
        Ok(terminal)
    }

    /// Changes the window; the program gets SIGWINCH.
    pub fn resize(&self, rows: u16, columns: u16) -> Result<()> {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).doing(|| "resize the terminal")
    }

    /// Types keys. Enter is `\r`, control-C is `\x03`, control-P control-Q is `\x10\x11`.
    pub fn send(&mut self, keys: &str) -> &mut Self {
        let mut left = keys.as_bytes();
        while !left.is_empty() {
            let count = rustix::io::write(&self.master, left)
                .unwrap_or_else(|errno| panic!("typing on `{}`: {errno}", self.shown));
            left = &left[count..];
        }
        self
    }

    /// Waits until `text` appears after what was expected before, and returns all up to its end.
    pub fn expect(&mut self, text: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let unread = &self.seen[self.read..];
            if let Some(at) = find(unread, text.as_bytes()) {
                let upto = self.read + at + text.len();
                let answer = lossy(&self.seen[self.read..upto]);
                self.read = upto;
                return answer;
            }
            let more = self.wait_for_more(end);
            assert!(more, "{text:?} did not appear on `{}`:\n{}", self.shown, self.transcript());
        }
    }

    /// Waits until the program has closed the terminal and ended; returns its exit code.
    pub fn end(&mut self) -> i32 {
        let end = Instant::now() + PATIENCE;
        while self.wait_for_more(end) {}
        let left = end.saturating_duration_since(Instant::now());
        let status = end_of(&mut self.child, left.max(Duration::from_millis(100)));
        let status = status.unwrap_or_else(|| {
            panic!("`{}` did not end; it showed:\n{}", self.shown, self.transcript())
        });
        outcome::code_of(status)
    }

    /// The program's pid.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All that was shown so far.
    pub fn transcript(&self) -> String {
        lossy(&self.seen)
    }

    /// False where the terminal was closed on the other side, or the time is over.
    fn wait_for_more(&mut self, end: Instant) -> bool {
        let left = end.saturating_duration_since(Instant::now());
        let left = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(1),
            tv_nsec: left.subsec_nanos().into(),
        };
        let mut fds = [PollFd::new(&self.master, PollFlags::IN)];
        match poll(&mut fds, Some(&left)) {
            Ok(0) => return false,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => panic!("waiting for `{}`: {errno}", self.shown),
        }
        let mut piece = [0_u8; 4096];
        match rustix::io::read(&self.master, piece.as_mut_slice()) {
            // EIO is how a pty says that the last holder of the other side is gone.
            Ok(0) | Err(rustix::io::Errno::IO) => false,
            Ok(count) => {
                self.seen.extend_from_slice(&piece[..count]);
                true
            }
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => true,
            Err(errno) => panic!("reading from `{}`: {errno}", self.shown),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended already, which is fine; only our own child is killed.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn pair() -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok((master, rustix::fs::open(name.as_c_str(), flags, Mode::empty())?))
}

fn on_own_session(command: &Command) -> Command {
    let mut wrapped = Command::new("setsid");
    wrapped.arg("--ctty").arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        wrapped.current_dir(directory);
    }
    wrapped.env("TERM", "xterm");
    wrapped
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_on_a_terminal_answers_and_ends() {
        let mut command = Command::new("sh");
        command.env("PS1", "ready> ");
        let mut terminal = Terminal::start(&command).unwrap();

        terminal.expect("ready> ");
        terminal.resize(40, 100).unwrap();
        terminal.send("stty size; tty\r").expect("40 100");
        terminal.expect("/dev/pts/");
        terminal.send("exit 7\r");

        assert_eq!(terminal.end(), 7);
    }

    #[test]
    fn control_c_reaches_the_program() {
        let mut terminal = Terminal::start(Command::new("sleep").arg("60")).unwrap();
        // The key must not come before `setsid` has become `sleep`, or nobody would notice.
        let name = format!("/proc/{}/comm", terminal.pid());
        crate::need::eventually(PATIENCE, || {
            (std::fs::read_to_string(&name).ok()? == "sleep\n").then_some(())
        })
        .unwrap();

        terminal.send("\x03");

        assert_eq!(terminal.end(), 130);
    }
}
