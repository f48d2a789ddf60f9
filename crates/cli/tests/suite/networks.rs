//! `network …`: networks as rows, and as lists and documents show them. What travels through them is
//! tried beside.

use dhow_testkit::{Dhow, HostNetwork};
use serde_json::Value;
use std::fs;

fn create(dhow: &Dhow, arguments: &[&str]) -> String {
    dhow.run(&[&["network", "create"], arguments].concat()).ok().line().to_owned()
}

fn inspect(dhow: &Dhow, network: &str) -> Value {
    let text = dhow.run(&["network", "inspect", network]).ok().stdout;
    serde_json::from_str::<Value>(&text).unwrap()[0].take()
}

fn names(dhow: &Dhow, filters: &[&str]) -> Vec<String> {
    let list = ["network", "ls", "--format", "{{.Name}}"];
    let filters = filters.iter().flat_map(|filter| ["--filter", filter]);
    let words: Vec<&str> = list.into_iter().chain(filters).collect();
    dhow.run(&words).ok().stdout.lines().map(str::to_owned).collect()
}

fn subnet(dhow: &Dhow, network: &str) -> String {
    inspect(dhow, network)["IPAM"]["Config"][0]["Subnet"].as_str().unwrap().to_owned()
}

#[test]
fn a_network_is_made_shown_and_removed() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = Dhow::networked();

    let id = create(
        &dhow,
        &[
            "--subnet=10.5.0.0/24",
            "--ip-range=10.5.0.128/25",
            "--aux-address=router=10.5.0.3",
            "--gateway=10.5.0.9",
            "--ipv6",
            "--internal",
            "--label=tier=db",
            "--opt=mtu=1400",
            "front",
        ],
    );

    assert_eq!(id.len(), 64);
    let document = inspect(&dhow, "front");
    assert_eq!(document["Id"], id.as_str());
    assert_eq!(inspect(&dhow, &id[..12]), document);
    for (pointer, expected) in [
        ("/Name", "front"),
        ("/Scope", "local"),
        ("/Driver", "bridge"),
        ("/IPAM/Driver", "default"),
        ("/IPAM/Config/0/Subnet", "10.5.0.0/24"),
        ("/IPAM/Config/0/IPRange", "10.5.0.128/25"),
        ("/IPAM/Config/0/Gateway", "10.5.0.9"),
        ("/IPAM/Config/0/AuxiliaryAddresses/router", "10.5.0.3"),
        ("/Labels/tier", "db"),
        ("/Options/mtu", "1400"),
    ] {
        assert_eq!(document.pointer(pointer).unwrap(), expected, "{pointer}");
    }
    assert_eq!((&document["Internal"], &document["EnableIPv6"]), (&true.into(), &true.into()));
    let second = document["IPAM"]["Config"][1]["Subnet"].as_str().unwrap();
    assert!(second.starts_with("fd") && second.ends_with("::/64"), "{second}");
    drop(dhow.run(&["network", "exists", "front"]).ok());
    drop(dhow.run(&["network", "exists", "back"]).exits(1));

    let removed = dhow.run(&["network", "rm", "nothing", "front"]).exits(1);

    assert_eq!(removed.stdout, "front\n");
    assert!(removed.stderr.contains("no such network: nothing"), "{}", removed.stderr);
    assert_eq!(names(&dhow, &[]), ["bridge", "host", "none"]);
    drop(dhow.run(&["network", "rm", "--force", "nothing"]).ok());
    let events = dhow.run(&["events", "--since", "1h", "--until", "0s"]).ok().stdout;
    for action in ["create", "destroy"] {
        let line = format!("network {action} {id} (name=front, type=bridge)");
        assert!(events.contains(&line), "{line} in {events}");
    }
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn podman_s_users_find_podman_s_words() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = Dhow::networked();
    let podman = |arguments: &[&str]| dhow.run_as("podman", arguments).ok();

    let made = podman(&["network", "create"]);
    let named = podman(&["network", "create", "--disable-dns", "--dns", "10.9.9.9", "front"]);
    let again = podman(&["network", "create", "--ignore", "front"]);

    assert_eq!((made.line(), named.line(), again.line()), ("dhow1", "front", "front"));
    let list = podman(&["network", "ls", "--noheading", "--format", "{{.Name}} {{.Driver}}"]);
    assert_eq!(list.stdout, "podman bridge\ndhow1 bridge\nfront bridge\n");
    let document: Value =
        serde_json::from_str(&podman(&["network", "inspect", "podman", "front"]).stdout).unwrap();
    assert_eq!(document[0]["name"], "podman");
    assert_eq!(document[0]["network_interface"], "dhow0");
    assert_eq!(document[0]["subnets"][0]["subnet"], "10.88.0.0/16");
    assert_eq!(document[1]["dns_enabled"], false);
    assert_eq!(document[1]["network_dns_servers"][0], "10.9.9.9");
    assert_eq!(document[1]["ipam_options"]["driver"], "host-local");
    drop(podman(&["network", "update", "front", "--dns-drop=10.9.9.9", "--dns-add=10.9.9.8"]));
    let document: Value =
        serde_json::from_str(&podman(&["network", "inspect", "front"]).stdout).unwrap();
    assert_eq!(document[0]["network_dns_servers"], serde_json::json!(["10.9.9.8"]));
    let twice = dhow.run_as("podman", &["network", "create", "front"]).exits(125);
    assert!(twice.stderr.contains("the name front is in use"), "{}", twice.stderr);
    drop(podman(&["network", "prune", "--force"]));
    assert_eq!(podman(&["network", "ls", "-q"]).stdout, "podman\n");
}

#[test]
fn subnets_are_the_first_that_nobody_has() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = Dhow::networked();
    // The host has addresses of what the first two networks would get.
    dhow.host().output(&["ip", "link", "add", "w0", "type", "veth", "peer", "name", "w1"]);
    dhow.host().output(&["ip", "address", "add", "10.89.0.7/25", "dev", "w0"]);
    dhow.host().output(&["ip", "address", "add", "10.88.3.7/24", "dev", "w0"]);
    dhow.host().output(&["ip", "link", "set", "w0", "up"]);

    for name in ["a", "b"] {
        create(&dhow, &[name]);
    }
    drop(dhow.run(&["network", "rm", "a"]).ok());
    create(&dhow, &["c"]);

    assert_eq!(subnet(&dhow, "b"), "10.89.2.0/24");
    assert_eq!(subnet(&dhow, "c"), "10.89.1.0/24");
    assert_eq!(subnet(&dhow, "bridge"), "10.89.3.0/24");
    for (asked, whose) in
        [("10.89.0.0/24", "through w0"), ("10.89.2.128/25", "network b"), ("10.0.0.0/8", "overlap")]
    {
        let refused = dhow.run(&["network", "create", "--subnet", asked, "d"]).exits(1);
        assert!(refused.stderr.contains(whose), "{asked}: {}", refused.stderr);
    }
    assert_eq!(names(&dhow, &["type=custom"]), ["b", "c"]);
}

#[test]
fn containers_conf_chooses_the_subnets() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = Dhow::networked();
    let conf = dhow.directory().join("containers.conf");
    let text = "[network]\ndefault_subnet = \"10.50.0.0/16\"\n\
                default_subnet_pools = [{base = \"10.51.0.0/25\", size = 26}]\n";
    fs::write(&conf, text).unwrap();
    let made = |name: &str| {
        let mut command = dhow.command(&["network", "create", name]);
        dhow.finish(command.env("CONTAINERS_CONF", &conf), b"")
    };

    drop(made("a").ok());
    drop(made("b").ok());
    let exhausted = made("c").exits(1);

    assert_eq!(
        (subnet(&dhow, "a"), subnet(&dhow, "b")),
        ("10.51.0.0/26".into(), "10.51.0.64/26".into())
    );
    assert!(exhausted.stderr.contains("10.51.0.0/25 are taken"), "{}", exhausted.stderr);
}

#[test]
fn lists_are_filtered_and_pruned() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = Dhow::networked();
    create(&dhow, &["--label", "tier=db", "front"]);
    create(&dhow, &["--label", "tier=web", "back"]);
    let id = create(&dhow, &["--ipam-driver", "none", "bare"]);

    assert_eq!(names(&dhow, &["label=tier"]), ["back", "front"]);
    assert_eq!(names(&dhow, &["label=tier=db"]), ["front"]);
    assert_eq!(names(&dhow, &["name=a"]), ["back", "bare"]);
    assert_eq!(names(&dhow, &["name=front", "name=back"]), ["back", "front"]);
    assert_eq!(names(&dhow, &[&format!("id={}", &id[..8])]), ["bare"]);
    assert_eq!(names(&dhow, &["driver=null"]), ["none"]);
    assert_eq!(names(&dhow, &["type=builtin"]), ["bridge", "host", "none"]);
    assert_eq!(inspect(&dhow, "bare")["IPAM"]["Config"], serde_json::json!([]));
    let line = dhow.run(&["network", "ls", "--format", "json", "--filter", "name=front"]).ok();
    let line: Value = serde_json::from_str(line.line()).unwrap();
    assert_eq!((&line["Name"], &line["Labels"]), (&"front".into(), &"tier=db".into()));

    let pruned = dhow.run(&["network", "prune", "--force", "--filter", "label!=tier=db"]).ok();

    assert_eq!(pruned.stdout, "Deleted Networks:\nback\nbare\n");
    let everything = dhow.run(&["system", "prune", "--force"]).ok();
    assert!(everything.stdout.contains("Deleted: front\n"), "{}", everything.stdout);
    assert_eq!(names(&dhow, &["type=custom"]), Vec::<String>::new());
}

#[test]
fn sixteen_at_once_make_sixteen_networks_of_their_own() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = Dhow::networked();

    let children: Vec<_> = (0..16)
        .map(|number| {
            let mut command = dhow.command(&["network", "create", "--ipv6", &format!("n{number}")]);
            command.stdout(std::process::Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }

    let networks = names(&dhow, &["type=custom"]);
    let subnets: std::collections::BTreeSet<String> =
        networks.iter().map(|network| subnet(&dhow, network)).collect();
    assert_eq!((networks.len(), subnets.len()), (16, 16));
}

#[test]
fn connections_of_containers_that_do_not_run_are_rows() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = crate::fixture::with_networked_box();
    create(&dhow, &["--subnet=10.5.0.0/24", "front"]);
    create(&dhow, &["--subnet=10.6.0.0/24", "back"]);
    let web = ["create", "-q", "--name=web", "--network=front", "--ip=10.5.0.7", "box", "true"];
    let id = dhow.run(&web).ok().line().to_owned();
    let settings = |field: &str| {
        let format = format!("{{{{json .NetworkSettings.Networks.{field}}}}}");
        let text = dhow.run(&["inspect", "--format", &format, "web"]).ok();
        serde_json::from_str::<Value>(text.line()).unwrap()
    };

    let alias =
        ["network", "connect", "--alias=db", "--mac-address=02:00:00:00:00:05", "back", "web"];
    drop(dhow.run(&alias).ok());

    assert_eq!(settings("front")["IPAMConfig"]["IPv4Address"], "10.5.0.7");
    assert_eq!(settings("back")["Aliases"], serde_json::json!(["db"]));
    assert_eq!(settings("back")["MacAddress"], "02:00:00:00:00:05");
    let listed = dhow.run(&["ps", "-a", "--format", "{{.Names}} {{.Networks}}"]).ok();
    assert_eq!(listed.stdout, "web front,back\n");
    assert_eq!(dhow.run(&["ps", "-aq", "--filter", "network=back"]).ok().line(), &id[..12]);
    assert_eq!(names(&dhow, &["dangling=true", "type=custom"]), Vec::<String>::new());
    let taken = ["create", "-q", "--name=other", "--network=front", "--ip=10.5.0.7", "box", "true"];
    let taken = dhow.run(&taken).exits(125);
    assert!(taken.stderr.contains(&id[..12]), "{}", taken.stderr);
    let used = dhow.run(&["network", "rm", "back"]).exits(1);
    assert!(used.stderr.contains("web use it"), "{}", used.stderr);
    assert_eq!(dhow.run(&["network", "prune", "-f"]).ok().stdout, "");

    drop(dhow.run(&["network", "disconnect", "back", "web"]).ok());
    let twice = dhow.run(&["network", "disconnect", "back", "web"]).exits(1);

    assert!(twice.stderr.contains("not connected"), "{}", twice.stderr);
    drop(dhow.run(&["network", "rm", "back"]).ok());
    drop(dhow.run(&["network", "rm", "--force", "front"]).ok());
    assert_eq!(names(&dhow, &["type=custom"]), Vec::<String>::new());
    drop(dhow.run(&["rm", "web"]).ok());
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn a_running_container_is_shown_with_its_addresses_and_ports() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = crate::fixture::with_networked_box();
    create(&dhow, &["--subnet=10.5.0.0/24", "--subnet=fd00:5::/64", "front"]);
    let web = [
        "run",
        "-d",
        "-q",
        "--name=web",
        "--network=front",
        "--network-alias=www",
        "-p=127.0.0.1:8080-8081:80-81",
        "-p=9000:90/udp",
        "--expose=70",
        "box",
        "sleep",
        "1000",
    ];
    let id = dhow.run(&web).ok().line().to_owned();

    let text = dhow.run(&["inspect", "--format", "{{json .NetworkSettings}}", "web"]).ok();
    let settings: Value = serde_json::from_str(text.line()).unwrap();
    let inside = dhow.run(&["exec", "web", "ip", "address", "show", "eth0"]).ok().stdout;

    let front = &settings["Networks"]["front"];
    for (field, expected) in [
        ("IPAddress", "10.5.0.2"),
        ("Gateway", "10.5.0.1"),
        ("GlobalIPv6Address", "fd00:5::2"),
        ("IPv6Gateway", "fd00:5::1"),
    ] {
        assert_eq!(front[field], expected, "{front}");
    }
    assert_eq!(front["IPPrefixLen"], 24);
    assert_eq!(front["DNSNames"], serde_json::json!(["web", "www", &id[..12]]));
    let mac = front["MacAddress"].as_str().unwrap();
    for word in [mac, "10.5.0.2/24", "fd00:5::2/64"] {
        assert!(inside.contains(word), "{word} in {inside}");
    }
    let binding = |host: &str, port: &str| serde_json::json!({"HostIp": host, "HostPort": port});
    let expected = serde_json::json!({
        "70/tcp": null,
        "80/tcp": [binding("127.0.0.1", "8080")],
        "81/tcp": [binding("127.0.0.1", "8081")],
        "90/udp": [binding("0.0.0.0", "9000"), binding("::", "9000")],
    });
    assert_eq!(settings["Ports"], expected);
    let listed = dhow.run(&["ps", "--format", "{{.Ports}}"]).ok();
    let words = "70/tcp, 0.0.0.0:9000->90/udp, [::]:9000->90/udp, 127.0.0.1:8080-8081->80-81/tcp";
    assert_eq!(listed.line(), words);
    assert_eq!(dhow.run(&["port", "web", "80"]).ok().line(), "127.0.0.1:8080");
    let all = dhow.run(&["port", "web"]).ok().stdout;
    assert!(all.contains("90/udp -> 0.0.0.0:9000\n90/udp -> [::]:9000\n"), "{all}");
    drop(dhow.run(&["port", "web", "70"]).exits(1));
    let container = &inspect(&dhow, "front")["Containers"][&id];
    assert_eq!(container["IPv4Address"], "10.5.0.2/24");
    assert_eq!(container["Name"], "web");
    drop(dhow.run(&["network", "reload", "web"]).ok());

    drop(dhow.run(&["stop", "-t", "0", "web"]).ok());

    assert_eq!(inspect(&dhow, "front")["Containers"], serde_json::json!({}));
    let withdrawn = dhow_testkit::need::eventually(crate::fixture::SOON, || {
        dhow.run(&["port", "web"]).ok().stdout.is_empty().then_some(())
    });
    assert!(withdrawn.is_some(), "its ports are still published");
    let forced = dhow.run(&["network", "rm", "--force", "front"]).ok();
    assert_eq!(forced.line(), "front");
    assert_eq!(dhow.host().output(&["nft", "list", "ruleset"]), "");
    assert!(!dhow.host().output(&["ip", "-brief", "link"]).contains("dh-"));
    drop(dhow.run(&["rm", "web"]).ok());
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn sixteen_at_once_have_an_address_each_and_the_next_one_waits_its_turn() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = crate::fixture::with_networked_box();
    create(&dhow, &["--subnet=10.5.0.0/24", "--ip-range=10.5.0.8-10.5.0.23", "front"]);

    let children: Vec<_> = (0..16)
        .map(|_| {
            let words = ["run", "-d", "-q", "--network=front", "box", "sleep", "1000"];
            dhow.command(&words).stdout(std::process::Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let full = dhow.run(&["run", "--rm", "--network=front", "box", "true"]).exits(125);

    let document = inspect(&dhow, "front");
    let containers = document["Containers"].as_object().unwrap().values();
    let addresses: std::collections::BTreeSet<&str> =
        containers.map(|one| one["IPv4Address"].as_str().unwrap()).collect();
    assert_eq!(addresses.len(), 16);
    assert!(full.stderr.contains("10.5.0.8 to 10.5.0.23 are taken"), "{}", full.stderr);
    assert_eq!(dhow.run(&["ps", "-q"]).ok().stdout.lines().count(), 16);
    drop(dhow.run(&["rm", "-fa"]).ok());
    drop(dhow.run(&["run", "--rm", "--network=front", "box", "true"]).ok());
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn a_killed_monitor_s_addresses_are_free_again() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = crate::fixture::with_networked_box();
    create(&dhow, &["--subnet=10.5.0.0/29", "front"]);
    let web = ["run", "-d", "-q", "--name=web", "--network=front", "-p", "8080:80"];
    drop(dhow.run(&[&web[..], &["box", "sleep", "1000"]].concat()).ok());
    let pid = dhow.run(&["inspect", "--format", "{{.State.Pid}}", "web"]).ok().line().to_owned();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let monitor = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim();

    drop(dhow.host().output(&["kill", "-9", monitor]));
    dhow_testkit::need::eventually(crate::fixture::SOON, || {
        let state = dhow.run(&["inspect", "--format", "{{.State.Status}}", "web"]).ok();
        (state.line() == "exited").then_some(())
    })
    .unwrap();

    assert_eq!(dhow.run(&["port", "web"]).ok().stdout, "");
    assert_eq!(inspect(&dhow, "front")["Containers"], serde_json::json!({}));
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    for _ in 0..6 {
        drop(dhow.run(&["run", "--rm", "--network=front", "box", "true"]).ok());
    }
    drop(dhow.run(&["start", "web"]).ok());
    drop(dhow.run(&["rm", "-f", "web"]).ok());
}
