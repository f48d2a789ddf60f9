//! `process.scheduler`, `process.ioPriority`, `process.execCPUAffinity` and `linux.intelRdt`: how
//! much of the machine the process gets, and when. config.md, section Linux Process;
//! config-linux.md, section IntelRdt. (`linux.memoryPolicy` is tried with the features.)

use super::bundle;
use dhow_conformance::{conformance, verdict::requires};
use serde_json::json;
use std::{fs, path::Path};

conformance! {
    /// "policy (string, REQUIRED) represents the scheduling policy", "nice (int32, OPTIONAL) is the
    /// nice value for the process, affecting its priority."
    fn the_policy_is_the_named_one(runtime) {
        // Of who is idle the kernel takes no nice value (sched_setattr(2)): the caller's stays.
        for (policy, number, nice) in [
            ("SCHED_OTHER", "0", Some(5)), ("SCHED_BATCH", "3", Some(7)), ("SCHED_IDLE", "5", None),
        ] {
            let mut bundle = bundle(runtime);
            bundle.set("/process/scheduler", json!({"policy": policy, "nice": nice.unwrap_or(0)}));

            let seen = bundle.see();

            assert_eq!(seen["scheduling"]["policy"], number, "{policy}");
            if let Some(nice) = nice {
                assert_eq!(seen["scheduling"]["nice"], nice.to_string(), "{policy}");
            }
        }
    }

    /// config.md, Valid values: "Runtimes MUST generate an error when invalid or unsupported values
    /// are encountered."
    fn what_is_no_policy_is_refused(runtime) {
        for scheduler in [
            json!({"policy": "SCHED_LUCK"}), json!({"policy": "SCHED_BATCH", "nice": 20}),
            json!({"policy": "SCHED_OTHER", "priority": 5}),
            json!({"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_LUCK"]}),
        ] {
            let mut bundle = bundle(runtime);
            bundle.set("/process/scheduler", scheduler);

            drop(bundle.refused());
        }
    }

    /// "class (string, REQUIRED) specifies the I/O scheduling class", "priority (int, REQUIRED)
    /// specifies the priority level within the class".
    fn the_input_output_priority_is_the_named_one(runtime) {
        for (class, priority, shown) in
            [("IOPRIO_CLASS_BE", 2, "best-effort: prio 2"), ("IOPRIO_CLASS_IDLE", 0, "idle")]
        {
            let mut bundle = bundle(runtime);
            bundle.set("/process/ioPriority", json!({"class": class, "priority": priority}));
            bundle.script("ionice -p $$");

            let printed = bundle.run().ok().stdout;

            assert!(printed.starts_with(shown), "{class}: {printed}");
        }
        let mut bundle = bundle(runtime);
        bundle.set("/process/ioPriority", json!({"class": "IOPRIO_CLASS_LUCK", "priority": 0}));
        drop(bundle.refused());
    }

    /// "execCPUAffinity (object, OPTIONAL) specifies CPU affinity used to execute the process. This
    /// setting is not applicable to the container's init process": "final … the process is moved to
    /// after it is transitioned to container's cgroup".
    fn an_entering_process_is_on_its_processors(runtime) {
        let own = fs::read_to_string("/proc/self/status").unwrap();
        let own = own.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
        requires(own.contains(['-', ',']), "two processors");
        let mut bundle = bundle(runtime);
        bundle.script("grep Cpus_allowed_list /proc/self/status; while :; do sleep 1; done");
        bundle.set("/process/execCPUAffinity", json!({"initial": "0", "final": "0"}));
        bundle.start_detached();

        let first = bundle.wait_for("\n");
        let entered = bundle.call(&["exec", bundle.id(), "grep", "Cpus_allowed_list", "/proc/self/status"]);

        assert_eq!(first.trim(), format!("Cpus_allowed_list:\t{own}"));
        assert_eq!(entered.ok().stdout.trim(), "Cpus_allowed_list:\t0");
    }

    /// "intelRdt": "the runtime MUST write the container process ID to the tasks file in a
    /// sub-directory of resctrl", which is called like the container where closID is not set, and
    /// "MUST remove the sub-directory when the container is deleted" then.
    fn a_share_of_the_caches_is_the_containers(runtime) {
        requires(Path::new("/sys/fs/resctrl/schemata").exists(), "resctrl");
        let schemata = fs::read_to_string("/sys/fs/resctrl/schemata").unwrap();
        let line = schemata.lines().map(str::trim).find(|line| line.starts_with("L3:"));
        requires(line.is_some(), "a cache that can be shared out");
        let mut bundle = bundle(runtime);
        bundle.set("/linux/intelRdt", json!({"l3CacheSchema": line}));
        bundle.script("while :; do sleep 1; done");
        bundle.start_detached();

        let group = Path::new("/sys/fs/resctrl").join(bundle.id());
        let tasks = fs::read_to_string(group.join("tasks")).unwrap();

        assert!(tasks.lines().any(|task| task == bundle.pid().to_string()), "{tasks}");
        drop(bundle.call(&["delete", "--force", bundle.id()]).ok());
        assert!(!group.exists());
    }
}
