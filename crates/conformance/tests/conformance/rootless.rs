//! Containers of an ordinary user who has one id: a user namespace in which that id is root.
//! config-linux.md, section User namespace mappings.

use super::bundle;
use dhow_conformance::{Bundle, Runtime, conformance, verdict::requires};
use dhow_testkit::need;
use serde_json::{Value, json};

/// A user of no account.
const UID: u32 = 4321;

/// A bundle as such a user may have one: no cgroup, no id but the own, the host's /sys.
fn of_user(runtime: &Runtime) -> Bundle<'_> {
    requires(need::tool("setpriv").is_some(), "setpriv");
    let mut bundle = bundle(runtime);
    bundle.give_to(UID);
    bundle.namespace("user", Value::Null);
    bundle.without_namespace("cgroup");
    let mapping = json!([{"containerID": 0, "hostID": UID, "size": 1}]);
    bundle.set("/linux/uidMappings", mapping.clone());
    bundle.set("/linux/gidMappings", mapping);
    let linux = bundle.config["linux"].as_object_mut().unwrap();
    linux.remove("resources");
    linux.remove("cgroupsPath");
    for mount in bundle.config["mounts"].as_array_mut().unwrap() {
        let options = mount["options"].as_array_mut().unwrap();
        options.retain(|option| option != "gid=5");
    }
    bundle
}

conformance! {
    /// The user's id is the container's root, and no other is there; the kernel asks that groups
    /// stay as they are.
    fn the_user_is_the_containers_root(runtime) {
        let mut bundle = of_user(runtime);
        bundle.script("id -u; id -g; tr -s ' ' < /proc/self/uid_map; cat /proc/self/setgroups; \
            touch /mine && stat -c %u /mine");

        let outcome = bundle.run().ok();

        assert_eq!(outcome.stdout, "0\n0\n 0 4321 1\ndeny\n0\n");
        let mine = std::fs::metadata(bundle.root().join("mine")).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&mine), UID);
    }

    /// "The runtime MUST make available" the default devices: the host's are bound.
    fn the_default_devices_are_there(runtime) {
        let mut bundle = of_user(runtime);
        bundle.script("echo x > /dev/null; head -c 3 /dev/zero | wc -c; stat -c %t:%T /dev/full");

        assert_eq!(bundle.run().ok().stdout, "3\n1:7\n");
    }

    /// The life of such a container is the same: created, started, entered, killed, deleted.
    fn its_life_is_as_any_others(runtime) {
        let mut bundle = of_user(runtime);
        bundle.script("while :; do sleep 1; done");
        bundle.start_detached();

        assert_eq!(bundle.state()["status"], "running");
        let entered = bundle.call(&["exec", bundle.id(), "sh", "-c", "id -u; readlink /proc/self/ns/user"]);
        let pid = bundle.pid();
        let inside = std::fs::read_link(format!("/proc/{pid}/ns/user")).unwrap();
        assert_eq!(entered.ok().stdout, format!("0\n{}\n", inside.display()));
        drop(bundle.call(&["kill", bundle.id(), "KILL"]).ok());
        bundle.wait_until("stopped");
        drop(bundle.call(&["delete", bundle.id()]).ok());
    }

    /// An id of others' cannot be mapped. runtime.md, Create: "If the runtime cannot apply a property
    /// as specified in the configuration, it MUST generate an error".
    fn an_id_of_others_is_refused(runtime) {
        let mut bundle = of_user(runtime);
        bundle.set("/linux/uidMappings", json!([{"containerID": 0, "hostID": 0, "size": 1}]));

        drop(bundle.refused());
    }

    /// The same for a user in the container to whom no id is mapped.
    fn a_user_without_an_id_is_refused(runtime) {
        let mut bundle = of_user(runtime);
        bundle.set("/process/user", json!({"uid": 7, "gid": 0}));

        drop(bundle.refused());
    }
}
