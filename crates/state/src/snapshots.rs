//! Snapshot rows: which directories below `snapshots/` there are, and what for.
//!
//! ```text
//!  prepare            commit
//! ────────▶ preparing ──────▶ committed ─┐
//!               │                        ├─ condemn ─▶ removing ─ delete ─▶ gone
//!  activate     │                        │
//! ────────▶ active ──────────────────────┘
//!               │ leave
//!               └──────▶ left: its container is gone, its files are going ─ delete ─▶ gone
//! ```
//!
//! What a removed container has left is a `removing` row whose key still has the container's id: who
//! comes by knows from it which directories there may still be, of the snapshot and of the container.
//!
//! A number is used once. A key is unique among what exists: condemning a row frees its key, so the
//! same layer can be prepared again while the old directory is still being removed.

use crate::{Owner, Read, Sql, Write};
use dhow_base::{Error, Kind, Result, id::ContainerId};
use rusqlite::{OptionalExtension, Row, params};

/// Where in its life a snapshot is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// A layer is being unpacked into it.
    Preparing,
    /// It holds a verified layer and does not change.
    Committed,
    /// It holds a container's changes.
    Active,
    /// Its directory is being removed.
    Removing,
}

impl Phase {
    fn from_word(word: &str) -> Result<Self> {
        match word {
            "preparing" => Ok(Self::Preparing),
            "committed" => Ok(Self::Committed),
            "active" => Ok(Self::Active),
            "removing" => Ok(Self::Removing),
            _ => Err(Error::new(Kind::Corrupt, format!("read snapshot state {word:?}"))),
        }
    }
}

/// A snapshot, as its row has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Snapshot {
    /// Its number, also its directory's name.
    pub number: u64,
    /// What is in it (see the schema).
    pub key: String,
    /// What an active snapshot stands on: the uppermost of its image.
    pub parent: Option<u64>,
    /// Which driver made it.
    pub driver: String,
    /// Where in its life it is.
    pub phase: Phase,
    /// Who works on it, while it is being prepared or removed.
    pub owner: Option<Owner>,
    /// The bytes of its layers, uncompressed.
    pub size: u64,
}

/// The key of a container's snapshot.
pub fn container_key(id: &ContainerId) -> String {
    format!("container:{id}")
}

/// What the key of a snapshot begins with whose container is gone.
const LEFT: &str = "removing:container:";

/// Writes the row of a snapshot that `owner` is about to fill, and gives its number.
pub fn prepare(write: &Write<'_>, key: &str, driver: &str, owner: Owner) -> Result<u64> {
    write
        .prepare_cached(
            "INSERT INTO snapshots (key, driver, state, owner_pid, owner_start) \
             VALUES (?1, ?2, 'preparing', ?3, ?4)",
        )
        .and_then(|mut statement| {
            statement.insert(params![key, driver, owner.pid, owner.start_time.cast_signed()])
        })
        .sql(|| format!("note snapshot {key}"))
        .map(i64::cast_unsigned)
}

/// Says that a prepared snapshot is whole and verified, under its final key.
pub fn commit(write: &Write<'_>, number: u64, key: &str, size: u64) -> Result<()> {
    let changed = write
        .prepare_cached(
            "UPDATE snapshots SET state = 'committed', key = ?2, size = ?3, owner_pid = NULL, \
             owner_start = NULL WHERE number = ?1 AND state = 'preparing'",
        )
        .and_then(|mut statement| {
            statement.execute(params![number.cast_signed(), key, size.cast_signed()])
        })
        .sql(|| format!("commit snapshot {number}"))?;
    if changed == 1 {
        Ok(())
    } else {
        Err(Error::new(Kind::Conflict, format!("commit snapshot {number}: it is not prepared")))
    }
}

/// Writes the row of a container's snapshot above `parent`, and gives its number. Its directory is
/// made afterwards; until then the container's own row says that it is being created.
pub fn activate(
    write: &Write<'_>,
    container: &ContainerId,
    parent: Option<u64>,
    driver: &str,
) -> Result<u64> {
    write
        .prepare_cached(
            "INSERT INTO snapshots (key, parent, driver, state) VALUES (?1, ?2, ?3, 'active')",
        )
        .and_then(|mut statement| {
            let key = container_key(container);
            statement.insert(params![key, parent.map(u64::cast_signed), driver])
        })
        .sql(|| format!("note the root filesystem of container {}", container.short()))
        .map(i64::cast_unsigned)
}

/// Marks a snapshot for removal by `owner`, which frees its key.
pub fn condemn(write: &Write<'_>, number: u64, owner: Owner) -> Result<()> {
    write
        .prepare_cached(
            "UPDATE snapshots SET state = 'removing', key = 'removing:' || number, parent = NULL, \
             owner_pid = ?2, owner_start = ?3 WHERE number = ?1",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                number.cast_signed(),
                owner.pid,
                owner.start_time.cast_signed()
            ])
        })
        .sql(|| format!("mark snapshot {number} for removal"))?;
    Ok(())
}

/// As [`condemn`], unless an image or another snapshot stands on it.
pub fn condemn_orphan(write: &Write<'_>, number: u64, owner: Owner) -> Result<()> {
    let used: bool = write
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM image_layers WHERE snapshot = ?1) \
             OR EXISTS (SELECT 1 FROM snapshots WHERE parent = ?1)",
        )
        .and_then(|mut statement| statement.query_row([number.cast_signed()], |row| row.get(0)))
        .sql(|| format!("ask who uses snapshot {number}"))?;
    if used { Ok(()) } else { condemn(write, number, owner) }
}

pub(crate) const LEAVE: &str = "UPDATE snapshots SET state = 'removing', key = 'removing:' || key, parent = NULL \
     WHERE key = ?1 AND state = 'active'";

/// Says that the container of a snapshot is gone, and that somebody removes its files and the snapshot's
/// who has no database: as long as the row is there, they may be.
pub fn leave(write: &Write<'_>, container: &ContainerId) -> Result<()> {
    write
        .prepare_cached(LEAVE)
        .and_then(|mut statement| statement.execute([container_key(container)]))
        .sql(|| format!("leave the root filesystem of container {}", container.short()))?;
    Ok(())
}

/// Of what containers have left, so many: the containers and their snapshots. One look into the index
/// of keys, for each command asks.
pub fn left(read: &Read, limit: usize) -> Result<Vec<(ContainerId, u64)>> {
    let what = || "list what containers have left";
    let mut statement = read
        .prepare_cached("SELECT key, number FROM snapshots WHERE key > ?1 AND key < ?2 LIMIT ?3")
        .sql(what)?;
    // 'g' follows 'f', so the range holds exactly the keys that go on with an id.
    let end = format!("{LEFT}g");
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement
        .query_map(params![LEFT, end, limit], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))
        .sql(what)?;
    rows.map(|row| {
        let (key, number): (String, i64) = row.sql(what)?;
        Ok((key[LEFT.len()..].parse()?, number.cast_unsigned()))
    })
    .collect()
}

/// Forgets a condemned or a container's snapshot whose directory is gone.
pub fn delete(write: &Write<'_>, number: u64) -> Result<()> {
    write
        .prepare_cached(
            "DELETE FROM snapshots WHERE number = ?1 AND state IN ('removing', 'active')",
        )
        .and_then(|mut statement| statement.execute([number.cast_signed()]))
        .sql(|| format!("delete snapshot {number}"))?;
    Ok(())
}

/// The snapshot with this key.
pub fn find_by_key(read: &Read, key: &str) -> Result<Option<Snapshot>> {
    read.prepare_cached(&format!("SELECT {COLUMNS} FROM snapshots WHERE key = ?1"))
        .and_then(|mut statement| statement.query_row([key], |row| Ok(from_row(row))).optional())
        .sql(|| format!("look up snapshot {key}"))?
        .transpose()
}

/// The snapshot with this number.
pub fn find(read: &Read, number: u64) -> Result<Option<Snapshot>> {
    read.prepare_cached(&format!("SELECT {COLUMNS} FROM snapshots WHERE number = ?1"))
        .and_then(|mut statement| {
            statement.query_row([number.cast_signed()], |row| Ok(from_row(row))).optional()
        })
        .sql(|| format!("look up snapshot {number}"))?
        .transpose()
}

/// The snapshots that are being prepared or removed, by whomever; without those of [`left`].
pub fn unfinished(read: &Read) -> Result<Vec<Snapshot>> {
    let mut rows = many(read, "WHERE state IN ('preparing', 'removing')")?;
    rows.retain(|row| !row.key.starts_with(LEFT));
    Ok(rows)
}

/// Committed snapshots that no image refers to, and active ones without a container; neither
/// should be.
pub fn orphans(read: &Read) -> Result<Vec<Snapshot>> {
    many(
        read,
        "WHERE (state = 'committed' AND NOT EXISTS \
           (SELECT 1 FROM image_layers WHERE snapshot = snapshots.number) \
           AND NOT EXISTS (SELECT 1 FROM snapshots AS above WHERE above.parent = snapshots.number)) \
         OR (state = 'active' AND NOT EXISTS \
           (SELECT 1 FROM containers WHERE 'container:' || containers.id = snapshots.key))",
    )
}

/// All snapshots, by number.
pub fn list(read: &Read) -> Result<Vec<Snapshot>> {
    many(read, "ORDER BY number")
}

const COLUMNS: &str = "number, key, parent, driver, state, owner_pid, owner_start, size";

fn many(read: &Read, which: &str) -> Result<Vec<Snapshot>> {
    let mut statement = read
        .prepare_cached(&format!("SELECT {COLUMNS} FROM snapshots {which}"))
        .sql(|| "list snapshots")?;
    let rows = statement.query_map([], |row| Ok(from_row(row))).sql(|| "list snapshots")?;
    rows.map(|row| row.sql(|| "list snapshots")?).collect()
}

fn from_row(row: &Row<'_>) -> Result<Snapshot> {
    let what = || "read a snapshot's row";
    let state: String = row.get(4).sql(what)?;
    Ok(Snapshot {
        number: row.get::<_, i64>(0).sql(what)?.cast_unsigned(),
        key: row.get(1).sql(what)?,
        parent: row.get::<_, Option<i64>>(2).sql(what)?.map(i64::cast_unsigned),
        driver: row.get(3).sql(what)?,
        phase: Phase::from_word(&state)?,
        owner: OwnerColumns::from_row(row, 5).sql(what)?,
        size: row.get::<_, i64>(7).sql(what)?.cast_unsigned(),
    })
}

/// How an owner is kept: two columns, both empty where there is none.
pub(crate) struct OwnerColumns;

impl OwnerColumns {
    pub(crate) fn from_row(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<Owner>> {
        let pid: Option<i32> = row.get(first)?;
        let start: Option<i64> = row.get(first + 1)?;
        Ok(pid.zip(start).map(|(pid, start)| Owner { pid, start_time: start.cast_unsigned() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::State;

    fn state() -> (tempfile::TempDir, State) {
        let directory = tempfile::tempdir().unwrap();
        let state = State::open(directory.path()).unwrap();
        (directory, state)
    }

    #[test]
    fn a_condemned_snapshot_frees_its_key_and_keeps_its_number() {
        let (_directory, mut state) = state();
        let owner = Owner::current().unwrap();

        let (first, second) = state
            .write(|write| {
                let first = prepare(write, "diff:a", "overlay", owner)?;
                condemn(write, first, owner)?;
                Ok((first, prepare(write, "diff:a", "overlay", owner)?))
            })
            .unwrap();

        assert_ne!(first, second);
        assert_eq!(unfinished(state.read()).unwrap().len(), 2);
        assert_eq!(find_by_key(state.read(), "diff:a").unwrap().unwrap().number, second);
    }

    #[test]
    fn what_a_container_has_left_is_known_by_its_id_and_is_nobody_elses_to_sweep() {
        let (_directory, mut state) = state();
        let container = ContainerId::random().unwrap();
        let number = state
            .write(|write| {
                let number = activate(write, &container, None, "overlay")?;
                leave(write, &container)?;
                Ok(number)
            })
            .unwrap();

        assert_eq!(left(state.read(), 8).unwrap(), [(container.clone(), number)]);
        assert!(unfinished(state.read()).unwrap().is_empty());
        assert!(orphans(state.read()).unwrap().is_empty());
        assert_eq!(find_by_key(state.read(), &container_key(&container)).unwrap(), None);

        state.write(|write| delete(write, number)).unwrap();
        assert!(left(state.read(), 8).unwrap().is_empty());
    }

    #[test]
    fn what_something_stands_on_is_no_orphan() {
        let (_directory, mut state) = state();
        let owner = Owner::current().unwrap();
        let container = ContainerId::random().unwrap();
        let (lower, upper) = state
            .write(|write| {
                let lower = prepare(write, "chain:a", "overlay", owner)?;
                commit(write, lower, "diff:a", 1)?;
                Ok((lower, activate(write, &container, Some(lower), "overlay")?))
            })
            .unwrap();

        state.write(|write| condemn_orphan(write, lower, owner)).unwrap();
        let kept = find_by_key(state.read(), "diff:a").unwrap().unwrap();
        state
            .write(|write| {
                delete(write, upper)?;
                condemn_orphan(write, lower, owner)
            })
            .unwrap();

        assert_eq!(kept.phase, Phase::Committed);
        assert_eq!(find_by_key(state.read(), "diff:a").unwrap(), None);
    }

    #[test]
    fn only_what_is_prepared_is_committed() {
        let (_directory, mut state) = state();

        let error = state.write(|write| commit(write, 7, "diff:a", 1)).unwrap_err();

        assert_eq!(error.kind(), Kind::Conflict);
    }
}
