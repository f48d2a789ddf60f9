//! The side that changes things against Debian's `docker-registry`: open, with a password and with
//! tokens.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use bytes::Bytes;
use dhow_base::{Digest, Kind};
use dhow_distribution::{Arrival, Client, Config, Credentials, Patience, Reference, Repository};
use dhow_spec::image::{Descriptor, media_type};
use dhow_testkit::{
    Access, Registry, Transport, needs_tool,
    registry::{PASSWORD, USER},
};
use std::{io::Read, sync::Arc, time::Duration};

fn config(registry: &Registry) -> Config {
    Config {
        registries_conf: "/nonexistent".into(),
        registries_conf_dirs: Vec::new(),
        certs_dirs: Vec::new(),
        auth_files: Vec::new(),
        ca_bundles: vec![registry.authority()],
        credentials: Some(Credentials::parse(&format!("{USER}:{PASSWORD}")).unwrap()),
        patience: Patience { first_pause: Duration::from_millis(5), ..Patience::default() },
        ..Config::default()
    }
}

fn reference(registry: &Registry, name: &str) -> Reference {
    Reference::parse(&registry.reference(name)).unwrap()
}

fn open(registry: &Registry, name: &str) -> Repository {
    let client = Client::new(&config(registry)).unwrap();
    client.destination(&reference(registry, name)).unwrap()
}

fn content(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((at * 31 + seed) % 251).unwrap()).collect()
}

fn send(repository: &Repository, bytes: &[u8]) -> Descriptor {
    let blob = Descriptor::of("application/octet-stream", bytes);
    repository.upload(&blob, Arc::new(Bytes::copy_from_slice(bytes))).unwrap();
    blob
}

fn manifest(config: &Descriptor, layers: &[&Descriptor], subject: Option<&Descriptor>) -> Vec<u8> {
    let mut text = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "artifactType": "application/x-test",
        "config": config,
        "layers": layers,
    });
    if let Some(subject) = subject {
        text["subject"] = serde_json::to_value(subject).unwrap();
    }
    serde_json::to_vec(&text).unwrap()
}

fn requests(registry: &Registry, method: &str) -> usize {
    registry.requests().iter().filter(|request| request.starts_with(method)).count()
}

fn what_is_sent_comes_back(access: Access, transport: Transport) {
    let registry = Registry::start(access, transport).unwrap();
    let repository = open(&registry, "team/tool:1");
    let (small, large) = (content(70_000, 1), content(5_000_001, 2));

    let missing = repository.has_blob(&Digest::of(&small)).unwrap();
    let (config, layer) = (send(&repository, &small), send(&repository, &large));
    let bytes = manifest(&config, &[&layer], None);
    let digest = repository.put_manifest("1", media_type::OCI_MANIFEST, &bytes).unwrap();

    assert_eq!(missing, None);
    assert_eq!(repository.has_blob(&layer.digest).unwrap(), Some(5_000_001));
    let client = Client::new(&self::config(&registry)).unwrap();
    let resolved = client.resolve(&reference(&registry, "team/tool:1")).unwrap();
    assert_eq!((&resolved.descriptor.digest, &resolved.bytes), (&digest, &bytes));
    let mut read = Vec::new();
    resolved.repository.blob(&layer, 0).unwrap().read_to_end(&mut read).unwrap();
    assert!(read == large);
    assert_eq!(repository.tags().unwrap(), ["1"]);
    // A small blob is one request less than a large one.
    let refused = if access == Access::Open { 0 } else { 1 };
    assert!(requests(&registry, "POST") <= 2 + refused, "{:#?}", registry.requests());
    assert_eq!(requests(&registry, "PATCH"), 1, "{:#?}", registry.requests());
    assert_eq!(requests(&registry, "PUT"), 3, "{:#?}", registry.requests());
    if access == Access::Token {
        // To look, to push, and of the other client to pull.
        assert_eq!(registry.tokens_asked(), 3, "{:#?}", registry.requests());
    }
}

#[test]
fn an_open_registry_takes_an_image() {
    needs_tool!("docker-registry");
    what_is_sent_comes_back(Access::Open, Transport::Plain);
}

#[test]
fn a_registry_with_a_password_takes_an_image_by_https() {
    needs_tool!("docker-registry", "htpasswd");
    what_is_sent_comes_back(Access::Basic, Transport::Tls);
}

#[test]
fn a_registry_with_tokens_takes_an_image() {
    needs_tool!("docker-registry");
    what_is_sent_comes_back(Access::Token, Transport::Plain);
}

#[test]
fn a_blob_of_another_repository_is_mounted_and_not_sent() {
    needs_tool!("docker-registry");
    for access in [Access::Open, Access::Token] {
        let registry = Registry::start(access, Transport::Plain).unwrap();
        let bytes = content(2_000_000, 3);
        let blob = send(&open(&registry, "one"), &bytes);
        let sent = requests(&registry, "PATCH");
        let two = open(&registry, "two");

        let there = two.mount_blob(&blob, &reference(&registry, "one")).unwrap();
        let other = Descriptor::of("x", b"not there");
        let elsewhere = two.mount_blob(&other, &reference(&registry, "one")).unwrap();
        let three = open(&registry, "three");
        let one = reference(&registry, "one");
        let copy = Arc::new(Bytes::from(bytes));
        let mounted = three.bring(&blob, copy, Some(&one)).unwrap();
        let other_copy = Arc::new(Bytes::from_static(b"not there"));
        let arrived = three.bring(&other, other_copy, Some(&one)).unwrap();

        assert!(there && !elsewhere);
        assert_eq!((mounted, arrived), (Arrival::Mounted, Arrival::Sent));
        assert_eq!(two.has_blob(&blob.digest).unwrap(), Some(2_000_000));
        assert_eq!(two.has_blob(&other.digest).unwrap(), None);
        assert_eq!(three.has_blob(&other.digest).unwrap(), Some(9));
        assert_eq!(requests(&registry, "PATCH"), sent, "{access:?}");
        let strange = Reference::parse("quay.io/one").unwrap();
        assert!(!two.mount_blob(&blob, &strange).unwrap(), "another registry has nothing to mount");
    }
}

#[test]
fn a_manifest_is_removed_and_a_bad_one_refused() {
    needs_tool!("docker-registry");
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let repository = open(&registry, "a");
    let (config, layer) = (send(&repository, b"{}"), send(&repository, b"layer"));
    let bytes = manifest(&config, &[&layer], None);
    let digest = repository.put_manifest("1", media_type::OCI_MANIFEST, &bytes).unwrap();
    let other = Digest::of(b"other");

    let wrong = repository.put_manifest(other.as_str(), media_type::OCI_MANIFEST, &bytes);
    let absent = Descriptor::of("x", b"absent");
    let incomplete = manifest(&config, &[&absent], None);
    let refused = repository.put_manifest("2", media_type::OCI_MANIFEST, &incomplete);
    repository.delete_manifest(&digest).unwrap();
    let again = repository.delete_manifest(&digest).unwrap_err();

    assert_eq!(wrong.unwrap_err().kind(), Kind::Corrupt);
    let text = refused.unwrap_err().one_line();
    assert!(text.contains("MANIFEST_BLOB_UNKNOWN") || text.contains("BLOB_UNKNOWN"), "{text}");
    assert_eq!(again.kind(), Kind::NotFound);
    assert_eq!(repository.manifest(&digest).unwrap_err().kind(), Kind::NotFound);
}

#[test]
fn what_refers_to_a_manifest_is_found_where_the_registry_keeps_no_book_of_it() {
    needs_tool!("docker-registry");
    let registry = Registry::start(Access::Open, Transport::Plain).unwrap();
    let repository = open(&registry, "a");
    let (config, layer) = (send(&repository, b"{}"), send(&repository, b"layer"));
    let bytes = manifest(&config, &[&layer], None);
    let digest = repository.put_manifest("1", media_type::OCI_MANIFEST, &bytes).unwrap();
    let subject = Descriptor::new(media_type::OCI_MANIFEST, digest.clone(), bytes.len() as u64);

    let mut referrers = Vec::new();
    for name in ["one", "two", "two"] {
        let layer = send(&repository, name.as_bytes());
        let bytes = manifest(&config, &[&layer], Some(&subject));
        let own = Digest::of(&bytes);
        repository.put_manifest(own.as_str(), media_type::OCI_MANIFEST, &bytes).unwrap();
        referrers.push(own);
    }

    let index = repository.referrers(&digest, Some("application/x-test")).unwrap();
    let found: Vec<&Digest> = index.manifests.iter().map(|entry| &entry.digest).collect();
    assert_eq!(found, [&referrers[0], &referrers[1]]);
    assert!(repository.referrers(&digest, Some("other/type")).unwrap().manifests.is_empty());
    assert!(repository.referrers(&referrers[0], None).unwrap().manifests.is_empty());
}
