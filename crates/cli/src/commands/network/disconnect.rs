//! `network disconnect`: take a container's connection to a network away.

use crate::{exit::SUCCESS, invocation::Invocation, tree::Act};
use dhow_base::Result;

/// Disconnect a container from a network
#[derive(clap::Args, Debug)]
pub(crate) struct Disconnect {
    /// The network, by name or id
    #[arg(value_name = "NETWORK")]
    network: String,

    /// The container, by name or id
    #[arg(value_name = "CONTAINER")]
    container: String,

    /// Accepted for docker's and podman's sake: nothing holds a connection back
    #[arg(short, long)]
    force: bool,
}

impl Act for Disconnect {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        invocation.engine()?.disconnect_network(&self.container, &self.network)?;
        Ok(SUCCESS)
    }
}
