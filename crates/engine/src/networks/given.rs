//! What others have given a connection for a life: plugins of CNI, or a server of addresses.
//!
//! It is kept in the connection's row, so that whoever shows the container, or makes a plan of its
//! networks, finds it there. Where a network is ours, its addresses are leases of our own instead.

use super::connect::EndpointSettings;
use dhow_base::{Error, Kind, Result};
use dhow_network::{
    Driver, InterfaceAddress, Leased, Network as Made, Range, Subnet,
    cni::{Ip, Outcome},
};
use dhow_state::{
    Write,
    endpoints::{self, Endpoint},
};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses and what goes with them.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Given {
    /// In their order.
    addresses: Vec<GivenAddress>,
    /// Servers to ask for names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    servers: Vec<IpAddr>,
    /// Domains that short names are looked up in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    searches: Vec<String>,
    /// The hardware address, where it is not the one that the row had.
    #[serde(skip)]
    mac: Option<String>,
}

/// An address of the connection's device.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct GivenAddress {
    address: InterfaceAddress,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gateway: Option<IpAddr>,
}

/// Whether the addresses of a network's containers are given by others.
pub(super) fn is_given(made: &Made) -> bool {
    made.driver == Driver::Cni || made.leases
}

impl Given {
    /// What plugins say that they have made of a device in the container.
    pub(super) fn by_plugins(outcome: &Outcome, interface: &str) -> Self {
        let device_of = |ip: &Ip| ip.interface.and_then(|place| outcome.interfaces.get(place));
        let is_inside = |ip: &&Ip| device_of(ip).is_none_or(|device| !device.sandbox.is_empty());
        let address = |ip: &Ip| GivenAddress { address: ip.address, gateway: ip.gateway };
        let mut inside = outcome.interfaces.iter().filter(|device| !device.sandbox.is_empty());
        let device = inside.find(|device| device.name == interface && !device.mac.is_empty());
        let domain = Some(&outcome.dns.domain).filter(|domain| !domain.is_empty());
        Self {
            addresses: outcome.ips.iter().filter(is_inside).map(address).collect(),
            servers: outcome.dns.nameservers.iter().filter_map(|text| text.parse().ok()).collect(),
            searches: domain.into_iter().chain(&outcome.dns.search).cloned().collect(),
            mac: device.map(|device| device.mac.clone()),
        }
    }

    /// What a server has leased.
    pub(super) fn by_server(leased: &Leased) -> Self {
        Self {
            addresses: vec![GivenAddress { address: leased.address, gateway: leased.gateway }],
            servers: leased.servers.clone(),
            searches: leased.searches.clone(),
            mac: None,
        }
    }

    /// The addresses that the device has.
    pub(super) fn addresses(&self) -> Vec<InterfaceAddress> {
        self.addresses.iter().map(|one| one.address).collect()
    }

    /// Whether one of them is this one.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|one| one.address.address == address)
    }

    /// Whether the device got another hardware address than this one.
    pub(super) fn has_other_mac(&self, mac: &str) -> bool {
        self.mac.as_ref().is_some_and(|given| !given.eq_ignore_ascii_case(mac))
    }

    /// A network as this connection sees it: with the subnets that its addresses are in.
    pub(super) fn lay_on(&self, made: &mut Made) {
        made.subnets = Vec::new();
        for one in &self.addresses {
            let InterfaceAddress { address, prefix } = one.address;
            if let Some(subnet) = Subnet::around(address, prefix) {
                made.subnets.push(Range { subnet, gateway: one.gateway, leased: None });
            }
        }
        // What whoever made the network has said counts.
        if made.servers.is_empty() {
            made.servers.clone_from(&self.servers);
        }
        made.searches.clone_from(&self.searches);
    }

    /// Writes it into a connection's row, which has the first address of each version.
    pub(super) fn write(&self, write: &Write<'_>, endpoint: &Endpoint) -> Result<()> {
        let first4 = |one: &GivenAddress| match one.address.address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        };
        let first6 = |one: &GivenAddress| match one.address.address {
            IpAddr::V6(address) => Some(address),
            IpAddr::V4(_) => None,
        };
        let mac = self.mac.as_deref().unwrap_or(&endpoint.mac);
        let ip4: Option<Ipv4Addr> = self.addresses.iter().find_map(first4);
        let ip6: Option<Ipv6Addr> = self.addresses.iter().find_map(first6);
        let settings =
            EndpointSettings { given: Some(self.clone()), ..EndpointSettings::of(endpoint)? };
        let text = settings.to_text()?;
        endpoints::give(write, endpoint, &endpoints::Gift { mac, ip4, ip6, settings: &text })
    }
}

/// Forgets what was given to a connection.
pub(super) fn forget(write: &Write<'_>, endpoint: &Endpoint) -> Result<()> {
    let settings = EndpointSettings::of(endpoint)?;
    if settings.given.is_none() {
        return Ok(());
    }
    let text = EndpointSettings { given: None, ..settings }.to_text()?;
    endpoints::set_settings(write, endpoint, &text)
}

impl EndpointSettings {
    pub(super) fn to_text(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| {
            Error::new(Kind::Internal, "write the settings of a connection").because(error)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_network::cni::Version;
    use serde_json::json;

    #[test]
    fn what_is_inside_counts_and_shows_the_network_as_the_container_sees_it() {
        let outcome = json!({
            "cniVersion": "1.0.0",
            "interfaces": [
                {"name": "cni0", "mac": "02:00:00:00:00:01"},
                {"name": "eth0", "mac": "02:00:00:00:00:02", "sandbox": "/run/netns/x"},
            ],
            "ips": [
                {"address": "10.1.0.1/24", "interface": 0},
                {"address": "10.1.0.7/24", "gateway": "10.1.0.1", "interface": 1},
                {"address": "fd01::7/64"},
            ],
            "dns": {"nameservers": ["10.1.0.1", "x"], "domain": "home.arpa", "search": ["lan"]},
        });
        let outcome = Outcome::parse(&outcome, Version::NEWEST).unwrap();

        let given = Given::by_plugins(&outcome, "eth0");

        let shown: Vec<String> = given.addresses().iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["10.1.0.7/24", "fd01::7/64"]);
        assert!(given.has_other_mac("02:00:00:00:00:01"));
        assert!(!given.has_other_mac("02:00:00:00:00:02"));
        let mut made = Made { driver: Driver::Cni, ..Made::default() };
        given.lay_on(&mut made);
        assert_eq!(made.subnets[0].subnet.to_string(), "10.1.0.0/24");
        assert_eq!(made.subnets[0].gateway, Some("10.1.0.1".parse().unwrap()));
        assert_eq!(made.searches, ["home.arpa", "lan"]);
        assert_eq!(made.servers, ["10.1.0.1".parse::<IpAddr>().unwrap()]);
    }
}
