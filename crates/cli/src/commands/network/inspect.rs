//! `network inspect`: all that is known of networks.

use super::{super::documents::Documents, shown_name};
use crate::{invocation::Invocation, manners::Manners, tree::Act};
use dhow_base::Result;
use dhow_engine::{Connected, Network};
use dhow_network::{Range, Subnet};
use serde_json::{Map, Value, json};
use std::net::IpAddr;

/// Show all that is known of networks
#[derive(clap::Args, Debug)]
pub(crate) struct Inspect {
    /// The networks
    #[arg(required = true, value_name = "NETWORK")]
    networks: Vec<String>,

    /// Print as json or by a template such as '{{.Driver}}'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,

    /// Accepted for docker's sake: there is nothing more to show
    #[arg(short, long, hide = true)]
    verbose: bool,

    /// The scope; there is local
    #[arg(long, value_name = "SCOPE", hide = true)]
    scope: Option<String>,
}

impl Act for Inspect {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut documents = Documents::new(self.format.as_deref())?;
        let mut engine = super::engine(invocation)?;
        for name in &self.networks {
            let document = engine.network(name).map(|network| match invocation.manners {
                Manners::Podman => podmans(&network, Part::Whole),
                _ => document(&network),
            });
            documents.take(document, invocation);
        }
        documents.print(invocation)
    }
}

/// Docker's document.
pub(crate) fn document(network: &Network) -> Value {
    let made = &network.made;
    let has = |ipv6| made.subnets.iter().any(|range| range.subnet.is_ipv6() == ipv6);
    let config: Vec<Value> =
        made.subnets.iter().map(|range| docker_range(network, range)).collect();
    let running = network.connected.iter().filter(|one| one.is_running);
    let containers: Map<String, Value> =
        running.map(|one| (one.owner.to_string(), docker_container(network, one))).collect();
    let config =
        if network.is_builtin() && config.is_empty() { Value::Null } else { json!(config) };
    let mut document = json!({
        "Name": network.name,
        "Id": network.id,
        "Created": network.created.rfc3339(),
        "Scope": "local",
        "Driver": network.driver,
        "EnableIPv4": has(false),
        "EnableIPv6": has(true),
        "IPAM": {
            "Driver": network.ipam,
            "Options": network.ipam_options,
            "Config": config,
        },
        "Internal": made.internal,
        "Attachable": network.attachable,
        "Ingress": false,
        "ConfigFrom": { "Network": "" },
        "ConfigOnly": false,
        "Containers": containers,
        "Options": network.options,
        "Labels": network.labels,
    });
    if let Some(list) = &network.list {
        document["CNI"] = json!({ "File": list.file, "List": list.to_json() });
    }
    document
}

fn docker_range(network: &Network, range: &Range) -> Value {
    let mut config = Map::from_iter([("Subnet".to_owned(), json!(range.subnet))]);
    if let Some((first, last)) = range.leased {
        config.insert("IPRange".to_owned(), json!(words_of_range(range.subnet, first, last)));
    }
    if let Some(gateway) = range.gateway {
        config.insert("Gateway".to_owned(), json!(gateway));
    }
    let reserved: Map<String, Value> = network
        .reserved
        .iter()
        .filter(|(_, address)| range.subnet.contains(**address))
        .map(|(name, address)| (name.clone(), json!(address)))
        .collect();
    if !reserved.is_empty() {
        config.insert("AuxiliaryAddresses".to_owned(), Value::Object(reserved));
    }
    Value::Object(config)
}

/// A range as a subnet where it is one, but for addresses that no device can have.
fn words_of_range(whole: Subnet, first: IpAddr, last: IpAddr) -> String {
    let longest = if whole.is_ipv6() { 128 } else { 32 };
    let around = (whole.prefix()..=longest).rev().filter_map(|prefix| Subnet::around(last, prefix));
    let smallest = around.into_iter().find(|subnet| subnet.contains(first));
    let (least, most) = whole.places().unwrap_or_default();
    let is_whole = |subnet: &Subnet| {
        let place = |address| whole.place_of(address).unwrap_or_default();
        whole.nth(place(subnet.first()).max(least)) == Some(first)
            && whole.nth(place(subnet.last()).min(most)) == Some(last)
    };
    match smallest.filter(is_whole) {
        Some(subnet) => subnet.to_string(),
        None => format!("{first}-{last}"),
    }
}

fn docker_container(network: &Network, one: &Connected) -> Value {
    let within = |address: Option<IpAddr>| with_prefix(network, address).unwrap_or_default();
    json!({
        "Name": one.name,
        "EndpointID": one.endpoint_id(network),
        "MacAddress": one.mac,
        "IPv4Address": within(one.ip4.map(IpAddr::V4)),
        "IPv6Address": within(one.ip6.map(IpAddr::V6)),
    })
}

/// `10.89.0.7/24`.
fn with_prefix(network: &Network, address: Option<IpAddr>) -> Option<String> {
    let address = address?;
    let range = network.made.subnets.iter().find(|range| range.subnet.contains(address))?;
    Some(format!("{address}/{}", range.subnet.prefix()))
}

/// How much of podman's document is wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// As in lists.
    WithoutContainers,
}

/// Podman's document.
pub(super) fn podmans(network: &Network, part: Part) -> Value {
    let made = &network.made;
    let ipam = match network.ipam.as_str() {
        "default" => "host-local",
        other => other,
    };
    let mut ipam_options = Map::from_iter([("driver".to_owned(), json!(ipam))]);
    ipam_options
        .extend(network.ipam_options.iter().map(|(key, value)| (key.clone(), json!(value))));
    let mut document = json!({
        "name": shown_name(&network.name, Manners::Podman),
        "id": network.id,
        "driver": network.driver,
        "network_interface": made.device,
        "created": network.created.rfc3339(),
        "subnets": made.subnets.iter().map(podman_range).collect::<Vec<_>>(),
        "ipv6_enabled": made.subnets.iter().any(|range| range.subnet.is_ipv6()),
        "internal": made.internal,
        "dns_enabled": made.resolves_names,
        "ipam_options": ipam_options,
    });
    let Value::Object(fields) = &mut document else { return document };
    if !made.routes.is_empty() {
        let route = |route: &dhow_network::Route| json!({ "destination": route.to, "gateway": route.gateway, "metric": route.metric });
        fields.insert("routes".to_owned(), made.routes.iter().map(route).collect());
    }
    if !made.servers.is_empty() {
        fields.insert("network_dns_servers".to_owned(), json!(made.servers));
    }
    if !network.labels.is_empty() {
        fields.insert("labels".to_owned(), json!(network.labels));
    }
    if !network.options.is_empty() {
        fields.insert("options".to_owned(), json!(network.options));
    }
    if let Some(list) = &network.list {
        fields.insert("cni".to_owned(), json!({ "file": list.file, "list": list.to_json() }));
    }
    if part == Part::Whole {
        let running = network.connected.iter().filter(|one| one.is_running);
        let containers: Map<String, Value> =
            running.map(|one| (one.owner.to_string(), podman_container(network, one))).collect();
        fields.insert("containers".to_owned(), Value::Object(containers));
    }
    document
}

fn podman_range(range: &Range) -> Value {
    let mut subnet = Map::from_iter([("subnet".to_owned(), json!(range.subnet))]);
    if let Some(gateway) = range.gateway {
        subnet.insert("gateway".to_owned(), json!(gateway));
    }
    if let Some((first, last)) = range.leased {
        subnet.insert("lease_range".to_owned(), json!({ "start_ip": first, "end_ip": last }));
    }
    Value::Object(subnet)
}

fn podman_container(network: &Network, one: &Connected) -> Value {
    let held = one.ip4.map(IpAddr::V4).into_iter().chain(one.ip6.map(IpAddr::V6));
    let subnets: Vec<Value> = held
        .filter_map(|address| {
            let range = network.made.subnets.iter().find(|range| range.subnet.contains(address))?;
            let ipnet = format!("{address}/{}", range.subnet.prefix());
            Some(json!({ "ipnet": ipnet, "gateway": range.gateway }))
        })
        .collect();
    json!({
        "name": one.name,
        "interfaces": { one.interface.clone(): { "subnets": subnets, "mac_address": one.mac } },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_shown_as_a_subnet_where_it_is_one() {
        for (first, last, expected) in [
            ("10.1.0.128", "10.1.0.254", "10.1.0.128/25"),
            ("10.1.0.1", "10.1.0.127", "10.1.0.0/25"),
            ("10.1.0.1", "10.1.0.254", "10.1.0.0/24"),
            ("10.1.0.64", "10.1.0.95", "10.1.0.64/27"),
            ("10.1.0.5", "10.1.0.9", "10.1.0.5-10.1.0.9"),
            ("10.1.0.7", "10.1.0.7", "10.1.0.7/32"),
        ] {
            let whole = "10.1.0.0/24".parse().unwrap();
            let shown = words_of_range(whole, first.parse().unwrap(), last.parse().unwrap());
            assert_eq!(shown, expected);
        }
    }
}
