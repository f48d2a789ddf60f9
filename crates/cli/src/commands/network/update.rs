//! `network update`: change a network.

use super::create::address;
use crate::{exit::SUCCESS, flags::refuse, invocation::Invocation, tree::Act};
use dhow_base::Result;
use dhow_engine::UpdateNetwork;
use std::net::IpAddr;

/// Change which servers a network asks for names
///
/// Containers that start from then on ask them.
#[derive(clap::Args, Debug)]
pub(crate) struct Update {
    /// The network, by name or id
    #[arg(value_name = "NETWORK")]
    network: String,

    /// Ask this server too
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    dns_add: Vec<String>,

    /// Do not ask this server any more
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    dns_drop: Vec<String>,
}

impl Act for Update {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let update = UpdateNetwork {
            add_servers: addresses("--dns-add", &self.dns_add)?,
            drop_servers: addresses("--dns-drop", &self.dns_drop)?,
        };
        let name = invocation.engine()?.update_network(&self.network, &update)?;
        invocation.console.line(name.as_str())?;
        Ok(SUCCESS)
    }
}

fn addresses(flag: &str, texts: &[String]) -> Result<Vec<IpAddr>> {
    let one = |text: &String| address(text).map_err(|error| refuse(flag, text, error.one_line()));
    texts.iter().map(one).collect()
}
