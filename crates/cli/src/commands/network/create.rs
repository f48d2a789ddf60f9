//! `network create`: make a network.

use crate::{
    exit::SUCCESS,
    flags::{pairs, refuse},
    invocation::Invocation,
    manners::Manners,
    tree::Act,
};
use dhow_base::{Error, Kind, Result, id::Name};
use dhow_engine::{AddressRange, NetworkOptions};
use dhow_network::{Isolation, Route, Subnet};
use std::net::IpAddr;

/// Make a network
///
/// Prints its id, and its name under podman's. Without --subnet it gets the first subnet that neither
/// another network nor a route of the host has. Options of a bridge: mtu, vlan, metric, isolate,
/// input_policy, forward_policy, no_default_route, ingress, egress, sysctls, and docker's
/// com.docker.network. ones; of macvlan and ipvlan also parent and mode.
#[derive(clap::Args, Debug)]
pub(crate) struct Create {
    /// The name
    #[arg(value_name = "NAME")]
    network: Option<String>,

    /// Use this driver: bridge, macvlan or ipvlan
    #[arg(short, long, value_name = "DRIVER")]
    driver: Option<String>,

    /// Use these addresses; one subnet of version 4 and one of version 6
    #[arg(long, value_name = "SUBNET", value_delimiter = ',')]
    subnet: Vec<String>,

    /// Use this address of a subnet for the host
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    gateway: Vec<String>,

    /// Give containers addresses of this part of a subnet
    #[arg(long, value_name = "SUBNET|FIRST-LAST", value_delimiter = ',')]
    ip_range: Vec<String>,

    /// Keep an address of a subnet for something else
    #[arg(long, value_name = "NAME=ADDRESS", value_delimiter = ',')]
    aux_address: Vec<String>,

    /// Have addresses given by default (also called host-local), by a server (dhcp) or by none
    #[arg(long, value_name = "DRIVER")]
    ipam_driver: Option<String>,

    /// Keep an option of the IPAM driver
    #[arg(long, value_name = "NAME=VALUE")]
    ipam_opt: Vec<String>,

    /// Have addresses of version 4
    #[arg(long, value_name = "BOOL")]
    ipv4: Option<bool>,

    /// Have addresses of version 6 too
    #[arg(long)]
    ipv6: bool,

    /// Let no packet out of the network or into it
    #[arg(long)]
    internal: bool,

    /// Set an option of the driver's
    #[arg(short, long, value_name = "NAME=VALUE")]
    opt: Vec<String>,

    /// Add a label
    #[arg(long, value_name = "KEY[=VALUE]")]
    label: Vec<String>,

    /// Call the host's device so; for macvlan and ipvlan, stand on this one
    #[arg(long, value_name = "DEVICE")]
    interface_name: Option<String>,

    /// Reach other addresses through a gateway on the network
    #[arg(long, value_name = "SUBNET,GATEWAY[,METRIC]")]
    route: Vec<String>,

    /// Ask this server for names that are not of the network
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    dns: Vec<String>,

    /// Do not resolve the names of containers
    #[arg(long)]
    disable_dns: bool,

    /// One of this name is as good
    #[arg(long)]
    ignore: bool,

    /// Accepted for docker's sake: any container may be connected
    #[arg(long)]
    attachable: bool,

    /// The scope; there is local
    #[arg(long, value_name = "SCOPE", hide = true)]
    scope: Option<String>,
}

impl Act for Create {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let manners = invocation.manners;
        let options = self.options(manners)?;
        let mut engine = super::engine(invocation)?;
        let made = match engine.create_network(&options) {
            Err(error) if error.kind() == Kind::AlreadyExists && self.ignore => {
                let name = options.name.as_ref().ok_or(error)?;
                let there = engine.network(name.as_str())?;
                (there.id, there.name)
            }
            made => made.map(|(id, name)| (id.to_string(), name.to_string()))?,
        };
        let (id, name) = made;
        invocation.console.line(if manners == Manners::Podman { &name } else { &id })?;
        Ok(SUCCESS)
    }
}

impl Create {
    fn options(&self, manners: Manners) -> Result<NetworkOptions> {
        if let Some(scope) = self.scope.as_deref().filter(|scope| *scope != "local") {
            return Err(refuse("--scope", scope, "there is no swarm").hint("there is local"));
        }
        let subnets = all("--subnet", &self.subnet, |text| text.parse::<Subnet>())?;
        let podman = manners == Manners::Podman;
        // Podman gives a network the versions of its subnets, and leaves the addresses of one on a
        // device of the host's to a server there.
        let is_ipv6_only = !subnets.is_empty() && subnets.iter().all(|subnet| subnet.is_ipv6());
        let stands_on_device = self.driver.as_deref() == Some("macvlan") && subnets.is_empty();
        let pair = |flag: &'static str| move |text: &String| pairs::parse(flag, text);
        Ok(NetworkOptions {
            name: self.network.as_deref().map(parse_name).transpose()?,
            driver: self.driver.clone(),
            options: self.opt.iter().map(pair("--opt")).collect::<Result<_>>()?,
            labels: self.label.iter().map(pair("--label")).collect::<Result<_>>()?,
            gateways: all("--gateway", &self.gateway, address)?,
            ranges: all("--ip-range", &self.ip_range, range)?,
            reserved: all("--aux-address", &self.aux_address, reserved)?,
            ipam: match &self.ipam_driver {
                None if podman && stands_on_device => Some("dhcp".to_owned()),
                driver => driver.clone(),
            },
            ipam_options: self.ipam_opt.iter().map(pair("--ipam-opt")).collect::<Result<_>>()?,
            ipv4: self.ipv4.or((podman && is_ipv6_only).then_some(false)),
            ipv6: self.ipv6,
            internal: self.internal,
            isolation: if podman { Isolation::Open } else { Isolation::Isolated },
            device: self.interface_name.clone(),
            routes: all("--route", &self.route, route)?,
            servers: all("--dns", &self.dns, address)?,
            without_names: self.disable_dns,
            attachable: self.attachable,
            subnets,
        })
    }
}

fn parse_name(text: &str) -> Result<Name> {
    text.parse().map_err(|error: Error| {
        let hint = error.innermost_hint().unwrap_or("choose another name").to_owned();
        refuse("NAME", text, "that cannot be the name of a network").hint(hint)
    })
}

/// All values of a flag.
fn all<T>(flag: &str, texts: &[String], parse: impl Fn(&str) -> Result<T>) -> Result<Vec<T>> {
    let one = |text: &String| parse(text).map_err(|error| refused(flag, text, &error));
    texts.iter().map(one).collect()
}

fn refused(flag: &str, text: &str, error: &Error) -> Error {
    let refused = refuse(flag, text, error.one_line());
    match error.innermost_hint() {
        Some(hint) => refused.hint(hint),
        None => refused,
    }
}

pub(super) fn address(text: &str) -> Result<IpAddr> {
    text.parse().map_err(|_| Error::new(Kind::Invalid, "not an address"))
}

/// A part of a subnet, as docker and podman write it.
fn range(text: &str) -> Result<AddressRange> {
    match text.split_once('-') {
        Some((first, last)) => Ok(AddressRange { first: address(first)?, last: address(last)? }),
        None => text.parse::<Subnet>().map(AddressRange::from),
    }
}

fn reserved(text: &str) -> Result<(String, IpAddr)> {
    let parts = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, text) = parts.ok_or_else(|| Error::new(Kind::Invalid, "not NAME=ADDRESS"))?;
    Ok((name.to_owned(), address(text)?))
}

fn route(text: &str) -> Result<Route> {
    let mut parts = text.split(',');
    let (Some(to), Some(gateway)) = (parts.next(), parts.next()) else {
        return Err(Error::new(Kind::Invalid, "not SUBNET,GATEWAY"));
    };
    let metric = parts.next().map(|text| {
        text.parse().map_err(|_| Error::new(Kind::Invalid, format!("{text:?} is not a metric")))
    });
    if let Some(more) = parts.next() {
        return Err(Error::new(Kind::Invalid, format!("{more:?} is too much")));
    }
    Ok(Route { to: to.parse()?, gateway: address(gateway)?, metric: metric.transpose()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_routes_and_reserved_addresses_are_written_as_docker_and_podman_write_them() {
        let shown = |text: &str| range(text).ok().map(|it| format!("{}-{}", it.first, it.last));
        for (text, expected) in [
            ("10.1.0.128/25", Some("10.1.0.128-10.1.0.255")),
            ("10.1.0.5-10.1.0.9", Some("10.1.0.5-10.1.0.9")),
            ("10.1.0.5", None),
            ("a-b", None),
        ] {
            assert_eq!(shown(text).as_deref(), expected, "{text}");
        }
        assert_eq!(route("10.2.0.0/16,10.1.0.7,50").unwrap().metric, Some(50));
        for bad in [
            "10.2.0.0/16",
            "10.2.0.0,10.1.0.7",
            "10.2.0.0/16,x",
            "10.2.0.0/16,10.1.0.7,x",
            "10.2.0.0/16,10.1.0.7,1,2",
        ] {
            assert!(route(bad).is_err(), "{bad}");
        }
        assert_eq!(reserved("router=10.1.0.3").unwrap().0, "router");
        assert!(reserved("10.1.0.3").is_err() && reserved("=10.1.0.3").is_err());
    }
}
