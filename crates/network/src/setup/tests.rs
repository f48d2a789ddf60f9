//! Containers that talk: namespaces of the tests' own, on a host that is one too.

use super::*;
use crate::{InterfaceAddress, Mac, Range, Subnet};
use dhow_testkit::need;
use rustix::thread::ThreadNameSpaceType;
use std::{
    fs::File,
    net::{TcpListener, TcpStream},
    os::fd::AsFd,
    process::Command,
    time::Duration,
};

/// What a thread of its own does in a namespace of its own, from which others can be made.
fn on_host_of_its_own(work: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let done = scope.spawn(|| {
            dhow_sys::namespace::leave(ThreadNameSpaceType::NETWORK).unwrap();
            dhow_sys::loopback::bring_up().unwrap();
            work();
        });
        done.join().unwrap();
    });
}

fn new_namespace() -> File {
    std::thread::scope(|scope| {
        let made = scope.spawn(|| {
            dhow_sys::namespace::leave(ThreadNameSpaceType::NETWORK).unwrap();
            dhow_sys::loopback::bring_up().unwrap();
            File::open("/proc/thread-self/ns/net").unwrap()
        });
        made.join().unwrap()
    })
}

fn network(name: &str, device: &str, subnets: &[&str]) -> Network {
    let range = |text: &&str| {
        let subnet: Subnet = text.parse().unwrap();
        Range { subnet, gateway: subnet.nth(1), leased: None }
    };
    Network {
        id: "ab".repeat(32),
        name: name.to_owned(),
        device: device.to_owned(),
        subnets: subnets.iter().map(range).collect(),
        ..Network::default()
    }
}

fn attachment(network: &Network, interface: &str, place: u128) -> Attachment {
    let own = |range: &Range| InterfaceAddress {
        address: range.subnet.nth(place).unwrap(),
        prefix: range.subnet.prefix(),
    };
    let last = u8::try_from(place).unwrap();
    Attachment {
        addresses: network.subnets.iter().map(own).collect(),
        network: network.clone(),
        interface: interface.to_owned(),
        host_interface: format!("dv-{}-{place}", network.device),
        mac: Mac::from_random([2, 0x42, 10, 0, 0, last]),
    }
}

fn plan(attachments: Vec<Attachment>) -> Plan {
    Plan { owner: "c1".to_owned(), attachments, ..Plan::default() }
}

/// Sends a word over TCP from one namespace to an address in another.
fn word_passes(from: &File, to: &File, address: IpAddr) {
    let listener = within(to.as_fd(), || Ok(TcpListener::bind((address, 7777)).unwrap()));
    let listener = listener.unwrap();
    let place = (address, 7777).into();
    let wait = Duration::from_secs(10);
    let sent = within(from.as_fd(), || Ok(TcpStream::connect_timeout(&place, wait).unwrap()));

    let (taken, peer) = listener.accept().unwrap();

    assert_eq!(peer, sent.unwrap().local_addr().unwrap());
    drop(taken);
}

fn said(namespace: &File, words: &[&str]) -> String {
    within(namespace.as_fd(), || Ok(Command::new("ip").args(words).output().unwrap()))
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap()
}

#[test]
fn containers_of_a_network_reach_each_other_and_the_host() {
    if !need::root() || need::tool("ip").is_none() {
        return need::skip("root and ip");
    }
    on_host_of_its_own(|| {
        let front = network("front", "dh-front", &["10.89.1.0/24", "fd00:89:1::/64"]);
        let (one, two) = (new_namespace(), new_namespace());
        setup(&plan(vec![attachment(&front, "eth0", 2)]), one.as_fd()).unwrap();
        setup(&plan(vec![attachment(&front, "eth0", 3)]), two.as_fd()).unwrap();

        for range in &front.subnets {
            word_passes(&one, &two, range.subnet.nth(3).unwrap());
            let host = File::open("/proc/thread-self/ns/net").unwrap();
            word_passes(&one, &host, range.gateway.unwrap());
            word_passes(&host, &one, range.subnet.nth(2).unwrap());
        }
        let routes = said(&one, &["route", "show", "default"]);
        assert_eq!(routes.trim(), "default via 10.89.1.1 dev eth0");
        let six = std::fs::read_to_string("/proc/sys/net/ipv6/conf/dh-front/accept_ra");
        assert_eq!(six.unwrap().trim(), "0");
    });
}

#[test]
fn more_networks_come_and_go_while_a_container_runs() {
    if !need::root() || need::tool("ip").is_none() {
        return need::skip("root and ip");
    }
    on_host_of_its_own(|| {
        let front = network("front", "dh-front", &["10.89.1.0/24"]);
        let back = network("back", "dh-back", &["10.89.2.0/24"]);
        let (one, two) = (new_namespace(), new_namespace());
        let both = vec![attachment(&front, "eth0", 2), attachment(&back, "eth1", 2)];
        setup(&plan(both.clone()), one.as_fd()).unwrap();
        setup(&plan(vec![attachment(&front, "eth0", 3)]), two.as_fd()).unwrap();
        let routes = said(&one, &["route", "show", "default"]);
        assert!(routes.contains("via 10.89.2.1 dev eth1 metric 101"), "{routes}");

        let further = attachment(&back, "eth1", 3);
        connect(&further, 1, two.as_fd()).unwrap();
        word_passes(&one, &two, "10.89.2.3".parse().unwrap());
        let again = connect(&further, 1, two.as_fd());
        assert_eq!(again.unwrap_err().kind(), Kind::Conflict);
        word_passes(&one, &two, "10.89.2.3".parse().unwrap());
        disconnect(&further, two.as_fd()).unwrap();
        disconnect(&further, two.as_fd()).unwrap();

        assert!(!said(&two, &["link"]).contains("eth1"));
        remove_device(&back).unwrap();
        remove_device(&back).unwrap();
        assert!(link::find(&open().unwrap(), "dh-back").unwrap().is_none());
    });
}

#[test]
fn a_network_limits_bandwidth_both_ways_and_sets_parameters() {
    if !need::root() || need::tool("tc").is_none() {
        return need::skip("root and tc");
    }
    on_host_of_its_own(|| {
        let mut slow = network("slow", "dh-slow", &["10.89.1.0/24"]);
        (slow.ingress_bits, slow.egress_bits) = (Some(8_000_000), Some(4_000_000));
        slow.sysctls.insert("net.ipv4.conf.eth0.rp_filter".to_owned(), "2".to_owned());
        let one = new_namespace();
        setup(&plan(vec![attachment(&slow, "eth0", 2)]), one.as_fd()).unwrap();

        let queue = |device: &str| {
            let output = Command::new("tc").args(["qdisc", "show", "dev", device]).output();
            String::from_utf8_lossy(&output.unwrap().stdout).into_owned()
        };
        let outside = queue("dv-dh-slow-2");
        let inside = within(one.as_fd(), || Ok(queue("eth0"))).unwrap();
        let file = "/proc/sys/net/ipv4/conf/eth0/rp_filter";
        let filter = within(one.as_fd(), || Ok(std::fs::read_to_string(file).unwrap()));

        assert!(outside.contains("tbf") && outside.contains("rate 8Mbit"), "{outside}");
        assert!(inside.contains("tbf") && inside.contains("rate 4Mbit"), "{inside}");
        assert_eq!(filter.unwrap().trim(), "2");
    });
}

#[test]
fn a_device_that_is_no_bridge_is_left_alone() {
    if !need::root() {
        return need::skip("root");
    }
    on_host_of_its_own(|| {
        let bad = network("bad", "lo", &["10.89.1.0/24"]);
        let namespace = new_namespace();

        let error = setup(&plan(vec![attachment(&bad, "eth0", 2)]), namespace.as_fd());

        let error = error.unwrap_err();
        assert_eq!(error.kind(), Kind::Conflict, "{}", error.one_line());
        remove_device(&bad).unwrap();
    });
}

/// Two containers with devices on one of the host's, which hear each other.
fn stand_on_a_device(driver: Driver) {
    if !need::root() || need::tool("ip").is_none() {
        return need::skip("root and ip");
    }
    on_host_of_its_own(|| {
        let ip = |words: &[&str]| Command::new("ip").args(words).output().unwrap().status;
        let made = ip(&["link", "add", "up0", "type", "veth", "peer", "name", "up1"]);
        assert!(made.success() && ip(&["link", "set", "up0", "up"]).success());
        assert!(ip(&["link", "set", "up1", "up"]).success());
        let kind = driver.word();
        if !ip(&["link", "add", "probe", "link", "up1", "type", kind]).success() {
            return need::skip(&format!("{kind} in the kernel"));
        }
        assert!(ip(&["link", "delete", "probe"]).success());
        let mut street = network("street", "up0", &["10.89.3.0/24"]);
        street.driver = driver;
        let (one, two) = (new_namespace(), new_namespace());
        setup(&plan(vec![attachment(&street, "eth0", 2)]), one.as_fd()).unwrap();
        setup(&plan(vec![attachment(&street, "eth0", 3)]), two.as_fd()).unwrap();

        word_passes(&one, &two, "10.89.3.3".parse().unwrap());
        // The numbers of cables are counted without it.
        let back = network("back", "dh-back", &["10.89.4.0/24"]);
        let (three, four) = (new_namespace(), new_namespace());
        let both = vec![attachment(&street, "eth0", 4), attachment(&back, "eth1", 4)];
        setup(&plan(both), three.as_fd()).unwrap();
        setup(&plan(vec![attachment(&back, "eth0", 5)]), four.as_fd()).unwrap();
        word_passes(&three, &four, "10.89.4.5".parse().unwrap());

        street.device = "up7".to_owned();
        let error = setup(&plan(vec![attachment(&street, "eth0", 4)]), new_namespace().as_fd());
        assert_eq!(error.unwrap_err().kind(), Kind::NotFound);
    });
}

#[test]
fn a_macvlan_stands_on_a_device_of_the_host_s() {
    stand_on_a_device(Driver::Macvlan);
}

#[test]
fn an_ipvlan_stands_on_a_device_of_the_host_s() {
    stand_on_a_device(Driver::Ipvlan);
}

#[test]
fn one_bridge_keeps_its_vlans_apart() {
    if !need::root() || need::tool("ip").is_none() {
        return need::skip("root and ip");
    }
    on_host_of_its_own(|| {
        let ip = |words: &[&str]| Command::new("ip").args(words).output().unwrap().status;
        let probe = ["link", "add", "probe", "type", "bridge", "vlan_filtering", "1"];
        if !ip(&probe).success() {
            return need::skip("VLANs of bridges in the kernel");
        }
        let with =
            |vlan| Network { vlan: Some(vlan), ..network("rack", "dh-rack", &["10.89.4.0/24"]) };
        let (one, two, other) = (new_namespace(), new_namespace(), new_namespace());
        setup(&plan(vec![attachment(&with(7), "eth0", 2)]), one.as_fd()).unwrap();
        setup(&plan(vec![attachment(&with(7), "eth0", 3)]), two.as_fd()).unwrap();
        setup(&plan(vec![attachment(&with(8), "eth0", 4)]), other.as_fd()).unwrap();

        word_passes(&one, &two, "10.89.4.3".parse().unwrap());
        let place: std::net::SocketAddr = "10.89.4.3:7777".parse().unwrap();
        let listener = within(two.as_fd(), || Ok(TcpListener::bind(place).unwrap()));
        let wait = Duration::from_millis(500);
        let tried = within(other.as_fd(), || Ok(TcpStream::connect_timeout(&place, wait)));

        assert!(tried.unwrap().is_err());
        drop(listener);
    });
}
