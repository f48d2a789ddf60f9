//! A host on which docker forwards as well: its daemon sets the policy of iptables' FORWARD to DROP where the host
//! forwarded nothing before. The host is a network namespace of each test's own, with the real daemon in it.

use crate::fixture::{SOON, start, with_networked_box};
use dhow_testkit::{Dhow, HostNetwork, need};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs::File,
    process::{Child, Stdio},
};

/// Docker's daemon, which ends with this.
struct Daemon {
    process: Child,
    socket: String,
}

impl Daemon {
    /// Starts it in the host's network, with a `/run` of its own.
    fn start(dhow: &Dhow) -> Self {
        let home = dhow.directory().join("docker");
        std::fs::create_dir(&home).unwrap();
        let socket = format!("unix://{}/socket", home.display());
        let script = "mount -t tmpfs tmpfs /run && exec dockerd --data-root $0/lib --exec-root /run/docker \
            --pidfile /run/docker.pid --host $1 --storage-driver vfs";
        let log = File::create_new(home.join("log")).unwrap();
        let process = dhow
            .host()
            .command("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", script])
            .args([&home.display().to_string(), &socket])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let daemon = Self { process, socket };
        let answers = || daemon.docker(dhow, &["network", "ls"]).then_some(());
        let answered = need::eventually(SOON * 6, answers);
        let log = || std::fs::read_to_string(home.join("log")).unwrap_or_default();
        assert!(answered.is_some(), "docker does not answer: {}", log());
        daemon
    }

    fn docker(&self, dhow: &Dhow, words: &[&str]) -> bool {
        let mut docker = dhow.host().command("docker");
        docker.args(["--host", &self.socket]).args(words);
        docker.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It ends its own containerd.
        let pid = Pid::from_child(&self.process);
        let _gone_already = kill_process(pid, Signal::TERM);
        let _reaped = self.process.wait();
    }
}

/// A host that forwards nothing yet, with a peer behind a cable.
fn host_at_rest() -> Option<(Dhow, HostNetwork)> {
    if !HostNetwork::is_possible() {
        return None;
    }
    let tools = ["dockerd", "docker", "containerd", "iptables", "unshare"];
    if let Some(missing) = tools.into_iter().find(|tool| need::tool(tool).is_none()) {
        need::skip(missing);
        return None;
    }
    let dhow = with_networked_box();
    let peer = dhow.host().with_peer();
    dhow.host().output(&["sh", "-c", "echo 0 >/proc/sys/net/ipv4/ip_forward"]);
    Some((dhow, peer))
}

fn serve(dhow: &Dhow, network: &str, port: &str) {
    let published = format!("{port}:80");
    let flags = ["--name", network, "--network", network, "-p", &published];
    start(dhow, &[&flags[..], &["box", "httpd", "-f", "-h", "/etc"]].concat());
}

/// Whether the peer gets something from a published port, within some seconds.
fn fetches(peer: &HostNetwork, port: &str, patience: &str) -> bool {
    let url = format!("http://192.0.2.1:{port}/passwd");
    let words = [patience, "busybox", "wget", "-q", "-O", "/dev/null", &url];
    peer.command("timeout").args(words).status().unwrap().success()
}

fn opens(peer: &HostNetwork, port: &str) {
    let opened = need::eventually(SOON, || fetches(peer, port, "2").then_some(()));
    opened.unwrap_or_else(|| panic!("port {port} does not open"));
}

/// Whether a container reaches the peer.
fn pings(dhow: &Dhow, container: &str) -> bool {
    dhow.run(&["exec", container, "ping", "-c", "1", "-W", "2", "192.0.2.2"]).code == 0
}

fn ruleset(dhow: &Dhow) -> String {
    dhow.host().output(&["nft", "--stateless", "list", "ruleset"])
}

#[test]
fn docker_s_policy_is_obeyed_and_named_unless_a_network_asks_otherwise() {
    let Some((dhow, peer)) = host_at_rest() else { return };
    let daemon = Daemon::start(&dhow);
    let before = ruleset(&dhow);
    assert!(before.contains("hook forward priority filter; policy drop"), "{before}");
    let create = ["network", "create", "-o", "forward_policy=ignore"];
    drop(dhow.run(&[&create[..], &["open"]].concat()).ok());
    drop(dhow.run(&["network", "create", "behind"]).ok());

    serve(&dhow, "behind", "8080");
    let told = dhow.run(&["network", "explain", "8080", "--from", "192.0.2.2"]);
    assert!(!fetches(&peer, "8080", "2") && !pings(&dhow, "behind"));
    assert_eq!(told.code, 1, "{told}");
    for said in
        ["the policy of chain FORWARD in table ip filter", "forward_policy=ignore", "DOCKER-USER"]
    {
        assert!(told.stdout.contains(said), "{said} in {told}");
    }

    serve(&dhow, "open", "8081");
    opens(&peer, "8081");
    assert!(pings(&dhow, "open"));
    let told = dhow.run(&["network", "explain", "8081", "--from", "192.0.2.2"]).ok();
    assert!(told.stdout.contains("nobody else's rules drop"), "{told}");
    assert!(!fetches(&peer, "8080", "2"), "the other network is behind the policy still");
    // Docker and the tools of iptables go on as before.
    let shown = dhow.host().output(&["iptables", "-S", "FORWARD"]);
    assert!(shown.contains("-P FORWARD DROP") && shown.contains("dhow: from"), "{shown}");
    assert!(daemon.docker(&dhow, &["network", "create", "theirs"]));
    assert!(daemon.docker(&dhow, &["network", "rm", "theirs"]));
    opens(&peer, "8081");

    // What the words advise helps.
    dhow.host().output(&["iptables", "-I", "DOCKER-USER", "-j", "ACCEPT"]);
    opens(&peer, "8080");
    dhow.host().output(&["iptables", "-D", "DOCKER-USER", "-j", "ACCEPT"]);

    drop(dhow.run(&["rm", "-f", "-t", "0", "-a"]).ok());
    drop(dhow.run(&["network", "rm", "open", "behind"]).ok());
    assert_eq!(ruleset(&dhow), before);
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn a_network_that_asks_no_policy_stays_open_when_docker_comes_later() {
    let Some((dhow, peer)) = host_at_rest() else { return };
    let create = ["network", "create", "-o", "forward_policy=ignore", "open"];
    drop(dhow.run(&create).ok());
    serve(&dhow, "open", "8081");
    opens(&peer, "8081");

    let _daemon = Daemon::start(&dhow);
    // The host forwards already, so docker leaves the policy as it is; its owner does not.
    dhow.host().output(&["iptables", "-P", "FORWARD", "DROP"]);

    let has_rules = || ruleset(&dhow).contains("dhow: to").then_some(());
    need::eventually(SOON, has_rules).expect("who keeps the container answers the news");
    opens(&peer, "8081");
    dhow.host().output(&["iptables", "-F", "FORWARD"]);
    opens(&peer, "8081");
    drop(dhow.run(&["rm", "-f", "-t", "0", "-a"]).ok());
    drop(dhow.run(&["network", "rm", "open"]).ok());
    assert!(!ruleset(&dhow).contains("dhow"), "{}", ruleset(&dhow));
}
