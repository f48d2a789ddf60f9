//! The messages of DHCP (RFC 2131, 2132): written for a server, and read of one.

use crate::{InterfaceAddress, Mac, Subnet};
use std::net::{IpAddr, Ipv4Addr};

/// What comes before the options: BOOTP's head and four bytes that say that options follow.
const HEAD_BYTES: usize = 240;

/// What a message has at least: relays of old drop what is shorter (RFC 1542, 2.1).
const LEAST_BYTES: usize = 300;

const COOKIE: [u8; 4] = [99, 130, 83, 99];

const REQUEST: u8 = 1;
const REPLY: u8 = 2;
const ETHERNET: u8 = 1;

// Options.
const PAD: u8 = 0;
const MASK: u8 = 1;
const ROUTER: u8 = 3;
const SERVERS: u8 = 6;
const HOST_NAME: u8 = 12;
const DOMAIN: u8 = 15;
const MTU: u8 = 26;
const ASKED_ADDRESS: u8 = 50;
const TIME: u8 = 51;
const OVERLOAD: u8 = 52;
const KIND: u8 = 53;
const SERVER: u8 = 54;
const WISHES: u8 = 55;
const REASON: u8 = 56;
const MOST_BYTES: u8 = 57;
const RENEWAL: u8 = 58;
const REBINDING: u8 = 59;
const CLIENT: u8 = 61;
const ROUTES: u8 = 121;
const END: u8 = 255;

/// Of each thing that a server may list, so many are taken.
const MOST: usize = 16;

/// A lease without end, and as long as we count one.
const LONGEST_SECONDS: u32 = 10 * 365 * 86_400;

/// What is said to a server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Saying {
    /// Who has an address?
    Discover,
    /// I take the one that this server offers.
    Take { address: Ipv4Addr, server: Ipv4Addr },
    /// I go on with the one that I have.
    Renew { own: Ipv4Addr },
    /// I need it no more.
    Release { own: Ipv4Addr, server: Ipv4Addr },
}

/// What a server says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Heard {
    /// This address may be had.
    Offer { address: Ipv4Addr, server: Ipv4Addr },
    /// It is ours.
    Grant(Box<Grant>),
    /// It is not.
    Refusal { reason: String },
}

/// An address that is ours for some time, and what goes with it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Grant {
    pub(crate) address: InterfaceAddress,
    /// Who has granted it.
    pub(crate) server: Ipv4Addr,
    pub(crate) seconds: u32,
    /// When its server is asked again.
    pub(crate) renewal_seconds: u32,
    /// When any server is.
    pub(crate) rebinding_seconds: u32,
    pub(crate) gateway: Option<Ipv4Addr>,
    pub(crate) routes: Vec<(Subnet, Ipv4Addr)>,
    pub(crate) servers: Vec<IpAddr>,
    pub(crate) domain: Option<String>,
    pub(crate) mtu: Option<u32>,
}

/// Who asks, and about what.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    pub(crate) mac: Mac,
    /// How servers tell it from others (RFC 2132, 9.14): its kind, and what is of that kind.
    pub(crate) client: Vec<u8>,
    /// A number by which answers are known.
    pub(crate) number: u32,
    /// For how long it has been asking.
    pub(crate) seconds: u16,
    /// What it wants to be called; nothing where empty.
    pub(crate) name: String,
}

/// A client that is known by its device's address.
pub(crate) fn client_of(mac: Mac) -> Vec<u8> {
    [&[ETHERNET], &mac.bytes()[..]].concat()
}

/// A client that is known by a name, of which so much counts as has room.
pub(crate) fn client_called(name: &str) -> Vec<u8> {
    const MOST_BYTES: usize = 254;
    let name = name.as_bytes();
    [&[0], &name[..name.len().min(MOST_BYTES)]].concat()
}

impl Saying {
    /// The message.
    pub(crate) fn message(self, asker: &Asker) -> Vec<u8> {
        let own = match self {
            Self::Renew { own } | Self::Release { own, .. } => own,
            Self::Discover | Self::Take { .. } => Ipv4Addr::UNSPECIFIED,
        };
        let mut bytes = vec![REQUEST, ETHERNET, 6, 0];
        bytes.extend(asker.number.to_be_bytes());
        bytes.extend(asker.seconds.to_be_bytes());
        // Answers need not be sent to everybody: the socket hears them before there is an address.
        bytes.extend([0, 0]);
        bytes.extend(own.octets());
        bytes.extend([0; 12]);
        bytes.extend(asker.mac.bytes());
        bytes.resize(HEAD_BYTES - COOKIE.len(), 0);
        bytes.extend(COOKIE);
        self.options(asker, &mut bytes);
        bytes.push(END);
        bytes.resize(bytes.len().max(LEAST_BYTES), PAD);
        bytes
    }

    fn options(self, asker: &Asker, bytes: &mut Vec<u8>) {
        let mut put = |kind: u8, value: &[u8]| {
            bytes.push(kind);
            bytes.push(u8::try_from(value.len()).expect("ours are short"));
            bytes.extend(value);
        };
        let kind = match self {
            Self::Discover => 1,
            Self::Take { .. } | Self::Renew { .. } => 3,
            Self::Release { .. } => 7,
        };
        put(KIND, &[kind]);
        put(CLIENT, &asker.client);
        match self {
            Self::Take { address, server } => {
                put(ASKED_ADDRESS, &address.octets());
                put(SERVER, &server.octets());
            }
            Self::Release { server, .. } => return put(SERVER, &server.octets()),
            Self::Discover | Self::Renew { .. } => {}
        }
        put(MOST_BYTES, &1500_u16.to_be_bytes());
        put(WISHES, &[MASK, ROUTES, ROUTER, SERVERS, DOMAIN, MTU, RENEWAL, REBINDING]);
        let name = asker.name.as_bytes();
        if (1..=63).contains(&name.len()) {
            put(HOST_NAME, name);
        }
    }
}

impl Heard {
    /// Reads an answer to a question of ours; `None` where it is none, or makes no sense.
    pub(crate) fn parse(bytes: &[u8], mac: Mac, number: u32) -> Option<Self> {
        let head = bytes.get(..HEAD_BYTES)?;
        let is_ours = head[0] == REPLY
            && head[1..3] == [ETHERNET, 6]
            && head[4..8] == number.to_be_bytes()
            && head[28..34] == mac.bytes()
            && head[236..240] == COOKIE;
        if !is_ours {
            return None;
        }
        let options = Options::of(bytes)?;
        let address = Ipv4Addr::from(<[u8; 4]>::try_from(&head[16..20]).ok()?);
        let kind = options.first(KIND)?;
        match kind {
            [6] => {
                let reason = options.first(REASON).unwrap_or_default();
                Some(Self::Refusal { reason: plain(reason) })
            }
            [2] => {
                let server = options.address(SERVER)?;
                is_usable(address).then_some(Self::Offer { address, server })
            }
            [5] => Grant::of(&options, address).map(|grant| Self::Grant(Box::new(grant))),
            _ => None,
        }
    }
}

impl Grant {
    fn of(options: &Options<'_>, address: Ipv4Addr) -> Option<Self> {
        let mask = options.address(MASK).map_or(natural_mask(address), u32::from);
        let prefix = u8::try_from(mask.leading_ones()).ok()?;
        // A mask with gaps is none.
        if mask.count_ones() != u32::from(prefix) || prefix == 0 || !is_usable(address) {
            return None;
        }
        let seconds = options.number(TIME)?.clamp(1, LONGEST_SECONDS);
        let rebinding = options.number(REBINDING).filter(|it| *it < seconds);
        let rebinding_seconds =
            rebinding.unwrap_or(u32::try_from(u64::from(seconds) * 7 / 8).ok()?);
        let renewal = options.number(RENEWAL).filter(|it| *it <= rebinding_seconds);
        let usable = |all: Vec<Ipv4Addr>| all.into_iter().filter(|one| is_usable(*one));
        let routes = options.routes();
        // Who lists routes means none but those (RFC 3442).
        let gateway = match routes.is_empty() {
            true => usable(options.addresses(ROUTER)).next(),
            false => routes.iter().find(|(to, _)| to.prefix() == 0).map(|(_, gateway)| *gateway),
        };
        Some(Self {
            address: InterfaceAddress { address: address.into(), prefix },
            server: options.address(SERVER)?,
            seconds,
            renewal_seconds: renewal.unwrap_or((seconds / 2).min(rebinding_seconds)),
            rebinding_seconds,
            gateway,
            routes: routes.into_iter().filter(|(to, _)| to.prefix() > 0).collect(),
            servers: usable(options.addresses(SERVERS)).map(IpAddr::V4).collect(),
            domain: options.first(DOMAIN).map(plain).filter(|text| is_domain(text)),
            mtu: options.first(MTU).and_then(|value| {
                let mtu = u16::from_be_bytes(value.try_into().ok()?);
                (mtu >= 576).then_some(mtu.into())
            }),
        })
    }
}

/// An address that a device, or a neighbour of it, can have.
fn is_usable(address: Ipv4Addr) -> bool {
    !(address.is_unspecified()
        || address.is_broadcast()
        || address.is_multicast()
        || address.is_loopback())
}

/// The mask of an address of old times, where a server names none.
fn natural_mask(address: Ipv4Addr) -> u32 {
    match address.octets()[0] {
        0..=127 => 0xff00_0000,
        128..=191 => 0xffff_0000,
        _ => 0xffff_ff00,
    }
}

/// What a server writes, without what a terminal could take for more than letters.
fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.trim_end_matches('\0').chars().filter(|letter| !letter.is_control()).collect()
}

/// It is written into a file of lines and words.
fn is_domain(text: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (1..=253).contains(&text.len()) && text.bytes().all(is_fine)
}

/// The options of a message.
struct Options<'a> {
    all: Vec<(u8, &'a [u8])>,
}

impl<'a> Options<'a> {
    /// All of them, also those that have found no room at the end (RFC 2132, 9.3).
    fn of(message: &'a [u8]) -> Option<Self> {
        let mut options = Self { all: Vec::new() };
        options.take(message.get(HEAD_BYTES..)?)?;
        let overload = options.first(OVERLOAD).unwrap_or_default().first().copied();
        if overload.is_some_and(|bits| bits & 1 != 0) {
            options.take(message.get(108..236)?)?;
        }
        if overload.is_some_and(|bits| bits & 2 != 0) {
            options.take(message.get(44..108)?)?;
        }
        Some(options)
    }

    /// `None` where one is longer than what there is.
    fn take(&mut self, mut rest: &'a [u8]) -> Option<()> {
        while let Some((kind, after)) = rest.split_first() {
            match *kind {
                END => return Some(()),
                PAD => rest = after,
                kind => {
                    let (length, after) = after.split_first()?;
                    let value = after.get(..usize::from(*length))?;
                    self.all.push((kind, value));
                    rest = &after[value.len()..];
                }
            }
        }
        Some(())
    }

    fn first(&self, kind: u8) -> Option<&'a [u8]> {
        self.all.iter().find(|(found, _)| *found == kind).map(|(_, value)| *value)
    }

    fn address(&self, kind: u8) -> Option<Ipv4Addr> {
        self.addresses(kind).into_iter().next()
    }

    fn addresses(&self, kind: u8) -> Vec<Ipv4Addr> {
        let value = self.first(kind).unwrap_or_default();
        let fours = value.chunks_exact(4).take(MOST);
        fours.filter_map(|four| <[u8; 4]>::try_from(four).ok()).map(Ipv4Addr::from).collect()
    }

    fn number(&self, kind: u8) -> Option<u32> {
        Some(u32::from_be_bytes(self.first(kind)?.try_into().ok()?))
    }

    /// Routes, each as the length of a prefix, as many bytes as that has, and a gateway (RFC 3442). A
    /// list that makes no sense is none.
    fn routes(&self) -> Vec<(Subnet, Ipv4Addr)> {
        // A long list comes in pieces (RFC 3396).
        let pieces = self.all.iter().filter(|(kind, _)| *kind == ROUTES);
        let value: Vec<u8> = pieces.flat_map(|(_, value)| value.iter().copied()).collect();
        let mut rest = &value[..];
        let mut routes = Vec::new();
        while let Some((prefix, after)) = rest.split_first() {
            let length = usize::from(prefix.div_ceil(8));
            let (Some(start), Some(gateway)) = (after.get(..length), after.get(length..length + 4))
            else {
                return Vec::new();
            };
            let mut bytes = [0; 4];
            let Some(place) = bytes.get_mut(..length) else { return Vec::new() };
            place.copy_from_slice(start);
            let Some(to) = Subnet::around(Ipv4Addr::from(bytes).into(), *prefix) else {
                return Vec::new();
            };
            let gateway = <[u8; 4]>::try_from(gateway).expect("it was cut to four bytes");
            // One on the link itself (a gateway of zeros) is left to the address's own subnet.
            if is_usable(gateway.into()) && routes.len() < MOST {
                routes.push((to, gateway.into()));
            }
            rest = &after[length + 4..];
        }
        routes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_testkit::mutation::Mutator;

    fn asker() -> Asker {
        let mac = "02:00:00:00:00:07".parse().unwrap();
        let client = client_of(mac);
        Asker { mac, client, number: 0x0102_0304, seconds: 0, name: "web".to_owned() }
    }

    /// A server's message to the asker.
    fn answer(kind: u8, own: [u8; 4], options: &[(u8, &[u8])]) -> Vec<u8> {
        let mut bytes = Saying::Discover.message(&asker());
        bytes[0] = REPLY;
        bytes[16..20].copy_from_slice(&own);
        bytes.truncate(HEAD_BYTES);
        bytes.extend([KIND, 1, kind]);
        for (kind, value) in options {
            bytes.extend([*kind, u8::try_from(value.len()).unwrap()]);
            bytes.extend(*value);
        }
        bytes.push(END);
        bytes
    }

    fn heard(bytes: &[u8]) -> Option<Heard> {
        Heard::parse(bytes, asker().mac, asker().number)
    }

    const USUAL: [(u8, &[u8]); 6] = [
        (MASK, &[255, 255, 255, 0]),
        (SERVER, &[10, 1, 0, 1]),
        (TIME, &[0, 0, 0, 100]),
        (ROUTER, &[10, 1, 0, 1]),
        (SERVERS, &[10, 1, 0, 2, 10, 1, 0, 3]),
        (DOMAIN, b"home.arpa"),
    ];

    #[test]
    fn a_grant_says_what_an_address_comes_with() {
        let Some(Heard::Grant(grant)) = heard(&answer(5, [10, 1, 0, 7], &USUAL)) else {
            panic!("it is a grant")
        };

        assert_eq!(grant.address.to_string(), "10.1.0.7/24");
        assert_eq!((grant.seconds, grant.renewal_seconds, grant.rebinding_seconds), (100, 50, 87));
        assert_eq!(grant.gateway, Some(Ipv4Addr::new(10, 1, 0, 1)));
        assert_eq!(grant.servers.len(), 2);
        assert_eq!(grant.domain.as_deref(), Some("home.arpa"));
        let offer = heard(&answer(2, [10, 1, 0, 7], &USUAL));
        let (address, server) = ([10, 1, 0, 7].into(), [10, 1, 0, 1].into());
        assert_eq!(offer, Some(Heard::Offer { address, server }));
        let refused = heard(&answer(6, [0; 4], &[(REASON, b"wrong\x1b network")]));
        assert_eq!(refused, Some(Heard::Refusal { reason: "wrong network".to_owned() }));
    }

    #[test]
    fn routes_take_the_place_of_the_router() {
        let routes: &[u8] = &[16, 10, 2, 10, 1, 0, 9, 0, 10, 1, 0, 8];
        let options = [&USUAL[..], &[(ROUTES, routes)]].concat();

        let Some(Heard::Grant(grant)) = heard(&answer(5, [10, 1, 0, 7], &options)) else {
            panic!("it is a grant")
        };

        assert_eq!(grant.gateway, Some(Ipv4Addr::new(10, 1, 0, 8)));
        assert_eq!(grant.routes.len(), 1);
        assert_eq!(grant.routes[0].0.to_string(), "10.2.0.0/16");
    }

    #[test]
    fn what_makes_no_sense_is_not_heard() {
        let own = [10, 1, 0, 7];
        let mut other_number = answer(5, own, &USUAL);
        other_number[7] ^= 1;
        let mut other_mac = answer(5, own, &USUAL);
        other_mac[33] ^= 1;
        let mut question = answer(5, own, &USUAL);
        question[0] = REQUEST;
        let gap = [&[(MASK, &[255, 0, 255, 0][..])], &USUAL[1..]].concat();
        for (what, bytes) in [
            ("a mask with a gap", answer(5, own, &gap)),
            ("no time", answer(5, own, &USUAL[..2])),
            ("no server", answer(2, own, &USUAL[..1])),
            ("no address", answer(2, [0; 4], &USUAL)),
            ("a group's address", answer(5, [224, 0, 0, 1], &USUAL)),
            ("another's number", other_number),
            ("another's device", other_mac),
            ("a question", question),
            ("a kind unknown", answer(9, own, &USUAL)),
            ("nothing", Vec::new()),
        ] {
            assert_eq!(heard(&bytes), None, "{what}");
        }
        let mut cut = answer(5, own, &USUAL);
        cut.truncate(cut.len() - 4);
        assert_eq!(heard(&cut), None, "an option longer than the message");
    }

    #[test]
    fn a_question_says_who_asks_and_for_what() {
        let bytes = Saying::Take { address: [10, 1, 0, 7].into(), server: [10, 1, 0, 1].into() }
            .message(&asker());

        assert!(bytes.len() >= LEAST_BYTES);
        let options = Options::of(&bytes).unwrap();
        assert_eq!(options.first(KIND), Some(&[3][..]));
        assert_eq!(options.address(ASKED_ADDRESS), Some([10, 1, 0, 7].into()));
        assert_eq!(options.first(HOST_NAME), Some(&b"web"[..]));
        let renewal = Saying::Renew { own: [10, 1, 0, 7].into() }.message(&asker());
        assert_eq!(renewal[12..16], [10, 1, 0, 7]);
        assert_eq!(Options::of(&renewal).unwrap().address(ASKED_ADDRESS), None);
    }

    #[test]
    fn damaged_messages_do_no_harm() {
        let routes: &[u8] = &[16, 10, 2, 10, 1, 0, 9, 0, 10, 1, 0, 8];
        let whole = answer(5, [10, 1, 0, 7], &[&USUAL[..], &[(ROUTES, routes)]].concat());
        let mut mutator = Mutator::new(7);
        for _ in 0..20_000 {
            let mut bytes = whole.clone();
            bytes.truncate(mutator.below(bytes.len() + 1).max(HEAD_BYTES));
            for _ in 0..mutator.below(6) {
                let at = mutator.below(bytes.len());
                bytes[at] = u8::try_from(mutator.below(256)).unwrap();
            }
            let _understood = crate::fuzz::dhcp_message(&bytes);
        }
        assert!(crate::fuzz::dhcp_message(&whole) && !crate::fuzz::dhcp_message(b"x"));
    }
}
