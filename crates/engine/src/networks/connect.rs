//! Connecting containers to networks: the rows. What is on the host follows at the start, or at once
//! where the container runs.
//!
//! Whoever changes a container's connections has its [turn](crate::claim), so the container neither
//! begins nor ends meanwhile, and a row that says that its connection is being changed tells, to who has
//! the turn next, of a command that was killed.

use super::{
    Settings,
    given::Given,
    is_usual,
    live::{Unfinished, is_live},
    look_up,
    making::device_name,
    tell,
};
use crate::{Engine, claim::Turn, create, options::ConnectionOptions, record::Record};
use dhow_base::{
    Doing, Error, Kind, Result,
    id::{ContainerId, random_hex},
};
use dhow_network::{Driver, Mac, Network as Made};
use dhow_state::{
    Write,
    containers::{Container, Phase},
    endpoints::{self, Endpoint},
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The `settings` of a connection's row.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct EndpointSettings {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) aliases: Vec<String>,
    /// Whether the hardware address was asked for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) fixed_mac: bool,
    /// What others have given it for the life that it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) given: Option<Given>,
    /// What a command has begun to do with it while the container runs, and not finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unfinished: Option<Unfinished>,
}

impl EndpointSettings {
    pub(crate) fn of(endpoint: &Endpoint) -> Result<Self> {
        serde_json::from_str(&endpoint.settings).map_err(|error| {
            Error::new(Kind::Corrupt, "parse the settings of a connection").because(error)
        })
    }
}

/// Writes the rows of connections of a container or a pod, in their order, beside its own row. The
/// usual network has to be there where it is named ([`Engine::ensure_usual_networks_of`]).
pub(crate) fn connect_all(
    write: &Write<'_>,
    owner: &ContainerId,
    connections: &[ConnectionOptions],
) -> Result<()> {
    for options in connections {
        connect(write, owner, options, None)?;
    }
    Ok(())
}

/// Writes the row of a connection; the network.
fn connect(
    write: &Write<'_>,
    owner: &ContainerId,
    options: &ConnectionOptions,
    unfinished: Option<Unfinished>,
) -> Result<Made> {
    let row = look_up(write, &options.network)?;
    let doing = || format!("connect to network {}", row.name);
    let settings = Settings::of(&row)?;
    check_addresses(&settings, options).doing(doing)?;
    let there = endpoints::of_owner(write, owner)?;
    let interface = match (&options.interface, &settings.interface_prefix) {
        (Some(name), _) => Some(device_name(name).doing(doing)?),
        (None, Some(prefix)) => {
            let names = (0_u32..).map(|number| format!("{prefix}{number}"));
            let mut free = names.filter(|name| there.iter().all(|one| one.interface != *name));
            free.next()
        }
        (None, None) => None,
    };
    let mac = match options.mac {
        Some(mac) => mac,
        None => random_mac()?,
    };
    let text = EndpointSettings {
        aliases: checked_aliases(&options.aliases).doing(doing)?,
        fixed_mac: options.mac.is_some(),
        given: None,
        unfinished,
    }
    .to_text()?;
    let connection = endpoints::Connection {
        owner,
        network: &row.id,
        interface: interface.as_deref(),
        mac: &mac.to_string(),
        ip4: options.ip,
        ip6: options.ip6,
        settings: &text,
    };
    endpoints::connect(write, &connection).doing(doing)?;
    Ok(settings.made)
}

fn random_mac() -> Result<Mac> {
    let number = u64::from_str_radix(&random_hex(6)?, 16)
        .map_err(|error| Error::new(Kind::Internal, "make a random number").because(error))?;
    let [_, _, bytes @ ..] = number.to_be_bytes();
    Ok(Mac::from_random(bytes))
}

/// A name is what can be asked for in the DNS: labels of 63 bytes, 253 together (RFC 1035, 2.3.4).
fn checked_aliases(aliases: &[String]) -> Result<Vec<String>> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(allowed);
    let mut checked: Vec<String> = Vec::new();
    for alias in aliases {
        if alias.len() > 253 || !alias.split('.').all(label) {
            return Err(Error::new(Kind::Invalid, format!("use the alias {alias:?}"))
                .hint("an alias has letters, digits, hyphens and underscores, and dots between"));
        }
        if !checked.contains(alias) {
            checked.push(alias.clone());
        }
    }
    Ok(checked)
}

fn check_addresses(settings: &Settings, options: &ConnectionOptions) -> Result<()> {
    let asked = options.ip.map(IpAddr::V4).into_iter().chain(options.ip6.map(IpAddr::V6));
    // Plugins say themselves which ones make sense.
    if settings.made.driver == Driver::Cni {
        return Ok(());
    }
    if settings.made.leases && asked.clone().next().is_some() {
        return Err(Error::new(
            Kind::Invalid,
            "use an address: a server gives those of the network",
        )
        .hint("have the server give one by the hardware address (--mac-address)"));
    }
    for address in asked {
        let refused =
            |why: String| Err(Error::new(Kind::Invalid, format!("use address {address}: {why}")));
        let ranges = &settings.made.subnets;
        let same = ranges.iter().find(|range| range.subnet.is_ipv6() == address.is_ipv6());
        let Some(range) = same else {
            let version = if address.is_ipv6() { 6 } else { 4 };
            return refused(format!("the network gives no addresses of version {version}"));
        };
        let Some(place) = range.subnet.place_of(address) else {
            return refused(format!("it is not in {}", range.subnet));
        };
        let places = range.subnet.places();
        if !places.is_some_and(|(first, last)| (first..=last).contains(&place)) {
            return refused(format!("no device can have it in {}", range.subnet));
        }
        if range.gateway == Some(address) {
            return refused("it is the gateway's".to_owned());
        }
        if let Some((name, _)) = settings.reserved.iter().find(|(_, other)| **other == address) {
            return refused(format!("it is kept for {name}"));
        }
    }
    Ok(())
}

impl Engine {
    /// Makes the usual network where one of the connections is to it, and looks for lists of plugins
    /// where one is to such a list, or to a network of which there is no row.
    pub(crate) fn ensure_usual_networks_of(
        &mut self,
        connections: &[ConnectionOptions],
    ) -> Result<()> {
        if connections.iter().any(|one| is_usual(&one.network)) {
            self.ensure_usual_network()?;
        }
        for one in connections {
            self.ensure_list_of(&one.network)?;
        }
        Ok(())
    }

    /// Connects a container to one more network.
    pub fn connect_network(&mut self, container: &str, options: &ConnectionOptions) -> Result<()> {
        let (_turn, row) = self.changeable(container)?;
        let doing = || format!("connect container {} to network {}", row.name, &options.network);
        let record = Record::parse(&row.settings)?;
        check_mode(&record).doing(doing)?;
        self.ensure_usual_networks_of(std::slice::from_ref(options))?;
        let is_live = is_live(&row);
        let made = self
            .state
            .write(|write| {
                let unfinished = is_live.then_some(Unfinished::Connecting);
                let made = connect(write, &row.id, options, unfinished)?;
                if is_live && made.leases {
                    let text = "a server gives the addresses of the network, at the start only";
                    return Err(
                        Error::new(Kind::Unsupported, text).hint("stop the container first")
                    );
                }
                if !is_live {
                    tell(write, &made, "connect", Some(row.id.as_str()))?;
                }
                Ok(made)
            })
            .doing(doing)?;
        match is_live {
            true => self.connect_live(&row, &record, &made).doing(doing),
            false => Ok(()),
        }
    }

    /// Takes a container's connection to a network away.
    pub fn disconnect_network(&mut self, container: &str, network: &str) -> Result<()> {
        let (_turn, row) = self.changeable(container)?;
        let doing = || format!("disconnect container {} from network {network}", row.name);
        let of = look_up(self.state.read(), network).doing(doing)?;
        let made = Settings::of(&of)?.made;
        if is_live(&row) && endpoints::find(self.state.read(), &row.id, &of.id)?.is_some() {
            let record = Record::parse(&row.settings)?;
            self.disconnect_live(&row, &record, &of.id).doing(doing)?;
        }
        self.state
            .write(|write| {
                if !endpoints::disconnect(write, &row.id, &of.id)? {
                    return Err(Error::new(Kind::NotFound, "it is not connected to it"));
                }
                tell(write, &made, "disconnect", Some(row.id.as_str()))
            })
            .doing(doing)
    }

    /// A container whose connections can be changed now, by us alone; what a killed command has left of
    /// an earlier change is gone.
    fn changeable(&mut self, container: &str) -> Result<(Turn, Container)> {
        let id = self.steady(container)?.id;
        let turn = self.turn(&id)?;
        let row = create::look_up(&self.state, id.as_str())?;
        match row.phase {
            Phase::Created | Phase::Exited | Phase::Running => {
                self.settle_connections(&turn, &row)?;
                Ok((turn, row))
            }
            phase => {
                let text = format!(
                    "change the networks of container {}: it is {}",
                    row.name,
                    phase.word()
                );
                Err(Error::new(Kind::Conflict, text).hint("stop it first"))
            }
        }
    }
}

/// Refuses containers whose network namespace is not theirs, or is to have nothing but a loopback.
fn check_mode(record: &Record) -> Result<()> {
    let mode = record.network.as_str();
    let is_others = mode == "host" || mode.starts_with("container:") || mode.starts_with("ns:");
    if is_others || mode == "none" || record.pasta().is_some() {
        let text = format!("its network is {mode}, which stands alone");
        return Err(
            Error::new(Kind::Conflict, text).hint("create the container with --network NAME")
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_network::Range;

    #[test]
    fn an_address_that_is_asked_for_is_one_that_a_container_can_have() {
        let range = |subnet: &str, gateway: &str| Range {
            subnet: subnet.parse().unwrap(),
            gateway: Some(gateway.parse().unwrap()),
            leased: None,
        };
        let mut settings = Settings::default();
        settings.made.subnets = vec![range("10.1.0.0/24", "10.1.0.1")];
        settings.reserved.insert("router".to_owned(), "10.1.0.9".parse().unwrap());
        let asks = |text: &str| {
            let options = match text.parse().unwrap() {
                IpAddr::V4(ip) => {
                    ConnectionOptions { ip: Some(ip), ..ConnectionOptions::default() }
                }
                IpAddr::V6(ip6) => {
                    ConnectionOptions { ip6: Some(ip6), ..ConnectionOptions::default() }
                }
            };
            check_addresses(&settings, &options)
        };

        assert!(asks("10.1.0.7").is_ok());
        for text in ["10.1.1.7", "10.1.0.0", "10.1.0.255", "10.1.0.1", "10.1.0.9", "fd00::7"] {
            let error = asks(text).unwrap_err();
            assert!(error.one_line().contains(text), "{}", error.one_line());
        }
    }

    #[test]
    fn aliases_are_names_of_the_dns_and_each_counts_once() {
        let aliases = |words: &[&str]| {
            checked_aliases(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
        };

        assert_eq!(aliases(&["db", "db", "db.local"]).unwrap(), ["db", "db.local"]);
        for bad in ["", "a b", "a..b", "-\n", &"x".repeat(64)] {
            assert!(aliases(&[bad]).is_err(), "{bad:?}");
        }
    }
}
