//! pasta: a process that passes on between a network namespace and the host without any right there.
//!
//! ```text
//!   host's sockets ◀──▶ pasta ◀──▶ a tap device in the namespace
//! ```
//!
//! It is a program of others' (package passt). It goes into the background when everything is in place,
//! so its start ends with the answer whether it could: a port in use, a device that is missing. From
//! then on a file has its number; whoever ends it proves first that the number is still its own.

use crate::{
    InterfaceAddress, Outlet, Protocol, Publication, Subnet, handle,
    inside::within,
    link::{self, Which},
};
use dhow_base::{Doing, Error, Kind, Result, file};
use dhow_sys::{
    namespace,
    netlink::{self, Netlink, Request},
    pidfd,
    procfs::Procfs,
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, PidfdFlags, Signal, pidfd_open},
    thread::ThreadNameSpaceType,
};
use std::{
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

const PROGRAM: &str = "pasta";
const PID_LIMIT_BYTES: u64 = 64;

/// How long a killed process may take to be gone. Mostly it needs less than a millisecond.
const PATIENCE: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// What is passed on without being asked for: nothing of either side.
const NOTHING: [(&str, &[&str]); 4] = [
    ("none", &["-t", "--tcp-ports"]),
    ("none", &["-u", "--udp-ports"]),
    ("none", &["-T", "--tcp-ns"]),
    ("none", &["-U", "--udp-ns"]),
];

/// The device of published ports in a namespace that has others.
const DEVICE: &str = "dhow-ports";

/// Its address of IPv4 there, and the other end's (RFC 3927): nobody else hears of them.
const END4: End = End {
    own: IpAddr::V4(Ipv4Addr::new(169, 254, 89, 2)),
    gateway: IpAddr::V4(Ipv4Addr::new(169, 254, 89, 1)),
    prefix: 30,
};

/// The same of IPv6. What comes from the host's own loopback has the other end's address, and that has to be
/// one of the link's (RFC 4291): pasta would take one of the host's in its place.
const END6: End = End {
    own: IpAddr::V6(Ipv6Addr::new(0xfd5d, 0x3c8a, 0x91e7, 0x59, 0, 0, 0, 2)),
    gateway: IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1)),
    prefix: 126,
};

/// Who answers to such an address: the device, by its own on the link.
const ON_LINK: InterfaceAddress = InterfaceAddress {
    address: IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2)),
    prefix: 64,
};

/// The addresses of one version.
#[derive(Clone, Copy, Debug)]
struct End {
    own: IpAddr,
    gateway: IpAddr,
    prefix: u8,
}

/// The table of routes for answers.
const TABLE: u32 = 89;

/// Nothing is said to the namespace but what arrives at ports, and who is at the other end: without
/// answers to neighbours no packet of IPv6 finds its way there, and `--no-icmp` stops these too.
const PORTS_ONLY: [&str; 7] = ["-I", DEVICE, "-n", "30", "--no-dhcp", "--no-dhcpv6", "--no-ra"];

/// The host is not reached at its gateway's address, where its loopback would be.
const NO_HOST: (&str, &str) = ("--no-map-gw", "--map-gw");

/// A process that passes on; it ends with this value.
#[derive(Debug)]
pub struct Pasta {
    process: Option<OwnedFd>,
    pid_file: PathBuf,
}

impl Pasta {
    /// Gives a namespace the host's addresses, and passes on what leaves it and what comes in at these
    /// ports.
    pub fn connect(
        outlet: &Outlet,
        namespace: BorrowedFd<'_>,
        publications: &[Publication],
    ) -> Result<Self> {
        let mut words = vec!["--config-net".to_owned()];
        words.extend(words_of(&outlet.options, publications)?);
        detect(namespace, Detection::Off)?;
        let started = Self::start(&outlet.pid_file, namespace, &words);
        detect(namespace, Detection::Usual)?;
        started
    }

    /// Passes on what comes in at these ports, and nothing that leaves: the namespace is connected
    /// otherwise. What is passed on needs a way [back](Self::lead_back).
    pub fn publish(
        outlet: &Outlet,
        namespace: BorrowedFd<'_>,
        publications: &[Publication],
    ) -> Result<Self> {
        let mut words: Vec<String> = PORTS_ONLY.map(str::to_owned).to_vec();
        for End { own, gateway, .. } in [END4, END6] {
            words.extend(["-a".to_owned(), own.to_string()]);
            words.extend(["-g".to_owned(), gateway.to_string()]);
        }
        words.extend(words_of(&outlet.options, publications)?);
        Self::start(&outlet.pid_file, namespace, &words)
    }

    /// Gives its device in the namespace an address, from which answers go back the way that the
    /// questions came, and not to where the default route leads.
    pub fn lead_back(&self, namespace: BorrowedFd<'_>) -> Result<()> {
        let doing = || "lead answers of published ports back";
        let inside = within(namespace, || Netlink::open(netlink::Protocol::Route).doing(doing))?;
        let device = link::find(&inside, DEVICE).doing(doing)?.ok_or_else(|| {
            Error::new(Kind::NotFound, format!("find the device {DEVICE} that it has made"))
        })?;
        let which = Which::Index(device.index);
        // None of its addresses may be asked about (see `Detection`). A kernel without IPv6 refuses all this.
        let wishes = vec![
            link::without_own_address(which).doing(doing)?,
            link::address(device.index, END6.address()),
            link::address(device.index, ON_LINK),
        ];
        let has_six = inside.ask_all(wishes).doing(doing)?.iter().all(io::Result::is_ok);
        // What it has not heard of yet, it cannot send to.
        let mut requests = vec![
            link::announcing(which).doing(doing)?,
            link::address(device.index, END4.address()),
            link::up(which).doing(doing)?,
        ];
        requests.extend(END4.way_back(device.index));
        if has_six {
            requests.extend(END6.way_back(device.index));
        }
        let answers = inside.ask_all(requests).doing(doing)?;
        answers.into_iter().try_for_each(|answer| answer.map(drop)).doing(doing)
    }

    fn start(pid_file: &Path, namespace: BorrowedFd<'_>, words: &[String]) -> Result<Self> {
        end(pid_file)?;
        // It takes a path, parts with rights before it opens that, and closes what it was not told of:
        // so neither our fds nor the process in the namespace would do.
        let path = namespace_file(pid_file);
        handle::hold(namespace, &path).doing(|| "show it the namespace")?;
        let output = Command::new(PROGRAM)
            .args(["--quiet", "--no-netns-quit", "--pid"])
            .arg(pid_file)
            .args(words)
            .arg("--netns")
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .output()
            .map_err(missing);
        let released = handle::release(&path);
        let output = output?;
        if !output.status.success() {
            // It may have been as far as its file.
            let _gone = end(pid_file);
            return Err(refusal(&String::from_utf8_lossy(&output.stderr)));
        }
        released?;
        let process = find(pid_file)?;
        Ok(Self { process, pid_file: pid_file.to_owned() })
    }

    /// Leaves it to live on, for who finds it by its file.
    pub fn leave(mut self) {
        self.process = None;
    }
}

/// Whether a new device asks its neighbours for who has its address of the link already (`accept_dad`).
///
/// Such a question's sender is `::`, and pasta of 2023 takes the last sender for where the container is: what
/// comes in by IPv6 is lost from then on, until the container has sent something itself. There is nobody
/// else at the link.
#[derive(Clone, Copy, Debug)]
enum Detection {
    Off,
    Usual,
}

fn detect(inside: BorrowedFd<'_>, detection: Detection) -> Result<()> {
    let value = match detection {
        Detection::Off => b"0",
        Detection::Usual => b"1",
    };
    let write = || {
        namespace::join(inside, ThreadNameSpaceType::NETWORK)
            .doing(|| "enter the container's net namespace")?;
        let host = Procfs::of_host().doing(|| "check /proc")?;
        match host.write(Path::new("sys/net/ipv6/conf/default/accept_dad"), value) {
            // A kernel without IPv6.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            written => written.doing(|| "set whether addresses of IPv6 are asked about"),
        }
    };
    // Who has no rights over the host does not come back from there: a thread of its own goes.
    let thread = || Error::new(Kind::Internal, "work in a thread");
    thread::scope(|scope| scope.spawn(write).join()).map_err(|_| thread())?
}

impl End {
    fn address(self) -> InterfaceAddress {
        InterfaceAddress { address: self.own, prefix: self.prefix }
    }

    /// Whatever has the address for its sender leaves by the device.
    fn way_back(self, device: i32) -> [Request; 2] {
        let everywhere = Subnet::around(self.own, 0).expect("every address is somewhere");
        let way = link::Way {
            gateway: Some(self.gateway),
            table: TABLE,
            ..link::Way::to(everywhere, device)
        };
        [way.request(), link::rule_from(self.own, TABLE)]
    }
}

impl Drop for Pasta {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            kill(&process);
            let _removed = file::remove_if_there(&self.pid_file);
        }
    }
}

/// Ends the process whose number a file has, if it lives; that there is none is fine.
pub fn end(pid_file: &Path) -> Result<()> {
    let path = namespace_file(pid_file);
    if path.exists() {
        // Who began it was killed before it had answered: it may be about to write its number. Without
        // the path it cannot begin any more, and what has begun is found by its words.
        handle::release(&path)?;
        given(pid_file)?.iter().for_each(kill);
    }
    if let Some(process) = find(pid_file)? {
        kill(&process);
    }
    file::remove_if_there(pid_file)
}

/// All processes that were given this file to write their number into.
fn given(pid_file: &Path) -> Result<Vec<OwnedFd>> {
    let mut found = Vec::new();
    for pid in dhow_sys::process::all().doing(|| "list processes")? {
        found.extend(process_given(pid, pid_file)?);
    }
    Ok(found)
}

/// Where the namespace is bound for the moment in which it is opened.
fn namespace_file(pid_file: &Path) -> PathBuf {
    pid_file.with_extension("net")
}

/// Whether the process whose number a file has lives.
pub fn lives(pid_file: &Path) -> Result<bool> {
    Ok(find(pid_file)?.is_some())
}

fn kill(process: &OwnedFd) {
    // One that has ended already is as good.
    let _sent = pidfd::send_signal(process.as_fd(), Signal::KILL.as_raw());
    let mut end = [PollFd::new(process, PollFlags::IN)];
    while let Err(Errno::INTR) = poll(&mut end, Some(&PATIENCE)) {}
}

/// The process that a file tells of: one of this program's that was given this very file.
fn find(pid_file: &Path) -> Result<Option<OwnedFd>> {
    let text = match file::read_limited(pid_file, PID_LIMIT_BYTES) {
        Ok(text) => text,
        Err(error) if error.kind() == Kind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let pid = String::from_utf8_lossy(&text).trim().parse().ok().and_then(Pid::from_raw);
    pid.map_or(Ok(None), |pid| process_given(pid, pid_file))
}

/// The process with this number, if it was given this file.
fn process_given(pid: Pid, pid_file: &Path) -> Result<Option<OwnedFd>> {
    let process = match pidfd_open(pid, PidfdFlags::empty()) {
        Err(Errno::SRCH | Errno::INVAL) => return Ok(None),
        opened => opened.doing(|| format!("open process {pid}"))?,
    };
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let given = pid_file.as_os_str().as_encoded_bytes();
    let is_it = line.split(|&byte| byte == 0).any(|word| word == given);
    Ok(is_it.then_some(process))
}

/// The words of a command line: the user's, and what they leave unsaid.
fn words_of(options: &[String], publications: &[Publication]) -> Result<Vec<String>> {
    let mut words = options.to_vec();
    let says = |names: &[&str]| {
        options.iter().any(|own| names.iter().any(|name| own.split('=').next() == Some(name)))
    };
    let mut has = [says(NOTHING[0].1), says(NOTHING[1].1)];
    for publication in publications {
        let flag = match publication.protocol {
            Protocol::Tcp => "-t",
            Protocol::Udp => "-u",
            Protocol::Sctp => {
                let text = format!("publish port {}/sctp", publication.host_port);
                return Err(Error::new(Kind::Unsupported, text)
                    .hint("for users who are not root there are tcp and udp"));
            }
        };
        has[usize::from(publication.protocol == Protocol::Udp)] = true;
        words.extend([flag.to_owned(), port(publication)]);
    }
    for (place, (value, names)) in NOTHING.iter().enumerate() {
        if !says(names) && !has.get(place).is_some_and(|has| *has) {
            words.extend([names[0].to_owned(), (*value).to_owned()]);
        }
    }
    if !says(&[NO_HOST.0, NO_HOST.1]) {
        words.push(NO_HOST.0.to_owned());
    }
    // Later programs say it so; this one has no such word.
    words.retain(|word| word != NO_HOST.1);
    Ok(words)
}

fn port(publication: &Publication) -> String {
    let Publication { host_port, container_port, .. } = publication;
    match publication.host {
        Some(IpAddr::V4(address)) => format!("{address}/{host_port}:{container_port}"),
        Some(IpAddr::V6(address)) => format!("{address}/{host_port}:{container_port}"),
        None => format!("{host_port}:{container_port}"),
    }
}

fn missing(error: std::io::Error) -> Error {
    let kind = match error.kind() {
        ErrorKind::NotFound => Kind::Unsupported,
        _ => Kind::Internal,
    };
    Error::new(kind, format!("run {PROGRAM}"))
        .because(error)
        .hint("install the package passt, or use --network none or host")
}

fn refusal(said: &str) -> Error {
    // Where there is no system logger it says so each time.
    let lines = said.lines().filter(|line| !line.contains("bytes to syslog"));
    let said: Vec<&str> = lines.map(str::trim).filter(|line| !line.is_empty()).collect();
    let (text, kind) = (said.join("; "), kind_of(said.join(" ").as_str()));
    let error = Error::new(kind, format!("connect the namespace by {PROGRAM}: {text}"));
    match text.contains("/dev/net/tun") {
        true => error.hint("/dev/net/tun must be open to all users (mode 0666), as usual"),
        false => error,
    }
}

fn kind_of(said: &str) -> Kind {
    match said {
        said if said.contains("bind") || said.contains("in use") => Kind::Conflict,
        said if said.contains("ermission denied") => Kind::Denied,
        _ => Kind::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publication(text: &str) -> Publication {
        Publication::parse(text).unwrap().remove(0)
    }

    #[test]
    fn what_is_unsaid_is_passed_on_nowhere() {
        let words = words_of(&[], &[]).unwrap();
        assert_eq!(words.join(" "), "-t none -u none -T none -U none --no-map-gw");

        let ports = [publication("8080:80"), publication("127.0.0.1:53:53/udp")];
        let words = words_of(&["-T".into(), "22".into(), "--map-gw".into()], &ports).unwrap();
        assert_eq!(words.join(" "), "-T 22 -t 8080:80 -u 127.0.0.1/53:53 -U none");

        let words = words_of(&["--tcp-ports=auto".into()], &[]).unwrap();
        assert_eq!(words.join(" "), "--tcp-ports=auto -u none -T none -U none --no-map-gw");
        assert!(words_of(&[], &[publication("9:9/sctp")]).is_err());
    }

    #[test]
    fn one_whose_starter_was_killed_is_found_by_its_words() {
        let directory = tempfile::tempdir().unwrap();
        let pid_file = directory.path().join("pasta.pid");
        let mut command = Command::new("sh");
        command.args(["-c", "read line", "sh", "--pid"]).arg(&pid_file).stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();

        // Nothing says that somebody was killed.
        end(&pid_file).unwrap();
        assert!(child.try_wait().unwrap().is_none());
        std::fs::write(namespace_file(&pid_file), "").unwrap();
        end(&pid_file).unwrap();

        assert!(!child.wait().unwrap().success());
        assert!(!namespace_file(&pid_file).exists());
    }

    #[test]
    fn a_number_is_believed_only_of_who_was_given_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let pid_file = directory.path().join("pasta.pid");
        assert!(!lives(&pid_file).unwrap());
        for text in ["1\n", "x", "", "-5", &std::process::id().to_string()] {
            std::fs::write(&pid_file, text).unwrap();
            assert!(!lives(&pid_file).unwrap(), "{text}");
        }
        end(&pid_file).unwrap();
        assert!(!pid_file.exists());
    }
}
