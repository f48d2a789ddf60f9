//! A pod's networks: the connections are the pod's own, and set up in the namespace that it holds.
//!
//! ```text
//!   first container starts: addresses leased ─▶ namespace made ─▶ links ─▶ held by a file
//!   each one's monitor:     names resolved, rules put back; the first one's holds the ports
//!   last one has ended:     firewall, names ─▶ namespace gone ─▶ addresses free
//! ```
//!
//! Nobody holds the namespace before its links are there, so one that is held is whole. All of it
//! happens under the pods' lock.

use super::{Settings, Shared, namespaces};
use crate::{Engine, networks::Called};
use dhow_base::{Doing, Result, id::ContainerId};
use dhow_monitor::{Ground, NetworkTask};
use dhow_network::{Plan, Publication};
use dhow_state::{containers::Container, pods, pods::Pod as Row};
use std::os::fd::BorrowedFd;

impl Settings {
    /// Whether the pod is connected to networks of ours.
    pub(super) fn has_networks(&self) -> bool {
        self.networked && self.shares(Shared::Net)
    }
}

impl Engine {
    /// Makes what a pod's containers share, where it is not there yet, for one that starts; what that
    /// one's monitor is to look after.
    pub(crate) fn raise_pod(&mut self, starting: &Container) -> Result<Option<NetworkTask>> {
        let Some(row) = pods::of_container(self.state.read(), &starting.id)? else {
            return Ok(None);
        };
        let settings = Settings::of(&row)?;
        let _lock = self.pods_mut().lock()?;
        self.raise(&row, &settings).doing(|| format!("make what pod {} shares", row.name))
    }

    fn raise(&mut self, row: &Row, settings: &Settings) -> Result<Option<NetworkTask>> {
        let missing = self.pods_mut().missing(&row.id, settings)?;
        let directory = self.layout.pod(&row.id);
        let mut task = None;
        if settings.has_networks() {
            let is_first = missing.contains(&Shared::Net.kind());
            let plan = match is_first {
                true => self.enter_as_pod(row, settings)?,
                false => self.plan_beside(row, settings)?,
            };
            let namespace = directory.join(Shared::Net.kind().proc_name());
            let ground = match is_first {
                true => Ground::First(namespace),
                false => Ground::Beside(namespace),
            };
            task = plan.map(|plan| NetworkTask { plan, ground });
        }
        let furnish = |namespace: BorrowedFd<'_>| match &task {
            Some(task) => self.on_ground(|| dhow_network::setup(&task.plan, namespace)),
            None => Ok(()),
        };
        let (ids, name) = (settings.ids.as_ref(), settings.hostname.as_str());
        namespaces::make(&missing, ids, name, &directory, furnish)?;
        self.pods_mut().rise(&row.id, settings)?;
        Ok(task)
    }

    fn enter_as_pod(&mut self, row: &Row, settings: &Settings) -> Result<Option<Plan>> {
        let called = Called { name: row.name.as_str(), hostname: &settings.hostname };
        let mut plan = self.enter(&row.id, called)?;
        if let Some(plan) = &mut plan {
            plan.publications.clone_from(&settings.ports);
        }
        Ok(plan)
    }

    /// What another container of the pod has set up.
    fn plan_beside(&self, row: &Row, settings: &Settings) -> Result<Option<Plan>> {
        let Some(mut plan) = self.network_plan_as_is(&row.id)? else { return Ok(None) };
        plan.outlet = self.outlet_as_is(&row.id);
        plan.publications = self.published_of(&row.id)?;
        if plan.publications.is_empty() {
            let named = |one: &&Publication| one.host_port != 0 && one.host_port_last.is_none();
            plan.publications = settings.ports.iter().filter(named).cloned().collect();
        }
        Ok(Some(plan))
    }

    /// Takes away what a pod's containers shared, if the one that has ended was the last.
    pub(super) fn lower_pod_after(&mut self, pod: &ContainerId, ended: &ContainerId) -> Result<()> {
        let _lock = self.pods_mut().lock()?;
        match self.pods_mut().is_last(pod, ended)? {
            true => self.lower_pod(pod),
            false => Ok(()),
        }
    }

    /// Takes away what a pod's containers shared. For who holds the lock, and knows that nothing of it
    /// runs.
    pub(super) fn lower_pod(&mut self, pod: &ContainerId) -> Result<()> {
        let settings = match pods::find(self.state.read(), pod)? {
            Some(row) => Settings::of(&row)?,
            None => Settings::default(),
        };
        let left = match settings.has_networks() {
            true => self.lower(pod, &settings.ports)?,
            false => None,
        };
        self.pods_mut().sink(pod, &settings)?;
        match left {
            Some(plan) => {
                self.lower_ground(Some(pod))?;
                self.state.write(|write| Self::write_left(write, pod, &plan))
            }
            None => Ok(()),
        }
    }
}
