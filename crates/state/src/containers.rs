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

mod changes;
mod outline;

pub(crate) use changes::{DELETE, MARK_STARTED};
pub use changes::{
    Ended, Pause, Started, advance, begin_anew, delete, mark_exited, mark_health, mark_paused,
    mark_restarting, mark_started, mark_stopped, remove_with_volumes, set_settings, take_over,
    unmark_stopped,
};
pub use outline::{Outline, Which, outline_each};

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

/// All that a state may be, by which the index of states and images has those of an image as well.
const ALL_STATES: &str = "('creating', 'created', 'starting', 'running', 'exited', 'removing')";

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
    // To look for three words of a list SQLite would make a table of them, with a cache of its own.
    let query = "SELECT 1 FROM containers WHERE state = 'creating' \
         UNION ALL SELECT 1 FROM containers WHERE state = 'starting' \
         UNION ALL SELECT 1 FROM containers WHERE state = 'removing'";
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
    many(read, &of_image(), [manifest.as_str()])
}

fn of_image() -> String {
    format!(
        "SELECT {COLUMNS} FROM containers WHERE (state IN {ALL_STATES} AND image = ?1) \
         OR id IN (SELECT container FROM container_images WHERE manifest = ?1)"
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

    pub(super) fn container(name: &str, owner: Option<Owner>) -> Container {
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

    pub(super) fn state() -> (tempfile::TempDir, State) {
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
    fn an_image_s_containers_are_found_in_every_phase_by_the_index() {
        let (_directory, mut state) = state();
        let image = Digest::of(b"image");
        let phases = [
            Phase::Creating,
            Phase::Created,
            Phase::Starting,
            Phase::Running,
            Phase::Exited,
            Phase::Removing,
        ];
        for phase in phases {
            let row = Container { phase, ..container(phase.word(), None) };
            let other = Container { image: None, ..container(&format!("o{}", phase.word()), None) };
            state
                .write(|write| {
                    insert(write, &row)?;
                    insert(write, &other)
                })
                .unwrap();
        }

        let mut found = list_of_image(state.read(), &image).unwrap();
        let query = format!("EXPLAIN QUERY PLAN {}", of_image());
        let mut statement = state.read().prepare(&query).unwrap();
        let plan = statement
            .query_map([image.as_str()], |row| row.get::<_, String>(3))
            .unwrap()
            .collect::<rusqlite::Result<Vec<_>>>()
            .unwrap();

        found.dedup_by_key(|row| row.phase);
        assert_eq!(found.len(), phases.len());
        assert!(plan.iter().any(|step| step.contains("containers_by_place")), "{plan:?}");
        assert!(!plan.iter().any(|step| step.contains("SCAN containers")), "{plan:?}");
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
}
