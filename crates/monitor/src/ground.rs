//! Where a container's networks have their other ends: on the host, or in a network namespace of an
//! ordinary user's.
//!
//! A thread can go there, and nobody without rights over the host comes back: so whoever has something
//! to do there sends a thread, which ends there. The monitor itself stays where ports are published and
//! names are asked for.

use dhow_base::{Doing, Error, Kind, Result};
use dhow_network::Plan;
use rustix::{
    fs::{Mode, OFlags},
    thread::ThreadNameSpaceType,
};
use std::{
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    thread,
};

/// The place; the host where there is no other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place(Option<Arc<OwnedFd>>);

impl Place {
    /// The place that a plan names.
    pub(crate) fn of(plan: &Plan) -> Result<Self> {
        let path = plan.outlet.as_ref().and_then(|outlet| outlet.ground.as_ref());
        let Some(path) = path else { return Ok(Self::default()) };
        let namespace = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .doing(|| format!("open {}", path.display()))?;
        Ok(Self(Some(Arc::new(namespace))))
    }

    /// Does something there.
    pub(crate) fn visit<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let Some(namespace) = &self.0 else { return work() };
        let visitor = || {
            dhow_sys::namespace::join(namespace.as_fd(), ThreadNameSpaceType::NETWORK)
                .doing(|| "enter the network namespace of this user's networks")?;
            work()
        };
        thread::scope(|scope| scope.spawn(visitor).join())
            .map_err(|_| Error::new(Kind::Internal, "work in a thread"))?
    }
}
