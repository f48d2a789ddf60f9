//! A cgroup's life: made, entered, stopped, killed, removed.

use crate::ground::{Ground, Shell};
use dhow_base::Kind;
use dhow_cgroup::{Cgroup, Hierarchies, plain_processes};
use dhow_spec::runtime::{HugepageLimit, Pids, Resources};
use dhow_testkit::{needs, needs_root};
use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

#[test]
fn a_cgroup_is_made_entered_killed_and_removed_in_every_hierarchy() {
    needs_root!();
    let ground = Ground::new();
    let cgroup = ground.create(&Resources::default()).unwrap();
    let shell = Shell::within(&cgroup, "sleep 100");

    let lines = fs::read_to_string(format!("/proc/{}/cgroup", shell.pid().as_raw_pid())).unwrap();
    let own = format!("/{}/c", ground.name);
    // The version 1 hierarchies that are mounted nowhere to be seen stay where they were.
    let inside = lines.lines().filter(|line| line.ends_with(&own)).count();
    assert_eq!(inside, ground.directories().len(), "{lines}");
    assert_eq!(cgroup.processes().unwrap(), [shell.pid()]);
    assert_eq!(plain_processes(cgroup.location()), Some(vec![shell.pid()]));
    assert_eq!(
        Cgroup::open(&ground.hierarchies, cgroup.location()).unwrap().processes().unwrap().len(),
        1
    );

    cgroup.kill_all().unwrap();

    assert!(cgroup.processes().unwrap().is_empty());
    cgroup.delete().unwrap();
    for directory in ground.directories() {
        assert!(!directory.join("c").exists(), "{}", directory.display());
    }
    let gone = Cgroup::open(&ground.hierarchies, &ground.location("c")).unwrap_err();
    assert_eq!(gone.kind(), Kind::NotFound);
}

#[test]
fn frozen_processes_stand_still_go_on_and_die() {
    needs_root!();
    let ground = Ground::new();
    let cgroup = ground.create(&Resources::default()).unwrap();
    let mut shell = Shell::within(&cgroup, "while :; do :; done");
    shell.go();
    let ticks = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", shell.pid().as_raw_pid())).unwrap();
        let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let until_moving = |from: u64| {
        let deadline = Instant::now() + Duration::from_secs(20);
        while ticks() == from {
            assert!(Instant::now() < deadline, "it does not run");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    until_moving(0);

    cgroup.freeze().unwrap();
    assert!(cgroup.is_frozen().unwrap());
    let before = ticks();
    std::thread::sleep(Duration::from_millis(60));
    assert_eq!(ticks(), before);

    cgroup.thaw().unwrap();
    assert!(!cgroup.is_frozen().unwrap());
    until_moving(before);

    cgroup.freeze().unwrap();
    cgroup.kill_all().unwrap();
    cgroup.delete().unwrap();
}

#[test]
fn trees_below_are_killed_and_removed_whatever_their_names_and_depth() {
    needs_root!();
    let ground = Ground::new();
    let cgroup = ground.create(&Resources::default()).unwrap();
    let mut shells = Vec::new();
    for directory in ground.directories() {
        let odd = directory.join("c").join(OsStr::from_bytes(b"a b\xff\xfe"));
        let mut deep = odd;
        for _ in 0..30 {
            fs::create_dir(&deep).unwrap();
            deep = deep.join("d".repeat(100));
        }
        let shell = Shell::within(&cgroup, "sleep 100");
        // A cpuset takes nobody before it has processors; the others take part.
        if !directory.to_string_lossy().contains("cpuset") {
            let procs = deep.parent().unwrap().join("cgroup.procs");
            fs::write(procs, shell.pid().as_raw_pid().to_string()).unwrap();
        }
        shells.push(shell);
    }
    let mut found = cgroup.processes().unwrap();
    let mut plain = plain_processes(cgroup.location()).unwrap();
    found.sort_by_key(|pid| pid.as_raw_pid());
    plain.sort_by_key(|pid| pid.as_raw_pid());
    assert_eq!((found.len(), &found), (shells.len(), &plain));

    cgroup.kill_all().unwrap();
    cgroup.delete().unwrap();

    for directory in ground.directories() {
        assert!(!directory.join("c").exists(), "{}", directory.display());
    }
}

#[test]
fn a_fork_bomb_ends() {
    needs_root!();
    let ground = Ground::new();
    let limits = Resources {
        pids: (!ground.is_unified()).then_some(Pids { limit: Some(40) }),
        ..Resources::default()
    };
    let cgroup = ground.create(&limits).unwrap();
    // Without a limit for processes, this one keeps to a few by itself.
    let bomb = "f() { while :; do sleep 0.01 & sleep 0.01 & wait; done; }; f & f & f & f";
    let mut shell = Shell::within(&cgroup, bomb);
    shell.go();
    std::thread::sleep(Duration::from_millis(100));

    cgroup.kill_all().unwrap();

    assert!(cgroup.processes().unwrap().is_empty());
    cgroup.delete().unwrap();
}

#[test]
fn a_cgroup_with_processes_is_not_taken_and_not_harmed() {
    needs_root!();
    let ground = Ground::new();
    let first = ground.create(&Resources::default()).unwrap();
    let shell = Shell::within(&first, "sleep 100");

    let error = ground.create(&Resources::default()).unwrap_err();

    assert_eq!(error.kind(), Kind::Conflict);
    let named = format!("process {} is in it", shell.pid().as_raw_pid());
    assert!(error.one_line().contains(&named), "{}", error.one_line());
    assert_eq!(first.processes().unwrap(), [shell.pid()]);
}

#[test]
fn an_empty_cgroup_may_be_used_and_outlives_a_failure() {
    needs_root!();
    let ground = Ground::new();
    drop(ground.create(&Resources::default()).unwrap());
    let impossible = Resources {
        hugepage_limits: vec![HugepageLimit { page_size: "../x".into(), limit: 1 }],
        ..Resources::default()
    };

    ground.create(&impossible).unwrap_err();

    assert!(ground.create(&Resources::default()).is_ok());
}

#[test]
fn a_failure_leaves_nothing_behind() {
    needs_root!();
    let ground = Ground::new();
    let impossible = Resources {
        hugepage_limits: vec![HugepageLimit { page_size: "../x".into(), limit: 1 }],
        ..Resources::default()
    };

    let error = ground.create(&impossible).unwrap_err();

    assert_eq!(error.kind(), Kind::Invalid);
    assert_eq!(ground.directories(), Vec::<PathBuf>::new());
}

#[test]
fn many_at_once_make_the_same_ancestors() {
    needs_root!();
    let ground = Ground::new();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let ground = &ground;
            scope.spawn(move || {
                for round in 0..5 {
                    let location = ground.location(&format!("a/b/c{number}-{round}"));
                    let resources = Resources::default();
                    let made = Cgroup::create(&ground.hierarchies, &location, &resources);
                    made.unwrap().delete().unwrap();
                }
            });
        }
    });
}

#[test]
fn a_mount_over_a_cgroup_is_not_followed() {
    needs_root!();
    let ground = Ground::new();
    drop(ground.create(&Resources::default()).unwrap());
    let victim = ground.directories().remove(0).join("c");
    let other = tempfile::tempdir().unwrap();
    fs::create_dir(other.path().join("canary")).unwrap();
    let mount = |arguments: &[&OsStr]| {
        Command::new(arguments[0]).args(&arguments[1..]).status().unwrap().success()
    };
    let bind = ["mount", "--bind"].map(OsStr::new);
    assert!(mount(&[bind[0], bind[1], other.path().as_os_str(), victim.as_os_str()]));

    let deleted = Cgroup::open(&ground.hierarchies, &ground.location("c"))
        .and_then(|cgroup| cgroup.kill_all().and_then(|()| cgroup.delete()));

    assert!(mount(&[OsStr::new("umount"), victim.as_os_str()]));
    assert!(deleted.is_err());
    assert!(other.path().join("canary").exists());
}

#[test]
fn making_entering_and_removing_is_quick() {
    needs_root!();
    let ground = Ground::new();
    drop(ground.create(&Resources::default()).unwrap());
    let mut fastest = [Duration::MAX; 4];
    for round in 0..20 {
        // As long as the kernel needs to fall back from the quick form of its fork lock.
        std::thread::sleep(Duration::from_millis(40));
        let mut took = [Duration::ZERO; 4];
        let mut start = Instant::now();
        let mut lap =
            |at: usize| took[at] = std::mem::replace(&mut start, Instant::now()).elapsed();
        let hierarchies = Hierarchies::detect().unwrap();
        lap(0);
        let location = ground.location(&format!("q{round}"));
        let cgroup = Cgroup::create(&hierarchies, &location, &Resources::default()).unwrap();
        lap(1);
        std::thread::scope(|scope| {
            let joined = scope.spawn(|| {
                let start = Instant::now();
                cgroup.join().unwrap();
                start.elapsed()
            });
            took[2] = joined.join().unwrap();
        });
        let start = Instant::now();
        cgroup.delete().unwrap();
        took[3] = start.elapsed();
        for (fastest, took) in fastest.iter_mut().zip(took) {
            *fastest = took.min(*fastest);
        }
    }
    let [detect, create, join, delete] = fastest;
    eprintln!("detect {detect:?}, create {create:?}, join {join:?}, delete {delete:?}");
    // A grace period is several milliseconds.
    assert!(join < Duration::from_millis(3), "{join:?}");
}

#[test]
fn a_thread_joins_version_1_by_itself() {
    needs_root!();
    let ground = Ground::new();
    needs!(!ground.is_unified(), "cgroup version 1");
    let cgroup = ground.create(&Resources::default()).unwrap();

    // In a thread of its own: one that joins cannot leave again.
    let memberships = std::thread::scope(|scope| {
        let joined = scope.spawn(|| {
            cgroup.join().unwrap();
            fs::read_to_string("/proc/thread-self/cgroup").unwrap()
        });
        joined.join().unwrap()
    });

    let own = format!("/{}/c", ground.name);
    let inside = memberships.lines().filter(|line| line.ends_with(&own)).count();
    let legacy = ground.directories().iter().filter(|path| path.join("c/tasks").exists()).count();
    assert_eq!(inside, legacy, "{memberships}");
}

#[test]
fn another_users_cgroup_is_not_taken_for_ones_own() {
    needs_root!();
    let ground = Ground::new();
    drop(ground.create(&Resources::default()).unwrap());
    for directory in ground.directories() {
        std::os::unix::fs::chown(directory.join("c"), Some(65_534), None).unwrap();
    }

    let opened = Cgroup::open(&ground.hierarchies, &ground.location("c")).unwrap_err();
    let made = ground.create(&Resources::default()).unwrap_err();

    assert_eq!(opened.kind(), Kind::NotFound);
    assert_eq!(made.kind(), Kind::Denied, "{}", made.one_line());
}

#[test]
fn below_threads_there_is_no_place_for_a_process_and_the_error_says_so() {
    needs_root!();
    let ground = Ground::new();
    let parent = Path::new("/sys/fs/cgroup");
    let parent = if ground.is_unified() { parent.to_owned() } else { parent.join("unified") };
    needs!(parent.join("cgroup.procs").exists(), "a cgroup version 2 tree");
    let threaded = parent.join(&ground.name).join("threaded");
    fs::create_dir_all(&threaded).unwrap();
    fs::write(threaded.join("cgroup.type"), "threaded").unwrap();
    let location = ground.location("threaded/c");
    let cgroup = Cgroup::create(&ground.hierarchies, &location, &Resources::default()).unwrap();
    let shell = Shell::new("sleep 100");

    let error = cgroup.add(shell.pid()).unwrap_err();

    assert_eq!(error.kind(), Kind::Conflict, "{}", error.one_line());
    assert!(error.one_line().contains("threaded"), "{}", error.one_line());
}
