//! `features`: what the runtime says it can do. Every item that it lists is tried by a container,
//! and what it does not list is refused by its name. features.md, features-linux.md.
//!
//! What this machine's kernel lacks (AppArmor, a controller) counts as tried where the runtime
//! refuses it by name: the document tells of the runtime, "irrelevant to the availability … on the
//! host operating system".

use super::{bundle, mounts, namespaces, seccomp};
use dhow_conformance::{
    Bundle, Runtime, conformance,
    verdict::{maps_owners, requires},
};
use dhow_testkit::{Outcome, need};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, path::Path};

fn features(runtime: &Runtime) -> Value {
    serde_json::from_str(&bundle(runtime).call(&["features"]).ok().stdout).unwrap()
}

/// The words of a list; none where the runtime does not have the list.
fn words(value: &Value) -> Vec<&str> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|word| word.as_str().unwrap()).collect()
}

/// The capabilities in the kernel's order (linux/capability.h): a name's place is its bit.
const CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// What one may see of a mount option: the word that is there, or that is gone although the opposite
/// option came before.
#[derive(Clone, Copy)]
enum Seen {
    There(&'static str),
    Undoes(&'static str),
    Propagates(&'static str),
    Nothing,
}

/// What to expect of an option; one with an `r` in front does the same to the whole tree.
fn expected(option: &str) -> Seen {
    let recursive = option.strip_prefix('r').filter(|rest| *rest != "w" && *rest != "o");
    match recursive.unwrap_or(option) {
        "ro" => Seen::There("ro"),
        "rw" => Seen::Undoes("ro"),
        "nosuid" => Seen::There("nosuid"),
        "suid" => Seen::Undoes("nosuid"),
        "nodev" => Seen::There("nodev"),
        "dev" => Seen::Undoes("nodev"),
        "noexec" => Seen::There("noexec"),
        "exec" => Seen::Undoes("noexec"),
        "noatime" => Seen::There("noatime"),
        "atime" => Seen::Undoes("noatime"),
        "nodiratime" => Seen::There("nodiratime"),
        "diratime" => Seen::Undoes("nodiratime"),
        "relatime" | "elatime" => Seen::There("relatime"),
        "strictatime" => Seen::Undoes("noatime"),
        "nosymfollow" => Seen::There("nosymfollow"),
        "symfollow" => Seen::Undoes("nosymfollow"),
        "sync" => Seen::There("sync"),
        "async" => Seen::Undoes("sync"),
        "dirsync" => Seen::There("dirsync"),
        "lazytime" => Seen::There("lazytime"),
        "nolazytime" => Seen::Undoes("lazytime"),
        "shared" => Seen::Propagates("shared:"),
        "unbindable" => Seen::Propagates("unbindable"),
        "private" | "slave" => Seen::Propagates(""),
        _ => Seen::Nothing,
    }
}

/// A mount with one of the listed options.
fn mount_with(bundle: &mut Bundle<'_>, option: &str) {
    let at = format!("/case/{option}");
    let directory = bundle.directory().join("source");
    match option {
        "bind" | "rbind" => drop(bundle.bind(&directory, &at, &[option])),
        "idmap" | "ridmap" => {
            let mapping = json!([{"containerID": 0, "hostID": 1000, "size": 100}]);
            bundle.mount(json!({"destination": at, "type": "bind", "source": directory,
                "options": ["rbind", option], "uidMappings": mapping, "gidMappings": mapping}));
        }
        "remount" => {
            bundle.mount(mounts::tmpfs(&at, &["size=1m"]));
            bundle.mount(mounts::tmpfs(&at, &["remount", "bind", "noexec"]));
        }
        "tmpcopyup" => {
            fs::create_dir_all(bundle.root().join("case/tmpcopyup")).unwrap();
            fs::write(bundle.root().join("case/tmpcopyup/file"), "copied").unwrap();
            bundle.mount(mounts::tmpfs(&at, &[option]));
        }
        _ => match expected(option) {
            Seen::Undoes(opposite) if option.starts_with('r') && option != "rw" => {
                bundle.mount(mounts::tmpfs(&at, &[&format!("r{opposite}"), option]));
            }
            Seen::Undoes(opposite) => drop(bundle.mount(mounts::tmpfs(&at, &[opposite, option]))),
            _ => drop(bundle.mount(mounts::tmpfs(&at, &[option]))),
        },
    }
}

fn check_mount(seen: &Value, option: &str) {
    let at = format!("/case/{option}");
    let found = mounts::options_at(seen, &at);
    match (option, expected(option)) {
        ("remount", _) => assert!(found.contains("noexec"), "{found:?}"),
        ("idmap" | "ridmap", _) => assert!(found.contains("idmapped"), "{option}: {found:?}"),
        (_, Seen::There(word)) => assert!(found.contains(word), "{option}: {found:?}"),
        (_, Seen::Undoes(word)) => assert!(!found.contains(word), "{option}: {found:?}"),
        (_, Seen::Propagates(tag)) => {
            let mount = mounts::mount_at(seen, &at);
            let tags = words(&mount["propagation"]);
            let shown = tags.first().copied().unwrap_or("");
            assert!(
                shown.starts_with(tag) && tag.is_empty() == shown.is_empty(),
                "{option}: {tags:?}"
            );
        }
        (_, Seen::Nothing) => {}
    }
}

/// It ran, or was refused in words that name it.
fn ran_or_names(outcome: &Outcome, names: &[&str]) {
    let said = outcome.stderr.to_lowercase();
    let is_named = names.iter().any(|name| said.contains(&name.to_lowercase()));
    assert!(outcome.code == 0 || is_named, "none of {names:?} is named: {outcome}");
}

/// What the runtime refuses must be told by its word.
fn refused_by_name(bundle: &Bundle<'_>, word: &str) {
    let outcome = bundle.refused();
    assert!(outcome.stderr.contains(word), "{word} is not named: {outcome}");
}

conformance! {
    /// "ociVersionMin (string, REQUIRED)", "ociVersionMax (string, REQUIRED)": "The runtime MUST
    /// accept this value as the ociVersion property of config.json."
    fn both_versions_are_accepted(runtime) {
        let features = features(runtime);
        for key in ["ociVersionMin", "ociVersionMax"] {
            let mut bundle = bundle(runtime);
            bundle.set("/ociVersion", features[key].clone());

            drop(bundle.run().ok());
        }
    }

    /// "hooks (array of strings, OPTIONAL) The recognized names of the hooks. The runtime MUST
    /// recognize the elements in this array as the property of hooks in config.json."
    fn every_hook_runs(runtime) {
        let features = features(runtime);
        let hooks = words(&features["hooks"]);
        let mut bundle = bundle(runtime);
        let log = bundle.directory().join("log");
        for kind in &hooks {
            let inside = Path::new("/log");
            let path = if *kind == "startContainer" { inside } else { &log };
            let script = format!("cat > /dev/null; echo {kind} >> {}", path.display());
            bundle.set(&format!("/hooks/{kind}"), json!([{"path": "/bin/sh", "timeout": 30,
                "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]}]));
        }

        drop(bundle.run().ok());

        let mut ran: Vec<String> = [log, bundle.root().join("log")].iter()
            .flat_map(|path| fs::read_to_string(path).unwrap_or_default()
                .lines().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        let mut listed = hooks.clone();
        ran.sort_unstable();
        listed.sort_unstable();
        assert_eq!(ran, listed);
        assert_eq!(listed, ["createContainer", "createRuntime", "poststart", "poststop", "prestart",
            "startContainer"]);
    }

    /// "mountOptions (array of strings, OPTIONAL) The recognized names of the mount options. The
    /// runtime MUST recognize the elements in this array as the options of mounts objects": each
    /// does what it says, as far as the kernel shows it.
    fn every_mount_option_works(runtime) {
        let features = features(runtime);
        let mut options = words(&features["mountOptions"]);
        options.retain(|option| maps_owners() || !option.ends_with("idmap"));
        let mut bundle = bundle(runtime);
        fs::create_dir(bundle.directory().join("source")).unwrap();
        for option in &options {
            mount_with(&mut bundle, option);
        }

        let seen = bundle.see_files(&["/case/tmpcopyup/file"]);

        for option in &options {
            check_mount(&seen, option);
        }
        assert!(options.len() > 60, "{options:?}");
        assert_eq!(seen["files"]["/case/tmpcopyup/file"]["read"]["text"], "copied");
    }

    /// The reverse: a word that is not listed is the filesystem's, which refuses it; the error says
    /// which word.
    fn what_is_no_mount_option_is_refused_by_name(runtime) {
        let features = features(runtime);
        let options = words(&features["mountOptions"]);
        for word in ["rasync", "rlazytime", "rtmpcopyup", "nofail", "noexecs"] {
            assert!(!options.contains(&word), "{word}");
            let mut bundle = bundle(runtime);
            bundle.mount(mounts::tmpfs("/case", &[word]));

            refused_by_name(&bundle, word);
        }
    }

    /// features-linux.md: "namespaces (array of strings, OPTIONAL) The recognized names of the
    /// namespaces": a container of its own in each of them, all at once.
    fn every_namespace_is_made(runtime) {
        let features = features(runtime);
        let kinds = words(&features["linux"]["namespaces"]);
        let mut bundle = bundle(runtime);
        for kind in &kinds {
            bundle.namespace(kind, Value::Null);
        }
        namespaces::map_users(&mut bundle);

        let seen = bundle.see();

        for kind in &kinds {
            let name = match *kind {
                "network" => "net",
                "mount" => "mnt",
                other => other,
            };
            let host = fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
            assert_ne!(seen["namespaces"][name], host.to_str().unwrap(), "{kind}");
        }
        assert!(kinds.len() >= 7, "{kinds:?}");
    }

    /// The reverse.
    fn what_is_no_namespace_is_refused_by_name(runtime) {
        drop(features(runtime));
        let mut bundle = bundle(runtime);
        bundle.namespace("taste", Value::Null);

        refused_by_name(&bundle, "taste");
    }

    /// "capabilities (array of strings, OPTIONAL) The recognized names of the capabilities": they are
    /// all that the kernel has, and the container has each, where the runtime itself has it.
    fn every_capability_is_given(runtime) {
        let features = features(runtime);
        let listed = words(&features["linux"]["capabilities"]);
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let own = status.lines().find_map(|line| line.strip_prefix("CapBnd:")).unwrap().trim();
        let own = u64::from_str_radix(own, 16).unwrap();
        let bit = |name: &&str| 1_u64 << CAPABILITIES.iter().position(|known| known == name).unwrap();
        let asked: Vec<&str> =
            listed.iter().copied().filter(|name| own & bit(name) != 0).collect();
        let mut bundle = bundle(runtime);
        for set in ["bounding", "effective", "permitted"] {
            bundle.set(&format!("/process/capabilities/{set}"), json!(asked));
        }

        let given = bundle.see()["status"]["CapEff"].clone();

        let mask = asked.iter().fold(0, |mask, name| mask | bit(name));
        assert_eq!(given, format!("{mask:016x}"));
        assert_eq!(listed.len(), CAPABILITIES.len(), "{listed:?}");
    }

    /// "cgroup (object, OPTIONAL) represents the runtime's implementation status of cgroup
    /// managers": the version that this machine has limits; systemd, where it runs, is asked.
    fn every_kind_of_cgroup_is_used(runtime) {
        let features = features(runtime);
        let cgroup = &features["linux"]["cgroup"];
        for version in ["v1", "v2"] {
            assert_eq!(cgroup[version], true, "{version}");
        }
        let mut limited = bundle(runtime);
        limited.set("/linux/resources/pids", json!({"limit": 321}));
        limited.script("sleep 100");
        limited.start_detached();
        let files = limited.cgroups().into_iter().map(|at| at.join("pids.max"));
        let values: Vec<String> = files.filter_map(|file| fs::read_to_string(file).ok()).collect();
        assert_eq!(values, ["321\n"]);
        if cgroup["rdma"] == true {
            let mut bundle = bundle(runtime);
            bundle.set("/linux/resources/rdma", json!({"mlx5_1": {"hcaHandles": 3}}));
            ran_or_names(&bundle.run(), &["rdma"]);
        }
        assert_eq!(cgroup["systemd"], true);
        let mut bundle = bundle(runtime);
        let path = format!("system.slice:conformance:{}", bundle.id());
        bundle.set("/linux/cgroupsPath", json!(path));
        let outcome = bundle.run_under(&["--systemd-cgroup"]);
        ran_or_names(&outcome, &["systemd", "dbus"]);
    }

    /// "actions", "operators" (array of strings, OPTIONAL): each is used by a filter, and does what
    /// it is called.
    fn every_action_and_operator_of_filters_works(runtime) {
        let features = features(runtime);
        let filters = &features["linux"]["seccomp"];
        assert_eq!(filters["enabled"], true);
        for action in words(&filters["actions"]) {
            let rule = json!({"names": ["mkdir", "mkdirat"], "action": action});
            let (code, said) = seccomp::make_directory(runtime, &rule);
            match action {
                "SCMP_ACT_ALLOW" | "SCMP_ACT_LOG" => assert_eq!(code, 0, "{action}: {said}"),
                "SCMP_ACT_ERRNO" => assert!(said.contains("not permitted"), "{said}"),
                "SCMP_ACT_TRACE" => assert!(said.contains("not implemented"), "{said}"),
                // Nobody listens here; the file of filters has a listener.
                "SCMP_ACT_NOTIFY" => assert!(said.contains("listenerPath"), "{said}"),
                _ => assert_eq!(code, 128 + 31, "{action}: {said}"),
            }
        }
        for operator in words(&filters["operators"]) {
            let forbids: seccomp::Forbids = match operator {
                "SCMP_CMP_EQ" => |mode| mode == 0o644,
                "SCMP_CMP_NE" => |mode| mode != 0o644,
                "SCMP_CMP_LT" => |mode| mode < 0o644,
                "SCMP_CMP_LE" => |mode| mode <= 0o644,
                "SCMP_CMP_GE" => |mode| mode >= 0o644,
                "SCMP_CMP_GT" => |mode| mode > 0o644,
                "SCMP_CMP_MASKED_EQ" => |mode| mode & 0o644 == 0o600,
                other => panic!("what does {other} do?"),
            };
            let argument =
                json!([{"index": 1, "value": 0o644, "valueTwo": 0o600, "op": operator}]);
            let passed = seccomp::modes_that_pass(runtime, &argument);
            assert_eq!(passed, seccomp::all_but(forbids), "{operator}");
        }
        assert_eq!(words(&filters["actions"]).len(), 9);
        assert_eq!(words(&filters["operators"]).len(), 7);
    }

    /// "archs", "knownFlags", "supportedFlags": a filter names all the architectures at once, and
    /// each flag by itself.
    fn every_architecture_and_flag_of_filters_is_taken(runtime) {
        let features = features(runtime);
        let filters = &features["linux"]["seccomp"];
        let rule = json!([{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]);
        let mut all = bundle(runtime);
        all.set("/linux/seccomp", seccomp::profile(&rule));
        all.set("/linux/seccomp/architectures", filters["archs"].clone());
        assert_eq!(all.see()["status"]["Seccomp"], "2");
        assert!(words(&filters["archs"]).contains(&"SCMP_ARCH_X86_64"));
        let known = words(&filters["knownFlags"]);
        let supported = words(&filters["supportedFlags"]);
        for flag in &supported {
            let mut bundle = bundle(runtime);
            bundle.set("/linux/seccomp", seccomp::profile(&rule));
            bundle.set("/linux/seccomp/flags", json!([flag]));
            assert_eq!(bundle.see()["status"]["Seccomp"], "2", "{flag}");
        }
        assert!(supported.iter().all(|flag| known.contains(flag)), "{supported:?} of {known:?}");
        assert!(supported.contains(&"SECCOMP_FILTER_FLAG_LOG"), "{supported:?}");
    }

    /// The reverse, for all five lists of filters.
    fn what_is_no_word_of_filters_is_refused_by_name(runtime) {
        drop(features(runtime));
        let word = "SECCOMP_FILTER_FLAG_NEW_LISTENER";
        for (pointer, value, word) in [
            ("/defaultAction", json!("SCMP_ACT_PRAY"), "SCMP_ACT_PRAY"),
            ("/syscalls/0/action", json!("SCMP_ACT_PRAY"), "SCMP_ACT_PRAY"),
            ("/syscalls/0/args", json!([{"index": 0, "value": 0, "op": "SCMP_CMP_MAYBE"}]),
                "SCMP_CMP_MAYBE"),
            ("/architectures", json!(["SCMP_ARCH_ABACUS"]), "SCMP_ARCH_ABACUS"),
            ("/flags", json!([word]), word),
        ] {
            let mut bundle = bundle(runtime);
            let rules = json!([{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]);
            bundle.set("/linux/seccomp", seccomp::profile(&rules));
            bundle.set(&format!("/linux/seccomp{pointer}"), value);

            refused_by_name(&bundle, word);
        }
    }

    /// "apparmor", "selinux", "intelRdt": "represents the runtime's implementation status …
    /// Irrelevant to the availability … on the host operating system."
    fn labels_and_shares_are_set_or_refused_by_name(runtime) {
        let features = features(runtime);
        let linux = &features["linux"];
        for (key, pointer, value, names) in [
            ("apparmor", "/process/apparmorProfile", json!("no-such-profile"), &["apparmor"][..]),
            ("selinux", "/process/selinuxLabel", json!("a:b:c:s0"), &["selinux"]),
            ("selinux", "/linux/mountLabel", json!("a:b:c:s0"), &["selinux", "mountLabel"]),
            ("intelRdt", "/linux/intelRdt", json!({"l3CacheSchema": "L3:0=f"}),
                &["resctrl", "rdt"]),
        ] {
            if linux[key]["enabled"] != true {
                continue;
            }
            let mut bundle = bundle(runtime);
            bundle.set(pointer, value);

            ran_or_names(&bundle.run(), names);
        }
        for key in ["apparmor", "selinux", "intelRdt"] {
            assert_eq!(linux[key]["enabled"], true, "{key}");
        }
    }

    /// "mountExtensions": {"idmap": …}, tried with the mount options too.
    fn mounts_are_mapped(runtime) {
        let features = features(runtime);
        assert_eq!(features["linux"]["mountExtensions"]["idmap"]["enabled"], true);
        requires(maps_owners(), "a kernel that maps the owners of a tmpfs");
        let mut bundle = bundle(runtime);
        fs::create_dir(bundle.directory().join("source")).unwrap();
        mount_with(&mut bundle, "idmap");
        bundle.script("stat -c %u /case/idmap");

        assert_eq!(bundle.run().ok().stdout, "1000\n");
    }

    /// "netDevices (object, OPTIONAL) represents the runtime's implementation status of Linux
    /// network devices."
    fn network_devices_move(runtime) {
        let features = features(runtime);
        assert_eq!(features["linux"]["netDevices"]["enabled"], true);
        requires(dhow_testkit::need::tool("ip").is_some(), "ip");
        let mut bundle = bundle(runtime);
        bundle.apart = vec!["--net"];
        bundle.before = "ip link add out0 type veth peer name out1".to_owned();
        bundle.set("/linux/netDevices", json!({"out0": {"name": "in0"}}));
        bundle.script("ls /sys/class/net");

        assert_eq!(bundle.run().ok().stdout, "in0\nlo\n");

        bundle.set("/linux/netDevices", json!({"none0": {}}));
        refused_by_name(&bundle, "none0");
    }

    /// "memoryPolicy": "modes", "flags". The kernel shows the policy of each mapping.
    fn every_memory_policy_is_set(runtime) {
        let features = features(runtime);
        let policy = &features["linux"]["memoryPolicy"];
        requires(Path::new("/proc/self/numa_maps").exists(), "a kernel that knows memory nodes");
        let see = |policy: Value| {
            let mut bundle = bundle(runtime);
            bundle.set("/linux/memoryPolicy", policy);
            bundle.args(&["head", "-n", "1", "/proc/self/numa_maps"]);
            bundle.run().ok().stdout.split(' ').nth(1).unwrap_or_default().to_owned()
        };
        let is_known = |mode: &&str| *mode != "MPOL_WEIGHTED_INTERLEAVE" || need::kernel(6, 9);
        for mode in words(&policy["modes"]).into_iter().filter(is_known) {
            let (nodes, shown) = match mode {
                "MPOL_DEFAULT" => ("", "default"),
                "MPOL_PREFERRED" => ("0", "prefer:0"),
                "MPOL_BIND" => ("0", "bind:0"),
                "MPOL_INTERLEAVE" => ("0", "interleave:0"),
                "MPOL_LOCAL" => ("", "local"),
                "MPOL_PREFERRED_MANY" => ("0", "prefer (many):0"),
                "MPOL_WEIGHTED_INTERLEAVE" => ("0", "weighted interleave:0"),
                other => panic!("what does {other} do?"),
            };
            let found = see(json!({"mode": mode, "nodes": nodes}));
            assert_eq!(found, shown.split(' ').next().unwrap(), "{mode}");
        }
        for flag in words(&policy["flags"]) {
            let shown = match flag {
                "MPOL_F_STATIC_NODES" => "bind=static:0",
                "MPOL_F_RELATIVE_NODES" => "bind=relative:0",
                "MPOL_F_NUMA_BALANCING" => "bind=balancing:0",
                other => panic!("what does {other} do?"),
            };
            let found = see(json!({"mode": "MPOL_BIND", "nodes": "0", "flags": [flag]}));
            assert!(found == shown || found == "bind:0", "{flag}: {found}");
        }
        assert_eq!((words(&policy["modes"]).len(), words(&policy["flags"]).len()), (7, 3));
        for bad in [json!({"mode": "MPOL_LUCK"}),
            json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_LUCK"]})]
        {
            let mut bundle = bundle(runtime);
            bundle.set("/linux/memoryPolicy", bad);
            refused_by_name(&bundle, "_LUCK");
        }
    }

    /// features.md: "potentiallyUnsafeConfigAnnotations … MAY contain values of annotation names, or
    /// prefixes of them that end with a dot": such a container runs, since here nothing of the
    /// machine obeys them.
    fn unsafe_annotations_are_named(runtime) {
        let features = features(runtime);
        let listed = words(&features["potentiallyUnsafeConfigAnnotations"]);
        let mut bundle = bundle(runtime);
        for name in &listed {
            let name = if name.ends_with('.') { format!("{name}Description") } else { (*name).to_owned() };
            bundle.set("/annotations", json!({name: "'x'"}));
            drop(bundle.run().ok());
        }
        let listed: BTreeSet<&str> = listed.into_iter().collect();
        assert!(listed.contains("org.systemd.property."), "{listed:?}");
    }
}
