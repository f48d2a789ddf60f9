//! What of the table is the same on every machine: its sets, its chains and their rules.
//!
//! Tried and refused: to change the destination of packets to `::1`. The answer would have to come
//! back to an address that IPv6 lets in by no device but the loopback; so who asks there is refused at
//! once, and asks `127.0.0.1` next.

use crate::nft::{
    Batch, ESTABLISHED, Field, Hook, INVALID, Priority, RELATED, Rule, Set, Side, Verdict, Version,
};
use std::net::IpAddr;

/// The table's name.
pub(crate) const TABLE: &str = "dhow";

/// Which rules these are. Newer ones replace older ones; older ones leave newer ones alone.
const LAYOUT: u32 = 2;

const SERVICE: &[Field] = &[Field::Protocol, Field::Port];
const SERVICE4: &[Field] = &[Field::Ipv4, Field::Protocol, Field::Port];
const SERVICE6: &[Field] = &[Field::Ipv6, Field::Protocol, Field::Port];
const CLIENT4: &[Field] = &[Field::Device, Field::Ipv4, Field::Ipv4, Field::Protocol, Field::Port];
const CLIENT6: &[Field] = &[Field::Device, Field::Ipv6, Field::Ipv6, Field::Protocol, Field::Port];
const TARGET4: &[Field] = &[Field::Ipv4, Field::Port];
const TARGET6: &[Field] = &[Field::Ipv6, Field::Port];

/// Devices of networks.
pub(super) const BRIDGES: Set = Set::of("bridges", &[Field::Device]);
/// Those without a way out or in.
pub(super) const INTERNAL: Set = Set::of("internal", &[Field::Device]);
/// Those that let each other's packets pass.
pub(super) const OPEN: Set = Set::of("open", &[Field::Device]);
/// Those whose containers speak under the host's address.
pub(super) const MASQUERADED: Set = Set::of("masqueraded", &[Field::Device]);
/// A device and the same device: packets that stay in their network.
pub(super) const WITHIN: Set = Set::of("within", &[Field::Device, Field::Device]);
/// A subnet and the same subnet. A bridge whose packets netfilter sees (`br_netfilter`) has no input
/// device behind routing, so there addresses have to say it.
pub(super) const WITHIN4: Set = Set::of_ranges("within4", &[Field::Ipv4, Field::Ipv4]);
/// The same for IPv6.
pub(super) const WITHIN6: Set = Set::of_ranges("within6", &[Field::Ipv6, Field::Ipv6]);
/// Ports published at all of the host's addresses, and where they lead.
pub(super) const PORTS4: Set = Set::map("ports4", SERVICE, TARGET4);
/// The same for IPv6.
pub(super) const PORTS6: Set = Set::map("ports6", SERVICE, TARGET6);
/// Ports published at one of the host's addresses.
pub(super) const PORTS4_AT: Set = Set::map("ports4_at", SERVICE4, TARGET4);
/// The same for IPv6.
pub(super) const PORTS6_AT: Set = Set::map("ports6_at", SERVICE6, TARGET6);
/// Published ports of containers that are reached at their own addresses.
pub(super) const ROUTED4: Set = Set::of("routed4", SERVICE4);
/// The same for IPv6.
pub(super) const ROUTED6: Set = Set::of("routed6", SERVICE6);

/// Published ports about which the host's INPUT chains are asked (see [`super::gate`]): at all of the
/// host's addresses.
pub(super) const ASKED4: Set = Set::of("asked4", SERVICE);
/// The same for IPv6.
pub(super) const ASKED6: Set = Set::of("asked6", SERVICE);
/// Those at one of the host's addresses.
pub(super) const ASKED4_AT: Set = Set::of("asked4_at", SERVICE4);
/// The same for IPv6.
pub(super) const ASKED6_AT: Set = Set::of("asked6_at", SERVICE6);
/// Clients that INPUT has let through, each to one port.
pub(super) const ADMITTED4: Set = Set::remembering("admitted4", CLIENT4, ADMITTED_SECONDS);
/// The same for IPv6.
pub(super) const ADMITTED6: Set = Set::remembering("admitted6", CLIENT6, ADMITTED_SECONDS);

/// For so long a client is not asked about again.
pub(super) const ADMITTED_SECONDS: u32 = 30;

const SETS: [Set; 19] = [
    BRIDGES,
    INTERNAL,
    OPEN,
    MASQUERADED,
    WITHIN,
    WITHIN4,
    WITHIN6,
    PORTS4,
    PORTS6,
    PORTS4_AT,
    PORTS6_AT,
    ROUTED4,
    ROUTED6,
    ASKED4,
    ASKED6,
    ASKED4_AT,
    ASKED6_AT,
    ADMITTED4,
    ADMITTED6,
];

/// All maps of published ports.
pub(super) const MAPS: [Set; 4] = [PORTS4, PORTS4_AT, PORTS6, PORTS6_AT];

/// Those that lead to addresses like this one.
pub(super) fn maps_of(target: IpAddr) -> [Set; 2] {
    let [four, four_at, six, six_at] = MAPS;
    if target.is_ipv6() { [six, six_at] } else { [four, four_at] }
}

/// The set of published ports of addresses like this one that are reached themselves.
pub(super) fn routed_of(target: IpAddr) -> Set {
    if target.is_ipv6() { ROUTED6 } else { ROUTED4 }
}

/// The set of asked ports that goes with a map of published ones.
pub(super) fn asked_of(map: &Set) -> Option<Set> {
    let pairs =
        [(PORTS4, ASKED4), (PORTS6, ASKED6), (PORTS4_AT, ASKED4_AT), (PORTS6_AT, ASKED6_AT)];
    pairs.into_iter().find(|(ports, _)| ports.name == map.name).map(|(_, asked)| asked)
}

/// A chain: where packets meet it, unless only rules lead to it, and its rules.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) name: &'static str,
    at: Option<(&'static str, Hook, Priority)>,
    rules: Vec<Rule>,
}

/// All chains, each before those that lead to it.
pub(super) fn chains() -> Vec<Chain> {
    use Side::{Input, Output};
    use Verdict::{Accept, Drop, Jump, Return};
    use Version::{V4, V6};
    let rule = Rule::new;
    let chain = |name, at, rules| Chain { name, at, rules };
    let loopback4 = [127];
    let loopback6 = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    vec![
        chain(
            "published",
            None,
            vec![
                rule().publish_at(V4, PORTS4_AT.name),
                rule().publish_at(V6, PORTS6_AT.name),
                rule().publish(V4, PORTS4.name),
                rule().publish(V6, PORTS6.name),
            ],
        ),
        // Containers ask each other: between them dhow's own rules decide. Of the others' ports that
        // INPUT is asked about only those clients are led on that it has let through.
        chain(
            "arriving",
            None,
            vec![
                rule().device(Input, BRIDGES.name).verdict(Jump("published")),
                rule().client(V4, ADMITTED4.name).verdict(Jump("published")),
                rule().client(V6, ADMITTED6.name).verdict(Jump("published")),
                rule().service(V4, ASKED4_AT.name).verdict(Accept),
                rule().service(V6, ASKED6_AT.name).verdict(Accept),
                rule().service_anywhere(V4, ASKED4.name).verdict(Accept),
                rule().service_anywhere(V6, ASKED6.name).verdict(Accept),
                rule().verdict(Jump("published")),
            ],
        ),
        // What comes here everybody's INPUT chains have let through. It is dropped, since nobody
        // listens at the port itself, and comes again.
        chain(
            "admit4",
            None,
            vec![rule().remember_client(V4, ADMITTED4.name), rule().verdict(Drop)],
        ),
        chain(
            "admit6",
            None,
            vec![rule().remember_client(V6, ADMITTED6.name), rule().verdict(Drop)],
        ),
        chain(
            "asking",
            None,
            vec![
                rule().service(V4, ASKED4_AT.name).verdict(Jump("admit4")),
                rule().service(V6, ASKED6_AT.name).verdict(Jump("admit6")),
                rule().service_anywhere(V4, ASKED4.name).verdict(Jump("admit4")),
                rule().service_anywhere(V6, ASKED6.name).verdict(Jump("admit6")),
            ],
        ),
        chain(
            "inward",
            None,
            vec![
                rule().published().verdict(Accept),
                rule().device(Input, OPEN.name).device(Output, OPEN.name).verdict(Accept),
                rule().service(V4, ROUTED4.name).verdict(Accept),
                rule().service(V6, ROUTED6.name).verdict(Accept),
                rule().verdict(Drop),
            ],
        ),
        // The bridges let addresses of the loopback pass (`route_localnet`), so that a port that is
        // published there can lead to a container and its answers come back. Nothing that is sent
        // to such an address or from one has a right to come in by a bridge (CVE-2020-8558).
        chain(
            "raw",
            Some(("filter", Hook::Prerouting, Priority::RAW)),
            vec![
                rule().device(Input, BRIDGES.name).to(V4, &loopback4).verdict(Drop),
                rule().device(Input, BRIDGES.name).from(V4, &loopback4).verdict(Drop),
            ],
        ),
        // Whoever sends a packet to 127.0.0.1 from outside must not reach a port that is published
        // there alone: the destination would be changed before the kernel looks whether it may
        // come in by that device. What means something on one link alone cannot be forwarded.
        chain(
            "prerouting",
            Some(("nat", Hook::Prerouting, Priority::DESTINATION_NAT)),
            vec![
                rule().to(V4, &loopback4).verdict(Return),
                rule().to(V6, &loopback6).verdict(Return),
                rule().destined_for_own_link().verdict(Return),
                rule().destined_here().verdict(Jump("arriving")),
            ],
        ),
        // Only what `arriving` held back has business here.
        chain(
            "input",
            Some(("filter", Hook::Input, Priority::LAST)),
            vec![
                rule().by_loopback().verdict(Accept),
                rule().state(ESTABLISHED | RELATED).verdict(Accept),
                rule().destined_for_own_link().verdict(Accept),
                rule().destined_here().verdict(Jump("asking")),
            ],
        ),
        chain(
            "output",
            Some(("nat", Hook::Output, Priority::DESTINATION_NAT)),
            vec![
                rule().to(V6, &loopback6).verdict(Return),
                rule().destined_here().verdict(Jump("published")),
            ],
        ),
        // What belongs to no connection leaves no network: nothing would change its address.
        chain(
            "forward",
            Some(("filter", Hook::Forward, Priority::FILTER)),
            vec![
                rule().state(ESTABLISHED | RELATED).verdict(Accept),
                rule().devices(WITHIN.name).verdict(Accept),
                rule().device(Input, INTERNAL.name).verdict(Drop),
                rule().device(Output, INTERNAL.name).verdict(Drop),
                rule().device(Output, BRIDGES.name).verdict(Jump("inward")),
                rule().device(Input, BRIDGES.name).state(INVALID).verdict(Drop),
            ],
        ),
        // Who asks for a port of the host's and is answered by a neighbour has to see the host as
        // its partner; everybody else keeps their address. Between networks nobody's is changed.
        chain(
            "postrouting",
            Some(("nat", Hook::Postrouting, Priority::SOURCE_NAT)),
            vec![
                rule().published().between(V4, WITHIN4.name).masquerade(),
                rule().published().between(V6, WITHIN6.name).masquerade(),
                rule().device(Output, BRIDGES.name).from(V4, &loopback4).masquerade(),
                rule()
                    .device(Input, MASQUERADED.name)
                    .device_not(Output, BRIDGES.name)
                    .masquerade(),
            ],
        ),
    ]
}

/// Adds all of it to a batch, in place of the rules that are there.
pub(super) fn put(batch: &mut Batch) {
    batch.table(&note());
    for set in &SETS {
        batch.set(set);
    }
    let chains = chains();
    for chain in &chains {
        match chain.at {
            Some((kind, hook, priority)) => batch.base_chain(chain.name, kind, hook, priority),
            None => batch.chain(chain.name),
        }
    }
    batch.delete_rules();
    for chain in &chains {
        for rule in &chain.rules {
            batch.rule(chain.name, rule);
        }
    }
}

/// How often each chain is used when all is there: by its own rules, and by those that lead to it.
pub(super) fn uses(chains: &[Chain]) -> impl Iterator<Item = (&'static str, u32)> + '_ {
    chains.iter().map(|chain| {
        let all = chains.iter().flat_map(|other| &other.rules);
        let leading = all.filter(|rule| rule.leads_to() == Some(chain.name)).count();
        let count = chain.rules.len() + leading;
        (chain.name, u32::try_from(count).expect("a chain of ours is short"))
    })
}

/// What is kept with the table: a comment, as nft writes one, which ends with the layout.
fn note() -> Vec<u8> {
    let text = format!("of dhow, layout {LAYOUT}\0");
    let length = u8::try_from(text.len()).expect("the comment is short");
    [&[0, length], text.as_bytes()].concat()
}

/// Whether rules of ours would replace those of the table with this note. One without a note is of an
/// older kernel, which keeps none (before 5.10).
pub(super) fn is_older(note: &[u8]) -> bool {
    let text = String::from_utf8_lossy(note);
    let last = text.trim_end_matches('\0').rsplit(' ').next().and_then(|word| word.parse().ok());
    !note.is_empty() && last.is_none_or(|layout: u32| layout < LAYOUT)
}

/// Whether the table is newer than ours, and its rules are not ours to judge.
pub(super) fn is_newer(note: &[u8]) -> bool {
    !note.is_empty() && !is_older(note) && note != self::note()
}
