//! Lists that never end, lead elsewhere or hold what they must not.

use crate::rogue::{Rogue, config, password, reply};
use dhow_base::{Digest, Kind};
use dhow_distribution::{Client, Config};
use dhow_spec::image::media_type;
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

fn index(artifacts: &[(&str, &str)]) -> String {
    let manifests: Vec<String> = artifacts
        .iter()
        .map(|(name, kind)| {
            format!(
                r#"{{"mediaType":"{}","digest":"{}","size":7,"artifactType":"{kind}"}}"#,
                media_type::OCI_MANIFEST,
                Digest::of(name.as_bytes())
            )
        })
        .collect();
    let kind = media_type::OCI_INDEX;
    format!(r#"{{"schemaVersion":2,"mediaType":"{kind}","manifests":[{}]}}"#, manifests.join(","))
}

#[test]
fn tags_come_in_pages() {
    let rogue = Rogue::new(|request, stream| match request.path.as_str() {
        "/v2/a/b/tags/list?n=1000" => {
            let link = "Link: </v2/a/b/tags/list?n=1000&last=b>; rel=\"next\"\r\n";
            reply(stream, "200 OK", link, br#"{"name":"a/b","tags":["a","b"]}"#)
        }
        _ => reply(stream, "200 OK", "", br#"{"name":"a/b","tags":["c"]}"#),
    });
    let none = Rogue::new(|_, stream| reply(stream, "200 OK", "", br#"{"tags":null}"#));

    assert_eq!(rogue.repository().tags().unwrap(), ["a", "b", "c"]);
    assert_eq!(rogue.requests().len(), 2);
    assert!(none.repository().tags().unwrap().is_empty());
}

#[test]
fn lists_that_make_no_sense_end() {
    let page = AtomicUsize::new(0);
    let circle = Rogue::new(|_, stream| {
        reply(stream, "200 OK", "Link: </v2/x>; rel=next\r\n", br#"{"tags":["a"]}"#)
    });
    let rubbish = Rogue::new(|_, stream| reply(stream, "200 OK", "", b"<html>"));
    let steering =
        Rogue::new(|_, stream| reply(stream, "200 OK", "", br#"{"tags":["\u001b[2J","../x"]}"#));
    let long = format!("[{}]", "1,".repeat(3 << 20));
    let huge = Rogue::new(move |_, stream| reply(stream, "200 OK", "", long.as_bytes()));
    let tags: Vec<String> = (0..300_000).map(|tag| format!("\"t{tag}\"")).collect();
    let full = format!("{{\"tags\":[{}]}}", tags.join(","));
    let many = Rogue::new(move |_, stream| {
        let number = page.fetch_add(1, Ordering::SeqCst);
        let link = format!("Link: </v2/x?{number}>; rel=next\r\n");
        reply(stream, "200 OK", &link, full.as_bytes())
    });
    let cases = [
        ("circle", circle, Kind::Corrupt),
        ("rubbish", rubbish, Kind::Corrupt),
        ("steering", steering, Kind::Corrupt),
        ("huge", huge, Kind::Exhausted),
        ("many", many, Kind::Exhausted),
    ];
    for (name, rogue, kind) in cases {
        let mut config = config();
        config.patience.stall = Duration::from_secs(20);
        let client = Client::new(&config).unwrap();

        let error = client.repository(&rogue.reference()).unwrap().tags().unwrap_err();

        assert_eq!(error.kind(), kind, "{name}: {}", error.one_line());
        assert!(!error.one_line().contains('\u{1b}'), "{name}");
    }
}

#[test]
fn the_next_page_is_at_the_registry_or_nowhere() {
    let other = Rogue::new(|_, stream| reply(stream, "200 OK", "", br#"{"tags":[]}"#));
    for target in [format!("http://{}/x", other.address), "http://169.254.169.254/".into()] {
        let link = format!("Link: <{target}>; rel=\"next\"\r\n");
        let rogue = Rogue::new(move |_, stream| reply(stream, "200 OK", &link, br#"{"tags":[]}"#));
        let client = Client::new(&Config { credentials: password(), ..config() }).unwrap();

        let error = client.repository(&rogue.reference()).unwrap().tags().unwrap_err();

        assert_eq!(error.kind(), Kind::Denied, "{target}: {}", error.one_line());
    }
    assert_eq!(other.requests().len(), 0);
}

#[test]
fn referrers_are_found_by_the_interface_or_by_the_tag() {
    let subject = Digest::of(b"subject");
    let both = [("one", "application/x-a"), ("two", "application/x-b")];
    let with = Rogue::new(move |request, stream| {
        assert!(request.path.contains("/referrers/sha256:"), "{}", request.path);
        reply(stream, "200 OK", "", index(&both).as_bytes())
    });
    let tag = format!("/v2/a/b/manifests/sha256-{}", subject.hex());
    let own = tag.clone();
    let without = Rogue::new(move |request, stream| {
        if request.path == own {
            let headers = format!("Content-Type: {}\r\n", media_type::OCI_INDEX);
            return reply(stream, "200 OK", &headers, index(&both).as_bytes());
        }
        reply(stream, "404 Not Found", "", b"")
    });
    let nothing = Rogue::new(|_, stream| reply(stream, "404 Not Found", "", b""));

    for rogue in [&with, &without] {
        let all = rogue.repository().referrers(&subject, None).unwrap();
        let some = rogue.repository().referrers(&subject, Some("application/x-b")).unwrap();

        assert_eq!((all.manifests.len(), some.manifests.len()), (2, 1));
        assert_eq!(some.manifests[0].digest, Digest::of(b"two"));
    }
    assert!(nothing.repository().referrers(&subject, None).unwrap().manifests.is_empty());
    assert!(with.requests()[1].path.ends_with("?artifactType=application%2Fx-b"));
    assert_eq!(without.requests()[1].path, tag);
}
