//! The ids of a new user namespace, written by its parent.

use dhow_base::{Doing, Result};
use dhow_spec::runtime::{IdMapping, Linux};
use dhow_sys::procfs::Procfs;
use std::path::{Path, PathBuf};

/// Writes the mappings of the namespace that process `pid` has just been born into.
pub(crate) fn write(pid: i32, linux: &Linux) -> Result<()> {
    let host = Procfs::of_host().doing(|| "check /proc")?;
    let file = |name: &str| PathBuf::from(format!("{pid}/{name}"));
    // Without CAP_SETGID outside, the kernel wants it promised that nobody leaves a group, since
    // leaving one can give rights.
    if !rustix::process::geteuid().is_root() {
        host.write(&file("setgroups"), b"deny").doing(|| "forbid leaving groups")?;
    }
    write_one(&host, &file("uid_map"), &linux.uid_mappings).doing(|| "map the user ids")?;
    write_one(&host, &file("gid_map"), &linux.gid_mappings).doing(|| "map the group ids")
}

fn write_one(host: &Procfs, file: &Path, mappings: &[IdMapping]) -> std::io::Result<()> {
    let lines: String = mappings
        .iter()
        .map(|range| format!("{} {} {}\n", range.container_id, range.host_id, range.size))
        .collect();
    host.write(file, lines.as_bytes())
}
