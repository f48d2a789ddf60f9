//! What the rules of everybody do with a packet of which not everything is known.
//!
//! Each comparison comes out as yes, no or maybe, and so does the judgement: a packet passes, is
//! dropped, or it depends on what is not known. A maybe never becomes a yes or a no later on.

use super::{
    Hook, Nft,
    ruleset::{Chain, Decision, KnownElement, KnownSet, KnownStep},
};
use dhow_base::Result;
use std::net::IpAddr;

/// Registers, in bytes.
const REGISTERS: usize = 80;

/// Chains lead to chains at most so deep (`NFT_JUMP_STACK_SIZE`).
const DEPTH: usize = 16;

/// A new connection's packet, as a chain sees it.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    /// The device that it came by, and the one that it leaves by. Not known where missing.
    pub(crate) input: Option<String>,
    pub(crate) output: Option<String>,
    pub(crate) source: Option<IpAddr>,
    pub(crate) destination: IpAddr,
    pub(crate) protocol: u8,
    pub(crate) port: u16,
    /// Whether its destination was changed.
    pub(crate) is_published: bool,
}

/// What becomes of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Judgement {
    Passes,
    /// Dropped, by whom.
    Dropped(String),
    /// Dropped if something that is not known is so, by whom.
    Perhaps(String),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Answer {
    Yes,
    No,
    Maybe,
}

/// How a chain was left.
#[derive(Debug, Eq, PartialEq)]
enum Way {
    Through,
    Accepted,
    Dropped(String),
}

/// What is not certain so far.
#[derive(Debug, Default)]
struct Doubt {
    /// Some rule may have let the packet pass before it comes to the next.
    may_have_passed: bool,
    /// Who may have dropped it.
    may_be_dropped: Option<String>,
}

/// Judges a packet by all chains at a hook that filter, but those of one table.
pub(crate) fn judge(nft: &Nft, hook: Hook, packet: &Packet, but: &str) -> Result<Judgement> {
    let chains = nft.chains()?;
    let is_its = |family: u8| match family {
        1 => true,
        2 => packet.destination.is_ipv4(),
        10 => packet.destination.is_ipv6(),
        _ => false,
    };
    let mut bases: Vec<&Chain> = chains
        .iter()
        .filter(|chain| is_its(chain.family) && chain.table != but)
        .filter(|chain| {
            chain
                .base
                .as_ref()
                .is_some_and(|base| base.hook == hook.number() && base.kind == "filter")
        })
        .collect();
    bases.sort_by_key(|chain| chain.base.as_ref().map(|base| base.priority));
    let mut perhaps = None;
    for base in bases {
        let mut judge = Judge { nft, chains: &chains, packet, doubt: Doubt::default() };
        let way = judge.walk(base, DEPTH)?;
        let policy = base.base.as_ref().is_some_and(|base| base.drops);
        let dropped = match way {
            Way::Dropped(by) => Some(by),
            Way::Through if policy => Some(format!("the policy of {}", place(base))),
            _ => None,
        };
        match dropped {
            Some(by) if judge.doubt.may_have_passed => {
                perhaps = perhaps.or(judge.doubt.may_be_dropped).or(Some(by));
            }
            Some(by) => return Ok(Judgement::Dropped(by)),
            None => perhaps = perhaps.or(judge.doubt.may_be_dropped),
        }
    }
    Ok(perhaps.map_or(Judgement::Passes, Judgement::Perhaps))
}

fn place(chain: &Chain) -> String {
    let family = match chain.family {
        1 => "inet",
        2 => "ip",
        10 => "ip6",
        _ => "another",
    };
    format!("chain {} in table {family} {}", chain.name, chain.table)
}

struct Judge<'a> {
    nft: &'a Nft,
    chains: &'a [Chain],
    packet: &'a Packet,
    doubt: Doubt,
}

impl Judge<'_> {
    fn walk(&mut self, chain: &Chain, depth: usize) -> Result<Way> {
        if depth == 0 {
            self.doubt.may_have_passed = true;
            return Ok(Way::Through);
        }
        for rule in &chain.rules {
            let (answer, decision) = self.try_rule(chain, &rule.steps)?;
            let by = || format!("the rule with handle {} of {}", rule.handle, place(chain));
            match (answer, decision) {
                (Answer::No, _) | (_, Decision::Continue) => {}
                (Answer::Yes, Decision::Accept) => return Ok(Way::Accepted),
                (Answer::Yes, Decision::Drop) => return Ok(Way::Dropped(by())),
                (Answer::Yes, Decision::Return) => return Ok(Way::Through),
                (Answer::Maybe, Decision::Accept | Decision::Return) | (_, Decision::Unknown) => {
                    self.doubt.may_have_passed = true;
                }
                (Answer::Maybe, Decision::Drop) => {
                    self.doubt.may_be_dropped.get_or_insert_with(by);
                }
                (answer, Decision::Jump(name)) => {
                    let way = self.walk_to(chain, &name, depth)?;
                    match (answer, way) {
                        (_, Way::Through) => {}
                        (Answer::Yes, way) => return Ok(way),
                        (_, Way::Accepted) => self.doubt.may_have_passed = true,
                        (_, Way::Dropped(by)) => {
                            self.doubt.may_be_dropped.get_or_insert(by);
                        }
                    }
                }
                (answer, Decision::Goto(name)) => {
                    let way = self.walk_to(chain, &name, depth)?;
                    match (answer, way) {
                        (Answer::Yes, way) => return Ok(way),
                        (_, Way::Dropped(by)) => {
                            self.doubt.may_be_dropped.get_or_insert(by);
                        }
                        _ => self.doubt.may_have_passed = true,
                    }
                }
            }
        }
        Ok(Way::Through)
    }

    fn walk_to(&mut self, from: &Chain, name: &str, depth: usize) -> Result<Way> {
        let is_it = |chain: &&Chain| {
            chain.family == from.family && chain.table == from.table && chain.name == name
        };
        match self.chains.iter().find(is_it) {
            Some(chain) => self.walk(chain, depth - 1),
            None => Ok(Way::Through),
        }
    }

    /// Whether a rule is about the packet, and what it decides.
    fn try_rule(&mut self, chain: &Chain, steps: &[KnownStep]) -> Result<(Answer, Decision)> {
        let mut registers = [None; REGISTERS];
        let mut sum = Answer::Yes;
        let mut decision = Decision::Continue;
        for step in steps {
            let answer = match step {
                KnownStep::Lookup { set, from, into, is_inverted } => {
                    let set = self.nft.known_set(chain.family, &chain.table, set)?;
                    let (answer, found) = look_up(&set, &registers, *from);
                    match into {
                        Some(0) => decision = found.unwrap_or(Decision::Unknown),
                        Some(into) => registers[*into..].fill(None),
                        None => {}
                    }
                    if *is_inverted { answer.inverted() } else { answer }
                }
                KnownStep::Verdict(decided) => {
                    decision = decided.clone();
                    Answer::Yes
                }
                step => self.packet.take(step, &mut registers),
            };
            match answer {
                Answer::Yes => {}
                Answer::No => return Ok((Answer::No, Decision::Continue)),
                Answer::Maybe => sum = Answer::Maybe,
            }
        }
        Ok((sum, decision))
    }
}

impl Answer {
    fn inverted(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Maybe => Self::Maybe,
        }
    }

    fn when(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

type Registers = [Option<u8>; REGISTERS];

impl Packet {
    /// Takes a step that needs nothing but the packet and the registers.
    fn take(&self, step: &KnownStep, registers: &mut Registers) -> Answer {
        match step {
            KnownStep::Meta { key, into } => put(registers, *into, &self.meta(*key)),
            KnownStep::Ct { key, into } => put(registers, *into, &self.connection(*key)),
            KnownStep::Payload { base, offset, length, into } => {
                put(registers, *into, &self.payload(*base, *offset, *length));
            }
            KnownStep::Value { into, value } => put(registers, *into, &known(value)),
            KnownStep::Mask { from, into, mask, flip } => {
                let masked: Vec<Option<u8>> = mask
                    .iter()
                    .zip(flip)
                    .zip(get(registers, *from, mask.len()))
                    .map(|((mask, flip), byte)| match (mask, byte) {
                        (0, _) => Some(*flip),
                        (mask, byte) => byte.map(|byte| byte & mask ^ flip),
                    })
                    .collect();
                put(registers, *into, &masked);
            }
            KnownStep::Compare { from, operator, value } => {
                return compare(&get(registers, *from, value.len()), *operator, value);
            }
            KnownStep::Range { from, is_inverted, first, last } => {
                let inside = is_between(&get(registers, *from, first.len()), first, last);
                return if *is_inverted { inside.inverted() } else { inside };
            }
            KnownStep::Match { name, revision, info } => {
                return self.iptables_match(name, *revision, info);
            }
            KnownStep::Nothing => {}
            KnownStep::Unknown => return Answer::Maybe,
            KnownStep::Lookup { .. } | KnownStep::Verdict(_) => {}
        }
        Answer::Yes
    }

    /// What `nft_meta` loads; bytes that are not known are none.
    fn meta(&self, key: u32) -> Vec<Option<u8>> {
        let name = |device: &Option<String>| match device {
            Some(device) => {
                let mut bytes = known(device.as_bytes());
                bytes.resize(16, Some(0));
                bytes
            }
            None => vec![None; 16],
        };
        match key {
            6 => name(&self.input),
            7 => name(&self.output),
            15 => known(&[if self.destination.is_ipv4() { 2 } else { 10 }, 0, 0, 0]),
            16 => known(&[self.protocol, 0, 0, 0]),
            _ => vec![None; 16],
        }
    }

    /// What `nft_ct` loads: it is the first packet of a new connection (bit 3).
    fn connection(&self, key: u32) -> Vec<Option<u8>> {
        match key {
            0 => known(&(1_u32 << 3).to_ne_bytes()),
            // The direction: the original one.
            1 => known(&[0; 4]),
            2 => known(&u32::from(self.is_published).wrapping_shl(5).to_ne_bytes()),
            _ => vec![None; 16],
        }
    }

    fn payload(&self, base: u32, offset: u32, length: usize) -> Vec<Option<u8>> {
        let mut head = vec![None; 60];
        match base {
            1 => {
                let (source_at, to_at) =
                    if self.destination.is_ipv4() { (12, 16) } else { (8, 24) };
                head[0] = Some(if self.destination.is_ipv4() { 0x45 } else { 0x60 });
                head[if self.destination.is_ipv4() { 9 } else { 6 }] = Some(self.protocol);
                if let Some(source) = self.source {
                    write(&mut head, source_at, &octets(source));
                }
                write(&mut head, to_at, &octets(self.destination));
            }
            2 => write(&mut head, 2, &self.port.to_be_bytes()),
            _ => {}
        }
        let offset = usize::try_from(offset).unwrap_or(head.len());
        (offset..offset + length).map(|place| head.get(place).copied().flatten()).collect()
    }

    /// Matches of iptables' that many rules have: the port, and the connection's state.
    fn iptables_match(&self, name: &str, revision: u32, info: &[u8]) -> Answer {
        let half = |at: usize| {
            let bytes = info.get(at..at + 2).and_then(|two| <[u8; 2]>::try_from(two).ok());
            bytes.map(u16::from_ne_bytes)
        };
        match (name, revision) {
            // `struct xt_tcp`, `struct xt_udp`: source ports, destination ports, and more for TCP.
            ("tcp" | "udp", 0) => {
                let is_its = self.protocol == if name == "tcp" { 6 } else { 17 };
                let rest_is_empty = match name {
                    "tcp" => info.get(8..12) == Some(&[0; 4]),
                    _ => info.get(8) == Some(&0),
                };
                match (half(0), half(2), half(4), half(6)) {
                    _ if !is_its => Answer::No,
                    (Some(0), Some(u16::MAX), Some(first), Some(last)) if rest_is_empty => {
                        Answer::when((first..=last).contains(&self.port))
                    }
                    _ => Answer::Maybe,
                }
            }
            // `struct xt_conntrack_mtinfo3`, asked for the state alone.
            ("conntrack", 3) => match (half(146), half(148), half(150)) {
                (Some(1), Some(inverted), Some(states)) => {
                    let is_new = states & (1 << 3) != 0;
                    let is_published = self.is_published && states & (1 << 7) != 0;
                    Answer::when((is_new || is_published) != (inverted & 1 == 1))
                }
                _ => Answer::Maybe,
            },
            ("comment", _) => Answer::Yes,
            _ => Answer::Maybe,
        }
    }
}

fn known(bytes: &[u8]) -> Vec<Option<u8>> {
    bytes.iter().copied().map(Some).collect()
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn write(head: &mut [Option<u8>], at: usize, bytes: &[u8]) {
    for (to, from) in head[at..].iter_mut().zip(bytes) {
        *to = Some(*from);
    }
}

/// Puts bytes into registers, whose rest of the last word becomes zero.
fn put(registers: &mut Registers, at: usize, bytes: &[Option<u8>]) {
    for (place, byte) in bytes.iter().enumerate() {
        if let Some(register) = registers.get_mut(at + place) {
            *register = *byte;
        }
    }
    for place in bytes.len()..bytes.len().next_multiple_of(4) {
        if let Some(register) = registers.get_mut(at + place) {
            *register = Some(0);
        }
    }
}

fn get(registers: &Registers, at: usize, length: usize) -> Vec<Option<u8>> {
    (at..at + length).map(|place| registers.get(place).copied().flatten()).collect()
}

/// `nft_cmp_ops`: equal, not equal, less, at most, greater, at least.
fn compare(left: &[Option<u8>], operator: u32, right: &[u8]) -> Answer {
    if operator <= 1 {
        let equal = is_equal(left, right);
        return if operator == 0 { equal } else { equal.inverted() };
    }
    let Some(left) = left.iter().copied().collect::<Option<Vec<u8>>>() else {
        return Answer::Maybe;
    };
    let order = left.as_slice().cmp(right);
    Answer::when(match operator {
        2 => order.is_lt(),
        3 => order.is_le(),
        4 => order.is_gt(),
        _ => order.is_ge(),
    })
}

fn is_equal(left: &[Option<u8>], right: &[u8]) -> Answer {
    let differs =
        left.iter().zip(right).any(|(left, right)| left.is_some_and(|left| left != *right));
    match (differs, left.iter().any(Option::is_none)) {
        (true, _) => Answer::No,
        (false, true) => Answer::Maybe,
        (false, false) => Answer::Yes,
    }
}

fn is_between(value: &[Option<u8>], first: &[u8], last: &[u8]) -> Answer {
    match value.iter().copied().collect::<Option<Vec<u8>>>() {
        Some(value) => Answer::when(first <= value.as_slice() && value.as_slice() <= last),
        None => Answer::Maybe,
    }
}

/// Whether what is in the registers is in the set, and what is decided there.
fn look_up(set: &KnownSet, registers: &Registers, from: usize) -> (Answer, Option<Decision>) {
    let otherwise = set.elements.iter().find(|element| element.key.is_none());
    let sum = if set.has_ranges && set.elements.iter().all(|element| element.last.is_none()) {
        in_ranges(set, registers, from)
    } else {
        in_elements(set, registers, from)
    };
    match (sum, otherwise) {
        ((Answer::No, _), Some(element)) => (Answer::Yes, element.decision.clone()),
        (sum, _) => sum,
    }
}

fn in_elements(set: &KnownSet, registers: &Registers, from: usize) -> (Answer, Option<Decision>) {
    let mut sum = Answer::No;
    for element in &set.elements {
        let Some(key) = &element.key else { continue };
        let value = get(registers, from, key.len());
        let answer = match &element.last {
            // A range of several fields is one of each.
            Some(last) => fields_between(&value, key, last, &set.fields),
            None => is_equal(&value, key),
        };
        match answer {
            Answer::Yes => return (Answer::Yes, element.decision.clone()),
            Answer::Maybe => sum = Answer::Maybe,
            Answer::No => {}
        }
    }
    (sum, None)
}

/// Whether each field is in its range; fields begin at words of four bytes.
fn fields_between(value: &[Option<u8>], first: &[u8], last: &[u8], fields: &[usize]) -> Answer {
    let mut sum = Answer::Yes;
    let mut start = 0;
    for length in fields {
        let of = start..start + length;
        let parts = (value.get(of.clone()), first.get(of.clone()), last.get(of));
        let answer = match parts {
            (Some(value), Some(first), Some(last)) => is_between(value, first, last),
            _ => Answer::Maybe,
        };
        match answer {
            Answer::No => return Answer::No,
            Answer::Maybe => sum = Answer::Maybe,
            Answer::Yes => {}
        }
        start += length.next_multiple_of(4);
    }
    if fields.is_empty() { Answer::Maybe } else { sum }
}

/// Ranges as a row of starts and ends, which are no longer in them.
fn in_ranges(set: &KnownSet, registers: &Registers, from: usize) -> (Answer, Option<Decision>) {
    let mut edges: Vec<(&Vec<u8>, &KnownElement)> = set
        .elements
        .iter()
        .filter_map(|element| element.key.as_ref().map(|key| (key, element)))
        .collect();
    // Where one ends and another begins at once, the beginning counts.
    edges.sort_by(|a, b| a.0.cmp(b.0).then(b.1.is_end.cmp(&a.1.is_end)));
    let Some(length) = edges.first().map(|edge| edge.0.len()) else { return (Answer::No, None) };
    let value = get(registers, from, length).into_iter().collect::<Option<Vec<u8>>>();
    let Some(value) = value else { return (Answer::Maybe, None) };
    match edges.iter().rev().find(|edge| edge.0 <= &value) {
        Some((_, element)) if !element.is_end => (Answer::Yes, element.decision.clone()),
        _ => (Answer::No, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_testkit::need;
    use rustix::thread::ThreadNameSpaceType;
    use std::{
        io::Write,
        process::{Command, Stdio},
    };

    /// Moves this thread to a network namespace of its own; no, with words, where that cannot be.
    fn alone(tools: &[&str]) -> bool {
        if !need::root() {
            need::skip("root");
            return false;
        }
        for tool in tools {
            if need::tool(tool).is_none() {
                need::skip(tool);
                return false;
            }
        }
        dhow_sys::namespace::leave(ThreadNameSpaceType::NETWORK).unwrap();
        true
    }

    fn run(program: &str, words: &[&str], input: &str) {
        let mut command = Command::new(program);
        let mut child = command.args(words).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{program} {words:?} {input}");
    }

    fn packet(source: Option<&str>) -> Packet {
        Packet {
            input: None,
            output: Some("dhow0".to_owned()),
            source: source.map(|text| text.parse().unwrap()),
            destination: "10.88.0.2".parse().unwrap(),
            protocol: 6,
            port: 80,
            is_published: true,
        }
    }

    /// `passes`, `dropped` or `perhaps`, with the place.
    fn told(packet: &Packet) -> (&'static str, String) {
        match judge(&Nft::open().unwrap(), Hook::Forward, packet, "dhow").unwrap() {
            Judgement::Passes => ("passes", String::new()),
            Judgement::Dropped(by) => ("dropped", by),
            Judgement::Perhaps(by) => ("perhaps", by),
        }
    }

    #[test]
    fn rules_of_others_let_pass_drop_or_leave_it_open() {
        if !alone(&["nft"]) {
            return;
        }
        for (policy, rules, expected) in [
            ("accept", "", "passes"),
            ("drop", "", "dropped"),
            ("drop", "tcp dport 80 accept", "passes"),
            ("drop", "tcp dport 81 accept", "dropped"),
            ("drop", "udp dport 80 accept", "dropped"),
            ("drop", "tcp dport { 22, 80 } accept", "passes"),
            ("drop", "tcp dport { 22, 443 } accept", "dropped"),
            ("accept", "tcp dport 1-1024 drop", "dropped"),
            ("accept", "tcp dport { 1-79, 81-100 } drop", "passes"),
            ("accept", "tcp dport { 1-79, 80-100 } drop", "dropped"),
            ("accept", "tcp dport != 80 drop", "passes"),
            ("accept", "tcp dport > 79 drop", "dropped"),
            ("accept", "ip saddr 198.51.100.0/24 drop", "perhaps"),
            ("accept", "iifname \"eth9\" drop", "perhaps"),
            ("accept", "oifname \"dhow0\" drop", "dropped"),
            ("accept", "oifname \"docker0\" drop", "passes"),
            ("accept", "oifname \"dhow*\" drop", "dropped"),
            ("drop", "ct state established,related accept", "dropped"),
            ("accept", "ct state new drop", "dropped"),
            ("drop", "ct status dnat accept", "passes"),
            ("accept", "ip daddr 10.88.0.0/16 drop", "dropped"),
            ("drop", "ip daddr != 10.88.0.0/16 accept", "dropped"),
            ("accept", "ip daddr { 10.0.0.0/8, 192.168.0.0/16 } drop", "dropped"),
            ("accept", "ip daddr . tcp dport { 10.88.0.2 . 80 } drop", "dropped"),
            ("accept", "ip daddr . tcp dport { 10.88.0.0/16 . 1-100 } drop", "dropped"),
            ("accept", "ip daddr . tcp dport { 10.89.0.0/16 . 1-100 } drop", "passes"),
            ("accept", "ip daddr . tcp dport { 10.88.0.0/16 . 81-100 } drop", "passes"),
            ("accept", "ip saddr . tcp dport { 192.0.2.0/24 . 1-100 } drop", "perhaps"),
            ("accept", "tcp dport vmap { 80 : drop, 443 : accept }", "dropped"),
            ("drop", "tcp dport vmap { 80 : accept, 443 : drop }", "passes"),
            ("accept", "limit rate 10/second accept; drop", "perhaps"),
            ("drop", "meta mark 1 accept", "perhaps"),
            ("accept", "reject", "dropped"),
            ("accept", "counter log prefix \"x\" drop", "dropped"),
            ("accept", "jump sub", "dropped"),
            ("accept", "tcp dport 81 jump sub", "passes"),
            ("accept", "goto sub", "dropped"),
            ("accept", "jump back; accept", "passes"),
            ("drop", "ip6 saddr fd00::/8 accept", "dropped"),
            ("accept", "ip protocol tcp drop", "dropped"),
        ] {
            run("nft", &["flush", "ruleset"], "");
            let text = format!(
                "table inet t {{\n chain back {{ return; drop; }};\n \
                 chain sub {{ ip daddr 10.88.0.2 drop; }};\n \
                 chain f {{ type filter hook forward priority 0; policy {policy}; {rules}; }};\n}}\n"
            );
            run("nft", &["-f", "-"], &text.replace("; ; }", "; }"));

            let (verdict, by) = told(&packet(None));

            assert_eq!(verdict, expected, "{policy}: {rules}: {by}");
        }
    }

    #[test]
    fn who_asks_and_which_table_matter() {
        if !alone(&["nft"]) {
            return;
        }
        let text = "table ip t { chain f { type filter hook forward priority 0; \
                    ip saddr 198.51.100.0/24 drop; }; }\n\
                    table ip6 t { chain f { type filter hook forward priority 0; policy drop; }; }\n\
                    table inet dhow { chain f { type filter hook forward priority 0; drop; }; }\n\
                    table inet u { chain i { type filter hook input priority 0; policy drop; }; }\n";
        run("nft", &["-f", "-"], text);

        assert_eq!(told(&packet(Some("198.51.100.7"))).0, "dropped");
        assert_eq!(told(&packet(Some("192.0.2.7"))).0, "passes");
        let sixth = Packet { destination: "fd00::2".parse().unwrap(), ..packet(None) };
        let (verdict, by) = told(&sixth);
        assert_eq!(verdict, "dropped");
        assert_eq!(by, "the policy of chain f in table ip6 t");
    }

    #[test]
    fn rules_of_iptables_are_read_too() {
        if !alone(&["nft", "iptables-nft"]) {
            return;
        }
        let last = |words: &str| words.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for (rules, expected) in [
            (&[][..], "dropped"),
            (&["-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"], "dropped"),
            (&["-m conntrack --ctstate NEW -j ACCEPT"], "passes"),
            (&["-m conntrack --ctstate DNAT -j ACCEPT"], "passes"),
            (&["-p tcp --dport 80 -j ACCEPT"], "passes"),
            (&["-p tcp -m tcp --dport 81:90 -j ACCEPT"], "dropped"),
            (&["-p udp --dport 80 -j ACCEPT"], "dropped"),
            (&["-p tcp -m multiport --dports 80,443 -m comment --comment x -j ACCEPT"], "perhaps"),
            (&["-o docker0 -j ACCEPT", "-o dhow0 -j ACCEPT"], "passes"),
            (&["-d 10.88.0.0/16 -j REJECT", "-j ACCEPT"], "dropped"),
        ] {
            run("iptables-nft", &["-P", "FORWARD", "DROP"], "");
            run("iptables-nft", &["-F", "FORWARD"], "");
            for rule in rules {
                let words = last(rule);
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                run("iptables-nft", &[&["-A", "FORWARD"], words.as_slice()].concat(), "");
            }

            let (verdict, by) = told(&packet(None));

            assert_eq!(verdict, expected, "{rules:?}: {by}");
        }
    }
}
