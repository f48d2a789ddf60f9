//! What is to be done for a container's connections: rows as a [`Plan`].

use super::{Settings, connect::EndpointSettings, given::is_given};
use crate::{Engine, layout::Layout};
use dhow_base::{Digest, Doing, Error, Kind, Result, id::ContainerId};
use dhow_network::{Attachment, InterfaceAddress, NamedNetwork, Plan, Range, ResolverPlan};
use dhow_state::{
    Read, Write,
    endpoints::{self, Endpoint},
    leases::{self, Pool},
    networks, ports,
};
use std::net::IpAddr;

/// The addresses of a container or a pod are free again, and nothing is published of it; for the
/// transaction in which its life ends. What is on the host has to be gone by then.
pub(super) fn release(write: &Write<'_>, owner: &ContainerId) -> Result<()> {
    leases::release(write, owner)?;
    ports::withdraw(write, owner)
}

impl Engine {
    /// The networks of a container or a pod that is about to start, with addresses that are its own
    /// from now on; `None` where it is connected to none. Who is published and who resolves names for
    /// it is added by whoever knows.
    pub(super) fn network_plan(&mut self, owner: &ContainerId) -> Result<Option<Plan>> {
        let connections = endpoints::of_owner(self.state.read(), owner)?;
        if connections.is_empty() {
            return Ok(None);
        }
        self.state.write(|write| {
            for connection in &connections {
                lease(write, connection)?;
            }
            Ok(())
        })?;
        self.network_plan_as_is(owner)
    }

    /// The same, with the addresses that it has; to take away what is on the host.
    pub(crate) fn network_plan_as_is(&self, owner: &ContainerId) -> Result<Option<Plan>> {
        let read = self.state.read();
        let connections = endpoints::of_owner(read, owner)?;
        let mut plan = Plan { owner: owner.to_string(), ..Plan::default() };
        let mut resolver = ResolverPlan::default();
        for connection in &connections {
            let attachment = attachment(read, connection)?;
            let network = &attachment.network;
            if network.resolves_names {
                let directory = directory(&self.layout, connection);
                resolver.networks.push(NamedNetwork { name: network.name.clone(), directory });
            }
            for server in &network.servers {
                if !resolver.servers.contains(server) {
                    resolver.servers.push(*server);
                }
            }
            plan.attachments.push(attachment);
        }
        plan.resolver = (!resolver.networks.is_empty()).then_some(resolver);
        Ok((!plan.is_empty()).then_some(plan))
    }
}

fn directory(layout: &Layout, connection: &Endpoint) -> std::path::PathBuf {
    layout.network(&connection.network)
}

fn settings_of(read: &Read, connection: &Endpoint) -> Result<Settings> {
    let row = networks::find(read, &connection.network)?.ok_or_else(|| {
        let text = format!("find network {}: it is gone", connection.network.short());
        Error::new(Kind::Corrupt, text)
    })?;
    Settings::of(&row)
}

/// Gives a connection an address of each version that its network has.
fn lease(write: &Write<'_>, connection: &Endpoint) -> Result<()> {
    let settings = settings_of(write, connection)?;
    let reserved = settings.reserved_addresses();
    for range in &settings.made.subnets {
        let (first, last) = pool(range).ok_or_else(|| {
            Error::new(Kind::Exhausted, format!("{} has no room for a device", range.subnet))
        })?;
        let pool = Pool { first, last, reserved: &reserved };
        leases::lease(write, &connection.owner, &connection.network, &pool)
            .doing(|| format!("lease an address of network {}", settings.made.name))?;
    }
    Ok(())
}

/// The first and the last address that is leased.
fn pool(range: &Range) -> Option<(IpAddr, IpAddr)> {
    if range.leased.is_some() {
        return range.leased;
    }
    let (first, last) = range.subnet.places()?;
    range.subnet.nth(first).zip(range.subnet.nth(last))
}

fn attachment(read: &Read, connection: &Endpoint) -> Result<Attachment> {
    let mut network = settings_of(read, connection)?.made;
    let given = match is_given(&network) {
        true => EndpointSettings::of(connection)?.given,
        false => None,
    };
    if let Some(given) = given {
        given.lay_on(&mut network);
        return Ok(Attachment {
            addresses: given.addresses(),
            interface: connection.interface.clone(),
            host_interface: host_interface(connection),
            mac: connection.mac.parse()?,
            network,
        });
    }
    let held = connection.ip4.map(IpAddr::V4).into_iter().chain(connection.ip6.map(IpAddr::V6));
    let addresses = held.filter_map(|address| {
        let range = network.subnets.iter().find(|range| range.subnet.contains(address))?;
        Some(InterfaceAddress { address, prefix: range.subnet.prefix() })
    });
    Ok(Attachment {
        addresses: addresses.collect(),
        interface: connection.interface.clone(),
        host_interface: host_interface(connection),
        mac: connection.mac.parse()?,
        network,
    })
}

/// The name of a connection's end on the host: the same at each start, and no other's.
fn host_interface(connection: &Endpoint) -> String {
    format!("dv-{}", &endpoint_id(&connection.owner, &connection.network.to_string())[..12])
}

/// What docker would call a connection.
pub(super) fn endpoint_id(owner: &ContainerId, network: &str) -> String {
    Digest::of(format!("{owner}{network}").as_bytes()).hex().to_owned()
}
