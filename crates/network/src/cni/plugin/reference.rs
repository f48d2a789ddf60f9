//! Our plugins beside the reference plugins: the same calls in two sets of namespaces, and what comes
//! of them.
//!
//! The plugin under test runs in this process; where it calls another one for addresses, that is the
//! reference's host-local, so that nothing here needs our own binary.

use super::{Plugin, answer};
use crate::{cni::program::Programs, inside::within};
use dhow_base::Result;
use dhow_testkit::need;
use rustix::thread::ThreadNameSpaceType;
use serde_json::{Value, json};
use std::{
    fs::File,
    os::fd::{AsFd, AsRawFd},
    path::Path,
    process::{Command, Stdio},
};

const REFERENCE: &str = "/usr/lib/cni";

/// A host of its own, and containers on it. `work` is done there.
fn on_host(work: impl FnOnce(&Host) + Send) {
    std::thread::scope(|scope| {
        let done = scope.spawn(|| {
            dhow_sys::namespace::leave(ThreadNameSpaceType::NETWORK).unwrap();
            dhow_sys::loopback::bring_up().unwrap();
            let data = tempfile::tempdir().unwrap();
            work(&Host { data });
        });
        done.join().unwrap();
    });
}

struct Host {
    data: tempfile::TempDir,
}

fn new_namespace() -> File {
    std::thread::scope(|scope| {
        let made = scope.spawn(|| {
            dhow_sys::namespace::leave(ThreadNameSpaceType::NETWORK).unwrap();
            File::open("/proc/thread-self/ns/net").unwrap()
        });
        made.join().unwrap()
    })
}

fn is_ready() -> bool {
    let is_there = Path::new(REFERENCE).join("host-local").exists();
    let is_ready = need::root() && is_there && need::tool("ip").is_some();
    if !is_ready {
        need::skip("root, ip and the reference plugins (containernetworking-plugins)");
    }
    is_ready
}

/// Who does it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Who {
    We,
    Reference,
}

struct Call<'a> {
    who: Who,
    command: &'a str,
    plugin: &'a str,
    container: &'a str,
    namespace: &'a File,
}

impl Call<'_> {
    /// What is printed; the error is what is printed of one.
    fn ask(&self, document: &Value) -> Result<Value, Value> {
        let path = format!("/proc/{}/fd/{}", std::process::id(), self.namespace.as_raw_fd());
        let variables = [
            ("CNI_COMMAND", self.command),
            ("CNI_CONTAINERID", self.container),
            ("CNI_NETNS", &path),
            ("CNI_IFNAME", if self.plugin == "loopback" { "lo" } else { "eth0" }),
            ("CNI_PATH", REFERENCE),
        ];
        let variables = variables.map(|(key, value)| (key.to_owned(), value.to_owned()));
        if self.who == Who::We {
            let plugin = Plugin::of_name(self.plugin.as_bytes()).unwrap();
            let answer = answer(plugin, &variables, document.to_string().as_bytes());
            let printed = serde_json::from_str(&answer.output).unwrap_or_default();
            return if answer.is_success { Ok(printed) } else { Err(printed) };
        }
        let programs = Programs::of_path(REFERENCE);
        let mut environment = vec!["PATH=/usr/sbin:/usr/bin:/sbin:/bin".to_owned()];
        environment.extend(variables.iter().map(|(key, value)| format!("{key}={value}")));
        let program = programs.find(self.plugin).unwrap();
        match programs.execute(&program, &environment, document, None) {
            Ok(printed) => Ok(serde_json::from_slice(&printed).unwrap_or_default()),
            Err(error) => Err(json!({"msg": error.one_line()})),
        }
    }
}

impl Host {
    fn ipam(&self) -> Value {
        json!({
            "type": "host-local", "dataDir": self.data.path(),
            "ranges": [[{"subnet": "10.77.0.0/24"}], [{"subnet": "fd77::/64"}]],
            "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}, {"dst": "192.168.7.0/24", "gw": "10.77.0.1"}],
        })
    }

    fn bridge(&self) -> Value {
        json!({
            "cniVersion": "1.0.0", "name": "net", "type": "bridge", "bridge": "cni7",
            "isGateway": true, "ipMasq": true, "hairpinMode": true, "mtu": 1400,
            "ipam": self.ipam(),
        })
    }
}

fn ip(words: &[&str]) -> String {
    let output = Command::new("ip").args(words).stdin(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn ip_in(namespace: &File, words: &[&str]) -> String {
    within(namespace.as_fd(), || Ok(ip(words))).unwrap()
}

/// Without what is another each time: names and hardware addresses from chance, paths of namespaces,
/// and what the kernel does on its own.
fn plain(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in text.split_inclusive(|end: char| end.is_whitespace() || "\",".contains(end)) {
        let bare = word.trim_end_matches(|end: char| end.is_whitespace() || "\",".contains(end));
        let is_mac = bare.len() == 17 && bare.bytes().filter(|byte| *byte == b':').count() == 5;
        if bare.starts_with("veth") && bare.len() >= 12 {
            words.push("veth?".to_owned());
        } else if is_mac && bare != "00:00:00:00:00:00" {
            words.push("mac?".to_owned());
        } else if bare.starts_with("/proc/") {
            words.push("netns?".to_owned());
        } else if !["noprefixroute", "nodad", "tentative"].contains(&bare) {
            words.push(bare.to_owned());
        }
    }
    words.join(" ")
}

/// Addresses and routes of the container and the host, without those that are a link's alone.
fn seen(namespace: &File) -> String {
    let questions: [&[&str]; 3] =
        [&["-o", "address", "show", "scope", "global"], &["route"], &["-6", "route"]];
    let mut text = String::new();
    for words in questions {
        for said in [ip_in(namespace, words), ip(words)] {
            let lines = said.lines().filter(|line| !line.contains("fe80"));
            for line in lines {
                // A bridge is up a moment after its port.
                let words = line.split_whitespace().filter(|word| *word != "linkdown");
                text.push_str(&words.collect::<Vec<_>>().join(" "));
                text.push('\n');
            }
        }
    }
    text
}

/// The same calls by us and by the reference; the same results and the same devices.
fn compare(plugin: &str, document: &(dyn Fn(&Host) -> Value + Sync)) {
    let run = |who: Who| {
        let mut told = String::new();
        on_host(|host| {
            ip(&["link", "add", "up0", "type", "veth", "peer", "name", "up1"]);
            ip(&["link", "set", "up0", "up"]);
            ip(&["link", "set", "up1", "up"]);
            let namespace = new_namespace();
            let call =
                |command| Call { who, command, plugin, container: "c1", namespace: &namespace };
            let mut document = document(host);
            let added = call("ADD").ask(&document).unwrap();
            told = format!("{}\n{}", plain(&added.to_string()), plain(&seen(&namespace)));
            document["prevResult"] = added;
            call("CHECK").ask(&document).unwrap();
            call("DEL").ask(&document).unwrap();
            call("DEL").ask(&document).unwrap();
            told += &format!("\nafterwards\n{}", plain(&seen(&namespace)));
            if who == Who::We && need::tool("nft").is_some() {
                let nft = Command::new("nft").args(["list", "ruleset"]).output().unwrap();
                assert_eq!(String::from_utf8_lossy(&nft.stdout), "", "rules are left");
            }
            let kept = std::fs::read_dir(host.data.path().join("net")).into_iter().flatten();
            let kept = kept.flatten().map(|entry| entry.file_name());
            let addresses =
                kept.filter(|name| name.to_string_lossy().parse::<std::net::IpAddr>().is_ok());
            assert_eq!(addresses.count(), 0, "addresses are left");
        });
        told
    };
    assert_eq!(run(Who::We), run(Who::Reference), "{plugin}");
}

#[test]
fn a_bridge_is_as_the_reference_makes_it() {
    if is_ready() {
        compare("bridge", &Host::bridge);
    }
}

#[test]
fn a_bridge_with_a_default_route_of_its_own_is_as_the_reference_makes_it() {
    if !is_ready() {
        return;
    }
    compare("bridge", &|host| {
        let mut document = host.bridge();
        document["isDefaultGateway"] = true.into();
        document["ipam"]["routes"] = json!([]);
        document["cniVersion"] = "0.4.0".into();
        document
    });
}

#[test]
fn a_cable_to_the_host_is_as_the_reference_makes_it() {
    if !is_ready() {
        return;
    }
    compare("ptp", &|host| {
        json!({"cniVersion": "1.0.0", "name": "net", "type": "ptp", "ipMasq": true, "mtu": 1400,
            "ipam": host.ipam()})
    });
}

#[test]
fn a_device_on_another_is_as_the_reference_makes_it() {
    if !is_ready() {
        return;
    }
    compare("macvlan", &|host| {
        json!({"cniVersion": "1.0.0", "name": "net", "type": "macvlan", "master": "up0",
            "mode": "bridge", "mtu": 1300, "ipam": host.ipam()})
    });
}

#[test]
fn the_loopback_is_as_the_reference_makes_it() {
    if !is_ready() {
        return;
    }
    compare("loopback", &|_| json!({"cniVersion": "1.0.0", "name": "lo", "type": "loopback"}));
}

#[test]
fn addresses_are_handed_out_by_either_of_two_in_turn() {
    if !is_ready() {
        return;
    }
    on_host(|host| {
        let namespace = new_namespace();
        let document = json!({"cniVersion": "1.0.0", "name": "net", "ipam": {
            "type": "host-local", "dataDir": host.data.path(),
            "ranges": [[{"subnet": "10.1.0.0/29", "rangeStart": "10.1.0.3", "gateway": "10.1.0.4"}]],
        }});
        let ask = |who, command, container: &str| {
            let namespace = &namespace;
            Call { who, command, plugin: "host-local", container, namespace }.ask(&document)
        };
        let given = |who, container: &str| {
            let answer = ask(who, "ADD", container).unwrap();
            answer["ips"][0]["address"].as_str().unwrap().to_owned()
        };

        assert_eq!(given(Who::We, "a"), "10.1.0.3/29");
        assert_eq!(given(Who::Reference, "b"), "10.1.0.5/29");
        ask(Who::Reference, "DEL", "a").unwrap();
        assert_eq!(given(Who::We, "c"), "10.1.0.6/29");
        let again = ask(Who::We, "ADD", "c").unwrap_err();
        assert!(again["msg"].as_str().unwrap().contains("has been allocated"), "{again}");
        ask(Who::Reference, "CHECK", "c").unwrap();
        assert_eq!(given(Who::Reference, "d"), "10.1.0.3/29");
        for who in [Who::We, Who::Reference] {
            let full = ask(who, "ADD", "e").unwrap_err();
            let text = full["msg"].as_str().unwrap().to_owned();
            assert!(
                text.contains("no IP addresses available in range set: 10.1.0.3-10.1.0.6"),
                "{text}"
            );
        }
        ask(Who::We, "DEL", "b").unwrap();
        ask(Who::We, "DEL", "b").unwrap();
        assert_eq!(given(Who::Reference, "e"), "10.1.0.5/29");
    });
}

#[test]
fn addresses_that_are_asked_for_are_given_as_by_the_reference() {
    if !is_ready() {
        return;
    }
    for plugin in ["host-local", "static"] {
        let run = |who: Who| {
            let mut told = Vec::new();
            on_host(|host| {
                let namespace = new_namespace();
                for (ips, container) in [
                    (json!(["10.1.0.9/24"]), "a"),
                    (json!(["10.1.0.9/24"]), "b"),
                    (json!(["10.9.0.9/24"]), "c"),
                    (json!([]), "d"),
                ] {
                    let document = json!({
                        "cniVersion": "1.0.0", "name": "net", "runtimeConfig": {"ips": ips},
                        "ipam": {
                            "type": plugin, "dataDir": host.data.path(), "subnet": "10.1.0.0/24",
                            "addresses": [{"address": "10.1.0.7/24", "gateway": "10.1.0.1"}],
                            "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.0.2"}],
                        },
                    });
                    let namespace = &namespace;
                    let call = Call { who, command: "ADD", plugin, container, namespace };
                    told.push(call.ask(&document).map_err(drop));
                }
            });
            told
        };
        let (ours, theirs) = (run(Who::We), run(Who::Reference));
        assert_eq!(ours, theirs, "{plugin}");
        assert!(ours[0].is_ok());
    }
}

/// Makes a bridge's connection, and gives what a further plugin of its chain is asked.
fn connected(host: &Host, namespace: &File, more: &Value) -> Value {
    let call = Call { who: Who::We, command: "ADD", plugin: "bridge", container: "c1", namespace };
    let before = call.ask(&host.bridge()).unwrap();
    let mut document = json!({"cniVersion": "1.0.0", "name": "net", "prevResult": before});
    document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    document
}

#[test]
fn limits_are_as_the_reference_sets_them_and_either_takes_them_away() {
    if !is_ready() || need::tool("tc").is_none() {
        return need::skip("tc");
    }
    let run = |who: Who, other: Who| {
        let mut told = String::new();
        on_host(|host| {
            let namespace = new_namespace();
            let document = connected(
                host,
                &namespace,
                &json!({
                    "ingressRate": 8_000_000, "ingressBurst": 800_000,
                    "egressRate": 16_000_000, "egressBurst": 1_600_000,
                }),
            );
            let call = |who, command| {
                let namespace = &namespace;
                Call { who, command, plugin: "bandwidth", container: "c1", namespace }
            };
            let added = match call(who, "ADD").ask(&document) {
                Ok(added) => added,
                // Not all kernels have `ifb`.
                Err(refusal) => {
                    told = "refused".to_owned();
                    return assert!(refusal.to_string().contains("upported"), "{refusal}");
                }
            };
            let tc = Command::new("tc").args(["qdisc", "show"]).output().unwrap();
            told = plain(&format!("{added} {}", String::from_utf8_lossy(&tc.stdout)));
            let mut checked = document.clone();
            checked["prevResult"] = added;
            call(other, "CHECK").ask(&checked).unwrap();
            call(other, "DEL").ask(&checked).unwrap();
            assert!(!ip(&["link"]).contains("bwp"));
        });
        told
    };
    let (ours, theirs) = (run(Who::We, Who::Reference), run(Who::Reference, Who::We));
    assert_eq!(ours, theirs);
    assert!(ours == "refused" || ours.contains("rate 8Mbit burst 100000b lat 25ms"), "{ours}");
}

#[test]
fn a_device_is_tuned_and_put_back() {
    if !is_ready() {
        return;
    }
    let run = |who: Who| {
        let mut told = String::new();
        on_host(|host| {
            let namespace = new_namespace();
            let document = connected(
                host,
                &namespace,
                &json!({
                    "sysctl": {"net.ipv4.conf.eth0.rp_filter": "2"}, "mtu": 1300, "promisc": true,
                    "mac": "02:11:22:33:44:55", "dataDir": host.data.path().join("tuning"),
                }),
            );
            let call = |command| {
                let namespace = &namespace;
                Call { who, command, plugin: "tuning", container: "c1", namespace }
            };
            let before = ip_in(&namespace, &["link", "show", "eth0"]);
            let added = call("ADD").ask(&document).unwrap();
            let link = ip_in(&namespace, &["link", "show", "eth0"]);
            assert!(link.contains("PROMISC") && link.contains("02:11:22:33:44:55"), "{link}");
            told = plain(&format!("{added}")) + &link.replace("qlen 1000", "");
            let mut checked = document.clone();
            checked["prevResult"] = added;
            call("CHECK").ask(&checked).unwrap();
            call("DEL").ask(&checked).unwrap();
            assert_eq!(ip_in(&namespace, &["link", "show", "eth0"]), before);
        });
        told.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(run(Who::We), run(Who::Reference));
    for key in ["kernel.hostname", "net/../kernel/hostname", "net.", "/etc/passwd"] {
        on_host(|host| {
            let namespace = new_namespace();
            let document = connected(host, &namespace, &json!({"sysctl": {key: "1"}}));
            let namespace = &namespace;
            let call =
                Call { who: Who::We, command: "ADD", plugin: "tuning", container: "c1", namespace };
            let refusal = call.ask(&document).unwrap_err();
            assert_eq!(refusal["code"], 7, "{key}: {refusal}");
        });
    }
}

#[test]
fn the_forwarded_packets_of_a_container_are_let_pass_as_by_the_reference() {
    if !is_ready() || need::tool("iptables-save").is_none() {
        return need::skip("iptables");
    }
    let run = |who: Who, other: Who| {
        let mut told = String::new();
        on_host(|host| {
            let namespace = new_namespace();
            let document = connected(host, &namespace, &json!({}));
            let call = |who, command| {
                let namespace = &namespace;
                Call { who, command, plugin: "firewall", container: "c1", namespace }
            };
            call(who, "ADD").ask(&document).unwrap();
            call(who, "ADD").ask(&document).unwrap();
            call(other, "CHECK").ask(&document).unwrap();
            let save = || {
                let saved = Command::new("iptables-save").args(["-t", "filter"]).output().unwrap();
                let text = String::from_utf8_lossy(&saved.stdout).into_owned();
                let lines = text.lines().filter(|line| line.starts_with("-A"));
                lines.map(|line| format!("{line}\n")).collect::<String>()
            };
            told = save();
            call(other, "DEL").ask(&document).unwrap();
            told += &save();
            call(who, "CHECK").ask(&document).unwrap_err();
            call(who, "DEL").ask(&document).unwrap();
        });
        told
    };
    let ours = run(Who::We, Who::Reference);
    assert_eq!(ours, run(Who::Reference, Who::We));
    assert!(ours.contains("-A CNI-FORWARD -s 10.77.0.2/32 -j ACCEPT"), "{ours}");
}

/// What a server that answers with its client's address says; nothing where nobody is reached.
fn answered(from: &File, to: (&str, u16)) -> Option<String> {
    use std::io::Read;
    let place = (to.0.parse::<std::net::IpAddr>().unwrap(), to.1).into();
    let wait = std::time::Duration::from_secs(10);
    let sent = within(from.as_fd(), || Ok(std::net::TcpStream::connect_timeout(&place, wait)));
    let mut text = String::new();
    sent.unwrap().ok()?.read_to_string(&mut text).ok()?;
    Some(text)
}

#[test]
fn published_ports_lead_to_the_container_and_keep_the_client_s_address() {
    use std::io::Write;
    if !is_ready() || need::tool("nft").is_none() {
        return need::skip("nft");
    }
    on_host(|host| {
        let own = File::open("/proc/thread-self/ns/net").unwrap();
        let (one, two, peer) = (new_namespace(), new_namespace(), new_namespace());
        let path = format!("/proc/{}/fd/{}", std::process::id(), peer.as_raw_fd());
        ip(&["link", "add", "w0", "type", "veth", "peer", "name", "w1", "netns", &path]);
        ip(&["address", "add", "192.0.2.1/24", "dev", "w0"]);
        ip(&["link", "set", "w0", "up"]);
        ip_in(&peer, &["address", "add", "192.0.2.9/24", "dev", "w1"]);
        ip_in(&peer, &["link", "set", "w1", "up"]);
        let document = connected(
            host,
            &one,
            &json!({"runtimeConfig": {"portMappings": [
                {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
                {"hostPort": 8081, "containerPort": 80, "protocol": "TCP", "hostIP": "127.0.0.1"},
            ]}}),
        );
        let neighbour = Call {
            who: Who::We,
            command: "ADD",
            plugin: "bridge",
            container: "c2",
            namespace: &two,
        };
        neighbour.ask(&host.bridge()).unwrap();
        let call = |command| {
            let namespace = &one;
            Call { who: Who::We, command, plugin: "portmap", container: "c1", namespace }
        };
        call("ADD").ask(&document).unwrap();
        let listener =
            within(one.as_fd(), || Ok(std::net::TcpListener::bind("0.0.0.0:80").unwrap()));
        let listener = listener.unwrap();
        let server = std::thread::spawn(move || {
            while let Ok((mut client, from)) = listener.accept() {
                let text = from.ip().to_string();
                if client.write_all(text.as_bytes()).is_err() || text == "10.77.0.1" {
                    return;
                }
            }
        });

        assert_eq!(answered(&peer, ("192.0.2.1", 8080)).as_deref(), Some("192.0.2.9"));
        assert_eq!(answered(&peer, ("192.0.2.1", 8081)), None);
        assert_eq!(answered(&own, ("192.0.2.1", 8080)).as_deref(), Some("192.0.2.1"));
        assert_eq!(answered(&two, ("10.77.0.2", 80)).as_deref(), Some("10.77.0.3"));
        call("CHECK").ask(&document).unwrap();
        let rules = Command::new("nft").args(["list", "ruleset"]).output().unwrap();
        let rules = String::from_utf8_lossy(&rules.stdout).into_owned();
        assert!(rules.contains("tcp . 8080 : 10.77.0.2 . 80"), "{rules}");
        // The last one, after which the server ends: the host's loopback.
        assert_eq!(answered(&own, ("127.0.0.1", 8081)).as_deref(), Some("10.77.0.1"));
        server.join().unwrap();
        call("DEL").ask(&document).unwrap();
        call("CHECK").ask(&document).unwrap_err();
        assert_eq!(answered(&peer, ("192.0.2.1", 8080)), None);
    });
}

#[test]
fn what_makes_no_sense_is_refused_by_its_code() {
    let variables = |command: &str| {
        let all = [
            ("CNI_COMMAND", command),
            ("CNI_CONTAINERID", "c1"),
            ("CNI_NETNS", "/none"),
            ("CNI_IFNAME", "eth0"),
            ("CNI_PATH", REFERENCE),
        ];
        all.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec()
    };
    for (plugin, command, document, code) in [
        (Plugin::Bridge, "FOO", r#"{"cniVersion":"1.0.0","name":"n"}"#, 4),
        (Plugin::Bridge, "ADD", "x", 6),
        (Plugin::Bridge, "ADD", r#"{"cniVersion":"1.0.0"}"#, 7),
        (Plugin::Bridge, "ADD", r#"{"cniVersion":"7.0.0","name":"n"}"#, 1),
        (Plugin::Bridge, "ADD", r#"{"cniVersion":"1.0.0","name":"../n"}"#, 7),
        (Plugin::Bridge, "ADD", r#"{"cniVersion":"1.0.0","name":"n","mtu":"x"}"#, 6),
        (Plugin::Bridge, "ADD", r#"{"cniVersion":"1.0.0","name":"n","vlan":5000}"#, 7),
        (Plugin::Bridge, "ADD", r#"{"cniVersion":"1.0.0","name":"n"}"#, 999),
        (Plugin::Macvlan, "ADD", r#"{"cniVersion":"1.0.0","name":"n","mode":"x"}"#, 7),
        (Plugin::Portmap, "ADD", r#"{"cniVersion":"1.0.0","name":"n"}"#, 7),
        (Plugin::Bandwidth, "ADD", r#"{"cniVersion":"1.0.0","name":"n","ingressRate":5}"#, 7),
        (Plugin::HostLocal, "ADD", r#"{"cniVersion":"1.0.0","name":"n"}"#, 7),
        (
            Plugin::HostLocal,
            "ADD",
            r#"{"cniVersion":"1.0.0","name":"n","ipam":{"subnet":"10.0.0.1/8"}}"#,
            7,
        ),
        (Plugin::HostLocal, "GC", r#"{"cniVersion":"1.0.0","name":"n"}"#, 1),
        (Plugin::Static, "ADD", r#"{"cniVersion":"1.0.0","name":"n","ipam":{}}"#, 7),
        (Plugin::Tuning, "CHECK", r#"{"cniVersion":"0.3.1","name":"n"}"#, 1),
    ] {
        let answer = answer(plugin, &variables(command), document.as_bytes());
        let printed: Value = serde_json::from_str(&answer.output).unwrap();
        assert!(!answer.is_success, "{document}");
        assert_eq!(printed["code"], code, "{document}: {printed}");
    }
    let missing = answer(Plugin::Ptp, &variables("ADD")[..2], b"{}");
    assert!(missing.output.contains("[CNI_NETNS,CNI_IFNAME,CNI_PATH] missing"), "{missing:?}");
    let version = answer(Plugin::Ptp, &variables("VERSION"), br#"{"cniVersion":"1.0.0"}"#);
    assert!(version.is_success && version.output.contains(r#""1.1.0""#), "{version:?}");
}

#[test]
fn addresses_of_nobody_are_collected() {
    if !need::root() {
        return need::skip("root");
    }
    on_host(|host| {
        let namespace = new_namespace();
        let mut document = json!({"cniVersion": "1.1.0", "name": "net", "ipam": {
            "type": "host-local", "dataDir": host.data.path(), "subnet": "10.1.0.0/24",
        }});
        let ask = |command, container: &str, document: &Value| {
            let namespace = &namespace;
            Call { who: Who::We, command, plugin: "host-local", container, namespace }.ask(document)
        };
        for container in ["a", "b", "c"] {
            ask("ADD", container, &document).unwrap();
        }
        document["cni.dev/valid-attachments"] = json!([{"containerID": "b", "ifname": "eth0"}]);

        ask("STATUS", "a", &document).unwrap();
        ask("GC", "a", &document).unwrap();

        ask("CHECK", "b", &document).unwrap();
        for container in ["a", "c"] {
            ask("CHECK", container, &document).unwrap_err();
        }
        document["ipam"]["subnet"] = "10.1.0.0/32".into();
        ask("STATUS", "a", &document).unwrap_err();
    });
}

#[test]
fn a_chain_of_the_reference_plugins_is_driven_from_end_to_end() {
    use crate::cni::{Connection, Driver, List};
    if !is_ready() || need::tool("iptables").is_none() {
        return need::skip("iptables");
    }
    on_host(|host| {
        let namespace = new_namespace();
        let mut bridge = host.bridge();
        bridge["capabilities"] = json!({"mac": true, "ips": true});
        bridge["ipam"]["ranges"] = json!([[{"subnet": "10.77.0.0/24"}]]);
        bridge["ipam"]["routes"] = json!([{"dst": "0.0.0.0/0"}]);
        let mut chain = json!({"cniVersion": "1.0.0", "name": "net", "plugins": [
            bridge,
            {"type": "portmap", "capabilities": {"portMappings": true}},
            {"type": "firewall"},
            {"type": "tuning", "mtu": 1300, "dataDir": host.data.path().join("tuning")},
        ]});
        let parse = |document: &Value| List::parse(document.to_string().as_bytes()).unwrap().0;
        let list = parse(&chain);
        let connection = Connection {
            container: "c1".to_owned(),
            namespace: format!("/proc/{}/fd/{}", std::process::id(), namespace.as_raw_fd()),
            interface: "eth0".to_owned(),
            arguments: vec![("IgnoreUnknown".to_owned(), "1".to_owned())],
            capabilities: json!({
                "mac": "02:11:22:33:44:55", "ips": ["10.77.0.40/24"],
                "portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}],
            })
            .as_object()
            .unwrap()
            .clone(),
        };
        let cache = host.data.path().join("cache");
        let driver = Driver::new(vec!["/none".into(), REFERENCE.into()], &cache);
        let rules = || {
            let saved = Command::new("iptables-save").output().unwrap();
            String::from_utf8_lossy(&saved.stdout).into_owned()
        };

        let outcome = driver.add(&list, &connection).unwrap();

        let device = outcome.device().unwrap();
        assert_eq!((&*device.name, &*device.mac), ("eth0", "02:11:22:33:44:55"));
        let addresses: Vec<String> = outcome.addresses().map(|ip| ip.address.to_string()).collect();
        assert_eq!(addresses, ["10.77.0.40/24"]);
        let link = ip_in(&namespace, &["address", "show", "eth0"]);
        assert!(link.contains("mtu 1300") && link.contains("10.77.0.40/24"), "{link}");
        assert!(rules().contains("--to-destination 10.77.0.40:80"), "{}", rules());
        driver.del(&list, &connection).unwrap();
        driver.del(&list, &connection).unwrap();
        assert!(!rules().contains("10.77.0.40"), "{}", rules());
        assert_eq!(ip_in(&namespace, &["-br", "link"]).lines().count(), 1);

        // The reference's portmap does not pass its own CHECK where there is one version alone.
        let mut checked = list;
        checked.plugins.remove(1);
        driver.add(&checked, &connection).unwrap();
        driver.check(&checked, &connection).unwrap();
        ip_in(&namespace, &["link", "set", "eth0", "mtu", "1200"]);
        let changed = driver.check(&checked, &connection).unwrap_err().one_line();
        assert!(changed.contains("\"tuning\" with CHECK"), "{changed}");
        driver.gc(&checked, &[]).unwrap();
        assert_eq!(driver.connections(None).unwrap(), []);

        // The last of the chain refuses, and nothing is left of the others.
        chain["plugins"][3]["sysctl"] = json!({"kernel.hostname": "x"});
        let error = driver.add(&parse(&chain), &connection).unwrap_err().one_line();
        assert!(error.contains("\"tuning\" with ADD") && error.contains("sysctl"), "{error}");
        assert!(!rules().contains("10.77.0.40"), "{}", rules());
        assert_eq!(ip_in(&namespace, &["-br", "link"]).lines().count(), 1);
        assert_eq!(driver.connections(None).unwrap(), []);
    });
}
