//! A rule: steps that load parts of a packet into registers, compare them, and end in a verdict.
//!
//! Registers are words of four bytes (`NFT_REG32_00` and on). A rule's steps are built by methods that
//! read like the line that `nft` shows for them.

use super::{Key, number, text};
use crate::Protocol;
use dhow_sys::netlink::Request;
use std::net::IpAddr;

/// The register of verdicts, and the first of the words.
const VERDICT: u32 = 0;
const WORD: u32 = 8;

// What of a packet's circumstances is loaded (`nft_meta_keys`).
const META_INPUT: u32 = 6;
const META_OUTPUT: u32 = 7;
const META_VERSION: u32 = 15;
const META_PROTOCOL: u32 = 16;

// What of its connection (`nft_ct_keys`).
const CT_STATE: u32 = 0;
const CT_STATUS: u32 = 2;

/// States of a connection, as bits (`NF_CT_STATE_BIT`).
pub(crate) const INVALID: u32 = 1;
pub(crate) const ESTABLISHED: u32 = 1 << 1;
pub(crate) const RELATED: u32 = 1 << 2;

/// Its destination was changed on the way (`IPS_DST_NAT`).
const DESTINATION_CHANGED: u32 = 1 << 5;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verdict<'a> {
    Accept,
    Drop,
    Return,
    Jump(&'a str),
}

/// A version of the internet protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Version {
    V4,
    V6,
}

impl Version {
    /// An address's.
    pub(crate) fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// `NFPROTO_IPV4`, `NFPROTO_IPV6`.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::V4 => 2,
            Self::V6 => 10,
        }
    }

    /// Where a packet's head has the source, and how long addresses are.
    pub(super) fn source(self) -> (u32, u32) {
        match self {
            Self::V4 => (12, 4),
            Self::V6 => (8, 16),
        }
    }

    pub(super) fn destination(self) -> (u32, u32) {
        let (offset, length) = self.source();
        (offset + length, length)
    }
}

/// Which device a packet came by or leaves by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    Input,
    Output,
}

impl Side {
    fn key(self) -> u32 {
        match self {
            Self::Input => META_INPUT,
            Self::Output => META_OUTPUT,
        }
    }
}

/// Which of a packet's two ports.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum PortOf {
    Source,
    Destination,
}

impl PortOf {
    fn offset(self) -> u32 {
        match self {
            Self::Source => 0,
            Self::Destination => 2,
        }
    }
}

/// One step.
#[derive(Clone, Debug)]
enum Step {
    Meta { key: u32, into: u32 },
    Ct { key: u32, into: u32 },
    Payload { base: u32, offset: u32, length: u32, into: u32 },
    IsLocal { into: u32 },
    Compare { from: u32, is_equal: bool, value: Vec<u8> },
    Mask { at: u32, mask: Vec<u8> },
    Lookup { set: &'static str, from: u32, into: Option<u32>, is_inverted: bool },
    Update { set: &'static str, from: u32 },
    Verdict { code: i32, chain: Option<String> },
    DestinationNat { version: Version, address: u32, port: u32 },
    Masquerade,
    Counter,
    Value { into: u32, value: Vec<u8> },
    Write { offset: u32, length: u32, from: u32, sum: u32 },
}

/// A rule on its way to the kernel.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rule {
    steps: Vec<Step>,
    /// The chain that it leads to.
    leads_to: Option<String>,
    /// What is kept with it: a comment.
    note: Vec<u8>,
}

impl Rule {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// `iifname @SET`, `oifname @SET`.
    pub(crate) fn device(self, side: Side, set: &'static str) -> Self {
        self.step(Step::Meta { key: side.key(), into: WORD }).lookup(set, WORD, None, false)
    }

    /// `iifname != @SET`, `oifname != @SET`.
    pub(crate) fn device_not(self, side: Side, set: &'static str) -> Self {
        self.step(Step::Meta { key: side.key(), into: WORD }).lookup(set, WORD, None, true)
    }

    /// `iifname "lo"`.
    pub(crate) fn by_loopback(self) -> Self {
        self.named_device(Side::Input, "lo")
    }

    /// `iifname "NAME"`, `oifname "NAME"`.
    pub(crate) fn named_device(self, side: Side, name: &str) -> Self {
        let name = Key::default().device(name).bytes();
        self.step(Step::Meta { key: side.key(), into: WORD }).compare(true, &name)
    }

    /// `counter`.
    pub(crate) fn counter(self) -> Self {
        self.step(Step::Counter)
    }

    /// `iifname . oifname @SET`.
    pub(crate) fn devices(self, set: &'static str) -> Self {
        self.step(Step::Meta { key: META_INPUT, into: WORD })
            .step(Step::Meta { key: META_OUTPUT, into: WORD + 4 })
            .lookup(set, WORD, None, false)
    }

    /// `ct state A,B`.
    pub(crate) fn state(self, states: u32) -> Self {
        self.step(Step::Ct { key: CT_STATE, into: WORD }).any_bit(states)
    }

    /// `ct status dnat`.
    pub(crate) fn published(self) -> Self {
        self.step(Step::Ct { key: CT_STATUS, into: WORD }).any_bit(DESTINATION_CHANGED)
    }

    /// `fib daddr type local`.
    pub(crate) fn destined_here(self) -> Self {
        // `RTN_LOCAL`, in the machine's own order.
        self.step(Step::IsLocal { into: WORD }).compare(true, &2_u32.to_ne_bytes())
    }

    /// `ip saddr`, `ip6 saddr`: the first bytes of the source are these.
    pub(crate) fn from(self, version: Version, bytes: &[u8]) -> Self {
        self.begins(version, version.source().0, bytes)
    }

    /// `ip daddr`, `ip6 daddr`: the first bytes of the destination are these.
    pub(crate) fn to(self, version: Version, bytes: &[u8]) -> Self {
        self.begins(version, version.destination().0, bytes)
    }

    /// `ip6 daddr fe80::/10`: the first ten bits are those of addresses that mean something on one
    /// link alone.
    pub(crate) fn destined_for_own_link(self) -> Self {
        let (offset, length) = Version::V6.destination();
        let mut mask = vec![0; 16];
        mask[..2].copy_from_slice(&[0xff, 0xc0]);
        let mut value = vec![0; 16];
        value[..2].copy_from_slice(&[0xfe, 0x80]);
        self.version(Version::V6)
            .step(Step::Payload { base: NETWORK, offset, length, into: WORD })
            .step(Step::Mask { at: WORD, mask })
            .compare(true, &value)
    }

    /// `ip saddr . ip daddr @SET`.
    pub(crate) fn between(self, version: Version, set: &'static str) -> Self {
        let ((from, length), (to, _)) = (version.source(), version.destination());
        self.version(version)
            .step(Step::Payload { base: NETWORK, offset: from, length, into: WORD })
            .step(Step::Payload { base: NETWORK, offset: to, length, into: WORD + length / 4 })
            .lookup(set, WORD, None, false)
    }

    /// `ip daddr . meta l4proto . th dport @SET`.
    pub(crate) fn service(self, version: Version, set: &'static str) -> Self {
        self.load_service(version).lookup(set, WORD, None, false)
    }

    /// `meta nfproto ipv4 meta l4proto . th dport @SET`.
    pub(crate) fn service_anywhere(self, version: Version, set: &'static str) -> Self {
        self.version(version).load_port(WORD).lookup(set, WORD, None, false)
    }

    /// `iifname . ip saddr . ip daddr . meta l4proto . th dport @SET`.
    pub(crate) fn client(self, version: Version, set: &'static str) -> Self {
        self.load_client(version).lookup(set, WORD, None, false)
    }

    /// `update @SET { iifname . ip saddr . ip daddr . meta l4proto . th dport }`.
    pub(crate) fn remember_client(self, version: Version, set: &'static str) -> Self {
        self.load_client(version).step(Step::Update { set, from: WORD })
    }

    /// `dnat ip to ip daddr . meta l4proto . th dport map @MAP`.
    pub(crate) fn publish_at(self, version: Version, map: &'static str) -> Self {
        self.load_service(version).redirect(version, map)
    }

    /// `dnat ip to meta l4proto . th dport map @MAP`.
    pub(crate) fn publish(self, version: Version, map: &'static str) -> Self {
        self.version(version).load_port(WORD).redirect(version, map)
    }

    /// `tcp dport PORT`, `udp sport PORT`…
    pub(crate) fn port(self, protocol: Protocol, end: PortOf, port: u16) -> Self {
        self.step(Step::Meta { key: META_PROTOCOL, into: WORD })
            .compare(true, &[protocol.number()])
            .step(Step::Payload { base: TRANSPORT, offset: end.offset(), length: 2, into: WORD })
            .compare(true, &port.to_be_bytes())
    }

    /// `tcp dport set PORT`, `udp sport set PORT`…: the packet has another port from here on, and no
    /// connection is tracked for it.
    pub(crate) fn rewrite(self, protocol: Protocol, end: PortOf, port: u16) -> Self {
        // Where the head has its checksum.
        let sum = match protocol {
            Protocol::Tcp => 16,
            Protocol::Udp => 6,
            Protocol::Sctp => 8,
        };
        self.step(Step::Value { into: WORD, value: port.to_be_bytes().to_vec() })
            .step(Step::Write { offset: end.offset(), length: 2, from: WORD, sum })
    }

    /// `masquerade`.
    pub(crate) fn masquerade(self) -> Self {
        self.step(Step::Masquerade)
    }

    /// `comment "TEXT"`.
    pub(crate) fn comment(mut self, text: &str) -> Self {
        self.note = comment(text);
        self
    }

    /// Ends with a verdict.
    pub(crate) fn verdict(mut self, verdict: Verdict<'_>) -> Self {
        let (code, chain) = match verdict {
            Verdict::Drop => (0, None),
            Verdict::Accept => (1, None),
            Verdict::Jump(chain) => (-3, Some(chain.to_owned())),
            Verdict::Return => (-5, None),
        };
        self.leads_to.clone_from(&chain);
        self.step(Step::Verdict { code, chain })
    }

    /// The chain that it leads to, where it leads to one.
    pub(crate) fn leads_to(&self) -> Option<&str> {
        self.leads_to.as_deref()
    }

    fn version(self, version: Version) -> Self {
        self.step(Step::Meta { key: META_VERSION, into: WORD }).compare(true, &[version.number()])
    }

    fn begins(self, version: Version, offset: u32, bytes: &[u8]) -> Self {
        let length = u32::try_from(bytes.len()).expect("an address is short");
        self.version(version)
            .step(Step::Payload { base: NETWORK, offset, length, into: WORD })
            .compare(true, bytes)
    }

    /// Loads the protocol and the port that the packet goes to, a word each.
    fn load_port(self, into: u32) -> Self {
        self.step(Step::Meta { key: META_PROTOCOL, into }).step(Step::Payload {
            base: TRANSPORT,
            offset: 2,
            length: 2,
            into: into + 1,
        })
    }

    fn load_service(self, version: Version) -> Self {
        let (offset, length) = version.destination();
        self.version(version)
            .step(Step::Payload { base: NETWORK, offset, length, into: WORD })
            .load_port(WORD + length / 4)
    }

    /// Loads who asks for which service, and by which device.
    fn load_client(self, version: Version) -> Self {
        let ((source, length), (destination, _)) = (version.source(), version.destination());
        let (from, to) = (WORD + 4, WORD + 4 + length / 4);
        self.version(version)
            .step(Step::Meta { key: META_INPUT, into: WORD })
            .step(Step::Payload { base: NETWORK, offset: source, length, into: from })
            .step(Step::Payload { base: NETWORK, offset: destination, length, into: to })
            .load_port(to + length / 4)
    }

    fn redirect(self, version: Version, map: &'static str) -> Self {
        let port = WORD + version.destination().1 / 4;
        self.lookup(map, WORD, Some(WORD), false).step(Step::DestinationNat {
            version,
            address: WORD,
            port,
        })
    }

    fn any_bit(self, bits: u32) -> Self {
        self.step(Step::Mask { at: WORD, mask: bits.to_ne_bytes().to_vec() })
            .compare(false, &[0; 4])
    }

    fn compare(self, is_equal: bool, value: &[u8]) -> Self {
        self.step(Step::Compare { from: WORD, is_equal, value: value.to_vec() })
    }

    fn lookup(self, set: &'static str, from: u32, into: Option<u32>, is_inverted: bool) -> Self {
        self.step(Step::Lookup { set, from, into, is_inverted })
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Adds the steps, and what is kept with them, to a message.
    pub(super) fn put(&self, request: &mut Request) {
        request.nest(4, |request| {
            for step in &self.steps {
                request.nest(1, |request| step.put(request));
            }
        });
        if !self.note.is_empty() {
            request.attribute(7, &self.note);
        }
    }
}

/// What is kept with a rule that has a comment (`NFTNL_UDATA_RULE_COMMENT`): kind, length, and the text with a
/// zero at its end.
pub(crate) fn comment(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len() + 1).expect("comments of ours are short");
    [&[0, length][..], text.as_bytes(), &[0]].concat()
}

/// Parts of a packet (`nft_payload_bases`).
const NETWORK: u32 = 1;
const TRANSPORT: u32 = 2;

impl Step {
    fn name(&self) -> &'static str {
        match self {
            Self::Meta { .. } => "meta",
            Self::Ct { .. } => "ct",
            Self::Payload { .. } | Self::Write { .. } => "payload",
            Self::IsLocal { .. } => "fib",
            Self::Compare { .. } => "cmp",
            Self::Mask { .. } => "bitwise",
            Self::Lookup { .. } => "lookup",
            Self::Update { .. } => "dynset",
            Self::Verdict { .. } | Self::Value { .. } => "immediate",
            Self::DestinationNat { .. } => "nat",
            Self::Masquerade => "masq",
            Self::Counter => "counter",
        }
    }

    fn put(&self, request: &mut Request) {
        text(request, 1, self.name());
        request.nest(2, |request| self.put_data(request));
    }

    fn put_data(&self, request: &mut Request) {
        match self {
            Self::Meta { key, into } => {
                number(request, 1, *into);
                number(request, 2, *key);
            }
            Self::Ct { key, into } => {
                number(request, 1, *into);
                number(request, 2, *key);
            }
            Self::Payload { base, offset, length, into } => {
                number(request, 1, *into);
                number(request, 2, *base);
                number(request, 3, *offset);
                number(request, 4, *length);
            }
            Self::IsLocal { into } => {
                number(request, 1, *into);
                // The kind of address (`NFT_FIB_RESULT_ADDRTYPE`) of the destination.
                number(request, 2, 3);
                number(request, 3, 2);
            }
            Self::Compare { from, is_equal, value } => {
                number(request, 1, *from);
                number(request, 2, u32::from(!is_equal));
                put_value(request, 3, value);
            }
            Self::Mask { at, mask } => {
                number(request, 1, *at);
                number(request, 2, *at);
                number(request, 3, u32::try_from(mask.len()).expect("a mask is short"));
                put_value(request, 4, mask);
                put_value(request, 5, &vec![0; mask.len()]);
            }
            Self::Lookup { set, from, into, is_inverted } => {
                text(request, 1, set);
                number(request, 2, *from);
                if let Some(into) = into {
                    number(request, 3, *into);
                }
                if *is_inverted {
                    number(request, 5, 1);
                }
            }
            Self::Update { set, from } => {
                text(request, 1, set);
                // `NFT_DYNSET_OP_UPDATE`.
                number(request, 3, 1);
                number(request, 4, *from);
            }
            Self::Verdict { code, chain } => {
                number(request, 1, VERDICT);
                request.nest(2, |request| {
                    request.nest(2, |request| {
                        request.attribute(1, &code.to_be_bytes());
                        if let Some(chain) = chain {
                            text(request, 2, chain);
                        }
                    });
                });
            }
            Self::DestinationNat { version, address, port } => {
                // The destination's (`NFT_NAT_DNAT`).
                number(request, 1, 1);
                number(request, 2, version.number().into());
                number(request, 3, *address);
                number(request, 5, *port);
            }
            Self::Masquerade | Self::Counter => {}
            Self::Value { into, value } => {
                number(request, 1, *into);
                put_value(request, 2, value);
            }
            Self::Write { offset, length, from, sum } => {
                number(request, 2, TRANSPORT);
                number(request, 3, *offset);
                number(request, 4, *length);
                number(request, 5, *from);
                // The checksum of the internet (`NFT_PAYLOAD_CSUM_INET`).
                number(request, 6, 1);
                number(request, 7, *sum);
            }
        }
    }
}

fn put_value(request: &mut Request, kind: u16, value: &[u8]) {
    request.nest(kind, |request| {
        request.attribute(1, value);
    });
}
