//! `network rm`: remove networks.

use super::super::several::each_removed;
use crate::{invocation::Invocation, manners::Manners, tree::Act};
use dhow_base::Result;
use dhow_engine::RemoveNetwork;

/// Remove networks
///
/// One to which a container is connected is not removed, whether the container runs or not. With
/// `--force` those that do not run are disconnected; under podman's name the containers are removed.
#[derive(clap::Args, Debug)]
pub(crate) struct Rm {
    /// The networks
    #[arg(required = true, value_name = "NETWORK")]
    networks: Vec<String>,

    /// One that is not there is no error; disconnect containers that do not run
    #[arg(short, long)]
    force: bool,

    /// Not kept: no container is given time to end
    #[arg(short, long, value_name = "SECONDS", hide = true)]
    time: Option<i64>,
}

impl Act for Rm {
    fn act(self, invocation: &Invocation) -> Result<u8> {
        if self.time.is_some() {
            let warning = "--time: containers are not given time to end; this one is not kept";
            invocation.console.warning(warning);
        }
        let how = match (self.force, invocation.manners) {
            (false, _) => RemoveNetwork::Gently,
            (true, Manners::Podman) => RemoveNetwork::WithUsers,
            (true, _) => RemoveNetwork::Force,
        };
        let mut engine = invocation.engine()?;
        each_removed(invocation, &self.networks, |network| {
            let removed = engine.remove_network(network, how)?;
            Ok(Some(removed.map_or_else(|| network.to_owned(), |name| name.to_string())))
        })
    }
}
