//! The host's ports that lead to a container, bound so that nothing else can have them.
//!
//! Packets for a published port are led away before any socket sees them. These sockets keep others
//! from the port, and the kernel from giving it out; so a port that somebody uses is found out before
//! the container starts. They live as long as the process that holds them.
//!
//! None of them listens: where the rules are gone for a moment, who connects is refused at once and
//! does not wait for a program that never answers. What arrives in datagrams is thrown away unread. At
//! `::1` the kernel lets no answer come back from elsewhere: there is a second socket there, a door,
//! which a [`Relay`](crate::Relay) serves.

use crate::{Protocol, Publication};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_sys::{filter::Instruction, packet_filter};
use rustix::{
    io::Errno,
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, getsockname, ipproto,
        socket_with, sockopt,
    },
    process::{Resource, Rlimit},
};
use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    thread,
    time::{Duration, Instant},
};

/// With more sockets than these the process would have none left for its own work.
const MOST_WITHOUT_ROOM: usize = 256;

/// So many fds are left for the process's other files.
const OTHER_FILES: u64 = 256;

/// How long a port may be kept by a process that is gone: some ticks of the slowest usual clock, 100 Hz.
const LAST_TICK: Duration = Duration::from_millis(50);

/// How many connections may wait at a door.
const BACKLOG: i32 = 64;

/// Return nothing: no byte of any packet is kept.
const NOTHING: [Instruction; 1] = [Instruction { code: 0x06, jt: 0, jf: 0, k: 0 }];

/// The tables of sockets of the network namespace that this thread is in.
const TABLES: &str = "/proc/thread-self/net";

/// `TCP_TIME_WAIT`, as `/proc/net/tcp` has it: a connection that is over and is remembered.
const OVER: &str = "06";

/// `TCP_LISTEN`.
const LISTENING: &str = "0A";

/// Ports that nothing else can bind while this is alive.
#[derive(Debug, Default)]
pub struct Held {
    sockets: Vec<OwnedFd>,
    /// Sockets at `::1`, where no packet can be led away; see [`Relay`](crate::Relay).
    doors: Vec<(Publication, OwnedFd)>,
}

impl Held {
    /// Binds all of them, in the network namespace that the process is in, and returns them with the
    /// ports that they got, in the same order. Nothing is held where one of them cannot be had.
    pub fn bind(wanted: &[Publication]) -> Result<(Self, Vec<Publication>)> {
        // A port may have a door besides.
        let room = Room::for_sockets(wanted.len() * 2)?;
        let mut held = Self::default();
        let mut bound: Vec<Option<Publication>> = vec![None; wanted.len()];
        // Those of the kernel's choice come last, so that it does not choose one that is asked for.
        let is_named = |one: &Publication| one.host_port != 0 && one.host_port_last.is_none();
        let mut ports = Vec::new();
        for round in [true, false] {
            for (place, publication) in wanted.iter().enumerate() {
                if is_named(publication) == round {
                    let port = held.hold(publication)?;
                    ports.push(port.clone());
                    bound[place] = Some(port);
                }
            }
        }
        held.open_doors(ports);
        if let Some(room) = room {
            held.sockets = room.move_up(std::mem::take(&mut held.sockets))?;
            let (ports, doors): (Vec<_>, Vec<_>) =
                std::mem::take(&mut held.doors).into_iter().unzip();
            held.doors = ports.into_iter().zip(room.move_up(doors)?).collect();
        }
        Ok((held, bound.into_iter().flatten().collect()))
    }

    /// How many sockets there are.
    pub fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// The sockets at `::1`, each with the port that it is for; once.
    pub fn take_doors(&mut self) -> Vec<(Publication, OwnedFd)> {
        std::mem::take(&mut self.doors)
    }

    /// Opens the doors, in the order in which the ports were held. They are less than the ports: where
    /// fds are short, some have none. Without IPv6 there is no such address, and nobody who asks for it.
    fn open_doors(&mut self, ports: Vec<Publication>) {
        let limit = rustix::process::getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let most = limit.saturating_sub(OTHER_FILES);
        for (socket, port) in self.sockets.iter().zip(ports) {
            match open_door(socket, &port) {
                Ok(Some(door)) if u64::from(door.as_raw_fd().unsigned_abs()) > most => return,
                Ok(Some(door)) => self.doors.push((port, door)),
                Ok(None) | Err(_) => {}
            }
        }
    }

    fn hold(&mut self, one: &Publication) -> Result<Publication> {
        let first = one.host_port;
        let last = one.host_port_last.unwrap_or(first);
        // Of a range another one will do.
        let hold = if first == last { hold_named } else { hold_at };
        for port in first..=last {
            match hold(one, port) {
                Ok((port, socket)) => {
                    self.sockets.push(socket);
                    return Ok(Publication {
                        host_port: port,
                        host_port_last: None,
                        ..one.clone()
                    });
                }
                Err(refusal) if refusal.errno == Errno::ADDRINUSE && port < last => {}
                Err(refusal) => return Err(refusal.into_error(one, first..=port)),
            }
        }
        Err(Error::new(Kind::Invalid, format!("publish ports {first}-{last}: there are none")))
    }
}

/// An address that could not be bound.
#[derive(Debug)]
struct Refusal {
    at: SocketAddr,
    errno: Errno,
}

impl Refusal {
    fn into_error(self, publication: &Publication, ports: RangeInclusive<u16>) -> Error {
        let name = publication.protocol.name();
        let (first, last) = (*ports.start(), *ports.end());
        let at = publication.host.map(|host| format!(" at {host}")).unwrap_or_default();
        let doing = match (first, first == last) {
            (0, _) => format!("publish port {}/{name}{at}", publication.container_port),
            (_, true) => format!("publish port {first}/{name}{at}"),
            (_, false) => format!("publish one of the ports {first}-{last}/{name}{at}"),
        };
        let cause = std::io::Error::from(self.errno);
        match self.errno {
            Errno::ADDRINUSE => {
                let user = user_of(publication.protocol, self.at);
                let why = match &user {
                    Some(user) => format!("the port is in use by {user}"),
                    None => "the port is in use".to_owned(),
                };
                let cause = Error::new(Kind::Conflict, why);
                Error::new(Kind::Conflict, doing)
                    .because(cause)
                    .hint("choose another port, or leave it out to have a free one chosen")
            }
            Errno::ADDRNOTAVAIL => Error::new(Kind::Invalid, doing)
                .because(cause)
                .hint("no device of the host has this address"),
            Errno::ACCESS | Errno::PERM => Error::new(Kind::Denied, doing)
                .because(cause)
                .hint("see net.ipv4.ip_unprivileged_port_start"),
            Errno::MFILE | Errno::NFILE => Error::new(Kind::Exhausted, doing)
                .because(cause)
                .hint("raise the limit of open files (ulimit -Hn): each port takes one"),
            _ => Error::new(Kind::Internal, doing).because(cause),
        }
    }
}

/// Binds a publication's port at the host's address, and says which one it got. A socket at
/// everybody's address of IPv6 has IPv4's as well, unless the kernel has no IPv6.
fn hold_at(publication: &Publication, port: u16) -> Result<(u16, OwnedFd), Refusal> {
    let anywhere: [IpAddr; 2] = [Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()];
    let addresses = match &publication.host {
        Some(address) => std::slice::from_ref(address),
        None => &anywhere,
    };
    let mut refusal = None;
    for address in addresses {
        let at = SocketAddr::new(*address, port);
        let has_both = publication.host.is_none() && at.is_ipv6();
        match hold_one(publication.protocol, at, has_both) {
            Ok(held) => return Ok(held),
            Err(errno) => refusal = Some(Refusal { at, errno }),
        }
        let has_no_ipv6 = [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL];
        if refusal.as_ref().is_some_and(|refusal| !has_no_ipv6.contains(&refusal.errno)) {
            break;
        }
    }
    Err(refusal.expect("there is an address"))
}

/// Holds a port that somebody seems to have but nobody is seen with: the kernel closes the sockets of a
/// process that has ended up to a tick after it can be told of that end (seen with pasta, Linux 6.18).
fn hold_named(publication: &Publication, port: u16) -> Result<(u16, OwnedFd), Refusal> {
    let deadline = Instant::now() + LAST_TICK;
    loop {
        match hold_at(publication, port) {
            Err(refusal)
                if refusal.errno == Errno::ADDRINUSE
                    && Instant::now() < deadline
                    && user_of(publication.protocol, refusal.at).is_none() =>
            {
                thread::sleep(Duration::from_millis(1));
            }
            result => return result,
        }
    }
}

fn hold_one(protocol: Protocol, at: SocketAddr, has_both: bool) -> Result<(u16, OwnedFd), Errno> {
    match hold_socket(protocol, at, has_both, Reuse::No) {
        // Linux keeps a port for a minute after its last connection. That is no reason not to have
        // it; who else only waits for it to pass finds the port taken all the same.
        Err(Errno::ADDRINUSE) if protocol == Protocol::Tcp && is_only_remembered(at) => {
            hold_socket(protocol, at, has_both, Reuse::OfConnectionsThatAreOver)
        }
        // This kernel has no SCTP of its own to take the port from us; another container has.
        Err(Errno::PROTONOSUPPORT | Errno::SOCKTNOSUPPORT) => hold_name(protocol, at),
        held => held,
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reuse {
    No,
    OfConnectionsThatAreOver,
}

fn hold_socket(
    protocol: Protocol,
    at: SocketAddr,
    has_both: bool,
    reuse: Reuse,
) -> Result<(u16, OwnedFd), Errno> {
    let family = if at.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let (kind, number) = match protocol {
        Protocol::Tcp => (SocketType::STREAM, ipproto::TCP),
        Protocol::Udp => (SocketType::DGRAM, ipproto::UDP),
        Protocol::Sctp => (SocketType::STREAM, ipproto::SCTP),
    };
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, Some(number))?;
    if at.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, !has_both)?;
    }
    if protocol == Protocol::Udp {
        packet_filter::attach(socket.as_fd(), &NOTHING)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    }
    if reuse == Reuse::OfConnectionsThatAreOver {
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    bind(&socket, &at)?;
    if reuse == Reuse::OfConnectionsThatAreOver {
        // Without it, nobody can listen at this port even who says that it may be used twice.
        sockopt::set_socket_reuseaddr(&socket, false)?;
    }
    let got = SocketAddr::try_from(getsockname(&socket)?)?;
    Ok((got.port(), socket))
}

/// A socket for the same port at `::1`, where packets are not led away; none where the port is not
/// published there. The kernel gives it to who says so as long as the one that holds the port does too.
fn open_door(held: &OwnedFd, one: &Publication) -> Result<Option<OwnedFd>, Errno> {
    let at = one.host.unwrap_or(Ipv6Addr::UNSPECIFIED.into());
    let kind = match one.protocol {
        Protocol::Tcp => SocketType::STREAM,
        Protocol::Udp => SocketType::DGRAM,
        Protocol::Sctp => return Ok(None),
    };
    if ![IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::LOCALHOST)].contains(&at) {
        return Ok(None);
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let door = socket_with(AddressFamily::INET6, kind, flags, None)?;
    sockopt::set_ipv6_v6only(&door, true)?;
    sockopt::set_socket_reuseaddr(&door, true)?;
    sockopt::set_socket_reuseaddr(held, true)?;
    let bound = bind(&door, &SocketAddr::new(Ipv6Addr::LOCALHOST.into(), one.host_port));
    let listens = match (&bound, one.protocol) {
        (Ok(()), Protocol::Tcp) => rustix::net::listen(&door, BACKLOG),
        _ => Ok(()),
    };
    sockopt::set_socket_reuseaddr(held, false)?;
    bound.and(listens)?;
    sockopt::set_socket_reuseaddr(&door, false)?;
    Ok(Some(door))
}

/// Holds a port by a name that only one process of this network namespace can have.
fn hold_name(protocol: Protocol, at: SocketAddr) -> Result<(u16, OwnedFd), Errno> {
    // The range from which kernels choose by themselves.
    let ports = if at.port() == 0 { 32768..=60999 } else { at.port()..=at.port() };
    for port in ports {
        let name = format!("dhow/port/{}/{}", protocol.name(), SocketAddr::new(at.ip(), port));
        let kind = SocketType::DGRAM;
        let socket = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
        match bind(&socket, &SocketAddrUnix::new_abstract_name(name.as_bytes())?) {
            Ok(()) => return Ok((port, socket)),
            Err(Errno::ADDRINUSE) => {}
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::ADDRINUSE)
}

/// A line of `/proc/net/tcp` and its kin that is about this port at this address or at everybody's.
fn lines_about(protocol: Protocol, at: SocketAddr) -> Vec<Vec<String>> {
    let name = protocol.name();
    let mut lines = Vec::new();
    for (table, is_ipv6) in
        [(format!("{TABLES}/{name}"), false), (format!("{TABLES}/{name}6"), true)]
    {
        for line in fs::read_to_string(table).unwrap_or_default().lines().skip(1) {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let local = words.get(1).and_then(|word| parse_local(word));
            let is_it = local.is_some_and(|local| {
                let is_anywhere = local.ip().is_unspecified() || at.ip().is_unspecified();
                local.port() == at.port() && (is_anywhere || local.ip() == at.ip())
            });
            if is_it && (is_ipv6 || at.is_ipv4() || at.ip().is_unspecified()) {
                lines.push(words);
            }
        }
    }
    lines
}

/// `0100007F:1F90`: words of four bytes in the machine's order, and the port.
fn parse_local(word: &str) -> Option<SocketAddr> {
    let (address, port) = word.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words = address.as_bytes().chunks(8);
    let mut bytes = Vec::new();
    for word in words {
        let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let address: IpAddr = match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok()?.into(),
        _ => <[u8; 16]>::try_from(bytes).ok()?.into(),
    };
    Some(SocketAddr::new(address, port))
}

/// Whether only connections that are over have the port, or such that the kernel alone brings to their
/// end since their process is gone.
fn is_only_remembered(at: SocketAddr) -> bool {
    let lines = lines_about(Protocol::Tcp, at);
    let is_over = |words: &Vec<String>| {
        let state = words.get(3).map(String::as_str);
        let is_nobody_s = words.get(9).is_some_and(|inode| inode == "0");
        state == Some(OVER) || (is_nobody_s && state != Some(LISTENING))
    };
    !lines.is_empty() && lines.iter().all(is_over)
}

/// Who has a port, as far as it can be seen: a process that listens or receives there.
fn user_of(protocol: Protocol, at: SocketAddr) -> Option<String> {
    let lines = lines_about(protocol, at);
    let is_user = |words: &&Vec<String>| protocol != Protocol::Tcp || words[3] == LISTENING;
    let inode = lines.iter().find(is_user)?.get(9)?;
    let link = format!("socket:[{inode}]");
    for pid in dhow_sys::process::all().ok()? {
        let mut fds = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let has_it = |fd: fs::DirEntry| {
            fs::read_link(fd.path()).is_ok_and(|target| target.as_os_str() == link.as_str())
        };
        if fds.any(has_it) {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            return Some(format!("{} (process {pid})", name.trim()));
        }
    }
    None
}

/// Room for more sockets than a process has by default, out of the way of its other files: the limit
/// is raised for as long as they are made, and they get numbers above it. The limit must be as it was
/// afterwards, since the container's program inherits it.
#[derive(Debug)]
struct Room {
    usual: Rlimit,
}

impl Room {
    /// None where the sockets are few.
    fn for_sockets(count: usize) -> Result<Option<Self>> {
        if count <= MOST_WITHOUT_ROOM {
            return Ok(None);
        }
        let usual = rustix::process::getrlimit(Resource::Nofile);
        if usual.current == usual.maximum {
            // There is no room above the usual.
            return Ok(None);
        }
        let raised = Rlimit { current: usual.maximum, maximum: usual.maximum };
        rustix::process::setrlimit(Resource::Nofile, raised)
            .doing(|| format!("make room for {count} ports"))?;
        Ok(Some(Self { usual }))
    }

    /// Gives the sockets numbers above the usual limit.
    fn move_up(&self, sockets: Vec<OwnedFd>) -> Result<Vec<OwnedFd>> {
        let first = self.usual.current.and_then(|limit| i32::try_from(limit).ok()).unwrap_or(0);
        let up = |socket: OwnedFd| rustix::io::fcntl_dupfd_cloexec(&socket, first);
        let moved: Result<Vec<_>, _> = sockets.into_iter().map(up).collect();
        moved.doing(|| "hold so many ports: raise the limit of open files (ulimit -Hn)")
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // It is lowered to what it was, which nothing refuses.
        let _lowered = rustix::process::setrlimit(Resource::Nofile, self.usual);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_testkit::need;
    use rustix::thread::ThreadNameSpaceType;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    /// Moves this thread to a network namespace of its own, with a loopback that is up.
    fn alone() -> bool {
        if !need::root() {
            need::skip("root");
            return false;
        }
        dhow_sys::namespace::leave(ThreadNameSpaceType::NETWORK).unwrap();
        dhow_sys::loopback::bring_up().unwrap();
        true
    }

    fn bind_all(words: &[&str]) -> Result<(Held, Vec<Publication>)> {
        let all = words.iter().flat_map(|text| Publication::parse(text).unwrap());
        Held::bind(&all.collect::<Vec<_>>())
    }

    #[test]
    fn a_held_port_is_nobody_elses_and_refuses() {
        if !alone() {
            return;
        }

        let (held, all) = bind_all(&["8080:80", "127.0.0.1:53:53/udp", "[::1]:81:81"]).unwrap();

        assert_eq!(all.len(), 3);
        assert!(TcpListener::bind("0.0.0.0:8080").is_err());
        assert!(TcpListener::bind("[::1]:8080").is_err());
        assert!(TcpListener::bind("[::1]:81").is_err());
        assert!(UdpSocket::bind("127.0.0.1:53").is_err());
        assert!(UdpSocket::bind("[::1]:53").is_ok());
        let refused = TcpStream::connect("127.0.0.1:8080").unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        drop(held);
        assert!(TcpListener::bind("0.0.0.0:8080").is_ok());
    }

    #[test]
    fn a_port_in_use_is_told_with_its_user() {
        if !alone() {
            return;
        }
        let _tcp = TcpListener::bind("127.0.0.1:8080").unwrap();
        let _udp = UdpSocket::bind("[::1]:8081").unwrap();

        for (words, doing) in [
            ("8080:80", "publish port 8080/tcp: "),
            ("127.0.0.1:8080:80", "publish port 8080/tcp at 127.0.0.1"),
            ("8081:80/udp", "publish port 8081/udp: "),
            ("8080-8080:80", "publish port 8080/tcp: "),
        ] {
            let refused = bind_all(&["9000:9000", words]).unwrap_err();

            assert_eq!(refused.kind(), Kind::Conflict, "{words}");
            let line = refused.one_line();
            let user = format!("(process {})", std::process::id());
            assert!(line.starts_with(doing) && line.contains(&user), "{line}");
        }
        let elsewhere = bind_all(&["192.0.2.1:80:80"]).unwrap_err();
        assert_eq!(elsewhere.kind(), Kind::Invalid);
        assert!(TcpListener::bind("0.0.0.0:9000").is_ok());
    }

    #[test]
    fn a_port_of_choice_is_free_and_is_not_one_that_was_asked_for() {
        if !alone() {
            return;
        }
        let _used = TcpListener::bind("0.0.0.0:8000").unwrap();

        let (_held, all) = bind_all(&["80", "8000-8002:80", "8001:81", "90/udp"]).unwrap();
        let ports: Vec<u16> = all.iter().map(|one| one.host_port).collect();

        assert_eq!(ports[1..3], [8002, 8001]);
        assert!(ports[0] != 0 && ports[3] != 0, "{ports:?}");
        assert!(all.iter().all(|one| one.host_port_last.is_none()));
        let all_used = bind_all(&["8000-8002:80"]).unwrap_err();
        assert!(all_used.one_line().contains("one of the ports 8000-8002"), "{all_used:?}");
    }

    /// Both ends of a connection to port 8080, at which nobody listens any more.
    fn connection() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let client = TcpStream::connect("127.0.0.1:8080").unwrap();
        let (server, _) = listener.accept().unwrap();
        (client, server)
    }

    #[test]
    fn a_port_whose_connections_are_over_is_free() {
        if !alone() {
            return;
        }
        let (client, server) = connection();
        // Who closes first is the one that remembers.
        drop(server);
        drop(client);
        let at: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        let remembered =
            need::eventually(Duration::from_secs(20), || is_only_remembered(at).then_some(()));
        assert!(remembered.is_some());

        let (_held, _) = bind_all(&["8080:80"]).unwrap();

        assert!(TcpListener::bind("127.0.0.1:8080").is_err());
        assert!(bind_all(&["8080:80"]).is_err());
    }

    #[test]
    fn a_port_whose_server_is_gone_is_free_however_long_its_clients_stay() {
        if !alone() {
            return;
        }
        let (client, server) = connection();
        assert!(bind_all(&["8080:80"]).is_err(), "a connection that somebody has keeps the port");
        drop(server);

        let (_held, _) = bind_all(&["8080:80"]).unwrap();

        assert!(TcpListener::bind("127.0.0.1:8080").is_err());
        drop(client);
    }

    #[test]
    fn sctp_is_held_with_a_kernel_that_lacks_it_too() {
        if !alone() {
            return;
        }

        let (_held, all) = bind_all(&["7000:7000/sctp", "7001/sctp"]).unwrap();

        assert_ne!(all[1].host_port, 0);
        assert_eq!(bind_all(&["7000:1/sctp"]).unwrap_err().kind(), Kind::Conflict);
        assert!(bind_all(&["7000:1"]).is_ok());
    }

    #[test]
    fn a_thousand_ports_leave_room_for_other_files() {
        if !alone() {
            return;
        }
        let usual = Rlimit { current: Some(256), ..rustix::process::getrlimit(Resource::Nofile) };
        rustix::process::setrlimit(Resource::Nofile, usual).unwrap();

        let (held, all) = bind_all(&["20000-20999:20000-20999"]).unwrap();

        assert_eq!((held.len(), all.len()), (1000, 1000));
        assert_eq!(rustix::process::getrlimit(Resource::Nofile), usual);
        assert!(fs::File::open("/proc/self/status").is_ok());
        assert!(TcpListener::bind("0.0.0.0:20999").is_err());
    }
}
