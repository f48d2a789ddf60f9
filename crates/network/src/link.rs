//! Network devices, their addresses and routes: what `rtnetlink(7)` is asked to make.
//!
//! The functions write requests and ask nothing themselves, so that many can be sent at once
//! ([`Netlink::ask_all`]). Numbers are the kernel's (`if_link.h`, `if_addr.h`, `rtnetlink.h`).

use crate::{InterfaceAddress, Mac, Subnet};
use dhow_base::{Error, Kind, Result, id::random_hex};
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
const PORT_ISOLATED: u16 = 33;
const VETH_PEER: u16 = 1;
const MACVLAN_MODE: u16 = 1;
const IPVLAN_MODE: u16 = 1;
const BRIDGE_VLAN_FILTERING: u16 = 7;
const BRIDGE_VLAN_DEFAULT_PVID: u16 = 39;
const BRIDGE_VLAN_INFO: u16 = 2;
const VLAN_UNMARKED: u16 = 0x02 | 0x04;

const INET_CONF: u16 = 1;
/// `IPV4_DEVCONF_ARP_NOTIFY`.
const CONF_ARP_NOTIFY: u16 = 22;
const INET6_ADDR_GEN_MODE: u16 = 8;
const ADDR_GEN_NONE: u8 = 1;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;
/// Nobody is asked whether the address is taken: leases are unique (`IFA_F_NODAD`).
const NO_DETECTION: u32 = 0x02;
/// No route to its subnet comes with it (`IFA_F_NOPREFIXROUTE`).
const NO_ROUTE: u32 = 0x200;

const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_METRICS: u16 = 8;
const RTA_TABLE: u16 = 15;
const METRIC_MTU: u16 = 2;
const METRIC_SEGMENT: u16 = 8;
const RTM_NEWROUTE: u16 = 24;
const TABLE_MAIN: u8 = 254;
const MADE_BY_BOOT: u8 = 3;
const UNICAST: u8 = 1;

// Of a rule which table of routes counts (`fib_rules.h`).
const RULE_TO_TABLE: u8 = 1;
const RULE_SOURCE: u16 = 2;
const RULE_TABLE: u16 = 15;

const CREATE: libc::c_int = libc::NLM_F_CREATE | libc::NLM_F_EXCL;

/// A device, as far as it matters here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Link {
    pub(crate) index: i32,
    pub(crate) is_up: bool,
    /// What it is made of: `bridge`, `veth`…; empty for what is nobody's making.
    pub(crate) kind: String,
    pub(crate) name: String,
    /// Its hardware address; zeros where it has none of Ethernet's length.
    pub(crate) mac: [u8; 6],
    pub(crate) mtu: u32,
    /// All of the kernel's flags (`IFF_…`).
    pub(crate) flags: u32,
    /// How many packets wait at most.
    pub(crate) queue: u32,
    /// The number of its other end, or of what it stands on, in whichever namespace that is.
    pub(crate) other: Option<i32>,
    /// The number of the bridge that it is a port of.
    pub(crate) bridge: Option<i32>,
}

impl Link {
    /// Its hardware address as it is written; it may be one that no [`Mac`] is, such as zeros.
    pub(crate) fn mac_text(&self) -> String {
        self.mac.map(|byte| format!("{byte:02x}")).join(":")
    }
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

/// The device of this number, where there is one.
pub(crate) fn at(netlink: &Netlink, index: i32) -> io::Result<Option<Link>> {
    match netlink.ask(Request::new(libc::RTM_GETLINK, 0, &head(index, 0, 0))) {
        Ok(answers) => Ok(answers.iter().find_map(|answer| parse(&answer.body))),
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The addresses of a device, in the order in which the kernel has them.
pub(crate) fn addresses(netlink: &Netlink, index: i32) -> io::Result<Vec<InterfaceAddress>> {
    let request = Request::new(libc::RTM_GETADDR, libc::NLM_F_DUMP, &[0; 8]);
    let answers = netlink.ask(request)?;
    let own =
        answers.iter().filter(|answer| number_at(&answer.body, 4) == Some(index.unsigned_abs()));
    Ok(own.filter_map(|answer| parse_address(&answer.body)).collect())
}

fn parse_address(body: &[u8]) -> Option<InterfaceAddress> {
    let prefix = *body.get(1)?;
    let all = attributes(body.get(8..)?)?;
    let value = |kind| all.iter().find(|one| one.0 == kind).map(|one| one.1);
    // A cable's own address is the local one; the other may be its partner's.
    let bytes = value(IFA_LOCAL).or_else(|| value(IFA_ADDRESS))?;
    let address = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        _ => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
    };
    Some(InterfaceAddress { address, prefix })
}

fn parse(body: &[u8]) -> Option<Link> {
    let index = i32::try_from(number_at(body, 4)?).ok()?;
    let flags = number_at(body, 8)?;
    let is_up = flags & libc::IFF_UP.unsigned_abs() != 0;
    let mut link = Link {
        index,
        is_up,
        kind: String::new(),
        name: String::new(),
        mac: [0; 6],
        mtu: 0,
        flags,
        queue: 0,
        other: None,
        bridge: None,
    };
    let signed = |value| number_at(value, 0).map(u32::cast_signed);
    for (number, value) in attributes(body.get(16..)?)? {
        match number {
            libc::IFLA_IFNAME => link.name = text(value),
            libc::IFLA_ADDRESS => link.mac = value.try_into().unwrap_or_default(),
            libc::IFLA_MTU => link.mtu = number_at(value, 0)?,
            libc::IFLA_TXQLEN => link.queue = number_at(value, 0)?,
            libc::IFLA_LINK => link.other = signed(value),
            libc::IFLA_MASTER => link.bridge = signed(value),
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
    /// The other end: its namespace, its name. The kernel chooses its number there.
    pub(crate) namespace: BorrowedFd<'a>,
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
                    peer.raw(&head(0, 0, 0));
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

/// A number for a device that is to be in another namespace than its parent. Older kernels (6.1 among
/// them) look whether the host has a device of that number, or without one of the same name, though the new
/// one is not to be there. Devices that the kernel numbers have small ones; this one is large, and by chance.
pub(crate) fn number_apart() -> Result<i32> {
    const LARGE: u32 = 1 << 30;
    let doing = || "choose the number of a device";
    let chance = u32::from_str_radix(&random_hex(4)?, 16)
        .map_err(|error| Error::new(Kind::Internal, doing()).because(error))?;
    i32::try_from(LARGE | (chance & (LARGE - 1)))
        .map_err(|error| Error::new(Kind::Internal, doing()).because(error))
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

/// Has a device tell its neighbours of its address when it comes up (`arp_notify`): some may remember
/// who had it before.
pub(crate) fn announcing(which: Which<'_>) -> io::Result<Request> {
    let mut request = which.request(0)?;
    let inet = u16::try_from(libc::AF_INET).expect("families are few");
    request.nest(libc::IFLA_AF_SPEC, |families| {
        families.nest(inet, |family| {
            family.nest(INET_CONF, |values| {
                values.attribute(CONF_ARP_NOTIFY, &1_u32.to_ne_bytes());
            });
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

/// Takes a device down.
pub(crate) fn down(index: i32) -> Request {
    Request::new(libc::RTM_NEWLINK, 0, &head(index, 0, UP))
}

/// Sets and clears flags of a device (`IFF_…`): those of `change` become as they are in `flags`.
pub(crate) fn flag(index: i32, flags: u32, change: u32) -> Request {
    Request::new(libc::RTM_NEWLINK, 0, &head(index, flags, change))
}

/// Gives a device another hardware address.
pub(crate) fn mac(index: i32, mac: [u8; 6]) -> Request {
    let mut request = Request::new(libc::RTM_NEWLINK, 0, &head(index, 0, 0));
    request.attribute(libc::IFLA_ADDRESS, &mac);
    request
}

/// Sets the largest packet of a device, and how many may wait.
pub(crate) fn sizes(index: i32, mtu: Option<u32>, queue: Option<u32>) -> Request {
    let mut request = Request::new(libc::RTM_NEWLINK, 0, &head(index, 0, 0));
    put_mtu(&mut request, mtu);
    if let Some(queue) = queue {
        request.attribute(libc::IFLA_TXQLEN, &queue.to_ne_bytes());
    }
    request
}

/// Has a port of a bridge send packets back to where they came from, and keeps it apart from other
/// ports that are kept apart.
pub(crate) fn port(index: i32, is_hairpin: bool, is_isolated: bool) -> Request {
    let mut request = Request::new(libc::RTM_NEWLINK, 0, &head(index, 0, 0));
    request.nest(libc::IFLA_LINKINFO, |info| {
        info.attribute(INFO_SLAVE_KIND, b"bridge");
        info.nest(INFO_SLAVE_DATA, |data| {
            data.attribute(BRIDGE_PORT_SENDS_BACK, &[u8::from(is_hairpin)]);
            if is_isolated {
                data.attribute(PORT_ISOLATED, &[1]);
            }
        });
    });
    request
}

/// A device that stands in for another one where packets come in (`ifb`).
pub(crate) fn stand_in(name: &str, mtu: u32) -> io::Result<Request> {
    let mut request = Request::new(libc::RTM_NEWLINK, CREATE, &head(0, UP, UP));
    request.device(libc::IFLA_IFNAME, name)?;
    put_mtu(&mut request, Some(mtu));
    request.nest(libc::IFLA_LINKINFO, |info| {
        info.attribute(INFO_KIND, b"ifb");
    });
    Ok(request)
}

/// Takes a device away, and its other end with it.
pub(crate) fn delete(index: i32) -> Request {
    Request::new(libc::RTM_DELLINK, 0, &head(index, 0, 0))
}

/// Takes a device away that was found. The kernel may have been faster: it takes the devices of a
/// namespace that has ended by itself, some time later.
pub(crate) fn remove(netlink: &Netlink, index: i32) -> io::Result<()> {
    match netlink.ask(delete(index)) {
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
        gone => gone.map(drop),
    }
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

/// Gives a device an address, and with it the way to its subnet.
pub(crate) fn address(index: i32, own: InterfaceAddress) -> Request {
    address_with(index, own, 0)
}

/// Gives a device an address, and no way to anybody.
pub(crate) fn address_alone(index: i32, own: InterfaceAddress) -> Request {
    address_with(index, own, NO_ROUTE)
}

fn address_with(index: i32, own: InterfaceAddress, flags: u32) -> Request {
    let InterfaceAddress { address, prefix } = own;
    let mut head = vec![family(address), prefix, 0, libc::RT_SCOPE_UNIVERSE];
    head.extend(index.to_ne_bytes());
    let mut request = Request::new(libc::RTM_NEWADDR, CREATE, &head);
    let own = bytes(address);
    request.attribute(IFA_LOCAL, &own).attribute(IFA_ADDRESS, &own);
    let broadcast = Subnet::around(address, prefix).map(Subnet::last);
    if let (IpAddr::V4(_), Some(broadcast)) = (address, broadcast)
        && prefix < 31
    {
        request.attribute(IFA_BROADCAST, &bytes(broadcast));
    }
    let detection = if address.is_ipv6() { NO_DETECTION } else { 0 };
    if flags | detection != 0 {
        request.attribute(IFA_FLAGS, &(flags | detection).to_ne_bytes());
    }
    request
}

/// Takes an address from a device.
pub(crate) fn without_address(index: i32, own: InterfaceAddress) -> Request {
    let mut head = vec![family(own.address), own.prefix, 0, 0];
    head.extend(index.to_ne_bytes());
    let mut request = Request::new(libc::RTM_DELADDR, 0, &head);
    request.attribute(IFA_LOCAL, &bytes(own.address));
    request
}

/// A way through a gateway; to everywhere where `to` is missing.
pub(crate) fn route(
    index: i32,
    to: Option<Subnet>,
    gateway: IpAddr,
    metric: Option<u32>,
) -> Request {
    let everywhere = Subnet::around(gateway, 0).expect("every address is somewhere");
    let to = to.unwrap_or(everywhere);
    Way { gateway: Some(gateway), priority: metric, ..Way::to(to, index) }.request()
}

/// What comes from this address goes by this table of routes.
pub(crate) fn rule_from(address: IpAddr, table: u32) -> Request {
    let prefix = if address.is_ipv4() { 32 } else { 128 };
    let head = [family(address), 0, prefix, 0, 0, 0, 0, RULE_TO_TABLE, 0, 0, 0, 0];
    let mut request = Request::new(libc::RTM_NEWRULE, CREATE, &head);
    request.attribute(RULE_SOURCE, &bytes(address)).attribute(RULE_TABLE, &table.to_ne_bytes());
    request
}

/// A route with all that can be said of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) to: Subnet,
    pub(crate) device: i32,
    pub(crate) gateway: Option<IpAddr>,
    /// The address that the host has on it.
    pub(crate) source: Option<IpAddr>,
    pub(crate) priority: Option<u32>,
    pub(crate) table: u32,
    /// How far away it is (`RT_SCOPE_…`).
    pub(crate) scope: u8,
    pub(crate) mtu: Option<u32>,
    /// The largest segment of TCP that is offered.
    pub(crate) segment: Option<u32>,
}

impl Way {
    /// A way by a device, with nothing special about it.
    pub(crate) fn to(to: Subnet, device: i32) -> Self {
        Self {
            to,
            device,
            gateway: None,
            source: None,
            priority: None,
            table: TABLE_MAIN.into(),
            scope: libc::RT_SCOPE_UNIVERSE,
            mtu: None,
            segment: None,
        }
    }

    pub(crate) fn request(&self) -> Request {
        let first = self.to.first();
        let prefix = self.to.prefix();
        // Larger numbers have an attribute of their own.
        let table = u8::try_from(self.table).unwrap_or(0);
        let head =
            [family(first), prefix, 0, 0, table, MADE_BY_BOOT, self.scope, UNICAST, 0, 0, 0, 0];
        let mut request = Request::new(RTM_NEWROUTE, CREATE, &head);
        if prefix > 0 {
            request.attribute(RTA_DST, &bytes(first));
        }
        if let Some(gateway) = self.gateway {
            request.attribute(RTA_GATEWAY, &bytes(gateway));
        }
        if let Some(source) = self.source {
            request.attribute(RTA_PREFSRC, &bytes(source));
        }
        request.attribute(RTA_OIF, &self.device.to_ne_bytes());
        if let Some(priority) = self.priority {
            request.attribute(RTA_PRIORITY, &priority.to_ne_bytes());
        }
        if table == 0 {
            request.attribute(RTA_TABLE, &self.table.to_ne_bytes());
        }
        let metrics = [(METRIC_MTU, self.mtu), (METRIC_SEGMENT, self.segment)];
        if metrics.iter().any(|(_, value)| value.is_some()) {
            request.nest(RTA_METRICS, |inner| {
                for (kind, value) in metrics {
                    if let Some(value) = value {
                        inner.attribute(kind, &value.to_ne_bytes());
                    }
                }
            });
        }
        request
    }
}
