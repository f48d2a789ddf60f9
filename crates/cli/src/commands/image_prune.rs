//! `image prune`: the images that nobody needs go.

use super::prune::PruneFlags;
use crate::{invocation::Invocation, tree::Act};
use dhow_base::Result;
use dhow_engine::Scope;

/// Remove images that nobody needs
///
/// Those without a name, or with `--all` also those that no container is made of. What interrupted
/// pulls have fetched goes too.
#[derive(clap::Args, Debug)]
pub(crate) struct Prune {
    #[command(flatten)]
    flags: PruneFlags,
}

impl Act for Prune {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        self.flags.prune(Scope::Images, invocation)
    }
}
