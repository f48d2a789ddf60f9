//! `mounts`: what is mounted where, in which order, with which options. config.md, section Mounts.

use super::bundle;
use dhow_conformance::{
    Runtime, conformance,
    verdict::{maps_owners, requires},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, os::unix::fs::symlink, path::Path};

pub(super) fn tmpfs(destination: &str, options: &[&str]) -> Value {
    json!({"destination": destination, "type": "tmpfs", "source": "tmpfs", "options": options})
}

/// The uppermost mount at a place.
pub(super) fn mount_at(seen: &Value, at: &str) -> Value {
    let mounts = seen["mounts"].as_array().unwrap();
    let found = mounts.iter().rfind(|mount| mount["at"] == at);
    found.unwrap_or_else(|| panic!("nothing is mounted at {at}: {mounts:#?}")).clone()
}

/// The mount's own options, and those of its filesystem, except that a filesystem that is writable
/// may be mounted read-only.
pub(super) fn options_at(seen: &Value, at: &str) -> BTreeSet<String> {
    let mount = mount_at(seen, at);
    let words = |key: &str| -> Vec<String> {
        mount[key].as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect()
    };
    let general = words("super").into_iter().filter(|option| option != "rw" && option != "ro");
    words("options").into_iter().chain(general).collect()
}

/// Mounts a tree of two filesystems for the bundle's commands: `tree`, and `tree/below`.
fn tree(bundle: &mut dhow_conformance::Bundle<'_>) -> std::path::PathBuf {
    let tree = bundle.directory().join("tree");
    fs::create_dir(&tree).unwrap();
    let shown = tree.display();
    bundle.before = format!(
        "mount -t tmpfs tree {shown}; mkdir {shown}/below; mount -t tmpfs below {shown}/below; \
         touch {shown}/below/file"
    );
    tree
}

/// Mounts one filesystem with each of the options.
fn take_all(runtime: &Runtime, options: &[&str]) {
    let mut bundle = bundle(runtime);
    for option in options {
        bundle.mount(tmpfs(&format!("/case/{option}"), &[option]));
    }

    let seen = bundle.see();

    for option in options {
        assert_eq!(mount_at(&seen, &format!("/case/{option}"))["type"], "tmpfs");
    }
}

conformance! {
    /// "The runtime MUST mount entries in the listed order."
    fn mounts_are_made_in_their_order(runtime) {
        let mut bundle = bundle(runtime);
        bundle.mount(tmpfs("/a", &["size=1m"]));
        bundle.mount(tmpfs("/a/b", &["size=2m"]));
        bundle.mount(tmpfs("/a/b", &["size=3m", "noexec"]));

        let seen = bundle.see();

        assert!(options_at(&seen, "/a").contains("size=1024k"));
        assert!(options_at(&seen, "/a/b").contains("size=3072k"));
        assert!(options_at(&seen, "/a/b").contains("noexec"));
    }

    /// "it MAY be a relative path, in which case it MUST be interpreted as relative to "/"."
    fn a_relative_destination_is_below_the_root(runtime) {
        let mut bundle = bundle(runtime);
        bundle.set("/process/cwd", json!("/var"));
        bundle.mount(tmpfs("here", &["size=1m"]));

        assert_eq!(mount_at(&bundle.see(), "/here")["type"], "tmpfs");
    }

    /// "destination … If it does not exist, the runtime MUST make it" is what all runtimes do, for
    /// directories and for files.
    fn missing_destinations_are_made(runtime) {
        let mut bundle = bundle(runtime);
        let file = bundle.directory().join("file");
        fs::write(&file, "text").unwrap();
        let directory = bundle.directory().to_owned();
        bundle.bind(&directory, "/deep/down/directory", &["bind"]);
        bundle.bind(&file, "/deep/other/file", &["bind", "ro"]);
        bundle.script("cat /deep/other/file /deep/down/directory/file");

        assert_eq!(bundle.run().ok().stdout, "texttext");
    }

    /// "bind: Bind mount", "ro", and the rest of what is written in capitals as MUST: the flags that
    /// can be seen afterwards.
    fn options_that_can_be_seen_are_there(runtime) {
        let cases: &[(&[&str], &[&str], &[&str])] = &[
            (&["ro"], &["ro"], &["rw"]),
            (&["ro", "rw"], &["rw"], &["ro"]),
            (&["nosuid", "nodev", "noexec"], &["nosuid", "nodev", "noexec"], &[]),
            (&["nosuid", "suid", "nodev", "dev", "noexec", "exec"], &[], &["nosuid", "nodev", "noexec"]),
            (&["noatime"], &["noatime"], &["relatime"]),
            (&["nodiratime"], &["nodiratime"], &[]),
            (&["nodiratime", "diratime"], &[], &["nodiratime"]),
            (&["strictatime"], &[], &["noatime", "relatime"]),
            (&["relatime"], &["relatime"], &[]),
            (&["sync"], &["sync"], &[]),
            (&["sync", "async"], &[], &["sync"]),
            (&["dirsync"], &["dirsync"], &[]),
        ];
        let mut bundle = bundle(runtime);
        for (number, (options, _, _)) in cases.iter().enumerate() {
            bundle.mount(tmpfs(&format!("/case/{number}"), options));
        }

        let seen = bundle.see();

        for (number, (options, there, missing)) in cases.iter().enumerate() {
            let found = options_at(&seen, &format!("/case/{number}"));
            for option in *there {
                assert!(found.contains(*option), "{options:?} gives {found:?}");
            }
            for option in *missing {
                assert!(!found.contains(*option), "{options:?} gives {found:?}");
            }
        }
    }

    /// The rest of the MUSTs of the table, which leave nothing to see on this filesystem: they are
    /// taken as what they are and not handed to the filesystem, which would refuse them.
    fn options_that_cannot_be_seen_are_taken(runtime) {
        take_all(runtime, &["atime", "norelatime", "nostrictatime"]);
    }

    /// The same for what says how a filesystem is mounted, "loud" and "silent", and writes times.
    fn options_of_loudness_and_laziness_are_taken(runtime) {
        take_all(runtime, &["loud", "silent", "lazytime", "nolazytime"]);
    }

    /// The same for "iversion" and "noiversion".
    fn options_of_versions_are_taken(runtime) {
        take_all(runtime, &["iversion", "noiversion"]);
    }

    /// "defaults" is the name of no flag at all.
    fn the_option_of_defaults_is_taken(runtime) {
        take_all(runtime, &["defaults"]);
    }

    /// The eight words of propagation are taken for every mount.
    fn options_of_propagation_are_taken(runtime) {
        take_all(runtime, &[
            "rprivate", "private", "shared", "rshared", "slave", "rslave", "unbindable",
            "runbindable",
        ]);
    }

    /// "mand" and "nomand" are MAY since the kernel has no mandatory locks any more; "nosymfollow"
    /// and "symfollow" SHOULD.
    fn symbolic_links_are_not_followed_where_that_is_said(runtime) {
        let mut bundle = bundle(runtime);
        bundle.mount(tmpfs("/links", &["nosymfollow"]));
        bundle.script("ln -s /etc/hostname /links/x; cat /links/x 2>&1");

        let outcome = bundle.run().exits(1);

        assert!(outcome.stdout.contains("Too many levels of symbolic links"), "{outcome}");
    }

    /// "Runtimes SHOULD treat unknown options as filesystem-specific ones".
    fn unknown_options_go_to_the_filesystem(runtime) {
        let mut bundle = bundle(runtime);
        bundle.mount(tmpfs("/a", &["mode=0711", "size=1m", "uid=7"]));
        bundle.script("stat -c '%a %u' /a");
        assert_eq!(bundle.run().ok().stdout, "711 7\n");

        bundle.mount(tmpfs("/b", &["colour=blue"]));
        drop(bundle.refused());
    }

    /// "rbind: Recursive bind mount"; "bind" alone takes one filesystem.
    fn a_bind_mount_is_recursive_only_where_that_is_said(runtime) {
        let mut bundle = bundle(runtime);
        let tree = tree(&mut bundle);
        bundle.bind(&tree, "/one", &["bind"]);
        bundle.bind(&tree, "/all", &["rbind"]);
        bundle.script("ls /one/below /all/below");

        assert_eq!(bundle.run().ok().stdout, "/all/below:\nfile\n\n/one/below:\n");
    }

    /// "rro: Recursive ro" and the like "are implemented by mount_setattr with AT_RECURSIVE".
    fn recursive_options_reach_what_is_below(runtime) {
        let mut bundle = bundle(runtime);
        let tree = tree(&mut bundle);
        bundle.bind(&tree, "/all", &["rbind", "rro", "rnosuid", "rnodev", "rnoexec"]);

        let seen = bundle.see();

        for at in ["/all", "/all/below"] {
            let found = options_at(&seen, at);
            for option in ["ro", "nosuid", "nodev", "noexec"] {
                assert!(found.contains(option), "{at}: {found:?}");
            }
        }
    }

    /// "ro" alone changes the uppermost filesystem.
    fn a_read_only_tree_may_be_writable_below(runtime) {
        let mut bundle = bundle(runtime);
        let tree = tree(&mut bundle);
        bundle.bind(&tree, "/all", &["rbind", "ro", "nosuid"]);

        let files = &bundle.see_files(&["/all/below/file"])["files"];

        assert_eq!(files["/all/below/file"]["write"], "may");
    }

    /// "shared", "slave", "private", "unbindable": "Bind mount propagation".
    fn bind_mounts_propagate_as_they_are_told(runtime) {
        let mut bundle = bundle(runtime);
        let tree = tree(&mut bundle);
        let cases = [("private", ""), ("shared", "shared:"), ("unbindable", "unbindable")];
        for (word, _) in cases {
            bundle.bind(&tree, &format!("/{word}"), &["bind", word]);
        }

        let seen = bundle.see();

        for (word, tag) in cases {
            let mount = mount_at(&seen, &format!("/{word}"));
            let tags = mount["propagation"].as_array().unwrap();
            let shown = tags.first().map_or("", |tag| tag.as_str().unwrap());
            assert!(shown.starts_with(tag) && (tag.is_empty() == shown.is_empty()), "{word}: {tags:?}");
        }
    }

    /// A mount's destination is a path in the container, whatever its links say: it cannot leave.
    fn links_in_a_destination_stay_in_the_root(runtime) {
        let mut bundle = bundle(runtime);
        symlink("/../../../../tmp", bundle.root().join("out")).unwrap();
        bundle.mount(tmpfs("/out/inner", &["size=1m"]));

        let seen = bundle.see();

        assert_eq!(mount_at(&seen, "/tmp/inner")["type"], "tmpfs");
        assert!(bundle.root().join("tmp/inner").is_dir());
    }

    /// runtime.md, section Create: "If the runtime cannot apply a property as specified in the
    /// configuration, it MUST generate an error and a new container MUST NOT be created."
    fn a_missing_source_is_refused(runtime) {
        let mut bundle = bundle(runtime);
        bundle.bind(std::path::Path::new("/no/such/place"), "/a", &["bind"]);

        let outcome = bundle.refused();

        assert!(outcome.stderr.contains("/no/such/place"), "{outcome}");
    }

    /// The same sentence, for a filesystem that the kernel does not have.
    fn an_unknown_filesystem_is_refused(runtime) {
        let mut bundle = bundle(runtime);
        bundle.mount(json!({"destination": "/a", "type": "perpetuum", "source": "x"}));

        drop(bundle.refused());
    }

    /// "tmpcopyup: copy up the contents to a tmpfs".
    fn a_tmpfs_takes_over_what_it_covers(runtime) {
        let mut bundle = bundle(runtime);
        bundle.mount(tmpfs("/etc", &["tmpcopyup"]));
        bundle.script("cat /etc/hostname; echo changed > /etc/hostname; stat -f -c %T /etc");

        assert_eq!(bundle.run().ok().stdout, "image\ntmpfs\n");
        assert_eq!(fs::read_to_string(bundle.root().join("etc/hostname")).unwrap(), "image\n");
    }

    /// "uidMappings (array of type LinuxIDMapping, OPTIONAL) The mapping to convert UIDs from the
    /// source file system to the destination mount point", with "idmap".
    fn a_mount_with_mappings_shows_mapped_owners(runtime) {
        requires(maps_owners(), "a kernel that maps the owners of a tmpfs");
        let mut bundle = bundle(runtime);
        let source = bundle.directory().join("mapped");
        fs::create_dir(&source).unwrap();
        fs::write(source.join("file"), "").unwrap();
        std::os::unix::fs::chown(source.join("file"), Some(5), Some(6)).unwrap();
        bundle.without_namespace("user");
        let mapping = json!([{"containerID": 0, "hostID": 1000, "size": 100}]);
        bundle.mount(json!({
            "destination": "/mapped", "type": "bind", "source": source,
            "options": ["bind", "idmap"], "uidMappings": mapping, "gidMappings": mapping,
        }));
        bundle.script("stat -c %u:%g /mapped/file");

        assert_eq!(bundle.run().ok().stdout, "1005:1006\n");
    }

    /// config-linux.md, section Default Filesystems: /proc, /sys, /dev/pts, /dev/shm "SHOULD be made
    /// available in each container's filesystem", where the configuration lists them.
    fn the_default_filesystems_are_what_they_are_called(runtime) {
        let seen = bundle(runtime).see();

        for (at, kind) in [
            ("/proc", "proc"), ("/sys", "sysfs"), ("/dev", "tmpfs"), ("/dev/pts", "devpts"),
            ("/dev/shm", "tmpfs"), ("/dev/mqueue", "mqueue"),
        ] {
            assert_eq!(mount_at(&seen, at)["type"], kind, "{at}");
        }
        assert!(options_at(&seen, "/sys").contains("ro"));
        assert!(options_at(&seen, "/proc").is_superset(
            &["nosuid", "nodev", "noexec"].map(str::to_owned).into()));
    }

    /// A mount of type cgroup shows the container's own groups, one directory a controller.
    fn the_cgroup_filesystem_is_the_containers(runtime) {
        let mut bundle = bundle(runtime);
        bundle.mount(json!({
            "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
            "options": ["nosuid", "noexec", "nodev", "relatime", "ro"],
        }));
        // A directory for each controller, or one for all of them.
        let (group, listed) = if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
            ("/sys/fs/cgroup", "cgroup.events")
        } else {
            ("/sys/fs/cgroup/memory", "pids")
        };
        bundle.script(&format!(
            "cat {group}/cgroup.procs | head -1; mkdir {group}/x 2>&1; \
             ls /sys/fs/cgroup | grep -x {listed}",
        ));

        let outcome = bundle.run().ok();

        assert_eq!(
            outcome.stdout,
            format!(
                "1\nmkdir: can't create directory '{group}/x': Read-only file system\n{listed}\n"
            )
        );
    }
}
