//! Namespaces that a file holds: made by a thread of this process, which ends in them.

use super::Shared;
use dhow_base::{Doing, Error, Kind, Result, file};
use dhow_network::handle;
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
    kinds: &[Shared],
    hostname: &str,
    directory: &Path,
    furnish: impl FnOnce(BorrowedFd<'_>) -> Result<()>,
) -> Result<()> {
    if kinds.is_empty() {
        return Ok(());
    }
    let made = std::thread::scope(|scope| scope.spawn(|| bear(kinds, hostname)).join());
    let made = made.map_err(|_| Error::new(Kind::Internal, "make namespaces in a thread"))??;
    if let Some((_, namespace)) = made.iter().find(|(what, _)| *what == Shared::Net) {
        furnish(namespace.as_fd())?;
    }
    for (what, namespace) in made {
        let path = directory.join(what.kind().proc_name());
        handle::hold(namespace.as_fd(), &path)
            .doing(|| format!("hold a namespace at {}", path.display()))?;
    }
    Ok(())
}

fn bear(kinds: &[Shared], hostname: &str) -> Result<Vec<(Shared, OwnedFd)>> {
    let flags = kinds.iter().fold(ThreadNameSpaceType::empty(), |flags, what| flags | flag(*what));
    dhow_sys::namespace::leave(flags).doing(|| "make new namespaces").map_err(
        |error| match error.kind() {
            Kind::Denied => error.hint("to share namespaces takes the rights of root"),
            _ => error,
        },
    )?;
    if kinds.contains(&Shared::Net) {
        dhow_sys::loopback::bring_up().doing(|| "bring the loopback interface up")?;
    }
    if kinds.contains(&Shared::Uts) {
        rustix::system::sethostname(hostname.as_bytes()).doing(|| "set the host name")?;
    }
    let host = Procfs::of_host().doing(|| "check /proc")?;
    let open = |what: &Shared| {
        let name = what.kind().proc_name();
        host.namespace("thread-self", name)
            .map(|namespace| (*what, namespace))
            .doing(|| format!("open the new {name} namespace"))
    };
    kinds.iter().map(open).collect()
}

fn flag(what: Shared) -> ThreadNameSpaceType {
    match what {
        Shared::Net => ThreadNameSpaceType::NETWORK,
        Shared::Ipc => ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION,
        Shared::Uts => ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME,
        // Of a container's process, and not of a file.
        Shared::Pid => ThreadNameSpaceType::empty(),
    }
}

/// Mounts the shared memory, where it is not there yet.
pub(super) fn make_shm(path: &Path, bytes: Option<u64>) -> Result<()> {
    let doing = || format!("mount shared memory at {}", path.display());
    if dhow_sys::mount::is_root_at(path).doing(doing)? {
        return Ok(());
    }
    file::make_directories(path, 0o700)?;
    let data = CString::new(format!("mode=1777,size={}", bytes.unwrap_or(SHM_BYTES)))
        .expect("numbers have no zero byte");
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
