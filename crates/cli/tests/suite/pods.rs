//! `pod …` and `run --pod`: containers that share namespaces, limits and a life.

use crate::fixture::{start, wait_for_output, wait_for_state, with_box};
use dhow_testkit::{Dhow, need, needs_root};
use std::fs;

/// The namespace of a kind that a running container is in.
fn namespace(dhow: &Dhow, container: &str, kind: &str) -> String {
    let link = format!("/proc/self/ns/{kind}");
    dhow.run(&["exec", container, "readlink", &link]).ok().line().to_owned()
}

#[test]
fn containers_of_a_pod_share_network_memory_and_host_name() {
    needs_root!();
    let dhow = with_box();
    drop(dhow.run(&["pod", "create", "--name", "web", "-h", "harbour"]).ok());
    let serve = "echo hi > /dev/shm/note; echo up; while :; do echo served | nc -l -p 8080; done";

    drop(start(&dhow, &["--pod", "web", "--name", "a", "box", "sh", "-c", serve]));
    wait_for_output(&dhow, "a", "up");
    drop(start(&dhow, &["--pod", "web", "--name", "b", "box", "sleep", "100"]));

    for kind in ["net", "ipc", "uts"] {
        assert_eq!(namespace(&dhow, "a", kind), namespace(&dhow, "b", kind), "{kind}");
    }
    for kind in ["pid", "mnt"] {
        assert_ne!(namespace(&dhow, "a", kind), namespace(&dhow, "b", kind), "{kind}");
    }
    let seen = dhow.run(&["exec", "b", "sh", "-c", "cat /dev/shm/note; hostname"]).ok();
    assert_eq!(seen.stdout, "hi\nharbour\n");
    let heard = need::eventually(crate::fixture::SOON, || {
        let outcome = dhow.run(&["exec", "b", "sh", "-c", "nc 127.0.0.1 8080 < /dev/null"]);
        outcome.stdout.contains("served").then_some(())
    });
    assert!(heard.is_some(), "the loopback is not shared");
    drop(dhow.run(&["pod", "rm", "-f", "web"]).ok());
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn a_pod_costs_nothing_while_nothing_of_it_runs() {
    needs_root!();
    let dhow = with_box();
    drop(dhow.run(&["pod", "create", "web"]).ok());
    let shared = || {
        let entries = fs::read_dir(dhow.runroot().join("pods"));
        entries.map_or(0, Iterator::count)
    };

    assert_eq!(shared(), 0);
    drop(dhow.run(&["run", "--rm", "-q", "--pod", "web", "box", "true"]).ok());
    assert_eq!(shared(), 0);
    drop(start(&dhow, &["--pod", "web", "--name", "a", "box", "sleep", "100"]));
    drop(start(&dhow, &["--pod", "web", "--name", "b", "box", "sleep", "100"]));
    assert_eq!(shared(), 1);
    drop(dhow.run(&["stop", "-t", "0", "a"]).ok());
    assert_eq!(shared(), 1);
    drop(dhow.run(&["stop", "-t", "0", "b"]).ok());
    assert_eq!(shared(), 0);
    drop(dhow.run(&["pod", "rm", "web"]).ok());
    assert_eq!(dhow.run(&["ps", "-aq"]).ok().stdout, "");
}

#[test]
fn a_pod_has_one_life() {
    needs_root!();
    let dhow = with_box();
    let file = dhow.directory().join("id");
    let id = dhow.run(&["pod", "create", "--pod-id-file", "id", "-l", "tier=web", "web"]).ok();
    assert_eq!(fs::read_to_string(file).unwrap(), id.line());
    for name in ["a", "b"] {
        let create = ["create", "-q", "--pod-id-file", "id", "--name", name, "box", "sleep", "100"];
        drop(dhow.run(&create).ok());
    }
    let status =
        || dhow.run(&["pod", "inspect", "--format", "{{.State}}", "web"]).ok().line().to_owned();

    assert_eq!(status(), "Created");
    drop(dhow.run(&["pod", "start", &id.line()[..12]]).ok());
    assert_eq!(status(), "Running");
    drop(dhow.run(&["stop", "-t", "0", "a"]).ok());
    assert_eq!(status(), "Degraded");
    let row = [
        "pod",
        "ps",
        "--filter",
        "label=tier",
        "--format",
        "{{.Name}} {{.NumberOfContainers}} {{.ContainerNames}}",
    ];
    assert_eq!(dhow.run(&row).ok().stdout, "web 2 a,b\n");
    drop(dhow.run(&["pod", "rm", "web"]).exits(1).says("runs in it"));
    drop(dhow.run(&["pod", "restart", "-t", "0", "web"]).ok());
    assert_eq!(status(), "Running");
    drop(dhow.run(&["pod", "kill", "web"]).ok());
    wait_for_state(&dhow, "a", "exited");
    wait_for_state(&dhow, "b", "exited");
    assert_eq!(status(), "Exited");
    drop(dhow.run(&["pod", "prune", "-f"]).ok());
    drop(dhow.run(&["pod", "exists", "web"]).exits(1));
    assert_eq!(dhow.run(&["ps", "-aq"]).ok().stdout, "");
}

#[test]
fn a_pod_is_made_by_the_way() {
    needs_root!();
    let dhow = with_box();

    drop(start(&dhow, &["--pod", "new:side", "--name", "a", "box", "sleep", "100"]));

    assert_eq!(
        dhow.run(&["pod", "ps", "--format", "{{.Name}} {{.Status}}"]).ok().stdout,
        "side Running\n"
    );
    drop(start(&dhow, &["--name", "alone", "box", "sleep", "100"]));
    let shown = |arguments: &[&str]| {
        dhow.run(&[&["ps", "--format", "{{.Names}} {{.PodName}}"], arguments].concat()).ok().stdout
    };
    assert_eq!(shown(&[]), "alone \na side\n");
    assert_eq!(shown(&["--filter", "pod=side"]), "a side\n");
    drop(dhow.run(&["rm", "-f", "alone"]).ok());
    drop(dhow.run(&["run", "-q", "--pod", "new:side", "box", "true"]).exits(125).says("in use"));
    drop(
        dhow.run(&["run", "-q", "--pod", "nothing", "box", "true"]).exits(125).says("no such pod"),
    );
    drop(
        dhow.run(&["run", "-q", "--pod", "side", "-h", "x", "box", "true"])
            .exits(125)
            .says("host name"),
    );
    drop(
        dhow.run(&["run", "-q", "--pod", "side", "--net", "host", "box", "true"])
            .exits(125)
            .says("network"),
    );
    drop(dhow.run(&["pod", "rm", "-f", "side"]).ok());
}

#[test]
fn what_a_pod_cannot_share_is_refused_by_name() {
    needs_root!();
    let dhow = with_box();
    let cases: [(&[&str], &str); 4] = [
        (&["--share", "user"], "user"),
        (&["--userns", "container:other"], "--userns container:other"),
        (&["--network", "none", "-p", "80:80"], "publish ports of a pod that has no network"),
        (&["--share", "ipc", "--network", "bridge"], "share no network"),
    ];

    for (arguments, word) in cases {
        drop(dhow.run(&[&["pod", "create"], arguments].concat()).exits(1).says(word));
    }

    assert_eq!(dhow.run(&["pod", "ps", "-q"]).ok().stdout, "");
}

#[test]
fn limits_are_for_all_containers_together() {
    needs_root!();
    let dhow = with_box();
    let id = dhow.run(&["pod", "create", "-m", "64m", "--pids-limit", "50", "web"]).ok();
    drop(start(&dhow, &["--pod", "web", "--name", "a", "box", "sleep", "100"]));
    drop(start(&dhow, &["--pod", "web", "--name", "b", "box", "sleep", "100"]));
    let group = format!("dhow/pod-{}", id.line());
    let limit = [
        format!("/sys/fs/cgroup/{group}/memory.max"),
        format!("/sys/fs/cgroup/memory/{group}/memory.limit_in_bytes"),
    ]
    .into_iter()
    .find_map(|path| fs::read_to_string(path).ok());

    assert_eq!(limit.as_deref().map(str::trim), Some("67108864"));
    drop(dhow.run(&["pod", "rm", "-f", "web"]).ok());
    for root in ["/sys/fs/cgroup", "/sys/fs/cgroup/memory"] {
        assert!(!std::path::Path::new(root).join(&group).exists(), "{root}/{group}");
    }
}
