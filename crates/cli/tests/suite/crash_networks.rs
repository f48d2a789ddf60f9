//! `kill -9` at random points of what is done to networks: no half of one is left, the doctor finds
//! nothing, the retry succeeds.

use crate::{
    crash_volumes::{killed, words},
    fixture::{SOON, kill_monitor, monitor_of, with_networked_box},
};
use dhow_testkit::{Dhow, HostNetwork, need, needs_tool};
use rustix::process::{Signal, kill_process};
use std::process::Stdio;

/// The call in which somebody waits for an answer.
const RECVFROM: u32 = if cfg!(target_arch = "x86_64") { 45 } else { 207 };

fn assert_sound(dhow: &Dhow) {
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    assert_eq!(dhow.host().output(&["nft", "list", "ruleset"]), "");
}

#[test]
fn networks_made_and_removed_under_kills_are_whole_or_gone() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = Dhow::networked();
    let create = |_| words(&["network", "create", "--ignore", "--ipv6", "front"]);
    let made = |_| {
        drop(dhow.run(&["network", "create", "--ignore", "--ipv6", "front"]).ok());
        drop(dhow.run(&["network", "rm", "front"]).ok());
        assert_sound(&dhow);
    };
    let remove = |_| {
        drop(dhow.run(&["network", "create", "--ignore", "--ipv6", "front"]).ok());
        words(&["network", "rm", "front"])
    };
    let gone = |_| {
        drop(dhow.run(&["network", "rm", "--force", "front"]).ok());
        assert_sound(&dhow);
    };

    killed(&dhow, &create, &made);
    killed(&dhow, &remove, &gone);

    let left = dhow.run(&["network", "ls", "-q", "--filter", "type=custom"]).ok();
    assert_eq!(left.stdout, "");
}

#[test]
fn connections_changed_under_kills_are_there_or_not() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = crate::fixture::with_networked_box();
    drop(dhow.run(&["network", "create", "front"]).ok());
    drop(dhow.run(&["network", "create", "back"]).ok());
    drop(dhow.run(&["create", "-q", "--name=web", "--network=front", "box", "true"]).ok());
    let connected = || {
        let list = dhow.run(&["ps", "-a", "--format", "{{.Networks}}"]).ok();
        list.line().contains("back")
    };
    let connect = |_| words(&["network", "connect", "back", "web"]);
    let then_disconnected = |_| {
        if connected() {
            drop(dhow.run(&["network", "disconnect", "back", "web"]).ok());
        }
        assert!(!connected());
        assert_sound(&dhow);
    };

    killed(&dhow, &connect, &then_disconnected);

    drop(dhow.run(&["rm", "web"]).ok());
    drop(dhow.run(&["network", "rm", "front", "back"]).ok());
    assert_sound(&dhow);
}

#[test]
fn a_port_of_the_kernels_choice_is_gone_with_a_start_that_was_killed() {
    if !HostNetwork::is_possible() {
        return;
    }
    needs_tool!("sqlite3");
    let dhow = with_networked_box();
    drop(dhow.run(&["run", "-d", "--name", "web", "-p", "80", "box", "sleep", "1000"]).ok());
    let leads = || dhow.host().output(&["nft", "list", "map", "inet", "dhow", "ports4"]);
    assert!(leads().contains(" . 80"), "{}", leads());

    // What a kill between the rules and the row would leave: nobody has written which port it was.
    let database = dhow.root().join("state.db");
    let forgotten = "delete from ports";
    let database = database.display().to_string();
    drop(dhow.host().output(&["sqlite3", &database, forgotten]));
    kill_monitor(&dhow, "web");
    drop(dhow.run(&["rm", "-f", "-t", "0", "web"]).ok());

    assert!(!leads().contains(" . 80"), "{}", leads());
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");

    // An element that leads nowhere is named.
    let stray = "add element inet dhow ports4 { tcp . 8080 : 10.88.0.77 . 80 }";
    let words: Vec<&str> = ["nft"].into_iter().chain(stray.split(' ')).collect();
    drop(dhow.host().output(&words));
    let doctor = dhow.run(&["doctor"]);
    assert_ne!(doctor.code, 0);
    assert!(doctor.stdout.contains("leads a port to 10.88.0.77"), "{doctor:?}");
}

#[test]
fn devices_that_somebody_took_away_are_named() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = with_networked_box();
    let create = ["network", "create", "--subnet=10.5.0.0/24", "--interface-name=front0", "front"];
    drop(dhow.run(&create).ok());
    let ip = |line: &str| {
        let words: Vec<&str> = ["ip"].into_iter().chain(line.split(' ')).collect();
        dhow.host().output(&words)
    };
    let run = ["run", "-d", "--name=web", "--network=front", "box", "sleep", "1000"];
    drop(dhow.run(&run).ok());
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    let named = |what: &str| {
        let doctor = dhow.run(&["doctor"]).exits(1).stdout;
        assert!(doctor.contains("web: it is not on network front"), "{doctor}");
        assert!(doctor.contains(what), "{what}: {doctor}");
    };
    let ports = ip("-brief link show type veth");
    let port = ports.split(['@', ' ']).next().unwrap().to_owned();

    ip(&format!("link set {port} nomaster"));
    named("is not on the bridge front0 any more");
    ip(&format!("link set {port} master front0"));
    ip("address del 10.5.0.1/24 dev front0");
    named("has not the address 10.5.0.1 any more");
    ip("address add 10.5.0.1/24 dev front0");
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    ip(&format!("link delete {port}"));
    named(&format!("the device {port} is gone"));
    ip("link delete front0");
    named("the bridge front0 is gone");

    drop(dhow.run(&["restart", "-t", "0", "web"]).ok());
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    drop(dhow.run(&["rm", "-f", "-t", "0", "web"]).ok());
    drop(dhow.run(&["network", "rm", "front"]).ok());
    assert_sound(&dhow);
}

/// A container that runs on the network `front`, beside a network `back`.
struct Connected {
    dhow: Dhow,
}

impl Connected {
    fn new() -> Self {
        let dhow = with_networked_box();
        for [name, device, subnet] in
            [["front", "front0", "10.5.0.0/24"], ["back", "back0", "10.6.0.0/24"]]
        {
            let [device, subnet] =
                [format!("--interface-name={device}"), format!("--subnet={subnet}")];
            drop(dhow.run(&["network", "create", &device, &subnet, name]).ok());
        }
        let run = ["run", "-d", "--name=web", "--network=front", "-p", "8080:80"];
        drop(dhow.run(&[&run[..], &["box", "sleep", "1000"]].concat()).ok());
        Self { dhow }
    }

    fn networks(&self) -> String {
        self.dhow.run(&["ps", "-a", "--format", "{{.Networks}}"]).ok().line().to_owned()
    }

    /// What tells of the second network besides its row.
    fn devices(&self) -> [bool; 3] {
        let inside = self.dhow.run(&["exec", "web", "ip", "address"]).ok().stdout;
        let hosts = self.dhow.run(&["exec", "web", "cat", "/etc/hosts"]).ok().stdout;
        let ports = self.dhow.host().output(&["ip", "-brief", "link", "show", "master", "back0"]);
        [inside.contains("10.6.0."), hosts.contains("10.6.0."), !ports.is_empty()]
    }

    /// The doctor is content with what there is, and the connection is whole, or nothing is left of it.
    fn is_whole_or_gone(&self) -> bool {
        assert_eq!(self.dhow.run(&["doctor"]).ok().stdout, "all is well\n");
        let is_connected = self.networks().contains("back");
        assert_eq!(self.devices(), [is_connected; 3]);
        is_connected
    }

    /// Nothing is left once all is removed.
    fn end(&self) {
        drop(self.dhow.run(&["rm", "-f", "-t", "0", "web"]).ok());
        drop(self.dhow.run(&["network", "rm", "front", "back"]).ok());
        assert_sound(&self.dhow);
        let links = || self.dhow.host().output(&["ip", "-brief", "link"]);
        let all_gone = || {
            (!["dv-", "front0", "back0"].iter().any(|name| links().contains(name))).then_some(())
        };
        need::eventually(SOON, all_gone).expect("devices go with their namespaces");
    }
}

#[test]
fn a_live_connection_that_was_killed_halfway_is_taken_back_without_a_retry() {
    if !HostNetwork::is_possible() {
        return;
    }
    let web = Connected::new();
    let dhow = &web.dhow;
    let connect = |_| words(&["network", "connect", "back", "web"]);
    let apart = |_| {
        if web.is_whole_or_gone() {
            drop(dhow.run(&["network", "disconnect", "back", "web"]).ok());
            assert!(!web.is_whole_or_gone());
        }
    };
    let disconnect = |_| {
        if !web.networks().contains("back") {
            drop(dhow.run(&["network", "connect", "back", "web"]).ok());
        }
        words(&["network", "disconnect", "back", "web"])
    };
    let either = |_| {
        web.is_whole_or_gone();
    };

    killed(dhow, &connect, &apart);
    killed(dhow, &disconnect, &either);

    web.end();
}

/// The monitor is asked, and does what it is asked, after the command that asked it was killed.
#[test]
fn what_a_monitor_does_for_a_command_that_is_dead_is_undone() {
    if !HostNetwork::is_possible() {
        return;
    }
    let web = Connected::new();
    let dhow = &web.dhow;
    let half_done = |change: &str| {
        let monitor = monitor_of(dhow, "web");
        kill_process(monitor, Signal::STOP).unwrap();
        let mut command = dhow.command(&["network", change, "back", "web"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let call = format!("/proc/{}/syscall", child.id());
        let is_asking = || {
            let call = std::fs::read_to_string(&call).unwrap_or_default();
            call.starts_with(&format!("{RECVFROM} ")).then_some(())
        };
        need::eventually(SOON, is_asking).expect("the command waits for the monitor's answer");
        child.kill().unwrap();
        child.wait().unwrap();
        kill_process(monitor, Signal::CONT).unwrap();
    };

    half_done("connect");
    assert!(!web.is_whole_or_gone());
    // Who changes it next mends it as well.
    half_done("connect");
    drop(dhow.run(&["network", "connect", "back", "web"]).ok());
    assert!(web.is_whole_or_gone());
    half_done("disconnect");
    assert!(!web.is_whole_or_gone());
    // So does a start.
    half_done("connect");
    drop(dhow.run(&["restart", "-t", "0", "web"]).ok());
    assert_eq!(web.networks(), "front");
    assert!(!web.is_whole_or_gone());
    // And an end.
    half_done("connect");

    web.end();
}
