//! What a rule sees of a packet of which not everything is known.
//!
//! It is a usual one: the first of its connection, whole, for one receiver, and TCP's asks for a
//! connection. Rules about others say nothing about a port.

use super::{
    DEVICE_BYTES, Version,
    registers::{Answer, Registers, known},
    ruleset::KnownStep,
};
use crate::Protocol;
use std::net::IpAddr;

/// `IP_CT_NEW`, as the bit of a state.
const NEW: u16 = 1 << 3;

// Kinds of addresses (`rtnetlink.h`).
const UNICAST: u8 = 1;
const LOCAL: u8 = 2;

/// TCP asks for a connection: the flag, among the others of its byte.
const SYN: u8 = 2;

/// A new connection's packet, as a chain sees it.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) version: Version,
    /// The device that it came by, and the one that it leaves by. Not known where missing.
    pub(crate) input: Option<String>,
    /// The number of the first one.
    pub(crate) input_index: Option<u32>,
    pub(crate) output: Option<String>,
    pub(crate) source: Option<IpAddr>,
    pub(crate) destination: Option<IpAddr>,
    pub(crate) protocol: u8,
    pub(crate) port: u16,
    /// Whether its destination was changed, so that it is forwarded; otherwise it is for the host.
    pub(crate) is_published: bool,
}

impl Packet {
    /// Whether chains of a family (`NFPROTO_INET`, `NFPROTO_IPV4`, `NFPROTO_IPV6`) see it.
    pub(super) fn is_of(&self, family: u8) -> bool {
        family == 1 || family == self.version.number()
    }

    /// Takes a step that needs nothing but the packet and the registers.
    pub(super) fn take(&self, step: &KnownStep, registers: &mut Registers) -> Answer {
        match step {
            KnownStep::Meta { key, into } => registers.put(*into, &self.meta(*key)),
            KnownStep::Ct { key, into } => registers.put(*into, &self.connection(*key)),
            KnownStep::Payload { base, offset, length, into } => {
                registers.put(*into, &self.payload(*base, *offset, *length));
            }
            KnownStep::Value { into, value } => registers.put(*into, &known(value)),
            KnownStep::DestinationType { into } => {
                registers.put(*into, &known(&u32::from(self.destination_type()).to_ne_bytes()));
            }
            KnownStep::Mask { from, into, mask, flip } => {
                let masked = registers.masked(*from, mask, flip);
                registers.put(*into, &masked);
            }
            KnownStep::Compare { from, operator, value } => {
                return registers.compare(*from, *operator, value);
            }
            KnownStep::Range { from, is_inverted, first, last } => {
                return registers.is_between(*from, first, last).inverted_if(*is_inverted);
            }
            KnownStep::Match { name, revision, info } => {
                return self.iptables_match(name, *revision, info);
            }
            KnownStep::Nothing => {}
            KnownStep::Never => return Answer::No,
            KnownStep::Unclear => {
                registers.forget();
                return Answer::Maybe;
            }
            KnownStep::Lookup { .. } | KnownStep::Verdict(_) => {}
        }
        Answer::Yes
    }

    fn destination_type(&self) -> u8 {
        if self.is_published { UNICAST } else { LOCAL }
    }

    /// What `nft_meta` loads; bytes that are not known are none.
    fn meta(&self, key: u32) -> Vec<Option<u8>> {
        let name = |device: &Option<String>| match device {
            Some(device) => {
                let mut bytes = known(device.as_bytes());
                bytes.resize(DEVICE_BYTES, Some(0));
                bytes
            }
            None => vec![None; DEVICE_BYTES],
        };
        match key {
            4 => self.input_index.map_or(vec![None; 4], |index| known(&index.to_ne_bytes())),
            6 => name(&self.input),
            7 => name(&self.output),
            15 => known(&[self.version.number(), 0, 0, 0]),
            16 => known(&[self.protocol, 0, 0, 0]),
            // For this host and nobody else (`PACKET_HOST`).
            19 => known(&[0; 4]),
            _ => vec![None; DEVICE_BYTES],
        }
    }

    /// What `nft_ct` loads: it is the first packet of a new connection.
    fn connection(&self, key: u32) -> Vec<Option<u8>> {
        match key {
            0 => known(&u32::from(NEW).to_ne_bytes()),
            // The direction: the original one.
            1 => known(&[0; 4]),
            2 => known(&u32::from(self.is_published).wrapping_shl(5).to_ne_bytes()),
            _ => vec![None; DEVICE_BYTES],
        }
    }

    fn payload(&self, base: u32, offset: u32, length: usize) -> Vec<Option<u8>> {
        let mut head = vec![None; 60];
        match (base, self.version) {
            (1, Version::V4) => {
                write(&mut head, 0, &[0x45]);
                write(&mut head, 9, &[self.protocol]);
            }
            (1, Version::V6) => {
                write(&mut head, 0, &[0x60]);
                write(&mut head, 6, &[self.protocol]);
            }
            (2, _) => {
                write(&mut head, 2, &self.port.to_be_bytes());
                if self.protocol == Protocol::Tcp.number() {
                    write(&mut head, 13, &[SYN]);
                }
            }
            _ => {}
        }
        if base == 1 {
            for (address, place) in [
                (self.source, self.version.source()),
                (self.destination, self.version.destination()),
            ] {
                if let Some(address) = address {
                    write(&mut head, place.0 as usize, &octets(address));
                }
            }
        }
        let offset = usize::try_from(offset).unwrap_or(head.len());
        let all = offset..offset.saturating_add(length);
        all.map(|place| head.get(place).copied().flatten()).collect()
    }

    /// Matches of iptables' that many rules have.
    fn iptables_match(&self, name: &str, revision: u32, info: &[u8]) -> Answer {
        let half =
            |at: usize| info.get(at..)?.first_chunk::<2>().map(|two| u16::from_ne_bytes(*two));
        let understood = match (name, revision) {
            ("tcp", 0) => self.xt_ports(Protocol::Tcp, info, |rest| match rest {
                // An option of TCP's; the flags' mask, their values; what of all is inverted.
                [0, mask, flags, inverted] if inverted & !4 == 0 => {
                    Some(Answer::when(SYN & mask == *flags).inverted_if(*inverted == 4))
                }
                _ => None,
            }),
            ("udp", 0) => {
                self.xt_ports(Protocol::Udp, info, |rest| (rest[0] == 0).then_some(Answer::Yes))
            }
            // `struct xt_multiport_v1`: which ports, how many, the ports, whether each begins a range
            // to the next, and whether it is inverted.
            ("multiport", 1) => self.xt_multiport(info),
            // `struct xt_conntrack_mtinfo3`, asked for the state alone.
            ("conntrack", 3) => match (half(146), half(148), half(150)) {
                (Some(1), Some(inverted), Some(states)) => {
                    let is_published = self.is_published && states & (1 << 7) != 0;
                    let holds = Answer::when(states & NEW != 0 || is_published);
                    Some(holds.inverted_if(inverted & 1 == 1))
                }
                _ => None,
            },
            ("state", 0) => half(0).map(|states| Answer::when(states & NEW != 0)),
            // `struct xt_addrtype_info_v1`, asked for the destination alone.
            ("addrtype", 1) => match (half(0), half(2), half(4)) {
                (Some(0), Some(kinds), Some(flags)) if flags & !2 == 0 => {
                    let holds = Answer::when(kinds & (1 << self.destination_type()) != 0);
                    Some(holds.inverted_if(flags == 2))
                }
                _ => None,
            },
            // A header for routing, which usual packets do not have.
            ("rt", 0) => Some(Answer::No),
            ("comment", _) => Some(Answer::Yes),
            _ => None,
        };
        understood.unwrap_or(Answer::Maybe)
    }

    /// `struct xt_tcp`, `struct xt_udp`: source ports, destination ports, and more of each protocol's.
    fn xt_ports(
        &self,
        protocol: Protocol,
        info: &[u8],
        rest: impl Fn(&[u8; 4]) -> Option<Answer>,
    ) -> Option<Answer> {
        if self.protocol != protocol.number() {
            return Some(Answer::No);
        }
        let half = |at: usize| Some(u16::from_ne_bytes(*info.get(at..)?.first_chunk::<2>()?));
        let of_source = match (half(0)?, half(2)?) {
            (0, u16::MAX) => Answer::Yes,
            _ => Answer::Maybe,
        };
        let is_its = Answer::when((half(4)?..=half(6)?).contains(&self.port));
        // UDP's is shorter.
        let mut last = [0; 4];
        let found = info.get(8..)?.iter().take(4);
        last.iter_mut().zip(found).for_each(|(to, from)| *to = *from);
        Some(rest(&last)?.and(is_its).and(of_source))
    }

    fn xt_multiport(&self, info: &[u8]) -> Option<Answer> {
        let (is_of_source, count) = (*info.first()? == 0, usize::from(*info.get(1)?));
        let ports: Vec<u16> = info
            .get(2..32)?
            .chunks_exact(2)
            .map(|two| u16::from_ne_bytes([two[0], two[1]]))
            .collect();
        let is_inverted = *info.get(47)? != 0;
        if is_of_source || count > ports.len() {
            return None;
        }
        // Of sources too where either will do (`XT_MULTIPORT_EITHER`), which are not known.
        let miss = if *info.first()? == 1 { Answer::No } else { Answer::Maybe };
        let mut place = 0;
        let mut answer = miss;
        while place < count {
            let begins_range = *info.get(32 + place)? != 0;
            let last = if begins_range { place + 1 } else { place };
            if (ports[place]..=*ports.get(last)?).contains(&self.port) {
                answer = Answer::Yes;
            }
            place = last + 1;
        }
        Some(answer.inverted_if(is_inverted))
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn write(head: &mut [Option<u8>], at: usize, bytes: &[u8]) {
    for (to, from) in head[at..].iter_mut().zip(bytes) {
        *to = Some(*from);
    }
}
