//! Connections of a container that runs: its monitor carries them out, and says when they are there.
//!
//! ```text
//!  connect:    row "connecting" ─▶ address, name ─▶ the monitor: link, firewall, names ─▶ /etc/hosts ─▶ row
//!  disconnect: row "disconnecting" ─▶ the monitor ─▶ name gone ─▶ /etc/hosts ─▶ row gone
//! ```
//!
//! What a kill in between leaves is taken away, whichever it was: a connection of which nobody was told
//! that it is there, or one that was to go. That does whoever has the container's turn next, to change
//! its connections or to start it, and the doctor.

use super::{Settings, connect::EndpointSettings, tell};
use crate::{Engine, claim::Turn, files, record::Record, resolv_conf};
use dhow_base::{Doing, Error, Kind, Result, id::ContainerId};
use dhow_image::Finding;
use dhow_monitor::Client;
use dhow_network::{Attachment, Driver, Network as Made, Plan, names};
use dhow_state::{
    Write,
    containers::{self, Container, Phase},
    endpoints::{self, Endpoint},
    networks,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What is being done with a connection of a container that runs.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Unfinished {
    /// It is being made.
    Connecting,
    /// It is being taken away.
    Disconnecting,
}

/// Writes what is being done with a connection, or that it is done.
fn mark(write: &Write<'_>, endpoint: &Endpoint, unfinished: Option<Unfinished>) -> Result<()> {
    let settings = EndpointSettings { unfinished, ..EndpointSettings::of(endpoint)? };
    endpoints::set_settings(write, endpoint, &settings.to_text()?)
}

impl Engine {
    /// Carries out the connection to this network whose row has just been written. Where that fails,
    /// the row is gone again.
    pub(super) fn connect_live(
        &mut self,
        row: &Container,
        record: &Record,
        made: &Made,
    ) -> Result<()> {
        let network: &ContainerId = &made.id.parse()?;
        let connected = self.connect_now(row, record, network);
        if connected.is_err() {
            // What is left says less than why it failed.
            let _left = names::leave(&self.layout.network(network), row.id.as_str());
            let _left = self.part_with_plugins(row, network);
            self.state.write(|write| endpoints::disconnect(write, &row.id, network).map(drop))?;
            return connected;
        }
        self.state.write(|write| {
            if let Some(endpoint) = endpoints::find(write, &row.id, network)? {
                mark(write, &endpoint, None)?;
            }
            tell(write, made, "connect", Some(row.id.as_str()))
        })
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
        self.state.write(|write| match endpoints::find(write, &row.id, network)? {
            Some(endpoint) => mark(write, &endpoint, Some(Unfinished::Disconnecting)),
            None => Ok(()),
        })?;
        self.part_live(row, record, network)
    }

    fn part_live(&self, row: &Container, record: &Record, network: &ContainerId) -> Result<()> {
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

    /// Takes away the connections that killed commands were about to make or to take away.
    pub(crate) fn settle_connections(&mut self, _turn: &Turn, row: &Container) -> Result<()> {
        for endpoint in endpoints::of_owner(self.state.read(), &row.id)? {
            let Some(unfinished) = EndpointSettings::of(&endpoint)?.unfinished else { continue };
            self.settle_connection(row, &endpoint, unfinished)
                .doing(|| format!("take a connection of container {} away", row.name))?;
        }
        Ok(())
    }

    fn settle_connection(
        &mut self,
        row: &Container,
        endpoint: &Endpoint,
        unfinished: Unfinished,
    ) -> Result<()> {
        let network = &endpoint.network;
        if is_live(row) {
            self.part_live(row, &Record::parse(&row.settings)?, network)?;
        } else {
            if let Err(error) = self.part_with_plugins(row, network) {
                // The doctor asks them again. They must not be able to keep a container from its start.
                (self.warn)(&error.one_line());
            }
            names::leave(&self.layout.network(network), row.id.as_str())?;
        }
        let of = networks::find(self.state.read(), network)?;
        self.state.write(|write| {
            endpoints::disconnect(write, &row.id, network)?;
            // Of one that was not made yet nobody was told.
            match of.filter(|_| unfinished == Unfinished::Disconnecting) {
                Some(of) => {
                    tell(write, &Settings::of(&of)?.made, "disconnect", Some(row.id.as_str()))
                }
                None => Ok(()),
            }
        })
    }

    /// The same of all containers, after whoever is at it now.
    pub(super) fn settle_all_connections(&mut self, findings: &mut Vec<Finding>) -> Result<()> {
        let mut owners = BTreeSet::new();
        for endpoint in endpoints::list(self.state.read())? {
            if EndpointSettings::of(&endpoint)?.unfinished.is_some() {
                owners.insert(endpoint.owner);
            }
        }
        for owner in owners {
            let Some(row) = containers::find(self.state.read(), &owner)? else { continue };
            let object = row.name.clone();
            if let Err(error) = self.settle_connections_of(row) {
                findings.push(Finding { object, problem: error.one_line() });
            }
        }
        Ok(())
    }

    fn settle_connections_of(&mut self, row: Container) -> Result<()> {
        // One that has ended is written down as such first.
        let Some(row) = self.refreshed(row)? else { return Ok(()) };
        let turn = self.turn(&row.id)?;
        match containers::find(self.state.read(), &row.id)? {
            Some(row) => self.settle_connections(&turn, &row),
            None => Ok(()),
        }
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
