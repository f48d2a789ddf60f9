//! `cleanup`: what a monitor becomes when its container has ended and nobody watched. Not for
//! people, and not in the help.

use crate::{exit::SUCCESS, invocation::Invocation, tree::Act};
use dhow_base::{Result, id::ContainerId};

/// Write down how a container ended
#[derive(clap::Args, Debug)]
pub(crate) struct Cleanup {
    /// The container's whole id
    id: String,
}

impl Act for Cleanup {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let id: ContainerId = self.id.parse()?;
        invocation.engine()?.cleanup(&id)?;
        Ok(SUCCESS)
    }
}
