//! The ids of a new user namespace, written by its parent; and namespaces that are nothing but ids,
//! for mapped mounts.

use crate::{container::Newborn, line};
use dhow_base::{Doing, Result};
use dhow_spec::runtime::{IdMapping, Linux};
use dhow_sys::{
    clone::{Side, clone3},
    procfs::Procfs,
};
use rustix::thread::ThreadNameSpaceType;
use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

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

/// A user namespace with these mappings and nobody in it: what an idmapped mount takes its ids from.
pub(crate) fn namespace(uids: &[IdMapping], gids: &[IdMapping]) -> Result<OwnedFd> {
    let (parent, child) = line::pair()?;
    match clone3(ThreadNameSpaceType::USER, None).doing(|| "make a user namespace")? {
        Side::Child => {
            drop(parent);
            // Until the parent has what it wants and closes the line.
            let _closed = child.wait_for_go();
            dhow_sys::process::leave(0)
        }
        Side::Parent { pid, pidfd } => {
            drop(child);
            let opened = open(pid, uids, gids);
            drop(parent);
            Newborn { pid, pidfd }.end();
            opened
        }
    }
}

fn open(pid: i32, uids: &[IdMapping], gids: &[IdMapping]) -> Result<OwnedFd> {
    let host = Procfs::of_host().doing(|| "check /proc")?;
    let file = |name: &str| PathBuf::from(format!("{pid}/{name}"));
    write_one(&host, &file("uid_map"), uids).doing(|| "map the user ids")?;
    write_one(&host, &file("gid_map"), gids).doing(|| "map the group ids")?;
    host.namespace(&pid.to_string(), "user").doing(|| "open the user namespace")
}
