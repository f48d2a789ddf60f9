//! The rules of everybody, as the kernel has them: chains, what their rules do step by step, and sets.

use super::{GET_CHAIN, GET_ELEMENT, GET_RULE, GET_SET, Nft, read, text};
use dhow_base::{Doing, Result};
use dhow_sys::netlink::Request;
use std::collections::HashMap;

/// A chain of somebody's table.
#[derive(Debug)]
pub(crate) struct Chain {
    /// Whose packets it sees, as `nft` calls it: `ip`, `ip6`, `inet`, ...
    pub(crate) family: u8,
    pub(crate) table: String,
    pub(crate) name: String,
    /// Where it meets packets, unless only rules lead to it.
    pub(crate) base: Option<Base>,
    /// How often it is used: by its own rules, and by those that lead to it.
    pub(crate) uses: u32,
    /// Its rules, where they were [asked for](Nft::add_rules).
    pub(crate) rules: Vec<KnownRule>,
}

/// Where a chain meets packets.
#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) hook: u32,
    pub(crate) priority: i32,
    /// Whether what it says nothing about is dropped.
    pub(crate) drops: bool,
}

/// A rule, by the number that `nft -a` shows.
#[derive(Debug)]
pub(crate) struct KnownRule {
    pub(crate) handle: u64,
    pub(crate) steps: Vec<KnownStep>,
    /// What is kept with it, such as a comment.
    pub(crate) note: Vec<u8>,
}

/// What a step does, as far as it is known here. Registers are counted in bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum KnownStep {
    Meta {
        key: u32,
        into: usize,
    },
    Ct {
        key: u32,
        into: usize,
    },
    Payload {
        base: u32,
        offset: u32,
        length: usize,
        into: usize,
    },
    Compare {
        from: usize,
        operator: u32,
        value: Vec<u8>,
    },
    Range {
        from: usize,
        is_inverted: bool,
        first: Vec<u8>,
        last: Vec<u8>,
    },
    Mask {
        from: usize,
        into: usize,
        mask: Vec<u8>,
        flip: Vec<u8>,
    },
    Lookup {
        set: String,
        from: usize,
        into: Option<usize>,
        is_inverted: bool,
    },
    Value {
        into: usize,
        value: Vec<u8>,
    },
    Verdict(Decision),
    /// What kind of address the destination is, as routing has it.
    DestinationType {
        into: usize,
    },
    /// A match of iptables', which nftables only carries.
    Match {
        name: String,
        revision: u32,
        info: Vec<u8>,
    },
    /// Changes nothing about where the packet goes: counters, logs.
    Nothing,
    /// Something that a usual packet does not have.
    Never,
    /// Anything else that compares or loads.
    Unclear,
}

/// What becomes of a packet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Decision {
    Accept,
    Drop,
    Return,
    /// To another chain, and back.
    Jump(String),
    /// To another chain, and not back.
    Goto(String),
    Continue,
    /// Any of these.
    Unknown,
}

/// A set of somebody's.
#[derive(Clone, Debug)]
pub(crate) struct KnownSet {
    /// None where they were not worth to be read.
    pub(crate) elements: Option<Vec<KnownElement>>,
    /// How many bytes a key has.
    pub(crate) key_bytes: usize,
    /// Whether packets or time change it, of which there is no news.
    pub(crate) is_fleeting: bool,
    /// Whether its elements are the ends of ranges.
    pub(crate) has_ranges: bool,
    /// How many bytes each field of a key has, where a key is several.
    pub(crate) fields: Vec<usize>,
}

/// What is in it.
#[derive(Clone, Debug)]
pub(crate) struct KnownElement {
    /// None stands for everything that is not in the set.
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) last: Option<Vec<u8>>,
    /// Whether it is where a range ends, and no longer in it.
    pub(crate) is_end: bool,
    pub(crate) decision: Option<Decision>,
}

// `NFT_SET_INTERVAL`, `NFT_SET_TIMEOUT`, `NFT_SET_EVAL`.
const INTERVAL: u32 = 0x4;
const TIMEOUT: u32 = 0x10;
const EVALUATED: u32 = 0x20;
/// `NFT_SET_ELEM_INTERVAL_END`, `NFT_SET_ELEM_CATCHALL`.
const INTERVAL_END: u32 = 0x1;
const CATCH_ALL: u32 = 0x2;

impl Nft {
    /// All chains of all families, without their rules.
    pub(crate) fn chains(&self) -> Result<Vec<Chain>> {
        let request = Request::new(GET_CHAIN, super::DUMP, &[0; 4]);
        let chains = self.dump(request).doing(|| "list the firewall's chains")?;
        Ok(chains.iter().filter_map(|body| parse_chain(body)).collect())
    }

    /// Adds the rules of one table to its chains.
    pub(crate) fn add_rules(&self, chains: &mut [Chain], family: u8, table: &str) -> Result<()> {
        let mut request = Request::new(GET_RULE, super::DUMP, &[family, 0, 0, 0]);
        text(&mut request, 1, table);
        let bodies = self.dump(request).doing(|| format!("list the rules of table {table}"))?;
        let mut of_table: HashMap<String, &mut Chain> = chains
            .iter_mut()
            .filter(|chain| chain.family == family && chain.table == table)
            .map(|chain| (chain.name.clone(), chain))
            .collect();
        for body in bodies {
            if let Some((name, rule)) = parse_rule(&body)
                && let Some(chain) = of_table.get_mut(&name)
            {
                chain.rules.push(rule);
            }
        }
        Ok(())
    }

    /// What somebody's set is, without what is in it.
    pub(crate) fn known_set(&self, family: u8, table: &str, set: &str) -> Result<KnownSet> {
        let about = self.ask_of_set(GET_SET, 0, (family, table, set))?;
        let about = about.first().map(Vec::as_slice).unwrap_or_default();
        let flags = number(about, 3).unwrap_or(0);
        Ok(KnownSet {
            elements: None,
            key_bytes: number(about, 5).and_then(|length| length.try_into().ok()).unwrap_or(0),
            // Of a set that is gone nothing is known.
            is_fleeting: about.is_empty() || flags & (TIMEOUT | EVALUATED) != 0,
            has_ranges: flags & INTERVAL != 0,
            fields: fields_of(about),
        })
    }

    /// What is in it.
    pub(crate) fn known_elements(
        &self,
        family: u8,
        table: &str,
        set: &str,
    ) -> Result<Vec<KnownElement>> {
        let elements = self.ask_of_set(GET_ELEMENT, super::DUMP, (family, table, set))?;
        Ok(elements.iter().flat_map(|body| parse_elements(body)).collect())
    }

    fn ask_of_set(&self, kind: u16, flags: i32, of: (u8, &str, &str)) -> Result<Vec<Vec<u8>>> {
        let (family, table, set) = of;
        let mut request = Request::new(kind, flags, &[family, 0, 0, 0]);
        text(&mut request, 1, table);
        text(&mut request, 2, set);
        self.dump(request).doing(|| format!("read the firewall's set {set}"))
    }
}

/// `NFTA_SET_DESC_CONCAT` and what is in it.
fn fields_of(about: &[u8]) -> Vec<usize> {
    let description = read::attribute(about, 9).map(read::children).unwrap_or_default();
    let fields = find(&description, 2).map(read::children).unwrap_or_default();
    let length = |(_, field): (u16, &[u8])| {
        find(&read::children(field), 1).and_then(read::big_number)?.try_into().ok()
    };
    fields.into_iter().filter_map(length).collect()
}

fn number(body: &[u8], kind: u16) -> Option<u32> {
    read::big_number(read::attribute(body, kind)?)
}

fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned()
}

fn find<'a>(all: &[(u16, &'a [u8])], kind: u16) -> Option<&'a [u8]> {
    all.iter().find(|attribute| attribute.0 == kind).map(|attribute| attribute.1)
}

fn parse_chain(body: &[u8]) -> Option<Chain> {
    let base = read::attribute(body, 4).map(|hook| {
        let hook = read::children(hook);
        let number = |kind| find(&hook, kind).and_then(read::big_number).unwrap_or(0);
        Base {
            hook: number(1),
            priority: number(2).cast_signed(),
            drops: self::number(body, 5) == Some(0),
        }
    });
    Some(Chain {
        family: *body.first()?,
        table: words(read::attribute(body, 1)?),
        name: words(read::attribute(body, 3)?),
        base,
        uses: number(body, 6).unwrap_or(0),
        rules: Vec::new(),
    })
}

/// A rule, and the chain that it is of.
fn parse_rule(body: &[u8]) -> Option<(String, KnownRule)> {
    let handle = read::attribute(body, 3)?.first_chunk::<8>()?;
    let steps = read::attribute(body, 4).map(read::children).unwrap_or_default();
    let rule = KnownRule {
        handle: u64::from_be_bytes(*handle),
        steps: steps.into_iter().map(|(_, step)| parse_step(step)).collect(),
        note: read::attribute(body, 7).unwrap_or_default().to_vec(),
    };
    Some((words(read::attribute(body, 2)?), rule))
}

/// A step, or the confession that it is not known; one that is cut short is not known either.
fn parse_step(bytes: &[u8]) -> KnownStep {
    let parts = read::children(bytes);
    let name = find(&parts, 1).map(words).unwrap_or_default();
    let data = find(&parts, 2).map(read::children).unwrap_or_default();
    parse_known(&name, &data).unwrap_or_else(|| match name.as_str() {
        name if COMPARE_OR_LOAD.contains(&name) => KnownStep::Unclear,
        // It may end in a verdict of its own, as `queue` does.
        _ => KnownStep::Verdict(Decision::Unknown),
    })
}

/// Steps that look at packets or change them, and at most end their rule.
const COMPARE_OR_LOAD: [&str; 26] = [
    "bitwise",
    "byteorder",
    "cmp",
    "connlimit",
    "ct",
    "dup",
    "dynset",
    "exthdr",
    "fib",
    "flow_offload",
    "hash",
    "inner",
    "last",
    "limit",
    "match",
    "meta",
    "numgen",
    "objref",
    "osf",
    "payload",
    "quota",
    "range",
    "rt",
    "socket",
    "tunnel",
    "xfrm",
];

fn parse_known(name: &str, data: &[(u16, &[u8])]) -> Option<KnownStep> {
    let number = |kind| find(data, kind).and_then(read::big_number);
    let register = |kind| number(kind).and_then(place_of);
    let value = |kind| find(&read::children(find(data, kind)?), 1).map(<[u8]>::to_vec);
    Some(match name {
        // What writes changes nothing about where the packet goes.
        "meta" if find(data, 3).is_some() => KnownStep::Nothing,
        "ct" if find(data, 4).is_some() => KnownStep::Nothing,
        "meta" => KnownStep::Meta { key: number(2)?, into: register(1)? },
        "ct" => KnownStep::Ct { key: number(2)?, into: register(1)? },
        "payload" if find(data, 5).is_none() => KnownStep::Payload {
            base: number(2)?,
            offset: number(3)?,
            length: number(4)?.try_into().ok()?,
            into: register(1)?,
        },
        "cmp" => KnownStep::Compare { from: register(1)?, operator: number(2)?, value: value(3)? },
        "range" => KnownStep::Range {
            from: register(1)?,
            is_inverted: number(2)? == 1,
            first: value(3)?,
            last: value(4)?,
        },
        "bitwise" if number(6).unwrap_or(0) == 0 => KnownStep::Mask {
            from: register(1)?,
            into: register(2)?,
            mask: value(4)?,
            flip: value(5)?,
        },
        "lookup" => KnownStep::Lookup {
            set: find(data, 1).map(words)?,
            from: register(2)?,
            into: match number(3) {
                Some(register) => Some(place_of(register)?),
                None => None,
            },
            is_inverted: number(5).unwrap_or(0) & 1 == 1,
        },
        "immediate" => match parse_decision(find(data, 2)?) {
            Some(decision) => KnownStep::Verdict(decision),
            None => KnownStep::Value { into: register(1)?, value: value(2)? },
        },
        "reject" => KnownStep::Verdict(Decision::Drop),
        // The kind of the address (`NFT_FIB_RESULT_ADDRTYPE`) of the destination, and nothing else.
        "fib" if (number(2)?, number(3)?) == (3, 2) => {
            KnownStep::DestinationType { into: register(1)? }
        }
        // A header between IPv6's own and the port's, unless it is asked whether there is one.
        "exthdr" if number(6).unwrap_or(0) == 0 && number(5).unwrap_or(0) == 0 => KnownStep::Never,
        "match" => KnownStep::Match {
            name: find(data, 1).map(words)?,
            revision: number(2)?,
            info: find(data, 3)?.to_vec(),
        },
        "target" => match find(data, 1).map(words)?.as_str() {
            "REJECT" => KnownStep::Verdict(Decision::Drop),
            "LOG" | "NFLOG" | "MARK" | "CONNMARK" | "TCPMSS" => KnownStep::Nothing,
            _ => return None,
        },
        "counter" | "log" | "notrack" => KnownStep::Nothing,
        // What changes addresses ends its chain; it drops nothing.
        "nat" | "masq" | "redir" => KnownStep::Verdict(Decision::Accept),
        _ => return None,
    })
}

/// The register's place in bytes: 0 for the verdict's, four of 16 bytes behind it, or words of four.
fn place_of(register: u32) -> Option<usize> {
    let register = usize::try_from(register).ok()?;
    match register {
        0..=4 => Some(register * 16),
        8..=23 => Some(16 + (register - 8) * 4),
        _ => None,
    }
}

/// The verdict in a piece of data; `None` where it is a value.
fn parse_decision(data: &[u8]) -> Option<Decision> {
    let parts = read::children(data);
    let verdict = read::children(find(&parts, 2)?);
    let code = find(&verdict, 1).and_then(read::big_number)?.cast_signed();
    let chain = || find(&verdict, 2).map(words).unwrap_or_default();
    Some(match code {
        0 => Decision::Drop,
        1 => Decision::Accept,
        -1 => Decision::Continue,
        -3 => Decision::Jump(chain()),
        -4 => Decision::Goto(chain()),
        -5 => Decision::Return,
        _ => Decision::Unknown,
    })
}

fn parse_elements(body: &[u8]) -> Vec<KnownElement> {
    let list = read::attribute(body, 3).map(read::children).unwrap_or_default();
    let of = |(_, element): (u16, &[u8])| {
        let parts = read::children(element);
        let value = |kind| find(&read::children(find(&parts, kind)?), 1).map(<[u8]>::to_vec);
        let flags = find(&parts, 3).and_then(read::big_number).unwrap_or(0);
        let key = value(1);
        if key.is_none() && flags & CATCH_ALL == 0 {
            return None;
        }
        Some(KnownElement {
            key,
            last: value(10),
            is_end: flags & INTERVAL_END != 0,
            decision: find(&parts, 2).and_then(parse_decision),
        })
    };
    list.into_iter().filter_map(of).collect()
}
