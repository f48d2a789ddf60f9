//! `portmap`: ports of the host's that lead to the container.

use super::{asked::Asked, ruleset::Ruleset};
use crate::{
    InterfaceAddress, Protocol, Publication,
    cni::{Outcome, Refusal},
    forwarding,
};
use serde::Deserialize;
use std::net::IpAddr;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Configuration {
    /// Whether the host itself, and the container's neighbours, are led there too.
    #[serde(default = "yes")]
    snat: bool,
    #[serde(default, rename = "conditionsV4")]
    conditions4: Option<Vec<String>>,
    #[serde(default, rename = "conditionsV6")]
    conditions6: Option<Vec<String>>,
}

fn yes() -> bool {
    true
}

/// A port as engines ask for it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mapping {
    host_port: u16,
    container_port: u16,
    #[serde(default)]
    protocol: String,
    #[serde(default, rename = "hostIP")]
    host: String,
}

impl Mapping {
    fn publication(&self) -> Result<Publication, Refusal> {
        let refused = |text| Err(Refusal::new(Refusal::BAD_CONFIGURATION, text));
        let Self { host_port, container_port, .. } = *self;
        if host_port == 0 || container_port == 0 {
            return refused(format!("Invalid port mapping {host_port}:{container_port}"));
        }
        let name = self.protocol.to_ascii_lowercase();
        let named =
            |one: &Protocol| one.name() == name || (name.is_empty() && *one == Protocol::Tcp);
        let Some(protocol) = Protocol::ALL.into_iter().find(named) else {
            return refused(format!("Invalid protocol {:?}", self.protocol));
        };
        let host = match self.host.as_str() {
            "" => None,
            text => match text.parse::<IpAddr>() {
                Ok(host) => Some(host),
                Err(_) => return refused(format!("Invalid host IP {text:?}")),
            },
        };
        Ok(Publication { protocol, host, host_port, host_port_last: None, container_port })
    }
}

fn publications(asked: &Asked) -> Result<Vec<Publication>, Refusal> {
    let mappings: Vec<Mapping> = asked.runtime("portMappings")?.unwrap_or_default();
    mappings.iter().map(Mapping::publication).collect()
}

/// The container's first address of each version.
fn targets(before: &Outcome) -> Vec<InterfaceAddress> {
    let of = |is_ipv6| before.addresses().find(|ip| ip.address.address.is_ipv6() == is_ipv6);
    [of(false), of(true)].into_iter().flatten().map(|ip| ip.address).collect()
}

pub(super) fn add(asked: &Asked) -> Result<Outcome, Refusal> {
    let configuration: Configuration = asked.configuration()?;
    let before = asked.needed_before()?;
    let publications = publications(asked)?;
    if publications.is_empty() {
        return Ok(before);
    }
    if configuration.conditions4.is_some() || configuration.conditions6.is_some() {
        let text = "conditionsV4 and conditionsV6 are arguments of iptables, which is not used";
        return Err(Refusal::new(Refusal::UNSUPPORTED_FIELD, text));
    }
    let device = before.interfaces.iter().find(|one| one.sandbox.is_empty());
    let device = device.filter(|_| configuration.snat).map(|one| one.name.as_str());
    let ruleset = Ruleset::open()?;
    for target in targets(&before) {
        ruleset.publish(&publications, target, device)?;
        forwarding::forward(target.address.is_ipv6())?;
        // After the rule that drops what must not come in by it.
        if let Some(device) = device.filter(|_| target.address.is_ipv4()) {
            forwarding::route_loopback(device)?;
        }
    }
    Ok(before)
}

pub(super) fn del(asked: &Asked) -> Result<(), Refusal> {
    let Some(before) = asked.before()? else { return Ok(()) };
    let addresses: Vec<IpAddr> = before.ips.iter().map(|ip| ip.address.address).collect();
    Ok(Ruleset::open()?.forget_ports(&addresses)?)
}

pub(super) fn check(asked: &Asked) -> Result<(), Refusal> {
    let before = asked.needed_before()?;
    let publications = publications(asked)?;
    let ruleset = Ruleset::open()?;
    for target in targets(&before) {
        if !ruleset.leads(&publications, target.address)? {
            let text = format!("not all published ports lead to {}", target.address);
            return Err(Refusal::new(Refusal::OTHER, text));
        }
    }
    Ok(())
}
