//! The firewall against packets: a host, a peer on its wire, and containers on its networks, each a
//! network namespace of its own. Nothing here touches the machine's own network.

#![expect(clippy::unwrap_used, reason = "a test's helpers panic as tests do")]

use dhow_base::digest::{Algorithm, Hasher};
use dhow_network::{
    Attachment, Firewall, Held, HostPolicy, InterfaceAddress, Isolation, Mac, Network, Plan,
    Publication, Range, Watch, setup,
};
use dhow_testkit::{need, needs, needs_root, needs_tool};
use rustix::{
    fs::{Mode, OFlags},
    net::{AddressFamily, RecvFlags, SendFlags, SocketType},
    thread::ThreadNameSpaceType,
};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

/// Long enough for a packet that arrives, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Long enough to see that one does not.
const SILENCE: Duration = Duration::from_millis(700);

/// A network namespace.
#[derive(Clone)]
struct Place(Arc<OwnedFd>);

impl Place {
    fn new() -> Self {
        let made = std::thread::spawn(|| {
            dhow_sys::namespace::leave(ThreadNameSpaceType::NETWORK).unwrap();
            dhow_sys::loopback::bring_up().unwrap();
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            rustix::fs::open("/proc/thread-self/ns/net", flags, Mode::empty()).unwrap()
        });
        Self(Arc::new(made.join().unwrap()))
    }

    /// Does something there, in a thread of its own.
    fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                dhow_sys::namespace::join(self.0.as_fd(), ThreadNameSpaceType::NETWORK).unwrap();
                work()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn run(&self, line: &str) -> String {
        self.within(|| {
            let mut words = line.split(' ');
            let program = words.next().unwrap();
            let output = Command::new(program).args(words).output().unwrap();
            assert!(output.status.success(), "{line}: {output:?}");
            String::from_utf8(output.stdout).unwrap()
        })
    }

    fn set(&self, name: &str, value: &str) {
        self.within(|| std::fs::write(format!("/proc/sys/net/{name}"), value).unwrap());
    }

    /// A path by which programs of this machine find it.
    fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// Tells everybody who connects, or sends a datagram, from which address it came.
    fn serve(&self, port: u16) {
        let (tcp, udp) = self.within(move || {
            let everywhere = SocketAddr::new("::".parse().unwrap(), port);
            (TcpListener::bind(everywhere).unwrap(), UdpSocket::bind(everywhere).unwrap())
        });
        let told = |address: SocketAddr| address.ip().to_canonical().to_string().into_bytes();
        std::thread::spawn(move || {
            for client in tcp.incoming().flatten() {
                let mut client: TcpStream = client;
                let _gone = client.write_all(&told(client.peer_addr().unwrap()));
            }
        });
        std::thread::spawn(move || {
            let mut buffer = [0; 16];
            while let Ok((_, from)) = udp.recv_from(&mut buffer) {
                let _gone = udp.send_to(&told(from), from);
            }
        });
    }

    /// As whom the server at this address sees this place: over TCP and over UDP, which agree.
    fn seen_by(&self, to: &str) -> Option<String> {
        let to: SocketAddr = to.parse().unwrap();
        let tcp = self.within(|| {
            let mut server = TcpStream::connect_timeout(&to, PATIENCE).ok()?;
            server.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut told = String::new();
            server.read_to_string(&mut told).ok()?;
            Some(told)
        })?;
        let udp = self.within(|| ask_datagram(to, PATIENCE));
        assert_eq!(udp.as_ref(), Some(&tcp), "over UDP to {to}");
        Some(tcp)
    }

    /// Whether nothing comes back from there.
    fn is_cut_off(&self, to: &str) -> bool {
        let to: SocketAddr = to.parse().unwrap();
        std::thread::scope(|scope| {
            let tcp = scope.spawn(|| !self.connects(&to.to_string()));
            let is_silent = self.within(|| ask_datagram(to, SILENCE).is_none());
            tcp.join().unwrap() && is_silent
        })
    }

    fn connects(&self, to: &str) -> bool {
        let to = to.parse().unwrap();
        self.within(|| TcpStream::connect_timeout(&to, SILENCE).is_ok())
    }

    fn ruleset(&self) -> String {
        self.run("nft list ruleset")
    }
}

/// Asks until there is an answer: what is lost is sent again, as by everybody who speaks UDP.
fn ask_datagram(to: SocketAddr, patience: Duration) -> Option<String> {
    let anywhere = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(anywhere).unwrap();
    socket.set_read_timeout(Some(patience.min(Duration::from_secs(1)))).unwrap();
    socket.connect(to).ok()?;
    let end = Instant::now() + patience;
    let mut buffer = [0; 64];
    while Instant::now() < end {
        socket.send(b"who am I?").ok()?;
        match socket.recv(&mut buffer) {
            Ok(length) => return Some(String::from_utf8(buffer[..length].to_vec()).unwrap()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
    }
    None
}

/// A host with a peer on its wire: 192.0.2.1 and 192.0.2.2, 2001:db8::1 and 2001:db8::2.
struct World {
    host: Place,
    peer: Place,
}

impl World {
    fn new() -> Self {
        let (host, peer) = (Place::new(), Place::new());
        host.run(&format!("ip link add eth0 type veth peer name eth0 netns {}", peer.path()));
        for (place, number) in [(&host, 1), (&peer, 2)] {
            place.run(&format!("ip addr add 192.0.2.{number}/24 dev eth0"));
            place.run(&format!("ip addr add 2001:db8::{number}/64 dev eth0 nodad"));
            place.run("ip link set eth0 up");
        }
        Self { host, peer }
    }

    /// A container at the second address of a network, and on, with published ports.
    fn container(&self, network: &Network, number: u8, published: &[&str]) -> (Place, Plan) {
        let place = Place::new();
        let plan = plan(network, number, published);
        self.host.within(|| {
            setup(&plan, place.0.as_fd()).unwrap();
            Firewall::open().unwrap().raise(&plan).unwrap();
        });
        (place, plan)
    }
}

/// The network with this number: 10.88.N.0/24, fd00:88:N::/64.
fn network(number: u8) -> Network {
    let range = |subnet: String, gateway: String| Range {
        subnet: subnet.parse().unwrap(),
        gateway: Some(gateway.parse().unwrap()),
        leased: None,
    };
    let v4 = range(format!("10.88.{number}.0/24"), format!("10.88.{number}.1"));
    let v6 = range(format!("fd00:88:{number}::/64"), format!("fd00:88:{number}::1"));
    Network {
        id: format!("{number:064}"),
        name: format!("net{number}"),
        device: format!("dh-{number}"),
        subnets: vec![v4, v6],
        ..Network::default()
    }
}

fn plan(network: &Network, number: u8, published: &[&str]) -> Plan {
    let of = |range: &Range| InterfaceAddress {
        address: range.subnet.nth(number.into()).unwrap(),
        prefix: range.subnet.prefix(),
    };
    let attachment = Attachment {
        network: network.clone(),
        interface: "eth0".to_owned(),
        host_interface: format!("dv-{}-{number}", network.device),
        mac: Mac::from_random([2, 0, 0, 0, network.device.as_bytes()[3], number]),
        addresses: network.subnets.iter().map(of).collect(),
    };
    let publications = published.iter().flat_map(|text| Publication::parse(text).unwrap());
    Plan {
        owner: format!("{number}"),
        attachments: vec![attachment],
        publications: publications.collect(),
        ..Plan::default()
    }
}

/// Skips aloud where the world cannot be made.
macro_rules! needs_world {
    () => {
        needs_root!();
        needs_tool!("ip");
        needs_tool!("nft");
    };
}

#[test]
fn a_published_port_is_reached_from_everywhere_by_whoever_asks() {
    needs_world!();
    let world = World::new();
    let published = ["8080:80", "8080:80/udp", "192.0.2.1:8081:80", "127.0.0.1:8082:80"];
    let (server, _) = world.container(&network(0), 2, &published);
    let (neighbour, _) = world.container(&network(0), 3, &[]);
    let (stranger, _) = world.container(&network(1), 2, &[]);
    server.serve(80);

    for (who, place, to, as_whom) in [
        ("peer", &world.peer, "192.0.2.1:8080", "192.0.2.2"),
        ("peer", &world.peer, "[2001:db8::1]:8080", "2001:db8::2"),
        ("host", &world.host, "192.0.2.1:8080", "192.0.2.1"),
        ("host", &world.host, "[2001:db8::1]:8080", "2001:db8::1"),
        ("host", &world.host, "127.0.0.1:8080", "10.88.0.1"),
        ("neighbour", &neighbour, "192.0.2.1:8080", "10.88.0.1"),
        ("neighbour", &neighbour, "[2001:db8::1]:8080", "fd00:88::1"),
        ("neighbour", &neighbour, "10.88.0.1:8080", "10.88.0.1"),
        ("itself", &server, "192.0.2.1:8080", "10.88.0.1"),
        ("itself", &server, "[2001:db8::1]:8080", "fd00:88::1"),
        ("stranger", &stranger, "192.0.2.1:8080", "10.88.1.2"),
        ("stranger", &stranger, "[2001:db8::1]:8080", "fd00:88:1::2"),
    ] {
        let seen = place.seen_by(to);
        assert_eq!(seen.as_deref(), Some(as_whom), "{who} at {to}");
    }
    for (place, to, expected) in [
        (&world.peer, "192.0.2.1:8081", true),
        (&world.host, "192.0.2.1:8081", true),
        (&world.host, "127.0.0.1:8081", false),
        (&world.host, "127.0.0.1:8082", true),
        (&world.peer, "192.0.2.1:8082", false),
        (&world.host, "[::1]:8080", false),
    ] {
        assert_eq!(place.connects(to), expected, "{to}");
    }
}

#[test]
fn nobody_comes_to_what_is_not_published_and_networks_are_apart() {
    needs_world!();
    let world = World::new();
    let isolated = network(0);
    let (one, _) = world.container(&isolated, 2, &["8080:80"]);
    let (two, _) = world.container(&isolated, 3, &[]);
    let (apart, _) = world.container(&network(1), 2, &[]);
    let inner = Network { internal: true, ..network(2) };
    let (inside, _) = world.container(&inner, 2, &["8090:80"]);
    let (inside_too, _) = world.container(&inner, 3, &[]);
    let open = |number| Network { isolation: Isolation::Open, ..network(number) };
    let (open_one, _) = world.container(&open(3), 2, &[]);
    let (open_two, _) = world.container(&open(4), 2, &[]);
    for place in [&one, &inside, &open_two, &world.peer] {
        place.serve(80);
    }
    for route in ["10.88.0.0/16 via 192.0.2.1", "fd00:88::/32 via 2001:db8::1"] {
        world.peer.run(&format!("ip route add {route}"));
    }

    // Neighbours, and the way out under the host's address.
    assert_eq!(two.seen_by("10.88.0.2:80").as_deref(), Some("10.88.0.3"));
    assert_eq!(two.seen_by("[fd00:88::2]:80").as_deref(), Some("fd00:88::3"));
    assert_eq!(two.seen_by("192.0.2.2:80").as_deref(), Some("192.0.2.1"));
    assert_eq!(two.seen_by("[2001:db8::2]:80").as_deref(), Some("2001:db8::1"));
    assert_eq!(world.host.seen_by("10.88.0.2:80").as_deref(), Some("10.88.0.1"));
    // Straight to a container's address, from the wire and from another network.
    assert!(world.peer.is_cut_off("10.88.0.2:80"));
    assert!(world.peer.is_cut_off("[fd00:88::2]:80"));
    assert!(apart.is_cut_off("10.88.0.2:80"));
    assert!(apart.is_cut_off("[fd00:88::2]:80"));
    // Internal networks have neither a way out nor one in; among themselves all is well.
    assert_eq!(inside_too.seen_by("10.88.2.2:80").as_deref(), Some("10.88.2.3"));
    inside.run("ip route replace default via 10.88.2.1");
    assert!(inside.is_cut_off("192.0.2.2:80"));
    assert!(inside.is_cut_off("10.88.0.2:80"));
    assert!(inside.is_cut_off("192.0.2.1:8080"));
    assert!(world.peer.is_cut_off("10.88.2.2:80"));
    assert!(world.peer.is_cut_off("192.0.2.1:8090"));
    // Open ones pass among each other, under their own address, and to no other.
    assert_eq!(open_one.seen_by("10.88.4.2:80").as_deref(), Some("10.88.3.2"));
    assert!(open_one.is_cut_off("10.88.0.2:80"));
    assert!(apart.is_cut_off("10.88.4.2:80"));
}

#[test]
fn a_routed_network_keeps_its_addresses_and_opens_what_is_published() {
    needs_world!();
    let world = World::new();
    let routed = Network { masquerade: false, ..network(0) };
    let (server, _) = world.container(&routed, 2, &["8080:80", "8080:80/udp"]);
    server.serve(80);
    server.serve(81);
    world.peer.serve(80);
    world.peer.run("ip route add 10.88.0.0/24 via 192.0.2.1");

    assert_eq!(server.seen_by("192.0.2.2:80").as_deref(), Some("10.88.0.2"));
    assert_eq!(world.peer.seen_by("10.88.0.2:80").as_deref(), Some("192.0.2.2"));
    assert_eq!(world.peer.seen_by("192.0.2.1:8080").as_deref(), Some("192.0.2.2"));
    assert!(world.peer.is_cut_off("10.88.0.2:81"));
}

#[test]
fn the_hosts_loopback_is_no_containers() {
    needs_world!();
    let world = World::new();
    let (attacker, plan) = world.container(&network(0), 2, &[]);
    let service = world.host.within(|| UdpSocket::bind("127.0.0.1:7777").unwrap());
    // Addresses of the loopback are sent over the wire (CVE-2020-8558).
    attacker.set("ipv4/conf/all/route_localnet", "1");
    attacker.run("ip route del local 127.0.0.0/8 dev lo table local");
    attacker.run("ip route del local 127.0.0.1 dev lo table local");
    attacker.run("ip route add 127.0.0.0/8 via 10.88.0.1 src 10.88.0.2");
    let gets_through = |patience| {
        attacker.within(|| {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.send_to(b"let me in", "127.0.0.1:7777").unwrap();
        });
        service.set_read_timeout(Some(patience)).unwrap();
        service.recv(&mut [0; 16]).is_ok()
    };

    assert!(!gets_through(SILENCE));
    // The proof that it is the firewall that says no.
    world.host.run("nft flush chain inet dhow raw");
    assert!(gets_through(PATIENCE));
    world.host.within(|| Firewall::open().unwrap().raise(&plan).unwrap());
    assert!(!gets_through(SILENCE));
}

#[test]
fn a_port_of_the_loopback_alone_is_not_reached_from_the_wire() {
    needs_world!();
    let world = World::new();
    let (server, _) = world.container(&network(0), 2, &["127.0.0.1:8080:80", "8081:81"]);
    server.serve(80);
    server.serve(81);
    // A neighbour on the wire sends there, and the host's own device would let it in.
    world.host.set("ipv4/conf/eth0/route_localnet", "1");
    world.peer.set("ipv4/conf/all/route_localnet", "1");
    world.peer.run("ip route del local 127.0.0.0/8 dev lo table local");
    world.peer.run("ip route del local 127.0.0.1 dev lo table local");
    world.peer.run("ip route add 127.0.0.0/8 via 192.0.2.1 src 192.0.2.2");

    assert!(world.host.connects("127.0.0.1:8080"));
    assert!(world.host.connects("127.0.0.1:8081"));
    assert!(!world.peer.connects("127.0.0.1:8080"));
    assert!(!world.peer.connects("127.0.0.1:8081"));
    assert!(world.peer.connects("192.0.2.1:8081"));
}

#[test]
fn what_others_drop_stays_dropped() {
    needs_world!();
    let world = World::new();
    let (server, _) = world.container(&network(0), 2, &["8080:80", "8081:81"]);
    server.serve(80);
    server.serve(81);

    world.host.run("nft add table inet other");
    world.host.run("nft add chain inet other f { type filter hook forward priority 10 ; }");
    world.host.run("nft add rule inet other f tcp dport 80 drop");

    assert!(!world.peer.connects("192.0.2.1:8080"));
    assert!(world.peer.connects("192.0.2.1:8081"));
}

#[test]
fn connections_outlive_a_flush_and_ports_come_back() {
    needs_world!();
    let world = World::new();
    let (server, plan) = world.container(&network(0), 2, &["8080:80"]);
    let listener = server.within(|| TcpListener::bind("0.0.0.0:80").unwrap());
    let (_held, watch) = world.host.within(|| {
        let held = Held::bind(&plan.publications).unwrap();
        (held, Watch::open().unwrap())
    });
    let connect = || {
        let to = "192.0.2.1:8080".parse().unwrap();
        world.peer.within(|| TcpStream::connect_timeout(&to, PATIENCE))
    };
    let mut client = connect().unwrap();
    let (mut served, _) = listener.accept().unwrap();

    world.host.run("nft flush ruleset");
    // Nobody hangs: who comes in between is told no.
    let refused = connect().unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    assert!(watch.was_changed());
    world.host.within(|| Firewall::open().unwrap().raise(&plan).unwrap());

    client.write_all(b"still there?").unwrap();
    let mut buffer = [0; 12];
    served.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"still there?");
    assert!(connect().is_ok());
}

#[test]
fn datagrams_find_the_container_that_has_the_port_now() {
    needs_world!();
    let world = World::new();
    let published = ["8080:80/udp"];
    world.host.serve(8080);
    let client = world.peer.within(|| UdpSocket::bind("0.0.0.0:5555").unwrap());
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let ask = || {
        client.send_to(b"who am I?", "192.0.2.1:8080").unwrap();
        let mut buffer = [0; 64];
        client.recv(&mut buffer).map(|length| buffer[..length].to_vec())
    };
    // The host itself answers first, and the kernel remembers that.
    assert_eq!(ask().unwrap(), b"192.0.2.2");

    for number in [2, 3] {
        let (server, plan) = world.container(&network(0), number, &published);
        let socket = server.within(|| UdpSocket::bind("0.0.0.0:80").unwrap());
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        client.send_to(b"hello", "192.0.2.1:8080").unwrap();
        let mut buffer = [0; 16];
        let length = socket.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"hello", "container {number}");
        if number == 2 {
            world.host.within(|| Firewall::open().unwrap().lower(&plan).unwrap());
            assert_eq!(ask().unwrap(), b"192.0.2.2");
        }
    }
}

/// A socket of SCTP (sctp(7)), with one association as a TCP socket has one connection; nothing where the
/// kernel has none.
fn association() -> Option<OwnedFd> {
    let protocol = rustix::net::ipproto::SCTP;
    rustix::net::socket(AddressFamily::INET, SocketType::STREAM, Some(protocol)).ok()
}

#[test]
fn associations_of_sctp_come_by_their_port() {
    needs_world!();
    needs!(association().is_some(), "a kernel with SCTP");
    let world = World::new();
    let (server, _) = world.container(&network(0), 2, &["8080:80/sctp"]);
    let listener = server.within(|| {
        let socket = association().unwrap();
        rustix::net::bind(&socket, &SocketAddr::from(([0, 0, 0, 0], 80))).unwrap();
        rustix::net::listen(&socket, 1).unwrap();
        socket
    });
    let served = std::thread::spawn(move || {
        let (client, from) = rustix::net::acceptfrom(&listener).unwrap();
        rustix::net::send(&client, b"hello", SendFlags::empty()).unwrap();
        SocketAddr::try_from(from.unwrap()).unwrap().ip().to_string()
    });

    let heard = world.peer.within(|| {
        let socket = association().unwrap();
        rustix::net::connect(&socket, &SocketAddr::from(([192, 0, 2, 1], 8080))).unwrap();
        let mut buffer = [0; 16];
        let (length, _) = rustix::net::recv(&socket, &mut buffer[..], RecvFlags::empty()).unwrap();
        buffer[..length].to_vec()
    });

    assert_eq!(heard, b"hello");
    assert_eq!(served.join().unwrap(), "192.0.2.2");
}

#[test]
fn what_goes_through_a_published_port_arrives_whole() {
    needs_world!();
    let world = World::new();
    let (server, _) = world.container(&network(0), 2, &["8080:80"]);
    let listener = server.within(|| TcpListener::bind("0.0.0.0:80").unwrap());
    let count = if need::is_full() { 1024 } else { 128 };
    let piece: Vec<u8> =
        (0..1 << 20).map(|place: u32| (place.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let sent = piece.clone();
    let sending = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        (0..count).for_each(|_| client.write_all(&sent).unwrap());
    });

    let to: SocketAddr = "192.0.2.1:8080".parse().unwrap();
    let mut stream = world.peer.within(|| TcpStream::connect_timeout(&to, PATIENCE).unwrap());
    let (mut expected, mut got) = (Hasher::new(Algorithm::Sha256), Hasher::new(Algorithm::Sha256));
    let mut buffer = vec![0; 1 << 20];
    for _ in 0..count {
        stream.read_exact(&mut buffer).unwrap();
        got.update(&buffer);
        expected.update(&piece);
    }

    assert_eq!(got.finish(), expected.finish());
    assert_eq!(stream.read(&mut buffer).unwrap(), 0);
    sending.join().unwrap();
}

#[test]
fn what_is_larger_than_the_packets_of_a_network_comes_and_goes_whole() {
    needs_world!();
    let world = World::new();
    let small = Network { mtu: Some(1280), ..network(0) };
    let (server, _) = world.container(&small, 2, &["8080:80/udp"]);
    assert!(server.run("ip link show eth0").contains("mtu 1280"));
    let inside = server.within(|| UdpSocket::bind("0.0.0.0:80").unwrap());
    let outside = world.peer.within(|| UdpSocket::bind("0.0.0.0:0").unwrap());
    let sent: Vec<u8> = (0..4000_u32).map(|place| (place % 251) as u8).collect();
    let mut got = vec![0; 8000];
    for socket in [&inside, &outside] {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
    }

    outside.send_to(&sent, "192.0.2.1:8080").unwrap();
    let (there, from) = inside.recv_from(&mut got).unwrap();
    assert!(got[..there] == sent, "{there} bytes of {}", sent.len());
    inside.send_to(&sent, from).unwrap();
    let back = outside.recv(&mut got).unwrap();
    assert!(got[..back] == sent, "{back} bytes of {}", sent.len());
}

/// The rules of a host that lets nobody in but by SSH, as ufw makes them.
const CLOSED: &str = "-P INPUT DROP
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -m conntrack --ctstate INVALID -j DROP
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT";

impl World {
    /// Has the host's iptables do something with both versions.
    fn iptables(&self, lines: &str) {
        for line in lines.lines() {
            self.host.run(&format!("iptables-nft {line}"));
            self.host.run(&format!("ip6tables-nft {line}"));
        }
        // Devices of IPv6 have to find each other nevertheless.
        if lines == CLOSED {
            self.host.run("ip6tables-nft -A INPUT -p icmpv6 -j ACCEPT");
        }
    }

    /// Has a holder hear of it.
    fn tell(&self, plan: &Plan) {
        self.host.within(|| Firewall::open().unwrap().raise_again(plan).unwrap());
    }

    fn asked(&self) -> String {
        ["asked4", "asked6", "asked4_at", "asked6_at"]
            .map(|set| self.host.run(&format!("nft list set inet dhow {set}")))
            .concat()
    }
}

#[test]
fn a_port_that_the_host_closes_is_closed_and_one_that_it_opens_is_open() {
    needs_world!();
    needs_tool!("iptables-nft");
    let world = World::new();
    world.iptables(CLOSED);
    let published = ["8080:80", "8080:80/udp"];
    let (server, plan) = world.container(&network(0), 2, &published);
    let (neighbour, _) = world.container(&network(0), 3, &[]);
    let (stranger, _) = world.container(&network(1), 2, &[]);
    server.serve(80);

    // From outside nobody comes in, as to a program; who is on this host is not concerned.
    assert!(world.peer.is_cut_off("192.0.2.1:8080"));
    assert!(world.peer.is_cut_off("[2001:db8::1]:8080"));
    for (place, to, as_whom) in [
        (&world.host, "192.0.2.1:8080", "192.0.2.1"),
        (&world.host, "127.0.0.1:8080", "10.88.0.1"),
        (&neighbour, "192.0.2.1:8080", "10.88.0.1"),
        (&stranger, "192.0.2.1:8080", "10.88.1.2"),
        (&stranger, "[2001:db8::1]:8080", "fd00:88:1::2"),
    ] {
        assert_eq!(place.seen_by(to).as_deref(), Some(as_whom), "{to}");
    }
    // Who asks where nothing can be published is told no, and does not wait.
    let started = Instant::now();
    assert!(!world.host.connects("[::1]:8080"));
    assert!(started.elapsed() < SILENCE);

    world.iptables("-A INPUT -p tcp --dport 8080 -j ACCEPT");
    world.tell(&plan);
    assert!(!world.asked().contains("tcp"), "{}", world.asked());
    // At once: the rules show that everybody may come in.
    assert!(world.peer.connects("192.0.2.1:8080"));
    assert!(world.peer.connects("[2001:db8::1]:8080"));

    world.iptables("-D INPUT -p tcp --dport 8080 -j ACCEPT");
    world.tell(&plan);
    assert!(world.peer.is_cut_off("192.0.2.1:8080"));
    assert!(world.peer.is_cut_off("[2001:db8::1]:8080"));

    world.host.within(|| Firewall::open().unwrap().lower(&plan).unwrap());
    assert!(!world.asked().contains("elements"), "{}", world.asked());
}

#[test]
fn who_may_come_in_is_asked_of_input_itself() {
    needs_world!();
    let world = World::new();
    for address in ["192.0.2.3/24", "2001:db8::3/64"] {
        // The other one stays the address that is used where none is named.
        let later = if address.contains(':') { " nodad preferred_lft 0" } else { "" };
        world.peer.run(&format!("ip addr add {address} dev eth0{later}"));
    }
    world.host.run("nft add table inet other");
    world
        .host
        .run("nft add chain inet other i { type filter hook input priority 0 ; policy drop ; }");
    world.host.run("nft add rule inet other i ct state established accept");
    world.host.run("nft add rule inet other i meta l4proto icmpv6 accept");
    world.host.run("nft add rule inet other i ip saddr 192.0.2.2 accept");
    world.host.run("nft add rule inet other i ip6 saddr 2001:db8::2 accept");
    let published = ["8080:80", "8080:80/udp", "192.0.2.1:8081:80", "[2001:db8::1]:8081:80"];
    let (server, plan) = world.container(&network(0), 2, &published);
    server.serve(80);
    let from = |source: &str, to: &str| {
        let (source, to) = (SocketAddr::new(source.parse().unwrap(), 0), to.parse().unwrap());
        world.peer.within(|| connect_from(source, to, Duration::from_secs(5)))
    };

    for (client, other, host) in
        [("192.0.2.2", "192.0.2.3", "192.0.2.1"), ("2001:db8::2", "2001:db8::3", "[2001:db8::1]")]
    {
        let (to, at) = (format!("{host}:8080"), format!("{host}:8081"));
        // The first packet finds the way, and comes again.
        assert!(from(client, &to), "{client}");
        assert_eq!(world.peer.seen_by(&to).as_deref(), Some(client));
        assert!(from(client, &at), "{client}");
        // From now on there is no wait.
        assert!(world.peer.connects(&to) && world.peer.connects(&at));
        // Nobody else is in because of that.
        assert!(!from(other, &to), "{other}");
        assert!(!from(other, &at), "{other}");
    }

    // Somebody thinks better of it, and it holds for those who were in.
    world.host.run("nft flush chain inet other i");
    world.tell(&plan);
    assert!(world.peer.is_cut_off("192.0.2.1:8080"));
    // What INPUT itself says to who is not wanted they hear from it.
    world.host.run("nft add rule inet other i reject with icmpx admin-prohibited");
    let refused = world.peer.within(|| {
        TcpStream::connect_timeout(&"192.0.2.1:8080".parse().unwrap(), PATIENCE).unwrap_err()
    });
    assert_eq!(refused.kind(), std::io::ErrorKind::HostUnreachable);

    // A flush takes it all away, ours and theirs.
    world.host.run("nft flush ruleset");
    world.tell(&plan);
    assert!(world.peer.connects("192.0.2.1:8080") && world.peer.connects("[2001:db8::1]:8081"));
}

/// Whether somebody listens there who lets this address in.
fn connect_from(source: SocketAddr, to: SocketAddr, patience: Duration) -> bool {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket, sockopt};
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket(family, SocketType::STREAM, None).unwrap();
    // A connection is begun for as long as something may be sent.
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(patience)).unwrap();
    bind(&socket, &source).unwrap();
    connect(&socket, &to).is_ok()
}

#[test]
fn a_network_may_ignore_what_input_says() {
    needs_world!();
    let world = World::new();
    world.host.run("nft add table inet other");
    world
        .host
        .run("nft add chain inet other i { type filter hook input priority 0 ; policy drop ; }");
    let ignoring = Network { input_policy: HostPolicy::Ignore, ..network(0) };
    let (server, _) = world.container(&ignoring, 2, &["8080:80"]);
    let (other, _) = world.container(&network(1), 2, &["8081:80"]);
    server.serve(80);
    other.serve(80);

    assert!(world.peer.connects("192.0.2.1:8080"));
    assert!(!world.peer.connects("192.0.2.1:8081"));
}

#[test]
fn the_ruleset_is_afterwards_what_it_was_before() {
    needs_world!();
    let world = World::new();
    world.host.run("nft add table inet other");
    world.host.run("nft add chain inet other i { type filter hook input priority 0 ; }");
    world.host.run("nft add rule inet other i ip saddr 192.0.2.9 drop");
    let before = world.host.ruleset();
    let (_one, first) = world.container(&network(0), 2, &["8080:80", "9000-9099:9000-9099/udp"]);
    let (_two, second) = world.container(&network(1), 2, &["127.0.0.1:8080:80"]);
    assert_ne!(world.host.ruleset(), before);
    // A client is remembered.
    let to = "192.0.2.1:8080".parse().unwrap();
    world.peer.within(|| drop(TcpStream::connect_timeout(&to, PATIENCE)));
    assert!(world.host.ruleset().contains("192.0.2.2"), "{}", world.host.ruleset());

    world.host.within(|| {
        let firewall = Firewall::open().unwrap();
        for plan in [&first, &second] {
            firewall.lower(plan).unwrap();
            firewall.drop_network(&plan.attachments[0].network).unwrap();
        }
    });

    assert_eq!(world.host.ruleset(), before);
}
