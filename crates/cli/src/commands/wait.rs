//! `wait`: wait for the end of containers.

use super::several;
use crate::{invocation::Invocation, tree::Act};
use dhow_base::Result;

/// Wait until containers end and print their exit codes
#[derive(clap::Args, Debug)]
pub(crate) struct Wait {
    /// The containers, by name or id
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Act for Wait {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine()?;
        several::each(invocation.console, &self.containers, |container| {
            Ok(Some(engine.wait(container)?.to_string()))
        })
    }
}
