//! Events: what happened, in the order in which it was written.
//!
//! The newest some ten thousand are kept: a history, and no log that grows without an end.

use crate::{Read, Sql, Write};
use dhow_base::{Result, clock::Moment};
use rusqlite::params;

/// How many events are kept, at least.
const KEPT: i64 = 50_000;

/// After so many new events, old ones are forgotten.
const SWEEP: i64 = 1_000;

/// Something that happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// Its place in the order of all events.
    pub number: i64,
    /// When.
    pub at: Moment,
    /// What it happened to: `container`, `image`, `volume`…
    pub kind: String,
    /// What happened.
    pub action: String,
    /// The object: an id or a name.
    pub object: String,
    /// More about it, a JSON object.
    pub detail: String,
}

pub(crate) const RECORD: &str =
    "INSERT INTO events (at, type, action, object, detail) VALUES (?1, ?2, ?3, ?4, ?5)";

/// Writes an event beside the change that it tells of.
pub fn record(
    write: &Write<'_>,
    kind: &str,
    action: &str,
    object: &str,
    detail: &str,
) -> Result<()> {
    let doing = || format!("record {action} of {kind} {object}");
    write
        .prepare_cached(RECORD)
        .and_then(|mut statement| {
            statement.execute(params![
                Moment::now().unix_nanoseconds(),
                kind,
                action,
                object,
                detail
            ])
        })
        .sql(doing)?;
    let number = write.last_insert_rowid();
    if number % SWEEP == 0 {
        write
            .execute("DELETE FROM events WHERE number <= ?1", [number - KEPT])
            .sql(|| "forget old events")?;
    }
    Ok(())
}

/// Up to `limit` events after a number, oldest first, from a moment on where one is given.
pub fn list(read: &Read, after: i64, since: Option<Moment>, limit: usize) -> Result<Vec<Event>> {
    let mut statement = read
        .prepare_cached(
            "SELECT number, at, type, action, object, detail FROM events \
             WHERE number > ?1 AND at >= ?2 ORDER BY number LIMIT ?3",
        )
        .sql(|| "list events")?;
    let since = since.map_or(i64::MIN, Moment::unix_nanoseconds);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement
        .query_map(params![after, since, limit], |row| {
            Ok(Event {
                number: row.get(0)?,
                at: Moment::from_unix_nanoseconds(row.get(1)?),
                kind: row.get(2)?,
                action: row.get(3)?,
                object: row.get(4)?,
                detail: row.get(5)?,
            })
        })
        .sql(|| "list events")?;
    rows.map(|row| row.sql(|| "list events")).collect()
}

/// The number of the newest event; 0 where there is none.
pub fn newest(read: &Read) -> Result<i64> {
    read.query_row("SELECT ifnull(max(number), 0) FROM events", [], |row| row.get(0))
        .sql(|| "find the newest event")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::State;

    #[test]
    fn events_come_back_in_order_and_old_ones_are_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = State::open(directory.path()).unwrap();
        let many = KEPT + 2 * SWEEP;
        state
            .write(|write| {
                for number in 1..=many {
                    record(write, "container", "start", &format!("c{number}"), "{}")?;
                }
                Ok(())
            })
            .unwrap();

        assert_eq!(newest(state.read()).unwrap(), many);
        let first = &list(state.read(), 0, None, 1).unwrap()[0];
        assert_eq!(first.number, 2 * SWEEP + 1);
        let last = list(state.read(), many - 2, None, 10).unwrap();
        assert_eq!(
            last.iter().map(|event| event.object.as_str()).collect::<Vec<_>>(),
            [format!("c{}", many - 1), format!("c{many}")]
        );
        assert!(
            list(state.read(), 0, Some(Moment::from_unix_nanoseconds(i64::MAX)), 1)
                .unwrap()
                .is_empty()
        );
    }
}
