//! Containers of an ordinary user in which ids are mapped otherwise: `--userns keep-id`, `nomap`, `auto`
//! and `--uidmap`, each on a copy of the image with the owners that it takes.

use crate::{
    fixture::SOON,
    rootless::having_box,
    torment::{Operation, torment, words},
};
use dhow_testkit::{Ids, OrdinaryUser, need, outcome::Outcome};
use std::{fs, os::unix::fs::MetadataExt, path::Path};

fn user() -> Option<OrdinaryUser> {
    OrdinaryUser::is_possible().then(|| having_box(OrdinaryUser::new(Ids::Ranges)))
}

/// A program in a container without a network.
fn run(user: &OrdinaryUser, flags: &[&str], script: &str) -> Outcome {
    let run = [&["run", "--network", "none"], flags, &["box", "sh", "-c", script]];
    user.run(&run.concat())
}

fn keep(user: &OrdinaryUser, flags: &[&str], script: &str) -> String {
    run(user, &[&["--rm", "--userns", "keep-id"], flags].concat(), script).ok().stdout
}

/// The numbers of the snapshots in order: one for the layer of the image, and one for each copy. Those of
/// containers that were removed go after the command, and `doctor` waits for that.
fn snapshots(user: &OrdinaryUser) -> Vec<u32> {
    is_well(user);
    let entries = fs::read_dir(user.root().join("snapshots")).expect("there are some");
    let mut numbers: Vec<u32> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

fn owner(path: &Path) -> (u32, u32) {
    let status = path.metadata().expect("it is there");
    (status.uid(), status.gid())
}

fn is_well(user: &OrdinaryUser) {
    assert_eq!(user.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn the_user_is_themselves_and_the_image_is_root_s() {
    let Some(user) = user() else { return };
    let uid = user.uid();
    let shared = user.home().join("shared");
    drop(user.run(&["unshare", "mkdir", "-m", "755", &shared.to_string_lossy()]).ok());
    let volume = format!("{}:/shared", shared.display());

    let seen = keep(
        &user,
        &["-v", &volume],
        "id -u; id -g; stat -c %u:%g /bin/sh /etc/hosts /shared; touch /shared/mine; \
         grep -c \":$(id -u):\" /etc/passwd; touch /etc/mine 2>&1; tr -s ' ' </proc/self/uid_map",
    );
    let of_root =
        keep(&user, &["-u", "0", "-v", "v:/v"], "id -u; touch /etc/mine /v/x && echo fine");

    let denied = "touch: /etc/mine: Permission denied";
    let (after, rest) = (uid + 1, 65_536 - uid.min(65_536));
    let mut expected = format!("{uid}\n{uid}\n0:0\n0:0\n{uid}:{uid}\n1\n{denied}\n");
    expected.push_str(&format!(" 0 1 {}\n {uid} 0 1\n", uid.min(65_536)));
    if rest > 0 {
        expected.push_str(&format!(" {after} {after} {rest}\n"));
    }
    assert_eq!(seen, expected);
    assert_eq!(owner(&shared.join("mine")), (uid, uid));
    assert_eq!(of_root, "0\nfine\n");
    assert_eq!(owner(&user.root().join("volumes/v/data/x")), (user.first(), user.first()));
    drop(user.run(&["unshare", "rm", "-r", &shared.to_string_lossy()]).ok());
    drop(user.run(&["volume", "rm", "v"]).ok());
    is_well(&user);
}

#[test]
fn another_id_inside_can_be_the_user_s() {
    let Some(user) = user() else { return };

    let seen = run(&user, &["--rm", "--userns", "keep-id:uid=7,gid=8"], "id -u; id -g").ok();
    let said = run(&user, &["--rm", "--userns", "keep-id", "-u", "33:34"], "id -u; id -g").ok();

    assert_eq!(seen.stdout, "7\n8\n");
    assert_eq!(said.stdout, "33\n34\n");
}

#[test]
fn one_copy_serves_all_containers_of_a_mapping_and_goes_with_its_image() {
    let Some(user) = user() else { return };
    let before = snapshots(&user).len();

    drop(keep(&user, &[], "true"));
    let once = snapshots(&user).len();
    drop(keep(&user, &[], "true"));
    let twice = snapshots(&user).len();
    drop(run(&user, &["--rm", "--userns", "nomap"], "true").ok());
    let other = snapshots(&user).len();
    drop(run(&user, &["--name", "c", "--userns", "keep-id"], "true").ok());
    let refused = user.run(&["rmi", "box"]).exits(1);
    drop(user.run(&["rm", "c"]).ok());
    is_well(&user);
    drop(user.run(&["rmi", "box"]).ok());

    assert_eq!((once, twice, other), (before + 1, before + 1, before + 2));
    assert!(refused.stderr.contains("container c"), "{refused}");
    assert_eq!(snapshots(&user).len(), 0);
    is_well(&user);
}

/// The first id outside and how many, of a map of one line.
fn one_range(map: &str) -> (u32, u32) {
    let numbers: Vec<u32> = map.split_whitespace().flat_map(str::parse).collect();
    match numbers[..] {
        [0, first, count] => (first, count),
        _ => panic!("not one range from 0 on: {map:?}"),
    }
}

#[test]
fn each_gets_a_free_range_of_the_user_s_ids() {
    let Some(user) = user() else { return };
    let map = |name: &str, flag: &str| {
        let script = "cat /proc/self/uid_map; stat -c %u /bin/sh >&2; exec sleep 1000";
        let flags = ["-d", "--name", name, flag];
        drop(run(&user, &flags, script).ok());
        let logs = need::eventually(SOON, || {
            let logs = user.run(&["logs", name]).ok();
            logs.stderr.ends_with('\n').then_some(logs)
        });
        let logs = logs.expect("it writes its map");
        assert_eq!(logs.stderr, "0\n");
        one_range(&logs.stdout)
    };

    // One that has all ids by the user's will stands in nobody's way.
    drop(run(&user, &["--name", "kept", "--userns", "keep-id"], "true").ok());
    // At once, so that they want the same.
    let (one, two) = std::thread::scope(|scope| {
        let one = scope.spawn(|| map("one", "--userns=auto"));
        let two = scope.spawn(|| map("two", "--userns=auto"));
        (one.join().unwrap(), two.join().unwrap())
    });
    let small = map("small", "--userns=auto:size=2000");
    let none = run(&user, &["--userns", "auto:size=65000"], "true").exits(125);
    drop(user.run(&["rm", "-f", "-t", "0", "one", "small"]).ok());
    let again = map("again", "--userns=auto");

    let mut firsts = [one.0, two.0];
    firsts.sort_unstable();
    // The image has an account 2000.
    assert_eq!((firsts, one.1, two.1), ([1, 2002], 2001, 2001));
    assert_eq!(small, (4003, 2000));
    assert!(none.stderr.contains("no 65000 ids in a row are free"), "{none}");
    assert_eq!(again, one);
    drop(user.run(&["rm", "-f", "-t", "0", "-a"]).ok());
    is_well(&user);
}

#[test]
fn a_copy_that_somebody_removed_is_made_again() {
    let Some(user) = user() else { return };
    drop(keep(&user, &[], "true"));
    let numbers = snapshots(&user);
    let copy = user.root().join(format!("snapshots/{}", numbers.last().unwrap()));
    drop(user.run(&["unshare", "rm", "-r", &copy.to_string_lossy()]).ok());

    let seen = keep(&user, &[], "stat -c %u /bin/sh");

    assert_eq!(seen, "0\n");
    is_well(&user);
}

#[test]
fn what_is_taken_out_of_a_container_has_the_owners_of_inside() {
    let Some(user) = user() else { return };
    let uid = user.uid();
    let script = "echo a >/etc/a; chown 5:6 /etc/a; mkdir /own; chown $0 /own";
    let script = script.replace("$0", &uid.to_string());
    drop(run(&user, &["--name", "c", "--userns", "keep-id", "-u", "0"], &script).ok());

    drop(user.run(&["cp", "c:/etc/a", "-"]).ok());
    drop(user.run(&["commit", "-q", "c", "changed"]).ok());
    drop(user.run(&["export", "-o", "c.tar", "c"]).ok());
    drop(user.run(&["cp", "c.tar", "c:/own/in"]).ok());

    let look = ["run", "--rm", "--network", "none", "changed", "stat", "-c", "%u:%g", "/etc/a"];
    let look = [&look[..], &["/own", "/bin/sh", "/etc/passwd"]].concat();
    assert_eq!(user.run(&look).ok().stdout, format!("5:6\n{uid}:0\n0:0\n0:0\n"));
    let list = ["unshare", "tar", "--numeric-owner", "-tvf", "c.tar"];
    let listed = user.run(&list).ok().stdout;
    let line = listed.lines().find(|line| line.ends_with(" etc/a")).expect("it is there");
    assert!(line.contains(" 5/6 "), "{line}");
    drop(user.run(&["start", "-a", "c"]).ok());
    let inside = user.run(&["diff", "c"]).ok().stdout;
    assert!(inside.contains("A /own/in") && !inside.contains("/bin"), "{inside}");
    drop(user.run(&["rm", "c"]).ok());
    drop(user.run(&["rmi", "changed"]).ok());
    is_well(&user);
}

#[test]
fn who_joins_has_the_same_ids_and_a_running_one_is_entered() {
    let Some(user) = user() else { return };
    let uid = user.uid().to_string();
    let long = ["run", "-d", "--network", "none", "--name", "c", "--userns", "keep-id", "box"];
    drop(user.run(&[&long[..], &["sleep", "1000"]].concat()).ok());

    let joined = run(&user, &["--rm", "--userns", "container:c"], "stat -c %u /bin/sh; id -u").ok();
    let entered = user.run(&["exec", "c", "sh", "-c", "id -u; touch /tmp/x"]).ok();
    drop(user.run(&["cp", "c:/tmp/x", "x"]).ok());
    drop(user.run(&["cp", "x", "c:/tmp/y"]).ok());
    let owners =
        user.run(&["exec", "c", "stat", "-c", "%u", "/tmp/x", "/tmp/y", "/etc/hosts"]).ok();
    drop(user.run(&["rm", "-f", "-t", "0", "c"]).ok());

    assert_eq!(joined.stdout, "0\n0\n");
    assert_eq!(entered.stdout, format!("{uid}\n"));
    assert_eq!(owners.stdout, format!("{uid}\n0\n0\n"));
    is_well(&user);
}

#[test]
fn nobody_inside_is_the_user_and_mappings_are_of_what_the_user_has() {
    let Some(user) = user() else { return };
    let map = "tr -s ' ' </proc/self/uid_map; stat -c %u /bin/sh";

    let nomap = run(&user, &["--rm", "--userns", "nomap"], map).ok();
    let own = run(&user, &["--rm", "--uidmap", "0:1:1000", "--gidmap", "0:1:1000"], map).ok();
    let beyond = run(&user, &["--rm", "--uidmap", "0:1:70000"], "true").exits(125);
    let small = run(&user, &["--rm", "--uidmap", "5:1:2", "--gidmap", "5:1:2"], "true").exits(125);

    assert_eq!(nomap.stdout, " 0 1 65536\n0\n");
    assert_eq!(own.stdout, " 0 1 1000\n0\n");
    assert!(beyond.stderr.contains("1 to 65536 are what /etc/subuid gives"), "{beyond}");
    assert!(small.stderr.contains("there is no user 0 in the user namespace"), "{small}");
    is_well(&user);
}

#[test]
fn a_copy_that_is_killed_anywhere_is_made_again_and_leaves_nothing() {
    let Some(user) = user() else { return };
    let fill = "mkdir -p /srv; for n in $(seq 400); do echo $n >/srv/$n; done; chown 7:8 /srv/400";
    drop(run(&user, &["--name", "many"], fill).ok());
    drop(user.run(&["commit", "-q", "many", "many"]).ok());
    let archive = user.home().join("many.tar").display().to_string();
    drop(user.run(&["save", "-q", "-o", &archive, "many"]).ok());
    let none = || {
        drop(user.run(&["rm", "-fa"]).ok());
        drop(user.run(&["rmi", "-f", "many"]));
    };
    let here = || {
        none();
        drop(user.run(&["load", "-q", "-i", &archive]).ok());
    };
    let is_made = || {
        let whole = "ls /srv | wc -l; stat -c %u:%g /srv/400";
        let seen =
            ["run", "--rm", "--network", "none", "--userns", "keep-id", "many", "sh", "-c", whole];
        assert_eq!(user.run(&seen).ok().stdout, "400\n7:8\n");
    };
    let create = ["create", "-q", "--network", "none", "--userns", "keep-id", "many", "true"];
    let operation =
        Operation { name: "copy", before: &here, arguments: words(&create), after: &is_made };

    torment(&user, &none, &[operation]);

    none();
    drop(user.run(&["rmi", "-af"]).ok());
    assert_eq!(snapshots(&user).len(), 0);
}
