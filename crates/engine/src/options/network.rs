//! What is asked of networks: which ones, under which names and addresses, and through which ports.

use dhow_network::{Mac, Protocol, Publication};
use serde::{Deserialize, Serialize};
use std::{
    net::{Ipv4Addr, Ipv6Addr},
    path::PathBuf,
};

/// The network of a container that asks for none. Docker's name of it; podman's means it too.
pub const DEFAULT_NETWORK: &str = "bridge";

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
