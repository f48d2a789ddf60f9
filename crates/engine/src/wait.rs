//! Waiting for what becomes of a container.

use crate::{Engine, start::LOST_EXIT_CODE};
use dhow_base::{Doing, Error, Kind, Result};
use dhow_state::{
    Owner,
    containers::{self, Container, Phase},
};
use std::{sync::mpsc, thread, time::Duration};

/// How often a row is looked at where nothing tells of its change.
const PAUSE: Duration = Duration::from_millis(20);

/// How long a command that starts a container is waited for.
const STARTING_PATIENCE_TRIES: u32 = 1500;

/// How long a monitor may take to go after it has told the end, and how often it is looked at.
const ENDING_PATIENCE_TRIES: u32 = 10_000;
const ENDING_PAUSE: Duration = Duration::from_millis(1);

/// What is waited for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Condition {
    /// That it does not run.
    #[default]
    NotRunning,
    /// Its next end: one that does not run must first be started.
    NextExit,
    /// That it is gone.
    Removed,
    /// That it is in this state, in docker's and podman's words.
    State(State),
}

/// A state that can be waited for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// It was made and never started.
    Created,
    /// Its program runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// Its program ended.
    Exited,
    /// Its last health check succeeded.
    Healthy,
    /// It is taken for unhealthy.
    Unhealthy,
}

impl Engine {
    /// Waits until the container does not run, and says its exit code.
    pub fn wait(&mut self, container: &str) -> Result<i32> {
        let row = self.steady(container)?;
        self.wait_for_end(&row)
    }

    /// Waits for a condition and says the exit code that belongs to it; -1 where none does, as
    /// podman has it.
    pub fn wait_for(
        &mut self,
        container: &str,
        conditions: &[Condition],
        interval: Duration,
    ) -> Result<i32> {
        if let [] | [Condition::NotRunning] = conditions {
            return self.wait(container);
        }
        let begun = [self.look_up(container)?];
        self.first_to_meet(&begun, conditions, interval)
    }

    /// As [`Engine::wait_for`], until the first of several meets a condition.
    pub fn wait_for_first(
        &mut self,
        names: &[String],
        conditions: &[Condition],
        interval: Duration,
    ) -> Result<i32> {
        let begun = names.iter().map(|name| self.steady(name)).collect::<Result<Vec<_>>>()?;
        match conditions {
            [] | [Condition::NotRunning] => self.first_to_end(&begun),
            _ => self.first_to_meet(&begun, conditions, interval),
        }
    }

    /// Who has `--rm` leaves no row to look at, so their monitors are asked, all at once.
    fn first_to_end(&mut self, begun: &[Container]) -> Result<i32> {
        let lives = |row: &Container| matches!(row.phase, Phase::Running | Phase::Starting);
        if let Some(row) = begun.iter().find(|row| !lives(row)) {
            return self.wait_for_end(row);
        }
        let (tell, told) = mpsc::channel();
        for (number, row) in begun.iter().enumerate() {
            let (tell, run) = (tell.clone(), self.layout.run(&row.id));
            let exit_record = self.layout.exit_record(&row.id);
            thread::spawn(move || {
                let ended = dhow_monitor::wait_for_exit(&run, &exit_record);
                // Nobody listens any more where another one was first.
                let _late = tell.send((number, ended.ok()));
            });
        }
        drop(tell);
        let (number, ended) = told.recv().map_err(|_| {
            Error::new(Kind::Internal, "wait for the first: nobody tells of an end")
        })?;
        match ended {
            Some(record) => Ok(record.exit.code.into()),
            None => self.wait_for_end(&begun[number]),
        }
    }

    fn first_to_meet(
        &mut self,
        begun: &[Container],
        conditions: &[Condition],
        interval: Duration,
    ) -> Result<i32> {
        let mut last_exits: Vec<_> = begun.iter().map(|row| row.exit_code).collect();
        loop {
            for (begun, last_exit) in begun.iter().zip(&mut last_exits) {
                let now = containers::find(self.state.read(), &begun.id)?;
                let now = now.map(|row| self.refreshed(row)).transpose()?.flatten();
                // Gone is the end of every wait.
                let Some(row) = now else { return Ok(last_exit.unwrap_or(0)) };
                *last_exit = row.exit_code.or(*last_exit);
                if let Some(code) = code_of_met(conditions, &row, begun) {
                    return Ok(code);
                }
            }
            thread::sleep(interval.max(PAUSE));
        }
    }

    fn wait_for_end(&mut self, row: &Container) -> Result<i32> {
        match row.phase {
            Phase::Running | Phase::Starting => {
                let exit_record = self.layout.exit_record(&row.id);
                match dhow_monitor::wait_for_exit(&self.layout.run(&row.id), &exit_record) {
                    Ok(record) => {
                        self.await_row(row)?;
                        Ok(record.exit.code.into())
                    }
                    // With --rm the record may be gone before we look; the row is, too. A restart
                    // takes it away as well, and the row has the code.
                    Err(error) => match containers::find(self.state.read(), &row.id)? {
                        Some(row) if row.exit_code.is_some() => {
                            Ok(row.exit_code.unwrap_or(LOST_EXIT_CODE))
                        }
                        _ => Err(error).doing(|| format!("wait for container {}", row.name)),
                    },
                }
            }
            _ => Ok(row.exit_code.unwrap_or(0)),
        }
    }

    /// Waits until the row tells of the end that the monitor has told of: whoever waited for it goes on
    /// with a removal at once, to which a row that says `running` would be a reason to refuse.
    pub(crate) fn await_row(&mut self, seen: &Container) -> Result<()> {
        for _ in 0..ENDING_PATIENCE_TRIES {
            let Some(now) = containers::find(self.state.read(), &seen.id)? else { return Ok(()) };
            let Some(now) = self.refreshed(now)? else { return Ok(()) };
            let is_this_life = now.phase == Phase::Running && now.process == seen.process;
            if !is_this_life {
                return Ok(());
            }
            thread::sleep(ENDING_PAUSE);
        }
        Ok(())
    }

    /// The container that a word of the user's means, once nobody is in the middle of starting it:
    /// what a stop or a removal decides must not be overtaken by a start that is almost done.
    pub(crate) fn steady(&mut self, text: &str) -> Result<Container> {
        let mut row = self.look_up(text)?;
        let own = Owner::current()?;
        for _ in 0..STARTING_PATIENCE_TRIES {
            match row.owner {
                Some(owner) if matches!(row.phase, Phase::Starting | Phase::Creating) => {
                    if owner == own {
                        return Ok(row);
                    }
                    // One that died was at work a moment ago: what it has left is mended now.
                    if owner.is_alive()? {
                        thread::sleep(PAUSE);
                    }
                }
                _ => return Ok(row),
            }
            self.mend()?;
            row = self.look_up(row.id.as_str())?;
        }
        Err(Error::new(
            Kind::TimedOut,
            format!("wait for container {}: another command is still starting it", row.name),
        ))
    }
}

/// Where one of the conditions is met, the exit code that belongs to it; -1 where none does.
fn code_of_met(conditions: &[Condition], row: &Container, begun: &Container) -> Option<i32> {
    let met = conditions.iter().find(|condition| is_met(**condition, row, begun))?;
    Some(match met {
        Condition::State(state) if *state != State::Exited => -1,
        _ => row.exit_code.unwrap_or(0),
    })
}

fn is_met(condition: Condition, row: &Container, begun: &Container) -> bool {
    let runs = row.phase == Phase::Running;
    let has_ended = row.phase == Phase::Exited;
    match condition {
        Condition::NotRunning => !runs && row.phase != Phase::Starting,
        Condition::NextExit => {
            let ended_since = row.finished != begun.finished && row.exit_code.is_some();
            !runs && ended_since
        }
        Condition::Removed => false,
        Condition::State(State::Created) => row.phase == Phase::Created,
        Condition::State(State::Running) => runs && !row.course.paused,
        Condition::State(State::Paused) => runs && row.course.paused,
        Condition::State(State::Exited) => has_ended,
        Condition::State(State::Healthy) => runs && row.course.health.as_deref() == Some("healthy"),
        Condition::State(State::Unhealthy) => {
            runs && row.course.health.as_deref() == Some("unhealthy")
        }
    }
}
