//! `network explain`: the way of a packet to a published port, as it is and as others change it.

use crate::fixture::with_networked_box as networked;
use dhow_testkit::HostNetwork;

#[test]
fn what_stops_a_packet_is_named() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = networked();
    let serve = ["run", "-d", "--name", "web", "-p", "8080:80", "box", "httpd", "-f", "-h", "/etc"];
    drop(dhow.run(&serve).ok());

    let open = dhow.run(&["network", "explain", "8080"]).ok().stdout;
    assert!(open.contains("0.0.0.0:8080->80/tcp"), "{open}");
    assert!(
        open.contains("is held") && open.contains("table inet dhow leads it to 10.88."),
        "{open}"
    );
    assert!(!open.contains("stops"), "{open}");

    let nft = |words: &str| {
        let words: Vec<&str> = ["nft"].into_iter().chain(words.split(' ')).collect();
        drop(dhow.host().output(&words));
    };
    nft("add table inet site");
    nft("add chain inet site forward { type filter hook forward priority 0 ; policy drop ; }");
    nft("add rule inet site forward ip saddr 198.51.100.0/24 accept");
    let unclear = dhow.run(&["network", "explain", "8080"]).ok().stdout;
    let friend = dhow.run(&["network", "explain", "8080", "--from", "198.51.100.7"]).ok().stdout;
    let stranger = dhow.run(&["network", "explain", "8080", "--from", "192.0.2.7"]);

    assert!(unclear.contains("unclear") && unclear.contains("may be dropped"), "{unclear}");
    assert!(!friend.contains("stops") && !friend.contains("unclear"), "{friend}");
    assert_eq!(stranger.code, 1, "{stranger:?}");
    assert!(
        stranger.stdout.contains("the policy of chain forward in table inet site"),
        "{stranger:?}"
    );
    let as_json =
        dhow.run(&["network", "explain", "8080", "--from", "192.0.2.7", "--format", "json"]).stdout;
    let stops: Vec<serde_json::Value> = as_json
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|finding: &serde_json::Value| finding["Result"] == "stops")
        .collect();
    assert_eq!(stops.len(), 1, "{as_json}");
    assert_eq!(stops[0]["About"], "others");
    drop(dhow.run(&["rm", "-f", "-t", "0", "web"]).ok());
}

#[test]
fn ports_that_nobody_publishes_and_words_that_are_none_are_refused() {
    if !HostNetwork::is_possible() {
        return;
    }
    let dhow = networked();
    for (words, reason) in [
        ("8080", "no container that runs publishes it"),
        ("0", "use \"0\" as a port"),
        ("+80", "use \"+80\" as a port"),
        ("80/icmp", "use \"icmp\" as a protocol"),
        ("web", "use \"web\" as a port"),
    ] {
        let refused = dhow.run(&["network", "explain", words]);

        assert_ne!(refused.code, 0, "{words}");
        assert!(refused.stderr.contains(reason), "{words}: {refused:?}");
    }
}
