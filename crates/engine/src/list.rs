//! Containers as lists show them.

use crate::{Engine, restart::RestartPolicy};
use dhow_base::{Digest, Error, Kind, Result, clock::Moment, id::ContainerId};
use dhow_state::{
    containers::{self, Container, Course, Phase},
    pods,
};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap, HashSet};

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
    /// The names of its volumes.
    pub volumes: Vec<String>,
    /// What has become of it beyond start and end.
    pub course: Course,
    /// Whether it is started again by itself.
    pub restart: RestartPolicy,
    /// The id and the name of the pod that it is in.
    pub pod: Option<(String, String)>,
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

    /// Docker's word for its health.
    pub fn health(&self) -> &str {
        self.course.health.as_deref().unwrap_or("none")
    }

    /// The id and the name of the pod that it is in; empty where it is in none.
    pub fn pod(&self) -> (&str, &str) {
        self.pod.as_ref().map_or(("", ""), |(id, name)| (id, name))
    }

    /// Whether it is in the pod that a word means.
    pub fn pod_is(&self, word: &str) -> bool {
        let (id, name) = self.pod();
        !id.is_empty() && (name == word || id.starts_with(word))
    }

    /// A container for tests of lists.
    #[doc(hidden)]
    pub fn example(id: ContainerId, name: &str, phase: Phase, at: Moment) -> Self {
        Self {
            id,
            name: name.to_owned(),
            image_name: "box:1".to_owned(),
            image: None,
            words: vec!["sh".into(), "-c".into(), "sleep 1000; echo".into()],
            phase,
            exit_code: (phase == Phase::Exited).then_some(3),
            created: at,
            started: Some(at),
            finished: Some(at),
            pid: None,
            labels: vec![("tier".into(), "web".into())],
            network: "none".to_owned(),
            mounts: Vec::new(),
            volumes: Vec::new(),
            course: Course::default(),
            restart: RestartPolicy::No,
            pod: None,
        }
    }
}

impl Engine {
    /// The id and the name of the container that a word means.
    pub fn name_of(&mut self, container: &str) -> Result<(ContainerId, String)> {
        let row = self.look_up(container)?;
        Ok((row.id, row.name))
    }

    /// Lists containers, the newest first.
    pub fn list(&mut self, which: Which) -> Result<Vec<Summary>> {
        self.state.read_by_mapping()?;
        let rows = match which {
            Which::All => containers::list(self.state.read())?,
            Which::Running => containers::list_alive(self.state.read())?,
        };
        let alive = self.alive(&rows);
        let mut summaries = Vec::with_capacity(rows.len());
        for row in rows {
            let row = match alive.contains(&row.id) {
                true => Some(row),
                false => self.refreshed(row)?,
            };
            let Some(row) = row else { continue };
            if which == Which::All || matches!(row.phase, Phase::Running | Phase::Restarting) {
                summaries.push(summary(row)?);
            }
        }
        self.name_pods(&mut summaries)?;
        Ok(summaries)
    }

    /// Records know their pods by the ids; the names are asked for once, where there are any.
    fn name_pods(&self, summaries: &mut [Summary]) -> Result<()> {
        let mut pods: Vec<_> = summaries.iter_mut().filter_map(|one| one.pod.as_mut()).collect();
        if pods.is_empty() {
            return Ok(());
        }
        let named = pods::list(self.state.read())?;
        for (id, name) in &mut pods {
            if let Some(pod) = named.iter().find(|pod| pod.id.as_str() == id.as_str()) {
                pod.name.as_str().clone_into(name);
            }
        }
        Ok(())
    }

    /// Those of many rows whose monitors surely live; of the others each is asked for.
    fn alive(&self, rows: &[Container]) -> HashSet<ContainerId> {
        let mut monitors: HashMap<i32, Vec<&ContainerId>> = HashMap::new();
        for row in rows.iter().filter(|row| row.phase == Phase::Running) {
            if let Some(monitor) = row.monitor {
                monitors.entry(monitor.pid).or_default().push(&row.id);
            }
        }
        if monitors.len() < MANY {
            return HashSet::new();
        }
        let Ok(living) = dhow_monitor::Living::look(self.layout.runroot()) else {
            return HashSet::new();
        };
        // A number that two rows have was given twice, and is of the newer one.
        let only = |(pid, ids): (i32, Vec<&ContainerId>)| match ids.as_slice() {
            [id] if living.holds_one(pid) => Some((*id).clone()),
            _ => None,
        };
        monitors.into_iter().filter_map(only).collect()
    }
}

/// From so many containers on, the list of all locks is shorter than each one's own.
const MANY: usize = 4;

/// What a list shows of a record: the rest is not taken apart.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Shown {
    entrypoint: Vec<String>,
    command: Vec<String>,
    labels: BTreeMap<String, String>,
    network: String,
    mounts: Vec<ShownMount>,
    life: ShownLife,
    pod: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ShownLife {
    restart: RestartPolicy,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ShownMount {
    name: String,
    target: String,
}

fn summary(row: Container) -> Result<Summary> {
    let shown: Shown = serde_json::from_str(&row.settings).map_err(|error| {
        Error::new(Kind::Corrupt, "parse a container's settings").because(error)
    })?;
    let (mut mounts, mut volumes) = (Vec::new(), Vec::new());
    for mount in shown.mounts {
        mounts.push(mount.target);
        if !mount.name.is_empty() {
            volumes.push(mount.name);
        }
    }
    let mut words = shown.entrypoint;
    words.extend(shown.command);
    Ok(Summary {
        words,
        labels: shown.labels.into_iter().collect(),
        network: shown.network,
        volumes,
        mounts,
        pid: row.process.map(|process| process.pid),
        restart: shown.life.restart,
        pod: shown.pod.map(|id| (id, String::new())),
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
