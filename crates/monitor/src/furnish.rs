//! A container's networks, set up when its namespace is born.
//!
//! ```text
//!   ports held ─▶ (the namespace is born) ─▶ links ─▶ firewall ─▶ resolver ─▶ the program
//! ```
//!
//! What fails leaves nothing behind in the namespace, which goes with the process; what there is on
//! the host by then is taken away by the engine, as after every life.

use crate::{Ground, NetworkTask, network::Kept};
use dhow_base::{Doing, Result};
use dhow_network::{Held, Outlet, Plan, pasta::Pasta};
use dhow_runtime::Furnish;
use rustix::{
    fs::{Mode, OFlags},
    thread::ThreadNameSpaceType,
};
use std::{
    cell::RefCell,
    os::fd::{AsFd, BorrowedFd},
};

/// Carries out a plan.
#[derive(Debug)]
pub(crate) struct Furnisher {
    plan: Plan,
    kept: RefCell<Kept>,
    is_newborn: bool,
}

impl Furnisher {
    /// Holds the ports of a plan: what can fail, fails before there is a process. In a namespace that
    /// is there already all the rest is done too.
    pub(crate) fn prepare(task: &NetworkTask) -> Result<Self> {
        let wanted = if task.is_first() { &task.plan.publications[..] } else { &[] };
        let (mut held, bound) = Held::bind(wanted)?;
        if task.plan.outlet.is_some() {
            // Who passes on binds them itself, as soon as there is a namespace to pass on to.
            held = Held::default();
        }
        let mut plan = task.plan.clone();
        if task.is_first() {
            plan.publications = bound;
        }
        let kept = RefCell::new(Kept::holding(held));
        let furnisher = Self { plan, kept, is_newborn: task.ground == Ground::Newborn };
        if let Ground::First(path) | Ground::Beside(path) = &task.ground {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            let namespace = rustix::fs::open(path, flags, Mode::empty())
                .doing(|| format!("open {}", path.display()))?;
            if let Some(outlet) = &furnisher.plan.outlet {
                furnisher.pass_on(outlet, namespace.as_fd(), task.is_first())?;
            }
            furnisher.kept.borrow_mut().take_up(&furnisher.plan, namespace.as_fd())?;
        }
        Ok(furnisher)
    }

    /// Itself, where there is a namespace to be set up.
    pub(crate) fn for_newborn(&self) -> Option<&dyn Furnish> {
        self.is_newborn.then_some(self as &dyn Furnish)
    }

    /// What is to be looked after from now on.
    pub(crate) fn into_kept(self) -> Kept {
        self.kept.into_inner()
    }

    /// Has an ordinary user's ports passed on, and goes to where the user's networks are, for good: the
    /// host's namespace, from which ports are passed on, is one that nobody without rights comes back to.
    fn pass_on(&self, outlet: &Outlet, namespace: BorrowedFd<'_>, is_first: bool) -> Result<()> {
        let publications = &self.plan.publications;
        let pasta = match is_first && !publications.is_empty() {
            true => Some(Pasta::publish(outlet, namespace, publications)?),
            false => None,
        };
        let Some(ground) = &outlet.ground else { return Ok(()) };
        let ground = rustix::fs::open(ground, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .doing(|| format!("open {}", ground.display()))?;
        dhow_sys::namespace::join(ground.as_fd(), ThreadNameSpaceType::NETWORK)
            .doing(|| "enter the network namespace of this user's networks")?;
        if let Some(pasta) = pasta {
            pasta.lead_back(namespace)?;
            self.kept.borrow_mut().keep(pasta);
        }
        Ok(())
    }

    /// An ordinary user's container, born with its namespace.
    fn furnish_by_pasta(&self, outlet: &Outlet, namespace: BorrowedFd<'_>) -> Result<()> {
        if outlet.ground.is_none() {
            let pasta = Pasta::connect(outlet, namespace, &self.plan.publications)?;
            self.kept.borrow_mut().keep(pasta);
            self.kept.borrow_mut().only_publish(&self.plan);
            return Ok(());
        }
        self.pass_on(outlet, namespace, true)?;
        // Who passes on has a device there already, if there are ports.
        match self.plan.publications.is_empty() {
            true => dhow_network::setup(&self.plan, namespace)?,
            false => {
                for (place, attachment) in self.plan.attachments.iter().enumerate() {
                    dhow_network::connect(attachment, place, namespace)?;
                }
            }
        }
        self.kept.borrow_mut().take_up(&self.plan, namespace)
    }
}

impl Furnish for Furnisher {
    fn furnish(&self, namespace: BorrowedFd<'_>) -> Result<()> {
        if let Some(outlet) = &self.plan.outlet {
            return self.furnish_by_pasta(outlet, namespace);
        }
        dhow_network::setup(&self.plan, namespace)?;
        self.kept.borrow_mut().take_up(&self.plan, namespace)
    }
}
