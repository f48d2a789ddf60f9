//! What is asked of networks: which ones, under which names and addresses, and through which ports.

use dhow_base::{Error, Kind, Result};
use dhow_network::{Mac, Protocol, Publication};
use serde::{Deserialize, Serialize};
use std::{
    net::{Ipv4Addr, Ipv6Addr},
    path::PathBuf,
};

/// The network of a container that asks for none. Docker's name of it; podman's means it too.
pub const DEFAULT_NETWORK: &str = "bridge";

/// The network of an ordinary user's container that asks for none.
pub const PASTA: &str = "pasta";

/// `--network`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum NetworkMode {
    /// Nothing was said: [`DEFAULT_NETWORK`].
    #[default]
    Unsaid,
    /// A network namespace with a loopback only.
    None,
    /// The host's network.
    Host,
    /// A container's network, by its name or id.
    Container(String),
    /// The network namespace at this path.
    Path(PathBuf),
    /// The host's addresses by pasta, for users who are not root; with words for it.
    Pasta(Vec<String>),
    /// Connections to networks; the first one has the default route.
    Networks(Vec<ConnectionOptions>),
}

/// A connection to a network, as it was asked for.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct ConnectionOptions {
    /// The network's name or id.
    pub network: String,
    /// `--network-alias`: names by which neighbours find it, besides its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// `--ip`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<Ipv4Addr>,
    /// `--ip6`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip6: Option<Ipv6Addr>,
    /// `--mac-address`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// The device's name in the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
}

/// How a container is reached from the host.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct PortOptions {
    /// `-p`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<Publication>,
    /// `-P`: every port that the image or the user names gets one of the host's that is free.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub publish_all: bool,
    /// `--expose`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expose: Vec<Exposed>,
}

/// A port of the container's on which it listens.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Exposed {
    /// The port.
    pub port: u16,
    /// Over which protocol.
    pub protocol: Protocol,
}

impl NetworkMode {
    /// What is meant where nothing is said.
    pub fn usual() -> Self {
        Self::Networks(vec![ConnectionOptions::to(DEFAULT_NETWORK)])
    }

    /// Whether the network is the host's.
    pub fn is_host(&self) -> bool {
        *self == Self::Host
    }

    /// Whether the container has devices of networks of ours.
    pub fn connections(&self) -> &[ConnectionOptions] {
        match self {
            Self::Networks(connections) => connections,
            _ => &[],
        }
    }
}

impl ConnectionOptions {
    /// A connection to this network, and nothing else said.
    pub fn to(network: impl Into<String>) -> Self {
        Self { network: network.into(), ..Self::default() }
    }
}

impl Exposed {
    /// Reads `PORT` or `FIRST-LAST`, with `/tcp`, `/udp` or `/sctp` where it is not TCP.
    pub fn parse(text: &str) -> Result<Vec<Self>> {
        let refused = |why: &str| {
            Error::new(Kind::Invalid, format!("read {text:?} as ports: {why}"))
                .hint("write 80, 53/udp or 7000-7010")
        };
        let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let protocol = Protocol::ALL
            .into_iter()
            .find(|known| known.name().eq_ignore_ascii_case(protocol))
            .ok_or_else(|| refused("no such protocol"))?;
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let number = |text: &str| match text.parse::<u16>() {
            Ok(port) if port > 0 && !text.starts_with('+') => Ok(port),
            _ => Err(refused("not a port")),
        };
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(refused("the range is empty"));
        }
        Ok((first..=last).map(|port| Self { port, protocol }).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exposed_ports_are_one_or_a_range() {
        let count = |text: &str| Exposed::parse(text).ok().map(|ports| ports.len());
        for (text, expected) in [
            ("80", Some(1)),
            ("53/udp", Some(1)),
            ("7000-7002/TCP", Some(3)),
            ("0", None),
            ("7002-7000", None),
            ("80/icmp", None),
            ("", None),
        ] {
            assert_eq!(count(text), expected, "{text:?}");
        }
    }
}
