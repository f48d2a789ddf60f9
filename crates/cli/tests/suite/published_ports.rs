//! Published ports at work: many of them, much through one of them, and ports that lead nowhere.

use crate::fixture::{start, with_box, with_networked_box as networked};
use dhow_testkit::{Dhow, HostNetwork, need, needs_root, needs_tool, rootfs};
use std::{fs, os::unix::fs::FileExt, process::Stdio, time::Duration};

/// How long something may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many rules there are in all tables.
fn rules(dhow: &Dhow) -> usize {
    let ruleset = dhow.host().output(&["nft", "-j", "list", "ruleset"]);
    let ruleset: serde_json::Value = serde_json::from_str(&ruleset).expect("JSON");
    let objects = ruleset["nftables"].as_array().expect("a list");
    objects.iter().filter(|object| object.get("rule").is_some()).count()
}

#[test]
fn a_thousand_ports_cost_no_rule_more_than_one() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = networked();
    drop(dhow.run(&["run", "-d", "-p", "8080:80", "box", "sleep", "1000"]).ok());
    let with_one = rules(&dhow);
    // Where INPUT has a say, too.
    for words in [
        "add table inet site",
        "add chain inet site in { type filter hook input priority 0 ; }",
        "add rule inet site in ip saddr 198.51.100.0/24 drop",
    ] {
        let words: Vec<&str> = ["nft"].into_iter().chain(words.split(' ')).collect();
        drop(dhow.host().output(&words));
    }

    let serve = ["httpd", "-f", "-h", "/etc", "-p", "20999"];
    let publish = ["--name", "many", "-p", "20000-20999:20000-20999", "box"];
    start(&dhow, &[&publish[..], &serve].concat());

    let fetch = || {
        let last = ["wget", "-qO-", "http://127.0.0.1:20999/passwd"];
        dhow.host().command("busybox").args(last).output().unwrap().status.success().then_some(())
    };
    assert!(need::eventually(PATIENCE, fetch).is_some());
    assert_eq!(rules(&dhow), with_one + 1);
    let published = dhow.host().output(&["nft", "list", "map", "inet", "dhow", "ports4"]);
    assert_eq!(published.matches("tcp . 20").count(), 1000);
    let asked = dhow.host().output(&["nft", "list", "set", "inet", "dhow", "asked4"]);
    assert_eq!(asked.matches("tcp . 20").count(), 1000);
    drop(dhow.run(&["rm", "-f", "-t", "0", "many"]).ok());
    let left = dhow.host().output(&["nft", "list", "table", "inet", "dhow"]);
    assert!(!left.contains("tcp . 20"), "{left}");
    drop(dhow.run(&["rm", "-f", "-t", "0", "-a"]).ok());
}

#[test]
fn ports_of_a_container_without_a_network_are_discarded_with_a_word() {
    needs_root!();
    let dhow = with_box();
    drop(
        dhow.run(&["run", "-d", "--name", "web", "--network", "none", "box", "sleep", "900"]).ok(),
    );
    for (network, word) in [
        ("host", "published ports are discarded when using host network mode"),
        ("none", "published ports are discarded where there is no network"),
        ("container:web", "published ports are discarded where the network is another container's"),
    ] {
        let run =
            dhow.run(&["run", "--rm", "--network", network, "-p", "8080:80", "box", "true"]).ok();

        assert!(run.stderr.contains(word), "{run:?}");
        let quiet = dhow.run(&["run", "--rm", "--network", network, "box", "true"]).ok();
        assert_eq!(quiet.stderr, "");
    }
}

const NGINX: &str = "
daemon off;
pid /run/nginx.pid;
error_log stderr;
events {}
http { access_log /dev/stdout; server { listen 80; listen [::]:80; root /data; } }
";

#[test]
fn a_web_server_knows_its_client_and_what_it_sends_arrives_whole() {
    if !HostNetwork::is_possible() {
        return;
    }
    needs_tool!("mmdebstrap", "curl", "cmp");
    let dhow = networked();
    let layout = rootfs::services_image().unwrap();
    drop(dhow.run(&["pull", "-q", &layout.reference("services")]).ok());
    let peer = dhow.host().with_peer();
    let configuration = dhow.directory().join("nginx.conf");
    fs::write(&configuration, NGINX).unwrap();
    let data = dhow.directory().join("data");
    fs::create_dir(&data).unwrap();
    // Each megabyte says which one it is, and the rest takes no room on the disk.
    let megabytes: u64 = if need::is_full() { 1024 } else { 128 };
    let big = fs::OpenOptions::new().write(true).create_new(true).open(data.join("big")).unwrap();
    big.set_len(megabytes << 20).unwrap();
    for place in 0..megabytes {
        big.write_all_at(&place.to_be_bytes(), place << 20).unwrap();
    }
    fs::write(data.join("hello"), "hello\n").unwrap();
    drop(dhow.run(&["network", "create", "--ipv6", "front"]).ok());
    let mounts = [
        format!("{}:/etc/nginx/nginx.conf:ro", configuration.display()),
        format!("{}:/data:ro", data.display()),
    ];
    let web = ["--name", "web", "--network", "front", "-p", "8080:80", "-v", &mounts[0], "-v"];
    start(&dhow, &[&web[..], &[&mounts[1], "services", "nginx"]].concat());

    for (host, client) in [("192.0.2.1", "192.0.2.2"), ("[2001:db8::1]", "2001:db8::2")] {
        let url = format!("http://{host}:8080/hello");
        let fetch = || {
            let fetched = peer.command("curl").args(["-gsS", "-m", "5", &url]).output().unwrap();
            (fetched.stdout == b"hello\n").then_some(())
        };
        assert!(need::eventually(PATIENCE, fetch).is_some(), "{url}");
        let logged = || {
            let log = dhow.run(&["logs", "web"]).ok().stdout;
            log.contains(&format!("{client} - - ")).then_some(())
        };
        assert!(need::eventually(PATIENCE, logged).is_some(), "{}", dhow.run(&["logs", "web"]));
    }

    let mut fetch = peer
        .command("curl")
        .args(["-gsS", "http://192.0.2.1:8080/big"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let body = fetch.stdout.take().unwrap();
    // Byte for byte, which is quicker than two digests.
    let mut compare = std::process::Command::new("cmp");
    let same = compare.arg("-").arg(data.join("big")).stdin(body).output().unwrap();
    assert!(fetch.wait().unwrap().success());
    assert!(same.status.success(), "{}", String::from_utf8_lossy(&same.stdout));
    drop(dhow.run(&["rm", "-f", "-t", "0", "web"]).ok());
}
