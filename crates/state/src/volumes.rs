//! Volume rows: which named volumes there are, and which containers use them.

use crate::{Read, Sql, Write};
use dhow_base::{
    Result,
    clock::Moment,
    id::{ContainerId, Name},
};
use rusqlite::params;

/// Notes that `container` uses the volume `name`, which need not exist yet.
pub fn hold(write: &Write<'_>, name: &Name, container: &ContainerId) -> Result<()> {
    let doing = || format!("note that container {} uses volume {name}", container.short());
    write
        .execute(
            "INSERT INTO volumes (name, state, created) VALUES (?1, 'present', ?2) ON CONFLICT DO NOTHING",
            params![name.as_str(), Moment::now().unix_nanoseconds()],
        )
        .sql(doing)?;
    write
        .execute(
            "INSERT INTO container_volumes (container, volume) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            params![container.as_str(), name.as_str()],
        )
        .sql(doing)?;
    Ok(())
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
