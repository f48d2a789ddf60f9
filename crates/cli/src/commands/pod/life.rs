//! `pod start`, `stop`, `restart` and `kill`: the same done to all containers of a pod.

use super::{super::several::each, ChosenPods};
use crate::{flags::signal, invocation::Invocation, tree::Act};
use dhow_base::{Kind, Result, id::ContainerId};
use dhow_engine::{Engine, StopOptions, Watch, pods::Member};
use dhow_state::containers::Phase;

/// Start all containers of pods
#[derive(clap::Args, Debug)]
pub(crate) struct Start {
    #[command(flatten)]
    chosen: ChosenPods,
}

/// Stop all containers of pods
#[derive(clap::Args, Debug)]
pub(crate) struct Stop {
    #[command(flatten)]
    chosen: ChosenPods,

    /// Give each so many seconds before it is killed
    #[arg(short, long, value_name = "SECONDS")]
    time: Option<u32>,

    /// One that is not there is no error
    #[arg(short, long)]
    ignore: bool,
}

/// Stop and start all containers of pods
#[derive(clap::Args, Debug)]
pub(crate) struct Restart {
    #[command(flatten)]
    chosen: ChosenPods,

    /// Give each so many seconds before it is killed
    #[arg(short, long, value_name = "SECONDS")]
    time: Option<u32>,
}

/// Send a signal to all containers of pods
#[derive(clap::Args, Debug)]
pub(crate) struct Kill {
    #[command(flatten)]
    chosen: ChosenPods,

    /// The signal, by name or number
    #[arg(short, long, value_name = "SIGNAL", default_value = "KILL")]
    signal: String,
}

impl Act for Start {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        for_each(&self.chosen, invocation, |engine, pod| {
            engine.each_of_pod(pod, "start", rests, start)
        })
    }
}

impl Act for Stop {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let missing = if self.ignore { Missing::Ignored } else { Missing::Fails };
        for_each_found(&self.chosen, invocation, missing, |engine, pod| {
            engine.each_of_pod(pod, "stop", runs, |engine, id| {
                engine.stop(id.as_str(), &StopOptions::within(self.time))
            })
        })
    }
}

impl Act for Restart {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        for_each(&self.chosen, invocation, |engine, pod| {
            engine.each_of_pod(pod, "stop", runs, |engine, id| {
                engine.stop(id.as_str(), &StopOptions::within(self.time))
            })?;
            engine.each_of_pod(pod, "restart", rests, start)
        })
    }
}

impl Act for Kill {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let signal = signal::parse("--signal", &self.signal)?;
        for_each(&self.chosen, invocation, |engine, pod| {
            engine.each_of_pod(pod, "kill", runs, |engine, id| engine.kill(id.as_str(), signal))
        })
    }
}

fn start(engine: &mut Engine, id: &ContainerId) -> Result<()> {
    engine.start(id.as_str(), Watch::Detached)?.client.detach()
}

fn runs(member: &Member) -> bool {
    !rests(member)
}

fn rests(member: &Member) -> bool {
    matches!(member.phase, Phase::Created | Phase::Exited)
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Missing {
    Fails,
    Ignored,
}

/// Does something to each of the pods.
pub(super) fn for_each(
    chosen: &ChosenPods,
    invocation: &Invocation,
    one: impl FnMut(&mut Engine, &str) -> Result<ContainerId>,
) -> Result<u8> {
    for_each_found(chosen, invocation, Missing::Fails, one)
}

fn for_each_found(
    chosen: &ChosenPods,
    invocation: &Invocation,
    missing: Missing,
    mut one: impl FnMut(&mut Engine, &str) -> Result<ContainerId>,
) -> Result<u8> {
    let mut engine = invocation.engine()?;
    let names = chosen.names(&mut engine, invocation)?;
    each(invocation, &names, |pod| match one(&mut engine, pod) {
        Err(error) if error.kind() == Kind::NotFound && missing == Missing::Ignored => Ok(None),
        result => result.map(|id| Some(id.to_string())),
    })
}
