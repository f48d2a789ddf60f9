//! `pod …`: containers that share namespaces, limits and a life.

pub(crate) mod clone;
pub(crate) mod create;
pub(crate) mod exists;
pub(crate) mod inspect;
pub(crate) mod life;
pub(crate) mod logs;
pub(crate) mod pause;
pub(crate) mod prune;
pub(crate) mod ps;
pub(crate) mod rm;
pub(crate) mod stats;
pub(crate) mod top;

use crate::{flags::refuse, invocation::Invocation};
use dhow_base::{Result, file};
use dhow_engine::Engine;

/// The pods that a command is about: those named, those whose ids are in files, all, or the newest.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct ChosenPods {
    /// The pods, by name or id
    #[arg(value_name = "POD")]
    pods: Vec<String>,

    /// All pods
    #[arg(short, long, conflicts_with_all = ["pods", "latest"])]
    all: bool,

    /// The newest pod
    #[arg(short, long, conflicts_with = "pods")]
    latest: bool,

    /// The pod whose id is in this file
    #[arg(long, value_name = "FILE")]
    pod_id_file: Vec<String>,
}

impl ChosenPods {
    pub(super) fn names(
        &self,
        engine: &mut Engine,
        invocation: &Invocation,
    ) -> Result<Vec<String>> {
        let mut names = self.pods.clone();
        for path in &self.pod_id_file {
            let bytes = file::read_limited(&invocation.surroundings().absolute(path), 4096)
                .map_err(|error| refuse("--pod-id-file", path, error.one_line()))?;
            names.push(String::from_utf8_lossy(&bytes).trim().to_owned());
        }
        if self.all || self.latest {
            let pods = engine.pods()?.into_iter().map(|pod| pod.id.to_string());
            names.extend(pods.take(if self.latest { 1 } else { usize::MAX }));
        }
        if names.is_empty() && !self.all {
            return Err(refuse("POD", "", "no pod is named")
                .hint("name one, or --all, --latest or --pod-id-file"));
        }
        Ok(names)
    }
}
