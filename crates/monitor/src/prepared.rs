//! What a monitor makes before it has its job, in the time that the command needs to find out what that is.
//!
//! ```text
//!   exec ─▶ a network namespace, where one is to be expected
//!        ─▶ Expected arrives ─▶ the door, the cgroup's directories
//!        ─▶ the job arrives ──▶ what it wants is used, the rest is dropped and so undone
//! ```
//!
//! What fails here fails again when the job has come, and then there is somebody to tell.

use crate::{Expected, Home, serve::Door, spare::SpareNetwork};
use dhow_base::Result;
use dhow_runtime::{CgroupAhead, Driver};

/// What is there already.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    pub(crate) network: Option<SpareNetwork>,
    pub(crate) cgroup: Option<CgroupAhead>,
    door: Option<(Home, Door)>,
}

impl Prepared {
    /// Makes what a container needs of which this much is known.
    pub(crate) fn expect(&mut self, expected: Expected) {
        let Expected { home, cgroup } = expected;
        self.door = Door::open(&home).ok().map(|door| (home, door));
        let location = |path: String| Driver::Files.locate(Some(&path), "", "").ok();
        self.cgroup = cgroup.and_then(location).and_then(|place| CgroupAhead::make(place).ok());
    }

    /// The door there, which is opened where it is not.
    pub(crate) fn door_at(&mut self, home: &Home) -> Result<Door> {
        match self.door.take() {
            Some((place, door)) if place == *home => Ok(door),
            _ => Door::open(home),
        }
    }
}
