//! The ids of a new user namespace, written by its parent; and namespaces that are nothing but ids,
//! for mapped mounts.

use crate::apart::with_process_in;
use dhow_base::{Doing, Error, Kind, Result};
use dhow_spec::runtime::{IdMapping, Linux};
use dhow_sys::procfs::Procfs;
use rustix::thread::{CapabilitySet, ThreadNameSpaceType};
use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The programs that map the ranges which `/etc/subuid` and `/etc/subgid` give to a user.
pub const UID_HELPER: &str = "newuidmap";
/// The same for groups.
pub const GID_HELPER: &str = "newgidmap";

/// Writes the mappings of the namespace that process `pid` has just been born into.
pub(crate) fn write(pid: i32, linux: &Linux) -> Result<()> {
    map_ids(pid, &linux.uid_mappings, &linux.gid_mappings)
}

/// The same, where the mappings are no configuration's.
pub fn map_ids(pid: i32, uids: &[IdMapping], gids: &[IdMapping]) -> Result<()> {
    let host = Procfs::of_host().doing(|| "check /proc")?;
    let process = Unmapped { host: &host, pid, may_set_ids: may_set_ids()? };
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    process.map("uid_map", uids, uid, UID_HELPER).doing(|| "map the user ids")?;
    process.map("gid_map", gids, gid, GID_HELPER).doing(|| "map the group ids")
}

fn may_set_ids() -> Result<bool> {
    let own = rustix::thread::capabilities(None).doing(|| "read the own capabilities")?;
    Ok(own.effective.contains(CapabilitySet::SETUID | CapabilitySet::SETGID))
}

/// A process whose user namespace has no ids yet.
struct Unmapped<'a> {
    host: &'a Procfs,
    pid: i32,
    may_set_ids: bool,
}

impl Unmapped<'_> {
    /// Maps one kind of ids. A user without rights may map one id, their own; of more, a helper
    /// with rights decides.
    fn map(&self, file: &str, mappings: &[IdMapping], own: u32, helper: &str) -> Result<()> {
        let path = |name: &str| PathBuf::from(format!("{}/{name}", self.pid));
        let is_own = matches!(mappings, [one] if one.size == 1 && one.host_id == own);
        if !self.may_set_ids && !is_own {
            return self.map_by(helper, mappings);
        }
        // Without CAP_SETGID outside, the kernel wants it promised that nobody leaves a group,
        // since leaving one can give rights.
        if !self.may_set_ids && file == "gid_map" {
            self.host.write(&path("setgroups"), b"deny").doing(|| "forbid leaving groups")?;
        }
        write_one(self.host, &path(file), mappings).doing(|| format!("write {file}"))
    }

    fn map_by(&self, helper: &str, mappings: &[IdMapping]) -> Result<()> {
        let doing = || format!("run {helper}");
        let mut command = Command::new(helper);
        command.arg(self.pid.to_string());
        for range in mappings {
            let numbers = [range.container_id, range.host_id, range.size];
            command.args(numbers.map(|number| number.to_string()));
        }
        let output =
            command.stdin(Stdio::null()).output().doing(doing).map_err(|error| {
                match error.kind() {
                    Kind::NotFound => error
                        .kinded(Kind::Unsupported)
                        .hint("install the package uidmap, or map the own id alone"),
                    _ => error,
                }
            })?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let text = format!("{}: {}", doing(), said.trim());
        Err(Error::new(Kind::Denied, text)
            .hint("/etc/subuid and /etc/subgid say which ids a user may map"))
    }
}

/// Whether the caller is nobody special to the host: no root, or the root of a user namespace.
pub fn is_ordinary_user() -> bool {
    // The namespace that everything began in has a number of its own (`PROC_USER_INIT_INO`), which
    // one call tells; and it maps every id to itself.
    const INITIAL: &[u8] = b"user:[4026531837]";
    let is_initial = || {
        let link = rustix::fs::readlink("/proc/self/ns/user", Vec::new());
        if link.is_ok_and(|link| link.as_bytes() == INITIAL) {
            return true;
        }
        let map = Procfs::of_host().and_then(|host| host.read("self/uid_map"));
        map.is_ok_and(|map| {
            map.split_ascii_whitespace().eq(["0", "0", u32::MAX.to_string().as_str()])
        })
    };
    !rustix::process::geteuid().is_root() || !is_initial()
}

/// Whether the user namespace that we are in keeps its processes in their groups.
pub(crate) fn forbids_leaving_groups() -> bool {
    let word = Procfs::of_host().and_then(|host| host.read("self/setgroups"));
    word.is_ok_and(|word| word.trim_end() == "deny")
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
    with_process_in(ThreadNameSpaceType::USER, || Ok(()), |pid| open(pid, uids, gids))
}

fn open(pid: i32, uids: &[IdMapping], gids: &[IdMapping]) -> Result<OwnedFd> {
    let host = Procfs::of_host().doing(|| "check /proc")?;
    let file = |name: &str| PathBuf::from(format!("{pid}/{name}"));
    write_one(&host, &file("uid_map"), uids).doing(|| "map the user ids")?;
    write_one(&host, &file("gid_map"), gids).doing(|| "map the group ids")?;
    host.namespace(&pid.to_string(), "user").doing(|| "open the user namespace")
}
