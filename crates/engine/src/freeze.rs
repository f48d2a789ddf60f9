//! Pausing: the processes of a container are frozen where they are, and go on later.

use crate::{
    Engine,
    events::{Subject, tell},
    record::Record,
};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_state::containers::{self, Container, Phase};

impl Engine {
    /// Freezes the processes of a container that runs.
    pub fn pause(&mut self, container: &str) -> Result<()> {
        let row = self.steady(container)?;
        let doing = || format!("pause container {}", row.name);
        if row.phase != Phase::Running {
            return Err(refused(format!("it is {}", row.phase.word()))).doing(doing);
        }
        if row.course.paused {
            return Err(refused("it is paused".to_owned())).doing(doing);
        }
        // The row first: who is killed in between leaves a container that `unpause` knows of.
        self.state.write(|write| containers::mark_paused(write, &row.id, true))?;
        let frozen = dhow_monitor::freeze(&self.layout.config(&row.id), &row.id);
        if let Err(error) = frozen {
            self.state.write(|write| containers::mark_paused(write, &row.id, false))?;
            return Err(error).doing(doing);
        }
        self.tell_of(&row, "pause")
    }

    /// Lets the processes of a paused container go on.
    pub fn unpause(&mut self, container: &str) -> Result<()> {
        let row = self.steady(container)?;
        let doing = || format!("unpause container {}", row.name);
        if row.phase != Phase::Running || !row.course.paused {
            return Err(refused("it is not paused".to_owned())).doing(doing);
        }
        dhow_monitor::thaw(&self.layout.config(&row.id), &row.id).doing(doing)?;
        self.state.write(|write| containers::mark_paused(write, &row.id, false))?;
        self.tell_of(&row, "unpause")
    }

    fn tell_of(&mut self, row: &Container, action: &str) -> Result<()> {
        let record = Record::parse(&row.settings)?;
        self.state.write(|write| tell(write, &Subject::of(row, &record), action, &[]))
    }
}

fn refused(why: String) -> Error {
    Error::new(Kind::Conflict, why)
}
