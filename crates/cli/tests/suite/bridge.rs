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
    drop(dhow.run(&["network", "prune", "-f"]).ok());
    assert_eq!(dhow.host().output(&["nft", "list", "ruleset"]), before);
    assert!(!dhow.host().output(&["ip", "-brief", "link"]).contains("dhow0"));
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

#[test]
fn rules_that_are_flushed_come_back_and_a_port_in_use_is_told_with_its_container() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = networked();
    let serve = ["run", "-d", "--name", "web", "-p", "8080:80", "box", "httpd", "-f", "-h", "/etc"];
    drop(dhow.run(&serve).ok());
    let fetch = ["busybox", "wget", "-q", "-O-", "http://127.0.0.1:8080/passwd"];
    let before = said(&dhow, &fetch);

    drop(dhow.host().output(&["nft", "flush", "ruleset"]));

    assert_eq!(said(&dhow, &fetch), before);
    let second = dhow.run(&["run", "--rm", "-p", "8080:81", "box", "true"]);
    assert_eq!(second.code, 125);
    assert!(
        second.stderr.contains("publish port 8080/tcp: container web has it"),
        "{}",
        second.stderr
    );
    drop(dhow.run(&["restart", "-t", "0", "web"]).ok());
    assert_eq!(said(&dhow, &fetch), before);
}

#[test]
fn a_pod_has_one_address_and_its_ports_lead_to_its_containers() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = networked();
    drop(dhow.run(&["network", "create", "front"]).ok());
    drop(dhow.run(&["pod", "create", "--network", "front", "-p", "8081:80", "shop"]).ok());
    let address =
        ["run", "--rm", "--pod", "shop", "box", "ip", "-4", "-o", "address", "show", "eth0"];
    drop(dhow.run(&["run", "-d", "--pod", "shop", "box", "httpd", "-f", "-h", "/etc"]).ok());

    let one = dhow.run(&address).ok().stdout;
    let other = dhow.run(&address).ok().stdout;
    let fetched = said(&dhow, &["busybox", "wget", "-q", "-O-", "http://127.0.0.1:8081/passwd"]);
    let by_name =
        ["run", "--rm", "--network", "front", "box", "wget", "-q", "-O-", "http://shop/passwd"];

    assert!(one.contains("10.89."), "{one}");
    assert_eq!(one, other);
    assert_eq!(dhow.run(&by_name).ok().stdout, fetched);
    drop(dhow.run(&["pod", "rm", "-f", "shop"]).ok());
    drop(dhow.run(&["network", "rm", "front"]).ok());
    let links = dhow.host().output(&["ip", "-brief", "link"]);
    assert!(!links.contains("dh-"), "{links}");
    drop(dhow.run(&["doctor"]).ok());
}

#[test]
fn many_start_at_once_on_one_network_and_no_address_is_given_twice() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = networked();
    drop(dhow.run(&["network", "create", "crowd"]).ok());
    let commands = (0..40).map(|number| {
        let name = format!("c{number}");
        let words =
            ["run", "-d", "-q", "--name", &name, "--network", "crowd", "box", "sleep", "999"];
        dhow.command(&words)
    });
    let mut commands: Vec<_> = commands.collect();

    std::thread::scope(|scope| {
        let run = |mine: &mut [std::process::Command]| {
            mine.iter_mut().map(|command| command.output().unwrap()).collect::<Vec<_>>()
        };
        let starters: Vec<_> =
            commands.chunks_mut(5).map(|mine| scope.spawn(move || run(mine))).collect();
        for output in starters.into_iter().flat_map(|starter| starter.join().unwrap()) {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{said}");
        }
    });

    let template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let mut words = vec!["inspect".to_owned(), "--format".to_owned(), template.to_owned()];
    words.extend((0..40).map(|number| format!("c{number}")));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let addresses = dhow.run(&words).ok().stdout;
    let different: std::collections::BTreeSet<_> = addresses.lines().collect();
    assert_eq!(different.len(), 40, "{addresses}");
    drop(dhow.run(&["exec", "c7", "ping", "-c", "1", "-W", "5", "c33"]).ok());
    drop(dhow.run(&["rm", "-fa", "-t", "0"]).ok());
    drop(dhow.run(&["network", "rm", "crowd"]).ok());
    drop(dhow.run(&["doctor"]).ok());
}
