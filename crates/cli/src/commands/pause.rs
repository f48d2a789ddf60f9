//! `pause`: freeze the processes of containers.

use super::{picked::Picked, several};
use crate::{invocation::Invocation, tree::Act};
use dhow_base::Result;
use dhow_engine::Which;

/// Freeze the processes of containers
///
/// `dhow unpause` lets them go on.
#[derive(clap::Args, Debug)]
pub(crate) struct Pause {
    #[command(flatten)]
    picked: Picked,
}

impl Act for Pause {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine()?;
        let containers = self.picked.names(&mut engine, Which::Running, invocation)?;
        several::each(invocation, &containers, |container| {
            engine.pause(container)?;
            Ok(Some(container.to_owned()))
        })
    }
}
