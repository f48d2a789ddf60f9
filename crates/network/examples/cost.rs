//! What a network costs by itself, without the commands around it: `cost [ROUNDS]` makes, in a network namespace
//! of its own, one bridge, and on it, one after the other, so many containers' namespaces, each with a
//! published port and a resolver, and takes them away again. It prints median and minimum of each part. Needs root.

use dhow_base::{Doing, Error, Kind, Result};
use dhow_network::{
    Attachment, Firewall, Held, InterfaceAddress, Mac, NamedNetwork, Network, Plan, Publication,
    Range, Relay, Resolver, ResolverPlan, Subnet, Watch,
};
use dhow_sys::{
    namespace,
    netlink::{Netlink, Protocol, Request},
};
use rustix::thread::ThreadNameSpaceType;
use std::{
    fs::{self, File},
    io,
    os::fd::AsFd,
    thread,
    time::{Duration, Instant},
};

/// `RTM_NEWLINK`.
const NEW_LINK: u16 = 16;

/// The parts of a round, in their order.
const PARTS: [&str; 9] = [
    "setup: hold the port",
    "setup: devices, addresses, routes",
    "setup: watch the firewall",
    "setup: rules for the port",
    "setup: the door at ::1",
    "setup: the resolver",
    "teardown: let go of port, door, watch, resolver",
    "teardown: rules",
    "afterwards: the kernel takes the namespace",
];

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "an example says what came of it")]
fn main() -> std::process::ExitCode {
    let rounds = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(100);
    let measured = match measure(rounds) {
        Ok(measured) => measured,
        Err(error) => {
            eprintln!("{}", error.one_line());
            return 1.into();
        }
    };
    let by = |word: &str| -> Vec<Duration> {
        let of_word = |round: &Vec<Duration>| {
            let parts = PARTS.iter().zip(round).filter(|(part, _)| part.starts_with(word));
            parts.map(|(_, took)| *took).sum()
        };
        measured.iter().map(of_word).collect()
    };
    for (place, part) in PARTS.iter().enumerate() {
        println!("{part}: {}", shown(measured.iter().map(|round| round[place]).collect()));
    }
    println!("setup: {}", shown(by("setup")));
    println!("teardown: {}", shown(by("teardown")));
    0.into()
}

fn shown(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |place: usize| times.get(place).copied().unwrap_or_default();
    format!("median {:.2?}, minimum {:.2?}", at(times.len() / 2), at(0))
}

fn measure(rounds: u32) -> Result<Vec<Vec<Duration>>> {
    namespace::leave(ThreadNameSpaceType::NETWORK).doing(|| "leave for a network of its own")?;
    bring_loopback_up().doing(|| "bring the loopback up")?;
    // The bridge and the chains are there already when most containers start.
    drop(round(0)?);
    (1..=rounds).map(round).collect()
}

fn round(number: u32) -> Result<Vec<Duration>> {
    let namespace = newborn()?;
    let plan = plan(number)?;
    let resolver = plan.resolver.as_ref().expect("it was just made");
    let mut marks = vec![Instant::now()];
    let mut mark = || marks.push(Instant::now());
    let (mut held, publications) = Held::bind(&plan.publications)?;
    let plan = Plan { publications, ..plan.clone() };
    mark();
    dhow_network::setup(&plan, namespace.as_fd())?;
    mark();
    let watch = Watch::open()?;
    mark();
    Firewall::open()?.raise(&plan)?;
    mark();
    let mut relay = Relay::open(held.take_doors())?;
    relay.aim(&plan);
    mark();
    let resolver = Resolver::open(resolver, namespace.as_fd())?;
    mark();
    drop((held, relay, watch, resolver));
    mark();
    Firewall::open()?.lower(&plan)?;
    mark();
    drop(namespace);
    await_end_of(&plan.attachments[0].host_interface)?;
    mark();
    Ok(marks.windows(2).map(|pair| pair[1].duration_since(pair[0])).collect())
}

/// The next round is not to wait for what the kernel still does for this one.
fn await_end_of(device: &str) -> Result<()> {
    let is_there = || -> Result<bool> {
        let devices = fs::read_to_string("/proc/thread-self/net/dev").doing(|| "list devices")?;
        Ok(devices.lines().any(|line| line.trim_start().starts_with(&format!("{device}:"))))
    };
    while is_there()? {
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn newborn() -> Result<File> {
    let made = || {
        namespace::leave(ThreadNameSpaceType::NETWORK)?;
        bring_loopback_up()?;
        File::open("/proc/thread-self/ns/net")
    };
    let made = thread::scope(|scope| scope.spawn(made).join());
    let made = made.map_err(|_| Error::new(Kind::Internal, "wait for a thread"))?;
    made.doing(|| "make a network namespace")
}

/// By a socket that is closed again, unlike that of a process which is about to become another program: it
/// would hold the namespace.
fn bring_loopback_up() -> io::Result<()> {
    const UP: u32 = 1;
    let mut head = [0; 16];
    for (at, number) in [(4, 1), (8, UP), (12, UP)] {
        head[at..at + 4].copy_from_slice(&number.to_ne_bytes());
    }
    Netlink::open(Protocol::Route)?.ask(Request::new(NEW_LINK, 0, &head)).map(drop)
}

fn plan(number: u32) -> Result<Plan> {
    let subnet: Subnet = "10.88.0.0/16".parse()?;
    let network = Network {
        id: "ab".repeat(32),
        name: "bridge".to_owned(),
        device: "dhow-cost".to_owned(),
        subnets: vec![Range { subnet, gateway: subnet.nth(1), leased: None }],
        ..Network::default()
    };
    let address = subnet.nth(u128::from(number) + 2).ok_or_else(|| {
        Error::new(Kind::Invalid, format!("measure {number} rounds: the subnet has less addresses"))
    })?;
    let [a, b, c, d] = number.to_be_bytes();
    let attachment = Attachment {
        network,
        interface: "eth0".to_owned(),
        host_interface: format!("dv-{number}"),
        mac: Mac::from_random([2, 0x42, a, b, c, d]),
        addresses: vec![InterfaceAddress { address, prefix: subnet.prefix() }],
    };
    let named = NamedNetwork { name: "bridge".to_owned(), directory: "/nowhere".into() };
    Ok(Plan {
        owner: "c1".to_owned(),
        attachments: vec![attachment],
        publications: Publication::parse("8080:80")?,
        resolver: Some(ResolverPlan { networks: vec![named], servers: Vec::new() }),
        ..Plan::default()
    })
}
