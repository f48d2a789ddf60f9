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
use dhow_network::{Plan, names};
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
        let connected = self.connect_now(row, record);
        if connected.is_err() {
            // What is left says less than why it failed.
            let _left = names::leave(&self.layout.network(network), row.id.as_str());
            self.state.write(|write| endpoints::disconnect(write, &row.id, network).map(drop))?;
        }
        connected
    }

    fn connect_now(&mut self, row: &Container, record: &Record) -> Result<()> {
        let before = addresses(self.network_plan_as_is(&row.id)?.as_ref());
        let plan = self.enter_networks(row, record)?.unwrap_or_default();
        self.monitor_of(row)?.change_networks(&plan)?;
        files::readdress(&self.layout.run(&row.id), record, &before, &addresses(Some(&plan)))
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
        names::leave(&directory, row.id.as_str())?;
        files::readdress(&self.layout.run(&row.id), record, &before, &addresses(Some(&plan)))
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

fn addresses(plan: Option<&Plan>) -> Vec<std::net::IpAddr> {
    let all = plan.into_iter().flat_map(|plan| &plan.attachments);
    all.flat_map(|one| one.addresses.iter().map(|own| own.address)).collect()
}
