//! What a monitor keeps of its container's networks.
//!
//! ```text
//!   born with the namespace ──▶ Kept ──▶ looked after in the loop ──▶ gone with the monitor
//! ```
//!
//! Its sockets are in the container's namespace, so it is made while that one is made, before the
//! program has a question.

use dhow_base::{Doing, Result};
use dhow_network::{Plan, Resolver};
use std::{os::fd::BorrowedFd, time::Instant};

/// What is looked after as long as the container lives.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    resolver: Option<Resolver>,
}

impl Kept {
    /// Takes up what a plan asks of a monitor, for a namespace that has its devices.
    pub(crate) fn open(plan: &Plan, namespace: BorrowedFd<'_>) -> Result<Self> {
        let resolver = plan.resolver.as_ref().map(|resolver| Resolver::open(resolver, namespace));
        Ok(Self { resolver: resolver.transpose().doing(|| "resolve names for the container")? })
    }

    /// What to wait for.
    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.resolver.iter().map(Resolver::fd)
    }

    /// When there is something to do in any case.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.resolver.as_ref()?.deadline()
    }

    /// Does what there is to do.
    pub(crate) fn work(&mut self, now: Instant) {
        if let Some(resolver) = &mut self.resolver {
            resolver.work(now);
        }
    }

    /// Keeps nothing that can be had again.
    pub(crate) fn rest(&mut self) {
        if let Some(resolver) = &mut self.resolver {
            resolver.rest();
        }
    }
}
