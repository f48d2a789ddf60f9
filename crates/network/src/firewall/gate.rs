//! The gate: the host's INPUT chains decide who reaches a published port, as with a program's.
//!
//! ```text
//!   nobody can be dropped ────────▶ led to the container, at once
//!   else, first packet ───────────▶ INPUT ─┬─▶ dropped or rejected there: so be it
//!                                          └─▶ let through: the client is remembered, the packet dropped
//!         packets that come again ▶ of a client that is remembered: led to the container
//! ```
//!
//! Where packets for a port are led away they never come to INPUT, and nothing in the kernel can be asked
//! what would become of one there. So one is sent there: a chain of ours behind all others sees what
//! they have let through. That is exact whatever they look at, and costs a client one packet,
//! which TCP sends again after a second. Where the rules themselves show that they drop nobody, as an
//! open port's do, nobody is asked.

use crate::{
    Publication,
    nft::{Chain, Hook, Judge, Judgement, Nft, Packet, Version},
};
use dhow_base::Result;
use std::fs;

/// What the older iptables has in the kernel, and could drop packets with.
const LEGACY: [&str; 2] =
    ["/proc/thread-self/net/ip_tables_names", "/proc/thread-self/net/ip6_tables_names"];

/// What everybody else has at INPUT.
#[derive(Debug)]
pub(crate) struct Gate<'a> {
    judge: Judge<'a>,
    has_legacy: bool,
}

impl<'a> Gate<'a> {
    /// Looks at what there is, among chains that were listed already.
    pub(crate) fn among(nft: &'a Nft, chains: Vec<Chain>) -> Result<Self> {
        let judge = Judge::among(nft, chains, Hook::Input, super::TABLE)?;
        Ok(Self { judge, has_legacy: has_legacy() })
    }

    /// Whether nobody is there who could drop anything.
    pub(crate) fn is_open(&self) -> bool {
        self.judge.is_idle() && !self.has_legacy
    }

    /// Whether INPUT has to be asked who may come to a port.
    pub(crate) fn asks(&self, port: &Publication, version: Version) -> Result<bool> {
        if self.is_open() {
            return Ok(false);
        }
        Ok(self.has_legacy || self.judge(&packet(port, version))? != Judgement::Passes)
    }

    /// What the chains of nftables do with a packet.
    pub(crate) fn judge(&self, packet: &Packet) -> Result<Judgement> {
        self.judge.judge(packet)
    }
}

/// A packet for a port, from anywhere.
pub(crate) fn packet(port: &Publication, version: Version) -> Packet {
    Packet {
        version,
        input: None,
        input_index: None,
        output: None,
        source: None,
        destination: port.host.filter(|host| !host.is_unspecified()),
        protocol: port.protocol.number(),
        port: port.host_port,
        is_published: false,
    }
}

/// Whether the older iptables has tables in this network namespace. What is in them cannot be seen with
/// nftables, and there is no news of it.
pub(crate) fn has_legacy() -> bool {
    let names = LEGACY.iter().filter_map(|path| fs::read_to_string(path).ok());
    // What `nat` and `raw` drop never comes to INPUT.
    names.into_iter().any(|text| text.lines().any(|name| !matches!(name, "nat" | "raw")))
}
