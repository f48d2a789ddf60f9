//! `process.user` and `process.capabilities`: who the program is, and what it may do. config.md,
//! sections User and Linux Process.

use super::bundle;
use dhow_conformance::{config::CAPABILITIES, conformance};
use serde_json::{Value, json};

const NOTHING: &str = "0000000000000000";
const DOCKERS: &str = "00000000a80425fb";

fn sets(seen: &Value) -> [&str; 5] {
    ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]
        .map(|name| seen["status"][name].as_str().unwrap())
}

conformance! {
    /// "uid (int, REQUIRED) specifies the user ID in the container namespace", and gid likewise.
    fn ids_are_the_named_ones(runtime) {
        let mut bundle = bundle(runtime);
        bundle.set("/process/user", json!({"uid": 1000, "gid": 2000}));

        let status = &bundle.see()["status"];

        assert_eq!(status["Uid"], "1000 1000 1000 1000");
        assert_eq!(status["Gid"], "2000 2000 2000 2000");
        assert_eq!(status["Groups"], "");
    }

    /// "additionalGids (array of ints, OPTIONAL) specifies additional group IDs in the container
    /// namespace to be added to the process."
    fn groups_are_added(runtime) {
        let mut bundle = bundle(runtime);
        let groups = json!([3000, 5, 70000]);
        bundle.set("/process/user", json!({"uid": 1000, "gid": 1000, "additionalGids": groups}));

        let seen = bundle.see();

        let mut groups: Vec<u32> = seen["status"]["Groups"].as_str().unwrap()
            .split(' ').map(|group| group.parse().unwrap()).collect();
        groups.sort_unstable();
        assert_eq!(groups, [5, 3000, 70000]);
    }

    /// "umask (int, OPTIONAL) specifies the umask of the user."
    fn the_umask_is_the_named_one(runtime) {
        let mut bundle = bundle(runtime);
        bundle.set("/process/user/umask", json!(0o027));

        assert_eq!(bundle.see()["status"]["Umask"], "0027");
    }

    /// "effective", "bounding", "inheritable", "permitted", "ambient": each "is an array of
    /// capabilities that are kept for the process."
    fn root_has_exactly_the_listed_capabilities(runtime) {
        let seen = bundle(runtime).see();

        assert_eq!(sets(&seen), [NOTHING, DOCKERS, DOCKERS, DOCKERS, NOTHING]);
    }

    /// A user other than root has in its program what is ambient, and a bound.
    fn another_user_has_no_capability_that_is_not_ambient(runtime) {
        let mut bundle = bundle(runtime);
        bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));

        let seen = bundle.see();

        assert_eq!(sets(&seen), [NOTHING, NOTHING, NOTHING, DOCKERS, NOTHING]);
    }

    /// The same sentence of "ambient".
    fn ambient_capabilities_reach_another_user_s_program(runtime) {
        let mut bundle = bundle(runtime);
        let names = json!(["CAP_NET_BIND_SERVICE"]);
        bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));
        bundle.set("/process/capabilities", json!({
            "bounding": names, "effective": names, "inheritable": names, "permitted": names,
            "ambient": names,
        }));

        assert_eq!(sets(&bundle.see()), ["0000000000000400"; 5]);
    }

    /// No listed capability, none kept: the sets are empty, the bound too.
    fn empty_sets_leave_nothing(runtime) {
        let mut bundle = bundle(runtime);
        bundle.set("/process/capabilities", json!({}));

        assert_eq!(sets(&bundle.see()), [NOTHING; 5]);
    }

    /// "Any value which cannot be mapped to a relevant kernel interface, or cannot be granted
    /// otherwise MUST be logged as a warning by the runtime. Runtimes SHOULD NOT fail if the
    /// container configuration requests capabilities that cannot be granted".
    fn an_unknown_capability_is_a_warning(runtime) {
        let mut bundle = bundle(runtime);
        let mut names = CAPABILITIES.to_vec();
        names.push("CAP_WALK_ON_WATER");
        bundle.set("/process/capabilities/bounding", json!(names));
        bundle.set("/process/capabilities/permitted", json!(names));
        bundle.set("/process/capabilities/effective", json!(names));
        bundle.args(&["probe"]);

        let outcome = bundle.run().ok().says("CAP_WALK_ON_WATER");

        let seen: Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!(sets(&seen), [NOTHING, DOCKERS, DOCKERS, DOCKERS, NOTHING]);
    }

    /// A bound may be larger than the sets: root's program gains up to it (capabilities(7)), unless
    /// it must not gain anything.
    fn the_bound_may_be_larger_than_the_rest(runtime) {
        let mut bundle = bundle(runtime);
        bundle.set("/process/capabilities", json!({
            "bounding": ["CAP_KILL", "CAP_CHOWN"], "permitted": ["CAP_KILL"],
            "effective": ["CAP_KILL"],
        }));

        let (bound, kept) = ("0000000000000021", "0000000000000020");
        assert_eq!(sets(&bundle.see()), [NOTHING, kept, kept, bound, NOTHING]);
        bundle.set("/process/noNewPrivileges", json!(false));
        assert_eq!(sets(&bundle.see()), [NOTHING, bound, bound, bound, NOTHING]);
    }
}
