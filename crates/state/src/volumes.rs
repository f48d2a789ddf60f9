//! Volume rows: which volumes there are, and which containers use them.
//!
//! ```text
//!  preparing ─▶ present ─▶ removing ─▶ gone
//! ```
//!
//! Whoever makes, fills or removes a volume holds its lock all the time. So a row that is not
//! `present`, or is being filled, and is found so under the lock, is what a killed command has left.

use crate::{Read, Sql, Write, containers::Phase as ContainerPhase};
use dhow_base::{
    Error, Kind, Result,
    clock::Moment,
    id::{ContainerId, Name},
};
use rusqlite::{OptionalExtension, Row, params};

/// Where in its life a volume is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// Its directory is being made.
    Preparing,
    /// It is there.
    Present,
    /// Its directory is being removed.
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

/// How far what an image has for it is in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Filling {
    /// Nothing is under way.
    No,
    /// A copy is being made beside it.
    Copying,
    /// The whole copy is being moved into it.
    Moving,
}

impl Filling {
    fn word(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Copying => "copying",
            Self::Moving => "moving",
        }
    }
}

/// A volume, as its row has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Volume {
    /// The name, unique.
    pub name: Name,
    /// Where in its life it is.
    pub phase: Phase,
    /// When it was made.
    pub created: Moment,
    /// Whether nobody has named it.
    pub anonymous: bool,
    /// Whether it is being filled.
    pub filling: Filling,
    /// How many have asked for it to be mounted on the host.
    pub users: u64,
    /// The boot in which they have.
    pub boot: Option<String>,
    /// The engine's settings, JSON.
    pub settings: String,
}

/// A container that uses a volume.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct User {
    /// Its id.
    pub id: ContainerId,
    /// Its name.
    pub name: String,
    /// Where in its life it is.
    pub phase: ContainerPhase,
}

const COLUMNS: &str = "name, state, created, anonymous, filling, users, boot, settings";

/// Writes the row of a volume that is about to be made.
pub fn insert(write: &Write<'_>, volume: &Volume) -> Result<()> {
    write
        .prepare_cached(
            "INSERT INTO volumes (name, state, created, anonymous, settings) \
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                volume.name.as_str(),
                volume.phase.word(),
                volume.created.unix_nanoseconds(),
                volume.anonymous,
                volume.settings,
            ])
        })
        .sql(|| format!("insert volume {}", volume.name))?;
    Ok(())
}

/// The volume of this name.
pub fn find(read: &Read, name: &Name) -> Result<Option<Volume>> {
    let query = format!("SELECT {COLUMNS} FROM volumes WHERE name = ?1");
    read.prepare_cached(&query)
        .and_then(|mut statement| {
            statement.query_row([name.as_str()], |row| Ok(from_row(row))).optional()
        })
        .sql(|| format!("look up volume {name}"))?
        .transpose()
}

/// The volume that `text` means: a name, or the start of one that fits only one of those that
/// nobody has named.
pub fn look_up(read: &Read, text: &str) -> Result<Volume> {
    let missing = || {
        Error::new(Kind::NotFound, format!("no such volume: {text}"))
            .hint("`dhow volume ls` lists all volumes")
    };
    let name: Name = text.parse().map_err(|_| missing())?;
    if let Some(volume) = find(read, &name)? {
        return Ok(volume);
    }
    let mut found = many(
        read,
        &format!(
            "SELECT {COLUMNS} FROM volumes WHERE anonymous AND name >= ?1 AND name < ?1 || 'g' LIMIT 2"
        ),
        params![text],
    )?;
    match (found.pop(), found.pop()) {
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) => {
            Err(Error::new(Kind::Conflict, format!("{text} begins more than one volume's name"))
                .hint("give more of it"))
        }
        (None, _) => Err(missing()),
    }
}

/// All volumes by name.
pub fn list(read: &Read) -> Result<Vec<Volume>> {
    many(read, &format!("SELECT {COLUMNS} FROM volumes ORDER BY name"), [])
}

/// Volumes that some command is making or removing, or was.
pub fn list_unfinished(read: &Read) -> Result<Vec<Volume>> {
    many(read, &format!("SELECT {COLUMNS} FROM volumes WHERE state <> 'present'"), [])
}

/// Moves a row on.
pub fn advance(write: &Write<'_>, name: &Name, to: Phase) -> Result<()> {
    change(write, "UPDATE volumes SET state = ?2 WHERE name = ?1", name, &to.word())
}

/// Says how far the filling is.
pub fn set_filling(write: &Write<'_>, name: &Name, to: Filling) -> Result<()> {
    change(write, "UPDATE volumes SET filling = ?2 WHERE name = ?1", name, &to.word())
}

/// Says how many want it mounted, in this boot.
pub fn set_users(write: &Write<'_>, name: &Name, users: u64, boot: &str) -> Result<()> {
    change(write, "UPDATE volumes SET boot = ?2 WHERE name = ?1", name, &boot)?;
    change(write, "UPDATE volumes SET users = ?2 WHERE name = ?1", name, &users.cast_signed())
}

fn change(
    write: &Write<'_>,
    statement: &str,
    name: &Name,
    value: &dyn rusqlite::ToSql,
) -> Result<()> {
    write
        .prepare_cached(statement)
        .and_then(|mut statement| statement.execute(params![name.as_str(), value]))
        .sql(|| format!("change the row of volume {name}"))?;
    Ok(())
}

/// Forgets a volume whose directory is gone.
pub fn delete(write: &Write<'_>, name: &Name) -> Result<()> {
    write
        .execute("DELETE FROM volumes WHERE name = ?1", [name.as_str()])
        .sql(|| format!("forget volume {name}"))?;
    Ok(())
}

/// Notes that `container` uses the volume `name`.
pub fn hold(write: &Write<'_>, name: &Name, container: &ContainerId) -> Result<()> {
    write
        .prepare_cached(
            "INSERT INTO container_volumes (container, volume) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        )
        .and_then(|mut statement| statement.execute([container.as_str(), name.as_str()]))
        .sql(|| format!("note that container {} uses volume {name}", container.short()))?;
    Ok(())
}

/// The containers that use a volume, by name.
pub fn users(read: &Read, name: &Name) -> Result<Vec<User>> {
    let doing = || format!("list who uses volume {name}");
    let mut statement = read
        .prepare_cached(
            "SELECT id, name, state FROM containers JOIN container_volumes ON container = id \
             WHERE volume = ?1 ORDER BY name",
        )
        .sql(doing)?;
    let rows = statement
        .query_map([name.as_str()], |row| {
            Ok((row.get::<_, String>(0)?, row.get(1)?, row.get::<_, String>(2)?))
        })
        .sql(doing)?;
    rows.map(|row| {
        let (id, name, phase) = row.sql(doing)?;
        Ok(User { id: id.parse()?, name, phase: ContainerPhase::from_word(&phase)? })
    })
    .collect()
}

/// The names of the volumes that a container uses.
pub fn of_container(read: &Read, container: &ContainerId) -> Result<Vec<Name>> {
    let doing = || format!("list the volumes of container {}", container.short());
    let mut statement = read
        .prepare_cached("SELECT volume FROM container_volumes WHERE container = ?1 ORDER BY volume")
        .sql(doing)?;
    let names =
        statement.query_map([container.as_str()], |row| row.get::<_, String>(0)).sql(doing)?;
    names.map(|name| name.sql(doing)?.parse()).collect()
}

/// All volumes by name, and how many containers use each.
pub fn list_with_users(read: &Read) -> Result<Vec<(Name, usize)>> {
    let doing = || "list volumes";
    let mut statement = read
        .prepare_cached(
            "SELECT name, (SELECT count(*) FROM container_volumes WHERE volume = name) \
             FROM volumes ORDER BY name",
        )
        .sql(doing)?;
    let rows = statement
        .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, u32>(1)?)))
        .sql(doing)?;
    rows.map(|row| {
        let (name, users) = row.sql(doing)?;
        Ok((name.parse()?, users as usize))
    })
    .collect()
}

fn many(read: &Read, query: &str, parameters: impl rusqlite::Params) -> Result<Vec<Volume>> {
    let doing = || "list volumes";
    let mut statement = read.prepare_cached(query).sql(doing)?;
    let rows = statement.query_map(parameters, |row| Ok(from_row(row))).sql(doing)?;
    rows.map(|row| row.sql(doing)?).collect()
}

fn from_row(row: &Row<'_>) -> Result<Volume> {
    let doing = || "read a volume's row";
    let word = |column: usize| row.get::<_, String>(column).sql(doing);
    let unknown = |word: &str| Error::new(Kind::Corrupt, format!("{}: {word:?}", doing()));
    let (state, filling) = (word(1)?, word(4)?);
    let phases = [Phase::Preparing, Phase::Present, Phase::Removing];
    let fillings = [Filling::No, Filling::Copying, Filling::Moving];
    Ok(Volume {
        name: word(0)?.parse()?,
        phase: phases
            .into_iter()
            .find(|phase| phase.word() == state)
            .ok_or_else(|| unknown(&state))?,
        created: Moment::from_unix_nanoseconds(row.get(2).sql(doing)?),
        anonymous: row.get(3).sql(doing)?,
        filling: fillings
            .into_iter()
            .find(|known| known.word() == filling)
            .ok_or_else(|| unknown(&filling))?,
        users: row.get::<_, i64>(5).sql(doing)?.cast_unsigned(),
        boot: row.get(6).sql(doing)?,
        settings: word(7)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::State;

    fn volume(name: &str, anonymous: bool) -> Volume {
        Volume {
            name: name.parse().unwrap(),
            phase: Phase::Preparing,
            created: Moment::now(),
            anonymous,
            filling: Filling::No,
            users: 0,
            boot: None,
            settings: "{}".to_owned(),
        }
    }

    #[test]
    fn a_row_comes_back_as_it_was_written_and_goes_on_from_there() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = State::open(directory.path()).unwrap();
        let written = volume("data", false);
        state.write(|write| insert(write, &written)).unwrap();
        assert_eq!(find(state.read(), &written.name).unwrap(), Some(written.clone()));
        assert_eq!(list_unfinished(state.read()).unwrap().len(), 1);

        state
            .write(|write| {
                advance(write, &written.name, Phase::Present)?;
                set_filling(write, &written.name, Filling::Moving)?;
                set_users(write, &written.name, 3, "b")
            })
            .unwrap();

        let row = find(state.read(), &written.name).unwrap().unwrap();
        assert_eq!((row.phase, row.filling, row.users), (Phase::Present, Filling::Moving, 3));
        assert_eq!(row.boot.as_deref(), Some("b"));
        assert!(list_unfinished(state.read()).unwrap().is_empty());
    }

    #[test]
    fn a_start_of_a_name_means_only_what_nobody_has_named() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = State::open(directory.path()).unwrap();
        let hex = "ab".repeat(32);
        for volume in [volume(&hex, true), volume("abc-named", false)] {
            state.write(|write| insert(write, &volume)).unwrap();
        }

        assert_eq!(look_up(state.read(), "abab").unwrap().name.as_str(), hex);
        assert_eq!(look_up(state.read(), "abc-named").unwrap().name.as_str(), "abc-named");
        for text in ["abc", "", "../x", "b"] {
            assert_eq!(look_up(state.read(), text).unwrap_err().kind(), Kind::NotFound, "{text}");
        }
    }
}
