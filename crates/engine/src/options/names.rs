//! Names of hosts: the files in a container that say who is who.

use serde::{Deserialize, Serialize};
use std::{net::IpAddr, path::PathBuf};

/// What `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf` are to hold.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct NameOptions {
    /// `--add-host`: names and their address, in order.
    pub hosts: Vec<(String, IpAddr)>,
    /// `--add-host NAME:host-gateway`: names of the host, where its network has it.
    pub host_gateway: Vec<String>,
    /// Where the host is for the container, where that is not the gateway of its network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_address: Option<IpAddr>,
    /// `--hosts-file`: what `/etc/hosts` begins with.
    pub hosts_base: HostsBase,
    /// `--no-hosts`: `/etc/hosts` is the image's.
    pub no_hosts: bool,
    /// `--no-hostname`: `/etc/hostname` is the image's.
    pub no_hostname: bool,
    /// `--domainname`.
    pub domain: Option<String>,
    /// `--dns`: servers instead of the host's.
    pub servers: Vec<IpAddr>,
    /// `--dns none`: `/etc/resolv.conf` is the image's.
    pub no_resolv_conf: bool,
    /// `--dns-search`: domains instead of the host's; a lone `.` is none at all.
    pub searches: Vec<String>,
    /// `--dns-option`: options instead of the host's.
    pub resolver_options: Vec<String>,
}

/// What `/etc/hosts` begins with.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum HostsBase {
    /// The host's with the host's network, otherwise nothing.
    #[default]
    Unsaid,
    /// Nothing.
    None,
    /// The image's.
    Image,
    /// A file of the host's.
    File(PathBuf),
}
