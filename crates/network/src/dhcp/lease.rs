//! What a server has given a device: data that travels to whoever shows the container.

use super::message::Grant;
use crate::InterfaceAddress;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// An address of a network that a server leases, and what goes with it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Leased {
    /// The network's id.
    pub network: String,
    /// The address.
    pub address: InterfaceAddress,
    /// Through whom the rest of the world is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// Servers to ask for names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<IpAddr>,
    /// Domains that short names are looked up in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub searches: Vec<String>,
}

impl Leased {
    pub(super) fn of(network: &str, grant: &Grant) -> Self {
        Self {
            network: network.to_owned(),
            address: grant.address,
            gateway: grant.gateway.map(IpAddr::V4),
            servers: grant.servers.clone(),
            searches: grant.domain.iter().cloned().collect(),
        }
    }
}
