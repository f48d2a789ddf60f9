//! A container's networks, set up when its namespace is born.
//!
//! ```text
//!   links in the namespace ─▶ firewall on the host ─▶ the program
//! ```
//!
//! What fails leaves nothing behind in the namespace, which goes with the process; what there is on
//! the host by then is taken away by the engine, as after every life.

use dhow_base::Result;
use dhow_network::{Firewall, Plan};
use dhow_runtime::Furnish;
use std::os::fd::BorrowedFd;

/// Carries out a plan.
#[derive(Debug)]
pub(crate) struct Furnisher<'a> {
    pub(crate) plan: &'a Plan,
}

impl Furnish for Furnisher<'_> {
    fn furnish(&self, namespace: BorrowedFd<'_>) -> Result<()> {
        dhow_network::setup(self.plan, namespace)?;
        Firewall::open()?.raise(self.plan)
    }
}
