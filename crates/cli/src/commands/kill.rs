//! `kill`: send a signal to containers.

use super::several;
use crate::{flags::signal, invocation::Invocation, tree::Act};
use dhow_base::Result;
use dhow_engine::Which;

/// Send a signal to containers
///
/// The signal goes to the container's first process.
#[derive(clap::Args, Debug)]
pub(crate) struct Kill {
    /// The containers, by name or id
    #[arg(required_unless_present = "all", value_name = "CONTAINER")]
    containers: Vec<String>,

    /// Signal all containers that run
    #[arg(short, long, conflicts_with = "containers")]
    all: bool,

    /// The signal, by name or number
    #[arg(short, long, default_value = "KILL", value_name = "SIGNAL")]
    signal: String,
}

impl Act for Kill {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let number = signal::parse("--signal", &self.signal)?;
        let mut engine = invocation.engine()?;
        let containers = several::chosen(&mut engine, self.containers, self.all, Which::Running)?;
        several::each(invocation.console, &containers, |container| {
            engine.kill(container, number)?;
            Ok(Some(container.to_owned()))
        })
    }
}
