//! `features`: what the runtime says it can do, and whether it can. features.md, features-linux.md.

use super::bundle;
use dhow_conformance::{Runtime, conformance};
use serde_json::{Value, json};

fn features(runtime: &Runtime) -> Value {
    serde_json::from_str(&bundle(runtime).call(&["features"]).ok().stdout).unwrap()
}

fn words(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect()
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

    /// "hooks (array of strings, OPTIONAL) The recognized names of the hooks."
    fn the_hooks_are_all_six(runtime) {
        let features = features(runtime);

        let mut hooks = words(&features["hooks"]);
        hooks.sort_unstable();
        assert_eq!(hooks, [
            "createContainer", "createRuntime", "poststart", "poststop", "prestart",
            "startContainer",
        ]);
    }

    /// "mountOptions (array of strings, OPTIONAL) The recognized names of the mount options. The
    /// runtime MUST recognize the elements in this array as the options of mounts objects".
    fn every_mount_option_is_taken(runtime) {
        let features = features(runtime);
        let special = ["idmap", "ridmap", "remount", "bind", "rbind", "tmpcopyup", "mand", "nomand"];
        let mut bundle = bundle(runtime);
        let options = words(&features["mountOptions"]);
        for option in options.iter().filter(|option| !special.contains(option)) {
            bundle.mount(json!({"destination": format!("/case/{option}"), "type": "tmpfs",
                "source": "tmpfs", "options": [option]}));
        }

        drop(bundle.run().ok());

        assert!(options.len() > 30, "{options:?}");
    }

    /// features-linux.md: "namespaces", "capabilities", "cgroup", "seccomp" with actions, operators
    /// and architectures.
    fn the_linux_part_names_what_the_suite_tries(runtime) {
        let features = features(runtime);

        let linux = &features["linux"];
        for kind in ["cgroup", "ipc", "mount", "network", "pid", "user", "uts"] {
            assert!(words(&linux["namespaces"]).contains(&kind), "{kind}");
        }
        assert!(words(&linux["capabilities"]).contains(&"CAP_SYS_ADMIN"));
        assert_eq!(linux["cgroup"]["v1"], true);
        assert_eq!(linux["seccomp"]["enabled"], true);
        for action in ["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_NOTIFY"] {
            assert!(words(&linux["seccomp"]["actions"]).contains(&action), "{action}");
        }
        assert!(words(&linux["seccomp"]["operators"]).contains(&"SCMP_CMP_MASKED_EQ"));
        assert!(words(&linux["seccomp"]["archs"]).contains(&"SCMP_ARCH_X86_64"));
    }
}
