//! Network devices, their addresses and routes: what `rtnetlink(7)` is asked to make.
//!
//! The functions write requests and ask nothing themselves, so that many can be sent at once
//! ([`Netlink::ask_all`]). Numbers are the kernel's (`if_link.h`, `if_addr.h`, `rtnetlink.h`).

use crate::{InterfaceAddress, Mac, Subnet};
use dhow_sys::netlink::{Netlink, Request, attributes, number_at};
use std::{
    io,
    net::IpAddr,
    os::fd::{AsRawFd, BorrowedFd},
};

const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const INFO_SLAVE_KIND: u16 = 4;
const INFO_SLAVE_DATA: u16 = 5;
const BRIDGE_PORT_SENDS_BACK: u16 = 4;
const VETH_PEER: u16 = 1;
const MACVLAN_MODE: u16 = 1;
const IPVLAN_MODE: u16 = 1;
const BRIDGE_VLAN_FILTERING: u16 = 7;
const BRIDGE_VLAN_DEFAULT_PVID: u16 = 39;
const BRIDGE_VLAN_INFO: u16 = 2;
const VLAN_UNMARKED: u16 = 0x02 | 0x04;

const INET6_ADDR_GEN_MODE: u16 = 8;
const ADDR_GEN_NONE: u8 = 1;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;
/// Nobody is asked whether the address is taken: leases are unique (`IFA_F_NODAD`).
const NO_DETECTION: u32 = 0x02;

const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTM_NEWROUTE: u16 = 24;
const TABLE_MAIN: u8 = 254;
const MADE_BY_BOOT: u8 = 3;
const UNICAST: u8 = 1;

const CREATE: libc::c_int = libc::NLM_F_CREATE | libc::NLM_F_EXCL;

/// A device, as far as it matters here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Link {
    pub(crate) index: i32,
    pub(crate) is_up: bool,
    /// What it is made of: `bridge`, `veth`…; empty for what is nobody's making.
    pub(crate) kind: String,
    pub(crate) name: String,
}

/// The device of this name, where there is one.
pub(crate) fn find(netlink: &Netlink, name: &str) -> io::Result<Option<Link>> {
    let mut request = Request::new(libc::RTM_GETLINK, 0, &head(0, 0, 0));
    request.device(libc::IFLA_IFNAME, name)?;
    match netlink.ask(request) {
        Ok(answers) => Ok(answers.iter().find_map(|answer| parse(&answer.body))),
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
        Err(error) => Err(error),
    }
}

/// All devices of the namespace.
pub(crate) fn list(netlink: &Netlink) -> io::Result<Vec<Link>> {
    let answers = netlink.ask(Request::new(libc::RTM_GETLINK, libc::NLM_F_DUMP, &head(0, 0, 0)))?;
    Ok(answers.iter().filter_map(|answer| parse(&answer.body)).collect())
}

fn parse(body: &[u8]) -> Option<Link> {
    let index = i32::try_from(number_at(body, 4)?).ok()?;
    let is_up = number_at(body, 8)? & libc::IFF_UP.unsigned_abs() != 0;
    let mut link = Link { index, is_up, kind: String::new(), name: String::new() };
    for (number, value) in attributes(body.get(16..)?)? {
        match number {
            libc::IFLA_IFNAME => link.name = text(value),
            libc::IFLA_LINKINFO => {
                let kind = attributes(value)?.into_iter().find(|inner| inner.0 == INFO_KIND);
                link.kind = kind.map(|(_, value)| text(value)).unwrap_or_default();
            }
            _ => {}
        }
    }
    Some(link)
}

fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

/// `struct ifinfomsg`.
fn head(index: i32, flags: u32, change: u32) -> [u8; 16] {
    let mut head = [0; 16];
    head[4..8].copy_from_slice(&index.to_ne_bytes());
    head[8..12].copy_from_slice(&flags.to_ne_bytes());
    head[12..16].copy_from_slice(&change.to_ne_bytes());
    head
}

const UP: u32 = libc::IFF_UP.unsigned_abs();

/// A new bridge with a hardware address of its own: one without takes that of its first port, and
/// another one when that goes.
pub(crate) fn bridge(
    name: &str,
    mac: Mac,
    mtu: Option<u32>,
    has_vlans: bool,
) -> io::Result<Request> {
    let mut request = Request::new(libc::RTM_NEWLINK, CREATE, &head(0, 0, 0));
    request.device(libc::IFLA_IFNAME, name)?.attribute(libc::IFLA_ADDRESS, &mac.bytes());
    put_mtu(&mut request, mtu);
    request.nest(libc::IFLA_LINKINFO, |info| {
        info.attribute(INFO_KIND, b"bridge");
        if has_vlans {
            info.nest(INFO_DATA, |data| {
                data.attribute(BRIDGE_VLAN_FILTERING, &[1]);
                data.attribute(BRIDGE_VLAN_DEFAULT_PVID, &1_u16.to_ne_bytes());
            });
        }
    });
    Ok(request)
}

/// Two new devices, each the other's end of a cable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Veth<'a> {
    /// The name of the end on the host.
    pub(crate) outside: &'a str,
    /// The other end: its namespace, its number there (0 for one of the kernel's choice), its name.
    pub(crate) namespace: BorrowedFd<'a>,
    pub(crate) index: i32,
    pub(crate) inside: &'a str,
    pub(crate) mac: Mac,
    pub(crate) mtu: Option<u32>,
}

impl Veth<'_> {
    /// Makes both, down.
    pub(crate) fn request(&self) -> io::Result<Request> {
        let mut peer = Request::new(0, 0, &[]);
        peer.device(libc::IFLA_IFNAME, self.inside)?;
        let mut request = Request::new(libc::RTM_NEWLINK, CREATE, &head(0, 0, 0));
        request.device(libc::IFLA_IFNAME, self.outside)?;
        put_mtu(&mut request, self.mtu);
        request.nest(libc::IFLA_LINKINFO, |info| {
            info.attribute(INFO_KIND, b"veth");
            info.nest(INFO_DATA, |data| {
                data.nest(VETH_PEER, |peer| {
                    peer.raw(&head(self.index, 0, 0));
                    peer.device(libc::IFLA_IFNAME, self.inside).expect("its length was checked");
                    peer.attribute(libc::IFLA_ADDRESS, &self.mac.bytes());
                    peer.attribute(libc::IFLA_NET_NS_FD, &self.namespace.as_raw_fd().to_ne_bytes());
                    put_mtu(peer, self.mtu);
                });
            });
        });
        Ok(request)
    }
}

/// What stands on a device of the host's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stacked<'a> {
    /// `macvlan` or `ipvlan`.
    pub(crate) kind: &'a str,
    /// The kernel's number of the mode.
    pub(crate) mode: u32,
    pub(crate) parent: i32,
    pub(crate) namespace: BorrowedFd<'a>,
    pub(crate) index: i32,
    pub(crate) inside: &'a str,
    /// One of its own; ipvlan has its parent's.
    pub(crate) mac: Option<Mac>,
    pub(crate) mtu: Option<u32>,
}

impl Stacked<'_> {
    /// Makes it, down, in its namespace.
    pub(crate) fn request(&self) -> io::Result<Request> {
        let mut request = Request::new(libc::RTM_NEWLINK, CREATE, &head(self.index, 0, 0));
        request.device(libc::IFLA_IFNAME, self.inside)?;
        request.attribute(libc::IFLA_LINK, &self.parent.to_ne_bytes());
        request.attribute(libc::IFLA_NET_NS_FD, &self.namespace.as_raw_fd().to_ne_bytes());
        if let Some(mac) = self.mac {
            request.attribute(libc::IFLA_ADDRESS, &mac.bytes());
        }
        put_mtu(&mut request, self.mtu);
        request.nest(libc::IFLA_LINKINFO, |info| {
            info.attribute(INFO_KIND, self.kind.as_bytes());
            info.nest(INFO_DATA, |data| {
                if self.kind == "ipvlan" {
                    let mode = u16::try_from(self.mode).expect("modes are few");
                    data.attribute(IPVLAN_MODE, &mode.to_ne_bytes());
                } else {
                    data.attribute(MACVLAN_MODE, &self.mode.to_ne_bytes());
                }
            });
        });
        Ok(request)
    }
}

fn put_mtu(request: &mut Request, mtu: Option<u32>) {
    if let Some(mtu) = mtu {
        request.attribute(libc::IFLA_MTU, &mtu.to_ne_bytes());
    }
}

/// Which device a request is about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which<'a> {
    Index(i32),
    /// So that a request can follow, in one batch, the one that makes it.
    Name(&'a str),
}

impl Which<'_> {
    fn request(self, flags: u32) -> io::Result<Request> {
        match self {
            Self::Index(index) => {
                Ok(Request::new(libc::RTM_NEWLINK, 0, &head(index, flags, flags)))
            }
            Self::Name(name) => {
                let mut request = Request::new(libc::RTM_NEWLINK, 0, &head(0, flags, flags));
                request.device(libc::IFLA_IFNAME, name)?;
                Ok(request)
            }
        }
    }
}

/// Keeps a device from giving itself an address of IPv6 when it comes up. The kernel refuses where it
/// has no IPv6, and then there is nothing to keep it from.
pub(crate) fn without_own_address(which: Which<'_>) -> io::Result<Request> {
    let mut request = which.request(0)?;
    let inet6 = u16::try_from(libc::AF_INET6).expect("families are few");
    request.nest(libc::IFLA_AF_SPEC, |families| {
        families.nest(inet6, |family| {
            family.attribute(INET6_ADDR_GEN_MODE, &[ADDR_GEN_NONE]);
        });
    });
    Ok(request)
}

/// Brings a device up.
pub(crate) fn up(which: Which<'_>) -> io::Result<Request> {
    which.request(UP)
}

/// Makes a device a port of a bridge, and brings it up.
pub(crate) fn enslave(which: Which<'_>, bridge: i32) -> io::Result<Request> {
    let mut request = which.request(UP)?;
    request.attribute(libc::IFLA_MASTER, &bridge.to_ne_bytes());
    Ok(request)
}

/// Has a port of a bridge send back by it what came in by it.
pub(crate) fn send_back(which: Which<'_>) -> io::Result<Request> {
    let mut request = which.request(0)?;
    request.nest(libc::IFLA_LINKINFO, |info| {
        info.attribute(INFO_SLAVE_KIND, b"bridge");
        info.nest(INFO_SLAVE_DATA, |data| {
            data.attribute(BRIDGE_PORT_SENDS_BACK, &[1]);
        });
    });
    Ok(request)
}

/// Puts a port of a bridge into a VLAN: what comes in unmarked is of it, and leaves unmarked.
pub(crate) fn tag(port: i32, vlan: u16) -> Request {
    let mut head = head(port, 0, 0);
    head[0] = u8::try_from(libc::AF_BRIDGE).expect("families are few");
    let mut request = Request::new(libc::RTM_SETLINK, 0, &head);
    let [a, b] = VLAN_UNMARKED.to_ne_bytes();
    let [c, d] = vlan.to_ne_bytes();
    request.nest(libc::IFLA_AF_SPEC, |spec| {
        spec.attribute(BRIDGE_VLAN_INFO, &[a, b, c, d]);
    });
    request
}

/// Takes a device away, and its other end with it.
pub(crate) fn delete(index: i32) -> Request {
    Request::new(libc::RTM_DELLINK, 0, &head(index, 0, 0))
}

fn bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn family(address: IpAddr) -> u8 {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    u8::try_from(family).expect("families are few")
}

/// Gives a device an address.
pub(crate) fn address(index: i32, own: InterfaceAddress) -> Request {
    let InterfaceAddress { address, prefix } = own;
    let mut head = vec![family(address), prefix, 0, libc::RT_SCOPE_UNIVERSE];
    head.extend(index.to_ne_bytes());
    let mut request = Request::new(libc::RTM_NEWADDR, CREATE, &head);
    let own = bytes(address);
    request.attribute(IFA_LOCAL, &own).attribute(IFA_ADDRESS, &own);
    let broadcast = Subnet::around(address, prefix).map(Subnet::last);
    match (address, broadcast) {
        (IpAddr::V4(_), Some(broadcast)) if prefix < 31 => {
            request.attribute(IFA_BROADCAST, &bytes(broadcast));
        }
        (IpAddr::V6(_), _) => {
            request.attribute(IFA_FLAGS, &NO_DETECTION.to_ne_bytes());
        }
        _ => {}
    }
    request
}

/// A way through a gateway; to everywhere where `to` is missing.
pub(crate) fn route(
    index: i32,
    to: Option<Subnet>,
    gateway: IpAddr,
    metric: Option<u32>,
) -> Request {
    let prefix = to.map_or(0, Subnet::prefix);
    let scope = libc::RT_SCOPE_UNIVERSE;
    let head =
        [family(gateway), prefix, 0, 0, TABLE_MAIN, MADE_BY_BOOT, scope, UNICAST, 0, 0, 0, 0];
    let mut request = Request::new(RTM_NEWROUTE, CREATE, &head);
    if let Some(to) = to {
        request.attribute(RTA_DST, &bytes(to.first()));
    }
    request.attribute(RTA_GATEWAY, &bytes(gateway));
    request.attribute(RTA_OIF, &index.to_ne_bytes());
    if let Some(metric) = metric {
        request.attribute(RTA_PRIORITY, &metric.to_ne_bytes());
    }
    request
}
