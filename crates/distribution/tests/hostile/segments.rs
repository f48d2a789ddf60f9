//! Large blobs, whose parts come over several connections: late, cut, wrong, or not as parts at all.

use crate::rogue::{Request, Rogue, config, content, read, reply};
use dhow_base::{Kind, Result};
use dhow_distribution::{Client, Parts};
use dhow_spec::image::Descriptor;
use std::{
    collections::HashSet,
    io::{self, Read, Write},
    net::TcpStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Enough to come in segments, and not a multiple of one.
const LARGE: usize = (50 << 20) + 12_345;

fn range_of(request: &Request) -> Option<(usize, usize)> {
    let (first, last) = request.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
    // The last one is open, as that of a blob which comes whole.
    let last = if last.is_empty() { LARGE - 1 } else { last.parse().ok()? };
    Some((first.parse().ok()?, last))
}

fn part(stream: &mut TcpStream, content: &[u8], first: usize, last: usize) -> io::Result<()> {
    let header = format!("Content-Range: bytes {first}-{last}/{}\r\n", content.len());
    reply(stream, "206 Partial Content", &header, &content[first..=last])
}

/// With patience enough for a machine that does many other things.
fn fetch(rogue: &Rogue, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut config = config();
    config.patience.stall = Duration::from_secs(20);
    let client = Client::new(&config).unwrap();
    read(&client.repository(&rogue.reference()).unwrap(), bytes, 0)
}

#[test]
fn a_large_blob_comes_over_several_connections_and_in_order() {
    let bytes = content(LARGE);
    let served = bytes.clone();
    let (now, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let peak = Arc::clone(&most);
    let rogue = Rogue::new(move |request, stream| {
        let (first, last) = range_of(request).unwrap();
        let together = now.fetch_add(1, Ordering::SeqCst) + 1;
        peak.fetch_max(together, Ordering::SeqCst);
        // The first one finds out that there are parts; of the others some wait for company, and
        // every other one is late.
        let end = Instant::now() + Duration::from_secs(5);
        while first > 0 && peak.load(Ordering::SeqCst) < 2 && Instant::now() < end {
            thread::sleep(Duration::from_millis(1));
        }
        if (first >> 22).is_multiple_of(2) {
            thread::sleep(Duration::from_millis(20));
        }
        let answered = part(stream, &served, first, last);
        now.fetch_sub(1, Ordering::SeqCst);
        answered
    });

    assert!(fetch(&rogue, &bytes).unwrap() == bytes);

    assert!(most.load(Ordering::SeqCst) >= 2, "one connection at a time");
    let ranges: HashSet<_> = rogue.requests().iter().filter_map(range_of).collect();
    assert_eq!(ranges.len(), rogue.requests().len(), "no part was asked for twice");
}

/// As a client does that was told nothing, with a reader that takes so long for each half MiB.
fn fetch_as_needed(rogue: &Rogue, bytes: &[u8], slowness: Duration) -> Vec<u8> {
    let mut config = config();
    config.patience.stall = Duration::from_secs(20);
    config.parts = Parts::default();
    let client = Client::new(&config).unwrap();
    let repository = client.repository(&rogue.reference()).unwrap();
    let wanted = Descriptor::of("application/octet-stream", bytes);
    let mut reader = repository.blob(&wanted, 0).unwrap();
    let mut read = Vec::new();
    while reader.by_ref().take(512 << 10).read_to_end(&mut read).unwrap() > 0 {
        thread::sleep(slowness);
    }
    read
}

#[test]
fn a_reader_that_is_slower_than_the_network_gets_longer_parts_one_after_the_other() {
    let bytes = content(LARGE);
    let served = bytes.clone();
    let rogue = Rogue::new(move |request, stream| {
        let (first, last) = range_of(request).unwrap();
        part(stream, &served, first, last)
    });

    let read = fetch_as_needed(&rogue, &bytes, Duration::from_millis(10));

    assert!(read == bytes);
    // Three, unless other work on the machine held the server up.
    let parts = LARGE.div_ceil(4 << 20);
    assert!(rogue.requests().len() <= parts / 2, "{} requests", rogue.requests().len());
}

#[test]
fn a_network_that_is_slower_than_the_reader_is_used_several_times() {
    let bytes = content(LARGE);
    let served = bytes.clone();
    let rogue = Rogue::new(move |request, stream| {
        let (first, last) = range_of(request).unwrap();
        let header = format!("Content-Range: bytes {first}-{last}/{}\r\n", served.len());
        let length = last + 1 - first;
        let head = format!("HTTP/1.1 206 Partial Content\r\nContent-Length: {length}\r\n");
        write!(stream, "{head}{header}\r\n")?;
        for piece in served[first..=last].chunks(256 << 10) {
            thread::sleep(Duration::from_millis(5));
            stream.write_all(piece)?;
        }
        Ok(())
    });

    let read = fetch_as_needed(&rogue, &bytes, Duration::ZERO);

    assert!(read == bytes);
    assert_eq!(rogue.requests().len(), LARGE.div_ceil(4 << 20));
}

#[test]
fn parts_that_break_off_are_gone_on_with() {
    let bytes = content(LARGE);
    let served = bytes.clone();
    let cut: Mutex<HashSet<usize>> = Mutex::default();
    let rogue = Rogue::new(move |request, stream| {
        let (first, last) = range_of(request).unwrap();
        if cut.lock().unwrap().insert(last) {
            let header = format!("Content-Range: bytes {first}-{last}/{}\r\n", served.len());
            let length = last + 1 - first;
            let head = format!("HTTP/1.1 206 Partial Content\r\nContent-Length: {length}\r\n");
            write!(stream, "{head}{header}\r\n")?;
            return stream.write_all(&served[first..first + length / 3]);
        }
        part(stream, &served, first, last)
    });

    assert!(fetch(&rogue, &bytes).unwrap() == bytes);

    let parts = LARGE.div_ceil(4 << 20);
    assert_eq!(rogue.requests().len(), parts * 2, "each part was cut once");
}

#[test]
fn a_server_without_parts_gives_the_whole_over_one_connection() {
    let bytes = content(LARGE);
    let served = bytes.clone();
    let rogue = Rogue::new(move |_, stream| reply(stream, "200 OK", "", &served));

    assert!(fetch(&rogue, &bytes).unwrap() == bytes);

    assert_eq!(rogue.requests().len(), 1);
}

#[test]
fn parts_that_are_not_those_asked_for_are_refused() {
    let bytes = content(LARGE);
    for wrong in ["shifted", "longer", "other", "short", "none"] {
        let served = bytes.clone();
        let rogue = Rogue::new(move |request, stream| {
            let (first, last) = range_of(request).unwrap();
            if first < 8 << 20 {
                return part(stream, &served, first, last);
            }
            let total = served.len();
            let header = match wrong {
                "shifted" => format!("Content-Range: bytes {}-{}/{total}\r\n", first + 1, last + 1),
                "longer" => format!("Content-Range: bytes {first}-{}/{total}\r\n", last + 1),
                "other" => format!("Content-Range: bytes {first}-{last}/{}\r\n", total + 1),
                "none" => String::new(),
                _ => format!("Content-Range: bytes {first}-{last}/{total}\r\n"),
            };
            let end = if wrong == "short" { last } else { last + 1 };
            reply(stream, "206 Partial Content", &header, &served[first..end])
        });

        let error = fetch(&rogue, &bytes).unwrap_err();

        assert_eq!(error.kind(), Kind::Corrupt, "{wrong}: {}", error.one_line());
    }
}

#[test]
fn a_part_that_never_comes_ends_the_whole() {
    let bytes = content(LARGE);
    let served = bytes.clone();
    let rogue = Rogue::new(move |request, stream| {
        let (first, last) = range_of(request).unwrap();
        if first >= 8 << 20 {
            thread::sleep(Duration::from_secs(5));
            return Ok(());
        }
        part(stream, &served, first, last)
    });
    let start = Instant::now();

    let error = rogue.fetch(&bytes).unwrap_err();

    assert_eq!(error.kind(), Kind::TimedOut, "{}", error.one_line());
    assert!(start.elapsed() < Duration::from_secs(20));
}
