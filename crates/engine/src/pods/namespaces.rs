//! Namespaces that a file holds: made by a thread of this process, which ends in them; or, with ids of their
//! own, by a process, since a thread cannot leave its process's user namespace.

use super::Ids;
use dhow_base::{Doing, Error, Kind, Result, file};
use dhow_network::handle;
use dhow_spec::runtime::NamespaceKind;
use dhow_sys::procfs::Procfs;
use rustix::{
    mount::{MountFlags, UnmountFlags},
    thread::ThreadNameSpaceType,
};
use std::{
    ffi::CString,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

const SHM_BYTES: u64 = 64 << 20;

/// Makes new namespaces and binds a file in `directory` onto each.
///
/// A thread can leave its process's namespaces and the process stays where it is, so nothing has to
/// be come back from, whatever fails.
///
/// `furnish` is given a new network namespace, before anything holds it.
pub(crate) fn make(
    kinds: &[NamespaceKind],
    ids: Option<&Ids>,
    hostname: &str,
    directory: &Path,
    furnish: impl FnOnce(BorrowedFd<'_>) -> Result<()>,
) -> Result<()> {
    if kinds.is_empty() {
        return Ok(());
    }
    let made = match ids {
        None => std::thread::scope(|scope| scope.spawn(|| bear(kinds, hostname)).join())
            .map_err(|_| Error::new(Kind::Internal, "make namespaces in a thread"))?,
        Some(ids) => {
            let others: Vec<_> =
                kinds.iter().copied().filter(|kind| *kind != NamespaceKind::User).collect();
            dhow_monitor::namespaces_with_ids(&others, (&ids.uids, &ids.gids), || {
                settle_in(&others, hostname)
            })
        }
    }?;
    if let Some((_, namespace)) = made.iter().find(|(kind, _)| *kind == NamespaceKind::Network) {
        furnish(namespace.as_fd())?;
    }
    for (kind, namespace) in made {
        let path = directory.join(kind.proc_name());
        handle::hold(namespace.as_fd(), &path)
            .doing(|| format!("hold a namespace at {}", path.display()))?;
    }
    Ok(())
}

fn bear(kinds: &[NamespaceKind], hostname: &str) -> Result<Vec<(NamespaceKind, OwnedFd)>> {
    let flags = kinds.iter().fold(ThreadNameSpaceType::empty(), |flags, kind| flags | flag(*kind));
    dhow_sys::namespace::leave(flags).doing(|| "make new namespaces").map_err(
        |error| match error.kind() {
            Kind::Denied => error.hint("to share namespaces takes the rights of root"),
            _ => error,
        },
    )?;
    settle_in(kinds, hostname)?;
    let host = Procfs::of_host().doing(|| "check /proc")?;
    let open = |kind: &NamespaceKind| {
        let name = kind.proc_name();
        host.namespace("thread-self", name)
            .map(|namespace| (*kind, namespace))
            .doing(|| format!("open the new {name} namespace"))
    };
    kinds.iter().map(open).collect()
}

/// Makes new namespaces what their containers expect, from within.
fn settle_in(kinds: &[NamespaceKind], hostname: &str) -> Result<()> {
    if kinds.contains(&NamespaceKind::Network) {
        dhow_sys::loopback::bring_up().doing(|| "bring the loopback interface up")?;
    }
    if kinds.contains(&NamespaceKind::Uts) {
        rustix::system::sethostname(hostname.as_bytes()).doing(|| "set the host name")?;
    }
    Ok(())
}

fn flag(kind: NamespaceKind) -> ThreadNameSpaceType {
    match kind {
        NamespaceKind::Network => ThreadNameSpaceType::NETWORK,
        NamespaceKind::Ipc => ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION,
        NamespaceKind::Uts => ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME,
        // A pod shares no others that a thread could make.
        _ => ThreadNameSpaceType::empty(),
    }
}

/// Mounts the shared memory of this user and group, where it is not there yet.
pub(super) fn make_shm(
    path: &Path,
    bytes: Option<u64>,
    owner: (u32, u32),
    label: Option<&str>,
) -> Result<()> {
    let doing = || format!("mount shared memory at {}", path.display());
    if dhow_sys::mount::is_root_at(path).doing(doing)? {
        return Ok(());
    }
    file::make_directories(path, 0o700)?;
    let (bytes, (uid, gid)) = (bytes.unwrap_or(SHM_BYTES), owner);
    let label = label.map(|label| format!(",context=\"{label}\"")).unwrap_or_default();
    let data = CString::new(format!("mode=1777,size={bytes},uid={uid},gid={gid}{label}"))
        .map_err(|_| Error::new(Kind::Invalid, "use a label with a zero byte"))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("shm", path, "tmpfs", flags, data.as_c_str()).doing(doing)
}

/// Lets go of all namespaces of a directory, and removes it.
pub(crate) fn unmake(directory: &Path) -> Result<()> {
    for path in crate::doctor::entries(directory)? {
        let doing = || format!("let go of {}", path.display());
        while dhow_sys::mount::is_root_at(&path).doing(doing)? {
            rustix::mount::unmount(&path, UnmountFlags::NOFOLLOW).doing(doing)?;
        }
        if path.is_dir() {
            rustix::fs::rmdir(&path).doing(doing)?;
        } else {
            file::remove_if_there(&path)?;
        }
    }
    match rustix::fs::rmdir(directory) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno).doing(|| format!("remove {}", directory.display())),
    }
}
