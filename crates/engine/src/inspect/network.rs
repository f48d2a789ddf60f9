//! The `NetworkSettings` of a container's document, field by field as docker has them.

use crate::{Connection, Engine, options::DEFAULT_NETWORK, record::Record};
use dhow_base::{Result, id::ContainerId};
use dhow_network::{Range, Subnet};
use dhow_state::{
    containers::{Container, Phase},
    ports::Port,
};
use serde_json::{Map, Value, json};
use std::net::IpAddr;

pub(super) fn document(engine: &Engine, row: &Container, record: &Record) -> Result<Value> {
    let owner = owner(row, record)?;
    let connections = engine.connections(&owner)?;
    let published = engine.published_ports(&row.id)?;
    let is_running = row.phase == Phase::Running;
    let mut networks: Map<String, Value> = connections
        .iter()
        .map(|one| (one.network.name.clone(), network(one, row, record, is_running)))
        .collect();
    if networks.is_empty() && !record.network.starts_with("container:") {
        networks.insert(record.network.clone(), unconnected());
    }
    // Docker says at the top what the usual network gives.
    let usual = connections.iter().find(|one| one.network.name == DEFAULT_NETWORK);
    let top = match usual {
        Some(usual) => network(usual, row, record, is_running),
        None => unconnected(),
    };
    let key = row.process.filter(|_| is_running);
    let mut document = json!({
        "Bridge": "",
        "SandboxID": "",
        "SandboxKey": key.map(|process| format!("/proc/{}/ns/net", process.pid)).unwrap_or_default(),
        "Ports": ports(record, &published),
        "HairpinMode": false,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": null,
        "SecondaryIPv6Addresses": null,
    });
    for field in TOP {
        document[field] = top[field].clone();
    }
    document["Networks"] = Value::Object(networks);
    Ok(document)
}

/// What is said of the usual network at the top as well.
const TOP: [&str; 8] = [
    "EndpointID",
    "Gateway",
    "GlobalIPv6Address",
    "GlobalIPv6PrefixLen",
    "IPAddress",
    "IPPrefixLen",
    "IPv6Gateway",
    "MacAddress",
];

/// Whose connections are a container's: its pod's, where that has any.
fn owner(row: &Container, record: &Record) -> Result<ContainerId> {
    match &record.pod {
        Some(pod) => pod.parse(),
        None => Ok(row.id.clone()),
    }
}

fn unconnected() -> Value {
    json!({
        "IPAMConfig": null,
        "Links": null,
        "Aliases": null,
        "MacAddress": "",
        "DriverOpts": null,
        "GwPriority": 0,
        "NetworkID": "",
        "EndpointID": "",
        "Gateway": "",
        "IPAddress": "",
        "IPPrefixLen": 0,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "DNSNames": null,
    })
}

fn network(one: &Connection, row: &Container, record: &Record, is_running: bool) -> Value {
    let mut network = unconnected();
    let endpoint = &one.endpoint;
    let mut asked = Map::new();
    if let Some(address) = endpoint.ip4.filter(|_| endpoint.fixed_ip4) {
        asked.insert("IPv4Address".to_owned(), json!(address));
    }
    if let Some(address) = endpoint.ip6.filter(|_| endpoint.fixed_ip6) {
        asked.insert("IPv6Address".to_owned(), json!(address));
    }
    if !asked.is_empty() {
        network["IPAMConfig"] = Value::Object(asked);
    }
    if !one.aliases.is_empty() {
        network["Aliases"] = json!(one.aliases);
    }
    network["NetworkID"] = json!(one.network.id);
    if one.fixed_mac || is_running {
        network["MacAddress"] = json!(endpoint.mac);
    }
    if !is_running {
        return network;
    }
    network["EndpointID"] = json!(one.endpoint_id());
    let range_of =
        |address: IpAddr| one.network.subnets.iter().find(|range| range.subnet.contains(address));
    let gateway =
        |range: &Range| json!(range.gateway.map_or_else(String::new, |it| it.to_string()));
    let prefix = |subnet: Subnet| json!(subnet.prefix());
    if let Some((address, range)) = endpoint.ip4.and_then(|it| Some((it, range_of(it.into())?))) {
        network["IPAddress"] = json!(address);
        network["IPPrefixLen"] = prefix(range.subnet);
        network["Gateway"] = gateway(range);
    }
    if let Some((address, range)) = endpoint.ip6.and_then(|it| Some((it, range_of(it.into())?))) {
        network["GlobalIPv6Address"] = json!(address);
        network["GlobalIPv6PrefixLen"] = prefix(range.subnet);
        network["IPv6Gateway"] = gateway(range);
    }
    if one.network.resolves_names {
        let mut names = vec![row.name.clone()];
        names.extend(one.aliases.iter().cloned());
        names.push(row.id.short().to_owned());
        if !names.contains(&record.hostname) {
            names.push(record.hostname.clone());
        }
        network["DNSNames"] = json!(names);
    }
    network
}

/// The ports on which it listens, each with where the host passes it on from.
fn ports(record: &Record, published: &[Port]) -> Value {
    let mut ports: Map<String, Value> = Map::new();
    for exposed in &record.ports.expose {
        ports.insert(format!("{}/{}", exposed.port, exposed.protocol.name()), Value::Null);
    }
    for port in published {
        let place = ports.entry(format!("{}/{}", port.container_port, port.protocol));
        let bindings = place.or_insert(Value::Null);
        if bindings.is_null() {
            *bindings = json!([]);
        }
        let addresses = match port.host_ip.as_str() {
            "" => vec!["0.0.0.0", "::"],
            address => vec![address],
        };
        for address in addresses {
            let binding = json!({ "HostIp": address, "HostPort": port.host_port.to_string() });
            if let Value::Array(bindings) = bindings {
                bindings.push(binding);
            }
        }
    }
    Value::Object(ports)
}

/// `HostConfig.PortBindings`: what was asked for.
pub(super) fn port_bindings(record: &Record) -> Value {
    let mut bindings: Map<String, Value> = Map::new();
    for asked in &record.ports.publish {
        let port = match (asked.host_port, asked.host_port_last) {
            (0, _) => String::new(),
            (first, Some(last)) => format!("{first}-{last}"),
            (first, None) => first.to_string(),
        };
        let binding = json!({
            "HostIp": asked.host.map(|address| address.to_string()).unwrap_or_default(),
            "HostPort": port,
        });
        let key = format!("{}/{}", asked.container_port, asked.protocol.name());
        if let Value::Array(list) = bindings.entry(key).or_insert_with(|| json!([])) {
            list.push(binding);
        }
    }
    Value::Object(bindings)
}
