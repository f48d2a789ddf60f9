//! `static`: addresses that the configuration names, or that were asked for.

use super::asked::Asked;
use crate::{
    InterfaceAddress,
    cni::{Dns, Ip, Outcome, Refusal, Route},
};
use serde::Deserialize;
use std::net::IpAddr;

#[derive(Debug, Deserialize)]
struct Configuration {
    ipam: Option<Addresses>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Addresses {
    addresses: Vec<Own>,
    routes: Vec<Route>,
    dns: Dns,
}

#[derive(Debug, Deserialize)]
struct Own {
    address: InterfaceAddress,
    #[serde(default)]
    gateway: Option<IpAddr>,
}

pub(super) fn add(asked: &Asked) -> Result<Outcome, Refusal> {
    let Configuration { ipam } = asked.configuration()?;
    let Some(ipam) = ipam else {
        return Err(Refusal::new(Refusal::BAD_CONFIGURATION, "IPAM config missing 'ipam' key"));
    };
    let mut own = ipam.addresses;
    let wanted = asked.addresses()?;
    // Who asks for some gets those, and none of the author's.
    if !wanted.is_empty() {
        own.clear();
        let gateways: Vec<IpAddr> = asked
            .arguments
            .get("GATEWAY")
            .map(|line| line.split(',').filter_map(|text| text.trim().parse().ok()).collect())
            .unwrap_or_default();
        for (address, prefix) in wanted {
            let Some(prefix) = prefix else {
                let text = format!("the 'ip' field {address} has no length of its subnet");
                return Err(Refusal::new(Refusal::BAD_CONFIGURATION, text));
            };
            let address: InterfaceAddress = format!("{address}/{prefix}").parse()?;
            let of_it = |gateway: &&IpAddr| {
                crate::Subnet::around(address.address, prefix)
                    .is_some_and(|subnet| subnet.contains(**gateway))
            };
            let gateway = gateways.iter().find(of_it).copied();
            own.push(Own { address, gateway });
        }
    }
    if own.is_empty() {
        return Err(Refusal::new(Refusal::BAD_CONFIGURATION, "no IP addresses are configured"));
    }
    let ip = |own: Own| Ip { interface: None, address: own.address, gateway: own.gateway };
    Ok(Outcome {
        ips: own.into_iter().map(ip).collect(),
        routes: ipam.routes,
        dns: ipam.dns,
        ..Outcome::default()
    })
}

pub(super) fn check(asked: &Asked) -> Result<(), Refusal> {
    let before = asked.needed_before()?;
    let Configuration { ipam } = asked.configuration()?;
    for own in ipam.unwrap_or_default().addresses {
        if !before.ips.iter().any(|ip| ip.address == own.address) {
            let text = format!("static: Failed to find address {} in the result", own.address);
            return Err(Refusal::new(Refusal::OTHER, text));
        }
    }
    Ok(())
}
