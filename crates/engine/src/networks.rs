//! Networks: what containers that are connected to one share, and who is connected to which.
//!
//! # Life of a network
//!
//! ```text
//!  row preparing ─▶ present ──first container starts──▶ device, names, firewall (the monitors')
//!                      └─▶ row removing ─▶ what is on the host goes ─▶ row gone
//! ```
//!
//! Whoever makes, changes or removes a network holds the networks' lock. A network that nobody uses is
//! a row and nothing else. The usual network, `bridge`, is made when somebody first wants it.
//!
//! # Life of a connection
//!
//! ```text
//!  container created: row ─start─▶ addresses leased, names joined ─end─▶ names left, addresses free
//! ```
//!
//! # What this module does not know
//!
//! Links, firewalls and sockets: it makes a [`dhow_network::Plan`], which whoever keeps the container
//! carries out.

mod change;
mod connect;
mod devices;
mod explain;
mod given;
mod ground;
mod life;
mod lists;
mod live;
mod making;
mod plan;
mod plugins;
mod prune;
mod subnets;
mod survey;

pub use change::{RemoveNetwork, UpdateNetwork};
use connect::EndpointSettings;
pub(crate) use connect::connect_all;
pub use explain::Explanation;
pub(crate) use ground::NAMES;
pub(crate) use life::Called;
use lists::Home;
pub use making::NetworkOptions;
use plan::release;
pub(crate) use plugins::has_plugins;
pub use prune::NetworkFilter;
pub use subnets::{AddressRange, NetworkDefaults, Pool};
pub use survey::{Connected, Connection, Network};

use crate::{Engine, layout::Layout, options::DEFAULT_NETWORK as USUAL};
use dhow_base::{
    Doing, Error, Kind, Result, file,
    id::ContainerId,
    lock::{Lock, Sharing},
};
use dhow_network::Network as Made;
use dhow_state::{
    Read, Write, events,
    networks::{self, Network as Row, Phase},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::IpAddr};

/// Podman's word for the usual network.
const PODMANS_USUAL: &str = "podman";
/// The device of the usual network.
const USUAL_DEVICE: &str = "dhow0";

/// The `settings` of a network's row.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Settings {
    /// What it is made of.
    pub(crate) made: Made,
    /// Labels.
    pub(crate) labels: BTreeMap<String, String>,
    /// Options of the driver's, as they were asked for.
    pub(crate) options: BTreeMap<String, String>,
    /// Who gives the addresses: `default`, `dhcp` or `none`, or a plugin's name.
    pub(crate) ipam: String,
    /// Options of that one's.
    pub(crate) ipam_options: BTreeMap<String, String>,
    /// Addresses that no container gets, by what they are for.
    pub(crate) reserved: BTreeMap<String, IpAddr>,
    /// Whether `--attachable` was given, which means nothing here.
    pub(crate) attachable: bool,
    /// What the devices in containers are called, before their numbers.
    pub(crate) interface_prefix: Option<String>,
    /// Where its plugins are, and the list that names them, where plugins make it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) plugins: Option<Home>,
}

impl Settings {
    /// What a row has. Id and name are the row's own.
    pub(crate) fn of(row: &Row) -> Result<Self> {
        let mut settings: Self = serde_json::from_str(&row.settings).map_err(|error| {
            Error::new(Kind::Corrupt, format!("parse the settings of network {}", row.name))
                .because(error)
        })?;
        settings.made.id = row.id.to_string();
        settings.made.name = row.name.to_string();
        Ok(settings)
    }

    fn to_text(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| {
            Error::new(Kind::Internal, "write the settings of a network").because(error)
        })
    }

    /// The addresses of version 4, or of version 6, that nobody is given.
    fn reserved_addresses(&self) -> Vec<IpAddr> {
        let gateways = self.made.subnets.iter().filter_map(|range| range.gateway);
        gateways.chain(self.reserved.values().copied()).collect()
    }
}

/// Whether a word means the usual network.
pub(crate) fn is_usual(text: &str) -> bool {
    matches!(text, USUAL | PODMANS_USUAL | "default" | "")
}

/// The row of the network that a word of the user's means.
fn look_up(read: &Read, text: &str) -> Result<Row> {
    let row = if is_usual(text) {
        networks::find_by_name(read, USUAL)?.ok_or_else(|| {
            Error::new(Kind::NotFound, format!("no such network: {text}"))
                .hint("it is made when the first container is connected to it")
        })?
    } else {
        networks::look_up(read, text)?
    };
    match row.phase {
        Phase::Present => Ok(row),
        Phase::Preparing | Phase::Removing => {
            let text = format!("use network {}: another command makes or removes it", row.name);
            Err(Error::new(Kind::Conflict, text))
        }
    }
}

/// Writes an event of a network. Its name and driver go along, since it may be gone when somebody asks.
fn tell(write: &Write<'_>, made: &Made, action: &str, container: Option<&str>) -> Result<()> {
    let mut detail = BTreeMap::from([("name", made.name.as_str()), ("type", made.driver.word())]);
    detail.extend(container.map(|container| ("container", container)));
    let detail = serde_json::to_string(&detail).map_err(|error| {
        Error::new(Kind::Internal, "write an event of a network").because(error)
    })?;
    events::record(write, "network", action, &made.id, &detail)
}

fn lock(layout: &Layout) -> Result<Lock> {
    let directory = layout.locks();
    file::make_directories(&directory, 0o700)?;
    Lock::acquire(&directory.join("networks"), Sharing::Exclusive)
}

impl Engine {
    /// Says how networks get addresses where nobody chooses; without it as podman's do.
    pub fn set_network_defaults(&mut self, defaults: NetworkDefaults) {
        self.network_defaults = defaults;
    }

    /// Makes the usual network where it is not there yet.
    pub(crate) fn ensure_usual_network(&mut self) -> Result<ContainerId> {
        let there = |engine: &Self| networks::find_by_name(engine.state.read(), USUAL);
        if let Some(row) = there(self)?.filter(|row| row.phase == Phase::Present) {
            return Ok(row.id);
        }
        let _lock = lock(&self.layout)?;
        self.mend_networks()?;
        match there(self)? {
            Some(row) => Ok(row.id),
            None => self.make_usual_network().doing(|| format!("create network {USUAL}")),
        }
    }
}
