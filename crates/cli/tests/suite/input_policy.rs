//! Published ports behind the host's INPUT chains: what these say while containers run, and networks that
//! do not ask them.

use crate::fixture::with_networked_box as networked;
use dhow_testkit::{Dhow, HostNetwork, need};
use std::time::{Duration, Instant};

/// Within this time a change of the host's rules has to hold; a busy machine gets more.
const SOON: Duration = Duration::from_secs(10);

const SERVE: [&str; 12] =
    ["run", "-d", "--name", "web", "-p", "8080:80", "box", "httpd", "-f", "-h", "/etc", "-p80"];

fn nft(dhow: &Dhow, words: &str) {
    let words: Vec<&str> = ["nft"].into_iter().chain(words.split(' ')).collect();
    drop(dhow.host().output(&words));
}

/// Gives the host a chain at INPUT that lets nothing in.
fn close_input(dhow: &Dhow) {
    nft(dhow, "add table inet site");
    nft(dhow, "add chain inet site in { type filter hook input priority 0 ; policy drop ; }");
}

/// Whether the peer gets something from a published port, within this time.
fn fetches(peer: &HostNetwork, host: &str, patience_seconds: u32) -> bool {
    let (patience, url) = (patience_seconds.to_string(), format!("http://{host}:8080/passwd"));
    // A connection is given up by nobody but this: busybox waits for one as long as the kernel does.
    let mut fetch = peer.command("timeout");
    let words = [patience.as_str(), "busybox", "wget", "-q", "-O", "/dev/null", &url];
    fetch.args(words).status().expect("nsenter starts").success()
}

/// How long it takes until the port is as it should be.
fn settles(peer: &HostNetwork, is_open: bool) -> Duration {
    let begin = Instant::now();
    let settled =
        need::eventually(SOON, || (fetches(peer, "192.0.2.1", 1) == is_open).then_some(()));
    assert!(settled.is_some(), "the port does not get {}", if is_open { "open" } else { "closed" });
    begin.elapsed()
}

fn explained(dhow: &Dhow, more: &[&str]) -> String {
    let words = [&["network", "explain", "8080", "--format", "json"], more].concat();
    let told = dhow.run(&words).stdout;
    told.lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a line of JSON"))
        .filter(|finding| finding["About"] == "input")
        .map(|finding| format!("{}: {}\n", finding["Result"], finding["Finding"]))
        .collect()
}

#[test]
fn what_the_host_lets_in_and_keeps_out_holds_while_containers_run() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = networked();
    let peer = dhow.host().with_peer();
    close_input(&dhow);
    nft(&dhow, "add rule inet site in ct state established accept");
    nft(&dhow, "add rule inet site in iif lo accept");
    let before = dhow.host().output(&["nft", "list", "ruleset"]);
    drop(dhow.run(&SERVE).ok());

    // Closed to the world, and open to who is here already.
    assert!(!fetches(&peer, "192.0.2.1", 3));
    let inside = ["run", "--rm", "box", "wget", "-qO-", "http://192.0.2.1:8080/passwd"];
    assert!(dhow.run(&inside).ok().stdout.contains("root:"));
    let by_host = ["busybox", "wget", "-qO-", "http://127.0.0.1:8080/passwd"];
    assert!(dhow.host().output(&by_host).contains("root:"));
    let told = explained(&dhow, &["--from", "192.0.2.2"]);
    assert!(told.contains("stops") && told.contains("the policy of chain in"), "{told}");

    nft(&dhow, "add rule inet site in tcp dport 8080 accept");
    let opened = settles(&peer, true);
    let told = explained(&dhow, &["--from", "192.0.2.2"]);
    assert!(told.contains("passes") && told.contains("nobody's INPUT chains"), "{told}");

    nft(&dhow, "flush chain inet site in");
    let closed = settles(&peer, false);

    // INPUT itself says who may come in.
    nft(&dhow, "add rule inet site in ip saddr 192.0.2.2 accept");
    let asked = settles(&peer, true);
    let told = explained(&dhow, &[]);
    assert!(told.contains("unclear") && told.contains("first packet is sent there"), "{told}");

    nft(&dhow, "flush chain inet site in");
    settles(&peer, false);
    nft(&dhow, "flush ruleset");
    let flushed = settles(&peer, true);
    eprintln!(
        "opened in {opened:?}, closed in {closed:?}, asked in {asked:?}, after a flush {flushed:?}"
    );

    drop(dhow.run(&["rm", "-f", "-t", "0", "web"]).ok());
    drop(dhow.run(&["network", "prune", "-f"]).ok());
    assert_ne!(before, "");
    assert_eq!(dhow.host().output(&["nft", "list", "ruleset"]), "");
    drop(dhow.run(&["doctor"]).ok());
}

#[test]
fn a_network_that_does_not_ask_is_open_and_says_so() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = networked();
    let peer = dhow.host().with_peer();
    close_input(&dhow);
    drop(dhow.run(&["network", "create", "-o", "input_policy=ignore", "open"]).ok());
    let refused = dhow.run(&["network", "create", "-o", "input_policy=maybe", "other"]);

    drop(dhow.run(&[&SERVE[..4], &["--network", "open"], &SERVE[4..]].concat()).ok());

    assert!(fetches(&peer, "192.0.2.1", 10));
    let told = explained(&dhow, &["--from", "192.0.2.2"]);
    assert!(told.contains("network open does not ask"), "{told}");
    let options = dhow.run(&["network", "inspect", "--format", "{{json .Options}}", "open"]).ok();
    assert_eq!(options.line(), r#"{"input_policy":"ignore"}"#);
    assert!(refused.stderr.contains("it is obey or ignore"), "{refused:?}");
    drop(dhow.run(&["rm", "-f", "-t", "0", "web"]).ok());
}
