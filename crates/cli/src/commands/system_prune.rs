//! `system prune`: everything that is not in use goes, but volumes that have names.

use super::prune::PruneFlags;
use crate::{invocation::Invocation, tree::Act};
use dhow_base::Result;
use dhow_engine::Scope;

/// Remove what is not in use: stopped containers, networks, images, interrupted pulls
///
/// Images without a name, or with `--all` all that no container is made of. Volumes stay: they hold
/// the only copy of what is in them. With `--volumes` those go that nobody has named and no container
/// uses.
#[derive(clap::Args, Debug)]
pub(crate) struct Prune {
    #[command(flatten)]
    flags: PruneFlags,

    /// Remove the volumes that nobody has named and no container uses
    #[arg(long)]
    volumes: bool,
}

impl Act for Prune {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let scope = if self.volumes { Scope::EverythingAndVolumes } else { Scope::Everything };
        self.flags.prune(scope, invocation)
    }
}
