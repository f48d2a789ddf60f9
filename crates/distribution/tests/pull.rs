//! The client against Debian's `docker-registry` over HTTP and HTTPS, open and with passwords, and
//! against what skopeo pushes.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use dhow_base::{Digest, Kind, Result};
use dhow_distribution::{Client, Config, Credentials, Patience, Reference, Resolved, TlsVerify};
use dhow_spec::image::{Descriptor, media_type};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd,
};
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Says why a test does nothing.
#[expect(clippy::print_stderr, reason = "a skipped test says so aloud")]
fn lacks(program: &str) -> bool {
    let found = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !found {
        eprintln!("skipped: needs {program}");
    }
    !found
}

/// A real registry on a free loopback port.
struct Registry {
    process: Child,
    port: u16,
}

impl Registry {
    /// `http` and `more` are lines of its configuration: below `http:`, and at the top.
    fn start(storage: &Path, http: &str, more: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n\
             http:\n  addr: 127.0.0.1:{port}\n{http}\n{more}\n",
            storage.join("data").display()
        );
        let config = storage.join(format!("{port}.yml"));
        std::fs::write(&config, text).unwrap();
        let log = storage.join(format!("{port}.log"));
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        // Owned before anything can fail, so that it is ended.
        let registry = Self { process, port };
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "the registry does not start");
            thread::sleep(Duration::from_millis(10));
        }
        registry
    }

    fn reference(&self, rest: &str) -> Reference {
        Reference::parse(&format!("127.0.0.1:{}/{rest}", self.port)).unwrap()
    }

    /// One request over plain HTTP; gives the status and the `Location`.
    fn request(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\
             Content-Length: {length}\r\n{headers}\r\n",
            self.port
        )
        .unwrap();
        stream.write_all(body).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let location = answer.lines().find_map(|line| line.strip_prefix("Location: "));
        let path = location.unwrap_or_default().splitn(4, '/').nth(3).unwrap_or_default();
        (status, format!("/{path}"))
    }

    fn push_blob(&self, repository: &str, bytes: &[u8]) -> Descriptor {
        let path = format!("/v2/{repository}/blobs/uploads/");
        let (status, location) = self.request("POST", &path, "", b"");
        assert_eq!(status, 202);
        let descriptor = Descriptor::of(media_type::OCI_LAYER, bytes);
        let path = format!("{location}&digest={}", descriptor.digest);
        assert_eq!(self.request("PUT", &path, "", bytes).0, 201);
        descriptor
    }

    /// Pushes an image of one layer; gives its manifest and its layer.
    fn push_image(&self, repository: &str, tag: &str, layer: &[u8]) -> (Vec<u8>, Descriptor) {
        let layer = self.push_blob(repository, layer);
        let mut config = self.push_blob(repository, b"{}");
        config.media_type = media_type::OCI_CONFIG.to_owned();
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{}]}}"#,
            media_type::OCI_MANIFEST,
            json(&config),
            json(&layer),
        );
        let headers = format!("Content-Type: {}\r\n", media_type::OCI_MANIFEST);
        let path = format!("/v2/{repository}/manifests/{tag}");
        assert_eq!(self.request("PUT", &path, &headers, manifest.as_bytes()).0, 201);
        (manifest.into_bytes(), layer)
    }
}

fn json(descriptor: &Descriptor) -> String {
    let Descriptor { media_type, digest, size, .. } = descriptor;
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn config() -> Config {
    Config {
        registries_conf: "/nonexistent".into(),
        registries_conf_dirs: Vec::new(),
        certs_dirs: Vec::new(),
        auth_files: Vec::new(),
        patience: Patience { first_pause: Duration::from_millis(5), ..Patience::default() },
        ..Config::default()
    }
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn blob(resolved: &Resolved, descriptor: &Descriptor, offset: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut reader = resolved.repository.blob(descriptor, offset).unwrap();
    assert_eq!(reader.remaining(), descriptor.size - offset);
    reader.read_to_end(&mut bytes).unwrap();
    bytes
}

fn resolve(config: &Config, reference: &Reference) -> Result<Resolved> {
    Client::new(config)?.resolve(reference)
}

#[test]
fn images_come_back_as_they_were_pushed() {
    if lacks("docker-registry") {
        return;
    }
    let storage = tempfile::tempdir().unwrap();
    let registry = Registry::start(storage.path(), "", "");
    let bytes = noise(9_000_001);
    let (manifest, layer) = registry.push_image("team/tool", "1.0", &bytes);
    let client = Client::new(&config()).unwrap();

    let by_tag = client.resolve(&registry.reference("team/tool:1.0")).unwrap();
    let name = format!("team/tool:other@{}", Digest::of(&manifest));
    let by_digest = client.resolve(&registry.reference(&name)).unwrap();

    for resolved in [&by_tag, &by_digest] {
        assert_eq!(resolved.bytes, manifest);
        assert_eq!(resolved.descriptor, Descriptor::of(media_type::OCI_MANIFEST, &manifest));
    }
    assert!(blob(&by_tag, &layer, 0) == bytes);
    assert!(blob(&by_tag, &layer, 8_999_999) == bytes[8_999_999..]);
    assert!(blob(&by_tag, &layer, layer.size).is_empty());
    let manifest_again = by_tag.repository.manifest(&by_tag.descriptor.digest).unwrap();
    assert_eq!(manifest_again.bytes, manifest);
}

#[test]
fn what_is_not_there_is_not_found() {
    if lacks("docker-registry") {
        return;
    }
    let storage = tempfile::tempdir().unwrap();
    let registry = Registry::start(storage.path(), "", "");
    registry.push_image("a", "1", b"layer");
    let client = Client::new(&config()).unwrap();

    for name in ["a:2", "b:1", &format!("a@{}", Digest::of(b"none"))] {
        let error = client.resolve(&registry.reference(name)).unwrap_err();

        assert_eq!(error.kind(), Kind::NotFound, "{name}: {}", error.one_line());
        assert!(error.one_line().contains(name), "{}", error.one_line());
    }
    let resolved = client.resolve(&registry.reference("a:1")).unwrap();
    let missing = resolved.repository.blob(&Descriptor::of("x", b"none"), 0).unwrap_err();
    assert_eq!(missing.kind(), Kind::NotFound, "{}", missing.one_line());
}

#[test]
fn many_blobs_come_at_once_and_whole() {
    if lacks("docker-registry") {
        return;
    }
    let storage = tempfile::tempdir().unwrap();
    let registry = Registry::start(storage.path(), "", "");
    let blobs: Vec<Vec<u8>> = (0..12).map(|at| noise(3_000_000 + at)).collect();
    let descriptors: Vec<Descriptor> =
        blobs.iter().map(|bytes| registry.push_blob("a", bytes)).collect();
    registry.push_image("a", "1", b"layer");
    let resolved = resolve(&config(), &registry.reference("a:1")).unwrap();

    thread::scope(|scope| {
        for (bytes, descriptor) in blobs.iter().zip(&descriptors) {
            scope.spawn(|| assert!(blob(&resolved, descriptor, 0) == *bytes));
        }
    });
}

#[test]
fn a_transfer_outlives_the_client_that_began_it() {
    if lacks("docker-registry") {
        return;
    }
    let storage = tempfile::tempdir().unwrap();
    let registry = Registry::start(storage.path(), "", "");
    let bytes = noise(5_000_000);
    let (_, layer) = registry.push_image("a", "1", &bytes);
    let resolved = resolve(&config(), &registry.reference("a:1")).unwrap();
    let mut reader = resolved.repository.blob(&layer, 0).unwrap();
    drop(resolved);
    let mut fetched = Vec::new();

    reader.read_to_end(&mut fetched).unwrap();

    assert!(fetched == bytes);
}

#[test]
fn passwords_open_registries_that_want_them() {
    if lacks("docker-registry") || lacks("htpasswd") {
        return;
    }
    let storage = tempfile::tempdir().unwrap();
    let open = Registry::start(storage.path(), "", "");
    open.push_image("a", "1", b"layer");
    let made = Command::new("htpasswd").args(["-Bbn", "me", "hunter2"]).output().unwrap();
    let passwords = storage.path().join("htpasswd");
    std::fs::write(&passwords, made.stdout).unwrap();
    let auth = format!("auth:\n  htpasswd: {{realm: x, path: {}}}", passwords.display());
    let registry = Registry::start(storage.path(), "", &auth);
    let reference = registry.reference("a:1");
    let auth_file = storage.path().join("auth.json");
    // `me:hunter2`, for this repository alone.
    let text = format!(
        r#"{{"auths":{{"127.0.0.1:{0}/a":{{"auth":"bWU6aHVudGVyMg=="}},"127.0.0.1:{0}":{{"auth":"eDp5"}}}}}}"#,
        registry.port
    );
    std::fs::write(&auth_file, text).unwrap();
    let given = |text: &str| Some(Credentials::parse(text).unwrap());

    let nobody = resolve(&config(), &reference).unwrap_err();
    let wrong = resolve(&Config { credentials: given("me:hunter3"), ..config() }, &reference);
    let right = resolve(&Config { credentials: given("me:hunter2"), ..config() }, &reference);
    let by_file = Config { auth_files: vec![auth_file], ..config() };

    assert_eq!(nobody.kind(), Kind::Denied);
    assert!(nobody.innermost_hint().unwrap().contains("log in to 127.0.0.1"), "{nobody:?}");
    let wrong = wrong.unwrap_err();
    assert_eq!(wrong.kind(), Kind::Denied);
    assert!(!wrong.one_line().contains("hunter"), "{}", wrong.one_line());
    right.unwrap();
    resolve(&by_file, &reference).unwrap();
    let elsewhere = resolve(&by_file, &registry.reference("b:1")).unwrap_err();
    assert_eq!(elsewhere.kind(), Kind::Denied);
}

// ---- TLS ----

/// A certificate authority and what it signs.
struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        Self { certificate, issuer: Issuer::new(parameters, key) }
    }

    fn sign(&self, parameters: &CertificateParams) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let signed = parameters.signed_by(&key, &self.issuer).unwrap();
        (signed.pem(), key.serialize_pem())
    }
}

fn named(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.to_owned()]).unwrap()
}

/// A registry that speaks TLS with the given certificate and key.
fn secure(storage: &TempDir, pair: &(String, String), more: &str) -> Registry {
    let place = |name: &str, text: &str| -> PathBuf {
        let path = storage.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (certificate, key) = (place("server.crt", &pair.0), place("server.key", &pair.1));
    let http = format!(
        "  tls:\n    certificate: {}\n    key: {}\n{more}",
        certificate.display(),
        key.display()
    );
    Registry::start(storage.path(), &http, "")
}

/// A certs.d that trusts `authority` for `registry`.
fn trusting(storage: &TempDir, registry: &Registry, authority: &str) -> Config {
    let certs = storage.path().join("certs.d");
    let own = certs.join(format!("127.0.0.1:{}", registry.port));
    std::fs::create_dir_all(&own).unwrap();
    std::fs::write(own.join("ca.crt"), authority).unwrap();
    Config { certs_dirs: vec![certs], ..config() }
}

fn insecure(storage: &TempDir, registry: &Registry) -> Config {
    let conf = storage.path().join("registries.conf");
    let text = format!("[[registry]]\nlocation='127.0.0.1:{}'\ninsecure=true", registry.port);
    std::fs::write(&conf, text).unwrap();
    Config { registries_conf: conf, ..config() }
}

#[test]
fn a_certificate_of_an_unknown_authority_is_refused_until_it_is_trusted() {
    if lacks("docker-registry") {
        return;
    }
    let storage = tempfile::tempdir().unwrap();
    let bytes = noise(2_000_000);
    let layer = Registry::start(storage.path(), "", "").push_image("a", "1", &bytes).1;
    let authority = Authority::new();
    let registry = secure(&storage, &authority.sign(&named("127.0.0.1")), "");
    let reference = registry.reference("a:1");

    let refused = resolve(&config(), &reference).unwrap_err();
    let pem = authority.certificate.pem();
    let trusted = resolve(&trusting(&storage, &registry, &pem), &reference).unwrap();

    assert_eq!(refused.kind(), Kind::Denied, "{}", refused.one_line());
    assert!(refused.one_line().contains("unknown authority"), "{}", refused.one_line());
    assert!(refused.innermost_hint().unwrap().contains("certs.d"), "{refused:?}");
    assert!(blob(&trusted, &layer, 0) == bytes);
    resolve(&Config { tls_verify: TlsVerify::Never, ..config() }, &reference).unwrap();
    resolve(&insecure(&storage, &registry), &reference).unwrap();
}

#[test]
fn a_self_signed_certificate_in_certs_d_is_trusted() {
    if lacks("docker-registry") {
        return;
    }
    let storage = tempfile::tempdir().unwrap();
    Registry::start(storage.path(), "", "").push_image("a", "1", b"layer");
    for is_ca in [IsCa::NoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let mut parameters = named("127.0.0.1");
        parameters.is_ca = is_ca;
        let key = KeyPair::generate().unwrap();
        let pem = parameters.self_signed(&key).unwrap().pem();
        let registry = secure(&storage, &(pem.clone(), key.serialize_pem()), "");

        let resolved = resolve(&trusting(&storage, &registry, &pem), &registry.reference("a:1"));

        assert!(resolved.is_ok(), "{:?}: {resolved:?}", parameters.is_ca);
    }
}

#[test]
fn certificates_that_are_old_or_anothers_are_refused_and_said_why() {
    if lacks("docker-registry") {
        return;
    }
    let storage = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let mut expired = named("127.0.0.1");
    expired.not_before = date_time_ymd(2020, 1, 1);
    expired.not_after = date_time_ymd(2021, 1, 1);
    for (parameters, why) in [(expired, "has expired"), (named("other.example"), "is not for")] {
        let registry = secure(&storage, &authority.sign(&parameters), "");
        let config = trusting(&storage, &registry, &authority.certificate.pem());

        let error = resolve(&config, &registry.reference("a:1")).unwrap_err();

        assert_eq!(error.kind(), Kind::Denied, "{}", error.one_line());
        assert!(error.one_line().contains(why), "{}", error.one_line());
    }
}

#[test]
fn a_client_certificate_is_shown_where_certs_d_has_one() {
    if lacks("docker-registry") {
        return;
    }
    let storage = tempfile::tempdir().unwrap();
    Registry::start(storage.path(), "", "").push_image("a", "1", b"layer");
    let authority = Authority::new();
    let clients = storage.path().join("clients.crt");
    std::fs::write(&clients, authority.certificate.pem()).unwrap();
    let more = format!("    clientcas: [{}]", clients.display());
    let registry = secure(&storage, &authority.sign(&named("127.0.0.1")), &more);
    let config = trusting(&storage, &registry, &authority.certificate.pem());
    let reference = registry.reference("a:1");

    resolve(&config, &reference).unwrap_err();
    let own = config.certs_dirs[0].join(format!("127.0.0.1:{}", registry.port));
    let (certificate, key) = authority.sign(&named("client"));
    std::fs::write(own.join("client.cert"), certificate).unwrap();
    std::fs::write(own.join("client.key"), key).unwrap();

    resolve(&config, &reference).unwrap();
}

// ---- other tools ----

/// An OCI layout of one image, as small as it can be.
fn layout(directory: &Path, layer: &[u8]) {
    let blobs = directory.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let put = |media_type: &str, bytes: &[u8]| {
        let descriptor = Descriptor::of(media_type, bytes);
        std::fs::write(blobs.join(descriptor.digest.hex()), bytes).unwrap();
        json(&descriptor)
    };
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
        Digest::of(layer)
    );
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{}]}}"#,
        media_type::OCI_MANIFEST,
        put(media_type::OCI_CONFIG, config.as_bytes()),
        put(media_type::OCI_LAYER, layer),
    );
    let index = put(media_type::OCI_MANIFEST, manifest.as_bytes());
    let index = format!(r#"{{"schemaVersion":2,"manifests":[{index}]}}"#);
    std::fs::write(directory.join("index.json"), index).unwrap();
    std::fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

#[test]
fn what_skopeo_pushes_is_read_in_both_formats() {
    if lacks("docker-registry") || lacks("skopeo") {
        return;
    }
    let storage = tempfile::tempdir().unwrap();
    let registry = Registry::start(storage.path(), "", "");
    let source = storage.path().join("layout");
    // An empty tar: two blocks of zeros.
    layout(&source, &[0; 1024]);
    for (format, expected) in
        [("oci", media_type::OCI_MANIFEST), ("v2s2", media_type::DOCKER_MANIFEST)]
    {
        let target = format!("docker://127.0.0.1:{}/a:{format}", registry.port);
        let pushed = Command::new("skopeo")
            .args(["--insecure-policy", "copy", "--dest-tls-verify=false", "--format", format])
            .arg(format!("oci:{}", source.display()))
            .arg(target)
            .output()
            .unwrap();
        assert!(pushed.status.success(), "{}", String::from_utf8_lossy(&pushed.stderr));

        let resolved = resolve(&config(), &registry.reference(&format!("a:{format}"))).unwrap();

        assert_eq!(resolved.descriptor.media_type, expected);
        assert_eq!(resolved.descriptor.digest, Digest::of(&resolved.bytes));
    }
}
