//! `kill`: send a signal to containers.

use super::{picked::Picked, several};
use crate::{flags::signal, invocation::Invocation, tree::Act};
use dhow_base::Result;
use dhow_engine::Which;

/// Send a signal to containers
///
/// The signal goes to the container's first process. After SIGKILL or the container's stop signal,
/// its restart policy does not start it again.
#[derive(clap::Args, Debug)]
pub(crate) struct Kill {
    #[command(flatten)]
    picked: Picked,

    /// The signal, by name or number
    #[arg(short, long, default_value = "KILL", value_name = "SIGNAL")]
    signal: String,
}

impl Act for Kill {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let number = signal::parse("--signal", &self.signal)?;
        let mut engine = invocation.engine()?;
        let containers = self.picked.names(&mut engine, Which::Running, invocation)?;
        several::each(invocation, &containers, |container| {
            engine.kill(container, number)?;
            Ok(Some(container.to_owned()))
        })
    }
}
