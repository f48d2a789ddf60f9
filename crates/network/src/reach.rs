//! What the host reaches, by the routes of the network namespace that the process is in: its own
//! addresses and networks, which no network of ours may take over.

use crate::Subnet;
use dhow_base::{Doing, Result};
use dhow_sys::netlink::{Netlink, Protocol, Request, attributes, broken, number_at};
use rustix::net::{AddressFamily, SocketType};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// The length of a route's head (`struct rtmsg`).
const HEAD: usize = 12;
/// The kind of a message that tells of a route.
const NEW_ROUTE: u16 = 24;
const GET_ROUTE: u16 = 26;
// Attributes of a route (`rtnetlink.h`).
const DESTINATION: u16 = 1;
const DEVICE: u16 = 4;
const METRIC: u16 = 6;
// Kinds of routes: to a neighbour, to the host itself, and to nowhere.
const UNICAST: u8 = 1;
const LOCAL: u8 = 2;
const BLACKHOLE: u8 = 6;
const UNREACHABLE: u8 = 7;
const PROHIBIT: u8 = 8;

/// A route of the host's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HostRoute {
    /// Where it leads.
    pub to: Subnet,
    /// The name of the device through which it does.
    pub device: Option<String>,
    /// How dear it is.
    pub metric: u32,
}

impl HostRoute {
    /// Whether it leads to all addresses that no other leads to.
    pub fn is_default(&self) -> bool {
        self.to.prefix() == 0
    }

    /// Whether every host has such a one: of its loopback device, of a link alone, of groups.
    fn is_everybodys(&self) -> bool {
        match self.to.first() {
            IpAddr::V4(first) => {
                first.is_loopback() || first.is_multicast() || first.is_broadcast()
            }
            IpAddr::V6(first) => {
                first.is_loopback() || first.is_multicast() || first.is_unicast_link_local()
            }
        }
    }
}

/// All routes, but for those that every host has.
pub fn host_routes() -> Result<Vec<HostRoute>> {
    read().doing(|| "list the routes of the host")
}

fn read() -> io::Result<Vec<HostRoute>> {
    let netlink = Netlink::open(Protocol::Route)?;
    // Any socket will do to ask for the names of devices.
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::DGRAM, None)?;
    let mut head = [0; HEAD];
    let mut routes = Vec::new();
    for family in [libc_family(AddressFamily::INET), libc_family(AddressFamily::INET6)] {
        head[0] = family;
        for answer in netlink.ask(Request::unanswered(GET_ROUTE, DUMP, &head))? {
            if answer.kind != NEW_ROUTE {
                continue;
            }
            let Some((mut route, device)) = parse(&answer.body)? else { continue };
            // One that has just gone has no name any more.
            let name = device.map(|device| rustix::net::netdevice::index_to_name(&socket, device));
            route.device = name.and_then(Result::ok);
            if !route.is_everybodys() {
                routes.push(route);
            }
        }
    }
    Ok(routes)
}

/// `NLM_F_DUMP`: all that there are.
const DUMP: i32 = 0x300;

fn libc_family(family: AddressFamily) -> u8 {
    u8::try_from(family.as_raw()).expect("families of internet addresses are small numbers")
}

/// A route, and the number of its device; `None` for one that says nothing of where addresses are.
fn parse(body: &[u8]) -> io::Result<Option<(HostRoute, Option<u32>)>> {
    let (Some(&[family, prefix, ..]), Some(&kind)) = (body.first_chunk::<2>(), body.get(7)) else {
        return Err(broken());
    };
    if ![UNICAST, LOCAL, BLACKHOLE, UNREACHABLE, PROHIBIT].contains(&kind) {
        return Ok(None);
    }
    let values = attributes(body.get(HEAD..).unwrap_or_default()).ok_or_else(broken)?;
    let value = |wanted| values.iter().find(|(kind, _)| *kind == wanted).map(|(_, value)| *value);
    let is_ipv4 = family == libc_family(AddressFamily::INET);
    let first = match value(DESTINATION) {
        Some(bytes) => address(bytes).ok_or_else(broken)?,
        None if is_ipv4 => Ipv4Addr::UNSPECIFIED.into(),
        None => Ipv6Addr::UNSPECIFIED.into(),
    };
    let to = Subnet::around(first, prefix).ok_or_else(broken)?;
    let number = |wanted| value(wanted).and_then(|bytes| number_at(bytes, 0));
    let metric = number(METRIC).unwrap_or(0);
    // The kernel has a route to nowhere for all that version 6 does not reach.
    if to.prefix() == 0 && kind != UNICAST {
        return Ok(None);
    }
    Ok(Some((HostRoute { to, device: None, metric }, number(DEVICE))))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A route as the kernel tells of it.
    fn route(family: u8, prefix: u8, kind: u8, to: Option<&[u8]>) -> Vec<u8> {
        let head = [family, prefix, 0, 0, 254, 3, 0, kind, 0, 0, 0, 0];
        let mut request = Request::new(NEW_ROUTE, 0, &head);
        if let Some(to) = to {
            request.attribute(DESTINATION, to);
        }
        request.attribute(DEVICE, &7_u32.to_ne_bytes());
        request.attribute(METRIC, &100_u32.to_ne_bytes());
        request.finish()[16..].to_vec()
    }

    #[test]
    fn a_route_says_where_it_leads() {
        let parsed = parse(&route(2, 8, UNICAST, Some(&[10, 0, 0, 0]))).unwrap().unwrap();
        let default = parse(&route(10, 0, UNICAST, None)).unwrap().unwrap();

        assert_eq!((parsed.0.to.to_string(), parsed.1), ("10.0.0.0/8".to_owned(), Some(7)));
        assert!(default.0.is_default() && !parsed.0.is_default());
        assert_eq!((default.0.to.to_string(), default.0.metric), ("::/0".to_owned(), 100));
        assert!(parse(&route(2, 32, 3, Some(&[10, 0, 0, 255]))).unwrap().is_none());
        for cut in [0, 1, 7] {
            assert!(parse(&route(2, 8, UNICAST, None)[..cut]).is_err(), "{cut} bytes");
        }
    }

    #[test]
    fn what_every_host_has_is_nobody_s_in_particular() {
        for (to, expected) in [
            ("127.0.0.0/8", true),
            ("::1/128", true),
            ("fe80::/64", true),
            ("ff00::/8", true),
            ("224.0.0.0/4", true),
            ("10.0.0.0/8", false),
            ("fd00::/8", false),
        ] {
            let route = HostRoute { to: to.parse().unwrap(), device: None, metric: 0 };
            assert_eq!(route.is_everybodys(), expected, "{to}");
        }
    }
}
