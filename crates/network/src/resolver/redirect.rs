//! Leads what a container sends to the resolver's address to the port where the resolver is.
//!
//! ```text
//!   program ── to 127.0.0.11:53 ──▶ output ── to :31053 ──▶ resolver
//!   program ◀── from :53 ────────── output ◀── from :31053 ── resolver
//! ```
//!
//! The ports are written over in the packets as they go. Docker changes them as `nat` does, which has
//! the kernel track every connection of the container from then on, also those that have nothing to do
//! with names.

use super::listen::ADDRESS;
use crate::{
    Protocol,
    nft::{Batch, Hook, Nft, PortOf, Priority, Rule, Version},
};
use dhow_base::Result;

/// The table's name, in the container's namespace: not that of the host's, which a dhow in a container
/// makes for itself.
const TABLE: &str = "dhow_resolver";

const CHAIN: &str = "output";

/// Leads from one port of the resolver's address to another, in the namespace that the process is in.
/// What was led elsewhere is not any more.
pub(super) fn lead(asked: u16, answering: u16) -> Result<()> {
    let mut batch = Batch::of(TABLE);
    batch.table(&[]);
    batch.delete_table();
    batch.table(&[]);
    batch.base_chain(CHAIN, "filter", Hook::Output, Priority::RAW);
    for protocol in [Protocol::Udp, Protocol::Tcp] {
        let (to, from) = (PortOf::Destination, PortOf::Source);
        let there = Rule::new()
            .to(Version::V4, &ADDRESS.octets())
            .port(protocol, to, asked)
            .rewrite(protocol, to, answering);
        let back = Rule::new()
            .from(Version::V4, &ADDRESS.octets())
            .port(protocol, from, answering)
            .rewrite(protocol, from, asked);
        batch.rule(CHAIN, &there);
        batch.rule(CHAIN, &back);
    }
    let doing = "lead questions for names to their resolver";
    Nft::open()?.commit(batch)?.map_err(|refusal| refusal.into_error(doing))
}
