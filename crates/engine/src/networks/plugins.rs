//! Connections that plugins make: they are called with a network namespace that a file holds.
//!
//! ```text
//!   start:  namespace made ─▶ held by a file ─▶ ADD ─▶ row: addresses ─▶ the container joins it
//!   end:    DEL, the namespace still there ─▶ nobody holds it any more ─▶ row: no addresses
//! ```
//!
//! Plugins are programs of the host's: they are called by the command and not by whoever keeps the
//! container, and see nothing of an image. What they were asked is written down before they are
//! called ([`dhow_network::cni`]), so whoever finds a connection half made can have it unmade. A DEL
//! needs the namespace, without which the usual plugins leave rules of the firewall behind: so it is
//! held until that is done.

use super::{
    Settings,
    connect::EndpointSettings,
    given::Given,
    lists::{Home, subnets_of},
    look_up,
};
use crate::{Engine, exec, merge, options::ConnectionOptions, pods::namespaces, record::Record};
use dhow_base::{Doing, Error, Kind, Result, file, id::ContainerId};
use dhow_image::Finding;
use dhow_monitor::{Ground, NetworkTask};
use dhow_network::{
    Attachment, Driver, Held, Network as Made, Plan, Publication,
    cni::{Connection, List},
    handle,
};
use dhow_spec::runtime::{NamespaceKind, Spec};
use dhow_state::{
    containers::{self, Container, Phase},
    endpoints::{self, Endpoint},
    networks::{self, Network as Row},
};
use dhow_sys::procfs::Procfs;
use serde_json::{Map, Value, json};
use std::{
    net::IpAddr,
    os::fd::AsFd,
    path::{Path, PathBuf},
};

/// Whether plugins make some of a plan's connections.
pub(crate) fn has_plugins(plan: &Plan) -> bool {
    plan.attachments.iter().any(is_plugged)
}

fn is_plugged(attachment: &Attachment) -> bool {
    attachment.network.driver == Driver::Cni
}

/// What is to be asked of plugins.
struct Wish<'a> {
    owner: &'a ContainerId,
    name: &'a str,
    namespace: &'a Path,
    /// What they are to publish.
    ports: &'a [Publication],
}

impl Engine {
    /// Makes the namespace of a container that plugins connect, and has them do it. The ports are held
    /// until its monitor is about to hold them.
    pub(crate) fn raise_plugged(
        &mut self,
        row: &Container,
        record: &Record,
        plan: &Plan,
    ) -> Result<(NetworkTask, Held)> {
        if record.namespaces.has_ids() {
            let text = "have plugins connect a container that has users of its own";
            return Err(Error::new(Kind::Unsupported, text)
                .hint("leave --userns and its mappings out, or use a network of dhow's own"));
        }
        let directory = self.layout.namespace(&row.id);
        // Of a life that was killed.
        self.unplug_all(&row.id, plan)?;
        let (held, bound) = Held::bind(&plan.publications)?;
        file::make_directories(&directory, 0o700)?;
        namespaces::make(&[NamespaceKind::Network], None, "", &directory, |namespace| {
            dhow_network::setup(plan, namespace)
        })?;
        let namespace = held_at(&directory);
        let told = self.ports_for_plugins(plan, &bound)?;
        for (place, attachment) in plan.attachments.iter().enumerate() {
            if is_plugged(attachment) {
                let ports = if told == Some(place) { &bound[..] } else { &[] };
                let wish = Wish { owner: &row.id, name: &row.name, namespace: &namespace, ports };
                self.plug(&wish, &attachment.network)?;
            }
        }
        self.point_at_held(&row.id, Some(&namespace))?;
        let plan = self.enter_networks(row, record)?.unwrap_or_default();
        let plan = Plan { publications: bound, ..plan };
        Ok((NetworkTask { plan, ground: Ground::First(namespace) }, held))
    }

    /// Which connection's plugins publish the ports: the first that can, where no network of ours
    /// does.
    fn ports_for_plugins(&self, plan: &Plan, ports: &[Publication]) -> Result<Option<usize>> {
        if ports.is_empty() || plan.attachments.iter().any(|one| one.network.publishes()) {
            return Ok(None);
        }
        let mut names = Vec::new();
        for (place, attachment) in plan.attachments.iter().enumerate() {
            if !is_plugged(attachment) {
                continue;
            }
            let (_, list) = self.list_of(&attachment.network)?;
            if list.has_capability("portMappings") {
                return Ok(Some(place));
            }
            names.push(attachment.network.name.as_str());
        }
        let text = format!("publish ports: no plugin of network {} can", names.join(", "));
        Err(Error::new(Kind::Unsupported, text)
            .hint("its list needs a plugin such as portmap with the capability portMappings"))
    }

    /// Refuses networks that plugins make, or whose addresses a server gives, for a pod.
    pub(crate) fn refuse_plugins(&self, connections: &[ConnectionOptions]) -> Result<()> {
        for one in connections {
            let settings = Settings::of(&look_up(self.state.read(), &one.network)?)?;
            if settings.made.leases {
                let text = format!("connect a pod to network {}", one.network);
                return Err(Error::new(Kind::Unsupported, text)
                    .hint("a server gives its addresses to containers by themselves only"));
            }
            if settings.plugins.is_some() {
                let text = format!("connect a pod to network {}: plugins make it", one.network);
                return Err(Error::new(Kind::Unsupported, text)
                    .hint("a container by itself can be connected to it"));
            }
        }
        Ok(())
    }

    fn list_of(&self, made: &Made) -> Result<(Home, List)> {
        let (row, home) = self.home_of(&made.id.parse()?)?;
        let list = home.list(&row.name)?;
        Ok((home, list))
    }

    fn home_of(&self, network: &ContainerId) -> Result<(Row, Home)> {
        let row = networks::find(self.state.read(), network)?;
        let row = row.ok_or_else(|| Error::new(Kind::NotFound, "the network is gone"))?;
        let home = Settings::of(&row)?.plugins;
        let home = home.ok_or_else(|| Error::new(Kind::Internal, "no plugins make the network"))?;
        Ok((row, home))
    }

    /// Has plugins make a connection, and writes down what they have given.
    fn plug(&mut self, wish: &Wish<'_>, made: &Made) -> Result<()> {
        let network: ContainerId = made.id.parse()?;
        let (home, list) = self.list_of(made)?;
        let driver = home.driver(&self.layout);
        let endpoint = endpoints::find(self.state.read(), wish.owner, &network)?;
        let endpoint =
            endpoint.ok_or_else(|| Error::new(Kind::NotFound, "the connection is gone"))?;
        driver.status(&list)?;
        let connection = connection(wish, &endpoint, &list)?;
        let outcome = driver.add(&list, &connection)?;
        let given = Given::by_plugins(&outcome, &endpoint.interface);
        let written = check_given(&given, &endpoint)
            .and_then(|()| self.state.write(|write| given.write(write, &endpoint)));
        if written.is_err() {
            // Why it failed says more than what is left of it, which the end takes away.
            let _left = driver.del(&list, &connection);
        }
        written.doing(|| format!("connect to network {}", made.name))
    }

    /// Has plugins connect a container that runs.
    pub(super) fn plug_live(&mut self, row: &Container, made: &Made) -> Result<()> {
        let directory = self.layout.namespace(&row.id);
        let namespace = held_at(&directory);
        if !namespace.exists() {
            file::make_directories(&directory, 0o700)?;
            let process = row.process.filter(|_| row.phase == Phase::Running);
            let process = process
                .ok_or_else(|| Error::new(Kind::Conflict, "the container is not running"))?;
            let there = Procfs::of_host()
                .and_then(|host| host.namespace(&process.pid.to_string(), "net"))
                .doing(|| "open the container's net namespace")?;
            if !process.is_alive()? {
                return Err(Error::new(Kind::Conflict, "the container has just ended"));
            }
            handle::hold(there.as_fd(), &namespace)?;
        }
        self.plug(
            &Wish { owner: &row.id, name: &row.name, namespace: &namespace, ports: &[] },
            made,
        )
    }

    /// Has plugins take a connection away; that there is none is fine.
    pub(super) fn unplug(&self, owner: &ContainerId, network: &ContainerId) -> Result<()> {
        let Some(endpoint) = endpoints::find(self.state.read(), owner, network)? else {
            return Ok(());
        };
        let (row, home) = self.home_of(network)?;
        let driver = home.driver(&self.layout);
        let cached = driver.connection(row.name.as_str(), owner.as_str(), &endpoint.interface)?;
        let Some(cached) = cached else { return Ok(()) };
        driver.del(&cached.list, &self.as_held(owner, cached.connection))
    }

    /// A connection with its namespace, which is gone where nothing holds it.
    fn as_held(&self, owner: &ContainerId, connection: Connection) -> Connection {
        let namespace = held_at(&self.layout.namespace(owner));
        let is_held = dhow_sys::mount::is_root_at(&namespace).unwrap_or(false);
        let namespace = if is_held { namespace.display().to_string() } else { String::new() };
        Connection { namespace, ..connection }
    }

    /// Has plugins take away all that they have made for a container, and lets go of its namespace.
    pub(super) fn unplug_all(&self, owner: &ContainerId, plan: &Plan) -> Result<()> {
        for attachment in plan.attachments.iter().filter(|one| is_plugged(one)) {
            if let Err(error) = self.unplug(owner, &attachment.network.id.parse()?) {
                // It is remembered, and tried again by the next start and by the doctor. A plugin
                // must not be able to keep a container from its end.
                (self.warn)(&error.one_line());
            }
        }
        self.let_go_of_namespace(owner)
    }

    /// Lets go of a namespace that was held for plugins.
    pub(super) fn let_go_of_namespace(&self, owner: &ContainerId) -> Result<()> {
        let directory = self.layout.namespace(owner);
        if !directory.exists() {
            return Ok(());
        }
        self.point_at_held(owner, None)?;
        namespaces::unmake(&directory)
    }

    /// Writes into a container's configuration that its network namespace is the one that is held, or
    /// its own again.
    fn point_at_held(&self, owner: &ContainerId, namespace: Option<&Path>) -> Result<()> {
        let path = self.layout.config(owner);
        let bytes = match file::read_limited(&path, exec::CONFIG_LIMIT_BYTES) {
            Err(error) if error.kind() == Kind::NotFound && namespace.is_none() => return Ok(()),
            bytes => bytes?,
        };
        let mut spec = Spec::parse(&bytes)?;
        let linux = spec.linux.get_or_insert_default();
        merge::point(linux, NamespaceKind::Network, namespace);
        let bytes = serde_json::to_vec(&spec)
            .map_err(|error| Error::new(Kind::Internal, "write config.json").because(error))?;
        file::replace(&path, &bytes, 0o600)
    }

    /// Asks the plugins of a container that runs whether all is as they made it.
    pub(super) fn check_plugged(&self, owner: &ContainerId, plan: &Plan) -> Result<()> {
        for attachment in plan.attachments.iter().filter(|one| is_plugged(one)) {
            let (row, home) = self.home_of(&attachment.network.id.parse()?)?;
            let driver = home.driver(&self.layout);
            let interface = &attachment.interface;
            let cached = driver.connection(row.name.as_str(), owner.as_str(), interface)?;
            let Some(cached) = cached else {
                let text = format!("{interface} is not connected to network {}", row.name);
                return Err(Error::new(Kind::NotFound, text));
            };
            driver.check(&cached.list, &self.as_held(owner, cached.connection))?;
        }
        Ok(())
    }

    /// What plugins have made has to be of somebody who lives, and they have to be able to make more.
    /// Whether a connection is as it was made is asked by `network reload` alone: Debian's portmap says
    /// no where nothing is wrong.
    pub(super) fn check_plugins(&mut self, findings: &mut Vec<Finding>) -> Result<()> {
        for row in networks::list(self.state.read())? {
            let Some(home) = Settings::of(&row)?.plugins else { continue };
            let driver = home.driver(&self.layout);
            let mut is_in_use = false;
            for cached in driver.connections(Some(row.name.as_str()))? {
                let owner = &cached.connection.container;
                let lives = self.lives_on(owner, &row.id)?;
                is_in_use |= lives;
                if lives {
                    continue;
                }
                let connection = match owner.parse::<ContainerId>() {
                    Ok(id) => self.as_held(&id, cached.connection.clone()),
                    Err(_) => cached.connection.clone(),
                };
                let said = driver.del(&cached.list, &connection);
                findings.extend(said.err().map(|error| finding(&row, &error)));
            }
            if is_in_use {
                let said = home.list(&row.name).and_then(|list| driver.status(&list));
                findings.extend(said.err().map(|error| finding(&row, &error)));
            }
        }
        self.check_namespaces(findings)
    }

    /// Whether a container runs that is connected to this network.
    fn lives_on(&mut self, owner: &str, network: &ContainerId) -> Result<bool> {
        let Ok(owner) = owner.parse::<ContainerId>() else { return Ok(false) };
        if endpoints::find(self.state.read(), &owner, network)?.is_none() {
            return Ok(false);
        }
        self.has_life(&owner)
    }

    fn has_life(&mut self, owner: &ContainerId) -> Result<bool> {
        let Some(row) = containers::find(self.state.read(), owner)? else { return Ok(false) };
        let phases = [Phase::Creating, Phase::Starting, Phase::Running];
        Ok(self.refreshed(row)?.is_some_and(|row| phases.contains(&row.phase)))
    }

    /// Namespaces that are held for nobody are let go.
    fn check_namespaces(&mut self, findings: &mut Vec<Finding>) -> Result<()> {
        for path in crate::doctor::entries(&self.layout.namespaces())? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match name.parse::<ContainerId>() {
                Ok(owner) if self.has_life(&owner)? => {}
                Ok(owner) => self.let_go_of_namespace(&owner)?,
                Err(_) => findings.push(Finding {
                    object: path.display().to_string(),
                    problem: "no container has this id".to_owned(),
                }),
            }
        }
        Ok(())
    }

    /// Has the plugins of all lists take away what belongs to no connection that we, or another engine
    /// on this machine, remember.
    pub(crate) fn collect_plugged(&mut self) -> Result<()> {
        for row in networks::list(self.state.read())? {
            let Some(home) = Settings::of(&row)?.plugins else { continue };
            let Ok(list) = home.list(&row.name) else { continue };
            let driver = home.driver(&self.layout);
            let of_others = home.driver_of_others();
            let mut valid = Vec::new();
            for cached in driver.connections(Some(row.name.as_str()))? {
                if self.lives_on(&cached.connection.container, &row.id)? {
                    valid.push((cached.connection.container, cached.connection.interface));
                }
            }
            for cached in of_others.connections(Some(row.name.as_str()))? {
                valid.push((cached.connection.container, cached.connection.interface));
            }
            if let Err(error) = driver.gc(&list, &valid) {
                (self.warn)(&error.one_line());
            }
        }
        Ok(())
    }
}

fn finding(row: &Row, error: &Error) -> Finding {
    Finding { object: format!("network {}", row.name), problem: error.one_line() }
}

fn held_at(directory: &Path) -> PathBuf {
    directory.join(NamespaceKind::Network.proc_name())
}

/// What plugins are told of a connection.
fn connection(wish: &Wish<'_>, endpoint: &Endpoint, list: &List) -> Result<Connection> {
    let settings = EndpointSettings::of(endpoint)?;
    let mut capabilities = Map::new();
    // As podman says it: plugins that know no argument are not to mind.
    let mut arguments = vec![("IgnoreUnknown".to_owned(), "1".to_owned())];
    let is_plain = !wish.name.contains([';', '=']);
    arguments.extend(is_plain.then(|| ("K8S_POD_NAME".to_owned(), wish.name.to_owned())));
    if !wish.ports.is_empty() {
        capabilities.insert("portMappings".into(), wish.ports.iter().map(port_mapping).collect());
    }
    let asked = asked_addresses(endpoint);
    if !asked.is_empty() {
        let with_prefix = |address: &IpAddr| Value::from(as_plugins_want(*address, list));
        capabilities.insert("ips".into(), asked.iter().map(with_prefix).collect());
        if !list.has_capability("ips") {
            arguments.extend(asked.first().map(|address| ("IP".to_owned(), address.to_string())));
        }
    }
    if settings.fixed_mac {
        capabilities.insert("mac".into(), endpoint.mac.clone().into());
        if !list.has_capability("mac") {
            arguments.push(("MAC".to_owned(), endpoint.mac.clone()));
        }
    }
    if !settings.aliases.is_empty() {
        capabilities.insert("aliases".into(), settings.aliases.into());
    }
    Ok(Connection {
        container: wish.owner.to_string(),
        namespace: wish.namespace.display().to_string(),
        interface: endpoint.interface.clone(),
        arguments,
        capabilities,
    })
}

fn asked_addresses(endpoint: &Endpoint) -> Vec<IpAddr> {
    let four = endpoint.ip4.filter(|_| endpoint.fixed_ip4).map(IpAddr::V4);
    let six = endpoint.ip6.filter(|_| endpoint.fixed_ip6).map(IpAddr::V6);
    four.into_iter().chain(six).collect()
}

/// With the length of the subnet that it is in, where the list says which that is.
fn as_plugins_want(address: IpAddr, list: &List) -> String {
    let ranges = subnets_of(list);
    match ranges.iter().find(|range| range.subnet.contains(address)) {
        Some(range) => format!("{address}/{}", range.subnet.prefix()),
        None => address.to_string(),
    }
}

fn port_mapping(one: &Publication) -> Value {
    let mut mapping = json!({
        "hostPort": one.host_port,
        "containerPort": one.container_port,
        "protocol": one.protocol.name(),
    });
    if let Some(host) = one.host.filter(|host| !host.is_unspecified()) {
        mapping["hostIP"] = host.to_string().into();
    }
    mapping
}

/// What was asked for is what there has to be.
fn check_given(given: &Given, endpoint: &Endpoint) -> Result<()> {
    if let Some(missing) = asked_addresses(endpoint).into_iter().find(|one| !given.has(*one)) {
        let text = format!("use address {missing}: the plugins have given another");
        return Err(Error::new(Kind::Unsupported, text)
            .hint("a plugin of the list needs the capability ips"));
    }
    if EndpointSettings::of(endpoint)?.fixed_mac && given.has_other_mac(&endpoint.mac) {
        let text = format!("use hardware address {}: the plugins gave another", endpoint.mac);
        return Err(Error::new(Kind::Unsupported, text)
            .hint("a plugin of the list needs the capability mac"));
    }
    Ok(())
}
