//! What the rules of others do with a packet of which not everything is known.
//!
//! A chain is walked once for each packet, and every way on which the packet may leave it is kept: so a
//! judgement of "passes" or "dropped" holds whatever is not known, and all else depends on it.

use super::{
    Hook, Nft, Packet,
    registers::{Answer, Registers},
    ruleset::{Chain, Decision, KnownRule, KnownSet, KnownStep},
};
use dhow_base::Result;
use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
    rc::Rc,
};

/// Chains lead to chains at most so deep (`NFT_JUMP_STACK_SIZE`).
const DEPTH: usize = 16;

/// What becomes of a packet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Judgement {
    Passes,
    /// Dropped, by whom.
    Dropped(String),
    /// Dropped if something that is not known is so, by whom.
    Perhaps(String),
}

/// All ways on which a packet may leave a chain.
#[derive(Clone, Debug, Default)]
struct Ways {
    is_accepted: bool,
    /// By whom.
    is_dropped: Option<String>,
    /// It goes on where it came from.
    returns: bool,
}

impl Ways {
    /// Who drops first is named.
    fn drop_by(&mut self, by: impl Fn() -> String) {
        if self.is_dropped.is_none() {
            self.is_dropped = Some(by());
        }
    }
}

/// The chains of others at one hook and all that they lead to, to judge packets by.
#[derive(Debug)]
pub(crate) struct Judge<'a> {
    nft: &'a Nft,
    chains: Vec<Chain>,
    /// Places of chains by family, table and name.
    places: HashMap<(u8, String, String), usize>,
    /// Those that meet packets, in their order.
    bases: Vec<usize>,
    /// What was read of sets.
    sets: RefCell<HashMap<(u8, String, String), Rc<KnownSet>>>,
}

impl<'a> Judge<'a> {
    /// Reads what is at a hook, but for one table.
    pub(crate) fn at(nft: &'a Nft, hook: Hook, but: &str) -> Result<Self> {
        Self::among(nft, nft.chains()?, hook, but)
    }

    /// The same among chains that were listed already.
    pub(crate) fn among(
        nft: &'a Nft,
        mut chains: Vec<Chain>,
        hook: Hook,
        but: &str,
    ) -> Result<Self> {
        let meets = |chain: &Chain| {
            let is_there = chain.base.as_ref().is_some_and(|base| base.hook == hook.number());
            is_there && matches!(chain.family, 1 | 2 | 10) && chain.table != but
        };
        let tables: BTreeSet<(u8, String)> = chains
            .iter()
            .filter(|chain| meets(chain))
            .map(|chain| (chain.family, chain.table.clone()))
            .collect();
        chains.retain(|chain| tables.contains(&(chain.family, chain.table.clone())));
        for (family, table) in &tables {
            nft.add_rules(&mut chains, *family, table)?;
        }
        let mut bases: Vec<usize> =
            (0..chains.len()).filter(|place| meets(&chains[*place])).collect();
        bases.sort_by_key(|place| chains[*place].base.as_ref().map(|base| base.priority));
        let name = |chain: &Chain| (chain.family, chain.table.clone(), chain.name.clone());
        let places = chains.iter().enumerate().map(|(place, chain)| (name(chain), place)).collect();
        Ok(Self { nft, chains, places, bases, sets: RefCell::default() })
    }

    /// Whether nobody is there.
    pub(crate) fn is_idle(&self) -> bool {
        self.bases.is_empty()
    }

    /// Judges one packet.
    pub(crate) fn judge(&self, packet: &Packet) -> Result<Judgement> {
        let mut walk = Walk { judge: self, packet, walked: HashMap::new() };
        let mut perhaps = None;
        for base in &self.bases {
            let chain = &self.chains[*base];
            if !packet.is_of(chain.family) {
                continue;
            }
            let ways = walk.through(*base, DEPTH)?;
            let drops_rest = chain.base.as_ref().is_some_and(|base| base.drops);
            let passes = ways.is_accepted || (ways.returns && !drops_rest);
            let by_policy =
                (ways.returns && drops_rest).then(|| format!("the policy of {}", place(chain)));
            match ways.is_dropped.or(by_policy) {
                Some(by) if !passes => return Ok(Judgement::Dropped(by)),
                by => perhaps = perhaps.or(by),
            }
        }
        Ok(perhaps.map_or(Judgement::Passes, Judgement::Perhaps))
    }

    /// What a set is, with its elements where it is worth to read them.
    fn set(
        &self,
        chain: &Chain,
        name: &str,
        is_worth: impl Fn(&KnownSet) -> bool,
    ) -> Result<Rc<KnownSet>> {
        let key = (chain.family, chain.table.clone(), name.to_owned());
        let known = self.sets.borrow().get(&key).cloned();
        let mut set = match known {
            Some(set) => set,
            None => Rc::new(self.nft.known_set(chain.family, &chain.table, name)?),
        };
        if set.elements.is_none() && is_worth(&set) {
            let elements = self.nft.known_elements(chain.family, &chain.table, name)?;
            set = Rc::new(KnownSet { elements: Some(elements), ..(*set).clone() });
        }
        self.sets.borrow_mut().insert(key, Rc::clone(&set));
        Ok(set)
    }
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

/// One packet's way through the chains.
struct Walk<'a> {
    judge: &'a Judge<'a>,
    packet: &'a Packet,
    /// Where it has been already. Many rules lead to one chain, and it does not remember by which.
    walked: HashMap<usize, Ways>,
}

impl Walk<'_> {
    fn through(&mut self, at: usize, depth: usize) -> Result<Ways> {
        if let Some(ways) = self.walked.get(&at) {
            return Ok(ways.clone());
        }
        let chain = &self.judge.chains[at];
        let mut ways = Ways::default();
        for rule in &chain.rules {
            if !self.meet(chain, rule, depth, &mut ways)? {
                self.walked.insert(at, ways.clone());
                return Ok(ways);
            }
        }
        ways.returns = true;
        self.walked.insert(at, ways.clone());
        Ok(ways)
    }

    /// Adds the ways that a rule opens, and says whether the packet may come to the next one.
    fn meet(
        &mut self,
        chain: &Chain,
        rule: &KnownRule,
        depth: usize,
        ways: &mut Ways,
    ) -> Result<bool> {
        let (answer, decisions) = self.try_rule(chain, &rule.steps)?;
        if answer == Answer::No {
            return Ok(true);
        }
        let by = || format!("the rule with handle {} of {}", rule.handle, place(chain));
        let mut goes_on = answer == Answer::Maybe;
        for decision in decisions {
            match decision {
                Decision::Continue => goes_on = true,
                Decision::Accept => ways.is_accepted = true,
                Decision::Drop => ways.drop_by(by),
                Decision::Return => ways.returns = true,
                Decision::Jump(name) => goes_on |= self.lead(chain, &name, depth, ways, by)?,
                Decision::Goto(name) => ways.returns |= self.lead(chain, &name, depth, ways, by)?,
                Decision::Unknown => {
                    ways.is_accepted = true;
                    ways.drop_by(by);
                    ways.returns = true;
                    goes_on = true;
                }
            }
        }
        Ok(goes_on)
    }

    /// Adds the ways of a chain that a rule leads to, and says whether it may return.
    fn lead(
        &mut self,
        from: &Chain,
        name: &str,
        depth: usize,
        ways: &mut Ways,
        by: impl Fn() -> String,
    ) -> Result<bool> {
        let key = (from.family, from.table.clone(), name.to_owned());
        // Somebody changes chains right now, or the kernel allows more than this knows.
        let Some(to) = self.judge.places.get(&key).filter(|_| depth > 0) else {
            ways.is_accepted = true;
            ways.drop_by(by);
            return Ok(true);
        };
        let led = self.through(*to, depth - 1)?;
        ways.is_accepted |= led.is_accepted;
        ways.is_dropped = ways.is_dropped.take().or(led.is_dropped);
        Ok(led.returns)
    }

    /// Whether a rule is about the packet, and what it may decide.
    fn try_rule(&self, chain: &Chain, steps: &[KnownStep]) -> Result<(Answer, Vec<Decision>)> {
        let mut registers = Registers::new();
        let mut sum = Answer::Yes;
        let mut decisions = vec![Decision::Continue];
        for step in steps {
            let answer = match step {
                KnownStep::Lookup { set, from, into, is_inverted } => {
                    let decides = *into == Some(0);
                    let (answer, found) = self.look_up(chain, set, &registers, *from, decides)?;
                    match into {
                        Some(0) => decisions = found,
                        Some(_) => registers.forget(),
                        None => {}
                    }
                    answer.inverted_if(*is_inverted)
                }
                KnownStep::Verdict(decided) => {
                    // What is not known may have ended the rule before.
                    if decisions != [Decision::Unknown] {
                        decisions = vec![decided.clone()];
                    }
                    Answer::Yes
                }
                step => self.packet.take(step, &mut registers),
            };
            sum = sum.and(answer);
            if sum == Answer::No {
                break;
            }
        }
        Ok((sum, decisions))
    }

    fn look_up(
        &self,
        chain: &Chain,
        name: &str,
        registers: &Registers,
        from: usize,
        decides: bool,
    ) -> Result<(Answer, Vec<Decision>)> {
        // Long lists are of sources, of which nothing is known, and only their verdicts could matter.
        let is_worth =
            |set: &KnownSet| !set.is_fleeting && (decides || registers.knows(from, set.key_bytes));
        let set = self.judge.set(chain, name, is_worth)?;
        if !is_worth(&set) {
            return Ok((Answer::Maybe, vec![Decision::Unknown]));
        }
        Ok(registers.look_up(&set, from))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Version, *};
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
            version: Version::V4,
            input: None,
            input_index: None,
            output: Some("dhow0".to_owned()),
            source: source.map(|text| text.parse().unwrap()),
            destination: Some("10.88.0.2".parse().unwrap()),
            protocol: 6,
            port: 80,
            is_published: true,
        }
    }

    /// One for a program of the host's, from anywhere.
    fn arriving(version: Version) -> Packet {
        Packet {
            version,
            output: None,
            destination: None,
            port: 8080,
            is_published: false,
            ..packet(None)
        }
    }

    /// `passes`, `dropped` or `perhaps`, with the place.
    fn told(packet: &Packet) -> (&'static str, String) {
        told_at(Hook::Forward, packet)
    }

    fn told_at(hook: Hook, packet: &Packet) -> (&'static str, String) {
        let nft = Nft::open().unwrap();
        match Judge::at(&nft, hook, "dhow").unwrap().judge(packet).unwrap() {
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
            // What is not known may have let it return, and the rest drops it.
            ("drop", "jump leaves", "perhaps"),
            ("accept", "jump leaves; drop", "perhaps"),
            ("accept", "jump perhaps", "perhaps"),
            ("accept", "ip saddr 192.0.2.1 goto back; drop", "perhaps"),
            ("accept", "ip saddr vmap { 192.0.2.1 : accept, 192.0.2.2 : continue }", "passes"),
            ("accept", "ip saddr vmap { 192.0.2.1 : accept, 192.0.2.2 : drop }", "perhaps"),
            (
                "drop",
                "iifname vmap { \"eth0\" : jump open, \"eth1\" : jump open }; accept",
                "passes",
            ),
            ("accept", "fib saddr . iif oif missing drop", "perhaps"),
            // What was loaded before is not what is compared.
            ("accept", "ip protocol tcp fib saddr type local drop", "perhaps"),
            ("accept", "meta mark set 1", "passes"),
            ("accept", "ct mark set 1 counter", "passes"),
            ("accept", "update @seen { ip saddr }", "passes"),
            ("accept", "tcp dport @seen_ports drop", "perhaps"),
            ("accept", "ip saddr @seen drop", "perhaps"),
            ("accept", "ip saddr != @seen drop", "perhaps"),
            ("accept", "tcp flags & (fin|syn|rst|ack) != syn drop", "passes"),
            ("accept", "tcp flags syn drop", "dropped"),
            ("accept", "meta pkttype { broadcast, multicast } drop", "passes"),
            ("accept", "quota over 10 mbytes drop", "perhaps"),
        ] {
            run("nft", &["flush", "ruleset"], "");
            let text = format!(
                "table inet t {{\n set seen {{ type ipv4_addr; flags dynamic,timeout; timeout 1m; }};\n \
                 set seen_ports {{ type inet_service; flags timeout; }};\n \
                 chain leaves {{ ip saddr 192.0.2.0/24 return; accept; }};\n \
                 chain perhaps {{ ip saddr 192.0.2.0/24 accept; drop; }};\n \
                 chain open {{ tcp dport 80 accept; drop; }};\n chain back {{ return; drop; }};\n \
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
        run("nft", &["add", "rule", "ip", "t", "f", "iif", "lo", "drop"], "");
        for (input_index, expected) in
            [(None, "perhaps"), (Some(1), "dropped"), (Some(2), "passes")]
        {
            let packet = Packet { input_index, ..packet(Some("192.0.2.7")) };
            assert_eq!(told(&packet).0, expected, "{input_index:?}");
        }
        let destination = Some("fd00::2".parse().unwrap());
        let sixth = Packet { version: Version::V6, destination, ..packet(None) };
        let (verdict, by) = told(&sixth);
        assert_eq!(verdict, "dropped");
        assert_eq!(by, "the policy of chain f in table ip6 t");
    }

    #[test]
    fn who_comes_to_the_host_is_judged_by_input() {
        if !alone(&["nft"]) {
            return;
        }
        for (policy, rules, expected) in [
            ("accept", "", "passes"),
            ("drop", "", "dropped"),
            (
                "drop",
                "iif lo accept; ct state established,related accept; tcp dport 22 accept",
                "perhaps",
            ),
            ("drop", "ct state established,related accept; tcp dport 22 accept", "dropped"),
            (
                "drop",
                "ct state vmap { established : accept, invalid : drop }; tcp dport 8080 accept",
                "passes",
            ),
            ("drop", "ip saddr 192.0.2.0/24 tcp dport 8080 accept", "perhaps"),
            ("drop", "ct status dnat accept", "dropped"),
            ("accept", "ip daddr 192.0.2.1 drop", "perhaps"),
            ("accept", "fib daddr type != local drop", "passes"),
            ("accept", "fib daddr type { broadcast, multicast } drop", "passes"),
            ("accept", "rt type 0 drop", "passes"),
            ("accept", "meta l4proto ipv6-icmp drop", "passes"),
        ] {
            run("nft", &["flush", "ruleset"], "");
            let text = format!(
                "table inet t {{\n chain i {{ type filter hook input priority 0; policy {policy}; \
                 {rules}; }};\n chain f {{ type filter hook forward priority 0; drop; }};\n}}\n"
            );
            run("nft", &["-f", "-"], &text.replace("; ; }", "; }"));
            for version in [Version::V4, Version::V6] {
                if version == Version::V6 && rules.starts_with("ip ") {
                    continue;
                }

                let (verdict, by) = told_at(Hook::Input, &arriving(version));

                assert_eq!(verdict, expected, "{policy}: {rules}: {by}");
            }
        }
    }

    /// The rules that Debian's ufw makes, as far as they meet a new packet.
    #[test]
    fn what_ufw_opens_is_open_and_the_rest_is_closed() {
        if !alone(&["iptables-nft", "ip6tables-nft"]) {
            return;
        }
        for tool in ["iptables-nft", "ip6tables-nft"] {
            let do_it = |line: &str| run(tool, &line.split(' ').collect::<Vec<_>>(), "");
            for line in [
                "-P INPUT DROP",
                "-N before",
                "-N local",
                "-N user",
                "-A INPUT -j before",
                "-A before -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
                "-A before -m conntrack --ctstate INVALID -j DROP",
                "-A before -p udp --sport 67 --dport 68 -j ACCEPT",
                "-A before -j local",
                "-A local -m addrtype --dst-type LOCAL -j RETURN",
                "-A local -m addrtype --dst-type MULTICAST -j RETURN",
                "-A local -m limit --limit 3/min --limit-burst 10 -j RETURN",
                "-A local -j DROP",
                "-A before -j user",
                "-A user -p tcp -m tcp --dport 8080 -j ACCEPT",
                "-A user -p tcp -m multiport --dports 8090:8099,9000 -j ACCEPT",
                "-A user -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN --dport 8443 -j ACCEPT",
            ] {
                do_it(line);
            }
            if tool == "ip6tables-nft" {
                do_it("-I before 1 -m rt --rt-type 0 -j DROP");
            }
            let version = if tool == "iptables-nft" { Version::V4 } else { Version::V6 };
            for (port, expected) in [
                (8080, "passes"),
                (8081, "dropped"),
                (8095, "passes"),
                (9000, "passes"),
                (9001, "dropped"),
                (8443, "passes"),
            ] {
                let packet = Packet { port, ..arriving(version) };

                let (verdict, by) = told_at(Hook::Input, &packet);

                assert_eq!(verdict, expected, "{tool}: {port}: {by}");
            }
        }
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
            (&["-p tcp -m multiport --dports 80,443 -m comment --comment x -j ACCEPT"], "passes"),
            (&["-p tcp -m multiport ! --dports 80,443 -j ACCEPT"], "dropped"),
            (&["-p tcp -m multiport --sports 80,443 -j ACCEPT"], "perhaps"),
            (&["-m limit --limit 3/min -j ACCEPT"], "perhaps"),
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
