//! Namespaces in which nobody is, owned by a user namespace with ids of its own: for whoever holds them by
//! a file and has others join them.

use crate::{
    container::Newborn,
    line::{self, Ask, Heard},
    mappings::map_ids,
};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_spec::runtime::{IdMapping, NamespaceKind};
use dhow_sys::{
    clone::{Side, clone3},
    procfs::Procfs,
};
use rustix::thread::ThreadNameSpaceType;
use std::os::fd::OwnedFd;

/// Makes a user namespace with these mappings and namespaces of these kinds that belong to it, and opens
/// them all, the user namespace first. `furnish` is called by a process in them, which then ends.
///
/// The calling process must have one thread.
pub fn namespaces_with_ids(
    kinds: &[NamespaceKind],
    (uids, gids): (&[IdMapping], &[IdMapping]),
    furnish: impl FnOnce() -> Result<()>,
) -> Result<Vec<(NamespaceKind, OwnedFd)>> {
    let flags = kinds.iter().fold(ThreadNameSpaceType::USER, |flags, kind| flags | flag(*kind));
    with_process_in(flags, furnish, |pid| {
        map_ids(pid, uids, gids)?;
        open(pid, kinds)
    })
}

/// Has a process in new namespaces for as long as `look` takes, which is given its id; `furnish` is called by
/// the process before.
pub(crate) fn with_process_in<T>(
    namespaces: ThreadNameSpaceType,
    furnish: impl FnOnce() -> Result<()>,
    look: impl FnOnce(i32) -> Result<T>,
) -> Result<T> {
    let (mut parent, child) = line::pair()?;
    match clone3(namespaces, None).doing(|| "make new namespaces")? {
        Side::Child => {
            drop(parent);
            // Until the parent has what it wants and closes the line.
            match furnish() {
                Ok(()) => drop(child.ask(Ask::NeedIdMaps)),
                Err(error) => child.fail(&error),
            }
            dhow_sys::process::leave(0)
        }
        Side::Parent { pid, pidfd } => {
            drop(child);
            let newborn = Newborn { pid, pidfd };
            let seen = parent.hear().and_then(|heard| match heard {
                Heard::Asked(Ask::NeedIdMaps, _) => look(pid),
                _ => Err(Error::new(Kind::Internal, "make new namespaces: their process died")),
            });
            newborn.end();
            seen
        }
    }
}

fn open(pid: i32, kinds: &[NamespaceKind]) -> Result<Vec<(NamespaceKind, OwnedFd)>> {
    let host = Procfs::of_host().doing(|| "check /proc")?;
    let all = [&[NamespaceKind::User], kinds].concat();
    let open = |kind: NamespaceKind| {
        let name = kind.proc_name();
        host.namespace(&pid.to_string(), name)
            .map(|namespace| (kind, namespace))
            .doing(|| format!("open the new {name} namespace"))
    };
    all.into_iter().map(open).collect()
}

fn flag(kind: NamespaceKind) -> ThreadNameSpaceType {
    match kind {
        NamespaceKind::Network => ThreadNameSpaceType::NETWORK,
        NamespaceKind::Ipc => ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION,
        NamespaceKind::Uts => ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME,
        NamespaceKind::Mount => ThreadNameSpaceType::MOUNT,
        NamespaceKind::Cgroup => ThreadNameSpaceType::CONTROL_GROUP,
        // These begin with the children of whoever asks, and none is born here.
        NamespaceKind::Pid | NamespaceKind::Time | NamespaceKind::User => {
            ThreadNameSpaceType::empty()
        }
    }
}
