//! Containers as long lists show them: what is not shown is not copied out of the row.

use super::{IS_ALIVE, Phase, phase_of};
use crate::{Read, Sql};
use dhow_base::{Digest, Result, clock::Moment, id::ContainerId};
use rusqlite::Row;

/// A container as long lists show it. What is not kept is not copied.
#[derive(Debug)]
pub struct Outline<'r> {
    /// The id.
    pub id: ContainerId,
    /// The name.
    pub name: String,
    /// Where in its life it is.
    pub phase: Phase,
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
    pub pid: Option<i32>,
    /// The monitor, while it runs.
    pub monitor_pid: Option<i32>,
    /// How the program last ended.
    pub exit_code: Option<i32>,
    /// Whether its processes are frozen.
    pub paused: bool,
    /// What its last health check found.
    pub health: Option<String>,
    /// The engine's settings, JSON.
    pub settings: &'r str,
}

/// Which containers a list has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Which {
    /// Those that run, or will again after a pause.
    Running,
    /// All.
    All,
}

/// Hands on the outlines of containers, in no order.
pub fn outline_each(
    read: &Read,
    which: Which,
    mut hand_on: impl FnMut(Outline<'_>) -> Result<()>,
) -> Result<()> {
    let condition = match which {
        Which::Running => IS_ALIVE,
        Which::All => "TRUE",
    };
    let query = format!(
        "SELECT id, name, state, waiting, image, image_name, created, started, finished, pid, monitor_pid, \
         exit_code, paused, health, settings FROM containers WHERE {condition}"
    );
    let mut statement = read.prepare(&query).sql(|| "list containers")?;
    let mut rows = statement.query([]).sql(|| "list containers")?;
    while let Some(row) = rows.next().sql(|| "list containers")? {
        hand_on(outline(row)?)?;
    }
    Ok(())
}

fn outline<'r>(row: &'r Row<'_>) -> Result<Outline<'r>> {
    let text = |column| {
        let value = row.get_ref(column).and_then(|value| Ok(value.as_str_or_null()?));
        value.sql(|| "read a container's row")
    };
    let number = |column| row.get::<_, Option<i32>>(column).sql(|| "read a container's row");
    let flag = |column| row.get::<_, bool>(column).sql(|| "read a container's row");
    let moment = |column| {
        let value = row.get::<_, Option<i64>>(column).sql(|| "read a container's row");
        value.map(|value| value.map(Moment::from_unix_nanoseconds))
    };
    let owned = |column| text(column).map(|text| text.unwrap_or_default().to_owned());
    Ok(Outline {
        id: text(0)?.unwrap_or_default().parse()?,
        name: owned(1)?,
        phase: phase_of(text(2)?.unwrap_or_default(), flag(3)?)?,
        image: text(4)?.map(str::parse).transpose()?,
        image_name: owned(5)?,
        created: moment(6)?.unwrap_or_else(|| Moment::from_unix_nanoseconds(0)),
        started: moment(7)?,
        finished: moment(8)?,
        pid: number(9)?,
        monitor_pid: number(10)?,
        exit_code: number(11)?,
        paused: flag(12)?,
        health: text(13)?.map(str::to_owned),
        settings: text(14)?.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Owner,
        containers::{
            Ended, Pause, Started, find, insert, mark_health, mark_paused, mark_restarting,
            mark_started,
            tests::{container, state},
        },
    };

    #[test]
    fn an_outline_says_what_the_row_says() {
        let (_directory, mut state) = state();
        let me = Owner::current().unwrap();
        let (running, waiting) = (container("web", Some(me)), container("later", Some(me)));
        let started = Started {
            at: Moment::now(),
            process: me,
            monitor: me,
            boot: "b",
            starter: Some(me.pid),
        };
        let ended = Ended { exit_code: 3, oom_killed: false, at: Moment::now() };
        let pause = Pause { milliseconds: 100, owner: me };
        state
            .write(|write| {
                insert(write, &running)?;
                insert(write, &waiting)?;
                insert(write, &container("still", Some(me)))?;
                mark_started(write, &running.id, &started)?;
                mark_health(write, &running.id, Some("healthy"))?;
                mark_paused(write, &running.id, true)?;
                mark_restarting(write, &waiting.id, &ended, None, pause)
            })
            .unwrap();
        let told = |which| {
            let mut told = Vec::new();
            outline_each(state.read(), which, |outline| {
                let row = find(state.read(), &outline.id)?.unwrap();
                assert_eq!(
                    (
                        outline.phase,
                        outline.image,
                        outline.created,
                        outline.started,
                        outline.finished
                    ),
                    (row.phase, row.image, row.created, row.started, row.finished)
                );
                assert_eq!(
                    (
                        outline.image_name,
                        outline.settings,
                        outline.exit_code,
                        outline.paused,
                        outline.health
                    ),
                    (
                        row.image_name,
                        row.settings.as_str(),
                        row.exit_code,
                        row.course.paused,
                        row.course.health
                    )
                );
                let pid = |owner: Option<Owner>| owner.map(|owner| owner.pid);
                assert_eq!(
                    (outline.pid, outline.monitor_pid),
                    (pid(row.process), pid(row.monitor))
                );
                told.push(outline.name);
                Ok(())
            })
            .unwrap();
            told.sort();
            told
        };

        assert_eq!(told(Which::All), ["later", "still", "web"]);
        assert_eq!(told(Which::Running), ["later", "web"]);
    }
}
