//! Artifact rows: manifests whose blobs are files.
//!
//! ```text
//!  begin             finish
//! ──────▶ fetching ─────────▶ present ── delete ──▶ gone
//!  (a private name)  (its own name, from whatever had it)
//! ```

use crate::{Owner, Read, Sql, Write, snapshots::OwnerColumns};
use dhow_base::{Digest, Error, Kind, Result, clock::Moment};
use rusqlite::{OptionalExtension, Params, Row, params};

/// Where in its life an artifact is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// Its blobs are coming.
    Fetching,
    /// It is whole.
    Present,
}

/// An artifact, as its row has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Artifact {
    /// Its complete name.
    pub name: String,
    /// The digest of its manifest.
    pub manifest: Digest,
    /// The media type of its manifest.
    pub media_type: String,
    /// The manifest, as it was published.
    pub document: String,
    /// Where in its life it is.
    pub phase: Phase,
    /// Who fetches it.
    pub owner: Option<Owner>,
    /// When it was made or fetched.
    pub changed: Moment,
}

/// Writes the row of an artifact that `owner` is about to fetch, under a private name.
pub fn begin(write: &Write<'_>, artifact: &Artifact, owner: Owner) -> Result<()> {
    write
        .prepare_cached(
            "INSERT INTO artifacts (name, manifest, media_type, document, state, owner_pid, \
             owner_start, changed) VALUES (?1, ?2, ?3, ?4, 'fetching', ?5, ?6, ?7)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                artifact.name,
                artifact.manifest.as_str(),
                artifact.media_type,
                artifact.document,
                owner.pid,
                owner.start_time.cast_signed(),
                artifact.changed.unix_nanoseconds(),
            ])
        })
        .sql(|| format!("note artifact {}", artifact.manifest))?;
    Ok(())
}

/// Holds on to a blob, whose row must exist.
pub fn hold_blob(write: &Write<'_>, name: &str, blob: &Digest) -> Result<()> {
    write
        .prepare_cached("INSERT OR IGNORE INTO artifact_blobs (name, digest) VALUES (?1, ?2)")
        .and_then(|mut statement| statement.execute([name, blob.as_str()]))
        .sql(|| format!("hold blob {blob} for artifact {name}"))?;
    Ok(())
}

/// Says that all of it is there, and gives it its own name, which no other row must have.
pub fn finish(write: &Write<'_>, private: &str, name: &str) -> Result<()> {
    write
        .prepare_cached(
            "UPDATE artifacts SET name = ?2, state = 'present', owner_pid = NULL, \
             owner_start = NULL WHERE name = ?1",
        )
        .and_then(|mut statement| statement.execute([private, name]))
        .sql(|| format!("finish artifact {name}"))?;
    Ok(())
}

/// Forgets an artifact, and says which blobs it held on to.
pub fn delete(write: &Write<'_>, name: &str) -> Result<Vec<Digest>> {
    let held = blobs(write, name)?;
    write
        .prepare_cached("DELETE FROM artifacts WHERE name = ?1")
        .and_then(|mut statement| statement.execute([name]))
        .sql(|| format!("delete artifact {name}"))?;
    Ok(held)
}

/// The blobs that an artifact holds on to.
pub fn blobs(read: &Read, name: &str) -> Result<Vec<Digest>> {
    let doing = || format!("list the blobs of artifact {name}");
    let mut statement = read
        .prepare_cached("SELECT digest FROM artifact_blobs WHERE name = ?1 ORDER BY digest")
        .sql(doing)?;
    let rows = statement.query_map([name], |row| row.get::<_, String>(0)).sql(doing)?;
    rows.map(|row| row.sql(doing)?.parse()).collect()
}

/// The whole artifact of this complete name.
pub fn find(read: &Read, name: &str) -> Result<Option<Artifact>> {
    Ok(many(read, "WHERE name = ?1 AND state = 'present'", [name])?.into_iter().next())
}

/// The whole artifacts whose manifest's digest begins with these hex digits.
pub fn find_by_hex(read: &Read, hex: &str) -> Result<Vec<Artifact>> {
    let low = format!("sha256:{hex}");
    let high = format!("{low}g");
    many(read, "WHERE state = 'present' AND manifest >= ?1 AND manifest < ?2", [low, high])
}

/// All whole artifacts, by name.
pub fn list(read: &Read) -> Result<Vec<Artifact>> {
    many(read, "WHERE state = 'present' ORDER BY name", [])
}

/// The artifacts that are being fetched, or were until a process died.
pub fn unfinished(read: &Read) -> Result<Vec<Artifact>> {
    many(read, "WHERE state = 'fetching'", [])
}

/// Is an artifact half fetched? Cheap; asked by every command.
pub fn anything_unfinished(read: &Read) -> Result<bool> {
    read.prepare_cached("SELECT 1 FROM artifacts WHERE state = 'fetching' LIMIT 1")
        .and_then(|mut statement| statement.query_row([], |_| Ok(())).optional())
        .sql(|| "ask for unfinished artifacts")
        .map(|found| found.is_some())
}

fn many(read: &Read, which: &str, parameters: impl Params) -> Result<Vec<Artifact>> {
    let query = format!(
        "SELECT name, manifest, media_type, document, state, owner_pid, owner_start, changed \
         FROM artifacts {which}"
    );
    let mut statement = read.prepare_cached(&query).sql(|| "list artifacts")?;
    let rows = statement.query_map(parameters, |row| Ok(from_row(row))).sql(|| "list artifacts")?;
    rows.map(|row| row.sql(|| "list artifacts")?).collect()
}

fn from_row(row: &Row<'_>) -> Result<Artifact> {
    let doing = || "read an artifact's row";
    let (manifest, state): (String, String) = (row.get(1).sql(doing)?, row.get(4).sql(doing)?);
    Ok(Artifact {
        name: row.get(0).sql(doing)?,
        manifest: manifest.parse()?,
        media_type: row.get(2).sql(doing)?,
        document: row.get(3).sql(doing)?,
        phase: match state.as_str() {
            "fetching" => Phase::Fetching,
            "present" => Phase::Present,
            _ => return Err(Error::new(Kind::Corrupt, format!("read artifact state {state:?}"))),
        },
        owner: OwnerColumns::from_row(row, 5).sql(doing)?,
        changed: Moment::from_unix_nanoseconds(row.get(7).sql(doing)?),
    })
}
