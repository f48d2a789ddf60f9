//! A plan's links: a bridge on the host, and a cable from it into each namespace.
//!
//! ```text
//!        host                            container
//!   bridge 10.88.0.1 ── dv-… ═══════════ eth0 10.88.0.5, default via 10.88.0.1
//! ```
//!
//! Two sockets, one in either namespace, and on each one message with everything in it: it is known which
//! number a device has in a new namespace, so that its addresses can follow without an answer in between.
//! The cable dies with the container's namespace. The bridge stays until the network is removed, since
//! making one costs more than all the rest.

mod cable;

use crate::{
    Attachment, Driver, Mode, Network, Plan,
    inside::within,
    link::{self, Stacked, Which},
    shaping::{self, Bucket},
};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_sys::{
    netlink::{Netlink, Protocol, Request},
    procfs::Procfs,
};
use rustix::io::Errno;
use std::{io, net::IpAddr, os::fd::BorrowedFd, path::PathBuf};

/// The number of the first cable's end in a new namespace, where the kernel counts on from the loopback.
const FIRST_INDEX: i32 = 2;

/// What a further network's default route costs more than the first one's.
const FURTHER_METRIC: u32 = 100;

/// Sets up everything of a plan in a namespace in which there is nothing but the loopback. Half of it
/// is left where that fails: it goes with the namespace. What plugins make is not looked at.
pub fn setup(plan: &Plan, namespace: BorrowedFd<'_>) -> Result<()> {
    if plan.is_empty() {
        return Ok(());
    }
    let sides = Sides::open(namespace)?;
    let all = plan.attachments.iter().enumerate();
    let ours = all.filter(|(_, attachment)| attachment.network.driver != Driver::Cni);
    let mut next = FIRST_INDEX;
    for (place, attachment) in ours {
        sides
            .attach(attachment, place, Some(next))
            .doing(|| format!("connect to network {}", attachment.network.name))?;
        // What stands on a device of the host's has a number apart, which the kernel does not count on from.
        next += i32::from(attachment.network.driver == Driver::Bridge);
    }
    Ok(())
}

/// Connects a namespace that is in use already to one more network, its `place`-th.
pub fn connect(attachment: &Attachment, place: usize, namespace: BorrowedFd<'_>) -> Result<()> {
    if attachment.network.driver == Driver::Cni {
        return Ok(());
    }
    let sides = Sides::open(namespace)?;
    let doing = || format!("connect to network {}", attachment.network.name);
    let interface = &attachment.interface;
    if link::find(&sides.inside, interface).doing(doing)?.is_some() {
        let text = format!("{}: the container has a device {interface} already", doing());
        return Err(Error::new(Kind::Conflict, text));
    }
    let connected = sides.attach(attachment, place, None);
    if connected.is_err() {
        let _gone = sides.detach(attachment);
    }
    connected.doing(doing)
}

/// Takes a namespace's connection away again. That it is gone is fine.
pub fn disconnect(attachment: &Attachment, namespace: BorrowedFd<'_>) -> Result<()> {
    if attachment.network.driver == Driver::Cni {
        return Ok(());
    }
    Sides::open(namespace)?
        .detach(attachment)
        .doing(|| format!("disconnect from network {}", attachment.network.name))
}

/// Takes a network's device away from the host, if it is one that was made for it.
pub fn remove_device(network: &Network) -> Result<()> {
    if network.driver != Driver::Bridge {
        return Ok(());
    }
    let doing = || format!("remove network device {}", network.device);
    let host = open()?;
    match link::find(&host, &network.device).doing(doing)? {
        Some(found) if found.kind == "bridge" => link::remove(&host, found.index).doing(doing),
        _ => Ok(()),
    }
}

fn open() -> Result<Netlink> {
    Netlink::open(Protocol::Route).doing(|| "open a netlink socket")
}

/// Both ends of a cable.
struct Sides<'a> {
    host: Netlink,
    inside: Netlink,
    namespace: BorrowedFd<'a>,
}

impl<'a> Sides<'a> {
    fn open(namespace: BorrowedFd<'a>) -> Result<Self> {
        Ok(Self { host: open()?, inside: within(namespace, open)?, namespace })
    }

    fn attach(&self, attachment: &Attachment, place: usize, index: Option<i32>) -> Result<()> {
        let has_ipv6 = attachment.addresses.iter().any(|own| own.address.is_ipv6());
        let index = match attachment.network.driver {
            Driver::Bridge => {
                self.plug_in(attachment)?;
                index
            }
            Driver::Macvlan | Driver::Ipvlan => {
                let own = link::number_apart()?;
                self.stack(attachment, own)?;
                Some(own)
            }
            Driver::Cni => return Ok(()),
        };
        let index = match index {
            Some(index) => index,
            None => self.index_inside(&attachment.interface)?,
        };
        let doing = || format!("set up device {} in the container", attachment.interface);
        let which = Which::Index(index);
        let mut wishes = vec![link::announcing(which).doing(doing)?];
        if has_ipv6 {
            refuse_advertisements(&attachment.interface, Some(self.namespace))?;
        } else {
            wishes.push(link::without_own_address(which).doing(doing)?);
        }
        // A kernel without one of the versions refuses what is said of it.
        let _verdicts = self.inside.ask_all(wishes).doing(doing)?;
        let own = attachment.addresses.iter().map(|own| link::address(index, *own));
        let mut requests: Vec<_> = own.collect();
        requests.push(link::up(which).doing(doing)?);
        requests.extend(
            attachment
                .network
                .egress_bits
                .and_then(Bucket::usual)
                .map(|bucket| shaping::limit(index, bucket)),
        );
        requests.extend(routes(attachment, place, index));
        all(&self.inside, requests).doing(doing)?;
        set_parameters(&attachment.network, self.namespace)
    }

    fn stack(&self, attachment: &Attachment, index: i32) -> Result<()> {
        let network = &attachment.network;
        let doing = || format!("make device {} on {}", attachment.interface, network.device);
        let parent = link::find(&self.host, &network.device).doing(doing)?.ok_or_else(|| {
            Error::new(
                Kind::NotFound,
                format!("{}: the host has no device {}", doing(), network.device),
            )
            .hint("`ip link` lists devices; a network names its own with -o parent=NAME")
        })?;
        let is_macvlan = network.driver == Driver::Macvlan;
        let usual = number_of(if is_macvlan { Mode::Bridge } else { Mode::L2 });
        let stacked = Stacked {
            kind: if is_macvlan { "macvlan" } else { "ipvlan" },
            mode: network.mode.map_or(usual, number_of),
            parent: parent.index,
            namespace: self.namespace,
            index,
            inside: &attachment.interface,
            mac: is_macvlan.then_some(attachment.mac),
            mtu: network.mtu,
        };
        match self.host.ask(stacked.request().doing(doing)?) {
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                let text = format!("{}: this kernel has no {}", doing(), stacked.kind);
                Err(Error::new(Kind::Unsupported, text)
                    .hint(format!("`modprobe {}` may bring it", stacked.kind)))
            }
            made => made.map(drop).doing(doing),
        }
    }

    fn index_inside(&self, name: &str) -> Result<i32> {
        link::find(&self.inside, name)
            .doing(|| format!("look for device {name} in the container"))?
            .map(|found| found.index)
            .ok_or_else(|| Error::new(Kind::NotFound, format!("there is no device {name} inside")))
    }

    fn detach(&self, attachment: &Attachment) -> Result<()> {
        let doing = || format!("remove device {} in the container", attachment.interface);
        match link::find(&self.inside, &attachment.interface).doing(doing)? {
            Some(found) => link::remove(&self.inside, found.index).doing(doing),
            None => Ok(()),
        }
    }
}

/// The kernel's number of a mode (`MACVLAN_MODE_…`, `IPVLAN_MODE_…`).
fn number_of(mode: Mode) -> u32 {
    match mode {
        Mode::Private => 1,
        Mode::Vepa => 2,
        Mode::Bridge => 4,
        Mode::Passthru => 8,
        Mode::L2 => 0,
        Mode::L3 => 1,
        Mode::L3s => 2,
    }
}

/// The ways out: by each network that has one, the first one's first.
fn routes(attachment: &Attachment, place: usize, index: i32) -> Vec<Request> {
    let network = &attachment.network;
    let mut routes = Vec::new();
    let metric = metric(network, place);
    let has = |gateway: IpAddr| {
        attachment.addresses.iter().any(|own| own.address.is_ipv4() == gateway.is_ipv4())
    };
    if !network.internal && network.default_route {
        let gateways = network.subnets.iter().filter_map(|range| range.gateway);
        for gateway in gateways.filter(|gateway| has(*gateway)) {
            routes.push(link::route(index, None, gateway, metric));
        }
    }
    for route in network.routes.iter().filter(|route| has(route.gateway)) {
        routes.push(link::route(index, Some(route.to), route.gateway, route.metric));
    }
    routes
}

/// What the default route by a plan's `place`-th network costs.
pub(crate) fn metric(network: &Network, place: usize) -> Option<u32> {
    let place = u32::try_from(place).expect("networks are few");
    network.metric.or((place > 0).then_some(FURTHER_METRIC + place))
}

/// Addresses and routes are ours to give: nobody on the link announces any (`accept_ra`). Where the
/// kernel has no IPv6 there is no such file.
fn refuse_advertisements(device: &str, namespace: Option<BorrowedFd<'_>>) -> Result<()> {
    let path = PathBuf::from(format!("sys/net/ipv6/conf/{device}/accept_ra"));
    let write = || {
        let host = Procfs::of_host().doing(|| "check /proc")?;
        match host.write(&path, b"0") {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            written => written.doing(|| format!("refuse router advertisements on {device}")),
        }
    };
    match namespace {
        Some(namespace) => within(namespace, write),
        None => write(),
    }
}

/// Writes what a network says of the kernel's parameters in a container.
fn set_parameters(network: &Network, namespace: BorrowedFd<'_>) -> Result<()> {
    if network.sysctls.is_empty() {
        return Ok(());
    }
    within(namespace, || {
        let host = Procfs::of_host().doing(|| "check /proc")?;
        for (key, value) in &network.sysctls {
            let path = PathBuf::from(format!("sys/{}", key.replace('.', "/")));
            host.write(&path, value.as_bytes()).doing(|| format!("set {key} to {value:?}"))?;
        }
        Ok(())
    })
}

/// Sends all, and tells of the first that was refused; what is there already is fine.
fn all(netlink: &Netlink, requests: Vec<Request>) -> Result<()> {
    let verdicts = netlink.ask_all(requests).doing(|| "ask the kernel")?;
    for verdict in verdicts {
        verdict.or_else(unless_there).doing(|| "set addresses and routes")?;
    }
    Ok(())
}

pub(crate) fn unless_there(error: io::Error) -> io::Result<()> {
    if error.raw_os_error() == Some(Errno::EXIST.raw_os_error()) { Ok(()) } else { Err(error) }
}

pub(crate) fn unless_gone(error: io::Error) -> io::Result<()> {
    let gone = [Errno::ADDRNOTAVAIL, Errno::NODEV].map(|errno| Some(errno.raw_os_error()));
    if gone.contains(&error.raw_os_error()) { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests;
