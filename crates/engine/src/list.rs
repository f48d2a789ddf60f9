//! Containers as lists show them.

use crate::{Engine, options::Exposed, restart::RestartPolicy};
use dhow_base::{Digest, Error, Kind, Result, clock::Moment, id::ContainerId};
use dhow_state::{
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

    /// Lists containers, the newest first.
    pub fn list(&mut self, which: Which) -> Result<Vec<Summary>> {
        self.state.read_by_mapping()?;
        let (mut summaries, mut running) = (Vec::new(), Vec::new());
        containers::outline_each(self.state.read(), which, |outline| {
            if outline.phase == Phase::Running {
                running.push((summaries.len(), outline.monitor_pid));
            }
            summaries.push(summary(outline)?);
            Ok(())
        })?;
        let gone = self.refresh_list(&mut summaries, &running)?;
        let mut summaries = without(summaries, &gone);
        if which == Which::Running {
            summaries.retain(|one| matches!(one.phase, Phase::Running | Phase::Restarting));
        }
        // Summaries are large: their keys are sorted, and each is moved once.
        summaries.sort_by_cached_key(|one| Reverse(one.created));
        self.name_pods(&mut summaries)?;
        self.name_networks(&mut summaries)?;
        Ok(summaries)
    }

    /// Which networks each is connected to and what is published of it, read once for all.
    fn name_networks(&self, summaries: &mut [Summary]) -> Result<()> {
        let mut networks: HashMap<ContainerId, Vec<String>> = HashMap::new();
        for (owner, name) in endpoints::names_of_networks(self.state.read())? {
            networks.entry(owner).or_default().push(name);
        }
        let mut published: HashMap<ContainerId, Vec<Port>> = HashMap::new();
        for (owner, port) in ports::list(self.state.read())? {
            published.entry(owner).or_default().push(port);
        }
        if networks.is_empty() && published.is_empty() {
            return Ok(());
        }
        for summary in summaries {
            // What a pod is connected to, all of its containers are.
            let pod = summary.pod.as_ref().and_then(|(id, _)| id.parse().ok());
            let owners = [Some(summary.id.clone()), pod];
            for owner in owners.iter().flatten() {
                if let Some(names) = networks.get(owner) {
                    summary.networks.clone_from(names);
                }
                if let Some(ports) = published.get(owner) {
                    summary.ports.clone_from(ports);
                }
            }
        }
        Ok(())
    }

    /// Asks of those that are said to run, by their places in the list, whether they do. What has
    /// become of the others is written down first. Returns the places of those that are no more.
    fn refresh_list(
        &mut self,
        summaries: &mut [Summary],
        running: &[(usize, Option<i32>)],
    ) -> Result<HashSet<usize>> {
        let alive = self.alive(running);
        let mut gone = HashSet::new();
        for (place, _monitor) in running.iter().filter(|(place, _)| !alive.contains(place)) {
            let Some(summary) = summaries.get_mut(*place) else { continue };
            if dhow_monitor::is_alive(&self.layout.run(&summary.id))? {
                continue;
            }
            let row = match containers::find(self.state.read(), &summary.id)? {
                Some(row) => self.refreshed(row)?,
                None => None,
            };
            match row {
                Some(row) => *summary = refreshed_summary(&row)?,
                None => {
                    gone.insert(*place);
                }
            }
        }
        Ok(gone)
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

    /// The places of those whose monitors surely live, where they are many; of the others each is
    /// asked for.
    fn alive(&self, running: &[(usize, Option<i32>)]) -> HashSet<usize> {
        let mut monitors: HashMap<i32, Vec<usize>> = HashMap::new();
        for (place, monitor) in running {
            if let Some(monitor) = monitor {
                monitors.entry(*monitor).or_default().push(*place);
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

fn without(summaries: Vec<Summary>, gone: &HashSet<usize>) -> Vec<Summary> {
    if gone.is_empty() {
        return summaries;
    }
    let places = summaries.into_iter().enumerate();
    places.filter(|(place, _)| !gone.contains(place)).map(|(_, summary)| summary).collect()
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
fn refreshed_summary(row: &Container) -> Result<Summary> {
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
