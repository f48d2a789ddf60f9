//! The ports of the host's through which containers are reached now.
//!
//! A row is there from the moment at which a container has started until its end. The sockets that
//! hold the ports say whether one is free; these rows say whose it is.

use crate::{Read, Sql, Write};
use dhow_base::{Result, id::ContainerId};
use rusqlite::{Row, params};

/// One port of the host's that leads to one of a container's, or of a pod's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Port {
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// At which of the host's addresses; empty for all.
    pub host_ip: String,
    /// The host's port.
    pub host_port: u16,
    /// The container's port.
    pub container_port: u16,
}

/// Writes what is published now for a container or a pod, in place of what was.
pub fn publish(write: &Write<'_>, owner: &ContainerId, ports: &[Port]) -> Result<()> {
    withdraw(write, owner)?;
    let doing = || format!("note the ports of container {}", owner.short());
    for port in ports {
        write
            .prepare_cached(
                "INSERT INTO ports (owner, protocol, host_ip, host_port, container_port) \
                 VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
            )
            .and_then(|mut statement| {
                statement.execute(params![
                    owner.as_str(),
                    port.protocol,
                    port.host_ip,
                    port.host_port,
                    port.container_port
                ])
            })
            .sql(doing)?;
    }
    Ok(())
}

pub(crate) const WITHDRAW: &str = "DELETE FROM ports WHERE owner = ?1";

/// Forgets what was published.
pub fn withdraw(write: &Write<'_>, owner: &ContainerId) -> Result<()> {
    write
        .prepare_cached(WITHDRAW)
        .and_then(|mut statement| statement.execute([owner.as_str()]))
        .sql(|| format!("forget the ports of container {}", owner.short()))?;
    Ok(())
}

/// What is published of a container or a pod, by the container's port.
pub fn of_owner(read: &Read, owner: &ContainerId) -> Result<Vec<Port>> {
    let doing = || format!("list the ports of container {}", owner.short());
    let query = "SELECT protocol, host_ip, host_port, container_port FROM ports WHERE owner = ?1 \
                 ORDER BY container_port, protocol, host_ip, host_port";
    let mut statement = read.prepare_cached(query).sql(doing)?;
    let rows = statement.query_map([owner.as_str()], |row| Ok(from_row(row, 0))).sql(doing)?;
    rows.map(|row| row.sql(doing)?).collect()
}

/// All that is published, with whose it is, in the order of [`of_owner`].
pub fn list(read: &Read) -> Result<Vec<(ContainerId, Port)>> {
    with_owners(
        read,
        "SELECT owner, protocol, host_ip, host_port, container_port FROM ports \
         ORDER BY owner, container_port, protocol, host_ip, host_port",
        [],
    )
}

/// Who has this port of the host's, at whatever address.
pub fn holders(read: &Read, protocol: &str, host_port: u16) -> Result<Vec<(ContainerId, Port)>> {
    with_owners(
        read,
        "SELECT owner, protocol, host_ip, host_port, container_port FROM ports \
         WHERE host_port = ?1 AND protocol = ?2",
        params![host_port, protocol],
    )
}

fn with_owners(
    read: &Read,
    query: &str,
    parameters: impl rusqlite::Params,
) -> Result<Vec<(ContainerId, Port)>> {
    let doing = || "list published ports";
    let mut statement = read.prepare_cached(query).sql(doing)?;
    let rows = statement
        .query_map(parameters, |row| Ok((row.get::<_, String>(0)?, from_row(row, 1))))
        .sql(doing)?;
    rows.map(|row| {
        let (owner, port) = row.sql(doing)?;
        Ok((owner.parse()?, port?))
    })
    .collect()
}

fn from_row(row: &Row<'_>, first: usize) -> Result<Port> {
    let doing = || "read the row of a port";
    Ok(Port {
        protocol: row.get(first).sql(doing)?,
        host_ip: row.get(first + 1).sql(doing)?,
        host_port: row.get(first + 2).sql(doing)?,
        container_port: row.get(first + 3).sql(doing)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::State;

    #[test]
    fn what_is_published_replaces_what_was_and_says_whose_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = State::open(directory.path()).unwrap();
        let owner: ContainerId = "ab".repeat(32).parse().unwrap();
        let port = |host_port| Port {
            protocol: "tcp".to_owned(),
            host_ip: String::new(),
            host_port,
            container_port: 80,
        };
        state.write(|write| publish(write, &owner, &[port(8080), port(8081)])).unwrap();

        state.write(|write| publish(write, &owner, &[port(8082)])).unwrap();

        assert_eq!(of_owner(state.read(), &owner).unwrap(), [port(8082)]);
        assert_eq!(list(state.read()).unwrap(), [(owner.clone(), port(8082))]);
        assert_eq!(holders(state.read(), "tcp", 8082).unwrap().len(), 1);
        assert!(holders(state.read(), "udp", 8082).unwrap().is_empty());
        state.write(|write| withdraw(write, &owner)).unwrap();
        assert!(list(state.read()).unwrap().is_empty());
    }
}
