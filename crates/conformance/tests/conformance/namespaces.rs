//! `linux.namespaces`, `hostname`, `domainname`, `linux.timeOffsets`, `linux.sysctl`, and the
//! mappings of user namespaces. config-linux.md, sections Namespaces, User namespace mappings,
//! Offset for Time Namespace, Sysctl.

use super::bundle;
use dhow_conformance::{Bundle, conformance};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs};

/// Lets the container's root be user 100000, and gives it the root filesystem.
pub(super) fn map_users(bundle: &mut Bundle<'_>) {
    let mapping = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    bundle.namespace("user", Value::Null);
    bundle.set("/linux/uidMappings", mapping.clone());
    bundle.set("/linux/gidMappings", mapping);
    std::os::unix::fs::chown(bundle.root(), Some(100_000), Some(100_000)).unwrap();
}

/// The namespaces of whoever starts the runtime, by kind.
fn outside(bundle: &Bundle<'_>) -> BTreeMap<String, String> {
    let text = fs::read_to_string(bundle.directory().join("outside")).unwrap();
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    pairs.map(|(kind, link)| (kind.to_owned(), link.to_owned())).collect()
}

fn note_outside(bundle: &mut Bundle<'_>) {
    bundle.before = format!(
        "for kind in pid net ipc uts mnt cgroup user time; do \
         echo $kind $(readlink /proc/self/ns/$kind); done > {}/outside",
        bundle.directory().display()
    );
}

conformance! {
    /// "If path is not specified, the runtime MUST create a new container namespace of type type."
    fn listed_namespaces_are_new(runtime) {
        let mut bundle = bundle(runtime);
        note_outside(&mut bundle);

        let seen = bundle.see();

        let outside = outside(&bundle);
        for kind in ["pid", "net", "ipc", "uts", "mnt", "cgroup"] {
            assert_ne!(seen["namespaces"][kind], outside[kind].as_str(), "{kind}");
        }
    }

    /// "If a namespace type is not specified in the namespaces array, the container MUST inherit the
    /// runtime namespace of that type."
    fn namespaces_that_are_not_listed_are_inherited(runtime) {
        let mut bundle = bundle(runtime);
        note_outside(&mut bundle);
        for kind in ["network", "ipc", "uts", "cgroup"] {
            bundle.without_namespace(kind);
        }
        bundle.config.as_object_mut().unwrap().remove("hostname");
        // Without namespaces of its own, sysfs and mqueue are not the container's to mount.
        let mounts = bundle.config["mounts"].as_array_mut().unwrap();
        mounts.retain(|mount| mount["type"] != "mqueue" && mount["type"] != "sysfs");

        let seen = bundle.see();

        let outside = outside(&bundle);
        for kind in ["net", "ipc", "uts", "cgroup", "user", "time"] {
            assert_eq!(seen["namespaces"][kind], outside[kind].as_str(), "{kind}");
        }
    }

    /// "The runtime MUST place the container process in the namespace associated with that path."
    fn a_namespace_is_joined_by_its_path(runtime) {
        let first = bundle(runtime);
        let mut first = first;
        first.script("while :; do sleep 1; done");
        first.start_detached();
        let pid = first.pid();
        let mut second = bundle(runtime);
        for (kind, name) in [("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("pid", "pid")] {
            second.namespace(kind, json!(format!("/proc/{pid}/ns/{name}")));
        }
        second.config.as_object_mut().unwrap().remove("hostname");

        let seen = second.see();

        for name in ["net", "ipc", "uts", "pid"] {
            let there = fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap();
            assert_eq!(seen["namespaces"][name], there.to_str().unwrap());
        }
        assert_eq!(seen["hostname"], "inside");
    }

    /// "The runtime MUST generate an error if path is not associated with a namespace of type type."
    fn a_path_to_another_kind_is_refused(runtime) {
        let mut bundle = bundle(runtime);
        bundle.namespace("ipc", json!("/proc/self/ns/net"));

        drop(bundle.refused());
    }

    /// The same sentence, for a path where nothing is.
    fn a_path_to_nowhere_is_refused(runtime) {
        let mut bundle = bundle(runtime);
        bundle.namespace("ipc", json!("/no/such/namespace"));

        drop(bundle.refused());
    }

    /// "If a namespaces field contains duplicated namespaces with same type, the runtime MUST
    /// generate an error."
    fn a_namespace_that_is_listed_twice_is_refused(runtime) {
        let mut bundle = bundle(runtime);
        let list = bundle.config["linux"]["namespaces"].as_array_mut().unwrap();
        list.push(json!({"type": "ipc"}));

        drop(bundle.refused());
    }

    /// "type (string, REQUIRED) - namespace type. The following namespace types SHOULD be supported".
    fn an_unknown_kind_of_namespace_is_refused(runtime) {
        let mut bundle = bundle(runtime);
        bundle.namespace("taste", Value::Null);

        drop(bundle.refused());
    }

    /// config.md: "hostname (string, OPTIONAL) specifies the container's hostname as seen by
    /// processes running inside the container." "domainname" likewise.
    fn the_container_has_its_names(runtime) {
        let mut bundle = bundle(runtime);
        bundle.set("/hostname", json!("name.of-its.own"));
        bundle.set("/domainname", json!("domain.test"));

        let seen = bundle.see();

        assert_eq!(seen["hostname"], "name.of-its.own");
        assert_eq!(seen["domainname"], "domain.test");
    }

    /// config.md: "the UTS namespace of the container": without one, the name would be the host's.
    fn a_name_without_a_namespace_is_refused(runtime) {
        let mut bundle = bundle(runtime);
        bundle.without_namespace("uts");

        drop(bundle.refused());
    }

    /// "timeOffsets (object, OPTIONAL) sets the offset for Time Namespace."
    fn a_time_namespace_has_its_offsets(runtime) {
        let mut bundle = bundle(runtime);
        bundle.namespace("time", Value::Null);
        bundle.set("/linux/timeOffsets", json!({
            "boottime": {"secs": 1_000_000}, "monotonic": {"secs": 5, "nanosecs": 7},
        }));

        let seen = bundle.see();

        assert_eq!(seen["time_offsets"], json!(["monotonic 5 7", "boottime 1000000 0"]));
    }

    /// "sysctl (object, OPTIONAL) allows kernel parameters to be modified at runtime for the
    /// container."
    fn kernel_parameters_of_its_namespaces_are_set(runtime) {
        let mut bundle = bundle(runtime);
        bundle.set("/linux/sysctl", json!({
            "net.ipv4.ip_forward": "1", "kernel.shm_rmid_forced": "1", "kernel.msgmax": "12345",
        }));

        let files = &bundle.see_files(&[
            "/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/shm_rmid_forced",
            "/proc/sys/kernel/msgmax",
        ])["files"];

        for (path, value) in [
            ("/proc/sys/net/ipv4/ip_forward", "1\n"), ("/proc/sys/kernel/shm_rmid_forced", "1\n"),
            ("/proc/sys/kernel/msgmax", "12345\n"),
        ] {
            assert_eq!(files[path]["read"]["text"], value, "{path}");
        }
    }

    /// A parameter of the whole machine is not the container's: runc refuses it. The value is the
    /// one that it has, so that nothing changes where it is not refused.
    fn a_parameter_of_the_machine_is_refused(runtime) {
        let mut bundle = bundle(runtime);
        let now = fs::read_to_string("/proc/sys/vm/swappiness").unwrap();
        bundle.set("/linux/sysctl", json!({"vm.swappiness": now.trim()}));

        drop(bundle.refused());
    }

    /// A parameter of a namespace that the container shares with the machine is refused as well.
    fn a_parameter_of_a_shared_namespace_is_refused(runtime) {
        let mut bundle = bundle(runtime);
        bundle.apart = vec!["--ipc"];
        bundle.without_namespace("ipc");
        let mounts = bundle.config["mounts"].as_array_mut().unwrap();
        mounts.retain(|mount| mount["type"] != "mqueue");
        bundle.set("/linux/sysctl", json!({"kernel.msgmax": "12345"}));

        drop(bundle.refused());
    }

    /// "uidMappings (array of objects, OPTIONAL) describes the user namespace uid mappings from the
    /// host to the container."
    fn a_user_namespace_maps_ids(runtime) {
        let mut bundle = bundle(runtime);
        map_users(&mut bundle);
        bundle.script("cat /proc/self/uid_map /proc/self/gid_map | tr -s ' '; id -u; \
            touch /mine; stat -c %u /mine; echo x > /dev/null && echo null");

        let outcome = bundle.run().ok();

        assert_eq!(outcome.stdout, " 0 100000 65536\n 0 100000 65536\n0\n0\nnull\n");
        let mine = fs::metadata(bundle.root().join("mine")).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&mine), 100_000);
    }

    /// "The runtime SHOULD NOT modify the ownership of referenced filesystems to realize the
    /// mapping."
    fn a_mapping_leaves_owners_as_they_are(runtime) {
        let mut bundle = bundle(runtime);
        map_users(&mut bundle);

        let files = &bundle.see_files(&["/etc/hostname"])["files"];

        assert_eq!(files["/etc/hostname"]["uid"], 65534);
        assert_eq!(files["/etc/hostname"]["write"], "EACCES");
    }

    /// The default devices are there in a user namespace too, where the kernel forbids making them.
    fn a_user_namespace_has_the_default_devices(runtime) {
        let mut bundle = bundle(runtime);
        map_users(&mut bundle);

        let seen = bundle.see();

        for (name, device) in [("null", "1:3"), ("urandom", "1:9"), ("tty", "5:0")] {
            assert_eq!(seen["devices"][name]["device"], device, "{name}");
        }
        let capabilities = &seen["status"]["CapEff"];
        assert_eq!(capabilities, "00000000a80425fb");
    }

    /// Mappings without the namespace they are for cannot be applied. runtime.md, Create: "If the
    /// runtime cannot apply a property as specified in the configuration, it MUST generate an error".
    fn a_user_namespace_without_mappings_is_refused(runtime) {
        let mut bundle = bundle(runtime);
        bundle.namespace("user", Value::Null);

        drop(bundle.refused());
    }
}
