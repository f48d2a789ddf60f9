//! Whose a cgroup of version 2 is: whoever owns it may make others below it and move its processes
//! there, which is all that a container needs to manage itself (systemd in it, or docker).
//!
//! Only what the kernel names is given away (cgroups(7), "Cgroups delegation"): the limits stay with
//! whoever set them. In version 1 nothing is, since its controllers cannot be left to users safely.

use crate::{Cgroup, Layout, place::Place};
use dhow_base::{Doing, Result};
use rustix::{
    fs::{AtFlags, Uid},
    io::Errno,
};

/// Where the kernel names the files.
const NAMED_BY_KERNEL: &str = "/sys/kernel/cgroup/delegate";
/// What it would say before Linux 4.15.
const USUAL: &str = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n";

impl Cgroup {
    /// Gives the cgroup to a user; in version 1 it does nothing.
    pub fn give_to(&self, owner: u32) -> Result<()> {
        let [place] = &self.places[..] else { return Ok(()) };
        if self.layout != Layout::Unified {
            return Ok(());
        }
        let named = std::fs::read_to_string(NAMED_BY_KERNEL);
        let named = named.unwrap_or_else(|_missing| USUAL.to_owned());
        give(place, &named, Uid::from_raw(owner))
            .doing(|| format!("give cgroup {} to user {owner}", self.location))
    }
}

/// Not each of the files is in every cgroup.
fn give(place: &Place, named: &str, owner: Uid) -> Result<()> {
    let directory = place.directory()?;
    for name in files_in(named) {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        match rustix::fs::chownat(directory, name, Some(owner), None, flags) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno).doing(|| format!("give {name}")),
        }
    }
    // Last, since its owner is who may clean up what else went wrong.
    rustix::fs::chownat(directory, "", Some(owner), None, AtFlags::EMPTY_PATH)
        .doing(|| "give its directory")
}

/// Files of the cgroup alone, whatever is named.
fn files_in(named: &str) -> impl Iterator<Item = &str> {
    named.lines().filter(|name| !name.is_empty() && !name.contains('/') && *name != "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_cgroup_itself_are_given() {
        let named = "cgroup.procs\n\n../cgroup.procs\n..\n/etc/passwd\nmemory.oom.group\n";

        let files: Vec<&str> = files_in(named).collect();

        assert_eq!(files, ["cgroup.procs", "memory.oom.group"]);
    }
}
