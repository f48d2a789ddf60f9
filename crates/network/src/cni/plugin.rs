//! dhow as a plugin: the reference plugins' names, configurations and results, for engines that bring
//! no network of their own (containerd, CRI-O, podman, dhow itself).
//!
//! ```text
//!   CNI_COMMAND, CNI_…, a document ─▶ Asked ─▶ one of the plugins below ─▶ Outcome or Refusal ─▶ JSON
//!                                                │
//!          bridge, ptp, macvlan, ipvlan: a device in the namespace; addresses come from another
//!          plugin (`ipam`), which is called by its name: host-local, static, or a stranger's
//!          loopback, tuning, portmap, firewall, bandwidth: something more for a device that is there
//! ```
//!
//! A plugin lives for one call. Its rules of the firewall are in a table of their own, `inet
//! dhow_cni`, since these networks are others' business: they are routed between machines, and
//! nothing is kept from them that is not asked for.
//!
//! # On disk
//!
//! host-local's addresses are kept as the reference plugin keeps them, so that either can go on where
//! the other has stopped (see `store`).

mod asked;
mod bandwidth;
mod bridge;
mod delegate;
mod device;
mod dhcp;
mod firewall;
mod fixed;
mod host_local;
mod loopback;
mod portmap;
mod ptp;
#[cfg(test)]
mod reference;
mod ruleset;
mod stacked;
mod store;
mod tuning;

use super::{Command, Outcome, Refusal, Version};
use asked::Asked;
use serde_json::json;

/// What a plugin is known by: the name of the program.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Plugin {
    /// Limits of bandwidth for a device that is there.
    Bandwidth,
    /// A cable to a bridge.
    Bridge,
    /// An address of a server on the device's link.
    Dhcp,
    /// Lets the forwarded packets of a container pass the host's firewall.
    Firewall,
    /// Addresses of ranges that this host hands out.
    HostLocal,
    /// A device of the same hardware address on one of the host's.
    Ipvlan,
    /// The loopback device, up.
    Loopback,
    /// A device of its own hardware address on one of the host's.
    Macvlan,
    /// Ports of the host that lead to the container.
    Portmap,
    /// A cable to the host, without a bridge.
    Ptp,
    /// Addresses that the configuration names.
    Static,
    /// Kernel parameters and settings of a device that is there.
    Tuning,
}

impl Plugin {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Bandwidth,
        Self::Bridge,
        Self::Dhcp,
        Self::Firewall,
        Self::HostLocal,
        Self::Ipvlan,
        Self::Loopback,
        Self::Macvlan,
        Self::Portmap,
        Self::Ptp,
        Self::Static,
        Self::Tuning,
    ];

    /// The plugin of this name.
    pub fn of_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|plugin| plugin.name().as_bytes() == name)
    }

    /// The name of the program.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bandwidth => "bandwidth",
            Self::Bridge => "bridge",
            Self::Dhcp => "dhcp",
            Self::Firewall => "firewall",
            Self::HostLocal => "host-local",
            Self::Ipvlan => "ipvlan",
            Self::Loopback => "loopback",
            Self::Macvlan => "macvlan",
            Self::Portmap => "portmap",
            Self::Ptp => "ptp",
            Self::Static => "static",
            Self::Tuning => "tuning",
        }
    }

    fn add(self, asked: &Asked) -> Result<Outcome, Refusal> {
        match self {
            Self::Bandwidth => bandwidth::add(asked),
            Self::Bridge => bridge::add(asked),
            Self::Dhcp => dhcp::add(asked),
            Self::Firewall => firewall::add(asked),
            Self::HostLocal => host_local::add(asked),
            Self::Ipvlan => stacked::add(asked, stacked::Kind::Ipvlan),
            Self::Loopback => loopback::add(asked),
            Self::Macvlan => stacked::add(asked, stacked::Kind::Macvlan),
            Self::Portmap => portmap::add(asked),
            Self::Ptp => ptp::add(asked),
            Self::Static => fixed::add(asked),
            Self::Tuning => tuning::add(asked),
        }
    }

    fn del(self, asked: &Asked) -> Result<(), Refusal> {
        match self {
            Self::Bandwidth => bandwidth::del(asked),
            Self::Bridge => bridge::del(asked),
            Self::Dhcp => dhcp::del(asked),
            Self::Firewall => firewall::del(asked),
            Self::HostLocal => host_local::del(asked),
            Self::Ipvlan | Self::Macvlan => stacked::del(asked),
            Self::Loopback => loopback::del(asked),
            Self::Portmap => portmap::del(asked),
            Self::Ptp => ptp::del(asked),
            Self::Static => Ok(()),
            Self::Tuning => tuning::del(asked),
        }
    }

    fn check(self, asked: &Asked) -> Result<(), Refusal> {
        match self {
            Self::Bandwidth => bandwidth::check(asked),
            Self::Bridge => bridge::check(asked),
            Self::Dhcp => dhcp::check(asked),
            Self::Firewall => firewall::check(asked),
            Self::HostLocal => host_local::check(asked),
            Self::Ipvlan | Self::Macvlan => stacked::check(asked),
            Self::Loopback => loopback::check(asked),
            Self::Portmap => portmap::check(asked),
            Self::Ptp => ptp::check(asked),
            Self::Static => fixed::check(asked),
            Self::Tuning => tuning::check(asked),
        }
    }

    fn gc(self, asked: &Asked) -> Result<(), Refusal> {
        match self {
            Self::Bridge | Self::Ptp | Self::Macvlan | Self::Ipvlan => delegate::gc(asked),
            Self::HostLocal => host_local::gc(asked),
            _ => Ok(()),
        }
    }

    fn status(self, asked: &Asked) -> Result<(), Refusal> {
        match self {
            Self::Bridge | Self::Ptp | Self::Macvlan | Self::Ipvlan => delegate::status(asked),
            Self::HostLocal => host_local::status(asked),
            _ => Ok(()),
        }
    }
}

/// What is printed, and whether the program ends with code 0.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// For standard output; empty where nothing is said.
    pub output: String,
    /// Whether it was done.
    pub is_success: bool,
}

/// Does what the environment and the document ask for. The environment is that of the process, pairs
/// of names and values: only those that begin with `CNI_` matter.
pub fn answer(plugin: Plugin, environment: &[(String, String)], document: &[u8]) -> Answer {
    let answered = Asked::parse(environment, document)
        .and_then(|asked| carry_out(plugin, &asked).map_err(|refusal| (refusal, asked.version())));
    match answered {
        Ok(output) => Answer { output, is_success: true },
        Err((refusal, version)) => {
            let output = refusal.to_json(version.name()).to_string();
            Answer { output, is_success: false }
        }
    }
}

fn carry_out(plugin: Plugin, asked: &Asked) -> Result<String, Refusal> {
    match asked.command {
        Command::Add => Ok(plugin.add(asked)?.to_json(asked.version()).to_string()),
        Command::Del => plugin.del(asked).map(|()| String::new()),
        Command::Check => {
            if !asked.version().has_check() {
                let text = format!("there is no CHECK in version {}", asked.version());
                return Err(Refusal::new(Refusal::INCOMPATIBLE_VERSION, text));
            }
            plugin.check(asked).map(|()| String::new())
        }
        Command::Gc | Command::Status if !asked.version().has_collection() => {
            let name = asked.command.name();
            let text = format!("there is no {name} in version {}", asked.version());
            Err(Refusal::new(Refusal::INCOMPATIBLE_VERSION, text))
        }
        Command::Gc => plugin.gc(asked).map(|()| String::new()),
        Command::Status => plugin.status(asked).map(|()| String::new()),
        Command::Version => {
            let spoken = Version::ALL.map(Version::name);
            let document =
                json!({"cniVersion": asked.version().name(), "supportedVersions": spoken});
            Ok(document.to_string())
        }
    }
}
