//! `config.json` damaged at random, through everything that reads it before a container is made:
//! no panic, no endless work, and what was understood once is understood the same again.

use crate::fuzz;
use dhow_spec::runtime::{
    ExecCpuAffinity, Hook, Hooks, IoPriority, MemoryPolicy, Personality, Rlimit, Scheduler,
    example_spec,
};
use dhow_testkit::mutation::Mutator;
use std::time::{Duration, Instant};

/// How long a round of damage may last; in it go thousands of documents.
const LIMIT: Duration = Duration::from_secs(2);

/// A configuration in which everything is said.
fn full() -> serde_json::Value {
    let mut spec = example_spec();
    let hook = Hook {
        path: "/bin/hook".into(),
        args: vec!["hook".to_owned()],
        env: vec!["A=1".to_owned()],
        timeout: Some(3),
    };
    spec.hooks = Some(Hooks {
        prestart: vec![hook.clone()],
        start_container: vec![hook.clone()],
        poststop: vec![hook],
        ..Hooks::default()
    });
    let process = spec.process.get_or_insert_default();
    process.rlimits = vec![Rlimit { kind: "RLIMIT_NOFILE".to_owned(), soft: 1024, hard: u64::MAX }];
    process.oom_score_adj = Some(-500);
    process.scheduler = Some(Scheduler {
        policy: "SCHED_DEADLINE".to_owned(),
        flags: vec!["SCHED_FLAG_RECLAIM".to_owned()],
        runtime: 1,
        deadline: 2,
        period: 3,
        ..Scheduler::default()
    });
    process.io_priority = Some(IoPriority { class: "IOPRIO_CLASS_BE".to_owned(), priority: 3 });
    process.exec_cpu_affinity =
        Some(ExecCpuAffinity { initial: Some("0-3,7".to_owned()), last: Some("1".to_owned()) });
    let linux = spec.linux.get_or_insert_default();
    linux.memory_policy = Some(MemoryPolicy {
        mode: "MPOL_BIND".to_owned(),
        nodes: "0-1".to_owned(),
        flags: vec!["MPOL_F_STATIC_NODES".to_owned()],
    });
    linux.personality = Some(Personality { domain: "LINUX32".to_owned(), flags: Vec::new() });
    linux.seccomp = Some(dhow_seccomp::default_profile::<&str>(dhow_seccomp::Arch::X86_64, &[]));
    serde_json::to_value(&spec).unwrap()
}

#[test]
fn damaged_configurations_are_refused_or_understood_and_nothing_else() {
    let document = full();
    let mut mutator = Mutator::new(3);
    let (mut tried, mut understood, begin) = (0_u64, 0_u64, Instant::now());
    while begin.elapsed() < LIMIT {
        let bytes = mutator.damage(&document);
        tried += 1;
        let one = Instant::now();
        understood += u64::from(fuzz::configuration(&bytes));
        let took = one.elapsed();
        assert!(took < Duration::from_secs(20), "{took:?}: {}", bytes.escape_ascii());
    }

    eprintln!("{tried} damaged configurations, {understood} understood");
    assert!(understood > 20 && tried > understood, "{understood} of {tried}");
}

/// Mount options alone, since most of a configuration's bytes are others'.
#[test]
fn damaged_mount_options_are_refused_or_understood() {
    let words = [
        "bind",
        "rbind",
        "ro",
        "rro",
        "nosuid",
        "rnosuid",
        "noatime",
        "rshared",
        "slave",
        "idmap",
        "tmpcopyup",
        "size=64k",
        "mode=1777",
        "defaults",
        "sync",
        "remount",
        "context=\"a\"",
    ];
    let document = serde_json::json!(words);
    let mut mutator = Mutator::new(5);
    let (mut understood, begin) = (0_u64, Instant::now());
    while begin.elapsed() < LIMIT / 4 {
        let bytes = mutator.damage(&document);
        understood += u64::from(fuzz::mount_options(&bytes));
    }
    assert!(understood > 20, "{understood} lists");
}
