//! Which networks a filter means, and removing those that nobody uses.

use super::{Network, RemoveNetwork};
use crate::{Engine, filter};
use dhow_base::{Kind, Result, clock::Moment, id::Name};
use dhow_network::Driver;

/// What must hold of a network.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NetworkFilter {
    /// Its name has this in it.
    Name(String),
    /// Its id begins with this.
    Id(String),
    /// Its driver.
    Driver(String),
    /// It has the label, with this value where one is given.
    Label(String, Option<String>),
    /// It has not.
    NotLabel(String, Option<String>),
    /// No container is connected to it, or one is.
    Dangling(bool),
    /// `local` is the only scope.
    Scope(String),
    /// It is always there, or somebody has made it.
    Builtin(bool),
    /// It was made before.
    Until(Moment),
}

impl NetworkFilter {
    fn holds(&self, network: &Network) -> bool {
        let has =
            |key: &str, value: &Option<String>| filter::has(&network.labels, key, value.as_deref());
        match self {
            Self::Name(part) => network.name.contains(part.as_str()),
            Self::Id(start) => network.id.starts_with(start.as_str()),
            Self::Driver(driver) => network.driver == *driver,
            Self::Label(key, value) => has(key, value),
            Self::NotLabel(key, value) => !has(key, value),
            Self::Dangling(wanted) => network.connected.is_empty() == *wanted,
            Self::Scope(scope) => scope == "local",
            Self::Builtin(wanted) => network.is_builtin() == *wanted,
            Self::Until(moment) => network.created < *moment,
        }
    }
}

fn all_hold(filters: &[NetworkFilter], network: &Network) -> bool {
    let each = |filter: &NetworkFilter| {
        matches!(filter, NetworkFilter::Label(..) | NetworkFilter::NotLabel(..))
    };
    filter::all_hold(filters, each, |filter| filter.holds(network))
}

impl Engine {
    /// The networks for which all filters hold.
    pub fn networks_where(&mut self, filters: &[NetworkFilter]) -> Result<Vec<Network>> {
        let mut all = self.networks()?;
        all.retain(|network| all_hold(filters, network));
        Ok(all)
    }

    /// Removes the networks that no container is connected to; their names. The usual one is not among
    /// them, and has nothing on the host any more.
    pub fn prune_networks(&mut self, filters: &[NetworkFilter]) -> Result<Vec<Name>> {
        let mut pruned = Vec::new();
        for network in self.made_networks()? {
            let is_ours = network.made.driver != Driver::Cni;
            if !is_ours || !all_hold(filters, &network) || !network.connected.is_empty() {
                continue;
            }
            if network.is_builtin() {
                self.rest_usual_network()?;
                continue;
            }
            match self.remove_network(&network.name, RemoveNetwork::Gently) {
                Ok(name) => pruned.extend(name),
                // Used or removed by another command since it was listed; both are its right.
                Err(error) if matches!(error.kind(), Kind::Conflict | Kind::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(pruned)
    }
}
