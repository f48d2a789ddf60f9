//! A port of the host's through which a container is reached.

use dhow_base::{Doing, Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
    str::FromStr,
};

/// What runs over the internet protocol and has ports.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// Its name, in small letters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }

    /// Its number in a packet's head (IANA).
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }
}

/// One port of the host's that leads to one of the container's. A range that was asked for is many.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Publication {
    /// Over which protocol.
    pub protocol: Protocol,
    /// At which of the host's addresses; at all of both versions where missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<IpAddr>,
    /// The host's port; 0 stands for one that is free, which is found when it is bound.
    pub host_port: u16,
    /// Where any that is free will do, from [`host_port`](Self::host_port) on: the last of them.
    /// None has it once it is bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_port_last: Option<u16>,
    /// The container's port.
    pub container_port: u16,
}

impl FromStr for Protocol {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let known = Self::ALL.into_iter().find(|one| one.name().eq_ignore_ascii_case(text));
        known.ok_or_else(|| {
            Error::new(Kind::Invalid, format!("use {text:?} as a protocol: it has no ports"))
                .hint("tcp, udp and sctp have")
        })
    }
}

impl Publication {
    /// Reads `[ADDRESS:][HOST PORTS]:PORTS[/PROTOCOL]` or `PORTS[/PROTOCOL]`, where ports are one or a
    /// range: one publication for each of the container's ports.
    pub fn parse(text: &str) -> Result<Vec<Self>> {
        let refused = |why: String| {
            Error::new(Kind::Invalid, format!("publish {text:?}: {why}"))
                .hint("write [ADDRESS:][HOST PORT:]CONTAINER PORT[/PROTOCOL]")
        };
        let (rest, protocol) = text.rsplit_once('/').unwrap_or((text, ""));
        let protocol = match protocol {
            "" => Protocol::Tcp,
            name => name.parse::<Protocol>().doing(|| format!("publish {text:?}"))?,
        };
        let (rest, container) = match rest.rsplit_once(':') {
            Some((rest, container)) => (Some(rest), container),
            None => (None, rest),
        };
        let (address, host) = match rest.map(|rest| rest.rsplit_once(':').unwrap_or(("", rest))) {
            Some((address, host)) => (address, host),
            None => ("", ""),
        };
        let container = Ports::parse(container).map_err(refused)?;
        if container.first == 0 {
            return Err(refused("the container's port is 0".to_owned()));
        }
        let host = match host {
            "" => Ports { first: 0, last: 0 },
            words => Ports::parse(words).map_err(refused)?,
        };
        let address = match address {
            "" => None,
            words => Some(parse_address(words).map_err(refused)?),
        };
        let at = |host_port, host_port_last, container_port| Self {
            protocol,
            host: address,
            host_port,
            host_port_last,
            container_port,
        };
        match (host.count(), container.count()) {
            (1, _) if host.first == 0 => {
                Ok(container.all().map(|port| at(0, None, port)).collect())
            }
            (_, 1) => {
                let last = (host.count() > 1).then_some(host.last);
                Ok(vec![at(host.first, last, container.first)])
            }
            (a, b) if a == b => {
                let pairs = host.all().zip(container.all());
                Ok(pairs.map(|(host, container)| at(host, None, container)).collect())
            }
            (a, b) => Err(refused(format!("{a} ports of the host's for {b} of the container's"))),
        }
    }

    /// The addresses at which it is bound: everybody's of both versions where none is named.
    pub fn addresses(&self) -> Vec<IpAddr> {
        match self.host {
            Some(address) => vec![address],
            None => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
        }
    }
}

/// As docker prints it: `127.0.0.1:8080->80/tcp`.
impl fmt::Display for Publication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let (port, protocol) = (self.container_port, self.protocol.name());
        write!(f, "{}->{port}/{protocol}", SocketAddr::new(host, self.host_port))
    }
}

/// One port, or all from one to another.
#[derive(Clone, Copy, Debug)]
struct Ports {
    first: u16,
    last: u16,
}

impl Ports {
    fn parse(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let ports = Self { first: parse_port(first)?, last: parse_port(last)? };
        if ports.last < ports.first {
            return Err(format!("the range {text} ends before it starts"));
        }
        Ok(ports)
    }

    fn count(self) -> u32 {
        u32::from(self.last - self.first) + 1
    }

    fn all(self) -> RangeInclusive<u16> {
        self.first..=self.last
    }
}

fn parse_port(text: &str) -> Result<u16, String> {
    if text.is_empty() {
        return Err("a port is missing".to_owned());
    }
    // `parse` takes a sign, which a port has not.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|_| digits);
    port.ok_or_else(|| format!("{text:?} is not a port, which is a number up to 65535"))
}

/// An address, in brackets or not.
fn parse_address(text: &str) -> Result<IpAddr, String> {
    let inside = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address: IpAddr = inside
        .unwrap_or(text)
        .parse()
        .map_err(|_| format!("{text:?} is not an address of the host's"))?;
    match address.is_multicast() {
        true => Err(format!("{address} is a group's address and not the host's")),
        false => Ok(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What it says, as `address:port(-last)>port/protocol`.
    fn told(text: &str) -> Option<String> {
        let all = Publication::parse(text).ok()?;
        let one = |one: &Publication| {
            let host = one.host.map(|host| host.to_string()).unwrap_or_default();
            let last = one.host_port_last.map(|last| format!("-{last}")).unwrap_or_default();
            let (from, to) = (one.host_port, one.container_port);
            format!("{host}|{from}{last}>{to}/{}", one.protocol.name())
        };
        Some(all.iter().map(one).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn ports_are_published_in_all_of_their_forms() {
        for (text, expected) in [
            ("80", Some("|0>80/tcp")),
            ("80/udp", Some("|0>80/udp")),
            ("80/UDP", Some("|0>80/udp")),
            ("8080:80", Some("|8080>80/tcp")),
            ("0:80", Some("|0>80/tcp")),
            (":80", Some("|0>80/tcp")),
            ("8080:80/sctp", Some("|8080>80/sctp")),
            ("127.0.0.1:8080:80", Some("127.0.0.1|8080>80/tcp")),
            ("127.0.0.1::80", Some("127.0.0.1|0>80/tcp")),
            ("[::1]:8080:80", Some("::1|8080>80/tcp")),
            ("[::]::80/udp", Some("::|0>80/udp")),
            ("::1:8080:80", Some("::1|8080>80/tcp")),
            ("80-81", Some("|0>80/tcp |0>81/tcp")),
            ("8080-8081:80-81", Some("|8080>80/tcp |8081>81/tcp")),
            ("8080-8089:80", Some("|8080-8089>80/tcp")),
            ("65535:65535", Some("|65535>65535/tcp")),
            ("8080-8089:80-81", None),
            ("8080:80-81", None),
            ("8081-8080:80", None),
            ("65536:80", None),
            ("8080:0", None),
            ("+8080:80", None),
            ("8080:", None),
            ("8080:80/icmp", None),
            ("localhost:8080:80", None),
            ("1.2.3:8080:80", None),
            ("224.0.0.1:8080:80", None),
            ("[::1:8080:80", None),
            ("-:80", None),
            ("", None),
            ("/tcp", None),
        ] {
            assert_eq!(told(text).as_deref(), expected, "parsing {text:?}");
        }
    }

    #[test]
    fn a_refusal_names_the_words_and_the_reason() {
        for (text, reason) in [
            ("80000:80", "\"80000\" is not a port"),
            ("8080:80/icmp", "\"icmp\" as a protocol"),
            ("8080-8089:80-81", "10 ports of the host's for 2 of the container's"),
        ] {
            let said = Publication::parse(text).unwrap_err().one_line();

            assert!(said.contains(text) && said.contains(reason), "{said}");
        }
    }
}
