//! The table, beside `nft`, which reads it as everybody does.

use super::*;
use crate::{Attachment, HostPolicy, InterfaceAddress, Isolation, Publication, Range};
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
    let range = |text: &&str| Range { subnet: text.parse().unwrap(), gateway: None, leased: None };
    let subnets = subnets.iter().map(range).collect();
    Network { device: device.to_owned(), name: device.to_owned(), subnets, ..Network::default() }
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
    let text = include_str!("table.nft");
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
    assert_eq!(without_handles(&nft(&["-j", "list", "ruleset"], "")), without_handles(&as_json));
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
fn a_network_that_asks_so_passes_where_others_drop_by_their_policy_alone() {
    if !alone() {
        return;
    }
    let others = "
        table ip filter {
            chain FORWARD { type filter hook forward priority 0; policy drop; ip daddr 10.88.0.9 drop; }
            chain INPUT { type filter hook input priority 0; policy drop; }
        }
        table ip6 filter {
            chain FORWARD { type filter hook forward priority 0; policy drop; }
        }
        table inet site {
            chain own { type filter hook forward priority 5; policy drop; }
            chain open { type filter hook forward priority 6; policy accept; }
        }";
    nft(&["-f", "-"], others);
    let before = ruleset();
    let firewall = Firewall::open().unwrap();
    let ignoring = Network { forward_policy: HostPolicy::Ignore, ..both("dhow0") };
    let asks = plan(ignoring.clone(), &["10.88.0.2"], &["8080:80"]);
    let obeys = plan(network("dh-1", &["10.89.0.0/24"]), &["10.89.0.2"], &["8081:80"]);

    firewall.raise(&obeys).unwrap();
    assert!(!ruleset().contains("dhow: "), "{}", ruleset());
    firewall.raise(&asks).unwrap();
    let raised = ruleset();
    firewall.raise_again(&asks).unwrap();
    assert_eq!(ruleset(), raised);
    for side in [
        "iifname \"dhow0\" counter packets 0 bytes 0 accept comment \"dhow: from dhow0\"",
        "oifname \"dhow0\" counter packets 0 bytes 0 accept comment \"dhow: to dhow0\"",
    ] {
        assert_eq!(raised.matches(side).count(), 3, "{raised}");
    }
    // Behind what their owner says.
    let dropped = raised.find("10.88.0.9 drop").unwrap();
    assert!(dropped < raised.find("dhow: from").unwrap(), "{raised}");

    nft(&["flush", "chain", "ip6", "filter", "FORWARD"], "");
    firewall.raise_again(&asks).unwrap();
    assert_eq!(ruleset(), raised);
    for plan in [&asks, &obeys] {
        firewall.lower(plan).unwrap();
        firewall.drop_network(&plan.attachments[0].network).unwrap();
    }
    assert_eq!(ruleset(), before);
    firewall.drop_network(&ignoring).unwrap();
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
    let older =
        "table inet dhow { comment \"of dhow, layout 0\"\n set bridges { type inet_service; }; }";
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
