//! A network namespace that is made before anybody knows whether it is wanted.
//!
//! ```text
//!   command   parses, opens the state, writes rows ───────▶ job
//!   monitor   exec ─▶ a namespace is made ─▶ waits ───────▶ a container is born in it
//! ```
//!
//! To make one takes the kernel half a millisecond, a good part of a whole start, and the monitor has that
//! time. What is not used goes when the job is known. It belongs to the user namespace that the monitor is in,
//! so a container with one of its own gets another.

use dhow_base::{Doing, Result};
use dhow_sys::procfs::Procfs;
use rustix::thread::ThreadNameSpaceType;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The word that tells a monitor, as its first argument, that it is to expect a container with a network
/// namespace of its own.
pub(crate) const EXPECTED: &str = "expect-network";

/// A network namespace with nobody in it, whose loopback interface is up.
#[derive(Debug)]
pub(crate) struct SpareNetwork(OwnedFd);

impl SpareNetwork {
    /// Makes one, and comes back to the own. Where there can be none, whoever makes the container says
    /// why.
    pub(crate) fn make() -> Result<Option<Self>> {
        let host = Procfs::of_host().doing(|| "check /proc")?;
        let here = || host.namespace("thread-self", "net").doing(|| "open the own net namespace");
        let own = here()?;
        let enter_own = || dhow_sys::namespace::join(own.as_fd(), ThreadNameSpaceType::NETWORK);
        // The root of an ordinary user's namespace has no right to come back to the host's network, and so
        // must not leave it.
        let may_return = enter_own().is_ok();
        if !may_return || dhow_sys::namespace::leave(ThreadNameSpaceType::NETWORK).is_err() {
            return Ok(None);
        }
        let made = here().and_then(|made| {
            dhow_sys::loopback::bring_up().doing(|| "bring up the loopback interface")?;
            Ok(Some(Self(made)))
        });
        enter_own().doing(|| "come back to the own net namespace")?;
        made
    }
}

impl AsFd for SpareNetwork {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_another_one_and_the_caller_is_where_it_was() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: to make a network namespace takes root");
            return;
        }
        let number = |fd: BorrowedFd<'_>| rustix::fs::fstat(fd).unwrap().st_ino;
        let own = |host: &Procfs| host.namespace("thread-self", "net").unwrap();
        let host = Procfs::of_host().unwrap();
        let before = number(own(&host).as_fd());

        let spare = SpareNetwork::make().unwrap().unwrap();

        assert_ne!(number(spare.as_fd()), before);
        assert_eq!(number(own(&host).as_fd()), before);
    }
}
