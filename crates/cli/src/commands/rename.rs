//! `rename`: give a container another name.

use crate::{exit::SUCCESS, flags::refuse, invocation::Invocation, tree::Act};
use dhow_base::{Result, id::Name};

/// Give a container another name
#[derive(clap::Args, Debug)]
pub(crate) struct Rename {
    /// The container, by name or id
    #[arg(value_name = "CONTAINER")]
    container: String,

    /// Its new name
    #[arg(value_name = "NEW_NAME")]
    name: String,
}

impl Act for Rename {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let name: Name = self
            .name
            .parse()
            .map_err(|error: dhow_base::Error| refuse("NEW_NAME", &self.name, error.one_line()))?;
        invocation.engine()?.rename(&self.container, &name)?;
        Ok(SUCCESS)
    }
}
