//! `export`: the root of a container as a tar file.

use super::save::destination;
use crate::{exit::SUCCESS, invocation::Invocation, tree::Act};
use dhow_base::Result;

/// Write the root of a container as a tar file
///
/// What is mounted in it, volumes above all, is left out. `dhow import` makes an image of it; `dhow
/// commit` makes one that keeps the layers.
#[derive(clap::Args, Debug)]
pub(crate) struct Export {
    /// The container, by name or id
    #[arg(value_name = "CONTAINER")]
    container: String,

    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<String>,
}

impl Act for Export {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let to = destination(self.output.as_deref(), "export", invocation)?;
        invocation.engine()?.export(&self.container, to)?;
        Ok(SUCCESS)
    }
}
