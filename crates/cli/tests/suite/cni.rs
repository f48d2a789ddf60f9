//! Networks that plugins make, by lists of their authors': Debian's plugins, and our own under their
//! names. The host is a network namespace of each test's own.

use crate::fixture::{start, with_networked_box};
use dhow_testkit::{Dhow, HostNetwork, need};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

const SOON: Duration = Duration::from_secs(20);

/// Whose plugins are called.
#[derive(Clone, Copy, Debug)]
enum Whose {
    Debians,
    Ours,
}

/// A dhow on a network of its own, with a directory of lists and one of plugins.
struct Scene {
    dhow: Dhow,
    whose: Whose,
}

impl Scene {
    fn new(whose: Whose) -> Option<Self> {
        if !HostNetwork::is_possible() {
            return None;
        }
        let tools = ["iptables", "tc"];
        if let Some(missing) = tools.into_iter().find(|tool| need::tool(tool).is_none()) {
            need::skip(missing);
            return None;
        }
        if !Path::new("/usr/lib/cni/bridge").exists() {
            need::skip("containernetworking-plugins");
            return None;
        }
        let dhow = with_networked_box();
        let scene = Self { dhow, whose };
        fs::create_dir(scene.lists()).unwrap();
        fs::create_dir(scene.plugins()).unwrap();
        let program = match whose {
            Whose::Debians => |name: &str, _: &Path| PathBuf::from("/usr/lib/cni").join(name),
            Whose::Ours => |_: &str, dhow: &Path| dhow.to_owned(),
        };
        for name in ["bridge", "host-local", "portmap", "firewall", "bandwidth", "macvlan"] {
            let target = program(name, scene.dhow.program());
            std::os::unix::fs::symlink(target, scene.plugins().join(name)).unwrap();
        }
        scene.configure("");
        Some(scene)
    }

    /// With what is added to the table of networks.
    fn configure(&self, more: &str) {
        self.dhow.configure(&format!(
            "[network]\nnetwork_config_dir = {:?}\ncni_plugin_dirs = [{:?}]\n{more}",
            self.lists(),
            self.plugins()
        ));
    }

    /// A chain as [`Self::chain`], with another plugin at its end.
    fn chain_ending_with(&self, name: &str, last: &str) {
        self.chain(name, "10.66.0.0/24");
        let path = self.lists().join(format!("{name}.conflist"));
        let mut list: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        list["plugins"][3] = json!({"type": last});
        fs::write(path, list.to_string()).unwrap();
    }

    fn lists(&self) -> PathBuf {
        self.dhow.directory().join("net.d")
    }

    fn plugins(&self) -> PathBuf {
        self.dhow.directory().join("plugins")
    }

    /// A chain as podman's users have it.
    fn chain(&self, name: &str, subnet: &str) {
        let ipam = json!({
            "type": "host-local", "dataDir": self.leases(),
            "ranges": [[{"subnet": subnet}]], "routes": [{"dst": "0.0.0.0/0"}],
        });
        self.list(
            name,
            &json!([
                {
                    "type": "bridge", "bridge": format!("cni-{name}"), "isGateway": true,
                    "ipMasq": true, "hairpinMode": true, "ipam": ipam,
                    "capabilities": {"ips": true, "mac": true},
                    "dns": {"nameservers": ["10.66.0.1"], "search": ["home.arpa"]},
                },
                {"type": "portmap", "capabilities": {"portMappings": true}},
                {"type": "firewall"},
                {"type": "bandwidth", "ingressRate": 80_000_000, "ingressBurst": 8_000_000},
            ]),
        );
    }

    fn list(&self, name: &str, plugins: &Value) {
        let (version, is_debians) = match self.whose {
            Whose::Debians => ("1.0.0", true),
            Whose::Ours => ("1.1.0", false),
        };
        // Debian's portmap (1.1) looks for rules of IPv6 where it has made none.
        let list = json!({
            "cniVersion": version, "name": name, "disableCheck": is_debians, "plugins": plugins,
        });
        fs::write(self.lists().join(format!("{name}.conflist")), list.to_string()).unwrap();
    }

    fn leases(&self) -> PathBuf {
        self.dhow.directory().join("leases")
    }

    /// A plugin that is a shell script.
    fn script(&self, name: &str, body: &str) {
        let path = self.plugins().join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn inspect(&self, container: &str) -> Value {
        let text = self.dhow.run(&["inspect", container]).ok().stdout;
        serde_json::from_str::<Value>(&text).unwrap()[0].take()
    }

    /// What a program on the host says, as soon as it comes to a good end.
    fn said(&self, words: &[&str]) -> String {
        let answer = need::eventually(SOON, || {
            let output = self.dhow.host().command(words[0]).args(&words[1..]).output().unwrap();
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
        });
        answer.unwrap_or_else(|| panic!("{words:?} got no answer"))
    }

    /// Nothing of any container is left: no address leased, no rule, nothing remembered or held.
    fn assert_clean(&self, network: &str) {
        assert_eq!(self.dhow.run(&["doctor"]).ok().stdout, "all is well\n");
        let leases = entries(&self.leases().join(network));
        let left: Vec<_> = leases.iter().filter(|name| name.starts_with("10.")).collect();
        assert!(left.is_empty(), "addresses are leased still: {left:?}");
        assert!(entries(&self.dhow.root().join("cni/results")).is_empty());
        assert!(entries(&self.dhow.runroot().join("namespaces")).is_empty());
        let rules = self.dhow.host().output(&["nft", "list", "ruleset"]);
        assert!(!rules.contains("10.66.0."), "{rules}");
        let links = self.dhow.host().output(&["ip", "-brief", "link"]);
        assert!(!links.contains("veth"), "{links}");
    }
}

fn entries(directory: &Path) -> Vec<String> {
    let read = fs::read_dir(directory).into_iter().flatten().flatten();
    read.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn a_chain_connects_publishes_and_leaves_nothing(whose: Whose) {
    let Some(scene) = Scene::new(whose) else { return };
    let dhow = &scene.dhow;
    scene.chain("street", "10.66.0.0/24");

    let listed = dhow.run(&["network", "ls", "--format", "{{.Name}} {{.Driver}}"]).ok().stdout;
    let shown = dhow.run(&["network", "inspect", "street"]).ok().stdout;
    let shown = serde_json::from_str::<Value>(&shown).unwrap()[0].take();
    let run =
        ["--name=web", "--network=street", "-p", "8080:80", "box", "httpd", "-f", "-h", "/etc"];
    start(dhow, &run);
    let settings = scene.inspect("web")["NetworkSettings"].take();
    let of_street = &settings["Networks"]["street"];
    let address = of_street["IPAddress"].as_str().unwrap().to_owned();
    let by_port = scene.said(&["busybox", "wget", "-q", "-O-", "http://10.66.0.1:8080/passwd"]);
    let inside = dhow.run(&["exec", "web", "cat", "/etc/hosts", "/etc/resolv.conf"]).ok().stdout;
    let by_name =
        ["run", "--rm", "--network=street", "box", "wget", "-q", "-O-", "http://web/passwd"];
    let by_name = dhow.run(&by_name).ok().stdout;

    assert!(listed.contains("street bridge\n"), "{listed}");
    assert_eq!(shown["IPAM"]["Config"][0]["Subnet"], "10.66.0.0/24");
    assert_eq!(shown["CNI"]["List"]["plugins"][1]["type"], "portmap");
    assert!(address.starts_with("10.66.0."), "{settings}");
    assert_eq!(
        (&of_street["IPPrefixLen"], &of_street["Gateway"]),
        (&json!(24), &json!("10.66.0.1"))
    );
    assert_eq!(settings["Ports"]["80/tcp"][0]["HostPort"], "8080");
    let link = dhow.run(&["exec", "web", "ip", "link", "show", "eth0"]).ok().stdout;
    assert!(link.contains(of_street["MacAddress"].as_str().unwrap()), "{link}\n{settings}");
    assert!(by_port.contains("root:") && by_name == by_port, "{by_port}{by_name}");
    assert!(inside.contains(&format!("{address}\t")), "{inside}");
    assert!(inside.contains("search home.arpa") && inside.contains("127.0.0.11"), "{inside}");
    let network = dhow.run(&["network", "inspect", "street"]).ok().stdout;
    assert!(network.contains(&format!("{address}/24")), "{network}");
    drop(dhow.run(&["network", "reload", "web"]).ok());
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    // Who is there is no garbage.
    drop(dhow.run(&["doctor", "--repair"]).ok());
    drop(dhow.run(&["network", "reload", "web"]).ok());
    scene.said(&["busybox", "wget", "-q", "-O-", "http://10.66.0.1:8080/passwd"]);
    drop(dhow.run(&["restart", "-t", "0", "web"]).ok());
    scene.said(&["busybox", "wget", "-q", "-O-", "http://10.66.0.1:8080/passwd"]);
    drop(dhow.run(&["rm", "-f", "-t", "0", "web"]).ok());

    scene.assert_clean("street");
    fs::remove_file(scene.lists().join("street.conflist")).unwrap();
    assert!(!dhow.run(&["network", "ls", "-q", "--filter=name=street"]).ok().stdout.contains('\n'));
}

#[test]
fn a_chain_of_debians_plugins_connects_publishes_and_leaves_nothing() {
    a_chain_connects_publishes_and_leaves_nothing(Whose::Debians);
}

#[test]
fn a_chain_of_our_plugins_connects_publishes_and_leaves_nothing() {
    a_chain_connects_publishes_and_leaves_nothing(Whose::Ours);
}

#[test]
fn what_is_asked_for_reaches_the_plugins_and_networks_of_both_kinds_go_together() {
    let Some(scene) = Scene::new(Whose::Debians) else { return };
    let dhow = &scene.dhow;
    scene.chain("street", "10.66.0.0/24");
    let words = [
        "--name=web",
        "--network=street:ip=10.66.0.77,mac=02:00:00:00:00:77",
        "--network=bridge",
        "box",
        "sleep",
        "600",
    ];
    start(dhow, &words);

    let networks = scene.inspect("web")["NetworkSettings"]["Networks"].take();
    let link = dhow.run(&["exec", "web", "ip", "address", "show", "eth0"]).ok().stdout;
    let taken = ["run", "--rm", "--network=street", "--ip=10.66.0.77", "box", "true"];
    let taken = dhow.run(&taken).exits(125);

    assert!(link.contains("02:00:00:00:00:77") && link.contains("10.66.0.77/24"), "{link}");
    assert_eq!(networks["street"]["IPAddress"], "10.66.0.77");
    assert!(networks["bridge"]["IPAddress"].as_str().unwrap().starts_with("10.88.0."));
    assert!(taken.stderr.contains("10.66.0.77"), "{}", taken.stderr);
    drop(dhow.run(&["rm", "-f", "-t", "0", "web"]).ok());
    scene.assert_clean("street");
}

#[test]
fn a_container_that_runs_is_connected_by_plugins_and_disconnected_again() {
    let Some(scene) = Scene::new(Whose::Debians) else { return };
    let dhow = &scene.dhow;
    scene.chain("street", "10.66.0.0/24");
    start(dhow, &["--name=web", "box", "sleep", "600"]);

    drop(dhow.run(&["network", "connect", "street", "web"]).ok());
    let addresses = dhow.run(&["exec", "web", "ip", "-4", "address", "show", "eth1"]).ok().stdout;
    let hosts = dhow.run(&["exec", "web", "cat", "/etc/hosts"]).ok().stdout;
    drop(dhow.run(&["network", "disconnect", "street", "web"]).ok());
    let after = dhow.run(&["exec", "web", "ip", "link"]).ok().stdout;
    let hosts_after = dhow.run(&["exec", "web", "cat", "/etc/hosts"]).ok().stdout;

    assert!(addresses.contains("10.66.0."), "{addresses}");
    assert!(hosts.contains("10.66.0.") && !hosts_after.contains("10.66.0."), "{hosts}");
    assert!(!after.contains("eth1"), "{after}");
    scene.assert_clean("street");
    drop(dhow.run(&["restart", "-t", "0", "web"]).ok());
    drop(dhow.run(&["network", "connect", "street", "web"]).ok());
    drop(dhow.run(&["rm", "-f", "-t", "0", "web"]).ok());
    scene.assert_clean("street");
}

#[test]
fn plugins_that_fail_are_told_in_their_own_words_and_nothing_is_left() {
    let Some(scene) = Scene::new(Whose::Debians) else { return };
    let dhow = &scene.dhow;
    scene.chain("street", "10.66.0.0/24");
    scene.script("silent", "exit 0");
    scene.script("babbles", "[ $CNI_COMMAND = DEL ] || echo no json");
    scene.script("refuses", "[ $CNI_COMMAND = DEL ] && exit 0\necho '{\"code\":100,\"msg\":\"the moon is full\",\"details\":\"wait\"}'\nexit 1");
    for (name, said) in [
        ("silent", "read its result as JSON"),
        ("babbles", "no json"),
        ("refuses", "the moon is full"),
        ("missing", "find the plugin \"missing\""),
    ] {
        scene.chain_ending_with(name, name);

        let failed = dhow.run(&["run", "--rm", "--network", name, "box", "true"]).exits(125);

        assert!(failed.stderr.contains(said), "{name}: {}", failed.stderr);
        assert!(failed.stderr.contains(&format!("{name:?}")), "{}", failed.stderr);
        assert_eq!(failed.stderr.matches("error:").count(), 1, "{}", failed.stderr);
        scene.assert_clean(name);
    }
    scene.list("dull", &json!([{"type": "bridge", "bridge": "cni-dull"}]));
    let failed = dhow.run(&["run", "--rm", "-p", "80", "--network=dull", "box", "true"]).exits(125);
    assert!(failed.stderr.contains("no plugin of network dull can"), "{}", failed.stderr);
    let refused = dhow.run(&["pod", "create", "--network=street", "p"]);
    assert_ne!(refused.code, 0, "{refused}");
    assert!(refused.stderr.contains("to network street: plugins make it"), "{refused}");
    assert_eq!(dhow.run(&["pod", "ps", "-q"]).ok().stdout, "");
    let failed = dhow.run(&["network", "rm", "street"]).exits(1);
    assert!(failed.stderr.contains("street.conflist"), "{}", failed.stderr);
    fs::write(scene.lists().join("broken.conflist"), "{\"name\":\"broken\"").unwrap();
    let failed = dhow.run(&["run", "--rm", "--network=broken", "box", "true"]).exits(125);
    assert!(failed.stderr.contains("broken"), "{}", failed.stderr);
    scene.assert_clean("street");
}

/// Processes that wrote their numbers are gone, or about to be: they are reaped by whoever has them.
fn assert_ended(pid_files: &[PathBuf]) {
    for file in pid_files {
        let pid = fs::read_to_string(file).unwrap();
        let process = Path::new("/proc").join(pid.trim());
        assert!(need::eventually(SOON, || (!process.exists()).then_some(())).is_some(), "{pid}");
    }
}

/// A plugin's script that never ends, nor does its child; both write their numbers down.
fn hanging(pids: &[PathBuf; 2]) -> String {
    let [itself, child] = pids.each_ref().map(|path| path.display());
    format!("sleep 1000 &\necho $! > {child}.new; mv {child}.new {child}\necho $$ > {itself}\nwait")
}

#[test]
fn a_plugin_that_hangs_is_killed_with_its_children_and_nothing_is_left() {
    let Some(scene) = Scene::new(Whose::Debians) else { return };
    let dhow = &scene.dhow;
    let pids = ["itself", "child"].map(|name| dhow.directory().join(name));
    let hangs = hanging(&pids);
    scene.script("hangs", &format!("[ $CNI_COMMAND = DEL ] && exit 0\n{hangs}"));
    scene.chain_ending_with("street", "hangs");
    let run = ["run", "--rm", "--network=street", "-p", "8080:80", "box", "true"];
    // The network is known before the configuration says how long its plugins may take.
    drop(dhow.run(&["network", "inspect", "street"]).ok());
    scene.configure("cni_plugin_timeout = 1\n");

    let failed = dhow.run(&run).exits(125);

    let told = &failed.stderr;
    assert!(told.contains("\"hangs\"") && told.contains("did not end within 1s"), "{told}");
    assert_eq!(told.matches("error:").count(), 1, "{told}");
    assert_ended(&pids);
    scene.assert_clean("street");

    // One that hangs in DEL as well is named until it lets go.
    scene.script("hangs", &hangs);
    let failed = dhow.run(&run).exits(125);
    assert!(failed.stderr.contains("taking it back failed too"), "{}", failed.stderr);
    assert_eq!(failed.stderr.matches("error:").count(), 1, "{}", failed.stderr);
    let named = dhow.run(&["doctor"]).exits(1).stdout;
    assert!(named.contains("network street") && named.contains("\"hangs\""), "{named}");
    scene.script("hangs", "[ $CNI_COMMAND = DEL ] && exit 0\ncat > /dev/null\nexit 1");
    drop(dhow.run(&["doctor", "--repair"]).ok());
    assert_ended(&pids);
    scene.assert_clean("street");
}

#[test]
fn a_plugin_that_hangs_ends_also_where_its_command_was_killed() {
    let Some(scene) = Scene::new(Whose::Debians) else { return };
    let dhow = &scene.dhow;
    let pids = ["itself", "child"].map(|name| dhow.directory().join(name));
    scene.script("hangs", &format!("[ $CNI_COMMAND = DEL ] && exit 0\n{}", hanging(&pids)));
    scene.chain_ending_with("street", "hangs");
    let mut command = dhow.command(&["run", "--rm", "--network=street", "box", "true"]);
    let null = Stdio::null;
    let mut child = command.stdin(null()).stdout(null()).stderr(null()).spawn().unwrap();
    let is_there = || fs::read(&pids[0]).is_ok_and(|text| text.ends_with(b"\n")).then_some(());
    need::eventually(SOON, is_there).expect("the plugin is called");

    child.kill().unwrap();
    child.wait().unwrap();

    let gone = || dhow.run(&["ps", "-aq"]).ok().stdout.is_empty().then_some(());
    need::eventually(SOON, gone).expect("the container goes");
    scene.assert_clean("street");
    assert_ended(&pids);
}

#[test]
fn commands_that_are_killed_leave_nothing_of_plugins() {
    let Some(scene) = Scene::new(Whose::Debians) else { return };
    let dhow = &scene.dhow;
    scene.chain("street", "10.66.0.0/24");
    let run = ["run", "--rm", "--network=street", "-p", "8080:80", "box", "true"];
    let begin = Instant::now();
    drop(dhow.run(&run).ok());
    let whole = begin.elapsed();
    const KILLS: u32 = 12;
    for part in 1..=KILLS {
        let mut command = dhow.command(&run);
        let null = Stdio::null;
        let mut child = command.stdin(null()).stdout(null()).stderr(null()).spawn().unwrap();
        std::thread::sleep(whole * part / KILLS);
        child.kill().unwrap();
        child.wait().unwrap();

        let gone = need::eventually(SOON, || {
            let left = dhow.run(&["ps", "-aq"]).ok().stdout;
            left.is_empty().then_some(())
        });

        assert!(gone.is_some(), "a container is left after kill {part}");
        scene.assert_clean("street");
    }
    drop(dhow.run(&run).ok());
    scene.assert_clean("street");
}

/// Podman's own network code (`network_backend = "cni"`) with the plugins of the scene: it starts a
/// service, prints what it knows of its network, asks it by its port and by a neighbour, and removes it.
const PODMAN: &str = r#"
set -e
podman="podman --root $HERE/root --runroot $HERE/run --tmpdir $HERE/tmp --storage-driver vfs"
podman="$podman --runtime $HERE/dhow-runtime"
trap '$podman rm -fa -t 0 >&2' EXIT
$podman pull -q "$IMAGE" >&2
image=$($podman images -q)
$podman run -d --name web --network street -p 8080:80 $image httpd -f -h /etc >&2
$podman inspect web --format '{{json .NetworkSettings}}'
tries=0
until busybox wget -q -O- http://10.66.0.1:8080/passwd >&2; do
    tries=$((tries + 1)); [ $tries -lt 100 ]; sleep 0.1
done
$podman run --rm --network street $image ping -c 1 -W 5 10.66.0.2 >&2
"#;

/// What podman knows of a container's network.
fn podmans_network(whose: Whose) -> Option<Value> {
    let scene = Scene::new(whose)?;
    if let Some(missing) = ["podman", "conmon"].into_iter().find(|it| need::tool(it).is_none()) {
        need::skip(missing);
        return None;
    }
    scene.chain("street", "10.66.0.0/24");
    // Podman 4 knows version 0.4.0 of the interface.
    let path = scene.lists().join("street.conflist");
    let list = fs::read_to_string(&path).unwrap();
    let list = list.replace("1.0.0", "0.4.0").replace("1.1.0", "0.4.0");
    fs::write(&path, list).unwrap();
    let here = scene.dhow.directory().join("podman");
    fs::create_dir(&here).unwrap();
    std::os::unix::fs::symlink(scene.dhow.program(), here.join("dhow-runtime")).unwrap();
    let configuration = here.join("containers.conf");
    let text = format!(
        "[network]\nnetwork_backend = \"cni\"\nnetwork_config_dir = {:?}\n\
         cni_plugin_dirs = [{:?}]\ndefault_network = \"street\"\n\
         [containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n\
         [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\n",
        scene.lists(),
        scene.plugins()
    );
    fs::write(&configuration, text).unwrap();
    let image = dhow_testkit::rootfs::busybox_image().unwrap();
    // What podman mounts is gone with its mount namespace.
    let output = scene
        .dhow
        .host()
        .command("unshare")
        .args(["-m", "sh", "-c", PODMAN])
        .env("CONTAINERS_CONF", &configuration)
        .env("HERE", &here)
        .env("IMAGE", image.reference("box"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{whose:?}: {errors}");
    scene.assert_clean("street");
    let mut known: Value = serde_json::from_slice(&output.stdout).unwrap();
    for one in ["/MacAddress", "/Networks/street/MacAddress"] {
        let mac = known.pointer_mut(one).unwrap();
        assert_eq!(mac.as_str().unwrap().split(':').count(), 6, "{mac}");
        *mac = Value::Null;
    }
    known["SandboxKey"] = Value::Null;
    known["Networks"]["street"]["Aliases"] = Value::Null;
    Some(known)
}

#[test]
fn podmans_containers_are_connected_by_our_plugins_as_by_debians() {
    let (Some(ours), Some(debians)) =
        (podmans_network(Whose::Ours), podmans_network(Whose::Debians))
    else {
        return;
    };

    assert_eq!(ours, debians);
    assert_eq!(ours["Networks"]["street"]["IPAddress"], "10.66.0.2");
}
