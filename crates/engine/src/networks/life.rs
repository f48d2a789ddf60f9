//! The beginning and the end of a container's life on its networks.
//!
//! ```text
//!  enter: shared lock ─▶ addresses leased ─▶ (the monitor sets up links, firewall, ports) ─▶ lock free
//!  leave: firewall's elements go ─▶ names left ─▶ addresses free ─▶ nobody else there: the network's own too
//! ```
//!
//! The lock keeps whoever leaves as the last one from taking away what somebody who enters has just
//! found there. Nobody waits for it on the way out: where somebody enters, there is nothing to take away.

use super::{release, tell};
use crate::Engine;
use dhow_base::{
    Doing, Error, Kind, Result, file,
    id::ContainerId,
    lock::{Lock, Sharing},
};
use dhow_network::{Firewall, Network as Made, Plan, Protocol, Publication};
use dhow_state::{Write, endpoints, ports};
use std::path::PathBuf;

/// A container that is about to be on its networks.
#[derive(Debug)]
pub(crate) struct Entry {
    /// What is to be done.
    pub(crate) plan: Plan,
    /// Held until it is done.
    lock: Lock,
}

impl Entry {
    /// The plan was carried out, and the row says that its owner lives.
    pub(crate) fn done(self) {
        drop(self.lock);
    }
}

impl Engine {
    /// Leases the addresses of a container or a pod that is about to start; `None` where it is
    /// connected to no network.
    pub(crate) fn enter_networks(&mut self, owner: &ContainerId) -> Result<Option<Entry>> {
        if endpoints::of_owner(self.state.read(), owner)?.is_empty() {
            return Ok(None);
        }
        let lock = Lock::acquire(&self.hosts_lock()?, Sharing::Shared)?;
        let plan = self.network_plan(owner)?;
        Ok(plan.map(|plan| Entry { plan, lock }))
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

    /// Takes away what a container or a pod has on its networks, and frees its addresses. Done twice
    /// it does no harm.
    pub(crate) fn leave_networks(&mut self, owner: &ContainerId) -> Result<()> {
        let Some(mut plan) = self.network_plan_as_is(owner)? else { return Ok(()) };
        let published = ports::of_owner(self.state.read(), owner)?;
        let has_any = plan.attachments.iter().any(|one| !one.addresses.is_empty());
        if !has_any && published.is_empty() {
            return Ok(());
        }
        plan.publications = published.iter().map(publication).collect::<Result<_>>()?;
        Firewall::open()?.lower(&plan).doing(|| "take published ports away")?;
        self.state.write(|write| {
            release(write, owner)?;
            let mut networks = plan.attachments.iter().map(|one| &one.network);
            networks.try_for_each(|made| tell(write, made, "disconnect", Some(owner.as_str())))
        })?;
        for attachment in &plan.attachments {
            self.clear_where_last(&attachment.network, owner)?;
        }
        Ok(())
    }

    /// Takes away what a network has on the host, unless somebody else is there or about to be.
    fn clear_where_last(&mut self, made: &Made, left: &ContainerId) -> Result<()> {
        let Some(_lock) = Lock::try_acquire(&self.hosts_lock()?, Sharing::Exclusive)? else {
            return Ok(());
        };
        let id: ContainerId = made.id.parse()?;
        if endpoints::is_alive_beside(self.state.read(), &id, left)? {
            return Ok(());
        }
        self.clear_host(made)
    }

    /// Takes away what a network has on the host. For who knows that nobody is there.
    pub(super) fn clear_host(&self, made: &Made) -> Result<()> {
        let doing = || format!("take network {} from the host", made.name);
        Firewall::open()?.drop_network(made).doing(doing)?;
        dhow_network::remove_device(made).doing(doing)?;
        let directory = self.layout.networks().join(&made.id);
        match std::fs::remove_dir_all(&directory) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error).doing(|| format!("remove {}", directory.display())),
        }
    }

    /// Puts the firewall's rules of a container that runs back.
    pub fn reload_networks(&mut self, container: &str) -> Result<ContainerId> {
        let row = self.look_up(container)?;
        let doing = || format!("reload the networks of container {}", row.name);
        let Some(mut plan) = self.network_plan_as_is(&row.id)? else { return Ok(row.id) };
        if row.process.is_none() {
            return Ok(row.id);
        }
        let published = ports::of_owner(self.state.read(), &row.id)?;
        plan.publications = published.iter().map(publication).collect::<Result<_>>()?;
        Firewall::open().and_then(|firewall| firewall.raise(&plan)).doing(doing)?;
        Ok(row.id)
    }

    fn hosts_lock(&self) -> Result<PathBuf> {
        let directory = self.layout.locks();
        file::make_directories(&directory, 0o700)?;
        Ok(directory.join("networks-of-host"))
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
