//! What a network is told to be is so in its containers: addresses, ways, sizes, limits, parameters; and packets
//! pass both ways, by both versions. The host is a network namespace of each test's own.

use crate::fixture::{SOON, start, with_networked_box};
use dhow_testkit::{Dhow, HostNetwork, need};

fn inside(dhow: &Dhow, container: &str, script: &str) -> String {
    dhow.run(&["exec", container, "sh", "-c", script]).ok().stdout
}

fn assert_says(text: &str, all: &[&str]) {
    for said in all {
        assert!(text.contains(said), "{said} in {text}");
    }
}

#[test]
fn what_a_network_is_told_to_be_its_containers_find() {
    if !HostNetwork::is_possible() {
        return;
    }
    if need::tool("tc").is_none() {
        return need::skip("tc");
    }
    let dhow = with_networked_box();
    assert_eq!(dhow.run(&["network", "exists", "front"]).code, 1);
    let addresses = [
        "--subnet=10.5.0.0/24",
        "--gateway=10.5.0.254",
        "--ip-range=10.5.0.64/26",
        "--subnet=fd00:7::/64",
        "--route=10.9.0.0/16,10.5.0.9,7",
    ];
    let options = [
        "--opt=mtu=1400",
        "--opt=metric=50",
        "--opt=ingress=10mbit",
        "--opt=egress=20mbit",
        "--opt=sysctls=net.ipv4.conf.eth0.rp_filter=2",
        "--interface-name=front0",
    ];
    let create = [&["network", "create"], &addresses[..], &options[..], &["front"]].concat();
    drop(dhow.run(&create).ok());
    drop(dhow.run(&["network", "exists", "front"]).ok());
    drop(dhow.run(&["network", "create", "--subnet=10.6.0.0/24", "back"]).ok());

    let networks = ["--network=front", "--network=back"];
    start(&dhow, &[&["--name=web"], &networks[..], &["box", "sleep", "600"]].concat());
    let own = ["--ip=10.5.0.7", "--ip6=fd00:7::7", "--mac-address=02:00:00:00:00:07"];
    let own = [&["--name=own", "--network=front"], &own[..], &["box", "sleep", "600"]];
    start(&dhow, &own.concat());

    let first = inside(&dhow, "web", "ip address show eth0; ip route; ip -6 route");
    assert_says(
        &first,
        &[
            "mtu 1400",
            "inet 10.5.0.64/24",
            "inet6 fd00:7::",
            "default via 10.5.0.254 dev eth0  metric 50",
            "10.9.0.0/16 via 10.5.0.9 dev eth0  metric 7",
            "default via 10.6.0.1 dev eth1  metric 101",
            "default via fd00:7::1 dev eth0  metric 50",
        ],
    );
    let asked = inside(&dhow, "own", "ip address show eth0");
    assert_says(&asked, &["inet 10.5.0.7/24", "inet6 fd00:7::7/64", "02:00:00:00:00:07"]);
    let conf = "cat /proc/sys/net/ipv6/conf/eth0/accept_ra /proc/sys/net/ipv4/conf/eth0/rp_filter";
    assert_eq!(inside(&dhow, "web", conf), "0\n2\n");
    let pid = dhow.run(&["inspect", "--format", "{{.State.Pid}}", "web"]).ok().line().to_owned();
    let there = ["nsenter", "-t", &pid, "-n", "tc", "qdisc", "show", "dev", "eth0"];
    assert_says(&dhow.host().output(&there), &["tbf", "rate 20Mbit"]);
    let limited = dhow.host().output(&["tc", "qdisc", "show"]);
    assert_eq!(limited.matches("rate 10Mbit").count(), 2, "{limited}");
    let bridge = dhow.host().output(&["ip", "address", "show", "front0"]);
    assert_says(&bridge, &["mtu 1400", "10.5.0.254/24", "fd00:7::1/64"]);
}

#[test]
fn ports_are_published_in_all_forms() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = with_networked_box();
    let _peer = dhow.host().with_peer();
    let forms = [
        "-p=8000-8002:80-82",
        "-p=127.0.0.1:8443:443/tcp",
        "-p=[2001:db8::1]:53:53/udp",
        "-p=90",
        "-P",
        "--expose=91/udp",
    ];
    drop(dhow.run(&["network", "create", "--ipv6", "six"]).ok());
    let words = [&["--name=web", "--network=six"], &forms[..], &["box", "sleep", "600"]].concat();
    start(&dhow, &words);

    let told = dhow.run(&["port", "web"]).ok().stdout;

    assert_says(
        &told,
        &[
            "80/tcp -> 0.0.0.0:8000",
            "82/tcp -> [::]:8002",
            "443/tcp -> 127.0.0.1:8443",
            "53/udp -> [2001:db8::1]:53",
            "90/tcp -> 0.0.0.0:",
            "91/udp -> 0.0.0.0:",
        ],
    );
    let chosen = |port: &str| {
        let told = dhow.run(&["port", "web", port]).ok().stdout;
        told.lines().next().unwrap().rsplit(':').next().unwrap().parse::<u16>().unwrap()
    };
    assert!(chosen("90/tcp") >= 1024 && chosen("91/udp") >= 1024, "{told}");
    // The first of a range that is free.
    let next = ["--name=next", "-p=8000-8009:80", "box", "sleep", "600"];
    start(&dhow, &next);
    assert_says(&dhow.run(&["port", "next"]).ok().stdout, &["80/tcp -> 0.0.0.0:8003"]);
}

#[test]
fn echoes_come_back_by_both_versions_both_ways() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = with_networked_box();
    let peer = dhow.host().with_peer();
    for (name, subnets) in [
        ("front", ["--subnet=10.5.0.0/24", "--subnet=fd00:5::/64"]),
        ("apart", ["--subnet=10.6.0.0/24", "--subnet=fd00:6::/64"]),
    ] {
        drop(dhow.run(&[&["network", "create"], &subnets[..], &[name]].concat()).ok());
    }
    for (name, network, [four, six]) in [
        ("one", "front", ["10.5.0.7", "fd00:5::7"]),
        ("two", "front", ["10.5.0.8", "fd00:5::8"]),
        ("other", "apart", ["10.6.0.7", "fd00:6::7"]),
    ] {
        let [four, six] = [format!("--ip={four}"), format!("--ip6={six}")];
        start(&dhow, &["--name", name, "--network", network, &four, &six, "box", "sleep", "600"]);
    }
    let answers = |from: &str, to: &str| {
        let ping = ["exec", from, "ping", "-c", "1", "-W", "5", to];
        need::eventually(SOON, || (dhow.run(&ping).code == 0).then_some(())).is_some()
    };
    let host_hears = |place: &HostNetwork, to: &str, patience: &str| {
        let mut ping = place.command("busybox");
        ping.args(["ping", "-c", "1", "-W", patience, to]).output().unwrap().status.success()
    };

    // The neighbour, the gateway, the world behind the host.
    for to in ["10.5.0.8", "fd00:5::8", "10.5.0.1", "fd00:5::1", "192.0.2.2", "2001:db8::2"] {
        assert!(answers("one", to), "a container hears nothing from {to}");
    }
    for to in ["10.5.0.7", "fd00:5::7"] {
        assert!(host_hears(dhow.host(), to, "5"), "the host hears nothing from {to}");
    }
    // Not the other network, and nobody from outside.
    for to in ["10.6.0.7", "fd00:6::7"] {
        assert_ne!(dhow.run(&["exec", "one", "ping", "-c", "1", "-W", "1", to]).code, 0, "{to}");
    }
    peer.output(&["ip", "route", "add", "10.5.0.0/24", "via", "192.0.2.1"]);
    peer.output(&["ip", "-6", "route", "add", "fd00:5::/64", "via", "2001:db8::1"]);
    for to in ["10.5.0.7", "fd00:5::7"] {
        assert!(!host_hears(&peer, to, "1"), "a stranger hears from {to}");
    }
}

#[test]
fn a_namespace_of_somebody_s_is_joined_by_its_path() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = with_networked_box();
    let other = HostNetwork::new();
    other.output(&["ip", "link", "add", "theirs0", "type", "veth"]);
    let network = format!("ns:{}", other.path().display());

    let seen = dhow.run(&["run", "--rm", "--network", &network, "box", "ip", "link"]).ok().stdout;

    assert!(seen.contains("theirs0"), "{seen}");
    other.output(&["ip", "link", "show", "theirs0"]);
}
