//! Networks whose addresses a server gives: dnsmasq on a cable to a host that is a network namespace of
//! each test's own.

use crate::fixture::{kill_by_name, kill_monitor, start, wait_for_state, with_networked_box};
use dhow_testkit::{Dhow, HostNetwork, need};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

const SOON: Duration = Duration::from_secs(20);

/// A host with the end `up0` of a cable, and a router at the other end of it.
struct Scene {
    dhow: Dhow,
    router: HostNetwork,
    server: Option<Child>,
}

impl Scene {
    fn new() -> Option<Self> {
        if !HostNetwork::is_possible() {
            return None;
        }
        if need::tool("dnsmasq").is_none() {
            need::skip("dnsmasq");
            return None;
        }
        let scene = Self { dhow: with_networked_box(), router: HostNetwork::new(), server: None };
        let router = scene.router.path().display().to_string();
        let host = scene.dhow.host();
        let peer = ["peer", "name", "up1", "netns", &router];
        host.output(&[&["ip", "link", "add", "up0", "type", "veth"][..], &peer].concat());
        host.output(&["ip", "link", "set", "up0", "up"]);
        scene.router.output(&["ip", "address", "add", "10.55.0.1/24", "dev", "up1"]);
        scene.router.output(&["ip", "link", "set", "up1", "up"]);
        drop(
            scene
                .dhow
                .run(&[
                    "network",
                    "create",
                    "-d",
                    "macvlan",
                    "--ipam-driver=dhcp",
                    "-o",
                    "parent=up0",
                    "lan",
                ])
                .ok(),
        );
        Some(scene)
    }

    fn log(&self) -> PathBuf {
        self.dhow.directory().join("dnsmasq.log")
    }

    fn leases(&self) -> PathBuf {
        self.dhow.directory().join("leases")
    }

    /// Starts the server; it is asked again for an address after so many seconds.
    fn serve(&mut self, renewal_seconds: u32) {
        self.serve_with(renewal_seconds, &[]);
    }

    fn serve_with(&mut self, renewal_seconds: u32, more: &[&str]) {
        let child = self
            .router
            .command("dnsmasq")
            .args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-hosts", "--no-resolv"])
            .args(["--port=0", "--interface=up1", "--bind-interfaces", "--no-ping", "--user=root"])
            .args(["--pid-file=", "--log-facility=-", "--dhcp-authoritative"])
            .args(["--dhcp-range=10.55.0.50,10.55.0.60,255.255.255.0,2m", "--domain=home.arpa"])
            .args(["--dhcp-option=option:router,10.55.0.1"])
            .args(["--dhcp-option=option:dns-server,10.55.0.1"])
            .arg(format!("--dhcp-option=option:T1,{renewal_seconds}"))
            .arg(format!("--dhcp-leasefile={}", self.leases().display()))
            .args(more)
            .stdin(Stdio::null())
            .stderr(File::create_new(self.log()).unwrap())
            .spawn()
            .unwrap();
        self.server = Some(child);
        self.heard("sockets bound exclusively to interface up1", 1);
    }

    /// Waits until the server has said something so many times.
    fn heard(&self, text: &str, times: usize) {
        let heard = need::eventually(SOON, || {
            let log = fs::read_to_string(self.log()).unwrap_or_default();
            (log.matches(text).count() >= times).then_some(())
        });
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        assert!(heard.is_some(), "the server has not said {text:?} {times} times: {log}");
    }

    fn stop_server(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _gone_already = server.kill();
            let _reaped = server.wait();
        }
    }

    fn networks(&self, container: &str) -> Value {
        let text = self.dhow.run(&["inspect", container]).ok().stdout;
        serde_json::from_str::<Value>(&text).unwrap()[0]["NetworkSettings"]["Networks"].take()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop_server();
    }
}

#[test]
fn an_address_of_a_server_is_had_kept_and_given_back() {
    let Some(mut scene) = Scene::new() else { return };
    scene.serve(4);
    let dhow = &scene.dhow;

    let run =
        ["--name=web", "--hostname=webby", "--network=lan", "box", "httpd", "-f", "-h", "/etc"];
    start(dhow, &run);
    let lan = scene.networks("web")["lan"].take();
    let address = lan["IPAddress"].as_str().unwrap().to_owned();
    let inside =
        ["exec", "web", "sh", "-c", "ip -4 address; ip route; cat /etc/hosts /etc/resolv.conf"];
    let inside = dhow.run(&inside).ok().stdout;
    let url = format!("http://{address}/passwd");
    let fetched = need::eventually(SOON, || {
        let output = scene.router.command("busybox").args(["wget", "-q", "-O-", &url]).output();
        let output = output.unwrap();
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    });
    let shown = dhow.run(&["network", "inspect", "lan"]).ok().stdout;
    // The first, and one more when the time to ask again has come.
    scene.heard(&format!("DHCPACK(up1) {address}"), 2);
    let later = dhow.run(&["exec", "web", "ip", "-4", "address"]).ok().stdout;
    drop(dhow.run(&["rm", "-f", "-t", "0", "web"]).ok());

    scene.heard(&format!("DHCPRELEASE(up1) {address}"), 1);
    scene.heard("webby", 1);
    assert!(address.starts_with("10.55.0.5") || address == "10.55.0.60", "{lan}");
    assert_eq!((&lan["IPPrefixLen"], &lan["Gateway"]), (&24.into(), &"10.55.0.1".into()));
    for said in [
        &format!("inet {address}/24"),
        "default via 10.55.0.1 dev eth0",
        &format!("{address}\twebby"),
        "search home.arpa",
    ] {
        assert!(inside.contains(said), "{said} in {inside}");
    }
    assert!(fetched.unwrap().contains("root:"));
    assert!(shown.contains("\"dhcp\""), "{shown}");
    assert!(later.contains(&address), "{later}");
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn the_plugin_dhcp_keeps_a_lease_for_other_plugins() {
    let Some(mut scene) = Scene::new() else { return };
    scene.serve(4);
    let dhow = &scene.dhow;
    let (lists, plugins) = (dhow.directory().join("net.d"), dhow.directory().join("plugins"));
    fs::create_dir(&lists).unwrap();
    fs::create_dir(&plugins).unwrap();
    for name in ["macvlan", "dhcp"] {
        symlink(dhow.program(), plugins.join(name)).unwrap();
    }
    let list = r#"{"cniVersion": "1.0.0", "name": "street", "plugins": [
        {"type": "macvlan", "master": "up0", "ipam": {"type": "dhcp"}}]}"#;
    fs::write(lists.join("street.conflist"), list).unwrap();
    let network = "[network]\nnetwork_config_dir =";
    dhow.configure(&format!("{network} {lists:?}\ncni_plugin_dirs = [{plugins:?}]\n"));

    let id = start(dhow, &["--name=web", "--network=street", "box", "sleep", "600"]);
    let street = scene.networks("web")["street"].take();
    let address = street["IPAddress"].as_str().unwrap().to_owned();
    let routes = dhow.run(&["exec", "web", "ip", "route"]).ok().stdout;
    scene.heard(&format!("DHCPACK(up1) {address}"), 2);
    drop(dhow.run(&["network", "reload", "web"]).ok());
    drop(dhow.run(&["rm", "-f", "-t", "0", "web"]).ok());

    scene.heard(&format!("DHCPRELEASE(up1) {address}"), 1);
    assert!(address.starts_with("10.55.0."), "{street}");
    assert!(routes.contains("default via 10.55.0.1"), "{routes}");
    let keepers = fs::read_dir("/run/cni/dhow-dhcp").into_iter().flatten().flatten();
    let mut left = keepers.filter(|one| one.file_name().to_string_lossy().starts_with(&id));
    assert!(left.next().is_none(), "a keeper of the lease is left");
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

/// A lease whose keeper is killed is the server's to end; who comes back until then has the same address.
#[test]
fn a_killed_monitor_leaves_no_process_and_its_lease_is_taken_up_again() {
    let Some(mut scene) = Scene::new() else { return };
    scene.serve(60);
    let dhow = &scene.dhow;
    let id = start(dhow, &["--name=web", "--network=lan", "box", "sleep", "600"]);
    let address = scene.networks("web")["lan"]["IPAddress"].take();
    let address = address.as_str().unwrap().to_owned();

    let pid = dhow.run(&["inspect", "--format", "{{.State.Pid}}", "web"]).ok();
    let program = Path::new("/proc").join(pid.line());
    assert!(program.exists());
    kill_by_name(dhow, &id, "monitor_pid");

    wait_for_state(dhow, "web", "exited");
    need::eventually(SOON, || (!program.exists()).then_some(())).expect("the program is ended");
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    let leases = || fs::read_to_string(scene.leases()).unwrap();
    assert!(leases().contains(&address), "nobody has given it back: {}", leases());
    drop(dhow.run(&["start", "web"]).ok());
    assert_eq!(scene.networks("web")["lan"]["IPAddress"], address.as_str());
    let inside = dhow.run(&["exec", "web", "ip", "-4", "address", "show", "eth0"]).ok().stdout;
    assert!(inside.contains(&address), "{inside}");
    assert_eq!(leases().lines().count(), 1, "{}", leases());
    drop(dhow.run(&["rm", "-f", "-t", "0", "web"]).ok());
    scene.heard(&format!("DHCPRELEASE(up1) {address}"), 1);
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

/// Who keeps the lease is killed: the container goes by the next command, the server's lease runs out by
/// itself, and the next life asks for the same address. The host's rules are as they were.
#[test]
fn a_killed_keeper_of_a_lease_leaves_nothing_on_the_host() {
    let Some(mut scene) = Scene::new() else { return };
    scene.serve(60);
    let dhow = &scene.dhow;
    dhow.host().output(&["nft", "add table inet site; add chain inet site own"]);
    let ruleset = || dhow.host().output(&["nft", "list", "ruleset"]);
    let before = ruleset();
    let of_web = || {
        let address = scene.networks("web")["lan"]["IPAddress"].take();
        address.as_str().unwrap().to_owned()
    };
    let run = ["--name=web", "--network=lan", "--network=bridge", "-p", "8080:80"];
    start(dhow, &[&run[..], &["box", "sleep", "600"]].concat());
    let address = of_web();
    let meanwhile = ruleset();

    kill_monitor(dhow, "web");
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    assert!(!ruleset().contains("8080"), "{}", ruleset());
    assert_eq!(of_web(), "");
    drop(dhow.run(&["start", "web"]).ok());
    assert_eq!(of_web(), address);
    kill_monitor(dhow, "web");
    drop(dhow.run(&["rm", "-f", "-t", "0", "web"]).ok());
    drop(dhow.run(&["network", "rm", "lan"]).ok());
    drop(dhow.run(&["network", "prune", "-f"]).ok());

    assert!(address.starts_with("10.55.0.") && meanwhile.contains("8080"), "{meanwhile}");
    assert_eq!(ruleset(), before);
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    let links = || dhow.host().output(&["ip", "-brief", "link"]);
    let only_up0 = || (!links().contains("dv-") && !links().contains("dhow0")).then_some(());
    need::eventually(SOON, only_up0).expect("the devices go with their namespace");
}

#[test]
fn without_a_server_there_is_one_error_and_nothing_left() {
    let Some(scene) = Scene::new() else { return };
    let dhow = &scene.dhow;

    let failed = dhow.run(&["run", "--rm", "--network=lan", "box", "true"]).exits(125);

    assert!(failed.stderr.contains("no DHCP server on up0 answered"), "{}", failed.stderr);
    assert_eq!(dhow.run(&["ps", "-aq"]).ok().stdout, "");
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    drop(dhow.run(&["network", "rm", "lan"]).ok());
}

#[test]
fn what_a_server_cannot_give_is_refused() {
    let Some(mut scene) = Scene::new() else { return };
    scene.serve(60);
    let dhow = &scene.dhow;
    let create = |more: &[&str]| {
        let words = [&["network", "create", "--ipam-driver=dhcp"], more, &["other"]].concat();
        dhow.run(&words).exits(1).stderr
    };

    assert!(create(&[]).contains("use the IPAM driver dhcp with bridge"));
    let on_device = ["-d", "macvlan", "-o", "parent=up0"];
    assert!(
        create(&[&on_device[..], &["--subnet=10.9.0.0/24"]].concat()).contains("dhcp does not")
    );
    assert!(create(&[&on_device[..], &["--ipv6"]].concat()).contains("version 4 only"));
    let asked = dhow.run(&["run", "--rm", "--network=lan", "--ip=10.55.0.55", "box", "true"]);
    assert!(asked.exits(125).stderr.contains("a server gives those of the network"));
    start(dhow, &["--name=web", "box", "sleep", "600"]);
    let live = dhow.run(&["network", "connect", "lan", "web"]).exits(1);
    assert!(live.stderr.contains("stop the container first"), "{}", live.stderr);
    assert!(scene.networks("web").get("lan").is_none());
    drop(dhow.run(&["rm", "-f", "-t", "0", "web"]).ok());
}

/// The reference's macvlan with whose `dhcp`?
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Whose {
    Ours,
    Debians,
}

const REFERENCE: &str = "/usr/lib/cni";
const MAC: &str = "02:00:00:00:00:77";

/// A connection of a namespace to the link, as an engine asks plugins for it.
struct Call<'a> {
    scene: &'a Scene,
    container: HostNetwork,
    document: Value,
}

impl Call<'_> {
    /// The status and what is printed.
    fn ask(&self, command: &str) -> (bool, Value) {
        let plugins = self.scene.dhow.directory().join("plugins");
        let mut child = self
            .scene
            .dhow
            .host()
            .command(plugins.join("macvlan"))
            .env("CNI_COMMAND", command)
            .env("CNI_CONTAINERID", format!("c{}", std::process::id()))
            .env("CNI_NETNS", self.container.path())
            .env("CNI_IFNAME", "eth0")
            .env("CNI_PATH", &plugins)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(self.document.to_string().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.success(), serde_json::from_slice(&output.stdout).unwrap_or_default())
    }

    /// What the container has of it.
    fn seen(&self) -> String {
        let mut lines = Vec::new();
        for words in [&["ip", "-4", "-o", "address"][..], &["ip", "-4", "route"]] {
            let text = self.container.output(words);
            lines.extend(text.lines().map(|line| line.trim_end().to_owned()));
        }
        lines.sort_unstable();
        lines.join("\n")
    }
}

/// ADD, CHECK, DEL and DEL again: what is said and done, by the container and by the server.
fn told_by(whose: Whose) -> Option<Vec<String>> {
    let mut scene = Scene::new()?;
    let routes = "--dhcp-option=121,192.168.9.0/24,10.55.0.7,0.0.0.0/0,10.55.0.1";
    scene.serve_with(60, &[routes, &format!("--dhcp-host={MAC},10.55.0.77")]);
    let (plugins, socket) =
        (scene.dhow.directory().join("plugins"), scene.dhow.directory().join("socket"));
    fs::create_dir(&plugins).unwrap();
    symlink(Path::new(REFERENCE).join("macvlan"), plugins.join("macvlan")).unwrap();
    let program = match whose {
        Whose::Ours => scene.dhow.program().to_owned(),
        Whose::Debians => Path::new(REFERENCE).join("dhcp"),
    };
    symlink(&program, plugins.join("dhcp")).unwrap();
    let mut daemon = (whose == Whose::Debians).then(|| {
        let mut command = scene.dhow.host().command(&program);
        command.args(["daemon", "-socketpath"]).arg(&socket).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        need::eventually(SOON, || socket.exists().then_some(())).expect("the daemon listens");
        child
    });
    let document = json!({
        "cniVersion": "1.0.0", "name": "street", "type": "macvlan", "master": "up0",
        "runtimeConfig": {"mac": MAC},
        "ipam": {"type": "dhcp", "daemonSocketPath": socket, "request": [{"option": "121"}]},
    });
    let mut call = Call { scene: &scene, container: HostNetwork::new(), document };
    let mut told = Vec::new();

    let (is_there, mut added) = call.ask("ADD");
    assert!(is_there, "{whose:?}: {added}");
    call.document["prevResult"] = added.clone();
    added["interfaces"][0]["sandbox"].take();
    added["routes"].as_array_mut().unwrap().sort_by_key(|route| route["dst"].to_string());
    told.push(added.to_string());
    told.push(call.seen());
    // When it ends is another each time; who has it, under which name, is not.
    let lease = fs::read_to_string(scene.leases()).unwrap();
    told.push(lease.split(' ').skip(1).collect::<Vec<_>>().join(" "));
    for command in ["CHECK", "DEL", "DEL"] {
        let (is_well, said) = call.ask(command);
        told.push(format!("{command} {is_well} {said}"));
    }
    scene.heard("DHCPRELEASE(up1) 10.55.0.77", 1);
    let is_free = || fs::read_to_string(scene.leases()).unwrap().is_empty().then_some(());
    need::eventually(SOON, is_free).expect("the server has its address back");
    told.push(call.seen());
    if let Some(daemon) = &mut daemon {
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }
    Some(told)
}

#[test]
fn the_plugin_dhcp_answers_as_the_reference_does() {
    if !Path::new(REFERENCE).join("dhcp").exists() {
        return need::skip("containernetworking-plugins");
    }
    let (Some(ours), Some(theirs)) = (told_by(Whose::Ours), told_by(Whose::Debians)) else {
        return;
    };

    assert_eq!(ours, theirs);
    for (told, has) in [
        (&ours[0], "\"address\":\"10.55.0.77/24\""),
        (&ours[0], "\"gw\":\"10.55.0.7\""),
        (&ours[1], "192.168.9.0/24 via 10.55.0.7 dev eth0"),
        (&ours[2], "02:00:00:00:00:77 10.55.0.77 * 00:63"),
        (&ours[5], "DEL true null"),
    ] {
        assert!(told.contains(has), "{has} in {ours:#?}");
    }
}
