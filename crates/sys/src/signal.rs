//! Signals: how a process treats them, and an fd to read them from.

use crate::fds;
use rustix::fs::{Mode, OFlags};
use rustix::process::Signal;
use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsRawFd, OwnedFd},
    ptr,
};

/// Signals that this process ignores, a bit each: bit 0 is signal 1. The kernel tells of the first
/// 31; nobody ignores real-time ones by habit.
///
/// One file instead of a question a signal. The host's `/proc` is read as it is: a wrong answer
/// would cost no more than a signal that stays ignored.
pub fn ignored() -> io::Result<u64> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let fd = rustix::fs::open("/proc/self/stat", flags, Mode::empty())?;
    let mut buffer = [0_u8; 1024];
    let count = rustix::io::read(&fd, &mut buffer)?;
    parse_ignored(&buffer[..count])
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no signals in stat"))
}

/// Field 33 of `/proc/<pid>/stat`, counted from the parenthesis that ends the name.
fn parse_ignored(stat: &[u8]) -> Option<u64> {
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 2..)?).ok()?;
    rest.split(' ').nth(30)?.parse().ok()
}

/// Lets every signal through, and gives the ignored ones their default meaning. Handlers need no
/// care: exec resets them.
///
/// Exec keeps both the mask and what is ignored, so a program would start deaf to what its caller
/// did not care for; Rust programs ignore SIGPIPE, daemons often SIGHUP.
pub fn reset(ignored: u64) -> io::Result<()> {
    for signal in (1..=64).filter(|signal| ignored & (1 << (signal - 1)) != 0) {
        // SAFETY: SIG_DFL installs no function, so nothing of ours can be called.
        if unsafe { libc::signal(signal, libc::SIG_DFL) } == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    set_mask(libc::SIG_SETMASK, &Set::of(&[]))
}

/// Makes a write to a pipe that nobody reads an error, where it would end the process.
pub fn ignore_broken_pipes() -> io::Result<()> {
    // SAFETY: SIG_IGN installs no function, so nothing of ours can be called.
    if unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) } == libc::SIG_ERR {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The signal with this number, real-time ones too; `None` outside of 1 to 64.
pub fn from_number(number: i32) -> Option<Signal> {
    if !(1..=64).contains(&number) {
        return None;
    }
    // SAFETY: the number is one of the kernel's, and a signal that is only sent to another process
    // does not touch the handlers that the C library keeps for itself in this one.
    Some(unsafe { Signal::from_raw_unchecked(number) })
}

/// Keeps the given signals from being delivered, so that [`Reader`] can read them.
pub fn block(signals: &[i32]) -> io::Result<()> {
    set_mask(libc::SIG_BLOCK, &Set::of(signals))
}

fn set_mask(how: libc::c_int, set: &Set) -> io::Result<()> {
    // SAFETY: the set is initialised and the old mask is not asked for.
    let result = unsafe { libc::sigprocmask(how, &raw const set.0, ptr::null_mut()) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

struct Set(libc::sigset_t);

impl Set {
    fn of(signals: &[i32]) -> Self {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: sigemptyset initialises the set behind the pointer, which is valid for it.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        // SAFETY: initialised by the line above.
        let mut set = unsafe { set.assume_init() };
        for &signal in signals {
            // SAFETY: the set is initialised; a number that is no signal is refused with EINVAL.
            unsafe { libc::sigaddset(&raw mut set, signal) };
        }
        Self(set)
    }
}

/// Blocked signals as something to wait for with `poll(2)`.
#[derive(Debug)]
pub struct Reader {
    fd: OwnedFd,
}

impl Reader {
    /// Reads the given signals, which must be blocked. The fd does not block.
    pub fn new(signals: &[i32]) -> io::Result<Self> {
        let set = Set::of(signals);
        let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
        // SAFETY: -1 asks for a new fd; the set is initialised and only read.
        let fd = unsafe { libc::signalfd(-1, &raw const set.0, flags) };
        // SAFETY: this is the result of a call that makes an fd.
        Ok(Self { fd: unsafe { fds::made(fd.into()) }? })
    }

    /// The fd to poll.
    pub fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// The next signal that waits; `None` where none does.
    pub fn next_signal(&self) -> io::Result<Option<i32>> {
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::uninit();
        let size = std::mem::size_of::<libc::signalfd_siginfo>();
        // SAFETY: the buffer has room for `size` bytes.
        let count = unsafe { libc::read(self.fd.as_raw_fd(), info.as_mut_ptr().cast(), size) };
        if usize::try_from(count).is_ok_and(|count| count == size) {
            // SAFETY: the kernel wrote the whole structure, of which any bytes are a valid value.
            let info = unsafe { info.assume_init() };
            return Ok(i32::try_from(info.ssi_signo).ok());
        }
        let error = io::Error::last_os_error();
        if error.kind() == io::ErrorKind::WouldBlock { Ok(None) } else { Err(error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ignored_signals_are_read_past_any_name() {
        let stat = b"9 (a) b) S 1 9 9 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 0 0 18446744073709551615 \
            0 0 0 0 0 0 0 4096 2 0 0 0 17 1 0 0 0 0 0";

        assert_eq!(parse_ignored(stat), Some(4096));
    }

    #[test]
    fn rust_programs_ignore_a_broken_pipe() {
        assert_ne!(ignored().unwrap() & (1 << (libc::SIGPIPE - 1)), 0);
    }
}
