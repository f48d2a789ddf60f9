//! The process that is working on a row, so that others can tell whether it still is.
//!
//! A pid alone comes back to life as somebody else; with the start time of its process it does not,
//! and with the boot id it does not after a reboot either.

use dhow_base::{Doing, Error, Kind, Result};
use std::fs;

/// A process, named so that it cannot be mistaken for a later one with the same number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Owner {
    /// Its pid, as this pid namespace numbers it.
    pub pid: i32,
    /// When it started, in clock ticks since boot (`/proc/<pid>/stat`, field 22).
    pub start_time: u64,
}

impl Owner {
    /// The calling process.
    pub fn current() -> Result<Self> {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        Self::of(pid)?.ok_or_else(|| Error::new(Kind::Internal, "find this process in /proc"))
    }

    /// The process with this pid, if there is one that is not a zombie.
    pub fn of(pid: i32) -> Result<Option<Self>> {
        let path = format!("/proc/{pid}/stat");
        let stat = match fs::read(&path) {
            Ok(stat) => stat,
            Err(error)
                if error.kind() == std::io::ErrorKind::NotFound
                    || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error).doing(|| format!("read {path}")),
        };
        let (state, start_time) =
            parse_stat(&stat).ok_or_else(|| Error::new(Kind::Internal, format!("parse {path}")))?;
        Ok((!matches!(state, b'Z' | b'X')).then_some(Self { pid, start_time }))
    }

    /// Whether this very process still runs.
    pub fn is_alive(&self) -> Result<bool> {
        Ok(Self::of(self.pid)? == Some(*self))
    }
}

/// State and start time. The command's name, in parentheses, may hold anything, so fields are
/// counted from the last parenthesis.
fn parse_stat(stat: &[u8]) -> Option<(u8, u64)> {
    let after = stat.iter().rposition(|&byte| byte == b')')? + 1;
    let mut fields = stat[after..].split(|&byte| byte == b' ').filter(|field| !field.is_empty());
    let state = *fields.next()?.first()?;
    // The state is field 3; the start time is field 22.
    let start_time = std::str::from_utf8(fields.nth(18)?).ok()?.trim().parse().ok()?;
    Some((state, start_time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = b"7 (a) S 9 (b) R 1 1 1 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0\n";

        assert_eq!(parse_stat(stat), Some((b'R', 4711)));
    }

    #[test]
    fn this_process_is_alive_and_its_number_at_another_time_is_not() {
        let owner = Owner::current().unwrap();

        assert!(owner.is_alive().unwrap());
        assert!(!Owner { start_time: owner.start_time + 1, ..owner }.is_alive().unwrap());
    }
}
