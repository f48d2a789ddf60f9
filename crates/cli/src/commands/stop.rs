//! `stop`: ask containers to end, and make them where they do not.

use super::several;
use crate::{invocation::Invocation, tree::Act};
use dhow_base::Result;
use dhow_engine::Which;

/// Stop containers
///
/// The program gets the container's stop signal, and is killed when it has not ended in time.
#[derive(clap::Args, Debug)]
pub(crate) struct Stop {
    /// The containers, by name or id
    #[arg(required_unless_present = "all", value_name = "CONTAINER")]
    containers: Vec<String>,

    /// Stop all containers that run
    #[arg(short, long, conflicts_with = "containers")]
    all: bool,

    /// Wait so many seconds before killing; the container's own stop timeout unless said
    #[arg(short, long, visible_alias = "time", value_name = "SECONDS")]
    timeout: Option<u32>,
}

impl Act for Stop {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine()?;
        let containers = several::chosen(&mut engine, self.containers, self.all, Which::Running)?;
        several::each(invocation.console, &containers, |container| {
            engine.stop(container, self.timeout)?;
            Ok(Some(container.to_owned()))
        })
    }
}
