//! Why a packet for a published port passes, or does not.

use super::life::publication;
use crate::{Engine, record::Record};
use dhow_base::{Doing, Error, Kind, Result, id::ContainerId};
use dhow_network::{Finding, Plan, Protocol, explain};
use dhow_state::{containers, pods, ports};
use std::net::IpAddr;

/// A container or a pod that has the port, and what a packet meets on its way there.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// Whose port it is.
    pub owner: ContainerId,
    /// Its name.
    pub name: String,
    /// As docker prints it: `0.0.0.0:8080->80/tcp`.
    pub port: String,
    /// What was found, in the packet's order.
    pub findings: Vec<Finding>,
}

impl Engine {
    /// Explains a port of the host's, for packets from an address or from anywhere.
    pub fn explain_port(
        &mut self,
        port: u16,
        protocol: Protocol,
        from: Option<IpAddr>,
    ) -> Result<Vec<Explanation>> {
        let name = protocol.name();
        let holders = ports::holders(self.state.read(), name, port)?;
        if holders.is_empty() {
            let text = format!("explain port {port}/{name}: no container that runs publishes it");
            return Err(Error::new(Kind::NotFound, text).hint("`ps` lists the published ports"));
        }
        let mut all = Vec::new();
        for (owner, row) in holders {
            let published = publication(&row)?;
            let Some(plan) = self.plan_of_publisher(&owner)? else { continue };
            let findings =
                explain(&plan, &published, from).doing(|| format!("explain port {port}/{name}"))?;
            let name = self.name_of_owner(&owner)?;
            all.push(Explanation { owner, name, port: published.to_string(), findings });
        }
        Ok(all)
    }

    /// The networks of a container or a pod that is published, with the user's way to it.
    fn plan_of_publisher(&self, owner: &ContainerId) -> Result<Option<Plan>> {
        if let Some(row) = containers::find(self.state.read(), owner)? {
            let record = Record::parse(&row.settings)?;
            if let Some(options) = record.pasta() {
                return Ok(Some(self.pasta_plan(owner, &record, options)));
            }
        }
        let plan = self.network_plan_as_is(owner)?;
        Ok(plan.map(|plan| Plan { outlet: self.outlet_as_is(owner), ..plan }))
    }

    fn name_of_owner(&self, owner: &ContainerId) -> Result<String> {
        let read = self.state.read();
        if let Some(row) = containers::find(read, owner)? {
            return Ok(row.name.to_string());
        }
        let pod = pods::find(read, owner)?;
        Ok(pod.map_or_else(|| owner.short().to_string(), |pod| pod.name.to_string()))
    }
}
