//! `/etc/resolv.conf`: what a container's programs read, and whom its resolver asks.
//!
//! ```text
//!   the host's network     the host's file, with what the user says in place of lines of that kind
//!   a network with names   nameserver 127.0.0.11, which asks the user's servers or the host's
//!   a network without      the user's servers, or those of the host's that are reached from there
//!   none                   what the user says
//! ```

use crate::{files::of_host, networks::NAMES, options::NameOptions};
use dhow_base::Result;
use dhow_network::{Attachment, Plan};
use std::{net::IpAddr, path::Path};

const OF_HOST: &str = "/etc/resolv.conf";

/// Where systemd's resolver, which listens on the host's loopback, says whom it asks itself.
const BEHIND_SYSTEMD: &str = "/run/systemd/resolve/resolv.conf";

/// Where a container's resolver is, as in docker.
const RESOLVER: &str = "127.0.0.11";

/// Names without dots are asked for as they are first: those of neighbours are such.
const OPTIONS: &str = "ndots:0";

/// The file of a container without networks of ours. Docker's rule: what the user says of servers,
/// domains or options replaces the host's lines of that kind. Without the host's network there is
/// nothing of the host's.
pub(crate) fn without_networks(names: &NameOptions, is_host: bool) -> Result<Vec<u8>> {
    let host = if is_host { of_host(Path::new(OF_HOST))? } else { Vec::new() };
    let said = !names.servers.is_empty()
        || !names.searches.is_empty()
        || !names.resolver_options.is_empty();
    if !said {
        return Ok(host);
    }
    let mut text = String::new();
    for line in String::from_utf8_lossy(&host).lines() {
        let word = line.split_ascii_whitespace().next().unwrap_or_default();
        let is_replaced = match word {
            "nameserver" => !names.servers.is_empty(),
            "search" | "domain" => !names.searches.is_empty(),
            "options" => !names.resolver_options.is_empty(),
            _ => false,
        };
        if !is_replaced {
            text.push_str(&format!("{line}\n"));
        }
    }
    let servers: Vec<String> = names.servers.iter().map(IpAddr::to_string).collect();
    text.push_str(&written(&names.searches, &servers, &names.resolver_options));
    Ok(text.into_bytes())
}

/// The file of a container with networks.
pub(crate) fn with_networks(names: &NameOptions, plan: &Plan) -> Result<Vec<u8>> {
    let host = of_host(Path::new(OF_HOST))?;
    let said = |said: &[String], word: &str| match said.is_empty() {
        false => said.to_vec(),
        true => words(&host, word),
    };
    let of_networks = plan.attachments.iter().flat_map(|one| &one.network.searches);
    let of_networks: Vec<String> = of_networks.cloned().collect();
    let searches = match names.searches.is_empty() && !of_networks.is_empty() {
        true => of_networks,
        false => said(&names.searches, "search"),
    };
    let mut options = said(&names.resolver_options, "options");
    let servers = match &plan.resolver {
        Some(_) => {
            if !options.iter().any(|option| option.starts_with("ndots:")) {
                options.push(OPTIONS.to_owned());
            }
            vec![RESOLVER.to_owned()]
        }
        None => {
            let mut servers = without_resolver(names, &host)?;
            if servers.is_empty() && plan.outlet.is_some() {
                servers.push(NAMES);
            }
            servers.iter().map(IpAddr::to_string).collect()
        }
    };
    Ok(written(&searches, &servers, &options).into_bytes())
}

/// Whom a container's resolver asks: the servers that the user names, else those of its networks,
/// else the host's, which are asked from the host and so may be on its loopback. Who is connected to
/// internal networks only asks nobody: a question is a way out.
pub(crate) fn upstream(names: &NameOptions, plan: &Plan) -> Result<Vec<IpAddr>> {
    let is_internal = |attachment: &Attachment| attachment.network.internal;
    if plan.attachments.iter().all(is_internal) {
        return Ok(Vec::new());
    }
    if !names.servers.is_empty() {
        return Ok(names.servers.clone());
    }
    let mut of_networks = Vec::new();
    for server in plan.attachments.iter().flat_map(|attachment| &attachment.network.servers) {
        if !of_networks.contains(server) {
            of_networks.push(*server);
        }
    }
    if !of_networks.is_empty() {
        return Ok(of_networks);
    }
    Ok(servers_in(&of_host(Path::new(OF_HOST))?))
}

/// Whom a container asks itself.
fn without_resolver(names: &NameOptions, host: &[u8]) -> Result<Vec<IpAddr>> {
    if !names.servers.is_empty() {
        return Ok(names.servers.clone());
    }
    let reached = |text: &[u8]| {
        let servers = servers_in(text).into_iter();
        servers.filter(|server| !server.is_loopback()).collect::<Vec<_>>()
    };
    let servers = reached(host);
    if servers.is_empty() {
        return Ok(reached(&of_host(Path::new(BEHIND_SYSTEMD))?));
    }
    Ok(servers)
}

/// The servers that a file names, but for those that mean something on one link alone.
fn servers_in(text: &[u8]) -> Vec<IpAddr> {
    let text = String::from_utf8_lossy(text);
    let server = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()?.parse().ok()).flatten()
    };
    text.lines().filter_map(server).collect()
}

/// What follows a keyword where it is said last, which counts; `domain` is an older word for one
/// domain.
fn words(text: &[u8], keyword: &str) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let of_line = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let found = words.next()?;
        let is_it = found == keyword || (keyword == "search" && found == "domain");
        is_it.then(|| words.map(str::to_owned).collect())
    };
    text.lines().filter_map(of_line).next_back().unwrap_or_default()
}

fn written(searches: &[String], servers: &[String], options: &[String]) -> String {
    // A lone dot takes the host's domains away and puts none in their place.
    let searches: Vec<&str> =
        searches.iter().map(String::as_str).filter(|domain| *domain != ".").collect();
    let mut text = String::new();
    if !searches.is_empty() {
        text.push_str(&format!("search {}\n", searches.join(" ")));
    }
    for server in servers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    if !options.is_empty() {
        text.push_str(&format!("options {}\n", options.join(" ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use dhow_network::{Attachment, Network, ResolverPlan};

    fn plan(networks: Vec<Network>) -> Plan {
        let attachment = |network: Network| Attachment {
            network,
            interface: "eth0".to_owned(),
            host_interface: "dv-0".to_owned(),
            mac: "02:42:0a:58:00:05".parse().unwrap(),
            addresses: Vec::new(),
        };
        Plan {
            attachments: networks.into_iter().map(attachment).collect(),
            resolver: Some(ResolverPlan::default()),
            ..Plan::default()
        }
    }

    fn names(servers: &[&str]) -> NameOptions {
        NameOptions {
            servers: servers.iter().map(|server| server.parse().unwrap()).collect(),
            ..NameOptions::default()
        }
    }

    #[test]
    fn what_is_said_of_resolving_is_written_and_a_dot_is_no_domain() {
        let names = NameOptions {
            searches: vec!["a.example".to_owned(), "b.example".to_owned()],
            resolver_options: vec!["ndots:2".to_owned()],
            ..names(&["9.9.9.9"])
        };
        let text = |names: &NameOptions| {
            String::from_utf8(without_networks(names, false).unwrap()).unwrap()
        };

        assert_eq!(
            text(&names),
            "search a.example b.example\nnameserver 9.9.9.9\noptions ndots:2\n"
        );
        let none = NameOptions { searches: vec![".".to_owned()], ..NameOptions::default() };
        assert_eq!(text(&none), "");
    }

    #[test]
    fn a_container_with_names_asks_its_resolver_whoever_that_asks() {
        let names = NameOptions { searches: vec![".".to_owned()], ..names(&["9.9.9.9"]) };
        let mut plan = plan(vec![Network::default()]);

        let text = String::from_utf8(with_networks(&names, &plan).unwrap()).unwrap();
        assert!(text.starts_with("nameserver 127.0.0.11\noptions "), "{text}");
        assert!(text.ends_with("ndots:0\n"), "{text}");
        let two = NameOptions { resolver_options: vec!["ndots:2".to_owned()], ..names.clone() };
        let text = String::from_utf8(with_networks(&two, &plan).unwrap()).unwrap();
        assert!(text.ends_with("options ndots:2\n"), "{text}");
        plan.resolver = None;

        let text = String::from_utf8(with_networks(&names, &plan).unwrap()).unwrap();
        assert!(text.starts_with("nameserver 9.9.9.9\n"), "{text}");
        assert!(!text.contains("ndots:0"), "{text}");
    }

    #[test]
    fn a_resolver_asks_the_users_servers_before_those_of_its_networks() {
        let network = |servers: &[&str], internal| Network {
            servers: names(servers).servers,
            internal,
            ..Network::default()
        };
        let two = plan(vec![network(&["1.1.1.1"], true), network(&["2.2.2.2", "1.1.1.1"], false)]);
        let text = |names: &NameOptions, plan: &Plan| {
            upstream(names, plan).unwrap().iter().map(IpAddr::to_string).collect::<Vec<_>>()
        };

        assert_eq!(text(&names(&[]), &two), ["1.1.1.1", "2.2.2.2"]);
        assert_eq!(text(&names(&["9.9.9.9"]), &two), ["9.9.9.9"]);
        let inside = plan(vec![network(&["1.1.1.1"], true)]);
        assert!(
            text(&names(&["9.9.9.9"]), &inside).is_empty(),
            "an internal network has no way out"
        );
    }

    #[test]
    fn a_file_is_read_as_the_c_library_reads_it() {
        let text = b"# x\nnameserver 127.0.0.53\n nameserver\t::1 x\nnameserver fe80::1%eth0\n\
                     nameservers 1.1.1.1\nsearch a\ndomain b\n;options y\noptions edns0 trust-ad\n";

        assert_eq!(servers_in(text).len(), 2);
        assert_eq!(words(text, "search"), ["b"]);
        assert_eq!(words(text, "options"), ["edns0", "trust-ad"]);
    }
}
