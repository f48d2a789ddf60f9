//! The firewall: one table of dhow's own, `inet dhow`, with what its networks and containers need.
//!
//! ```text
//!   a packet for a published port ──▶ prerouting ──▶ arriving ─┬▶ published ──▶ the container's address
//!                                     output ──────────────────┘ └▶ input, where that decides (see `gate`)
//!   a packet to or from a bridge ───▶ forward ──▶ inward: published, routed or open, or dropped
//!   a packet that leaves ───────────▶ postrouting: under the host's address where it must be
//!   127.0.0.0/8 from a bridge ──────▶ raw: dropped
//! ```
//!
//! The chains are the same on every machine. What differs are the elements of sets and maps: a
//! network is a few names of devices, a published port is one element of a map, so a thousand of them
//! cost what one does. A start is one batch, carried out as a whole or not at all: of elements alone
//! where the chains are there, with the chains where they are missing.
//!
//! Who raises the same twice changes nothing, and who takes something away that is not there does
//! not fail, so whoever finds a dead container can clean up behind it.
//!
//! To accept a packet here is to say nothing about it: the chains of others still drop what they drop. A
//! network that asks not to be subject to their policies has rules in them (see `passage`).

mod elements;
pub(crate) mod gate;
mod passage;
mod table;
mod watch;

pub use watch::Watch;

use crate::{
    Network, Plan, Protocol,
    conntrack::{self, Stale},
    forwarding,
    nft::{Batch, Chain, Element, Key, Nft, Refusal, Set},
};
use dhow_base::Result;
use elements::Wanted;
use gate::Gate;
use rustix::io::Errno;
use std::{collections::HashSet, net::IpAddr};
pub(crate) use table::TABLE;
use table::{ADMITTED4, ADMITTED6, BRIDGES};

/// So many elements go into one batch at most, since the kernel takes a batch as one message of
/// limited size.
const ELEMENTS: usize = 1000;

/// The firewall of one network namespace: the host's.
#[derive(Debug)]
pub struct Firewall {
    nft: Nft,
}

/// What has to be done besides adding elements.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Missing {
    /// Nothing.
    Nothing,
    /// Some chain, set or rule; elements that are there stay.
    Rules,
    /// All of it: what is there is of an older layout, or was changed by somebody beyond repair. The
    /// elements of others go too, which those put back who watch (see [`Watch`]).
    Table,
}

/// Who asks for a published port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client<'a> {
    pub(crate) device: &'a str,
    pub(crate) from: IpAddr,
    pub(crate) protocol: Protocol,
    pub(crate) port: u16,
}

/// What becomes of clients that INPUT let through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Admitted {
    /// They are remembered.
    Stay,
    /// They are asked about again: INPUT may have changed.
    Go,
}

/// What there is to be done besides adding what is wanted.
#[derive(Debug)]
struct Repair {
    missing: Missing,
    /// Elements that are in the way.
    stale: Vec<(Set, Vec<Element>)>,
    admitted: Admitted,
}

impl Firewall {
    /// Connects to the firewall of the network namespace that the process is in, and stays with it.
    pub fn open() -> Result<Self> {
        Ok(Self { nft: Nft::open()? })
    }

    /// Makes all that a plan needs of the host: its networks and its published ports. What is there
    /// already stays. The plan's bridges must be there, since it lets packets pass by them.
    pub fn raise(&self, plan: &Plan) -> Result<()> {
        self.raise_with(plan, Admitted::Stay)
    }

    /// The same after somebody has changed the ruleset: what is gone comes back, and what others' rules
    /// say of the published ports holds from now on.
    pub fn raise_again(&self, plan: &Plan) -> Result<()> {
        self.raise_with(plan, Admitted::Go)
    }

    fn raise_with(&self, plan: &Plan, admitted: Admitted) -> Result<()> {
        let mut wanted = Wanted::default();
        for attachment in &plan.attachments {
            wanted.network(&attachment.network)?;
        }
        wanted.publications(plan);
        let chains = self.nft.chains()?;
        let missing = self.missing(&chains)?;
        if !plan.publications.is_empty() {
            wanted.ask(plan, &Gate::among(&self.nft, chains)?)?;
        }
        self.add(&wanted, Repair { missing, stale: Vec::new(), admitted })?;
        // While the rules are there no flow goes astray.
        if missing != Missing::Nothing || admitted == Admitted::Stay {
            conntrack::forget(plan, Stale::AtStart);
        }
        plan.attachments.iter().try_for_each(|one| self.let_forward(&one.network))
    }

    /// Has the host forward a network's packets.
    fn let_forward(&self, network: &Network) -> Result<()> {
        passage::open(&self.nft, network)?;
        forwarding::allow(network)
    }

    /// Takes a plan's published ports away, and nothing else: its networks stay.
    pub fn lower(&self, plan: &Plan) -> Result<()> {
        let mut wanted = Wanted::default();
        wanted.publications(plan);
        self.remove(&wanted)?;
        conntrack::forget(plan, Stale::AtEnd);
        Ok(())
    }

    /// Takes away whatever leads to a plan's addresses, by whichever port: for who finds a container
    /// that was killed before it was written down which ports it got.
    pub fn lower_all(&self, plan: &Plan) -> Result<()> {
        self.nft.retry(CHANGE, |_| self.try_to_lower_all(plan))?;
        conntrack::forget(plan, Stale::AtEnd);
        Ok(())
    }

    fn try_to_lower_all(&self, plan: &Plan) -> Result<Result<(), Refusal>> {
        let mut batch = Batch::of(TABLE);
        for target in plan.targets() {
            let address = Key::default().address(target).bytes();
            for map in table::maps_of(target) {
                let mut found = self.nft.elements(TABLE, &map)?;
                found.retain(|one| one.value.as_ref().is_some_and(|to| to.starts_with(&address)));
                if let Some((set, asked)) = self.asked_with(&map, &found)? {
                    batch.delete(&set, &with_keys_of(&found, &asked));
                }
                batch.delete(&map, &found);
            }
            let routed = table::routed_of(target);
            let mut found = self.nft.elements(TABLE, &routed)?;
            found.retain(|one| one.key.starts_with(&address));
            batch.delete(&routed, &found);
        }
        self.nft.commit(batch)
    }

    /// All addresses that published ports lead to, whoever's they are.
    pub fn targets(&self) -> Result<Vec<IpAddr>> {
        let mut all = Vec::new();
        for map in table::MAPS {
            let elements = self.nft.elements(TABLE, &map)?;
            all.extend(elements.iter().filter_map(|one| elements::target_of(&map, one)));
        }
        Ok(all)
    }

    /// Makes what a network needs of the host.
    pub fn raise_network(&self, network: &Network) -> Result<()> {
        let mut wanted = Wanted::default();
        wanted.network(network)?;
        let missing = self.missing(&self.nft.chains()?)?;
        self.add(&wanted, Repair { missing, stale: Vec::new(), admitted: Admitted::Stay })?;
        self.let_forward(network)
    }

    /// Takes a network away; the whole table with the last one.
    pub fn drop_network(&self, network: &Network) -> Result<()> {
        passage::close(&self.nft, network)?;
        let mut wanted = Wanted::default();
        wanted.network(network)?;
        self.remove(&wanted)?;
        // Where no network is left, nothing of us is.
        let has_none = || Ok(self.nft.elements(TABLE, &BRIDGES)?.is_empty());
        self.nft.delete_table_if(TABLE, CHANGE, has_none)
    }

    /// Whether all chains are there, and lead a plan's published ports to this address of its own.
    pub(crate) fn leads(&self, plan: &Plan, target: IpAddr) -> Result<bool> {
        let mut wanted = Wanted::default();
        wanted.publications_to(plan, target);
        if self.missing(&self.nft.chains()?)? != Missing::Nothing {
            return Ok(false);
        }
        for (set, elements) in wanted.sets() {
            let found = self.nft.present(TABLE, set, elements)?;
            if !elements.iter().all(|element| found.contains(element)) {
                return Ok(false);
            }
        }
        Ok(!wanted.is_empty())
    }

    /// Whether INPUT has let a client through of late.
    pub(crate) fn has_admitted(&self, client: &Client<'_>) -> Result<bool> {
        let set = if client.from.is_ipv6() { ADMITTED6 } else { ADMITTED4 };
        let of_port = Key::default().protocol(client.protocol.number()).port(client.port).bytes();
        let begin = Key::default().device(client.device).address(client.from).bytes();
        let found = self.nft.elements(TABLE, &set)?;
        Ok(found.iter().any(|one| one.key.starts_with(&begin) && one.key.ends_with(&of_port)))
    }

    /// Whether a device is a bridge of dhow's.
    pub(crate) fn has_bridge(&self, device: &str) -> Result<bool> {
        let element = Element::of(Key::default().device(device));
        Ok(!self.nft.present(TABLE, &BRIDGES, &[element])?.is_empty())
    }

    fn add(&self, wanted: &Wanted, mut repair: Repair) -> Result<()> {
        if wanted.is_empty() {
            return Ok(());
        }
        self.nft.retry(CHANGE, |refused| {
            if let Some(refused) = refused {
                self.repair(wanted, refused, &mut repair)?;
            }
            self.try_to_add(wanted, &repair)
        })
    }

    /// What else is to be done after a refusal.
    fn repair(&self, wanted: &Wanted, refused: &Refusal, repair: &mut Repair) -> Result<()> {
        match refused.errno {
            // Something of the same name is there. A port that led elsewhere led to a container that is
            // gone, for this one holds it; anything else is a range that overlaps one that nobody
            // took away.
            errno if is_clash(errno) => {
                repair.stale = self.stale(wanted)?;
                if repair.stale.is_empty() {
                    repair.missing = Missing::Table;
                }
            }
            // Somebody took the table away, or the stale elements.
            Errno::NOENT => {
                repair.missing = self.missing(&self.nft.chains()?)?;
                repair.stale.clear();
            }
            // A chain of the same name at another hook.
            _ if repair.missing == Missing::Rules => repair.missing = Missing::Table,
            _ => {}
        }
        Ok(())
    }

    /// One try: the chains where they are missing, with the first of the elements.
    fn try_to_add(&self, wanted: &Wanted, repair: &Repair) -> Result<Result<(), Refusal>> {
        let mut batch = Batch::of(TABLE);
        if repair.missing == Missing::Table {
            // To delete what may be missing, it is added first.
            batch.table(&[]);
            batch.delete_table();
        }
        if repair.missing != Missing::Nothing {
            table::put(&mut batch);
        }
        for (set, elements) in &repair.stale {
            batch.delete(set, elements);
        }
        if repair.admitted == Admitted::Go && !wanted.asked().is_empty() {
            batch.empty(&ADMITTED4);
            batch.empty(&ADMITTED6);
        }
        let mut count = 0;
        // First who is asked about a port, then where it leads: it is never open in between.
        let parts = |sets: &'_ [(Set, Vec<Element>)], put: Put| {
            let of_set = move |(set, all): &'_ (Set, Vec<Element>)| (*set, all.clone(), put);
            sets.iter().map(of_set).collect::<Vec<_>>()
        };
        let all = [
            parts(wanted.asked(), Batch::add),
            parts(wanted.unasked(), Batch::clear),
            parts(wanted.sets(), Batch::add),
        ];
        for (set, elements, put) in all.concat() {
            for part in elements.chunks(ELEMENTS) {
                count += part.len();
                if count > ELEMENTS {
                    let full = std::mem::replace(&mut batch, Batch::of(TABLE));
                    if let Err(refusal) = self.nft.commit(full)? {
                        return Ok(Err(refusal));
                    }
                    count = part.len();
                }
                put(&mut batch, &set, part);
            }
        }
        self.nft.commit(batch)
    }

    /// What of the chains and rules is not there as it should be.
    fn missing(&self, chains: &[Chain]) -> Result<Missing> {
        let Some(note) = self.nft.table_note(TABLE)? else { return Ok(Missing::Rules) };
        if table::is_older(&note) {
            return Ok(Missing::Table);
        }
        if table::is_newer(&note) {
            return Ok(Missing::Nothing);
        }
        let is_there = |(name, uses): (&str, u32)| {
            let mut ours = chains.iter().filter(|chain| chain.family == 1 && chain.table == TABLE);
            ours.any(|chain| chain.name == name && chain.uses == uses)
        };
        let all_are = table::uses(&table::chains()).all(is_there);
        Ok(if all_are { Missing::Nothing } else { Missing::Rules })
    }

    /// Elements with the keys of what is wanted and other values.
    fn stale(&self, wanted: &Wanted) -> Result<Vec<(Set, Vec<Element>)>> {
        let mut stale = Vec::new();
        for (set, elements) in wanted.sets().iter().filter(|(set, _)| !set.value.is_empty()) {
            let mut found = self.nft.present(TABLE, set, elements)?;
            found.retain(|found| !elements.contains(found));
            if !found.is_empty() {
                stale.push((*set, found));
            }
        }
        Ok(stale)
    }

    /// Takes away what is there as it is wanted: the same key with another value is somebody else's.
    fn remove(&self, wanted: &Wanted) -> Result<()> {
        // Somebody else may be quicker with some of them.
        self.nft.retry(CHANGE, |_| self.try_to_remove(wanted))
    }

    fn try_to_remove(&self, wanted: &Wanted) -> Result<Result<(), Refusal>> {
        for (set, elements) in wanted.sets() {
            let known: HashSet<&Element> = elements.iter().collect();
            let mut found = self.nft.present(TABLE, set, elements)?;
            found.retain(|found| known.contains(found));
            let asked = self.asked_with(set, &found)?;
            for part in found.chunks(ELEMENTS) {
                let mut batch = Batch::of(TABLE);
                batch.delete(set, part);
                // Together, or somebody who has the port next could lose what is theirs.
                if let Some((set, asked)) = &asked {
                    batch.delete(set, &with_keys_of(part, asked));
                }
                if let Err(refusal) = self.nft.commit(batch)? {
                    return Ok(Err(refusal));
                }
            }
        }
        Ok(Ok(()))
    }

    /// What is in the set of asked ports that goes with a map of published ones, where any of these
    /// are there.
    fn asked_with(&self, map: &Set, ports: &[Element]) -> Result<Option<(Set, Vec<Element>)>> {
        let Some(set) = table::asked_of(map).filter(|_| !ports.is_empty()) else { return Ok(None) };
        Ok(Some((set, self.nft.elements(TABLE, &set)?)))
    }
}

/// Those of the elements that have the keys of others.
fn with_keys_of(others: &[Element], elements: &[Element]) -> Vec<Element> {
    let keys: HashSet<&[u8]> = others.iter().map(|other| other.key.as_slice()).collect();
    elements.iter().filter(|element| keys.contains(element.key.as_slice())).cloned().collect()
}

/// Whether the kernel refuses what is there already and not the same. (Before 6.10 it says `EBUSY` of an
/// element with another value.)
fn is_clash(errno: Errno) -> bool {
    matches!(errno, Errno::BUSY | Errno::EXIST | Errno::NOTEMPTY)
}

const CHANGE: &str = "change the firewall's table inet dhow";

/// How elements go into a batch.
type Put = fn(&mut Batch, &Set, &[Element]);

#[cfg(test)]
mod tests;
