//! Making, changing and removing networks.

use super::{
    NetworkOptions, Settings, USUAL, is_usual, lock, look_up,
    making::{self, Around},
    subnets::{self, Taken},
    tell,
};
use crate::{Engine, RemoveOptions};
use dhow_base::{
    Doing, Error, Kind, Result,
    clock::Moment,
    id::{ContainerId, Name},
};
use dhow_network::{Driver, HostRoute, host_routes};
use dhow_state::{
    endpoints,
    networks::{self, Network as Row, Phase},
};
use std::{collections::BTreeSet, net::IpAddr};

/// What a removal puts up with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RemoveNetwork {
    /// It must be there, and nobody connected to it.
    Gently,
    /// It may be gone already, and containers that do not run are disconnected.
    Force,
    /// The same, and the containers that are connected go first, as podman has it.
    WithUsers,
}

/// A change of a network.
#[derive(Clone, Debug, Default)]
pub struct UpdateNetwork {
    /// Servers for names to ask from now on, behind those that there are.
    pub add_servers: Vec<IpAddr>,
    /// Servers not to be asked any more.
    pub drop_servers: Vec<IpAddr>,
}

/// Words that mean something else where networks are named.
pub(super) const OTHER_WORDS: [&str; 10] =
    ["bridge", "podman", "default", "host", "none", "container", "ns", "pod", "private", "pasta"];

impl Engine {
    /// Makes a network; its id and name.
    pub fn create_network(&mut self, options: &NetworkOptions) -> Result<(ContainerId, Name)> {
        let doing = |options: &NetworkOptions| match &options.name {
            Some(name) => format!("create network {name}"),
            None => "create a network".to_owned(),
        };
        self.make_network(options).doing(|| doing(options))
    }

    fn make_network(&mut self, options: &NetworkOptions) -> Result<(ContainerId, Name)> {
        let _lock = lock(&self.layout)?;
        self.mend_networks()?;
        let rows = networks::list(self.state.read())?;
        let name = match &options.name {
            Some(name) => name.clone(),
            None => first_free_name(&rows)?,
        };
        if OTHER_WORDS.contains(&name.as_str()) {
            let text = format!("{name} cannot be the name of a network: it means something else");
            return Err(Error::new(Kind::Invalid, text).hint("choose another name"));
        }
        // Said before anything that is wrong with the rest.
        if rows.iter().any(|row| row.name == name) {
            let text = format!("the name {name} is in use by a network");
            return Err(Error::new(Kind::AlreadyExists, text)
                .hint("remove that network, or choose another name"));
        }
        let id = ContainerId::random()?;
        let routes = host_routes()?;
        let settings = making::settings(options, &id, &self.around(&rows, &routes)?)?;
        if !self.is_of_root && settings.made.driver != Driver::Bridge {
            let text = "make a network on a device of the host's: that is for root";
            return Err(Error::new(Kind::Unsupported, text).hint("leave --driver out"));
        }
        self.insert_network(id.clone(), name.clone(), &settings)?;
        Ok((id, name))
    }

    /// Makes the usual network. For who holds the lock.
    pub(super) fn make_usual_network(&mut self) -> Result<ContainerId> {
        let id = ContainerId::random()?;
        let routes = host_routes()?;
        let rows = networks::list(self.state.read())?;
        let settings = making::usual(&id, &self.around(&rows, &routes)?)?;
        self.insert_network(id.clone(), USUAL.parse()?, &settings)?;
        Ok(id)
    }

    /// Nothing of it is on the host before somebody is connected, so its row is all there is to make.
    fn insert_network(&mut self, id: ContainerId, name: Name, settings: &Settings) -> Result<()> {
        let row = Row {
            id,
            name,
            phase: Phase::Present,
            created: Moment::now(),
            settings: settings.to_text()?,
        };
        let made = Settings::of(&row)?.made;
        self.state.write(|write| {
            networks::insert(write, &row)?;
            tell(write, &made, "create", None)
        })
    }

    fn around<'a>(&'a self, rows: &[Row], routes: &'a [HostRoute]) -> Result<Around<'a>> {
        let mut taken = Vec::new();
        let mut devices = std::collections::BTreeMap::new();
        for row in rows {
            let made = Settings::of(row)?.made;
            // Networks on devices of the host's have the host's networks' addresses.
            if made.driver != Driver::Bridge {
                continue;
            }
            taken.extend(made.subnets.iter().map(|range| Taken {
                subnet: range.subnet,
                by: format!("network {} ({})", row.name, range.subnet),
            }));
            devices.insert(made.device, row.name.to_string());
        }
        let own: BTreeSet<String> = devices.keys().cloned().collect();
        taken.extend(subnets::of_routes(routes, &own));
        Ok(Around { taken, devices, routes, defaults: &self.network_defaults })
    }

    /// Changes a network's settings; containers get them at their next start.
    pub fn update_network(&mut self, text: &str, update: &UpdateNetwork) -> Result<Name> {
        let _lock = lock(&self.layout)?;
        let row = look_up(self.state.read(), text)?;
        let mut settings = Settings::of(&row)?;
        if let Some(home) = &settings.plugins {
            return Err(home.is_not_ours_to_change(&row.name));
        }
        let servers = &mut settings.made.servers;
        for gone in &update.drop_servers {
            if !servers.contains(gone) {
                let text = format!("update network {}: it asks no server {gone}", row.name);
                return Err(Error::new(Kind::NotFound, text));
            }
            servers.retain(|server| server != gone);
        }
        for new in &update.add_servers {
            if !servers.contains(new) {
                servers.push(*new);
            }
        }
        let text = settings.to_text()?;
        self.state.write(|write| {
            networks::set_settings(write, &row.id, &text)?;
            tell(write, &settings.made, "update", None)
        })?;
        Ok(row.name)
    }

    /// Removes a network; its name. `None` says that there was none, where that is fine.
    pub fn remove_network(&mut self, text: &str, how: RemoveNetwork) -> Result<Option<Name>> {
        if is_usual(text) || matches!(text, "host" | "none") {
            let text = format!("remove network {text}: it is always there");
            return Err(Error::new(Kind::Denied, text));
        }
        let row = match networks::look_up(self.state.read(), text) {
            Err(error) if error.kind() == Kind::NotFound && how != RemoveNetwork::Gently => {
                return Ok(None);
            }
            row => row?,
        };
        if row.name.as_str() == USUAL {
            let text = format!("remove network {USUAL}: it is always there");
            return Err(Error::new(Kind::Denied, text));
        }
        if let Some(home) = Settings::of(&row)?.plugins {
            return Err(home.is_not_ours_to_remove(&row.name));
        }
        if how == RemoveNetwork::WithUsers {
            for endpoint in endpoints::of_network(self.state.read(), &row.id)? {
                if dhow_state::containers::find(self.state.read(), &endpoint.owner)?.is_some() {
                    let options = RemoveOptions { force: true, volumes: false };
                    self.remove(endpoint.owner.as_str(), options)?;
                }
            }
        }
        let _lock = lock(&self.layout)?;
        self.take_network_away(&row, how).doing(|| format!("remove network {}", row.name))?;
        Ok(Some(row.name))
    }

    /// Takes the usual network from the host, where nobody is connected to it: it is made again, as it
    /// was, when somebody is. One that was changed is kept.
    pub(super) fn rest_usual_network(&mut self) -> Result<()> {
        let _lock = lock(&self.layout)?;
        let Some(row) = networks::find_by_name(self.state.read(), USUAL)? else { return Ok(()) };
        let is_changed = !Settings::of(&row)?.made.servers.is_empty();
        if is_changed || row.phase != Phase::Present {
            return Ok(());
        }
        match self.take_network_away(&row, RemoveNetwork::Gently) {
            Err(error) if error.kind() == Kind::Conflict => Ok(()),
            result => result.doing(|| format!("take network {USUAL} from the host")),
        }
    }

    /// For who holds the lock.
    fn take_network_away(&mut self, row: &Row, how: RemoveNetwork) -> Result<()> {
        let users = self.connected_to(&row.id)?;
        let (alive, resting): (Vec<_>, Vec<_>) = users.iter().partition(|user| user.is_running);
        let blocking = if how == RemoveNetwork::Gently { users.iter().collect() } else { alive };
        if !blocking.is_empty() {
            let names: Vec<&str> = blocking.iter().map(|user| user.name.as_str()).collect();
            let error = Error::new(Kind::Conflict, format!("{} use it", names.join(", ")));
            return Err(match how {
                RemoveNetwork::Gently => error
                    .hint("disconnect or remove them; --force disconnects those that do not run"),
                _ => error.hint("stop them first"),
            });
        }
        let made = Settings::of(row)?.made;
        self.state.write(|write| {
            for user in &resting {
                endpoints::disconnect(write, &user.owner, &row.id)?;
                tell(write, &made, "disconnect", Some(user.owner.as_str()))?;
            }
            // Somebody may have been connected since they were listed.
            if endpoints::is_used(write, &row.id)? {
                return Err(Error::new(Kind::Conflict, "somebody has just been connected to it"));
            }
            networks::advance(write, &row.id, Phase::Removing)
        })?;
        self.erase_network(row)
    }

    /// Takes away what a network has on the host, then its row. For who holds the lock.
    fn erase_network(&mut self, row: &Row) -> Result<()> {
        let made = Settings::of(row)?.made;
        self.clear_host(&made)?;
        self.state.write(|write| {
            networks::delete(write, &row.id)?;
            tell(write, &made, "destroy", None)
        })
    }

    /// Finishes or undoes what killed commands have begun. For who holds the lock.
    pub(super) fn mend_networks(&mut self) -> Result<()> {
        for row in networks::list_unfinished(self.state.read())? {
            self.erase_network(&row).doing(|| format!("mend network {}", row.name))?;
        }
        Ok(())
    }
}

/// A name as podman would give one: a word and the first number that is free.
fn first_free_name(rows: &[Row]) -> Result<Name> {
    let names = (1_u32..).map(|number| format!("dhow{number}"));
    let mut free = names.filter(|name| rows.iter().all(|row| row.name.as_str() != name));
    free.next().expect("there are more numbers than networks").parse()
}
