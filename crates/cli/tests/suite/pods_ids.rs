//! Pods with ids of their own: `pod create --userns`, `--uidmap`.

use crate::{fixture::with_box, rootless::having_box};
use dhow_testkit::{Dhow, Ids, OrdinaryUser, needs_root};

const MAP: [&str; 2] = ["--uidmap", "0:200000:65536"];

/// What all containers of such a pod have in common, and what they are to themselves.
const LOOK: &str = "for kind in user net ipc uts; do readlink /proc/self/ns/$kind; done; \
                    tr -s ' ' < /proc/self/uid_map; hostname; \
                    stat -c %u:%g /bin/sh /dev/shm /etc/hosts";

fn owner_of_memory(dhow: &Dhow, pod: &str) -> (u32, u32) {
    use std::os::unix::fs::MetadataExt;
    let shm = dhow.runroot().join("pods").join(pod).join("shm").metadata().expect("it is there");
    (shm.uid(), shm.gid())
}

#[test]
fn its_containers_share_one_user_namespace_and_what_belongs_to_it() {
    needs_root!();
    let dhow = with_box();
    let pod = dhow.run(&[&["pod", "create"], &MAP[..], &["web"]].concat()).ok().line().to_owned();

    drop(
        dhow.run(&["run", "-q", "-d", "--pod", "web", "--name", "b", "box", "sleep", "1000"]).ok(),
    );
    let one = dhow.run(&["exec", "b", "sh", "-c", LOOK]).ok().stdout;
    let script = format!("{LOOK}; touch /dev/shm/mine /mine");
    let other = dhow.run(&["run", "--rm", "-q", "--pod", "web", "box", "sh", "-c", &script]).ok();

    assert_eq!(one, other.stdout);
    assert!(one.ends_with("\n 0 200000 65536\nweb\n0:0\n0:0\n0:0\n"), "{one}");
    assert_eq!(owner_of_memory(&dhow, &pod), (200_000, 200_000));
    assert_eq!(dhow.run(&["exec", "b", "stat", "-c", "%u", "/dev/shm/mine"]).ok().line(), "0");
    drop(dhow.run(&["exec", "b", "ping", "-c", "1", "127.0.0.1"]).ok());
    drop(
        dhow.run(&["run", "-q", "--pod", "web", "--userns", "host", "box", "true"])
            .exits(125)
            .says("user namespace"),
    );
    drop(dhow.run(&["pod", "stop", "-t", "0", "web"]).ok());
    assert!(!dhow.runroot().join("pods").join(&pod).exists());
    drop(dhow.run(&["pod", "start", "web"]).ok());
    assert_eq!(dhow.run(&["exec", "b", "id", "-u"]).ok().line(), "0");
    drop(dhow.run(&["pod", "rm", "-f", "-t", "0", "web"]).ok());
    dhow.assert_clean();
}

#[test]
fn a_container_of_its_own_is_in_it_and_a_clone_is_alike() {
    needs_root!();
    let dhow = with_box();
    let create = [&["pod", "create", "--share", "+pid"], &MAP[..], &["web"]].concat();
    drop(dhow.run(&create).ok());
    drop(
        dhow.run(&["run", "-q", "-d", "--pod", "web", "--name", "a", "box", "sleep", "1000"]).ok(),
    );

    drop(dhow.run(&["pod", "clone", "--start", "web"]).ok());

    for name in ["a", "a-clone"] {
        let look = "readlink /proc/1/ns/user; readlink /proc/self/ns/user; cat /proc/self/uid_map";
        let seen = dhow.run(&["exec", name, "sh", "-c", look]).ok().stdout;
        let lines: Vec<&str> = seen.lines().collect();
        assert_eq!(lines[0], lines[1], "{name}");
        assert!(lines[2].contains(" 200000 "), "{name}: {seen}");
    }
    drop(dhow.run(&["pod", "rm", "-f", "-t", "0", "web", "web-clone"]).ok());
    dhow.assert_clean();
}

#[test]
fn what_a_killed_start_has_made_of_its_namespaces_is_made_anew() {
    needs_root!();
    let dhow = with_box();
    let pod = dhow.run(&[&["pod", "create"], &MAP[..], &["web"]].concat()).ok().line().to_owned();
    drop(dhow.run(&["create", "-q", "--pod", "web", "--name", "a", "box", "sleep", "1000"]).ok());
    let directory = dhow.runroot().join("pods").join(&pod);
    for delay_us in (0..16_000).step_by(400) {
        let mut command = dhow.command(&["start", "a"]);
        let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_micros(delay_us));
        child.kill().unwrap();
        child.wait().unwrap();

        drop(dhow.run(&["start", "a"]).ok());
        let seen = dhow.run(&["exec", "a", "sh", "-c", LOOK]).ok().stdout;
        assert!(seen.contains(" 0 200000 65536\nweb\n"), "{delay_us} us: {seen}");
        drop(dhow.run(&["stop", "-t", "0", "a"]).ok());
        assert!(!directory.exists(), "{delay_us} us");
    }
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    drop(dhow.run(&["pod", "rm", "web"]).ok());
    dhow.assert_clean();
}

#[test]
fn an_ordinary_user_keeps_their_id_in_one() {
    if !OrdinaryUser::is_possible() {
        return;
    }
    let user = having_box(OrdinaryUser::new(Ids::Ranges));
    let uid = user.uid();
    drop(user.run(&["pod", "create", "--network=none", "--userns=keep-id", "--name=p"]).ok());
    drop(user.run(&["run", "-d", "--pod=p", "--name=a", "box", "sleep", "1000"]).ok());

    let me = format!("{uid}");
    let run = ["run", "--rm", "--pod=p", "-u", &me, "box", "sh", "-c"];
    let seen = user.run(&[&run[..], &["id -u; touch /dev/shm/mine; stat -c %u /bin/sh"]].concat());
    let look = user.run(&["exec", "a", "sh", "-c", "stat -c %u /dev/shm/mine; id -u"]).ok();
    let by_the_way = ["run", "--rm", "--pod=new:q", "--userns=auto", "--network=none", "box"];
    let auto = user.run(&[&by_the_way[..], &["cat", "/proc/self/uid_map"]].concat()).ok();

    assert_eq!(seen.ok().stdout, format!("{uid}\n0\n"));
    assert_eq!(look.stdout, format!("{uid}\n0\n"));
    assert_eq!(auto.stdout.split_whitespace().collect::<Vec<_>>(), ["0", "1", "1024"]);
    drop(user.run(&["pod", "rm", "-f", "-t", "0", "p", "q"]).ok());
    assert_eq!(user.run(&["doctor"]).ok().stdout, "all is well\n");
}
