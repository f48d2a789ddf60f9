//! The table `inet dhow_cni`: what the networks of plugins need of the host's firewall.
//!
//! ```text
//!   for a published port ──▶ prerouting / output ──▶ published ──▶ the container's address
//!   that leaves ───────────▶ postrouting: under the host's address, where a container asked itself,
//!                            where the host asked from its loopback, and where it is masqueraded
//! ```
//!
//! As in dhow's own table the chains are always the same, and containers are elements of sets. Each
//! element names an address of one container, by which it is found again. Who adds the first element
//! makes the table; who takes the last one takes the table.

use crate::{
    InterfaceAddress, Publication, Subnet,
    nft::{Batch, Element, Field, Hook, Key, Nft, Priority, Rule, Set, Side, Verdict, Version},
};
use dhow_base::Result;
use std::net::IpAddr;

const TABLE: &str = "dhow_cni";

/// What is kept with the table: a comment, as nft writes one.
const NOTE: &str = "of dhow's plugins of CNI\0";

const SERVICE: &[Field] = &[Field::Protocol, Field::Port];
const SERVICE4: &[Field] = &[Field::Ipv4, Field::Protocol, Field::Port];
const SERVICE6: &[Field] = &[Field::Ipv6, Field::Protocol, Field::Port];
const TARGET4: &[Field] = &[Field::Ipv4, Field::Port];
const TARGET6: &[Field] = &[Field::Ipv6, Field::Port];
const PAIR4: &[Field] = &[Field::Ipv4, Field::Ipv4];
const PAIR6: &[Field] = &[Field::Ipv6, Field::Ipv6];

/// Ports at all of the host's addresses, and where they lead.
const PORTS4: Set = Set::map("ports4", SERVICE, TARGET4);
const PORTS6: Set = Set::map("ports6", SERVICE, TARGET6);
/// Ports at one of them.
const PORTS4_AT: Set = Set::map("ports4_at", SERVICE4, TARGET4);
const PORTS6_AT: Set = Set::map("ports6_at", SERVICE6, TARGET6);
/// A subnet, and the address of a container in it whose ports are published.
const NEAR4: Set = Set::of_ranges("near4", PAIR4);
const NEAR6: Set = Set::of_ranges("near6", PAIR6);
/// A container's address, and where it is known by it: its subnet, and groups.
const OWN4: Set = Set::of_ranges("own4", PAIR4);
const OWN6: Set = Set::of_ranges("own6", PAIR6);
/// A container's address, and everywhere.
const HIDDEN4: Set = Set::of_ranges("hidden4", PAIR4);
const HIDDEN6: Set = Set::of_ranges("hidden6", PAIR6);
/// Devices by which addresses of the loopback may pass.
const LOCAL: Set = Set::of("local", &[Field::Device]);

const SETS: [Set; 11] =
    [PORTS4, PORTS6, PORTS4_AT, PORTS6_AT, NEAR4, NEAR6, OWN4, OWN6, HIDDEN4, HIDDEN6, LOCAL];

/// Sets of published ports, and of what goes with them.
const PUBLISHED: [Set; 6] = [PORTS4, PORTS6, PORTS4_AT, PORTS6_AT, NEAR4, NEAR6];
const MASQUERADED: [Set; 4] = [OWN4, OWN6, HIDDEN4, HIDDEN6];

/// Elements for a set.
type Part = (Set, Vec<Element>);

/// The firewall, as plugins use it.
#[derive(Debug)]
pub(super) struct Ruleset {
    nft: Nft,
}

impl Ruleset {
    /// Connects to the firewall of the namespace that the process is in.
    pub(super) fn open() -> Result<Self> {
        Ok(Self { nft: Nft::open()? })
    }

    /// Has a container speak to the world under the host's address: to all but its own subnet and
    /// groups.
    pub(super) fn masquerade(&self, own: InterfaceAddress) -> Result<()> {
        let address = own.address;
        let (known, hidden) = if address.is_ipv4() { (OWN4, HIDDEN4) } else { (OWN6, HIDDEN6) };
        let to = |subnet: &Subnet| pair_from(address, *subnet);
        let groups = if address.is_ipv4() { "224.0.0.0/4" } else { "ff00::/8" };
        let groups: Subnet = groups.parse().expect("it is a subnet");
        let near: Vec<Subnet> =
            Subnet::around(address, own.prefix).into_iter().chain([groups]).collect();
        let everywhere = Subnet::around(address, 0).expect("every address is somewhere");
        self.add(&[(known, near.iter().map(to).collect()), (hidden, vec![to(&everywhere)])])
    }

    /// Leads ports of the host's to a container. `device` is the host's device by which it is reached,
    /// where the host's own loopback is to lead there too.
    pub(super) fn publish(
        &self,
        publications: &[Publication],
        own: InterfaceAddress,
        device: Option<&str>,
    ) -> Result<()> {
        let mut parts: Vec<Part> = Vec::new();
        for publication in publications {
            parts.extend(published(publication, own.address));
        }
        if parts.is_empty() {
            return Ok(());
        }
        if let Some(subnet) = Subnet::around(own.address, own.prefix) {
            let set = if own.address.is_ipv4() { NEAR4 } else { NEAR6 };
            let twice = |first: IpAddr| Key::default().address(first).address(own.address);
            parts.push((set, vec![Element::range(twice(subnet.first()), twice(subnet.last()))]));
        }
        if let Some(device) = device {
            parts.push((LOCAL, vec![Element::of(Key::default().device(device))]));
        }
        self.add(&parts)
    }

    /// Whether all of these lead to a container.
    pub(super) fn leads(&self, publications: &[Publication], to: IpAddr) -> Result<bool> {
        for publication in publications {
            if let Some((set, elements)) = published(publication, to)
                && self.nft.present(TABLE, &set, &elements)? != elements
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes the ports of these addresses away.
    pub(super) fn forget_ports(&self, addresses: &[IpAddr]) -> Result<()> {
        self.forget(&PUBLISHED, addresses)
    }

    /// Has these addresses masqueraded no more.
    pub(super) fn forget_masquerade(&self, addresses: &[IpAddr]) -> Result<()> {
        self.forget(&MASQUERADED, addresses)
    }

    fn forget(&self, sets: &[Set], addresses: &[IpAddr]) -> Result<()> {
        if addresses.is_empty() || self.nft.table_note(TABLE)?.is_none() {
            return Ok(());
        }
        self.nft.retry(CHANGE, |_| {
            let mut batch = Batch::of(TABLE);
            for set in sets {
                let mut found = self.nft.elements(TABLE, set)?;
                found.retain(|one| addresses.iter().any(|address| is_about(set, one, *address)));
                batch.delete(set, &found);
            }
            self.nft.commit(batch)
        })?;
        self.leave_if_idle()
    }

    /// Adds elements, with the chains where they are missing. An element that led elsewhere leads here
    /// from now on: its container has lost the address without a word.
    fn add(&self, parts: &[Part]) -> Result<()> {
        self.nft.retry(CHANGE, |refused| {
            let mut batch = Batch::of(TABLE);
            if self.nft.table_note(TABLE)?.is_none() {
                put(&mut batch);
            } else if refused.is_some() {
                for (set, elements) in parts.iter().filter(|(set, _)| !set.value.is_empty()) {
                    let mut stale = self.nft.present(TABLE, set, elements)?;
                    stale.retain(|found| !elements.contains(found));
                    batch.delete(set, &stale);
                }
            }
            for (set, elements) in parts {
                batch.add(set, elements);
            }
            self.nft.commit(batch)
        })
    }

    fn leave_if_idle(&self) -> Result<()> {
        self.nft.delete_table_if(TABLE, CHANGE, || {
            // The devices are nobody's own.
            for set in SETS.iter().filter(|set| set.name != LOCAL.name) {
                if !self.nft.elements(TABLE, set)?.is_empty() {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }
}

const CHANGE: &str = "change the firewall's table inet dhow_cni";

/// All of the table but its elements.
fn put(batch: &mut Batch) {
    use Verdict::{Drop, Jump, Return};
    use Version::{V4, V6};
    let rule = Rule::new;
    let loopback4 = [127];
    let loopback6 = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let length = u8::try_from(NOTE.len()).expect("the comment is short");
    batch.table(&[&[0, length], NOTE.as_bytes()].concat());
    for set in &SETS {
        batch.set(set);
    }
    batch.chain("published");
    batch.base_chain("raw", "filter", Hook::Prerouting, Priority::RAW);
    batch.base_chain("prerouting", "nat", Hook::Prerouting, Priority::DESTINATION_NAT);
    batch.base_chain("output", "nat", Hook::Output, Priority::DESTINATION_NAT);
    batch.base_chain("postrouting", "nat", Hook::Postrouting, Priority::SOURCE_NAT);
    let chains: [(&str, Vec<Rule>); 5] = [
        (
            "published",
            vec![
                rule().publish_at(V4, PORTS4_AT.name),
                rule().publish_at(V6, PORTS6_AT.name),
                rule().publish(V4, PORTS4.name),
                rule().publish(V6, PORTS6.name),
            ],
        ),
        // See dhow's own table: nothing of the loopback's comes in by such a device (CVE-2020-8558).
        (
            "raw",
            vec![
                rule().device(Side::Input, LOCAL.name).to(V4, &loopback4).verdict(Drop),
                rule().device(Side::Input, LOCAL.name).from(V4, &loopback4).verdict(Drop),
            ],
        ),
        (
            "prerouting",
            vec![
                rule().to(V4, &loopback4).verdict(Return),
                rule().to(V6, &loopback6).verdict(Return),
                rule().destined_here().verdict(Jump("published")),
            ],
        ),
        (
            "output",
            vec![
                rule().to(V6, &loopback6).verdict(Return),
                rule().destined_here().verdict(Jump("published")),
            ],
        ),
        (
            "postrouting",
            vec![
                rule().published().between(V4, NEAR4.name).masquerade(),
                rule().published().between(V6, NEAR6.name).masquerade(),
                rule().device(Side::Output, LOCAL.name).from(V4, &loopback4).masquerade(),
                rule().between(V4, OWN4.name).verdict(Return),
                rule().between(V6, OWN6.name).verdict(Return),
                rule().between(V4, HIDDEN4.name).masquerade(),
                rule().between(V6, HIDDEN6.name).masquerade(),
            ],
        ),
    ];
    for (chain, rules) in &chains {
        for rule in rules {
            batch.rule(chain, rule);
        }
    }
}

/// An address, and all of a subnet.
fn pair_from(address: IpAddr, subnet: Subnet) -> Element {
    let pair = |end: IpAddr| Key::default().address(address).address(end);
    Element::range(pair(subnet.first()), pair(subnet.last()))
}

/// A published port as elements; none where it is of another version than the container's address.
fn published(publication: &Publication, to: IpAddr) -> Option<Part> {
    if publication.host.is_some_and(|host| host.is_ipv6() != to.is_ipv6()) {
        return None;
    }
    let host = publication.host.filter(|host| !host.is_unspecified());
    let (all, at) = if to.is_ipv6() { (PORTS6, PORTS6_AT) } else { (PORTS4, PORTS4_AT) };
    let set = if host.is_some() { at } else { all };
    let key = host.into_iter().fold(Key::default(), Key::address);
    let key = key.protocol(publication.protocol.number()).port(publication.host_port);
    let value = Key::default().address(to).port(publication.container_port);
    Some((set, vec![Element::of(key).leading_to(value)]))
}

/// Whether an element is a container's of this address.
fn is_about(set: &Set, element: &Element, address: IpAddr) -> bool {
    let bytes = Key::default().address(address).bytes();
    match &element.value {
        Some(value) => value.starts_with(&bytes),
        None if set.name.starts_with("near") => element.key.ends_with(&bytes),
        None => element.key.starts_with(&bytes),
    }
}
