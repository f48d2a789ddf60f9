//! Connections of containers, and of pods, to networks.
//!
//! ```text
//!  connected, no address ──lease──▶ with addresses ──release──▶ connected, no address
//! ```
//!
//! An address that was asked for is the connection's from the beginning to the end. Any other is
//! leased for a life of the container (see [`crate::leases`]). The name of the device and its hardware
//! address stay the same all the time.

use crate::{Read, Sql, Write, leases::Version};
use dhow_base::{Error, Kind, Result, id::ContainerId};
use rusqlite::{OptionalExtension, Row, params};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A connection, as its row has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endpoint {
    /// The container, or the pod.
    pub owner: ContainerId,
    /// The network.
    pub network: ContainerId,
    /// Its place among its owner's connections.
    pub place: u32,
    /// The name of its device inside.
    pub interface: String,
    /// Its hardware address.
    pub mac: String,
    /// Its address of version 4, while it has one.
    pub ip4: Option<Ipv4Addr>,
    /// Its address of version 6, while it has one.
    pub ip6: Option<Ipv6Addr>,
    /// Whether the first was asked for.
    pub fixed_ip4: bool,
    /// Whether the second was.
    pub fixed_ip6: bool,
    /// The engine's settings, JSON.
    pub settings: String,
}

/// A connection to make.
#[derive(Clone, Copy, Debug)]
pub struct Connection<'a> {
    /// The container, or the pod.
    pub owner: &'a ContainerId,
    /// The network.
    pub network: &'a ContainerId,
    /// The name of its device; the first free of `eth0`, `eth1`… where missing.
    pub interface: Option<&'a str>,
    /// Its hardware address.
    pub mac: &'a str,
    /// The address of version 4 that it is to have.
    pub ip4: Option<Ipv4Addr>,
    /// The address of version 6 that it is to have.
    pub ip6: Option<Ipv6Addr>,
    /// The engine's settings, JSON.
    pub settings: &'a str,
}

const COLUMNS: &str =
    "owner, network, place, interface, mac, ip4, ip6, fixed_ip4, fixed_ip6, settings";

/// Connects a container to a network, behind the connections that it has. What is in the way is a
/// conflict: that something exists already says of a container that its name is taken.
pub fn connect(write: &Write<'_>, connection: &Connection<'_>) -> Result<Endpoint> {
    let Connection { owner, network, mac, ip4, ip6, settings, .. } = *connection;
    let there = of_owner(write, owner)?;
    if there.iter().any(|other| other.network == *network) {
        return Err(Error::new(Kind::Conflict, "it is connected already"));
    }
    let interface = match connection.interface {
        Some(asked) => asked.to_owned(),
        None => first_free_interface(&there),
    };
    if there.iter().any(|other| other.interface == interface) {
        let text = format!("another of its devices is called {interface}");
        return Err(Error::new(Kind::Conflict, text));
    }
    for address in ip4.map(IpAddr::V4).into_iter().chain(ip6.map(IpAddr::V6)) {
        if let Some(holder) = holder(write, network, address)? {
            let text = format!("address {address} is in use by container {}", holder.short());
            return Err(Error::new(Kind::Conflict, text).hint("choose another, or none"));
        }
    }
    let endpoint = Endpoint {
        owner: owner.clone(),
        network: network.clone(),
        place: there.iter().map(|other| other.place + 1).max().unwrap_or(0),
        interface,
        mac: mac.to_owned(),
        ip4,
        ip6,
        fixed_ip4: ip4.is_some(),
        fixed_ip6: ip6.is_some(),
        settings: settings.to_owned(),
    };
    insert(write, &endpoint)?;
    Ok(endpoint)
}

fn first_free_interface(there: &[Endpoint]) -> String {
    let names = (0_u32..).map(|number| format!("eth{number}"));
    let mut free = names.filter(|name| there.iter().all(|other| other.interface != *name));
    free.next().expect("a container has fewer connections than there are numbers")
}

fn insert(write: &Write<'_>, endpoint: &Endpoint) -> Result<()> {
    write
        .prepare_cached(
            "INSERT INTO endpoints (owner, network, place, interface, mac, ip4, ip6, fixed_ip4, fixed_ip6, \
             settings) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                endpoint.owner.as_str(),
                endpoint.network.as_str(),
                endpoint.place,
                endpoint.interface,
                endpoint.mac,
                endpoint.ip4.map(|address| address.octets()),
                endpoint.ip6.map(|address| address.octets()),
                endpoint.fixed_ip4,
                endpoint.fixed_ip6,
                endpoint.settings,
            ])
        })
        .sql(|| format!("connect container {}", endpoint.owner.short()))?;
    Ok(())
}

/// Takes a connection away; `false` says that there was none.
pub fn disconnect(write: &Write<'_>, owner: &ContainerId, network: &ContainerId) -> Result<bool> {
    write
        .prepare_cached("DELETE FROM endpoints WHERE owner = ?1 AND network = ?2")
        .and_then(|mut statement| statement.execute([owner.as_str(), network.as_str()]))
        .map(|count| count == 1)
        .sql(|| format!("disconnect container {} from network {}", owner.short(), network.short()))
}

pub(crate) const DISCONNECT_ALL: &str = "DELETE FROM endpoints WHERE owner = ?1";

/// Takes all connections of one away that goes.
pub fn disconnect_all(write: &Write<'_>, owner: &ContainerId) -> Result<()> {
    write
        .prepare_cached(DISCONNECT_ALL)
        .and_then(|mut statement| statement.execute([owner.as_str()]))
        .sql(|| format!("disconnect container {}", owner.short()))?;
    Ok(())
}

/// Gives the addresses that `from` has asked for to `to`, on the networks that both are connected to and
/// where that one has asked for none.
pub fn hand_over(write: &Write<'_>, from: &ContainerId, to: &ContainerId) -> Result<()> {
    for theirs in of_owner(write, from)? {
        let Some(ours) = find(write, to, &theirs.network)? else { continue };
        let ip4 = theirs.ip4.filter(|_| theirs.fixed_ip4 && !ours.fixed_ip4);
        let ip6 = theirs.ip6.filter(|_| theirs.fixed_ip6 && !ours.fixed_ip6);
        let changes = [
            (
                from,
                "ip4 = iif(?3 IS NULL, ip4, NULL), fixed_ip4 = iif(?3 IS NULL, fixed_ip4, 0), \
                    ip6 = iif(?4 IS NULL, ip6, NULL), fixed_ip6 = iif(?4 IS NULL, fixed_ip6, 0)",
            ),
            (
                to,
                "ip4 = ifnull(?3, ip4), fixed_ip4 = iif(?3 IS NULL, fixed_ip4, 1), \
                  ip6 = ifnull(?4, ip6), fixed_ip6 = iif(?4 IS NULL, fixed_ip6, 1)",
            ),
        ];
        for (owner, change) in changes {
            let query = format!("UPDATE endpoints SET {change} WHERE owner = ?1 AND network = ?2");
            let values = params![
                owner.as_str(),
                theirs.network.as_str(),
                ip4.map(|address| address.octets()),
                ip6.map(|address| address.octets()),
            ];
            write
                .prepare_cached(&query)
                .and_then(|mut statement| statement.execute(values))
                .sql(|| format!("hand the addresses of container {} over", from.short()))?;
        }
    }
    Ok(())
}

/// What others have given a connection.
#[derive(Clone, Copy, Debug)]
pub struct Gift<'a> {
    /// The hardware address of its device.
    pub mac: &'a str,
    /// Its address of version 4; none where one that was asked for stays.
    pub ip4: Option<Ipv4Addr>,
    /// Its address of version 6.
    pub ip6: Option<Ipv6Addr>,
    /// Its settings from now on.
    pub settings: &'a str,
}

/// Writes what others have given a connection: addresses that they lease, for a life.
pub fn give(write: &Write<'_>, endpoint: &Endpoint, gift: &Gift<'_>) -> Result<()> {
    for address in gift.ip4.map(IpAddr::V4).into_iter().chain(gift.ip6.map(IpAddr::V6)) {
        let holder = holder(write, &endpoint.network, address)?;
        if let Some(holder) = holder.filter(|holder| *holder != endpoint.owner) {
            let text = format!("address {address} is in use by container {}", holder.short());
            return Err(Error::new(Kind::Conflict, text)
                .hint("it was given twice: look at who gives the addresses of this network"));
        }
    }
    write
        .prepare_cached(
            "UPDATE endpoints SET mac = ?3, settings = ?4, ip4 = coalesce(?5, ip4), \
             ip6 = coalesce(?6, ip6) WHERE owner = ?1 AND network = ?2",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                endpoint.owner.as_str(),
                endpoint.network.as_str(),
                gift.mac,
                gift.settings,
                gift.ip4.map(|address| address.octets()),
                gift.ip6.map(|address| address.octets()),
            ])
        })
        .sql(|| format!("change a connection of container {}", endpoint.owner.short()))?;
    Ok(())
}

/// Replaces the engine's settings of a connection.
pub fn set_settings(write: &Write<'_>, endpoint: &Endpoint, settings: &str) -> Result<()> {
    write
        .prepare_cached("UPDATE endpoints SET settings = ?3 WHERE owner = ?1 AND network = ?2")
        .and_then(|mut statement| {
            statement.execute([endpoint.owner.as_str(), endpoint.network.as_str(), settings])
        })
        .sql(|| format!("change a connection of container {}", endpoint.owner.short()))?;
    Ok(())
}

/// A container's connection to a network.
pub fn find(read: &Read, owner: &ContainerId, network: &ContainerId) -> Result<Option<Endpoint>> {
    let query = format!("SELECT {COLUMNS} FROM endpoints WHERE owner = ?1 AND network = ?2");
    Ok(many(read, &query, [owner.as_str(), network.as_str()])?.pop())
}

/// The connections of a container or a pod, in their order.
pub fn of_owner(read: &Read, owner: &ContainerId) -> Result<Vec<Endpoint>> {
    let query = format!("SELECT {COLUMNS} FROM endpoints WHERE owner = ?1 ORDER BY place");
    many(read, &query, [owner.as_str()])
}

/// The connections to a network.
pub fn of_network(read: &Read, network: &ContainerId) -> Result<Vec<Endpoint>> {
    let query = format!("SELECT {COLUMNS} FROM endpoints WHERE network = ?1 ORDER BY owner");
    many(read, &query, [network.as_str()])
}

/// All connections, those of one owner in their order.
pub fn list(read: &Read) -> Result<Vec<Endpoint>> {
    many(read, &format!("SELECT {COLUMNS} FROM endpoints ORDER BY owner, place"), [])
}

/// The names of the networks of all who are connected to any, those of one owner in their order.
pub fn names_of_networks(read: &Read) -> Result<Vec<(ContainerId, String)>> {
    let doing = || "list the networks of containers";
    let query =
        "SELECT owner, name FROM endpoints JOIN networks ON id = network ORDER BY owner, place";
    let mut statement = read.prepare_cached(query).sql(doing)?;
    let rows = statement
        .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
        .sql(doing)?;
    rows.map(|row| {
        let (owner, name) = row.sql(doing)?;
        Ok((owner.parse()?, name))
    })
    .collect()
}

/// Whether somebody is connected to a network.
pub fn is_used(read: &Read, network: &ContainerId) -> Result<bool> {
    read.prepare_cached("SELECT 1 FROM endpoints WHERE network = ?1")
        .and_then(|mut statement| statement.exists([network.as_str()]))
        .sql(|| format!("look who is connected to network {}", network.short()))
}

/// Who has an address of a network.
pub fn holder(read: &Read, network: &ContainerId, address: IpAddr) -> Result<Option<ContainerId>> {
    let version = Version::of(address);
    let column = version.column();
    let query = format!("SELECT owner FROM endpoints WHERE network = ?1 AND {column} = ?2");
    let holder: Option<String> = read
        .prepare_cached(&query)
        .and_then(|mut statement| {
            let values = params![network.as_str(), version.bytes(address)];
            statement.query_row(values, |row| row.get(0)).optional()
        })
        .sql(|| format!("look who has address {address}"))?;
    holder.as_deref().map(str::parse).transpose()
}

fn many(read: &Read, query: &str, parameters: impl rusqlite::Params) -> Result<Vec<Endpoint>> {
    let doing = || "list connections";
    let mut statement = read.prepare_cached(query).sql(doing)?;
    let rows = statement.query_map(parameters, |row| Ok(from_row(row))).sql(doing)?;
    rows.map(|row| row.sql(doing)?).collect()
}

fn from_row(row: &Row<'_>) -> Result<Endpoint> {
    let doing = || "read the row of a connection";
    Ok(Endpoint {
        owner: row.get::<_, String>(0).sql(doing)?.parse()?,
        network: row.get::<_, String>(1).sql(doing)?.parse()?,
        place: row.get(2).sql(doing)?,
        interface: row.get(3).sql(doing)?,
        mac: row.get(4).sql(doing)?,
        ip4: row.get::<_, Option<[u8; 4]>>(5).sql(doing)?.map(Ipv4Addr::from),
        ip6: row.get::<_, Option<[u8; 16]>>(6).sql(doing)?.map(Ipv6Addr::from),
        fixed_ip4: row.get(7).sql(doing)?,
        fixed_ip6: row.get(8).sql(doing)?,
        settings: row.get(9).sql(doing)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{State, leases::tests::with_network};

    fn connection<'a>(owner: &'a ContainerId, network: &'a ContainerId) -> Connection<'a> {
        Connection {
            owner,
            network,
            interface: None,
            mac: "02:00:00:00:00:01",
            ip4: None,
            ip6: None,
            settings: "{}",
        }
    }

    #[test]
    fn connections_are_in_their_order_and_devices_fill_gaps() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = State::open(directory.path()).unwrap();
        let owner: ContainerId = "01".repeat(32).parse().unwrap();
        let networks = ["aa", "bb", "cc"].map(|id| with_network(&mut state, id));
        for network in &networks[..2] {
            state.write(|write| connect(write, &connection(&owner, network))).unwrap();
        }
        assert!(state.write(|write| disconnect(write, &owner, &networks[0])).unwrap());
        assert!(!state.write(|write| disconnect(write, &owner, &networks[0])).unwrap());

        state.write(|write| connect(write, &connection(&owner, &networks[2]))).unwrap();

        let there = of_owner(state.read(), &owner).unwrap();
        let names: Vec<&str> = there.iter().map(|one| one.interface.as_str()).collect();
        assert_eq!(names, ["eth1", "eth0"]);
        assert_eq!(there[1].network, networks[2]);
        let twice = state.write(|write| connect(write, &connection(&owner, &networks[2])));
        assert_eq!(twice.unwrap_err().kind(), Kind::Conflict);
        assert!(is_used(state.read(), &networks[2]).unwrap());
        assert!(!is_used(state.read(), &networks[0]).unwrap());
    }

    #[test]
    fn an_address_that_was_asked_for_is_one_owner_s() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = State::open(directory.path()).unwrap();
        let [one, other] = ["01", "02"].map(|id| id.repeat(32).parse::<ContainerId>().unwrap());
        let network = with_network(&mut state, "aa");
        let address = Some(Ipv4Addr::new(10, 0, 0, 9));
        let asked = |owner| Connection { ip4: address, ..connection(owner, &network) };
        state.write(|write| connect(write, &asked(&one))).unwrap();

        let error = state.write(|write| connect(write, &asked(&other))).unwrap_err();

        assert_eq!(error.kind(), Kind::Conflict);
        assert!(error.one_line().contains(one.short()), "{}", error.one_line());
        assert!(of_owner(state.read(), &other).unwrap().is_empty());
    }

    #[test]
    fn what_was_asked_for_is_handed_over_and_what_was_leased_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = State::open(directory.path()).unwrap();
        let [one, other] = ["01", "02"].map(|id| id.repeat(32).parse::<ContainerId>().unwrap());
        let [both, alone] = ["aa", "bb"].map(|id| with_network(&mut state, id));
        let (ip4, ip6) = (Some(Ipv4Addr::new(10, 0, 0, 9)), Some(Ipv6Addr::from(7)));
        let at = |state: &State, owner, network| {
            let found = find(state.read(), owner, network).unwrap().unwrap();
            (found.ip4, found.fixed_ip4, found.ip6, found.fixed_ip6)
        };
        state
            .write(|write| {
                connect(write, &Connection { ip4, ..connection(&one, &both) })?;
                connect(write, &Connection { ip6, ..connection(&one, &alone) })?;
                connect(write, &connection(&other, &both))
            })
            .unwrap();

        state.write(|write| hand_over(write, &one, &other)).unwrap();

        assert_eq!(at(&state, &one, &both), (None, false, None, false));
        assert_eq!(at(&state, &one, &alone), (None, false, ip6, true));
        assert_eq!(at(&state, &other, &both), (ip4, true, None, false));
        state.write(|write| hand_over(write, &other, &one)).unwrap();
        assert_eq!(at(&state, &one, &both), (ip4, true, None, false));
        assert_eq!(at(&state, &other, &both), (None, false, None, false));
    }
}
