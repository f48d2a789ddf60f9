//! Containers find each other, themselves and the world by name. The host is a network namespace of
//! each test's own.

use crate::fixture::with_networked_box as networked;
use dhow_testkit::{Dhow, HostNetwork, need};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

/// Starts a container that does nothing on a network, and returns its address.
fn sleeper(dhow: &Dhow, name: &str, arguments: &[&str]) -> String {
    let command = [&["run", "-d", "--name", name], arguments, &["box", "sleep", "600"]].concat();
    drop(dhow.run(&command).ok());
    dhow.run(&["exec", name, "hostname", "-i"]).ok().line().trim().to_owned()
}

/// What a container finds under a name: `None` where there is none.
fn found(dhow: &Dhow, container: &str, name: &str) -> Option<String> {
    let outcome = dhow.run(&["exec", container, "nslookup", name]);
    // The first addresses are the resolver's own.
    let answer = outcome.stdout.split_once("Name:").map(|(_, answer)| answer.to_owned());
    answer.filter(|_| outcome.code == 0)
}

#[test]
fn neighbours_are_found_by_name_alias_and_id_while_they_are_there() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = networked();
    drop(dhow.run(&["network", "create", "back"]).ok());
    drop(dhow.run(&["network", "create", "aside"]).ok());
    sleeper(&dhow, "asks", &["--network", "back"]);
    let db = ["--network", "back", "--network-alias", "database", "--hostname", "deebee"];
    let address = sleeper(&dhow, "db", &db);
    sleeper(&dhow, "hidden", &["--network", "aside"]);
    let id = dhow.run(&["inspect", "--format", "{{.Id}}", "db"]).ok().line().to_owned();

    for name in ["db", "DB", "database", "deebee", "db.back", "db.dns.podman", &id[..12]] {
        let answer = found(&dhow, "asks", name).unwrap_or_else(|| panic!("{name} is not found"));
        assert!(answer.contains(&address), "{name}: {answer}");
    }
    drop(dhow.run(&["exec", "asks", "ping", "-c", "1", "-W", "5", "database"]).ok());
    let reverse = dhow.run(&["exec", "asks", "nslookup", &address]).ok().stdout;
    assert!(reverse.contains("db.back"), "{reverse}");
    assert_eq!(found(&dhow, "asks", "hidden.dns.podman"), None, "it is on another network");
    drop(dhow.run(&["rm", "-f", "-t", "0", "db"]).ok());

    assert_eq!(found(&dhow, "asks", "db.dns.podman"), None, "it is gone");
}

#[test]
fn a_container_that_runs_is_connected_and_disconnected() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = networked();
    for network in ["one", "two"] {
        drop(dhow.run(&["network", "create", network]).ok());
    }
    sleeper(&dhow, "asks", &["--network", "one"]);
    sleeper(&dhow, "db", &["--network", "two"]);
    assert_eq!(found(&dhow, "asks", "db.dns.podman"), None);

    drop(dhow.run(&["network", "connect", "--alias", "asker", "two", "asks"]).ok());
    assert!(found(&dhow, "asks", "db").is_some());
    assert!(found(&dhow, "db", "asker").is_some());
    drop(dhow.run(&["exec", "asks", "ping", "-c", "1", "-W", "5", "db"]).ok());
    let devices = dhow.run(&["exec", "asks", "ip", "-o", "link"]).ok().stdout;
    assert!(devices.contains("eth1"), "{devices}");
    let hosts = dhow.run(&["exec", "asks", "cat", "/etc/hosts"]).ok().stdout;
    drop(dhow.run(&["network", "disconnect", "two", "asks"]).ok());

    assert_eq!(found(&dhow, "asks", "db.dns.podman"), None);
    assert_eq!(found(&dhow, "db", "asker.dns.podman"), None);
    let devices = dhow.run(&["exec", "asks", "ip", "-o", "link"]).ok().stdout;
    assert!(!devices.contains("eth1"), "{devices}");
    let fewer = dhow.run(&["exec", "asks", "cat", "/etc/hosts"]).ok().stdout;
    assert_eq!(hosts.lines().count(), fewer.lines().count() + 1, "{hosts}{fewer}");
    drop(dhow.run(&["doctor"]).ok());
}

#[test]
fn the_files_say_who_the_container_is_and_whom_to_ask() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = networked();
    let run = [
        "run",
        "--rm",
        "--hostname",
        "me",
        "--dns",
        "127.0.0.1",
        "--dns-search",
        "a.example",
        "--add-host",
        "gate:host-gateway",
        "--add-host",
        "db:10.1.2.3",
        "box",
        "sh",
        "-c",
        "cat /etc/hosts; echo --; cat /etc/resolv.conf; echo --; cat /etc/hostname; hostname -i",
    ];

    let said = dhow.run(&run).ok().stdout;

    let [hosts, resolv, name] = said.split("--\n").collect::<Vec<_>>()[..] else {
        panic!("{said}");
    };
    let own = name.lines().nth(1).unwrap();
    assert_eq!(name.lines().next(), Some("me"));
    for line in ["127.0.0.1\tlocalhost", "10.88.0.1\tgate", "10.1.2.3\tdb", &format!("{own}\tme")] {
        assert!(hosts.lines().any(|found| found == line), "{line} is not in {hosts}");
    }
    assert!(hosts.contains("10.88.0.1\thost.containers.internal host.docker.internal"), "{hosts}");
    assert!(resolv.starts_with("search a.example\nnameserver 127.0.0.11\noptions "), "{resolv}");
    assert!(resolv.contains("ndots:0"), "{resolv}");
}

/// A server of names that knows one answer, and has it for every question.
const SERVER: &str = "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('127.0.0.1', 53))
print('ready', flush=True)
while True:
    q, a = s.recvfrom(4096)
    end = q.index(0, 12) + 5
    is_a = q[end - 4:end - 2] == b'\\0\\1'
    answer = b'\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x3c\\0\\4\\x0a\\x63\\x63\\x63' if is_a else b''
    s.sendto(q[:2] + b'\\x81\\x80\\0\\1\\0' + bytes([is_a]) + b'\\0\\0\\0\\0' + q[12:end] + answer, a)
";

#[test]
fn other_names_are_asked_for_at_the_servers_but_not_from_an_internal_network() {
    if !HostNetwork::is_possible() {
        return;
    }
    dhow_testkit::needs_tool!("python3");
    let dhow = networked();
    let mut server = dhow.host().command("python3").args(["-c", SERVER]).spawn().unwrap();
    drop(dhow.run(&["network", "create", "--internal", "inside"]).ok());
    sleeper(&dhow, "out", &["--dns", "127.0.0.1"]);
    sleeper(&dhow, "in", &["--dns", "127.0.0.1", "--network", "inside"]);

    let answer = need::eventually(SOON, || found(&dhow, "out", "world.example"));
    let inside = found(&dhow, "in", "world.example");
    server.kill().unwrap();
    server.wait().unwrap();

    assert!(answer.is_some_and(|answer| answer.contains("10.99.99.99")));
    assert_eq!(inside, None);
}
