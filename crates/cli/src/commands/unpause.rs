//! `unpause`: let the processes of paused containers go on.

use super::{picked::Picked, ps, several};
use crate::{invocation::Invocation, tree::Act};
use dhow_base::Result;
use dhow_engine::Which;

/// Let the processes of paused containers go on
#[derive(clap::Args, Debug)]
pub(crate) struct Unpause {
    #[command(flatten)]
    picked: Picked,
}

impl Act for Unpause {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine()?;
        let containers = if self.picked.all {
            // The others of all have nothing to be unpaused from.
            let paused = ps::matching(&mut engine, Which::Running, &["status=paused".to_owned()])?;
            paused.into_iter().map(|container| container.id.to_string()).collect()
        } else {
            self.picked.names(&mut engine, Which::Running, invocation)?
        };
        several::each(invocation, &containers, |container| {
            engine.unpause(container)?;
            Ok(Some(container.to_owned()))
        })
    }
}
