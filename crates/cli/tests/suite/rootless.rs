//! An ordinary user's containers: everything that root can do with theirs, with the ids that the user
//! has, and nothing of anybody else's.

use crate::fixture::SOON;
use dhow_testkit::{
    Access, Ids, OrdinaryUser, Registry, Transport, need, outcome, process, rootfs,
};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// A user who has the image `box`.
fn with_box(ids: Ids) -> OrdinaryUser {
    having_box(OrdinaryUser::new(ids))
}

pub(crate) fn having_box(user: OrdinaryUser) -> OrdinaryUser {
    let layout = rootfs::busybox_image().expect("an image of busybox");
    drop(user.run(&["pull", "-q", &layout.reference("box")]).ok());
    user
}

/// A program in a new container without a network.
fn inside(user: &OrdinaryUser, flags: &[&str], script: &str) -> String {
    let run = [&["run", "--rm", "--network", "none"], flags, &["box", "sh", "-c", script]];
    user.run(&run.concat()).ok().stdout
}

/// Starts a container that sleeps.
fn sleeper(user: &OrdinaryUser, name: &str) {
    let run = ["run", "-d", "--network", "none", "--name", name, "box", "sleep", "1000"];
    drop(user.run(&run).ok());
}

#[test]
fn root_in_the_container_is_the_user_and_others_are_of_the_user_s_range() {
    if !OrdinaryUser::is_possible() {
        return;
    }
    let user = with_box(Ids::Ranges);
    let (uid, first) = (user.uid(), user.first());

    let map = inside(&user, &[], "id -u; tr -s ' ' < /proc/self/uid_map; cat /proc/self/setgroups");
    drop(inside(&user, &["-v", "v:/v"], "touch /v/root; touch /v/www; chown 33:34 /v/www"));

    assert_eq!(map, format!("0\n 0 {uid} 1\n 1 {first} 65536\nallow\n"));
    let told = user.run(&["info", "--format", "{{json .host.idMappings.uidmap}}"]).ok().stdout;
    let range =
        |inside, outside, size| json!({"container_id": inside, "host_id": outside, "size": size});
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told, json!([range(0, uid, 1), range(1, first, 65536)]));
    let data = user.root().join("volumes/v/data");
    let owner = |name: &str| {
        let status = data.join(name).metadata().unwrap();
        (status.uid(), status.gid())
    };
    assert_eq!((owner("root"), owner("www")), ((uid, uid), (first + 32, first + 33)));
    // Only from inside of the namespace the user may take away what is another's.
    drop(user.run(&["unshare", "rm", &data.join("www").to_string_lossy()]).ok());
    drop(user.run(&["volume", "rm", "v"]).ok());
    assert!(!data.exists());
    assert_eq!(user.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn a_container_is_run_entered_watched_stopped_and_removed_by_separate_commands() {
    if !OrdinaryUser::is_possible() {
        return;
    }
    let user = with_box(Ids::Ranges);
    let loud = "trap 'echo bye; exit 3' TERM; echo hello; while :; do sleep 0.1; done";

    let id = user.run(&["run", "-d", "--network=none", "--name=c", "box", "sh", "-c", loud]).ok();
    let entered = user.run(&["exec", "-u", "1000", "c", "sh", "-c", "id -u; touch /tmp/x"]).ok();
    let listed = user.run(&["ps", "--no-trunc", "-q"]).ok();
    let top = user.run(&["top", "c", "-eo", "pid,args"]).ok();
    drop(user.run(&["cp", "c:/etc/os-release", "copy"]).ok());
    drop(user.run(&["cp", "copy", "c:/tmp/copy"]).ok());
    drop(user.run(&["stop", "c"]).ok());
    let log = user.run(&["logs", "c"]).ok();
    let code = user.run(&["wait", "c"]).ok();

    assert_eq!((entered.line(), listed.line()), ("1000", id.line()));
    assert!(top.stdout.contains("sleep 0.1"), "{top}");
    assert_eq!((log.stdout.as_str(), code.line()), ("hello\nbye\n", "3"));
    assert_eq!(user.home().join("copy").metadata().unwrap().uid(), user.uid());
    drop(user.run(&["start", "c"]).ok());
    drop(user.run(&["kill", "c"]).ok());
    drop(user.run(&["wait", "c"]).ok());
    let text = user.run_with_input(&["run", "-i", "--rm", "--network=none", "box", "cat"], b"in");
    assert_eq!(text.ok().stdout, "in");
    drop(user.run(&["rm", "c"]).ok());
    let events = user.run(&["events", "--since", "1h", "--until", "0s"]).ok().stdout;
    assert!(events.contains("container die") && events.contains("exitCode=3"), "{events}");
    assert_eq!(user.run(&["doctor"]).ok().stdout, "all is well\n");
    user.wait_until_gone();
    assert!(!user.runroot().join("namespace.json").exists());
}

#[test]
fn what_a_container_has_made_becomes_an_image_and_a_pod_s_containers_share() {
    if !OrdinaryUser::is_possible() {
        return;
    }
    let user = with_box(Ids::Ranges);
    let made = "echo made > /made; chown 7:8 /made; rm /etc/os-release; sleep 1000";
    drop(user.run(&["run", "-d", "--network=none", "--name=c", "box", "sh", "-c", made]).ok());
    let there = || {
        let outcome = user.run(&["exec", "c", "test", "!", "-e", "/etc/os-release"]);
        (outcome.code == 0).then_some(())
    };
    need::eventually(SOON, there).expect("the program has come so far");

    drop(user.run(&["commit", "c", "mine"]).ok());
    let image = ["run", "--rm", "--network=none", "mine", "sh", "-c"];
    let seen = user
        .run(&[&image[..], &["stat -c %u:%g /made; ls /etc/os-release || echo gone"]].concat())
        .ok();
    drop(user.run(&["pod", "create", "--network=none", "--name=p"]).ok());
    drop(user.run(&["run", "-d", "--pod=p", "--name=one", "box", "sleep", "1000"]).ok());
    let shared = |name: &str| {
        let link = format!("readlink /proc/self/ns/{name}");
        let other = user.run(&["run", "--rm", "--pod=p", "box", "sh", "-c", &link]).ok();
        let one = user.run(&["exec", "one", "sh", "-c", &link]).ok();
        one.line() == other.line()
    };

    assert_eq!(seen.stdout, "7:8\ngone\n");
    assert_eq!(
        [shared("ipc"), shared("net"), shared("uts"), shared("pid")],
        [true, true, true, false]
    );
    drop(user.run(&["pod", "rm", "-f", "-t", "0", "p"]).ok());
    drop(user.run(&["rm", "-f", "-t", "0", "c"]).ok());
    drop(user.run(&["rmi", "mine"]).ok());
    assert_eq!(user.run(&["system", "check"]).ok().code, 0);
}

#[test]
fn images_come_from_a_registry_with_their_owners() {
    if !OrdinaryUser::is_possible() || need::tool("docker-registry").is_none() {
        return need::skip("docker-registry");
    }
    let user = OrdinaryUser::new(Ids::Ranges);
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let layout = rootfs::busybox_image().expect("an image of busybox");
    registry.push(&layout.reference("box"), "box").unwrap();

    let name = registry.reference("box");
    drop(user.run(&["pull", "-q", "--tls-verify=false", &name]).ok());
    let run = ["run", "--rm", "--network=none", &name, "stat", "-c", "%u", "/bin/busybox"];
    let owner = user.run(&run).ok();

    assert_eq!(owner.line(), "0");
}

#[test]
fn without_ranges_there_is_one_id_and_the_user_is_told() {
    if !OrdinaryUser::is_possible() {
        return;
    }
    let user = OrdinaryUser::new(Ids::OnlyOwn);
    let layout = rootfs::busybox_image().expect("an image of busybox");

    let pulled = user.run(&["pull", "-q", &layout.reference("box")]).ok();
    let map = inside(&user, &[], "id -u; tr -s ' ' < /proc/self/uid_map");

    assert!(pulled.stderr.contains("/etc/subuid has no range for tester"), "{pulled}");
    assert_eq!(map, format!("0\n 0 {} 1\n", user.uid()));
}

#[test]
fn commands_that_begin_at_once_share_one_namespace() {
    if !OrdinaryUser::is_possible() {
        return;
    }
    let user = with_box(Ids::Ranges);
    user.wait_until_gone();
    let script = "for i in 1 2 3 4 5 6 7 8; do \
                  \"$0\" unshare readlink /proc/self/ns/user & done; wait";

    let program = user.program().to_string_lossy().into_owned();
    let mut shell = user.command(Path::new("/bin/sh"), &["-c", script, &program]);
    let all = outcome::run(&mut shell, b"", outcome::LIMIT).unwrap().ok();

    let mut namespaces: Vec<&str> = all.stdout.lines().collect();
    assert_eq!(namespaces.len(), 8, "{all}");
    namespaces.dedup();
    assert_eq!(namespaces.len(), 1, "{all}");
}

/// Who kills the process that keeps the namespace takes nothing from anybody: as long as a container
/// runs, the next command finds its namespace and has it kept anew.
#[test]
fn an_anchor_that_is_killed_is_replaced_in_the_same_namespace() {
    if !OrdinaryUser::is_possible() {
        return;
    }
    let user = with_box(Ids::Ranges);
    sleeper(&user, "c");
    let anchor = || {
        let text = fs::read_to_string(user.runroot().join("namespace.json")).unwrap();
        let record: serde_json::Value = serde_json::from_str(&text).unwrap();
        (record["pid"].as_i64().unwrap(), record["user"].as_u64().unwrap())
    };
    let (before, namespace) = anchor();
    // A monitor runs from the file, out of reach, and not from a copy of it in memory.
    let copies = user.processes().into_iter().filter(|pid| {
        let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        program.to_string_lossy().contains("memfd")
    });
    assert_eq!(copies.count(), 0);

    let pid = i32::try_from(before).unwrap();
    let anchored = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(anchored, rustix::process::Signal::KILL).unwrap();
    process::wait_for_end(pid);
    let said = user.run(&["exec", "c", "echo", "still"]).ok();
    let (after, same) = anchor();
    drop(user.run(&["stop", "-t", "0", "c"]).ok());

    assert_eq!((said.line(), same), ("still", namespace));
    assert_ne!(before, after);
    drop(user.run(&["rm", "c"]).ok());
    user.wait_until_gone();
}

#[test]
fn another_user_reaches_nothing_and_the_container_has_no_right_outside() {
    if !OrdinaryUser::is_possible() {
        return;
    }
    let user = with_box(Ids::Ranges);
    sleeper(&user, "c");
    let secret = user.home().join("of-root");
    fs::write(&secret, "root's").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let stranger = |words: &[&str]| {
        let mut command = user.command_as(user.uid() + 100_000, Path::new(words[0]), &words[1..]);
        outcome::run(&mut command, b"", outcome::LIMIT).unwrap()
    };

    // What root's own is stays root's, whatever the container may do to it.
    let bind = format!("{}:/host", user.home().display());
    let tried = "cat /host/of-root; chown 0 /host/of-root; mknod /host/disk b 254 0; \
                 mount -t tmpfs none /mnt; echo 1 > /proc/sys/kernel/sysrq; \
                 ls /proc/1/root/root 2>&1 | wc -l";
    let plain = inside(&user, &["-v", &bind], &format!("({tried}) 2>/dev/null; true"));
    let mighty = inside(
        &user,
        &["--privileged", "-v", &bind],
        "
        cat /host/of-root 2>/dev/null; chown 0 /host/of-root 2>/dev/null && echo chown
        mknod /host/disk b 254 0 2>/dev/null && cat /host/disk | head -c 1 | wc -c
        date -s 2000-01-01 2>/dev/null | wc -l; grep CapEff /proc/self/status",
    );

    assert!(!plain.contains("root's") && !mighty.contains("root's"), "{plain}{mighty}");
    assert!(!mighty.contains("chown"), "{mighty}");
    assert!(!user.home().join("disk").exists());
    // All rights, over one's own namespace.
    assert!(mighty.contains("CapEff:\t000001ffffffffff"), "{mighty}");
    for place in [user.runroot(), user.root()] {
        let listed = stranger(&["ls", &place.to_string_lossy()]);
        assert_ne!(listed.code, 0, "{listed}");
    }
    let other = stranger(&[&user.program().to_string_lossy(), "ps"]);
    assert_ne!(other.code, 0, "{other}");
    let sockets: Vec<PathBuf> = fs::read_dir(user.runroot().join("containers"))
        .unwrap()
        .map(|entry| entry.unwrap().path().join("attach"))
        .collect();
    assert_eq!(sockets.len(), 1);
    assert_eq!(sockets[0].metadata().unwrap().mode() & 0o777, 0o600);
    drop(user.run(&["rm", "-f", "-t", "0", "c"]).ok());
}

#[test]
fn a_user_gives_a_container_the_ids_of_their_own_name() {
    if !OrdinaryUser::is_possible() {
        return;
    }
    let user = with_box(Ids::Ranges);

    let maps = inside(
        &user,
        &["--subuidname", "tester"],
        "cat /proc/self/uid_map; id -u; touch /f; stat -c %u /f",
    );

    let mut lines = maps.lines();
    let map: Vec<&str> = lines.next().unwrap().split_ascii_whitespace().collect();
    // The first of the ids that the user has besides their own.
    assert_eq!(map[..2], ["0", "1"], "{maps}");
    assert_eq!(lines.collect::<Vec<_>>(), ["0", "0"]);
}

#[test]
fn what_takes_rights_that_a_user_has_not_is_refused_by_name() {
    if !OrdinaryUser::is_possible() {
        return;
    }
    let user = with_box(Ids::Ranges);
    let run = |flag: &str| user.run(&["run", "--rm", flag, "box", "true"]).exits(125).stderr;

    for (flag, says) in [
        ("--subuidname=nobody", "no range for nobody in /etc/subuid"),
        ("--network=slirp4netns", "there is no slirp4netns here"),
    ] {
        let said = run(flag);
        assert!(said.contains(says), "{flag}: {said}");
    }
    let mount = user.run(&["image", "mount", "box"]).exits(1);
    assert!(mount.stderr.contains("dhow unshare"), "{mount}");
    let shell = format!("{0} image mount box && {0} image unmount box", user.program().display());
    let mounted = user.run(&["unshare", "sh", "-c", &shell]).ok();
    assert!(mounted.stdout.contains("/mounts/"), "{mounted}");
    let info = user.run(&["info", "--format", "{{json .SecurityOptions}}"]).ok();
    assert!(info.stdout.contains("name=rootless"), "{info}");
}
