//! Containers that become files while they run, and run on from there later.
//!
//! ```text
//!  running ─▶ checkpoint.new/ ─▶ checkpoint/ ─▶ exited ── restore ──▶ starting ─▶ running
//! ```
//!
//! What is being written has another name until it is whole. A checkpoint is the processes; the files are
//! in the container's root, where they stay. It goes with its container, and when it was restored.

mod passage;

pub use passage::{Changes, Passage};

use crate::{
    Engine, Watch,
    claim::Turn,
    events::{Subject, tell},
    record::Record,
    start::Extras,
};
use dhow_base::{Doing, Error, Kind, Result, file, id::ContainerId, tree};
use dhow_monitor::{Dump, Revival, Statistic, statistics};
use dhow_state::{
    Owner,
    containers::{self, Container, Phase},
};
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// CRIU's numbers are some dozens of bytes.
const STATISTICS_LIMIT_BYTES: u64 = 64 << 10;

/// What checkpoint and restore are told.
#[derive(Clone, Debug)]
pub struct RevivalOptions {
    /// CRIU, by name or path.
    pub criu: PathBuf,
    /// Open connections come along.
    pub tcp_established: bool,
    /// Open connections are closed when it is restored.
    pub tcp_close: bool,
    /// Locks of files come along.
    pub file_locks: bool,
    /// The logs of a checkpoint that went well, and the files of one that was restored, stay.
    pub keep: bool,
}

/// A container that was written down or made again.
#[derive(Clone, Debug)]
pub struct Revived {
    /// Its id.
    pub id: ContainerId,
    /// How long CRIU and what is around it have taken.
    pub took: Duration,
    /// What CRIU has counted; nothing where it says nothing.
    pub statistics: Vec<Statistic>,
}

/// What becomes of the processes of which there is a checkpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Afterwards {
    /// They end.
    End,
    /// They go on.
    GoOn,
}

impl Engine {
    /// Writes down the processes of a running container.
    pub fn checkpoint(
        &mut self,
        container: &str,
        options: &RevivalOptions,
        afterwards: Afterwards,
    ) -> Result<Revived> {
        let row = self.steady(container)?;
        let doing = || format!("checkpoint container {}", row.name);
        let record = Record::parse(&row.settings)?;
        let process = check_dumpable(&row, &record, afterwards).doing(doing)?;
        let fresh = self.layout.checkpoint_being_made(&row.id);
        tree::remove(&fresh).doing(doing)?;
        let dump = Dump {
            id: row.id.clone(),
            config: self.layout.config(&row.id),
            directory: self.layout.run(&row.id),
            init: (process.pid, process.start_time),
            rootfs: self.root_of(&row)?.for_reading(),
            driver: record.driver(),
            revival: self.revival(&row.id, fresh.clone(), options),
            leave_running: afterwards == Afterwards::GoOn,
        };
        if afterwards == Afterwards::End {
            // First: that it ends is the user's will, and its restart policy does not answer it.
            self.state.write(|write| containers::mark_stopped(write, &row.id))?;
        }
        let begun = Instant::now();
        if let Err(error) = dhow_monitor::checkpoint(&dump) {
            if afterwards == Afterwards::End {
                self.state.write(|write| containers::unmark_stopped(write, &row.id))?;
            }
            return Err(error).doing(doing);
        }
        let took = begun.elapsed();
        let statistics = counted(&dump.revival.work.join("stats-dump"));
        let place = self.layout.checkpoint(&row.id);
        tree::remove(&place).doing(doing)?;
        std::fs::rename(&fresh, &place).doing(doing)?;
        if options.keep {
            keep_logs(&dump.revival.work, &place).doing(doing)?;
        }
        if afterwards == Afterwards::End {
            self.settle(&row)?;
        }
        self.state.write(|write| tell(write, &Subject::of(&row, &record), "checkpoint", &[]))?;
        Ok(Revived { id: row.id, took, statistics })
    }

    /// Lets a container run on from its checkpoint.
    pub fn restore(&mut self, container: &str, options: &RevivalOptions) -> Result<Revived> {
        let row = self.steady(container)?;
        let doing = || format!("restore container {}", row.name);
        let images = self.layout.checkpoint(&row.id);
        if !images.is_dir() {
            return Err(Error::new(Kind::NotFound, "there is no checkpoint of it")
                .hint("`dhow container checkpoint` makes one of a running container"))
            .doing(doing);
        }
        let _lock = self.lock_root(&row.id)?;
        let turn = self.turn(&row.id)?;
        let owner = Some(Owner::current()?);
        let from = [Phase::Exited, Phase::Created];
        let is_ours = self.state.write(|write| {
            containers::begin_anew(write, &row.id)?;
            containers::advance(write, &row.id, &from, Phase::Starting, owner)
        })?;
        if !is_ours {
            return Err(Error::new(Kind::Conflict, format!("it is {}", row.status()))).doing(doing);
        }
        let revival = Some(self.revival(&row.id, images.clone(), options));
        let extras = Extras { revival, ..Extras::default() };
        let begun = Instant::now();
        let settled = self.settle_connections(&turn, &row);
        match settled.and_then(|()| self.launch_with(&row, Watch::Detached, extras)) {
            Ok(launched) => launched.client.detach()?,
            Err(error) => {
                self.settle_failed_restore(&turn, &row)?;
                return Err(error).doing(doing);
            }
        }
        let took = begun.elapsed();
        let statistics = counted(&self.criu_notes(&row.id).join("stats-restore"));
        if !options.keep {
            tree::remove(&images).doing(doing)?;
        }
        let record = Record::parse(&row.settings)?;
        self.state.write(|write| tell(write, &Subject::of(&row, &record), "restore", &[]))?;
        Ok(Revived { id: row.id, took, statistics })
    }

    /// The containers of which there is a checkpoint.
    pub fn checkpointed(&mut self) -> Result<Vec<ContainerId>> {
        let rows = containers::list(self.state.read())?;
        let rests = |row: &&Container| matches!(row.phase, Phase::Exited | Phase::Created);
        let ids = rows.iter().filter(rests).map(|row| row.id.clone());
        Ok(ids.filter(|id| self.layout.checkpoint(id).is_dir()).collect())
    }

    /// Where CRIU writes down what it does. It is asked to explain itself when it fails, so that must not
    /// go with the files; nor with the run directory, which whoever sees the processes end removes.
    fn criu_notes(&self, id: &ContainerId) -> PathBuf {
        self.layout.container(id).join("criu")
    }

    fn revival(&self, id: &ContainerId, images: PathBuf, options: &RevivalOptions) -> Revival {
        Revival {
            criu: options.criu.clone(),
            images,
            work: self.criu_notes(id),
            tcp_established: options.tcp_established,
            tcp_close: options.tcp_close,
            file_locks: options.file_locks,
        }
    }

    /// It is as it was: ended, with its checkpoint.
    fn settle_failed_restore(&mut self, turn: &Turn, row: &Container) -> Result<()> {
        let from = [Phase::Starting];
        self.state
            .write(|write| containers::advance(write, &row.id, &from, Phase::Exited, None))?;
        self.leave_objects(turn, row)
    }
}

/// The process that is to be written down, unless there is a reason against it.
fn check_dumpable(row: &Container, record: &Record, afterwards: Afterwards) -> Result<Owner> {
    let refused = |why: &str| Error::new(Kind::Conflict, why);
    if row.phase != Phase::Running || row.course.paused {
        return Err(refused(&format!("it is {}", row.status())));
    }
    if row.auto_remove && afterwards == Afterwards::End {
        let error = refused("it is removed at its end, and its checkpoint would be too");
        return Err(error.hint("with --leave-running it goes on"));
    }
    if let Some(runtime) = &record.life.runtime {
        let text = format!("{} has made it, and dhow's own runtime has not", runtime.display());
        return Err(Error::new(Kind::Unsupported, text));
    }
    row.process.ok_or_else(|| refused("it has just ended"))
}

/// What CRIU has left in a file of its own about its work. That it may not be there costs what it would tell.
fn counted(path: &Path) -> Vec<Statistic> {
    let bytes = file::read_limited(path, STATISTICS_LIMIT_BYTES).unwrap_or_default();
    statistics(&bytes).unwrap_or_default()
}

/// Puts CRIU's log beside the files.
fn keep_logs(work: &Path, place: &Path) -> Result<()> {
    for name in ["dump.log", "stats-dump"] {
        match std::fs::copy(work.join(name), place.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).doing(|| format!("keep {name}"));
            }
            _ => {}
        }
    }
    Ok(())
}
