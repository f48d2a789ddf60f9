//! Mount rows: the images whose root is mounted on the host, and how many want it so.
//!
//! ```text
//!  begin ─▶ users 0 ── the mount is made ──▶ users 1, 2 … ─▶ users 0 ── it is taken away ──▶ delete
//! ```
//!
//! A mount does not survive a reboot, so a row says in which boot it was made. While there is a row,
//! its image cannot be deleted.

use crate::{Read, Sql, Write};
use dhow_base::{Digest, Result};
use rusqlite::{OptionalExtension, Row, params};

/// A mount of an image, as its row has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ImageMount {
    /// The manifest of the image.
    pub manifest: Digest,
    /// How many want it; 0 while it is being made or taken away.
    pub users: u64,
    /// The boot in which it was made.
    pub boot: String,
}

/// Writes the row of a mount that is about to be made; one that is there stays as it is.
pub fn begin(write: &Write<'_>, manifest: &Digest, boot: &str) -> Result<()> {
    write
        .prepare_cached(
            "INSERT INTO image_mounts (manifest, users, boot) VALUES (?1, 0, ?2) \
             ON CONFLICT (manifest) DO NOTHING",
        )
        .and_then(|mut statement| statement.execute([manifest.as_str(), boot]))
        .sql(|| format!("note the mount of image {manifest}"))?;
    Ok(())
}

/// Says how many want it.
pub fn set_users(write: &Write<'_>, manifest: &Digest, users: u64) -> Result<()> {
    write
        .prepare_cached("UPDATE image_mounts SET users = ?2 WHERE manifest = ?1")
        .and_then(|mut statement| {
            statement.execute(params![manifest.as_str(), users.cast_signed()])
        })
        .sql(|| format!("count who wants image {manifest} mounted"))?;
    Ok(())
}

/// Forgets a mount that is gone.
pub fn delete(write: &Write<'_>, manifest: &Digest) -> Result<()> {
    write
        .prepare_cached("DELETE FROM image_mounts WHERE manifest = ?1")
        .and_then(|mut statement| statement.execute([manifest.as_str()]))
        .sql(|| format!("forget the mount of image {manifest}"))?;
    Ok(())
}

/// The mount of this image.
pub fn find(read: &Read, manifest: &Digest) -> Result<Option<ImageMount>> {
    read.prepare_cached("SELECT manifest, users, boot FROM image_mounts WHERE manifest = ?1")
        .and_then(|mut statement| {
            statement.query_row([manifest.as_str()], |row| Ok(from_row(row))).optional()
        })
        .sql(|| format!("look up the mount of image {manifest}"))?
        .transpose()
}

/// All of them.
pub fn list(read: &Read) -> Result<Vec<ImageMount>> {
    let what = || "list mounted images";
    let mut statement = read
        .prepare_cached("SELECT manifest, users, boot FROM image_mounts ORDER BY manifest")
        .sql(what)?;
    let rows = statement.query_map([], |row| Ok(from_row(row))).sql(what)?;
    rows.map(|row| row.sql(what)?).collect()
}

fn from_row(row: &Row<'_>) -> Result<ImageMount> {
    let what = || "read the row of a mounted image";
    Ok(ImageMount {
        manifest: row.get::<_, String>(0).sql(what)?.parse()?,
        users: row.get::<_, i64>(1).sql(what)?.cast_unsigned(),
        boot: row.get(2).sql(what)?,
    })
}
