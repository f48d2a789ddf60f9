//! Whether the devices of those who run are where they were made. Nothing here is mended: who made a bridge
//! anew would not have its ports back, so the user is told, and starts the containers again.

use crate::Engine;
use dhow_base::{Result, id::ContainerId};
use dhow_image::Finding;
use dhow_network::Missing;
use dhow_state::{
    containers::{self, Container, Phase},
    endpoints, pods,
};
use std::collections::BTreeSet;

impl Engine {
    /// A container or a pod that runs has to be on its networks.
    pub(super) fn check_devices(&mut self, findings: &mut Vec<Finding>) -> Result<()> {
        let endpoints = endpoints::list(self.state.read())?;
        let owners: BTreeSet<ContainerId> = endpoints.into_iter().map(|one| one.owner).collect();
        for owner in owners {
            let Some((name, first)) = self.missing_of(&owner)? else { continue };
            if first.is_empty() {
                continue;
            }
            // Who was being connected, or came to its end, was seen half.
            let Some((_, again)) = self.missing_of(&owner)? else { continue };
            let lasting = first.into_iter().filter(|one| again.contains(one));
            findings.extend(lasting.map(|Missing { network, what }| Finding {
                object: name.clone(),
                problem: format!("it is not on network {network}: {what}; restart it"),
            }));
        }
        Ok(())
    }

    /// The name of a container or a pod that runs, and what it misses on its networks.
    fn missing_of(&mut self, owner: &ContainerId) -> Result<Option<(String, Vec<Missing>)>> {
        let Some(plan) = self.network_plan_as_is(owner)? else { return Ok(None) };
        let mut missing = Vec::new();
        // An ordinary user's are on their ground.
        let looked = self.on_ground(|| {
            missing = dhow_network::missing(&plan)?;
            Ok(())
        });
        // Who lives still was alive while we looked.
        let name = self.name_of_running(owner)?;
        looked?;
        Ok(name.map(|name| (name, missing)))
    }

    /// The name of a container or of a pod, if its processes are there.
    fn name_of_running(&self, owner: &ContainerId) -> Result<Option<String>> {
        let read = self.state.read();
        if let Some(row) = containers::find(read, owner)? {
            return Ok(has_process(&row)?.then_some(row.name));
        }
        let Some(pod) = pods::find(read, owner)? else { return Ok(None) };
        for member in pods::members(read, owner)? {
            if let Some(row) = containers::find(read, &member)?
                && has_process(&row)?
            {
                return Ok(Some(pod.name.to_string()));
            }
        }
        Ok(None)
    }
}

fn has_process(row: &Container) -> Result<bool> {
    match row.process.filter(|_| row.phase == Phase::Running) {
        Some(process) => Ok(crate::end::open(process)?.is_some()),
        None => Ok(false),
    }
}
