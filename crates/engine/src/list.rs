//! Containers as lists show them.

use crate::{Engine, record::Record, restart::RestartPolicy};
use dhow_base::{Digest, Result, clock::Moment, id::ContainerId};
use dhow_state::containers::{self, Container, Course, Phase};

/// Which containers a list has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Which {
    /// Those that run, or will again after a pause.
    Running,
    /// All.
    All,
}

/// A container in a list.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The id.
    pub id: ContainerId,
    /// The name.
    pub name: String,
    /// The image's name as the user gave it.
    pub image_name: String,
    /// The digest of the image's manifest.
    pub image: Option<Digest>,
    /// Entrypoint and command.
    pub words: Vec<String>,
    /// Where in its life it is.
    pub phase: Phase,
    /// How it last ended.
    pub exit_code: Option<i32>,
    /// When it was created.
    pub created: Moment,
    /// When it last started.
    pub started: Option<Moment>,
    /// When it last ended.
    pub finished: Option<Moment>,
    /// Its first process, while it runs.
    pub pid: Option<i32>,
    /// Its labels.
    pub labels: Vec<(String, String)>,
    /// Its network.
    pub network: String,
    /// Its mounts, by target.
    pub mounts: Vec<String>,
    /// What has become of it beyond start and end.
    pub course: Course,
    /// Whether it is started again by itself.
    pub restart: RestartPolicy,
}

impl Summary {
    /// Where in its life it is, in docker's words.
    pub fn status(&self) -> &'static str {
        if self.phase == Phase::Running && self.course.paused {
            "paused"
        } else {
            self.phase.word()
        }
    }
}

impl Engine {
    /// Lists containers, the newest first.
    pub fn list(&mut self, which: Which) -> Result<Vec<Summary>> {
        let rows = match which {
            Which::All => containers::list(self.state.read())?,
            Which::Running => containers::list_alive(self.state.read())?,
        };
        let mut summaries = Vec::with_capacity(rows.len());
        for row in rows {
            let Some(row) = self.refreshed(row)? else { continue };
            if which == Which::All || matches!(row.phase, Phase::Running | Phase::Restarting) {
                summaries.push(summary(row)?);
            }
        }
        Ok(summaries)
    }
}

fn summary(row: Container) -> Result<Summary> {
    let record = Record::parse(&row.settings)?;
    Ok(Summary {
        words: record.words(),
        labels: record.labels.into_iter().collect(),
        network: record.network,
        mounts: record.mounts.into_iter().map(|mount| mount.target).collect(),
        pid: row.process.map(|process| process.pid),
        restart: record.life.restart,
        course: row.course,
        id: row.id,
        name: row.name,
        image_name: row.image_name,
        image: row.image,
        phase: row.phase,
        exit_code: row.exit_code,
        created: row.created,
        started: row.started,
        finished: row.finished,
    })
}
