//! Whose turn it is with a container: to begin a life of it, to end one, or to remove it.
//!
//! Many commands may find at once that a monitor is gone: each that looks at the row, and the one that
//! the monitor becomes. One of them writes down how the container ended and takes away what that life
//! had; the others wait, and so does a start. What is taken away by name (the run directory, the
//! addresses, what a pod shares) is the next life's otherwise.
//!
//! A turn is a lock on the container's directory, so it ends with the process that has it, and nobody
//! overtakes one that only sleeps. The row's owner says more: who is to go on where that process died.
//!
//! Who has a container's turn may wait for the one of its pod's own container, and not the other way
//! round.

use crate::Engine;
use dhow_base::{Error, Kind, Result, id::ContainerId, lock::Lock};
use dhow_monitor::Started;
use dhow_state::{
    Owner,
    containers::{self, Container, Phase},
};
use std::{
    thread,
    time::{Duration, Instant},
};

/// How long another command is waited for, which may have been stopped.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a monitor is waited for whose process was killed.
const END_PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(1);

/// As long as it lives, nobody else begins or ends a life of the container.
#[derive(Debug)]
pub(crate) struct Turn {
    // None where the container has no directory: then it has nothing that could live.
    _lock: Option<Lock>,
}

impl Engine {
    /// Waits until it is our turn with a container.
    pub(crate) fn turn(&self, id: &ContainerId) -> Result<Turn> {
        match Lock::acquire_directory_within(&self.layout.container(id), PATIENCE) {
            Ok(Some(lock)) => Ok(Turn { _lock: Some(lock) }),
            Ok(None) => {
                let text = format!("wait for container {}: another command has it", id.short());
                Err(Error::new(Kind::TimedOut, text)
                    .hint("one that was stopped (SIGSTOP) goes on with SIGCONT"))
            }
            Err(error) if error.kind() == Kind::NotFound => Ok(Turn { _lock: None }),
            Err(error) => Err(error),
        }
    }

    /// Waits for our turn to end the life that `seen` tells of, and says what the row tells by then.
    /// Nothing where somebody has been as far.
    pub(crate) fn claim(&mut self, seen: &Container) -> Result<Option<(Turn, Container)>> {
        let turn = self.turn(&seen.id)?;
        let Some(now) = containers::find(self.state.read(), &seen.id)? else { return Ok(None) };
        let may_end = matches!(now.phase, Phase::Creating | Phase::Starting | Phase::Running);
        let is_same_life = seen.process.is_none() || now.process == seen.process;
        Ok((may_end && is_same_life).then_some((turn, now)))
    }

    /// Ends what a monitor keeps of which the row does not tell yet, and waits until the monitor is
    /// gone: not for ever, since one that was stopped never is.
    pub(crate) fn end_unwritten(&self, row: &Container) -> Result<()> {
        let run = self.layout.run(&row.id);
        let deadline = Instant::now() + END_PATIENCE;
        while dhow_monitor::is_alive(&run)? {
            if Instant::now() > deadline {
                let text =
                    format!("wait for the monitor of container {}: it does not end", row.name);
                return Err(Error::new(Kind::TimedOut, text)
                    .hint("a monitor that was stopped (SIGSTOP) goes on with SIGCONT"));
            }
            if let Some(Started { pid, start_time, .. }) = Started::read(&run)?
                && let Some(handle) = crate::end::open(Owner { pid, start_time })?
            {
                self.kill_and_wait(row, &handle)?;
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }
}
