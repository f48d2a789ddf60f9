//! What a monitor keeps of its container's networks: the ports, the rules that lead to them, the names.
//!
//! ```text
//!   ports held ─▶ born with the namespace ─▶ looked after in the loop ─▶ gone with the monitor
//! ```
//!
//! Its resolver's sockets are in the container's namespace, so they are made while that one is made,
//! before the program has a question. Rules that somebody has flushed are put back.

use crate::ground::Place;
use dhow_base::{Doing, Result};
use dhow_network::{
    Attachment, Firewall, Held, Leased, Plan, Publication, Relay, Resolver, Tenant, Watch,
    pasta::Pasta,
};
use std::{
    borrow::Cow,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

/// When the firewall is tried again that could not be put right.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// News that come sooner one after the other are answered together: who loads a firewall's rules makes
/// many changes.
const NEWS_APART: Duration = Duration::from_millis(100);

/// What is looked after as long as the container lives.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// What the firewall is to have; nothing where there is no network.
    plan: Option<Plan>,
    // Closed at the end: others may bind the ports then.
    held: Held,
    /// What comes to the ports at `::1`.
    relay: Option<Relay>,
    watch: Option<Watch>,
    /// When the firewall is to be looked at in any case.
    again: Option<Instant>,
    /// When it was looked at.
    looked: Option<Instant>,
    resolver: Option<Resolver>,
    /// Devices whose addresses a server leases.
    tenants: Vec<Tenant>,
    // Ended with this.
    _pasta: Option<Pasta>,
    /// Where its networks are.
    place: Place,
}

impl Kept {
    /// Ports, before there is a namespace that they lead to.
    pub(crate) fn holding(held: Held) -> Self {
        Self { held, ..Self::default() }
    }

    /// Keeps who passes ports on, and where the networks are.
    pub(crate) fn keep(&mut self, pasta: Option<Pasta>, place: Place) {
        (self._pasta, self.place) = (pasta, place);
    }

    /// Keeps a plan in which there is nothing to be looked after.
    pub(crate) fn only_publish(&mut self, plan: &Plan) {
        self.plan = Some(plan.clone());
    }

    /// Takes up what a plan asks of a monitor, for a namespace that has its devices.
    pub(crate) fn take_up(&mut self, plan: &Plan, namespace: BorrowedFd<'_>) -> Result<()> {
        self.place.clone().visit(|| self.take_up_there(plan, namespace))
    }

    fn take_up_there(&mut self, plan: &Plan, namespace: BorrowedFd<'_>) -> Result<()> {
        // Who watches first misses nothing.
        self.watch = Some(Watch::open()?);
        for (place, attachment) in plan.attachments.iter().enumerate() {
            if attachment.network.leases && attachment.addresses.is_empty() {
                let tenant = Tenant::seek(attachment, place, &plan.hostname, namespace)?;
                self.tenants.push(tenant);
            }
        }
        Firewall::open()?.raise(&ruled(plan))?;
        self.plan = Some(plan.clone());
        let doors = self.held.take_doors();
        if !doors.is_empty() {
            self.relay = Some(Relay::open(doors)?);
        }
        self.aim();
        let resolver = plan.resolver.as_ref().map(|resolver| Resolver::open(resolver, namespace));
        self.resolver = resolver.transpose().doing(|| "resolve names for the container")?;
        Ok(())
    }

    /// Connects the container to these networks and to no others. What fails is undone.
    pub(crate) fn change(&mut self, plan: Plan, namespace: BorrowedFd<'_>) -> Result<()> {
        self.place.clone().visit(|| self.change_there(plan, namespace))
    }

    fn change_there(&mut self, plan: Plan, namespace: BorrowedFd<'_>) -> Result<()> {
        let before = self.plan.take().unwrap_or_default();
        // The ports are those that are held.
        let plan = Plan { publications: before.publications.clone(), ..plan };
        let changed = self.change_from(&before, &plan, namespace);
        if changed.is_ok() {
            self.plan = Some(plan);
            self.aim();
            return changed;
        }
        for added in missing_in(&before, &plan) {
            // Why it failed says more than what is left of it.
            let _gone = dhow_network::disconnect(added, namespace);
        }
        self.plan = (!before.is_empty()).then_some(before);
        let _raised = self.put_back_there();
        changed
    }

    /// Has what comes to `::1` led to where the container is.
    fn aim(&mut self) {
        if let (Some(relay), Some(plan)) = (&mut self.relay, &self.plan) {
            relay.aim(plan);
        }
    }

    fn change_from(&mut self, before: &Plan, plan: &Plan, namespace: BorrowedFd<'_>) -> Result<()> {
        for added in missing_in(before, plan) {
            let place = plan.attachments.iter().position(|one| one == added).unwrap_or(0);
            dhow_network::connect(added, place, namespace)?;
        }
        let firewall = Firewall::open()?;
        if self.watch.is_none() {
            self.watch = Some(Watch::open()?);
        }
        if !before.targets().eq(plan.targets()) {
            firewall.lower(&ruled(before))?;
        }
        firewall.raise(&ruled(plan))?;
        match (&mut self.resolver, &plan.resolver) {
            (Some(resolver), Some(wanted)) => resolver.change(wanted),
            (None, Some(wanted)) => self.resolver = Some(Resolver::open(wanted, namespace)?),
            (_, None) => self.resolver = None,
        }
        let stays = |tenant: &Tenant| plan.attachments.iter().any(|one| tenant.is_of(&one.network));
        self.tenants.retain(stays);
        for removed in missing_in(plan, before) {
            dhow_network::disconnect(removed, namespace)?;
        }
        Ok(())
    }

    /// The ports through which the container is reached.
    pub(crate) fn published(&self) -> Vec<Publication> {
        self.plan.as_ref().map(|plan| plan.publications.clone()).unwrap_or_default()
    }

    /// What servers have leased its devices.
    pub(crate) fn leased(&self) -> Vec<Leased> {
        self.tenants.iter().filter_map(Tenant::leased).collect()
    }

    /// What to wait for.
    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let watch = self.watch.iter().map(AsFd::as_fd);
        let tenants = self.tenants.iter().map(Tenant::fd);
        let relay = self.relay.iter().map(Relay::fd);
        watch.chain(self.resolver.iter().map(Resolver::fd)).chain(tenants).chain(relay)
    }

    /// When there is something to do in any case.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let of_resolver = self.resolver.as_ref().and_then(Resolver::deadline);
        let of_tenants = self.tenants.iter().map(Tenant::deadline);
        let of_relay = self.relay.as_ref().and_then(Relay::deadline);
        of_resolver.into_iter().chain(self.again).chain(of_tenants).chain(of_relay).min()
    }

    /// Does what there is to do.
    pub(crate) fn work(&mut self, now: Instant) {
        if let Some(resolver) = &mut self.resolver {
            resolver.work(now);
        }
        for tenant in &mut self.tenants {
            tenant.work(now);
        }
        if let Some(relay) = &mut self.relay {
            relay.work(now);
        }
        if self.watch.as_ref().is_some_and(Watch::was_changed) {
            let soonest = self.looked.map_or(now, |looked| looked + NEWS_APART);
            self.again = self.again.into_iter().chain([soonest]).min();
        }
        if self.again.is_some_and(|moment| moment <= now) {
            self.looked = Some(now);
            self.again = self.answer_news().is_err().then(|| now + AGAIN_AFTER);
        }
    }

    /// Raises the rules again: nothing happens where they are there.
    fn put_back_there(&self) -> Result<()> {
        match self.plan.as_ref().filter(|plan| !plan.attachments.is_empty()) {
            Some(plan) => Firewall::open()?.raise(&ruled(plan)),
            None => Ok(()),
        }
    }

    /// Does what somebody's change of the ruleset asks for.
    fn answer_news(&self) -> Result<()> {
        match self.plan.as_ref().filter(|plan| !plan.attachments.is_empty()) {
            Some(plan) => self.place.visit(|| Firewall::open()?.raise_again(&ruled(plan))),
            None => Ok(()),
        }
    }

    /// Keeps nothing that can be had again.
    pub(crate) fn rest(&mut self) {
        if let Some(resolver) = &mut self.resolver {
            resolver.rest();
        }
        if let Some(relay) = &mut self.relay {
            relay.rest();
        }
    }
}

/// The plan as far as it is the firewall's: ports that somebody passes on lead through no rule.
fn ruled(plan: &Plan) -> Cow<'_, Plan> {
    if plan.outlet.is_none() || plan.publications.is_empty() {
        return Cow::Borrowed(plan);
    }
    Cow::Owned(Plan { publications: Vec::new(), ..plan.clone() })
}

/// The connections of the second plan to networks that are not in the first.
fn missing_in<'a>(plan: &'a Plan, other: &'a Plan) -> impl Iterator<Item = &'a Attachment> {
    let has = |id: &str| plan.attachments.iter().any(|one| one.network.id == id);
    other.attachments.iter().filter(move |one| !has(&one.network.id))
}
