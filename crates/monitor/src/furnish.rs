//! A container's networks, set up when its namespace is born.
//!
//! ```text
//!   ports held ─▶ (the namespace is born) ─▶ links ─▶ firewall ─▶ resolver ─▶ the program
//! ```
//!
//! What fails leaves nothing behind in the namespace, which goes with the process; what there is on
//! the host by then is taken away by the engine, as after every life.

use crate::{Ground, NetworkTask, ground::Place, network::Kept};
use dhow_base::{Doing, Result};
use dhow_network::{Held, Outlet, Plan, pasta::Pasta};
use dhow_runtime::Furnish;
use rustix::fs::{Mode, OFlags};
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

    /// Has an ordinary user's ports passed on into a namespace, and keeps where the user's networks are.
    fn pass_on(&self, outlet: &Outlet, namespace: BorrowedFd<'_>, is_first: bool) -> Result<Place> {
        let place = Place::of(&self.plan)?;
        let publications = &self.plan.publications;
        let pasta = match is_first && !publications.is_empty() {
            true => Some(Pasta::publish(outlet, namespace, publications)?),
            false => None,
        };
        if let Some(pasta) = &pasta {
            place.visit(|| pasta.lead_back(namespace))?;
        }
        self.kept.borrow_mut().keep(pasta, place.clone());
        Ok(place)
    }

    /// An ordinary user's container, born with its namespace.
    fn furnish_by_pasta(&self, outlet: &Outlet, namespace: BorrowedFd<'_>) -> Result<()> {
        if outlet.ground.is_none() {
            let pasta = Pasta::connect(outlet, namespace, &self.plan.publications)?;
            let mut kept = self.kept.borrow_mut();
            kept.keep(Some(pasta), Place::default());
            kept.only_publish(&self.plan);
            return Ok(());
        }
        let place = self.pass_on(outlet, namespace, true)?;
        let plan = &self.plan;
        place.visit(|| set_up(plan, namespace))?;
        self.kept.borrow_mut().take_up(plan, namespace)
    }
}

/// The devices of a namespace in which there may be one already: who passes ports on has made it.
fn set_up(plan: &Plan, namespace: BorrowedFd<'_>) -> Result<()> {
    if plan.publications.is_empty() {
        return dhow_network::setup(plan, namespace);
    }
    let mut attachments = plan.attachments.iter().enumerate();
    attachments.try_for_each(|(place, one)| dhow_network::connect(one, place, namespace))
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
