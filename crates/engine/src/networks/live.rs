//! Connections of a container that runs: its monitor carries them out, and says when they are there.
//!
//! ```text
//!  connect:    row ─▶ address, name ─▶ the monitor: link, firewall, names ─▶ /etc/hosts
//!  disconnect: the monitor ─▶ name gone ─▶ row gone ─▶ /etc/hosts
//! ```
//!
//! A kill in between leaves a row that says more than the container has, or as much: it counts at the
//! next start.

use crate::{Engine, files, record::Record, resolv_conf};
use dhow_base::{Error, Kind, Result, id::ContainerId};
use dhow_monitor::Client;
use dhow_network::{Attachment, Driver, Plan, names};
use dhow_state::{
    containers::{Container, Phase},
    endpoints,
};

impl Engine {
    /// Carries out the connection to this network whose row has just been written. Where that fails,
    /// the row is gone again.
    pub(super) fn connect_live(
        &mut self,
        row: &Container,
        record: &Record,
        network: &ContainerId,
    ) -> Result<()> {
        let connected = self.connect_now(row, record, network);
        if connected.is_err() {
            // What is left says less than why it failed.
            let _left = names::leave(&self.layout.network(network), row.id.as_str());
            let _left = self.part_with_plugins(row, network);
            self.state.write(|write| endpoints::disconnect(write, &row.id, network).map(drop))?;
        }
        connected
    }

    fn connect_now(
        &mut self,
        row: &Container,
        record: &Record,
        network: &ContainerId,
    ) -> Result<()> {
        let before = self.network_plan_as_is(&row.id)?;
        let mut plan = self.enter_networks(row, record)?.unwrap_or_default();
        let new = plan.attachments.iter().find(|one| one.network.id == network.as_str());
        if let Some(new) = new.filter(|one| one.network.driver == Driver::Cni) {
            self.plug_live(row, &new.network.clone())?;
            plan = self.enter_networks(row, record)?.unwrap_or_default();
        }
        self.monitor_of(row)?.change_networks(&plan)?;
        let run = self.layout.run(&row.id);
        // The row of the new one is there already.
        let others = before.iter().flat_map(|plan| &plan.attachments);
        let mut others = others.filter(|one| one.network.id != network.as_str());
        let had_resolver = others.any(|one| one.network.resolves_names);
        if plan.resolver.is_some() && !had_resolver {
            files::rewrite_resolv_conf(&run, record, &plan)?;
        }
        files::readdress(&run, record, &addresses(before.as_ref()), &addresses(Some(&plan)))
    }

    /// Has plugins take a connection away, where they have made it; with the last one goes what is
    /// held for them.
    fn part_with_plugins(&self, row: &Container, network: &ContainerId) -> Result<()> {
        let plan = self.network_plan_as_is(&row.id)?.unwrap_or_default();
        let (gone, others): (Vec<_>, Vec<_>) =
            plan.attachments.iter().partition(|one| one.network.id == network.as_str());
        let is_plugged = |one: &&Attachment| one.network.driver == Driver::Cni;
        if !gone.iter().any(is_plugged) {
            return Ok(());
        }
        self.unplug(&row.id, network)?;
        match others.iter().any(is_plugged) {
            true => Ok(()),
            false => self.let_go_of_namespace(&row.id),
        }
    }

    /// Has a running container part with a network, whose row is still there.
    pub(super) fn disconnect_live(
        &mut self,
        row: &Container,
        record: &Record,
        network: &ContainerId,
    ) -> Result<()> {
        let mut plan = self.network_plan_as_is(&row.id)?.unwrap_or_default();
        let before = addresses(Some(&plan));
        let directory = self.layout.network(network);
        plan.attachments.retain(|one| one.network.id != network.as_str());
        let servers = resolv_conf::upstream(&record.names, &plan)?;
        plan.resolver = plan.resolver.map(|mut resolver| {
            resolver.networks.retain(|known| known.directory != directory);
            resolver.servers = servers;
            resolver
        });
        self.monitor_of(row)?.change_networks(&plan)?;
        self.part_with_plugins(row, network)?;
        names::leave(&directory, row.id.as_str())?;
        files::readdress(&self.layout.run(&row.id), record, &before, &addresses(Some(&plan)))
    }

    /// Tells the monitor of a container which servers it asks for names from now on.
    pub(super) fn tell_servers(&self, row: &Container, plan: &Plan) -> Result<()> {
        match Client::connect(&self.layout.run(&row.id))? {
            Some(monitor) if plan.resolver.is_some() => monitor.change_networks(plan),
            _ => Ok(()),
        }
    }

    fn monitor_of(&self, row: &Container) -> Result<Client> {
        Client::connect(&self.layout.run(&row.id))?.ok_or_else(|| {
            Error::new(Kind::Conflict, "ask its monitor: there is none any more")
                .hint("start the container anew")
        })
    }
}

/// Whether its connections are carried out at once.
pub(super) fn is_live(row: &Container) -> bool {
    row.phase == Phase::Running
}

/// All addresses of a plan's.
pub(super) fn addresses(plan: Option<&Plan>) -> Vec<std::net::IpAddr> {
    let all = plan.into_iter().flat_map(|plan| &plan.attachments);
    all.flat_map(|one| one.addresses.iter().map(|own| own.address)).collect()
}
