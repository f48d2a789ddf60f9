//! Leases of addresses: the next free one after the last that was given away.
//!
//! So an address rests as long as possible before somebody else has it, and a neighbour that still
//! knows it does not meet a stranger there. That it is given once only is the word of a unique index,
//! which every transaction is subject to.
//!
//! The search is a walk along that index from the last address on, up to the first gap: a few steps, and
//! a long way only where it comes round to where many have stayed.

use crate::{Read, Sql, Write};
use dhow_base::{Error, Kind, Result, id::ContainerId};
use rusqlite::{OptionalExtension, params};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses of one version of which one is to be leased.
#[derive(Clone, Copy, Debug)]
pub struct Pool<'a> {
    /// The first.
    pub first: IpAddr,
    /// The last.
    pub last: IpAddr,
    /// Those among them that are nobody's to have.
    pub reserved: &'a [IpAddr],
}

/// The version of an address, which says what keeps it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Version {
    Four,
    Six,
}

impl Version {
    pub(crate) fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::Four } else { Self::Six }
    }

    /// The column of a connection.
    pub(crate) fn column(self) -> &'static str {
        match self {
            Self::Four => "ip4",
            Self::Six => "ip6",
        }
    }

    fn number(address: IpAddr) -> u128 {
        match address {
            IpAddr::V4(address) => u32::from(address).into(),
            IpAddr::V6(address) => address.into(),
        }
    }

    /// As the rows have it.
    pub(crate) fn bytes(self, address: IpAddr) -> Vec<u8> {
        self.bytes_of(Self::number(address))
    }

    fn bytes_of(self, number: u128) -> Vec<u8> {
        let bytes = number.to_be_bytes();
        match self {
            Self::Four => bytes[12..].to_vec(),
            Self::Six => bytes.to_vec(),
        }
    }

    fn number_of(bytes: &[u8]) -> u128 {
        bytes.iter().fold(0, |number, byte| number << 8 | u128::from(*byte))
    }

    fn address_of(self, number: u128) -> IpAddr {
        match self {
            Self::Four => {
                let low = u32::try_from(number & u128::from(u32::MAX)).expect("it is masked");
                Ipv4Addr::from(low).into()
            }
            Self::Six => Ipv6Addr::from(number).into(),
        }
    }
}

/// The address of this pool's version that a connection has, or the next free one, which is the
/// connection's from now on.
pub fn lease(
    write: &Write<'_>,
    owner: &ContainerId,
    network: &ContainerId,
    pool: &Pool<'_>,
) -> Result<IpAddr> {
    let version = Version::of(pool.first);
    if let Some(held) = held(write, owner, network, version)? {
        return Ok(held);
    }
    let (first, last) = (Version::number(pool.first), Version::number(pool.last));
    let next = match last_given(write, network, version)? {
        Some(given) if (first..last).contains(&given) => given + 1,
        _ => first,
    };
    let free = match gap(write, network, pool, next, last)? {
        None if next > first => gap(write, network, pool, first, next - 1)?,
        free => free,
    };
    let Some(free) = free else {
        let text = format!("all addresses from {} to {} are taken", pool.first, pool.last);
        return Err(Error::new(Kind::Exhausted, text));
    };
    give(write, owner, network, version, free)?;
    Ok(version.address_of(free))
}

/// Takes the leased addresses back from all connections of a container or a pod; those that were
/// asked for stay.
pub fn release(write: &Write<'_>, owner: &ContainerId) -> Result<()> {
    for (column, fixed) in [("ip4", "fixed_ip4"), ("ip6", "fixed_ip6")] {
        let query =
            format!("UPDATE endpoints SET {column} = NULL WHERE owner = ?1 AND NOT {fixed}");
        write
            .prepare_cached(&query)
            .and_then(|mut statement| statement.execute([owner.as_str()]))
            .sql(|| format!("free the addresses of container {}", owner.short()))?;
    }
    Ok(())
}

fn held(
    read: &Read,
    owner: &ContainerId,
    network: &ContainerId,
    version: Version,
) -> Result<Option<IpAddr>> {
    let column = version.column();
    let query = format!("SELECT {column} FROM endpoints WHERE owner = ?1 AND network = ?2");
    let held: Option<Option<Vec<u8>>> = read
        .prepare_cached(&query)
        .and_then(|mut statement| {
            let values = [owner.as_str(), network.as_str()];
            statement.query_row(values, |row| row.get(0)).optional()
        })
        .sql(|| format!("look up the address of container {}", owner.short()))?;
    let missing = || Error::new(Kind::NotFound, "it is not connected");
    let held = held.ok_or_else(missing)?;
    Ok(held.map(|bytes| version.address_of(Version::number_of(&bytes))))
}

fn last_given(read: &Read, network: &ContainerId, version: Version) -> Result<Option<u128>> {
    let query = format!("SELECT last_{} FROM networks WHERE id = ?1", version.column());
    let given: Option<Vec<u8>> = read
        .prepare_cached(&query)
        .and_then(|mut statement| statement.query_row([network.as_str()], |row| row.get(0)))
        .sql(|| format!("look for an address in network {}", network.short()))?;
    Ok(given.map(|bytes| Version::number_of(&bytes)))
}

/// The first free number from `from` to `to`.
fn gap(
    read: &Read,
    network: &ContainerId,
    pool: &Pool<'_>,
    from: u128,
    to: u128,
) -> Result<Option<u128>> {
    let doing = || format!("look for an address in network {}", network.short());
    let version = Version::of(pool.first);
    let column = version.column();
    let query = format!(
        "SELECT {column} FROM endpoints WHERE network = ?1 AND {column} BETWEEN ?2 AND ?3 \
         ORDER BY {column}"
    );
    let mut statement = read.prepare_cached(&query).sql(doing)?;
    let values = params![network.as_str(), version.bytes_of(from), version.bytes_of(to)];
    let mut rows = statement.query(values).sql(doing)?;
    let is_free = |number: &u128| !pool.reserved.contains(&version.address_of(*number));
    let mut next = from;
    while let Some(row) = rows.next().sql(doing)? {
        let taken = row.get_ref(0).and_then(|value| Ok(value.as_blob()?)).sql(doing)?;
        let taken = Version::number_of(taken);
        if let Some(free) = (next..taken).find(is_free) {
            return Ok(Some(free));
        }
        // Behind the last address of all there is none.
        let Some(behind) = taken.checked_add(1) else { return Ok(None) };
        next = behind;
    }
    Ok((next..=to).find(is_free))
}

fn give(
    write: &Write<'_>,
    owner: &ContainerId,
    network: &ContainerId,
    version: Version,
    number: u128,
) -> Result<()> {
    let column = version.column();
    let doing = || format!("lease an address of network {}", network.short());
    let bytes = version.bytes_of(number);
    let query = format!("UPDATE endpoints SET {column} = ?3 WHERE owner = ?1 AND network = ?2");
    write
        .prepare_cached(&query)
        .and_then(|mut statement| {
            statement.execute(params![owner.as_str(), network.as_str(), bytes])
        })
        .sql(doing)?;
    write
        .prepare_cached(&format!("UPDATE networks SET last_{column} = ?2 WHERE id = ?1"))
        .and_then(|mut statement| statement.execute(params![network.as_str(), bytes]))
        .sql(doing)?;
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{
        State,
        endpoints::{self, Connection},
        networks::{self, Network, Phase},
    };
    use dhow_base::clock::Moment;
    use std::collections::BTreeSet;

    pub(crate) fn with_network(state: &mut State, id: &str) -> ContainerId {
        let id: ContainerId = id.repeat(32).parse().unwrap();
        let network = Network {
            id: id.clone(),
            name: format!("n{}", id.short()).parse().unwrap(),
            phase: Phase::Present,
            created: Moment::now(),
            settings: "{}".to_owned(),
        };
        state.write(|write| networks::insert(write, &network)).unwrap();
        id
    }

    fn owner(number: u32) -> ContainerId {
        format!("{number:064x}").parse().unwrap()
    }

    fn connect(
        write: &Write<'_>,
        network: &ContainerId,
        number: u32,
        ip4: Option<Ipv4Addr>,
    ) -> Result<()> {
        let connection = Connection {
            owner: &owner(number),
            network,
            interface: None,
            mac: "02:00:00:00:00:01",
            ip4,
            ip6: None,
            settings: "{}",
        };
        endpoints::connect(write, &connection).map(|_| ())
    }

    fn pool(first: &str, last: &str) -> Pool<'static> {
        Pool { first: first.parse().unwrap(), last: last.parse().unwrap(), reserved: &[] }
    }

    #[test]
    fn addresses_go_round_and_are_never_given_twice() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = State::open(directory.path()).unwrap();
        let network = with_network(&mut state, "aa");
        let reserved = ["10.0.0.3".parse().unwrap()];
        let pool = Pool { reserved: &reserved, ..pool("10.0.0.2", "10.0.0.6") };
        let mut lease = |number| {
            let leased = state.write(|write| {
                if endpoints::find(write, &owner(number), &network)?.is_none() {
                    let fixed = (number == 9).then_some(Ipv4Addr::new(10, 0, 0, 5));
                    connect(write, &network, number, fixed)?;
                }
                lease(write, &owner(number), &network, &pool)
            });
            leased.map(|address| address.to_string())
        };

        assert_eq!(lease(9).unwrap(), "10.0.0.5");
        assert_eq!(lease(1).unwrap(), "10.0.0.2");
        assert_eq!(lease(1).unwrap(), "10.0.0.2");
        assert_eq!(lease(2).unwrap(), "10.0.0.4");
        assert_eq!(lease(3).unwrap(), "10.0.0.6");
        assert_eq!(lease(4).unwrap_err().kind(), Kind::Exhausted);
        state.write(|write| release(write, &owner(9))).unwrap();
        state.write(|write| release(write, &owner(2))).unwrap();
        let again = state.write(|write| super::lease(write, &owner(4), &network, &pool)).err();
        assert!(again.is_some(), "its connection went with the transaction that failed");
        state.write(|write| connect(write, &network, 4, None)).unwrap();
        let leased = state.write(|write| super::lease(write, &owner(4), &network, &pool)).unwrap();
        assert_eq!(leased.to_string(), "10.0.0.4");
    }

    #[test]
    fn an_address_that_was_let_go_rests_until_the_others_had_their_turn() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = State::open(directory.path()).unwrap();
        let network = with_network(&mut state, "aa");
        let pool = pool("fd00::2", "fd00::4");
        state.write(|write| connect(write, &network, 1, None)).unwrap();

        let mut given = Vec::new();
        for _ in 0..4 {
            let address = state.write(|write| lease(write, &owner(1), &network, &pool)).unwrap();
            given.push(address.to_string());
            state.write(|write| release(write, &owner(1))).unwrap();
        }

        assert_eq!(given, ["fd00::2", "fd00::3", "fd00::4", "fd00::2"]);
    }

    #[test]
    fn the_last_address_of_all_ends_the_search() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = State::open(directory.path()).unwrap();
        let network = with_network(&mut state, "aa");
        let top = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        let pool = pool(top, top);
        for number in [1, 2] {
            state.write(|write| connect(write, &network, number, None)).unwrap();
        }

        let first = state.write(|write| lease(write, &owner(1), &network, &pool)).unwrap();
        let second = state.write(|write| lease(write, &owner(2), &network, &pool));

        assert_eq!(first.to_string(), top);
        assert_eq!(second.unwrap_err().kind(), Kind::Exhausted);
    }

    #[test]
    fn sixteen_at_once_get_an_address_each() {
        let directory = tempfile::tempdir().unwrap();
        let network = with_network(&mut State::open(directory.path()).unwrap(), "aa");
        let (path, network) = (directory.path(), &network);
        let pool = pool("10.0.0.2", "10.0.1.250");

        let given = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..16_u32)
                .map(|worker| {
                    scope.spawn(move || {
                        let mut state = State::open(path).unwrap();
                        let mut given = Vec::new();
                        for number in worker * 20..worker * 20 + 20 {
                            let leased = state.write(|write| {
                                connect(write, network, number, None)?;
                                lease(write, &owner(number), network, &pool)
                            });
                            given.push(leased.unwrap());
                        }
                        given
                    })
                })
                .collect();
            workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect::<Vec<_>>()
        });

        assert_eq!(given.len(), 320);
        assert_eq!(given.into_iter().collect::<BTreeSet<_>>().len(), 320);
    }

    #[test]
    fn the_next_of_sixty_thousand_is_found_by_the_index_alone() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = State::open(directory.path()).unwrap();
        let network = with_network(&mut state, "aa");
        let pool = pool("10.0.0.2", "10.0.255.254");
        let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000) \
                    INSERT INTO endpoints (owner, network, place, interface, mac, ip4, fixed_ip4, fixed_ip6, \
                    settings) SELECT printf('%064x', i), ?1, 0, 'eth0', '', \
                    unhex(printf('%08x', 167772161 + i)), 0, 0, '{}' FROM n";
        state.write(|write| write.execute(fill, [network.as_str()]).sql(|| "fill")).unwrap();
        state.write(|write| connect(write, &network, 70000, None)).unwrap();

        let first = state.write(|write| lease(write, &owner(70000), &network, &pool)).unwrap();

        assert_eq!(first.to_string(), "10.0.234.98");
        let query = "EXPLAIN QUERY PLAN SELECT ip4 FROM endpoints WHERE network = ?1 \
                     AND ip4 BETWEEN ?2 AND ?3 ORDER BY ip4";
        let plan: String =
            state.read().query_row(query, params!["", "", ""], |row| row.get(3)).unwrap();
        assert!(plan.contains("COVERING INDEX endpoints_by_ip4"), "{plan}");
    }
}
