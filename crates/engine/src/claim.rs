//! Whose turn it is with a container whose monitor is gone.
//!
//! Many commands may find that out at once: each that looks at the row, and the one that the monitor
//! becomes. One of them makes itself the owner of the row and writes down how the container ended;
//! the others wait until the row tells so. An owner that died is followed by the next. Without this
//! the slower one would take the next life's directory away, or wait for its end.

use crate::Engine;
use dhow_base::{Error, Kind, Result};
use dhow_monitor::Started;
use dhow_state::{
    Owner,
    containers::{self, Container, Phase},
};
use std::{
    thread,
    time::{Duration, Instant},
};

/// How long an owner that lives is waited for, who may have been stopped.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(1);

impl Engine {
    /// Makes this process the owner of a row that tells of the same life as `seen`, and may still end.
    /// Nothing where somebody has been as far.
    pub(crate) fn claim(&mut self, seen: &Container) -> Result<Option<Container>> {
        let own = Owner::current()?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let Some(now) = containers::find(self.state.read(), &seen.id)? else { return Ok(None) };
            let may_end = matches!(now.phase, Phase::Creating | Phase::Starting | Phase::Running);
            if !may_end || (seen.process.is_some() && now.process != seen.process) {
                return Ok(None);
            }
            match now.owner {
                Some(owner) if owner == own => return Ok(Some(now)),
                Some(owner) if owner.is_alive()? && Instant::now() < deadline => {
                    thread::sleep(PAUSE);
                }
                _ => {
                    if self.state.write(|write| containers::take_over(write, &now, own))? {
                        return Ok(Some(Container { owner: Some(own), ..now }));
                    }
                }
            }
        }
    }

    /// Ends what a monitor keeps of which the row does not tell yet, and waits until the monitor is
    /// gone: not for ever, since one that was stopped never is.
    pub(crate) fn end_unwritten(&self, row: &Container) -> Result<()> {
        let run = self.layout.run(&row.id);
        let deadline = Instant::now() + PATIENCE;
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
