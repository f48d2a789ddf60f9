//! `root` and `linux.rootfsPropagation`, masked and read-only paths. config.md, section Root;
//! config-linux.md, sections Rootfs Mount Propagation, Masked Paths, Readonly Paths.

use super::bundle;
use dhow_conformance::conformance;
use serde_json::{Value, json};
use std::fs;

fn root_mount(seen: &Value) -> Value {
    let mounts = seen["mounts"].as_array().unwrap();
    mounts.iter().rfind(|mount| mount["at"] == "/").unwrap().clone()
}

conformance! {
    /// "readonly (bool, OPTIONAL) If true then the root filesystem MUST be read-only inside the
    /// container, defaults to false."
    fn the_root_is_read_only_where_that_is_said(runtime) {
        let mut bundle = bundle(runtime);
        bundle.script("touch /x && echo written");
        assert_eq!(bundle.run().ok().stdout, "written\n");

        bundle.set("/root/readonly", json!(true));
        bundle.script("touch /y 2>&1; touch /dev/shm/z && echo written");

        let outcome = bundle.run().ok();
        assert_eq!(outcome.stdout, "touch: /y: Read-only file system\nwritten\n");
    }

    /// "path … is either an absolute path or a relative path to the bundle."
    fn a_relative_root_lies_in_the_bundle(runtime) {
        let mut bundle = bundle(runtime);
        let link = bundle.directory().join("rootfs");
        fs::create_dir(&link).unwrap();
        bundle.before = format!("mount --bind {} {}", bundle.root().display(), link.display());
        bundle.set("/root/path", json!("rootfs"));

        assert_eq!(bundle.see()["cwd"], "/");
    }

    /// "A directory MUST exist at the path declared by the field."
    fn a_missing_root_is_refused(runtime) {
        let mut bundle = bundle(runtime);
        bundle.set("/root/path", json!("nowhere"));

        drop(bundle.refused());
    }

    /// The same sentence: a file is no directory.
    fn a_root_that_is_a_file_is_refused(runtime) {
        let mut bundle = bundle(runtime);
        fs::write(bundle.directory().join("file"), "").unwrap();
        bundle.set("/root/path", json!("file"));

        drop(bundle.refused());
    }

    /// "maskedPaths (array of strings, OPTIONAL) will mask over the provided paths inside the
    /// container so that they cannot be read."
    fn masked_paths_cannot_be_read(runtime) {
        let mut bundle = bundle(runtime);
        fs::create_dir(bundle.root().join("secret")).unwrap();
        fs::write(bundle.root().join("secret/inner"), "text").unwrap();
        fs::write(bundle.root().join("file"), "text").unwrap();
        bundle.set("/linux/maskedPaths", json!(["/secret", "/file", "/proc/keys", "/not/there"]));

        let seen = bundle.see_files(&["/secret", "/file", "/secret/inner", "/proc/keys"]);

        assert_eq!(seen["files"]["/secret"]["read"]["text"], "");
        assert_eq!(seen["files"]["/secret/inner"]["read"]["error"], "ENOENT");
        for path in ["/file", "/proc/keys"] {
            let read = &seen["files"][path]["read"];
            assert!(read["text"] == "" || read["error"] == "EACCES", "{path}: {read}");
        }
    }

    /// A masked directory is as a read-only empty one, so that nothing can be put there either.
    fn a_masked_directory_cannot_be_written(runtime) {
        let mut bundle = bundle(runtime);
        fs::create_dir(bundle.root().join("secret")).unwrap();
        bundle.set("/linux/maskedPaths", json!(["/secret"]));
        bundle.script("touch /secret/x 2>&1");

        let outcome = bundle.run().exits(1);

        assert!(outcome.stdout.contains("Read-only file system"), "{outcome}");
    }

    /// "readonlyPaths (array of strings, OPTIONAL) will set the provided paths as readonly inside
    /// the container."
    fn readonly_paths_cannot_be_written(runtime) {
        let mut bundle = bundle(runtime);
        fs::create_dir(bundle.root().join("etc/deep")).unwrap();
        fs::write(bundle.root().join("etc/deep/file"), "text").unwrap();
        bundle.set("/linux/readonlyPaths", json!(["/etc", "/proc/sys", "/not/there"]));

        let files = &bundle.see_files(
            &["/etc/hostname", "/etc/deep/file", "/proc/sys/kernel/domainname", "/root"],
        )["files"];

        assert_eq!(files["/etc/hostname"]["write"], "EROFS");
        assert_eq!(files["/etc/deep/file"]["write"], "EROFS");
        assert_eq!(files["/etc/deep/file"]["read"]["text"], "text");
        assert_eq!(files["/proc/sys/kernel/domainname"]["write"], "EROFS");
    }

    /// "rootfsPropagation (string, OPTIONAL) sets the rootfs's mount propagation. Its value is
    /// either "shared", "slave", "private" or "unbindable"."
    fn the_root_propagates_as_it_is_told(runtime) {
        for (word, tag) in [("private", None), ("shared", Some("shared:")), ("unbindable", Some("unbindable"))] {
            let mut bundle = bundle(runtime);
            bundle.set("/linux/rootfsPropagation", json!(word));

            let mount = root_mount(&bundle.see());

            let tags = mount["propagation"].as_array().unwrap();
            let shown = tags.first().map(|tag| tag.as_str().unwrap());
            match tag {
                None => assert_eq!(shown, None, "{word}"),
                Some(tag) => assert!(shown.is_some_and(|it| it.starts_with(tag)), "{word}: {tags:?}"),
            }
        }
    }

    /// "Note: a peer group is defined as a group of VFS mounts": a slave of a private mount gets
    /// nothing, and is shown as private.
    fn a_slave_root_does_not_reach_the_host(runtime) {
        let mut bundle = bundle(runtime);
        bundle.set("/linux/rootfsPropagation", json!("rslave"));

        let mount = root_mount(&bundle.see());

        let tags = mount["propagation"].as_array().unwrap();
        assert!(!tags.iter().any(|tag| tag.as_str().unwrap().starts_with("shared:")), "{tags:?}");
    }

    /// config.md, section Extensibility: "Runtimes MUST generate an error when invalid or
    /// unsupported values are encountered."
    fn an_unknown_propagation_is_refused(runtime) {
        let mut bundle = bundle(runtime);
        bundle.set("/linux/rootfsPropagation", json!("sideways"));

        drop(bundle.refused());
    }
}
