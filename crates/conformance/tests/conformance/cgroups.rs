//! `linux.cgroupsPath` and `linux.resources` on the first version of cgroups, `pause`, `resume`,
//! `update`, and what is left afterwards. config-linux.md, section Control groups.

use super::bundle;
use dhow_conformance::{Bundle, conformance, verdict::requires};
use dhow_testkit::outcome::Outcome;
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The first version's hierarchies are what this file is about.
fn requires_first_version() {
    requires(Path::new("/sys/fs/cgroup/memory").is_dir(), "the first version of cgroups");
}

fn file(bundle: &Bundle<'_>, controller: &str, name: &str) -> PathBuf {
    Path::new("/sys/fs/cgroup").join(controller).join(bundle.id()).join(name)
}

fn value(bundle: &Bundle<'_>, controller: &str, name: &str) -> String {
    let path = file(bundle, controller, name);
    let text = fs::read_to_string(&path);
    text.unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim().to_owned()
}

/// A container that stays.
fn resident<'a>(bundle: &mut Bundle<'a>) {
    bundle.script("while :; do sleep 1; done");
    bundle.start_detached();
}

fn update(bundle: &Bundle<'_>, resources: &Value) -> Outcome {
    let path = bundle.directory().join("resources.json");
    fs::write(&path, resources.to_string()).unwrap();
    bundle.call(&["update", "--resources", path.to_str().unwrap(), bundle.id()])
}

conformance! {
    /// "In the case of an absolute path (starting with /), the runtime MUST take the path to be
    /// relative to the cgroups mount point."
    fn the_process_is_in_the_named_group_of_every_controller(runtime) {
        requires_first_version();
        let mut bundle = bundle(runtime);
        resident(&mut bundle);

        let text = fs::read_to_string(format!("/proc/{}/cgroup", bundle.pid())).unwrap();

        let wanted = format!("/{}", bundle.id());
        for controller in ["memory", "cpu", "cpuset", "devices", "freezer", "pids"] {
            let line = text.lines().find(|line| line.split(':').nth(1) == Some(controller));
            assert!(line.is_some_and(|line| line.ends_with(&wanted)), "{controller}: {text}");
        }
    }

    /// A cgroup namespace shows the container's group as the root.
    fn a_cgroup_namespace_hides_the_path(runtime) {
        requires_first_version();
        let seen = bundle(runtime).see();

        for line in seen["cgroup"].as_array().unwrap() {
            let line = line.as_str().unwrap();
            if line.contains("memory") || line.contains("pids") {
                assert!(line.ends_with(":/"), "{line}");
            }
        }
    }

    /// "memory (object, OPTIONAL)": limit, reservation, swappiness, disableOOMKiller.
    fn memory_is_limited(runtime) {
        requires_first_version();
        let mut bundle = bundle(runtime);
        bundle.set("/linux/resources/memory", json!({
            "limit": 67_108_864, "reservation": 33_554_432, "disableOOMKiller": true,
        }));
        resident(&mut bundle);

        assert_eq!(value(&bundle, "memory", "memory.limit_in_bytes"), "67108864");
        assert_eq!(value(&bundle, "memory", "memory.soft_limit_in_bytes"), "33554432");
        let control = value(&bundle, "memory", "memory.oom_control");
        assert!(control.contains("oom_kill_disable 1"), "{control}");
    }

    /// "cpu (object, OPTIONAL)": shares, quota, period.
    fn the_processor_is_shared(runtime) {
        requires_first_version();
        let mut bundle = bundle(runtime);
        bundle.set("/linux/resources/cpu",
            json!({"shares": 512, "quota": 50_000, "period": 200_000}));
        resident(&mut bundle);

        assert_eq!(value(&bundle, "cpu", "cpu.shares"), "512");
        assert_eq!(value(&bundle, "cpu", "cpu.cfs_quota_us"), "50000");
        assert_eq!(value(&bundle, "cpu", "cpu.cfs_period_us"), "200000");
    }

    /// "cpus (string, OPTIONAL) - list of CPUs the container will run on", "mems" likewise.
    fn processors_and_memories_are_chosen(runtime) {
        requires_first_version();
        let mut bundle = bundle(runtime);
        bundle.set("/linux/resources/cpu", json!({"cpus": "0", "mems": "0"}));

        let seen = bundle.see();

        assert_eq!(seen["status"]["Cpus_allowed_list"], "0");
        assert_eq!(seen["status"]["Mems_allowed_list"], "0");
    }

    /// "pids (object, OPTIONAL)": "limit (int64, REQUIRED) - specifies the maximum number of tasks in
    /// the cgroup".
    fn tasks_are_limited(runtime) {
        requires_first_version();
        let mut bundle = bundle(runtime);
        bundle.set("/linux/resources/pids", json!({"limit": 17}));
        resident(&mut bundle);

        assert_eq!(value(&bundle, "pids", "pids.max"), "17");
    }

    /// runtime.md, Delete: "Deleting a container MUST delete the resources that were created during
    /// the create step."
    fn groups_are_gone_after_delete(runtime) {
        requires_first_version();
        let mut bundle = bundle(runtime);
        resident(&mut bundle);
        let before = bundle.cgroups().len();

        drop(bundle.call(&["delete", "--force", bundle.id()]).ok());

        assert!(before >= 6, "{before} groups");
        bundle.assert_clean();
    }

    /// runtime.md, Create: "If the runtime cannot apply a property as specified in the configuration,
    /// it MUST generate an error and a new container MUST NOT be created."
    fn a_value_that_the_kernel_refuses_is_an_error(runtime) {
        requires_first_version();
        let mut bundle = bundle(runtime);
        bundle.set("/linux/resources/cpu", json!({"cpus": "4000"}));

        drop(bundle.refused());
    }

    /// "pause" stops all processes until "resume", and the state tells: runc's status "paused".
    fn a_paused_container_stands_still(runtime) {
        requires_first_version();
        let mut bundle = bundle(runtime);
        resident(&mut bundle);

        drop(bundle.call(&["pause", bundle.id()]).ok());
        let paused = bundle.state()["status"].clone();
        let frozen = value(&bundle, "freezer", "freezer.state");
        drop(bundle.call(&["resume", bundle.id()]).ok());

        assert_eq!(paused, "paused");
        assert_eq!(frozen, "FROZEN");
        assert_eq!(bundle.state()["status"], "running");
        assert_eq!(value(&bundle, "freezer", "freezer.state"), "THAWED");
    }

    /// A container that is not paused is not resumed: runc says so.
    fn resuming_what_runs_is_an_error(runtime) {
        requires_first_version();
        let mut bundle = bundle(runtime);
        resident(&mut bundle);

        let outcome = bundle.call(&["resume", bundle.id()]);

        assert_ne!(outcome.code, 0, "{outcome}");
    }

    /// A paused container is killed all the same: `delete --force` does not hang.
    fn a_paused_container_is_deleted_by_force(runtime) {
        requires_first_version();
        let mut bundle = bundle(runtime);
        resident(&mut bundle);
        drop(bundle.call(&["pause", bundle.id()]).ok());

        drop(bundle.call(&["delete", "--force", bundle.id()]).ok());

        bundle.assert_clean();
    }

    /// runc's `update --resources FILE` changes limits of a running container.
    fn limits_are_updated_from_a_file(runtime) {
        requires_first_version();
        let mut bundle = bundle(runtime);
        resident(&mut bundle);

        drop(update(&bundle, &json!({
            "memory": {"limit": 134_217_728}, "cpu": {"shares": 300}, "pids": {"limit": 33},
        })).ok());

        assert_eq!(value(&bundle, "memory", "memory.limit_in_bytes"), "134217728");
        assert_eq!(value(&bundle, "cpu", "cpu.shares"), "300");
        assert_eq!(value(&bundle, "pids", "pids.max"), "33");
    }

    /// runc's `update` has an option for each limit.
    fn limits_are_updated_by_options(runtime) {
        requires_first_version();
        let mut bundle = bundle(runtime);
        resident(&mut bundle);

        drop(bundle.call(&[
            "update", "--memory", "100663296", "--cpu-share", "400", "--pids-limit", "44",
            "--cpu-quota", "60000", "--cpu-period", "100000", bundle.id(),
        ]).ok());

        assert_eq!(value(&bundle, "memory", "memory.limit_in_bytes"), "100663296");
        assert_eq!(value(&bundle, "cpu", "cpu.shares"), "400");
        assert_eq!(value(&bundle, "cpu", "cpu.cfs_quota_us"), "60000");
        assert_eq!(value(&bundle, "pids", "pids.max"), "44");
    }

    /// What an update does not name stays as it is.
    fn an_update_leaves_the_rest(runtime) {
        requires_first_version();
        let mut bundle = bundle(runtime);
        bundle.set("/linux/resources/memory", json!({"limit": 67_108_864}));
        resident(&mut bundle);

        drop(update(&bundle, &json!({"pids": {"limit": 20}})).ok());

        assert_eq!(value(&bundle, "memory", "memory.limit_in_bytes"), "67108864");
        assert_eq!(value(&bundle, "pids", "pids.max"), "20");
    }

    /// "events --stats" prints one line of statistics as engines read it.
    fn statistics_are_printed(runtime) {
        requires_first_version();
        let mut bundle = bundle(runtime);
        bundle.set("/linux/resources/memory", json!({"limit": 67_108_864}));
        resident(&mut bundle);

        let outcome = bundle.call(&["events", "--stats", bundle.id()]).ok();

        let event: Value = serde_json::from_str(outcome.stdout.trim()).unwrap();
        assert_eq!(event["type"], "stats");
        assert_eq!(event["id"], bundle.id());
        assert_eq!(event["data"]["memory"]["usage"]["limit"], 67_108_864);
        assert!(event["data"]["pids"]["current"].as_u64().is_some_and(|tasks| tasks > 0), "{event}");
        assert!(event["data"]["cpu"]["usage"]["total"].is_u64(), "{event}");
    }

    /// A process of `exec` is in the container's groups too.
    fn another_process_is_in_the_same_groups(runtime) {
        requires_first_version();
        let mut bundle = bundle(runtime);
        resident(&mut bundle);

        let outcome = bundle.call(&["exec", bundle.id(), "cat", "/proc/self/cgroup"]).ok();

        let lines: Vec<&str> = outcome.stdout.lines()
            .filter(|line| line.contains("memory") || line.contains("pids")).collect();
        assert!(lines.len() >= 2 && lines.iter().all(|line| line.ends_with(":/")), "{outcome}");
    }
}
