//! `volume reload`: podman's, for drivers that are plugins.

use crate::{exit::SUCCESS, invocation::Invocation, tree::Act};
use dhow_base::Result;

/// Do nothing: there are no volume plugins whose volumes could have changed
#[derive(clap::Args, Debug)]
pub(crate) struct Reload {}

impl Act for Reload {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        invocation.console.note("there are no volume plugins; nothing was to be reloaded");
        Ok(SUCCESS)
    }
}
