//! The beginning and the end of a container's life on its networks.
//!
//! ```text
//!  enter: addresses leased ─▶ names joined ─▶ (the monitor sets up links, firewall, ports) ─▶ ports written
//!  leave: firewall's elements go ─▶ names left ─▶ addresses free
//! ```
//!
//! The end is done by whoever finds it, perhaps twice and perhaps after a kill halfway: each step may be
//! repeated, and the rows go last. What a network itself has on the host stays until it is removed: to
//! make a bridge costs more than to keep one.

use super::{
    EndpointSettings, NAMES,
    given::{Given, forget, is_given},
    live::addresses,
    plugins::has_plugins,
    release, tell,
};
use crate::{
    Engine, files,
    options::{ConnectionOptions, NetworkMode},
    record::Record,
    resolv_conf,
};
use dhow_base::{Doing, Error, Kind, Result, file, id::ContainerId};
use dhow_network::{
    Attachment, Firewall, Leased, Network as Made, Outlet, Plan, Protocol, Publication,
    names::{self, Entry},
    pasta,
};
use dhow_state::{
    Write,
    containers::{self, Container},
    endpoints::{self, Endpoint},
    ports,
};

/// Who is on a network, for its neighbours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Called<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// Its host name.
    pub(crate) hostname: &'a str,
}

impl Engine {
    /// What is to be done for a container that starts, with addresses that are its own from now on;
    /// `None` where it is connected to no network.
    pub(crate) fn enter_networks(
        &mut self,
        row: &Container,
        record: &Record,
    ) -> Result<Option<Plan>> {
        if let Some(options) = record.pasta() {
            file::make_directories(&self.layout.pastas(), 0o700)?;
            return Ok(Some(self.pasta_plan(&row.id, record, options)));
        }
        if !record.has_networks() {
            return Ok(None);
        }
        let called = Called { name: &row.name, hostname: &record.hostname };
        let Some(mut plan) = self.enter(&row.id, called)? else { return Ok(None) };
        plan.publications.clone_from(&record.ports.publish);
        plan.hostname.clone_from(&record.hostname);
        let servers = resolv_conf::upstream(&record.names, &plan)?;
        if let Some(resolver) = &mut plan.resolver {
            resolver.servers = servers;
        }
        Ok(Some(plan))
    }

    pub(super) fn pasta_plan(
        &self,
        id: &ContainerId,
        record: &Record,
        options: Vec<String>,
    ) -> Plan {
        // Servers on the host's loopback are reached where questions are passed on.
        let mut options = options;
        if !options.iter().any(|own| own.starts_with("--dns-forward")) {
            options.extend(["--dns-forward".to_owned(), NAMES.to_string()]);
        }
        Plan {
            owner: id.to_string(),
            publications: record.ports.publish.clone(),
            outlet: Some(Outlet { pid_file: self.layout.pasta(id), options, ground: None }),
            ..Plan::default()
        }
    }

    /// The same for a container or a pod, by what its neighbours call it.
    pub(crate) fn enter(
        &mut self,
        owner: &ContainerId,
        called: Called<'_>,
    ) -> Result<Option<Plan>> {
        let mut plan = self.network_plan(owner)?;
        if let Some(plan) = &mut plan {
            if !self.is_of_root && has_plugins(plan) {
                let text = "connect to a network that plugins make: they are for root";
                return Err(Error::new(Kind::Unsupported, text)
                    .hint("`dhow network create` makes one without plugins"));
            }
            plan.outlet = self.outlet_on_ground(owner)?;
            for endpoint in endpoints::of_owner(self.state.read(), owner)? {
                self.join_names(&endpoint, called)?;
            }
        }
        Ok(plan)
    }

    fn join_names(&self, endpoint: &Endpoint, called: Called<'_>) -> Result<()> {
        let mut all = vec![called.name.to_owned()];
        all.extend(EndpointSettings::of(endpoint)?.aliases);
        if !called.hostname.is_empty() && !all.iter().any(|name| name == called.hostname) {
            all.push(called.hostname.to_owned());
        }
        let addresses = endpoint.ip4.map(Into::into).into_iter();
        let entry = Entry {
            container: endpoint.owner.to_string(),
            names: all,
            addresses: addresses.chain(endpoint.ip6.map(Into::into)).collect(),
        };
        names::join(&self.layout.network(&endpoint.network), &entry)
    }

    /// Writes what is published of a container or a pod that has started, and tells that it is there.
    pub(crate) fn write_entered(
        write: &Write<'_>,
        owner: &ContainerId,
        plan: &Plan,
        published: &[Publication],
    ) -> Result<()> {
        let row = |publication: &Publication| ports::Port {
            protocol: publication.protocol.name().to_owned(),
            host_ip: publication.host.map(|address| address.to_string()).unwrap_or_default(),
            host_port: publication.host_port,
            container_port: publication.container_port,
        };
        if !published.is_empty() {
            ports::publish(write, owner, &published.iter().map(row).collect::<Vec<_>>())?;
        }
        plan.attachments
            .iter()
            .try_for_each(|one| tell(write, &one.network, "connect", Some(owner.as_str())))
    }

    /// Writes down what servers have leased a container that has started, and tells its neighbours, its
    /// files and its resolver.
    pub(crate) fn write_leased(
        &mut self,
        row: &Container,
        record: &Record,
        leases: &[Leased],
    ) -> Result<()> {
        if leases.is_empty() {
            return Ok(());
        }
        let before = self.network_plan_as_is(&row.id)?;
        self.state.write(|write| {
            for leased in leases {
                let network = leased.network.parse()?;
                if let Some(endpoint) = endpoints::find(write, &row.id, &network)? {
                    Given::by_server(leased).write(write, &endpoint)?;
                }
            }
            Ok(())
        })?;
        let plan = self.enter_networks(row, record)?.unwrap_or_default();
        let run = self.layout.run(&row.id);
        files::readdress(&run, record, &addresses(before.as_ref()), &addresses(Some(&plan)))?;
        if plan.attachments.iter().all(|one| one.network.searches.is_empty()) {
            return self.tell_servers(row, &plan);
        }
        files::rewrite_resolv_conf(&run, record, &plan)?;
        self.tell_servers(row, &plan)
    }

    /// Says of a start that failed which container has a port that was asked for.
    pub(crate) fn with_holder(&self, error: Error, plan: &Plan) -> Error {
        if error.kind() != Kind::Conflict {
            return error;
        }
        let holder = plan.publications.iter().find_map(|one| self.holder_of(one, &plan.owner));
        match holder {
            Some((port, name)) => {
                let text = format!("publish port {port}: container {name} has it");
                Error::new(Kind::Conflict, text).hint("choose another port, or stop that container")
            }
            None => error,
        }
    }

    /// Another container or pod through which a port of the host's leads already.
    fn holder_of(&self, asked: &Publication, own: &str) -> Option<(String, String)> {
        let read = self.state.read();
        let holders = ports::holders(read, asked.protocol.name(), asked.host_port).ok()?;
        let (owner, _) = holders.into_iter().find(|(owner, _)| owner.as_str() != own)?;
        let container = containers::find(read, &owner).ok().flatten().map(|row| row.name);
        let name = container.unwrap_or_else(|| owner.short().to_owned());
        Some((format!("{}/{}", asked.host_port, asked.protocol.name()), name))
    }

    /// Takes away what a container that has ended has on its networks, and frees its addresses.
    pub(crate) fn leave_networks(&mut self, id: &ContainerId, record: &Record) -> Result<()> {
        match self.lower_networks(id, record)? {
            Some(plan) => {
                self.lower_ground(Some(id))?;
                self.state.write(|write| Self::write_left(write, id, &plan))
            }
            None => Ok(()),
        }
    }

    /// Takes away what a container that has ended has on the host: what is still to be
    /// [written](Self::write_left) down, or nothing.
    pub(crate) fn lower_networks(&self, id: &ContainerId, record: &Record) -> Result<Option<Plan>> {
        if let Some(options) = record.pasta() {
            pasta::end(&self.layout.pasta(id))?;
            return Ok(Some(self.pasta_plan(id, record, options)));
        }
        if !record.has_networks() {
            return Ok(None);
        }
        self.lower(id, &record.ports.publish)
    }

    /// The same for a container or a pod of which these ports were asked for.
    pub(crate) fn lower(&self, owner: &ContainerId, asked: &[Publication]) -> Result<Option<Plan>> {
        let Some(mut plan) = self.network_plan_as_is(owner)? else { return Ok(None) };
        if has_plugins(&plan) {
            self.unplug_all(owner, &plan)?;
        }
        // Of a server's lease the row tells when the start is over, and its name may be there before.
        let is_idle = |one: &Attachment| one.addresses.is_empty() && !one.network.leases;
        if plan.attachments.iter().all(is_idle) {
            return Ok(None);
        }
        if !self.is_of_root {
            pasta::end(&self.layout.pasta(owner))?;
        }
        plan.publications = self.published_of(owner)?;
        // Who was killed in between has not written what became of what was asked for.
        let is_unwritten = plan.publications.is_empty() && !asked.is_empty();
        if is_unwritten {
            plan.publications = asked.to_vec();
        }
        let lower = if is_unwritten { Firewall::lower_all } else { Firewall::lower };
        if self.is_of_root
            && !plan.publications.is_empty()
            && let Err(error) = Firewall::open().and_then(|firewall| lower(&firewall, &plan))
        {
            // A port that leads nowhere is less of an evil than a container that cannot end; who has the
            // port next puts it right.
            (self.warn)(&format!("take published ports away: {}", error.one_line()));
        }
        for attachment in &plan.attachments {
            let network: ContainerId = attachment.network.id.parse()?;
            names::leave(&self.layout.network(&network), owner.as_str())?;
        }
        Ok(Some(plan))
    }

    /// The ports through which a container or a pod is reached now.
    pub(crate) fn published_of(&self, owner: &ContainerId) -> Result<Vec<Publication>> {
        ports::of_owner(self.state.read(), owner)?.iter().map(publication).collect()
    }

    /// What a container or a pod is connected to, to connect another like it: addresses that are one's
    /// own are not another's.
    pub(crate) fn connections_of(&self, owner: &ContainerId) -> Result<NetworkMode> {
        let endpoints = endpoints::of_owner(self.state.read(), owner)?;
        let connection = |endpoint: &Endpoint| {
            let aliases = EndpointSettings::of(endpoint)?.aliases;
            let to = ConnectionOptions::to(endpoint.network.to_string());
            Ok(ConnectionOptions { aliases, ..to })
        };
        Ok(NetworkMode::Networks(endpoints.iter().map(connection).collect::<Result<_>>()?))
    }

    /// Frees the addresses of a container or a pod that has ended.
    pub(crate) fn write_left(write: &Write<'_>, owner: &ContainerId, plan: &Plan) -> Result<()> {
        release(write, owner)?;
        if plan.attachments.iter().any(|one| is_given(&one.network)) {
            for endpoint in endpoints::of_owner(write, owner)? {
                forget(write, &endpoint)?;
            }
        }
        let mut networks = plan.attachments.iter().map(|one| &one.network);
        networks.try_for_each(|made| tell(write, made, "disconnect", Some(owner.as_str())))
    }

    /// Takes away what a network has on the host. For who knows that nobody is there.
    pub(super) fn clear_host(&self, made: &Made) -> Result<()> {
        let doing = || format!("take network {} from the host", made.name);
        self.on_ground(|| {
            Firewall::open()?.drop_network(made).doing(doing)?;
            dhow_network::remove_device(made).doing(doing)
        })?;
        dhow_base::tree::remove(&self.layout.networks().join(&made.id))
    }

    /// Puts the firewall's rules of a container that runs back, and asks plugins whether theirs are there.
    pub fn reload_networks(&mut self, container: &str) -> Result<ContainerId> {
        let row = self.look_up(container)?;
        let doing = || format!("reload the networks of container {}", row.name);
        let Some(mut plan) = self.network_plan_as_is(&row.id)? else { return Ok(row.id) };
        if row.process.is_none() {
            return Ok(row.id);
        }
        let published = ports::of_owner(self.state.read(), &row.id)?;
        plan.publications = published.iter().map(publication).collect::<Result<_>>()?;
        if !self.is_of_root {
            // They lead through no rule of ours.
            plan.publications.clear();
        }
        self.on_ground(|| Firewall::open()?.raise(&plan)).doing(doing)?;
        self.check_plugged(&row.id, &plan).doing(doing)?;
        Ok(row.id)
    }
}

/// A row as what it was made of.
pub(super) fn publication(port: &ports::Port) -> Result<Publication> {
    let broken = |what: &str| Error::new(Kind::Corrupt, format!("read a published port: {what}"));
    let protocol = Protocol::ALL
        .into_iter()
        .find(|known| known.name() == port.protocol)
        .ok_or_else(|| broken(&port.protocol))?;
    let host = match port.host_ip.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|_| broken(text))?),
    };
    Ok(Publication {
        protocol,
        host,
        host_port: port.host_port,
        host_port_last: None,
        container_port: port.container_port,
    })
}
