//! `ptp`: a cable from the container to the host, without a bridge. The host is the gateway; whoever
//! has an address of the same subnet is reached through it too.

use super::{
    asked::Asked,
    bridge, delegate,
    device::{self, Inside, ask, host, random_mac, random_name, unless_there},
    ruleset::Ruleset,
};
use crate::{
    InterfaceAddress, Subnet,
    cni::{Dns, Interface, Ip, Outcome, Refusal},
    forwarding,
    link::{self, Link, Veth, Way, Which},
};
use dhow_base::Doing;
use dhow_sys::netlink::Netlink;
use serde::Deserialize;
use std::{net::IpAddr, os::fd::AsFd};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Configuration {
    ip_masq: bool,
    mtu: u32,
    dns: Dns,
}

pub(super) fn add(asked: &Asked) -> Result<Outcome, Refusal> {
    let configuration: Configuration = asked.configuration()?;
    let namespace = asked.namespace()?;
    let inside = Inside::open(&namespace)?;
    inside.free(&asked.interface)?;
    let mut outcome = delegate::add(asked)?;
    if outcome.ips.is_empty() {
        let text = "IPAM plugin returned missing IP config";
        return Err(Refusal::new(Refusal::OTHER, text));
    }
    let host = host()?;
    let outside = random_name()?;
    let veth = Veth {
        outside: &outside,
        namespace: namespace.as_fd(),
        inside: &asked.interface,
        mac: random_mac()?,
        mtu: (configuration.mtu > 0).then_some(configuration.mtu),
    };
    let connected = connect(&host, &inside, &veth, &mut outcome).and_then(|port| {
        outcome.interfaces = vec![
            Interface { name: port.name.clone(), mac: port.mac_text(), ..Interface::default() },
            Interface {
                name: asked.interface.clone(),
                mac: veth.mac.to_string(),
                sandbox: asked.namespace.clone(),
                ..Interface::default()
            },
        ];
        if configuration.ip_masq {
            let ruleset = Ruleset::open()?;
            outcome.ips.iter().try_for_each(|ip| ruleset.masquerade(ip.address))?;
        }
        Ok(())
    });
    if let Err(refusal) = connected {
        if let Ok(Some(port)) = link::find(&host, &outside) {
            let _first_failure_counts = host.ask(link::delete(port.index));
        }
        delegate::undo(asked);
        return Err(refusal);
    }
    if configuration.dns != Dns::default() {
        outcome.dns = configuration.dns;
    }
    Ok(outcome)
}

/// Makes the cable, and sets both of its ends up.
fn connect(
    host: &Netlink,
    inside: &Inside<'_>,
    veth: &Veth<'_>,
    outcome: &mut Outcome,
) -> Result<Link, Refusal> {
    let outside = veth.outside;
    let doing = || format!("make the cable {outside}");
    ask(host, veth.request().doing(doing)?, doing)?;
    for ip in &mut outcome.ips {
        ip.interface = Some(1);
    }
    let within = inside.up(veth.inside)?;
    let up = link::up(Which::Name(outside)).doing(doing)?;
    ask(host, up, || format!("bring up {outside}"))?;
    inside.set_if_there(&format!("ipv6/conf/{}/accept_ra", veth.inside), "0")?;
    inside.set_if_there(&format!("ipv4/conf/{}/arp_notify", veth.inside), "1")?;
    let gone = || Refusal::new(Refusal::OTHER, format!("{outside:?} is gone again"));
    let port = link::find(host, outside).doing(doing)?.ok_or_else(gone)?;
    for ip in &outcome.ips {
        forwarding::forward(ip.address.address.is_ipv6())?;
        address_inside(inside, &within, ip)?;
        address_outside(host, &port, ip)?;
    }
    for route in &outcome.routes {
        let is_ipv6 = route.dst.address.is_ipv6();
        let mut gateways = outcome.ips.iter().filter_map(|ip| ip.gateway);
        let gateway = route.gateway.or_else(|| gateways.find(|own| own.is_ipv6() == is_ipv6));
        inside.way(&within, route, gateway)?;
    }
    Ok(port)
}

/// The address alone; the way to the gateway, and through it the way to the rest of the subnet.
fn address_inside(inside: &Inside<'_>, device: &Link, ip: &Ip) -> Result<(), Refusal> {
    let InterfaceAddress { address, prefix } = ip.address;
    let doing = || format!("give {:?} the address {}", device.name, ip.address);
    ask(inside.netlink(), link::address_alone(device.index, ip.address), doing)?;
    let Some(gateway) = ip.gateway else { return Ok(()) };
    let source = Some(address);
    let link_scope = if gateway.is_ipv6() { 0 } else { libc::RT_SCOPE_LINK };
    let near = Way { source, scope: link_scope, ..Way::to(alone(gateway), device.index) };
    ask(inside.netlink(), near.request(), || format!("add the route to {gateway}"))?;
    if let Some(subnet) = Subnet::around(address, prefix).filter(|subnet| *subnet != alone(address))
    {
        let far = Way { source, gateway: Some(gateway), ..Way::to(subnet, device.index) };
        ask(inside.netlink(), far.request(), || format!("add the route to {subnet}"))?;
    }
    Ok(())
}

/// The gateway's address, and the way to the container.
fn address_outside(host: &Netlink, port: &Link, ip: &Ip) -> Result<(), Refusal> {
    if let Some(gateway) = ip.gateway {
        let own = InterfaceAddress { address: gateway, prefix: alone(gateway).prefix() };
        let doing = || format!("give {} the address {own}", port.name);
        host.ask(link::address(port.index, own)).map(drop).or_else(unless_there).doing(doing)?;
    }
    let address = ip.address.address;
    let scope = if address.is_ipv6() { 0 } else { libc::RT_SCOPE_HOST };
    let way = Way { scope, ..Way::to(alone(address), port.index) };
    let doing = || format!("add the host's route to {address}");
    Ok(host.ask(way.request()).map(drop).or_else(unless_there).doing(doing)?)
}

/// The range of one address.
fn alone(address: IpAddr) -> Subnet {
    let bits = if address.is_ipv4() { 32 } else { 128 };
    Subnet::around(address, bits).expect("it is the length of all addresses of its version")
}

pub(super) fn del(asked: &Asked) -> Result<(), Refusal> {
    bridge::unplug(asked)
}

pub(super) fn check(asked: &Asked) -> Result<(), Refusal> {
    delegate::check(asked)?;
    device::check(asked)
}
