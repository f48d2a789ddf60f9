//! `image copy` and its companions, and the same under the name `skopeo`: every pair of places, what
//! skopeo makes of the copies, and what failures leave.

use crate::fixture::layout;
use dhow_base::Digest;
use dhow_testkit::{
    Access, Dhow, Outcome, Registry, Transport,
    image::{Compression, Dialect, Image, Layout},
    needs_root, needs_tool, outcome,
    registry::{PASSWORD, USER},
    rootfs,
};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
    process::Command,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// The real skopeo.
fn skopeo(arguments: &[&str]) -> Outcome {
    let mut command = Command::new("skopeo");
    command.arg("--insecure-policy").args(arguments);
    outcome::run(&mut command, b"", outcome::LIMIT).unwrap()
}

/// The dhow that is called skopeo.
fn ours(dhow: &Dhow, arguments: &[&str]) -> Outcome {
    dhow.run_as("skopeo", arguments)
}

fn registry() -> Registry {
    Registry::start(Access::Open, Transport::Plain).unwrap()
}

/// What the real skopeo reads at a place: the manifest's bytes.
fn raw(place: &str) -> Vec<u8> {
    skopeo(&["inspect", "--tls-verify=false", "--raw", place]).ok().bytes
}

/// The digest of the configuration, which is the image's id, read by the real skopeo.
fn id(place: &str) -> Digest {
    let bytes = skopeo(&["inspect", "--tls-verify=false", "--raw", "--config", place]).ok().bytes;
    Digest::of(&bytes)
}

/// Lets the real skopeo read all of it, which verifies every digest.
fn read_whole(dhow: &Dhow, place: &str) {
    let to = dhow.directory().join("read");
    drop(fs::remove_dir_all(&to));
    let to = format!("dir:{}", to.display());
    drop(skopeo(&["copy", "-q", "--src-tls-verify=false", place, &to]).ok());
}

#[test]
fn an_image_goes_from_every_place_to_every_place() {
    needs_root!();
    needs_tool!("docker-registry", "skopeo", "busybox");
    let (dhow, registry) = (Dhow::new(), registry());
    let layout = layout(&dhow);
    let origin = layout.reference("box");
    let (digest, image) = (Digest::of(&raw(&origin)), id(&origin));
    let here = dhow.directory().display().to_string();
    let place = |kind: &str, name: &str| match kind {
        "docker" => format!("docker://{}", registry.reference(&format!("{name}:1"))),
        "oci" => format!("oci:{here}/{name}:box"),
        "oci-archive" => format!("oci-archive:{here}/{name}.oci.tar:box"),
        "docker-archive" => format!("docker-archive:{here}/{name}.tar:localhost/box:1"),
        "dir" => format!("dir:{here}/{name}.dir"),
        _ => format!("dhow:localhost/{name}:1"),
    };
    let kinds = ["docker", "oci", "oci-archive", "docker-archive", "dir", "dhow"];
    for kind in kinds {
        drop(dhow.run(&["image", "copy", "-q", &origin, &place(kind, "seed")]).ok());
    }

    for from in kinds {
        for to in kinds {
            let source = place(from, "seed");
            let target = place(to, &format!("{from}-{to}"));

            let copied = dhow.run(&["image", "copy", &source, &target]).ok();

            let pair = format!("{source} to {target}");
            if from != "docker-archive" && to != "docker-archive" {
                assert_eq!(copied.line(), digest.as_str(), "{pair}");
            }
            if to == "dhow" {
                let name = target.strip_prefix("dhow:").unwrap();
                let told = dhow.run(&["inspect", "--format", "{{.Id}}", name]).ok();
                assert_eq!(told.line(), image.as_str(), "{pair}");
            } else {
                assert_eq!(id(&target), image, "{pair}");
                read_whole(&dhow, &target);
            }
            if to != "dhow" && to != "docker-archive" {
                assert_eq!(copied.line(), Digest::of(&raw(&target)).as_str(), "{pair}");
            }
        }
    }
    drop(dhow.run(&["doctor"]).ok());
}

#[test]
fn skopeo_and_dhow_say_the_same_of_an_image() {
    needs_root!();
    needs_tool!("docker-registry", "skopeo", "busybox");
    let (dhow, registry) = (Dhow::new(), registry());
    let layout = layout(&dhow);
    registry.push(&layout.reference("box"), "me/box:1").unwrap();
    registry.push(&layout.reference("box"), "me/box:2").unwrap();
    let archive = format!("docker-archive:{}/x.tar", dhow.directory().display());
    drop(skopeo(&["copy", "-q", &layout.reference("box"), &format!("{archive}:a/b:1")]).ok());
    let remote = format!("docker://{}", registry.reference("me/box:1"));
    let repository = format!("docker://{}", registry.reference("me/box"));

    for place in [&remote, &layout.reference("box"), &archive] {
        let json = |outcome: Outcome| serde_json::from_slice::<Value>(&outcome.ok().bytes).unwrap();
        let theirs = json(skopeo(&["inspect", "--tls-verify=false", place]));
        let own = json(ours(&dhow, &["inspect", "--tls-verify=false", place]));
        for (field, value) in theirs.as_object().unwrap() {
            // What has no manifest gets one, and everybody makes another.
            if place != &archive || field != "Digest" {
                assert_eq!(&own[field], value, "{field} of {place}");
            }
        }
        for flags in [&["--config"][..], &["--raw", "--config"], &["--format", "{{.Os}}/{{.Env}}"]]
        {
            let command = [&["inspect", "--tls-verify=false"], flags, &[place.as_str()]].concat();
            assert_eq!(ours(&dhow, &command).ok().stdout, skopeo(&command).ok().stdout, "{place}");
        }
    }
    for command in [
        &["inspect", "--tls-verify=false", "--raw", &remote][..],
        &["list-tags", "--tls-verify=false", &repository],
        &["list-tags", &archive],
        &["manifest-digest", layout.path().join("index.json").to_str().unwrap()],
    ] {
        assert_eq!(ours(&dhow, command).ok().stdout, skopeo(command).ok().stdout, "{command:?}");
    }
    let same = dhow.run(&["image", "inspect", "--no-tags", &remote]).ok();
    let untagged = serde_json::from_slice::<Value>(&same.bytes).unwrap();
    assert_eq!(untagged["RepoTags"], serde_json::json!([]));
}

#[test]
fn skopeos_syntax_and_exit_codes_are_ours() {
    needs_root!();
    needs_tool!("docker-registry", "skopeo", "busybox");
    let (dhow, registry) = (Dhow::new(), registry());
    let layout = layout(&dhow);
    let name = |tag: &str| format!("docker://{}", registry.reference(&format!("box:{tag}")));
    let digest_file = dhow.directory().join("digest");

    assert!(ours(&dhow, &["--version"]).ok().stdout.starts_with("skopeo version "));
    let elsewhere = ["--override-arch=mips", "inspect"];
    let indexed = layout.tag_index(&[Image::new([]).platform("linux", "arm64", None)], "index");
    drop(indexed.unwrap());
    let index = layout.reference("index");
    drop(ours(&dhow, &[&elsewhere[..], &[&index]].concat()).exits(1).says("arm64"));
    let copied = ours(
        &dhow,
        &[
            "--insecure-policy",
            "--override-arch=amd64",
            "copy",
            "--dest-tls-verify=false",
            "--digestfile",
            digest_file.to_str().unwrap(),
            &layout.reference("box"),
            &name("1"),
        ],
    )
    .ok();
    let again = ours(&dhow, &["copy", &layout.reference("box"), &name("1")]).ok();

    let config = id(&name("1"));
    for line in ["Getting image source signatures", "Copying blob sha256:", "Writing manifest"] {
        assert!(copied.stdout.contains(line), "{line} in {copied}");
    }
    assert!(copied.stdout.contains(&format!("Copying config {config}")), "{copied}");
    assert!(again.stdout.contains("skipped: already exists"), "{again}");
    // What is not done is refused by its name; who was not logged in is no image that is missing.
    let daemon = ["inspect", "--daemon-host", "here", &layout.reference("box")];
    drop(ours(&dhow, &daemon).exits(1).says("--daemon-host"));
    drop(ours(&dhow, &["standalone-sign"]).exits(1).says("standalone-sign: signatures"));
    let file = dhow.directory().join("auth.json");
    fs::write(&file, "{}").unwrap();
    let logout = ["logout", "--authfile", file.to_str().unwrap(), registry.address()];
    drop(ours(&dhow, &logout).exits(1).says("nobody is logged in"));
    let written = fs::read_to_string(&digest_file).unwrap();
    assert_eq!(written, Digest::of(&raw(&name("1"))).as_str());

    drop(ours(&dhow, &["delete", "--tls-verify=false", &name("1")]).ok());
    let gone = ours(&dhow, &["inspect", &name("1")]).exits(2).says("level=fatal msg=");
    assert!(gone.stdout.is_empty());
    let cases: [(&[&str], i32, &str); 5] = [
        (&["copy", "a", "b"], 1, "expected colon-separated transport:reference"),
        (&["copy", "dir:/nowhere", "dir:x"], 1, "/nowhere"),
        (&["inspect", "--bogus"], 1, "--bogus"),
        (&["copy", "sif:x", "dir:y"], 1, "unknown transport"),
        (&["sync", "--src", "dir", "--dest", "dir", "a", "b"], 1, "rsync"),
    ];
    for (command, code, text) in cases {
        drop(ours(&dhow, command).exits(code).says(text).says("level=fatal"));
    }
}

#[test]
fn docker_manifests_are_made_as_skopeo_makes_them() {
    needs_root!();
    needs_tool!("skopeo", "busybox");
    let dhow = Dhow::new();
    let layout = layout(&dhow);
    let origin = layout.reference("box");
    let path = |name: &str| dhow.directory().join(name);
    let place = |name: &str| format!("dir:{}", path(name).display());
    let manifest = |name: &str| fs::read(path(name).join("manifest.json")).unwrap();

    drop(skopeo(&["copy", "-q", "-f", "v2s2", &origin, &place("theirs")]).ok());
    drop(ours(&dhow, &["copy", "-q", "-f", "v2s2", &origin, &place("ours")]).ok());
    drop(ours(&dhow, &["copy", "-q", "-f", "oci", &place("ours"), &place("back")]).ok());

    assert_eq!(manifest("ours"), manifest("theirs"));
    let (back, origin) = (manifest("back"), raw(&origin));
    let fields = |bytes: &[u8]| {
        let value: Value = serde_json::from_slice(bytes).unwrap();
        [&value["config"], &value["layers"][0]]
            .map(|blob| ["mediaType", "digest", "size"].map(|field| blob[field].clone()))
    };
    assert_eq!(fields(&back), fields(&origin), "there and back");
    drop(skopeo(&["inspect", &place("back")]).ok());
    drop(
        ours(&dhow, &["copy", "--preserve-digests", &place("ours"), "oci:new:box"])
            .exits(1)
            .says("another digest"),
    );
    assert!(!path("new").exists());
}

#[test]
fn a_list_of_images_is_copied_whole_or_for_one_platform() {
    needs_root!();
    needs_tool!("docker-registry", "skopeo", "busybox");
    let (dhow, registry) = (Dhow::new(), registry());
    let layout = layout(&dhow);
    let layer = layout.layer_of_tar(&[0; 1024], Compression::Gzip).unwrap();
    let image = Image::new([layer]);
    let other = image.clone().platform("linux", "s390x", None);
    let digest = layout.tag_index(&[image, other], "both").unwrap();
    let remote = |name: &str| format!("docker://{}", registry.reference(name));
    let directory = format!("dir:{}/both", dhow.directory().display());

    let all = dhow.run(&["image", "copy", "--all", &layout.reference("both"), &remote("x:all")]);
    drop(dhow.run(&["image", "copy", "--multi-arch=all", &remote("x:all"), &directory]).ok());
    drop(dhow.run(&["image", "copy", &directory, &remote("x:one")]).ok());
    let platform = ["image", "copy", "--platform", "linux/s390x"];
    drop(dhow.run(&[&platform[..], &[&remote("x:all"), &remote("x:z")]].concat()).ok());
    let archive = format!("docker-archive:{}/a.tar:a:1", dhow.directory().display());
    let refused = dhow.run(&["image", "copy", "--all", &directory, &archive]);

    assert_eq!(all.ok().line(), digest.as_str());
    assert_eq!(Digest::of(&raw(&remote("x:all"))), digest);
    assert_eq!(Digest::of(&raw(&directory)), digest);
    let architecture = |name: &str| {
        skopeo(&["inspect", "--tls-verify=false", "--config", &remote(name)]).ok().stdout
    };
    assert!(architecture("x:z").contains("s390x"));
    assert!(!architecture("x:one").contains("s390x"));
    drop(refused.exits(1).says("one image for one platform"));
    assert!(!dhow.directory().join("a.tar").exists());

    let converted = format!("dir:{}/docker", dhow.directory().display());
    drop(dhow.run(&["image", "copy", "--all", "-f", "v2s2", &directory, &converted]).ok());
    let list: Value = serde_json::from_slice(&raw(&converted)).unwrap();
    assert_eq!(list["mediaType"], "application/vnd.docker.distribution.manifest.list.v2+json");
    read_whole(&dhow, &converted);
}

#[test]
fn layers_are_compressed_as_asked() {
    needs_root!();
    needs_tool!("skopeo", "busybox");
    let dhow = Dhow::new();
    let layout = layout(&dhow);
    let origin = layout.reference("box");
    for (format, media_type) in [
        ("zstd", "application/vnd.oci.image.layer.v1.tar+zstd"),
        ("zstd:chunked", "application/vnd.oci.image.layer.v1.tar+zstd"),
        ("gzip", "application/vnd.oci.image.layer.v1.tar+gzip"),
    ] {
        let place = format!("oci:{}/{}:box", dhow.directory().display(), format.replace(':', "-"));

        let command = ["image", "copy", "--dest-compress-format", format, &origin, &place];
        drop(dhow.run(&command).ok());

        let manifest: Value = serde_json::from_slice(&raw(&place)).unwrap();
        assert_eq!(manifest["layers"][0]["mediaType"], media_type, "{format}");
        assert_eq!(id(&place), id(&origin), "{format}");
        read_whole(&dhow, &place);
        let name = format!("dhow:localhost/{}:1", format.replace(':', "-"));
        drop(dhow.run(&["image", "copy", "-q", &place, &name]).ok());
    }
    // Only OCI's documents can name such layers, so docker's become OCI's.
    let dockers = Layout::new(&dhow.directory().join("dockers")).unwrap();
    let root = rootfs::busybox().unwrap();
    let layer = dockers.layer_of(root.path(), Compression::Gzip).unwrap();
    let image = Image::new([layer]).dialect(Dialect::Docker);
    dockers.tag_image(&image, "box").unwrap();
    let from = dockers.reference("box");
    for form in [&[][..], &["--format", "oci"]] {
        let place = format!("oci:{}/of-docker-{}:box", dhow.directory().display(), form.len());
        let command =
            [&["image", "copy", "--dest-compress-format", "zstd"], form, &[&from, &place]];
        drop(dhow.run(&command.concat()).ok());
        let manifest: Value = serde_json::from_slice(&raw(&place)).unwrap();
        assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
        let media_type = "application/vnd.oci.image.layer.v1.tar+zstd";
        assert_eq!(manifest["layers"][0]["mediaType"], media_type);
        assert_eq!(id(&place), Digest::of(&image.configuration()));
        read_whole(&dhow, &place);
    }
    let refused = ["image", "copy", "--dest-compress-format", "zstd", "--format", "v2s2", &from];
    let nowhere = format!("dir:{}/nowhere", dhow.directory().display());
    drop(dhow.run(&[&refused[..], &[&nowhere]].concat()).exits(1).says("know no layers"));
    let plain = format!("dir:{}/plain", dhow.directory().display());
    drop(dhow.run(&["image", "copy", "--dest-decompress", &origin, &plain]).ok());
    let manifest: Value = serde_json::from_slice(&raw(&plain)).unwrap();
    let config: Value =
        serde_json::from_slice(&skopeo(&["inspect", "--config", &plain]).ok().bytes).unwrap();
    assert_eq!(manifest["layers"][0]["digest"], config["rootfs"]["diff_ids"][0]);
}

/// The table of contents of zstd:chunked cannot say where holes are (skopeo 1.22 refuses GNU's form of
/// them and writes a layer that is not the image's for POSIX's). Such a layer goes without one.
#[test]
fn a_layer_with_holes_is_compressed_without_a_table_of_contents() {
    needs_root!();
    needs_tool!("tar");
    let dhow = Dhow::new();
    let layout = layout(&dhow);
    let root = dhow.directory().join("holes");
    fs::create_dir(&root).unwrap();
    let holes = dhow_base::file::create_new(&root.join("holes"), 0o644).unwrap();
    // More regions than a header of GNU's has room for.
    for place in 0..8 {
        holes.write_all_at(b"data", place << 23).unwrap();
    }
    let full = layout.layer_of_tar(&noise(), Compression::Gzip).unwrap();
    for form in ["gnu", "posix"] {
        let mut tar = Command::new("tar");
        tar.args(["-S", &format!("--format={form}"), "-cC"]).arg(&root).arg(".");
        let archive = outcome::run_ok(&mut tar, outcome::LIMIT).unwrap().bytes;
        assert!(archive.len() < 1 << 20, "tar saw no holes");
        let layer = layout.layer_of_tar(&archive, Compression::Gzip).unwrap();
        layout.tag_image(&Image::new([full.clone(), layer]), form).unwrap();
        let copy = format!("oci:{}/copy-{form}:x", dhow.directory().display());

        let chunked = ["image", "copy", "--dest-compress-format", "zstd:chunked"];
        let from = layout.reference(form);
        let words = [&chunked[..], &[&from, &copy]].concat();
        let told = dhow.run(&words).ok().says("without the table of contents");

        assert_eq!(told.stderr.matches("without the table").count(), 1, "{told}");
        let manifest = dhow.run(&["image", "inspect", "--raw", &copy]).ok().stdout;
        let manifest: Value = serde_json::from_str(&manifest).unwrap();
        let annotations = |layer: usize| manifest["layers"][layer]["annotations"].to_string();
        assert!(annotations(0).contains("zstd-chunked"), "{manifest}");
        assert!(!annotations(1).contains("zstd-chunked"), "{manifest}");
        let pulled = dhow.run(&["pull", "-q", &copy]).ok();
        let mounted = dhow.run(&["image", "mount", pulled.line()]).ok();
        let status = fs::metadata(Path::new(mounted.line()).join("holes")).unwrap();
        assert_eq!((status.len(), status.blocks() < 2048), ((7 << 23) + 4, true), "{form}");
        drop(dhow.run(&["image", "unmount", "-a"]).ok());
    }
}

#[test]
fn a_copy_that_fails_leaves_nothing() {
    needs_root!();
    needs_tool!("docker-registry", "skopeo", "busybox");
    let (dhow, registry) = (Dhow::new(), registry());
    let layout = layout(&dhow);
    let layer = layout.layer_of_tar(&noise(), Compression::Plain).unwrap();
    layout.tag_image(&Image::new([layer.clone()]), "bad").unwrap();
    let path = layout.blob(&layer.digest);
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    let here = dhow.directory().join("out");
    fs::create_dir(&here).unwrap();
    let below = |transport: &str, name: &str| format!("{transport}:{}/{name}", here.display());
    let targets = [
        below("oci", "layout:box"),
        below("oci-archive", "oci.tar:box"),
        below("docker-archive", "docker.tar:box:1"),
        below("dir", "dir"),
        format!("docker://{}", registry.reference("bad:1")),
        "dhow:localhost/bad:1".to_owned(),
    ];

    for target in &targets {
        drop(dhow.run(&["image", "copy", "-q", &layout.reference("bad"), target]).exits(1));
    }

    let left: Vec<_> = fs::read_dir(&here).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    drop(skopeo(&["inspect", "--tls-verify=false", &targets[4]]).exits(1));
    drop(dhow.run(&["inspect", "bad"]).exits(1));
    drop(dhow.run(&["doctor"]).ok());
    drop(dhow.run(&["image", "copy", "-q", &layout.reference("box"), &targets[0]]).ok());
    drop(dhow.run(&["image", "copy", "-q", &layout.reference("bad"), &targets[0]]).exits(1));
    assert_eq!(raw(&targets[0]), raw(&layout.reference("box")), "the layout has lost its image");
}

/// A tar stream of one file that does not end where a block does.
fn noise() -> Vec<u8> {
    let mut tarball = dhow_testkit::tarball::Tarball::new(Vec::new());
    tarball.file("noise", &[7; 100_001]).unwrap();
    tarball.finish().unwrap()
}

/// The tar file of one file of that many bytes.
fn large(bytes: usize) -> Vec<u8> {
    let mut tarball = dhow_testkit::tarball::Tarball::new(Vec::new());
    tarball.file("large", &vec![7; bytes]).unwrap();
    tarball.finish().unwrap()
}

#[test]
fn a_copy_that_is_killed_leaves_nothing_that_can_be_found() {
    needs_root!();
    needs_tool!("skopeo", "busybox");
    let dhow = Dhow::new();
    let layout = layout(&dhow);
    let layer = layout.layer_of_tar(&large(24 << 20), Compression::Plain).unwrap();
    layout.tag_image(&Image::new([layer]), "large").unwrap();
    let here = dhow.directory().join("out");
    fs::create_dir(&here).unwrap();
    let origin = layout.reference("large");
    // What is to be copied to, and the file that says that something is there.
    let targets = [
        ("oci", "layout:box", "layout/index.json"),
        ("oci-archive", "oci.tar:box", "oci.tar"),
        ("docker-archive", "docker.tar:box:1", "docker.tar"),
        ("dir", "dir", "dir/manifest.json"),
    ];
    let mut killed = 0;
    for round in 0..10 {
        for (transport, name, witness) in targets {
            let target = format!("{transport}:{}/{name}", here.display());
            let mut child =
                dhow.command(&["image", "copy", "-q", &origin, &target]).spawn().unwrap();
            thread::sleep(Duration::from_millis(3 * round));
            child.kill().unwrap();
            let ended = child.wait().unwrap();

            if ended.success() {
                assert!(here.join(witness).exists(), "{target}");
                read_whole(&dhow, &target);
            } else if here.join(witness).exists() {
                // It was killed after its last step; then all of it is there.
                read_whole(&dhow, &target);
            } else {
                killed += 1;
            }
            drop(fs::remove_file(here.join(witness)));
        }
    }
    assert!(killed > 0, "every copy was over before it was killed");
    for (transport, name, _) in targets {
        let target = format!("{transport}:{}/{name}", here.display());
        drop(dhow.run(&["image", "copy", "-q", &origin, &target]).ok());
        read_whole(&dhow, &target);
    }
}

#[test]
fn a_layer_that_was_here_in_another_form_comes_from_where_the_image_is() {
    needs_root!();
    needs_tool!("docker-registry", "skopeo", "busybox");
    let (dhow, registry) = (Dhow::new(), registry());
    let layout = layout(&dhow);
    let origin = layout.reference("box");
    let zstd = format!("oci:{}/zstd:box", dhow.directory().display());
    let format = ["image", "copy", "-q", "--dest-compress-format", "zstd"];
    drop(dhow.run(&[&format[..], &[&origin, &zstd]].concat()).ok());
    registry.push(&origin, "box:1").unwrap();
    drop(dhow.run(&["pull", "-q", &zstd]).ok());
    let name = registry.reference("box:1");
    drop(dhow.run(&["pull", "-q", &name]).ok());
    let target = format!("oci:{}/out:box", dhow.directory().display());

    drop(dhow.run(&["image", "copy", "-q", &format!("dhow:{name}"), &target]).ok());
    drop(dhow.run(&["save", "-o", "saved.tar", &name]).ok());

    assert_eq!(raw(&target), raw(&origin));
    read_whole(&dhow, &target);
}

#[test]
fn skopeo_logs_in_and_out() {
    needs_root!();
    needs_tool!("docker-registry", "skopeo", "busybox", "htpasswd");
    let dhow = Dhow::new();
    let registry = Registry::start(Access::Basic, Transport::Plain).unwrap();
    let origin = layout(&dhow).reference("box");
    let target = format!("docker://{}", registry.reference("box:1"));
    let file = dhow.directory().join("auth.json");
    let authfile = format!("--authfile={}", file.display());
    let (user, password) = (dhow_testkit::registry::USER, dhow_testkit::registry::PASSWORD);

    drop(ours(&dhow, &["copy", &authfile, &origin, &target]).exits(1));
    let login = ["login", &authfile, "-u", user, "-p", password, registry.address()];
    let succeeded = ours(&dhow, &login).ok();
    drop(ours(&dhow, &["copy", &authfile, &origin, &target]).ok());
    drop(ours(&dhow, &["logout", &authfile, registry.address()]).ok());
    drop(ours(&dhow, &["inspect", &authfile, &target]).exits(1));
    let creds = format!("--creds={user}:{password}");
    drop(ours(&dhow, &["inspect", &creds, &target]).ok());

    assert_eq!(succeeded.stdout, "Login Succeeded!\n");
}

#[test]
fn a_copy_within_a_registry_sends_no_blob_and_a_second_one_nothing() {
    needs_root!();
    needs_tool!("docker-registry", "skopeo", "busybox");
    let (dhow, registry) = (Dhow::new(), registry());
    registry.push(&layout(&dhow).reference("box"), "one:1").unwrap();
    let place = |name: &str| format!("docker://{}", registry.reference(name));
    let count = |requests: &[String], begins: &str, holds: &str| {
        requests.iter().filter(|one| one.starts_with(begins) && one.contains(holds)).count()
    };

    drop(dhow.run(&["image", "copy", "-q", &place("one:1"), &place("two:1")]).ok());
    let first = registry.requests();
    drop(dhow.run(&["image", "copy", "-q", &place("one:1"), &place("two:1")]).ok());
    let second = registry.requests().split_off(first.len());

    assert_eq!(count(&first, "GET ", "/v2/one/blobs/"), 0, "{first:#?}");
    assert_eq!(count(&second, "HEAD ", "/v2/two/blobs/"), 2, "{second:#?}");
    assert_eq!(count(&second, "PUT ", "/v2/two/manifests/1"), 1, "{second:#?}");
    assert_eq!(count(&second, "P", "blobs"), 0, "{second:#?}");
}

#[test]
fn repositories_are_kept_in_step() {
    needs_root!();
    needs_tool!("docker-registry", "skopeo", "busybox");
    let (dhow, registry) = (Dhow::new(), registry());
    let layout = layout(&dhow);
    for tag in ["1", "2", "v3.1"] {
        registry.push(&layout.reference("box"), &format!("src/box:{tag}")).unwrap();
    }
    let source = registry.reference("src/box");
    let there = dhow.directory().join("there");
    let there_text = there.to_str().unwrap();
    let to_directory = ["sync", "--src", "docker", "--dest", "dir"];
    let synced = |more: &[&str]| {
        ours(&dhow, &[&to_directory[..], more, &[&source, there_text]].concat()).ok()
    };

    let digests = dhow.directory().join("digests");
    let digest_file = format!("--digestfile={}", digests.display());
    let dry =
        synced(&["--dry-run", &digest_file]).says("Would have synced 3 images from 1 sources");
    let line = format!("from=\"docker://{source}:1\" to=\"dir:{there_text}/box:1\"");
    let told = dry.stderr.lines().any(|one| {
        one.contains("level=info msg=\"Would have copied image\"") && one.contains(&line)
    });
    assert!(told, "{}", dry.stderr);
    assert!(fs::read_dir(&there).map_or(0, Iterator::count) == 0);
    assert!(!digests.exists(), "a dry run leaves nothing");
    drop(synced(&[&digest_file]).says("Synced 3 images from 1 sources"));
    let copied = fs::read_to_string(&digests).unwrap();
    fs::remove_file(&digests).unwrap();
    let before = registry.requests().len();
    drop(synced(&[&digest_file]).says("Synced 0 images from 1 sources"));
    let requests = registry.requests().split_off(before);
    drop(synced(&["--scoped"]).says("Synced 3 images"));

    let digest = Digest::of(&raw(&layout.reference("box")));
    let lines = ["1", "2", "v3.1"].map(|tag| format!("{digest} dir:{there_text}/box:{tag}\n"));
    assert_eq!(copied, lines.concat());
    assert_eq!(fs::read_to_string(&digests).unwrap(), copied, "what was there already is told too");
    for tag in ["1", "2", "v3.1"] {
        assert_eq!(Digest::of(&raw(&format!("dir:{there_text}/box:{tag}"))), digest);
        assert!(there.join(format!("{source}:{tag}/manifest.json")).exists(), "{tag}");
    }
    let heads = requests.iter().filter(|one| one.starts_with("HEAD ")).count();
    let others: Vec<&String> = requests
        .iter()
        .filter(|one| !one.starts_with("HEAD ") && !one.contains("tags/list"))
        .collect();
    assert_eq!(heads, 3, "{requests:#?}");
    assert!(others.iter().all(|one| one.starts_with("GET /v2/ ")), "{requests:#?}");

    let push = ["image", "sync", "--src", "dir", "--dest", "docker", "--append-suffix=-x"];
    let one = there.join("box:1");
    let target = registry.reference("dst");
    drop(dhow.run(&[&push[..], &[one.to_str().unwrap(), &target]].concat()).ok());
    let list = dhow.directory().join("list.yaml");
    let entry = format!(
        "{}:\n  images:\n    src/box: [\"1\"]\n    src/none: [a]\n  images-by-semver:\n    src/box: \">= 3\"\n",
        registry.address()
    );
    fs::write(&list, entry).unwrap();
    let yaml = ["image", "sync", "--src", "yaml", "--dest", "docker", "--keep-going"];
    let kept = dhow.run(&[&yaml[..], &[&digest_file, list.to_str().unwrap(), &target]].concat());

    drop(kept.exits(1).says("src/none").says("Synced 2 images"));
    let pushed = ["1", "v3.1"].map(|tag| format!("{digest} docker://{target}/box:{tag}\n"));
    assert_eq!(fs::read_to_string(&digests).unwrap(), pushed.concat());
    for tag in ["1-x", "1", "v3.1"] {
        let place = format!("docker://{target}/box:{tag}");
        assert_eq!(Digest::of(&raw(&place)), digest, "{tag}");
    }
}

#[test]
fn umoci_reads_what_was_copied_and_the_reverse() {
    needs_root!();
    needs_tool!("umoci", "skopeo", "busybox");
    let dhow = Dhow::new();
    let origin = layout(&dhow).reference("box");
    let path = dhow.directory().join("umoci");
    let place = format!("oci:{}:box", path.display());
    drop(dhow.run(&["image", "copy", "-q", &origin, &place]).ok());
    let umoci = |arguments: &[&str]| {
        outcome::run(Command::new("umoci").args(arguments), b"", outcome::LIMIT).unwrap()
    };
    let image = format!("{}:box", path.display());

    let listed = umoci(&["ls", "--layout", path.to_str().unwrap()]).ok();
    drop(umoci(&["config", "--image", &image, "--config.label", "by=umoci"]).ok());
    drop(umoci(&["gc", "--layout", path.to_str().unwrap()]).ok());
    drop(dhow.run(&["image", "copy", "-q", &place, "dhow:localhost/umoci:1"]).ok());

    assert_eq!(listed.line(), "box");
    let label = dhow.run(&["inspect", "--format", "{{.Config.Labels.by}}", "umoci:1"]).ok();
    assert_eq!(label.line(), "umoci");
    drop(ours(&dhow, &["delete", &place]).ok());
    let left = fs::read_dir(path.join("blobs/sha256")).unwrap().count();
    assert_eq!(left, 0, "blobs without an image");
}

#[test]
fn signatures_are_kept_or_left_on_purpose() {
    needs_root!();
    needs_tool!("skopeo", "busybox");
    let dhow = Dhow::new();
    let origin = layout(&dhow).reference("box");
    let place = |name: &str| format!("dir:{}", dhow.directory().join(name).display());
    drop(dhow.run(&["image", "copy", "-q", &origin, &place("signed")]).ok());
    fs::write(dhow.directory().join("signed/signature-1"), b"a signature").unwrap();

    drop(dhow.run(&["image", "copy", "-q", &place("signed"), &place("kept")]).ok());
    let refused = dhow.run(&["image", "copy", "-q", &place("signed"), "oci:o:box"]);
    drop(
        dhow.run(&["image", "copy", "-q", "--remove-signatures", &place("signed"), "oci:o:box"])
            .ok(),
    );

    assert!(dhow.directory().join("kept/signature-1").exists());
    drop(refused.exits(1).says("keeps no signatures").says("--remove-signatures"));
}

#[test]
fn a_strangers_directory_is_not_overwritten() {
    needs_root!();
    needs_tool!("busybox");
    let dhow = Dhow::new();
    let origin = layout(&dhow).reference("box");
    let theirs = dhow.directory().join("theirs");
    fs::create_dir(&theirs).unwrap();
    fs::write(theirs.join("file"), b"x").unwrap();
    let full = dhow.directory().join("full.tar");
    fs::write(&full, b"x").unwrap();

    for target in [
        format!("dir:{}", theirs.display()),
        format!("oci:{}:box", theirs.display()),
        format!("docker-archive:{}:a:1", full.display()),
    ] {
        drop(dhow.run(&["image", "copy", "-q", &origin, &target]).exits(1));
    }

    assert_eq!(names(&theirs), ["file"]);
    assert_eq!(fs::read(&full).unwrap(), b"x");
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap();
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn images_in_dockers_form_are_translated_for_layouts() {
    needs_root!();
    needs_tool!("skopeo", "busybox");
    let dhow = Dhow::new();
    let layout = Layout::new(&dhow.directory().join("docker")).unwrap();
    let layer = layout.layer_of_tar(&noise(), Compression::Gzip).unwrap();
    let image = Image::new([layer]).dialect(Dialect::Docker);
    layout
        .tag_image(&image.set("Healthcheck", serde_json::json!({"Test": ["CMD", "x"]})), "d")
        .unwrap();
    let source = layout.copy_to_dir("d", &dhow.directory().join("d")).unwrap();
    let place = format!("oci:{}/oci:box", dhow.directory().display());

    drop(dhow.run(&["image", "copy", "-q", &source, &place]).ok());

    let manifest: Value = serde_json::from_slice(&raw(&place)).unwrap();
    assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(id(&place), id(&source), "the image has another id");
    let config = dhow.run(&["image", "inspect", "--raw", "--config", &place]).ok().stdout;
    assert!(config.contains("Healthcheck"), "lost on the way: {config}");
    read_whole(&dhow, &place);
}

#[test]
fn a_flag_that_somebody_would_rely_on_is_refused_and_not_swallowed() {
    let dhow = Dhow::new();
    for flag in ["--registries.d=/etc/x", "--require-signed"] {
        let refused = ours(&dhow, &[flag, "inspect", "dir:/nowhere"]).exits(1);

        assert!(refused.stderr.contains("signatures are not checked yet"), "{}", refused.stderr);
    }
    let copies = [
        ("--sign-by=key", "nothing is signed yet"),
        ("--sign-by-sq-fingerprint=1234", "nothing is signed yet"),
        ("--sign-by-sigstore=x.yaml", "nothing is signed yet"),
        ("--sign-by-sigstore-private-key=x.key", "nothing is signed yet"),
        ("--sign-identity=a.example/a", "nothing is signed yet"),
        ("--sign-passphrase-file=x", "nothing is signed yet"),
        ("--encryption-key=jwe:x.pem", "neither encrypted nor decrypted"),
        ("--encrypt-layer=-1", "neither encrypted nor decrypted"),
        ("--decryption-key=x.pem", "neither encrypted nor decrypted"),
        ("--src-daemon-host=tcp://x", "no place of images here"),
        ("--dest-daemon-host=tcp://x", "no place of images here"),
        ("--image-parallel-copies=3", "this number is not kept"),
        ("--retry-delay=3s", "this one is not kept"),
    ];
    for (flag, why) in copies {
        let refused = ours(&dhow, &["copy", flag, "dir:/nowhere", "dir:/elsewhere"]).exits(1);

        assert!(refused.stderr.contains(why), "{flag}: {}", refused.stderr);
    }
    let kept = [
        ("--command-timeout=30s", "this one is not kept"),
        ("--user-agent-prefix=me", "it is not sent"),
        ("--tls-details=x", "are built in"),
    ];
    for (flag, why) in kept {
        drop(ours(&dhow, &[flag, "inspect", "dir:/nowhere"]).exits(1).says(why));
    }
}

#[test]
fn skopeos_own_settings_are_before_the_command() {
    needs_root!();
    needs_tool!("docker-registry", "skopeo", "busybox");
    let dhow = Dhow::new();
    let registry = Registry::start(Access::Basic, Transport::Tls).unwrap();
    registry.push(&layout(&dhow).reference("box"), "box:1").unwrap();
    let conf = dhow.directory().join("registries.conf");
    let rule = format!(
        "[[registry]]\nprefix = \"other.example\"\nlocation = \"{}\"\n",
        registry.address()
    );
    fs::write(&conf, rule).unwrap();
    let creds = format!("{USER}:{PASSWORD}");
    let to = format!("dir:{}", dhow.directory().join("copy").display());

    let copied = ours(
        &dhow,
        &[
            "--tls-verify=false",
            "--registries-conf",
            conf.to_str().unwrap(),
            "copy",
            "-q",
            "--screds",
            &creds,
            "docker://other.example/box:1",
            &to,
        ],
    );

    drop(copied.ok());
    read_whole(&dhow, &to);
}

/// A registry of many tags that answers no question about one of them before 32 have been asked.
fn patient_registry(tags: usize) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, waiting) =
        (Arc::new(AtomicUsize::new(0)), Arc::new((Mutex::new(0), Condvar::new())));
    let count = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let (count, waiting) = (Arc::clone(&count), Arc::clone(&waiting));
            thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut line = String::new();
                drop(reader.read_line(&mut line));
                let mut rest = String::new();
                while reader.read_line(&mut rest).is_ok_and(|count| count > 2) {}
                let mut body = String::new();
                let mut more = String::new();
                if line.contains("/tags/list") {
                    let tags: Vec<String> = (0..tags).map(|tag| format!("\"t{tag}\"")).collect();
                    body = format!("{{\"name\":\"src/box\",\"tags\":[{}]}}", tags.join(","));
                } else if line.starts_with("HEAD ") && line.contains("/manifests/") {
                    count.fetch_add(1, Ordering::SeqCst);
                    let (number, changed) = &*waiting;
                    let mut number = number.lock().unwrap();
                    *number += 1;
                    changed.notify_all();
                    let limit = Duration::from_secs(60);
                    drop(changed.wait_timeout_while(number, limit, |number| *number < 32).unwrap());
                    more = format!(
                        "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n\
                         Docker-Content-Digest: {}\r\n",
                        Digest::of(b"a manifest")
                    );
                }
                let length = body.len();
                drop(write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n{more}\r\n{body}"
                ));
            });
        }
    });
    (address.to_string(), asked)
}

#[test]
fn what_is_in_step_costs_a_question_a_tag_and_side_and_many_are_asked_at_once() {
    needs_root!();
    let dhow = Dhow::new();
    let (address, asked) = patient_registry(40);
    let sync = ["image", "sync", "--src", "docker", "--dest", "docker"];
    let begun = Instant::now();

    let synced = dhow
        .run(&[&sync[..], &[&format!("{address}/src/box"), &format!("{address}/dst")]].concat());

    drop(synced.ok().says("Synced 0 images, 40 were there already"));
    assert_eq!(asked.load(Ordering::SeqCst), 80);
    assert!(begun.elapsed() < Duration::from_secs(50), "the questions were not asked at once");
}
