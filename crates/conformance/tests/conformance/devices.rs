//! `linux.devices` and the device rules: which nodes are there, and which may be opened.
//! config-linux.md, sections Devices, Default Devices and Allowed Device list; runtime-linux.md.

use super::bundle;
use dhow_conformance::{conformance, verdict::requires};
use serde_json::json;
use std::fs;

/// A device that no default lets through, and that may be opened without any effect.
const CONTROL: (u32, u32) = (10, 237);

conformance! {
    /// "In addition to any devices configured with this setting, the runtime MUST also supply:
    /// /dev/null, /dev/zero, /dev/full, /dev/random, /dev/urandom, /dev/tty".
    fn the_default_devices_are_supplied(runtime) {
        let seen = bundle(runtime).see();

        for (name, device) in [
            ("null", "1:3"), ("zero", "1:5"), ("full", "1:7"), ("random", "1:8"),
            ("urandom", "1:9"), ("tty", "5:0"),
        ] {
            let found = &seen["devices"][name];
            assert_eq!((found["kind"].as_str(), found["device"].as_str()),
                (Some("c"), Some(device)), "{name}");
            assert_eq!(found["mode"], "666", "{name}");
            assert_eq!((found["uid"].as_u64(), found["gid"].as_u64()), (Some(0), Some(0)), "{name}");
        }
    }

    /// "/dev/ptmx is a bind-mount or symlink of the container's /dev/pts/ptmx."
    fn the_terminal_multiplexer_is_the_containers(runtime) {
        let mut bundle = bundle(runtime);
        bundle.script("stat -Lc '%t:%T %d' /dev/ptmx /dev/pts/ptmx | uniq | wc -l");

        assert_eq!(bundle.run().ok().stdout.trim(), "1");
    }

    /// runtime-linux.md: "runtimes MUST create the following symlinks if the source file exists":
    /// /dev/fd, /dev/stdin, /dev/stdout, /dev/stderr.
    fn the_standard_streams_have_links(runtime) {
        let seen = bundle(runtime).see();

        for (name, target) in [
            ("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"),
            ("stderr", "/proc/self/fd/2"),
        ] {
            assert_eq!(seen["devices"][name]["target"], target, "{name}");
        }
    }

    /// "devices (array of objects, OPTIONAL) lists devices that MUST be available in the container":
    /// type, major, minor, fileMode, uid, gid.
    fn configured_devices_are_made(runtime) {
        let mut bundle = bundle(runtime);
        bundle.set("/linux/devices", json!([
            {"path": "/dev/one", "type": "c", "major": 10, "minor": 237, "fileMode": 0o640,
                "uid": 11, "gid": 12},
            {"path": "/dev/deep/two", "type": "b", "major": 7, "minor": 3, "fileMode": 0o600,
                "uid": 0, "gid": 0},
            {"path": "/dev/three", "type": "p", "fileMode": 0o666, "uid": 0, "gid": 0},
        ]));

        let seen = bundle.see_files(&["/dev/deep/two"]);

        let one = &seen["devices"]["one"];
        assert_eq!((&one["kind"], &one["device"], &one["mode"]),
            (&json!("c"), &json!("10:237"), &json!("640")));
        assert_eq!((&one["uid"], &one["gid"]), (&json!(11), &json!(12)));
        let two = &seen["files"]["/dev/deep/two"];
        assert_eq!((&two["kind"], &two["device"]), (&json!("b"), &json!("7:3")));
        assert_eq!(seen["devices"]["three"]["kind"], "p");
    }

    /// "If a file already exists at path that does not match the requested device, the runtime MUST
    /// generate an error."
    fn a_device_where_another_file_is_is_refused(runtime) {
        let mut bundle = bundle(runtime);
        fs::write(bundle.root().join("etc/node"), "").unwrap();
        bundle.set("/linux/devices", json!([
            {"path": "/etc/node", "type": "c", "major": 1, "minor": 3},
        ]));

        drop(bundle.refused());
        assert!(fs::metadata(bundle.root().join("etc/node")).unwrap().is_file());
    }

    /// "devices … configure the allowed device list. The runtime MUST apply entries in the listed
    /// order."
    fn a_device_may_be_opened_only_where_a_rule_lets_it(runtime) {
        requires(std::path::Path::new("/sys/fs/cgroup/devices").is_dir(), "the devices cgroup");
        requires(std::path::Path::new("/dev/loop-control").exists(), "/dev/loop-control");
        let device = json!([{"path": "/dev/control", "type": "c", "major": CONTROL.0,
            "minor": CONTROL.1, "fileMode": 0o666, "uid": 0, "gid": 0}]);
        let rule = |allow: bool, access: &str| json!({"allow": allow, "type": "c",
            "major": CONTROL.0, "minor": CONTROL.1, "access": access});
        let nothing = json!({"allow": false, "access": "rwm"});
        let cases = [
            (json!([nothing]), "EPERM", "EPERM"),
            (json!([nothing, rule(true, "r")]), "", "EPERM"),
            (json!([nothing, rule(true, "rw")]), "", "may"),
            (json!([nothing, rule(true, "rw"), rule(false, "w")]), "", "EPERM"),
        ];
        for (rules, read, write) in cases {
            let mut bundle = bundle(runtime);
            bundle.set("/linux/devices", device.clone());
            bundle.set("/linux/resources/devices", rules.clone());

            let found = bundle.see_files(&["/dev/control"])["files"]["/dev/control"].clone();

            let denied = if found["read"]["error"] == "EPERM" { "EPERM" } else { "" };
            assert_eq!(denied, read, "reading with {rules}: {found}");
            assert_eq!(found["write"], write, "writing with {rules}: {found}");
        }
    }

    /// The default devices may be used whatever the rules say, or no program would run.
    fn the_default_devices_may_be_used(runtime) {
        let mut bundle = bundle(runtime);
        let files = bundle.see_files(&["/dev/null", "/dev/zero", "/dev/full", "/dev/urandom"]);

        for name in ["/dev/null", "/dev/zero", "/dev/full", "/dev/urandom"] {
            assert_eq!(files["files"][name]["write"], "may", "{name}");
        }
    }

    /// "c" or "u" is a character device; a kind that is none is refused. config.md, Extensibility:
    /// "Runtimes MUST generate an error when invalid or unsupported values are encountered."
    fn an_unknown_kind_of_device_is_refused(runtime) {
        let mut bundle = bundle(runtime);
        bundle.set("/linux/devices", json!([
            {"path": "/dev/x", "type": "z", "major": 1, "minor": 3},
        ]));

        drop(bundle.refused());
    }
}
