//! What flags of `run` make of a container, as its program sees it.

use crate::fixture::{start, with_box};
use dhow_testkit::{Dhow, needs_root};

/// What a shell in a new container prints.
fn says(dhow: &Dhow, flags: &[&str], script: &str) -> String {
    let line = [&["run", "--rm", "-q"], flags, &["box", "sh", "-c", script]].concat();
    dhow.run(&line).ok().stdout
}

#[test]
fn names_of_hosts_are_what_the_flags_say() {
    needs_root!();
    let dhow = with_box();

    let flags = ["-h", "mine", "--add-host", "db;cache:10.0.0.1", "--domainname", "example.org"];
    let hosts =
        says(&dhow, &flags, "cat /etc/hosts /etc/hostname; cat /proc/sys/kernel/domainname");
    let flags = ["--dns", "9.9.9.9", "--dns-search", "example.org", "--dns-option", "ndots:2"];
    let resolving = says(&dhow, &flags, "cat /etc/resolv.conf");
    let flags = ["--no-hosts", "--no-hostname", "--dns", "none"];
    let none = says(&dhow, &flags, "ls /etc; cut -d ' ' -f 5 /proc/self/mountinfo");

    assert!(hosts.contains("localhost mine\n"), "{hosts}");
    assert!(hosts.contains("10.0.0.1\tdb\n10.0.0.1\tcache\n"), "{hosts}");
    assert!(hosts.ends_with("mine\nexample.org\n"), "{hosts}");
    assert_eq!(resolving, "search example.org\nnameserver 9.9.9.9\noptions ndots:2\n");
    assert!(!none.contains("resolv.conf") && !none.contains("/etc/hostname"), "{none}");
}

#[test]
fn the_surroundings_are_what_the_flags_say() {
    needs_root!();
    let dhow = with_box();

    assert_eq!(says(&dhow, &["--umask", "0077"], "umask"), "0077\n");
    assert_eq!(
        says(&dhow, &["--sysctl", "kernel.shmmni=77"], "cat /proc/sys/kernel/shmmni"),
        "77\n"
    );
    assert_eq!(says(&dhow, &["--env-merge", "PATH=${PATH}:/mine"], "echo ${PATH##*:}"), "/mine\n");
    assert_eq!(says(&dhow, &["--unsetenv", "HOSTNAME"], "env | grep -c ^HOSTNAME= || true"), "0\n");
    let script = "id -un; tail -n 1 /etc/passwd; touch /tmp/x && echo written";
    let flags = ["-u", "4711:4712", "--passwd", "--read-only", "--read-only-tmpfs"];
    assert_eq!(
        says(&dhow, &flags, script),
        "4711\n4711:*:4711:4712:container user:/:/bin/sh\nwritten\n"
    );
}

#[test]
fn namespaces_are_shared_as_the_flags_say() {
    needs_root!();
    let dhow = with_box();
    let of_host = |kind: &str| {
        std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().display().to_string() + "\n"
    };

    for (flag, kind) in
        [("--pid", "pid"), ("--ipc", "ipc"), ("--uts", "uts"), ("--cgroupns", "cgroup")]
    {
        let script = format!("readlink /proc/self/ns/{kind}");
        assert_eq!(says(&dhow, &[flag, "host"], &script), of_host(kind), "{flag}");
        assert_ne!(says(&dhow, &[flag, "private"], &script), of_host(kind), "{flag}");
    }
    assert_eq!(says(&dhow, &["--ipc", "none"], "test -e /dev/shm/. || echo none"), "none\n");
}

#[test]
fn a_containers_namespaces_are_joined_at_each_start() {
    needs_root!();
    let dhow = with_box();
    let first = start(&dhow, &["--name", "first", "box", "sleep", "1000"]);
    let script = "for kind in net pid ipc uts; do readlink /proc/self/ns/$kind; done; hostname";
    let of = |container: &str| dhow.run(&["exec", container, "sh", "-c", script]).ok().stdout;

    let flags = ["--network", "container:first", "--pid", "container:first"];
    let more = ["--ipc", "container:first", "--uts", "container:first", "--name", "second"];
    let line = [&["run", "-d", "-q"], &flags[..], &more[..], &["box", "sleep", "1000"]].concat();
    drop(dhow.run(&line).ok());
    assert_eq!(of("first"), of("second"));

    drop(dhow.run(&["stop", "-t", "0", "second"]).ok());
    drop(dhow.run(&["stop", "-t", "0", "first"]).ok());
    let refused = dhow.run(&["start", "second"]).exits(125);
    assert!(refused.stderr.contains("first: it is not running"), "{}", refused.stderr);

    drop(dhow.run(&["start", "first"]).ok());
    drop(dhow.run(&["start", "second"]).ok());
    assert_eq!(of("first"), of("second"));
    drop(dhow.run(&["rm", "-f", "second", &first]).ok());
}

#[test]
fn a_container_without_a_cgroup_stays_in_the_monitors() {
    needs_root!();
    let dhow = with_box();

    let flags = ["--cgroups=disabled", "--cgroupns=host"];
    let groups = says(&dhow, &flags, "cat /proc/self/cgroup");
    assert!(!groups.contains("/dhow/"), "{groups}");
    let id = start(&dhow, &["--cgroups=disabled", "box", "sleep", "1000"]);
    assert_eq!(dhow.run(&["exec", &id, "echo", "in"]).ok().stdout, "in\n");
    drop(dhow.run(&["rm", "-f", &id]).ok());

    let refused = dhow.run(&["run", "--rm", "-q", "--cgroups=disabled", "-m", "64m", "box"]);
    assert!(refused.exits(125).stderr.contains("without a cgroup"));
}

#[test]
fn limits_reach_the_control_group() {
    needs_root!();
    let dhow = with_box();
    let parent = format!("dhow-parent-{}", std::process::id());
    let flags = [
        "--cpu-period",
        "50000",
        "--cpu-quota",
        "20000",
        "-m",
        "64m",
        "--cgroup-parent",
        &parent,
        "--cgroupns=host",
    ];

    let groups = says(&dhow, &flags, "cat /proc/self/cgroup");

    assert!(groups.contains(&format!("/{parent}/")), "{groups}");
}

#[test]
fn a_container_has_ids_of_its_own_and_the_images_files_are_theirs() {
    needs_root!();
    let dhow = with_box();
    let map = ["--uidmap", "0:100000:65536", "--gidmap", "0:200000:65536"];
    let script = "cat /proc/self/uid_map /proc/self/gid_map; stat -c %u:%g /bin /etc/hosts; \
                  touch /mine /tmp/x; chown 33:33 /mine; stat -c %u:%g /mine; id -u";

    let inside = says(&dhow, &map, script);

    let words: Vec<&str> = inside.split_whitespace().collect();
    assert_eq!(words, ["0", "100000", "65536", "0", "200000", "65536", "0:0", "0:0", "33:33", "0"]);
}

#[test]
fn what_a_container_writes_is_its_ids_on_disk_and_other_ids_see_the_same() {
    needs_root!();
    let dhow = with_box();
    let map = |host: &str| format!("0:{host}:65536");
    let id = start(&dhow, &["--uidmap", &map("100000"), "box", "sleep", "1000"]);
    drop(dhow.run(&["exec", &id, "sh", "-c", "echo x > /f; chown 5:6 /f; mkdir /d"]).ok());

    let pid = dhow.run(&["inspect", "--format", "{{.State.Pid}}", &id]).line().to_owned();
    let outside = std::fs::metadata(format!("/proc/{pid}/root/f")).unwrap();
    use std::os::unix::fs::MetadataExt;
    assert_eq!((outside.uid(), outside.gid()), (100_005, 100_006));
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("Uid:\t100000\t100000"), "{status}");

    let joined = ["--userns", &format!("container:{id}"), "box", "stat", "-c", "%u:%g", "/bin"];
    let line = [&["run", "--rm", "-q"], &joined[..]].concat();
    assert_eq!(dhow.run(&line).ok().stdout, "0:0\n");
    drop(dhow.run(&["rm", "-f", &id]).ok());
}

#[test]
fn modes_of_users_who_are_not_root_are_refused_to_root() {
    needs_root!();
    let dhow = with_box();

    for mode in ["keep-id", "nomap"] {
        let refused = dhow.run(&["run", "--rm", "-q", "--userns", mode, "box"]).exits(125);
        assert!(refused.stderr.contains(mode), "{}", refused.stderr);
    }
    assert_eq!(dhow.run(&["ps", "-aq"]).ok().stdout, "");
}

#[test]
fn a_flag_of_another_program_is_refused_by_its_name_and_with_the_reason() {
    let dhow = Dhow::new();

    let refused = dhow.run(&["run", "-p", "80:80", "box"]).exits(125);
    let unknown = dhow.run(&["run", "--bogus", "box"]).exits(125);

    assert!(refused.stderr.contains("no published ports yet"), "{}", refused.stderr);
    assert!(refused.stderr.contains("hint: --network host"), "{}", refused.stderr);
    assert!(unknown.stderr.contains("there is no flag --bogus"), "{}", unknown.stderr);
}
