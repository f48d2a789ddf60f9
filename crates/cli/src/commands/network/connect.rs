//! `network connect`: connect a container to one more network.

use crate::{exit::SUCCESS, flags::network, invocation::Invocation, tree::Act};
use dhow_base::Result;
use dhow_engine::options::ConnectionOptions;

/// Connect a container to a network
#[derive(clap::Args, Debug)]
pub(crate) struct Connect {
    /// The network, by name or id
    #[arg(value_name = "NETWORK")]
    network: String,

    /// The container, by name or id
    #[arg(value_name = "CONTAINER")]
    container: String,

    /// Let neighbours find the container by this name too
    #[arg(long, value_name = "NAME")]
    alias: Vec<String>,

    /// Use this address of the network
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<String>,

    /// Use this address of version 6
    #[arg(long, value_name = "ADDRESS")]
    ip6: Option<String>,

    /// Use this hardware address
    #[arg(long, value_name = "ADDRESS")]
    mac_address: Option<String>,
}

impl Act for Connect {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        let names = self.alias.iter().map(|alias| network::host_name("--alias", alias));
        let text = |text: &Option<String>| text.clone();
        let options = ConnectionOptions {
            network: self.network.clone(),
            aliases: names.collect::<Result<_>>()?,
            ip: text(&self.ip).map(|text| network::ip("--ip", &text)).transpose()?,
            ip6: text(&self.ip6).map(|text| network::ip6("--ip6", &text)).transpose()?,
            mac: text(&self.mac_address)
                .map(|text| network::mac("--mac-address", &text))
                .transpose()?,
            interface: None,
        };
        super::engine(invocation)?.connect_network(&self.container, &options)?;
        Ok(SUCCESS)
    }
}
