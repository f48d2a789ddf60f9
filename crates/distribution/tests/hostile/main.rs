//! The client against a registry that lies, stalls, breaks off, redirects and never ends: tests 20,
//! 24 and 25 of the attack list, on the client's side.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod lists;
mod rogue;
mod segments;
mod upload;

use dhow_base::{Digest, Kind};
use dhow_distribution::{Client, Config, Credentials, Reference, Secret, login::Account};
use dhow_spec::image::{Descriptor, media_type};
use rogue::{Request, Rogue, config, content, password, read, reply};
use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

fn offset_of(request: &Request) -> Option<usize> {
    request.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
}

fn range_reply(stream: &mut TcpStream, content: &[u8], offset: usize) -> io::Result<()> {
    let (last, total) = (content.len() - 1, content.len());
    let header = format!("Content-Range: bytes {offset}-{last}/{total}\r\n");
    reply(stream, "206 Partial Content", &header, &content[offset..])
}

const MANIFEST: &[u8] = br#"{"schemaVersion":2}"#;

fn manifest_headers() -> String {
    format!("Content-Type: {}\r\n", media_type::OCI_MANIFEST)
}

// ---- manifests ----

#[test]
fn a_manifest_of_another_digest_is_refused_naming_both() {
    let rogue = Rogue::new(|_, stream| reply(stream, "200 OK", &manifest_headers(), MANIFEST));
    let (wanted, actual) = (Digest::of(b"wanted"), Digest::of(MANIFEST));

    let error = rogue.repository().manifest(&wanted).unwrap_err();

    assert_eq!(error.kind(), Kind::Corrupt);
    let text = error.one_line();
    assert!(text.contains(wanted.as_str()) && text.contains(actual.as_str()), "{text}");
    assert_eq!(rogue.repository().manifest(&actual).unwrap().bytes, MANIFEST);
}

#[test]
fn a_manifest_that_contradicts_its_digest_header_is_refused() {
    for claimed in [Digest::of(b"other").to_string(), "sha256:../../x".into(), String::new()] {
        let headers = format!("{}Docker-Content-Digest: {claimed}\r\n", manifest_headers());
        let rogue = Rogue::new(move |_, stream| reply(stream, "200 OK", &headers, MANIFEST));

        let error = rogue.client().resolve(&rogue.reference()).unwrap_err();

        assert_eq!(error.kind(), Kind::Corrupt, "claimed {claimed:?}");
    }
}

#[test]
fn a_huge_manifest_is_refused_before_it_is_read() {
    let announced = Rogue::new(|_, stream| {
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")?;
        stream.write_all(&[b' '; 1 << 16])
    });
    let endless = Rogue::new(|_, stream| {
        write!(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        loop {
            stream.write_all(b"10000\r\n")?;
            stream.write_all(&[b' '; 1 << 16])?;
            stream.write_all(b"\r\n")?;
        }
    });
    for rogue in [announced, endless] {
        let error = rogue.client().resolve(&rogue.reference()).unwrap_err();

        assert_eq!(error.kind(), Kind::Exhausted, "{}", error.one_line());
    }
}

#[test]
fn a_manifest_without_a_media_type_is_told_by_its_content() {
    let cases: [(&str, &[u8], Option<&str>); 5] = [
        ("", br#"{"manifests":[]}"#, Some(media_type::OCI_INDEX)),
        ("text/plain", br#"{"layers":[]}"#, Some(media_type::OCI_MANIFEST)),
        (
            "application/json",
            br#"{"mediaType":"application/vnd.docker.distribution.manifest.v2+json"}"#,
            Some(media_type::DOCKER_MANIFEST),
        ),
        ("application/json", br#"{"mediaType":"application/x-other"}"#, None),
        ("application/vnd.docker.distribution.manifest.v1+prettyjws", b"{}", None),
    ];
    for (given, body, expected) in cases {
        let headers = format!("Content-Type: {given}\r\n");
        let rogue = Rogue::new(move |_, stream| reply(stream, "200 OK", &headers, body));

        let resolved = rogue.client().resolve(&rogue.reference());

        match (resolved, expected) {
            (Ok(resolved), Some(expected)) => assert_eq!(resolved.descriptor.media_type, expected),
            (Err(error), None) => assert_eq!(error.kind(), Kind::Unsupported, "{given}"),
            (resolved, _) => panic!("{given}: {resolved:?}"),
        }
    }
}

#[test]
fn a_missing_manifest_is_named_with_the_registrys_reason() {
    let body = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown\u001b[2J"}]}"#;
    let rogue = Rogue::new(|_, stream| reply(stream, "404 Not Found", "", body));

    let error = rogue.client().resolve(&rogue.reference()).unwrap_err();

    assert_eq!(error.kind(), Kind::NotFound);
    let text = error.one_line();
    assert!(text.contains("a/b:tag") && text.contains("MANIFEST_UNKNOWN"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
    assert_eq!(rogue.requests().len(), 1, "what is not there is not asked for again");
}

// ---- blobs that break ----

#[test]
fn a_body_that_breaks_off_is_resumed_where_it_broke() {
    let bytes = content(3_000_000);
    let served = bytes.clone();
    let rogue = Rogue::new(move |request, stream| match offset_of(request) {
        Some(offset) if request.earlier >= 2 => range_reply(stream, &served, offset),
        offset => {
            let offset = offset.unwrap_or(0);
            let (left, last) = (served.len() - offset, served.len() - 1);
            let status = if offset == 0 { "200 OK" } else { "206 Partial Content" };
            write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {left}\r\n")?;
            write!(stream, "Content-Range: bytes {offset}-{last}/{}\r\n\r\n", served.len())?;
            stream.write_all(&served[offset..offset + 1_000_000])
        }
    });

    let fetched = rogue.fetch(&bytes).unwrap();

    assert!(fetched == bytes);
    let offsets: Vec<Option<usize>> = rogue.requests().iter().map(offset_of).collect();
    assert_eq!(offsets, [None, Some(1_000_000), Some(2_000_000)]);
}

#[test]
fn a_whole_answer_to_a_range_is_skipped_to_where_we_were() {
    let bytes = content(500_000);
    let served = bytes.clone();
    let rogue = Rogue::new(move |request, stream| {
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", served.len())?;
        let end = if request.earlier == 0 { 200_001 } else { served.len() };
        stream.write_all(&served[..end])
    });

    assert!(rogue.fetch(&bytes).unwrap() == bytes);
    assert!(read(&rogue.repository(), &bytes, 7).unwrap() == bytes[7..]);
    assert!(read(&rogue.repository(), &bytes, 500_000).unwrap().is_empty());
    let beyond = read(&rogue.repository(), &bytes, 500_001).unwrap_err();
    assert_eq!(beyond.kind(), Kind::Invalid);
}

#[test]
fn ranges_that_are_not_those_asked_for_are_refused() {
    let bytes = content(1000);
    let cases = [
        "Content-Range: bytes 0-499/1000\r\n",
        "Content-Range: bytes 501-1000/1001\r\n",
        "Content-Range: bytes 500-999/2000\r\n",
        "Content-Range: bytes 18446744073709551615-18446744073709551615/1\r\n",
        "Content-Range: rubbish\r\n",
        "",
    ];
    for header in cases {
        let served = bytes.clone();
        let rogue = Rogue::new(move |_, stream| {
            reply(stream, "206 Partial Content", header, &served[500..])
        });

        let error = read(&rogue.repository(), &bytes, 500).unwrap_err();

        assert_eq!(error.kind(), Kind::Corrupt, "{header}: {}", error.one_line());
    }
}

#[test]
fn a_blob_of_another_length_is_refused_at_once() {
    let bytes = content(1000);
    for length in [999, 1001, 5_000_000] {
        let rogue = Rogue::new(move |_, stream| reply(stream, "200 OK", "", &content(length)));

        let error = rogue.fetch(&bytes).unwrap_err();

        assert_eq!(error.kind(), Kind::Corrupt, "{length}: {}", error.one_line());
        assert_eq!(rogue.requests().len(), 1);
    }
}

#[test]
fn an_endless_blob_ends_as_soon_as_it_is_too_long() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let rogue = Rogue::new(move |_, stream| {
        write!(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        loop {
            stream.write_all(b"10000\r\n")?;
            stream.write_all(&[7; 1 << 16])?;
            stream.write_all(b"\r\n")?;
            count.fetch_add(1 << 16, Ordering::SeqCst);
        }
    });

    let error = rogue.fetch(&content(100_000)).unwrap_err();

    assert_eq!(error.kind(), Kind::Corrupt, "{}", error.one_line());
    thread::sleep(Duration::from_millis(100));
    let stopped_at = sent.load(Ordering::SeqCst);
    thread::sleep(Duration::from_millis(100));
    assert_eq!(sent.load(Ordering::SeqCst), stopped_at, "the connection is closed");
}

#[test]
fn a_blob_that_always_ends_early_is_given_up() {
    let rogue = Rogue::new(|_, stream| {
        write!(stream, "HTTP/1.1 200 OK\r\n\r\n")?;
        stream.write_all(&content(10))
    });

    let error = rogue.fetch(&content(1000)).unwrap_err();

    assert_eq!(error.kind(), Kind::Unavailable, "{}", error.one_line());
    assert_eq!(rogue.requests().len(), 4, "one try and three more");
}

#[test]
fn a_trickle_counts_as_standing_still() {
    let rogue = Rogue::new(|_, stream| {
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")?;
        loop {
            stream.write_all(b"x")?;
            thread::sleep(Duration::from_millis(20));
        }
    });
    let silent = Rogue::new(|_, _| {
        thread::sleep(Duration::from_secs(20));
        Ok(())
    });
    for rogue in [rogue, silent] {
        let start = Instant::now();

        let error = rogue.fetch(&content(1_000_000)).unwrap_err();

        assert_eq!(error.kind(), Kind::TimedOut, "{}", error.one_line());
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn a_reader_that_waits_slows_the_sender_and_dropping_it_ends_the_transfer() {
    let sent = Arc::new(AtomicUsize::new(0));
    let ended = Arc::new(AtomicBool::new(false));
    let (count, end) = (Arc::clone(&sent), Arc::clone(&ended));
    let length = 256 << 20;
    let rogue = Rogue::new(move |_, stream| {
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")?;
        let piece = content(1 << 16);
        while stream.write_all(&piece).is_ok() {
            count.fetch_add(piece.len(), Ordering::SeqCst);
        }
        end.store(true, Ordering::SeqCst);
        Ok(())
    });
    let descriptor = Descriptor::new("x", Digest::of(b""), length);
    let mut reader = rogue.repository().blob(&descriptor, 0).unwrap();
    reader.read_exact(&mut [0; 100]).unwrap();

    // Longer than the stall time: our own waiting is no reason to give up.
    thread::sleep(Duration::from_millis(800));
    let waiting = sent.load(Ordering::SeqCst);
    let mut some = vec![0; 8 << 20];
    reader.read_exact(&mut some).unwrap();
    drop(reader);
    thread::sleep(Duration::from_millis(300));

    // The kernel's socket buffers hold some MiB as well.
    assert!(waiting < 16 << 20, "{waiting} bytes were taken in advance");
    assert!(ended.load(Ordering::SeqCst), "the sender was not told");
}

// ---- servers that have a bad moment ----

#[test]
fn bad_moments_pass() {
    let bytes = content(1000);
    let served = bytes.clone();
    let rogue = Rogue::new(move |request, stream| match request.earlier {
        0 => reply(stream, "429 Too Many Requests", "Retry-After: 1\r\n", b""),
        1 => reply(stream, "500 Internal Server Error", "", b"<html>"),
        2 => Ok(()),
        _ => reply(stream, "200 OK", "", &served),
    });
    let start = Instant::now();

    assert!(rogue.fetch(&bytes).unwrap() == bytes);

    assert!(start.elapsed() >= Duration::from_secs(1), "Retry-After is heeded");
    assert_eq!(rogue.requests().len(), 4);
}

#[test]
fn bad_times_do_not_pass() {
    let cases = [("503 Service Unavailable", "", 4), ("429 Slow Down", "Retry-After: 3600\r\n", 1)];
    for (status, headers, tries) in cases {
        let rogue = Rogue::new(move |_, stream| reply(stream, status, headers, b""));

        let error = rogue.client().resolve(&rogue.reference()).unwrap_err();

        assert_eq!(error.kind(), Kind::Unavailable, "{status}");
        assert_eq!(rogue.requests().len(), tries, "{status}");
    }
}

#[test]
fn nobody_at_home_is_said_with_host_and_hint() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = Client::new(&config()).unwrap();
    let cases = [(format!("{address}/a"), "listens"), ("nothing.invalid/a".into(), "check")];
    for (name, hint) in cases {
        let error = client.resolve(&Reference::parse(&name).unwrap()).unwrap_err();

        assert_eq!(error.kind(), Kind::Unavailable, "{}", error.one_line());
        assert!(error.one_line().contains(name.split('/').next().unwrap()), "{}", error.one_line());
        assert!(error.innermost_hint().unwrap().contains(hint), "{error:?}");
    }
}

// ---- redirects ----

#[test]
fn credentials_do_not_follow_a_redirect_to_another_host() {
    let bytes = content(1000);
    let served = bytes.clone();
    let other = Rogue::new(move |_, stream| reply(stream, "200 OK", "", &served));
    // Another port is another origin; another name for it, too.
    let location = format!("http://localhost:{}/signed?s=1", other.address.port());
    let rogue = Rogue::new(move |request, stream| {
        if request.header("authorization").is_none() {
            return reply(
                stream,
                "401 Unauthorized",
                "WWW-Authenticate: Basic realm=\"x\"\r\n",
                b"",
            );
        }
        let status = "307 Temporary Redirect";
        match request.path.strip_suffix("?again") {
            Some(_) => reply(stream, status, &format!("Location: {location}\r\n"), b""),
            None => reply(stream, status, &format!("Location: {}?again\r\n", request.path), b""),
        }
    });
    let client = Client::new(&Config { credentials: password(), ..config() }).unwrap();
    let repository = client.repository(&rogue.reference()).unwrap();

    assert!(read(&repository, &bytes, 0).unwrap() == bytes);

    let mine = rogue.requests();
    assert!(mine.iter().skip(1).all(|request| request.header("authorization").is_some()));
    assert_eq!(mine.len(), 3);
    assert_eq!(other.requests().len(), 1);
    assert_eq!(other.requests()[0].header("authorization"), None);
    assert_eq!(other.requests()[0].header("referer"), None);
}

#[test]
fn a_redirect_away_and_back_does_not_bring_the_credentials_back() {
    let back: Arc<Mutex<String>> = Arc::default();
    let to = Arc::clone(&back);
    let other = Rogue::new(move |_, stream| {
        let location = format!("Location: {}\r\n", to.lock().unwrap());
        reply(stream, "302 Found", &location, b"")
    });
    let away = format!("Location: http://{}/x\r\n", other.address);
    let rogue = Rogue::new(move |request, stream| {
        if request.path == "/back" {
            return reply(stream, "200 OK", "", b"");
        }
        match request.header("authorization") {
            None => reply(stream, "401 Unauthorized", "WWW-Authenticate: Basic\r\n", b""),
            Some(_) => reply(stream, "302 Found", &away, b""),
        }
    });
    *back.lock().unwrap() = format!("http://{}/back", rogue.address);
    let client = Client::new(&Config { credentials: password(), ..config() }).unwrap();

    drop(client.resolve(&rogue.reference()));

    let returned = rogue.requests().pop().unwrap();
    assert_eq!((returned.path.as_str(), returned.header("authorization")), ("/back", None));
}

#[test]
fn redirects_to_where_no_registry_is_are_refused() {
    let cases = [
        "http://169.254.169.254/latest/meta-data/",
        "https://169.254.169.254/latest/",
        "http://[fe80::1]/",
        "http://2852039166/",
        "file:///etc/shadow",
        "ftp://127.0.0.1/x",
        "http://user:pass@127.0.0.1/x",
        "http://192.0.2.1/x",
    ];
    for location in cases {
        let header = format!("Location: {location}\r\n");
        let rogue = Rogue::new(move |_, stream| reply(stream, "307 Moved", &header, b""));

        let error = rogue.fetch(b"x").unwrap_err();

        assert_eq!(error.kind(), Kind::Denied, "{location}: {}", error.one_line());
        assert_eq!(rogue.requests().len(), 1, "{location}");
    }
}

#[test]
fn redirects_in_a_circle_end() {
    let rogue = Rogue::new(|request, stream| {
        reply(stream, "307 Moved", &format!("Location: {}\r\n", request.path), b"")
    });

    assert_eq!(rogue.fetch(b"x").unwrap_err().kind(), Kind::Unavailable);
    assert_eq!(rogue.requests().len(), 6);
}

// ---- tokens ----

/// A registry whose tokens the server at `/token` gives; `token-N` is the N-th.
fn token_registry(life: u64) -> Rogue {
    let given = Arc::new(AtomicUsize::new(0));
    Rogue::guarded(move |request, stream| {
        let host = request.header("host").unwrap();
        if request.path.starts_with("/token") {
            let number = given.fetch_add(1, Ordering::SeqCst) + 1;
            let body = format!(r#"{{"token":"token-{number}","expires_in":{life}}}"#);
            return reply(stream, "200 OK", "", body.as_bytes());
        }
        let newest = format!("Bearer token-{}", given.load(Ordering::SeqCst));
        if request.header("authorization") == Some(&newest) {
            return reply(stream, "200 OK", &manifest_headers(), MANIFEST);
        }
        let challenge = format!(
            "WWW-Authenticate: Basic realm=\"no\", Bearer realm=\"http://{host}/token\",\
             service=\"the registry\",scope=\"repository:a/b:pull\"\r\n"
        );
        reply(stream, "401 Unauthorized", &challenge, b"")
    })
}

fn token_requests(rogue: &Rogue) -> Vec<Request> {
    let all = rogue.requests().into_iter();
    all.filter(|request| request.path.starts_with("/token")).collect()
}

#[test]
fn a_token_is_fetched_once_and_used_until_it_ends() {
    let rogue = token_registry(300);
    let client = rogue.client();
    for _ in 0..3 {
        client.resolve(&rogue.reference()).unwrap();
    }

    let tokens = token_requests(&rogue);
    assert_eq!(tokens.len(), 1);
    assert_eq!(tokens[0].path, "/token?service=the+registry&scope=repository%3Aa%2Fb%3Apull");
    assert_eq!(tokens[0].header("authorization"), None);
    assert_eq!(rogue.requests().len(), 5, "one refused, one for the token, three answered");
}

#[test]
fn many_readers_fetch_one_token_together() {
    let rogue = token_registry(300);
    let client = rogue.client();

    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| client.resolve(&rogue.reference()).unwrap());
        }
    });

    assert_eq!(token_requests(&rogue).len(), 1);
}

#[test]
fn an_ended_token_is_renewed() {
    // The shortest life is what remains after the margin, and then the token is asked for anew.
    let rogue = token_registry(0);
    let client = rogue.client();
    client.resolve(&rogue.reference()).unwrap();
    thread::sleep(Duration::from_millis(5_100));

    client.resolve(&rogue.reference()).unwrap();

    assert_eq!(token_requests(&rogue).len(), 2);
}

#[test]
fn a_password_goes_to_the_token_server_and_not_to_the_registry() {
    let rogue = token_registry(300);
    let client = Client::new(&Config { credentials: password(), ..config() }).unwrap();

    client.resolve(&rogue.reference()).unwrap();

    let basic = Some("Basic bWU6aHVudGVyMg==");
    assert_eq!(token_requests(&rogue)[0].header("authorization"), basic);
    assert!(token_requests(&rogue)[0].path.ends_with("&account=me"));
    let others = rogue.requests().into_iter().filter(|request| request.path.starts_with("/v2"));
    assert!(others.into_iter().all(|request| request.header("authorization") != basic));
}

#[test]
fn an_identity_token_is_posted() {
    let rogue = token_registry(300);
    let client = Client::new(&Config { credentials: identity("refresh me"), ..config() }).unwrap();

    client.resolve(&rogue.reference()).unwrap();

    let asked = &token_requests(&rogue)[0];
    assert_eq!(asked.method, "POST");
    assert!(asked.text().contains("grant_type=refresh_token"), "{}", asked.text());
    assert!(asked.text().ends_with("&refresh_token=refresh+me"), "{}", asked.text());
}

fn identity(token: &str) -> Option<Credentials> {
    Some(Credentials::IdentityToken { user: "me".into(), token: Secret::new(token) })
}

/// A registry whose token server knows OAuth2's way alone, and gives a new identity token each time;
/// only the newest is good.
fn oauth_registry() -> Rogue {
    let given = Arc::new(AtomicUsize::new(0));
    Rogue::guarded(move |request, stream| {
        let host = request.header("host").unwrap();
        if request.path.starts_with("/token") && request.method != "POST" {
            return reply(stream, "405 Method Not Allowed", "", b"");
        }
        if request.path.starts_with("/token") {
            let newest = given.load(Ordering::SeqCst);
            let right = [
                "&grant_type=password&access_type=offline&username=me&password=hunter2".to_owned(),
                format!("&grant_type=refresh_token&refresh_token=identity+{newest}"),
            ];
            if !right.iter().any(|right| request.text().ends_with(right)) {
                return reply(stream, "401 Unauthorized", "", b"{}");
            }
            let number = given.fetch_add(1, Ordering::SeqCst) + 1;
            let body = format!(
                r#"{{"access_token":"token-{number}","refresh_token":"identity {number}","expires_in":0}}"#
            );
            return reply(stream, "200 OK", "", body.as_bytes());
        }
        let newest = format!("Bearer token-{}", given.load(Ordering::SeqCst));
        if request.header("authorization") == Some(&newest) {
            return reply(stream, "200 OK", &manifest_headers(), MANIFEST);
        }
        let challenge = format!("WWW-Authenticate: Bearer realm=\"http://{host}/token\"\r\n");
        reply(stream, "401 Unauthorized", &challenge, b"")
    })
}

#[test]
fn a_login_gets_an_identity_token_by_either_way_to_ask_for_one() {
    let (oauth, query) = (oauth_registry(), token_registry(300));
    let login = |rogue: &Rogue| {
        let client = Client::new(&Config { credentials: password(), ..config() }).unwrap();
        client.check_login(&Account::parse(&rogue.address.to_string()).unwrap()).unwrap()
    };

    assert_eq!(login(&oauth), Some(Secret::new("identity 1")));
    assert_eq!(login(&query), None, "it gives none");

    let asked = &token_requests(&query)[0].path;
    assert!(asked.ends_with("&account=me&client_id=dhow&offline_token=true"), "{asked}");
}

#[test]
fn an_identity_token_that_is_changed_at_each_use_goes_on_to_be_good() {
    let rogue = oauth_registry();
    let client = Client::new(&Config { credentials: identity("identity 0"), ..config() }).unwrap();
    let other = Reference::parse(&format!("{}/c:tag", rogue.address)).unwrap();

    client.resolve(&rogue.reference()).unwrap();
    client.resolve(&other).unwrap();

    let last = token_requests(&rogue).pop().unwrap();
    assert!(last.text().ends_with("refresh_token=identity+1"), "{}", last.text());
}

#[test]
fn a_token_server_that_would_get_the_password_in_the_clear_is_refused() {
    let cases = [
        ("http://192.0.2.1/token", "plain HTTP"),
        ("http://169.254.169.254/token", "plain HTTP"),
        ("https://169.254.169.254/token", "own link"),
        ("ftp://127.0.0.1/token", "not reached by HTTP"),
        ("/token", "no address"),
        ("https://a:b@127.0.0.1/", "holds a password"),
    ];
    for (realm, why) in cases {
        let challenge = format!("WWW-Authenticate: Bearer realm=\"{realm}\"\r\n");
        let rogue = Rogue::new(move |_, stream| reply(stream, "401 No", &challenge, b""));
        let client = Client::new(&Config { credentials: password(), ..config() }).unwrap();

        let error = client.resolve(&rogue.reference()).unwrap_err();

        assert_eq!(error.kind(), Kind::Denied, "{realm}");
        assert!(error.one_line().contains(why), "{realm}: {}", error.one_line());
        assert!(!error.one_line().contains("hunter2"));
    }
}

#[test]
fn who_is_not_let_in_is_told_to_log_in() {
    let basic = Rogue::new(|_, stream| {
        reply(stream, "401 Unauthorized", "WWW-Authenticate: Basic realm=x\r\n", b"")
    });
    let forbidden = Rogue::new(|_, stream| reply(stream, "403 Forbidden", "", b""));
    let no_token = Rogue::new(|request, stream| {
        let realm = format!("http://{}/token", request.header("host").unwrap());
        let challenge = format!("WWW-Authenticate: Bearer realm=\"{realm}\"\r\n");
        reply(stream, "401 Unauthorized", &challenge, b"{}")
    });
    for rogue in [basic, forbidden, no_token] {
        for credentials in [None, password()] {
            let client = Client::new(&Config { credentials, ..config() }).unwrap();

            let error = client.resolve(&rogue.reference()).unwrap_err();

            assert_eq!(error.kind(), Kind::Denied, "{}", error.one_line());
            let hint = error.innermost_hint().unwrap();
            assert!(hint.contains(&format!("log in to {}", rogue.address)), "{hint}");
        }
    }
}

#[test]
fn a_token_answer_that_makes_no_sense_is_an_error_without_the_token() {
    let huge = format!(r#"{{"token":"{}"}}"#, "x".repeat(1 << 20));
    let cases =
        ["", "[]", r#"{"token":""}"#, r#"{"token":"hunter2\r\nX: y"}"#, r#"{"token":5}"#, &huge];
    for body in cases {
        let body = body.to_owned();
        let rogue = Rogue::new(move |request, stream| {
            if request.path.starts_with("/token") {
                return reply(stream, "200 OK", "", body.as_bytes());
            }
            let realm = format!("http://{}/token", request.header("host").unwrap());
            let challenge = format!("WWW-Authenticate: Bearer realm=\"{realm}\"\r\n");
            reply(stream, "401 Unauthorized", &challenge, b"")
        });

        let error = rogue.client().resolve(&rogue.reference()).unwrap_err();

        assert!(!error.one_line().contains("hunter2"), "{}", error.one_line());
        assert_ne!(error.kind(), Kind::Internal, "{}", error.one_line());
    }
}

// ---- mirrors ----

#[test]
fn mirrors_are_tried_first_and_stood_in_for() {
    let bytes = content(1000);
    let served = bytes.clone();
    let registry = Rogue::new(move |request, stream| {
        if request.path.contains("/manifests/") {
            reply(stream, "200 OK", &manifest_headers(), MANIFEST)
        } else {
            reply(stream, "200 OK", "", &served)
        }
    });
    let empty = Rogue::new(|_, stream| reply(stream, "404 Not Found", "", b""));
    let manifests_only = Rogue::new(|request, stream| {
        if request.path.contains("/manifests/") {
            reply(stream, "200 OK", &manifest_headers(), MANIFEST)
        } else {
            reply(stream, "404 Not Found", "", b"")
        }
    });
    let directory = tempfile::tempdir().unwrap();
    let conf = directory.path().join("registries.conf");
    let text = format!(
        "[[registry]]\nprefix = 'hub.test/x'\nlocation = '{}/y'\n\
         [[registry.mirror]]\nlocation = '{}'\n[[registry.mirror]]\nlocation = '{}/z'\n",
        registry.address, empty.address, manifests_only.address
    );
    std::fs::write(&conf, text).unwrap();
    let config = Config { registries_conf: conf, credentials: password(), ..config() };
    let client = Client::new(&config).unwrap();

    let resolved = client.resolve(&Reference::parse("hub.test/x/a:tag").unwrap()).unwrap();
    let fetched = read(&resolved.repository, &bytes, 0).unwrap();

    assert!(fetched == bytes);
    assert_eq!(resolved.repository.endpoints()[0].path, "z/a");
    let paths = |rogue: &Rogue| -> Vec<String> {
        rogue.requests().into_iter().map(|request| request.path).collect()
    };
    let blob = |path: &str| format!("/v2/{path}/blobs/{}", Digest::of(&bytes));
    assert_eq!(paths(&empty), ["/v2/a/manifests/tag".to_owned(), blob("a")]);
    assert_eq!(paths(&manifests_only), ["/v2/z/a/manifests/tag".to_owned(), blob("z/a")]);
    assert_eq!(paths(&registry), [blob("y/a")]);
}

/// A mirror that gives some bytes each time and then hangs up would otherwise be asked until there are
/// no tries left, and is no reason to wait either.
#[test]
fn a_mirror_that_breaks_off_is_stood_in_for_from_the_byte_reached() {
    let bytes = content(3000);
    let (whole, half) = (bytes.clone(), bytes.clone());
    let registry = Rogue::new(move |request, stream| {
        let offset = offset_of(request).expect("it is asked for the rest");
        range_reply(stream, &whole, offset)
    });
    let mirror = Rogue::new(move |request, stream| {
        let offset = offset_of(request).unwrap_or_default();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", half.len())?;
        stream.write_all(&half[..offset + 1000])
    });
    let directory = tempfile::tempdir().unwrap();
    let conf = directory.path().join("registries.conf");
    let text = format!(
        "[[registry]]\nlocation = '{}'\n[[registry.mirror]]\nlocation = '{}'",
        registry.address, mirror.address
    );
    std::fs::write(&conf, text).unwrap();
    let mut config = Config { registries_conf: conf, ..config() };
    // Nobody would wait for so long.
    config.patience.first_pause = Duration::from_secs(3600);
    config.patience.longest_pause = Duration::from_secs(3600);
    let client = Client::new(&config).unwrap();

    let fetched = read(&client.repository(&registry.reference()).unwrap(), &bytes, 0).unwrap();

    assert!(fetched == bytes);
    assert_eq!((mirror.requests().len(), registry.requests().len()), (1, 1));
    assert_eq!(registry.requests()[0].header("range"), Some("bytes=1000-"));
}

#[test]
fn an_insecure_registry_may_speak_plain_http() {
    let rogue = Rogue::new(|_, stream| reply(stream, "200 OK", &manifest_headers(), MANIFEST));
    let directory = tempfile::tempdir().unwrap();
    let conf = directory.path().join("registries.conf");
    let text = format!("[[registry]]\nlocation = '{}'\ninsecure = true", rogue.address);
    std::fs::write(&conf, text).unwrap();
    let by_file = Config { registries_conf: conf, ..config() };
    let by_user = Config { tls_verify: dhow_distribution::TlsVerify::Never, ..config() };

    for config in [by_file, by_user] {
        Client::new(&config).unwrap().resolve(&rogue.reference()).unwrap();
    }
}

#[test]
fn a_mirror_that_is_down_costs_no_waiting() {
    let rogue = Rogue::new(|_, stream| reply(stream, "200 OK", &manifest_headers(), MANIFEST));
    let directory = tempfile::tempdir().unwrap();
    let conf = directory.path().join("registries.conf");
    let text = format!(
        "[[registry]]\nlocation = '{}'\n[[registry.mirror]]\nlocation = '127.0.0.1:1'",
        rogue.address
    );
    std::fs::write(&conf, text).unwrap();
    let mut config = Config { registries_conf: conf, ..config() };
    config.patience.first_pause = Duration::from_secs(2);
    let start = Instant::now();

    Client::new(&config).unwrap().resolve(&rogue.reference()).unwrap();

    assert!(start.elapsed() < Duration::from_secs(2));
}

#[test]
fn loopback_is_reached_without_the_proxy_and_others_through_it() {
    let rogue = Rogue::new(|_, stream| reply(stream, "200 OK", &manifest_headers(), MANIFEST));
    let proxy = Rogue::new(|_, stream| reply(stream, "503 No", "", b""));
    let address = Some(format!("http://{}", proxy.address));
    let proxies =
        dhow_distribution::Proxies { http: address.clone(), https: address, except: None };
    let client = Client::new(&Config { proxies, ..config() }).unwrap();

    client.resolve(&rogue.reference()).unwrap();
    assert_eq!(proxy.requests().len(), 0);
    client.resolve(&Reference::parse("hub.test/a").unwrap()).unwrap_err();

    assert_eq!(proxy.requests()[0].method, "CONNECT");
    assert_eq!(proxy.requests()[0].path, "hub.test:443");
}

#[test]
fn what_one_mirror_does_not_know_and_another_does_not_say_the_registry_does() {
    let digest = Digest::of(MANIFEST);
    let headers = format!("{}Docker-Content-Digest: {digest}\r\n", manifest_headers());
    let registry = Rogue::new(move |_, stream| reply(stream, "200 OK", &headers, b""));
    let empty = Rogue::new(|_, stream| reply(stream, "404 Not Found", "", b""));
    let busy = Rogue::new(|_, stream| reply(stream, "503 Service Unavailable", "", b""));
    let directory = tempfile::tempdir().unwrap();
    let conf = directory.path().join("registries.conf");
    let text = format!(
        "[[registry]]\nlocation = '{}'\n\
         [[registry.mirror]]\nlocation = '{}'\n[[registry.mirror]]\nlocation = '{}'\n",
        registry.address, empty.address, busy.address
    );
    std::fs::write(&conf, text).unwrap();
    let client = Client::new(&Config { registries_conf: conf, ..config() }).unwrap();
    let reference = registry.reference();

    let found = client.repository(&reference).unwrap().peek(&reference).unwrap();

    assert_eq!(found, Some(digest));
    assert_eq!((empty.requests().len(), busy.requests().len()), (1, 1));
}
