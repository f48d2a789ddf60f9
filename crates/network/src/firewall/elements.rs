//! What a network and a published port are in the table: elements of its sets and maps.

use super::table::{
    BRIDGES, INTERNAL, MASQUERADED, OPEN, PORTS4, PORTS4_AT, PORTS6, PORTS6_AT, ROUTED4, ROUTED6,
    WITHIN, WITHIN4, WITHIN6,
};
use crate::{
    Driver, Isolation, Network, Plan, Publication,
    nft::{Element, Key, Set},
};
use dhow_base::{Error, Kind, Result};
use std::{collections::HashSet, net::IpAddr};

/// The kernel has room for so many bytes of a device's name.
const DEVICE_BYTES: usize = 15;

/// Elements, by their sets.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    sets: Vec<(Set, Vec<Element>)>,
    /// What is there by its key, so that nothing is there twice: the kernel takes it away once.
    known: HashSet<(&'static str, Vec<u8>)>,
}

impl Wanted {
    /// The sets that have some, and those.
    pub(super) fn sets(&self) -> &[(Set, Vec<Element>)] {
        &self.sets
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// Adds what a network is. Only bridges are the firewall's: the devices of other drivers stand on
    /// the wire themselves.
    pub(super) fn network(&mut self, network: &Network) -> Result<()> {
        if network.driver != Driver::Bridge {
            return Ok(());
        }
        let device = network.device.as_str();
        if device.is_empty() || device.len() > DEVICE_BYTES || device.contains('\0') {
            let what = format!("keep {device:?} in the firewall as the device of {}", network.name);
            return Err(Error::new(Kind::Invalid, what).hint("a device's name has 1 to 15 bytes"));
        }
        let name = || Element::of(Key::default().device(device));
        self.put(BRIDGES, name());
        self.put(WITHIN, Element::of(Key::default().device(device).device(device)));
        for range in &network.subnets {
            let (first, last) = (range.subnet.first(), range.subnet.last());
            let twice = |address| Key::default().address(address).address(address);
            let set = if range.subnet.is_ipv6() { WITHIN6 } else { WITHIN4 };
            self.put(set, Element::range(twice(first), twice(last)));
        }
        if network.internal {
            self.put(INTERNAL, name());
            return Ok(());
        }
        if network.isolation == Isolation::Open {
            self.put(OPEN, name());
        }
        if network.masquerade {
            self.put(MASQUERADED, name());
        }
        Ok(())
    }

    /// Adds what a plan's published ports are.
    pub(super) fn publications(&mut self, plan: &Plan) {
        for target in plan.targets() {
            self.publications_to(plan, target);
        }
    }

    /// Adds those that lead to one address of the plan's.
    pub(super) fn publications_to(&mut self, plan: &Plan, target: IpAddr) {
        let is_routed = plan.attachments.iter().any(|attachment| {
            let is_it = attachment.addresses.iter().any(|one| one.address == target);
            is_it && !attachment.network.masquerade
        });
        for publication in plan.publications.iter().filter(|one| one.host_port != 0) {
            self.publication(publication, target);
            if is_routed {
                self.routed(publication, target);
            }
        }
    }

    fn publication(&mut self, publication: &Publication, target: IpAddr) {
        let (all, at) = if target.is_ipv6() { (PORTS6, PORTS6_AT) } else { (PORTS4, PORTS4_AT) };
        let host = publication.host.filter(|host| !host.is_unspecified());
        // Everybody's address of one version means all of that version.
        if publication.host.is_some_and(|host| host.is_ipv6() != target.is_ipv6()) {
            return;
        }
        let set = if host.is_some() { at } else { all };
        let key = host.into_iter().fold(Key::default(), Key::address);
        let key = key.protocol(publication.protocol.number()).port(publication.host_port);
        let value = Key::default().address(target).port(publication.container_port);
        self.put(set, Element::of(key).leading_to(value));
    }

    fn routed(&mut self, publication: &Publication, target: IpAddr) {
        let key = Key::default().address(target).protocol(publication.protocol.number());
        let set = if target.is_ipv6() { ROUTED6 } else { ROUTED4 };
        self.put(set, Element::of(key.port(publication.container_port)));
    }

    /// Adds an element, once.
    fn put(&mut self, set: Set, element: Element) {
        if !self.known.insert((set.name, element.key.clone())) {
            return;
        }
        let place = self.sets.iter().position(|known| known.0.name == set.name);
        let place = place.unwrap_or_else(|| {
            self.sets.push((set, Vec::new()));
            self.sets.len() - 1
        });
        self.sets[place].1.push(element);
    }
}
