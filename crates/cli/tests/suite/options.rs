//! What flags of `run` make of a container, as its program sees it.

use crate::fixture::{start, with_box};
use dhow_testkit::{Dhow, needs, needs_root};
use std::path::Path;

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
    drop(dhow.run(&["exec", "first", "sh", "-c", "echo shared > /dev/shm/x"]).ok());
    assert_eq!(dhow.run(&["exec", "second", "cat", "/dev/shm/x"]).ok().stdout, "shared\n");

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

    let refused = dhow.run(&["run", "--link", "db", "box"]).exits(125);
    let unknown = dhow.run(&["run", "--bogus", "box"]).exits(125);

    assert!(refused.stderr.contains("links are docker's old way"), "{}", refused.stderr);
    assert!(refused.stderr.contains("hint: on one network"), "{}", refused.stderr);
    assert!(unknown.stderr.contains("there is no flag --bogus"), "{}", unknown.stderr);
}

#[test]
fn a_device_is_given_by_its_name_with_all_that_its_vendor_says() {
    needs_root!();
    let dhow = with_box();
    let library = dhow.directory().join("cdi");
    std::fs::create_dir(&library).unwrap();
    let document = r#"
cdiVersion: "0.6.0"
kind: acme.com/toy
containerEdits:
  env: [ALL=1]
devices:
- name: one
  containerEdits:
    env: [TOY=one]
    deviceNodes:
    - {path: /dev/toy, hostPath: /dev/zero, permissions: r}
    mounts:
    - {hostPath: /etc/hostname, containerPath: /toy, options: [ro]}
"#;
    std::fs::write(library.join("acme.yaml"), document).unwrap();
    let conf = dhow.directory().join("containers.conf");
    let text = format!("[engine]\ncdi_spec_dirs = [{:?}]\n", library.display().to_string());
    std::fs::write(&conf, text).unwrap();
    let run = |device: &str, script: &str| {
        let line = ["run", "--rm", "-q", "--device", device, "box", "sh", "-c", script];
        let mut command = dhow.command(&line);
        command.env("CONTAINERS_CONF", &conf);
        dhow.finish(&mut command, b"")
    };

    let script = "echo $ALL $TOY; head -c 3 /dev/toy | od -An -tx1; test -f /toy && echo mounted";
    let given = run("acme.com/toy=one", script).ok().stdout;
    let missing = run("acme.com/toy=two", "true").exits(125);

    assert_eq!(given, "1 one\n 00 00 00\nmounted\n");
    assert!(missing.stderr.contains("acme.com/toy=two"), "{}", missing.stderr);
    assert!(missing.stderr.contains("there are acme.com/toy=one"), "{}", missing.stderr);
}

#[test]
fn containers_conf_says_what_flags_do_not() {
    needs_root!();
    let dhow = with_box();
    let conf = dhow.directory().join("containers.conf");
    let text =
        "[containers]\numask = \"0077\"\nenv = [\"A=conf\"]\ndefault_capabilities = [\"KILL\"]\n";
    std::fs::write(&conf, text).unwrap();
    let run = |flags: &[&str]| {
        let script = "umask; echo $A; grep CapBnd /proc/self/status";
        let line = [&["run", "--rm", "-q"], flags, &["box", "sh", "-c", script]].concat();
        let mut command = dhow.command(&line);
        command.env("CONTAINERS_CONF", &conf);
        dhow.finish(&mut command, b"")
    };

    assert_eq!(run(&[]).ok().stdout, "0077\nconf\nCapBnd:\t0000000000000020\n");
    let flags = ["--umask", "0022", "-eA=flag", "--cap-add", "CHOWN"];
    assert_eq!(run(&flags).ok().stdout, "0022\nflag\nCapBnd:\t0000000000000021\n");

    std::fs::write(&conf, "[containers]\numask = 77\n").unwrap();
    let broken = run(&[]).exits(125);
    assert!(broken.stderr.contains("containers.conf (line 2)"), "{}", broken.stderr);
}

#[test]
fn exec_finds_its_container_by_a_file_or_by_its_age() {
    needs_root!();
    let dhow = with_box();
    let file = dhow.directory().join("cid").display().to_string();
    let id = start(&dhow, &["--cidfile", &file, "box", "sleep", "1000"]);

    assert_eq!(dhow.run(&["exec", "--cidfile", &file, "echo", "file"]).ok().stdout, "file\n");
    assert_eq!(dhow.run(&["exec", "-l", "echo", "age"]).ok().stdout, "age\n");
    let missing = dhow.run(&["exec", &id]).exits(1);
    assert!(missing.stderr.contains("COMMAND"), "{}", missing.stderr);
    drop(dhow.run(&["rm", "-f", &id]).ok());
}

#[test]
fn a_container_is_replaced_by_name_and_none_by_the_beginning_of_its_id() {
    needs_root!();
    let dhow = with_box();
    let first = start(&dhow, &["--name", "web", "box", "sleep", "1000"]);

    let second = start(&dhow, &["--name", "web", "--replace", "box", "sleep", "1000"]);
    let third = start(&dhow, &["--name", &second[..12], "--replace", "box", "sleep", "1000"]);

    let all = dhow.run(&["ps", "-q", "--no-trunc"]).ok().stdout;
    assert!(!all.contains(&first) && all.contains(&second) && all.contains(&third), "{all}");
    drop(dhow.run(&["rm", "-f", "web", &third]).ok());
}

#[test]
fn containers_of_automatic_ids_have_no_id_in_common() {
    needs_root!();
    needs!(Path::new("/etc/subuid").exists() && Path::new("/etc/subgid").exists(), "/etc/subuid");
    let dhow = with_box();
    let ranges = dhow.directory().join("ranges");
    std::fs::write(&ranges, "containers:500000:200000\n").unwrap();
    let program = dhow.program().display().to_string();
    let [root, runroot] = [dhow.root(), dhow.runroot()].map(|path| path.display().to_string());
    let ranges = ranges.display();
    // The files are replaced in a mount namespace that ends with the containers.
    let script = format!(
        "set -e; mount --bind {ranges} /etc/subuid; mount --bind {ranges} /etc/subgid
         dhow() {{ {program} --root {root} --runroot {runroot} \"$@\"; }}
         for name in a b; do dhow run -d -q --name $name --userns auto box sleep 1000 >&2; done
         for name in a b; do dhow exec $name cat /proc/self/uid_map; done
         ! dhow run --rm -q --userns auto:size=100000 box true
         dhow run --rm -q --userns auto:size=10 box cat /proc/self/uid_map
         dhow rm -f a b >&2"
    );

    let mut command = std::process::Command::new("unshare");
    let outcome = dhow.finish(command.args(["-m", "sh", "-c", &script]), b"").ok();

    let words: Vec<&str> = outcome.stdout.split_whitespace().collect();
    assert_eq!(words, ["0", "500000", "65536", "0", "565536", "65536", "0", "631072", "10"]);
    assert!(outcome.stderr.contains("no 100000 ids in a row are free"), "{}", outcome.stderr);
}
