//! Networks and connections, as lists and `inspect` show them.

use super::{
    Settings, USUAL, connect::EndpointSettings, is_usual, lists::subnets_of, look_up,
    plan::endpoint_id,
};
use crate::{Engine, doctor::entries, record::Record};
use dhow_base::{Digest, Result, clock::Moment, id::ContainerId};
use dhow_image::Finding;
use dhow_network::{Firewall, Network as Made, cni::List};
use dhow_state::{
    containers::{self, Phase},
    endpoints::{self, Endpoint},
    networks::{self, Network as Row},
    pods, ports,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// A network.
#[derive(Clone, Debug)]
pub struct Network {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Moment,
    /// Docker's word for what carries its packets.
    pub driver: String,
    /// What it is made of.
    pub made: Made,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its driver's options.
    pub options: BTreeMap<String, String>,
    /// Who gives the addresses: `default`, `dhcp` or `none`, or a plugin's name.
    pub ipam: String,
    /// Options of that one's.
    pub ipam_options: BTreeMap<String, String>,
    /// Addresses that no container gets, by what they are for.
    pub reserved: BTreeMap<String, IpAddr>,
    /// Whether `--attachable` was given.
    pub attachable: bool,
    /// Who is connected to it.
    pub connected: Vec<Connected>,
    /// The list of plugins that makes it, where they do.
    pub list: Option<List>,
}

/// A container, or a pod, that is connected to a network.
#[derive(Clone, Debug)]
pub struct Connected {
    /// Its id.
    pub owner: ContainerId,
    /// Its name.
    pub name: String,
    /// Whether it runs.
    pub is_running: bool,
    /// The name of its device.
    pub interface: String,
    /// Its hardware address.
    pub mac: String,
    /// Its address of version 4.
    pub ip4: Option<Ipv4Addr>,
    /// Its address of version 6.
    pub ip6: Option<Ipv6Addr>,
}

/// A connection of a container, with its network.
#[derive(Clone, Debug)]
pub struct Connection {
    /// What the network is made of.
    pub network: Made,
    /// The row.
    pub endpoint: Endpoint,
    /// Other names of the container's on it.
    pub aliases: Vec<String>,
    /// Whether its hardware address was asked for.
    pub fixed_mac: bool,
}

impl Connected {
    /// What docker calls the connection to this network.
    pub fn endpoint_id(&self, network: &Network) -> String {
        endpoint_id(&self.owner, &network.id)
    }
}

impl Connection {
    /// What docker calls it.
    pub fn endpoint_id(&self) -> String {
        endpoint_id(&self.endpoint.owner, &self.network.id)
    }
}

impl Network {
    /// Whether it is always there.
    pub fn is_builtin(&self) -> bool {
        matches!(self.name.as_str(), USUAL | "host" | "none")
    }

    /// One that is always there and that nobody is connected to by a device.
    fn builtin(name: &str, driver: &str) -> Self {
        let made = Made { name: name.to_owned(), ..Made::default() };
        Self {
            id: Digest::of(format!("the network {name}").as_bytes()).hex().to_owned(),
            name: name.to_owned(),
            created: Moment::from_unix_nanoseconds(0),
            driver: driver.to_owned(),
            made,
            labels: BTreeMap::new(),
            options: BTreeMap::new(),
            ipam: "default".to_owned(),
            ipam_options: BTreeMap::new(),
            reserved: BTreeMap::new(),
            attachable: false,
            connected: Vec::new(),
            list: None,
        }
    }
}

impl Engine {
    /// All networks by name, the usual one among them, and those that are none of ours: the host's,
    /// and having none.
    pub fn networks(&mut self) -> Result<Vec<Network>> {
        self.ensure_usual_network()?;
        self.take_up_lists()?;
        let mut all = self.made_networks()?;
        all.push(Network::builtin("host", "host"));
        all.push(Network::builtin("none", "null"));
        all.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(all)
    }

    /// Those that are there as rows, by name.
    pub(super) fn made_networks(&mut self) -> Result<Vec<Network>> {
        let rows = networks::list(self.state.read())?;
        let present = rows.into_iter().filter(|row| row.phase == networks::Phase::Present);
        present.map(|row| self.shown_network(&row)).collect()
    }

    /// The name of the network that a word means; nothing where there is none.
    pub fn name_of_network(&self, text: &str) -> Option<String> {
        let row = look_up(self.state.read(), text).ok()?;
        Some(row.name.to_string())
    }

    /// The network that a word of the user's means.
    pub fn network(&mut self, text: &str) -> Result<Network> {
        match text {
            "host" => return Ok(Network::builtin("host", "host")),
            "none" => return Ok(Network::builtin("none", "null")),
            text if is_usual(text) => {
                self.ensure_usual_network()?;
            }
            _ => {}
        }
        self.ensure_list_of(text)?;
        let row = look_up(self.state.read(), text)?;
        self.shown_network(&row)
    }

    fn shown_network(&mut self, row: &Row) -> Result<Network> {
        let mut settings = Settings::of(row)?;
        let list = settings.plugins.as_ref().and_then(|home| home.list(&row.name).ok());
        if let Some(list) = &list {
            settings.made.subnets = subnets_of(list);
        }
        let driver = match list.as_ref().and_then(|list| list.plugins.first()) {
            Some(plugin) => plugin.program.clone(),
            None => settings.made.driver.word().to_owned(),
        };
        Ok(Network {
            id: row.id.to_string(),
            name: row.name.to_string(),
            created: row.created,
            driver,
            made: settings.made,
            labels: settings.labels,
            options: settings.options,
            ipam: settings.ipam,
            ipam_options: settings.ipam_options,
            reserved: settings.reserved,
            attachable: settings.attachable,
            connected: self.connected_to(&row.id)?,
            list,
        })
    }

    /// Who is connected to a network.
    pub(super) fn connected_to(&mut self, network: &ContainerId) -> Result<Vec<Connected>> {
        let mut all = Vec::new();
        for endpoint in endpoints::of_network(self.state.read(), network)? {
            let (name, is_running) = self.owner_of(&endpoint)?;
            let Endpoint { owner, interface, mac, ip4, ip6, .. } = endpoint;
            all.push(Connected { owner, name, is_running, interface, mac, ip4, ip6 });
        }
        Ok(all)
    }

    /// The name of who has a connection, and whether it runs.
    fn owner_of(&mut self, endpoint: &Endpoint) -> Result<(String, bool)> {
        let runs = |phase| matches!(phase, Phase::Running | Phase::Starting | Phase::Restarting);
        if let Some(row) = containers::find(self.state.read(), &endpoint.owner)? {
            let name = row.name.clone();
            let row = self.refreshed(row)?;
            return Ok((name, row.is_some_and(|row| runs(row.phase))));
        }
        let Some(pod) = pods::find(self.state.read(), &endpoint.owner)? else {
            return Ok((endpoint.owner.short().to_owned(), false));
        };
        let mut is_running = false;
        for id in pods::members(self.state.read(), &pod.id)? {
            let member = containers::find(self.state.read(), &id)?;
            is_running |= member.is_some_and(|row| runs(row.phase));
        }
        Ok((pod.name.to_string(), is_running))
    }

    /// The connections of a container or a pod, in their order.
    pub fn connections(&self, owner: &ContainerId) -> Result<Vec<Connection>> {
        let read = self.state.read();
        let mut all = Vec::new();
        for endpoint in endpoints::of_owner(read, owner)? {
            let Some(row) = networks::find(read, &endpoint.network)? else { continue };
            let settings = EndpointSettings::of(&endpoint)?;
            let mut network = Settings::of(&row)?.made;
            if let Some(given) = &settings.given {
                given.lay_on(&mut network);
            }
            all.push(Connection {
                network,
                endpoint,
                aliases: settings.aliases,
                fixed_mac: settings.fixed_mac,
            });
        }
        Ok(all)
    }

    /// What is published of a container, or of the pod that it is in.
    pub fn published_ports(&self, owner: &ContainerId) -> Result<Vec<ports::Port>> {
        let read = self.state.read();
        let own = ports::of_owner(read, owner)?;
        match pods::of_container(read, owner)? {
            Some(pod) if own.is_empty() => ports::of_owner(read, &pod.id),
            _ => Ok(own),
        }
    }

    pub(crate) fn check_networks(&mut self, findings: &mut Vec<Finding>) -> Result<()> {
        {
            let _lock = super::lock(&self.layout)?;
            self.mend_networks()?;
        }
        self.settle_all_connections(findings)?;
        self.lower_ground(None)?;
        self.check_pastas(findings)?;
        let rows = networks::list(self.state.read())?;
        let known: BTreeSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        self.check_plugins(findings)?;
        for path in entries(&self.layout.networks())? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if !known.contains(&*name) {
                findings.push(Finding {
                    object: path.display().to_string(),
                    problem: "no network has this id".to_owned(),
                });
            }
        }
        self.check_connections(findings)?;
        self.check_devices(findings)?;
        self.check_firewall(findings)
    }

    /// A port leads to an address only that somebody has. Addresses of other states' networks are not
    /// this one's to judge.
    fn check_firewall(&mut self, findings: &mut Vec<Finding>) -> Result<()> {
        let mut strays = self.strays()?;
        if strays.is_empty() {
            return Ok(());
        }
        // Who has come or gone in between was seen half.
        let again = self.strays()?;
        strays.retain(|(address, _)| again.iter().any(|(other, _)| other == address));
        findings.extend(strays.into_iter().map(|(address, network)| Finding {
            object: format!("table inet dhow leads a port to {address}"),
            problem: format!("nobody has this address of network {network}"),
        }));
        Ok(())
    }

    /// Addresses of this state's networks to which ports lead and that nobody has, with the network.
    fn strays(&mut self) -> Result<Vec<(IpAddr, String)>> {
        let read = self.state.read();
        let rows = networks::list(read)?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        // Who may not look at the firewall has not changed it either.
        let targets = match Firewall::open().and_then(|firewall| firewall.targets()) {
            Ok(targets) if !targets.is_empty() => targets,
            _ => return Ok(Vec::new()),
        };
        let mut held = BTreeSet::new();
        for endpoint in endpoints::list(read)? {
            held.extend(endpoint.ip4.map(IpAddr::V4));
            held.extend(endpoint.ip6.map(IpAddr::V6));
        }
        let mut strays = Vec::new();
        for row in rows {
            let subnets = Settings::of(&row)?.made.subnets;
            let is_its = |target: &&IpAddr| {
                !held.contains(target)
                    && subnets.iter().any(|range| range.subnet.contains(**target))
            };
            let of_row = targets.iter().filter(is_its);
            strays.extend(of_row.map(|target| (*target, row.name.to_string())));
        }
        Ok(strays)
    }

    /// Frees what a container has that ended while nobody came to it, as after a kill; whether it does.
    fn leave_lost(&mut self, owner: &ContainerId) -> Result<bool> {
        let Some(row) = containers::find(self.state.read(), owner)? else { return Ok(false) };
        let record = Record::parse(&row.settings)?;
        self.leave_networks(owner, &record)?;
        Ok(true)
    }

    /// Whoever has an address or a port has to be there, and to live.
    fn check_connections(&mut self, findings: &mut Vec<Finding>) -> Result<()> {
        for endpoint in endpoints::list(self.state.read())? {
            let read = self.state.read();
            let is_there = containers::find(read, &endpoint.owner)?.is_some()
                || pods::find(read, &endpoint.owner)?.is_some();
            if !is_there {
                findings.push(Finding {
                    object: endpoint.owner.to_string(),
                    problem: "it is connected to a network, and neither a container nor a pod"
                        .to_owned(),
                });
                continue;
            }
            let is_leased = (endpoint.ip4.is_some() && !endpoint.fixed_ip4)
                || (endpoint.ip6.is_some() && !endpoint.fixed_ip6);
            let (name, is_running) = self.owner_of(&endpoint)?;
            if is_leased && !is_running && !self.leave_lost(&endpoint.owner)? {
                findings.push(Finding {
                    object: name,
                    problem: "it has leased an address, and does not run".to_owned(),
                });
            }
        }
        Ok(())
    }
}
