//! Images that come from an address, are pushed in another form, are kept with all platforms, and
//! what refers to them.

use crate::fixture::{layout, with_box};
use dhow_base::Digest;
use dhow_testkit::{
    Access, Dhow, Registry, Transport,
    image::{Compression, Image, Layout},
    needs_root, needs_tool, outcome, rootfs,
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    process::Command,
    thread,
};

/// A server that gives the same answers, byte for byte, to whoever asks for a path.
fn serve(answers: HashMap<&'static str, Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // It ends with the test.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut line = String::new();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            drop(reader.read_line(&mut line));
            let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
            while reader.read_line(&mut line).is_ok_and(|count| count > 2) {}
            let missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec();
            // Who has heard enough hangs up.
            drop(stream.write_all(answers.get(path.as_str()).unwrap_or(&missing)));
        }
    });
    format!("http://{address}")
}

fn whole(body: &[u8], length: usize) -> Vec<u8> {
    let mut answer =
        format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n")
            .into_bytes();
    answer.extend_from_slice(body);
    answer
}

/// An answer whose length nobody says: it ends when the connection does.
fn open_ended(body: &[u8]) -> Vec<u8> {
    [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", body].concat()
}

fn moved(to: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    .into_bytes()
}

#[test]
fn an_image_is_made_of_what_is_at_an_address_or_not_at_all() {
    needs_root!();
    needs_tool!("busybox", "tar");
    let dhow = Dhow::new();
    let root = rootfs::busybox().unwrap();
    let file = dhow.directory().join("root.tar.gz");
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(root.path()).arg("-czf").arg(&file).arg(".");
    drop(outcome::run_ok(&mut tar, outcome::LIMIT).unwrap());
    let body = fs::read(&file).unwrap();
    let address = serve(HashMap::from([
        ("/root.tar.gz?token=hunter2", whole(&body, body.len())),
        ("/open", open_ended(&body)),
        ("/short", whole(&body[..body.len() / 2], body.len())),
        ("/nonsense", whole(b"nonsense", 8)),
        ("/moved", moved("/root.tar.gz?token=hunter2")),
        ("/inwards", moved("http://169.254.169.254/latest/meta-data")),
        ("/file", moved("file:///etc/passwd")),
        ("/round", moved("/round")),
    ]));

    let id = dhow.run(&["import", &format!("{address}/root.tar.gz?token=hunter2"), "box"]).ok();
    let again = dhow.run(&["import", &format!("{address}/moved"), "moved"]).ok();

    assert!(id.line().starts_with("sha256:") && again.line().starts_with("sha256:"));
    assert_eq!(dhow.run(&["run", "--rm", "-q", "moved", "echo", "hi"]).ok().stdout, "hi\n");
    let history = dhow.run(&["history", "--no-trunc", "box"]).ok().stdout;
    assert!(history.contains("/root.tar.gz") && !history.contains("hunter2"), "{history}");
    for (path, why) in [
        ("short", "broke off"),
        ("nonsense", ""),
        ("inwards", "169.254.169.254"),
        ("file", ""),
        ("round", "redirects"),
        ("nowhere", ""),
    ] {
        let refused = dhow.run(&["import", &format!("{address}/{path}"), "half"]).exits(1);
        assert!(refused.stderr.contains(why), "{path}: {}", refused.stderr);
    }
    let within = |bytes: usize| {
        let limit = format!("download={bytes}");
        dhow.run(&["--limit", &limit, "import", &format!("{address}/open"), "half"])
    };
    drop(within(body.len() - 1).exits(1).says("exceeds the limit"));
    drop(within(body.len()).ok());
    drop(dhow.run(&["rmi", "half"]).ok());
    let secret = dhow.run(&["import", "http://me:hunter2@127.0.0.1:1/x", "half"]).exits(1);
    assert!(!secret.stderr.contains("hunter2"), "{}", secret.stderr);
    assert_eq!(dhow.run(&["images", "-q", "half"]).stdout, "");
    assert_eq!(dhow.run(&["system", "check"]).ok().stdout, "all is well\n");
}

#[test]
fn an_address_may_be_one_of_https_and_is_read_to_a_limit() {
    needs_root!();
    needs_tool!("busybox", "docker-registry", "skopeo");
    let dhow = Dhow::new();
    let layout = layout(&dhow);
    let registry = Registry::start(Access::Open, Transport::Tls).unwrap();
    registry.push(&layout.reference("box"), "box:1").unwrap();
    let manifest: Value = serde_json::from_slice(&manifest_of(&layout.reference("box"))).unwrap();
    let layer = &manifest["layers"][0];
    let (digest, size) = (layer["digest"].as_str().unwrap(), layer["size"].as_u64().unwrap());
    // A layer is a file like others, and a registry a server like others.
    let address = format!("https://{}/v2/box/blobs/{digest}", registry.address());
    let own = dhow.directory().join("certs");
    fs::create_dir(&own).unwrap();
    fs::copy(registry.authority(), own.join("ca.crt")).unwrap();
    let own = own.to_str().unwrap();
    let limit = |bytes: u64| format!("download={bytes}");

    drop(dhow.run(&["import", &address, "no"]).exits(1).says("certificate"));
    let cut = ["--limit", &limit(size - 1), "import", "--cert-dir", own, &address, "no"];
    drop(dhow.run(&cut).exits(1).says(&format!("limit of {} bytes", size - 1)));
    let whole = ["--limit", &limit(size), "import", "--cert-dir", own, &address, "one"];
    let one = dhow.run(&whole).ok();
    let mut by_variable = dhow.command(&["import", &address, "two"]);
    by_variable.env("SSL_CERT_FILE", registry.authority());
    let two = dhow.finish(&mut by_variable, b"").ok();
    let unchecked = dhow.run(&["import", "--tls-verify=false", &address, "three"]).ok();

    assert!([one, two, unchecked].iter().all(|outcome| outcome.line().starts_with("sha256:")));
    assert_eq!(dhow.run(&["images", "-q", "no"]).stdout, "");
    assert_eq!(dhow.run(&["system", "check"]).ok().stdout, "all is well\n");
}

fn manifest_of(place: &str) -> Vec<u8> {
    let mut inspect = Command::new("skopeo");
    inspect.args(["inspect", "--raw", place]);
    outcome::run_ok(&mut inspect, outcome::LIMIT).unwrap().stdout.into_bytes()
}

#[test]
fn a_push_may_change_the_form() {
    needs_root!();
    needs_tool!("busybox", "docker-registry", "skopeo");
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let dhow = with_box();
    let manifest = |name: &str| -> Value {
        let place = format!("docker://{}", registry.reference(name));
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["inspect", "--tls-verify=false", "--raw", &place]);
        serde_json::from_slice(&outcome::run_ok(&mut skopeo, outcome::LIMIT).unwrap().bytes)
            .unwrap()
    };
    let push = |name: &str, flags: &[&str]| {
        let to = registry.reference(name);
        dhow.run(&[&["push", "-q", "--tls-verify=false", "box", &to], flags].concat())
    };

    drop(push("docker:1", &["--format", "v2s2"]).ok());
    drop(push("zstd:1", &["--compression-format", "zstd", "--compression-level", "1"]).ok());
    drop(push("chunked:1", &["--compression-format", "zstd:chunked"]).ok());
    drop(push("kept:1", &["--compression-format", "zstd", "--force-compression=false"]).ok());

    assert_eq!(
        manifest("docker:1")["mediaType"],
        "application/vnd.docker.distribution.manifest.v2+json"
    );
    let layer = |name: &str| manifest(name)["layers"][0].clone();
    assert_eq!(layer("zstd:1")["mediaType"], "application/vnd.oci.image.layer.v1.tar+zstd");
    assert!(layer("chunked:1")["annotations"].to_string().contains("zstd-chunked"));
    assert_eq!(layer("kept:1")["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
    for flags in [
        &["--format", "v2s1"][..],
        &["--format", "tar"],
        &["--compression-format", "rar"],
        &["--format", "v2s2", "--compression-format", "zstd"],
    ] {
        drop(push("wrong:1", flags).exits(1));
    }
    let name = registry.reference("zstd:1");
    let other = Dhow::new();
    drop(other.run(&["run", "--rm", "-q", "--tls-verify=false", &name, "true"]));
    drop(other.run(&["pull", "-q", "--tls-verify=false", &name]).ok());
}

/// A layout with the index `all` of two platforms and a build's record.
fn with_index(dhow: &Dhow) -> Layout {
    let layout = layout(dhow);
    let tree = dhow.directory().join("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("file"), "x").unwrap();
    let layer = layout.layer_of(&tree, Compression::Gzip).unwrap();
    let image = |architecture| Image::new([layer.clone()]).platform("linux", architecture, None);
    layout.tag_index(&[image("amd64"), image("arm64")], "all").unwrap();
    layout
}

#[test]
fn an_index_is_kept_with_all_its_images() {
    needs_root!();
    needs_tool!("busybox");
    let dhow = Dhow::new();
    let layout = with_index(&dhow);
    let from = layout.reference("all");
    let digest = dhow.run(&["image", "inspect", "--raw", &from]).ok().bytes;
    let digest = Digest::of(&digest);

    let copied = dhow.run(&["image", "copy", "--all", &from, "dhow:all"]).ok();
    drop(fs::remove_dir_all(layout.path()));
    let copies = format!("oci:{}:all", dhow.directory().join("copies").display());
    drop(dhow.run(&["image", "copy", "--all", "dhow:all", &copies]).ok());

    assert_eq!(copied.line(), digest.as_str());
    let back = dhow.run(&["image", "inspect", "--raw", &copies]).ok().bytes;
    assert_eq!(Digest::of(&back), digest);
    let ids = dhow.run(&["images", "-q", "--no-trunc", "-a"]).ok().stdout;
    let id = ids.lines().next().expect("its images are here");
    assert_eq!(ids.lines().count(), 2, "{ids}");
    drop(dhow.run(&["rmi", "-f", id]).exits(1).says("list localhost/all:latest names it"));
    drop(dhow.run(&["image", "copy", "--multi-arch", "index-only", &copies, "dhow:x"]).exits(1));
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
    drop(dhow.run(&["manifest", "rm", "all"]).ok());
    drop(dhow.run(&["rmi", "-f", id]).ok());
}

#[test]
fn an_index_that_cannot_be_kept_whole_is_not_kept() {
    needs_root!();
    needs_tool!("busybox");
    let dhow = Dhow::new();
    let layout = with_index(&dhow);
    let tree = dhow.directory().join("other");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("file"), "y").unwrap();
    let lost = layout.layer_of(&tree, Compression::Gzip).unwrap();
    let kept = dhow.directory().join("tree");
    let kept = layout.layer_of(&kept, Compression::Gzip).unwrap();
    let images = [
        Image::new([kept]).platform("linux", "amd64", None),
        Image::new([lost.clone()]).platform("linux", "arm64", None),
    ];
    layout.tag_index(&images, "broken").unwrap();
    fs::remove_file(layout.blob(&lost.digest)).unwrap();

    drop(
        dhow.run(&["image", "copy", "--all", &layout.reference("broken"), "dhow:broken"]).exits(1),
    );

    assert_eq!(dhow.run(&["images", "-aq"]).ok().stdout, "");
    drop(dhow.run(&["manifest", "exists", "broken"]).exits(1));
    assert_eq!(dhow.run(&["doctor"]).ok().stdout, "all is well\n");
}

#[test]
fn what_refers_to_an_image_is_listed_wherever_it_is() {
    needs_root!();
    needs_tool!("busybox", "docker-registry");
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let dhow = Dhow::new();
    let layout = layout(&dhow);
    let subject = layout.manifest("box").unwrap();
    let bytes = dhow.run(&["image", "inspect", "--raw", &layout.reference("box")]).ok().bytes;
    assert!(subject.is_object());
    let note = layout.add_blob(b"it is good").unwrap();
    let empty = layout.add_blob(b"{}").unwrap();
    let signature = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.example.signature",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": empty.as_str(), "size": 2},
        "layers": [{"mediaType": "text/plain", "digest": note.as_str(), "size": 10}],
        "subject": {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": Digest::of(&bytes).as_str(), "size": bytes.len(),
        },
        "annotations": {"by": "me"},
    });
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let signature = layout.add_document(&signature, kind).unwrap();
    layout.tag(signature.clone(), "signature").unwrap();
    let other = json!({"mediaType": "text/plain", "digest": note.as_str(), "size": 10});
    layout.tag(other, "note").unwrap();
    let there = |name: &str| format!("docker://{}", registry.reference(name));
    for name in ["box", "signature"] {
        let to = there(&format!("team/box:{name}"));
        let from = layout.reference(name);
        drop(dhow.run(&["image", "copy", "-q", "--dest-tls-verify=false", &from, &to]).ok());
    }
    let referrers = |place: &str, flags: &[&str]| {
        let words = [&["image", "referrers", "--tls-verify=false", place], flags].concat();
        dhow.run(&words).ok().stdout
    };
    let digest = format!("{}\n", signature["digest"].as_str().unwrap());

    for place in [layout.reference("box"), there("team/box:box")] {
        assert_eq!(referrers(&place, &["-q"]), digest, "{place}");
        let typed = |kind: &str| referrers(&place, &["-q", "--artifact-type", kind]);
        assert_eq!(typed("application/vnd.example.signature"), digest, "{place}");
        assert_eq!(typed("application/vnd.example.other"), "", "{place}");
        let json: Value = serde_json::from_str(&referrers(&place, &["--format", "json"])).unwrap();
        assert_eq!(json["ArtifactType"], "application/vnd.example.signature");
        assert_eq!(json["Annotations"], "by=me");
        assert!(referrers(&place, &[]).starts_with("DIGEST"), "{place}");
    }
    drop(dhow.run(&["pull", "-q", &layout.reference("box")]).ok());
    assert_eq!(referrers("box", &["-q"]), "");
    let pulled = there("team/box:signature");
    let pulled = pulled.trim_start_matches("docker://");
    drop(dhow.run(&["artifact", "pull", "-q", "--tls-verify=false", pulled]).ok());
    assert_eq!(referrers("box", &["-q"]), digest);
    let archive = dhow.directory().join("box.tar");
    drop(dhow.run(&["save", "-o", archive.to_str().unwrap(), "box"]).ok());
    let archive = format!("docker-archive:{}", archive.display());
    drop(dhow.run(&["image", "referrers", &archive]).exits(1).says("keeps none"));
}
