//! How the row of a container goes on: each change names the places from which it is one.

use super::{Container, OwnerColumns, Phase, find};
use crate::{Owner, Sql, Write, endpoints, ports};
use dhow_base::{Result, clock::Moment, id::ContainerId};
use rusqlite::params;

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

pub(crate) const MARK_STARTED: &str = "UPDATE containers SET state = 'running', owner_pid = NULL, owner_start = NULL, started = ?2, \
     finished = NULL, exit_code = NULL, oom_killed = 0, paused = 0, pid = ?3, pid_start = ?4, monitor_pid = ?5, \
     monitor_start = ?6, boot = ?7 WHERE id = ?1 AND state IN ('creating', 'starting') \
     AND NOT waiting AND owner_pid IS ?8";

/// Writes that the program runs. A row that has meanwhile gone on to `exited`, or that somebody else
/// is at work on, stays as it is.
pub fn mark_started(write: &Write<'_>, id: &ContainerId, started: &Started<'_>) -> Result<()> {
    write
        .prepare_cached(MARK_STARTED)
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

/// Writes of a container that is being removed that its volumes without names go as well, as they do of
/// one that is removed at its end: who goes on after a kill finds it in the row.
pub fn remove_with_volumes(write: &Write<'_>, id: &ContainerId) -> Result<()> {
    let query = "UPDATE containers SET auto_remove = 1 WHERE id = ?1 AND state = 'removing'";
    set(write, query, id, [id.as_str()])
}

pub(crate) const DELETE: &str = "DELETE FROM containers WHERE id = ?1";

/// Forgets a container whose files are gone, with its connections.
pub fn delete(write: &Write<'_>, id: &ContainerId) -> Result<()> {
    endpoints::disconnect_all(write, id)?;
    ports::withdraw(write, id)?;
    write
        .prepare_cached(DELETE)
        .and_then(|mut statement| statement.execute([id.as_str()]))
        .sql(|| format!("delete container {}", id.short()))?;
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        State,
        containers::{
            has_unfinished, insert,
            tests::{container, state},
        },
    };

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
