//! The resolver as a container meets it: in a network namespace of its own, with servers in another.
//!
//! A thread is the host, with servers on its loopback, and keeps the resolver; the test's own thread
//! is the container. Nothing here touches the machine's own network.

#![expect(clippy::unwrap_used, reason = "a test's helpers panic as tests do")]

use dhow_network::{NamedNetwork, Resolver, ResolverPlan, names};
use dhow_testkit::{needs_root, needs_tool};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    thread::ThreadNameSpaceType,
};
use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Shutdown, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsFd, OwnedFd},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

const A: u16 = 1;
const AAAA: u16 = 28;
const PTR: u16 = 12;
const RESOLVER: (Ipv4Addr, u16) = (Ipv4Addr::new(127, 0, 0, 11), 53);

/// Moves this thread into a new network namespace with a loopback.
fn own_namespace() -> OwnedFd {
    dhow_sys::namespace::leave(ThreadNameSpaceType::NETWORK).unwrap();
    let up = std::process::Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap();
    assert!(up.success());
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
    rustix::fs::open("/proc/thread-self/ns/net", flags, rustix::fs::Mode::empty()).unwrap()
}

/// The host: a thread with the resolver of this thread's namespace.
struct Host {
    orders: Option<Sender<ResolverPlan>>,
    thread: Option<JoinHandle<()>>,
}

impl Host {
    /// Makes this thread a container's, and another one its host's; `servers` runs there first.
    fn start<T: Send + 'static>(
        plan: ResolverPlan,
        servers: impl FnOnce() -> T + Send + 'static,
    ) -> Self {
        let namespace = own_namespace();
        let (orders, received) = channel();
        let (say, ready) = channel();
        let thread = std::thread::spawn(move || {
            let _home = own_namespace();
            let kept = servers();
            let resolver = Resolver::open(&plan, namespace.as_fd()).unwrap();
            say.send(()).unwrap();
            keep(resolver, &received);
            drop(kept);
        });
        ready.recv().unwrap();
        Self { orders: Some(orders), thread: Some(thread) }
    }

    fn change(&self, plan: ResolverPlan) {
        self.orders.as_ref().unwrap().send(plan).unwrap();
        // The loop looks for orders at least so often.
        std::thread::sleep(Duration::from_millis(100));
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.orders = None;
        let ended = self.thread.take().unwrap().join();
        assert!(std::thread::panicking() || ended.is_ok(), "the resolver has panicked");
    }
}

/// What a monitor does, until there is nobody who could give orders.
fn keep(mut resolver: Resolver, orders: &Receiver<ResolverPlan>) {
    loop {
        match orders.try_recv() {
            Ok(plan) => resolver.change(&plan),
            Err(std::sync::mpsc::TryRecvError::Empty) => {}
            Err(std::sync::mpsc::TryRecvError::Disconnected) => return,
        }
        let longest = Duration::from_millis(20);
        let wait = resolver.deadline().map_or(longest, |moment| {
            moment.saturating_duration_since(Instant::now()).min(longest)
        });
        let count = {
            let fd = resolver.fd();
            let mut fds = [PollFd::new(&fd, PollFlags::IN)];
            poll(&mut fds, Some(&Timespec::try_from(wait).unwrap())).unwrap()
        };
        let now = Instant::now();
        if count > 0 || resolver.deadline().is_some_and(|moment| moment <= now) {
            resolver.work(now);
        } else {
            resolver.rest();
        }
    }
}

fn entry(container: &str, name: &str, address: &str) -> names::Entry {
    names::Entry {
        container: container.to_owned(),
        names: vec![name.to_owned()],
        addresses: vec![address.parse().unwrap()],
    }
}

fn plan(directory: &Path, servers: &[&str]) -> ResolverPlan {
    ResolverPlan {
        networks: vec![NamedNetwork {
            name: "backend".to_owned(),
            directory: directory.to_owned(),
        }],
        servers: servers.iter().map(|server| server.parse().unwrap()).collect(),
    }
}

/// A question by the book, and how its answer is read: written without the code that is tried.
fn question(id: u16, name: &str, kind: u16) -> Vec<u8> {
    let mut bytes = [&id.to_be_bytes()[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1]);
    bytes
}

#[derive(Debug, Eq, PartialEq)]
struct Heard {
    id: u16,
    code: u8,
    is_cut_short: bool,
    addresses: Vec<IpAddr>,
}

fn understand(message: &[u8]) -> Heard {
    let number = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
    let mut at = 12;
    if number(4) == 1 {
        while message[at] != 0 {
            at += 1 + usize::from(message[at]);
        }
        at += 5;
    }
    let mut addresses = Vec::new();
    for _ in 0..number(6) {
        assert_eq!(message[at], 0xc0, "names of answers are compressed");
        let (kind, length) = (number(at + 2), usize::from(number(at + 10)));
        let data = &message[at + 12..at + 12 + length];
        match kind {
            A => addresses.push(<[u8; 4]>::try_from(data).unwrap().into()),
            AAAA => addresses.push(<[u8; 16]>::try_from(data).unwrap().into()),
            _ => {}
        }
        at += 12 + length;
    }
    Heard { id: number(0), code: message[3] & 15, is_cut_short: message[2] & 2 != 0, addresses }
}

fn ask(message: &[u8]) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(RESOLVER).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.send(message).unwrap();
    let mut buffer = [0; 65_536];
    let count = socket.recv(&mut buffer).ok()?;
    Some(buffer[..count].to_vec())
}

fn look_up(name: &str, kind: u16) -> Heard {
    understand(&ask(&question(77, name, kind)).expect("an answer"))
}

fn read_from_stream(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).unwrap();
    message
}

fn with_length(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat()
}

/// A server in the calling thread's namespace. What it says to a question is up to `answer`.
fn serve(
    address: &str,
    answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + 'static,
) -> Arc<AtomicU32> {
    let socket = UdpSocket::bind((address, 53)).unwrap();
    let count = Arc::new(AtomicU32::new(0));
    let asked = Arc::clone(&count);
    std::thread::spawn(move || {
        let mut buffer = [0; 65_536];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            asked.fetch_add(1, Ordering::Relaxed);
            if let Some(message) = answer(&buffer[..length]) {
                let _sent = socket.send_to(&message, from);
            }
        }
    });
    count
}

/// The question with as many addresses as an answer.
fn good(question: &[u8], addresses: &[[u8; 4]]) -> Vec<u8> {
    let mut answer = question.to_vec();
    (answer[2], answer[3]) = (0x81, 0x80);
    answer[6..8].copy_from_slice(&u16::try_from(addresses.len()).unwrap().to_be_bytes());
    for address in addresses {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(address);
    }
    answer
}

fn with_code(question: &[u8], code: u8) -> Vec<u8> {
    let mut answer = question.to_vec();
    (answer[2], answer[3]) = (0x81, 0x80 | code);
    answer
}

#[test]
fn a_container_finds_its_neighbours_and_the_world() {
    needs_root!();
    needs_tool!("ip");
    let directory = tempfile::tempdir().unwrap();
    names::join(directory.path(), &entry("c1", "db", "10.89.0.2")).unwrap();
    names::join(directory.path(), &entry("c2", "web", "fd00:89::2")).unwrap();
    let plan = plan(directory.path(), &["127.0.0.1"]);
    let _host = Host::start(plan, || serve("127.0.0.1", |asked| Some(good(asked, &[[9; 4]]))));

    assert_eq!(look_up("DB", A).addresses, ["10.89.0.2".parse::<IpAddr>().unwrap()]);
    assert_eq!(look_up("web.backend", AAAA).addresses.len(), 1);
    let none = look_up("db", AAAA);
    assert_eq!((none.code, none.addresses.len()), (0, 0), "no address is no reason to ask others");
    assert_eq!(look_up("elsewhere.example", A).addresses, [IpAddr::from([9; 4])]);
    let pointer = ask(&question(5, "2.0.89.10.in-addr.arpa", PTR)).unwrap();
    assert!(pointer.ends_with(b"\x02db\x07backend\0"), "{pointer:?}");
    names::leave(directory.path(), "c1").unwrap();
    assert_eq!(look_up("db", A).addresses, [IpAddr::from([9; 4])], "a name that is free again");
}

#[test]
fn servers_are_asked_in_their_order_until_one_can_tell() {
    needs_root!();
    needs_tool!("ip");
    let directory = tempfile::tempdir().unwrap();
    let (say, counts) = channel();
    let plan = plan(directory.path(), &["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
    let _host = Host::start(plan, move || {
        let fails = serve("127.0.0.1", |asked| {
            // `silent…` is not answered, the rest is a failure.
            (!asked[13..].starts_with(b"silent")).then(|| with_code(asked, 2))
        });
        let refuses = serve("127.0.0.2", |asked| Some(with_code(asked, 5)));
        let knows = serve("127.0.0.3", |asked| {
            Some(if asked[13..].starts_with(b"none") {
                with_code(asked, 3)
            } else {
                good(asked, &[[3; 4]])
            })
        });
        say.send([fails, refuses, knows]).unwrap();
    });
    let counts = counts.recv().unwrap();
    let so_far = || [0, 1, 2].map(|server: usize| counts[server].load(Ordering::Relaxed));

    assert_eq!(look_up("a.example", A).addresses, [IpAddr::from([3; 4])]);
    assert_eq!(so_far(), [1, 1, 1]);
    assert_eq!(look_up("none.example", A).code, 3, "that there is no such name is an answer");
    let begun = Instant::now();
    assert_eq!(look_up("silent1.example", A).addresses, [IpAddr::from([3; 4])]);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    let before = so_far();
    assert_eq!(look_up("silent2.example", A).addresses, [IpAddr::from([3; 4])]);
    assert_eq!(so_far()[0], before[0], "who was silent is asked last for a while");
}

#[test]
fn where_nobody_can_tell_the_failure_is_the_answer() {
    needs_root!();
    needs_tool!("ip");
    let directory = tempfile::tempdir().unwrap();
    let host = Host::start(plan(directory.path(), &["127.0.0.1"]), || {
        serve("127.0.0.1", |asked| Some(with_code(asked, 5)))
    });
    assert_eq!(look_up("a.example", A).code, 5);

    // Nobody listens there, which the kernel says at once.
    host.change(plan(directory.path(), &["127.0.0.9"]));
    assert_eq!(look_up("a.example", A).code, 2);
    host.change(plan(directory.path(), &[]));
    assert_eq!(look_up("a.example", A).code, 2);
}

#[test]
fn answers_of_others_than_the_server_are_not_taken() {
    needs_root!();
    needs_tool!("ip");
    let directory = tempfile::tempdir().unwrap();
    let _host = Host::start(plan(directory.path(), &["127.0.0.1"]), || {
        let socket = UdpSocket::bind("127.0.0.1:53").unwrap();
        let stranger = UdpSocket::bind("127.0.0.2:53").unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let asked = &buffer[..length];
                let bad = good(asked, &[[6; 4]]);
                let _sent = stranger.send_to(&bad, from);
                let (mut other_id, mut other_name, mut other_kind) =
                    (bad.clone(), bad.clone(), bad);
                other_id[0] ^= 1;
                other_name[13] ^= 1;
                other_kind[length - 3] ^= 4;
                for wrong in [&other_id, &other_name, &other_kind, &asked.to_vec(), &vec![0; 3]] {
                    let _sent = socket.send_to(wrong, from);
                }
                let _sent = socket.send_to(&good(asked, &[[1; 4]]), from);
            }
        });
    });

    for _ in 0..20 {
        assert_eq!(look_up("bank.example", A).addresses, [IpAddr::from([1; 4])]);
    }
}

#[test]
fn what_does_not_fit_a_packet_comes_on_a_stream() {
    needs_root!();
    needs_tool!("ip");
    let directory = tempfile::tempdir().unwrap();
    for number in 0..200_u8 {
        let id = format!("c{number}");
        let address = format!("10.89.0.{number}");
        names::join(directory.path(), &entry(&id, "all", &address)).unwrap();
    }
    let _host = Host::start(plan(directory.path(), &["127.0.0.1"]), || {
        let listener = TcpListener::bind("127.0.0.1:53").unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let asked = read_from_stream(&mut stream);
                let answer = with_length(&good(&asked, &[[8; 4]; 2000]));
                // In pieces, as it may come.
                for piece in answer.chunks(700) {
                    stream.write_all(piece).unwrap();
                }
            }
        });
        serve("127.0.0.1", |asked| {
            let mut short = with_code(asked, 0);
            short[2] |= 2;
            Some(short)
        })
    });

    let short = look_up("all", A);
    assert!(short.is_cut_short && short.addresses.len() > 25, "{short:?}");
    assert!(look_up("big.example", A).is_cut_short, "who asks by packets hears that of others too");
    let mut stream = TcpStream::connect(RESOLVER).unwrap();
    stream.write_all(&with_length(&question(1, "all", A))).unwrap();
    let whole = understand(&read_from_stream(&mut stream));
    assert_eq!((whole.addresses.len(), whole.is_cut_short), (200, false));
    stream.write_all(&with_length(&question(2, "big.example", A))).unwrap();
    let whole = understand(&read_from_stream(&mut stream));
    assert_eq!((whole.id, whole.addresses.len(), whole.is_cut_short), (2, 2000, false));
}

#[test]
fn questions_on_one_stream_are_all_answered_also_when_many_come_at_once() {
    needs_root!();
    needs_tool!("ip");
    let directory = tempfile::tempdir().unwrap();
    names::join(directory.path(), &entry("c1", "db", "10.89.0.2")).unwrap();
    let _host = Host::start(plan(directory.path(), &["127.0.0.1"]), || {
        serve("127.0.0.1", |asked| Some(good(asked, &[[9; 4]])))
    });
    let mut stream = TcpStream::connect(RESOLVER).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();

    let name = |id: u16| if id.is_multiple_of(2) { "db" } else { "other.example" };
    let all: Vec<u8> = (0..500).flat_map(|id| with_length(&question(id, name(id), A))).collect();
    stream.write_all(&all).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut heard: Vec<u16> = Vec::new();
    for _ in 0..500 {
        let answer = understand(&read_from_stream(&mut stream));
        let expected = if answer.id.is_multiple_of(2) { [10, 89, 0, 2] } else { [9; 4] };
        assert_eq!(answer.addresses, [IpAddr::from(expected)]);
        heard.push(answer.id);
    }

    heard.sort_unstable();
    assert!(heard.into_iter().eq(0..500));
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "who will ask no more is let go");
}

#[test]
fn idle_strangers_do_not_keep_others_out() {
    needs_root!();
    needs_tool!("ip");
    let directory = tempfile::tempdir().unwrap();
    names::join(directory.path(), &entry("c1", "db", "10.89.0.2")).unwrap();
    let _host = Host::start(plan(directory.path(), &[]), || ());

    let idle: Vec<_> = (0..200).map(|_| TcpStream::connect(RESOLVER).unwrap()).collect();
    let mut nonsense = TcpStream::connect(RESOLVER).unwrap();
    nonsense.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut stream = TcpStream::connect(RESOLVER).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(&with_length(&question(1, "db", A))).unwrap();

    assert_eq!(understand(&read_from_stream(&mut stream)).addresses.len(), 1);
    assert_eq!(nonsense.read(&mut [0]).unwrap_or(0), 0, "what is no question ends a connection");
    drop(idle);
}

#[test]
fn no_question_is_lost_while_containers_come_and_go() {
    needs_root!();
    needs_tool!("ip");
    let directory = tempfile::tempdir().unwrap();
    for number in 0..500 {
        let address = format!("10.89.{}.{}", number / 250, number % 250 + 2);
        let (id, name) = (format!("{number:064}"), format!("steady{number}"));
        names::join(directory.path(), &entry(&id, &name, &address)).unwrap();
    }
    let _host = Host::start(plan(directory.path(), &["127.0.0.1"]), || {
        serve("127.0.0.1", |asked| Some(good(asked, &[[9; 4]])))
    });
    let ends = Arc::new(AtomicBool::new(false));
    let churn = std::thread::spawn({
        let (ends, directory) = (Arc::clone(&ends), directory.path().to_owned());
        move || {
            let mut number = 0_u64;
            while !ends.load(Ordering::Relaxed) {
                let (id, name) = (format!("{:064x}", number + 0xffff_0000), format!("n{number}"));
                names::join(&directory, &entry(&id, &name, "10.89.9.9")).unwrap();
                assert_eq!(look_up_once(&name), Some([10, 89, 9, 9]), "{name} has come");
                names::leave(&directory, &id).unwrap();
                assert_eq!(look_up_once(&name), Some([9; 4]), "{name} is gone");
                number += 1;
            }
            number
        }
    });

    // 5,000 a second for two seconds, unless the machine is slower; measured is that none is lost.
    let begun = Instant::now();
    for number in 0..10_000_u32 {
        let steady = number % 500;
        let expected =
            [10, 89, u8::try_from(steady / 250).unwrap(), u8::try_from(steady % 250 + 2).unwrap()];
        assert_eq!(look_up_once(&format!("steady{steady}")), Some(expected));
        let due = begun + Duration::from_micros(200) * number;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    ends.store(true, Ordering::Relaxed);
    assert!(churn.join().unwrap() > 10);
}

/// Asks with one packet and no second try.
fn look_up_once(name: &str) -> Option<[u8; 4]> {
    let answer = ask(&question(7, name, A))?;
    match understand(&answer).addresses[..] {
        [IpAddr::V4(address)] => Some(address.octets()),
        _ => None,
    }
}

#[test]
fn a_container_may_have_the_port_itself() {
    needs_root!();
    needs_tool!("ip", "nft");
    let directory = tempfile::tempdir().unwrap();
    names::join(directory.path(), &entry("c1", "db", "10.89.0.2")).unwrap();
    let _host = Host::start(plan(directory.path(), &[]), || ());

    let packets = UdpSocket::bind("0.0.0.0:53").unwrap();
    let streams = TcpListener::bind("0.0.0.0:53").unwrap();
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"mine", "127.0.0.1:53").unwrap();
    let _stream = TcpStream::connect("127.0.0.1:53").unwrap();

    assert_eq!(packets.recv(&mut [0; 10]).unwrap(), 4);
    streams.accept().unwrap();
    assert_eq!(look_up("db", A).addresses.len(), 1);
    let mut stream = TcpStream::connect(RESOLVER).unwrap();
    stream.write_all(&with_length(&question(1, "db", A))).unwrap();
    assert_eq!(understand(&read_from_stream(&mut stream)).addresses.len(), 1);
    let shown = std::process::Command::new("nft").args(["list", "ruleset"]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    for line in [
        "ip daddr 127.0.0.11 udp dport 53 udp dport set 31053",
        "ip saddr 127.0.0.11 udp sport 31053 udp sport set 53",
        "ip daddr 127.0.0.11 tcp dport 53 tcp dport set 31053",
        "ip saddr 127.0.0.11 tcp sport 31053 tcp sport set 53",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
}

#[test]
fn of_two_resolvers_in_one_namespace_the_one_that_lives_answers() {
    needs_root!();
    needs_tool!("ip");
    let directory = tempfile::tempdir().unwrap();
    names::join(directory.path(), &entry("c1", "db", "10.89.0.2")).unwrap();
    let namespace = own_namespace();
    let open = || Resolver::open(&plan(directory.path(), &[]), namespace.as_fd()).unwrap();
    let first = open();
    let mut second = open();
    drop(first);
    let asks = std::thread::spawn(|| {
        // A thread of this one is in the same namespace.
        (0..20).map(|_| look_up("db", A).addresses.len()).sum::<usize>()
    });

    while !asks.is_finished() {
        second.work(Instant::now());
        std::thread::sleep(Duration::from_millis(1));
    }

    assert_eq!(asks.join().unwrap(), 20);
}
