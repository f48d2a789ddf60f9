//! The firewall: one table of dhow's own, `inet dhow`, with what its networks and containers need.
//!
//! ```text
//!   a packet for a published port ──▶ prerouting / output ──▶ published ──▶ the container's address
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
//! To accept a packet here is to say nothing about it: the chains of others still drop what they drop.

mod elements;
mod table;

use crate::{
    Network, Plan, forwarding,
    nft::{Batch, Element, Nft, Refusal, Set},
};
use dhow_base::Result;
use elements::Wanted;
use rustix::io::Errno;
use std::collections::HashSet;
use table::{BRIDGES, TABLE};

/// So many elements go into one batch at most, since the kernel takes a batch as one message of
/// limited size.
const ELEMENTS: usize = 1000;

/// How often a change is tried again after somebody else's came in between.
const TRIES: usize = 5;

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

impl Firewall {
    /// Connects to the firewall of the network namespace that the process is in, and stays with it.
    pub fn open() -> Result<Self> {
        Ok(Self { nft: Nft::open()? })
    }

    /// Makes all that a plan needs of the host: its networks and its published ports. What is there
    /// already stays. The plan's bridges must be there, since it lets packets pass by them.
    pub fn raise(&self, plan: &Plan) -> Result<()> {
        let mut wanted = Wanted::default();
        for attachment in &plan.attachments {
            wanted.network(&attachment.network)?;
        }
        wanted.publications(plan);
        self.add(&wanted)?;
        plan.attachments.iter().try_for_each(|one| forwarding::allow(&one.network))
    }

    /// Takes a plan's published ports away, and nothing else: its networks stay.
    pub fn lower(&self, plan: &Plan) -> Result<()> {
        let mut wanted = Wanted::default();
        wanted.publications(plan);
        self.remove(&wanted)
    }

    /// Makes what a network needs of the host.
    pub fn raise_network(&self, network: &Network) -> Result<()> {
        let mut wanted = Wanted::default();
        wanted.network(network)?;
        self.add(&wanted)?;
        forwarding::allow(network)
    }

    /// Takes a network away; the whole table with the last one.
    pub fn drop_network(&self, network: &Network) -> Result<()> {
        let mut wanted = Wanted::default();
        wanted.network(network)?;
        self.remove(&wanted)?;
        self.leave_if_idle()
    }

    fn add(&self, wanted: &Wanted) -> Result<()> {
        if wanted.is_empty() {
            return Ok(());
        }
        let mut missing = self.missing()?;
        let mut stale = Vec::new();
        let mut refusal = None;
        for _ in 0..TRIES {
            match self.try_to_add(wanted, missing, &stale)? {
                Ok(()) => return Ok(()),
                // A port that led elsewhere: to a container that is gone, for this one holds it.
                Err(refused) if refused.errno == Errno::BUSY => {
                    stale = self.stale(wanted)?;
                    refusal = Some(refused);
                }
                // A chain at another hook, a range that overlaps what nobody took away.
                Err(refused) if matches!(refused.errno, Errno::EXIST | Errno::NOTEMPTY) => {
                    missing = Missing::Table;
                    refusal = Some(refused);
                }
                // Somebody took the table away, or the stale elements.
                Err(refused) if refused.errno == Errno::NOENT => {
                    missing = self.missing()?;
                    stale.clear();
                    refusal = Some(refused);
                }
                Err(refused) => return Err(refused.into_error(CHANGE)),
            }
        }
        match refusal {
            Some(refusal) => Err(refusal.into_error(CHANGE)),
            None => Ok(()),
        }
    }

    /// One try: the chains where they are missing, with the first of the elements.
    fn try_to_add(
        &self,
        wanted: &Wanted,
        missing: Missing,
        stale: &[(Set, Vec<Element>)],
    ) -> Result<Result<(), Refusal>> {
        let mut batch = Batch::of(TABLE);
        if missing == Missing::Table {
            // To delete what may be missing, it is added first.
            batch.table(&[]);
            batch.delete_table();
        }
        if missing != Missing::Nothing {
            table::put(&mut batch);
        }
        for (set, elements) in stale {
            batch.delete(set, elements);
        }
        let mut count = 0;
        for (set, elements) in wanted.sets() {
            for part in elements.chunks(ELEMENTS) {
                count += part.len();
                if count > ELEMENTS {
                    let full = std::mem::replace(&mut batch, Batch::of(TABLE));
                    if let Err(refusal) = self.nft.commit(full)? {
                        return Ok(Err(refusal));
                    }
                    count = part.len();
                }
                batch.add(set, part);
            }
        }
        self.nft.commit(batch)
    }

    /// What of the chains and rules is not there as it should be.
    fn missing(&self) -> Result<Missing> {
        let Some(note) = self.nft.table_note(TABLE)? else { return Ok(Missing::Rules) };
        if table::is_older(&note) {
            return Ok(Missing::Table);
        }
        if table::is_newer(&note) {
            return Ok(Missing::Nothing);
        }
        for (chain, uses) in table::uses(&table::chains()) {
            if self.nft.chain_use(TABLE, chain)? != Some(uses) {
                return Ok(Missing::Rules);
            }
        }
        Ok(Missing::Nothing)
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
        let mut refusal = None;
        for _ in 0..TRIES {
            let mut batch = Batch::of(TABLE);
            for (set, elements) in wanted.sets() {
                let wanted: HashSet<&Element> = elements.iter().collect();
                let mut found = self.nft.present(TABLE, set, elements)?;
                found.retain(|found| wanted.contains(found));
                batch.delete(set, &found);
            }
            match self.nft.commit(batch)? {
                Ok(()) => return Ok(()),
                // Somebody else was quicker with some of them.
                Err(refused) if refused.errno == Errno::NOENT => refusal = Some(refused),
                Err(refused) => return Err(refused.into_error(CHANGE)),
            }
        }
        match refusal {
            Some(refusal) => Err(refusal.into_error(CHANGE)),
            None => Ok(()),
        }
    }

    /// Takes the table away where no network is left, unless one comes in between.
    fn leave_if_idle(&self) -> Result<()> {
        for _ in 0..TRIES {
            let generation = self.nft.generation()?;
            let is_there = self.nft.table_note(TABLE)?.is_some();
            if !is_there || !self.nft.elements(TABLE, &BRIDGES)?.is_empty() {
                return Ok(());
            }
            let mut batch = Batch::of(TABLE);
            batch.only_at(generation);
            batch.delete_table();
            match self.nft.commit(batch)? {
                Err(refused) if matches!(refused.errno, Errno::RESTART | Errno::NOENT) => {}
                Err(refused) => return Err(refused.into_error(CHANGE)),
                Ok(()) => return Ok(()),
            }
        }
        // Others are at it, and the last of them leaves.
        Ok(())
    }
}

const CHANGE: &str = "change the firewall's table inet dhow";
