//! The addresses of a network that is to be made: what was asked for, and what is chosen where nothing was.

use super::{Around, NetworkOptions, invalid, unsupported};
use crate::networks::{Settings, subnets};
use dhow_base::{Error, Kind, Result};
use dhow_network::{Driver, Network as Made, Range, Route, Subnet};
use std::net::IpAddr;

/// Chooses the subnets of a network, their gateways and what of them is leased.
pub(super) fn choose(
    settings: &mut Settings,
    options: &NetworkOptions,
    around: &Around<'_>,
) -> Result<()> {
    let driver = settings.made.driver;
    if settings.ipam != "default" {
        let given = !options.subnets.is_empty()
            || !options.gateways.is_empty()
            || !options.ranges.is_empty()
            || !options.reserved.is_empty();
        if given {
            let text = format!("choose addresses: the IPAM driver {} does not", settings.ipam);
            return Err(invalid(text).hint("leave --subnet and what belongs to it out"));
        }
        if settings.ipam == "dhcp" {
            return have_leased(&mut settings.made, options);
        }
        return Ok(());
    }
    for subnet in all_subnets(options, driver, around)? {
        let gateway = gateway_of(subnet, options)?;
        let leased = range_of(subnet, options)?;
        settings.made.subnets.push(Range { subnet, gateway: Some(gateway), leased });
    }
    let within =
        |address: IpAddr| settings.made.subnets.iter().any(|range| range.subnet.contains(address));
    for gateway in &options.gateways {
        if !within(*gateway) {
            return Err(outside("gateway", &gateway.to_string()));
        }
    }
    for range in &options.ranges {
        if !within(range.first) {
            return Err(outside("range", &format!("{}-{}", range.first, range.last)));
        }
    }
    for (name, address) in &options.reserved {
        if !within(*address) {
            return Err(outside("auxiliary address", &format!("{name}={address}")));
        }
        settings.reserved.insert(name.clone(), *address);
    }
    Ok(())
}

/// Has a server on the link of the host's device give the addresses.
fn have_leased(made: &mut Made, options: &NetworkOptions) -> Result<()> {
    if made.driver != Driver::Macvlan {
        let text = format!("use the IPAM driver dhcp with {}", made.driver.word());
        return Err(Error::new(Kind::Unsupported, text).hint(
            "it takes a device with a hardware address of its own on the server's link: macvlan",
        ));
    }
    if options.ipv6 || options.ipv4 == Some(false) {
        return Err(unsupported("use the IPAM driver dhcp: it gives addresses of version 4 only"));
    }
    made.leases = true;
    Ok(())
}

fn outside(what: &str, which: &str) -> Error {
    invalid(format!("use {what} {which}: it is in none of the network's subnets"))
        .hint("give the subnet with --subnet")
}

fn all_subnets(
    options: &NetworkOptions,
    driver: Driver,
    around: &Around<'_>,
) -> Result<Vec<Subnet>> {
    let mut all: Vec<Subnet> = Vec::new();
    for subnet in &options.subnets {
        if all.iter().any(|other| other.is_ipv6() == subnet.is_ipv6()) {
            let text = format!("use subnet {subnet}: there is one of the same version");
            return Err(
                unsupported(&text).hint("a network has one of version 4 and one of version 6")
            );
        }
        if subnet.places().is_none() || subnet.prefix() == 0 {
            return Err(invalid(format!(
                "use subnet {subnet}: no network of containers is of that size"
            )));
        }
        check_kind(*subnet)?;
        // What stands on a device of the host's has the addresses of that device's network.
        if driver == Driver::Bridge {
            subnets::check_free(*subnet, &around.taken)?;
        }
        all.push(*subnet);
    }
    let has = |all: &[Subnet], ipv6| all.iter().any(|subnet| subnet.is_ipv6() == ipv6);
    if options.ipv4 == Some(false) && has(&all, false) {
        return Err(invalid("use a subnet of version 4: the network is to have no such addresses"));
    }
    if options.ipv4 != Some(false) && !has(&all, false) {
        all.insert(0, subnets::first_free(&around.defaults.pools, &around.taken)?);
    }
    if options.ipv6 && !has(&all, true) {
        all.push(subnets::local_ipv6(&around.taken)?);
    }
    if all.is_empty() {
        return Err(
            invalid("make a network without addresses").hint("--ipam-driver none makes one")
        );
    }
    Ok(all)
}

/// Addresses that stand for no single device are no network's of ours.
fn check_kind(subnet: Subnet) -> Result<()> {
    let is_usable = match subnet.first() {
        IpAddr::V4(first) => !first.is_multicast() && !first.is_loopback(),
        IpAddr::V6(first) => {
            !first.is_multicast() && !first.is_loopback() && !first.is_unicast_link_local()
        }
    };
    if is_usable {
        return Ok(());
    }
    Err(invalid(format!(
        "use subnet {subnet}: its addresses are not those of devices on a network"
    )))
}

fn gateway_of(subnet: Subnet, options: &NetworkOptions) -> Result<IpAddr> {
    let (first, last) = subnet.places().expect("subnets without a place were refused");
    let mut asked = options.gateways.iter().filter(|gateway| subnet.contains(**gateway));
    let Some(gateway) = asked.next() else {
        return Ok(subnet.nth(first).expect("the first place is one of the subnet"));
    };
    if let Some(other) = asked.next() {
        return Err(invalid(format!("use gateway {other}: {gateway} is one of {subnet} already")));
    }
    let place = subnet.place_of(*gateway).expect("it is in the subnet");
    if !(first..=last).contains(&place) {
        return Err(invalid(format!("use gateway {gateway}: no device can have it in {subnet}")));
    }
    Ok(*gateway)
}

fn range_of(subnet: Subnet, options: &NetworkOptions) -> Result<Option<(IpAddr, IpAddr)>> {
    let mut asked = options.ranges.iter().filter(|range| subnet.contains(range.first));
    let Some(range) = asked.next() else { return Ok(None) };
    let written = format!("{}-{}", range.first, range.last);
    if asked.next().is_some() {
        return Err(invalid(format!("use two ranges of {subnet}: there is one at most")));
    }
    if !subnet.contains(range.last) || range.last < range.first {
        return Err(invalid(format!("use range {written}: it is not a part of {subnet}")));
    }
    let (least, most) = subnet.places().expect("subnets without a place were refused");
    let place = |address| subnet.place_of(address).expect("both ends are in the subnet");
    let (first, last) = (place(range.first).max(least), place(range.last).min(most));
    if last < first {
        return Err(invalid(format!("use range {written}: no device can have an address of it")));
    }
    Ok(subnet.nth(first).zip(subnet.nth(last)))
}

/// Refuses a way that no device of the network could go.
pub(super) fn check_route(made: &Made, route: &Route) -> Result<()> {
    let doing = format!("use route {} through {}", route.to, route.gateway);
    if route.to.is_ipv6() != route.gateway.is_ipv6() {
        return Err(invalid(format!("{doing}: they are of different versions")));
    }
    if !made.subnets.iter().any(|range| range.subnet.contains(route.gateway)) {
        return Err(invalid(format!("{doing}: the gateway is in none of the network's subnets")));
    }
    Ok(())
}
