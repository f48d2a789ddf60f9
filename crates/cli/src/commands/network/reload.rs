//! `network reload`: the firewall's rules of containers are put back.

use super::super::several::{each, one};
use crate::{invocation::Invocation, tree::Act};
use dhow_base::Result;
use dhow_engine::Which;

/// Put the firewall's rules of containers back
///
/// They come back by themselves too, soon after somebody has flushed them.
#[derive(clap::Args, Debug)]
pub(crate) struct Reload {
    /// The containers
    #[arg(value_name = "CONTAINER", required_unless_present_any = ["all", "latest"])]
    containers: Vec<String>,

    /// All containers that run
    #[arg(short, long, conflicts_with_all = ["containers", "latest"])]
    all: bool,

    /// The newest container
    #[arg(short, long, conflicts_with = "containers")]
    latest: bool,
}

impl Act for Reload {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let mut engine = invocation.engine()?;
        let containers = if self.all {
            engine.list(Which::Running)?.into_iter().map(|row| row.id.to_string()).collect()
        } else if self.latest {
            vec![one(&mut engine, None)?]
        } else {
            self.containers
        };
        each(invocation, &containers, |container| {
            engine.reload_networks(container).map(|id| Some(id.to_string()))
        })
    }
}
