//! `pod prune`: pods of which nothing runs go.

use super::super::prune::asked;
use crate::{exit::SUCCESS, invocation::Invocation, tree::Act};
use dhow_base::{Kind, Result};
use dhow_engine::pods::Force;
use dhow_state::containers::Phase;

/// Remove the pods of which nothing runs, with their containers
#[derive(clap::Args, Debug)]
pub(crate) struct Prune {
    /// Do not ask
    #[arg(short, long)]
    force: bool,
}

impl Act for Prune {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        if !self.force && !asked("This removes all pods of which nothing runs.")? {
            return Ok(SUCCESS);
        }
        let mut engine = invocation.engine()?;
        for pod in engine.pods()? {
            let rests = |phase| matches!(phase, Phase::Created | Phase::Exited);
            if !pod.members.iter().all(|member| rests(member.phase)) {
                continue;
            }
            match engine.remove_pod(pod.id.as_str(), Force::No) {
                Ok(id) => invocation.console.line(id.as_str())?,
                // Started or removed by another command since; both are its right.
                Err(error) if matches!(error.kind(), Kind::Conflict | Kind::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(SUCCESS)
    }
}
