//! Events: what happened, in the order in which it was written.

use crate::{Sql, Write};
use dhow_base::{Result, clock::Moment};
use rusqlite::params;

/// Writes an event beside the change that it tells of.
pub fn record(
    write: &Write<'_>,
    kind: &str,
    action: &str,
    object: &str,
    detail: &str,
) -> Result<()> {
    write
        .prepare_cached(
            "INSERT INTO events (at, type, action, object, detail) VALUES (?1, ?2, ?3, ?4, ?5)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                Moment::now().unix_nanoseconds(),
                kind,
                action,
                object,
                detail
            ])
        })
        .sql(|| format!("record {action} of {kind} {object}"))?;
    Ok(())
}
