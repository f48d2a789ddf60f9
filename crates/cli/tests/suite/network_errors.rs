//! What cannot be a network, or a connection to one: each gets one error that names it, and nothing
//! is left.

use dhow_testkit::{Dhow, HostNetwork, need};

/// A command line, and words that its error has.
type Row = (&'static [&'static str], &'static [&'static str]);

const CREATE: [Row; 40] = [
    (&["--subnet", "10.5.0.1/24", "x"], &["--subnet", "10.5.0.0/24"]),
    (&["--subnet", "10.5.0.0", "x"], &["--subnet", "length is missing"]),
    (&["--subnet", "10.5.0.0/33", "x"], &["--subnet", "too long"]),
    (&["--subnet", "x", "x"], &["--subnet"]),
    (&["--subnet", "0.0.0.0/0", "x"], &["0.0.0.0/0"]),
    (&["--subnet", "10.5.0.0/31", "x"], &["10.5.0.0/31", "size"]),
    (&["--subnet", "127.5.0.0/16", "x"], &["127.5.0.0/16"]),
    (&["--subnet", "224.5.0.0/16", "x"], &["224.5.0.0/16"]),
    (&["--subnet", "fe80::/64", "x"], &["fe80::/64"]),
    (
        &["--subnet", "10.5.0.0/24", "--subnet", "10.6.0.0/24", "x"],
        &["10.6.0.0/24", "same version"],
    ),
    (&["--subnet", "10.7.0.0/16", "x"], &["10.7.0.0/16", "network there"]),
    (&["--subnet", "fd00:7::/48", "x"], &["fd00:7::/48", "network there"]),
    (&["--gateway", "10.5.0.1", "x"], &["gateway 10.5.0.1", "none of the network's subnets"]),
    (&["--subnet", "10.5.0.0/24", "--gateway", "10.5.0.0", "x"], &["10.5.0.0", "no device"]),
    (&["--subnet", "10.5.0.0/24", "--gateway", "10.5.0.255", "x"], &["10.5.0.255"]),
    (&["--subnet", "10.5.0.0/24", "--gateway", "nobody", "x"], &["--gateway", "nobody"]),
    (&["--subnet", "10.5.0.0/24", "--ip-range", "10.6.0.0/25", "x"], &["10.6.0.0"]),
    (&["--subnet", "10.5.0.0/24", "--ip-range", "10.5.0.9-10.5.0.3", "x"], &["10.5.0.9-10.5.0.3"]),
    (&["--subnet", "10.5.0.0/24", "--ip-range", "10.5.0.9", "x"], &["--ip-range"]),
    (&["--subnet", "10.5.0.0/24", "--aux-address", "r=10.6.0.1", "x"], &["r=10.6.0.1"]),
    (&["--aux-address", "10.6.0.1", "x"], &["--aux-address", "NAME=ADDRESS"]),
    (&["--driver", "bogus", "x"], &["bogus", "no such driver"]),
    (&["--driver", "overlay", "x"], &["overlay", "swarm"]),
    (&["--driver", "host", "x"], &["host", "one such network"]),
    (&["--driver", "macvlan", "x"], &["macvlan", "no default route"]),
    (&["--driver", "macvlan", "-o", "parent=nowhere0", "x"], &["nowhere0"]),
    (&["--driver", "ipvlan", "-o", "parent=lo", "-o", "mode=vepa", "x"], &["mode=vepa", "l2"]),
    (&["--ipam-driver", "bogus", "x"], &["bogus"]),
    (&["--ipam-driver", "dhcp", "x"], &["dhcp", "with bridge"]),
    (&["--ipam-driver", "none", "--subnet", "10.5.0.0/24", "x"], &["addresses"]),
    (&["--opt", "mtu=7", "x"], &["mtu=7", "68"]),
    (&["--opt", "vlan=5000", "x"], &["vlan=5000", "4094"]),
    (&["--opt", "bogus=1", "x"], &["bogus=1"]),
    (&["--opt", "isolate=perhaps", "x"], &["isolate=perhaps"]),
    (&["--opt", "sysctls=kernel.hostname=x", "x"], &["kernel.hostname"]),
    (&["--interface-name", "a/b", "x"], &["a/b"]),
    (&["--interface-name", "br-there", "x"], &["br-there", "network there"]),
    (&["--subnet", "10.5.0.0/24", "--route", "10.9.0.0/16,10.6.0.1", "x"], &["10.6.0.1"]),
    (&["--dns", "nobody", "x"], &["--dns", "nobody"]),
    (&["--ipv4=false", "x"], &["without addresses"]),
];

const OTHERS: [Row; 22] = [
    (&["network", "create", "there"], &["the name there is in use"]),
    (&["network", "create", "host"], &["host cannot be the name"]),
    (&["network", "create", "bridge"], &["bridge cannot be the name"]),
    (&["network", "create", "a/b"], &["a/b"]),
    (&["network", "create", "--scope=swarm", "x"], &["swarm"]),
    (&["network", "create", "--bogus", "x"], &["--bogus"]),
    (&["network", "rm", "nothing"], &["no such network: nothing"]),
    (&["network", "rm", "bridge"], &["bridge", "always there"]),
    (&["network", "rm", "--force", "none"], &["none", "always there"]),
    (&["network", "inspect", "nothing"], &["no such network: nothing"]),
    (&["network", "ls", "--filter", "bogus=1"], &["bogus=1", "no such filter"]),
    (&["network", "ls", "--filter", "dangling=perhaps"], &["dangling=perhaps"]),
    (&["network", "prune", "-f", "--filter", "until=tomorrow"], &["--filter", "tomorrow"]),
    (&["network", "update", "there", "--dns-drop", "10.1.1.1"], &["10.1.1.1", "asks no server"]),
    (&["network", "update", "nothing", "--dns-add", "10.1.1.1"], &["no such network: nothing"]),
    (&["network", "connect", "there", "nobody"], &["no such container: nobody"]),
    (&["network", "connect", "nothing", "web"], &["no such network: nothing"]),
    (&["network", "connect", "there", "web"], &["web", "connected already"]),
    (&["network", "connect", "there", "bare"], &["bare", "none", "stands alone"]),
    (&["network", "disconnect", "there", "bare"], &["not connected"]),
    (&["network", "disconnect", "nothing", "web"], &["no such network: nothing"]),
    (&["network", "reload", "nobody"], &["no such container: nobody"]),
];

/// Of `create` on the network `there`.
const CONNECTIONS: [Row; 12] = [
    (&["--network", "nothing"], &["no such network: nothing"]),
    (&["--network", "there", "--ip", "10.8.0.7"], &["10.8.0.7", "not in 10.7.0.0/24"]),
    (&["--network", "there", "--ip", "10.7.0.0"], &["10.7.0.0", "no device"]),
    (&["--network", "there", "--ip", "10.7.0.255"], &["10.7.0.255", "no device"]),
    (&["--network", "there", "--ip", "10.7.0.1"], &["10.7.0.1", "gateway"]),
    (&["--network", "there", "--ip", "10.7.0.3"], &["10.7.0.3", "router"]),
    (&["--network", "there", "--ip", "10.7.0.9"], &["10.7.0.9", "in use by container"]),
    (&["--network", "there", "--ip6", "fd00:8::7"], &["fd00:8::7", "not in fd00:7::/64"]),
    (&["--network", "four", "--ip6", "fd00:8::7"], &["fd00:8::7", "version 6"]),
    (&["--network", "there", "--ip", "nobody"], &["--ip", "nobody"]),
    (&["--network", "there", "--mac-address", "01:00:00:00:00:01"], &["01:00:00:00:00:01"]),
    (&["--network", "there", "--network-alias", "a b"], &["a b"]),
];

#[test]
fn what_cannot_be_is_refused_by_its_name_and_leaves_nothing() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = crate::fixture::with_networked_box();
    let there = [
        "network",
        "create",
        "--subnet=10.7.0.0/24",
        "--subnet=fd00:7::/64",
        "--aux-address=router=10.7.0.3",
        "--interface-name=br-there",
        "there",
    ];
    drop(dhow.run(&there).ok());
    drop(dhow.run(&["network", "create", "four"]).ok());
    let web = ["create", "-q", "--name=web", "--network=there", "--ip=10.7.0.9", "box", "true"];
    drop(dhow.run(&web).ok());
    drop(dhow.run(&["create", "-q", "--name=bare", "--network=none", "box", "true"]).ok());
    let before = everything(&dhow);

    for (words, expected) in CREATE {
        refused(&dhow, &[&["network", "create"], words].concat(), expected);
    }
    for (words, expected) in OTHERS {
        refused(&dhow, words, expected);
    }
    for (words, expected) in CONNECTIONS {
        refused(&dhow, &[&["create", "-q"], words, &["box", "true"]].concat(), expected);
    }

    assert_eq!(everything(&dhow), before);
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn what_the_kernel_has_not_is_named_and_nothing_is_left() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = crate::fixture::with_networked_box();
    let host = dhow.host();
    drop(host.output(&["ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1"]));
    let probe = ["link", "add", "link", "up0", "name", "probe0", "type", "ipvlan"];
    if host.command("ip").args(probe).output().is_ok_and(|made| made.status.success()) {
        return need::skip("a kernel without ipvlan");
    }
    let create =
        ["network", "create", "--driver=ipvlan", "-o", "parent=up0", "--subnet=10.7.0.0/24"];
    drop(dhow.run(&[&create[..], &["there"]].concat()).ok());
    let before = everything(&dhow);

    refused(
        &dhow,
        &["run", "--rm", "--network=there", "box", "true"],
        &["this kernel has no ipvlan"],
    );
    refused(&dhow, &["run", "-d", "--network=there", "-p", "80:80", "box", "true"], &["ipvlan"]);

    drop(dhow.run(&["rm", "-a"]).ok());
    assert_eq!(everything(&dhow), before);
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    drop(dhow.run(&["network", "rm", "there"]).ok());
}

fn refused(dhow: &Dhow, line: &[&str], expected: &[&str]) {
    let outcome = dhow.run(line);
    let said = &outcome.stderr;
    assert_ne!(outcome.code, 0, "{line:?}");
    assert!(said.starts_with("error: ") && !said.contains("panicked"), "{line:?}: {said}");
    for word in expected {
        assert!(said.contains(word), "{line:?}: {word:?} is not in {said}");
    }
}

/// All that a refused command could have added to.
fn everything(dhow: &Dhow) -> String {
    let networks = dhow.run(&["network", "ls", "--no-trunc"]).ok().stdout;
    let containers = dhow.run(&["ps", "-a", "--no-trunc", "-q"]).ok().stdout;
    format!("{networks}{containers}{}", dhow.host().output(&["ip", "-brief", "link"]))
}
