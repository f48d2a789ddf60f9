//! The process that is working on a row, so that others can tell whether it still is.
//!
//! A pid alone comes back to life as somebody else; with the start time of its process it does not,
//! and with the boot id it does not after a reboot either.

use dhow_base::{Doing, Error, Kind, Result};
use dhow_sys::process;

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
        let status = match process::status(pid) {
            Ok(status) => status,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).doing(|| format!("look at process {pid}")),
        };
        let has_ended = status.has_ended();
        Ok((!has_ended).then_some(Self { pid, start_time: status.started }))
    }

    /// Whether this very process still runs.
    pub fn is_alive(&self) -> Result<bool> {
        Ok(Self::of(self.pid)? == Some(*self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_its_number_at_another_time_is_not() {
        let owner = Owner::current().unwrap();

        assert!(owner.is_alive().unwrap());
        assert!(!Owner { start_time: owner.start_time + 1, ..owner }.is_alive().unwrap());
    }
}
