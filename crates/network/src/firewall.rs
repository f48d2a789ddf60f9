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
//! To accept a packet here is to say nothing about it: the chains of others still drop what they drop.

mod elements;
pub(crate) mod gate;
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
        plan.attachments.iter().try_for_each(|one| forwarding::allow(&one.network))
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
        forwarding::allow(network)
    }

    /// Takes a network away; the whole table with the last one.
    pub fn drop_network(&self, network: &Network) -> Result<()> {
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
mod tests {
    use super::*;
    use crate::{Attachment, InterfaceAddress, Isolation, Publication, Range};
    use dhow_testkit::need;
    use rustix::thread::ThreadNameSpaceType;
    use std::{io::Write, process::Command};

    /// Moves this thread to a network namespace of its own, where there is no ruleset; the programs
    /// that it starts are there too. No, with words, where that cannot be.
    fn alone() -> bool {
        if !need::root() {
            need::skip("root");
            return false;
        }
        if need::tool("nft").is_none() {
            need::skip("nft");
            return false;
        }
        dhow_sys::namespace::leave(ThreadNameSpaceType::NETWORK).unwrap();
        true
    }

    fn nft(words: &[&str], input: &str) -> String {
        let mut nft = Command::new("nft");
        let mut child = nft
            .args(words)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "nft {words:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn ruleset() -> String {
        nft(&["list", "ruleset"], "")
    }

    fn network(device: &str, subnets: &[&str]) -> Network {
        let range =
            |text: &&str| Range { subnet: text.parse().unwrap(), gateway: None, leased: None };
        let subnets = subnets.iter().map(range).collect();
        Network {
            device: device.to_owned(),
            name: device.to_owned(),
            subnets,
            ..Network::default()
        }
    }

    fn plan(network: Network, addresses: &[&str], published: &[&str]) -> Plan {
        let address = |text: &&str| InterfaceAddress { address: text.parse().unwrap(), prefix: 24 };
        let attachment = Attachment {
            network,
            interface: "eth0".to_owned(),
            host_interface: "dv-1".to_owned(),
            mac: "02:42:0a:58:00:05".parse().unwrap(),
            addresses: addresses.iter().map(address).collect(),
        };
        let publications =
            published.iter().flat_map(|text| Publication::parse(text).unwrap()).collect();
        Plan { attachments: vec![attachment], publications, ..Plan::default() }
    }

    fn both(device: &str) -> Network {
        network(device, &["10.88.0.0/16", "fd00:88::/64"])
    }

    #[test]
    fn the_table_is_what_nft_makes_of_the_same_text() {
        if !alone() {
            return;
        }
        let text = include_str!("firewall/table.nft");
        nft(&["-f", "-"], text);
        let (expected, as_json) = (ruleset(), nft(&["-j", "list", "ruleset"], ""));
        nft(&["flush", "ruleset"], "");
        let mut plan = plan(
            both("dhow0"),
            &["10.88.0.2", "fd00:88::2"],
            &["8080:80", "53:53/udp", "192.0.2.1:81:80", "[2001:db8::1]:82:80/sctp"],
        );
        plan.attachments.push(Attachment {
            network: Network { internal: true, ..network("dh-1", &["10.89.0.0/24"]) },
            ..plan.attachments[0].clone()
        });
        let open = Isolation::Open;
        let routed = Network { isolation: open, masquerade: false, ..network("dh-2", &[]) };

        let firewall = Firewall::open().unwrap();
        firewall.raise(&plan).unwrap();
        firewall.raise_network(&routed).unwrap();

        assert_eq!(ruleset(), expected);
        assert_eq!(
            without_handles(&nft(&["-j", "list", "ruleset"], "")),
            without_handles(&as_json)
        );
    }

    /// The same without what the kernel numbers as things come and go.
    fn without_handles(json: &str) -> serde_json::Value {
        fn strip(value: &mut serde_json::Value) {
            match value {
                serde_json::Value::Object(fields) => {
                    fields.remove("handle");
                    fields.values_mut().for_each(strip);
                }
                serde_json::Value::Array(all) => all.iter_mut().for_each(strip),
                _ => {}
            }
        }
        let mut value = serde_json::from_str(json).unwrap();
        strip(&mut value);
        value
    }

    #[test]
    fn to_raise_twice_is_to_raise_once_and_lowering_leaves_nothing() {
        if !alone() {
            return;
        }
        nft(&["-f", "-"], "table inet other { chain c { type filter hook input priority 0; }; }");
        let before = ruleset();
        let firewall = Firewall::open().unwrap();
        let first = plan(both("dhow0"), &["10.88.0.2", "fd00:88::2"], &["8080:80", "[::1]:1:1"]);
        let second = plan(network("dh-1", &["10.89.0.0/24"]), &["10.89.0.2"], &["8081:80"]);

        firewall.raise(&first).unwrap();
        let with_first = ruleset();
        firewall.raise(&first).unwrap();
        assert_eq!(ruleset(), with_first);

        firewall.raise(&second).unwrap();
        firewall.lower(&second).unwrap();
        firewall.lower(&second).unwrap();
        firewall.drop_network(&second.attachments[0].network).unwrap();
        assert_eq!(ruleset(), with_first);

        firewall.lower(&first).unwrap();
        firewall.drop_network(&first.attachments[0].network).unwrap();
        firewall.drop_network(&first.attachments[0].network).unwrap();
        firewall.lower(&first).unwrap();
        assert_eq!(ruleset(), before);
    }

    #[test]
    fn a_port_that_is_named_twice_comes_and_goes_once() {
        if !alone() {
            return;
        }
        let firewall = Firewall::open().unwrap();
        let published = ["8080:80", "53:53/udp", "8080:80", "0.0.0.0:8080:80"];
        let plan = plan(both("dhow0"), &["10.88.0.2", "fd00:88::2"], &published);

        firewall.raise(&plan).unwrap();
        assert_eq!(ruleset().matches("tcp . 8080").count(), 2);
        firewall.lower(&plan).unwrap();
        assert!(!ruleset().contains("8080"));
    }

    #[test]
    fn a_port_belongs_to_whoever_raised_it_last() {
        if !alone() {
            return;
        }
        let firewall = Firewall::open().unwrap();
        let dead = plan(both("dhow0"), &["10.88.0.2", "fd00:88::2"], &["8080:80", "8081:80"]);
        let alive = plan(both("dhow0"), &["10.88.0.3", "fd00:88::3"], &["8080:80"]);
        firewall.raise(&dead).unwrap();

        firewall.raise(&alive).unwrap();
        let both = ruleset();
        firewall.lower(&dead).unwrap();
        let after = ruleset();

        assert!(both.contains("tcp . 8080 : 10.88.0.3 . 80"), "{both}");
        assert!(both.contains("tcp . 8081 : 10.88.0.2 . 80"), "{both}");
        assert!(after.contains("tcp . 8080 : fd00:88::3 . 80"), "{after}");
        assert!(!after.contains("10.88.0.2"), "{after}");
    }

    #[test]
    fn what_somebody_took_away_or_changed_is_put_right() {
        if !alone() {
            return;
        }
        let firewall = Firewall::open().unwrap();
        let plan = plan(both("dhow0"), &["10.88.0.2", "fd00:88::2"], &["8080:80"]);
        firewall.raise(&plan).unwrap();
        let whole = ruleset();
        let older = "table inet dhow { comment \"of dhow, layout 0\"\n set bridges { type inet_service; }; }";
        let other_hook =
            "table inet dhow { chain raw { type filter hook output priority 0; policy accept; }; }";
        for (words, input) in [
            (&["flush", "ruleset"][..], ""),
            (&["flush", "table", "inet", "dhow"], ""),
            (&["flush", "chain", "inet", "dhow", "inward"], ""),
            (&["add", "rule", "inet", "dhow", "inward", "accept"], ""),
            (&["flush", "map", "inet", "dhow", "ports4"], ""),
            (&["-f", "-"], &format!("flush ruleset\n{older}")),
            (&["-f", "-"], &format!("flush ruleset\n{other_hook}")),
        ] {
            nft(words, input);
            assert_ne!(ruleset(), whole, "{words:?}");

            firewall.raise(&plan).unwrap();

            assert_eq!(ruleset(), whole, "after {words:?}");
        }
    }

    #[test]
    fn a_thousand_ports_are_a_few_messages_and_go_as_they_came() {
        if !alone() {
            return;
        }
        let firewall = Firewall::open().unwrap();
        let ports = "20000-22999:20000-22999";
        let plan = plan(both("dhow0"), &["10.88.0.2", "fd00:88::2"], &[ports]);

        firewall.raise(&plan).unwrap();
        let published = ruleset().matches("tcp . 2").count();
        firewall.lower(&plan).unwrap();

        assert_eq!(published, 6000);
        assert!(!ruleset().contains("tcp . 2"));
    }

    #[test]
    fn a_flush_wakes_and_a_start_of_ours_does_not() {
        if !alone() {
            return;
        }
        let name = std::ffi::CString::new("dhow-monitor").unwrap();
        rustix::thread::set_name(&name).unwrap();
        let firewall = Firewall::open().unwrap();
        let first = plan(both("dhow0"), &["10.88.0.2"], &["8080:80"]);
        let second = plan(both("dhow0"), &["10.88.0.3"], &["8081:80"]);
        nft(&["-f", "-"], "table inet other { chain c { accept; }; }");
        firewall.raise(&first).unwrap();
        let watch = Watch::open().unwrap();

        firewall.raise(&second).unwrap();
        firewall.lower(&second).unwrap();
        assert!(!watch.was_changed());

        for words in [
            &["flush", "ruleset"][..],
            &["delete", "table", "inet", "dhow"],
            &["flush", "table", "inet", "dhow"],
            &["add", "table", "inet", "other"],
        ] {
            nft(words, "");
            assert!(watch.was_changed(), "{words:?}");
            assert!(!watch.was_changed(), "{words:?} twice");

            firewall.raise(&first).unwrap();
            watch.was_changed();
            assert!(ruleset().contains("8080"), "after {words:?}");
        }
    }

    #[test]
    fn names_that_the_kernel_has_no_room_for_are_refused() {
        if !alone() {
            return;
        }
        let firewall = Firewall::open().unwrap();
        for device in ["", "a-name-of-20-letters", "a\0b"] {
            let refused = firewall.raise_network(&network(device, &[])).unwrap_err();

            assert_eq!(refused.kind(), dhow_base::Kind::Invalid, "{device:?}");
        }
        assert_eq!(ruleset(), "");
    }

    #[test]
    fn protocols_have_the_numbers_that_packets_have() {
        let numbers = Protocol::ALL.map(Protocol::number);

        assert_eq!(numbers, [6, 17, 132]);
    }
}
