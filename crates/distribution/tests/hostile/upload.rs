//! Sending to a registry that lies about what it has, forgets, breaks off and sends us elsewhere.

use crate::rogue::{Request, Rogue, config, content, password, reply};
use bytes::Bytes;
use dhow_base::{Digest, Kind, Result};
use dhow_distribution::{Client, Config, Reference, Repository};
use dhow_spec::image::{Descriptor, media_type};
use std::{
    io::{self, Read, Write},
    net::TcpStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Above what goes whole with the PUT.
const LARGE: usize = 3_000_000;

/// What an honest registry keeps of an upload.
#[derive(Clone, Default)]
struct Desk {
    /// What has arrived; `None` where no upload is known.
    upload: Arc<Mutex<Option<Vec<u8>>>>,
    stored: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Desk {
    /// Answers as it should be.
    fn serve(&self, request: &Request, stream: &mut TcpStream) -> io::Result<()> {
        match request.method.as_str() {
            "HEAD" => reply(stream, "404 Not Found", "", b""),
            "POST" => {
                *self.upload.lock().unwrap() = Some(Vec::new());
                reply(stream, "202 Accepted", "Location: /v2/up/1\r\nRange: 0-0\r\n", b"")
            }
            "GET" => self.say(stream, "204 No Content"),
            "PATCH" => {
                let body = request.read_body(stream)?;
                self.add(&body);
                self.say(stream, "202 Accepted")
            }
            "PUT" => {
                let body = request.read_body(stream)?;
                self.add(&body);
                self.finish(request, stream)
            }
            "DELETE" => {
                *self.upload.lock().unwrap() = None;
                reply(stream, "204 No Content", "", b"")
            }
            _ => reply(stream, "405 Method Not Allowed", "", b""),
        }
    }

    fn add(&self, bytes: &[u8]) {
        if let Some(upload) = self.upload.lock().unwrap().as_mut() {
            upload.extend_from_slice(bytes);
        }
    }

    fn say(&self, stream: &mut TcpStream, status: &str) -> io::Result<()> {
        let Some(length) = self.upload.lock().unwrap().as_ref().map(Vec::len) else {
            return reply(stream, "404 Not Found", "", b"");
        };
        let last = length.saturating_sub(1);
        reply(stream, status, &format!("Location: /v2/up/1\r\nRange: 0-{last}\r\n"), b"")
    }

    fn finish(&self, request: &Request, stream: &mut TcpStream) -> io::Result<()> {
        let Some(bytes) = self.upload.lock().unwrap().take() else {
            return reply(stream, "404 Not Found", "", b"");
        };
        let wanted = request.path.split("digest=").nth(1).unwrap_or_default();
        let actual = Digest::of(&bytes).to_string();
        if wanted.replace("%3A", ":") != actual {
            return reply(stream, "400 Bad Request", "", b"");
        }
        self.stored.lock().unwrap().push(bytes);
        reply(stream, "201 Created", &format!("Docker-Content-Digest: {actual}\r\n"), b"")
    }

    fn has(&self, bytes: &[u8]) -> bool {
        self.stored.lock().unwrap().iter().any(|stored| stored == bytes)
    }
}

fn send(repository: &Repository, bytes: &[u8]) -> Result<()> {
    let blob = Descriptor::of("application/octet-stream", bytes);
    repository.upload(&blob, Arc::new(Bytes::copy_from_slice(bytes)))
}

fn methods(rogue: &Rogue) -> Vec<String> {
    rogue.requests().into_iter().map(|request| request.method).collect()
}

#[test]
fn a_small_blob_takes_two_requests_and_a_large_one_three() {
    let desk = Desk::default();
    let own = desk.clone();
    let rogue = Rogue::new(move |request, stream| own.serve(request, stream));
    let (small, large) = (content(1000), content(LARGE));

    for bytes in [&small[..], &large, b""] {
        send(&rogue.repository(), bytes).unwrap();
    }

    assert!(desk.has(&small) && desk.has(&large) && desk.has(b""));
    assert_eq!(methods(&rogue), ["POST", "PUT", "POST", "PATCH", "PUT", "POST", "PUT"]);
    let range = rogue.requests()[3].header("content-range").map(str::to_owned);
    assert_eq!(range.as_deref(), Some("0-2999999"));
}

#[test]
fn a_cut_connection_is_gone_on_with_from_where_the_registry_is() {
    let desk = Desk::default();
    let own = desk.clone();
    let cuts = AtomicUsize::new(0);
    let rogue = Rogue::new(move |request, stream| {
        if request.method == "PATCH" && cuts.fetch_add(1, Ordering::SeqCst) < 2 {
            let mut part = vec![0; 700_000];
            stream.read_exact(&mut part)?;
            own.add(&part);
            return Ok(());
        }
        own.serve(request, stream)
    });
    let bytes = content(LARGE);

    send(&rogue.repository(), &bytes).unwrap();

    assert!(desk.has(&bytes));
    assert_eq!(methods(&rogue), ["POST", "PATCH", "GET", "PATCH", "GET", "PATCH", "PUT"]);
    let ranges: Vec<Option<String>> = rogue
        .requests()
        .iter()
        .filter(|request| request.method == "PATCH")
        .map(|request| request.header("content-range").map(str::to_owned))
        .collect();
    let expected = ["0-2999999", "700000-2999999", "1400000-2999999"];
    assert_eq!(ranges.iter().flatten().collect::<Vec<_>>(), expected);
}

#[test]
fn an_upload_that_is_forgotten_begins_anew() {
    let desk = Desk::default();
    let own = desk.clone();
    let rogue = Rogue::new(move |request, stream| {
        if request.method == "PUT" && request.earlier == 0 {
            request.read_body(stream)?;
            *own.upload.lock().unwrap() = None;
            return reply(stream, "404 Not Found", "", b"");
        }
        own.serve(request, stream)
    });
    let bytes = content(LARGE);

    send(&rogue.repository(), &bytes).unwrap();

    assert!(desk.has(&bytes));
    assert_eq!(methods(&rogue), ["POST", "PATCH", "PUT", "POST", "PATCH", "PUT"]);
}

#[test]
fn a_registry_without_pieces_gets_the_blob_whole() {
    let desk = Desk::default();
    let own = desk.clone();
    let rogue = Rogue::new(move |request, stream| match request.method.as_str() {
        "PATCH" => {
            request.read_body(stream)?;
            reply(stream, "405 Method Not Allowed", "", b"")
        }
        _ => own.serve(request, stream),
    });
    let bytes = content(LARGE);

    send(&rogue.repository(), &bytes).unwrap();

    assert!(desk.has(&bytes));
    assert_eq!(methods(&rogue), ["POST", "PATCH", "POST", "PUT"]);
}

#[test]
fn pieces_that_are_too_large_become_smaller() {
    let desk = Desk::default();
    let own = desk.clone();
    let rogue = Rogue::new(move |request, stream| {
        if request.method == "PATCH" && request.length() > 1_000_000 {
            request.read_body(stream)?;
            return reply(stream, "413 Too Large", "", b"");
        }
        own.serve(request, stream)
    });
    let bytes = content(LARGE);

    send(&rogue.repository(), &bytes).unwrap();

    assert!(desk.has(&bytes));
    let pieces = methods(&rogue).iter().filter(|method| *method == "PATCH").count();
    assert_eq!(pieces, 5, "one that was too large and four quarters: {:?}", methods(&rogue));
}

#[test]
fn pieces_do_not_become_smaller_than_the_registry_wants_them() {
    for (least, expected) in [(900_000, Some(5)), (u64::MAX, None)] {
        let desk = Desk::default();
        let own = desk.clone();
        let rogue = Rogue::new(move |request, stream| match request.method.as_str() {
            "POST" => {
                *own.upload.lock().unwrap() = Some(Vec::new());
                let least = format!("OCI-Chunk-Min-Length: {least}\r\n");
                reply(stream, "202 Accepted", &format!("Location: /v2/up/1\r\n{least}"), b"")
            }
            "PATCH" if request.length() > 1_000_000 => {
                request.read_body(stream)?;
                reply(stream, "413 Too Large", "", b"")
            }
            _ => own.serve(request, stream),
        });
        let bytes = content(LARGE);

        let sent = send(&rogue.repository(), &bytes);

        assert_eq!(sent.is_ok(), expected.is_some(), "{sent:?}");
        let mut pieces = rogue.requests();
        pieces.retain(|request| request.method == "PATCH");
        assert_eq!(pieces.len(), expected.unwrap_or(1), "one too large, and the others");
        let (_last, others) = pieces.split_last().unwrap();
        assert!(others.iter().all(|piece| piece.length() >= 900_000), "{:?}", methods(&rogue));
    }
}

#[test]
fn a_range_that_cannot_be_true_is_refused() {
    for range in ["0-9999999", "0-18446744073709551615", "rubbish", "5-10"] {
        let rogue = Rogue::new(move |request, stream| match request.method.as_str() {
            "POST" => reply(stream, "202 Accepted", "Location: /v2/up\r\n", b""),
            "PATCH" => {
                request.read_body(stream)?;
                reply(stream, "202 Accepted", &format!("Range: {range}\r\n"), b"")
            }
            _ => reply(stream, "204 No Content", "", b""),
        });

        let error = send(&rogue.repository(), &content(LARGE)).unwrap_err();

        assert_eq!(error.kind(), Kind::Corrupt, "{range}: {}", error.one_line());
        // The registry is told that nothing more comes.
        assert_eq!(methods(&rogue), ["POST", "PATCH", "DELETE"], "{range}");
    }
}

#[test]
fn a_registry_that_takes_a_byte_at_a_time_is_given_up() {
    let taken = AtomicUsize::new(0);
    let rogue = Rogue::new(move |request, stream| match request.method.as_str() {
        "POST" => reply(stream, "202 Accepted", "Location: /v2/up\r\n", b""),
        "PATCH" => {
            request.read_body(stream)?;
            let last = 10 + taken.fetch_add(1, Ordering::SeqCst);
            reply(stream, "202 Accepted", &format!("Range: 0-{last}\r\n"), b"")
        }
        "GET" => {
            let last = 9 + taken.load(Ordering::SeqCst);
            reply(stream, "204 No Content", &format!("Range: 0-{last}\r\n"), b"")
        }
        _ => reply(stream, "204 No Content", "", b""),
    });

    let error = send(&rogue.repository(), &content(LARGE)).unwrap_err();

    assert_eq!(error.kind(), Kind::Unavailable, "{}", error.one_line());
    let pieces = methods(&rogue).iter().filter(|method| *method == "PATCH").count();
    assert_eq!(pieces, 4, "{:?}", methods(&rogue));
}

#[test]
fn an_upload_without_a_place_is_an_error() {
    let rogue = Rogue::new(|_, stream| reply(stream, "202 Accepted", "", b""));

    let error = send(&rogue.repository(), b"x").unwrap_err();

    assert_eq!(error.kind(), Kind::Corrupt, "{}", error.one_line());
    assert!(error.one_line().contains("no Location"), "{}", error.one_line());
}

#[test]
fn another_host_gets_the_bytes_but_no_credentials() {
    let other = Rogue::new(|request, stream| {
        request.read_body(stream)?;
        reply(stream, "201 Created", "", b"")
    });
    let location = format!("Location: http://localhost:{}/blob?sig=1\r\n", other.address.port());
    let rogue = Rogue::new(move |request, stream| match request.header("authorization") {
        None => reply(stream, "401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"\r\n", b""),
        Some(_) => reply(stream, "202 Accepted", &location, b""),
    });
    let client = Client::new(&Config { credentials: password(), ..config() }).unwrap();
    let repository = client.destination(&rogue.reference()).unwrap();

    send(&repository, b"bytes").unwrap();

    let there = other.requests();
    assert_eq!(there.len(), 1);
    assert!(there[0].path.starts_with("/blob?sig=1&digest=sha256"), "{}", there[0].path);
    assert_eq!(there[0].header("authorization"), None);
}

#[test]
fn another_host_that_wants_a_login_does_not_get_one() {
    let other = Rogue::new(|request, stream| {
        request.read_body(stream)?;
        reply(stream, "401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"\r\n", b"")
    });
    let location = format!("Location: http://localhost:{}/blob\r\n", other.address.port());
    let rogue = Rogue::new(move |_, stream| reply(stream, "202 Accepted", &location, b""));
    let client = Client::new(&Config { credentials: password(), ..config() }).unwrap();
    let repository = client.destination(&rogue.reference()).unwrap();

    let error = send(&repository, b"bytes").unwrap_err();

    assert_eq!(error.kind(), Kind::Denied, "{}", error.one_line());
    assert!(other.requests().iter().all(|request| request.header("authorization").is_none()));
}

#[test]
fn places_where_no_registry_is_get_nothing() {
    for location in
        ["http://169.254.169.254/x", "file:///etc/x", "http://192.0.2.1/x", "http://u:p@127.0.0.1/"]
    {
        let header = format!("Location: {location}\r\n");
        let rogue = Rogue::new(move |_, stream| reply(stream, "202 Accepted", &header, b""));

        let error = send(&rogue.repository(), b"x").unwrap_err();

        assert_eq!(error.kind(), Kind::Denied, "{location}: {}", error.one_line());
        assert_eq!(methods(&rogue), ["POST"], "{location}");
    }
}

#[test]
fn a_write_is_not_redirected() {
    let other = Rogue::new(|_, stream| reply(stream, "201 Created", "", b""));
    let header = format!("Location: http://{}/x\r\n", other.address);
    let rogue = Rogue::new(move |_, stream| reply(stream, "307 Moved", &header, b""));

    let sent = send(&rogue.repository(), b"x");
    let stored = rogue.repository().put_manifest("1", media_type::OCI_MANIFEST, b"{}");

    assert!(sent.is_err() && stored.is_err());
    assert_eq!(other.requests().len(), 0);
}

#[test]
fn a_registry_that_has_stored_something_else_is_not_believed() {
    let other = Digest::of(b"other");
    let rogue = Rogue::new(move |request, stream| match request.method.as_str() {
        "POST" => reply(stream, "202 Accepted", "Location: /v2/up\r\n", b""),
        _ => {
            if !request.path.contains("/manifests/") {
                request.read_body(stream)?;
            }
            reply(stream, "201 Created", &format!("Docker-Content-Digest: {other}\r\n"), b"")
        }
    });

    let blob = send(&rogue.repository(), b"x").unwrap_err();
    let manifest =
        rogue.repository().put_manifest("1", media_type::OCI_MANIFEST, b"{}").unwrap_err();

    assert_eq!(blob.kind(), Kind::Corrupt, "{}", blob.one_line());
    assert_eq!(manifest.kind(), Kind::Corrupt, "{}", manifest.one_line());
}

#[test]
fn a_refused_digest_is_said_and_not_tried_again() {
    let rogue = Rogue::new(|request, stream| match request.method.as_str() {
        "POST" => reply(stream, "202 Accepted", "Location: /v2/up\r\n", b""),
        "PUT" => {
            request.read_body(stream)?;
            let body = br#"{"errors":[{"code":"DIGEST_INVALID","message":"no match"}]}"#;
            reply(stream, "400 Bad Request", "", body)
        }
        _ => reply(stream, "204 No Content", "", b""),
    });

    let error = send(&rogue.repository(), b"x").unwrap_err();

    assert_eq!(error.kind(), Kind::Corrupt, "{}", error.one_line());
    assert!(error.one_line().contains("DIGEST_INVALID"), "{}", error.one_line());
    assert_eq!(methods(&rogue), ["POST", "PUT", "DELETE"]);
}

#[test]
fn a_token_that_ends_in_the_middle_is_renewed() {
    let desk = Desk::default();
    let own = desk.clone();
    let given = AtomicUsize::new(0);
    let rogue = Rogue::new(move |request, stream| {
        let host = request.header("host").unwrap();
        if request.path.starts_with("/token") {
            let number = given.fetch_add(1, Ordering::SeqCst) + 1;
            let body = format!(r#"{{"token":"token-{number}","expires_in":300}}"#);
            return reply(stream, "200 OK", "", body.as_bytes());
        }
        // The first token is good for the beginning alone.
        let number = given.load(Ordering::SeqCst);
        let good = request.header("authorization") == Some(&format!("Bearer token-{number}"));
        if !good || (number == 1 && request.method == "PATCH") {
            request.read_body(stream)?;
            let challenge = format!("WWW-Authenticate: Bearer realm=\"http://{host}/token\"\r\n");
            return reply(stream, "401 Unauthorized", &challenge, b"");
        }
        own.serve(request, stream)
    });
    let bytes = content(LARGE);

    send(&rogue.repository(), &bytes).unwrap();

    assert!(desk.has(&bytes));
    let tokens: Vec<String> = rogue
        .requests()
        .into_iter()
        .map(|request| request.path)
        .filter(|path| path.starts_with("/token"))
        .collect();
    assert_eq!(tokens, ["/token?scope=repository%3Aa%2Fb%3Apull%2Cpush"; 2]);
}

#[test]
fn bad_moments_pass_and_bad_times_do_not() {
    let desk = Desk::default();
    let own = desk.clone();
    let passing = Rogue::new(move |request, stream| {
        if request.earlier == 0 && request.method != "GET" {
            if request.method != "POST" {
                request.read_body(stream)?;
            }
            return reply(stream, "503 Service Unavailable", "Retry-After: 0\r\n", b"");
        }
        own.serve(request, stream)
    });
    let lasting = Rogue::new(|_, stream| reply(stream, "500 Internal Server Error", "", b""));
    let bytes = content(LARGE);

    send(&passing.repository(), &bytes).unwrap();
    let error = send(&lasting.repository(), &bytes).unwrap_err();

    assert!(desk.has(&bytes));
    assert_eq!(error.kind(), Kind::Unavailable, "{}", error.one_line());
    assert_eq!(methods(&lasting), ["POST"; 4]);
}

#[test]
fn a_registry_that_stops_reading_does_not_hold_us_for_ever() {
    let rogue = Rogue::new(|request, stream| match request.method.as_str() {
        "POST" => reply(stream, "202 Accepted", "Location: /v2/up\r\n", b""),
        "PATCH" => {
            thread::sleep(Duration::from_secs(30));
            Ok(())
        }
        _ => reply(stream, "404 Not Found", "", b""),
    });
    let start = Instant::now();

    // More than the kernel's socket buffers take.
    let error = send(&rogue.repository(), &content(64 << 20)).unwrap_err();

    assert_eq!(error.kind(), Kind::TimedOut, "{}", error.one_line());
    assert!(start.elapsed() < Duration::from_secs(25));
}

#[test]
fn content_that_ends_early_is_our_own_failure() {
    let desk = Desk::default();
    let own = desk.clone();
    let rogue = Rogue::new(move |request, stream| own.serve(request, stream));
    let bytes = content(LARGE);
    let blob = Descriptor::of("x", &bytes);

    let short = Arc::new(Bytes::copy_from_slice(&bytes[..1_000_000]));
    let error = rogue.repository().upload(&blob, short).unwrap_err();

    assert_eq!(error.kind(), Kind::Corrupt, "{}", error.one_line());
    assert!(error.one_line().contains("missing at its end"), "{}", error.one_line());
    let begun = methods(&rogue).iter().filter(|method| *method == "PATCH").count();
    // The line may be cut before its first byte has arrived.
    assert!(begun <= 1, "what is wrong here is not tried again");
}

#[test]
fn a_mount_that_is_not_possible_is_no_failure() {
    let refusals = ["401 Unauthorized", "403 Forbidden", "404 Not Found", "405 Not Allowed"];
    for status in refusals {
        let desk = Desk::default();
        let own = desk.clone();
        let rogue = Rogue::new(move |request, stream| {
            if request.path.contains("mount=") {
                return reply(stream, status, "", b"");
            }
            own.serve(request, stream)
        });
        let from = Reference::parse(&format!("{}/from", rogue.address)).unwrap();
        let blob = Descriptor::of("x", b"bytes");
        let content = Arc::new(Bytes::from_static(b"bytes"));

        rogue.repository().bring(&blob, content, Some(&from)).unwrap();

        assert!(desk.has(b"bytes"), "{status}");
        assert_eq!(methods(&rogue), ["POST", "POST", "PUT"], "{status}");
    }
}

#[test]
fn a_mount_for_which_there_is_no_token_is_no_failure() {
    let desk = Desk::default();
    let own = desk.clone();
    let rogue = Rogue::new(move |request, stream| {
        let host = request.header("host").unwrap();
        if request.path.starts_with("/token") {
            // This server grants all that is asked for or nothing.
            return match request.path.contains("closed") {
                true => reply(stream, "403 Forbidden", "", b""),
                false => reply(stream, "200 OK", "", br#"{"token":"good"}"#),
            };
        }
        if request.header("authorization") == Some("Bearer good") {
            return own.serve(request, stream);
        }
        let challenge = format!("WWW-Authenticate: Bearer realm=\"http://{host}/token\"\r\n");
        reply(stream, "401 Unauthorized", &challenge, b"")
    });
    let from = Reference::parse(&format!("{}/closed", rogue.address)).unwrap();
    let blob = Descriptor::of("x", b"bytes");
    let content = Arc::new(Bytes::from_static(b"bytes"));

    rogue.repository().bring(&blob, content, Some(&from)).unwrap();

    assert!(desk.has(b"bytes"));
}

#[test]
fn what_is_changed_is_changed_at_the_registry_and_not_at_its_mirror() {
    let desk = Desk::default();
    let own = desk.clone();
    let registry = Rogue::new(move |request, stream| match request.path.contains("/manifests/") {
        true => reply(stream, "201 Created", "", b""),
        false => own.serve(request, stream),
    });
    let mirror = Rogue::new(|_, stream| reply(stream, "200 OK", "", b""));
    let directory = tempfile::tempdir().unwrap();
    let conf = directory.path().join("registries.conf");
    let text = format!(
        "[[registry]]\nlocation = '{}'\n[[registry.mirror]]\nlocation = '{}'\n",
        registry.address, mirror.address
    );
    std::fs::write(&conf, text).unwrap();
    let client = Client::new(&Config { registries_conf: conf, ..config() }).unwrap();
    let repository = client.repository(&registry.reference()).unwrap();

    assert_eq!(repository.has_blob(&Digest::of(b"x")).unwrap(), None);
    send(&repository, b"bytes").unwrap();
    repository.put_manifest("1", media_type::OCI_MANIFEST, b"{}").unwrap();

    assert!(desk.has(b"bytes"));
    assert_eq!(mirror.requests().len(), 0);
}

#[test]
fn a_blob_that_arrived_although_its_answer_did_not_is_there() {
    let desk = Desk::default();
    let own = desk.clone();
    let rogue = Rogue::new(move |request, stream| match request.method.as_str() {
        "PUT" => {
            let body = request.read_body(stream)?;
            own.stored.lock().unwrap().push(body);
            stream.write_all(b"HTTP/1.1 20")
        }
        "HEAD" => {
            let length = own.stored.lock().unwrap().first().map_or(0, Vec::len);
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")
        }
        _ => own.serve(request, stream),
    });

    send(&rogue.repository(), b"bytes").unwrap();

    assert_eq!(methods(&rogue), ["POST", "PUT", "HEAD"]);
}
