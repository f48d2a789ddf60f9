//! What is to be done for one network namespace: data that travels to whoever does it.

use crate::{Driver, Mac, Network, Publication, Subnet};
use dhow_base::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr, path::PathBuf, str::FromStr};

/// The networks of one container, or of one pod.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Plan {
    /// Whose it is: the id of the container or of the pod.
    pub owner: String,
    /// What it is connected to; the first one's gateway is the default.
    pub attachments: Vec<Attachment>,
    /// How it is reached from the host.
    pub publications: Vec<Publication>,
    /// Who answers its questions for names; nobody of ours where missing.
    pub resolver: Option<ResolverPlan>,
    /// What it calls itself, for servers that lease addresses.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// The way out and in for an ordinary user's container; the host itself where missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outlet: Option<Outlet>,
}

/// What an ordinary user's container has in place of a bridge on the host: a process that passes on.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Outlet {
    /// The file that has the process's number.
    pub pid_file: PathBuf,
    /// The user's own words for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// The network namespace in which the user's bridges are; where missing, there are none and the
    /// process is the only way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ground: Option<PathBuf>,
}

/// A connection to a network.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Attachment {
    /// The network.
    pub network: Network,
    /// The device's name in the container, such as `eth0`.
    pub interface: String,
    /// The name of its other end on the host.
    pub host_interface: String,
    /// Its hardware address.
    pub mac: Mac,
    /// Its addresses.
    pub addresses: Vec<InterfaceAddress>,
}

/// An address of a device, and how many of its bits the neighbours share: `10.88.0.5/16`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct InterfaceAddress {
    /// The address.
    pub address: IpAddr,
    /// The length of its subnet's prefix.
    pub prefix: u8,
}

impl fmt::Display for InterfaceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for InterfaceAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = text.split_once('/').and_then(|(address, prefix)| {
            let is_number = prefix.bytes().all(|byte| byte.is_ascii_digit());
            let prefix = prefix.parse().ok().filter(|_| is_number)?;
            let address = address.parse().ok()?;
            Subnet::around(address, prefix).map(|_| Self { address, prefix })
        });
        parsed.ok_or_else(|| {
            Error::new(Kind::Invalid, format!("use {text:?} as an address of a device"))
                .hint("write an address and a length, such as 10.88.0.5/16 or fd00:88::5/64")
        })
    }
}

impl TryFrom<String> for InterfaceAddress {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<InterfaceAddress> for String {
    fn from(address: InterfaceAddress) -> Self {
        address.to_string()
    }
}

/// A way to other addresses.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Route {
    /// Which ones.
    pub to: Subnet,
    /// Through whom.
    pub gateway: IpAddr,
    /// How dear it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<u32>,
}

/// How names are resolved.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct ResolverPlan {
    /// The networks whose names it knows: the first one that has a name answers.
    pub networks: Vec<NamedNetwork>,
    /// Servers to ask for all other names, in this order; none where the container is connected to
    /// internal networks only.
    pub servers: Vec<IpAddr>,
}

/// A network whose names are known.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct NamedNetwork {
    /// Its name, which may follow that of a container: `db.backend`.
    pub name: String,
    /// Where its names are kept, see [`crate::names`].
    pub directory: PathBuf,
}

impl Plan {
    /// Whether there is anything to be done.
    pub fn is_empty(&self) -> bool {
        self.attachments.is_empty() && self.outlet.is_none()
    }

    /// The network that an address of the plan's is of.
    pub(crate) fn network_of(&self, address: IpAddr) -> &Network {
        let is_its = |one: &&Attachment| one.addresses.iter().any(|own| own.address == address);
        let attachment = self.attachments.iter().find(is_its);
        &attachment.expect("the address is one of the plan's").network
    }

    /// The address at which it is reached from the host by a program of ours.
    pub fn at_host(&self) -> Option<IpAddr> {
        let plugged = self.attachments.iter().filter(|one| one.network.driver == Driver::Cni);
        let plugged = plugged.flat_map(|one| one.addresses.iter().map(|own| own.address));
        self.targets().chain(plugged).next()
    }

    /// The addresses through which its published ports lead, one of each version at most.
    pub fn targets(&self) -> impl Iterator<Item = IpAddr> {
        let all = || {
            let open = self.attachments.iter().filter(|one| one.network.publishes());
            open.flat_map(|attachment| attachment.addresses.iter().map(|one| one.address))
        };
        all().find(IpAddr::is_ipv4).into_iter().chain(all().find(IpAddr::is_ipv6))
    }
}
