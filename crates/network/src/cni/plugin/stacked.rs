//! `macvlan` and `ipvlan`: a device of the container's that stands on one of the host's.

use super::{
    asked::Asked,
    delegate,
    device::{self, Inside, ask, host, random_mac},
};
use crate::{
    cni::{Dns, Interface, Outcome, Refusal},
    host_routes,
    link::{self, Stacked},
};
use dhow_base::Doing;
use serde::Deserialize;
use std::os::fd::AsFd;

/// Which of the two.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Macvlan,
    Ipvlan,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Configuration {
    master: String,
    mode: String,
    mtu: i64,
    link_in_container: bool,
    dns: Dns,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Macvlan => "macvlan",
            Self::Ipvlan => "ipvlan",
        }
    }

    /// The kernel's number of a mode (`MACVLAN_MODE_…`, `IPVLAN_MODE_…`).
    fn mode(self, name: &str) -> Result<u32, Refusal> {
        let number = match (self, name) {
            (Self::Macvlan, "private") | (Self::Ipvlan, "l3") => 1,
            (Self::Macvlan, "vepa") | (Self::Ipvlan, "l3s") => 2,
            (Self::Macvlan, "" | "bridge") => 4,
            (Self::Macvlan, "passthru") => 8,
            (Self::Ipvlan, "" | "l2") => 0,
            _ => {
                let text = format!("unknown {} mode: {name:?}", self.name());
                return Err(Refusal::new(Refusal::BAD_CONFIGURATION, text));
            }
        };
        Ok(number)
    }
}

pub(super) fn add(asked: &Asked, kind: Kind) -> Result<Outcome, Refusal> {
    let configuration: Configuration = asked.configuration()?;
    let mode = kind.mode(&configuration.mode)?;
    if configuration.link_in_container {
        let text = "linkInContainer is not supported";
        return Err(Refusal::new(Refusal::UNSUPPORTED_FIELD, text));
    }
    let namespace = asked.namespace()?;
    let inside = Inside::open(&namespace)?;
    inside.free(&asked.interface)?;
    let host = host()?;
    let master = master(asked, &configuration)?;
    let look = || format!("failed to lookup master {master:?}");
    let found = link::find(&host, &master).doing(look)?.ok_or_else(|| {
        let text = format!("failed to lookup master {master:?}: Link not found");
        Refusal::new(Refusal::OTHER, text)
    })?;
    let mtu = mtu(configuration.mtu, found.mtu)?;
    let mac = match kind {
        Kind::Macvlan => Some(asked.mac()?.map_or_else(random_mac, Ok)?),
        Kind::Ipvlan => None,
    };
    // The kernel numbers it, unless that is where an older one would mind the host's own device.
    let is_taken = link::find(&host, &asked.interface).doing(|| "look at devices")?.is_some();
    let stacked = Stacked {
        kind: kind.name(),
        mode,
        parent: found.index,
        namespace: namespace.as_fd(),
        index: if is_taken { link::number_apart()? } else { 0 },
        inside: &asked.interface,
        mac,
        mtu,
    };
    let doing = || format!("failed to create {}", kind.name());
    ask(&host, stacked.request().doing(doing)?, doing)?;
    let addressed = address(asked, &inside).inspect_err(|_| {
        let _first_failure_counts = inside.remove(&asked.interface);
    });
    let mut outcome = addressed?;
    if configuration.dns != Dns::default() {
        outcome.dns = configuration.dns;
    }
    Ok(outcome)
}

/// The largest packet: no larger than that of the device below.
fn mtu(wanted: i64, below: u32) -> Result<Option<u32>, Refusal> {
    match u32::try_from(wanted) {
        Ok(0) => Ok(None),
        Ok(wanted) if wanted <= below => Ok(Some(wanted)),
        _ => {
            let text = format!("invalid MTU {wanted}, must be [0, master MTU({below})]");
            Err(Refusal::new(Refusal::BAD_CONFIGURATION, text))
        }
    }
}

fn address(asked: &Asked, inside: &Inside<'_>) -> Result<Outcome, Refusal> {
    let name = &asked.interface;
    let found = inside.find(name)?;
    let device = Interface {
        name: name.clone(),
        mac: found.mac_text(),
        sandbox: asked.namespace.clone(),
        ..Interface::default()
    };
    let mut outcome = delegate::add(asked)?;
    outcome.interfaces = vec![device];
    for ip in &mut outcome.ips {
        ip.interface = Some(0);
    }
    inside
        .set_if_there(&format!("ipv4/conf/{name}/arp_notify"), "1")
        .map_err(Refusal::from)
        .and_then(|()| inside.configure(name, &outcome))
        .inspect_err(|_| delegate::undo(asked))?;
    Ok(outcome)
}

/// The device below: the author's, the one that the plugin before has made, or the one by which the
/// world is reached.
fn master(asked: &Asked, configuration: &Configuration) -> Result<String, Refusal> {
    if !configuration.master.is_empty() {
        return Ok(configuration.master.clone());
    }
    if let Some(before) = asked.before()?
        && let [only] = &before.interfaces[..]
        && only.sandbox.is_empty()
    {
        return Ok(only.name.clone());
    }
    let routes = host_routes()?;
    let mut defaults = routes.into_iter().filter(crate::HostRoute::is_default);
    defaults.find_map(|route| route.device).ok_or_else(|| {
        let text = "\"master\" is missing, and there is no default route to take it from";
        Refusal::new(Refusal::BAD_CONFIGURATION, text)
    })
}

pub(super) fn del(asked: &Asked) -> Result<(), Refusal> {
    let given_back = delegate::del(asked);
    let removed = match asked.namespace_if_there() {
        Some(namespace) => {
            Inside::open(&namespace).and_then(|inside| inside.remove(&asked.interface).map(drop))
        }
        None => Ok(()),
    };
    given_back.and(removed)
}

pub(super) fn check(asked: &Asked) -> Result<(), Refusal> {
    delegate::check(asked)?;
    device::check(asked)
}
