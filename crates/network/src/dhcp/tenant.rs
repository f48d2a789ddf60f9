//! A device that has its address of a server: it seeks one, keeps it, and gives it back.

use super::{
    Leased,
    message::{self, Asker, Grant, Heard, Saying},
    packet,
};
use crate::{Attachment, InterfaceAddress, Mac, Network, Subnet, inside::within, link, setup};
use dhow_base::{Doing, Error, Kind, Result, id::random_hex};
use dhow_sys::{
    netlink::{Netlink, Protocol, Request},
    packet::Packets,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::{
    net::{IpAddr, Ipv4Addr},
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

/// How long a container's start waits for an address: a server may look first whether an address is
/// in use, which takes it some seconds.
const PATIENCE: Duration = Duration::from_secs(12);

/// The pause before a question is asked again, the first time; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(64);

/// How often one server is asked for what it has offered.
const TRIES: u32 = 4;

/// Between two questions of who has an address, there is this pause at least.
const LEAST_PAUSE: Duration = Duration::from_secs(1);

/// More than a packet on a link has.
const BUFFER_BYTES: usize = 2048;

/// How many packets are taken before others of the process have their turn.
const MOST_PACKETS: usize = 32;

/// Everybody on a link.
const EVERYBODY: [u8; 6] = [0xff; 6];

/// A device that a server gives its address, for as long as this value lives.
#[derive(Debug)]
pub struct Tenant {
    /// The network's id.
    network: String,
    device: Device,
    packets: Packets,
    asker: Asker,
    /// When it began to ask what it asks now.
    began: Instant,
    state: State,
    /// Why a server refused, the last time that one did.
    refusal: Option<String>,
}

/// The device in the container's namespace.
#[derive(Debug)]
struct Device {
    netlink: Netlink,
    index: i32,
    name: String,
    /// What its default route costs.
    metric: Option<u32>,
    /// Whether the default route is wanted.
    leads_out: bool,
    /// Whether the largest packet is the server's to say.
    takes_mtu: bool,
    /// Whether somebody else gives it the address.
    is_anothers: bool,
}

#[derive(Debug)]
enum State {
    /// It asks everybody, for the so-manyth time.
    Seeking { tries: u32, next: Instant },
    /// It has asked a server for what that one has offered.
    Asking { address: Ipv4Addr, server: Ipv4Addr, tries: u32, next: Instant },
    /// It has an address.
    Bound { lease: Box<Lease>, next: Instant },
}

/// An address that it has.
#[derive(Clone, Debug)]
struct Lease {
    grant: Grant,
    /// Who on the link has brought the grant: the server, or who passes it on.
    from: [u8; 6],
    renewal: Instant,
    rebinding: Instant,
    end: Instant,
}

impl Tenant {
    /// Gets an address for a device of a plan's, the `place`-th of its networks, and waits for it.
    pub fn seek(
        attachment: &Attachment,
        place: usize,
        hostname: &str,
        namespace: BorrowedFd<'_>,
    ) -> Result<Self> {
        let doing = || format!("get an address for network {}", attachment.network.name);
        let mut tenant = Self::open(attachment, place, hostname, namespace).doing(doing)?;
        tenant.find(&attachment.network.device).doing(doing)?;
        Ok(tenant)
    }

    /// The same for a device to which somebody else gives the address. Servers know it by this name, since
    /// several devices may have one hardware address.
    pub(crate) fn hold(
        network: &str,
        interface: &str,
        mac: Mac,
        client: &str,
        namespace: BorrowedFd<'_>,
    ) -> Result<Self> {
        let attachment = Attachment {
            network: Network { name: network.to_owned(), ..Network::default() },
            interface: interface.to_owned(),
            host_interface: String::new(),
            mac,
            addresses: Vec::new(),
        };
        let mut tenant = Self::open(&attachment, 0, "", namespace)?;
        tenant.device.is_anothers = true;
        tenant.asker.client = message::client_called(client);
        tenant.find(interface)?;
        Ok(tenant)
    }

    fn find(&mut self, link: &str) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            self.work(Instant::now());
            if self.leased().is_some() {
                return Ok(());
            }
            if Instant::now() >= end {
                return Err(self.no_address(link));
            }
            self.wait(end)?;
        }
    }

    fn open(
        attachment: &Attachment,
        place: usize,
        hostname: &str,
        namespace: BorrowedFd<'_>,
    ) -> Result<Self> {
        let name = attachment.interface.clone();
        let network = &attachment.network;
        let (netlink, packets, index) = within(namespace, || {
            let netlink = Netlink::open(Protocol::Route).doing(|| "open a netlink socket")?;
            let found = link::find(&netlink, &name).doing(|| format!("look for device {name}"))?;
            let index = found
                .map(|found| found.index)
                .ok_or_else(|| Error::new(Kind::NotFound, format!("there is no device {name}")))?;
            let packets = Packets::open(index, &packet::filter())
                .doing(|| format!("talk to a server on device {name}"))?;
            Ok((netlink, packets, index))
        })?;
        let now = Instant::now();
        Ok(Self {
            network: network.id.clone(),
            device: Device {
                netlink,
                index,
                name,
                metric: setup::metric(network, place),
                leads_out: network.default_route && !network.internal,
                takes_mtu: network.mtu.is_none(),
                is_anothers: false,
            },
            packets,
            asker: Asker {
                mac: attachment.mac,
                client: message::client_of(attachment.mac),
                number: new_number()?,
                seconds: 0,
                name: hostname.to_owned(),
            },
            began: now,
            state: State::Seeking { tries: 0, next: now },
            refusal: None,
        })
    }

    fn no_address(&self, parent: &str) -> Error {
        match &self.refusal {
            Some(reason) => {
                let text = format!("the DHCP server refuses an address: {reason:?}");
                Error::new(Kind::Unavailable, text)
            }
            None => {
                let text =
                    format!("no DHCP server on {parent} answered within {} s", PATIENCE.as_secs());
                Error::new(Kind::TimedOut, text).hint(
                    "is there one on that device's network? a network with --subnet needs none",
                )
            }
        }
    }

    fn wait(&self, end: Instant) -> Result<()> {
        let until = self.deadline().min(end).saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(until)
            .map_err(|error| Error::new(Kind::Internal, "wait for a server").because(error))?;
        let mut fds = [PollFd::new(&self.packets, PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(errno).doing(|| "wait for a server"),
        }
    }

    /// Whether its device is one of this network.
    pub fn is_of(&self, network: &Network) -> bool {
        self.network == network.id
    }

    /// The routes that go with it, but for the default one.
    pub(crate) fn routes(&self) -> Vec<(Subnet, Ipv4Addr)> {
        match &self.state {
            State::Bound { lease, .. } => lease.grant.routes.clone(),
            State::Seeking { .. } | State::Asking { .. } => Vec::new(),
        }
    }

    /// Whether its device is there still.
    pub(crate) fn has_device(&self) -> bool {
        link::at(&self.device.netlink, self.device.index).is_ok_and(|found| found.is_some())
    }

    /// What it has been given.
    pub fn leased(&self) -> Option<Leased> {
        match &self.state {
            State::Bound { lease, .. } => Some(Leased::of(&self.network, &lease.grant)),
            State::Seeking { .. } | State::Asking { .. } => None,
        }
    }

    /// What to wait for: when it can be read, there is something for [`Tenant::work`].
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.packets.as_fd()
    }

    /// When there is something for [`Tenant::work`] in any case.
    pub fn deadline(&self) -> Instant {
        match self.state {
            State::Seeking { next, .. }
            | State::Asking { next, .. }
            | State::Bound { next, .. } => next,
        }
    }

    /// Does what there is to do.
    pub fn work(&mut self, now: Instant) {
        let mut buffer = [0; BUFFER_BYTES];
        for _ in 0..MOST_PACKETS {
            match self.packets.receive(&mut buffer) {
                Ok((count, from)) => {
                    let heard = packet::unwrap(&buffer[..count]).and_then(|message| {
                        Heard::parse(message, self.asker.mac, self.asker.number)
                    });
                    if let Some(heard) = heard {
                        self.hear(heard, from, now);
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        if self.deadline() <= now {
            self.tick(now);
        }
    }

    fn hear(&mut self, heard: Heard, from: [u8; 6], now: Instant) {
        match (&self.state, heard) {
            (State::Seeking { .. }, Heard::Offer { address, server }) => {
                self.state = State::Asking { address, server, tries: 0, next: now };
            }
            (State::Asking { .. }, Heard::Grant(grant)) => self.take(*grant, from, now),
            // Only who was asked to go on has something to say to who has an address.
            (State::Bound { lease, .. }, Heard::Grant(grant)) if lease.renewal <= now => {
                self.take(*grant, from, now);
            }
            (State::Asking { .. }, Heard::Refusal { reason }) => {
                self.refusal = Some(reason);
                self.begin_again(now + FIRST_PAUSE);
            }
            (State::Bound { lease, .. }, Heard::Refusal { reason }) if lease.renewal <= now => {
                self.refusal = Some(reason);
                self.part(now);
            }
            _ => {}
        }
    }

    fn tick(&mut self, now: Instant) {
        match &mut self.state {
            State::Seeking { tries, next } => {
                *next = now + pause_after(*tries);
                *tries = tries.saturating_add(1);
                self.say(Saying::Discover, EVERYBODY, now);
            }
            State::Asking { tries, .. } if *tries >= TRIES => self.begin_again(now),
            State::Asking { address, server, tries, next } => {
                *next = now + pause_after(*tries);
                *tries += 1;
                let saying = Saying::Take { address: *address, server: *server };
                self.say(saying, EVERYBODY, now);
            }
            State::Bound { lease, .. } if lease.end <= now => self.part(now),
            State::Bound { .. } => self.go_on(now),
        }
    }

    /// Asks for more time: its server at first, then anybody. Half of what is left passes between two
    /// questions (RFC 2131, 4.4.5).
    fn go_on(&mut self, now: Instant) {
        let State::Bound { lease, next } = &mut self.state else { return };
        let is_first = *next == lease.renewal;
        let (limit, to) = match lease.rebinding > now {
            true => (lease.rebinding, lease.from),
            false => (lease.end, EVERYBODY),
        };
        *next = (now + (limit.saturating_duration_since(now) / 2).max(LEAST_PAUSE)).min(limit);
        // Never in the past, or there would be no end of work.
        *next = (*next).max(now + Duration::from_millis(100));
        let own = own_address(&lease.grant);
        if is_first {
            self.began = now;
            // Without chance the old number is as good.
            self.asker.number = new_number().unwrap_or(self.asker.number);
        }
        self.say(Saying::Renew { own }, to, now);
    }

    /// What is not heard is said again, so a failure to send is like a packet that is lost.
    fn say(&mut self, saying: Saying, to: [u8; 6], now: Instant) {
        let seconds = now.saturating_duration_since(self.began).as_secs();
        self.asker.seconds = u16::try_from(seconds).unwrap_or(u16::MAX);
        let message = saying.message(&self.asker);
        let own = match saying {
            Saying::Renew { own } | Saying::Release { own, .. } => own,
            Saying::Discover | Saying::Take { .. } => Ipv4Addr::UNSPECIFIED,
        };
        let server = match (&self.state, to) {
            (State::Bound { lease, .. }, to) if to != EVERYBODY => lease.grant.server,
            _ => Ipv4Addr::BROADCAST,
        };
        let _sent = self.packets.send(&packet::wrap(&message, own, server), to);
    }

    /// Gives the device what was granted. Where that fails, it is sought anew.
    fn take(&mut self, grant: Grant, from: [u8; 6], now: Instant) {
        let before = match &self.state {
            State::Bound { lease, .. } => Some(lease.grant.clone()),
            State::Seeking { .. } | State::Asking { .. } => None,
        };
        if let Err(error) = self.device.change(before.as_ref(), Some(&grant)) {
            self.refusal = Some(error.one_line());
            return self.begin_again(now + FIRST_PAUSE);
        }
        self.refusal = None;
        let after = |seconds: u32| now + Duration::from_secs(seconds.into());
        let lease = Lease {
            renewal: after(grant.renewal_seconds.max(1)),
            rebinding: after(grant.rebinding_seconds.max(1)),
            end: after(grant.seconds.max(1)),
            grant,
            from,
        };
        self.state = State::Bound { next: lease.renewal, lease: Box::new(lease) };
    }

    /// The address is ours no more.
    fn part(&mut self, now: Instant) {
        if let State::Bound { lease, .. } = &self.state {
            // A device that is gone has no address.
            let _gone = self.device.change(Some(&lease.grant), None);
        }
        self.begin_again(now);
    }

    fn begin_again(&mut self, next: Instant) {
        self.began = next;
        self.asker.number = new_number().unwrap_or(self.asker.number);
        self.state = State::Seeking { tries: 0, next };
    }
}

/// The server is told that the address is free again. Nobody waits for whether it hears that: if not,
/// the lease ends by itself.
impl Drop for Tenant {
    fn drop(&mut self) {
        if let State::Bound { lease, .. } = &self.state {
            let (own, server, from) = (own_address(&lease.grant), lease.grant.server, lease.from);
            self.asker.number = new_number().unwrap_or(self.asker.number);
            self.say(Saying::Release { own, server }, from, Instant::now());
        }
    }
}

impl Device {
    /// Takes away what went with one grant, and sets up what goes with another.
    fn change(&self, before: Option<&Grant>, now: Option<&Grant>) -> Result<()> {
        if before == now || self.is_anothers {
            return Ok(());
        }
        let doing = || format!("give device {} its address", self.name);
        let same_address = before.map(|it| it.address) == now.map(|it| it.address);
        if let Some(before) = before.filter(|_| !same_address) {
            // Its routes go with it.
            let gone = self.netlink.ask(link::without_address(self.index, before.address));
            gone.map(drop).or_else(setup::unless_gone).doing(doing)?;
        }
        let Some(grant) = now else { return Ok(()) };
        for verdict in self.netlink.ask_all(self.requests(grant)).doing(doing)? {
            verdict.or_else(setup::unless_there).doing(doing)?;
        }
        Ok(())
    }

    fn requests(&self, grant: &Grant) -> Vec<Request> {
        let mut requests = vec![link::address(self.index, grant.address)];
        if let Some(mtu) = grant.mtu.filter(|_| self.takes_mtu) {
            requests.push(link::sizes(self.index, Some(mtu), None));
        }
        if !self.leads_out {
            return requests;
        }
        let ways = grant.routes.iter().map(|(to, gateway)| (Some(*to), *gateway));
        for (to, gateway) in ways.chain(grant.gateway.map(|gateway| (None, gateway))) {
            requests.push(link::route(self.index, to, IpAddr::V4(gateway), self.metric));
        }
        requests
    }
}

fn own_address(grant: &Grant) -> Ipv4Addr {
    match grant.address {
        InterfaceAddress { address: IpAddr::V4(address), .. } => address,
        InterfaceAddress { .. } => Ipv4Addr::UNSPECIFIED,
    }
}

/// One second, two, four…
fn pause_after(tries: u32) -> Duration {
    (FIRST_PAUSE * 2_u32.saturating_pow(tries.min(16))).min(LONGEST_PAUSE)
}

fn new_number() -> Result<u32> {
    u32::from_str_radix(&random_hex(4)?, 16)
        .map_err(|error| Error::new(Kind::Internal, "make a random number").because(error))
}
