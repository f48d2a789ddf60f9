//! Directories that are made before the limits are known.

use crate::ground::{Ground, Shell};
use dhow_cgroup::{Ahead, Cgroup};
use dhow_spec::runtime::{Pids, Resources};
use dhow_testkit::{needs, needs_root};

#[test]
fn what_was_made_ahead_becomes_a_cgroup_with_limits() {
    needs_root!();
    let ground = Ground::new();
    needs!(ground.has(&["pids"]), "the controller pids");
    let ahead = Ahead::make(ground.location("c")).unwrap();
    let before = ground.directories();
    let resources = Resources { pids: Some(Pids { limit: Some(7) }), ..Resources::default() };

    let cgroup = Cgroup::create_ahead(&ahead, &resources).unwrap();
    drop(ahead);

    assert!(!before.is_empty());
    assert!(before.iter().all(|directory| directory.join("c").is_dir()));
    assert_eq!(ground.file("pids/pids.max", "pids.max"), "7");
    let shell = Shell::within(&cgroup, "sleep 100");
    assert_eq!(cgroup.processes().unwrap(), [shell.pid()]);
    cgroup.kill_all().unwrap();
    cgroup.delete().unwrap();
}

#[test]
fn what_is_not_wanted_after_all_goes_with_its_ancestors() {
    needs_root!();
    let ground = Ground::new();
    let ahead = Ahead::make(ground.location("above/c")).unwrap();
    assert!(ground.directories().iter().all(|directory| directory.join("above/c").is_dir()));

    drop(ahead);

    assert!(ground.directories().is_empty(), "{:?}", ground.directories());
}

#[test]
fn who_is_inside_keeps_what_was_made_ahead() {
    needs_root!();
    let ground = Ground::new();
    let ahead = Ahead::make(ground.location("c")).unwrap();
    let cgroup = Cgroup::open(&ground.hierarchies, ahead.location()).unwrap();
    let shell = Shell::within(&cgroup, "sleep 100");

    drop(ahead);

    assert_eq!(cgroup.processes().unwrap(), [shell.pid()]);
}
