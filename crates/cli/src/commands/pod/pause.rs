//! `pod pause` and `pod unpause`: all containers of a pod stand still, and go on.

use super::{ChosenPods, life::for_each};
use crate::{invocation::Invocation, tree::Act};
use dhow_base::Result;
use dhow_engine::pods::Member;
use dhow_state::containers::Phase;

/// Freeze the processes of all containers of pods
#[derive(clap::Args, Debug)]
pub(crate) struct Pause {
    #[command(flatten)]
    chosen: ChosenPods,
}

/// Let the processes of all containers of paused pods go on
#[derive(clap::Args, Debug)]
pub(crate) struct Unpause {
    #[command(flatten)]
    chosen: ChosenPods,
}

impl Act for Pause {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let goes = |member: &Member| member.phase == Phase::Running && !member.paused;
        for_each(&self.chosen, invocation, |engine, pod| {
            engine.each_of_pod(pod, "pause", goes, |engine, id| engine.pause(id.as_str()))
        })
    }
}

impl Act for Unpause {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let stands = |member: &Member| member.phase == Phase::Running && member.paused;
        for_each(&self.chosen, invocation, |engine, pod| {
            engine.each_of_pod(pod, "unpause", stands, |engine, id| engine.unpause(id.as_str()))
        })
    }
}
