//! Connections that the kernel remembers, and those of them that lead astray.
//!
//! The first datagram of a flow decides where all of it goes, and the flow lives as long as datagrams
//! come. So a client that never pauses would go on to speak to a container that is gone, or to the
//! host itself, where a container has the port now. TCP ends by itself: a new connection is a new
//! flow.

use crate::{Plan, Protocol, Publication};
use dhow_sys::netlink::{Netlink, Protocol as Family, Request, attributes};
use std::{
    io,
    net::{IpAddr, UdpSocket},
};

/// Connection tracking's part of netfilter (`NFNL_SUBSYS_CTNETLINK`), in the upper byte.
const GET: u16 = 1 << 8 | 1;
const DELETE: u16 = 1 << 8 | 2;

// Attributes of a flow (`nfnetlink_conntrack.h`).
const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const FILTER: u16 = 25;
const ADDRESSES: u16 = 1;
const PORTS: u16 = 2;

/// Flows of this protocol, and those to this port (`CTA_FILTER_F_CTA_PROTO_NUM`, `..._DST_PORT`). Kernels
/// before 5.8 do not look at it and list all.
const BY_PROTOCOL: u32 = 1 << 3;
const BY_PORT: u32 = 1 << 5;

/// Which flows of a published port are to be forgotten.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stale {
    /// Those that do not lead to the plan's container.
    AtStart,
    /// Those that do.
    AtEnd,
}

/// Has the kernel forget stale flows to a plan's published ports. Whatever fails costs clients a pause
/// and nobody else anything, so it is not told.
pub(crate) fn forget(plan: &Plan, stale: Stale) {
    let udp: Vec<&Publication> =
        plan.publications.iter().filter(|one| one.protocol == Protocol::Udp).collect();
    if udp.is_empty() {
        return;
    }
    let Ok(netlink) = Netlink::open(Family::Netfilter) else { return };
    for target in plan.targets() {
        let _left = forget_towards(&netlink, &udp, target, stale);
    }
}

/// The kernel looks at all that it remembers of everybody for each question, so it is asked once for
/// all ports.
fn forget_towards(
    netlink: &Netlink,
    publications: &[&Publication],
    target: IpAddr,
    stale: Stale,
) -> io::Result<()> {
    let family = family_of(target);
    let only = if let [one] = publications { Some(one.host_port) } else { None };
    let mut request = Request::new(GET, libc::NLM_F_DUMP, &[family, 0, 0, 0]);
    request.nest(ORIGINAL, |tuple| {
        tuple.nest(PORTS, |ports| {
            ports.attribute(1, &[Protocol::Udp.number()]);
            if let Some(port) = only {
                ports.attribute(3, &port.to_be_bytes());
            }
        });
    });
    request.nest(FILTER, |filter| {
        let by_port = if only.is_some() { BY_PORT } else { 0 };
        filter.attribute(1, &(BY_PROTOCOL | by_port).to_ne_bytes());
        filter.attribute(2, &0_u32.to_ne_bytes());
    });
    for answer in netlink.ask(request)? {
        let Some(flow) = Flow::parse(&answer.body) else { continue };
        if publications.iter().any(|one| flow.is_stale(one, target, stale)) {
            let mut request = Request::new(DELETE, 0, &[family, 0, 0, 0]);
            request.nest(ORIGINAL, |tuple| {
                tuple.raw(flow.original);
            });
            // It may be over already.
            let _over = netlink.ask(request);
        }
    }
    Ok(())
}

fn family_of(address: IpAddr) -> u8 {
    let family = if address.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET };
    u8::try_from(family).expect("families are few")
}

/// What the kernel remembers of a flow.
#[derive(Debug)]
struct Flow<'a> {
    original: &'a [u8],
    /// Where its datagrams were sent.
    to: IpAddr,
    /// Who answers them.
    from: IpAddr,
    protocol: u8,
    port: u16,
}

impl<'a> Flow<'a> {
    fn parse(body: &'a [u8]) -> Option<Self> {
        let all = attributes(body.get(4..)?)?;
        let part = |all: &[(u16, &'a [u8])], kind: u16| {
            all.iter().find(|attribute| attribute.0 == kind).map(|attribute| attribute.1)
        };
        let original = part(&all, ORIGINAL)?;
        let (original_parts, reply) = (attributes(original)?, attributes(part(&all, REPLY)?)?);
        let ports = attributes(part(&original_parts, PORTS)?)?;
        let addresses = |tuple: &[(u16, &'a [u8])]| attributes(part(tuple, ADDRESSES)?);
        let address = |tuple: &[(u16, &'a [u8])], v4: u16, v6: u16| {
            let all = addresses(tuple)?;
            match (part(&all, v4), part(&all, v6)) {
                (Some(bytes), _) => Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?)),
                (_, Some(bytes)) => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?)),
                _ => None,
            }
        };
        Some(Self {
            original,
            to: address(&original_parts, 2, 4)?,
            from: address(&reply, 1, 3)?,
            protocol: *part(&ports, 1)?.first()?,
            port: u16::from_be_bytes(part(&ports, 3)?.try_into().ok()?),
        })
    }

    fn is_stale(&self, publication: &Publication, target: IpAddr, stale: Stale) -> bool {
        let host = publication.host.filter(|host| !host.is_unspecified());
        let is_its = self.protocol == publication.protocol.number()
            && self.port == publication.host_port
            && host.is_none_or(|host| host == self.to);
        let leads_to_it = self.from == target;
        is_its
            && match stale {
                Stale::AtEnd => leads_to_it,
                // One that leads where it was sent to is the host's own or passes by; only in the
                // first case is it in the container's way.
                Stale::AtStart => !leads_to_it && (self.from != self.to || is_own(self.to)),
            }
    }
}

/// Whether an address is one of the host's: nobody else's can be bound.
pub(crate) fn is_own(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}
