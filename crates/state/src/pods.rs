//! Pod rows, and which containers are in which pod.
//!
//! A pod is nothing but its row while none of its containers runs. Its namespaces are files in the
//! run directory, made when the first container starts.

use crate::{Read, Sql, Write, endpoints, ports};
use dhow_base::{
    Error, Kind, Result,
    clock::Moment,
    id::{ContainerId, Name},
};
use rusqlite::{OptionalExtension, Row, params};

/// A pod, as its row has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pod {
    /// The id, of the same kind as a container's.
    pub id: ContainerId,
    /// The name, unique.
    pub name: Name,
    /// When it was made.
    pub created: Moment,
    /// The engine's settings, JSON.
    pub settings: String,
}

const COLUMNS: &str = "id, name, created, settings";

/// Writes the row of a pod.
pub fn insert(write: &Write<'_>, pod: &Pod) -> Result<()> {
    let result = write.execute(
        "INSERT INTO pods (id, name, created, settings) VALUES (?1, ?2, ?3, ?4)",
        params![pod.id.as_str(), pod.name.as_str(), pod.created.unix_nanoseconds(), pod.settings],
    );
    match result.sql(|| format!("insert pod {}", pod.name)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == Kind::AlreadyExists => {
            let text = format!("the name {} is in use by a pod", pod.name);
            Err(Error::new(Kind::AlreadyExists, text)
                .hint("remove that pod, or choose another name"))
        }
        Err(error) => Err(error),
    }
}

/// Replaces the engine's settings of a pod.
pub fn set_settings(write: &Write<'_>, id: &ContainerId, settings: &str) -> Result<()> {
    write
        .execute("UPDATE pods SET settings = ?2 WHERE id = ?1", [id.as_str(), settings])
        .sql(|| format!("change pod {}", id.short()))?;
    Ok(())
}

/// The pod with this id.
pub fn find(read: &Read, id: &ContainerId) -> Result<Option<Pod>> {
    let query = format!("SELECT {COLUMNS} FROM pods WHERE id = ?1");
    Ok(many(read, &query, [id.as_str()])?.pop())
}

/// Forgets a pod, in which there is no container, with its connections.
pub fn delete(write: &Write<'_>, id: &ContainerId) -> Result<()> {
    endpoints::disconnect_all(write, id)?;
    ports::withdraw(write, id)?;
    write
        .execute("DELETE FROM pods WHERE id = ?1", [id.as_str()])
        .sql(|| format!("forget pod {}", id.short()))?;
    Ok(())
}

/// Puts a container into a pod.
pub fn join(write: &Write<'_>, pod: &ContainerId, container: &ContainerId) -> Result<()> {
    write
        .execute(
            "INSERT INTO pod_containers (container, pod) VALUES (?1, ?2)",
            [container.as_str(), pod.as_str()],
        )
        .sql(|| format!("put container {} into pod {}", container.short(), pod.short()))?;
    Ok(())
}

/// All pods, the newest first.
pub fn list(read: &Read) -> Result<Vec<Pod>> {
    many(read, &format!("SELECT {COLUMNS} FROM pods ORDER BY created DESC"), [])
}

/// The ids of the containers in a pod, the oldest first.
pub fn members(read: &Read, pod: &ContainerId) -> Result<Vec<ContainerId>> {
    let doing = || format!("list the containers of pod {}", pod.short());
    let mut statement = read
        .prepare_cached(
            "SELECT id FROM containers JOIN pod_containers ON container = id WHERE pod = ?1 \
             ORDER BY created",
        )
        .sql(doing)?;
    let rows = statement.query_map([pod.as_str()], |row| row.get::<_, String>(0)).sql(doing)?;
    rows.map(|id| id.sql(doing)?.parse()).collect()
}

/// The pod that a container is in.
pub fn of_container(read: &Read, container: &ContainerId) -> Result<Option<Pod>> {
    let doing = || format!("look up the pod of container {}", container.short());
    read.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM pods WHERE id = (SELECT pod FROM pod_containers WHERE container = ?1)"
    ))
    .and_then(|mut statement| {
        statement.query_row([container.as_str()], |row| Ok(from_row(row))).optional()
    })
    .sql(doing)?
    .transpose()
}

/// The pod that `text` means: a name, an id, or the start of an id that fits only one.
pub fn look_up(read: &Read, text: &str) -> Result<Pod> {
    let by_name = format!("SELECT {COLUMNS} FROM pods WHERE name = ?1");
    if let Some(pod) = many(read, &by_name, [text])?.pop() {
        return Ok(pod);
    }
    let missing = || {
        Error::new(Kind::NotFound, format!("no such pod: {text}"))
            .hint("`dhow pod ps` lists all pods")
    };
    if text.is_empty() || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(missing());
    }
    // 'g' follows 'f', so the range holds exactly the ids that begin with the text.
    let by_id = format!("SELECT {COLUMNS} FROM pods WHERE id >= ?1 AND id < ?1 || 'g' LIMIT 2");
    let mut found = many(read, &by_id, [text])?;
    match (found.pop(), found.pop()) {
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) => {
            Err(Error::new(Kind::Conflict, format!("{text} begins more than one pod's id"))
                .hint("give more digits"))
        }
        (None, _) => Err(missing()),
    }
}

fn many(read: &Read, query: &str, parameters: impl rusqlite::Params) -> Result<Vec<Pod>> {
    let doing = || "list pods";
    let mut statement = read.prepare_cached(query).sql(doing)?;
    let rows = statement.query_map(parameters, |row| Ok(from_row(row))).sql(doing)?;
    rows.map(|row| row.sql(doing)?).collect()
}

fn from_row(row: &Row<'_>) -> Result<Pod> {
    let doing = || "read a pod's row";
    Ok(Pod {
        id: row.get::<_, String>(0).sql(doing)?.parse()?,
        name: row.get::<_, String>(1).sql(doing)?.parse()?,
        created: Moment::from_unix_nanoseconds(row.get(2).sql(doing)?),
        settings: row.get(3).sql(doing)?,
    })
}
