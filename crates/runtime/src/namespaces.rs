//! The namespaces that a container gets: new ones, others' joined by path, or the caller's.

use dhow_base::{Doing, Error, Kind, Result};
use dhow_spec::runtime::{Linux, NamespaceKind, TimeOffset};
use dhow_sys::{clone::Side, procfs::Procfs};
use rustix::{
    fs::{Mode, OFlags},
    thread::ThreadNameSpaceType,
};
use std::{
    collections::BTreeMap,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

/// What happens to each kind of namespace.
#[derive(Debug)]
pub(crate) struct Namespaces {
    new: ThreadNameSpaceType,
    joined: Vec<(NamespaceKind, OwnedFd)>,
}

impl Namespaces {
    /// Reads the list and opens what is to be joined.
    pub(crate) fn prepare(linux: &Linux) -> Result<Self> {
        let mut namespaces = Self { new: ThreadNameSpaceType::empty(), joined: Vec::new() };
        // In joining order, whatever order the document has.
        for kind in NamespaceKind::ALL {
            let mut entries = linux.namespaces.iter().filter(|entry| entry.kind == kind);
            let Some(entry) = entries.next() else { continue };
            if entries.next().is_some() {
                let text = format!("use two {} namespaces", kind.proc_name());
                return Err(Error::new(Kind::Invalid, text));
            }
            match &entry.path {
                None => namespaces.new |= flag(kind),
                Some(path) => namespaces.joined.push((kind, open(path, kind)?)),
            }
        }
        Ok(namespaces)
    }

    /// Whether a new one of this kind is made.
    pub(crate) fn is_new(&self, kind: NamespaceKind) -> bool {
        self.new.contains(flag(kind))
    }

    /// The one of this kind that is joined.
    pub(crate) fn joined(&self, kind: NamespaceKind) -> Option<&OwnedFd> {
        self.joined.iter().find(|joined| joined.0 == kind).map(|joined| &joined.1)
    }

    /// Whether the container does not share this kind with the caller.
    pub(crate) fn is_own(&self, kind: NamespaceKind) -> bool {
        self.is_new(kind) || self.joined(kind).is_some()
    }

    /// What the child is born into. A cgroup namespace begins at the cgroup that a process is in,
    /// and a time namespace has no offsets once a process is in it, so these two come later.
    pub(crate) fn at_birth(&self) -> ThreadNameSpaceType {
        self.new - ThreadNameSpaceType::CONTROL_GROUP - ThreadNameSpaceType::TIME
    }

    /// In the child: joins what is to be joined. A PID namespace is joined by being born in it.
    pub(crate) fn join(&self) -> Result<()> {
        for (kind, fd) in self.joined.iter().filter(|joined| joined.0 != NamespaceKind::Pid) {
            dhow_sys::namespace::join(fd.as_fd(), flag(*kind))
                .doing(|| format!("join the {} namespace", kind.proc_name()))?;
        }
        Ok(())
    }

    /// In the child: makes the namespaces that could not be made at birth.
    pub(crate) fn make_late(&self, linux: &Linux) -> Result<()> {
        if self.is_new(NamespaceKind::Cgroup) {
            dhow_sys::namespace::leave(ThreadNameSpaceType::CONTROL_GROUP)
                .doing(|| "make a cgroup namespace")?;
        }
        if self.is_new(NamespaceKind::Time) {
            make_time(&linux.time_offsets)?;
        }
        Ok(())
    }
}

/// Makes a time namespace, sets its clocks while nobody is in it, and enters it.
fn make_time(offsets: &BTreeMap<String, TimeOffset>) -> Result<()> {
    let host = Procfs::of_host().doing(|| "check /proc")?;
    dhow_sys::namespace::leave(ThreadNameSpaceType::TIME).doing(|| "make a time namespace")?;
    for (clock, offset) in offsets {
        let line = format!("{clock} {} {}\n", offset.secs, offset.nanosecs);
        host.write(Path::new("self/timens_offsets"), line.as_bytes())
            .doing(|| format!("set the offset of clock {clock}"))?;
    }
    let own = host.namespace("self", "time_for_children").doing(|| "open the time namespace")?;
    dhow_sys::namespace::join(own.as_fd(), ThreadNameSpaceType::TIME)
        .doing(|| "enter the time namespace")
}

/// The kernel's flag for a kind.
pub(crate) fn flag(kind: NamespaceKind) -> ThreadNameSpaceType {
    match kind {
        NamespaceKind::Pid => ThreadNameSpaceType::PROCESS_ID,
        NamespaceKind::Network => ThreadNameSpaceType::NETWORK,
        NamespaceKind::Mount => ThreadNameSpaceType::MOUNT,
        NamespaceKind::Ipc => ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION,
        NamespaceKind::Uts => ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME,
        NamespaceKind::User => ThreadNameSpaceType::USER,
        NamespaceKind::Cgroup => ThreadNameSpaceType::CONTROL_GROUP,
        NamespaceKind::Time => ThreadNameSpaceType::TIME,
    }
}

fn open(path: &Path, kind: NamespaceKind) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
        .doing(|| format!("open {} namespace {}", kind.proc_name(), path.display()))
}

/// Bears a child, in the PID namespace behind `target` where there is one. The caller comes back to
/// its own afterwards; the child stays.
pub(crate) fn born_in(
    target: Option<BorrowedFd<'_>>,
    birth: impl FnOnce() -> Result<Side>,
) -> Result<Side> {
    let Some(target) = target else { return birth() };
    let host = Procfs::of_host().doing(|| "check /proc")?;
    let own = host.namespace("self", "pid").doing(|| "open the own PID namespace")?;
    dhow_sys::namespace::join(target, ThreadNameSpaceType::PROCESS_ID)
        .doing(|| "join the PID namespace")?;
    let born = birth();
    if matches!(born, Ok(Side::Child)) {
        return born;
    }
    dhow_sys::namespace::join(own.as_fd(), ThreadNameSpaceType::PROCESS_ID)
        .doing(|| "come back to the own PID namespace")?;
    born
}
