//! The namespaces that a container gets: new ones, others' joined by path, or the caller's.
//!
//! Who may join a namespace, and who owns a new one, is decided by user namespaces, so that the
//! order of things depends on the container's:
//!
//! ```text
//!   the caller's  born into the new ones; the child joins the others
//!   a new one     the caller, who has the rights, enters the others for a moment and bears the
//!                 child there, into the new ones: its user namespace owns these
//!   another's     a helper joins what it has the rights for, then the user namespace, then the
//!                 rest, and bears its sibling, our child, into the new ones
//! ```

use crate::{container::Newborn, line, mappings};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_spec::runtime::{Linux, NamespaceKind, TimeOffset};
use dhow_sys::{
    clone::{Side, clone3, clone3_sibling},
    procfs::Procfs,
};
use rustix::{
    fs::{Gid, Mode, OFlags, Uid},
    io::Errno,
    process::DumpableBehavior,
    thread::ThreadNameSpaceType,
};
use std::{
    collections::BTreeMap,
    io::ErrorKind,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

/// What happens to each kind of namespace.
#[derive(Debug)]
pub(crate) struct Namespaces<'a> {
    new: ThreadNameSpaceType,
    joined: Vec<(NamespaceKind, OwnedFd)>,
    /// The new network namespace, where it was made ahead.
    spare_network: Option<BorrowedFd<'a>>,
}

impl<'a> Namespaces<'a> {
    /// Reads the list and opens what is to be joined.
    pub(crate) fn prepare(linux: &Linux, spare_network: Option<BorrowedFd<'a>>) -> Result<Self> {
        let new = ThreadNameSpaceType::empty();
        let mut namespaces = Self { new, joined: Vec::new(), spare_network: None };
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
        check_offsets(&linux.time_offsets, namespaces.is_new(NamespaceKind::Time))?;
        // With a user namespace of the container's, that one is to own it.
        if namespaces.is_new(NamespaceKind::Network) && !namespaces.is_own(NamespaceKind::User) {
            namespaces.spare_network = spare_network;
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

    /// Whether the network namespace was made ahead.
    pub(crate) fn has_spare_network(&self) -> bool {
        self.spare_network.is_some()
    }

    /// Whether the container does not share this kind with the caller.
    pub(crate) fn is_own(&self, kind: NamespaceKind) -> bool {
        self.is_new(kind) || self.joined(kind).is_some()
    }

    /// What the child is born into. A cgroup namespace begins at the cgroup that a process is in,
    /// and a time namespace has no offsets once a process is in it, so these two come later.
    pub(crate) fn at_birth(&self) -> ThreadNameSpaceType {
        let mut at_birth =
            self.new - ThreadNameSpaceType::CONTROL_GROUP - ThreadNameSpaceType::TIME;
        if self.has_spare_network() {
            at_birth -= flag(NamespaceKind::Network);
        }
        if self.makes_ipc_late() { at_birth - flag(NamespaceKind::Ipc) } else { at_birth }
    }

    /// The root of the message queues' filesystem belongs to whoever makes its namespace. In a new
    /// user namespace that is to be its root, which the child is only when ids are mapped.
    fn makes_ipc_late(&self) -> bool {
        self.is_new(NamespaceKind::Ipc) && self.is_new(NamespaceKind::User)
    }

    /// Whether this kind is joined before the container's process is born. A PID namespace can be
    /// entered by birth only. A mount namespace hides the host's files, so it comes last.
    fn is_joined_before_birth(&self, kind: NamespaceKind) -> bool {
        let own_user = self.is_own(NamespaceKind::User) && kind != NamespaceKind::Mount;
        kind == NamespaceKind::Pid || own_user
    }

    /// Bears the container's process. `before` runs in whoever bears it outside the container's
    /// user namespace, where that is another's.
    pub(crate) fn bear(
        &self,
        cgroup: Option<BorrowedFd<'_>>,
        before: impl FnOnce() -> Result<()>,
    ) -> Result<Side> {
        if self.joined(NamespaceKind::User).is_some() {
            let enter = || before().and_then(|()| self.enter_user());
            return born_beyond(enter, self.at_birth());
        }
        let mut targets: Vec<_> = self
            .joined
            .iter()
            .filter(|joined| self.is_joined_before_birth(joined.0))
            .map(|(kind, fd)| (*kind, fd.as_fd()))
            .collect();
        if let Some(spare) = self.spare_network {
            targets.push((NamespaceKind::Network, spare));
        }
        born_in(&targets, || {
            clone3(self.at_birth(), cgroup).doing(|| "start the container's process")
        })
    }

    /// In the helper: first what the caller's rights are good for, then the user namespace, then
    /// what its root's rights are needed for.
    fn enter_user(&self) -> Result<()> {
        // Its processes must not look into us.
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
            .doing(|| "keep others from looking into the process")?;
        let mut later = Vec::new();
        let others = |kind| !matches!(kind, NamespaceKind::User | NamespaceKind::Mount);
        for (kind, fd) in self.joined.iter().filter(|joined| others(joined.0)) {
            if let Err(error) = dhow_sys::namespace::join(fd.as_fd(), flag(*kind)) {
                if error.kind() != std::io::ErrorKind::PermissionDenied {
                    return Err(error).doing(|| join_text(*kind));
                }
                later.push((*kind, fd));
            }
        }
        let user = self.joined(NamespaceKind::User).expect("there is one: it is why we are here");
        join(NamespaceKind::User, user.as_fd())?;
        become_root()?;
        later.into_iter().try_for_each(|(kind, fd)| join(kind, fd.as_fd()))
    }

    /// In the child: joins what is not joined yet.
    pub(crate) fn join(&self) -> Result<()> {
        self.joined
            .iter()
            .filter(|joined| !self.is_joined_before_birth(joined.0))
            .try_for_each(|(kind, fd)| join(*kind, fd.as_fd()))
    }

    /// In the child: makes the namespaces that could not be made at birth.
    pub(crate) fn make_late(&self, linux: &Linux) -> Result<()> {
        if self.makes_ipc_late() {
            dhow_sys::namespace::leave(flag(NamespaceKind::Ipc))
                .doing(|| "make an ipc namespace")?;
        }
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

/// Clocks that a time namespace can shift, and shifts only before anybody is in it.
fn check_offsets(offsets: &BTreeMap<String, TimeOffset>, is_new: bool) -> Result<()> {
    let refuse = |text: String| Err(Error::new(Kind::Invalid, text));
    match offsets.keys().find(|clock| !matches!(clock.as_str(), "monotonic" | "boottime")) {
        Some(clock) => refuse(format!("set the offset of clock {clock:?}: there is no such clock")),
        None if !offsets.is_empty() && !is_new => {
            refuse("set the offsets of clocks without a new time namespace".to_owned())
        }
        None => Ok(()),
    }
}

/// Makes a time namespace, sets its clocks while nobody is in it, and enters it.
fn make_time(offsets: &BTreeMap<String, TimeOffset>) -> Result<()> {
    let host = Procfs::of_host().doing(|| "check /proc")?;
    // The offsets are a file of ours, which a change of user has given to the host's root.
    rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)
        .doing(|| "keep the own process's files")?;
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

/// Opens the namespace of another, if it is of the kind that it is said to be.
pub(crate) fn open(path: &Path, kind: NamespaceKind) -> Result<OwnedFd> {
    let name = kind.proc_name();
    let doing = || format!("open {name} namespace {}", path.display());
    if !path.is_absolute() {
        return Err(Error::new(Kind::Invalid, format!("{}: the path is not absolute", doing())));
    }
    // Not blocking: the path may be a pipe's.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let namespace = rustix::fs::open(path, flags, Mode::empty()).doing(doing)?;
    let is_kind = |kind: NamespaceKind| {
        dhow_sys::namespace::kind_of(namespace.as_fd()).is_ok_and(|found| found == flag(kind))
    };
    if is_kind(kind) {
        return Ok(namespace);
    }
    let text = match NamespaceKind::ALL.into_iter().find(|other| is_kind(*other)) {
        Some(other) => format!("{}: it is a {} namespace", doing(), other.proc_name()),
        None => format!("{}: it is no namespace", doing()),
    };
    Err(Error::new(Kind::Invalid, text))
}

fn join_text(kind: NamespaceKind) -> String {
    format!("join the {} namespace", kind.proc_name())
}

fn join(kind: NamespaceKind, namespace: BorrowedFd<'_>) -> Result<()> {
    dhow_sys::namespace::join(namespace, flag(kind)).doing(|| join_text(kind))
}

/// The root of the user namespace that the process is in, where it has one: it owns what is made
/// from now on.
pub(crate) fn become_root() -> Result<()> {
    match dhow_sys::process::become_user(Uid::ROOT, Gid::ROOT, None) {
        Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => Ok(()),
        result => result.doing(|| "become the root of the user namespace"),
    }
}

/// Bears a child where `enter` leads, into new namespaces of the given kinds. Nobody comes back from
/// a user namespace, so a helper enters, and the child is its sibling.
pub(crate) fn born_beyond(
    enter: impl FnOnce() -> Result<()>,
    kinds: ThreadNameSpaceType,
) -> Result<Side> {
    let (parent, child) = line::pair()?;
    match clone3(ThreadNameSpaceType::empty(), None).doing(|| "start a helper")? {
        Side::Child => {
            drop(parent);
            let born = enter()
                .and_then(|()| clone3_sibling(kinds).doing(|| "start the container's process"));
            let told = match born {
                Ok(Side::Child) => return Ok(Side::Child),
                Ok(Side::Parent { pid, pidfd }) => child.introduce(pid, pidfd.as_fd()),
                Err(error) => Err(error),
            };
            if let Err(error) = told {
                child.fail(&error);
            }
            dhow_sys::process::leave(0)
        }
        Side::Parent { pid, pidfd } => {
            drop(child);
            let heard = parent.hear_of_child();
            Newborn { pid, pidfd }.end();
            let (pid, pidfd) = heard?;
            Ok(Side::Parent { pid, pidfd })
        }
    }
}

/// Bears a child in the namespaces behind `targets`. The caller comes back to its own afterwards;
/// the child stays.
pub(crate) fn born_in(
    targets: &[(NamespaceKind, BorrowedFd<'_>)],
    birth: impl FnOnce() -> Result<Side>,
) -> Result<Side> {
    visit(targets, birth, |side| matches!(side, Side::Child))
}

/// Does something in the namespaces behind `targets`, and comes back, unless who has done it stays.
pub(crate) fn visit<T>(
    targets: &[(NamespaceKind, BorrowedFd<'_>)],
    work: impl FnOnce() -> Result<T>,
    stays: impl FnOnce(&T) -> bool,
) -> Result<T> {
    if targets.is_empty() {
        return work();
    }
    let host = Procfs::of_host().doing(|| "check /proc")?;
    let mut own = Vec::new();
    for (kind, _) in targets {
        let text = || format!("open the own {} namespace", kind.proc_name());
        own.push((*kind, host.namespace("self", kind.proc_name()).doing(text)?));
    }
    let done = targets.iter().try_for_each(|(kind, fd)| join(*kind, *fd)).and_then(|()| work());
    if done.as_ref().is_ok_and(stays) {
        return done;
    }
    for (kind, fd) in &own {
        match dhow_sys::namespace::join(fd.as_fd(), flag(*kind)) {
            // The own one belongs to the host, to which the root of a user namespace has no right.
            // What it bears later is born in the target's; only hooks would be.
            Err(error)
                if error.kind() == ErrorKind::PermissionDenied && mappings::is_ordinary_user() => {}
            result => {
                result.doing(|| format!("come back to the own {} namespace", kind.proc_name()))?;
            }
        }
    }
    done
}
