//! `network prune`: networks that nobody uses go.

use super::{super::prune::asked, filter};
use crate::{exit::SUCCESS, invocation::Invocation, manners::Manners, tree::Act};
use dhow_base::Result;

/// Remove the networks that no container is connected to
#[derive(clap::Args, Debug)]
pub(crate) struct Prune {
    /// Do not ask
    #[arg(short, long)]
    force: bool,

    /// Remove only networks for which this holds: label=, label!=, until=
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
}

impl Act for Prune {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let filters = filter::all(&self.filter)?;
        if !self.force && !asked("This removes all networks that no container is connected to.")? {
            return Ok(SUCCESS);
        }
        let pruned = invocation.engine()?.prune_networks(&filters)?;
        if !pruned.is_empty() && invocation.manners != Manners::Podman {
            invocation.console.line("Deleted Networks:")?;
        }
        for name in &pruned {
            invocation.console.line(name.as_str())?;
        }
        Ok(SUCCESS)
    }
}
