//! Lists of plugins as networks: each gets a row when somebody looks for it.
//!
//! ```text
//!   /etc/cni/net.d/*.conflist ──somebody looks──▶ row ──list gone, nobody connected──▶ no row
//! ```
//!
//! The row has the network's id and where its list is; the list itself is read anew each time, so that
//! what its author changes counts at the next start. A list whose name is another network's, or a word
//! that means something else, is not seen. The files are their authors': nothing here writes one.

use super::{NetworkDefaults, Settings, change::OTHER_WORDS, lock, look_up};
use crate::{Engine, layout::Layout};
use dhow_base::{
    Digest, Error, Kind, Result,
    clock::Moment,
    id::{ContainerId, Name},
};
use dhow_network::{
    Driver, Network as Made, Range, Subnet,
    cni::{self, List, Lists},
};
use dhow_state::{
    endpoints,
    networks::{self, Network as Row, Phase},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// Where a network's list and its plugins are.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Home {
    /// The directory of lists.
    lists: PathBuf,
    /// The directories of plugins, the first one first.
    plugins: Vec<PathBuf>,
    /// How long one plugin may take, where the configuration was read by whoever saw the list.
    time_limit_s: Option<u64>,
}

impl Home {
    fn configured(defaults: &NetworkDefaults) -> Self {
        Self {
            lists: defaults.lists.clone(),
            plugins: defaults.plugins.clone(),
            time_limit_s: defaults.plugin_limit_s,
        }
    }

    /// The list of a network, as it is now.
    pub(super) fn list(&self, name: &Name) -> Result<List> {
        let found = Lists::load(&[&self.lists])?;
        if let Some(list) = found.find(name.as_str()) {
            return Ok(list.clone());
        }
        let text =
            format!("find the list of plugins of network {name} in {}", self.lists.display());
        let broken = found.broken.into_iter().next();
        let hint = match broken {
            Some((path, error)) => format!("{}: {}", path.display(), error.one_line()),
            None => "it has been removed; a file *.conflist with this name brings it back".into(),
        };
        Err(Error::new(Kind::NotFound, text).hint(hint))
    }

    /// Who calls the plugins.
    pub(super) fn driver(&self, layout: &Layout) -> cni::Driver {
        self.within_time(cni::Driver::new(self.plugins.clone(), &layout.plugins()))
    }

    /// What other engines remember, which keep it where the reference library does.
    pub(super) fn driver_of_others(&self) -> cni::Driver {
        self.within_time(cni::Driver::new(self.plugins.clone(), Path::new("/var/lib/cni")))
    }

    fn within_time(&self, driver: cni::Driver) -> cni::Driver {
        match self.time_limit_s {
            Some(limit_s) => driver.time_limit(Duration::from_secs(limit_s)),
            None => driver,
        }
    }

    pub(super) fn is_not_ours_to_remove(&self, name: &Name) -> Error {
        let text = format!("remove network {name}: a list of plugins makes it");
        Error::new(Kind::Denied, text).hint(self.file_of(name))
    }

    pub(super) fn is_not_ours_to_change(&self, name: &Name) -> Error {
        let text = format!("update network {name}: a list of plugins makes it");
        Error::new(Kind::Denied, text).hint(self.file_of(name))
    }

    fn file_of(&self, name: &Name) -> String {
        match self.list(name).ok().and_then(|list| list.file) {
            Some(file) => format!("its author's file is {}", file.display()),
            None => format!("its author's file is in {}", self.lists.display()),
        }
    }
}

impl Engine {
    /// Looks for lists where a word means one, or no network of which there is a row.
    pub(super) fn ensure_list_of(&mut self, network: &str) -> Result<()> {
        let is_settled = match look_up(self.state.read(), network) {
            Ok(row) => Settings::of(&row)?.plugins.is_none(),
            Err(_) => false,
        };
        if is_settled { Ok(()) } else { self.take_up_lists() }
    }

    /// Gives each list that has none a row, takes the rows of lists away that are gone, and writes
    /// down what the configuration says now: who disconnects a container reads none.
    pub(super) fn take_up_lists(&mut self) -> Result<()> {
        let found = Lists::load(&[&self.network_defaults.lists])?;
        let rows = networks::list(self.state.read())?;
        let has_row = |list: &&List| rows.iter().any(|row| row.name.as_str() == list.name);
        let is_word = |list: &&List| OTHER_WORDS.contains(&list.name.as_str());
        let fresh = found.lists.iter().filter(|list| !has_row(list) && !is_word(list));
        let fresh: Vec<Row> =
            fresh.filter_map(|list| self.row_of(list).transpose()).collect::<Result<_>>()?;
        let gone = rows.iter().map(|row| Ok((row, self.is_lost(row)?)));
        let gone: Vec<(&Row, bool)> = gone.collect::<Result<_>>()?;
        let changed = rows.iter().map(|row| self.as_configured(row, &found));
        let changed: Vec<Row> = changed.filter_map(Result::transpose).collect::<Result<_>>()?;
        let is_as_known = fresh.is_empty() && changed.is_empty();
        if is_as_known && gone.iter().all(|(_, is_lost)| !is_lost) {
            return Ok(());
        }
        let _lock = lock(&self.layout)?;
        self.state.write(|write| {
            for (row, _) in gone.iter().filter(|(_, is_lost)| *is_lost) {
                if !endpoints::is_used(write, &row.id)? {
                    networks::delete(write, &row.id)?;
                }
            }
            for row in &changed {
                networks::set_settings(write, &row.id, &row.settings)?;
            }
            for row in &fresh {
                // Another command may have been as far.
                if networks::find_by_name(write, row.name.as_str())?.is_none() {
                    networks::insert(write, row)?;
                }
            }
            Ok(())
        })
    }

    /// The row of a list; none where its name is none that a network can have.
    fn row_of(&self, list: &List) -> Result<Option<Row>> {
        let Ok(name) = list.name.parse::<Name>() else { return Ok(None) };
        let home = Home::configured(&self.network_defaults);
        let bridge = list.plugins.first().and_then(|plugin| plugin.bridge());
        let made = Made {
            driver: Driver::Cni,
            device: bridge.unwrap_or_default().to_owned(),
            ..Made::default()
        };
        let settings =
            Settings { made, plugins: Some(home), ipam: ipam_of(list), ..Settings::default() };
        Ok(Some(Row {
            // Podman's: the same one on each machine that has the list.
            id: Digest::of(list.name.as_bytes()).hex().parse::<ContainerId>()?,
            name,
            phase: Phase::Present,
            created: Moment::now(),
            settings: settings.to_text()?,
        }))
    }

    /// The row of a list as it is to be, where the configuration says something else now.
    fn as_configured(&self, row: &Row, found: &Lists) -> Result<Option<Row>> {
        let defaults = &self.network_defaults;
        // A list that is elsewhere now than the configuration says stays where it was seen.
        if defaults.plugin_limit_s.is_none() || found.find(row.name.as_str()).is_none() {
            return Ok(None);
        }
        let mut settings = Settings::of(row)?;
        match &mut settings.plugins {
            Some(home) if *home != Home::configured(defaults) => {
                *home = Home::configured(defaults);
                Ok(Some(Row { settings: settings.to_text()?, ..row.clone() }))
            }
            _ => Ok(None),
        }
    }

    /// Whether a row is of a list that is gone, with nobody connected by it and nothing left of it.
    fn is_lost(&self, row: &Row) -> Result<bool> {
        let Some(home) = Settings::of(row)?.plugins else { return Ok(false) };
        if Lists::load(&[&home.lists])?.find(row.name.as_str()).is_some()
            || endpoints::is_used(self.state.read(), &row.id)?
        {
            return Ok(false);
        }
        Ok(home.driver(&self.layout).connections(Some(row.name.as_str()))?.is_empty())
    }
}

/// Who gives a list's addresses.
fn ipam_of(list: &List) -> String {
    let mut ipams = list.plugins.iter().filter_map(|plugin| plugin.document.get("ipam"));
    let word = ipams.find_map(|ipam| ipam.get("type").and_then(Value::as_str));
    word.unwrap_or("none").to_owned()
}

/// The subnets of which the plugins of a list say that they give addresses, in the words of
/// `host-local`.
pub(super) fn subnets_of(list: &List) -> Vec<Range> {
    let ipams = list.plugins.iter().filter_map(|plugin| plugin.document.get("ipam"));
    let mut all = Vec::new();
    for ipam in ipams {
        let sets = ipam.get("ranges").and_then(Value::as_array).into_iter().flatten();
        let ranges = sets.filter_map(Value::as_array).flatten().chain([ipam]);
        all.extend(ranges.filter_map(range_of));
    }
    all
}

fn range_of(document: &Value) -> Option<Range> {
    let text = |key: &str| document.get(key).and_then(Value::as_str);
    let subnet: Subnet = text("subnet")?.parse().ok()?;
    let (first, last) = (text("rangeStart"), text("rangeEnd"));
    let leased = first.and_then(|it| it.parse().ok()).zip(last.and_then(|it| it.parse().ok()));
    let usual = || subnet.places().and_then(|(first, _)| subnet.nth(first));
    let gateway = text("gateway").and_then(|it| it.parse().ok()).or_else(usual);
    Some(Range { subnet, gateway, leased })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn list(ipam: &Value) -> List {
        let document = json!({
            "cniVersion": "1.0.0", "name": "net",
            "plugins": [{"type": "bridge", "ipam": ipam}, {"type": "portmap"}],
        });
        List::parse(document.to_string().as_bytes()).unwrap().0
    }

    #[test]
    fn subnets_are_read_in_the_old_words_and_the_new_ones() {
        let shown = |ipam: &Value| {
            let ranges = subnets_of(&list(ipam)).into_iter();
            let text = |range: Range| format!("{} {:?}", range.subnet, range.gateway.unwrap());
            ranges.map(text).collect::<Vec<_>>()
        };

        let old = json!({"type": "host-local", "subnet": "10.1.0.0/24", "gateway": "10.1.0.9"});
        assert_eq!(shown(&old), ["10.1.0.0/24 10.1.0.9"]);
        let new = json!({"ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd01::/64"}]]});
        assert_eq!(shown(&new), ["10.1.0.0/24 10.1.0.1", "fd01::/64 fd01::1"]);
        assert!(shown(&json!({"type": "dhcp"})).is_empty());
        assert_eq!(ipam_of(&list(&old)), "host-local");
    }
}
