//! Network devices that move into the container. The host is a network namespace of the test's own.

use crate::bundle::Bundle;
use dhow_spec::runtime::{Hook, Hooks, Namespace, NamespaceKind, NetDevice};
use dhow_testkit::{needs, needs_root, needs_tool, outcome::Outcome};

/// A host with a pair of devices, of which `here` has addresses of all sorts, and a tap device.
const HOST: &str = "ip link set lo up
    ip link add here type veth peer name there
    ip link set here address 02:00:00:00:00:07 mtu 1400 up; ip link set there up
    ip address add 192.0.2.7/24 dev here; ip address add 2001:db8::7/64 dev here nodad
    ip address add 192.0.2.9/32 dev here scope link
    ip tuntap add dev tap7 mode tap";

/// What the host's side looks like afterwards.
const LOOK: &str = "ip -o link show up | cut -d: -f2 | cut -d@ -f1
    ip -o address show dev here | grep -c -e 192.0.2.7/24 -e 2001:db8::7/64 -e 192.0.2.9";

const AS_IT_WAS: &str = " lo\n there\n here\n3\n";

fn can_make_devices() -> bool {
    let mut command = std::process::Command::new("unshare");
    command.args(["--net", "sh", "-ec", HOST]);
    dhow_testkit::outcome::run(&mut command, b"", std::time::Duration::from_secs(30))
        .is_ok_and(|outcome| outcome.code == 0)
}

fn ask(bundle: &mut Bundle, devices: &[(&str, &str)]) {
    bundle.spec.linux.as_mut().unwrap().net_devices = devices
        .iter()
        .map(|(outside, inside)| {
            let name = (!inside.is_empty()).then(|| (*inside).to_owned());
            ((*outside).to_owned(), NetDevice { name })
        })
        .collect();
}

/// Runs the container in a new host, and then looks at that host.
fn run(bundle: &mut Bundle, more: &str, script: &str) -> Outcome {
    let setup = format!(
        "exec unshare --net sh -ec '{HOST}\n{more}\ncode=0; \"$@\" || code=$?\n{LOOK}\nexit $code' sh \"$@\""
    );
    bundle.sh_within(&setup, script)
}

#[test]
fn devices_move_with_their_addresses_and_are_up() {
    needs_root!();
    needs_tool!("ip", "unshare");
    needs!(can_make_devices(), "veth and tap devices");
    let mut bundle = Bundle::new();
    ask(&mut bundle, &[("here", "inner0"), ("tap7", "")]);
    bundle
        .spec
        .linux
        .as_mut()
        .unwrap()
        .sysctl
        .insert("net.ipv4.conf.inner0.forwarding".to_owned(), "1".to_owned());

    let outcome = run(
        &mut bundle,
        "",
        "cat /sys/class/net/inner0/address /sys/class/net/inner0/mtu
         ip -o link | grep -c -e 'inner0.*UP' -e 'tap7.*UP'
         ip -o address show dev inner0 | grep -c -e 192.0.2.7/24 -e 2001:db8::7/64
         ip -o address show dev inner0 | grep -c 192.0.2.9
         cat /proc/sys/net/ipv4/conf/inner0/forwarding",
    );

    // The link-local address stays behind, and the sysctl found the device.
    let inside = "02:00:00:00:00:07\n1400\n2\n2\n0\n1\n";
    assert!(outcome.stdout.starts_with(inside), "{outcome}");
}

#[test]
fn a_device_moves_into_a_namespace_that_is_joined() {
    needs_root!();
    needs_tool!("ip", "unshare");
    needs!(can_make_devices(), "veth and tap devices");
    let mut bundle = Bundle::new();
    let path = bundle.directory().join("namespace");
    let namespaces = &mut bundle.spec.linux.as_mut().unwrap().namespaces;
    namespaces.retain(|entry| entry.kind != NamespaceKind::Network);
    namespaces.push(Namespace { kind: NamespaceKind::Network, path: Some(path) });
    ask(&mut bundle, &[("here", "moved")]);
    // The namespace has a device of the old name already.
    let more = "touch namespace; unshare --net=namespace ip link add here type bridge";

    let outcome = run(&mut bundle, more, "ls /sys/class/net; ip -o address show dev moved");

    assert!(outcome.stdout.contains("here\nlo\nmoved\n"), "{outcome}");
    assert!(outcome.stdout.contains("192.0.2.7/24"), "{outcome}");
}

#[test]
fn a_refused_device_is_as_it_was() {
    needs_root!();
    needs_tool!("ip", "unshare");
    needs!(can_make_devices(), "veth and tap devices");
    let cases: [(&[(&str, &str)], &str); 9] = [
        (&[("lo", "")], "move network device lo to lo: the name is taken"),
        (&[("lo", "lo7")], "move network device lo into the container: hand it over"),
        (&[("here", ""), ("none", "")], "find network device none"),
        (&[("here", "same"), ("tap7", "same")], "the name is taken"),
        (&[("here", "lo")], "move network device here to lo: the name is taken"),
        (&[("here", "a name")], "use the network device name \"a name\""),
        (&[("here", "eth%d0")], "use the network device name \"eth%d0\""),
        (&[("here", "%d")], "use the network device name \"\""),
        // The first of them has moved by then.
        (&[("here", "first"), ("lo", "second")], "move network device lo into the container"),
    ];
    for (devices, says) in cases {
        let mut bundle = Bundle::new();
        ask(&mut bundle, devices);

        let outcome = run(&mut bundle, "", "true");

        assert_eq!(outcome.code, 125, "{devices:?}: {outcome}");
        assert!(outcome.stderr.contains(says), "{devices:?}: {outcome}");
        assert_eq!(outcome.stdout, AS_IT_WAS, "{devices:?}: {outcome}");
    }
}

#[test]
fn the_kernel_makes_names_from_patterns() {
    needs_root!();
    needs_tool!("ip", "unshare");
    needs!(can_make_devices(), "veth and tap devices");
    let mut bundle = Bundle::new();
    let path = bundle.directory().join("namespace");
    let namespaces = &mut bundle.spec.linux.as_mut().unwrap().namespaces;
    namespaces.retain(|entry| entry.kind != NamespaceKind::Network);
    namespaces.push(Namespace { kind: NamespaceKind::Network, path: Some(path) });
    ask(&mut bundle, &[("here", "eth%d"), ("tap7", "eth%d")]);
    let more = "touch namespace; unshare --net=namespace ip link add eth0 type bridge";

    let script = "ls /sys/class/net; ip -o address show dev eth1; ip -o link show up | wc -l";
    let outcome = run(&mut bundle, more, script);

    assert!(outcome.stdout.contains("eth0\neth1\neth2\nlo\n"), "{outcome}");
    assert!(outcome.stdout.contains("192.0.2.7/24"), "{outcome}");
    assert!(outcome.stdout.contains("\n2\n"), "both that moved are up, and no other: {outcome}");
}

#[test]
fn devices_come_back_where_the_container_fails_afterwards() {
    needs_root!();
    needs_tool!("ip", "unshare");
    needs!(can_make_devices(), "veth and tap devices");
    let mut bundle = Bundle::new();
    ask(&mut bundle, &[("here", "inner%d"), ("tap7", "")]);
    bundle.spec.hooks = Some(Hooks {
        create_runtime: vec![Hook { path: "/bin/false".into(), ..Hook::default() }],
        ..Hooks::default()
    });

    let outcome = run(&mut bundle, "", "true");

    assert_eq!(outcome.code, 125, "{outcome}");
    assert!(outcome.stderr.contains("createRuntime"), "{outcome}");
    assert_eq!(outcome.stdout, AS_IT_WAS, "{outcome}");
}

#[test]
fn devices_need_a_network_namespace_of_the_container_s_own() {
    needs_root!();
    needs_tool!("ip", "unshare");
    needs!(can_make_devices(), "veth and tap devices");
    let mut bundle = Bundle::new();
    ask(&mut bundle, &[("lo", "lo9")]);
    let namespaces = &mut bundle.spec.linux.as_mut().unwrap().namespaces;
    namespaces.retain(|entry| entry.kind != NamespaceKind::Network);

    drop(bundle.run(&["true"]).exits(125).says("need a network namespace"));

    let path = Some("/proc/self/ns/net".into());
    let namespaces = &mut bundle.spec.linux.as_mut().unwrap().namespaces;
    namespaces.push(Namespace { kind: NamespaceKind::Network, path });
    let outcome = run(&mut bundle, "", "true");
    assert!(outcome.stderr.contains("in the host's network namespace"), "{outcome}");
}
