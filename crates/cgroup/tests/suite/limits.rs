//! Limits, what is counted against them, and what happens at them.

use crate::ground::{Ground, Shell};
use dhow_base::Kind;
use dhow_cgroup::{Cgroup, OomWatch, plain_oom_kills};
use dhow_spec::runtime::{Cpu, Memory, Network, Pids, Resources};
use dhow_testkit::{need, needs, needs_root};
use rustix::event::{PollFd, PollFlags};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(20);

fn limited() -> Resources {
    Resources {
        memory: Some(Memory { limit: Some(64 << 20), ..Memory::default() }),
        pids: Some(Pids { limit: Some(50) }),
        cpu: Some(Cpu { quota: Some(50_000), period: Some(100_000), ..Cpu::default() }),
        ..Resources::default()
    }
}

#[test]
fn a_missing_controller_is_named_and_nothing_is_left() {
    needs_root!();
    let ground = Ground::new();
    needs!(!ground.is_unified() && !ground.has(&["net_cls"]), "version 1 without net_cls");
    let network = Network { class_id: Some(1), ..Network::default() };
    let resources = Resources { network: Some(network), ..Resources::default() };

    let error = ground.create(&resources).unwrap_err();

    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(error.one_line().contains("net_cls"), "{}", error.one_line());
    assert_eq!(ground.directories(), Vec::<PathBuf>::new());
}

#[test]
fn limits_land_or_name_the_controller_that_is_missing() {
    needs_root!();
    let ground = Ground::new();
    let memory = Memory { limit: Some(64 << 20), ..Memory::default() };
    let cpu = Cpu { quota: Some(50_000), period: Some(100_000), ..Cpu::default() };
    let cases = [
        ("memory", Resources { memory: Some(memory), ..Resources::default() }),
        ("pids", Resources { pids: Some(Pids { limit: Some(17) }), ..Resources::default() }),
        ("cpu", Resources { cpu: Some(cpu), ..Resources::default() }),
    ];
    for (controller, resources) in cases {
        match ground.create(&resources) {
            Ok(cgroup) => {
                let stats = cgroup.stats().unwrap();
                let (memory, pids) = (stats.memory.usage.limit, stats.pids.limit);
                assert!(resources.memory.is_none() || memory == 64 << 20, "{stats:?}");
                assert!(resources.pids.is_none() || pids == 17, "{stats:?}");
                cgroup.delete().unwrap();
            }
            Err(error) => {
                assert_eq!(error.kind(), Kind::Unsupported, "{}", error.one_line());
                let line = error.one_line();
                assert!(line.contains(&format!("no cgroup controller {controller}")), "{line}");
                assert!(ground.is_unified(), "{line}");
            }
        }
    }
}

#[test]
fn limits_change_while_processes_run() {
    needs_root!();
    let ground = Ground::new();
    needs!(ground.has(&["memory", "cpu"]), "the controllers memory and cpu");
    let with = |limit: i64, swap: i64| Resources {
        memory: Some(Memory { limit: Some(limit), swap: Some(swap), ..Memory::default() }),
        cpu: Some(Cpu { shares: Some(512), ..Cpu::default() }),
        ..Resources::default()
    };
    let limit = |cgroup: &Cgroup| cgroup.stats().unwrap().memory.usage.limit;
    let accounts_swap = PathBuf::from("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes").exists()
        || ground.is_unified();
    let swap = |bytes: i64| if accounts_swap { bytes } else { -1 };
    let cgroup = ground.create(&with(32 << 20, swap(64 << 20))).unwrap();
    assert_eq!(limit(&cgroup), 32 << 20);

    // Up beyond the old sum, and down below the old limit: the order of the two writes differs.
    cgroup.update(&with(128 << 20, swap(256 << 20))).unwrap();
    assert_eq!(limit(&cgroup), 128 << 20);
    cgroup.update(&with(16 << 20, swap(24 << 20))).unwrap();
    assert_eq!(limit(&cgroup), 16 << 20);
    cgroup.update(&with(-1, -1)).unwrap();
    assert!(limit(&cgroup) > 1 << 60);
}

#[test]
fn an_update_changes_only_what_it_names() {
    needs_root!();
    let ground = Ground::new();
    needs!(ground.has(&["memory", "pids", "cpu"]), "the controllers memory, pids and cpu");
    let cgroup = ground.create(&limited()).unwrap();

    let update = Resources { pids: Some(Pids { limit: Some(60) }), ..Resources::default() };
    cgroup.update(&update).unwrap();

    assert_eq!(ground.file("memory/memory.limit_in_bytes", "memory.max"), (64 << 20).to_string());
    assert_eq!(ground.file("pids/pids.max", "pids.max"), "60");
    let quota = ground.file("cpu/cpu.cfs_quota_us", "cpu.max");
    assert!(quota == "50000" || quota == "50000 100000", "{quota}");
}

/// From every state to every other, since the kernel refuses a burst above a quota on the way too.
#[test]
fn bandwidth_goes_from_any_state_to_any() {
    needs_root!();
    let ground = Ground::new();
    needs!(ground.has(&["cpu"]), "the controller cpu");
    let cgroup = ground.create(&Resources::default()).unwrap();
    needs!(
        ground.directories().iter().any(|path| {
            path.join("c/cpu.cfs_burst_us").exists() || path.join("c/cpu.max.burst").exists()
        }),
        "a kernel with bursts"
    );
    let states = [
        (50_000, 200_000, 20_000),
        (200_000, 100_000, 150_000),
        (10_000, 50_000, 5_000),
        (400_000, 400_000, 0),
    ];
    for from in states {
        for to in states {
            for (quota, period, burst) in [from, to] {
                let cpu = Cpu {
                    quota: Some(quota),
                    period: Some(period),
                    burst: Some(burst),
                    ..Cpu::default()
                };
                cgroup.update(&Resources { cpu: Some(cpu), ..Resources::default() }).unwrap();
            }

            let (quota, period, burst) = to;
            let shown = ground.file("cpu/cpu.cfs_quota_us", "cpu.max");
            let both = format!("{quota} {period}");
            assert!(shown == both || shown == quota.to_string(), "{from:?} {to:?}: {shown}");
            assert_eq!(ground.file("cpu/cpu.cfs_burst_us", "cpu.max.burst"), burst.to_string());
        }
    }
    let cpu = Cpu { period: Some(100_000), ..Cpu::default() };
    cgroup.update(&Resources { cpu: Some(cpu), ..Resources::default() }).unwrap();
    let shown = ground.file("cpu/cpu.cfs_quota_us", "cpu.max");
    assert!(shown == "400000" || shown == "400000 100000", "{shown}");
}

#[test]
fn a_limit_below_what_is_used_is_refused_where_that_was_asked_for() {
    needs_root!();
    let ground = Ground::new();
    needs!(ground.has(&["memory"]), "the controller memory");
    let cgroup = ground.create(&limited()).unwrap();
    let mut shell = Shell::within(&cgroup, "x=$(head -c 4000000 /dev/zero | tr '\\0' x); read end");
    shell.go();
    let used = need::eventually(LIMIT, || {
        let used = cgroup.stats().unwrap().memory.usage.usage;
        (used > 4_000_000).then_some(used)
    });
    assert!(used.is_some());

    let memory =
        Memory { limit: Some(1 << 20), check_before_update: Some(true), ..Memory::default() };
    let refused =
        cgroup.update(&Resources { memory: Some(memory), ..Resources::default() }).unwrap_err();

    assert_eq!(refused.kind(), Kind::Conflict, "{}", refused.one_line());
    assert_eq!(ground.file("memory/memory.limit_in_bytes", "memory.max"), (64 << 20).to_string());
}

#[test]
fn files_are_set_by_name_where_there_are_any() {
    needs_root!();
    let ground = Ground::new();
    let with = |file: &str, value: &str| Resources {
        unified: [(file.to_owned(), value.to_owned())].into(),
        ..Resources::default()
    };
    for file in ["cgroup.procs", "../x", "nothing", ".x", "x."] {
        let refused = ground.create(&with(file, "1")).unwrap_err();
        let expected = if ground.is_unified() { Kind::Invalid } else { Kind::Unsupported };
        assert_eq!(refused.kind(), expected, "{file}: {}", refused.one_line());
    }
    needs!(ground.is_unified(), "cgroup version 2 alone");

    drop(ground.create(&with("cgroup.max.depth", "7")).unwrap());

    assert_eq!(ground.file("", "cgroup.max.depth"), "7");
    let missing = ground.create(&with("nothing.max", "1")).unwrap_err();
    assert!(missing.one_line().contains("controller nothing"), "{}", missing.one_line());
}

#[test]
fn a_kill_for_want_of_memory_is_counted_and_told_of() {
    needs_root!();
    let ground = Ground::new();
    needs!(ground.has(&["memory"]), "the controller memory");
    let memory = Memory { limit: Some(16 << 20), ..Memory::default() };
    let cgroup =
        ground.create(&Resources { memory: Some(memory), ..Resources::default() }).unwrap();
    let mut watch = cgroup.watch_oom().unwrap();
    let is_readable = |watch: &OomWatch, limit: Duration| {
        let mut fds = [PollFd::new(watch, PollFlags::IN)];
        let limit = limit.try_into().unwrap();
        rustix::event::poll(&mut fds, Some(&limit)).unwrap() == 1
    };
    assert_eq!(cgroup.oom_kills().unwrap(), 0);
    assert_eq!(plain_oom_kills(cgroup.location()), Some(0));

    // `tail` must keep what may be the end: far more than the limit, and then swap is no help.
    let greedy = "head -c 268435456 /dev/zero | tail -c 268435456 >/dev/null; exit 0";
    drop(Shell::within(&cgroup, greedy).output());

    let kills = cgroup.oom_kills().unwrap();
    assert!(kills >= 1);
    assert_eq!(plain_oom_kills(cgroup.location()), Some(kills));
    assert!(is_readable(&watch, LIMIT));
    let killed = need::eventually(LIMIT, || (watch.take().unwrap().events >= 1).then_some(()));
    assert!(killed.is_some());
    cgroup.kill_all().unwrap();
    cgroup.delete().unwrap();
    let over = need::eventually(LIMIT, || watch.take().unwrap().is_over.then_some(()));
    assert!(over.is_some());
}

#[test]
fn the_numbers_are_plausible() {
    needs_root!();
    let ground = Ground::new();
    needs!(ground.has(&["memory", "pids", "cpu"]), "the controllers memory, pids and cpu");
    let cgroup = ground.create(&limited()).unwrap();
    let mut shell = Shell::within(&cgroup, "while :; do :; done");
    shell.go();

    let busy = need::eventually(LIMIT, || {
        let cpu = cgroup.stats().unwrap().cpu;
        (cpu.total_ns > 20_000_000 && cpu.periods > 0).then_some(())
    });
    let stats = cgroup.stats().unwrap();
    cgroup.kill_all().unwrap();

    assert!(busy.is_some(), "{stats:?}");
    assert_eq!((stats.pids.current, stats.pids.limit), (1, 50));
    let memory = stats.memory.usage;
    assert_eq!(memory.limit, 64 << 20);
    assert!(memory.usage < 64 << 20, "{stats:?}");
    assert!(stats.memory.raw.len() > 10, "{stats:?}");
    if ground.is_unified() {
        let counts = Path::new("/proc/pressure/cpu").exists();
        assert_eq!(stats.cpu.pressure.is_some(), counts, "{stats:?}");
    } else {
        assert!(stats.cpu.per_cpu_ns.iter().sum::<u64>() > 0, "{stats:?}");
        assert!(!stats.cpuset.cpus.is_empty() || !ground.has(&["cpuset"]), "{stats:?}");
    }
}

#[test]
fn below_a_cgroup_that_holds_processes_there_is_room_and_no_controller() {
    needs_root!();
    let ground = Ground::new();
    needs!(ground.is_unified() && ground.has(&["pids"]), "version 2 with the controller pids");
    let above = ground.create(&Resources::default()).unwrap();
    let _inhabitant = Shell::within(&above, "true");
    let below = ground.location("c/below");

    let cgroup = Cgroup::create(&ground.hierarchies, &below, &Resources::default()).unwrap();
    let shell = Shell::within(&cgroup, "echo in");

    assert_eq!(shell.output(), "in\n");
    let limited = Resources { pids: Some(Pids { limit: Some(5) }), ..Resources::default() };
    let error = cgroup.update(&limited).unwrap_err();
    assert!(error.one_line().contains("does not pass pids on"), "{}", error.one_line());
    cgroup.delete().unwrap();
}
