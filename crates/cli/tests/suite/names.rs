//! Containers find each other, themselves and the world by name. The host is a network namespace of
//! each test's own.

use crate::fixture::with_networked_box as networked;
use dhow_testkit::{Dhow, HostNetwork, need};
use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

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

/// Asks for a name so many times a second for some seconds, and prints how many questions there were, how
/// many had no answer in the end, and how many had another one than the address.
const ASKS: &str = r#"
import select, socket, struct, sys, time
name, address, rate, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asker.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
asker.connect(("127.0.0.11", 53))
asker.setblocking(False)
tail = bytes([len(name)]) + name.encode() + b"\0\0\1\0\1"
wanted = socket.inet_aton(address)
open_ones, sent, wrong = set(), 0, 0
begin = time.monotonic()
def take():
    global wrong
    while True:
        try:
            answer = asker.recv(512)
        except BlockingIOError:
            return
        open_ones.discard(struct.unpack("!H", answer[:2])[0])
        wrong += not answer.endswith(wanted)
while sent < rate * seconds:
    due = min((time.monotonic() - begin) * rate, rate * seconds)
    while sent < due:
        number = sent % 65536
        asker.send(struct.pack("!6H", number, 256, 1, 0, 0, 0) + tail)
        open_ones.add(number)
        sent += 1
    take()
    select.select([asker], [], [], 0.0002)
end = time.monotonic() + 5
while open_ones and time.monotonic() < end:
    select.select([asker], [], [], 0.1)
    take()
print(sent, len(open_ones), wrong)
"#;

#[test]
fn five_thousand_questions_a_second_are_answered_while_containers_come_and_go() {
    if !HostNetwork::is_possible() {
        return;
    }
    if need::tool("python3").is_none() {
        return need::skip("python3");
    }
    let dhow = networked();
    drop(dhow.run(&["network", "create", "front"]).ok());
    let address = sleeper(&dhow, "stays", &["--network", "front"]);
    sleeper(&dhow, "asks", &["--network", "front"]);
    let pid = dhow.run(&["inspect", "--format", "{{.State.Pid}}", "asks"]).ok().line().to_owned();
    let asker = Command::new("nsenter")
        .args(["-t", &pid, "-n", "--", "python3", "-c", ASKS, "stays", &address, "5000", "10"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();

    let begin = Instant::now();
    let mut lives = 0;
    while begin.elapsed() < Duration::from_secs(10) {
        drop(dhow.run(&["run", "--rm", "--network", "front", "box", "true"]).ok());
        lives += 1;
    }
    let output = asker.wait_with_output().unwrap();

    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers: Vec<u64> = said.split_whitespace().map(|word| word.parse().unwrap()).collect();
    let [sent, lost, wrong] = numbers[..] else { panic!("it says {said:?}") };
    let memory = memory_of_monitor(&pid);
    eprintln!(
        "{sent} questions while {lives} containers came and went; the monitor has {memory} KiB"
    );
    assert_eq!(sent, 50_000, "{said}");
    assert_eq!((lost, wrong), (0, 0), "of {sent} questions");
    assert!(lives >= 5, "{lives}");
    assert!(memory <= 3 << 10, "the monitor and its resolver have {memory} KiB");
}

/// What the process that keeps a container, and answers for it, has for itself alone, in KiB.
fn memory_of_monitor(pid: &str) -> u64 {
    let number = |path: String, key: &str| {
        let text = std::fs::read_to_string(path).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap().to_owned();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    };
    let monitor = number(format!("/proc/{pid}/status"), "PPid:");
    number(format!("/proc/{monitor}/status"), "RssAnon:")
}

#[test]
fn a_container_without_a_resolver_gets_one_with_its_first_network_that_has_names() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = networked();
    drop(dhow.run(&["network", "create", "--disable-dns", "mute"]).ok());
    drop(dhow.run(&["network", "create", "front"]).ok());
    sleeper(&dhow, "db", &["--network", "front"]);
    sleeper(&dhow, "asks", &["--network", "mute"]);
    let servers = || dhow.run(&["exec", "asks", "cat", "/etc/resolv.conf"]).ok().stdout;
    assert!(!servers().contains("127.0.0.11"));

    drop(dhow.run(&["network", "connect", "front", "asks"]).ok());

    assert!(servers().contains("nameserver 127.0.0.11"), "{}", servers());
    assert!(found(&dhow, "asks", "db").is_some());
}
