//! A container's networks, set up when its namespace is born.
//!
//! ```text
//!   ports held ─▶ (the namespace is born) ─▶ links ─▶ firewall ─▶ resolver ─▶ the program
//! ```
//!
//! What fails leaves nothing behind in the namespace, which goes with the process; what there is on
//! the host by then is taken away by the engine, as after every life.

use crate::network::Kept;
use dhow_base::Result;
use dhow_network::{Held, Plan};
use dhow_runtime::Furnish;
use std::{cell::RefCell, os::fd::BorrowedFd};

/// Carries out a plan.
#[derive(Debug)]
pub(crate) struct Furnisher {
    plan: Plan,
    kept: RefCell<Kept>,
}

impl Furnisher {
    /// Holds the ports of a plan: what can fail, fails before there is a process.
    pub(crate) fn prepare(plan: &Plan) -> Result<Self> {
        let (held, publications) = Held::bind(&plan.publications)?;
        let plan = Plan { publications, ..plan.clone() };
        Ok(Self { plan, kept: RefCell::new(Kept::holding(held)) })
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
