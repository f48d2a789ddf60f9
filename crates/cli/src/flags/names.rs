//! Flags about names of hosts: `/etc/hosts`, `/etc/hostname`, `/etc/resolv.conf`.

use super::{Surroundings, refuse};
use dhow_base::{Error, Kind, Result, file};
use dhow_engine::options::{HostsBase, NameOptions};
use std::net::IpAddr;

/// In place of an address: the host's, as the container's network has it.
const HOST_GATEWAY: &str = "host-gateway";

/// What names mean in the container.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Names")]
pub(crate) struct NameFlags {
    /// Add a name to /etc/hosts; the address host-gateway is the host's
    #[arg(long, value_name = "NAME[;NAME...]:ADDRESS")]
    pub(super) add_host: Vec<String>,

    /// Begin /etc/hosts with this file, the image's (image) or nothing (none)
    #[arg(long, value_name = "FILE")]
    pub(super) hosts_file: Option<String>,

    /// Leave /etc/hosts as the image has it
    #[arg(long)]
    pub(super) no_hosts: bool,

    /// Leave /etc/hostname as the image has it
    #[arg(long)]
    pub(super) no_hostname: bool,

    /// Set the NIS domain name
    #[arg(long, value_name = "NAME")]
    pub(super) domainname: Option<String>,

    /// Ask this server for addresses; none leaves /etc/resolv.conf as the image has it
    #[arg(long, value_name = "ADDRESS")]
    pub(super) dns: Vec<String>,

    /// Look for names without dots in this domain; a dot is for none
    #[arg(long, value_name = "DOMAIN")]
    pub(super) dns_search: Vec<String>,

    /// Set an option of resolving, such as ndots:2
    #[arg(long, visible_alias = "dns-opt", value_name = "OPTION")]
    pub(super) dns_option: Vec<String>,

    /// Where the host is, by containers.conf alone.
    #[arg(skip)]
    pub(super) host_address: Option<String>,
}

impl NameFlags {
    /// What the flags ask for.
    pub(crate) fn options(&self, around: Surroundings<'_>) -> Result<NameOptions> {
        if self.no_hosts {
            let conflict = self.add_host.first().or(self.hosts_file.as_ref());
            if let Some(text) = conflict {
                let flag = if self.add_host.is_empty() { "--hosts-file" } else { "--add-host" };
                return Err(refuse(flag, text, "it does not go with --no-hosts"));
            }
        }
        let (mut hosts, mut host_gateway) = (Vec::new(), Vec::new());
        for text in &self.add_host {
            match host(text)? {
                (names, Some(address)) => {
                    hosts.extend(names.into_iter().map(|name| (name, address)))
                }
                (names, None) => host_gateway.extend(names),
            }
        }
        let no_resolv_conf = self.dns.iter().any(|server| server == "none");
        let says_more =
            self.dns.len() > 1 || !self.dns_search.is_empty() || !self.dns_option.is_empty();
        if no_resolv_conf && says_more {
            return Err(refuse("--dns", "none", "it does not go with others of its kind"));
        }
        let host_address = self.host_address.as_deref().map(|text| {
            text.parse().map_err(|_| {
                Error::new(
                    Kind::Invalid,
                    format!("host_containers_internal_ip: {text} is no address"),
                )
            })
        });
        Ok(NameOptions {
            hosts,
            host_gateway,
            host_address: host_address.transpose()?,
            hosts_base: self.hosts_base(around)?,
            no_hosts: self.no_hosts,
            no_hostname: self.no_hostname,
            domain: self.domainname.clone(),
            servers: if no_resolv_conf { Vec::new() } else { super::parse_all(&self.dns, server)? },
            no_resolv_conf,
            searches: super::parse_all(&self.dns_search, |text| word("--dns-search", text))?,
            resolver_options: super::parse_all(&self.dns_option, |t| word("--dns-option", t))?,
        })
    }

    fn hosts_base(&self, around: Surroundings<'_>) -> Result<HostsBase> {
        match self.hosts_file.as_deref() {
            None => Ok(HostsBase::Unsaid),
            Some("none") => Ok(HostsBase::None),
            Some("image") => Ok(HostsBase::Image),
            Some(text) => {
                let path = around.absolute(text);
                file::read_limited(&path, 1 << 20)
                    .map_err(|error| refuse("--hosts-file", text, error.one_line()))?;
                Ok(HostsBase::File(path))
            }
        }
    }
}

/// `db:10.0.0.1`, `db=10.0.0.1`, podman's `a;b:10.0.0.1`; an address may stand in brackets, and is
/// missing where it is the host's.
pub(super) fn host(text: &str) -> Result<(Vec<String>, Option<IpAddr>)> {
    let refused =
        |why: &str| refuse("--add-host", text, why).hint("write NAME:ADDRESS, such as db:10.0.0.1");
    let split = text.split_once('=').or_else(|| text.split_once(':'));
    let (names, address) = split.ok_or_else(|| refused("the address is missing"))?;
    let bare = address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    let parsed = || bare.unwrap_or(address).parse().map_err(|_| refused("not an address"));
    let address = if address == HOST_GATEWAY { None } else { Some(parsed()?) };
    let names: Vec<&str> = names.split(';').collect();
    let is_name = |name: &&str| {
        !name.is_empty()
            && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#')
    };
    if !names.iter().all(is_name) {
        return Err(refused("not a name"));
    }
    Ok((names.into_iter().map(str::to_owned).collect(), address))
}

pub(super) fn server(text: &str) -> Result<IpAddr> {
    text.parse()
        .map_err(|_| refuse("--dns", text, "not an address").hint("write 9.9.9.9 or 2620:fe::fe"))
}

/// A word of resolv.conf, which must not begin a line of its own.
pub(super) fn word(flag: &str, text: &str) -> Result<String> {
    if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(refuse(flag, text, "not one word"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::tests::world;

    #[test]
    fn hosts_have_names_and_an_address() {
        let cases = [
            ("db:10.0.0.1", Some(1)),
            ("db=::1", Some(1)),
            ("db:::1", Some(1)),
            ("db:[::1]", Some(1)),
            ("a;b:10.0.0.1", Some(2)),
            ("db", None),
            ("db:", None),
            (":10.0.0.1", None),
            ("a b:10.0.0.1", None),
            ("a\nb:10.0.0.1", None),
            ("db:host-gateway", Some(1)),
            ("a;b=host-gateway", Some(2)),
            ("db:host-gateways", None),
        ];
        for (text, expected) in cases {
            assert_eq!(host(text).ok().map(|(names, _)| names.len()), expected, "parsing {text:?}");
        }
    }

    #[test]
    fn words_that_contradict_each_other_are_refused() {
        let options = |change: fn(&mut NameFlags)| {
            let mut flags = NameFlags::default();
            change(&mut flags);
            flags.options(world())
        };

        assert!(options(|f| (f.no_hosts, f.add_host) = (true, vec!["a:1.1.1.1".into()])).is_err());
        assert!(options(|f| f.dns = vec!["none".into(), "9.9.9.9".into()]).is_err());
        assert!(options(|f| f.dns = vec!["none".into()]).unwrap().no_resolv_conf);
        assert!(options(|f| f.hosts_file = Some("gone".into())).is_err());
        assert!(options(|f| f.dns_search = vec!["a\nnameserver 1.1.1.1".into()]).is_err());
    }
}
