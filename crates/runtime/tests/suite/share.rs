//! What the kernel gives a process beside others: scheduling, I/O priority, processors, memory
//! nodes; and which machine it shows.

use crate::bundle::Bundle;
use dhow_spec::runtime::{ExecCpuAffinity, IoPriority, MemoryPolicy, Personality, Scheduler};
use dhow_testkit::{needs, needs_root};

/// A field of `/proc/<pid>/stat`, as proc(5) counts them.
fn field(stat: &str, number: usize) -> &str {
    let rest = &stat[stat.rfind(')').unwrap() + 2..];
    rest.split(' ').nth(number - 3).unwrap()
}

const NICE: usize = 19;
const PRIORITY: usize = 40;
const POLICY: usize = 41;

#[test]
fn a_process_has_its_scheduling_policy() {
    needs_root!();
    let of = |policy: &str| Scheduler { policy: policy.to_owned(), ..Scheduler::default() };
    let cases = [
        (Scheduler { nice: 7, ..of("SCHED_OTHER") }, "7", "0"),
        (Scheduler { nice: -3, ..of("SCHED_BATCH") }, "-3", "3"),
        (of("SCHED_IDLE"), "0", "5"),
        (
            Scheduler {
                runtime: 1_000_000,
                deadline: 100_000_000,
                period: 100_000_000,
                ..of("SCHED_DEADLINE")
            },
            "0",
            "6",
        ),
    ];
    for (scheduler, nice, policy) in cases {
        let mut bundle = Bundle::new();
        let name = scheduler.policy.clone();
        bundle.process().scheduler = Some(scheduler);

        let outcome = bundle.run(&["cat", "/proc/self/stat"]).ok();

        assert_eq!(field(&outcome.stdout, POLICY), policy, "{name}: {outcome}");
        assert_eq!(field(&outcome.stdout, NICE), nice, "{name}: {outcome}");
    }
}

/// Children start anew where the flag says so.
#[test]
fn a_scheduling_flag_reaches_the_kernel() {
    needs_root!();
    let mut bundle = Bundle::new();
    bundle.process().scheduler = Some(Scheduler {
        policy: "SCHED_OTHER".to_owned(),
        nice: -3,
        flags: vec!["SCHED_FLAG_RESET_ON_FORK".to_owned()],
        ..Scheduler::default()
    });

    let outcome =
        bundle.sh("read own < /proc/self/stat; echo \"$own\"; cat /proc/self/stat | cat").ok();

    let mut lines = outcome.stdout.lines();
    assert_eq!(field(lines.next().unwrap(), NICE), "-3");
    assert_eq!(field(lines.next().unwrap(), NICE), "0");
}

/// A real-time policy is set after the cgroup is entered, so the cgroup's word on it counts.
#[test]
fn a_real_time_policy_is_set_or_refused_by_name() {
    needs_root!();
    let mut bundle = Bundle::new();
    bundle.process().scheduler =
        Some(Scheduler { policy: "SCHED_RR".to_owned(), priority: 11, ..Scheduler::default() });

    let outcome = bundle.run(&["cat", "/proc/self/stat"]);

    if outcome.code == 0 {
        assert_eq!(field(&outcome.stdout, POLICY), "2", "{outcome}");
        assert_eq!(field(&outcome.stdout, PRIORITY), "11", "{outcome}");
    } else {
        drop(outcome.exits(125).says("set scheduling policy SCHED_RR"));
    }
}

#[test]
fn a_process_has_its_io_priority() {
    needs_root!();
    let cases = [("IOPRIO_CLASS_BE", 6, "best-effort: prio 6"), ("IOPRIO_CLASS_IDLE", 0, "idle")];
    for (class, priority, expected) in cases {
        let mut bundle = Bundle::new();
        bundle.process().io_priority = Some(IoPriority { class: class.to_owned(), priority });

        let outcome = bundle.sh("ionice -p $$").ok();

        assert!(outcome.line().starts_with(expected), "{outcome}");
    }
}

#[test]
fn a_process_s_memory_comes_from_its_nodes() {
    needs_root!();
    needs!(std::path::Path::new("/proc/self/numa_maps").exists(), "a kernel with memory nodes");
    let policy = |mode: &str, nodes: &str| MemoryPolicy {
        mode: mode.to_owned(),
        nodes: nodes.to_owned(),
        flags: vec!["MPOL_F_STATIC_NODES".to_owned()],
    };
    let mut bundle = Bundle::new();
    bundle.spec.linux.as_mut().unwrap().memory_policy = Some(policy("MPOL_BIND", "0"));
    let maps = bundle.run(&["cat", "/proc/self/numa_maps"]).ok();
    assert!(maps.stdout.contains(" bind=static:0 "), "{maps}");

    let held = running(&mut bundle);
    let maps = bundle.exec(held.pid, &["cat", "/proc/self/numa_maps"]).ok();
    assert!(maps.stdout.contains(" bind=static:0 "), "{maps}");
    stop(held);

    bundle.spec.linux.as_mut().unwrap().memory_policy = Some(policy("MPOL_BIND", "900"));
    drop(bundle.run(&["true"]).exits(125).says("set memory policy MPOL_BIND"));
}

#[test]
fn a_32_bit_machine_is_shown_where_it_is_asked_for() {
    needs_root!();
    let mut bundle = Bundle::new();
    let own = bundle.run(&["uname", "-m"]).ok().line().to_owned();
    needs!(own == "x86_64", "x86_64");
    let personality = |domain: &str, flags: &[&str]| {
        let flags = flags.iter().map(|&flag| flag.to_owned()).collect();
        Some(Personality { domain: domain.to_owned(), flags })
    };
    bundle.spec.linux.as_mut().unwrap().personality = personality("LINUX32", &[]);

    assert_eq!(bundle.run(&["uname", "-m"]).ok().line(), "i686");
    let held = running(&mut bundle);
    assert_eq!(bundle.exec(held.pid, &["uname", "-m"]).ok().line(), "i686");
    stop(held);

    bundle.spec.linux.as_mut().unwrap().personality = personality("LINUX", &["READ_IMPLIES_EXEC"]);
    drop(bundle.run(&["true"]).exits(125).says("READ_IMPLIES_EXEC"));
}

fn running(bundle: &mut Bundle) -> crate::bundle::Held {
    let mut held = bundle.hold(&["sh", "-c", "echo up; exec sleep 60"]);
    held.start();
    assert_eq!(held.line(), "up");
    held
}

fn stop(held: crate::bundle::Held) {
    held.kill();
    assert_eq!(held.end().0, 137);
}

const ALLOWED: [&str; 3] = ["grep", "Cpus_allowed_list", "/proc/self/status"];

fn processors(outcome: &dhow_testkit::outcome::Outcome) -> String {
    outcome.line().split_whitespace().nth(1).unwrap().to_owned()
}

#[test]
fn a_joining_process_runs_on_its_processors_and_the_container_s_own_does_not_care() {
    needs_root!();
    let mut bundle = Bundle::new();
    let all = processors(&bundle.run(&ALLOWED).ok());
    needs!(all != "0", "two processors");
    let affinity = |initial: Option<&str>, last: Option<&str>| {
        let own = |list: Option<&str>| list.map(str::to_owned);
        Some(ExecCpuAffinity { initial: own(initial), last: own(last) })
    };
    bundle.process().exec_cpu_affinity = affinity(None, Some("1"));
    assert_eq!(processors(&bundle.run(&ALLOWED).ok()), all);
    let held = running(&mut bundle);

    assert_eq!(processors(&bundle.exec(held.pid, &ALLOWED).ok()), "1");
    bundle.process().exec_cpu_affinity = affinity(Some("0"), Some("0-1"));
    bundle.write();
    assert_eq!(processors(&bundle.exec(held.pid, &ALLOWED).ok()), "0-1");
    bundle.process().exec_cpu_affinity = affinity(Some("1000"), None);
    bundle.write();
    drop(bundle.exec(held.pid, &ALLOWED).exits(125).says("the initial processors"));
    bundle.process().exec_cpu_affinity = affinity(None, Some("1-x"));
    bundle.write();
    drop(bundle.exec(held.pid, &ALLOWED).exits(125).says("use execCPUAffinity: final \"1-x\""));
    stop(held);
}

/// Who starts a container may be bound to one processor; the container is not.
#[test]
fn a_caller_s_processors_are_not_the_container_s() {
    needs_root!();
    let mut bundle = Bundle::new();
    let all = processors(&bundle.run(&ALLOWED).ok());
    needs!(all != "0", "two processors");
    let before = rustix::thread::sched_getaffinity(None).unwrap();
    let mut one = rustix::thread::CpuSet::new();
    one.set(0);
    rustix::thread::sched_setaffinity(None, &one).unwrap();

    let outcome = bundle.run(&ALLOWED).ok();
    rustix::thread::sched_setaffinity(None, &before).unwrap();

    assert_eq!(processors(&outcome), all);
}
