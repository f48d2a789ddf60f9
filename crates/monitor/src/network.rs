//! What a monitor keeps of its container's networks: the ports, the rules that lead to them, the names.
//!
//! ```text
//!   ports held ─▶ born with the namespace ─▶ looked after in the loop ─▶ gone with the monitor
//! ```
//!
//! Its resolver's sockets are in the container's namespace, so they are made while that one is made,
//! before the program has a question. Rules that somebody has flushed are put back.

use dhow_base::{Doing, Result};
use dhow_network::{Firewall, Held, Plan, Publication, Resolver, Watch};
use std::{
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

/// When the firewall is tried again that could not be put right.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What is looked after as long as the container lives.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// What the firewall is to have; nothing where there is no network.
    plan: Option<Plan>,
    // Closed at the end: others may bind the ports then.
    _held: Held,
    watch: Option<Watch>,
    /// When the firewall is to be looked at in any case.
    again: Option<Instant>,
    resolver: Option<Resolver>,
}

impl Kept {
    /// Ports, before there is a namespace that they lead to.
    pub(crate) fn holding(held: Held) -> Self {
        Self { _held: held, ..Self::default() }
    }

    /// Takes up what a plan asks of a monitor, for a namespace that has its devices.
    pub(crate) fn take_up(&mut self, plan: &Plan, namespace: BorrowedFd<'_>) -> Result<()> {
        // Who watches first misses nothing.
        self.watch = Some(Watch::open()?);
        Firewall::open()?.raise(plan)?;
        self.plan = Some(plan.clone());
        let resolver = plan.resolver.as_ref().map(|resolver| Resolver::open(resolver, namespace));
        self.resolver = resolver.transpose().doing(|| "resolve names for the container")?;
        Ok(())
    }

    /// The ports through which the container is reached.
    pub(crate) fn published(&self) -> Vec<Publication> {
        self.plan.as_ref().map(|plan| plan.publications.clone()).unwrap_or_default()
    }

    /// What to wait for.
    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let watch = self.watch.iter().map(AsFd::as_fd);
        watch.chain(self.resolver.iter().map(Resolver::fd))
    }

    /// When there is something to do in any case.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let of_resolver = self.resolver.as_ref().and_then(Resolver::deadline);
        of_resolver.into_iter().chain(self.again).min()
    }

    /// Does what there is to do.
    pub(crate) fn work(&mut self, now: Instant) {
        if let Some(resolver) = &mut self.resolver {
            resolver.work(now);
        }
        let changed = self.watch.as_ref().is_some_and(Watch::was_changed);
        if changed || self.again.is_some_and(|moment| moment <= now) {
            self.again = self.put_back().is_err().then(|| now + AGAIN_AFTER);
        }
    }

    /// Raises the rules again: nothing happens where they are there.
    fn put_back(&self) -> Result<()> {
        match &self.plan {
            Some(plan) => Firewall::open()?.raise(plan),
            None => Ok(()),
        }
    }

    /// Keeps nothing that can be had again.
    pub(crate) fn rest(&mut self) {
        if let Some(resolver) = &mut self.resolver {
            resolver.rest();
        }
    }
}
