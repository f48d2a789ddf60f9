//! Mount rows: the images and containers whose root is mounted on the host, and how many want it so.
//!
//! ```text
//!  begin ─▶ users 0 ── the mount is made ──▶ users 1, 2 … ─▶ users 0 ── it is taken away ──▶ delete
//! ```
//!
//! A mount does not survive a reboot, so a row says in which boot it was made. While there is a row,
//! its image cannot be deleted; that of a container goes with the container.

use crate::{Read, Sql, Write};
use dhow_base::{Digest, Result, id::ContainerId};
use rusqlite::{OptionalExtension, Row, params};
use std::fmt;

/// Whose root is mounted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Object {
    /// An image's, by its manifest.
    Image(Digest),
    /// A container's.
    Container(ContainerId),
}

impl Object {
    fn table(&self) -> Table {
        match self {
            Self::Image(_) => Table::Images,
            Self::Container(_) => Table::Containers,
        }
    }

    fn key(&self) -> &str {
        match self {
            Self::Image(manifest) => manifest.as_str(),
            Self::Container(id) => id.as_str(),
        }
    }

    /// 64 hex digits that no other object has.
    pub fn hex(&self) -> &str {
        match self {
            Self::Image(manifest) => manifest.hex(),
            Self::Container(id) => id.as_str(),
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(manifest) => write!(f, "image {}", manifest.short()),
            Self::Container(id) => write!(f, "container {}", id.short()),
        }
    }
}

/// Where the rows of a kind of object are.
#[derive(Clone, Copy)]
enum Table {
    Images,
    Containers,
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Self::Images => "image_mounts",
            Self::Containers => "container_mounts",
        }
    }

    fn column(self) -> &'static str {
        match self {
            Self::Images => "manifest",
            Self::Containers => "container",
        }
    }

    fn object(self, key: &str) -> Result<Object> {
        match self {
            Self::Images => key.parse().map(Object::Image),
            Self::Containers => key.parse().map(Object::Container),
        }
    }
}

/// A mount, as its row has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HostMount {
    /// Whose root it is.
    pub object: Object,
    /// How many want it; 0 while it is being made or taken away.
    pub users: u64,
    /// The boot in which it was made.
    pub boot: String,
}

/// Writes the row of a mount that is about to be made; one that is there stays as it is.
pub fn begin(write: &Write<'_>, object: &Object, boot: &str) -> Result<()> {
    let (table, column) = (object.table().name(), object.table().column());
    write
        .prepare_cached(&format!(
            "INSERT INTO {table} ({column}, users, boot) VALUES (?1, 0, ?2) \
             ON CONFLICT ({column}) DO NOTHING"
        ))
        .and_then(|mut statement| statement.execute([object.key(), boot]))
        .sql(|| format!("note the mount of {object}"))?;
    Ok(())
}

/// Says how many want it.
pub fn set_users(write: &Write<'_>, object: &Object, users: u64) -> Result<()> {
    let (table, column) = (object.table().name(), object.table().column());
    write
        .prepare_cached(&format!("UPDATE {table} SET users = ?2 WHERE {column} = ?1"))
        .and_then(|mut statement| statement.execute(params![object.key(), users.cast_signed()]))
        .sql(|| format!("count who wants {object} mounted"))?;
    Ok(())
}

/// Forgets a mount that is gone.
pub fn delete(write: &Write<'_>, object: &Object) -> Result<()> {
    let (table, column) = (object.table().name(), object.table().column());
    write
        .prepare_cached(&format!("DELETE FROM {table} WHERE {column} = ?1"))
        .and_then(|mut statement| statement.execute([object.key()]))
        .sql(|| format!("forget the mount of {object}"))?;
    Ok(())
}

/// The mount of this object.
pub fn find(read: &Read, object: &Object) -> Result<Option<HostMount>> {
    let table = object.table();
    let (name, column) = (table.name(), table.column());
    read.prepare_cached(&format!("SELECT {column}, users, boot FROM {name} WHERE {column} = ?1"))
        .and_then(|mut statement| {
            statement.query_row([object.key()], |row| Ok(from_row(table, row))).optional()
        })
        .sql(|| format!("look up the mount of {object}"))?
        .transpose()
}

/// All of them.
pub fn list(read: &Read) -> Result<Vec<HostMount>> {
    let mut all = list_in(read, Table::Images)?;
    all.extend(list_in(read, Table::Containers)?);
    Ok(all)
}

fn list_in(read: &Read, table: Table) -> Result<Vec<HostMount>> {
    let what = || "list what is mounted";
    let (name, column) = (table.name(), table.column());
    let query = format!("SELECT {column}, users, boot FROM {name} ORDER BY {column}");
    let mut statement = read.prepare_cached(&query).sql(what)?;
    let rows = statement.query_map([], |row| Ok(from_row(table, row))).sql(what)?;
    rows.map(|row| row.sql(what)?).collect()
}

fn from_row(table: Table, row: &Row<'_>) -> Result<HostMount> {
    let what = || "read the row of a mount";
    Ok(HostMount {
        object: table.object(&row.get::<_, String>(0).sql(what)?)?,
        users: row.get::<_, i64>(1).sql(what)?.cast_unsigned(),
        boot: row.get(2).sql(what)?,
    })
}
