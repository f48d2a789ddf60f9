//! The state database: one SQLite file that names everything dhow has made.
//!
//! # Why it is a crate
//!
//! Two organs write rows: `image` (images, layers, snapshots) and `engine` (containers, events). They
//! must share one file, one schema version and one lock, and neither may import the other's rows, so
//! the database stands below both. It knows no files, mounts or processes: it only says what exists.
//!
//! # How it is written
//!
//! ```text
//!   row says "preparing" ──▶ files, mounts, processes ──▶ row says "ready"
//!   row says "removing"  ──▶ files go                 ──▶ row goes
//! ```
//!
//! So after a `kill -9` at any point, whatever exists is named by a row, and a row in a state that
//! ends with "-ing" whose owner is dead is what the next command mends. SQLite in WAL mode makes
//! each transaction whole; `synchronous=NORMAL` means that a power cut may lose the newest
//! transactions, never the order or the file.
//!
//! # Many processes
//!
//! Hundreds of short commands write at once. SQLite's own busy handler polls, starves and gives up
//! ("database is locked"); so a write waits on a `flock` first, which the kernel queues, and
//! SQLite never sees two writers. Readers never wait.

pub mod artifacts;
pub mod blobs;
pub mod containers;
pub mod discards;
pub mod endpoints;
pub mod events;
pub mod images;
pub mod leases;
pub mod lists;
mod log_index;
pub mod mounts;
pub mod networks;
mod owner;
pub mod places;
pub mod pods;
pub mod ports;
pub mod secrets;
pub mod snapshots;
pub mod volumes;

use dhow_base::{
    Doing, Error, Kind, Result, file,
    lock::{Lock, Sharing},
};
use log_index::LogIndex;
pub use owner::Owner;
use rusqlite::{
    Connection, OpenFlags, Transaction, TransactionBehavior, config::DbConfig, hooks::Wal,
    wal::CheckpointMode,
};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
    time::Duration,
};

/// What [`State::write`] hands to its closure.
pub type Write<'a> = Transaction<'a>;
/// What [`State::read`] gives.
pub type Read = Connection;

/// The tables, in the order in which versions added them. Version `n` of the file has the first
/// `n` steps; a step is never changed once it has shipped.
const MIGRATIONS: &[&str] = &[
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
    include_str!("schema/5.sql"),
    include_str!("schema/6.sql"),
    include_str!("schema/7.sql"),
    include_str!("schema/8.sql"),
    include_str!("schema/9.sql"),
    include_str!("schema/10.sql"),
    include_str!("schema/11.sql"),
];

/// How long SQLite waits for what the lock does not keep others from: a recovery of the log.
const PATIENCE: Duration = Duration::from_secs(60);

/// When a change begins the log anew behind itself.
const LOG_LIMIT_PAGES: i32 = 256;
/// When it is worth it for who has nothing better to do: after two lives of a container or so.
const LOG_IDLE_LIMIT_PAGES: i32 = 128;
/// The file of a log that a reader has made grow goes back to so much; cut to what it usually is, it
/// would lose and take a page again each time.
const LOG_FILE_BYTES: i32 = 4 * LOG_LIMIT_PAGES * PAGE_BYTES;
/// A page in the log, with its heading.
const PAGE_BYTES: i32 = 4120;

/// An open state database. One connection a process.
#[derive(Debug)]
pub struct State {
    connection: Connection,
    lock_path: PathBuf,
    path: PathBuf,
    // How long the log was after the newest change of this connection's.
    log_pages: Arc<AtomicI32>,
}

impl State {
    /// Opens `<directory>/state.db`, making it and its directory where they are missing.
    pub fn open(directory: &Path) -> Result<Self> {
        let path = directory.join("state.db");
        Self::open_file(&path, directory)
            .doing(|| format!("open the state database {}", path.display()))
    }

    fn open_file(path: &Path, directory: &Path) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = match Connection::open_with_flags(path, flags) {
            Ok(connection) => connection,
            Err(_) => {
                // The usual cause is the first use of this directory.
                file::make_directories(directory, 0o700)?;
                Connection::open_with_flags(path, flags).sql(|| "open the file")?
            }
        };
        let lock_path = directory.join("state.lock");
        let log_pages = Arc::default();
        let mut state = Self { connection, lock_path, path: path.to_owned(), log_pages };
        let index = LogIndex::keep(path);
        state.configure()?;
        state.migrate()?;
        index.stamp();
        Ok(state)
    }

    /// Opens it to look into it alone, where it is there and of this binary's version.
    pub fn open_to_read(directory: &Path) -> Result<Self> {
        let path = directory.join("state.db");
        let doing = || format!("read the state database {}", path.display());
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags).sql(doing)?;
        let lock_path = directory.join("state.lock");
        let state = Self { connection, lock_path, path: path.clone(), log_pages: Arc::default() };
        if state.version()? != MIGRATIONS.len() {
            return Err(Error::new(Kind::Unsupported, "it has another version")).doing(doing);
        }
        Ok(state)
    }

    fn configure(&mut self) -> Result<()> {
        let connection = &mut self.connection;
        connection.busy_timeout(PATIENCE).sql(|| "set the busy timeout")?;
        // Closing the last connection would otherwise copy the log back and sync, in every command.
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            .sql(|| "keep the log at close")?;
        // A statement is taken apart once, and not again for the value of a limit that it is given.
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
            .sql(|| "keep plans whatever the values")?;
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true)
            .sql(|| "have references checked")?;
        // Which words a state may have is checked by types, and by `check`: to look a word up in a list
        // of more than two, SQLite makes a table for each row that is written.
        connection
            .execute_batch("PRAGMA synchronous=NORMAL; PRAGMA ignore_check_constraints=ON")
            .sql(|| "configure the connection")?;
        // Instead of SQLite's own, which copies the log back: it is kept short by `begin_log_anew`.
        let seen = Arc::clone(&self.log_pages);
        connection
            .wal_hook(Some(move |_: &mut Wal, pages| {
                seen.store(pages, Ordering::Relaxed);
                Ok(())
            }))
            .sql(|| "look at the length of the log")
    }

    fn version(&self) -> Result<usize> {
        let version: i64 = self
            .connection
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .sql(|| "read the schema version")?;
        usize::try_from(version)
            .map_err(|_| Error::new(Kind::Corrupt, format!("the schema version is {version}")))
    }

    /// Brings the tables up to this binary's version. Several processes may try at once.
    fn migrate(&mut self) -> Result<()> {
        if self.version()? == MIGRATIONS.len() {
            return Ok(());
        }
        let _lock = Lock::acquire(&self.lock_path, Sharing::Exclusive)?;
        let version = self.version()?;
        if version > MIGRATIONS.len() {
            return Err(Error::new(
                Kind::Unsupported,
                format!(
                    "the file has schema version {version}, this dhow knows {}",
                    MIGRATIONS.len()
                ),
            )
            .hint("use the newer dhow that wrote it, or another --root"));
        }
        if version == 0 {
            self.connection
                .execute_batch("PRAGMA journal_mode=WAL")
                .sql(|| "turn on the write-ahead log")?;
        }
        for (number, step) in MIGRATIONS.iter().enumerate().skip(version) {
            let transaction = self
                .connection
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .sql(|| "begin a migration")?;
            transaction
                .execute_batch(step)
                .sql(|| format!("make tables of version {}", number + 1))?;
            transaction
                .execute_batch(&format!("PRAGMA user_version={}", number + 1))
                .sql(|| "write the schema version")?;
            transaction.commit().sql(|| "commit a migration")?;
        }
        if version > 0 {
            // A change of all rows is a long log, and every command would read it once.
            self.connection
                .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
                .sql(|| "empty the write-ahead log")?;
        }
        Ok(())
    }

    /// The connection, for queries. A query sees one consistent moment and never waits for writers.
    pub fn read(&self) -> &Read {
        &self.connection
    }

    /// Several queries that see one moment, and that look for the newest one once.
    pub fn read_at_once<T>(&self, queries: impl FnOnce(&Read) -> Result<T>) -> Result<T> {
        let doing = || format!("read {}", self.path.display());
        // It is rolled back at its end, whichever way that comes: there is nothing to keep.
        let moment = self.connection.unchecked_transaction().sql(doing)?;
        queries(&moment)
    }

    /// Lets later queries see the file through a mapping: one that goes through all rows would
    /// otherwise read page by page, with a system call each.
    pub fn read_by_mapping(&self) -> Result<()> {
        const MOST_BYTES: i64 = 256 << 20;
        self.connection
            .pragma_update(None, "mmap_size", MOST_BYTES)
            .sql(|| "map the state database")
    }

    /// Runs `change` as one transaction: all of it is kept, or none when it returns an error.
    ///
    /// Nothing slow (files, processes, network) belongs inside: every other writer waits.
    pub fn write<T>(&mut self, change: impl FnOnce(&Write<'_>) -> Result<T>) -> Result<T> {
        let _lock = Lock::acquire(&self.lock_path, Sharing::Exclusive)?;
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .sql(|| format!("begin a change of {}", self.path.display()))?;
        let value = change(&transaction)?;
        transaction.commit().sql(|| format!("commit a change of {}", self.path.display()))?;
        if self.log_is_over(LOG_LIMIT_PAGES) {
            self.begin_log_anew();
        }
        Ok(value)
    }

    /// Begins a log anew that will soon have to be: for a command that waits for another process anyway,
    /// and that has just changed something. It takes three syncs, a millisecond on a quick disk.
    pub fn tidy_while_waiting(&self) {
        if !self.log_is_over(LOG_IDLE_LIMIT_PAGES) {
            return;
        }
        // Who writes now does so when it has to be: two at once would make one of them wait.
        if let Ok(Some(_lock)) = Lock::try_acquire(&self.lock_path, Sharing::Exclusive) {
            self.begin_log_anew();
        }
    }

    /// Compiles the statements of a start, and of an end after which a container goes, for a command that
    /// waits for its monitor: that takes longer than to execute them.
    pub fn prepare_while_waiting(&self) {
        let statements = [
            containers::MARK_STARTED,
            endpoints::DISCONNECT_ALL,
            ports::WITHDRAW,
            containers::DELETE,
            snapshots::LEAVE,
            events::RECORD,
        ];
        for statement in statements {
            // One that is wrong is told of when it is needed.
            let _compiled = self.connection.prepare_cached(statement);
        }
    }

    fn log_is_over(&self, limit_pages: i32) -> bool {
        self.log_pages.load(Ordering::Relaxed) > limit_pages
    }

    /// Copies a log that has grown back into the file, and begins it anew at its beginning: the first
    /// reader after a quiet time reads all of it. The caller has the lock.
    ///
    /// SQLite by itself copies, and leaves it to a later change of the same process to begin the log anew.
    /// A command that makes one change alone would never do that: the log would grow without an end, and
    /// be copied by every command. So that change is made here. The file of the log stays as long as it
    /// was, and is written over: to give its room back and to take it again costs as much as the syncs.
    fn begin_log_anew(&self) {
        // What was changed is kept, whatever happens here; and no reader is waited for, since the next
        // change tries again.
        let copied = self.connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE);
        if !copied.is_ok_and(|(pages, copied)| pages == copied) {
            return;
        }
        // A later build may have gone on with the tables while this process lived: its number stays.
        if !self.version().is_ok_and(|version| version == MIGRATIONS.len()) {
            return;
        }
        let change = format!(
            "PRAGMA journal_size_limit={LOG_FILE_BYTES}; PRAGMA user_version={}",
            MIGRATIONS.len()
        );
        let _tried = self.connection.execute_batch(&change);
    }

    /// SQLite's own proof that the file is sound, for `doctor`.
    pub fn check(&self) -> Result<()> {
        self.connection
            .execute_batch("PRAGMA ignore_check_constraints=OFF")
            .sql(|| "have the words of states checked")?;
        let verdict: String = self
            .connection
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .sql(|| "check the state database")?;
        if verdict == "ok" {
            Ok(())
        } else {
            Err(Error::new(Kind::Corrupt, format!("check {}: {verdict}", self.path.display())))
        }
    }
}

/// Says what we were doing when SQLite failed.
pub trait Sql<T> {
    /// As `Doing::doing`, with the kinds that SQLite's codes have.
    fn sql<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T> Sql<T> for rusqlite::Result<T> {
    fn sql<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        use rusqlite::ErrorCode;
        self.map_err(|error| {
            let kind = match error.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => Kind::Exhausted,
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Kind::Corrupt,
                Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
                    Kind::Denied
                }
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Kind::Unavailable,
                Some(ErrorCode::ConstraintViolation) => Kind::AlreadyExists,
                _ => Kind::Internal,
            };
            let is_full = kind == Kind::Exhausted;
            let error = Error::new(kind, what()).because(error);
            match is_full {
                true => {
                    error.hint("there is no room for the database; something else has to go first")
                }
                false => error,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_change_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = State::open(directory.path()).unwrap();

        let error = state
            .write(|write| {
                write
                    .execute("INSERT INTO events (at, type, action, object, detail) VALUES (1,'a','b','c','{}')", [])
                    .sql(|| "insert")?;
                Err::<(), _>(Error::new(Kind::Invalid, "no"))
            })
            .unwrap_err();

        let count: i64 =
            state.read().query_row("SELECT count(*) FROM events", [], |row| row.get(0)).unwrap();
        assert_eq!((error.kind(), count), (Kind::Invalid, 0));
    }

    #[test]
    fn a_newer_file_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let state = State::open(directory.path()).unwrap();
        state.read().pragma_update(None, "user_version", 99).unwrap();
        drop(state);

        let error = State::open(directory.path()).unwrap_err();

        assert_eq!(error.kind(), Kind::Unsupported);
        assert!(error.one_line().contains("99"), "{}", error.one_line());
    }

    #[test]
    fn an_image_of_an_older_file_gets_the_time_that_its_configuration_has() {
        let directory = tempfile::tempdir().unwrap();
        let old = Connection::open(directory.path().join("state.db")).unwrap();
        old.execute_batch("PRAGMA journal_mode=WAL").unwrap();
        old.execute_batch(&MIGRATIONS[..4].concat()).unwrap();
        old.pragma_update(None, "user_version", 4).unwrap();
        let insert = "INSERT INTO images (manifest, media_type, config, config_json, state, wanted, \
             size, pulled) VALUES (?1, 't', ?1, ?2, 'present', 'w', 1, 1)";
        let digest = |text: &str| dhow_base::Digest::of(text.as_bytes()).to_string();
        let created = r#"{"created":"2026-01-02T03:04:05Z"}"#;
        old.execute(insert, [digest("a"), created.to_owned()]).unwrap();
        old.execute(insert, [digest("b"), "{".to_owned()]).unwrap();
        drop(old);

        let state = State::open(directory.path()).unwrap();

        let mut created: Vec<Option<String>> = images::outlines(state.read())
            .unwrap()
            .into_iter()
            .map(|image| image.created)
            .collect();
        created.sort();
        assert_eq!(created, [None, Some("2026-01-02T03:04:05Z".to_owned())]);
        let log = std::fs::metadata(directory.path().join("state.db-wal")).unwrap();
        assert_eq!(log.len(), 0);
    }

    #[test]
    fn an_older_file_becomes_what_a_new_one_is() {
        let schema = |state: &State| -> Vec<(String, String)> {
            let query = "SELECT name, ifnull(sql, '') FROM sqlite_schema ORDER BY name";
            let mut statement = state.read().prepare(query).unwrap();
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            rows.collect::<rusqlite::Result<_>>().unwrap()
        };
        let (new, old) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = Connection::open(old.path().join("state.db")).unwrap();
        file.execute_batch("PRAGMA journal_mode=WAL").unwrap();
        file.execute_batch(&MIGRATIONS[..10].concat()).unwrap();
        let id = dhow_base::id::ContainerId::random().unwrap();
        let insert = "INSERT INTO containers (id, name, state, image_name, created, settings) \
             VALUES (?1, 'web', 'exited', 'i', 1, '{}')";
        file.execute(insert, [id.as_str()]).unwrap();
        let publish = "INSERT INTO ports VALUES (?1, 'tcp', '', 80, 80)";
        file.execute(publish, [id.as_str()]).unwrap();
        file.pragma_update(None, "user_version", 10).unwrap();
        drop(file);

        let mut state = State::open(old.path()).unwrap();

        assert_eq!(schema(&state), schema(&State::open(new.path()).unwrap()));
        assert_eq!(containers::list(state.read()).unwrap()[0].id, id);
        state.write(|write| containers::delete(write, &id)).unwrap();
        assert_eq!(ports::list(state.read()).unwrap(), []);
        state.check().unwrap();
    }

    #[test]
    fn a_file_that_is_no_database_is_corrupt() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("state.db"), vec![b'x'; 8192]).unwrap();

        assert_eq!(State::open(directory.path()).unwrap_err().kind(), Kind::Corrupt);
    }

    /// One change of some pages, as a command makes it.
    fn change_once(directory: &Path, number: i64) {
        let detail = "x".repeat(6000);
        let insert =
            "INSERT INTO events (at, type, action, object, detail) VALUES (?1,'a','b','c',?2)";
        let mut state = State::open(directory).unwrap();
        state.write(|write| write.execute(insert, (number, &detail)).sql(|| "insert")).unwrap();
    }

    #[test]
    fn the_log_stays_short_where_each_process_makes_one_change() {
        const LIMIT_BYTES: u64 = (LOG_LIMIT_PAGES * PAGE_BYTES).cast_unsigned() as u64;
        let directory = tempfile::tempdir().unwrap();
        let length = || std::fs::metadata(directory.path().join("state.db-wal")).unwrap().len();
        let mut longest = 0;

        for number in 0..300 {
            change_once(directory.path(), number);
            longest = longest.max(length());
        }

        // To make the tables was the longest change.
        assert!(longest < 2 * LIMIT_BYTES, "{longest} bytes");
        let state = State::open(directory.path()).unwrap();
        let count = |state: &State| -> i64 {
            state.read().query_row("SELECT count(*) FROM events", [], |row| row.get(0)).unwrap()
        };
        assert_eq!(count(&state), 300);
        // Who reads all the while keeps what it reads, and nobody waits for it.
        state.read().execute_batch("BEGIN").unwrap();
        assert_eq!(count(&state), 300);
        (300..800).for_each(|number| change_once(directory.path(), number));
        assert!(length() > 5 * LIMIT_BYTES);
        assert_eq!(count(&state), 300);
        state.read().execute_batch("COMMIT").unwrap();
        change_once(directory.path(), 800);
        assert!(length() <= 4 * LIMIT_BYTES, "{} bytes", length());
        assert_eq!(count(&state), 801);
        // The next reader finds next to nothing in it.
        drop(state);
        let state = State::open(directory.path()).unwrap();
        let copy = |state: &State| {
            state.connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE).unwrap()
        };
        assert_eq!((copy(&state), count(&state)), ((1, 1), 801));
        state.check().unwrap();
    }

    #[test]
    fn a_log_that_was_copied_and_not_begun_anew_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        (0..5).for_each(|number| change_once(directory.path(), number));
        // As a command that is killed between the two.
        let state = State::open(directory.path()).unwrap();
        let (pages, copied) =
            state.connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE).unwrap();
        assert!(pages > 5 && copied == pages, "{copied} of {pages}");
        drop(state);

        (5..100).for_each(|number| change_once(directory.path(), number));

        let state = State::open(directory.path()).unwrap();
        let count: i64 =
            state.read().query_row("SELECT count(*) FROM events", [], |row| row.get(0)).unwrap();
        assert_eq!(count, 100);
        state.check().unwrap();
    }

    #[test]
    fn many_writers_at_once_all_succeed() {
        let directory = tempfile::tempdir().unwrap();
        State::open(directory.path()).unwrap();
        std::thread::scope(|scope| {
            for number in 0..16 {
                let path = directory.path();
                scope.spawn(move || {
                    let mut state = State::open(path).unwrap();
                    for _ in 0..20 {
                        state
                            .write(|write| {
                                write
                                    .execute(
                                        "INSERT INTO events (at, type, action, object, detail) \
                                         VALUES (?1,'a','b','c','{}')",
                                        [number],
                                    )
                                    .sql(|| "insert")
                            })
                            .unwrap();
                    }
                });
            }
        });

        let state = State::open(directory.path()).unwrap();
        let count: i64 =
            state.read().query_row("SELECT count(*) FROM events", [], |row| row.get(0)).unwrap();
        assert_eq!(count, 320);
        state.check().unwrap();
    }
}
