//! Containers of ordinary users: with ranges of ids, with one id, in user namespaces of others'.
//!
//! Who may map what is said by files that a test may not change; it covers them in a mount namespace
//! of its own.

use crate::{bundle::Bundle, mounts::bind};
use dhow_spec::runtime::{Device, IdMapping, Linux, Namespace, NamespaceKind};
use dhow_testkit::{needs_root, needs_tool, outcome::Outcome};
use std::{os::unix::fs::MetadataExt, path::Path};

/// A user who exists in the tests' files only.
const UID: u32 = 4321;

/// Makes the user, with their ranges, in the mount namespace of the test, and the command `as_user`.
fn user() -> String {
    // A shell of busybox's would take its own program of that name, which knows less.
    let setpriv = dhow_testkit::need::tool("setpriv").unwrap_or_default();
    let become_user = "--reuid=4321 --regid=4321 --clear-groups";
    format!(
        "as_user() {{ {} {become_user} \"$@\"; }}
         mkdir etc; cp /etc/passwd /etc/group etc/; echo 'tester:x:4321:4321::/:/bin/sh' >> etc/passwd
         echo tester:200000:1000 > etc/subuid; echo tester:300000:5000 > etc/subgid
         mount --bind etc /etc\n",
        setpriv.display()
    )
}

/// Runs the container as the user.
fn run(bundle: &mut Bundle, script: &str) -> Outcome {
    bundle.sh_within(&format!("{} as_user \"$@\"", user()), script)
}

fn linux(bundle: &mut Bundle) -> &mut Linux {
    bundle.spec.linux.as_mut().unwrap()
}

fn range(container_id: u32, host_id: u32, size: u32) -> IdMapping {
    IdMapping { container_id, host_id, size }
}

/// A bundle for a user to whom no cgroup is delegated, in a new user namespace.
fn bundle(uids: &[IdMapping], gids: &[IdMapping]) -> Bundle {
    let mut bundle = Bundle::new();
    let linux = linux(&mut bundle);
    linux.namespaces.push(Namespace { kind: NamespaceKind::User, path: None });
    linux.uid_mappings = uids.to_vec();
    linux.gid_mappings = gids.to_vec();
    bundle.give_to(UID);
    bundle
}

/// Leaves out what needs the group of terminals.
fn without_groups(bundle: &mut Bundle) {
    for mount in &mut bundle.spec.mounts {
        mount.options.retain(|option| !option.starts_with("gid="));
    }
}

#[test]
fn an_ordinary_user_has_ranges_of_ids_with_groups_and_devices() {
    needs_root!();
    needs_tool!("setpriv", "unshare", "newuidmap", "newgidmap");
    let mut bundle = bundle(
        &[range(0, UID, 1), range(1, 200_000, 500), range(1000, 200_500, 500)],
        &[range(0, UID, 1), range(1, 300_000, 5000)],
    );
    bundle.process().user.uid = 1000;
    bundle.process().user.gid = 7;
    bundle.process().user.additional_gids = vec![8, 2000];
    linux(&mut bundle).devices = vec![Device {
        kind: "b".to_owned(),
        path: "/dev/vda".into(),
        major: 254,
        minor: 0,
        ..Device::default()
    }];
    let has_disk = Path::new("/dev/vda").exists();
    if !has_disk {
        linux(&mut bundle).devices.clear();
    }

    let outcome = run(
        &mut bundle,
        "id -u; id -G; tr -s ' ' < /proc/self/uid_map; touch /tmp/x; stat -c %u:%g /tmp/x
             echo x > /dev/null && echo null; stat -c %F /dev/full /dev/tty
             stat -c %t:%T /dev/vda 2> /dev/null || echo fe:0",
    )
    .ok();

    let expected = "1000\n7 8 2000\n 0 4321 1\n 1 200000 500\n 1000 200500 500\n1000:7\nnull\n\
                    character special file\ncharacter special file\nfe:0\n";
    assert_eq!(outcome.stdout, expected, "{outcome}");
    let made = bundle.root().join("tmp/x").metadata().unwrap();
    assert_eq!((made.uid(), made.gid()), (200_500, 300_006));
}

#[test]
fn ids_that_are_not_the_user_s_are_refused_and_nothing_is_left() {
    needs_root!();
    needs_tool!("setpriv", "unshare", "newuidmap", "newgidmap");
    for (uids, gids, says) in [
        ([range(0, 0, 1)], [range(0, UID, 1)], "map the user ids: run newuidmap"),
        ([range(0, 200_000, 2000)], [range(0, UID, 1)], "map the user ids: run newuidmap"),
        ([range(0, UID, 1)], [range(0, 500_000, 2)], "map the group ids: run newgidmap"),
    ] {
        let mut bundle = bundle(&uids, &gids);

        drop(run(&mut bundle, "true").exits(125).says(says));
    }
}

#[test]
fn without_the_helpers_one_id_is_enough_and_more_is_refused_with_a_hint() {
    needs_root!();
    needs_tool!("setpriv", "unshare");
    let without = format!("{} PATH=/nowhere\nas_user \"$@\"", user());
    let one = [range(0, UID, 1)];
    let mut single = bundle(&one, &one);
    without_groups(&mut single);

    let outcome = single
        .sh_within(
            &without,
            "id -u; cat /proc/self/setgroups; echo x > /dev/null && echo null
             mkfifo /tmp/pipe && ls /dev/mqueue | wc -l; test -d /sys/class && echo sys",
        )
        .ok();

    assert_eq!(outcome.stdout, "0\ndeny\nnull\n0\nsys\n", "{outcome}");
    let mut ranges = bundle(&[range(0, UID, 1), range(1, 200_000, 5)], &one);
    let outcome = ranges.sh_within(&without, "true").exits(125);
    drop(outcome.says("run newuidmap: No such file"));
}

#[test]
fn groups_that_cannot_be_entered_are_refused_by_name() {
    needs_root!();
    needs_tool!("setpriv", "unshare");
    let one = [range(0, UID, 1)];
    let mut bundle = bundle(&one, &one);
    without_groups(&mut bundle);
    bundle.process().user.additional_gids = vec![0];

    drop(run(&mut bundle, "true").exits(125).says("become user 0 and group 0"));
}

#[test]
fn the_root_of_a_user_namespace_needs_none_of_its_own() {
    needs_root!();
    needs_tool!("setpriv", "unshare");
    let mut bundle = Bundle::new();
    bundle.give_to(UID);
    without_groups(&mut bundle);
    let user = format!("{} as_user unshare -U -r \"$@\"", user());

    let outcome = bundle
        .sh_within(
            &user,
            "id -u; tr -s ' ' < /proc/self/uid_map; echo $$; hostname
             echo x > /dev/null && echo null; mount | grep -c ' /proc '; touch /mine",
        )
        .ok();

    assert_eq!(outcome.stdout, "0\n 0 4321 1\n1\ninside\nnull\n1\n", "{outcome}");
    assert_eq!(bundle.root().join("mine").metadata().unwrap().uid(), UID);
}

#[test]
fn an_ordinary_user_has_a_terminal() {
    needs_root!();
    needs_tool!("setpriv", "unshare");
    let one = [range(0, UID, 1)];
    let mut bundle = bundle(&one, &one);
    without_groups(&mut bundle);
    bundle.process().terminal = true;

    let outcome = run(&mut bundle, "tty; stat -c '%t:%T %u' /dev/console /dev/pts/0").ok();

    assert_eq!(outcome.stdout.replace('\r', ""), "/dev/pts/0\n88:0 0\n88:0 0\n");
}

#[test]
fn a_group_that_is_not_mapped_is_an_error_with_a_hint() {
    needs_root!();
    needs_tool!("setpriv", "unshare");
    let one = [range(0, UID, 1)];
    let mut bundle = bundle(&one, &one);

    drop(run(&mut bundle, "true").exits(125).says("mount /dev/pts: mount filesystem devpts"));
}

/// By the runtime's own records: each command is a process of its own.
#[test]
fn an_ordinary_user_creates_starts_and_deletes() {
    needs_root!();
    needs_tool!("setpriv", "unshare", "newuidmap", "newgidmap");
    let ids = [range(0, UID, 1), range(1, 200_000, 500)];
    let gids = [range(0, UID, 1), range(1, 300_000, 500)];
    let mut bundle = bundle(&ids, &gids);
    let setup = user()
        + r#"
        driver=$1; id=$3; at=$4; : "$@"; mkdir shelf; chown 4321 shelf
        shelf() { as_user $driver shelf $at/shelf "$@"; }
        as_user $driver sealed shelf $at/shelf create $id $at > said < /dev/null; shelf state $id
        shelf start $id; until [ -e $1/tmp/ran ]; do sleep 0.02; done
        shelf kill $id; until [ "$(shelf state $id)" = stopped ]; do sleep 0.02; done
        shelf state $id; shelf delete $id; shelf list; ls shelf; cat said"#;
    let setup = setup.replace("$1/tmp", &format!("{}/tmp", bundle.root().display()));

    let outcome = bundle.sh_within(&setup, "id -u; touch /tmp/ran; exec sleep 60").ok();

    assert_eq!(outcome.stdout, "created\nstopped\n0\n", "{outcome}");
}

#[test]
fn an_ordinary_user_joins_their_own_user_namespace() {
    needs_root!();
    needs_tool!("setpriv", "unshare");
    let one = [range(0, UID, 1)];
    let mut bundle = bundle(&one, &one);
    without_groups(&mut bundle);
    linux(&mut bundle).uid_mappings.clear();
    linux(&mut bundle).gid_mappings.clear();
    // Both namespaces are the sleeper's, which is the user's own.
    let joined = bundle.directory().join("joined");
    for namespace in &mut linux(&mut bundle).namespaces {
        if matches!(namespace.kind, NamespaceKind::User | NamespaceKind::Uts) {
            namespace.path = Some(joined.join(namespace.kind.proc_name()));
        }
    }
    let setup = "mkdir joined; chmod 777 joined
        as_user unshare -U -r -u sh -c 'echo $$ > joined/pid; \
            hostname joined; echo > joined/ready; exec sleep 30' &
        until [ -e joined/ready ]; do sleep 0.02; done
        pid=$(cat joined/pid)
        for kind in user uts; do ln -s /proc/$pid/ns/$kind joined/$kind; done
        code=0; as_user \"$@\" || code=$?
        kill $pid; exit $code";
    let setup = user() + setup;
    bundle.spec.hostname = None;

    let outcome = bundle.sh_within(&setup, "hostname; id -u; tr -s ' ' < /proc/self/uid_map").ok();

    assert_eq!(outcome.stdout, "joined\n0\n 0 4321 1\n", "{outcome}");
}

#[test]
fn a_bind_mount_keeps_what_the_host_has_locked() {
    needs_root!();
    needs_tool!("setpriv", "unshare");
    let one = [range(0, UID, 1)];
    let locked = user()
        + "mkdir locked; mount -t tmpfs -o nosuid,nodev,noexec,noatime,mode=777 none locked
           as_user \"$@\"";
    let with = |options: &[&str]| {
        let mut bundle = bundle(&one, &one);
        without_groups(&mut bundle);
        bundle.spec.mounts.push(bind(Path::new("locked"), "/locked", options));
        bundle.sh_within(&locked, "grep ' /locked ' /proc/self/mountinfo | cut -d' ' -f6")
    };

    let kept = with(&["rbind"]).ok();
    let added = with(&["rbind", "ro", "nosuid", "rprivate"]).ok();
    let refused = with(&["rbind", "exec", "suid"]).exits(125);

    assert_eq!(kept.line(), "rw,nosuid,nodev,noexec,noatime");
    assert_eq!(added.line(), "ro,nosuid,nodev,noexec,noatime");
    drop(refused.says("set the options of").says("Operation not permitted"));
}

/// A user without rights in the host enters by the rights over their own user namespace.
#[test]
fn one_more_process_runs_in_an_ordinary_user_s_container() {
    needs_root!();
    needs_tool!("setpriv", "unshare", "newuidmap", "newgidmap");
    let ids = [range(0, UID, 1), range(1, 200_000, 500)];
    let gids = [range(0, UID, 1), range(1, 300_000, 500)];
    let mut bundle = bundle(&ids, &gids);
    // Both processes look the same from inside, but for their numbers.
    let setup = user()
        + r#"
        mkfifo in; chmod 666 in; driver=$1; id=$3; at=$4; : "$@"
        as_user $driver hold $id $at < in > out 2> errors &
        exec 3> in
        until grep -q created out; do kill -0 $! || { cat errors >&2; exit 1; }; sleep 0.02; done
        pid=$(cut -d' ' -f2 out)
        echo go >&3
        # Until it is the program, nobody may look into it or join it.
        until grep -q sleep /proc/$pid/comm; do kill -0 $pid; sleep 0.02; done
        as_user $driver sealed exec $id $at $pid sh -c 'id -u; tr -s " " < /proc/self/uid_map
            for k in user mnt net ipc uts cgroup pid; do
                [ $(readlink /proc/self/ns/$k) = $(readlink /proc/1/ns/$k) ] && echo $k
            done; touch /tmp/by-exec; exit 7' || echo code $?
        kill -9 $pid; exec 3>&-; wait || true"#;

    let outcome = bundle.sh_within(&setup, "sleep 60").ok();

    let namespaces = "user\nmnt\nnet\nipc\nuts\ncgroup\npid\n";
    let expected = format!("0\n 0 {UID} 1\n 1 200000 500\n{namespaces}code 7\n");
    assert_eq!(outcome.stdout, expected, "{outcome}");
    assert_eq!(bundle.root().join("tmp/by-exec").metadata().unwrap().uid(), UID);
}
