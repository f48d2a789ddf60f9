//! An ordinary user's containers talk and are reached: by pasta, and over networks in a namespace of the
//! user's. The machine is a network namespace of each test's own, with a peer behind a cable.

use crate::{
    fixture::SOON,
    rootless::having_box,
    torment::{Operation, torment, words},
};
use dhow_testkit::{HostNetwork, OrdinaryUser, need};
use std::{
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

const HOST: &str = "192.0.2.2";
const PEER: &str = "192.0.2.1";
const HOST6: &str = "2001:db8::2";
const PEER6: &str = "2001:db8::1";
/// Where the peer's server is.
const PORT: u16 = 7000;
const WAIT: Duration = Duration::from_secs(20);

/// A machine, another one that is its way out, and a user on the first.
struct Street {
    user: OrdinaryUser,
    peer: HostNetwork,
}

impl Street {
    /// A server writes of who has asked after it has answered.
    fn has_logged(&self, server: &str, client: &str) {
        let logged = || {
            let log = self.user.run(&["logs", server]).ok();
            (log.stderr.contains(client) || log.stdout.contains(client)).then_some(())
        };
        assert!(need::eventually(SOON, logged).is_some(), "{server} does not tell of {client}");
    }

    fn new() -> Option<Self> {
        if !HostNetwork::is_possible() || !OrdinaryUser::is_possible() {
            return None;
        }
        for tool in ["pasta", "busybox", "python3"] {
            if need::tool(tool).is_none() {
                need::skip(tool);
                return None;
            }
        }
        let (host, peer) = (HostNetwork::new(), HostNetwork::new());
        let path = peer.path();
        let pid = path.iter().nth(2).unwrap().to_str().unwrap();
        for line in [
            &format!("ip link add up0 type veth peer name up1 netns {pid}"),
            &format!("ip address add {HOST}/24 dev up0"),
            &format!("ip address add {HOST6}/64 dev up0 nodad"),
            "ip link set up0 up",
            &format!("ip route add default via {PEER}"),
        ] {
            drop(host.output(&line.split(' ').collect::<Vec<_>>()));
        }
        for line in [
            &format!("ip address add {PEER}/24 dev up1"),
            &format!("ip address add {PEER6}/64 dev up1 nodad"),
            "ip link set up1 up",
        ] {
            drop(peer.output(&line.split(' ').collect::<Vec<_>>()));
        }
        // A device without anybody at its other end has no way to a gateway of IPv6.
        let way = format!("ip -6 route add default via {PEER6}");
        let words: Vec<&str> = way.split(' ').collect();
        let led =
            || host.command(words[0]).args(&words[1..]).status().ok()?.success().then_some(());
        need::eventually(WAIT, led).expect("the peer is the way out");
        Some(Self { user: having_box(OrdinaryUser::networked(host)), peer })
    }

    /// What a page says to the peer, as soon as there is an answer.
    fn fetched_by_peer(&self, port: u16) -> String {
        self.fetched_by_peer_at(&format!("{HOST}:{port}"))
    }

    fn fetched_by_peer_at(&self, place: &str) -> String {
        let address = format!("http://{place}/os-release");
        answer(|| self.peer.command("busybox").args(["wget", "-q", "-O-", &address]).output().ok())
    }

    /// The same to the user themselves, by the loopback.
    fn fetched_by_user(&self, port: u16) -> String {
        self.fetched_by_user_at(&format!("127.0.0.1:{port}"))
    }

    fn fetched_by_user_at(&self, place: &str) -> String {
        let address = format!("http://{place}/os-release");
        let words = ["busybox", "wget", "-q", "-O-", &address];
        answer(|| self.user.command(Path::new("/usr/bin/env"), &words).output().ok())
    }

    /// A server of the peer's.
    fn server(&self) -> Server {
        let mut command = self.peer.command("python3");
        command.args(["-m", "http.server", "-d", "/etc", &PORT.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Server(command.spawn().expect("python3 starts"))
    }

    /// Programs that pass on for the user.
    fn pastas(&self) -> usize {
        let is_pasta = |pid: &i32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.starts_with(b"pasta\0")
        };
        self.user.processes().iter().filter(|pid| is_pasta(pid)).count()
    }

    fn has_no_pasta(&self) -> bool {
        need::eventually(WAIT, || (self.pastas() == 0).then_some(())).is_some()
    }

    fn shell(&self, flags: &[&str], script: &str) -> String {
        let words = [&["run", "--rm"], flags, &["box", "sh", "-c", script]].concat();
        self.user.run(&words).ok().stdout
    }
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _killed = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn answer(ask: impl Fn() -> Option<std::process::Output>) -> String {
    let said = need::eventually(WAIT, || {
        let output = ask()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    });
    said.expect("there is an answer")
}

/// A script that fetches a page of the peer's as soon as there is one, and says so.
fn reach() -> String {
    format!(
        "until wget -q -O /dev/null http://{PEER}:{PORT}/passwd; do sleep 0.1; done; echo there"
    )
}

#[test]
fn a_container_has_the_host_s_way_out_and_leaves_no_process() {
    let Some(street) = Street::new() else { return };
    let _server = street.server();

    let said = street.shell(&[], &format!("ip -4 address; {}", reach()));
    let other = street.shell(&["--network=pasta:--ipv4-only,-I,tap7"], "ip link; ip -4 address");

    assert!(said.contains(&format!("inet {HOST}/24")), "{said}");
    assert!(said.ends_with("there\n"), "{said}");
    assert!(other.contains("tap7"), "{other}");
    let kept = street.shell(&["--userns=keep-id"], &format!("id -u; {}", reach()));
    assert_eq!(kept, format!("{}\nthere\n", street.user.uid()));
    assert!(street.has_no_pasta());
    assert_eq!(street.user.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn a_published_port_keeps_the_client_s_address_and_is_free_afterwards() {
    let Some(street) = Street::new() else { return };
    let serve = ["box", "httpd", "-f", "-v", "-h", "/etc"];
    let run = [&["run", "-d", "--name=web", "-p", "8080:80"], &serve[..]].concat();
    drop(street.user.run(&run).ok());

    let by_peer = street.fetched_by_peer(8080);
    let by_user = street.fetched_by_user(8080);
    let taken = street.user.run(&["run", "--rm", "-p", "8080:80", "box", "true"]).exits(125);
    street.has_logged("web", PEER);
    let port = street.user.run(&["port", "web"]).ok();

    assert!(by_peer.contains("busybox") && by_user == by_peer, "{by_peer}{by_user}");
    assert!(taken.stderr.contains("publish port 8080/tcp: container web has it"), "{taken}");
    assert!(port.stdout.starts_with("80/tcp -> 0.0.0.0:8080"), "{port}");
    drop(street.user.run(&["rm", "-f", "-t", "0", "web"]).ok());
    drop(street.user.run(&["run", "--rm", "-p", "8080:80", "box", "true"]).ok());
    assert!(street.has_no_pasta());
}

#[test]
fn two_containers_on_one_network_find_each_other_and_the_world() {
    let Some(street) = Street::new() else { return };
    let user = &street.user;
    let _server = street.server();
    drop(user.run(&["network", "create", "--subnet=10.5.0.0/24", "front"]).ok());
    let serve = ["box", "httpd", "-f", "-v", "-h", "/etc"];
    let run =
        [&["run", "-d", "--name=web", "--network=front", "-p", "8081:80"], &serve[..]].concat();
    drop(user.run(&run).ok());

    let by_name = "until wget -q -O- http://web/os-release; do sleep 0.1; done";
    let by_neighbour = street.shell(&["--network=front"], by_name);
    let out = street.shell(&["--network=front"], &reach());
    let by_peer = street.fetched_by_peer(8081);
    let by_user = street.fetched_by_user(8081);
    street.has_logged("web", PEER);
    let links = user.host().output(&["ip", "-brief", "link"]);

    assert!(by_neighbour.contains("busybox"), "{by_neighbour}");
    assert_eq!((out.as_str(), by_peer, by_user), ("there\n", by_neighbour.clone(), by_neighbour));
    assert!(!links.contains("dv-") && !links.contains("br-"), "{links}");
    drop(user.run(&["rm", "-f", "-t", "0", "web"]).ok());
    assert!(street.has_no_pasta());
    drop(user.run(&["network", "rm", "front"]).ok());
    assert_eq!(user.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn a_container_changes_networks_while_it_runs_and_a_pod_is_reached() {
    let Some(street) = Street::new() else { return };
    let user = &street.user;
    for name in ["front", "back"] {
        drop(user.run(&["network", "create", name]).ok());
    }
    drop(
        user.run(&["run", "-d", "--name=db", "--network=back", "box", "httpd", "-f", "-h", "/etc"])
            .ok(),
    );
    drop(user.run(&["run", "-d", "--name=c", "--network=front", "box", "sleep", "1000"]).ok());

    drop(user.run(&["network", "connect", "back", "c"]).ok());
    let fetch = "until wget -q -O- http://db/os-release; do sleep 0.1; done";
    let seen = user.run(&["exec", "c", "sh", "-c", fetch]).ok();
    drop(user.run(&["network", "disconnect", "back", "c"]).ok());
    let devices = user.run(&["exec", "c", "ls", "/sys/class/net"]);

    assert!(seen.stdout.contains("busybox"), "{seen}");
    assert!(!devices.stdout.contains("eth1"), "{devices}");
    drop(user.run(&["pod", "create", "--name=p", "-p", "8082:80"]).ok());
    drop(user.run(&["run", "-d", "--pod=p", "box", "httpd", "-f", "-h", "/etc"]).ok());
    assert_eq!(street.fetched_by_peer(8082), seen.stdout);
    drop(user.run(&["pod", "rm", "-f", "-t", "0", "p"]).ok());
    drop(user.run(&["rm", "-f", "-t", "0", "c", "db"]).ok());
    drop(user.run(&["network", "prune", "-f"]).ok());
    assert!(street.has_no_pasta());
}

#[test]
fn ports_on_a_network_are_reached_by_both_versions() {
    let Some(street) = Street::new() else { return };
    let user = &street.user;
    drop(user.run(&["network", "create", "four"]).ok());
    drop(user.run(&["network", "create", "--ipv6", "both"]).ok());
    let serve = ["box", "httpd", "-f", "-v", "-h", "/etc"];
    let containers = [("a", "four", "8087"), ("b", "both", "8088"), ("c", "pasta", "8089")];
    for (name, network, port) in containers {
        let flags =
            ["run", "-d", "--name", name, "--network", network, "-p", &format!("{port}:80")];
        drop(user.run(&[&flags[..], &serve].concat()).ok());
    }

    let page = street.fetched_by_peer(8087);
    for (name, _, port) in containers {
        assert_eq!(street.fetched_by_peer_at(&format!("[{HOST6}]:{port}")), page, "{port}");
        for host in ["[::1]", "127.0.0.1"] {
            assert_eq!(street.fetched_by_user_at(&format!("{host}:{port}")), page, "{host} {port}");
        }
        street.has_logged(name, PEER6);
    }
    // Who wants IPv4 alone says so, and nobody takes connections of the other.
    let flags = ["run", "-d", "--name=d", "--network=four", "-p", "0.0.0.0:8090:80"];
    drop(user.run(&[&flags[..], &serve].concat()).ok());
    assert_eq!(street.fetched_by_user(8090), page);
    let other = ["busybox", "wget", "-q", "-O-", "http://[::1]:8090/os-release"];
    let refused = user.command(Path::new("/usr/bin/env"), &other).output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("refused"), "{refused:?}");
    drop(user.run(&["rm", "-f", "-t", "0", "a", "b", "c", "d"]).ok());
    assert!(street.has_no_pasta());
    assert_eq!(user.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn ports_that_pasta_passes_on_are_explained() {
    let Some(street) = Street::new() else { return };
    let user = &street.user;
    drop(user.run(&["network", "create", "front"]).ok());
    let serve = ["box", "httpd", "-f", "-v", "-h", "/etc"];
    for (name, network, port) in [("web", "front", "8083:80"), ("alone", "pasta", "8084:80")] {
        let flags = ["run", "-d", "--name", name, "--network", network, "-p", port];
        drop(user.run(&[&flags[..], &serve].concat()).ok());
    }

    assert_eq!(street.fetched_by_peer(8083), street.fetched_by_peer(8084));
    for (port, name) in [("8083", "web"), ("8084", "alone")] {
        let said = user.run(&["network", "explain", port]).ok().stdout;
        assert!(said.contains(name) && said.contains("is held"), "{said}");
        assert!(said.contains("pasta passes it on to port 80"), "{said}");
        assert!(said.contains("only root may read") && !said.contains("stops"), "{said}");
    }
    let refused = user.run(&["run", "--rm", "--network=front", "-p", "9:9/sctp", "box", "true"]);
    assert!(refused.stderr.contains("publish port 9/sctp"), "{refused:?}");
    assert!(refused.stderr.contains("there are tcp and udp"), "{refused:?}");
    drop(user.run(&["rm", "-f", "-t", "0", "web", "alone"]).ok());
    assert!(street.has_no_pasta());
    assert_eq!(user.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn lists_of_plugins_are_for_root_which_is_said() {
    let Some(street) = Street::new() else { return };
    let user = &street.user;
    let home = user.home();
    let (settings, lists) = (home.join(".config/containers"), home.join("net.d"));
    for directory in [&settings, &lists] {
        std::fs::create_dir_all(directory).unwrap();
    }
    let configuration = format!("[network]\nnetwork_config_dir = {lists:?}\n");
    std::fs::write(settings.join("containers.conf"), configuration).unwrap();
    let list = r#"{"cniVersion": "1.0.0", "name": "avenue", "plugins": [{"type": "bridge"}]}"#;
    std::fs::write(lists.join("avenue.conflist"), list).unwrap();

    let refused = user.run(&["run", "--rm", "--network=avenue", "box", "true"]).exits(125);

    assert!(refused.stderr.contains("they are for root"), "{refused}");
    assert_eq!(user.run(&["ps", "-aq"]).ok().stdout, "");
    assert_eq!(user.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn a_container_that_is_restarted_keeps_its_network_and_its_port() {
    let Some(street) = Street::new() else { return };
    let user = &street.user;
    drop(user.run(&["network", "create", "front"]).ok());
    let flags = ["run", "-d", "--restart=always", "--name=web", "--network=front", "-p", "8086:80"];
    drop(user.run(&[&flags[..], &["box", "httpd", "-f", "-h", "/etc"]].concat()).ok());
    let page = street.fetched_by_peer(8086);
    let pid = || user.run(&["inspect", "--format", "{{.State.Pid}}", "web"]).ok().line().to_owned();
    let before = pid();

    let killed = rustix::process::Pid::from_raw(before.parse().unwrap()).unwrap();
    rustix::process::kill_process(killed, rustix::process::Signal::KILL).unwrap();

    let is_another = || (![before.as_str(), "0"].contains(&pid().as_str())).then_some(());
    need::eventually(WAIT, is_another).expect("it is started again");
    assert_eq!(street.fetched_by_peer(8086), page);
    assert_eq!(user.run(&["doctor"]).ok().stdout, "all is well\n");
    drop(user.run(&["rm", "-f", "-t", "0", "web"]).ok());
    assert!(street.has_no_pasta());
    assert_eq!(user.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn whatever_of_a_user_s_networks_is_killed_the_doctor_is_content_and_the_retry_succeeds() {
    let Some(street) = Street::new() else { return };
    let user = &street.user;
    let ok = |line: &[&str]| drop(user.run(line).ok());
    for name in ["front", "back"] {
        ok(&["network", "create", name]);
    }
    let none = || ok(&["rm", "-f", "-a", "-t", "0"]);
    let run = [
        "run",
        "-d",
        "-q",
        "--name=web",
        "--network=front",
        "-p",
        "8085:80",
        "box",
        "sleep",
        "1000",
    ];
    let running = || {
        none();
        ok(&run);
    };
    let with_third = || ok(&["network", "create", "--ignore", "third"]);
    let state = || user.run(&["inspect", "--format", "{{.State.Status}}", "web"]).line().to_owned();
    let is_running = || assert_eq!(state(), "running");
    let is_connected = || {
        let shown = user.run(&["ps", "--format", "{{.Networks}}"]).ok();
        assert!(shown.stdout.contains("back"), "{shown}");
    };
    let is_gone = || {
        assert_eq!(user.run(&["ps", "-aq"]).ok().stdout, "");
        assert!(street.has_no_pasta());
    };
    let has_no_third = || assert_ne!(user.run(&["network", "exists", "third"]).code, 0);
    let connect = words(&["network", "connect", "back", "web"]);
    let rm = words(&["rm", "-f", "-t", "0", "web"]);
    let operations = [
        Operation { name: "run -p", before: &none, arguments: words(&run), after: &is_running },
        Operation { name: "connect", before: &running, arguments: connect, after: &is_connected },
        Operation { name: "rm", before: &running, arguments: rm, after: &is_gone },
        Operation {
            name: "network rm",
            before: &with_third,
            arguments: words(&["network", "rm", "third"]),
            after: &has_no_third,
        },
    ];

    torment(user, &none, &operations);

    none();
    ok(&["network", "rm", "front", "back"]);
    assert_eq!(user.run(&["doctor"]).ok().stdout, "all is well\n");
    assert!(street.has_no_pasta());
}

/// Whoever kills a monitor, or the process that connects the networks, leaves only what the next command
/// mends.
#[test]
fn killed_monitors_and_pastas_leave_nothing_that_the_doctor_does_not_mend() {
    let Some(street) = Street::new() else { return };
    let user = &street.user;
    drop(user.run(&["network", "create", "front"]).ok());
    for (name, network) in [("one", "front"), ("two", "pasta")] {
        let flags = ["run", "-d", "--name", name, "--network", network, "-p", "80", "box"];
        drop(user.run(&[&flags[..], &["sleep", "1000"]].concat()).ok());
    }
    assert_eq!(street.pastas(), 3);

    for pid in user.processes() {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if line.starts_with(b"dhow-monitor") {
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        }
    }
    let listed = need::eventually(WAIT, || {
        let states = user.run(&["ps", "-a", "--format", "{{.State}}"]).ok().stdout;
        (states == "exited\nexited\n").then_some(())
    });
    let mended = user.run(&["doctor"]).ok();

    assert!(listed.is_some());
    assert_eq!(mended.stdout, "all is well\n");
    assert!(street.has_no_pasta());
    drop(user.run(&["start", "one", "two"]).ok());
    assert_eq!(street.pastas(), 3);
    drop(user.run(&["rm", "-f", "-t", "0", "one", "two"]).ok());
    assert!(street.has_no_pasta());
}
