//! What is to be done for one network namespace: data that travels to whoever does it.

use crate::{Mac, Network, Publication, Subnet};
use serde::{Deserialize, Serialize};
use std::{net::IpAddr, path::PathBuf};

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
    /// At most so many bits a second, in and out; as many as go through where missing.
    #[serde(default)]
    pub ingress_bits: Option<u64>,
    /// The same for what the container sends.
    #[serde(default)]
    pub egress_bits: Option<u64>,
}

/// An address of a device, and how many of its bits the neighbours share.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct InterfaceAddress {
    /// The address.
    pub address: IpAddr,
    /// The length of its subnet's prefix.
    pub prefix: u8,
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
    /// The directories of the networks whose names it knows (see the engine's layout): the first one
    /// that has a name answers.
    pub networks: Vec<PathBuf>,
    /// Servers to ask for all other names, in this order.
    pub servers: Vec<IpAddr>,
}

impl Plan {
    /// Whether there is anything to be done.
    pub fn is_empty(&self) -> bool {
        self.attachments.is_empty()
    }

    /// The addresses through which its published ports lead, one of each version at most.
    pub fn targets(&self) -> impl Iterator<Item = IpAddr> {
        let all = || {
            let open = self.attachments.iter().filter(|attachment| !attachment.network.internal);
            open.flat_map(|attachment| attachment.addresses.iter().map(|one| one.address))
        };
        all().find(IpAddr::is_ipv4).into_iter().chain(all().find(IpAddr::is_ipv6))
    }
}
