//! Network devices of the host's that move into the container's network namespace.
//!
//! ```text
//!   check all ──▶ hand over, give addresses back, bring up: one after the other
//!                     │ one is refused, or the container is not made after all
//!                     ▼
//!                 those that have moved come back, newest first
//! ```
//!
//! Nothing is done to a device before the kernel has been asked to hand it over, and the kernel
//! refuses before it touches one (`lo`, a name that is taken): so a refused device stays up and
//! keeps its addresses. What moves loses both, and gets the lasting, global addresses again. When
//! the container ends, the kernel decides: a physical device goes back to the host, a virtual one is
//! destroyed. Routes are configuration, which the specification leaves to others: they stay away.
//!
//! A name that ends with `%d` is a pattern, from which the kernel makes a name that is free. Such a
//! device gets a number of our choice, by which it is found again.

use crate::namespaces;
use dhow_base::{Doing, Error, Kind, Result};
use dhow_spec::runtime::{NamespaceKind, NetDevice};
use dhow_sys::{
    procfs::Procfs,
    route::{Address, Link, Route},
};
use rustix::io::Errno;
use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::{AsFd, OwnedFd},
};

/// The longest name that the kernel has for a device.
const NAME_BYTES: usize = 15;

/// Devices that are in the container.
#[derive(Debug)]
pub(crate) struct Moved {
    outside: Side,
    inside: Side,
    devices: Vec<Device>,
}

/// A network namespace, and a connection to it.
#[derive(Debug)]
struct Side {
    namespace: OwnedFd,
    route: Route,
}

#[derive(Debug)]
struct Device {
    outside: String,
    inside: String,
    /// Whether the old name is nobody's inside, so that a device of that name can only be this one.
    is_known_inside: bool,
    was_up: bool,
    /// All that somebody gave it; those that mean the same everywhere go in.
    addresses: Vec<Address>,
}

/// Moves the devices into `namespace`. Where one of them cannot move, all are where they were.
pub(crate) fn move_in(devices: &BTreeMap<String, NetDevice>, namespace: OwnedFd) -> Result<Moved> {
    let host = Procfs::of_host().doing(|| "check /proc")?;
    let own = host.namespace("self", "net").doing(|| "open the own net namespace")?;
    refuse_same(&own, &namespace)?;
    let outside = Side { namespace: own, route: open()? };
    let target = [(NamespaceKind::Network, namespace.as_fd())];
    let route = namespaces::visit(&target, open, |_| false)?;
    let inside = Side { namespace, route };
    let mut moved = Moved { outside, inside, devices: Vec::new() };
    let devices = moved.check(devices)?;
    for (device, link) in devices {
        let doing = format!("move network device {} into the container", device.outside);
        if let Err(error) = moved.take(device, link).doing(|| doing) {
            moved.restore();
            return Err(error);
        }
    }
    Ok(moved)
}

fn open() -> Result<Route> {
    Route::open().doing(|| "open a netlink socket")
}

/// In one and the same namespace a device would only get another name: the host's device.
fn refuse_same(own: &OwnedFd, other: &OwnedFd) -> Result<()> {
    let identity = |fd: &OwnedFd| {
        rustix::fs::fstat(fd).map(|status| (status.st_dev, status.st_ino)).doing(|| "look at it")
    };
    if identity(own)? == identity(other)? {
        let text = "move network devices: the container is in the host's network namespace";
        return Err(Error::new(Kind::Invalid, text));
    }
    Ok(())
}

/// What a name inside that is to be made from a pattern ends with.
const PATTERN: &str = "%d";

/// A name that the kernel takes as it is; one with `%` in it would be a pattern.
fn check_name(name: &str) -> Result<()> {
    let is_bad = |byte: u8| matches!(byte, b'/' | b':' | b'%' | 0) || byte.is_ascii_whitespace();
    let is_bad = name.is_empty()
        || name.len() > NAME_BYTES
        || matches!(name, "." | "..")
        || name.bytes().any(is_bad);
    if is_bad {
        return Err(Error::new(Kind::Invalid, format!("use the network device name {name:?}")));
    }
    Ok(())
}

impl Moved {
    /// Looks for everything that could stand in the way while nothing has moved.
    fn check(&self, devices: &BTreeMap<String, NetDevice>) -> Result<Vec<(Device, Link)>> {
        let mut taken = BTreeSet::new();
        let mut checked = Vec::new();
        for (outside, asked) in devices {
            let inside = asked.name.as_deref().filter(|name| !name.is_empty()).unwrap_or(outside);
            check_name(outside)?;
            let is_pattern = inside.ends_with(PATTERN);
            // Whatever number the kernel puts there, it finds out itself whether that fits.
            check_name(inside.strip_suffix(PATTERN).unwrap_or(inside))?;
            let doing = || format!("find network device {outside}");
            let link =
                self.outside.route.link(outside).doing(doing).map_err(|error| {
                    match error.errno().map(Errno::from_raw_os_error) {
                        Some(Errno::NODEV) => error.kinded(Kind::NotFound),
                        _ => error,
                    }
                })?;
            if !is_pattern && (!taken.insert(inside) || self.is_inside(inside)) {
                let text = format!("move network device {outside} to {inside}: the name is taken");
                return Err(Error::new(Kind::AlreadyExists, text));
            }
            let addresses = self.outside.route.addresses(link).doing(doing)?;
            let device = Device {
                outside: outside.clone(),
                inside: inside.to_owned(),
                is_known_inside: !self.is_inside(outside),
                was_up: link.is_up,
                addresses: addresses.into_iter().filter(Address::is_lasting).collect(),
            };
            checked.push((device, link));
        }
        Ok(checked)
    }

    fn is_inside(&self, name: &str) -> bool {
        self.inside.route.link(name).is_ok()
    }

    fn take(&mut self, mut device: Device, link: Link) -> Result<()> {
        if let Err(error) = self.hand_over(&mut device, link) {
            // It may have arrived under its old name and been refused the new one only.
            if device.is_known_inside && self.is_inside(&device.outside) {
                self.devices.push(device);
            }
            return Err(error).doing(|| "hand it over");
        }
        self.devices.push(device);
        let device = self.devices.last().expect("pushed above");
        let link = self.inside.route.link(&device.inside).doing(|| "find it inside")?;
        for address in device.addresses.iter().filter(|address| address.is_global()) {
            self.inside.route.add_address(link, address).doing(|| "give it its addresses again")?;
        }
        self.inside.route.bring_up(link).doing(|| "bring it up")
    }

    /// Where the name is a pattern, it is afterwards what the kernel has made of it.
    fn hand_over(&self, device: &mut Device, link: Link) -> std::io::Result<()> {
        let (outside, inside) = (&self.outside.route, &self.inside);
        if !device.inside.ends_with(PATTERN) {
            return outside.hand_over(link, inside.namespace.as_fd(), &device.inside);
        }
        // Who makes devices in a namespace that is joined may be quicker; the kernel then refuses.
        let index = inside.route.largest_index()?.max(link.index).saturating_add(1);
        outside.hand_over_as(link, inside.namespace.as_fd(), &device.inside, index)?;
        device.inside = inside.route.name_of(index)?;
        Ok(())
    }

    /// Brings the devices back, as they were. That one does not come is of no use to anybody: the
    /// failure that brought us here is the one to tell of.
    pub(crate) fn restore(self) {
        for device in self.devices.iter().rev() {
            let _lost = self.bring_back(device);
        }
    }

    fn bring_back(&self, device: &Device) -> std::io::Result<()> {
        let inside = &self.inside.route;
        let link = match inside.link(&device.inside) {
            Err(_) if device.is_known_inside => inside.link(&device.outside)?,
            result => result?,
        };
        inside.hand_over(link, self.outside.namespace.as_fd(), &device.outside)?;
        let route = &self.outside.route;
        let link = route.link(&device.outside)?;
        for address in &device.addresses {
            // The kernel has made that of the hardware's address itself.
            let _there_already = route.add_address(link, address);
        }
        if device.was_up { route.bring_up(link) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_the_kernel_takes_literally() {
        for name in ["eth0", "a", "fifteen-letters", "ä.1-x@y"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", ".", "..", "a/b", "a b", "a\tb", "a:1", "eth%d", "sixteen-letters!"] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
