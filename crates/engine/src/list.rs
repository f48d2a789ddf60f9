//! Containers as lists show them.

use crate::{Engine, create, options::Exposed, record::Record, restart::RestartPolicy};
use dhow_base::{Digest, Error, Kind, Result, clock::Moment, id::ContainerId};
use dhow_state::{
    Read,
    containers::{self, Container, Outline, Phase},
    endpoints, pods,
    ports::{self, Port},
};
use serde::Deserialize;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet},
};

pub use dhow_state::containers::Which;

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
    /// Its networks, or what it has instead.
    pub networks: Vec<String>,
    /// The ports through which it is reached from the host.
    pub ports: Vec<Port>,
    /// Ports that image or user name.
    pub exposed: Vec<Exposed>,
    /// Its mounts, by target.
    pub mounts: Vec<String>,
    /// The names of its volumes.
    pub volumes: Vec<String>,
    /// Whether its processes are frozen.
    pub paused: bool,
    /// What its last health check found, in docker's words; nothing where none is made.
    pub health: Option<String>,
    /// Whether it is started again by itself.
    pub restart: RestartPolicy,
    /// The id and the name of the pod that it is in.
    pub pod: Option<(String, String)>,
}

impl Summary {
    /// Where in its life it is, in docker's words.
    pub fn status(&self) -> &'static str {
        if self.phase == Phase::Running && self.paused { "paused" } else { self.phase.word() }
    }

    /// Docker's word for its health.
    pub fn health(&self) -> &str {
        self.health.as_deref().unwrap_or("none")
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
            networks: vec!["none".to_owned()],
            ports: Vec::new(),
            exposed: Vec::new(),
            mounts: Vec::new(),
            volumes: Vec::new(),
            paused: false,
            health: None,
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

    /// When the container was created that a word means.
    pub fn created(&self, container: &str) -> Result<Moment> {
        Ok(create::look_up(&self.state, container)?.created)
    }

    /// Where the program of a container works, unless it is told otherwise.
    pub fn working_directory(&self, container: &str) -> Result<String> {
        Ok(Record::parse(&create::look_up(&self.state, container)?.settings)?.workdir)
    }

    /// Lists containers, the newest first.
    pub fn list(&mut self, which: Which) -> Result<Vec<Summary>> {
        let mut summaries = Vec::new();
        self.list_each(which, |summary| {
            summaries.push(summary);
            Ok(())
        })?;
        // Summaries are large: their keys are sorted, and each is moved once.
        summaries.sort_by_cached_key(|one| Reverse(one.created));
        Ok(summaries)
    }

    /// Hands on containers one by one, in no order: of a long list, most of the time would go into
    /// the memory to hold it.
    pub fn list_each(
        &mut self,
        which: Which,
        mut hand_on: impl FnMut(Summary) -> Result<()>,
    ) -> Result<()> {
        self.state.read_by_mapping()?;
        let mut running = Vec::new();
        self.state.read_at_once(|read| {
            let around = Around::read(read)?;
            containers::outline_each(read, which, |outline| {
                let monitor = outline.monitor_pid;
                let mut summary = summary(outline)?;
                around.complete(&mut summary);
                if summary.phase == Phase::Running {
                    running.push((summary, monitor));
                    return Ok(());
                }
                hand_on(summary)
            })
        })?;
        let alive = self.alive(&running);
        let mut ended = Vec::new();
        for (place, (summary, _monitor)) in running.into_iter().enumerate() {
            if alive.contains(&place) || dhow_monitor::is_alive(&self.layout.run(&summary.id))? {
                hand_on(summary)?;
            } else {
                ended.extend(self.ended(&summary.id)?);
            }
        }
        if ended.is_empty() {
            return Ok(());
        }
        let around = Around::read(self.state.read())?;
        let is_meant = |row: &&Container| {
            which == Which::All || matches!(row.phase, Phase::Running | Phase::Restarting)
        };
        for row in ended.iter().filter(is_meant) {
            let mut summary = summary_of_row(row)?;
            around.complete(&mut summary);
            hand_on(summary)?;
        }
        Ok(())
    }

    /// The row of a container that is said to run and does not, after what has become of it is written
    /// down; none where that is nothing.
    fn ended(&mut self, id: &ContainerId) -> Result<Option<Container>> {
        match containers::find(self.state.read(), id)? {
            Some(row) => self.refreshed(row),
            None => Ok(None),
        }
    }

    /// The places of those whose monitors surely live, where they are many; of the others each is
    /// asked for.
    fn alive(&self, running: &[(Summary, Option<i32>)]) -> HashSet<usize> {
        let mut monitors: HashMap<i32, Vec<usize>> = HashMap::new();
        for (place, (_, monitor)) in running.iter().enumerate() {
            if let Some(monitor) = monitor {
                monitors.entry(*monitor).or_default().push(place);
            }
        }
        if monitors.len() < MANY {
            return HashSet::new();
        }
        let Ok(living) = dhow_monitor::Living::look(self.layout.runroot()) else {
            return HashSet::new();
        };
        // A number that two rows have was given twice, and is of the newer one.
        let only = |(pid, places): (i32, Vec<usize>)| match places.as_slice() {
            [place] if living.holds_one(pid) => Some(*place),
            _ => None,
        };
        monitors.into_iter().filter_map(only).collect()
    }
}

/// What other tables say of containers, read once for all of them.
struct Around {
    /// The networks that each is connected to.
    networks: HashMap<ContainerId, Vec<String>>,
    /// What is published of each.
    published: HashMap<ContainerId, Vec<Port>>,
    /// The names of pods, by their ids.
    pods: HashMap<String, String>,
}

impl Around {
    fn read(read: &Read) -> Result<Self> {
        let mut around =
            Self { networks: HashMap::new(), published: HashMap::new(), pods: HashMap::new() };
        for (owner, name) in endpoints::names_of_networks(read)? {
            around.networks.entry(owner).or_default().push(name);
        }
        for (owner, port) in ports::list(read)? {
            around.published.entry(owner).or_default().push(port);
        }
        for pod in pods::list(read)? {
            around.pods.insert(pod.id.to_string(), pod.name.to_string());
        }
        Ok(around)
    }

    fn complete(&self, summary: &mut Summary) {
        if let Some((id, name)) = &mut summary.pod {
            // Records know their pods by the ids.
            if let Some(known) = self.pods.get(id) {
                name.clone_from(known);
            }
        }
        if self.networks.is_empty() && self.published.is_empty() {
            return;
        }
        // What a pod is connected to, all of its containers are.
        let pod = summary.pod.as_ref().and_then(|(id, _)| id.parse().ok());
        for owner in [Some(&summary.id), pod.as_ref()].into_iter().flatten() {
            if let Some(names) = self.networks.get(owner) {
                summary.networks.clone_from(names);
            }
            if let Some(ports) = self.published.get(owner) {
                summary.ports.clone_from(ports);
            }
        }
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
    ports: ShownPorts,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ShownPorts {
    expose: Vec<Exposed>,
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

fn summary(outline: Outline<'_>) -> Result<Summary> {
    let shown: Shown = serde_json::from_str(outline.settings).map_err(|error| {
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
        networks: vec![shown.network],
        ports: Vec::new(),
        exposed: shown.ports.expose,
        volumes,
        mounts,
        pid: outline.pid,
        restart: shown.life.restart,
        pod: shown.pod.map(|id| (id, String::new())),
        paused: outline.paused,
        health: outline.health,
        id: outline.id,
        name: outline.name,
        image_name: outline.image_name,
        image: outline.image,
        phase: outline.phase,
        exit_code: outline.exit_code,
        created: outline.created,
        started: outline.started,
        finished: outline.finished,
    })
}

/// The summary of a row that was read whole.
fn summary_of_row(row: &Container) -> Result<Summary> {
    summary(Outline {
        id: row.id.clone(),
        name: row.name.clone(),
        phase: row.phase,
        image: row.image.clone(),
        image_name: row.image_name.clone(),
        created: row.created,
        started: row.started,
        finished: row.finished,
        pid: row.process.map(|process| process.pid),
        monitor_pid: row.monitor.map(|monitor| monitor.pid),
        exit_code: row.exit_code,
        paused: row.course.paused,
        health: row.course.health.clone(),
        settings: &row.settings,
    })
}
