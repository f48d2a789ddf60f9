//! `config.json` damaged at random, through everything that reads it before a container is made:
//! no panic, no endless work, and what was understood once is understood the same again.

use crate::{
    affinity::Affinity, capabilities::ungrantable, hooks, io_priority::Urgency, limits::Limits,
    memory_policy::Placement, options, personality::Domain, program::Program, scheduler::Policy,
};
use dhow_spec::runtime::{
    ExecCpuAffinity, Hook, Hooks, IoPriority, MemoryPolicy, Personality, Process, Rlimit,
    Scheduler, Spec, example_spec,
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
    let (mut tried, mut understood, begin) = (0, 0, Instant::now());
    while begin.elapsed() < LIMIT {
        let bytes = mutator.damage(&document);
        tried += 1;
        let one = Instant::now();
        if let Ok(spec) = Spec::parse(&bytes) {
            understood += 1;
            let written = serde_json::to_vec(&spec).unwrap();
            assert_eq!(Spec::parse(&written).unwrap(), spec, "{}", bytes.escape_ascii());
            read_all(&spec);
        }
        let took = one.elapsed();
        assert!(took < Duration::from_secs(20), "{took:?}: {}", bytes.escape_ascii());
    }

    eprintln!("{tried} damaged configurations, {understood} understood");
    assert!(understood > 20 && tried > understood, "{understood} of {tried}");
}

/// Everything that is pure between a document and a container.
fn read_all(spec: &Spec) {
    for mount in &spec.mounts {
        if let Ok(options) = options::parse(&mount.options) {
            assert_eq!(options::parse(&mount.options).unwrap(), options);
        }
    }
    let _checked = spec.hooks.as_ref().map(hooks::check);
    if let Some(process) = &spec.process {
        read_process(spec, process);
    }
    let Some(linux) = &spec.linux else { return };
    let _placement = linux.memory_policy.as_ref().map(Placement::parse);
    let _domain = linux.personality.as_ref().map(Domain::parse);
    if let Some(seccomp) = &linux.seccomp
        && let Ok(program) = dhow_seccomp::compile(seccomp)
    {
        assert!(program.instructions().len() <= 4096);
    }
}

fn read_process(spec: &Spec, process: &Process) {
    let _program = Program::prepare(process);
    let _limits = Limits::parse(&process.rlimits);
    let _policy = process.scheduler.as_ref().map(Policy::parse);
    let _urgency = process.io_priority.as_ref().map(Urgency::parse);
    let _affinity = process.exec_cpu_affinity.as_ref().map(Affinity::parse);
    let _missing = ungrantable(spec, process);
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
    let (mut understood, begin) = (0, Instant::now());
    while begin.elapsed() < LIMIT / 4 {
        let bytes = mutator.damage(&document);
        let Ok(list) = serde_json::from_slice::<Vec<String>>(&bytes) else { continue };
        if let Ok(parsed) = options::parse(&list) {
            understood += 1;
            let has_bad_data = parsed.data.iter().any(|word| word.contains(['\0', ',']));
            assert!(!has_bad_data, "{list:?} becomes {parsed:?}");
        }
    }
    assert!(understood > 20, "{understood} lists");
}
