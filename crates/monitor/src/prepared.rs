//! What a monitor makes before it has its job, in the time that the command needs to find out what that is.
//!
//! ```text
//!   exec ─▶ a network namespace, where one is to be expected
//!        ─▶ Expected arrives ─▶ the door, the cgroup's directories, the root
//!        ─▶ the job arrives ──▶ what it wants is used, the rest is dropped and so undone
//! ```
//!
//! What fails here fails again when the job has come, and then there is somebody to tell.

use crate::{Expected, Home, serve::Door, spare::SpareNetwork};
use dhow_base::Result;
use dhow_runtime::{CgroupAhead, Driver, MadeAhead, RootAhead};
use std::os::fd::AsFd;

/// What is there already. The door closes last: as long as it is open, others know that somebody is at
/// work here.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    pub(crate) network: Option<SpareNetwork>,
    root: Option<RootAhead>,
    cgroup: Option<CgroupAhead>,
    door: Option<(Home, Door)>,
}

impl Prepared {
    /// Makes what a container needs of which this much is known.
    pub(crate) fn expect(&mut self, expected: Expected) {
        let Expected { home, cgroup, rootfs } = expected;
        if let Some(home) = home {
            self.door = Door::open(&home).ok().map(|door| (home, door));
        }
        if let Some(path) = cgroup {
            let location = Driver::Files.locate(Some(&path), "", "").ok();
            self.cgroup = location.and_then(|location| CgroupAhead::make(location).ok());
        }
        if let Some(mount) = rootfs {
            self.root = RootAhead::make(mount).ok();
        }
    }

    /// What the runtime may use.
    pub(crate) fn made_ahead(&self) -> MadeAhead<'_> {
        MadeAhead {
            network: self.network.as_ref().map(AsFd::as_fd),
            cgroup: self.cgroup.as_ref(),
            root: self.root.as_ref(),
        }
    }

    /// The door there, which is opened where it is not.
    pub(crate) fn door_at(&mut self, home: &Home) -> Result<Door> {
        match self.door.take() {
            Some((place, door)) if place == *home => Ok(door),
            _ => Door::open(home),
        }
    }
}
