//! `kill -9` at random points of what is done to networks: no half of one is left, the doctor finds
//! nothing, the retry succeeds.

use crate::{
    crash_volumes::{killed, words},
    fixture::with_networked_box,
};
use dhow_testkit::{Dhow, HostNetwork, needs_tool};

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
    let pid = dhow.run(&["inspect", "--format", "{{.State.Pid}}", "web"]).ok().line().to_owned();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim();
    let database = database.display().to_string();
    drop(dhow.host().output(&["sqlite3", &database, forgotten]));
    drop(dhow.host().output(&["kill", "-9", parent]));
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
