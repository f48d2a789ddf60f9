//! One bundle, run by dhow and by a peer: what the process sees must be the same, or explained.

use super::bundle;
use dhow_conformance::{Bundle, Runtime, comparison::Seen, side_by_side};
use serde_json::{Value, json};
use std::os::unix::fs::chown;

/// What `docker run` would ask for, more or less.
fn like_dockers(runtime: &Runtime) -> Bundle<'_> {
    let mut bundle = bundle(runtime);
    bundle.mount(json!({
        "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
        "options": ["nosuid", "noexec", "nodev", "relatime", "ro"],
    }));
    // Only what every kernel has, or the differences would depend on the machine.
    bundle.set("/linux/maskedPaths", json!(["/proc/keys", "/sys/firmware"]));
    bundle.set("/linux/readonlyPaths", json!(["/proc/bus", "/proc/sys"]));
    bundle.set("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 1024}]));
    bundle.set("/linux/resources/memory", json!({"limit": 134_217_728}));
    bundle.set("/linux/resources/pids", json!({"limit": 100}));
    bundle
}

/// The same as user 1000, whose program has no capabilities.
fn as_another_user(runtime: &Runtime) -> Bundle<'_> {
    let mut bundle = like_dockers(runtime);
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000, "additionalGids": [5, 7]}));
    bundle.set("/process/cwd", json!("/home"));
    bundle
}

/// The same with ids that are mapped.
fn with_mapped_ids(runtime: &Runtime) -> Bundle<'_> {
    let mut bundle = like_dockers(runtime);
    let mapping = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    bundle.namespace("user", Value::Null);
    bundle.set("/linux/uidMappings", mapping.clone());
    bundle.set("/linux/gidMappings", mapping);
    chown(bundle.root(), Some(100_000), Some(100_000)).unwrap();
    bundle
}

/// The mount table: by place, what is mounted there, the last being on top. Names that differ with
/// every bundle, and sizes that differ with every machine, are put away.
fn mounts(bundle: &mut Bundle<'_>) -> Seen {
    let seen = bundle.see();
    let own = [(bundle.root().display().to_string(), "ROOT"), (format!("/{}", bundle.id()), "ID")];
    let mut table = Seen::new();
    for mount in seen["mounts"].as_array().unwrap() {
        let at = mount["at"].as_str().unwrap();
        let (name, controller) = place(at);
        let mut value = described(mount);
        for (from, to) in &own {
            value = value.replace(from, to);
        }
        if let Some(controller) = controller {
            value = value.replace(controller, "CONTROLLER");
        }
        let known = table.entry(name).or_default();
        // What is the same for every controller is told once.
        if controller.is_none() && !known.is_empty() {
            value = format!("{known}, then {value}");
        }
        *known = value;
    }
    table
}

/// The controllers' hierarchies are as many as the machine has: they share a name.
fn place(at: &str) -> (String, Option<&str>) {
    match at.strip_prefix("/sys/fs/cgroup/") {
        Some(name) if name != "systemd" && name != "unified" => {
            ("/sys/fs/cgroup/CONTROLLER".to_owned(), Some(name))
        }
        _ => (at.to_owned(), None),
    }
}

fn described(mount: &Value) -> String {
    let words = |key: &str| -> String {
        let list = mount[key].as_array().unwrap().iter().map(|word| word.as_str().unwrap());
        // The kernel's own, by how it was configured and how much memory there is.
        let of_kernel = |word: &str| word.starts_with("nr_inodes=") || word == "inode64";
        list.filter(|word| !of_kernel(word)).collect::<Vec<_>>().join(",")
    };
    let text = |key: &str| mount[key].as_str().unwrap();
    // A node of the host's: whatever its /dev is.
    if text("at").starts_with("/dev/") && text("root") != "/" || text("root") == "/null" {
        return format!("{} bind of {}", words("options"), text("root"));
    }
    let told = format!(
        "{} {} from {} {} {} {}",
        text("type"),
        words("options"),
        text("source"),
        text("root"),
        words("super"),
        words("propagation"),
    );
    told.trim_end().to_owned()
}

/// `/proc/self/status` without what is measured anew each time.
fn status(bundle: &mut Bundle<'_>) -> Seen {
    let seen = bundle.see();
    let changing = ["Vm", "Rss", "HugetlbPages", "voluntary", "nonvoluntary", "FDSize", "SigQ"];
    let status = seen["status"].as_object().unwrap();
    let kept = status.iter().filter(|(name, _)| !changing.iter().any(|it| name.starts_with(it)));
    kept.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
}

/// Each value below a key of what the probe saw.
fn values(seen: &Value, key: &str) -> Seen {
    match &seen[key] {
        Value::Object(map) => {
            map.iter().map(|(name, value)| (format!("{key} {name}"), value.to_string())).collect()
        }
        Value::Array(list) => list
            .iter()
            .enumerate()
            .map(|(number, value)| (format!("{key}, {number}"), value.to_string()))
            .collect(),
        value => [(key.to_owned(), value.to_string())].into(),
    }
}

/// All else that the probe sees of the process.
fn process(bundle: &mut Bundle<'_>) -> Seen {
    let seen = bundle.see();
    let keys = [
        "args",
        "env",
        "cwd",
        "pid",
        "session",
        "hostname",
        "domainname",
        "limits",
        "cgroup",
        "oom_score_adj",
        "personality",
        "uid_map",
        "gid_map",
        "setgroups",
        "scheduling",
        "terminals",
        "time_offsets",
    ];
    let mut all: Seen = keys.iter().flat_map(|key| values(&seen, key)).collect();
    let open: Vec<&String> = seen["fds"].as_object().unwrap().keys().collect();
    all.insert("open fds".to_owned(), format!("{open:?}"));
    all
}

/// The nodes of /dev, and files that are masked or read-only.
fn files(bundle: &mut Bundle<'_>) -> Seen {
    let mut seen = bundle.see_files(&[
        "/proc/keys",
        "/sys/firmware",
        "/proc/sysrq-trigger",
        "/proc/sys/kernel/hostname",
        "/proc/bus",
        "/dev/ptmx",
        "/dev/pts",
        "/dev/shm",
        "/dev/null",
        "/dev/mqueue",
        "/dev/fd",
        "/sys/fs/cgroup",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/proc/self/setgroups",
        "/etc",
        "/",
    ]);
    // The mount table tells of the controllers; and /dev/core leads to a file that not every kernel
    // has, so that runc's not making it then is the machine's doing.
    seen["files"]["/sys/fs/cgroup"]["read"] = Value::Null;
    seen["devices"].as_object_mut().unwrap().remove("core");
    let mut all = values(&seen, "devices");
    all.extend(values(&seen, "files"));
    all
}

side_by_side! {
    /// The mount table of a container like docker's.
    fn mount_table(runtime) {
        mounts(&mut like_dockers(runtime))
    }

    /// The same in a user namespace.
    fn mount_table_with_mapped_ids(runtime) {
        mounts(&mut with_mapped_ids(runtime))
    }

    /// `/proc/self/status` of root.
    fn status_of_root(runtime) {
        status(&mut like_dockers(runtime))
    }

    /// `/proc/self/status` of another user.
    fn status_of_another_user(runtime) {
        status(&mut as_another_user(runtime))
    }

    /// `/proc/self/status` of a root that is mapped.
    fn status_of_a_mapped_root(runtime) {
        status(&mut with_mapped_ids(runtime))
    }

    /// `/proc/self/status` where the configuration has no word about capabilities.
    fn status_without_capabilities(runtime) {
        let mut bundle = like_dockers(runtime);
        bundle.config["process"].as_object_mut().unwrap().remove("capabilities");
        status(&mut bundle)
    }

    /// Environment, limits, cgroups, scheduling, names, and the open files.
    fn process_of_root(runtime) {
        process(&mut like_dockers(runtime))
    }

    /// The same of another user.
    fn process_of_another_user(runtime) {
        process(&mut as_another_user(runtime))
    }

    /// The same in a user namespace.
    fn process_with_mapped_ids(runtime) {
        process(&mut with_mapped_ids(runtime))
    }

    /// Device nodes; masked and read-only files.
    fn nodes_and_files(runtime) {
        files(&mut like_dockers(runtime))
    }

    /// The same for another user.
    fn nodes_and_files_of_another_user(runtime) {
        files(&mut as_another_user(runtime))
    }

    /// The same in a user namespace.
    fn nodes_and_files_with_mapped_ids(runtime) {
        files(&mut with_mapped_ids(runtime))
    }
}
