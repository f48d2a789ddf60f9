//! `bridge`: a cable from the container to a bridge of the host's.

use super::{
    asked::Asked,
    delegate,
    device::{self, Inside, ask, host, random_mac, random_name, unless_there},
    ruleset::Ruleset,
};
use crate::{
    InterfaceAddress, Subnet,
    cni::{Dns, Interface, Ip, Outcome, Refusal, Route},
    forwarding,
    link::{self, Link, Veth, Which},
};
use dhow_base::Doing;
use dhow_sys::netlink::Netlink;
use serde::Deserialize;
use std::{net::IpAddr, os::fd::AsFd};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Configuration {
    bridge: String,
    is_gateway: bool,
    is_default_gateway: bool,
    force_address: bool,
    ip_masq: bool,
    mtu: u32,
    hairpin_mode: bool,
    promisc_mode: bool,
    vlan: u16,
    port_isolation: bool,
    macspoofchk: bool,
    vlan_trunk: Vec<serde_json::Value>,
    disable_container_interface: bool,
    dns: Dns,
}

/// What the bridge is called where nobody says.
const NAME: &str = "cni0";

impl Configuration {
    fn of(asked: &Asked) -> Result<Self, Refusal> {
        let mut configuration: Self = asked.configuration()?;
        let refused = |code, text: &str| Err(Refusal::new(code, text));
        if configuration.bridge.is_empty() {
            NAME.clone_into(&mut configuration.bridge);
        }
        configuration.is_gateway |= configuration.is_default_gateway;
        if configuration.hairpin_mode && configuration.promisc_mode {
            let text = "cannot set hairpin mode and promiscuous mode at the same time";
            return refused(Refusal::BAD_CONFIGURATION, text);
        }
        if configuration.vlan > 4094 {
            return refused(Refusal::BAD_CONFIGURATION, "invalid VLAN ID (must be from 0 to 4094)");
        }
        if configuration.macspoofchk || !configuration.vlan_trunk.is_empty() {
            let text = "macspoofchk and vlanTrunk are not supported";
            return refused(Refusal::UNSUPPORTED_FIELD, text);
        }
        Ok(configuration)
    }

    fn mtu(&self) -> Option<u32> {
        (self.mtu > 0).then_some(self.mtu)
    }
}

pub(super) fn add(asked: &Asked) -> Result<Outcome, Refusal> {
    let configuration = Configuration::of(asked)?;
    let namespace = asked.namespace()?;
    let inside = Inside::open(&namespace)?;
    inside.free(&asked.interface)?;
    let host = host()?;
    let bridge = make_bridge(&host, &configuration)?;
    let outside = random_name()?;
    let veth = Veth {
        outside: &outside,
        namespace: namespace.as_fd(),
        inside: &asked.interface,
        mac: asked.mac()?.map_or_else(random_mac, Ok)?,
        mtu: configuration.mtu(),
    };
    let doing = || format!("make the cable {outside}");
    ask(&host, veth.request().doing(doing)?, doing)?;
    let made = plug(&host, &bridge, &outside, &configuration).and_then(|port| {
        let interfaces = vec![
            Interface { name: bridge.name.clone(), mac: bridge.mac_text(), ..Interface::default() },
            Interface { name: port.name.clone(), mac: port.mac_text(), ..Interface::default() },
            Interface {
                name: asked.interface.clone(),
                mac: veth.mac.to_string(),
                sandbox: asked.namespace.clone(),
                ..Interface::default()
            },
        ];
        let mut outcome = delegate::add(asked)?;
        outcome.interfaces = interfaces;
        address(asked, (&host, &bridge), &inside, &configuration, outcome).inspect_err(|_| {
            delegate::undo(asked);
        })
    });
    if made.is_err()
        && let Ok(Some(port)) = link::find(&host, &outside)
    {
        let _first_failure_counts = host.ask(link::delete(port.index));
    }
    made
}

/// The bridge, made where it is missing.
fn make_bridge(host: &Netlink, configuration: &Configuration) -> Result<Link, Refusal> {
    let name = &configuration.bridge;
    let doing = || format!("failed to create bridge {name:?}");
    let found = match link::find(host, name).doing(doing)? {
        Some(found) => found,
        None => {
            let has_vlans = configuration.vlan != 0;
            let request =
                link::bridge(name, random_mac()?, configuration.mtu(), has_vlans).doing(doing)?;
            host.ask(request).map(drop).or_else(unless_there).doing(doing)?;
            let gone = || Refusal::new(Refusal::OTHER, format!("bridge {name:?} is gone again"));
            link::find(host, name).doing(doing)?.ok_or_else(gone)?
        }
    };
    if found.kind != "bridge" {
        let text = format!("{name:?} already exists but is not a bridge");
        return Err(Refusal::new(Refusal::OTHER, text));
    }
    if configuration.promisc_mode {
        let promiscuous = libc::IFF_PROMISC.unsigned_abs();
        ask(host, link::flag(found.index, promiscuous, promiscuous), doing)?;
    }
    ask(host, link::up(Which::Index(found.index)).doing(doing)?, doing)?;
    Ok(found)
}

/// Makes the host's end of the cable a port of the bridge.
fn plug(
    host: &Netlink,
    bridge: &Link,
    outside: &str,
    configuration: &Configuration,
) -> Result<Link, Refusal> {
    let doing = || format!("failed to connect {outside:?} to bridge {}", bridge.name);
    ask(host, link::enslave(Which::Name(outside), bridge.index).doing(doing)?, doing)?;
    let gone = || Refusal::new(Refusal::OTHER, format!("{outside:?} is gone again"));
    let port = link::find(host, outside).doing(doing)?.ok_or_else(gone)?;
    if configuration.hairpin_mode || configuration.port_isolation {
        let (is_hairpin, is_isolated) = (configuration.hairpin_mode, configuration.port_isolation);
        ask(host, link::port(port.index, is_hairpin, is_isolated), doing)?;
    }
    if configuration.vlan != 0 {
        ask(host, link::tag(port.index, configuration.vlan), doing)?;
    }
    Ok(port)
}

/// Addresses on both sides, routes, and what the host's firewall has to know.
fn address(
    asked: &Asked,
    (host, bridge): (&Netlink, &Link),
    inside: &Inside<'_>,
    configuration: &Configuration,
    mut outcome: Outcome,
) -> Result<Outcome, Refusal> {
    let name = &asked.interface;
    if outcome.ips.is_empty() {
        if !configuration.disable_container_interface {
            inside.up(name)?;
        }
        return Ok(outcome);
    }
    for ip in &mut outcome.ips {
        ip.interface = Some(2);
        if configuration.is_gateway && ip.gateway.is_none() {
            let InterfaceAddress { address, prefix } = ip.address;
            ip.gateway = Subnet::around(address, prefix).and_then(|subnet| subnet.nth(1));
        }
    }
    if configuration.is_default_gateway {
        let routes = default_routes(&outcome);
        outcome.routes.extend(routes);
    }
    inside.set_if_there(&format!("ipv4/conf/{name}/arp_notify"), "1")?;
    inside.configure(name, &outcome)?;
    if configuration.is_gateway {
        for ip in &outcome.ips {
            be_gateway(host, bridge, ip, configuration.force_address)?;
            forwarding::forward(ip.address.address.is_ipv6())?;
        }
    }
    if configuration.ip_masq {
        let ruleset = Ruleset::open()?;
        outcome.ips.iter().try_for_each(|ip| ruleset.masquerade(ip.address))?;
    }
    let written = &configuration.dns;
    if *written != Dns::default() {
        outcome.dns = written.clone();
    }
    Ok(outcome)
}

/// A default route through each gateway, for versions that have none yet.
fn default_routes(outcome: &Outcome) -> Vec<Route> {
    let has = |is_ipv6| {
        let mut routes = outcome.routes.iter();
        routes.any(|route| route.dst.prefix == 0 && route.dst.address.is_ipv6() == is_ipv6)
    };
    let gateways = outcome.ips.iter().filter_map(|ip| ip.gateway);
    gateways
        .filter(|gateway| !has(gateway.is_ipv6()))
        .map(|gateway| {
            let everywhere = Subnet::around(gateway, 0).expect("every address is somewhere");
            let dst = InterfaceAddress { address: everywhere.first(), prefix: 0 };
            Route::through(gateway, dst)
        })
        .collect()
}

/// Gives the bridge the gateway's address.
fn be_gateway(host: &Netlink, bridge: &Link, ip: &Ip, is_forced: bool) -> Result<(), Refusal> {
    let Some(gateway) = ip.gateway else { return Ok(()) };
    let name = &bridge.name;
    let doing = || format!("failed to set bridge addr of {name:?}");
    let wanted = InterfaceAddress { address: gateway, prefix: ip.address.prefix };
    let subnet = |own: InterfaceAddress| Subnet::around(own.address, own.prefix);
    for own in link::addresses(host, bridge.index).doing(doing)? {
        if own == wanted {
            return Ok(());
        }
        let overlaps = match (subnet(own), subnet(wanted)) {
            (Some(one), Some(other)) => one.overlaps(other),
            _ => false,
        };
        // Several addresses of IPv6 are nothing special, unless they are of the same subnet.
        if is_link_local(own.address)
            || own.address.is_ipv6() != gateway.is_ipv6()
            || (gateway.is_ipv6() && !overlaps)
        {
            continue;
        }
        if !is_forced {
            let text = format!("{name:?} already has an IP address different from {wanted}");
            return Err(Refusal::new(Refusal::OTHER, text));
        }
        ask(host, link::without_address(bridge.index, own), doing)?;
    }
    let request = link::address(bridge.index, wanted);
    Ok(host.ask(request).map(drop).or_else(unless_there).doing(doing)?)
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

pub(super) fn del(asked: &Asked) -> Result<(), Refusal> {
    unplug(asked)
}

/// What `bridge` and `ptp` do alike: addresses are given back, the cable goes, and the firewall
/// forgets. All of it is tried.
pub(super) fn unplug(asked: &Asked) -> Result<(), Refusal> {
    let given_back = delegate::del(asked);
    let mut addresses: Vec<InterfaceAddress> = match asked.before() {
        Ok(Some(before)) => before.ips.iter().map(|ip| ip.address).collect(),
        _ => Vec::new(),
    };
    let removed = match asked.namespace_if_there() {
        Some(namespace) => {
            Inside::open(&namespace).and_then(|inside| inside.remove(&asked.interface))
        }
        None => Ok(Vec::new()),
    };
    if let Ok(found) = &removed {
        addresses.extend(found);
    }
    let addresses: Vec<IpAddr> = addresses.iter().map(|own| own.address).collect();
    let forgotten = Ruleset::open()
        .and_then(|ruleset| ruleset.forget_masquerade(&addresses))
        .map_err(Refusal::from);
    given_back.and(removed.map(drop)).and(forgotten)
}

pub(super) fn check(asked: &Asked) -> Result<(), Refusal> {
    let configuration = Configuration::of(asked)?;
    delegate::check(asked)?;
    let before = asked.needed_before()?;
    let host = host()?;
    let failed = |text: String| Err(Refusal::new(Refusal::OTHER, text));
    let name = &configuration.bridge;
    let Some(bridge) = link::find(&host, name).doing(|| format!("look for bridge {name:?}"))?
    else {
        return failed(format!("Bridge interface {name} not found"));
    };
    if bridge.kind != "bridge" {
        return failed(format!("Interface {name} found is not a bridge"));
    }
    let mut ports = before.interfaces.iter().filter(|one| one.sandbox.is_empty());
    let is_port = |one: &Interface| {
        let found = link::find(&host, &one.name).ok().flatten();
        found.is_some_and(|found| found.bridge == Some(bridge.index))
    };
    if !ports.any(is_port) {
        return failed(format!("no port of bridge {name} is the container's"));
    }
    device::check(asked)
}
