//! Secret rows: names and settings. The content is in a file by the id, and in no row.
//!
//! A row is written before its file and goes after it; what has a row and no file is what a killed
//! command has left, and is no secret.

use crate::{Read, Sql, Write};
use dhow_base::{Error, Kind, Result, clock::Moment, id::Name};
use rusqlite::{Row, params};

/// A secret, as its row has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Secret {
    /// 25 hex digits, as podman's.
    pub id: String,
    /// The name, unique.
    pub name: Name,
    /// When it was made.
    pub created: Moment,
    /// When it last got another content.
    pub updated: Moment,
    /// The engine's settings, JSON.
    pub settings: String,
}

const COLUMNS: &str = "id, name, created, updated, settings";

/// Writes the row of a secret.
pub fn insert(write: &Write<'_>, secret: &Secret) -> Result<()> {
    let result = write.execute(
        "INSERT INTO secrets (id, name, created, updated, settings) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            secret.id,
            secret.name.as_str(),
            secret.created.unix_nanoseconds(),
            secret.updated.unix_nanoseconds(),
            secret.settings,
        ],
    );
    match result.sql(|| format!("insert secret {}", secret.name)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == Kind::AlreadyExists => {
            let text = format!("create secret {}: there is one of this name", secret.name);
            Err(Error::new(Kind::AlreadyExists, text).hint("--replace takes its place"))
        }
        Err(error) => Err(error),
    }
}

/// Forgets a secret.
pub fn delete(write: &Write<'_>, id: &str) -> Result<()> {
    write
        .execute("DELETE FROM secrets WHERE id = ?1", [id])
        .sql(|| format!("forget secret {id}"))?;
    Ok(())
}

/// All secrets by name.
pub fn list(read: &Read) -> Result<Vec<Secret>> {
    many(read, &format!("SELECT {COLUMNS} FROM secrets ORDER BY name"), [])
}

/// The secret that `text` means: a name, an id, or the start of an id that fits only one.
pub fn look_up(read: &Read, text: &str) -> Result<Secret> {
    let by_name = format!("SELECT {COLUMNS} FROM secrets WHERE name = ?1");
    if let Some(secret) = many(read, &by_name, [text])?.pop() {
        return Ok(secret);
    }
    let missing = || {
        Error::new(Kind::NotFound, format!("no such secret: {text}"))
            .hint("`dhow secret ls` lists all secrets")
    };
    if text.is_empty() || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(missing());
    }
    // 'g' follows 'f', so the range holds exactly the ids that begin with the text.
    let by_id = format!("SELECT {COLUMNS} FROM secrets WHERE id >= ?1 AND id < ?1 || 'g' LIMIT 2");
    let mut found = many(read, &by_id, [text])?;
    match (found.pop(), found.pop()) {
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) => {
            Err(Error::new(Kind::Conflict, format!("{text} begins more than one secret's id"))
                .hint("give more digits"))
        }
        (None, _) => Err(missing()),
    }
}

fn many(read: &Read, query: &str, parameters: impl rusqlite::Params) -> Result<Vec<Secret>> {
    let doing = || "list secrets";
    let mut statement = read.prepare_cached(query).sql(doing)?;
    let rows = statement.query_map(parameters, |row| Ok(from_row(row))).sql(doing)?;
    rows.map(|row| row.sql(doing)?).collect()
}

fn from_row(row: &Row<'_>) -> Result<Secret> {
    let doing = || "read a secret's row";
    Ok(Secret {
        id: row.get(0).sql(doing)?,
        name: row.get::<_, String>(1).sql(doing)?.parse()?,
        created: Moment::from_unix_nanoseconds(row.get(2).sql(doing)?),
        updated: Moment::from_unix_nanoseconds(row.get(3).sql(doing)?),
        settings: row.get(4).sql(doing)?,
    })
}
