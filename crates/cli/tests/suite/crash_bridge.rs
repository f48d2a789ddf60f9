//! `kill -9` at random points of lives on bridges: the doctor finds nothing, the host keeps no
//! cable, no rule and no address, and the retry succeeds.

use crate::{
    crash_volumes::{killed, words},
    fixture::with_networked_box,
};
use dhow_testkit::{Dhow, HostNetwork, need};
use std::time::Duration;

/// Nobody is there any more: no cable, no port, no address that is anybody's.
fn assert_nobody(dhow: &Dhow) {
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    let gone = need::eventually(Duration::from_secs(10), || {
        let links = dhow.host().output(&["ip", "-brief", "link"]);
        (!links.contains("dv-")).then_some(())
    });
    assert!(gone.is_some(), "{}", dhow.host().output(&["ip", "link"]));
    let rules = dhow.host().output(&["nft", "list", "ruleset"]);
    assert!(!rules.contains("7080"), "{rules}");
}

#[test]
fn runs_with_ports_killed_anywhere_leave_nothing_on_the_host() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = with_networked_box();
    let run = |_| words(&["run", "--rm", "-q", "-p", "7080:80", "box", "true"]);
    let then_again = |_| {
        drop(dhow.run(&["rm", "-fa", "-t", "0"]).ok());
        assert_nobody(&dhow);
        drop(dhow.run(&["run", "--rm", "-q", "-p", "7080:80", "box", "true"]).ok());
    };

    killed(&dhow, &run, &then_again);

    let shown = dhow.run(&["network", "inspect", "bridge"]).ok().stdout;
    assert!(shown.contains("\"Containers\": {}"), "{shown}");
}

#[test]
fn connections_and_networks_under_kills_leave_nothing() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = with_networked_box();
    let make = |_| words(&["network", "create", "front"]);
    let then_gone = |_| {
        drop(dhow.run(&["network", "rm", "-f", "front"]));
        assert_nobody(&dhow);
        drop(dhow.run(&["network", "create", "front"]).ok());
        drop(dhow.run(&["network", "rm", "front"]).ok());
    };
    killed(&dhow, &make, &then_gone);

    drop(dhow.run(&["network", "create", "back"]).ok());
    drop(dhow.run(&["run", "-d", "-q", "--name", "c", "box", "sleep", "1000"]).ok());
    let connect = |_| words(&["network", "connect", "back", "c"]);
    let then_apart = |_| {
        drop(dhow.run(&["network", "disconnect", "back", "c"]));
        assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
        drop(dhow.run(&["network", "connect", "back", "c"]).ok());
        drop(dhow.run(&["network", "disconnect", "back", "c"]).ok());
    };
    killed(&dhow, &connect, &then_apart);

    drop(dhow.run(&["rm", "-f", "-t", "0", "c"]).ok());
    drop(dhow.run(&["network", "rm", "back"]).ok());
    assert_nobody(&dhow);
}
