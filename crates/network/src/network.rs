//! A network: what containers that are connected to it share. Data, as a row's settings keep it.

use crate::{Subnet, plan::Route};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::IpAddr};

/// What a network is made of.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Network {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What carries its packets.
    pub driver: Driver,
    /// Its device on the host: the bridge, or what macvlan and ipvlan stand on.
    pub device: String,
    /// How devices of macvlan and ipvlan see each other; the driver's first where missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Its addresses, at most one range of each version; none where addresses come from elsewhere.
    pub subnets: Vec<Range>,
    /// Whether its gateway leads to the rest of the world.
    pub default_route: bool,
    /// No way out and none in: neither a default route nor a published port.
    pub internal: bool,
    /// Whether it is kept apart from other networks.
    pub isolation: Isolation,
    /// Whether its containers speak to the world under the host's address. Without it the network is
    /// routed.
    pub masquerade: bool,
    /// Whether published ports are behind the host's INPUT chains.
    pub input_policy: HostPolicy,
    /// Whether what it forwards is behind the policies of others' FORWARD chains.
    pub forward_policy: HostPolicy,
    /// Whether names are resolved by us.
    pub resolves_names: bool,
    /// Whether a server on its link gives the addresses (DHCP).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub leases: bool,
    /// Servers to ask for other names; the host's where there are none.
    pub servers: Vec<IpAddr>,
    /// Domains that short names are looked up in; the host's where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub searches: Vec<String>,
    /// The largest packet; the kernel's default where missing.
    pub mtu: Option<u32>,
    /// The VLAN of the bridge that its containers are in.
    pub vlan: Option<u16>,
    /// How dear its default routes are, against those of other networks.
    pub metric: Option<u32>,
    /// What else is reached through it.
    pub routes: Vec<Route>,
    /// At most so many bits a second come to a container; as many as go through where missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress_bits: Option<u64>,
    /// At most so many leave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress_bits: Option<u64>,
    /// Keys of `/proc/sys/net` as they are in a container, such as `net.ipv4.conf.eth0.rp_filter`.
    pub sysctls: BTreeMap<String, String>,
}

/// What carries a network's packets.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// A bridge of the host's, with a pair of devices to each container.
    #[default]
    Bridge,
    /// Devices of their own hardware address on one of the host's.
    Macvlan,
    /// Devices of the same hardware address on one of the host's.
    Ipvlan,
    /// Plugins, which a list of theirs names (see [`crate::cni`]). Here is only what they have given.
    Cni,
}

/// How the devices of macvlan (the first four) or ipvlan (the others) on one of the host's see each other.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// They reach each other.
    Bridge,
    /// They do not.
    Private,
    /// By way of the switch outside.
    Vepa,
    /// There is one only, which has the host's device to itself.
    Passthru,
    /// As on one link.
    L2,
    /// By routes alone.
    L3,
    /// The same, and packets go through the host's firewall.
    L3s,
}

impl Mode {
    /// All of a driver's, the usual one first.
    pub fn all_of(driver: Driver) -> &'static [Self] {
        match driver {
            Driver::Bridge | Driver::Cni => &[],
            Driver::Macvlan => &[Self::Bridge, Self::Private, Self::Vepa, Self::Passthru],
            Driver::Ipvlan => &[Self::L2, Self::L3, Self::L3s],
        }
    }

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Private => "private",
            Self::Vepa => "vepa",
            Self::Passthru => "passthru",
            Self::L2 => "l2",
            Self::L3 => "l3",
            Self::L3s => "l3s",
        }
    }
}

impl Driver {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Macvlan => "macvlan",
            Self::Ipvlan => "ipvlan",
            Self::Cni => "cni",
        }
    }
}

/// Whether packets pass between networks.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// None pass to another network or come from one.
    #[default]
    Isolated,
    /// They pass between networks that are both open.
    Open,
}

/// What the host's chains have to say about a network's packets.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HostPolicy {
    /// What they say holds, as for packets of the host's own programs.
    #[default]
    Obey,
    /// Nothing.
    Ignore,
}

impl HostPolicy {
    /// Both, the usual one first.
    pub const ALL: [Self; 2] = [Self::Obey, Self::Ignore];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Obey => "obey",
            Self::Ignore => "ignore",
        }
    }
}

/// Addresses of a network.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Range {
    /// All of them.
    pub subnet: Subnet,
    /// The host's own, through which the rest of the world is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// The first and the last that containers are given; all where missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leased: Option<(IpAddr, IpAddr)>,
}

impl Network {
    /// Whether ports are published through it. Plugins publish them themselves, and what stands on a device of
    /// the host's is not reached by way of the host.
    pub fn publishes(&self) -> bool {
        self.driver == Driver::Bridge && !self.internal
    }
}

impl Default for Network {
    fn default() -> Self {
        Self {
            id: String::new(),
            name: String::new(),
            driver: Driver::Bridge,
            device: String::new(),
            mode: None,
            subnets: Vec::new(),
            default_route: true,
            internal: false,
            isolation: Isolation::Isolated,
            masquerade: true,
            input_policy: HostPolicy::Obey,
            forward_policy: HostPolicy::Obey,
            resolves_names: true,
            leases: false,
            servers: Vec::new(),
            searches: Vec::new(),
            mtu: None,
            vlan: None,
            metric: None,
            routes: Vec::new(),
            ingress_bits: None,
            egress_bits: None,
            sysctls: BTreeMap::new(),
        }
    }
}
