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
use dhow_network::{Held, Plan};
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
        let (held, bound) = Held::bind(wanted)?;
        let mut plan = task.plan.clone();
        if task.is_first() {
            plan.publications = bound;
        }
        let mut kept = Kept::holding(held);
        if let Ground::First(path) | Ground::Beside(path) = &task.ground {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            let namespace = rustix::fs::open(path, flags, Mode::empty())
                .doing(|| format!("open {}", path.display()))?;
            kept.take_up(&plan, namespace.as_fd())?;
        }
        Ok(Self { plan, kept: RefCell::new(kept), is_newborn: task.ground == Ground::Newborn })
    }

    /// Itself, where there is a namespace to be set up.
    pub(crate) fn for_newborn(&self) -> Option<&dyn Furnish> {
        self.is_newborn.then_some(self as &dyn Furnish)
    }

    /// What is to be looked after from now on.
    pub(crate) fn into_kept(self) -> Kept {
        self.kept.into_inner()
    }
}

impl Furnish for Furnisher {
    fn furnish(&self, namespace: BorrowedFd<'_>) -> Result<()> {
        dhow_network::setup(&self.plan, namespace)?;
        self.kept.borrow_mut().take_up(&self.plan, namespace)
    }
}
