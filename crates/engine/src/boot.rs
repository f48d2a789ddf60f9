//! After a boot: what ran before it runs again, where its policy says so.
//!
//! There is no daemon that a boot would start. One command does it (`dhow system boot`), from a unit
//! of the service manager or by hand; done twice, it finds nothing more to do. What ran is known by
//! the rows: one that says `running` of another boot has ended with that boot.

use crate::{Engine, Watch, record::Record, start::boot_id};
use dhow_base::{Error, Result};
use dhow_state::containers::{self, Phase};

/// A container that a boot has started, or that it could not start.
#[derive(Debug)]
pub struct Booted {
    /// Its name.
    pub name: String,
    /// Why it does not run.
    pub failure: Option<Error>,
}

impl Engine {
    /// Starts the containers that should run and have not been started in this boot; the oldest
    /// first. One that cannot be started does not keep the others.
    pub fn boot(&mut self) -> Result<Vec<Booted>> {
        while self.mend()? > 0 {}
        let boot = boot_id()?;
        let mut booted = Vec::new();
        let mut rows = containers::list(self.state.read())?;
        rows.reverse();
        for row in rows {
            let Some(row) = self.refreshed(row)? else { continue };
            let is_of_this_boot = row.boot.as_deref() == Some(boot.as_str());
            if row.phase != Phase::Exited || is_of_this_boot {
                continue;
            }
            let policy = Record::parse(&row.settings)?.life.restart;
            if !policy.wants_after_boot(row.course.stopped, row.exit_code) {
                continue;
            }
            let started = self
                .start(row.id.as_str(), Watch::Detached)
                .and_then(|running| running.client.detach());
            booted.push(Booted { name: row.name, failure: started.err() });
        }
        Ok(booted)
    }
}
