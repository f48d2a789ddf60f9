//! `container prune`: the containers that do not run go.

use super::prune::PruneFlags;
use crate::{invocation::Invocation, tree::Act};
use dhow_base::Result;
use dhow_engine::Scope;

/// Remove containers that do not run
#[derive(clap::Args, Debug)]
pub(crate) struct Prune {
    /// Do not ask
    #[arg(short, long)]
    force: bool,

    /// Remove only what this holds for: until=, label= or label!=
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
}

impl Act for Prune {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        PruneFlags::of_containers(self.force, self.filter).prune(Scope::Containers, invocation)
    }
}
