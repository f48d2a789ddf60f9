//! Containers on bridges: they talk, are reached, and leave nothing on the host. The host is a network
//! namespace of each test's own.

use crate::fixture::with_networked_box as networked;
use dhow_testkit::{Dhow, HostNetwork, need};
use std::time::Duration;

/// What a service in a container says, as soon as it answers.
fn said(dhow: &Dhow, words: &[&str]) -> String {
    let wait = Duration::from_secs(20);
    let answer = need::eventually(wait, || {
        let output = dhow.host().command(words[0]).args(&words[1..]).output().unwrap();
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    });
    answer.unwrap_or_else(|| panic!("{words:?} got no answer"))
}

#[test]
fn a_container_gets_an_address_and_a_way_out_and_the_host_nothing_to_keep() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = networked();
    let before = dhow.host().output(&["nft", "list", "ruleset"]);

    let addresses = dhow.run(&["run", "--rm", "box", "ip", "-4", "address"]).ok().stdout;
    let routes = dhow.run(&["run", "--rm", "box", "ip", "route"]).ok().stdout;
    let ping = dhow.run(&["run", "--rm", "box", "ping", "-c", "1", "-W", "5", "10.88.0.1"]);

    assert!(addresses.contains("inet 10.88.0."), "{addresses}");
    assert!(routes.contains("default via 10.88.0.1 dev eth0"), "{routes}");
    drop(ping.ok());
    let gone = need::eventually(Duration::from_secs(10), || {
        let links = dhow.host().output(&["ip", "-brief", "link"]);
        (!links.contains("dv-")).then_some(())
    });
    assert!(gone.is_some(), "a cable is left: {}", dhow.host().output(&["ip", "link"]));
    assert_eq!(before, "");
    drop(dhow.run(&["doctor"]).ok());
}

#[test]
fn a_published_port_leads_to_the_container_while_it_lives() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = networked();
    let serve = ["run", "-d", "--name", "web", "-p", "8080:80", "box", "httpd", "-f", "-h", "/etc"];
    drop(dhow.run(&serve).ok());

    let by_loopback =
        said(&dhow, &["busybox", "wget", "-q", "-O-", "http://127.0.0.1:8080/passwd"]);
    let by_bridge = said(&dhow, &["busybox", "wget", "-q", "-O-", "http://10.88.0.1:8080/passwd"]);
    let inside = ["run", "--rm", "box", "wget", "-q", "-O-", "http://10.88.0.1:8080/passwd"];
    let by_neighbour = dhow.run(&inside).ok().stdout;

    assert!(by_loopback.contains("root:"), "{by_loopback}");
    assert_eq!(by_bridge, by_loopback);
    assert_eq!(by_neighbour, by_loopback);
    drop(dhow.run(&["rm", "-f", "-t", "0", "web"]).ok());
    let rules = dhow.host().output(&["nft", "list", "ruleset"]);
    assert!(!rules.contains("8080"), "{rules}");
    drop(dhow.run(&["doctor"]).ok());
}
