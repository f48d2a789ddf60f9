//! The container's side of a device, and what all plugins that make one do with it.

use super::asked::Asked;
use crate::{
    HostRoute, InterfaceAddress, Mac, Subnet,
    cni::{Ip, Outcome, Refusal, Route},
    host_routes,
    inside::within,
    link::{self, Link, Way, Which},
};
use dhow_base::{Doing, Error, Kind, Result, id::random_hex};
use dhow_sys::{
    netlink::{Netlink, Protocol, Request},
    procfs::Procfs,
};
use std::{
    io,
    net::IpAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::PathBuf,
};

/// A connection to the kernel's devices in the namespace that we are in.
pub(super) fn host() -> Result<Netlink> {
    Netlink::open(Protocol::Route).doing(|| "open a netlink socket")
}

/// A hardware address from chance.
pub(super) fn random_mac() -> Result<Mac> {
    let text = random_hex(6)?;
    let mut bytes = [0; 6];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).unwrap_or_default();
        *byte = u8::from_str_radix(digits, 16).unwrap_or_default();
    }
    Ok(Mac::from_random(bytes))
}

/// A name for the host's end of a cable, as the reference plugins choose one.
pub(super) fn random_name() -> Result<String> {
    Ok(format!("veth{}", random_hex(4)?))
}

/// What the kernel says to a request, with what it was about.
pub(super) fn ask(
    netlink: &Netlink,
    request: Request,
    what: impl FnOnce() -> String,
) -> Result<()> {
    netlink.ask(request).map(drop).doing(what)
}

/// The network devices of a container.
pub(super) struct Inside<'a> {
    netlink: Netlink,
    namespace: BorrowedFd<'a>,
}

impl<'a> Inside<'a> {
    pub(super) fn open(namespace: &'a OwnedFd) -> Result<Self, Refusal> {
        let namespace = namespace.as_fd();
        Ok(Self { netlink: within(namespace, host)?, namespace })
    }

    pub(super) fn netlink(&self) -> &Netlink {
        &self.netlink
    }

    pub(super) fn find_if_there(&self, name: &str) -> Result<Option<Link>, Refusal> {
        Ok(link::find(&self.netlink, name)
            .doing(|| format!("look for {name:?} in the container"))?)
    }

    pub(super) fn find(&self, name: &str) -> Result<Link, Refusal> {
        self.find_if_there(name)?.ok_or_else(|| {
            Refusal::new(Refusal::OTHER, format!("failed to lookup {name:?}: Link not found"))
        })
    }

    /// Refuses a name that is taken.
    pub(super) fn free(&self, name: &str) -> Result<(), Refusal> {
        match self.find_if_there(name)? {
            None => Ok(()),
            Some(_) => {
                let text = format!("container veth name provided ({name}) already exists");
                Err(Refusal::new(Refusal::OTHER, text))
            }
        }
    }

    pub(super) fn up(&self, name: &str) -> Result<Link, Refusal> {
        let found = self.find(name)?;
        let request = link::up(Which::Index(found.index)).doing(|| "name the device")?;
        ask(&self.netlink, request, || format!("bring up {name:?} in the container"))?;
        Ok(found)
    }

    pub(super) fn down(&self, name: &str) -> Result<(), Refusal> {
        match self.find_if_there(name)? {
            Some(found) => {
                let doing = || format!("take down {name:?} in the container");
                Ok(ask(&self.netlink, link::down(found.index), doing)?)
            }
            None => Ok(()),
        }
    }

    /// Takes a device away; one that is gone is fine. The addresses that it had.
    pub(super) fn remove(&self, name: &str) -> Result<Vec<InterfaceAddress>, Refusal> {
        let Some(found) = self.find_if_there(name)? else { return Ok(Vec::new()) };
        let addresses = self.addresses(&found)?;
        let doing = || format!("remove {name:?} in the container");
        ask(&self.netlink, link::delete(found.index), doing)?;
        Ok(addresses)
    }

    pub(super) fn addresses(&self, of: &Link) -> Result<Vec<InterfaceAddress>, Refusal> {
        let doing = || format!("list the addresses of {:?} in the container", of.name);
        Ok(link::addresses(&self.netlink, of.index).doing(doing)?)
    }

    /// Writes a kernel parameter of the container's network: `ipv4/conf/eth0/arp_notify`.
    pub(super) fn set(&self, key: &str, value: &str) -> Result<()> {
        let path = PathBuf::from(format!("sys/net/{key}"));
        within(self.namespace, || {
            let procfs = Procfs::of_host().doing(|| "check /proc")?;
            procfs.write(&path, value.as_bytes()).doing(|| format!("set net/{key} to {value:?}"))
        })
    }

    /// Does without a parameter that this kernel does not have.
    pub(super) fn set_if_there(&self, key: &str, value: &str) -> Result<()> {
        match self.set(key, value) {
            Err(error) if error.kind() == Kind::NotFound => Ok(()),
            done => done,
        }
    }

    /// Brings a device up with its addresses and routes.
    pub(super) fn configure(&self, name: &str, outcome: &Outcome) -> Result<(), Refusal> {
        let found = self.find(name)?;
        self.set_if_there(&format!("ipv6/conf/{name}/accept_ra"), "0")?;
        self.up(name)?;
        for ip in &outcome.ips {
            let request = link::address(found.index, ip.address);
            ask(&self.netlink, request, || format!("give {name:?} the address {}", ip.address))?;
        }
        for route in &outcome.routes {
            self.add_route(&found, route, &outcome.ips)?;
        }
        Ok(())
    }

    fn add_route(&self, device: &Link, route: &Route, ips: &[Ip]) -> Result<(), Refusal> {
        let is_ipv6 = route.dst.address.is_ipv6();
        let of_ip = || ips.iter().filter_map(|ip| ip.gateway).find(|own| own.is_ipv6() == is_ipv6);
        let gateway = route.gateway.or_else(of_ip);
        self.way(device, route, gateway)
    }

    /// Sets a route of a result's, through a gateway.
    pub(super) fn way(
        &self,
        device: &Link,
        route: &Route,
        gateway: Option<IpAddr>,
    ) -> Result<(), Refusal> {
        let InterfaceAddress { address, prefix } = route.dst;
        let to = Subnet::around(address, prefix);
        let to = to.ok_or_else(|| Error::new(Kind::Invalid, "use a route's length"))?;
        let positive = |number: i64| u32::try_from(number).ok().filter(|number| *number > 0);
        let small = |number: Option<i64>| number.and_then(|number| u32::try_from(number).ok());
        let plain = Way::to(to, device.index);
        let way = Way {
            gateway,
            priority: positive(route.priority),
            table: small(route.table).unwrap_or(plain.table),
            scope: small(route.scope).and_then(|scope| u8::try_from(scope).ok()).unwrap_or(0),
            mtu: positive(route.mtu),
            segment: positive(route.advmss),
            ..plain
        };
        match self.netlink.ask(way.request()) {
            // The subnet's own route came with the address.
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
            done => Ok(done.map(drop).doing(|| format!("failed to add route to {}", route.dst))?),
        }
    }

    fn routes(&self) -> Result<Vec<HostRoute>, Refusal> {
        Ok(within(self.namespace, host_routes)?)
    }
}

/// Sees whether the container's device is as the result says: there, with its hardware address, its
/// addresses and its routes.
pub(super) fn check(asked: &Asked) -> Result<(), Refusal> {
    let before = asked.needed_before()?;
    let failed = |text: String| Err(Refusal::new(Refusal::OTHER, text));
    let name = &asked.interface;
    let told = before.interfaces.iter().find(|one| one.name == *name && !one.sandbox.is_empty());
    let Some(told) = told else {
        return failed(format!("interface {name} not found in prevResult"));
    };
    let namespace = asked.namespace()?;
    let inside = Inside::open(&namespace)?;
    let found = inside.find(name)?;
    if !told.mac.is_empty() && !told.mac.eq_ignore_ascii_case(&found.mac_text()) {
        let (is, was) = (found.mac_text(), &told.mac);
        return failed(format!("Interface {name} Mac {was} doesn't match container Mac: {is}"));
    }
    let addresses = inside.addresses(&found)?;
    if let Some(ip) = before.addresses().find(|ip| !addresses.contains(&ip.address)) {
        return failed(format!("Failed to find expected address {} on {name}", ip.address));
    }
    let routes = inside.routes()?;
    for route in &before.routes {
        let to = Subnet::around(route.dst.address, route.dst.prefix);
        // The main table is the one that is looked at.
        if route.table.is_none() && !routes.iter().any(|found| Some(found.to) == to) {
            return failed(format!("Expected Route to {} not found", route.dst));
        }
    }
    Ok(())
}

/// Unless somebody was quicker.
pub(super) fn unless_there(error: io::Error) -> io::Result<()> {
    if error.raw_os_error() == Some(libc::EEXIST) { Ok(()) } else { Err(error) }
}
