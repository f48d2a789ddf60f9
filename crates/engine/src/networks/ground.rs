//! Where networks have their bridges, their rules and their cables: on the host for root. An ordinary
//! user may have none there, and gets a network namespace in its place, their *ground*.
//!
//! ```text
//!   host ◀─ pasta ─▶ ground: bridges, firewall ◀─ cables ─▶ containers
//!     └───────────────── pasta, a container's published ports ─▶┘
//! ```
//!
//! It is made when the first container on a network starts, held by a file in the mount namespace that
//! all of the user's commands share, and goes when the last one has ended. Who makes it and who takes it
//! away holds the networks' lock, so it never goes below somebody who starts.
//!
//! A thread can go there, and nobody comes back to the host, over which the user has no rights: so
//! commands and monitors send threads, which end there.

use super::lock;
use crate::{Engine, doctor::entries, layout::Layout};
use dhow_base::{Doing, Error, Kind, Result, file, id::ContainerId};
use dhow_image::Finding;
use dhow_network::{Outlet, handle, pasta};
use dhow_state::{
    containers::{self, Phase},
    endpoints, pods,
};
use dhow_sys::procfs::Procfs;
use rustix::{
    fs::{Mode, OFlags},
    thread::ThreadNameSpaceType,
};
use std::{
    net::{IpAddr, Ipv4Addr},
    os::fd::{AsFd, OwnedFd},
};

/// Where pasta passes questions for names on to the host's servers, which may be on its loopback.
pub(crate) const NAMES: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 1, 1));

impl Engine {
    /// Does something where the networks are. For a user who has no ground there is nothing to be done.
    pub(crate) fn on_ground(&self, work: impl FnOnce() -> Result<()> + Send) -> Result<()> {
        if self.is_of_root {
            return work();
        }
        match open(&self.layout)? {
            Some(ground) => visit(&ground, work),
            None => Ok(()),
        }
    }

    /// The ways of a container or a pod on networks that starts, with the ground below it; none of its
    /// own for root's.
    pub(super) fn outlet_on_ground(&self, owner: &ContainerId) -> Result<Option<Outlet>> {
        let outlet = self.outlet_as_is(owner);
        if outlet.is_some() {
            let _lock = lock(&self.layout)?;
            raise(&self.layout)?;
            file::make_directories(&self.layout.pastas(), 0o700)?;
        }
        Ok(outlet)
    }

    /// The same, where the ground is there.
    pub(crate) fn outlet_as_is(&self, owner: &ContainerId) -> Option<Outlet> {
        (!self.is_of_root).then(|| Outlet {
            pid_file: self.layout.pasta(owner),
            ground: Some(self.layout.ground()),
            ..Outlet::default()
        })
    }

    /// Takes the ground away if nobody is on it but `leaving`, of whom the caller knows that nothing runs.
    /// To be called before rows say that they have left: then who is killed in between leaves a row that
    /// brings the next command here.
    pub(crate) fn lower_ground(&self, leaving: Option<&ContainerId>) -> Result<()> {
        if self.is_of_root || !self.layout.ground().exists() {
            return Ok(());
        }
        let _lock = lock(&self.layout)?;
        if self.somebody_is_on_networks(leaving)? {
            return Ok(());
        }
        lower(&self.layout)
    }

    /// Whoever passes on for somebody has to do so for a container or a pod that is there.
    pub(super) fn check_pastas(&self, findings: &mut Vec<Finding>) -> Result<()> {
        for path in entries(&self.layout.pastas())? {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let owner = name.parse::<ContainerId>().ok();
            let read = self.state.read();
            let is_known = match &owner {
                Some(owner) => {
                    containers::find(read, owner)?.is_some() || pods::find(read, owner)?.is_some()
                }
                None => false,
            };
            if !is_known {
                findings.push(Finding {
                    object: path.display().to_string(),
                    problem: "no container and no pod has this id".to_owned(),
                });
            }
        }
        Ok(())
    }

    /// Whether somebody else runs, or is about to, who is connected to a network.
    fn somebody_is_on_networks(&self, besides: Option<&ContainerId>) -> Result<bool> {
        let read = self.state.read();
        let lives = |phase| {
            !matches!(phase, Phase::Created | Phase::Exited | Phase::Removing | Phase::Restarting)
        };
        for endpoint in endpoints::list(read)? {
            if Some(&endpoint.owner) == besides {
                continue;
            }
            let mut phases = Vec::new();
            match containers::find(read, &endpoint.owner)? {
                Some(row) => phases.push(row.phase),
                None => {
                    for id in pods::members(read, &endpoint.owner)? {
                        phases.extend(containers::find(read, &id)?.map(|row| row.phase));
                    }
                }
            }
            if phases.into_iter().any(lives) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The ground, if it is there.
fn open(layout: &Layout) -> Result<Option<OwnedFd>> {
    let path = layout.ground();
    if !handle::is_held(&path)? {
        return Ok(None);
    }
    rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map(Some)
        .doing(|| format!("open {}", path.display()))
}

/// Sends a thread there, which ends there.
fn visit(ground: &OwnedFd, work: impl FnOnce() -> Result<()> + Send) -> Result<()> {
    let visitor = || {
        dhow_sys::namespace::join(ground.as_fd(), ThreadNameSpaceType::NETWORK)
            .doing(|| "enter the network namespace of this user's networks")?;
        work()
    };
    std::thread::scope(|scope| scope.spawn(visitor).join())
        .map_err(|_| Error::new(Kind::Internal, "work in a thread"))?
}

/// Makes it, where it is not there whole.
fn raise(layout: &Layout) -> Result<()> {
    let (path, passing) = (layout.ground(), layout.ground_pasta());
    if handle::is_held(&path)? && pasta::lives(&passing)? {
        return Ok(());
    }
    lower(layout)?;
    let doing = || "make a network namespace for this user's networks";
    file::make_directories(path.parent().unwrap_or(&path), 0o700)?;
    let namespace = std::thread::scope(|scope| scope.spawn(bear).join())
        .map_err(|_| Error::new(Kind::Internal, "work in a thread"))?
        .doing(doing)?;
    // One that is held without its pasta, as after a kill, is made anew.
    handle::hold(namespace.as_fd(), &path).doing(doing)?;
    let words = ["--dns-forward".to_owned(), NAMES.to_string()];
    let outlet = Outlet { pid_file: passing, options: words.to_vec(), ground: None };
    pasta::Pasta::connect(&outlet, namespace.as_fd(), &[]).doing(doing)?.leave();
    Ok(())
}

fn bear() -> Result<OwnedFd> {
    dhow_sys::namespace::leave(ThreadNameSpaceType::NETWORK).doing(|| "leave for a new one")?;
    dhow_sys::loopback::bring_up().doing(|| "bring the loopback interface up")?;
    Procfs::of_host()
        .and_then(|host| host.namespace("thread-self", "net"))
        .doing(|| "open the new net namespace")
}

fn lower(layout: &Layout) -> Result<()> {
    pasta::end(&layout.ground_pasta())?;
    handle::release(&layout.ground())
}
