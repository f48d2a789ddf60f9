//! What a network and a published port are in the table: elements of its sets and maps.

use super::{
    gate::Gate,
    table::{
        self, BRIDGES, INTERNAL, MASQUERADED, OPEN, PORTS4, PORTS4_AT, PORTS6, PORTS6_AT, WITHIN,
        WITHIN4, WITHIN6,
    },
};
use crate::{
    Driver, HostPolicy, Isolation, Network, Plan, Publication,
    nft::{Element, Field, Key, Set, Version},
};
use dhow_base::{Error, Kind, Result};
use std::{collections::HashSet, net::IpAddr};

/// The kernel has room for so many bytes of a device's name.
const DEVICE_BYTES: usize = 15;

/// Elements, by their sets.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    sets: Vec<(Set, Vec<Element>)>,
    /// Ports at which INPUT is asked, and those at which it is not.
    asked: Vec<(Set, Vec<Element>)>,
    unasked: Vec<(Set, Vec<Element>)>,
    /// What is there by its key, so that nothing is there twice: the kernel takes it away once.
    known: HashSet<(&'static str, Vec<u8>)>,
}

impl Wanted {
    /// The sets that have some, and those.
    pub(super) fn sets(&self) -> &[(Set, Vec<Element>)] {
        &self.sets
    }

    /// The ports at which INPUT is asked, where that was [found out](Self::ask).
    pub(super) fn asked(&self) -> &[(Set, Vec<Element>)] {
        &self.asked
    }

    /// Those at which it is not.
    pub(super) fn unasked(&self) -> &[(Set, Vec<Element>)] {
        &self.unasked
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// Finds out at which of a plan's ports INPUT is asked.
    pub(super) fn ask(&mut self, plan: &Plan, gate: &Gate<'_>) -> Result<()> {
        for target in plan.targets() {
            let obeys = plan.network_of(target).input_policy == HostPolicy::Obey;
            for publication in plan.publications.iter().filter(|one| one.host_port != 0) {
                let Some((set, key)) = key_of(publication, target) else { continue };
                let Some(set) = table::asked_of(&set) else { continue };
                let asks = obeys && gate.asks(publication, Version::of(target))?;
                let element = Element::of(key);
                if !self.known.insert((set.name, element.key.clone())) {
                    continue;
                }
                let list = if asks { &mut self.asked } else { &mut self.unasked };
                of_set(list, set).push(element);
            }
        }
        Ok(())
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
        let is_routed = !plan.network_of(target).masquerade;
        for publication in plan.publications.iter().filter(|one| one.host_port != 0) {
            self.publication(publication, target);
            if is_routed {
                self.routed(publication, target);
            }
        }
    }

    fn publication(&mut self, publication: &Publication, target: IpAddr) {
        if let Some((set, key)) = key_of(publication, target) {
            let value = Key::default().address(target).port(publication.container_port);
            self.put(set, Element::of(key).leading_to(value));
        }
    }

    fn routed(&mut self, publication: &Publication, target: IpAddr) {
        let key = Key::default().address(target).protocol(publication.protocol.number());
        self.put(table::routed_of(target), Element::of(key.port(publication.container_port)));
    }

    /// Adds an element, once.
    fn put(&mut self, set: Set, element: Element) {
        if !self.known.insert((set.name, element.key.clone())) {
            return;
        }
        of_set(&mut self.sets, set).push(element);
    }
}

/// The address to which an element of a map of published ports leads.
pub(super) fn target_of(map: &Set, element: &Element) -> Option<IpAddr> {
    let value = element.value.as_deref()?;
    match map.value.first()? {
        Field::Ipv4 => Some(IpAddr::from(*value.first_chunk::<4>()?)),
        Field::Ipv6 => Some(IpAddr::from(*value.first_chunk::<16>()?)),
        _ => None,
    }
}

/// The elements of a set among those of several.
fn of_set(sets: &mut Vec<(Set, Vec<Element>)>, set: Set) -> &mut Vec<Element> {
    let place = sets.iter().position(|known| known.0.name == set.name);
    let place = place.unwrap_or_else(|| {
        sets.push((set, Vec::new()));
        sets.len() - 1
    });
    &mut sets[place].1
}

/// The map that leads a published port to an address, and its key there; none where the port is of
/// the other version alone.
fn key_of(publication: &Publication, target: IpAddr) -> Option<(Set, Key)> {
    let (all, at) = if target.is_ipv6() { (PORTS6, PORTS6_AT) } else { (PORTS4, PORTS4_AT) };
    let host = publication.host.filter(|host| !host.is_unspecified());
    // Everybody's address of one version means all of that version.
    if publication.host.is_some_and(|host| host.is_ipv6() != target.is_ipv6()) {
        return None;
    }
    let set = if host.is_some() { at } else { all };
    let key = host.into_iter().fold(Key::default(), Key::address);
    Some((set, key.protocol(publication.protocol.number()).port(publication.host_port)))
}
