//! Mending: what a killed command, a killed monitor or a reboot has left.
//!
//! Rows in `creating`, `starting` and `removing` have an owner. If that process is gone, nobody will
//! go on, so we do: a creation is undone, a start is taken over if its monitor lives and is put down
//! if not, a restart is made, a removal is finished. A `running` row is believed only as long as its monitor holds its
//! lock.
//!
//! Each command mends a few rows before its own work, so the price does not grow with the number of
//! commands at work.

use crate::{
    Engine, create,
    events::{Subject, tell_of_start},
    options::RemoveOptions,
    record::Record,
};
use dhow_base::{Result, clock::Moment};
use dhow_monitor::Started as MonitorStarted;
use dhow_state::{
    Owner,
    containers::{self, Container, Phase, Started},
};
use std::{thread, time::Duration};

/// How long a monitor whose starter has died may take to show itself.
const ADOPTION_TRIES: u32 = 20;
const ADOPTION_PAUSE: Duration = Duration::from_millis(10);

/// How many rows one command looks at.
const ROWS_A_COMMAND: usize = 8;

/// How long a start whose starter has died may go on before it is taken back. Hooks and servers of
/// addresses take their time.
const START_PATIENCE: Duration = Duration::from_secs(10);
const CANCEL_PATIENCE: Duration = Duration::from_secs(1);

/// What has become of a start whose starter has died.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Adoption {
    /// The container runs.
    Runs,
    /// Nobody is at it any more.
    Gone,
    /// The kernel does not let go of who is at it.
    Hangs,
}

impl Engine {
    /// Mends what dead owners left. Returns how many containers were mended.
    pub fn mend(&mut self) -> Result<usize> {
        let mut mended = 0;
        self.look_at_leavings()?;
        if !containers::has_unfinished(self.state.read())? {
            return Ok(mended);
        }
        for row in containers::list_unfinished(self.state.read(), ROWS_A_COMMAND)? {
            mended += usize::from(self.mend_row(&row)?);
        }
        Ok(mended)
    }

    fn mend_row(&mut self, row: &Container) -> Result<bool> {
        if let Some(owner) = row.owner
            && owner.is_alive()?
        {
            return Ok(false);
        }
        // Since the row was read, its owner may have come to the end of its work, and to its own.
        let own = Owner::current()?;
        if !self.state.write(|write| containers::take_over(write, row, own))? {
            return Ok(false);
        }
        let row = &Container { owner: Some(own), ..row.clone() };
        // Its monitor may live on: then the container is running and only nobody wrote it down. It
        // may also be about to begin, since it was told all when its starter was killed.
        if matches!(row.phase, Phase::Creating | Phase::Starting) {
            match self.adopt_soon(row)? {
                Adoption::Runs => return Ok(true),
                Adoption::Hangs => return Ok(false),
                Adoption::Gone => {}
            }
        }
        match row.phase {
            Phase::Creating => {
                self.remove_row(row, RemoveOptions { force: true, volumes: true })?;
            }
            Phase::Removing => {
                let volumes = row.auto_remove;
                self.remove_row(row, RemoveOptions { force: true, volumes })?;
            }
            Phase::Starting => self.put_down(row)?,
            // Who was to wait was killed, or the machine was stopped.
            Phase::Restarting if self.same_boot(row)? => self.start_again(row)?,
            Phase::Restarting => self.end_lost_pause(row)?,
            Phase::Created | Phase::Running | Phase::Exited => return Ok(false),
        }
        Ok(true)
    }

    fn adopt_soon(&mut self, row: &Container) -> Result<Adoption> {
        // Without a run directory no monitor was told anything.
        if !self.layout.run(&row.id).exists() {
            return Ok(Adoption::Gone);
        }
        for _ in 0..ADOPTION_TRIES {
            match self.adopt(row)? {
                Adoption::Gone => thread::sleep(ADOPTION_PAUSE),
                other => return Ok(other),
            }
        }
        Ok(Adoption::Gone)
    }

    /// Writes down that a container runs whose starter died.
    fn adopt(&mut self, row: &Container) -> Result<Adoption> {
        let run = self.layout.run(&row.id);
        let started = loop {
            if !dhow_monitor::is_alive(&run)? {
                return Ok(Adoption::Gone);
            }
            if let Some(started) = MonitorStarted::read(&run)? {
                break started;
            }
            // It is on the way, to its start or to its end, or hangs there: nobody waits for it any more.
            match dhow_monitor::keeper(&run)? {
                Some((monitor, since)) if since >= START_PATIENCE => {
                    if !dhow_monitor::cancel_start(monitor, CANCEL_PATIENCE)? {
                        (self.warn)(&format!(
                            "container {} hangs in the kernel while it starts; its starter is dead",
                            row.name
                        ));
                        return Ok(Adoption::Hangs);
                    }
                }
                _ => thread::sleep(ADOPTION_PAUSE),
            }
        };
        let boot = crate::start::boot_id()?;
        let record = Record::parse(&row.settings)?;
        self.state.write(|write| {
            tell_of_start(write, &Subject::of(row, &record))?;
            containers::mark_started(
                write,
                &row.id,
                &Started {
                    at: Moment::from_unix_nanoseconds(started.started_at),
                    process: Owner { pid: started.pid, start_time: started.start_time },
                    monitor: Owner { pid: started.monitor_pid, start_time: started.start_time },
                    boot: &boot,
                    starter: row.owner.map(|owner| owner.pid),
                },
            )
        })?;
        self.write_pid_file(&record, started.pid);
        Ok(Adoption::Runs)
    }

    /// Ends what is left of a container whose monitor is gone, and writes down that it ended.
    fn put_down(&mut self, seen: &Container) -> Result<()> {
        let Some((turn, row)) = self.claim(seen)? else { return Ok(()) };
        if let Some(process) = row.process
            && self.same_boot(&row)?
            && let Some(handle) = crate::end::open(process)?
        {
            self.kill_and_wait(&row, &handle)?;
        }
        if !self.bury_unless_kept(&row)? {
            return Ok(());
        }
        if row.auto_remove {
            self.remove_row(&row, RemoveOptions { force: true, volumes: true })?;
            self.remove_image_of(&row);
            Ok(())
        } else {
            self.write_exit(&turn, &row)
        }
    }

    /// A boot has ended the wait for the next life; who lives again is for `system boot` to say.
    fn end_lost_pause(&mut self, row: &Container) -> Result<()> {
        let turn = self.turn(&row.id)?;
        let from = [Phase::Restarting];
        self.state
            .write(|write| containers::advance(write, &row.id, &from, Phase::Exited, None))?;
        self.leave_objects(&turn, row)
    }

    /// Whether a row tells of this boot; one that tells of none has only just begun.
    pub(crate) fn same_boot(&self, row: &Container) -> Result<bool> {
        Ok(row.boot.is_none() || row.boot.as_deref() == Some(crate::start::boot_id()?.as_str()))
    }

    /// The row as it is now: one that says `running` is checked, and mended if it does not.
    pub(crate) fn refreshed(&mut self, row: Container) -> Result<Option<Container>> {
        if row.phase != Phase::Running || dhow_monitor::is_alive(&self.layout.run(&row.id))? {
            return Ok(Some(row));
        }
        self.put_down(&row)?;
        containers::find(self.state.read(), &row.id)
    }

    /// The container that a word of the user's means, as it is now.
    pub(crate) fn look_up(&mut self, text: &str) -> Result<Container> {
        let row = create::look_up(&self.state, text)?;
        let id = row.id.clone();
        match self.refreshed(row)? {
            Some(row) => Ok(row),
            // It was to be removed at its end, which came just now.
            None => create::look_up(&self.state, id.as_str()),
        }
    }
}
