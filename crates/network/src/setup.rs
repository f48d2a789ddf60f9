//! A plan's links: a bridge on the host, and a cable from it into each namespace.
//!
//! ```text
//!        host                            container
//!   bridge 10.88.0.1 ── dv-… ═══════════ eth0 10.88.0.5, default via 10.88.0.1
//! ```
//!
//! Two sockets, one in either namespace, and on each one message with everything in it: a device is
//! made with a number of our choice, so that its addresses can follow without an answer in between.
//! The cable dies with the container's namespace. The bridge stays until the network is removed, since
//! making one costs more than all the rest.

use crate::{
    Attachment, Driver, InterfaceAddress, Mac, Mode, Network, Plan, forwarding,
    inside::within,
    link::{self, Link, Stacked, Veth, Which},
    shaping::{self, Bucket},
};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_sys::{
    netlink::{Netlink, Protocol, Request},
    procfs::Procfs,
};
use rustix::io::Errno;
use std::{io, net::IpAddr, os::fd::BorrowedFd, path::PathBuf};

/// The number of the first device in a new namespace: the loopback has 1.
const FIRST_INDEX: i32 = 2;

/// What a further network's default route costs more than the first one's.
const FURTHER_METRIC: u32 = 100;

/// Sets up everything of a plan in a namespace in which there is nothing but the loopback. Half of it
/// is left where that fails: it goes with the namespace. What plugins make is not looked at.
pub fn setup(plan: &Plan, namespace: BorrowedFd<'_>) -> Result<()> {
    if plan.is_empty() {
        return Ok(());
    }
    let sides = Sides::open(namespace)?;
    let all = plan.attachments.iter().enumerate();
    let ours = all.filter(|(_, attachment)| attachment.network.driver != Driver::Cni);
    for (index, (place, attachment)) in (FIRST_INDEX..).zip(ours) {
        sides
            .attach(attachment, place, Some(index))
            .doing(|| format!("connect to network {}", attachment.network.name))?;
    }
    Ok(())
}

/// Connects a namespace that is in use already to one more network, its `place`-th.
pub fn connect(attachment: &Attachment, place: usize, namespace: BorrowedFd<'_>) -> Result<()> {
    if attachment.network.driver == Driver::Cni {
        return Ok(());
    }
    let sides = Sides::open(namespace)?;
    let doing = || format!("connect to network {}", attachment.network.name);
    let interface = &attachment.interface;
    if link::find(&sides.inside, interface).doing(doing)?.is_some() {
        let text = format!("{}: the container has a device {interface} already", doing());
        return Err(Error::new(Kind::Conflict, text));
    }
    let connected = sides.attach(attachment, place, None);
    if connected.is_err() {
        let _gone = sides.detach(attachment);
    }
    connected.doing(doing)
}

/// Takes a namespace's connection away again. That it is gone is fine.
pub fn disconnect(attachment: &Attachment, namespace: BorrowedFd<'_>) -> Result<()> {
    if attachment.network.driver == Driver::Cni {
        return Ok(());
    }
    Sides::open(namespace)?
        .detach(attachment)
        .doing(|| format!("disconnect from network {}", attachment.network.name))
}

/// Takes a network's device away from the host, if it is one that was made for it.
pub fn remove_device(network: &Network) -> Result<()> {
    if network.driver != Driver::Bridge {
        return Ok(());
    }
    let doing = || format!("remove network device {}", network.device);
    let host = open()?;
    match link::find(&host, &network.device).doing(doing)? {
        Some(found) if found.kind == "bridge" => link::remove(&host, found.index).doing(doing),
        _ => Ok(()),
    }
}

fn open() -> Result<Netlink> {
    Netlink::open(Protocol::Route).doing(|| "open a netlink socket")
}

/// Both ends of a cable.
struct Sides<'a> {
    host: Netlink,
    inside: Netlink,
    namespace: BorrowedFd<'a>,
}

impl<'a> Sides<'a> {
    fn open(namespace: BorrowedFd<'a>) -> Result<Self> {
        Ok(Self { host: open()?, inside: within(namespace, open)?, namespace })
    }

    fn attach(&self, attachment: &Attachment, place: usize, index: Option<i32>) -> Result<()> {
        let has_ipv6 = attachment.addresses.iter().any(|own| own.address.is_ipv6());
        let index = match attachment.network.driver {
            Driver::Bridge => {
                self.plug_in(attachment, index)?;
                index
            }
            Driver::Macvlan | Driver::Ipvlan => {
                let own = link::number_apart()?;
                self.stack(attachment, own)?;
                Some(own)
            }
            Driver::Cni => return Ok(()),
        };
        let index = match index {
            Some(index) => index,
            None => self.index_inside(&attachment.interface)?,
        };
        let doing = || format!("set up device {} in the container", attachment.interface);
        let which = Which::Index(index);
        let mut wishes = vec![link::announcing(which).doing(doing)?];
        if has_ipv6 {
            refuse_advertisements(&attachment.interface, Some(self.namespace))?;
        } else {
            wishes.push(link::without_own_address(which).doing(doing)?);
        }
        // A kernel without one of the versions refuses what is said of it.
        let _verdicts = self.inside.ask_all(wishes).doing(doing)?;
        let own = attachment.addresses.iter().map(|own| link::address(index, *own));
        let mut requests: Vec<_> = own.collect();
        requests.push(link::up(which).doing(doing)?);
        requests.extend(
            attachment
                .network
                .egress_bits
                .and_then(Bucket::usual)
                .map(|bucket| shaping::limit(index, bucket)),
        );
        requests.extend(routes(attachment, place, index));
        all(&self.inside, requests).doing(doing)?;
        set_parameters(&attachment.network, self.namespace)
    }

    /// A cable from the bridge, which is made where it is missing.
    fn plug_in(&self, attachment: &Attachment, index: Option<i32>) -> Result<()> {
        let network = &attachment.network;
        let bridge = self.bridge(network).doing(|| format!("set up bridge {}", network.device))?;
        let outside = attachment.host_interface.as_str();
        let veth = Veth {
            outside,
            namespace: self.namespace,
            index: index.unwrap_or(0),
            inside: &attachment.interface,
            mac: attachment.mac,
            mtu: network.mtu,
        };
        let doing = || format!("make network device {outside}");
        let request = veth.request().doing(doing)?;
        match self.host.ask(request.clone()) {
            // Of a life that was killed: the kernel takes its time to clean up.
            Err(error) if error.raw_os_error() == Some(Errno::EXIST.raw_os_error()) => {
                self.remove_outside(outside).doing(doing)?;
                self.host.ask(request).map(drop).doing(doing)?;
            }
            made => made.map(drop).doing(doing)?,
        }
        let which = Which::Name(outside);
        let wishes = vec![
            link::without_own_address(which).doing(doing)?,
            link::enslave(which, bridge.index).doing(doing)?,
        ];
        // Without IPv6 in the kernel the first is refused, and there is nothing to be kept from.
        let plugged = self.host.ask_all(wishes).doing(doing)?.pop();
        plugged
            .unwrap_or(Ok(()))
            .doing(|| format!("plug {outside} into bridge {}", network.device))?;
        if forwarding::sees_bridges() {
            // A container that asks for its own published port is led back by the bridge itself.
            self.host.ask(link::send_back(which).doing(doing)?).map(drop).doing(doing)?;
        }
        let bucket = network.ingress_bits.and_then(Bucket::usual);
        if network.vlan.is_none() && bucket.is_none() {
            return Ok(());
        }
        let port = link::find(&self.host, outside).doing(doing)?;
        let port = port.ok_or_else(|| Error::new(Kind::NotFound, format!("{outside} is gone")))?;
        if let Some(vlan) = network.vlan {
            let tagged = self.host.ask(link::tag(port.index, vlan));
            tagged.map(drop).doing(|| format!("put {outside} into VLAN {vlan}"))?;
        }
        match bucket {
            // What leaves on this side comes in on the other.
            Some(bucket) => self
                .host
                .ask(shaping::limit(port.index, bucket))
                .map(drop)
                .doing(|| format!("limit what {outside} passes on")),
            None => Ok(()),
        }
    }

    fn remove_outside(&self, name: &str) -> io::Result<()> {
        match link::find(&self.host, name)? {
            Some(old) if old.kind == "veth" => link::remove(&self.host, old.index),
            _ => Ok(()),
        }
    }

    /// The network's bridge. It is brought up last, so that one that is up is whole; several may make
    /// it at once, and each does all of it.
    fn bridge(&self, network: &Network) -> Result<Link> {
        let look = || link::find(&self.host, &network.device).doing(|| "look for it");
        let found = match look()? {
            Some(found) => found,
            None => {
                let has_vlans = network.vlan.is_some();
                let request =
                    link::bridge(&network.device, mac_of(&network.id), network.mtu, has_vlans);
                let made = self.host.ask(request.doing(|| "name it")?);
                made.map(drop).or_else(unless_there).doing(|| "make it")?;
                look()?.ok_or_else(|| Error::new(Kind::Conflict, "somebody removed it"))?
            }
        };
        if found.kind != "bridge" {
            let text = "there is a device of this name, which is no bridge";
            return Err(Error::new(Kind::Conflict, text)
                .hint("choose another name with `dhow network create --interface-name`"));
        }
        if found.is_up {
            return Ok(found);
        }
        refuse_advertisements(&network.device, None)?;
        let mut requests = Vec::new();
        for range in &network.subnets {
            if let Some(address) = range.gateway {
                let prefix = range.subnet.prefix();
                requests.push(link::address(found.index, InterfaceAddress { address, prefix }));
            }
        }
        requests.push(link::up(Which::Index(found.index)).doing(|| "name it")?);
        all(&self.host, requests)?;
        Ok(found)
    }

    fn stack(&self, attachment: &Attachment, index: i32) -> Result<()> {
        let network = &attachment.network;
        let doing = || format!("make device {} on {}", attachment.interface, network.device);
        let parent = link::find(&self.host, &network.device).doing(doing)?.ok_or_else(|| {
            Error::new(
                Kind::NotFound,
                format!("{}: the host has no device {}", doing(), network.device),
            )
            .hint("`ip link` lists devices; a network names its own with -o parent=NAME")
        })?;
        let is_macvlan = network.driver == Driver::Macvlan;
        let usual = number_of(if is_macvlan { Mode::Bridge } else { Mode::L2 });
        let stacked = Stacked {
            kind: if is_macvlan { "macvlan" } else { "ipvlan" },
            mode: network.mode.map_or(usual, number_of),
            parent: parent.index,
            namespace: self.namespace,
            index,
            inside: &attachment.interface,
            mac: is_macvlan.then_some(attachment.mac),
            mtu: network.mtu,
        };
        match self.host.ask(stacked.request().doing(doing)?) {
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                let text = format!("{}: this kernel has no {}", doing(), stacked.kind);
                Err(Error::new(Kind::Unsupported, text)
                    .hint(format!("`modprobe {}` may bring it", stacked.kind)))
            }
            made => made.map(drop).doing(doing),
        }
    }

    fn index_inside(&self, name: &str) -> Result<i32> {
        link::find(&self.inside, name)
            .doing(|| format!("look for device {name} in the container"))?
            .map(|found| found.index)
            .ok_or_else(|| Error::new(Kind::NotFound, format!("there is no device {name} inside")))
    }

    fn detach(&self, attachment: &Attachment) -> Result<()> {
        let doing = || format!("remove device {} in the container", attachment.interface);
        match link::find(&self.inside, &attachment.interface).doing(doing)? {
            Some(found) => link::remove(&self.inside, found.index).doing(doing),
            None => Ok(()),
        }
    }
}

/// The kernel's number of a mode (`MACVLAN_MODE_…`, `IPVLAN_MODE_…`).
fn number_of(mode: Mode) -> u32 {
    match mode {
        Mode::Private => 1,
        Mode::Vepa => 2,
        Mode::Bridge => 4,
        Mode::Passthru => 8,
        Mode::L2 => 0,
        Mode::L3 => 1,
        Mode::L3s => 2,
    }
}

/// The ways out: by each network that has one, the first one's first.
fn routes(attachment: &Attachment, place: usize, index: i32) -> Vec<Request> {
    let network = &attachment.network;
    let mut routes = Vec::new();
    let metric = metric(network, place);
    let has = |gateway: IpAddr| {
        attachment.addresses.iter().any(|own| own.address.is_ipv4() == gateway.is_ipv4())
    };
    if !network.internal && network.default_route {
        let gateways = network.subnets.iter().filter_map(|range| range.gateway);
        for gateway in gateways.filter(|gateway| has(*gateway)) {
            routes.push(link::route(index, None, gateway, metric));
        }
    }
    for route in network.routes.iter().filter(|route| has(route.gateway)) {
        routes.push(link::route(index, Some(route.to), route.gateway, route.metric));
    }
    routes
}

/// What the default route by a plan's `place`-th network costs.
pub(crate) fn metric(network: &Network, place: usize) -> Option<u32> {
    let place = u32::try_from(place).expect("networks are few");
    network.metric.or((place > 0).then_some(FURTHER_METRIC + place))
}

/// Addresses and routes are ours to give: nobody on the link announces any (`accept_ra`). Where the
/// kernel has no IPv6 there is no such file.
fn refuse_advertisements(device: &str, namespace: Option<BorrowedFd<'_>>) -> Result<()> {
    let path = PathBuf::from(format!("sys/net/ipv6/conf/{device}/accept_ra"));
    let write = || {
        let host = Procfs::of_host().doing(|| "check /proc")?;
        match host.write(&path, b"0") {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            written => written.doing(|| format!("refuse router advertisements on {device}")),
        }
    };
    match namespace {
        Some(namespace) => within(namespace, write),
        None => write(),
    }
}

/// Writes what a network says of the kernel's parameters in a container.
fn set_parameters(network: &Network, namespace: BorrowedFd<'_>) -> Result<()> {
    if network.sysctls.is_empty() {
        return Ok(());
    }
    within(namespace, || {
        let host = Procfs::of_host().doing(|| "check /proc")?;
        for (key, value) in &network.sysctls {
            let path = PathBuf::from(format!("sys/{}", key.replace('.', "/")));
            host.write(&path, value.as_bytes()).doing(|| format!("set {key} to {value:?}"))?;
        }
        Ok(())
    })
}

/// Sends all, and tells of the first that was refused; what is there already is fine.
fn all(netlink: &Netlink, requests: Vec<Request>) -> Result<()> {
    let verdicts = netlink.ask_all(requests).doing(|| "ask the kernel")?;
    for verdict in verdicts {
        verdict.or_else(unless_there).doing(|| "set addresses and routes")?;
    }
    Ok(())
}

pub(crate) fn unless_there(error: io::Error) -> io::Result<()> {
    if error.raw_os_error() == Some(Errno::EXIST.raw_os_error()) { Ok(()) } else { Err(error) }
}

pub(crate) fn unless_gone(error: io::Error) -> io::Result<()> {
    let gone = [Errno::ADDRNOTAVAIL, Errno::NODEV].map(|errno| Some(errno.raw_os_error()));
    if gone.contains(&error.raw_os_error()) { Ok(()) } else { Err(error) }
}

/// A bridge's own hardware address, the same at each start.
fn mac_of(id: &str) -> Mac {
    let mut bytes = [0; 6];
    for (to, from) in bytes.iter_mut().zip(id.as_bytes().rchunks(2)) {
        *to = u8::from_str_radix(std::str::from_utf8(from).unwrap_or("0"), 16).unwrap_or(0);
    }
    Mac::from_random(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Range, Subnet};
    use dhow_testkit::need;
    use rustix::thread::ThreadNameSpaceType;
    use std::{
        fs::File,
        net::{TcpListener, TcpStream},
        os::fd::AsFd,
        process::Command,
        time::Duration,
    };

    /// What a thread of its own does in a namespace of its own, from which others can be made.
    fn on_host_of_its_own(work: impl FnOnce() + Send) {
        std::thread::scope(|scope| {
            let done = scope.spawn(|| {
                dhow_sys::namespace::leave(ThreadNameSpaceType::NETWORK).unwrap();
                dhow_sys::loopback::bring_up().unwrap();
                work();
            });
            done.join().unwrap();
        });
    }

    fn new_namespace() -> File {
        std::thread::scope(|scope| {
            let made = scope.spawn(|| {
                dhow_sys::namespace::leave(ThreadNameSpaceType::NETWORK).unwrap();
                dhow_sys::loopback::bring_up().unwrap();
                File::open("/proc/thread-self/ns/net").unwrap()
            });
            made.join().unwrap()
        })
    }

    fn network(name: &str, device: &str, subnets: &[&str]) -> Network {
        let range = |text: &&str| {
            let subnet: Subnet = text.parse().unwrap();
            Range { subnet, gateway: subnet.nth(1), leased: None }
        };
        Network {
            id: "ab".repeat(32),
            name: name.to_owned(),
            device: device.to_owned(),
            subnets: subnets.iter().map(range).collect(),
            ..Network::default()
        }
    }

    fn attachment(network: &Network, interface: &str, place: u128) -> Attachment {
        let own = |range: &Range| InterfaceAddress {
            address: range.subnet.nth(place).unwrap(),
            prefix: range.subnet.prefix(),
        };
        let last = u8::try_from(place).unwrap();
        Attachment {
            addresses: network.subnets.iter().map(own).collect(),
            network: network.clone(),
            interface: interface.to_owned(),
            host_interface: format!("dv-{}-{place}", network.device),
            mac: Mac::from_random([2, 0x42, 10, 0, 0, last]),
        }
    }

    fn plan(attachments: Vec<Attachment>) -> Plan {
        Plan { owner: "c1".to_owned(), attachments, ..Plan::default() }
    }

    /// Sends a word over TCP from one namespace to an address in another.
    fn word_passes(from: &File, to: &File, address: IpAddr) {
        let listener = within(to.as_fd(), || Ok(TcpListener::bind((address, 7777)).unwrap()));
        let listener = listener.unwrap();
        let place = (address, 7777).into();
        let wait = Duration::from_secs(10);
        let sent = within(from.as_fd(), || Ok(TcpStream::connect_timeout(&place, wait).unwrap()));

        let (taken, peer) = listener.accept().unwrap();

        assert_eq!(peer, sent.unwrap().local_addr().unwrap());
        drop(taken);
    }

    fn said(namespace: &File, words: &[&str]) -> String {
        within(namespace.as_fd(), || Ok(Command::new("ip").args(words).output().unwrap()))
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
            .unwrap()
    }

    #[test]
    fn containers_of_a_network_reach_each_other_and_the_host() {
        if !need::root() || need::tool("ip").is_none() {
            return need::skip("root and ip");
        }
        on_host_of_its_own(|| {
            let front = network("front", "dh-front", &["10.89.1.0/24", "fd00:89:1::/64"]);
            let (one, two) = (new_namespace(), new_namespace());
            setup(&plan(vec![attachment(&front, "eth0", 2)]), one.as_fd()).unwrap();
            setup(&plan(vec![attachment(&front, "eth0", 3)]), two.as_fd()).unwrap();

            for range in &front.subnets {
                word_passes(&one, &two, range.subnet.nth(3).unwrap());
                let host = File::open("/proc/thread-self/ns/net").unwrap();
                word_passes(&one, &host, range.gateway.unwrap());
                word_passes(&host, &one, range.subnet.nth(2).unwrap());
            }
            let routes = said(&one, &["route", "show", "default"]);
            assert_eq!(routes.trim(), "default via 10.89.1.1 dev eth0");
            let six = std::fs::read_to_string("/proc/sys/net/ipv6/conf/dh-front/accept_ra");
            assert_eq!(six.unwrap().trim(), "0");
        });
    }

    #[test]
    fn more_networks_come_and_go_while_a_container_runs() {
        if !need::root() || need::tool("ip").is_none() {
            return need::skip("root and ip");
        }
        on_host_of_its_own(|| {
            let front = network("front", "dh-front", &["10.89.1.0/24"]);
            let back = network("back", "dh-back", &["10.89.2.0/24"]);
            let (one, two) = (new_namespace(), new_namespace());
            let both = vec![attachment(&front, "eth0", 2), attachment(&back, "eth1", 2)];
            setup(&plan(both.clone()), one.as_fd()).unwrap();
            setup(&plan(vec![attachment(&front, "eth0", 3)]), two.as_fd()).unwrap();
            let routes = said(&one, &["route", "show", "default"]);
            assert!(routes.contains("via 10.89.2.1 dev eth1 metric 101"), "{routes}");

            let further = attachment(&back, "eth1", 3);
            connect(&further, 1, two.as_fd()).unwrap();
            word_passes(&one, &two, "10.89.2.3".parse().unwrap());
            let again = connect(&further, 1, two.as_fd());
            assert_eq!(again.unwrap_err().kind(), Kind::Conflict);
            word_passes(&one, &two, "10.89.2.3".parse().unwrap());
            disconnect(&further, two.as_fd()).unwrap();
            disconnect(&further, two.as_fd()).unwrap();

            assert!(!said(&two, &["link"]).contains("eth1"));
            remove_device(&back).unwrap();
            remove_device(&back).unwrap();
            assert!(link::find(&open().unwrap(), "dh-back").unwrap().is_none());
        });
    }

    #[test]
    fn a_network_limits_bandwidth_both_ways_and_sets_parameters() {
        if !need::root() || need::tool("tc").is_none() {
            return need::skip("root and tc");
        }
        on_host_of_its_own(|| {
            let mut slow = network("slow", "dh-slow", &["10.89.1.0/24"]);
            (slow.ingress_bits, slow.egress_bits) = (Some(8_000_000), Some(4_000_000));
            slow.sysctls.insert("net.ipv4.conf.eth0.rp_filter".to_owned(), "2".to_owned());
            let one = new_namespace();
            setup(&plan(vec![attachment(&slow, "eth0", 2)]), one.as_fd()).unwrap();

            let queue = |device: &str| {
                let output = Command::new("tc").args(["qdisc", "show", "dev", device]).output();
                String::from_utf8_lossy(&output.unwrap().stdout).into_owned()
            };
            let outside = queue("dv-dh-slow-2");
            let inside = within(one.as_fd(), || Ok(queue("eth0"))).unwrap();
            let file = "/proc/sys/net/ipv4/conf/eth0/rp_filter";
            let filter = within(one.as_fd(), || Ok(std::fs::read_to_string(file).unwrap()));

            assert!(outside.contains("tbf") && outside.contains("rate 8Mbit"), "{outside}");
            assert!(inside.contains("tbf") && inside.contains("rate 4Mbit"), "{inside}");
            assert_eq!(filter.unwrap().trim(), "2");
        });
    }

    #[test]
    fn a_device_that_is_no_bridge_is_left_alone() {
        if !need::root() {
            return need::skip("root");
        }
        on_host_of_its_own(|| {
            let bad = network("bad", "lo", &["10.89.1.0/24"]);
            let namespace = new_namespace();

            let error = setup(&plan(vec![attachment(&bad, "eth0", 2)]), namespace.as_fd());

            let error = error.unwrap_err();
            assert_eq!(error.kind(), Kind::Conflict, "{}", error.one_line());
            remove_device(&bad).unwrap();
        });
    }

    /// Two containers with devices on one of the host's, which hear each other.
    fn stand_on_a_device(driver: Driver) {
        if !need::root() || need::tool("ip").is_none() {
            return need::skip("root and ip");
        }
        on_host_of_its_own(|| {
            let ip = |words: &[&str]| Command::new("ip").args(words).output().unwrap().status;
            let made = ip(&["link", "add", "up0", "type", "veth", "peer", "name", "up1"]);
            assert!(made.success() && ip(&["link", "set", "up0", "up"]).success());
            assert!(ip(&["link", "set", "up1", "up"]).success());
            let kind = driver.word();
            if !ip(&["link", "add", "probe", "link", "up1", "type", kind]).success() {
                return need::skip(&format!("{kind} in the kernel"));
            }
            assert!(ip(&["link", "delete", "probe"]).success());
            let mut street = network("street", "up0", &["10.89.3.0/24"]);
            street.driver = driver;
            let (one, two) = (new_namespace(), new_namespace());
            setup(&plan(vec![attachment(&street, "eth0", 2)]), one.as_fd()).unwrap();
            setup(&plan(vec![attachment(&street, "eth0", 3)]), two.as_fd()).unwrap();

            word_passes(&one, &two, "10.89.3.3".parse().unwrap());

            street.device = "up7".to_owned();
            let error = setup(&plan(vec![attachment(&street, "eth0", 4)]), new_namespace().as_fd());
            assert_eq!(error.unwrap_err().kind(), Kind::NotFound);
        });
    }

    #[test]
    fn a_macvlan_stands_on_a_device_of_the_host_s() {
        stand_on_a_device(Driver::Macvlan);
    }

    #[test]
    fn an_ipvlan_stands_on_a_device_of_the_host_s() {
        stand_on_a_device(Driver::Ipvlan);
    }

    #[test]
    fn one_bridge_keeps_its_vlans_apart() {
        if !need::root() || need::tool("ip").is_none() {
            return need::skip("root and ip");
        }
        on_host_of_its_own(|| {
            let ip = |words: &[&str]| Command::new("ip").args(words).output().unwrap().status;
            let probe = ["link", "add", "probe", "type", "bridge", "vlan_filtering", "1"];
            if !ip(&probe).success() {
                return need::skip("VLANs of bridges in the kernel");
            }
            let with = |vlan| Network {
                vlan: Some(vlan),
                ..network("rack", "dh-rack", &["10.89.4.0/24"])
            };
            let (one, two, other) = (new_namespace(), new_namespace(), new_namespace());
            setup(&plan(vec![attachment(&with(7), "eth0", 2)]), one.as_fd()).unwrap();
            setup(&plan(vec![attachment(&with(7), "eth0", 3)]), two.as_fd()).unwrap();
            setup(&plan(vec![attachment(&with(8), "eth0", 4)]), other.as_fd()).unwrap();

            word_passes(&one, &two, "10.89.4.3".parse().unwrap());
            let place: std::net::SocketAddr = "10.89.4.3:7777".parse().unwrap();
            let listener = within(two.as_fd(), || Ok(TcpListener::bind(place).unwrap()));
            let wait = Duration::from_millis(500);
            let tried = within(other.as_fd(), || Ok(TcpStream::connect_timeout(&place, wait)));

            assert!(tried.unwrap().is_err());
            drop(listener);
        });
    }
}
