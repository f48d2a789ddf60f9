//! The host's firewall is its owner's: whatever is done to networks and containers, `nft list ruleset`
//! says afterwards what it said before, and what others wrote is as it was meanwhile.

use crate::fixture::{SOON, kill_monitor, start, wait_for_state, with_networked_box};
use dhow_testkit::{Dhow, HostNetwork, need, needs, needs_tool};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

/// What others have on the host: a table of its owner's, and what docker leaves, under its names.
const OF_OTHERS: &str = r#"
table inet site {
    set friends { type ipv4_addr; elements = { 192.0.2.7 } }
    chain input { type filter hook input priority filter; policy accept; ip saddr @friends counter accept; }
    chain forward { type filter hook forward priority filter; policy accept; ct state invalid drop; }
}
table ip nat {
    chain DOCKER { iifname "docker0" return; }
    chain PREROUTING { type nat hook prerouting priority dstnat; policy accept; fib daddr type local jump DOCKER; }
}
"#;

fn ruleset(dhow: &Dhow) -> String {
    // Without the numbers of counters, which go up by themselves.
    dhow.host().output(&["nft", "--stateless", "list", "ruleset"])
}

fn all_ok(dhow: &Dhow, commands: &[&str]) {
    for command in commands {
        let words: Vec<&str> = command.split_whitespace().collect();
        drop(dhow.run(&words).ok());
    }
}

/// A network that plugins make: dhow's own, or those of a directory.
fn plugged_network(dhow: &Dhow, of: Option<&Path>) {
    let [lists, plugins] = ["net.d", "plugins"].map(|name| dhow.directory().join(name));
    for directory in [&lists, &plugins] {
        fs::create_dir(directory).unwrap();
    }
    let mut chain = vec![
        serde_json::json!({
            "type": "bridge", "bridge": "plugged0", "isGateway": true, "ipMasq": true,
            "ipam": {
                "type": "host-local", "dataDir": dhow.directory().join("leases"),
                "ranges": [[{"subnet": "10.66.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}],
            },
        }),
        serde_json::json!({"type": "portmap", "capabilities": {"portMappings": true}}),
    ];
    if of.is_some() {
        chain.push(serde_json::json!({"type": "firewall"}));
    }
    for name in ["bridge", "host-local", "portmap", "firewall"] {
        let program = of.map_or_else(|| dhow.program().to_owned(), |other| other.join(name));
        symlink(program, plugins.join(name)).unwrap();
    }
    let list = serde_json::json!({"cniVersion": "1.0.0", "name": "plugged", "plugins": chain});
    fs::write(lists.join("plugged.conflist"), list.to_string()).unwrap();
    dhow.configure(&format!(
        "[network]\nnetwork_config_dir = {lists:?}\ncni_plugin_dirs = [{plugins:?}]\n"
    ));
}

fn load(dhow: &Dhow, rules: &str) {
    let file = dhow.directory().join("others.nft");
    fs::write(&file, rules).unwrap();
    drop(dhow.host().output(&["nft", "-f", file.to_str().unwrap()]));
}

fn cables_go(dhow: &Dhow) {
    let are_gone = || {
        let links = dhow.host().output(&["ip", "-brief", "link"]);
        (!["dv-", "veth"].iter().any(|name| links.contains(name))).then_some(())
    };
    need::eventually(SOON, are_gone).expect("the devices go with their namespaces");
}

#[test]
fn the_hosts_rules_are_the_same_before_and_after_everything() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = with_networked_box();
    plugged_network(&dhow, None);
    load(&dhow, OF_OTHERS);
    let before = ruleset(&dhow);
    assert!(before.contains("docker0"), "{before}");

    // Networks of all sorts, and all that is done to them.
    all_ok(
        &dhow,
        &[
            "network create --subnet 10.5.0.0/24 front",
            "network create --ipv6 --subnet 10.6.0.0/24 back",
            "network create --internal inside",
            "network create -o isolate=true alone",
        ],
    );
    let serve = ["-p", "8080:80", "-p", "9000:90/udp", "box", "sleep", "1000"];
    start(&dhow, &[&["--name=usual"], &serve[..]].concat());
    let serve = ["-p", "8081:80", "-p", "127.0.0.1:8082:82", "box", "sleep", "1000"];
    start(&dhow, &[&["--name=web", "--network=front", "--network=back"], &serve[..]].concat());
    start(&dhow, &["--name=quiet", "--network=inside", "box", "sleep", "1000"]);
    start(&dhow, &["--name=apart", "--network=alone", "-p", "8083:80", "box", "sleep", "1000"]);
    start(&dhow, &["--name=plug", "--network=plugged", "-p", "8084:80", "box", "sleep", "1000"]);
    start(&dhow, &["--name=guest", "--network=container:web", "box", "sleep", "1000"]);
    all_ok(
        &dhow,
        &[
            "pod create --network front -p 8085:80 crew",
            "run -d -q --pod crew --name mate box sleep 1000",
            "network connect alone usual",
            "network disconnect back web",
            "network connect back web",
            "network reload --all",
            "network update --dns-add 192.0.2.53 front",
            "restart -t 0 web plug",
            "stop -t 0 apart",
            "start apart",
            "pause usual",
            "unpause usual",
            "run --rm --network front --network back -p 8086:80 box true",
        ],
    );
    drop(dhow.run(&["run", "--rm", "--network=front", "-p", "8081:80", "box", "true"]).exits(125));
    // Who ends by a signal takes the same way out.
    drop(dhow.run(&["kill", "-s", "KILL", "quiet"]).ok());
    wait_for_state(&dhow, "quiet", "exited");

    let meanwhile = ruleset(&dhow);
    assert!(meanwhile.contains("8081") && meanwhile.contains("8085"), "{meanwhile}");
    assert!(before.lines().all(|line| meanwhile.contains(line)), "{before}\n{meanwhile}");

    // Who loses its monitor has nobody who takes its ports away, but the next command.
    for name in ["usual", "plug", "mate"] {
        kill_monitor(&dhow, name);
    }
    all_ok(&dhow, &["pod rm -f -t 0 crew", "rm -f -t 0 guest", "rm -f -t 0 -a"]);
    all_ok(&dhow, &["network rm front", "network rm back", "network prune -f"]);
    cables_go(&dhow);

    assert_eq!(ruleset(&dhow), before);
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    drop(dhow.run(&["doctor", "--repair"]).ok());
    assert_eq!(ruleset(&dhow), before);
}

/// The reference's plugins write rules by iptables. What they keep for good are chains and jumps to them,
/// which their first use makes: so that comes before.
#[test]
fn the_rules_of_the_references_plugins_go_with_what_they_were_made_for() {
    if !HostNetwork::is_possible() {
        return;
    }
    let reference = PathBuf::from("/usr/lib/cni");
    needs!(reference.join("portmap").exists(), "containernetworking-plugins");
    needs_tool!("iptables");
    let dhow = with_networked_box();
    plugged_network(&dhow, Some(&reference));
    let site = "table inet site {\n chain input { type filter hook input priority filter; }\n}\n";
    load(&dhow, site);
    let run = ["--network=plugged", "-p", "8080:80", "box", "sleep", "1000"];
    start(&dhow, &[&["--name=first"], &run[..]].concat());
    all_ok(&dhow, &["rm -f -t 0 first"]);
    let before = ruleset(&dhow);
    assert!(before.contains("CNI-HOSTPORT-DNAT") && before.contains("CNI-FORWARD"), "{before}");

    start(&dhow, &[&["--name=web"], &run[..]].concat());
    start(&dhow, &["--name=other", "-p", "8081:80", "box", "sleep", "1000"]);
    let meanwhile = ruleset(&dhow);
    all_ok(
        &dhow,
        &[
            "network connect plugged other",
            "network disconnect plugged other",
            "network connect plugged other",
            "restart -t 0 web",
            "run --rm --network plugged -p 8082:80 box true",
        ],
    );
    drop(
        dhow.run(&["run", "--rm", "--network=plugged", "-p", "8080:80", "box", "true"]).exits(125),
    );
    for name in ["web", "other"] {
        kill_monitor(&dhow, name);
    }
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    all_ok(&dhow, &["start web", "rm -f -t 0 -a", "network prune -f"]);
    cables_go(&dhow);

    assert!(meanwhile.contains("10.66.0.") && meanwhile.contains("8081"), "{meanwhile}");
    assert_eq!(ruleset(&dhow), before);
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}
