//! Volume rows: which named volumes there are, and which containers use them.

use crate::{Sql, Write};
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
