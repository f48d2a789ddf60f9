//! Network rows: which networks there are.
//!
//! ```text
//!  preparing ─▶ present ─▶ removing ─▶ gone
//! ```
//!
//! Whoever makes or removes a network holds the lock of networks. So a row that is not `present`, and
//! is found so under the lock, is what a killed command has left.

use crate::{Read, Sql, Write};
use dhow_base::{
    Error, Kind, Result,
    clock::Moment,
    id::{ContainerId, Name},
};
use rusqlite::{OptionalExtension, Row, params};

/// Where in its life a network is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// It is being made.
    Preparing,
    /// It is there.
    Present,
    /// What it has on the host is being taken away.
    Removing,
}

impl Phase {
    fn word(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Present => "present",
            Self::Removing => "removing",
        }
    }
}

/// A network, as its row has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Network {
    /// The id, of the same kind as a container's.
    pub id: ContainerId,
    /// The name, unique.
    pub name: Name,
    /// Where in its life it is.
    pub phase: Phase,
    /// When it was made.
    pub created: Moment,
    /// The engine's settings, JSON.
    pub settings: String,
}

const COLUMNS: &str = "id, name, state, created, settings";

/// Writes the row of a network that is about to be made.
pub fn insert(write: &Write<'_>, network: &Network) -> Result<()> {
    let result = write.execute(
        "INSERT INTO networks (id, name, state, created, settings) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            network.id.as_str(),
            network.name.as_str(),
            network.phase.word(),
            network.created.unix_nanoseconds(),
            network.settings
        ],
    );
    match result.sql(|| format!("insert network {}", network.name)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == Kind::AlreadyExists => {
            let text = format!("the name {} is in use by a network", network.name);
            Err(Error::new(Kind::AlreadyExists, text)
                .hint("remove that network, or choose another name"))
        }
        Err(error) => Err(error),
    }
}

/// Moves a row on.
pub fn advance(write: &Write<'_>, id: &ContainerId, to: Phase) -> Result<()> {
    write
        .execute("UPDATE networks SET state = ?2 WHERE id = ?1", [id.as_str(), to.word()])
        .sql(|| format!("change the row of network {}", id.short()))?;
    Ok(())
}

/// Replaces the engine's settings of a network.
pub fn set_settings(write: &Write<'_>, id: &ContainerId, settings: &str) -> Result<()> {
    write
        .execute("UPDATE networks SET settings = ?2 WHERE id = ?1", [id.as_str(), settings])
        .sql(|| format!("change network {}", id.short()))?;
    Ok(())
}

/// Forgets a network to which nobody is connected.
pub fn delete(write: &Write<'_>, id: &ContainerId) -> Result<()> {
    write
        .execute("DELETE FROM networks WHERE id = ?1", [id.as_str()])
        .sql(|| format!("forget network {}", id.short()))?;
    Ok(())
}

/// The network with this id.
pub fn find(read: &Read, id: &ContainerId) -> Result<Option<Network>> {
    one(read, &format!("SELECT {COLUMNS} FROM networks WHERE id = ?1"), id.as_str())
}

/// The network with this name.
pub fn find_by_name(read: &Read, name: &str) -> Result<Option<Network>> {
    one(read, &format!("SELECT {COLUMNS} FROM networks WHERE name = ?1"), name)
}

/// The network that `text` means: a name, an id, or the start of an id that fits only one.
pub fn look_up(read: &Read, text: &str) -> Result<Network> {
    if let Some(network) = find_by_name(read, text)? {
        return Ok(network);
    }
    let missing = || {
        Error::new(Kind::NotFound, format!("no such network: {text}"))
            .hint("`dhow network ls` lists all networks")
    };
    if text.is_empty() || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(missing());
    }
    // 'g' follows 'f', so the range holds exactly the ids that begin with the text.
    let by_id = format!("SELECT {COLUMNS} FROM networks WHERE id >= ?1 AND id < ?1 || 'g' LIMIT 2");
    let mut found = many(read, &by_id, [text])?;
    match (found.pop(), found.pop()) {
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) => {
            Err(Error::new(Kind::Conflict, format!("{text} begins more than one network's id"))
                .hint("give more digits"))
        }
        (None, _) => Err(missing()),
    }
}

/// All networks by name.
pub fn list(read: &Read) -> Result<Vec<Network>> {
    many(read, &format!("SELECT {COLUMNS} FROM networks ORDER BY name"), [])
}

/// Networks that some command is making or removing, or was.
pub fn list_unfinished(read: &Read) -> Result<Vec<Network>> {
    many(read, &format!("SELECT {COLUMNS} FROM networks WHERE state <> 'present'"), [])
}

fn one(read: &Read, query: &str, parameter: &str) -> Result<Option<Network>> {
    read.prepare_cached(query)
        .and_then(|mut statement| {
            statement.query_row([parameter], |row| Ok(from_row(row))).optional()
        })
        .sql(|| format!("look up network {parameter}"))?
        .transpose()
}

fn many(read: &Read, query: &str, parameters: impl rusqlite::Params) -> Result<Vec<Network>> {
    let doing = || "list networks";
    let mut statement = read.prepare_cached(query).sql(doing)?;
    let rows = statement.query_map(parameters, |row| Ok(from_row(row))).sql(doing)?;
    rows.map(|row| row.sql(doing)?).collect()
}

fn from_row(row: &Row<'_>) -> Result<Network> {
    let doing = || "read a network's row";
    let state = row.get::<_, String>(2).sql(doing)?;
    let phases = [Phase::Preparing, Phase::Present, Phase::Removing];
    Ok(Network {
        id: row.get::<_, String>(0).sql(doing)?.parse()?,
        name: row.get::<_, String>(1).sql(doing)?.parse()?,
        phase: phases
            .into_iter()
            .find(|phase| phase.word() == state)
            .ok_or_else(|| Error::new(Kind::Corrupt, format!("{}: {state:?}", doing())))?,
        created: Moment::from_unix_nanoseconds(row.get(3).sql(doing)?),
        settings: row.get(4).sql(doing)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::State;

    fn network(id: &str, name: &str) -> Network {
        Network {
            id: id.repeat(32).parse().unwrap(),
            name: name.parse().unwrap(),
            phase: Phase::Preparing,
            created: Moment::now(),
            settings: "{}".to_owned(),
        }
    }

    #[test]
    fn a_row_comes_back_as_it_was_written_and_goes_on_from_there() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = State::open(directory.path()).unwrap();
        let written = network("ab", "web");
        state.write(|write| insert(write, &written)).unwrap();
        assert_eq!(find(state.read(), &written.id).unwrap(), Some(written.clone()));
        assert_eq!(list_unfinished(state.read()).unwrap().len(), 1);

        state
            .write(|write| {
                advance(write, &written.id, Phase::Present)?;
                set_settings(write, &written.id, "{\"a\":1}")
            })
            .unwrap();

        let row = find_by_name(state.read(), "web").unwrap().unwrap();
        assert_eq!((row.phase, row.settings.as_str()), (Phase::Present, "{\"a\":1}"));
        assert!(list_unfinished(state.read()).unwrap().is_empty());
    }

    #[test]
    fn a_name_is_one_network_s_and_goes_before_an_id() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = State::open(directory.path()).unwrap();
        for network in [network("ab", "web"), network("ac", "ab")] {
            state.write(|write| insert(write, &network)).unwrap();
        }

        let error = state.write(|write| insert(write, &network("ad", "web"))).unwrap_err();

        assert_eq!(error.kind(), Kind::AlreadyExists);
        assert_eq!(look_up(state.read(), "ab").unwrap().name.as_str(), "ab");
        assert_eq!(look_up(state.read(), "aba").unwrap().name.as_str(), "web");
        assert_eq!(look_up(state.read(), "a").unwrap_err().kind(), Kind::Conflict);
        for text in ["", "b", "../x", "ABA"] {
            assert_eq!(look_up(state.read(), text).unwrap_err().kind(), Kind::NotFound, "{text}");
        }
    }
}
