//! `restart`: stop containers and start them.

use super::{picked::Picked, several, stop::Manner};
use crate::{invocation::Invocation, tree::Act};
use dhow_base::Result;
use dhow_engine::Which;

/// Stop containers and start them again
///
/// A container that does not run is started.
#[derive(clap::Args, Debug)]
pub(crate) struct Restart {
    #[command(flatten)]
    picked: Picked,

    #[command(flatten)]
    manner: Manner,

    /// Mean only containers that run
    #[arg(long)]
    running: bool,
}

impl Act for Restart {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let options = self.manner.options()?;
        let mut engine = invocation.engine()?;
        let which = if self.running { Which::Running } else { Which::All };
        let mut picked = self.picked;
        picked.all |= self.running;
        let containers = picked.names(&mut engine, which, invocation)?;
        several::each(invocation, &containers, |container| {
            engine.restart(container, &options)?;
            Ok(Some(container.to_owned()))
        })
    }
}
