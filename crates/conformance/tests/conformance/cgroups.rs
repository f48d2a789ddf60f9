//! `linux.cgroupsPath` and `linux.resources`, `pause`, `resume`, `update`, and what is left afterwards,
//! on either version of cgroups. config-linux.md, section Control groups.

use super::bundle;
use dhow_conformance::{Bundle, Runtime, conformance, runtime::Cgroups, verdict::requires};
use dhow_testkit::outcome::Outcome;
use serde_json::{Value, json};
use std::{fs, path::Path};

const MOUNTPOINT: &str = "/sys/fs/cgroup";
const CONTROLLERS: [&str; 4] = ["cpu", "cpuset", "memory", "pids"];

fn is_unified() -> bool {
    Cgroups::here() == Cgroups::Second
}

/// Some version must have the controllers: on a machine with both, version 1 has them.
fn requires_controllers() {
    let unified = fs::read_to_string(Path::new(MOUNTPOINT).join("cgroup.controllers"));
    let has = |one: &&str| match &unified {
        Ok(text) => text.split_whitespace().any(|word| word == *one),
        Err(_) => Path::new(MOUNTPOINT).join(one).is_dir(),
    };
    requires(CONTROLLERS.iter().all(has), "cgroups with controllers");
}

/// The most shares of a processor that there are, and as many by version 2's measure: in between,
/// runtimes differ in the curve by which they convert.
const MOST_SHARES: &str = "262144";
const MOST_WEIGHT: &str = "10000";

/// What a file of the container's cgroup should hold: of version 1 in the directory of a controller.
type First = (&'static str, &'static str, &'static str);
/// The same of version 2.
type Second = (&'static str, &'static str);

/// Panics unless the files of the version that there is hold what they should.
fn assert_values(bundle: &Bundle<'_>, first: &[First], second: &[Second]) {
    let root = Path::new(MOUNTPOINT);
    let values: Vec<_> = if is_unified() {
        let own = root.join(bundle.id());
        second.iter().map(|(file, value)| (own.join(file), *value)).collect()
    } else {
        let own = |controller| root.join(controller).join(bundle.id());
        first.iter().map(|(controller, file, value)| (own(controller).join(file), *value)).collect()
    };
    for (path, value) in values {
        let text = fs::read_to_string(&path);
        let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(text.trim(), value, "{}", path.display());
    }
}

/// Panics unless each of the lines of `/proc/<pid>/cgroup` that are about a version 2 tree alone, or
/// about these controllers of version 1, ends so.
fn assert_groups(text: &str, controllers: &[&str], end: &str) {
    let mut lines: Vec<Vec<&str>> =
        text.lines().map(|line| line.splitn(3, ':').collect()).collect();
    if !is_unified() {
        lines.retain(|line| line[1].split(',').any(|one| controllers.contains(&one)));
        assert!(lines.len() >= controllers.len().min(2), "{text}");
    }
    assert!(!lines.is_empty() && lines.iter().all(|line| line[2] == end), "{text}");
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

/// A container whose root is another user of the host's, and its cgroup below `/sys/fs/cgroup`.
fn with_a_group_to_manage<'a>(runtime: &'a Runtime, option: &str) -> Bundle<'a> {
    requires(is_unified(), "the second version of cgroups");
    requires_controllers();
    let mut bundle = bundle(runtime);
    let mapping = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    bundle.namespace("user", Value::Null);
    bundle.set("/linux/uidMappings", mapping.clone());
    bundle.set("/linux/gidMappings", mapping);
    bundle.mount(json!({
        "destination": MOUNTPOINT, "type": "cgroup", "source": "cgroup",
        "options": ["nosuid", "noexec", "nodev", option],
    }));
    std::os::unix::fs::chown(bundle.root(), Some(100_000), Some(100_000)).unwrap();
    bundle
}

/// What shows the owners of a group's directory, of a file that moves processes, and of a limit.
const OWNERS: &str =
    "cd /sys/fs/cgroup && stat -c %u . cgroup.procs cgroup.subtree_control memory.max; ";

conformance! {
    /// "Runtimes SHOULD change the cgroup ownership if and only if the cgroup filesystem is to be
    /// mounted read/write"; "SHOULD NOT change the ownership of any other files".
    fn a_group_that_may_be_written_is_the_containers_own(runtime) {
        let mut bundle = with_a_group_to_manage(runtime, "rw");
        let manage = "mkdir below && echo $$ > below/cgroup.procs && cat /proc/self/cgroup; \
            echo max > memory.max";
        bundle.script(&format!("{OWNERS}{manage}"));

        let outcome = bundle.run();

        assert_eq!(outcome.stdout, "0\n0\n0\n65534\n0::/below\n", "{outcome}");
        assert!(outcome.code != 0 && outcome.stderr.contains("memory.max"), "{outcome}");
        bundle.assert_clean();
    }

    /// The same sentence, of one that is mounted read-only.
    fn a_group_that_may_only_be_read_stays_the_runtimes(runtime) {
        let mut bundle = with_a_group_to_manage(runtime, "ro");
        bundle.script(OWNERS);

        assert_eq!(bundle.run().ok().stdout, "65534\n65534\n65534\n65534\n");
    }

    /// The owner is "the user that will execute the container process", also without a user namespace.
    fn a_group_to_manage_is_that_of_the_user_who_runs(runtime) {
        let mut bundle = with_a_group_to_manage(runtime, "rw");
        bundle.without_namespace("user");
        for mappings in ["uidMappings", "gidMappings"] {
            bundle.config["linux"].as_object_mut().unwrap().remove(mappings);
        }
        bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));
        bundle.script(OWNERS);

        assert_eq!(bundle.run().ok().stdout, "1000\n1000\n1000\n0\n");
    }

    /// "In the case of an absolute path (starting with /), the runtime MUST take the path to be
    /// relative to the cgroups mount point."
    fn the_process_is_in_the_named_group_of_every_controller(runtime) {
        requires_controllers();
        let mut bundle = bundle(runtime);
        resident(&mut bundle);

        let text = fs::read_to_string(format!("/proc/{}/cgroup", bundle.pid())).unwrap();

        let wanted = ["memory", "cpu", "cpuset", "devices", "freezer", "pids"];
        assert_groups(&text, &wanted, &format!("/{}", bundle.id()));
    }

    /// A cgroup namespace shows the container's group as the root.
    fn a_cgroup_namespace_hides_the_path(runtime) {
        requires_controllers();
        let seen = bundle(runtime).see();

        let lines = seen["cgroup"].as_array().unwrap().iter();
        let lines: Vec<&str> = lines.map(|line| line.as_str().unwrap()).collect();
        assert_groups(&lines.join("\n"), &["memory", "pids"], "/");
    }

    /// "memory (object, OPTIONAL)": limit, reservation.
    fn memory_is_limited(runtime) {
        requires_controllers();
        let mut bundle = bundle(runtime);
        bundle.set("/linux/resources/memory",
            json!({"limit": 67_108_864, "reservation": 33_554_432}));
        resident(&mut bundle);

        assert_values(&bundle, &[
            ("memory", "memory.limit_in_bytes", "67108864"),
            ("memory", "memory.soft_limit_in_bytes", "33554432"),
        ], &[("memory.max", "67108864"), ("memory.low", "33554432")]);
    }

    /// "disableOOMKiller (boolean, OPTIONAL)", which version 2 has not.
    fn who_is_short_of_memory_may_wait(runtime) {
        requires(!is_unified(), "the first version of cgroups");
        requires_controllers();
        let mut bundle = bundle(runtime);
        bundle.set("/linux/resources/memory",
            json!({"limit": 67_108_864, "disableOOMKiller": true}));
        resident(&mut bundle);

        let file = Path::new(MOUNTPOINT).join("memory").join(bundle.id()).join("memory.oom_control");
        let control = fs::read_to_string(file).unwrap();
        assert!(control.contains("oom_kill_disable 1"), "{control}");
    }

    /// "cpu (object, OPTIONAL)": shares, quota, period.
    fn the_processor_is_shared(runtime) {
        requires_controllers();
        let mut bundle = bundle(runtime);
        bundle.set("/linux/resources/cpu",
            json!({"shares": 262_144, "quota": 50_000, "period": 200_000}));
        resident(&mut bundle);

        assert_values(&bundle, &[
            ("cpu", "cpu.shares", MOST_SHARES),
            ("cpu", "cpu.cfs_quota_us", "50000"),
            ("cpu", "cpu.cfs_period_us", "200000"),
        ], &[("cpu.weight", MOST_WEIGHT), ("cpu.max", "50000 200000")]);
    }

    /// "cpus (string, OPTIONAL) - list of CPUs the container will run on", "mems" likewise.
    fn processors_and_memories_are_chosen(runtime) {
        requires_controllers();
        let mut bundle = bundle(runtime);
        bundle.set("/linux/resources/cpu", json!({"cpus": "0", "mems": "0"}));

        let seen = bundle.see();

        assert_eq!(seen["status"]["Cpus_allowed_list"], "0");
        assert_eq!(seen["status"]["Mems_allowed_list"], "0");
    }

    /// "pids (object, OPTIONAL)": "limit (int64, REQUIRED) - specifies the maximum number of tasks in
    /// the cgroup".
    fn tasks_are_limited(runtime) {
        requires_controllers();
        let mut bundle = bundle(runtime);
        bundle.set("/linux/resources/pids", json!({"limit": 17}));
        resident(&mut bundle);

        assert_values(&bundle, &[("pids", "pids.max", "17")], &[("pids.max", "17")]);
    }

    /// "`0` is a valid limit value for the `pids` cgroup controller … and SHOULD be treated as such by
    /// runtimes": beside the first there is no task.
    fn no_task_at_all_is_a_limit(runtime) {
        requires_controllers();
        let mut bundle = bundle(runtime);
        bundle.set("/ociVersion", json!("1.3.0"));
        bundle.set("/linux/resources/pids", json!({"limit": 0}));
        bundle.script("echo begun; ls; echo never");

        let outcome = bundle.run();

        assert!(outcome.stdout == "begun\n" && outcome.code != 0, "{outcome}");
        assert!(outcome.stderr.contains("fork"), "{outcome}");
    }

    /// Before version 1.3: "limit … default is \"no limit\"", and engines wrote 0 for it.
    fn no_task_at_all_was_no_limit_in_older_versions(runtime) {
        requires_controllers();
        let mut bundle = bundle(runtime);
        bundle.set("/linux/resources/pids", json!({"limit": 0}));
        bundle.script("ls / >/dev/null; echo done");

        assert_eq!(bundle.run().ok().stdout, "done\n");
    }

    /// runtime.md, Delete: "Deleting a container MUST delete the resources that were created during
    /// the create step."
    fn groups_are_gone_after_delete(runtime) {
        requires_controllers();
        let mut bundle = bundle(runtime);
        resident(&mut bundle);
        let before = bundle.cgroups().len();

        drop(bundle.call(&["delete", "--force", bundle.id()]).ok());

        assert!(before >= if is_unified() { 1 } else { 6 }, "{before} groups");
        bundle.assert_clean();
    }

    /// runtime.md, Create: "If the runtime cannot apply a property as specified in the configuration,
    /// it MUST generate an error and a new container MUST NOT be created."
    fn a_value_that_the_kernel_refuses_is_an_error(runtime) {
        requires_controllers();
        let mut bundle = bundle(runtime);
        bundle.set("/linux/resources/cpu", json!({"cpus": "4000"}));

        drop(bundle.refused());
    }

    /// "pause" stops all processes until "resume", and the state tells: runc's status "paused".
    fn a_paused_container_stands_still(runtime) {
        requires_controllers();
        let mut bundle = bundle(runtime);
        resident(&mut bundle);

        drop(bundle.call(&["pause", bundle.id()]).ok());
        let paused = bundle.state()["status"].clone();
        assert_values(&bundle, &[("freezer", "freezer.state", "FROZEN")], &[("cgroup.freeze", "1")]);
        drop(bundle.call(&["resume", bundle.id()]).ok());

        assert_eq!(paused, "paused");
        assert_eq!(bundle.state()["status"], "running");
        assert_values(&bundle, &[("freezer", "freezer.state", "THAWED")], &[("cgroup.freeze", "0")]);
    }

    /// A container that is not paused is not resumed: runc says so.
    fn resuming_what_runs_is_an_error(runtime) {
        requires_controllers();
        let mut bundle = bundle(runtime);
        resident(&mut bundle);

        let outcome = bundle.call(&["resume", bundle.id()]);

        assert_ne!(outcome.code, 0, "{outcome}");
    }

    /// A paused container is killed all the same: `delete --force` does not hang.
    fn a_paused_container_is_deleted_by_force(runtime) {
        requires_controllers();
        let mut bundle = bundle(runtime);
        resident(&mut bundle);
        drop(bundle.call(&["pause", bundle.id()]).ok());

        drop(bundle.call(&["delete", "--force", bundle.id()]).ok());

        bundle.assert_clean();
    }

    /// runc's `update --resources FILE` changes limits of a running container.
    fn limits_are_updated_from_a_file(runtime) {
        requires_controllers();
        let mut bundle = bundle(runtime);
        resident(&mut bundle);

        drop(update(&bundle, &json!({
            "memory": {"limit": 134_217_728}, "cpu": {"shares": 262_144}, "pids": {"limit": 33},
        })).ok());

        assert_values(&bundle, &[
            ("memory", "memory.limit_in_bytes", "134217728"),
            ("cpu", "cpu.shares", MOST_SHARES),
            ("pids", "pids.max", "33"),
        ], &[("memory.max", "134217728"), ("cpu.weight", MOST_WEIGHT), ("pids.max", "33")]);
    }

    /// runc's `update` has an option for each limit.
    fn limits_are_updated_by_options(runtime) {
        requires_controllers();
        let mut bundle = bundle(runtime);
        resident(&mut bundle);

        drop(bundle.call(&[
            "update", "--memory", "100663296", "--cpu-share", MOST_SHARES, "--pids-limit", "44",
            "--cpu-quota", "60000", "--cpu-period", "100000", bundle.id(),
        ]).ok());

        assert_values(&bundle, &[
            ("memory", "memory.limit_in_bytes", "100663296"),
            ("cpu", "cpu.shares", MOST_SHARES),
            ("cpu", "cpu.cfs_quota_us", "60000"),
            ("pids", "pids.max", "44"),
        ], &[
            ("memory.max", "100663296"),
            ("cpu.weight", MOST_WEIGHT),
            ("cpu.max", "60000 100000"),
            ("pids.max", "44"),
        ]);
    }

    /// What an update does not name stays as it is.
    fn an_update_leaves_the_rest(runtime) {
        requires_controllers();
        let mut bundle = bundle(runtime);
        bundle.set("/linux/resources/memory", json!({"limit": 67_108_864}));
        resident(&mut bundle);

        drop(update(&bundle, &json!({"pids": {"limit": 20}})).ok());

        assert_values(&bundle, &[
            ("memory", "memory.limit_in_bytes", "67108864"), ("pids", "pids.max", "20"),
        ], &[("memory.max", "67108864"), ("pids.max", "20")]);
    }

    /// "events --stats" prints one line of statistics as engines read it.
    fn statistics_are_printed(runtime) {
        requires_controllers();
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
        requires_controllers();
        let mut bundle = bundle(runtime);
        resident(&mut bundle);

        let outcome = bundle.call(&["exec", bundle.id(), "cat", "/proc/self/cgroup"]).ok();

        assert_groups(&outcome.stdout, &["memory", "pids"], "/");
    }
}
