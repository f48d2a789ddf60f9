//! Where an ordinary user may make cgroups: below one that somebody handed over (cgroups(7), "Cgroups
//! delegation").
//!
//! In version 1 nothing is handed over: its controllers cannot be left to users safely.

use crate::{Hierarchies, Layout, Location, place};
use dhow_base::{Doing, Result};
use rustix::fs::{Access, AtFlags, OFlags};
use std::os::fd::OwnedFd;

/// A place for a container of a user who may not make cgroups anywhere; nothing where there is none.
///
/// A cgroup that holds processes gives no controllers to those below, and ours holds us: so the one
/// above it is tried first.
pub fn delegated(hierarchies: &Hierarchies, fallback: &str, id: &str) -> Result<Option<Location>> {
    if hierarchies.layout() != Layout::Unified {
        return Ok(None);
    }
    let Some(hierarchy) = hierarchies.all.first() else { return Ok(None) };
    let memberships =
        std::fs::read_to_string("/proc/self/cgroup").doing(|| "read /proc/self/cgroup")?;
    let Some(own) = unified_path(&memberships) else { return Ok(None) };
    let above = own.rsplit_once('/').map(|(above, _)| above);
    // The root is nobody's but root's.
    let mut below_root = above.into_iter().chain([own]).filter(|path| !path.is_empty());
    let is_ours =
        |path: &&str| is_handed_over(&hierarchies.base, &place::file_of(&hierarchy.name, path));
    let place = below_root.find(is_ours);
    place.map(|path| Location::new(Some(&format!("{path}/{fallback}/{id}")), "", "")).transpose()
}

/// The path in version 2's tree, without the slash in front; nothing outside of what is mounted.
pub(crate) fn unified_path(memberships: &str) -> Option<&str> {
    let path = memberships.lines().find_map(|line| line.strip_prefix("0::/"))?;
    (!path.split('/').any(|part| part == "..")).then_some(path)
}

/// Whether cgroups may be made in it, and processes moved within it.
fn is_handed_over(root: &OwnedFd, path: &str) -> bool {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(directory) = place::open_below(root, path, flags) else { return false };
    [".", "cgroup.procs", "cgroup.subtree_control"].into_iter().all(|name| {
        rustix::fs::accessat(&directory, name, Access::WRITE_OK, AtFlags::EACCESS).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ones_own_path_is_that_of_version_2_and_below_the_root() {
        let cases = [
            ("1:cpu:/x\n0::/user.slice/a.scope\n", Some("user.slice/a.scope")),
            ("0::/\n", Some("")),
            ("0::/../b\n", None),
            ("1:cpu:/x\n", None),
        ];
        for (text, expected) in cases {
            assert_eq!(unified_path(text), expected, "{text}");
        }
    }
}
