//! Container rows.
//!
//! # Life of a row
//!
//! ```text
//!  insert          created         starting         started            exited
//! ───────▶ creating ─────▶ created ─────▶ starting ─────▶ running ─────────────▶ exited
//!             │                │            ▲  ▲            │                     │  │
//!             │                │            │  └────────────┼─────────────────────┘  │
//!             │                │            └─ restarting ◀─┘ by its policy          │
//!             └────────────────┴────────────────▶ removing ◀─────────────────────────┘
//! ```
//!
//! A run goes from `creating` to `running` in one go, with one owner.
//!
//! `creating`, `starting`, `restarting` and `removing` have an owner: the process at work. If it is
//! dead, the next command finishes or undoes the work (see the engine's `mend`).

use crate::{Owner, Read, Sql, Write};
use dhow_base::{Digest, Error, Kind, Result, clock::Moment, id::ContainerId};
use rusqlite::{OptionalExtension, Row, params};

/// Where in its life a container is, as rows keep it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// Its files are being made.
    Creating,
    /// Everything is ready; nothing runs.
    Created,
    /// Its monitor is being started.
    Starting,
    /// Its program runs.
    Running,
    /// Its program has ended, and will be started again after a pause.
    Restarting,
    /// Its program has ended.
    Exited,
    /// Its files are being removed.
    Removing,
}

impl Phase {
    /// The word in the row, which is also docker's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Restarting => "restarting",
            Self::Exited => "exited",
            Self::Removing => "removing",
        }
    }

    /// What holds for a row in this phase.
    fn condition(self) -> &'static str {
        match self {
            Self::Creating => "state = 'creating'",
            Self::Created => "state = 'created'",
            Self::Starting => "(state = 'starting' AND NOT waiting)",
            Self::Running => "state = 'running'",
            Self::Restarting => "(state = 'starting' AND waiting)",
            Self::Exited => "state = 'exited'",
            Self::Removing => "state = 'removing'",
        }
    }

    pub(crate) fn from_word(word: &str) -> Result<Self> {
        [
            Self::Creating,
            Self::Created,
            Self::Starting,
            Self::Running,
            Self::Restarting,
            Self::Exited,
            Self::Removing,
        ]
        .into_iter()
        .find(|phase| phase.word() == word)
        .ok_or_else(|| Error::new(Kind::Corrupt, format!("read container state {word:?}")))
    }
}

/// A container, as its row has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Container {
    /// The id.
    pub id: ContainerId,
    /// The name, unique.
    pub name: String,
    /// Where in its life it is.
    pub phase: Phase,
    /// Who works on it, in the phases that have an owner.
    pub owner: Option<Owner>,
    /// The digest of the image's manifest.
    pub image: Option<Digest>,
    /// The image's name as the user gave it.
    pub image_name: String,
    /// When it was created.
    pub created: Moment,
    /// When its program last started.
    pub started: Option<Moment>,
    /// When its program last ended.
    pub finished: Option<Moment>,
    /// The container's first process, while it runs.
    pub process: Option<Owner>,
    /// The monitor, while it runs.
    pub monitor: Option<Owner>,
    /// The boot during which the program was started.
    pub boot: Option<String>,
    /// How the program last ended.
    pub exit_code: Option<i32>,
    /// Whether the kernel killed it for want of memory.
    pub oom_killed: bool,
    /// Whether it is removed when its program ends.
    pub auto_remove: bool,
    /// The engine's settings, JSON.
    pub settings: String,
    /// What has become of it beyond start and end.
    pub course: Course,
}

impl Container {
    /// Where in its life it is, in docker's words.
    pub fn status(&self) -> &'static str {
        if self.phase == Phase::Running && self.course.paused {
            "paused"
        } else {
            self.phase.word()
        }
    }
}

/// What has become of a container beyond start and end.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Course {
    /// How often its policy has started it again since the user did.
    pub restarts: u32,
    /// How long the last pause before a new life was, in milliseconds.
    pub pause_ms: u64,
    /// Whether the user ended its last life.
    pub stopped: bool,
    /// Whether its processes are frozen.
    pub paused: bool,
    /// What its last health check found, in docker's words; nothing where none is made.
    pub health: Option<String>,
}

const COLUMNS: &str = "id, name, state, owner_pid, owner_start, image, image_name, created, started, \
     finished, pid, pid_start, monitor_pid, monitor_start, boot, exit_code, oom_killed, auto_remove, settings, \
     restarts, pause_ms, stopped, paused, health, waiting";

/// Writes the row of a container that is about to be made.
pub fn insert(write: &Write<'_>, container: &Container) -> Result<()> {
    let owner = OwnerColumns::of(container.owner);
    let result = write.prepare_cached(
        "INSERT INTO containers (id, name, state, owner_pid, owner_start, image, image_name, created, \
         auto_remove, settings) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    ).and_then(|mut statement| statement.execute(params![
        container.id.as_str(),
        container.name,
        container.phase.word(),
        owner.pid,
        owner.start,
        container.image.as_ref().map(Digest::as_str),
        container.image_name,
        container.created.unix_nanoseconds(),
        container.auto_remove,
        container.settings,
    ]));
    match result.sql(|| format!("insert container {}", container.name)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == Kind::AlreadyExists => Err(taken(write, &container.name)?),
        Err(error) => Err(error),
    }
}

/// The refusal of a name that another container has.
fn taken(write: &Write<'_>, name: &str) -> Result<Error> {
    let holder = find_by_name(write, name)?;
    let holder =
        holder.map_or_else(String::new, |other| format!(" by container {}", other.id.short()));
    Ok(Error::new(Kind::AlreadyExists, format!("the name {name} is in use{holder}"))
        .hint("remove or rename that container, or choose another name"))
}

/// Gives a container another name.
pub fn rename(write: &Write<'_>, id: &ContainerId, name: &str) -> Result<()> {
    let renamed = write
        .prepare_cached("UPDATE containers SET name = ?2 WHERE id = ?1")
        .and_then(|mut statement| statement.execute(params![id.as_str(), name]));
    match renamed.sql(|| format!("rename container {}", id.short())) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == Kind::AlreadyExists => Err(taken(write, name)?),
        Err(error) => Err(error),
    }
}

/// The container with this id, whole.
pub fn find(read: &Read, id: &ContainerId) -> Result<Option<Container>> {
    one(read, &format!("SELECT {COLUMNS} FROM containers WHERE id = ?1"), id.as_str())
}

/// The container with this name.
pub fn find_by_name(read: &Read, name: &str) -> Result<Option<Container>> {
    one(read, &format!("SELECT {COLUMNS} FROM containers WHERE name = ?1"), name)
}

/// The container that `text` means: a name, an id, or the start of an id that fits only one.
pub fn look_up(read: &Read, text: &str) -> Result<Container> {
    if let Some(container) = find_by_name(read, text)? {
        return Ok(container);
    }
    let missing = || {
        Error::new(Kind::NotFound, format!("no such container: {text}"))
            .hint("`dhow ps -a` lists all containers")
    };
    let hex =
        !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !hex || text.len() > 64 {
        return Err(missing());
    }
    // 'g' follows 'f', so the range holds exactly the ids that begin with the text.
    let mut found = many(
        read,
        &format!("SELECT {COLUMNS} FROM containers WHERE id >= ?1 AND id < ?1 || 'g' LIMIT 2"),
        params![text],
    )?;
    match (found.pop(), found.pop()) {
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) => {
            Err(Error::new(Kind::Conflict, format!("{text} begins more than one container id"))
                .hint("give more digits"))
        }
        (None, _) => Err(missing()),
    }
}

/// All containers, the newest first.
pub fn list(read: &Read) -> Result<Vec<Container>> {
    many(read, &format!("SELECT {COLUMNS} FROM containers"), []).map(newest_first)
}

/// A container as long lists show it. What is not kept is not copied.
#[derive(Debug)]
pub struct Outline<'r> {
    /// The id.
    pub id: ContainerId,
    /// The name.
    pub name: String,
    /// Where in its life it is.
    pub phase: Phase,
    /// The digest of the image's manifest.
    pub image: Option<Digest>,
    /// The image's name as the user gave it.
    pub image_name: String,
    /// When it was created.
    pub created: Moment,
    /// When its program last started.
    pub started: Option<Moment>,
    /// When its program last ended.
    pub finished: Option<Moment>,
    /// The container's first process, while it runs.
    pub pid: Option<i32>,
    /// The monitor, while it runs.
    pub monitor_pid: Option<i32>,
    /// How the program last ended.
    pub exit_code: Option<i32>,
    /// Whether its processes are frozen.
    pub paused: bool,
    /// What its last health check found.
    pub health: Option<String>,
    /// The engine's settings, JSON.
    pub settings: &'r str,
}

/// Which containers a list has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Which {
    /// Those that run, or will again after a pause.
    Running,
    /// All.
    All,
}

/// Hands on the outlines of containers, in no order.
pub fn outline_each(
    read: &Read,
    which: Which,
    mut hand_on: impl FnMut(Outline<'_>) -> Result<()>,
) -> Result<()> {
    let condition = match which {
        Which::Running => IS_ALIVE,
        Which::All => "TRUE",
    };
    let query = format!(
        "SELECT id, name, state, waiting, image, image_name, created, started, finished, pid, monitor_pid, \
         exit_code, paused, health, settings FROM containers WHERE {condition}"
    );
    let mut statement = read.prepare(&query).sql(|| "list containers")?;
    let mut rows = statement.query([]).sql(|| "list containers")?;
    while let Some(row) = rows.next().sql(|| "list containers")? {
        hand_on(outline(row)?)?;
    }
    Ok(())
}

fn outline<'r>(row: &'r Row<'_>) -> Result<Outline<'r>> {
    let text = |column| {
        let value = row.get_ref(column).and_then(|value| Ok(value.as_str_or_null()?));
        value.sql(|| "read a container's row")
    };
    let number = |column| row.get::<_, Option<i32>>(column).sql(|| "read a container's row");
    let flag = |column| row.get::<_, bool>(column).sql(|| "read a container's row");
    let moment = |column| {
        let value = row.get::<_, Option<i64>>(column).sql(|| "read a container's row");
        value.map(|value| value.map(Moment::from_unix_nanoseconds))
    };
    let owned = |column| text(column).map(|text| text.unwrap_or_default().to_owned());
    Ok(Outline {
        id: text(0)?.unwrap_or_default().parse()?,
        name: owned(1)?,
        phase: phase_of(text(2)?.unwrap_or_default(), flag(3)?)?,
        image: text(4)?.map(str::parse).transpose()?,
        image_name: owned(5)?,
        created: moment(6)?.unwrap_or_else(|| Moment::from_unix_nanoseconds(0)),
        started: moment(7)?,
        finished: moment(8)?,
        pid: number(9)?,
        monitor_pid: number(10)?,
        exit_code: number(11)?,
        paused: flag(12)?,
        health: text(13)?.map(str::to_owned),
        settings: text(14)?.unwrap_or_default(),
    })
}

const IS_ALIVE: &str = "(state = 'running' OR (state = 'starting' AND waiting))";

/// SQLite would sort whole rows, and in a file once they are many.
fn newest_first(mut containers: Vec<Container>) -> Vec<Container> {
    containers.sort_by_key(|container| std::cmp::Reverse(container.created));
    containers
}

/// The containers that run, or will again after a pause; the newest first.
pub fn list_alive(read: &Read) -> Result<Vec<Container>> {
    many(read, &format!("SELECT {COLUMNS} FROM containers WHERE {IS_ALIVE}"), []).map(newest_first)
}

/// Whether some command is at work on a container, or was: one look into an index, for each command
/// asks that first.
pub fn has_unfinished(read: &Read) -> Result<bool> {
    let query = "SELECT 1 FROM containers WHERE state IN ('creating', 'starting', 'removing')";
    read.prepare_cached(query)
        .and_then(|mut statement| statement.exists([]))
        .sql(|| "look for unfinished containers")
}

/// Up to `limit` containers that some command is at work on, or was; the oldest first.
pub fn list_unfinished(read: &Read, limit: usize) -> Result<Vec<Container>> {
    many(
        read,
        &format!(
            "SELECT {COLUMNS} FROM containers \
             WHERE state IN ('creating', 'starting', 'removing') ORDER BY created LIMIT {limit}"
        ),
        [],
    )
}

/// The containers that stand on this image, and those that show it below their roots.
pub fn list_of_image(read: &Read, manifest: &Digest) -> Result<Vec<Container>> {
    many(
        read,
        &format!(
            "SELECT {COLUMNS} FROM containers WHERE image = ?1 \
             OR id IN (SELECT container FROM container_images WHERE manifest = ?1)"
        ),
        [manifest.as_str()],
    )
}

/// Notes that a container shows an image below its root.
pub fn hold_image(write: &Write<'_>, id: &ContainerId, manifest: &Digest) -> Result<()> {
    write
        .execute(
            "INSERT INTO container_images (container, manifest) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            [id.as_str(), manifest.as_str()],
        )
        .sql(|| format!("note that container {} shows image {manifest}", id.short()))?;
    Ok(())
}

/// Moves a row from one of `from` to `to`, with its new owner; `false` says that it was elsewhere.
pub fn advance(
    write: &Write<'_>,
    id: &ContainerId,
    from: &[Phase],
    to: Phase,
    owner: Option<Owner>,
) -> Result<bool> {
    let places: Vec<&str> = from.iter().map(|phase| phase.condition()).collect();
    let query = format!(
        "UPDATE containers SET state = ?2, owner_pid = ?3, owner_start = ?4, waiting = 0 \
         WHERE id = ?1 AND ({})",
        places.join(" OR ")
    );
    let owner = OwnerColumns::of(owner);
    write
        .prepare_cached(&query)
        .and_then(|mut statement| {
            statement.execute(params![id.as_str(), to.word(), owner.pid, owner.start])
        })
        .map(|count| count == 1)
        .sql(|| format!("mark container {} as {}", id.short(), to.word()))
}

/// Makes `owner` the one at work on a container, where its row still is as it was seen; `false` says
/// that somebody has gone on with it.
pub fn take_over(write: &Write<'_>, seen: &Container, owner: Owner) -> Result<bool> {
    let is_as_seen = find(write, &seen.id)?.is_some_and(|now| {
        (now.phase, now.owner, now.process) == (seen.phase, seen.owner, seen.process)
    });
    if is_as_seen {
        let query = "UPDATE containers SET owner_pid = ?2, owner_start = ?3 WHERE id = ?1";
        let values = params![seen.id.as_str(), owner.pid, owner.start_time.cast_signed()];
        set(write, query, &seen.id, values)?;
    }
    Ok(is_as_seen)
}

/// The processes of a container that has just started.
#[derive(Clone, Copy, Debug)]
pub struct Started<'a> {
    /// When.
    pub at: Moment,
    /// The container's first process.
    pub process: Owner,
    /// Its monitor.
    pub monitor: Owner,
    /// The present boot.
    pub boot: &'a str,
    /// The pid of who has started it, as the row's owner has it.
    pub starter: Option<i32>,
}

/// Writes that the program runs. A row that has meanwhile gone on to `exited`, or that somebody else
/// is at work on, stays as it is.
pub fn mark_started(write: &Write<'_>, id: &ContainerId, started: &Started<'_>) -> Result<()> {
    write
        .prepare_cached(
            "UPDATE containers SET state = 'running', owner_pid = NULL, owner_start = NULL, started = ?2, \
             finished = NULL, exit_code = NULL, oom_killed = 0, paused = 0, pid = ?3, pid_start = ?4, monitor_pid = ?5, \
             monitor_start = ?6, boot = ?7 WHERE id = ?1 AND state IN ('creating', 'starting') \
             AND NOT waiting AND owner_pid IS ?8",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                id.as_str(),
                started.at.unix_nanoseconds(),
                started.process.pid,
                started.process.start_time.cast_signed(),
                started.monitor.pid,
                started.monitor.start_time.cast_signed(),
                started.boot,
                started.starter,
            ])
        })
        .sql(|| format!("mark container {} as running", id.short()))?;
    Ok(())
}

/// Writes how the program ended. `life` is the process whose end it was, where that is known: a row
/// that tells of another one by now stays as it is, and the answer is `false`.
pub fn mark_exited(
    write: &Write<'_>,
    id: &ContainerId,
    ended: &Ended,
    life: Option<Owner>,
) -> Result<bool> {
    write
        .prepare_cached(
            "UPDATE containers SET state = 'exited', owner_pid = NULL, owner_start = NULL, pid = NULL, \
             pid_start = NULL, monitor_pid = NULL, monitor_start = NULL, exit_code = ?2, oom_killed = ?3, \
             finished = ?4, paused = 0 WHERE id = ?1 AND state IN ('creating', 'starting', 'running') \
             AND NOT waiting \
             AND (?5 IS NULL OR pid IS NULL OR pid = ?5)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                id.as_str(),
                ended.exit_code,
                ended.oom_killed,
                ended.at.unix_nanoseconds(),
                life.map(|life| life.pid),
            ])
        })
        .map(|count| count == 1)
        .sql(|| format!("mark container {} as exited", id.short()))
}

/// As [`mark_exited`], and that `pause.owner` will start it again after a pause. `false` says that the
/// row was not at a place from which it can go on so, or that the user has stopped it.
pub fn mark_restarting(
    write: &Write<'_>,
    id: &ContainerId,
    ended: &Ended,
    life: Option<Owner>,
    pause: Pause,
) -> Result<bool> {
    write
        .prepare_cached(
            "UPDATE containers SET state = 'starting', waiting = 1, owner_pid = ?2, owner_start = ?3, pid = NULL, \
             pid_start = NULL, monitor_pid = NULL, monitor_start = NULL, exit_code = ?4, oom_killed = ?5, \
             finished = ?6, pause_ms = ?7, paused = 0, restarts = restarts + 1 \
             WHERE id = ?1 AND state IN ('creating', 'starting', 'running') AND NOT stopped AND NOT waiting \
             AND (?8 IS NULL OR pid IS NULL OR pid = ?8)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                id.as_str(),
                pause.owner.pid,
                pause.owner.start_time.cast_signed(),
                ended.exit_code,
                ended.oom_killed,
                ended.at.unix_nanoseconds(),
                pause.milliseconds.cast_signed(),
                life.map(|life| life.pid),
            ])
        })
        .map(|count| count == 1)
        .sql(|| format!("mark container {} as restarting", id.short()))
}

/// The time before the next life.
#[derive(Clone, Copy, Debug)]
pub struct Pause {
    /// How long it is.
    pub milliseconds: u64,
    /// Who waits.
    pub owner: Owner,
}

/// How a program ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// The exit code.
    pub exit_code: i32,
    /// Whether the kernel killed it for want of memory.
    pub oom_killed: bool,
    /// When.
    pub at: Moment,
}

/// Writes that the user wants a container to be ended. A pause before its next life is over with
/// that; the answer says who was waiting.
pub fn mark_stopped(write: &Write<'_>, id: &ContainerId) -> Result<Option<Owner>> {
    let waiting = find(write, id)?.filter(|row| row.phase == Phase::Restarting);
    let query = "UPDATE containers SET stopped = 1, \
                 owner_pid = iif(waiting, NULL, owner_pid), \
                 owner_start = iif(waiting, NULL, owner_start), \
                 state = iif(waiting, 'exited', state), waiting = 0 WHERE id = ?1";
    set(write, query, id, [id.as_str()])?;
    Ok(waiting.and_then(|row| row.owner))
}

/// Takes back that the user wants a container to be ended.
pub fn unmark_stopped(write: &Write<'_>, id: &ContainerId) -> Result<()> {
    set(write, "UPDATE containers SET stopped = 0 WHERE id = ?1", id, [id.as_str()])
}

/// Writes that the user starts a container: restarts are counted from here, and an earlier stop is
/// forgotten.
pub fn begin_anew(write: &Write<'_>, id: &ContainerId) -> Result<()> {
    let query =
        "UPDATE containers SET restarts = 0, pause_ms = 0, stopped = 0, boot = NULL WHERE id = ?1";
    set(write, query, id, [id.as_str()])
}

/// Writes whether the processes of a running container are frozen.
pub fn mark_paused(write: &Write<'_>, id: &ContainerId, paused: bool) -> Result<()> {
    let query = "UPDATE containers SET paused = ?2 WHERE id = ?1 AND state = 'running'";
    set(write, query, id, params![id.as_str(), paused])
}

/// Writes what a health check found; nothing where none is made.
pub fn mark_health(write: &Write<'_>, id: &ContainerId, health: Option<&str>) -> Result<()> {
    set(write, "UPDATE containers SET health = ?2 WHERE id = ?1", id, params![id.as_str(), health])
}

/// Replaces the engine's settings.
pub fn set_settings(write: &Write<'_>, id: &ContainerId, settings: &str) -> Result<()> {
    let query = "UPDATE containers SET settings = ?2 WHERE id = ?1";
    set(write, query, id, params![id.as_str(), settings])
}

fn set(
    write: &Write<'_>,
    query: &str,
    id: &ContainerId,
    values: impl rusqlite::Params,
) -> Result<()> {
    write
        .prepare_cached(query)
        .and_then(|mut statement| statement.execute(values))
        .sql(|| format!("change the row of container {}", id.short()))?;
    Ok(())
}

/// Writes of a container that is being removed that its volumes without names go as well, as they do of
/// one that is removed at its end: who goes on after a kill finds it in the row.
pub fn remove_with_volumes(write: &Write<'_>, id: &ContainerId) -> Result<()> {
    let query = "UPDATE containers SET auto_remove = 1 WHERE id = ?1 AND state = 'removing'";
    set(write, query, id, [id.as_str()])
}

/// Forgets a container whose files are gone.
pub fn delete(write: &Write<'_>, id: &ContainerId) -> Result<()> {
    write
        .prepare_cached("DELETE FROM containers WHERE id = ?1")
        .and_then(|mut statement| statement.execute([id.as_str()]))
        .sql(|| format!("delete container {}", id.short()))?;
    Ok(())
}

struct OwnerColumns {
    pid: Option<i32>,
    start: Option<i64>,
}

impl OwnerColumns {
    fn of(owner: Option<Owner>) -> Self {
        Self {
            pid: owner.map(|owner| owner.pid),
            start: owner.map(|owner| owner.start_time.cast_signed()),
        }
    }
}

fn one(read: &Read, query: &str, key: &str) -> Result<Option<Container>> {
    read.prepare_cached(query)
        .and_then(|mut statement| statement.query_row([key], |row| Ok(from_row(row))).optional())
        .sql(|| format!("look up container {key}"))?
        .transpose()
}

fn many(read: &Read, query: &str, values: impl rusqlite::Params) -> Result<Vec<Container>> {
    let mut statement = read.prepare_cached(query).sql(|| "list containers")?;
    let rows = statement.query_map(values, |row| Ok(from_row(row))).sql(|| "list containers")?;
    rows.map(|row| row.sql(|| "list containers")?).collect()
}

/// A row that waits for its next life is one that is being started, by somebody who takes his time.
fn phase_of(word: &str, waiting: bool) -> Result<Phase> {
    match Phase::from_word(word)? {
        Phase::Starting if waiting => Ok(Phase::Restarting),
        phase => Ok(phase),
    }
}

fn from_row(row: &Row<'_>) -> Result<Container> {
    let text = |column: usize| row.get::<_, String>(column).sql(|| "read a container's row");
    let moment = |column: usize| {
        row.get::<_, Option<i64>>(column)
            .sql(|| "read a container's row")
            .map(|value| value.map(Moment::from_unix_nanoseconds))
    };
    let owner = |column: usize| -> Result<Option<Owner>> {
        let pid: Option<i32> = row.get(column).sql(|| "read a container's row")?;
        let start: Option<i64> = row.get(column + 1).sql(|| "read a container's row")?;
        Ok(pid.zip(start).map(|(pid, start)| Owner { pid, start_time: start.cast_unsigned() }))
    };
    let image: Option<String> = row.get(5).sql(|| "read a container's row")?;
    Ok(Container {
        id: text(0)?.parse()?,
        name: text(1)?,
        phase: phase_of(&text(2)?, row.get(24).sql(|| "read a container's row")?)?,
        owner: owner(3)?,
        image: image.map(|digest| digest.parse()).transpose()?,
        image_name: text(6)?,
        created: moment(7)?.unwrap_or_else(|| Moment::from_unix_nanoseconds(0)),
        started: moment(8)?,
        finished: moment(9)?,
        process: owner(10)?,
        monitor: owner(12)?,
        boot: row.get(14).sql(|| "read a container's row")?,
        exit_code: row.get(15).sql(|| "read a container's row")?,
        oom_killed: row.get(16).sql(|| "read a container's row")?,
        auto_remove: row.get(17).sql(|| "read a container's row")?,
        settings: text(18)?,
        course: Course {
            restarts: row.get(19).sql(|| "read a container's row")?,
            pause_ms: row.get::<_, i64>(20).sql(|| "read a container's row")?.cast_unsigned(),
            stopped: row.get(21).sql(|| "read a container's row")?,
            paused: row.get(22).sql(|| "read a container's row")?,
            health: row.get(23).sql(|| "read a container's row")?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::State;

    fn container(name: &str, owner: Option<Owner>) -> Container {
        Container {
            id: ContainerId::random().unwrap(),
            name: name.to_owned(),
            phase: Phase::Creating,
            owner,
            image: Some(Digest::of(b"image")),
            image_name: "docker.io/library/debian:13".into(),
            created: Moment::now(),
            started: None,
            finished: None,
            process: None,
            monitor: None,
            boot: None,
            exit_code: None,
            oom_killed: false,
            auto_remove: true,
            settings: "{}".into(),
            course: Course::default(),
        }
    }

    fn state() -> (tempfile::TempDir, State) {
        let directory = tempfile::tempdir().unwrap();
        let state = State::open(directory.path()).unwrap();
        (directory, state)
    }

    #[test]
    fn a_row_comes_back_as_it_was_written() {
        let (_directory, mut state) = state();
        let written = container("web", Some(Owner::current().unwrap()));

        state.write(|write| insert(write, &written)).unwrap();

        assert_eq!(find(state.read(), &written.id).unwrap(), Some(written));
    }

    #[test]
    fn a_row_advances_from_the_named_phases_alone() {
        let (_directory, mut state) = state();
        let me = Owner::current().unwrap();
        let web = container("web", Some(me));
        let ended = Ended { exit_code: 3, oom_killed: false, at: Moment::now() };
        let pause = Pause { milliseconds: 100, owner: me };
        let other = ContainerId::random().unwrap();
        assert!(!has_unfinished(state.read()).unwrap());
        fn go(state: &mut State, id: &ContainerId, from: &[Phase], to: Phase) -> bool {
            state.write(|write| advance(write, id, from, to, None)).unwrap()
        }

        assert!(!go(&mut state, &web.id, &[Phase::Creating], Phase::Created));
        state.write(|write| insert(write, &web)).unwrap();
        assert!(has_unfinished(state.read()).unwrap());
        assert!(!go(&mut state, &other, &[Phase::Creating], Phase::Created));
        assert!(!go(&mut state, &web.id, &[Phase::Created, Phase::Exited], Phase::Removing));
        assert!(go(&mut state, &web.id, &[Phase::Exited, Phase::Creating], Phase::Starting));
        state.write(|write| mark_restarting(write, &web.id, &ended, None, pause)).unwrap();
        assert!(!go(&mut state, &web.id, &[Phase::Starting], Phase::Exited));
        assert!(go(&mut state, &web.id, &[Phase::Restarting], Phase::Exited));

        let row = find(state.read(), &web.id).unwrap().unwrap();
        assert_eq!((row.phase, row.owner), (Phase::Exited, None));
        assert!(!has_unfinished(state.read()).unwrap());
    }

    #[test]
    fn an_outline_says_what_the_row_says() {
        let (_directory, mut state) = state();
        let me = Owner::current().unwrap();
        let (running, waiting) = (container("web", Some(me)), container("later", Some(me)));
        let started = Started {
            at: Moment::now(),
            process: me,
            monitor: me,
            boot: "b",
            starter: Some(me.pid),
        };
        let ended = Ended { exit_code: 3, oom_killed: false, at: Moment::now() };
        let pause = Pause { milliseconds: 100, owner: me };
        state
            .write(|write| {
                insert(write, &running)?;
                insert(write, &waiting)?;
                insert(write, &container("still", Some(me)))?;
                mark_started(write, &running.id, &started)?;
                mark_health(write, &running.id, Some("healthy"))?;
                mark_paused(write, &running.id, true)?;
                mark_restarting(write, &waiting.id, &ended, None, pause)
            })
            .unwrap();
        let told = |which| {
            let mut told = Vec::new();
            outline_each(state.read(), which, |outline| {
                let row = find(state.read(), &outline.id)?.unwrap();
                assert_eq!(
                    (
                        outline.phase,
                        outline.image,
                        outline.created,
                        outline.started,
                        outline.finished
                    ),
                    (row.phase, row.image, row.created, row.started, row.finished)
                );
                assert_eq!(
                    (
                        outline.image_name,
                        outline.settings,
                        outline.exit_code,
                        outline.paused,
                        outline.health
                    ),
                    (
                        row.image_name,
                        row.settings.as_str(),
                        row.exit_code,
                        row.course.paused,
                        row.course.health
                    )
                );
                let pid = |owner: Option<Owner>| owner.map(|owner| owner.pid);
                assert_eq!(
                    (outline.pid, outline.monitor_pid),
                    (pid(row.process), pid(row.monitor))
                );
                told.push(outline.name);
                Ok(())
            })
            .unwrap();
            told.sort();
            told
        };

        assert_eq!(told(Which::All), ["later", "still", "web"]);
        assert_eq!(told(Which::Running), ["later", "web"]);
    }

    #[test]
    fn only_what_is_as_it_was_seen_is_taken_over() {
        let (_directory, mut state) = state();
        let own = Owner::current().unwrap();
        let seen = container("web", Some(Owner { pid: 1, start_time: 0 }));
        state.write(|write| insert(write, &seen)).unwrap();
        let mut take = |seen: &Container| state.write(|write| take_over(write, seen, own)).unwrap();

        assert!(!take(&Container { phase: Phase::Starting, ..seen.clone() }));
        assert!(!take(&Container { owner: None, ..seen.clone() }));
        assert!(take(&seen));
        assert!(!take(&seen));
        assert_eq!(find(state.read(), &seen.id).unwrap().unwrap().owner, Some(own));
    }

    #[test]
    fn a_name_in_use_says_by_whom() {
        let (_directory, mut state) = state();
        let first = container("web", None);
        state.write(|write| insert(write, &first)).unwrap();

        let error = state.write(|write| insert(write, &container("web", None))).unwrap_err();

        assert_eq!(error.kind(), Kind::AlreadyExists);
        assert!(error.to_string().contains(first.id.short()), "{error}");
    }

    #[test]
    fn containers_are_found_by_name_and_by_an_unambiguous_start_of_the_id() {
        let (_directory, mut state) = state();
        let web = container("web", None);
        state.write(|write| insert(write, &web)).unwrap();

        assert_eq!(look_up(state.read(), "web").unwrap().id, web.id);
        assert_eq!(look_up(state.read(), web.id.short()).unwrap().id, web.id);
        for text in ["nothing", "", "../web", &"f".repeat(65)] {
            assert_eq!(look_up(state.read(), text).unwrap_err().kind(), Kind::NotFound, "{text:?}");
        }
    }

    #[test]
    fn a_row_advances_only_from_the_phases_named() {
        let (_directory, mut state) = state();
        let web = container("web", None);
        state.write(|write| insert(write, &web)).unwrap();

        let wrong =
            state.write(|write| advance(write, &web.id, &[Phase::Exited], Phase::Removing, None));
        let right =
            state.write(|write| advance(write, &web.id, &[Phase::Creating], Phase::Created, None));

        assert_eq!((wrong.unwrap(), right.unwrap()), (false, true));
        assert_eq!(find(state.read(), &web.id).unwrap().unwrap().phase, Phase::Created);
    }

    #[test]
    fn an_exit_that_overtakes_the_start_is_kept() {
        let (_directory, mut state) = state();
        let web = container("web", None);
        let me = Owner::current().unwrap();
        let started = Started {
            at: Moment::now(),
            process: me,
            monitor: me,
            boot: "b",
            starter: Some(me.pid),
        };
        let ended = Ended { exit_code: 7, oom_killed: false, at: Moment::now() };
        state.write(|write| insert(write, &web)).unwrap();
        state
            .write(|write| advance(write, &web.id, &[Phase::Creating], Phase::Starting, Some(me)))
            .unwrap();

        state.write(|write| mark_exited(write, &web.id, &ended, None)).unwrap();
        state.write(|write| mark_started(write, &web.id, &started)).unwrap();

        let row = find(state.read(), &web.id).unwrap().unwrap();
        assert_eq!((row.phase, row.exit_code), (Phase::Exited, Some(7)));
    }

    #[test]
    fn a_pause_before_the_next_life_ends_with_the_users_word() {
        let (_directory, mut state) = state();
        let web = container("web", None);
        let me = Owner::current().unwrap();
        let started =
            Started { at: Moment::now(), process: me, monitor: me, boot: "b", starter: None };
        let ended = Ended { exit_code: 3, oom_killed: false, at: Moment::now() };
        let pause = Pause { milliseconds: 100, owner: me };
        state
            .write(|write| {
                insert(write, &web)?;
                mark_started(write, &web.id, &started)
            })
            .unwrap();

        let waits =
            state.write(|write| mark_restarting(write, &web.id, &ended, None, pause)).unwrap();
        let row = find(state.read(), &web.id).unwrap().unwrap();
        let waiting = state.write(|write| mark_stopped(write, &web.id)).unwrap();
        let after = find(state.read(), &web.id).unwrap().unwrap();

        assert!(waits);
        assert_eq!((row.phase, row.owner, row.course.restarts), (Phase::Restarting, Some(me), 1));
        assert_eq!((waiting, after.phase, after.exit_code), (Some(me), Phase::Exited, Some(3)));
        assert!(after.course.stopped);
    }

    #[test]
    fn who_was_stopped_does_not_restart() {
        let (_directory, mut state) = state();
        let web = container("web", None);
        let me = Owner::current().unwrap();
        let started =
            Started { at: Moment::now(), process: me, monitor: me, boot: "b", starter: None };
        let ended = Ended { exit_code: 3, oom_killed: false, at: Moment::now() };
        let pause = Pause { milliseconds: 100, owner: me };
        state
            .write(|write| {
                insert(write, &web)?;
                mark_started(write, &web.id, &started)?;
                mark_stopped(write, &web.id)
            })
            .unwrap();

        assert!(
            !state.write(|write| mark_restarting(write, &web.id, &ended, None, pause)).unwrap()
        );
    }
}
