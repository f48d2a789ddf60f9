//! `volume prune`: volumes that nobody uses go.

use super::{super::prune::asked, filter};
use crate::{exit::SUCCESS, invocation::Invocation, manners::Manners, tree::Act};
use dhow_base::{Result, size};
use dhow_engine::PruneVolumes;

/// Remove the volumes that no container uses and nobody has named
///
/// With `--all` those with names as well, and always under podman's name: they may hold the only copy
/// of what is in them.
#[derive(clap::Args, Debug)]
pub(crate) struct Prune {
    /// Remove volumes with names too
    #[arg(short, long)]
    all: bool,

    /// Do not ask
    #[arg(short, long)]
    force: bool,

    /// Remove only volumes for which this holds: label=, label!=, until=, name= …
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
}

impl Act for Prune {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        // Docker's older way to ask for all.
        let (all, filters): (Vec<&String>, Vec<&String>) =
            self.filter.iter().partition(|text| matches!(text.as_str(), "all=1" | "all=true"));
        let filters: Vec<String> = filters.into_iter().cloned().collect();
        let all = self.all || !all.is_empty() || invocation.manners == Manners::Podman;
        let options = PruneVolumes { all, filters: filter::all(&filters)? };
        let which = if options.all { "all volumes" } else { "all volumes without a name" };
        if !self.force
            && !asked(&format!("This removes {which} that no container uses, with all in them."))?
        {
            return Ok(SUCCESS);
        }
        let pruned = invocation.engine()?.prune_volumes(&options)?;
        for name in &pruned.names {
            invocation.console.line(&format!("Deleted: {name}"))?;
        }
        let space = size::humanly(pruned.bytes);
        invocation.console.line(&format!("Total reclaimed space: {space}"))?;
        Ok(SUCCESS)
    }
}
